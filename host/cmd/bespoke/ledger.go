package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/ledger"
)

func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Verify and read the record of what the edge did",
		Long: `Read the ledger, the record that the edge keeps of every exchange, which cannot
be changed unnoticed. DIR is the ledger's folder, the folder ledger of the
state folder, or a copy of it. Nothing here needs the edge or a network, and
nothing writes to DIR.`,
		Example: `  bespoke ledger verify state/ledger --key key-from-the-operator.pub
  bespoke ledger report state/ledger --from 2026-10-01 --to 2026-11-01 --html october.html
  bespoke ledger show state/ledger --denied personalize --from 2026-10-31`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(ledgerVerifyCommand(), ledgerShowCommand(), ledgerReportCommand(), ledgerProveCommand(), ledgerExportCommand())
	return cmd
}

// against are the flags that say against what a ledger is verified.
type against struct{ key, since string }

func (a *against) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.key, "key", "", "the public key, from a `FILE` that you got elsewhere (default DIR/key.pub)")
	cmd.Flags().StringVar(&a.since, "since", "", "an earlier checkpoint, a `FILE` that was kept elsewhere: tells truncation and forks")
}

func (a *against) options(w io.Writer) (o ledger.VerifyOptions, err error) {
	for _, f := range []struct {
		path string
		to   *[]byte
	}{{a.key, &o.Key}, {a.since, &o.Since}} {
		if f.path == "" {
			continue
		}
		if *f.to, err = os.ReadFile(f.path); err != nil {
			return o, err
		}
	}
	if o.Key != nil {
		if _, err := ledger.ParseKey(o.Key); err != nil {
			return o, fmt.Errorf("%s: %w", a.key, err)
		}
	}
	o.Progress = progress(w)
	return o, nil
}

// progress tells now and then how far a long reading is.
func progress(w io.Writer) func(n, of int64) {
	began := time.Now()
	told := began
	return func(n, of int64) {
		now := time.Now()
		if now.Sub(told) < time.Second {
			return
		}
		told = now
		if of > 0 {
			fmt.Fprintf(w, "%d of %d records, %.0f s\n", n, of, now.Sub(began).Seconds())
			return
		}
		fmt.Fprintf(w, "%d records, %.0f s\n", n, now.Sub(began).Seconds())
	}
}

// when reads a time of a flag: RFC 3339, a date (UTC), or a date and an hour.
type when struct{ time.Time }

func (w *when) Set(s string) error {
	for _, form := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04", "2006-01-02T15"} {
		if t, err := time.Parse(form, s); err == nil {
			w.Time = t.UTC()
			return nil
		}
	}
	return errors.New("expected a time like 2026-11-22, 2026-11-22T05:10 (UTC) or RFC 3339")
}

func (w *when) String() string {
	if w.IsZero() {
		return ""
	}
	return w.Format(time.RFC3339)
}

func (w *when) Type() string { return "TIME" }

// filterFlags are those of show and export.
func filterFlags(cmd *cobra.Command, f *ledger.Filter) (done func() error) {
	var from, to when
	fl := cmd.Flags()
	fl.Var(&from, "from", "from this time on (UTC)")
	fl.Var(&to, "to", "before this time")
	fl.StringVar(&f.Kind, "kind", "", "of one `KIND`: exchange, choice, open, config, activation, ...")
	fl.StringVar(&f.Tenant, "tenant", "", "of this tenant: its `NAME`")
	fl.StringVar(&f.Route, "route", "", "of the route with this `PATTERN`")
	fl.StringVar(&f.Policy, "policy", "", "with this policy: its `NAME` in the configuration, or the start of its digest")
	fl.StringVar(&f.Outcome, "outcome", "", "of a policy: `TEXT` is ran, idle, suspended, failed or \"failed fuel\", ...")
	fl.StringVar(&f.Key, "read", "", "some policy asked for this `KEY`, as its manifest declares it")
	fl.StringVar(&f.Granted, "granted", "", "this `PURPOSE` was granted")
	fl.StringVar(&f.Denied, "denied", "", "this `PURPOSE` was denied")
	fl.StringVar(&f.Rule, "rule", "", "settled by this `RULE`: gpc, withdrawal, choice, no-record, ...")
	fl.BoolVar(&f.Fault, "faults", false, "only exchanges at which something went wrong")
	fl.BoolVar(&f.Violation, "violations", false, "only exchanges that break the promise")
	fl.BoolVar(&f.Personal, "personal", false, "only exchanges in which a policy was given personal data")
	return func() error {
		f.From, f.To = from.Time, to.Time
		if err := f.Check(); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func ledgerExportCommand() *cobra.Command {
	var f ledger.Filter
	var out string
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write records as JSON lines, for other tools",
		Long: `Write records as JSON lines to standard output, each with its number, for
DuckDB, jq and the like. Without flags it is all records. The segments read
are checked against their statements; "ledger verify" checks those.`,
		Example: `  bespoke ledger export state/ledger > ledger.jsonl
  bespoke ledger export state/ledger --kind exchange --denied personalize -o refused.jsonl`,
		Args: args(cobra.ExactArgs(1)),
	}
	ready := filterFlags(cmd, &f)
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to this `FILE`")
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		if err := ready(); err != nil {
			return err
		}
		var n int64
		err := written(cmd.OutOrStdout(), out, func(w io.Writer) (err error) {
			n, err = ledger.Export(w, a[0], f)
			return err
		})
		if err == nil && out != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d records\n", n)
		}
		return err
	}
	return cmd
}

// written gives a buffered standard output, or a file, which exists only once it is whole.
func written(stdout io.Writer, path string, write func(io.Writer) error) error {
	if path == "" {
		w := newFlusher(stdout)
		return errors.Join(write(w), w.Flush())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	w := newFlusher(f)
	err = errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func ledgerProveCommand() *cobra.Command {
	var out, check, key string
	cmd := &cobra.Command{
		Use:   "prove DIR RECORD | prove --check FILE --key FILE",
		Short: "Prove that one record is in the ledger, or check such a proof",
		Long: `Write a proof that the record of that number is in the ledger: one file, which
whoever has the ledger's public key can check without the ledger.

With --check, check a proof instead. It shows that the record is one of those
under the checkpoint that the key signed, unchanged. It does not show that the
edge recorded what it did. Exit status 1: the proof proves nothing.`,
		Example: `  bespoke ledger prove state/ledger 120034 -o receipt.json
  bespoke ledger prove --check receipt.json --key key-from-the-operator.pub`,
		Args: args(cobra.MaximumNArgs(2)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if check != "" {
				if len(a) > 0 || key == "" || out != "" {
					return usageError{errors.New("to check a proof name the public key with --key, and nothing else; see bespoke ledger prove --help")}
				}
				return checkProof(cmd.OutOrStdout(), check, key)
			}
			if len(a) != 2 || key != "" {
				return usageError{errors.New("expected the ledger's folder and the number of a record; see bespoke ledger prove --help")}
			}
			number, err := recordNumber(a[1])
			if err != nil {
				return err
			}
			p, err := ledger.Prove(a[0], number)
			if err != nil {
				return err
			}
			file, err := p.Encode()
			if err != nil {
				return err
			}
			return written(cmd.OutOrStdout(), out, func(w io.Writer) error {
				_, err := w.Write(file)
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the proof to this `FILE`")
	cmd.Flags().StringVar(&check, "check", "", "check the proof in this `FILE`")
	cmd.Flags().StringVar(&key, "key", "", "the ledger's public key, from a `FILE` that you got elsewhere; to check")
	return cmd
}

func checkProof(w io.Writer, file, key string) error {
	proof, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pub, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	p, err := ledger.VerifyProof(proof, pub)
	if err != nil {
		return fmt.Errorf("%s proves nothing: %w", file, err)
	}
	fmt.Fprintf(w, "Record %d is in the ledger of %s, in segment %d of the %d that the checkpoint covers,\nsealed from %s to %s:\n\n%s\n",
		p.Record.Number, p.Key, p.Record.Segment, p.Segments, utc(p.Statement.From), utc(p.Statement.To), p.Record.Line)
	return nil
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

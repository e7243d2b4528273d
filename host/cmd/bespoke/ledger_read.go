package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/ledger"
)

func newFlusher(w io.Writer) *bufio.Writer { return bufio.NewWriterSize(w, 64<<10) }

func recordNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, usageError{fmt.Errorf("%q is no number of a record", s)}
	}
	return n, nil
}

func ledgerVerifyCommand() *cobra.Command {
	var a against
	var from, to when
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check that the ledger is what was sealed, and that its records keep the promise",
		Long: `Check the ledger with nothing but its folder and a public key: the signature,
the tree, every segment and every record. What is damaged is named by file,
segment and record. Then check what the records say: no policy was given a key
whose class needs a purpose that the visitor had not granted, and no record
can be tied to a visitor who did not grant personalize.

The folder has a copy of its public key, which somebody who replaces the whole
folder can replace too: name the one you got elsewhere with --key. To tell that
nothing was cut off or written anew, keep a copy of DIR/checkpoint elsewhere,
and name it with --since later.

Exit status 0: intact, and no record breaks the promise. 1: otherwise.`,
		Example: `  bespoke ledger verify state/ledger
  bespoke ledger verify copy --key operator.pub --since checkpoint-of-october`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, dir []string) error {
			o, err := a.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			o.From, o.To = from.Time, to.Time
			began := time.Now()
			v, err := ledger.Verify(dir[0], o)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			} else {
				printVerified(cmd.OutOrStdout(), v, time.Since(began))
			}
			if err == nil && !v.OK() {
				return errAnswered
			}
			return err
		},
	}
	a.flags(cmd)
	cmd.Flags().Var(&from, "from", "read the content of segments from this time on only; the tree is checked as a whole")
	cmd.Flags().Var(&to, "to", "read the content of segments up to this time only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func printVerified(w io.Writer, v *ledger.Verified, took time.Duration) {
	for _, list := range []struct {
		name  string
		all   []ledger.Finding
		count int64
	}{{"DAMAGE", v.Damage, v.DamageCount}, {"VIOLATION", v.Violations, v.ViolationCount}, {"note", v.Notes, int64(len(v.Notes))}} {
		for i := range list.all {
			fmt.Fprintf(w, "%-9s  %s\n", list.name, list.all[i].String())
		}
		if more := list.count - int64(len(list.all)); more > 0 {
			fmt.Fprintf(w, "%-9s  and %d more\n", list.name, more)
		}
	}
	for _, g := range v.Gaps {
		fmt.Fprintf(w, "%-9s  %s to %s: %s (record %d)\n", "gap", utc(g.From), utc(g.To), g.Text, g.Record)
	}
	row := func(name, format string, a ...any) { fmt.Fprintf(w, "%-11s %s\n", name, fmt.Sprintf(format, a...)) }
	own := ""
	if v.FromDir {
		own = "  (the folder's own: compare it with one you got elsewhere)"
	}
	row("key", "%s%s", v.Key, own)
	if v.Root != "" {
		row("checkpoint", "%d segments, tree hash %s", v.Size, v.Root)
	}
	if !v.To.IsZero() {
		row("sealed", "%s to %s", utc(v.From), utc(v.To))
	}
	removed := ""
	if v.Removed > 0 {
		removed = fmt.Sprintf(", %d removed on schedule", v.Removed)
	}
	row("records", "%d, of which %d read%s, in %.1f s", v.Records, v.Checked, removed, took.Seconds())
	if v.Since >= 0 {
		row("since", "an earlier checkpoint of %d segments", v.Since)
	}
	if !v.Closed {
		row("end", "without a close: recording goes on, or ended by a crash")
	}
	switch {
	case !v.Intact():
		fmt.Fprintf(w, "\nDAMAGED: this is not what was sealed. Findings: %d.\n", v.DamageCount)
	case v.ViolationCount > 0:
		fmt.Fprintf(w, "\nIntact, and exchanges that break the promise: %d.\n", v.ViolationCount)
	default:
		fmt.Fprintf(w, "\nIntact. No record breaks the promise.\n")
	}
}

func ledgerShowCommand() *cobra.Command {
	var f ledger.Filter
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "show DIR [RECORD]",
		Short: "Print records, or everything about one",
		Long: `Print a line for each record that the flags ask for, or, with a record's number,
everything about that one: the decision with its reasons, and what each policy
was given and denied.`,
		Example: `  bespoke ledger show state/ledger --from 2026-11-22T05:00 --tenant stores --denied personalize
  bespoke ledger show state/ledger --violations
  bespoke ledger show state/ledger 120034`,
		Args: args(cobra.RangeArgs(1, 2)),
	}
	ready := filterFlags(cmd, &f)
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "at most `N` records; 0: all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON lines, as export does")
	cmd.RunE = func(cmd *cobra.Command, a []string) error {
		if err := ready(); err != nil {
			return err
		}
		w := newFlusher(cmd.OutOrStdout())
		if len(a) == 2 {
			number, err := recordNumber(a[1])
			if err != nil {
				return err
			}
			r, err := ledger.At(a[0], number)
			if err != nil {
				return err
			}
			if asJSON {
				printLine(w, &r)
			} else {
				printRecord(w, &r)
			}
			return w.Flush()
		}
		return errors.Join(showAll(w, a[0], f, limit, asJSON), w.Flush())
	}
	return cmd
}

func showAll(w *bufio.Writer, dir string, f ledger.Filter, limit int, asJSON bool) error {
	n := 0
	for r, err := range ledger.Read(dir, f) {
		if err != nil {
			return err
		}
		if asJSON {
			printLine(w, &r)
		} else {
			printShort(w, &r)
		}
		if n++; n == limit {
			break
		}
	}
	return nil
}

func printLine(w io.Writer, r *ledger.Record) {
	fmt.Fprintf(w, `{"record":%d,%s`+"\n", r.Number, r.Line[1:])
}

// printShort prints what one looks for in a list.
func printShort(w io.Writer, r *ledger.Record) {
	fmt.Fprintf(w, "%-8d %s  %-9s", r.Number, r.Time().Format("2006-01-02T15:04:05.000Z"), r.Kind())
	if r.Tenant() != "" {
		fmt.Fprintf(w, " %s", r.Tenant())
	}
	x := r.Exchange
	if x == nil {
		fmt.Fprintf(w, " %s\n", r.Event.Data)
		return
	}
	fmt.Fprintf(w, " %s %s %d", x.Route, x.Served, x.Status)
	if x.Decision != nil {
		var granted, denied []string
		for _, p := range x.Decision.Purposes {
			if p.Granted {
				granted = append(granted, p.Purpose)
			} else {
				denied = append(denied, p.Purpose)
			}
		}
		fmt.Fprintf(w, " granted[%s] denied[%s]", strings.Join(granted, " "), strings.Join(denied, " "))
	}
	for i := range x.Policies {
		fmt.Fprintf(w, " %s:%s", x.Policies[i].Name, x.Policies[i].Outcome)
	}
	if x.Fault != "" {
		fmt.Fprintf(w, " fault %s", x.Fault)
	}
	fmt.Fprintln(w)
}

// printRecord prints everything.
func printRecord(w io.Writer, r *ledger.Record) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, value)
		}
	}
	number := func(name string, n int) {
		if n != 0 {
			row(name, strconv.Itoa(n))
		}
	}
	row("record", fmt.Sprintf("%d, in segment %d", r.Number, r.Segment))
	row("kind", r.Kind())
	row("time", r.Time().Format("2006-01-02 15:04:05.000 UTC"))
	row("tenant", r.Tenant())
	x := r.Exchange
	if x == nil {
		if r.Event.Data != nil {
			row("data", fmt.Sprintf("%s", r.Event.Data))
		}
		return
	}
	row("route", x.Route)
	row("served by", x.Served)
	number("status", x.Status)
	row("fault", x.Fault)
	if d := x.Decision; d != nil {
		row("jurisdiction", d.Jurisdiction)
		row("facts", d.Facts)
		for _, p := range d.Purposes {
			answer := "denied"
			if p.Granted {
				answer = "granted"
			}
			fmt.Fprintf(w, "  %-12s %-8s by rule %s, from %s\n", p.Purpose, answer, p.Rule, p.Signal)
		}
	} else {
		row("decision", "none: nothing about the visitor was asked")
	}
	for i := range x.Policies {
		printPolicy(w, &x.Policies[i])
	}
	number("edits", x.Edits)
	number("applied", x.Applied)
	number("not applied", x.NotApplied)
	row("stopped", x.Stopped)
	row("untouched", x.Untouched)
	for _, h := range []struct {
		name string
		raw  []byte
	}{{"plan", x.Plan[:]}, {"body in", x.In[:]}, {"body out", x.Out[:]}, {"pseudonym", x.Pseudonym[:]}} {
		if strings.Trim(string(h.raw), "\x00") != "" {
			row(h.name, fmt.Sprintf("%x", h.raw))
		}
	}
	if x.Sealed {
		row("digests", "keyed: a policy was given personal data")
	}
	row("exhibit", x.Exhibit)
	row("promise", brokenOr(r))
}

func brokenOr(r *ledger.Record) string {
	if said := r.Broken(); said != "" {
		return "BROKEN: " + said
	}
	return "kept"
}

func printPolicy(w io.Writer, p *ledger.Policy) {
	fmt.Fprintf(w, "policy       %s: %s", p.Name, p.Outcome)
	fmt.Fprintln(w)
	if p.Digest != [16]byte{} { // none where there is no module
		fmt.Fprintf(w, "  %-12s %x\n", "digest", p.Digest)
	}
	if p.Version != 0 {
		fmt.Fprintf(w, "  %-12s %d\n", "version", p.Version)
	}
	for _, l := range []struct {
		name string
		keys []string
	}{{"given", p.Given}, {"withheld", p.Withheld}, {"absent", p.Absent}, {"undeclared", p.Undeclared}} {
		if len(l.keys) > 0 {
			fmt.Fprintf(w, "  %-12s %s\n", l.name, strings.Join(l.keys, ", "))
		}
	}
	if p.Edits != 0 {
		fmt.Fprintf(w, "  %-12s %d\n", "edits", p.Edits)
	}
}

func ledgerReportCommand() *cobra.Command {
	var a against
	var p ledger.Period
	var from, to when
	var page string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report DIR --from TIME --to TIME",
		Short: "Answer whether refusals were honoured in a period, with all figures",
		Long: `Verify the ledger, count what a period has, and answer: was every refusal
honoured? With --html it is one page for people, which prints well; with --json
the same for programs; otherwise a short text. The period is made whole hours
(UTC). The report says what it does not show, too.

Exit status 0: the ledger is intact, and the period has no violation. 1: otherwise.`,
		Example: `  bespoke ledger report state/ledger --from 2026-10-01 --to 2026-11-01 --html october.html
  bespoke ledger report copy --key operator.pub --since checkpoint-of-september --from 2026-10-01 --to 2026-11-01 --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, dir []string) error {
			p.From, p.To = from.Time, to.Time
			if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
				return usageError{errors.New("--from has to be before --to")}
			}
			o, err := a.options(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r, err := ledger.MakeReport(dir[0], p, o, time.Now())
			if err != nil {
				return err
			}
			if page != "" {
				if err := written(nil, page, r.HTML); err != nil {
					return err
				}
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				printLedgerReport(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.OK() {
				return errAnswered
			}
			return err
		},
	}
	a.flags(cmd)
	f := cmd.Flags()
	f.Var(&from, "from", "from this time on (UTC); left out: from the start")
	f.Var(&to, "to", "before this time; left out: to the end")
	f.StringVar(&p.Tenant, "tenant", "", "of one tenant: its `NAME`")
	f.StringVar(&page, "html", "", "write the report as a page to this `FILE`")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func printLedgerReport(w io.Writer, r *ledger.Report) {
	t := &r.Summary.Total
	fmt.Fprintf(w, "%s to %s\n\n%s\n\n", utc(r.Summary.From), utc(r.Summary.To), r.Answer)
	for _, row := range []struct {
		name string
		n    int64
	}{
		{"exchanges", t.Exchanges}, {"with personalize denied", t.Refused}, {"of those honoured", t.Honoured}, {"given personal data", t.Personal},
		{"violations", t.Violations}, {"without a record", t.Unrecorded}, {"gaps", int64(len(r.Summary.Gaps))}, {"choices", t.Choices.All},
	} {
		fmt.Fprintf(w, "%10d  %s\n", row.n, row.name)
	}
	for i := range t.Broken {
		fmt.Fprintf(w, "\nVIOLATION  record %d: %s", t.Broken[i].Record, t.Broken[i].Text)
	}
	for i := range r.Verified.Damage {
		fmt.Fprintf(w, "\nDAMAGE  %s", r.Verified.Damage[i].String())
	}
	for _, list := range []struct {
		name  string
		lines []string
	}{{"This shows", r.Proven}, {"It does not show", r.Unproven}} {
		fmt.Fprintf(w, "\n%s\n", list.name)
		for _, line := range list.lines {
			fmt.Fprintf(w, "- %s\n", line)
		}
	}
}

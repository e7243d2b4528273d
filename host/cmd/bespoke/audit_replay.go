package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"bespoke/host/edge"
)

func auditReplayCommand() *cobra.Command {
	var c edge.ReplayConfig
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay DIR",
		Short: "Run recorded exchanges again, and compare to the byte",
		Long: `Run again what the ledger in the state folder DIR records, and compare.

Every exchange is decided again, from the facts in its record: each purpose must be
granted or denied by the same rule. Every exhibit that a record names is run again,
with the policies' modules that were kept: each must read the same keys in the same
order and make the same edits; status, header (but Date) and body must be equal to
the byte, and so must the record that the exchange left.

Exhibits are kept for a while, of a sample of exchanges without personal data. The
name of one has its hash in it, so that the ledger tells a changed one. What is
gone grew too old, or could not be written; that is said, and is no difference.

It reads DIR and writes nothing. The ledger itself is checked on the way; what is
wrong with it, "bespoke ledger verify" tells.

Exit status: 0 all is equal; 1 something differs, or the ledger is damaged; 2 wrong
use.`,
		Example: `  bespoke audit replay ./state
  bespoke audit replay ./state --exhibit 20261122T051011.000Z-...`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			c.State = a[0]
			if key != "" {
				if c.Key, err = os.ReadFile(key); err != nil {
					return usageError{err}
				}
			}
			r, err := edge.ReplayLedger(cmd.Context(), c)
			if errors.Is(err, fs.ErrNotExist) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			if err := printReplay(cmd.OutOrStdout(), r, asJSON); err != nil {
				return err
			}
			if !r.OK() {
				return errAnswered
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Exhibit, "exhibit", "", "run only the exhibit of this `NAME` again")
	f.StringVar(&key, "key", "", "public key `FILE` of the ledger, got elsewhere (default: the ledger's own)")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func printReplay(w io.Writer, r *edge.ReplayReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	for _, d := range r.Differences {
		at := fmt.Sprintf("record %d", d.Record)
		if d.Exhibit != "" {
			at += ", exhibit " + d.Exhibit
		}
		fmt.Fprintf(w, "%s: %s\n", at, d.Text)
	}
	if more := r.Different - int64(len(r.Differences)); more > 0 {
		fmt.Fprintf(w, "and %s\n", count(int(more), "more difference"))
	}
	if r.Damage > 0 {
		fmt.Fprintf(w, "the ledger is damaged (%s): see bespoke ledger verify\n", count(int(r.Damage), "finding"))
	}
	fmt.Fprintf(w, "%s read; %s made again, %s run again", count(int(r.Records), "record"), count(int(r.Decisions), "decision"), count(r.Exhibits, "exhibit"))
	if r.Gone > 0 {
		fmt.Fprintf(w, " (%d more are gone)", r.Gone)
	}
	if r.Unnamed > 0 {
		fmt.Fprintf(w, "; %s in the folder that no record names", count(r.Unnamed, "exhibit"))
	}
	verdict := "all equal"
	if r.Different > 0 {
		verdict = count(int(r.Different), "difference")
	}
	_, err := fmt.Fprintf(w, ": %s\n", verdict)
	return err
}

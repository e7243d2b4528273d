package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bespoke/host/recommend/eval"
)

func recommendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recommend",
		Short: "Measure what would be recommended",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(recommendEvalCommand())
	return cmd
}

func recommendEvalCommand() *cobra.Command {
	var asJSON bool
	var days float64
	var support int
	cmd := &cobra.Command{
		Use:   "eval FILE",
		Short: "Measure on a log of sessions how well the next item is guessed",
		Long: `Measure on a log of sessions how well the next item is guessed.

FILE has lines of session, item and time with tabs between them; a time is Unix
seconds or milliseconds, or RFC 3339; a header is skipped; - is standard input.
Sessions that ended in the last days of the log are the test, the others are
learned. Immediate repeats count once; items of the test that were not learned,
and sessions of one item, are left out. From each prefix of a test session the
next item is guessed; the current item is never shown.

HR@20 is the part of guesses with the next item among the 20 that are shown,
MRR@20 the mean of one by its rank. Coverage is the part of the items that is
ever shown, popularity how popular what is shown is (the most popular item is 1).
The last row leaves out what fewer visitors than --support saw, as pages do.`,
		Example: "  bespoke recommend eval clicks.tsv\n  bespoke recommend eval --days 7 --json clicks.tsv",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if !(days > 0 && days <= 3650) {
				return usageError{fmt.Errorf("--days %v: more than 0, and at most 3650, may be", days)}
			}
			if support < 1 || support > 16 {
				return usageError{fmt.Errorf("--support %d: from 1 to 16 visitors may be asked for", support)}
			}
			rep, err := evaluate(cmd, a[0], days, support)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rep)
			}
			printEvaluation(cmd.OutOrStdout(), rep)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.Flags().Float64Var(&days, "days", 1, "how many `DAYS` at the end of the log are the test")
	cmd.Flags().IntVar(&support, "support", 5, "`VISITORS` that have to stand behind what the last row shows")
	return cmd
}

func evaluate(cmd *cobra.Command, file string, days float64, support int) (*eval.Report, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	say := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	log, err := eval.Read(in, func(lines int) {
		if lines%1_000_000 == 0 {
			say(fmt.Sprintf("reading: %d lines", lines))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	split, err := log.Split(days)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return eval.Run(split, eval.Options{Support: support, Progress: say})
}

func printEvaluation(w io.Writer, r *eval.Report) {
	fmt.Fprintf(w, "learned   %d events in %d sessions, %d items\n", r.TrainEvents, r.TrainSessions, r.TrainItems)
	fmt.Fprintf(w, "test      %d guesses in %d sessions\n\n", r.Predictions, r.TestSessions)
	fmt.Fprintf(w, "%-26s %7s %7s %9s %11s %9s %9s\n", "", "HR@20", "MRR@20", "coverage", "popularity", "p50", "p99")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%-26s %7.3f %7.3f %8.1f%% %11.3f %6.1f µs %6.1f µs\n",
			row.Name, row.HR, row.MRR, 100*row.Coverage, row.Popularity, row.P50, row.P99)
	}
	fmt.Fprintf(w, "\nan event   p50 %.2f µs, p99 %.2f µs; %.2f µs in the mean with its part of learning\n", r.UpdateP50, r.UpdateP99, r.UpdateMean)
	fmt.Fprintf(w, "a session  p50 %.1f µs, p99 %.1f µs to learn, in the background\n", r.LearnP50, r.LearnP99)
	fmt.Fprintf(w, "memory     %.1f MiB\n", float64(r.Memory)/(1<<20))
}

// Command bespoke is an edge proxy that tailors a site's pages to its visitors,
// as far as they agreed. Run "bespoke demo" first.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // time zones, where the system has none

	"github.com/spf13/cobra"
)

// Exit status: 0 done, 1 the answer is no, 2 wrong use; audit probe has 3 besides.
const (
	exitNo    = 1
	exitUsage = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAnswered):
		return exitNo
	case errors.Is(err, errOpen):
		return exitOpen
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "bespoke: %v\n", usage.error)
		return exitUsage
	}
	fmt.Fprintf(stderr, "bespoke: %v\n", err)
	return exitNo
}

// A usageError is a call that could not be understood.
type usageError struct{ error }

// errAnswered ends a command whose answer is no, and already printed.
var errAnswered = errors.New("answered")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bespoke",
		Short: "An edge proxy that tailors a site's pages to its visitors, as far as they agreed",
		Long: `Bespoke stands between a site and its visitors. It runs the site's policies
(WebAssembly) on every page and edits it for the visitor: results near them,
the name they gave. It uses only what the visitor granted.

To see it work:           bespoke demo
To check a configuration: bespoke check -c bespoke.yaml
To serve:                 bespoke serve -c bespoke.yaml

Exit status: 0 done, 1 the answer is no (or it failed), 2 wrong use; audit probe:
3 the question stays open.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; see bespoke --help", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	cmd.AddCommand(demoCommand(), serveCommand(), checkCommand(), policyCommand(), catalogueCommand(), tokenCommand(), geoCommand(), consentCommand(), recommendCommand(), auditCommand(), ledgerCommand(), versionCommand())
	return cmd
}

// args wraps a check of arguments so that its error counts as wrong use.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		return nil
	}
}

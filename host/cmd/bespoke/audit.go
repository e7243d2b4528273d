package main

import "github.com/spf13/cobra"

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check from outside, or again, that refusals are honoured",
		Long: `Check that what visitors refused is not used, without trusting the edge's own
word for it.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditCommands()...)
	return cmd
}

// auditCommands are the commands below audit, each made in a file of its own.
func auditCommands() []*cobra.Command {
	return []*cobra.Command{auditProbeCommand(), auditReplayCommand()}
}

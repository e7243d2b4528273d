package main

import "github.com/spf13/cobra"

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Make policies, and switch those that an edge runs",
		Long: `Make a policy, upload it to an edge, and have it run. Each upload under a name
is a version, 1, 2, 3 and so on; one of them is active.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(localPolicyCommands()...)
	cmd.AddCommand(remotePolicyCommands()...)
	return cmd
}

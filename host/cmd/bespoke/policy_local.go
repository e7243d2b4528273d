package main

import "github.com/spf13/cobra"

// localPolicyCommands are those that need no edge.
func localPolicyCommands() []*cobra.Command { return nil }

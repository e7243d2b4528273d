package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"bespoke/geo"
	"bespoke/modules/abi"
)

// release is the version in CHANGELOG.md that this tree leads to.
const release = "0.1.0"

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this build",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version       string `json:"version"`
				Commit        string `json:"commit,omitempty"`
				Go            string `json:"go"`
				Platform      string `json:"platform"`
				ABI           string `json:"abi"`
				Jurisdictions string `json:"jurisdictions"`
			}{release, commit(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, abi.ImportModule, geo.JurisdictionVersion()}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			if v.Commit == "" {
				v.Commit = "unknown"
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "bespoke %s (commit %s, %s, %s), ABI %s, jurisdictions %s\n",
				v.Version, v.Commit, v.Go, v.Platform, v.ABI, v.Jurisdictions)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// commit returns the commit that the build was made from, as the go command
// recorded it; "" if it did not.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var rev, dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if len(rev) > 12 {
		rev = rev[:12]
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}

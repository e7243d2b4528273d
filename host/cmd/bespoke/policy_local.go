package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bespoke/host/policytest"
	"bespoke/modules/abi"
	"bespoke/policies/scaffold"
)

// localPolicyCommands are those that need no edge.
func localPolicyCommands() []*cobra.Command {
	return []*cobra.Command{policyNewCommand(), policyBuildCommand(), policyCheckCommand(), policyTestCommand()}
}

func policyNewCommand() *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{
		Use:   "new NAME --lang LANG",
		Short: "Begin a policy: a folder that builds where it stands",
		Long: `Write a folder with a policy that works, to make your own of: its source, the
SDK, a manifest, and fixtures to test it on. Nothing is fetched.`,
		Example: "  bespoke policy new welcome --lang go\n  bespoke policy new welcome --lang c --dir ./policies/welcome",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			l, err := scaffold.ParseLanguage(lang)
			if err != nil {
				return usageError{err}
			}
			if dir == "" {
				dir = a[0]
			}
			files, err := scaffold.New(dir, a[0], l)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: a policy in %s\n", dir, l)
			for _, f := range files {
				fmt.Fprintf(out, "  %s\n", f)
			}
			next := "bespoke policy build " + dir
			if l == scaffold.AssemblyScript {
				next = "npm ci --prefix " + dir + " && " + next
			}
			_, err = fmt.Fprintf(out, "Next: %s && bespoke policy test %s\n", next, dir)
			return err
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "", "`LANG` of the source: go, assemblyscript or c")
	cmd.Flags().StringVar(&dir, "dir", "", "folder `DIR` to write (default: one of the policy's name)")
	cmd.MarkFlagRequired("lang")
	return cmd
}

func policyBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build [DIR]",
		Short: "Compile a policy, and write its manifest into the module",
		Long: `Compile the policy in a folder (the current one if none is named) with the
compiler of its language, which has to be installed, write the manifest into the
module, and the module to NAME.wasm in the folder.`,
		Example: "  bespoke policy build ./welcome",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			b, err := scaffold.Build(cmd.Context(), folder(a))
			if err != nil {
				return err
			}
			if b.Output != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), b.Output)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, from %s\n", b.File, kilobytes(b.Bytes), b.Language)
			return err
		},
	}
}

func folder(a []string) string {
	if len(a) == 0 {
		return "."
	}
	return a[0]
}

func kilobytes(n int) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

func policyCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE.wasm",
		Short: "Check a module as an edge would, and print what is in it",
		Long: `Check a module as an edge does before it runs one: decode it, compile it, start
it once under the usual limits. Prints its manifest, sizes, imports, exports and
warnings. Exit status 1, with the reason, if an edge would refuse it.`,
		Example: "  bespoke policy check ./welcome/welcome.wasm",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			module, err := readUpTo(a[0], abi.DefaultLimits.BinaryBytes)
			if err != nil {
				return err
			}
			r, err := policytest.Check(cmd.Context(), a[0], module)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printReport(cmd.OutOrStdout(), a[0], r)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// readUpTo reads a file of at most so many bytes.
func readUpTo(file string, most int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(data) > most {
		return nil, fmt.Errorf("%s has more than %d bytes, which is the limit", file, most)
	}
	return data, nil
}

func printReport(w io.Writer, file string, r *policytest.Report) error {
	fmt.Fprintf(w, "%s: an edge takes it\n", file)
	row := func(name, value string) { fmt.Fprintf(w, "  %-9s %s\n", name, value) }
	row("size", fmt.Sprintf("%s; %s, code %s (%s when metered), data %s", kilobytes(r.Bytes), count(r.Functions, "function"),
		kilobytes(r.CodeBytes), kilobytes(r.Metered), kilobytes(r.DataBytes)))
	row("memory", fmt.Sprintf("%s of 64 KB, at most %d", count(r.Pages, "page"), r.MaxPages))
	row("exports", strings.Join(r.Exports, ", "))
	row("imports", strings.Join(r.Imports, ", "))
	row("sha-256", r.Digest)
	for i := range r.Manifests {
		text, err := json.MarshalIndent(&r.Manifests[i], "  ", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  manifest\n  %s\n", text)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", warning)
	}
	return nil
}

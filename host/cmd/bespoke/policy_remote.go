package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/control"
	"bespoke/modules/registry"
)

// remotePolicyCommands are those that ask the admin API of an edge.
func remotePolicyCommands() []*cobra.Command {
	return []*cobra.Command{
		policyPushCommand(), policyListCommand(), policyLogsCommand(), policyStageCommand(),
		policyChangeCommand("activate NAME@VERSION", "Have a version run for all", `Have a version run for all visitors from now on. The one that was active is
what rollback brings back. No request is dropped.`, "  bespoke policy activate --tenant stores ranking@3", "/activate"),
		policyChangeCommand("rollback NAME", "Have the version run again that was active before", `Have the version run again that was active before the last activation. It goes
back one step: a second rollback in a row fails and changes nothing.`, "  bespoke policy rollback --tenant stores ranking", "/rollback"),
		policyChangeCommand("unstage NAME", "End what stage began", "End what stage began. The version can be staged or activated later.",
			"  bespoke policy unstage --tenant stores ranking", "/unstage"),
		policyChangeCommand("retire NAME@VERSION", "Take a version out of use", `Take a version out of use. If it was active, none is, and pages go out as the
site sent them; rollback brings it back.`, "  bespoke policy retire --tenant stores ranking@3", "/retire"),
		policyDeleteCommand(),
	}
}

const adminHelp = `

The edge's admin address is --to or $BESPOKE_ADMIN (` + defaultAdmin + ` if neither
is given). The token is read from --token-file or $BESPOKE_TOKEN.`

// A name is NAME or NAME@VERSION as given on the command line.
type name struct {
	policy  string
	version int // 0 without one
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func checkName(what, s string) error {
	if !namePattern.MatchString(s) {
		return usageError{fmt.Errorf("%s %q: want a lower-case letter, then up to 62 letters, digits or hyphens", what, s)}
	}
	return nil
}

// parseName reads NAME, or, if versioned, NAME@VERSION.
func parseName(s string, versioned bool) (name, error) {
	policy, number, at := strings.Cut(s, "@")
	if at != versioned {
		if versioned {
			return name{}, usageError{fmt.Errorf("%q: want NAME@VERSION, such as %s@1", s, policy)}
		}
		return name{}, usageError{fmt.Errorf("%q: want NAME, without a version", s)}
	}
	if err := checkName("policy", policy); err != nil {
		return name{}, err
	}
	n := name{policy: policy}
	if versioned {
		var err error
		if n.version, err = strconv.Atoi(number); err != nil || n.version < 1 {
			return name{}, usageError{fmt.Errorf("%q: version %q: want a number from 1", s, number)}
		}
	}
	return n, nil
}

// path is where the API has it, below the tenant's policies.
func (n name) path() string {
	if n.version == 0 {
		return "/" + n.policy
	}
	return fmt.Sprintf("/%s/versions/%d", n.policy, n.version)
}

func policyPushCommand() *cobra.Command {
	var r remote
	var policy, note string
	var activate bool
	cmd := &cobra.Command{
		Use:   "push FILE.wasm",
		Short: "Upload a policy as the next version of a name",
		Long: `Upload a policy as the next version of a name. The edge checks it, and refuses
what breaks its rules or limits. It runs for nobody until it is staged or
activated. A binary that the name has already keeps its version.` + adminHelp,
		Example: `  bespoke policy push ranking.wasm --tenant stores --name ranking --note "nearest first"
  bespoke policy push ranking.wasm --to https://edge.example:9090 --tenant stores --name ranking --activate`,
		Args: args(cobra.ExactArgs(1)),
		RunE: r.run(func(ctx context.Context, a []string) error {
			if policy == "" {
				return usageError{errors.New("name the policy: --name NAME")}
			}
			if err := checkName("--name", policy); err != nil {
				return err
			}
			v, known, err := r.push(ctx, a[0], policy, note)
			if err != nil {
				return err
			}
			if activate {
				n := name{policy, v.Version.Number}
				if err := r.ask(ctx, request{method: "POST", path: n.path() + "/activate"}, &v); err != nil {
					return err
				}
			}
			if r.asJSON {
				return r.print(v)
			}
			if known {
				fmt.Fprintln(r.errOut, "the policy had this binary already")
			}
			return r.printVersion(v)
		}),
	}
	r.add(cmd)
	cmd.Flags().StringVar(&policy, "name", "", "the policy's `NAME`, as routes use it")
	cmd.Flags().StringVar(&note, "note", "", "a `TEXT` to show in lists, such as the commit")
	cmd.Flags().BoolVar(&activate, "activate", false, "have it run for all at once")
	return cmd
}

// push uploads a file. known tells that the policy had it already.
func (r *remote) push(ctx context.Context, file, policy, note string) (v control.VersionStatus, known bool, err error) {
	// Asked first, so that a token or size that will not do is told before the
	// binary is on its way.
	var limits control.LimitsInForce
	if err := r.ask(ctx, request{method: "GET", path: "/" + policy + "/limits"}, &limits); err != nil {
		return v, false, err
	}
	f, err := os.Open(file)
	if err != nil {
		return v, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return v, false, err
	case !info.Mode().IsRegular():
		return v, false, fmt.Errorf("%s is no regular file", file)
	case info.Size() > int64(limits.BinaryBytes):
		return v, false, fmt.Errorf("%s has %d bytes, the edge takes at most %d", file, info.Size(), limits.BinaryBytes)
	}
	up := request{method: "POST", path: "/" + policy, media: "application/wasm", length: info.Size(), long: true}
	if note != "" {
		up.query = map[string][]string{"note": {note}}
	}
	body := &counted{Reader: io.LimitReader(f, info.Size())}
	up.body = body
	stop := r.progress(body, info.Size())
	defer stop()
	up.status = func(s int) { known = s == http.StatusOK }
	err = r.ask(ctx, up, &v)
	return v, known, err
}

// counted counts what was read.
type counted struct {
	io.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// progress says once a second how far an upload is, until stop is called.
func (r *remote) progress(c *counted, size int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if n := c.n.Load(); n < size {
				fmt.Fprintf(r.errOut, "sending: %s of %s\n", bytesText(n), bytesText(size))
			} else {
				fmt.Fprintf(r.errOut, "sent %s; the edge is checking it\n", bytesText(size))
			}
		}
	}()
	return func() { close(done); <-ended }
}

func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func policyListCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List a tenant's policies with their versions, and how they run",
		Long: `List what a tenant has uploaded: every version of every policy, or of the one
that is named. Runs and failures are counted since the edge loaded a version.` + adminHelp,
		Example: "  bespoke policy list --tenant stores\n  bespoke policy list --tenant stores ranking --json",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: r.run(func(ctx context.Context, a []string) error {
			var list control.PolicyList
			if len(a) == 0 {
				if err := r.ask(ctx, request{method: "GET"}, &list); err != nil {
					return err
				}
				if r.asJSON {
					return r.print(list)
				}
				return r.printPolicies(list.Policies)
			}
			n, err := parseName(a[0], false)
			if err != nil {
				return err
			}
			var p control.PolicyStatus
			if err := r.ask(ctx, request{method: "GET", path: n.path()}, &p); err != nil {
				return err
			}
			if r.asJSON {
				return r.print(p)
			}
			return r.printPolicies([]control.PolicyStatus{p})
		}),
	}
	r.add(cmd)
	return cmd
}

func (r *remote) printPolicies(list []control.PolicyStatus) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(r.out, "%s has uploaded nothing\n", r.tenant)
		return err
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "POLICY\tSTATE\tSIZE\tUPLOADED\tRUNS\tFAILED\tNOTE")
	for _, p := range list {
		for _, v := range p.Versions {
			state, runs, failed := string(v.State), "-", "-"
			if s := p.Staging; s.Version == v.Number {
				state = fmt.Sprintf("%s, %d per mille", s.Mode, s.Permille)
			}
			for _, run := range p.Running {
				if run.Version != v.Number {
					continue
				}
				var sum uint64
				for _, n := range run.Failures {
					sum += n
				}
				runs, failed = strconv.FormatUint(run.Runs, 10), strconv.FormatUint(sum, 10)
				if run.Differences > 0 {
					state += fmt.Sprintf(", %d differ", run.Differences)
				}
				if !run.SuspendedUntil.IsZero() {
					state += ", suspended until " + run.SuspendedUntil.UTC().Format(time.TimeOnly)
				}
			}
			fmt.Fprintf(w, "%s@%d\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(p.Name), v.Number, plain(state), bytesText(v.Size),
				v.Uploaded.UTC().Format(time.DateTime), runs, failed, plain(v.Note))
		}
	}
	return w.Flush()
}

func (r *remote) printVersion(v control.VersionStatus) error {
	_, err := fmt.Fprintf(r.out, "%s@%d: %s, %s, sha256 %s\n", plain(v.Policy), v.Version.Number, plain(string(v.Version.State)), bytesText(v.Version.Size), v.Version.Digest)
	return err
}

// policyChangeCommand makes a command that is one POST without a body. Whether
// it takes NAME or NAME@VERSION stands in use.
func policyChangeCommand(use, short, long, example, verb string) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long + adminHelp, Example: example,
		Args: args(cobra.ExactArgs(1)),
		RunE: r.run(func(ctx context.Context, a []string) error {
			n, err := parseName(a[0], strings.HasSuffix(use, "@VERSION"))
			if err != nil {
				return err
			}
			return r.change(ctx, request{method: "POST", path: n.path() + verb})
		}),
	}
	r.add(cmd)
	return cmd
}

// change asks for a change and prints the version that it is about.
func (r *remote) change(ctx context.Context, q request) error {
	var v control.VersionStatus
	if err := r.ask(ctx, q, &v); err != nil {
		return err
	}
	if r.asJSON {
		return r.print(v)
	}
	return r.printVersion(v)
}

func policyDeleteCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "delete NAME@VERSION",
		Short: "Forget a version that nobody runs",
		Long: `Forget a version for good, and its binary. One that is active or staged, or that
a rollback would bring back, is kept.` + adminHelp,
		Example: "  bespoke policy delete --tenant stores ranking@1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: r.run(func(ctx context.Context, a []string) error {
			n, err := parseName(a[0], true)
			if err != nil {
				return err
			}
			if err := r.ask(ctx, request{method: "DELETE", path: n.path()}, nil); err != nil {
				return err
			}
			if r.asJSON {
				return r.print(map[string]any{"tenant": r.tenant, "policy": n.policy, "deleted": n.version})
			}
			_, err = fmt.Fprintf(r.out, "%s@%d: deleted\n", n.policy, n.version)
			return err
		}),
	}
	r.add(cmd)
	return cmd
}

func policyStageCommand() *cobra.Command {
	var r remote
	var shadow, canary int
	cmd := &cobra.Command{
		Use:   "stage NAME@VERSION (--shadow | --canary PERMILLE)",
		Short: "Try a version beside the active one",
		Long: `Try a version beside the active one, until it is activated or unstaged.

  --shadow            it runs too; its edits are compared with those of the
                      active version, counted (see list), and dropped
  --canary PERMILLE   it runs instead, on a share of exchanges: 50 is one in twenty` + adminHelp,
		Example: `  bespoke policy stage --tenant stores ranking@4 --shadow
  bespoke policy stage --tenant stores ranking@4 --shadow=100
  bespoke policy stage --tenant stores ranking@4 --canary 50`,
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.RunE = r.run(func(ctx context.Context, a []string) error {
		n, err := parseName(a[0], true)
		if err != nil {
			return err
		}
		isShadow, isCanary := cmd.Flags().Changed("shadow"), cmd.Flags().Changed("canary")
		s := control.Staging{Mode: registry.Shadow, Permille: shadow}
		if isCanary {
			s = control.Staging{Mode: registry.Canary, Permille: canary}
		}
		if isShadow == isCanary {
			return usageError{errors.New("say how: --shadow or --canary PERMILLE")}
		}
		if s.Permille < 1 || s.Permille > 1000 {
			return usageError{fmt.Errorf("--%s %d: want 1 to 1000 per mille", s.Mode, s.Permille)}
		}
		body, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return r.change(ctx, request{method: "POST", path: n.path() + "/stage", media: "application/json",
			body: strings.NewReader(string(body)), length: int64(len(body))})
	})
	r.add(cmd)
	cmd.Flags().IntVar(&shadow, "shadow", 0, "run it and drop its edits, on all exchanges or, with =`PERMILLE`, a share of them")
	cmd.Flags().Lookup("shadow").NoOptDefVal = "1000"
	cmd.Flags().IntVar(&canary, "canary", 0, "run it instead, on this share of exchanges in `PERMILLE`, 1 to 1000")
	return cmd
}

// logWait is how often --follow asks for new lines.
const logWait = time.Second

func policyLogsCommand() *cobra.Command {
	var r remote
	var follow bool
	var after uint64
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what a policy logged",
		Long: `Print the last lines that a policy logged, as far as the edge still has them:
number, time, version, level, text. Characters that would speak to a terminal
are escaped.` + adminHelp,
		Example: "  bespoke policy logs --tenant stores ranking --follow",
		Args:    args(cobra.ExactArgs(1)),
		RunE: r.run(func(ctx context.Context, a []string) error {
			n, err := parseName(a[0], false)
			if err != nil {
				return err
			}
			for {
				var page control.LogPage
				err := r.ask(ctx, request{method: "GET", path: n.path() + "/logs", query: map[string][]string{"after": {strconv.FormatUint(after, 10)}}}, &page)
				if follow && ctx.Err() != nil {
					return nil // Ctrl-C is how it ends
				}
				if err != nil {
					return err
				}
				for _, l := range page.Lines {
					if err := r.printLine(l); err != nil {
						return err
					}
				}
				after = page.Next
				if !follow {
					return nil
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(logWait):
				}
			}
		}),
	}
	r.add(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on, until Ctrl-C")
	cmd.Flags().Uint64Var(&after, "after", 0, "only lines after this `NUMBER`")
	return cmd
}

func (r *remote) printLine(l control.LogLine) error {
	if r.asJSON {
		return r.print(l)
	}
	_, err := fmt.Fprintf(r.out, "%d %s @%d %s %s\n", l.Seq, l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.Version, plain(l.Level), plain(l.Text))
	return err
}

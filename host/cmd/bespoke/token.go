package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/edge"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Say who may use the admin API",
		Long: `Make, list and revoke the tokens by which the admin API knows who asks. They
are kept, as hashes, in tokens.json of the state folder; so these commands run
on the edge's machine, as its user. A running edge knows a new one at once, and
refuses a revoked one within a second.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tokenNewCommand(), tokenListCommand(), tokenRevokeCommand())
	return cmd
}

// A stateFlag names a state folder, or the configuration that names it.
type stateFlag struct{ dir, file string }

func (s *stateFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.dir, "state", "", "the edge's state `FOLDER`")
	cmd.Flags().StringVarP(&s.file, "config", "c", "", "take the state folder from this configuration `FILE`")
}

// open returns the tokens, and the configuration if that was named.
func (s *stateFlag) open() (*control.Tokens, *config.Config, error) {
	if (s.dir == "") == (s.file == "") {
		return nil, nil, usageError{errors.New("name the state folder once: --state FOLDER or -c FILE")}
	}
	if s.file == "" {
		return control.NewTokens(s.dir), nil, nil
	}
	site, err := config.Load(s.file, edge.Unchecked{})
	if err != nil {
		return nil, nil, err
	}
	return control.NewTokens(site.State), site, nil
}

func tokenNewCommand() *cobra.Command {
	var state stateFlag
	var role, tenant, name string
	var expires time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new --role ROLE",
		Short: "Make a token, and print it once",
		Long: `Make a token, and print it on standard output. It is not kept, and cannot be
printed again. Roles:

  operator   everything, for every tenant
  tenant     everything, for the tenant that --tenant names
  auditor    reads, for every tenant
  monitor    reads /metrics, and nothing else`,
		Example: `  bespoke token new -c bespoke.yaml --role operator
  bespoke token new --state ./state --role tenant --tenant stores --name stores-ci --expires 720h > token`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, err := wanted(role, tenant, name)
			if err != nil {
				return usageError{err}
			}
			now := time.Now()
			if cmd.Flags().Changed("expires") {
				if expires < time.Second {
					return usageError{fmt.Errorf("--expires %s: want a time from now, such as 720h", expires)}
				}
				token.Expires = now.Add(expires)
			}
			tokens, site, err := state.open()
			if err != nil {
				return err
			}
			if site != nil && tenant != "" && !slices.ContainsFunc(site.Tenants, func(t config.Tenant) bool { return t.Name == tenant }) {
				return fmt.Errorf("%s has no tenant %q", state.file, tenant)
			}
			secret, token, err := tokens.Add(token, now)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
					Secret string `json:"token"`
					control.Token
				}{secret, token})
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s (%s). Keep it now: it is shown this once.\n", token.Name, describeRole(token))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	}
	state.add(cmd)
	cmd.Flags().StringVar(&role, "role", "", "`ROLE`: operator, tenant, auditor or monitor")
	cmd.Flags().StringVar(&tenant, "tenant", "", "the `TENANT` that a token of role tenant is for")
	cmd.Flags().StringVar(&name, "name", "", "a `NAME` to list and revoke it by, and for the log (default: made from role or tenant)")
	cmd.Flags().DurationVar(&expires, "expires", 0, "for how `LONG` it is valid, such as 720h (default: for ever)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// wanted returns the token that the flags describe.
func wanted(role, tenant, name string) (control.Token, error) {
	t := control.Token{Name: name, Role: control.Role(role), Tenant: tenant}
	switch t.Role {
	case control.RoleTenant:
		if tenant == "" {
			return t, errors.New("a token of role tenant needs --tenant TENANT")
		}
	case control.RoleOperator, control.RoleAuditor, control.RoleMonitor:
		if tenant != "" {
			return t, fmt.Errorf("a token of role %s is for every tenant: leave out --tenant", role)
		}
	case "":
		return t, errors.New("name a role: --role operator, tenant, auditor or monitor")
	default:
		return t, fmt.Errorf("--role %q: want operator, tenant, auditor or monitor", role)
	}
	return t, nil
}

func describeRole(t control.Token) string {
	s := string(t.Role)
	if t.Tenant != "" {
		s += " " + t.Tenant
	}
	if !t.Expires.IsZero() {
		s += ", until " + t.Expires.Format(time.DateTime) + " UTC"
	}
	return s
}

func tokenListCommand() *cobra.Command {
	var state stateFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens, without their secrets",
		Example: "  bespoke token list -c bespoke.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			tokens, _, err := state.open()
			if err != nil {
				return err
			}
			list, err := tokens.List()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(list)
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "no tokens; make one with: bespoke token new")
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			fmt.Fprintln(w, "NAME\tROLE\tTENANT\tCREATED\tEXPIRES")
			for _, t := range list {
				tenant, expires := t.Tenant, "never"
				if tenant == "" {
					tenant = "all"
				}
				if !t.Expires.IsZero() {
					expires = t.Expires.Format(time.DateTime)
				}
				if t.Expired(time.Now()) {
					expires += " (expired)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Name, t.Role, tenant, t.Created.Format(time.DateTime), expires)
			}
			return w.Flush()
		},
	}
	state.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func tokenRevokeCommand() *cobra.Command {
	var state stateFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Make a token of no use any more",
		Example: "  bespoke token revoke -c bespoke.yaml stores-ci",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			tokens, _, err := state.open()
			if err != nil {
				return err
			}
			if err := tokens.Revoke(a[0]); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"revoked": a[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked\n", a[0])
			return err
		},
	}
	state.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

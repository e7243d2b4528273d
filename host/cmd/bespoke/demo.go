package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bespoke/examples"
	"bespoke/examples/front"
	"bespoke/geo/demodb"
	"bespoke/host/control"
)

func demoCommand() *cobra.Command {
	var listen, admin, state, geoPath string
	var l logFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve the example sites on this machine",
		Long: `Start the example sites and the edge before them, in one process, and print
what to try. It needs no configuration, no network and no database: places are
made up for the addresses that belong to nobody (RFC 5737, RFC 3849), and
X-Forwarded-For chooses one. This machine itself counts as Berlin.`,
		Example: "  bespoke demo\n  bespoke demo --listen 127.0.0.1:9000 --state ./demo-state\n  bespoke demo --admin 127.0.0.1:9090",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if state == "" {
				if state, err = os.MkdirTemp("", "bespoke-demo-"); err != nil {
					return fmt.Errorf("make a folder for the demo's state: %w", err)
				}
				defer os.RemoveAll(state)
			} else if err := os.MkdirAll(state, 0o700); err != nil {
				return fmt.Errorf("make the state folder: %w", err)
			}
			if _, _, err := net.SplitHostPort(listen); err != nil {
				return usageError{fmt.Errorf("--listen %q: want host:port, such as 127.0.0.1:8080", listen)}
			}
			if _, _, err := net.SplitHostPort(admin); admin != "" && err != nil {
				return usageError{fmt.Errorf("--admin %q: want host:port, such as 127.0.0.1:9090", admin)}
			}
			if admin != "" && !cmd.Flags().Changed("admin") {
				admin = freeAddr(admin)
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("the demo cannot be reached at %s; another --listen may be free: %w", listen, err)
			}
			defer ln.Close()
			sites := examples.Sites()
			origins, err := startOrigins(sites)
			if err != nil {
				return err
			}
			defer origins.stop()
			file, err := writeDemo(state, geoPath, admin, sites, origins)
			if err != nil {
				return err
			}
			var tokens []demoToken
			if admin != "" {
				var revoke func()
				if tokens, revoke, err = demoTokens(state, sites[0].Name); err != nil {
					return err
				}
				defer revoke()
			}
			return serve(cmd.Context(), file, log, func(p *process) {
				origins.open(ln, newFront(p.listener.Addr(), sites, geoPath))
				introduce(cmd.OutOrStdout(), ln.Addr(), sites)
				if p.admin != nil {
					introduceAdmin(cmd.OutOrStdout(), p.admin.Addr(), tokens, sites[0].Name)
				}
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`ADDR` (host:port) to serve on")
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:9090", "`ADDR` (host:port) for the consoles and the admin API; \"\" for none. If the default is taken, another port is")
	cmd.Flags().StringVar(&state, "state", "", "folder `DIR` for keys, the ledger and compiled policies (default: a temporary one, removed at the end)")
	cmd.Flags().StringVar(&geoPath, "geo", "", "geo database `PATH` to use in place of the made-up one, as 'make geodata' fetches it")
	l.add(cmd, "warn", "text")
	return cmd
}

// newFront returns what stands before the edge in the demo alone.
func newFront(edge net.Addr, sites []examples.Site, geoPath string) http.Handler {
	c := front.Config{Edge: edge.String()}
	for _, s := range sites {
		c.Sites = append(c.Sites, front.Site{Name: s.Name, Title: s.Title, About: s.About})
	}
	c.Places = []front.Place{{Name: "where you are"}}
	if geoPath == "" {
		c.Places = nil
		for _, p := range demodb.Places() {
			c.Places = append(c.Places, front.Place{Name: p.City, Address: p.Address})
		}
	}
	return front.New(c)
}

// origins are the example sites' own servers, each on a port of its own, and the
// front that leads to them.
type origins struct {
	servers []*http.Server
	addrs   []string
}

func startOrigins(sites []examples.Site) (*origins, error) {
	o := &origins{}
	for _, s := range sites {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			o.stop()
			return nil, fmt.Errorf("start the site %s: %w", s.Name, err)
		}
		o.addrs = append(o.addrs, ln.Addr().String())
		o.open(ln, s.Origin)
	}
	return o, nil
}

func (o *origins) open(ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	o.servers = append(o.servers, srv)
	go srv.Serve(ln) // ends with stop
}

func (o *origins) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range slices.Backward(o.servers) { // the front first
		s.Shutdown(ctx)
	}
}

// writeDemo writes what an operator would: a configuration, and a geo database.
func writeDemo(state, geoPath, admin string, sites []examples.Site, o *origins) (file string, err error) {
	if geoPath == "" {
		geoPath = filepath.Join(state, "places.mmdb")
		var db bytes.Buffer
		if err := demodb.Build(&db); err != nil {
			return "", err
		}
		if err := os.WriteFile(geoPath, db.Bytes(), 0o600); err != nil {
			return "", fmt.Errorf("write the demo's geo database: %w", err)
		}
	}
	if geoPath, err = filepath.Abs(geoPath); err != nil {
		return "", err
	}
	var y strings.Builder
	fmt.Fprintf(&y, "# Written by bespoke demo. A site of your own looks the same.\n")
	if admin != "" {
		fmt.Fprintf(&y, "admin: %q\n", admin)
	}
	fmt.Fprintf(&y, "listen: 127.0.0.1:0 # the demo's front leads here\nstate: .\ngeo: %q\ntrusted_proxies: [127.0.0.0/8, \"::1/128\"]\ntenants:\n", geoPath)
	for i, s := range sites {
		hosts := s.Name + ".localhost"
		if i == 0 {
			hosts += ", localhost, 127.0.0.1"
		}
		fmt.Fprintf(&y, "  - name: %s\n    hosts: [%s]\n    origin: http://%s\n", s.Name, hosts, o.addrs[i])
		for line := range strings.Lines(s.Tenant) {
			y.WriteString("    " + line)
		}
		y.WriteString("    routes:\n")
		for line := range strings.Lines(s.Routes) {
			y.WriteString("      " + line)
		}
	}
	for _, s := range sites {
		for name, body := range s.Files {
			file := filepath.Join(state, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				return "", fmt.Errorf("make a folder for the site %s: %w", s.Name, err)
			}
			if err := os.WriteFile(file, body, 0o600); err != nil {
				return "", fmt.Errorf("write %s of the site %s: %w", name, s.Name, err)
			}
		}
	}
	file = filepath.Join(state, "demo.yaml")
	if err := os.WriteFile(file, []byte(y.String()), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return file, nil
}

// A demoToken is what one role signs in to the consoles with.
type demoToken struct {
	role          control.Role
	secret, shows string
}

// demoTokens makes a token for each role, valid until the demo ends. revoke ends
// them; what a demo that was killed left is of no use a day later.
func demoTokens(state, site string) (made []demoToken, revoke func(), err error) {
	tokens, now := control.NewTokens(state), time.Now()
	var names []string
	revoke = func() {
		for _, name := range names {
			tokens.Revoke(name)
		}
	}
	for _, t := range []demoToken{
		{role: control.RoleAuditor, shows: "was every refusal honoured, and how do you know?"},
		{role: control.RoleOperator, shows: "how the edge fares"},
		{role: control.RoleTenant, shows: "the policies of " + site},
	} {
		token := control.Token{Role: t.role, Expires: now.Add(24 * time.Hour)}
		if t.role == control.RoleTenant {
			token.Tenant = site
		}
		if t.secret, token, err = tokens.Add(token, now); err != nil {
			revoke()
			return nil, nil, err
		}
		names, made = append(names, token.Name), append(made, t)
	}
	return made, revoke, nil
}

// freeAddr returns addr if nobody listens there, else a port of the system's choice
// on the same host.
func freeAddr(addr string) string {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		ln.Close()
		return addr
	}
	host, _, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, "0")
}

func introduceAdmin(w io.Writer, addr net.Addr, tokens []demoToken, site string) {
	fmt.Fprintf(w, "The consoles are at http://%s/console/ . Sign in with one of these, good until the demo ends, a day at most:\n\n", addr)
	for _, t := range tokens {
		fmt.Fprintf(w, "  %-9s %s  %s\n", t.role, t.secret, t.shows)
	}
	fmt.Fprintf(w, `
To upload a policy to %[1]s:

  export BESPOKE_ADMIN=http://%[2]s BESPOKE_TOKEN=%[3]s
  bespoke policy list --tenant %[1]s

`, site, addr, tokens[len(tokens)-1].secret)
}

func introduce(w io.Writer, addr net.Addr, sites []examples.Site) {
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		port = errors.Unwrap(err).Error()
	}
	fmt.Fprintf(w, "The demo is running; Ctrl-C ends it. Open\n\n  http://localhost:%s/   all of it: each page has a bar to be another visitor, elsewhere\n\n", port)
	for _, s := range sites {
		fmt.Fprintf(w, "  http://%s.localhost:%s/   %s\n  %s\n\n", s.Name, port, s.Title, s.About)
	}
	first := sites[0].Name + ".localhost"
	url := "http://127.0.0.1:" + port + "/"
	fmt.Fprintf(w, `Or ask from other places (X-Forwarded-For, believed from this machine only).
What the page shows first:

  show() { grep -oE '(id="greeting"|class="(city|distance)")>[^<]+' | head -5; }

  # San Francisco: results near the visitor, unless they refuse
  curl -s -H 'Host: %[1]s' -H 'X-Forwarded-For: 198.51.100.7' %[2]s | show

  # Berlin: nothing is used until the visitor allows it
  curl -s -H 'Host: %[1]s' -H 'X-Forwarded-For: 192.0.2.7' %[2]s | show

  # The visitor allows it, and gives a name
  curl -s -c jar -b jar -H 'Host: %[1]s' -H 'X-Forwarded-For: 192.0.2.7' -d 'localize=on&name=Jane' %[2]s_bespoke/privacy
  curl -s -b jar -H 'Host: %[1]s' -H 'X-Forwarded-For: 192.0.2.7' %[2]s | show

  # The visitor refuses; the name stays, as they chose it themselves
  curl -s -c jar -b jar -H 'Host: %[1]s' -H 'X-Forwarded-For: 192.0.2.7' -d 'action=refuse-all' %[2]s_bespoke/privacy
  curl -s -b jar -H 'Host: %[1]s' -H 'X-Forwarded-For: 192.0.2.7' %[2]s | show

  # The browser's Global Privacy Control signal
  curl -s -b jar -H 'Host: %[1]s' -H 'X-Forwarded-For: 198.51.100.7' -H 'Sec-GPC: 1' %[2]s | show

`, first, url)
}

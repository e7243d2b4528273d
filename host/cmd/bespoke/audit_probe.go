package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bespoke/host/audit/probe"
)

// exitOpen ends a command whose question stays open: nothing was found, and that
// shows nothing.
const exitOpen = 3

// errOpen says that the answer was printed, and is neither yes nor no.
var errOpen = errors.New("open")

func auditProbeCommand() *cobra.Command {
	var c probe.Config
	var file, out, connect string
	var rate float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Find out from outside whether a site uses data of visitors who refused",
		Long: `Send a site pairs of visitors who differ in nothing but personal data, and who
both refuse. Status, header and body must be equal, byte for byte. It works
against any site, and needs nothing of it but the address.

Pairs who agree are sent too: where they do not differ, the experiment has no
power, and says so. Pairs of identical visitors tell how far the site varies by
itself; that is hidden where it can be, else a permutation test decides.

What visitors differ in (--dimensions): history (pages opened after the refusal),
past (before it), profile (what scripts tell of them), place, identifiers
(cookies in wide use), name (in the site's own cookies), account (two of yours,
from a file) and declared (what they set for themselves, which may always show,
and is never counted as a difference found).

How they refuse (--ways): choice, in the site's own way: the probe knows the
privacy centre of Bespoke when the page leads to it, of other sites a file tells
it; and gpc, the signal Sec-GPC. A file (--file, JSON) names requests, cookies
and headers; docs/audit-probe.md has an example.

Exit status: 0 no difference, and power in at least one dimension (in all that
--require names); 1 a difference was found; 2 wrong use; 3 open: no difference,
but no power, or the site varies too much, did not answer, or Ctrl-C came first.`,
		Example: `  bespoke audit probe https://shop.example/
  bespoke audit probe --pairs 50 --seed 7 -o found http://stores.localhost:8080/ --connect 127.0.0.1:8080
  bespoke audit probe --place-header X-Forwarded-For --places 198.51.100.7,192.0.2.7 --require place https://shop.example/
  bespoke audit probe --file accounts.json --dimensions account --ways choice https://shop.example/news`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			c.URL = a[0]
			c.Rate = rate
			if !cmd.Flags().Changed("rate") && !isLocal(a[0], connect) {
				c.Rate = politeRate
			}
			if !cmd.Flags().Changed("seed") {
				c.Seed = rand.Uint64()
			}
			if err := prepareProbe(&c, file, connect); err != nil {
				return usageError{err}
			}
			if out != "" {
				if _, err := os.Stat(out); err == nil {
					return usageError{fmt.Errorf("-o %s: it is there already; a report is not written over another", out)}
				}
			}
			return runProbe(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), c, out, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Pairs, "pairs", 10, "`N` pairs that differ, for each dimension and way to refuse")
	f.Uint64Var(&c.Seed, "seed", 0, "`NUMBER` that all random choices follow from (default: a random one, which is printed)")
	f.StringSliceVar(&c.Paths, "path", nil, "measure this `PATH` of the site too; may be given several times")
	f.StringSliceVar(&c.Dimensions, "dimensions", nil, "`NAMES` of what visitors differ in, with commas (default: all)")
	f.StringSliceVar(&c.Require, "require", nil, "`NAMES` of dimensions that must have power")
	f.StringSliceVar(&c.Ways, "ways", nil, "`NAMES` of ways to refuse: choice, gpc (default: both, where the first is known)")
	f.StringVar(&c.PlaceHeader, "place-header", "X-Forwarded-For", "`HEADER` that tells a visitor's address; the site must believe it of the probe")
	f.StringSliceVar(&c.Places, "places", nil, "`ADDRESSES` that visitors come from (default: those that the demo knows)")
	f.StringSliceVar(&c.History, "history", nil, "`PATHS` of the site that a history is made of (default: what the page links to)")
	f.StringSliceVar(&c.IgnoreHeaders, "ignore-header", nil, "`NAME` of a header field that may differ, besides "+strings.Join(probe.DefaultIgnored(), ", "))
	f.StringVar(&file, "file", "", "JSON `FILE` with the site's own way to refuse, with accounts, with more dimensions")
	f.StringVar(&connect, "connect", "", "connect to this `ADDR` (host:port), whatever host the URL names")
	f.StringVar(&c.UserAgent, "user-agent", probe.UserAgent, "`TEXT` of the header User-Agent")
	f.Float64Var(&rate, "rate", 0, "most requests a second; 0 for as many as go (default: 10, and no limit on this machine)")
	f.IntVar(&c.Concurrency, "concurrency", 1, "`N` pairs at the same time")
	f.DurationVar(&c.Timeout, "timeout", probe.DefaultTimeout, "of one request")
	f.BoolVar(&c.Steady, "steady", false, "the site gives all who refused the same: what differs between identical visitors is a difference, too")
	f.Float64Var(&c.Alpha, "alpha", 0.01, "level `P` of all tests together, where the site varies by itself")
	f.StringVarP(&out, "out", "o", "", "write the report, and every pair that is shown, into a new folder `DIR`")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// politeRate is how many requests a second another's site is sent.
const politeRate = 10

// isLocal reports whether the probe speaks to this machine.
func isLocal(address, connect string) bool {
	host, _, err := net.SplitHostPort(connect)
	if connect == "" || err != nil {
		u, err := url.Parse(address)
		if err != nil {
			return false
		}
		host = u.Hostname()
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// prepareProbe reads what flags name.
func prepareProbe(c *probe.Config, file, connect string) error {
	for _, p := range c.Places {
		if _, err := netip.ParseAddr(p); err != nil {
			return fmt.Errorf("--places: %q is no IP address", p)
		}
	}
	if len(c.Places) == 1 {
		return errors.New("--places: at least two are needed, for visitors to differ")
	}
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		if c.File, err = probe.ReadFile(f); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if connect != "" {
		if _, _, err := net.SplitHostPort(connect); err != nil {
			return fmt.Errorf("--connect %q: want host:port", connect)
		}
		t := probe.NewTransport(max(1, c.Concurrency))
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, connect)
		}
		c.Transport = func(string) http.RoundTripper { return t }
	}
	return nil
}

func runProbe(ctx context.Context, stdout, stderr io.Writer, c probe.Config, out string, asJSON bool) error {
	fmt.Fprintf(stderr, "seed %d\n", c.Seed)
	said := time.Now()
	c.Progress = func(done, total int) {
		if now := time.Now(); now.Sub(said) >= time.Second || done == total {
			said = now
			fmt.Fprintf(stderr, "%d of %d pairs\n", done, total)
		}
	}
	r, err := probe.Run(ctx, c)
	var use *probe.UsageError
	switch {
	case errors.As(err, &use):
		return usageError{err}
	case err != nil:
		fmt.Fprintf(stderr, "bespoke: %v\n", err)
		return errOpen
	}
	if out != "" {
		if err := r.Save(out); err != nil {
			return fmt.Errorf("save the report: %w", err)
		}
	}
	if asJSON {
		err = json.NewEncoder(stdout).Encode(r)
	} else {
		r.Text(stdout)
	}
	switch {
	case err != nil:
		return err
	case r.Verdict == probe.Differs:
		return errAnswered
	case r.Verdict != probe.Equal:
		return errOpen
	}
	return nil
}

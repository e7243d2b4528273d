package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"bespoke/host/recommend"
)

const (
	defaultAdmin = "http://127.0.0.1:9090"
	envAdmin     = "BESPOKE_ADMIN"
	envToken     = "BESPOKE_TOKEN"
)

// A remote is the admin API of an edge, for one tenant.
type remote struct {
	to, tenant, tokenFile string // flags
	asJSON                bool

	out, errOut io.Writer
	base        *url.URL
	secret      string
	client      *http.Client
}

func (r *remote) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.to, "to", "", "the edge's admin `URL` (default $"+envAdmin+", else "+defaultAdmin+")")
	cmd.Flags().StringVar(&r.tenant, "tenant", "", "the `TENANT` whose it is")
	cmd.Flags().StringVar(&r.tokenFile, "token-file", "", "read the token from this `FILE` (default: the token is $"+envToken+")")
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print as JSON")
}

// run returns what cobra runs: do, once the flags are understood.
func (r *remote) run(do func(context.Context, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, a []string) error {
		r.out, r.errOut = cmd.OutOrStdout(), cmd.ErrOrStderr()
		if err := r.open(); err != nil {
			return err
		}
		return do(cmd.Context(), a)
	}
}

func (r *remote) open() (err error) {
	if r.tenant == "" {
		return usageError{errors.New("name the tenant: --tenant TENANT")}
	}
	if err := checkName("--tenant", r.tenant); err != nil {
		return err
	}
	to, from := r.to, "--to"
	if to == "" {
		to, from = os.Getenv(envAdmin), "$"+envAdmin
	}
	if to == "" {
		to = defaultAdmin
	}
	if r.base, err = url.Parse(to); err != nil || r.base.Scheme != "http" && r.base.Scheme != "https" || r.base.Host == "" ||
		strings.Trim(r.base.Path, "/") != "" || r.base.RawQuery != "" || r.base.Fragment != "" || r.base.User != nil {
		return usageError{fmt.Errorf("%s %q: want http(s)://HOST[:PORT]", from, to)}
	}
	if r.secret, err = readSecret(r.tokenFile); err != nil {
		return err
	}
	if r.base.Scheme == "http" && !loopback(r.base.Hostname()) {
		fmt.Fprintf(r.errOut, "warning: the token goes to %s unencrypted\n", r.base.Host)
	}
	r.client = &http.Client{
		// An answer that leads elsewhere is none: the token is for this edge.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// readSecret returns the token from the file, or from the environment. It is
// never a flag's value: those can be seen by every user of the machine.
func readSecret(file string) (string, error) {
	text, from := os.Getenv(envToken), "$"+envToken
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, 4<<10))
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		text, from = string(data), file
	}
	secret := strings.TrimSpace(text)
	switch {
	case secret == "" && file == "":
		return "", usageError{fmt.Errorf("no token: set $%s, or name a file with --token-file; bespoke token new makes one", envToken)}
	case secret == "":
		return "", fmt.Errorf("%s holds no token", from)
	case strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", fmt.Errorf("%s holds more than a token", from)
	}
	return secret, nil
}

// A request is one about something of the tenant's.
type request struct {
	method, path string // path: below /v1/tenants/TENANT/ and under
	under        string // "" for policies
	query        url.Values
	media        string
	body         io.Reader
	length       int64
	long         bool      // may take minutes
	status       func(int) // told of success, if not nil
}

// Bounds on an answer.
const (
	answerTime = 30 * time.Second
	longTime   = 10 * time.Minute
	answerMost = 16 << 20 // bytes
)

// ask sends a request and decodes the answer into v, unless that is nil. If the
// answer is no, the error says why; with --json it was printed already.
func (r *remote) ask(ctx context.Context, q request, v any) error {
	limit := answerTime
	if q.long {
		limit = longTime
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	u := *r.base
	u.Path = "/v1/tenants/" + r.tenant + "/" + cmp.Or(q.under, "policies") + q.path
	u.RawQuery = q.query.Encode()
	req, err := http.NewRequestWithContext(within, q.method, u.String(), q.body)
	if err != nil {
		return err
	}
	req.ContentLength = q.length
	req.Header.Set("Authorization", "Bearer "+r.secret)
	req.Header.Set("Accept", "application/json, application/problem+json")
	if q.media != "" {
		req.Header.Set("Content-Type", q.media)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return r.unreached(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	if err != nil {
		return fmt.Errorf("read the edge's answer: %w", err)
	}
	if len(body) > answerMost {
		return fmt.Errorf("the edge's answer has more than %d bytes", answerMost)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return r.refused(resp, body)
	}
	if q.status != nil {
		q.status(resp.StatusCode)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s did not answer as an edge's admin address does: %w", r.base, err)
	}
	return nil
}

// unreached says that no answer came, and what may help.
func (r *remote) unreached(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("no edge at %s: %w (is it running, with admin: in its configuration?)", r.base, op)
	}
	return fmt.Errorf("ask %s: %w", r.base, err)
}

// refused returns what an answer other than success says.
func (r *remote) refused(resp *http.Response, body []byte) error {
	var p struct {
		Title, Detail string
		Problems      recommend.Problems
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if media != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		return fmt.Errorf("%s answered %s, not as an edge's admin address does", r.base, plain(resp.Status))
	}
	if r.asJSON {
		if err := r.print(json.RawMessage(body)); err != nil {
			return err
		}
		return errAnswered
	}
	printProblems(r.errOut, "the edge", p.Problems)
	return fmt.Errorf("%s (%d %s)", plain(p.Detail), resp.StatusCode, http.StatusText(resp.StatusCode))
}

// print prints a JSON value on a line.
func (r *remote) print(v any) error { return json.NewEncoder(r.out).Encode(v) }

// plain escapes what would not print: text that a policy or a stranger wrote
// must not speak to a terminal.
func plain(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

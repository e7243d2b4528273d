package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/control"
	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// markup is what a tenant or a policy may have written to break out of a page.
const markup = `</code><script>alert(1)</script><img src=x onerror=alert(2)>"'>{{.}}`

// running is a Runtime whose answers are fixed.
type running struct{}

func (running) Limits() abi.Limits { return abi.Limits{} }

func (running) Logs(tenant, policy string, _ uint64) []control.LogLine {
	if policy != "ranking" {
		return nil
	}
	return []control.LogLine{
		{Seq: 1, Time: noon.Add(-time.Minute), Version: 1, Level: "info", Text: "ordered 12 of " + tenant},
		{Seq: 2, Time: noon, Version: 2, Level: "warn", Text: markup + "\xff\x1b[31m"},
	}
}

func (running) Status(_, policy string) []control.RunStatus {
	if policy != "ranking" {
		return nil
	}
	return []control.RunStatus{
		{Version: 1, Runs: 120_340, Edits: 240_000, Fuel: 120_340 * 5_210, Failures: map[string]uint64{"trap": 3}},
		{Version: 2, Runs: 1_200, Edits: 2_399, Fuel: 1_200 * 6_001, Differences: 17, Failures: map[string]uint64{"fuel": 9}, SuspendedUntil: noon.Add(time.Minute)},
	}
}

// A house is a real admin listener with the consoles, over a real registry.
type house struct {
	*testing.T
	url      string
	console  *Console
	tokens   *control.Tokens
	policies *registry.Registry
	clock    atomic.Pointer[time.Time]
	mu       sync.Mutex
	log      bytes.Buffer // guarded by mu

	operator, stores, books, auditor string // secrets
}

func (h *house) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *house) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *house) later(d time.Duration) {
	t := h.clock.Load().Add(d)
	h.clock.Store(&t)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) token(t control.Token) string {
	h.Helper()
	secret, _, err := h.tokens.Add(t, noon)
	h.must(err)
	return secret
}

func start(t *testing.T, more func(*Config)) *house {
	h := &house{T: t}
	h.clock.Store(&noon)
	state := t.TempDir()
	h.tokens = control.NewTokens(state)
	h.operator = h.token(control.Token{Name: "root", Role: control.RoleOperator})
	h.stores = h.token(control.Token{Name: "stores-ci", Role: control.RoleTenant, Tenant: "stores"})
	h.books = h.token(control.Token{Role: control.RoleTenant, Tenant: "books"})
	h.auditor = h.token(control.Token{Role: control.RoleAuditor})
	var err error
	h.policies, err = registry.Open(state, registry.Config{Check: func([]byte) (*registry.Info, error) { return &registry.Info{Name: "ranking"}, nil }})
	h.must(err)
	t.Cleanup(func() { h.policies.Close() })
	for _, note := range []string{"first", markup} {
		_, err = h.policies.Upload("stores", "ranking", []byte("binary "+note), note)
		h.must(err)
	}
	_, err = h.policies.Upload("books", "shelf", []byte("books"), "")
	h.must(err)
	_, err = h.policies.Activate("stores", "ranking", 1)
	h.must(err)
	_, err = h.policies.Stage("stores", "ranking", 2, registry.Shadow, 1000)
	h.must(err)
	log := slog.New(slog.NewTextHandler(h, nil))
	tenants := func() []string { return []string{"stores", "books"} }
	now := func() time.Time { return *h.clock.Load() }
	c := Config{
		Tokens: h.tokens, Tenants: tenants, Policies: h.policies, Runtime: running{}, Log: log, Now: now,
		Routes: func(tenant string) []SiteRoute {
			return []SiteRoute{{Path: "/" + tenant + "/**", Policies: []string{"nearby", "ranking@active"}}, {Path: "/" + markup, Policies: nil}}
		},
	}
	if more != nil {
		more(&c)
	}
	h.console, err = New(c)
	h.must(err)
	a, err := control.NewAdmin(control.AdminConfig{Addr: "127.0.0.1:0", Tenants: tenants, Policies: h.policies, Runtime: running{}, Tokens: h.tokens, Console: h.console, Log: log, Now: now})
	h.must(err)
	h.url = "http://" + a.Addr().String()
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(a.Close(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return h
}

// A browser keeps cookies, and goes where it is led.
type browser struct {
	*house
	*http.Client
}

func (h *house) browser() browser {
	jar, _ := cookiejar.New(nil)
	return browser{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (b browser) do(method, path, body string, fields ...string) reply {
	b.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	b.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	resp, err := b.Do(req)
	b.must(err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.must(err)
	return reply{resp.StatusCode, resp.Header, string(data)}
}

func (b browser) get(path string) reply { b.Helper(); return b.do("GET", path, "") }

func (b browser) signIn(secret string) reply {
	b.Helper()
	return b.do("POST", "/console/sign-in", url.Values{"token": {secret}}.Encode())
}

// in returns a browser that is signed in.
func (h *house) in(secret string) browser {
	h.Helper()
	b := h.browser()
	if r := b.signIn(secret); r.status != 303 || r.header.Get("Location") != "/console/" {
		h.Fatalf("sign-in: %d %s", r.status, r.body)
	}
	return b
}

func (r reply) want(t *testing.T, status int, parts ...string) reply {
	t.Helper()
	if r.status != status {
		t.Errorf("status %d, want %d: %.300s", r.status, status, r.body)
	}
	for _, p := range parts {
		if !strings.Contains(r.body, p) {
			t.Errorf("the page lacks %q:\n%s", p, r.body)
		}
	}
	return r
}

// Everything that there is, for everybody: the table that is tested is the one that
// is served, so that no page is forgotten.
func TestRoles(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	for range 20 {
		d.exchange("stores", 6) // records 2 to 21; those before are of the whole edge
	}
	d.at(noon)
	h := recorded(t, d, nil)
	type visitor struct {
		name string
		browser
		role   control.Role
		tenant string
	}
	visitors := []visitor{
		{"operator", h.in(h.operator), control.RoleOperator, ""}, {"auditor", h.in(h.auditor), control.RoleAuditor, ""},
		{"tenant", h.in(h.stores), control.RoleTenant, "stores"}, {"other tenant", h.in(h.books), control.RoleTenant, "books"},
		{"monitor", h.in(h.token(control.Token{Role: control.RoleMonitor})), control.RoleMonitor, ""}, {"nobody", h.browser(), "", ""},
	}
	seen := 0
	for _, route := range h.console.table() {
		if strings.HasPrefix(route.path, "/console/sign-") {
			continue
		}
		path := strings.NewReplacer("{tenant}", "stores", "{policy}", "ranking", "{number}", "5", "{$}", "").Replace(route.path)
		for _, v := range visitors {
			for _, query := range []string{"", "?tenant=stores", "?tenant=books", "?tenant=toys"} {
				about := strings.TrimPrefix(query, "?tenant=")
				if strings.Contains(route.path, "{tenant}") {
					about = "stores"
				}
				want := 200
				switch {
				case route.who == open:
				case v.role == "" && route.method == "GET":
					want = 303
				case v.role == "":
					want = 401
				case v.role == control.RoleMonitor:
					want = 403
				case v.role == control.RoleTenant && (route.who == everyone || about != "" && about != v.tenant):
					want = 403
				}
				body := ""
				if route.method == "POST" {
					body = "x=y"
				}
				if v.tenant == "books" && want == 200 && strings.Contains(route.path, "{number}") {
					want = 403 // the record is of stores
				}
				if strings.HasSuffix(route.path, "/report") {
					query = strings.Replace("&"+query, "&?", "&", 1)
					query = "?format=json" + strings.TrimSuffix(query, "&")
				}
				got := v.do(route.method, path+query, body)
				led := got.status == 303 && want == 200 && (route.path == "/console/{$}" || route.method == "POST")
				if got.status != want && !led {
					t.Errorf("%s: %s %s%s: %d, want %d", v.name, route.method, path, query, got.status, want)
				}
				if to := got.header.Get("Location"); want == 303 && !strings.HasPrefix(to, "/console/sign-in") {
					t.Errorf("%s: %s%s leads to %s", v.name, path, query, to)
				}
				if v.role == control.RoleMonitor && want == 403 && !strings.Contains(got.body, "Your token is for /metrics alone") {
					t.Errorf("%s is told at %s: %s", v.name, path, got.body)
				}
				if v.tenant == "books" && route.who != open && strings.Contains(got.body, "ranking") {
					t.Errorf("%s sees another's policy at %s%s", v.name, path, query)
				}
				seen++
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d pages were asked for", seen)
	}
	// A tenant does not learn which others there are.
	b := h.in(h.books)
	if here, none := b.get("/console/tenants/stores"), b.get("/console/tenants/toys"); here.status != 403 || here.body != none.body {
		t.Errorf("%d and %d differ", here.status, none.status)
	}
}

// A token in a header, as programs send it, is as good as a session.
func TestBearer(t *testing.T) {
	h := start(t, nil)
	b := h.browser()
	b.do("GET", "/console/tenants/stores", "", "Authorization: Bearer "+h.auditor).want(t, 200, "ranking")
	b.do("GET", "/console/tenants/stores", "", "Authorization: Bearer "+h.books).want(t, 403)
	r := b.do("GET", "/console/tenants/stores", "", "Authorization: Bearer bsp_x").want(t, 401)
	if r.header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	b.do("GET", "/console/tenants/stores", "", "Authorization: Basic "+h.auditor).want(t, 401)
	if len(r.header.Values("Set-Cookie")) > 0 {
		t.Error("a cookie")
	}
}

func TestSignIn(t *testing.T) {
	h := start(t, nil)
	b := h.browser()
	r := b.get("/console/tenants/stores/policies/ranking?x=1&y=%2F")
	to := r.header.Get("Location")
	if r.status != 303 || to != "/console/sign-in?next="+url.QueryEscape("/console/tenants/stores/policies/ranking?x=1&y=%2F") {
		t.Fatalf("%d %s", r.status, to)
	}
	b.get(to).want(t, 200, `name="next" value="/console/tenants/stores/policies/ranking?x=1&amp;y=%2F"`, `type="password"`)
	for _, wrong := range []string{"", "bsp_", h.operator[:40], h.operator + "x", markup} {
		r := b.do("POST", "/console/sign-in", url.Values{"token": {wrong}, "next": {markup}}.Encode()).want(t, 401, "not known here")
		if strings.Contains(r.body, "<script") || len(r.header.Values("Set-Cookie")) > 0 || wrong != "" && wrong != "bsp_" && strings.Contains(r.body, wrong) {
			t.Errorf("%q: %s", wrong, r.body)
		}
	}
	r = b.do("POST", "/console/sign-in", url.Values{"token": {" " + h.stores + "\n"}, "next": {"/console/tenants/stores?a=b"}}.Encode()).want(t, 303)
	if r.header.Get("Location") != "/console/tenants/stores?a=b" {
		t.Error(r.header)
	}
	cookie := r.header.Get("Set-Cookie")
	for _, part := range []string{"bespoke-console=", "; Path=/console/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=28800"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %s lacks %s", cookie, part)
		}
	}
	if strings.Contains(cookie, h.stores[4:20]) || strings.Contains(cookie, "Secure") {
		t.Error(cookie)
	}
	r = b.get("/console/").want(t, 303)
	if r.header.Get("Location") != "/console/tenants/stores" {
		t.Error(r.header)
	}
	page := b.get("/console/tenants/stores").want(t, 200, "stores-ci", "(tenant of stores)")
	for name, want := range map[string]string{
		"Content-Security-Policy": csp, "Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
	} {
		if got := page.header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Where a terminator says that the browser speaks TLS, the cookie is for TLS alone.
	for _, field := range []string{"X-Forwarded-Proto: https", "Origin: https://" + strings.TrimPrefix(h.url, "http://")} {
		r = h.browser().do("POST", "/console/sign-in", url.Values{"token": {h.stores}}.Encode(), field).want(t, 303)
		if !strings.Contains(r.header.Get("Set-Cookie"), "; Secure") {
			t.Errorf("%s: %s", field, r.header.Get("Set-Cookie"))
		}
	}
	// Signed out, the cookie's old value is of no use.
	u, _ := url.Parse(h.url + "/console/")
	old := b.Jar.Cookies(u)[0]
	b.do("POST", "/console/sign-out", "x=y").want(t, 303)
	b.get("/console/tenants/stores").want(t, 303)
	h.browser().do("GET", "/console/tenants/stores", "", "Cookie: "+old.String()).want(t, 303)
	if log := h.logged(); strings.Contains(log, h.stores[4:]) || !strings.Contains(log, `msg="signed in to the consoles" by=stores-ci role=tenant`) {
		t.Error(log)
	}
}

func TestNext(t *testing.T) {
	for asked, want := range map[string]string{
		"/console/tenants/a?b=c": "/console/tenants/a?b=c", "": "/console/", "https://x/console/": "/console/", "//x/console/": "/console/",
		"/\\x/console/": "/console/", "/console/../v1": "/console/", "/console/\\x": "/console/", "javascript:alert(1)": "/console/", "/console/sign-out": "/console/",
		"/console/%2e%2e/x": "/console/", "/elsewhere": "/console/", "/console/a\r\nSet-Cookie: x": "/console/",
	} {
		if got := next(asked); got != want {
			t.Errorf("%q leads to %q, want %q", asked, got, want)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	h := start(t, nil)
	at := "/console/tenants/stores"
	b := h.in(h.auditor)
	for range 15 { // used all the time
		h.later(29 * time.Minute)
		b.get(at).want(t, 200)
	}
	h.later(50 * time.Minute) // 8 hours and 5 minutes in all
	b.get(at).want(t, 303)
	b = h.in(h.auditor)
	h.later(31 * time.Minute)
	b.get(at).want(t, 303)
	b = h.in(h.auditor)
	b.get(at).want(t, 200)
	h.must(h.tokens.Revoke("auditor-1"))
	h.later(time.Second)
	b.get(at).want(t, 303)
	// A token of the same name is another.
	h.token(control.Token{Name: "auditor-1", Role: control.RoleOperator})
	b.get(at).want(t, 303)
	if n := len(h.console.sessions.by); n > 2 {
		t.Errorf("%d sessions are kept", n)
	}
}

func TestSessionsBounded(t *testing.T) {
	var s sessions
	first := s.begin([32]byte{1}, noon)
	second := s.begin([32]byte{2}, noon.Add(time.Second))
	for i := range maxSessions {
		s.begin([32]byte{3}, noon.Add(time.Minute+time.Duration(i)))
		s.find(first, noon.Add(2*time.Minute))
	}
	if _, ok := s.find(second, noon.Add(time.Minute)); ok || len(s.by) != maxSessions {
		t.Errorf("%d sessions; the one used longest ago is there: %v", len(s.by), ok)
	}
	if token, ok := s.find(first, noon.Add(time.Minute)); !ok || token != [32]byte{1} {
		t.Error("one in use is gone")
	}
}

// Wrong tokens make their network wait, and nobody else.
func TestAttempts(t *testing.T) {
	h := start(t, nil)
	b := h.browser()
	for range maxTries {
		b.signIn("bsp_wrong").want(t, 401)
	}
	if r := b.signIn(h.operator).want(t, 429, "Wait a minute"); r.header.Get("Retry-After") == "" {
		t.Error(r.header)
	}
	b.do("GET", "/console/tenants/", "", "Authorization: Bearer "+h.operator).want(t, 429)
	h.later(triesWindow)
	b.signIn(h.operator).want(t, 303)

	var a attempts
	for i := range maxTries {
		if a.wait(network("[2001:db8::1]:1"), noon) {
			t.Fatalf("after %d", i)
		}
		a.wrong(network("[2001:db8::"+string(rune('a'+i%6))+"]:1"), noon)
	}
	if !a.wait(network("[2001:db8::ffff]:9"), noon) || a.wait(network("[2001:db8:0:1::1]:1"), noon) || a.wait(network("192.0.2.1:1"), noon) {
		t.Error("networks are not told apart")
	}
	for i := range maxNetworks {
		a.wrong(network("[2001:db8:1:"+string("0123456789abcdef"[i>>12&15])+string("0123456789abcdef"[i>>8&15])+string("0123456789abcdef"[i>>4&15])+string("0123456789abcdef"[i&15])+"::]:1"), noon)
	}
	if !a.wait(network("192.0.2.1:1"), noon) || a.wait(network("192.0.2.1:1"), noon.Add(triesWindow)) || len(a.by) > maxNetworks {
		t.Errorf("%d networks are counted", len(a.by))
	}
}

// Forms of other sites are refused, whatever cookie comes with them.
func TestOtherSites(t *testing.T) {
	h := start(t, nil)
	b := h.in(h.operator)
	for _, field := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: http://evil.example", "Origin: null"} {
		b.do("POST", "/console/sign-out", "x=y", field).want(t, 403, "from another site")
		b.do("POST", "/console/sign-in", url.Values{"token": {h.stores}}.Encode(), field).want(t, 403)
	}
	b.get("/console/tenants/").want(t, 200)
	b.do("POST", "/console/sign-out", "x=y", "Sec-Fetch-Site: same-origin").want(t, 303)
}

// What others wrote is shown as they wrote it, and is no part of the page.
func TestEscaped(t *testing.T) {
	h := start(t, nil)
	b := h.in(h.operator)
	for _, path := range []string{"/console/tenants/", "/console/tenants/stores", "/console/tenants/stores/policies/ranking", "/console/" + url.PathEscape(markup), "/console/tenants/" + url.PathEscape(markup)} {
		r := b.get(path)
		for _, bad := range []string{"<script", "<img", "onerror=alert(2)>\"'>{{"} {
			if strings.Contains(r.body, bad) {
				t.Errorf("%s: %s stands in the page:\n%s", path, bad, r.body)
			}
		}
	}
	b.get("/console/tenants/stores/policies/ranking").want(t, 200, "&lt;/code&gt;&lt;script&gt;", "17 of them it would have edited otherwise", "Suspended", "5,210", "fuel 9")
}

// The rest of the listener is as it was.
func TestBeside(t *testing.T) {
	h := start(t, nil)
	b := h.browser()
	if r := b.get("/").want(t, 303); r.header.Get("Location") != "/console/" {
		t.Error(r.header)
	}
	b.get("/healthz").want(t, 200, "ok\n")
	b.get("/v1/tenants/stores/policies").want(t, 401)
	in := h.in(h.stores)
	in.get("/v1/tenants/stores/policies").want(t, 401) // a session is no token there
	in.get("/console/nowhere").want(t, 404, "no such page", "Sign out")
	in.get("/console/../v1/tenants/stores/policies").want(t, 307)
	in.do("PUT", "/console/tenants/stores", "x").want(t, 404)
	in.do("POST", "/console/sign-in", strings.Repeat("x", 1<<20)).want(t, 413)
}

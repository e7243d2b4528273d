package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"
	"bespoke/modules/registry"
)

// running is a Runtime whose answers are fixed.
type running struct{ limit int }

func (r running) Limits() abi.Limits { return abi.Limits{BinaryBytes: r.limit} }

func (running) Logs(tenant, policy string, after uint64) []LogLine {
	if tenant != "stores" || policy != "ranking" || after >= 2 {
		return nil
	}
	all := []LogLine{{Seq: 1, Time: noon, Version: 1, Level: "info", Text: "one"}, {Seq: 2, Time: noon, Version: 1, Level: "warn", Text: "two \xff\x1b"}}
	return all[after:]
}

func (running) Status(_, policy string) []RunStatus {
	if policy != "ranking" {
		return nil
	}
	return []RunStatus{{Version: 1, Runs: 10, Failures: map[string]uint64{"trap": 1}, SuspendedUntil: noon.Add(time.Minute)}}
}

// byContent is a check that a binary itself decides.
func byContent(binary []byte) (*registry.Info, error) {
	switch text := string(binary); {
	case strings.HasPrefix(text, "good"):
		return &registry.Info{Name: "ranking", Version: "1.0.0"}, nil
	case strings.HasPrefix(text, "refuse"):
		return nil, fmt.Errorf("check: %w", &prepare.Refusal{Func: 7, Offset: 120, Rule: prepare.RuleImport, Err: errors.New("import env.time")})
	case strings.HasPrefix(text, "panic"):
		panic("secret-in-panic")
	case strings.HasPrefix(text, "disk"):
		return nil, &os.PathError{Op: "write", Path: "/srv/bespoke/state/cache", Err: errors.New("no space left")}
	}
	return nil, errors.New("it has no manifest")
}

type house struct {
	t        *testing.T
	url      string
	admin    *Admin
	state    string
	policies *registry.Registry
	tokens   *Tokens
	log      *bytes.Buffer // guarded by logMu
	logMu    sync.Mutex
	tenants  atomic.Pointer[[]string]
	clock    atomic.Pointer[time.Time]

	operator, stores, books, auditor, expired, revoked string // secrets
}

func (h *house) Write(p []byte) (int, error) {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	return h.log.Write(p)
}

func (h *house) logged() string {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	return h.log.String()
}

const testLimit = 64 << 10

// open starts a real admin listener over a real registry.
func open(t *testing.T) *house {
	h := &house{t: t, state: t.TempDir(), log: &bytes.Buffer{}}
	h.clock.Store(&noon)
	h.tenants.Store(&[]string{"stores", "books"})
	h.tokens = NewTokens(h.state)
	h.operator = newToken(t, h.tokens, Token{Name: "root", Role: RoleOperator})
	h.stores = newToken(t, h.tokens, Token{Name: "stores-ci", Role: RoleTenant, Tenant: "stores"})
	h.books = newToken(t, h.tokens, Token{Role: RoleTenant, Tenant: "books"})
	h.auditor = newToken(t, h.tokens, Token{Role: RoleAuditor})
	h.revoked = newToken(t, h.tokens, Token{Name: "gone", Role: RoleOperator})
	if err := h.tokens.Revoke("gone"); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.expired, _, err = h.tokens.Add(Token{Role: RoleOperator, Expires: noon.Add(-time.Hour)}, noon.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if h.policies, err = registry.Open(h.state, registry.Config{Check: byContent, Limits: registry.Limits{Versions: 5}}); err != nil {
		t.Fatal(err)
	}
	a, err := NewAdmin(AdminConfig{
		Addr: "127.0.0.1:0", Tenants: func() []string { return *h.tenants.Load() },
		Policies: h.policies, Runtime: running{testLimit}, Tokens: h.tokens,
		Log: slog.New(slog.NewTextHandler(h, nil)), Now: func() time.Time { return *h.clock.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + a.Addr().String()
	h.serve(a)
	return h
}

func (h *house) serve(a *Admin) {
	h.admin = a
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	h.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(a.Close(ctx), <-served); err != nil {
			h.t.Error(err)
		}
		if h.policies != nil {
			h.policies.Close()
		}
	})
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) problem(t *testing.T) (p problem) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.header.Get("Content-Type") != "application/problem+json" || p.Status != r.status || p.Title == "" || p.Detail == "" {
		t.Errorf("no problem: %d %v %s", r.status, r.header, r.body)
	}
	return p
}

// do sends a request; fields are "Name: value".
func (h *house) do(token, method, path, body string, fields ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

const (
	asModule = "Content-Type: application/wasm"
	asJSON   = "Content-Type: application/json"
	ranking  = "/v1/tenants/stores/policies/ranking"
)

func (h *house) upload(binary string) {
	h.t.Helper()
	if _, err := h.policies.Upload("stores", "ranking", []byte(binary), ""); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) activate(n int) {
	h.t.Helper()
	if _, err := h.policies.Activate("stores", "ranking", n); err != nil {
		h.t.Fatal(err)
	}
}

// want compares an answer with a status and with parts of its body.
func (r reply) want(t *testing.T, status int, parts ...string) reply {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(r.body, part) {
			t.Errorf("the answer lacks %s:\n%d %s", part, r.status, r.body)
		}
	}
	if r.status != status {
		t.Errorf("status %d, want %d: %s", r.status, status, r.body)
	}
	if r.status >= 400 {
		r.problem(t)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", r.header.Get("Cache-Control"))
	}
	return r
}

// A policy's life by way of the API.
func TestAdminSession(t *testing.T) {
	h := open(t)
	h.do("", "GET", "/healthz", "").want(t, 200, "ok\n")
	h.do(h.stores, "GET", "/v1/tenants/stores/policies", "").want(t, 200, `{"tenant":"stores","epoch":0,"policies":[]}`)
	r := h.do(h.stores, "POST", ranking+"?note=first+%E2%9C%93", "good 1", asModule).
		want(t, 201, `"tenant":"stores","policy":"ranking","version":{"number":1,`, `"manifest":"ranking"`, `"state":"checked"`, `"note":"first ✓"`)
	if l := r.header.Get("Location"); l != ranking+"/versions/1" {
		t.Errorf("Location %q", l)
	}
	h.do(h.stores, "POST", ranking, "good 1", asModule).want(t, 200, `"number":1`)
	h.do(h.stores, "POST", ranking, "good 2", asModule, HeaderNote+": second").want(t, 201, `"number":2`, `"note":"second"`)
	h.do(h.stores, "GET", ranking+"/versions/2", "").want(t, 200, `"number":2`, `"size":6`)
	h.do(h.stores, "POST", ranking+"/versions/1/activate", "").want(t, 200, `"number":1`, `"state":"active"`)
	h.do(h.stores, "POST", ranking+"/versions/2/stage", `{"mode":"shadow","permille":1000}`, asJSON).want(t, 200, `"state":"staged"`)
	h.do(h.stores, "GET", ranking, "").want(t, 200, `"name":"ranking"`, `"active":1`, `"staging":{"version":2,"mode":"shadow","permille":1000}`,
		`"running":[{"version":1,"suspended_until":"2026-05-04T12:01:00Z","runs":10,"failures":{"trap":1},"edits":0}]`)
	h.do(h.stores, "POST", ranking+"/unstage", "").want(t, 200, `"number":2`, `"state":"checked"`)
	h.do(h.stores, "POST", ranking+"/versions/2/stage", `{"mode":"canary","permille":50}`, asJSON+"; charset=utf-8").want(t, 200, `"staged"`)
	h.do(h.stores, "POST", ranking+"/versions/2/activate", `{}`, asJSON).want(t, 200, `"number":2`, `"active"`)
	h.do(h.stores, "DELETE", ranking+"/versions/1", "").want(t, 409, "what a rollback brings back")
	h.do(h.stores, "POST", ranking+"/rollback", "").want(t, 200, `"number":1`, `"active"`)
	h.do(h.stores, "POST", ranking+"/rollback", "").want(t, 409, `"code":"state"`)
	h.do(h.stores, "DELETE", ranking+"/versions/1", "").want(t, 409, "it is active")
	h.do(h.stores, "DELETE", ranking+"/versions/2", "").want(t, 204)
	h.do(h.stores, "GET", ranking+"/versions/2", "").want(t, 404)
	h.do(h.stores, "POST", ranking, "good 3", asModule).want(t, 201, `"number":3`)
	h.do(h.stores, "DELETE", ranking+"/versions/3", "").want(t, 204) // never ran
	h.do(h.stores, "POST", ranking+"/versions/1/retire", "").want(t, 200, `"retired"`)
	h.do(h.stores, "GET", ranking+"/logs", "").want(t, 200, `{"seq":1,"time":"2026-05-04T12:00:00Z","version":1,"level":"info","text":"one"}`, `"text":"two \ufffd\u001b"`, `"next":2`)
	h.do(h.stores, "GET", ranking+"/logs?after=1", "").want(t, 200, `{"lines":[{"seq":2`)
	h.do(h.stores, "GET", ranking+"/logs?after=2", "").want(t, 200, `{"lines":[],"next":2}`)
	h.do(h.stores, "GET", "/v1/tenants/stores/policies/not-there/limits", "").want(t, 200, `"binary_bytes":65536`, fmt.Sprintf(`"run_fuel":%d`, abi.DefaultLimits.RunFuel()))
	if head := h.do(h.stores, "HEAD", ranking, ""); head.status != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.status, head.body)
	}
	v, ok := h.policies.Version("stores", "ranking", 1)
	if !ok || v.State != registry.Retired {
		t.Errorf("the registry has %+v", v)
	}
}

// route is one thing that can be asked for, on a policy with versions 1
// (active), 2 (retired, what a rollback brings back), 3 (staged) and 4
// (checked). It succeeds for those who may.
type route struct {
	method, path, body, media string
	change                    string // "": it reads
	status                    int
}

var routes = []route{
	{"GET", "", "", "", "", 200},
	{"HEAD", "", "", "", "", 200},
	{"GET", "/ranking", "", "", "", 200},
	{"GET", "/ranking/logs", "", "", "", 200},
	{"GET", "/ranking/limits", "", "", "", 200},
	{"GET", "/ranking/versions/1", "", "", "", 200},
	{"POST", "/ranking", "good new", "application/wasm", "upload", 201},
	{"POST", "/ranking/unstage", "", "", "unstage", 200},
	{"POST", "/ranking/rollback", "", "", "rollback", 200},
	{"POST", "/ranking/versions/2/stage", `{"mode":"canary","permille":1}`, "application/json", "stage", 200},
	{"POST", "/ranking/versions/2/activate", "", "", "activate", 200},
	{"POST", "/ranking/versions/3/retire", "", "", "retire", 200},
	{"DELETE", "/ranking/versions/4", "", "", "delete", 204},
}

// prepareRoute brings the policy into the state that routes speak of.
func (h *house) prepareRoute() {
	h.t.Helper()
	for _, p := range must(h.policies.List("stores")) {
		for _, v := range p.Versions {
			h.policies.Retire("stores", "ranking", v.Number)
		}
		for _, v := range p.Versions {
			if err := h.policies.Delete("stores", "ranking", v.Number); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	h.upload("good 1")
	h.activate(1)
	h.upload("good 2")
	h.activate(2)
	h.activate(1)
	h.upload("good 3")
	h.upload("good 4")
	if _, err := h.policies.Stage("stores", "ranking", 3, registry.Shadow, 10); err != nil {
		h.t.Fatal(err)
	}
}

func must(list []registry.Policy, _ uint64, err error) []registry.Policy {
	if err != nil {
		panic(err)
	}
	return list
}

// Who may do what: every role on every route. A refusal changes nothing.
func TestAdminRoles(t *testing.T) {
	h := open(t)
	changed := true
	for _, who := range []struct {
		name, token   string
		reads, writes int // 0: as the route says
		authenticate  string
	}{
		{"operator", h.operator, 0, 0, ""},
		{"tenant", h.stores, 0, 0, ""},
		{"other tenant", h.books, 403, 403, `Bearer realm="bespoke", error="insufficient_scope"`},
		{"auditor", h.auditor, 0, 403, `Bearer realm="bespoke", error="insufficient_scope"`},
		{"expired", h.expired, 401, 401, `Bearer realm="bespoke", error="invalid_token"`},
		{"revoked", h.revoked, 401, 401, `Bearer realm="bespoke", error="invalid_token"`},
		{"garbled", h.operator[:46], 401, 401, `Bearer realm="bespoke", error="invalid_token"`},
		{"nobody", "", 401, 401, `Bearer realm="bespoke"`},
	} {
		for _, r := range routes {
			if changed {
				h.prepareRoute()
			}
			before := must(h.policies.List("stores"))
			want := r.status
			if r.change == "" && who.reads != 0 {
				want = who.reads
			} else if r.change != "" && who.writes != 0 {
				want = who.writes
			}
			var fields []string
			if r.media != "" {
				fields = append(fields, "Content-Type: "+r.media)
			}
			got := h.do(who.token, r.method, "/v1/tenants/stores/policies"+r.path, r.body, fields...)
			if got.status != want {
				t.Errorf("%s: %s %s: %d, want %d: %s", who.name, r.method, r.path, got.status, want, got.body)
			}
			if got.status/100 == 4 && got.header.Get("WWW-Authenticate") != who.authenticate {
				t.Errorf("%s: %s %s: WWW-Authenticate %q", who.name, r.method, r.path, got.header.Get("WWW-Authenticate"))
			}
			after := must(h.policies.List("stores"))
			if changed = fmt.Sprint(before) != fmt.Sprint(after); changed != (r.change != "" && got.status < 300) {
				t.Errorf("%s: %s %s: %d, changed: %v", who.name, r.method, r.path, got.status, changed)
			}
		}
	}
}

// A tenant's token does not tell whether other tenants exist.
func TestAdminTenants(t *testing.T) {
	h := open(t)
	here, none := h.do(h.stores, "GET", "/v1/tenants/books/policies", ""), h.do(h.stores, "GET", "/v1/tenants/toys/policies", "")
	if here.status != 403 || here.status != none.status || here.body != none.body {
		t.Errorf("%+v differs from %+v", here, none)
	}
	h.do(h.operator, "GET", "/v1/tenants/toys/policies", "").want(t, 404, "no tenant of that name")
	h.do(h.operator, "POST", "/v1/tenants/toys/policies/x", "good", asModule).want(t, 404)
	h.upload("good 1")
	h.tenants.Store(&[]string{"books"}) // taken out of the configuration
	h.do(h.stores, "GET", ranking, "").want(t, 404)
	h.do(h.operator, "POST", ranking+"/versions/1/activate", "").want(t, 404)
	if _, active := h.policies.Active("stores", "ranking"); active {
		t.Error("it was activated")
	}
}

// Every change is in the log with who, what and outcome, and no token is.
func TestAdminLog(t *testing.T) {
	h := open(t)
	for i, r := range routes {
		h.prepareRoute()
		begin := len(h.logged())
		var fields []string
		if r.media != "" {
			fields = append(fields, "Content-Type: "+r.media)
		}
		h.do(h.stores, r.method, "/v1/tenants/stores/policies"+r.path, r.body, fields...)
		line := h.logged()[begin:]
		if r.change == "" {
			if line != "" {
				t.Errorf("a read is logged: %s", line)
			}
			continue
		}
		want := fmt.Sprintf(`level=INFO msg="policy change done" by=stores-ci role=tenant change=%s tenant=stores policy=ranking version=`, r.change)
		if !strings.Contains(line, want) || strings.Count(line, "\n") != 1 {
			t.Errorf("route %d: logged %q, want %s", i, line, want)
		}
	}
	begin := len(h.logged())
	h.do(h.auditor, "POST", ranking+"/rollback", "").want(t, 403)
	h.do(h.stores, "POST", ranking, "bad", asModule).want(t, 422)
	h.do(h.stores, "POST", "/v1/tenants/stores/policies/"+strings.Repeat("x%0A", 1000), "good", asModule).want(t, 400)
	if log := h.logged()[begin:]; !strings.Contains(log, `level=WARN msg="policy change refused" by=auditor-1 role=auditor change=rollback tenant=stores policy=ranking status=403`) ||
		!strings.Contains(log, "change=upload tenant=stores policy=ranking status=422 reason=\"upload stores/ranking: refused by the check: it has no manifest\"") || len(log) > 2000 {
		t.Errorf("refusals: %s", log)
	}
	for _, secret := range []string{h.operator, h.stores, h.books, h.auditor, h.expired, h.revoked} {
		if strings.Contains(h.logged(), secret[4:]) {
			t.Error("a token is in the log")
		}
	}
}

// What is told of a fault, and what only the log may say.
func TestAdminFaults(t *testing.T) {
	h := open(t)
	p := h.do(h.stores, "POST", ranking, "refuse", asModule).want(t, 422, "function 7, offset 120: import: import env.time").problem(t)
	if p.Code != "refused" || p.Rule != "import" || p.Function == nil || *p.Function != 7 || p.Offset == nil || *p.Offset != 120 {
		t.Errorf("%+v", p)
	}
	h.do(h.stores, "POST", ranking, "bad", asModule).want(t, 422, "it has no manifest")
	r := h.do(h.stores, "POST", ranking, "disk", asModule).want(t, 503, `"code":"storage"`)
	if strings.Contains(r.body, "/srv") || !strings.Contains(h.logged(), "/srv/bespoke/state/cache: no space left") {
		t.Errorf("%s\n%s", r.body, h.logged())
	}
	r = h.do(h.stores, "POST", ranking, "panic", asModule).want(t, 500)
	if strings.Contains(r.body+h.logged(), "secret-in-panic") || !strings.Contains(h.logged(), "panic in the admin API") {
		t.Errorf("%s\n%s", r.body, h.logged())
	}
	// That one is version 1, and uploaded: its check never ended.
	h.do(h.stores, "POST", ranking+"/versions/1/activate", "").want(t, 409, "its check did not end")
	for _, binary := range []string{"good 2", "good 3", "good 4", "good 5"} {
		h.upload(binary)
	}
	h.do(h.stores, "POST", ranking, "good 6", asModule).want(t, 409, `"code":"limit"`, "at most 5 are allowed")

	h.activate(2)
	v, _ := h.policies.Active("stores", "ranking")
	blob := filepath.Join(h.state, "policies", "sha256", v.Digest.String())
	h.activate(3)
	if err := os.WriteFile(blob, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = h.do(h.stores, "POST", ranking+"/rollback", "").want(t, 500, `"code":"damaged"`)
	if strings.Contains(r.body, h.state) || !strings.Contains(h.logged(), blob) {
		t.Errorf("%s\n%s", r.body, h.logged())
	}

	if err := h.policies.Close(); err != nil {
		t.Fatal(err)
	}
	h.do(h.stores, "POST", ranking+"/unstage", "").want(t, 503, "stopping")
}

// Damaged tokens give nobody access, and the log says so without an end.
func TestAdminTokensDamaged(t *testing.T) {
	h := open(t)
	h.do(h.operator, "GET", ranking, "").want(t, 404)
	if err := os.WriteFile(filepath.Join(h.state, "tokens.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(time.Minute)
	h.clock.Store(&later)
	for range 5 {
		r := h.do(h.operator, "GET", ranking, "").want(t, 503)
		if strings.Contains(r.body, h.state) {
			t.Error(r.body)
		}
	}
	if n := strings.Count(h.logged(), "tokens cannot be read"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, h.logged())
	}
	h.do("", "GET", "/healthz", "").want(t, 200)
}

// Without a state folder there is the health of the process, and nothing else.
func TestAdminWithout(t *testing.T) {
	serve := func(c AdminConfig) *house {
		c.Addr = "127.0.0.1:0"
		a, err := NewAdmin(c)
		if err != nil {
			t.Fatal(err)
		}
		h := &house{t: t, url: "http://" + a.Addr().String()}
		h.serve(a)
		return h
	}
	h := serve(AdminConfig{})
	h.do("", "GET", "/healthz", "").want(t, 200, "ok\n")
	h.do("bsp_x", "GET", ranking, "").want(t, 503)
	h.do("", "GET", "/", "").want(t, 404)
	tokens := NewTokens(t.TempDir())
	secret := newToken(t, tokens, Token{Role: RoleOperator})
	h = serve(AdminConfig{Tokens: tokens})
	h.do(secret, "GET", ranking, "").want(t, 503)
	h.do("bsp_x", "GET", ranking, "").want(t, 401)
	h.do(secret, "POST", ranking, strings.Repeat("x", 1<<20), asModule).want(t, 503)

	if _, err := NewAdmin(AdminConfig{Addr: "127.0.0.1:0", Policies: &registry.Registry{}}); err == nil {
		t.Error("a registry without a runtime was accepted")
	}
	if _, err := NewAdmin(AdminConfig{Addr: "nowhere"}); err == nil {
		t.Error("an address that is none was accepted")
	}
}

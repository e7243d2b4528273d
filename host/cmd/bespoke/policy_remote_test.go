package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bespoke/host/control"
	"bespoke/modules/abi"
	"bespoke/modules/prepare"
	"bespoke/modules/registry"
)

// logged is a Runtime that runs nothing: its log and counts are what a test
// says. The registry and the API before it are real.
type logged struct {
	mu    sync.Mutex
	lines []control.LogLine
}

func (l *logged) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := uint64(len(l.lines) + 1)
	l.lines = append(l.lines, control.LogLine{Seq: n, Time: time.Date(2026, 5, 4, 12, 0, int(n), 0, time.UTC), Version: 1, Level: "info", Text: text})
}

func (l *logged) Logs(_, policy string, after uint64) []control.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	if policy != "ranking" || after >= uint64(len(l.lines)) {
		return nil
	}
	return l.lines[after:]
}

func (l *logged) Status(_, policy string) []control.RunStatus {
	return []control.RunStatus{{Version: 1, Runs: 120, Failures: map[string]uint64{"trap": 2, "fuel": 1}}, {Version: 2, Runs: 7, Differences: 3}}
}

func (l *logged) Limits() abi.Limits { return abi.Limits{BinaryBytes: 64 << 10} }

// prepared is a real check, without compiling: what an edge does first.
func prepared(binary []byte) (*registry.Info, error) {
	m, err := prepare.Prepare(binary, prepare.Options{})
	if err != nil {
		return nil, err
	}
	if len(m.Manifests) == 0 {
		return nil, errors.New("it has no manifest")
	}
	return &registry.Info{Name: m.Manifests[0].Name, Version: m.Manifests[0].Version}, nil
}

// admin serves the admin API of a state folder.
func admin(t *testing.T, state string, run *logged) (url string) {
	t.Helper()
	policies, err := registry.Open(state, registry.Config{Check: prepared})
	if err != nil {
		t.Fatal(err)
	}
	a, err := control.NewAdmin(control.AdminConfig{
		Addr:     "127.0.0.1:0",
		Tenants:  func() []string { return []string{"stores", "books"} },
		Policies: policies, Runtime: run, Tokens: control.NewTokens(state),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(a.Close(ctx), <-served, policies.Close()); err != nil {
			t.Error(err)
		}
	})
	return "http://" + a.Addr().String()
}

// Each file in testdata/policy is a session with a real admin listener at
// $BESPOKE_ADMIN, over the state folder $STATE. one.wasm and two.wasm are
// policies, bad.wasm is none, big.wasm is beyond the edge's limit.
func TestPolicyScript(t *testing.T) {
	module := func(version string) []byte {
		m, err := abi.AppendManifest([]byte("\x00asm\x01\x00\x00\x00"), []byte(`{"name":"ranking","version":"`+version+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/policy",
		Setup: func(e *testscript.Env) error {
			state := t.TempDir()
			run := &logged{}
			run.add("ready")
			run.add("a line\x1b[2Jthat speaks to a terminal")
			e.Setenv("STATE", state)
			e.Setenv("BESPOKE_ADMIN", admin(t, state, run))
			e.Setenv("NO_EDGE", "http://127.0.0.1:1")
			for name, data := range map[string][]byte{
				"one.wasm": module("1.0.0"), "two.wasm": module("2.0.0"),
				"bad.wasm": append(module("3.0.0"), 10, 200, 1),
				"big.wasm": make([]byte, 64<<10+1),
			} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), data, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// token NAME ARG... makes a token and keeps it in $NAME.
			"token": func(ts *testscript.TestScript, neg bool, a []string) {
				ts.Check(ts.Exec("bespoke", append([]string{"token", "new", "--state", ts.Getenv("STATE")}, a[1:]...)...))
				ts.Setenv(a[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
			"expand": expand,
		},
	})
}

// Wrong use and a no are told apart by the exit status.
func TestPolicyExitStatus(t *testing.T) {
	state := t.TempDir()
	secret, _, err := control.NewTokens(state).Add(control.Token{Role: control.RoleOperator}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BESPOKE_ADMIN", admin(t, state, &logged{}))
	t.Setenv("BESPOKE_TOKEN", secret)
	for _, c := range []struct {
		want int
		args string
	}{
		{0, "policy"},
		{0, "policy list --tenant stores"},
		{1, "policy list --tenant toys"},
		{1, "policy rollback ranking --tenant stores"},
		{1, "policy rollback ranking --tenant stores --json"},
		{1, "policy push missing.wasm --tenant stores --name ranking"},
		{1, "policy list --tenant stores --to http://127.0.0.1:1"},
		{1, "policy list --tenant stores --token-file missing"},
		{2, "policy list"},
		{2, "policy list --tenant ../stores"},
		{2, "policy list --tenant stores --to localhost:9090"},
		{2, "policy list --tenant stores --to http://127.0.0.1:9090/v1"},
		{2, "policy list --tenant stores --to http://me:secret@127.0.0.1:9090"},
		{2, "policy list --tenant stores one two"},
		{2, "policy list --tenant stores --token " + secret},
		{2, "policy push one.wasm --tenant stores"},
		{2, "policy push one.wasm --tenant stores --name Ranking"},
		{2, "policy push --tenant stores --name ranking"},
		{2, "policy activate ranking --tenant stores"},
		{2, "policy activate ranking@0 --tenant stores"},
		{2, "policy activate ranking@one --tenant stores"},
		{2, "policy activate ../ranking@1 --tenant stores"},
		{2, "policy rollback ranking@1 --tenant stores"},
		{2, "policy stage ranking@1 --tenant stores"},
		{2, "policy stage ranking@1 --tenant stores --shadow --canary 5"},
		{2, "policy stage ranking@1 --tenant stores --canary 0"},
		{2, "policy stage ranking@1 --tenant stores --canary 1001"},
		{2, "policy frobnicate"},
		{2, "token new --role operator"},
		{2, "token new --state " + state},
		{2, "token new --state " + state + " -c bespoke.yaml --role operator"},
		{2, "token new --state " + state + " --role root"},
		{2, "token new --state " + state + " --role tenant"},
		{2, "token new --state " + state + " --role auditor --tenant stores"},
		{2, "token new --state " + state + " --role auditor --expires 0s"},
		{1, "token new --state " + state + " --role auditor --name operator-1"},
		{1, "token revoke --state " + state + " nobody"},
		{2, "token revoke --state " + state},
		{0, "token list --state " + state},
	} {
		var out, errOut bytes.Buffer
		if got := run(strings.Fields(c.args), &out, &errOut); got != c.want {
			t.Errorf("%s: exit status %d, want %d\n%s%s", c.args, got, c.want, &out, &errOut)
		}
		if c.want != 0 && out.Len()+errOut.Len() == 0 {
			t.Errorf("%s: failed without a word", c.args)
		}
		if strings.Contains(out.String(), secret) || !strings.Contains(c.args, secret) && strings.Contains(errOut.String(), secret) {
			t.Errorf("%s: the token is in the output", c.args)
		}
	}
}

// Without a token nothing is sent anywhere.
func TestPolicyNoToken(t *testing.T) {
	t.Setenv("BESPOKE_TOKEN", "")
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	empty := filepath.Join(t.TempDir(), "empty")
	for text, want := range map[string]int{"": 1, "  \n": 1, "bsp_a bsp_b": 1, "bsp_\x00": 1} {
		if err := os.WriteFile(empty, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := run([]string{"policy", "list", "--tenant", "stores", "--to", other.URL, "--token-file", empty}, io.Discard, io.Discard); got != want {
			t.Errorf("token file %q: exit status %d", text, got)
		}
	}
	if got := run([]string{"policy", "list", "--tenant", "stores", "--to", other.URL}, io.Discard, io.Discard); got != 2 {
		t.Errorf("no token: exit status %d", got)
	}
	if asked {
		t.Error("the server was asked")
	}
}

// What answers may be no edge at all, and hostile: it gets no second chance at
// the token, and does not speak to the terminal.
func TestPolicyHostileAnswers(t *testing.T) {
	t.Setenv("BESPOKE_TOKEN", "bsp_secret")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	var answer http.HandlerFunc
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer server.Close()
	for what, a := range map[string]http.HandlerFunc{
		"a page":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"not found": http.NotFound,
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"a problem of garbage": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(409)
			io.WriteString(w, `{"detail":"\u001b]0;owned\u0007`)
		},
		"a problem that speaks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(409)
			io.WriteString(w, `{"detail":"\u001b]0;owned\u0007"}`)
		},
		"without end": func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
					return
				}
			}
		},
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		},
	} {
		answer = a
		var out, errOut bytes.Buffer
		if got := run([]string{"policy", "list", "--tenant", "stores", "--to", server.URL}, &out, &errOut); got != 1 || errOut.Len() == 0 {
			t.Errorf("%s: exit status %d, %q", what, got, &errOut)
		}
		if text := out.String() + errOut.String(); strings.ContainsAny(text, "\x1b\x07") || strings.Contains(text, "bsp_secret") {
			t.Errorf("%s: %q", what, text)
		}
	}
}

// A push that takes more than a second says how far it is.
func TestPushProgress(t *testing.T) {
	t.Setenv("BESPOKE_TOKEN", "bsp_secret")
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			io.WriteString(w, `{"binary_bytes":1048576}`)
			return
		}
		time.Sleep(1200 * time.Millisecond) // a check that takes its time
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(201)
		io.WriteString(w, `{"tenant":"stores","policy":"ranking","version":{"number":1,"digest":"`+strings.Repeat("ab", 32)+`","state":"checked","size":3}}`)
	}))
	defer slow.Close()
	file := filepath.Join(t.TempDir(), "p.wasm")
	if err := os.WriteFile(file, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if got := run([]string{"policy", "push", file, "--tenant", "stores", "--name", "ranking", "--to", slow.URL}, &out, &errOut); got != 0 {
		t.Fatalf("exit status %d: %s", got, &errOut)
	}
	if !strings.Contains(errOut.String(), "sent 3 B; the edge is checking it\n") || !strings.HasPrefix(out.String(), "ranking@1: checked, 3 B, sha256 abab") {
		t.Errorf("%s%s", &out, &errOut)
	}
}

// --follow prints lines as they come, and ends well when it is interrupted.
func TestLogsFollow(t *testing.T) {
	state := t.TempDir()
	secret, _, err := control.NewTokens(state).Add(control.Token{Role: control.RoleAuditor}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lines := &logged{}
	url := admin(t, state, lines)
	t.Setenv("BESPOKE_TOKEN", secret)
	tokens := control.NewTokens(state)
	pushing, _, err := tokens.Add(control.Token{Role: control.RoleOperator}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	module, _ := abi.AppendManifest([]byte("\x00asm\x01\x00\x00\x00"), []byte(`{"name":"ranking","version":"1"}`))
	file := filepath.Join(t.TempDir(), "p.wasm")
	if err := os.WriteFile(file, module, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BESPOKE_TOKEN", pushing)
	if got := run([]string{"policy", "push", file, "--tenant", "stores", "--name", "ranking", "--to", url}, io.Discard, os.Stderr); got != 0 {
		t.Fatal("push failed")
	}
	t.Setenv("BESPOKE_TOKEN", secret)
	lines.add("first")
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	var out lockedBuffer
	cmd := root()
	cmd.SetArgs([]string{"policy", "logs", "ranking", "--tenant", "stores", "--to", url, "--follow"})
	cmd.SetOut(&out)
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	out.await(t, "@1 info first\n")
	lines.add("second")
	out.await(t, "2 2026-05-04T12:00:02.000Z @1 info second\n")
	if strings.Count(out.String(), "first") != 1 {
		t.Errorf("a line came twice:\n%s", out.String())
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

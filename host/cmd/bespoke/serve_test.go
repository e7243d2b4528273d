package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bespoke/geo/demodb"
	"bespoke/host/control"
	"bespoke/host/ledger"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await returns when the log has text.
func (l *lockedBuffer) await(t *testing.T, text string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(l.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the log never said %q:\n%s", text, l)
		}
	}
}

// A port that is taken is told, and leaves the state folder to the next start: the ledger
// is closed in order.
func TestStartWherePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "bespoke.yaml")
	try := func(listen, admin string) (*process, error) {
		text := fmt.Sprintf("listen: %s\nadmin: %s\nstate: state\ntenants: [{name: shop, hosts: [shop.localhost], origin: \"http://127.0.0.1:1\"}]\n", listen, admin)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return start(context.Background(), file, slog.New(slog.DiscardHandler))
	}
	const free = "127.0.0.1:0"
	for _, c := range [][3]string{{taken.Addr().String(), free, "listen: "}, {free, taken.Addr().String(), "admin: "}} {
		p, err := try(c[0], c[1])
		if p != nil || !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), c[2]) {
			t.Errorf("%s: %v", c[2], err)
		}
		v, err := ledger.Verify(filepath.Join(filepath.Dir(file), "state", "ledger"), ledger.VerifyOptions{})
		if err != nil || !v.Intact() || !v.Closed {
			t.Errorf("%s: the ledger was not closed in order: %+v, %v", c[2], v, err)
		}
	}
	p, err := try(free, free)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// Serve, reload on SIGHUP, refuse a bad file, change the geo database, stop on
// SIGTERM's context: the life of a process.
func TestServe(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<p id=greeting></p><ul id=results><li data-lat=52.5 data-lon=13.4>Berlin</li><li data-lat=37.8 data-lon=-122.4>San Francisco</li></ul>\n")
	}))
	defer origin.Close()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		t.Fatal(err)
	}
	write("places.mmdb", db.String())
	config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
geo: places.mmdb
trusted_proxies: [127.0.0.1]
tenants:
  - {name: stores, hosts: [stores.example], origin: %q, routes: [{path: /own, policies: [{use: say@active}]}, {path: /**, policies: [{use: nearby, with: {list: "#results"}}]}]}
`, origin.URL)
	write("bespoke.yaml", config)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var log lockedBuffer
	ready := make(chan *process, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, filepath.Join(dir, "bespoke.yaml"), slog.New(slog.NewTextHandler(&log, nil)), func(p *process) { ready <- p })
	}()
	var p *process
	select {
	case p = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	get := func(addr, path, host, from string) (int, string) {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+addr+path, nil)
		req.Host = host
		req.Header.Set("X-Forwarded-For", from)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	addr := p.listener.Addr().String()

	if status, body := get(addr, "/", "stores.example", "198.51.100.7"); status != 200 || strings.Index(body, "San Francisco") > strings.Index(body, "Berlin") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(p.admin.Addr().String(), "/healthz", "", ""); status != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, _ := get(addr, "/", "second.example", ""); status != 421 {
		t.Errorf("an unknown site: %d", status)
	}

	// A tenant uploads a policy over the admin API; the next page has its edit.
	if _, body := get(addr, "/own", "stores.example", ""); strings.Contains(body, ">one<") {
		t.Errorf("before the upload: %s", body)
	}
	secret, _, err := control.NewTokens(filepath.Join(dir, "state")).Add(control.Token{Name: "stores", Role: control.RoleTenant, Tenant: "stores"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	call := func(path, contentType string, body []byte) (int, string) {
		t.Helper()
		req, _ := http.NewRequest("POST", "http://"+p.admin.Addr().String()+"/v1/tenants/stores/policies/say"+path, bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+secret)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	code, err := base64.StdEncoding.DecodeString(say)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := call("", "application/wasm", []byte("no module")); status != 422 {
		t.Errorf("garbage: %d %s", status, body)
	}
	if status, body := call("", "application/wasm", code); status/100 != 2 {
		t.Errorf("upload: %d %s", status, body)
	}
	if status, body := call("/versions/1/activate", "", nil); status/100 != 2 {
		t.Errorf("activate: %d %s", status, body)
	}
	if _, body := get(addr, "/own", "stores.example", ""); !strings.Contains(body, `<p id=greeting>one</p>`) {
		t.Errorf("after the upload: %s", body)
	}

	hup := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("bespoke.yaml", config+fmt.Sprintf("  - {name: second, hosts: [second.example], origin: %q}\n", origin.URL))
	hup()
	log.await(t, "configuration reloaded")
	if status, _ := get(addr, "/", "second.example", ""); status != 200 {
		t.Errorf("the reloaded site: %d", status)
	}

	write("bespoke.yaml", "nonsense: true\n")
	hup()
	log.await(t, "configuration not reloaded, nothing changed")
	log.await(t, "bespoke.yaml:1:1")
	if status, _ := get(addr, "/", "second.example", ""); status != 200 {
		t.Errorf("after a bad reload: %d", status)
	}

	write("bespoke.yaml", strings.Replace(config, "places.mmdb", "gone.mmdb", 1))
	hup()
	log.await(t, "gone.mmdb")
	if status, _ := get(addr, "/", "second.example", ""); status != 200 {
		t.Errorf("after a reload without its database: %d", status)
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// say is a policy that puts "one" into #greeting: the module that the edge's own
// tests build by hand, in base64.
const say = "AGFzbQEAAAABHQRgAABgBH9/f38BfmAHf39/f39/fwF/YAN/f38AAjMDCWJlc3Bva2VfMQRyZWFkAAEJYmVzcG9rZV8xBGVtaXQAAgliZXNwb2" +
	"tlXzEDbG9nAAMDAgEABQMBAAEHGAIGbWVtb3J5AgALb25fcmVzcG9uc2UAAwofAR0BAX9BAUEAQQlBCUEDQQBBABABGkEBQQlBAxACCwsSAQBB" +
	"AAsMI2dyZWV0aW5nb25lADEQYmVzcG9rZS5tYW5pZmVzdHsibmFtZSI6InNheSIsInZlcnNpb24iOiIxLjAuMCJ9"

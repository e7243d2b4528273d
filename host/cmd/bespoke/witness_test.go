package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bespoke/host/config"
	"bespoke/host/ledger"
	"bespoke/host/state"
)

// natsServer starts a server that others would run, on loopback.
func natsServer(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir, Username: "edge", Password: "secret-of-edge",
	})
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() { stopNATS(ns) })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return ns
}

func stopNATS(ns *server.Server) {
	ns.Shutdown()
	ns.WaitForShutdown()
}

// witnessed is a configuration whose ledger has a bucket as its witness.
func witnessed(t *testing.T, url string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	text := "ledger:\n  window: 20ms\n  witnesses: [\"" + url + "\"]\ntenants:\n  - {name: a, hosts: [a.example], origin: \"http://127.0.0.1:3000\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	site, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	site.State = filepath.Join(dir, "state")
	return site
}

// recordTo opens the ledger of a configuration; close ends it.
func recordTo(t *testing.T, site *config.Config, log *slog.Logger) *ledger.Ledger {
	t.Helper()
	l, err := openLedger(site, log)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func sealOne(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	segments := l.Status().Segments
	l.Exchange(&ledger.Exchange{Tenant: "a", Time: time.Now()}, false)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if now := l.Status().Segments; now <= segments {
		t.Fatalf("%d segments after %d: nothing was sealed", now, segments)
	}
}

func closeLedger(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Checkpoints arrive on a NATS server, which outlives the ledger's folder: one that was
// cut, or put back as it was, is not opened.
func TestNATSWitness(t *testing.T) {
	ns := natsServer(t, t.TempDir(), -1)
	url := "nats://edge:secret-of-edge@" + ns.Addr().String() + "/bespoke/a"
	site, log := witnessed(t, url), slog.New(slog.DiscardHandler)
	folder := filepath.Join(site.State, "ledger")
	kept, err := state.NewSlot(url)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	same := func() {
		t.Helper()
		want, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
		got, missing := kept.Latest(t.Context())
		if err != nil || missing != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v %v: the witness has %q, want %q", err, missing, got, want)
		}
	}
	l := recordTo(t, site, log)
	sealOne(t, l)
	awaitNATS(t, "a checkpoint while it is recorded", func() bool {
		got, err := kept.Latest(t.Context())
		return err == nil && strings.Contains(string(got), "bespoke/")
	})
	closeLedger(t, l)
	same() // and that of the end
	early := filepath.Join(site.State, "early")
	if err := os.CopyFS(early, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	l = recordTo(t, site, log)
	sealOne(t, l)
	closeLedger(t, l)
	same()
	if n := ns.NumClients(); n > 1 { // that of kept
		awaitNATS(t, "the ledgers' connections end with them", func() bool { return ns.NumClients() <= 1 })
	}

	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(early, folder); err != nil {
		t.Fatal(err)
	}
	l, err = openLedger(site, log)
	switch {
	case err == nil:
		l.Close()
		t.Fatal("a ledger that was cut was opened")
	case !strings.Contains(err.Error(), "the ledger was cut") || !strings.Contains(err.Error(), "/bespoke/a") || strings.Contains(err.Error(), "secret"):
		t.Error(err)
	}
	awaitNATS(t, "the refused ledger's connection ends", func() bool { return ns.NumClients() <= 1 })
	// Without the witness nobody would know.
	site.Ledger.Witnesses = nil
	closeLedger(t, recordTo(t, site, log))
}

// A server that is away at the start is told, holds up nothing, and gets the newest checkpoint when it is back.
func TestNATSWitnessAway(t *testing.T) {
	dir := t.TempDir()
	ns := natsServer(t, dir, -1)
	port := ns.Addr().(*net.TCPAddr).Port
	address := ns.Addr().String()
	stopNATS(ns)
	var said lockedBuffer
	site := witnessed(t, "nats://edge:secret-of-edge@"+address+"/bespoke")
	l := recordTo(t, site, slog.New(slog.NewTextHandler(&said, nil)))
	said.await(t, "a witness does not answer")
	sealOne(t, l)
	sealOne(t, l)
	if s := l.Status(); s.WitnessFailures == 0 || s.Blocked != "" || s.Err != nil || !l.Reserve() {
		t.Errorf("%+v", s)
	} else {
		l.Unreserve()
	}
	ns = natsServer(t, dir, port)
	sealOne(t, l)
	said.await(t, "takes checkpoints again")
	// Away once more, in the middle.
	stopNATS(ns)
	failures := l.Status().WitnessFailures
	sealOne(t, l)
	awaitNATS(t, "another failure", func() bool { return l.Status().WitnessFailures > failures })
	sealOne(t, l)
	began := time.Now()
	closeLedger(t, l)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	if text := said.String(); strings.Contains(text, "secret-of-edge") || !strings.Contains(text, "nats://"+address+"/bespoke/checkpoint") {
		t.Errorf("the log: %s", text)
	}
}

func awaitNATS(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A witness that wants a token is shown the one in the file that the configuration names.
func TestHTTPWitnessToken(t *testing.T) {
	var kept atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch last := kept.Load(); {
		case r.Header.Get("Authorization") != "Bearer token-of-edge":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPut:
			b, _ := io.ReadAll(r.Body)
			kept.Store(&b)
		case last == nil:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Write(*last)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("token-of-edge\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	site := &config.Config{State: filepath.Join(dir, "state"), Ledger: config.DefaultLedger()}
	site.Ledger.Witnesses = []config.Witness{{URL: server.URL, TokenFile: filepath.Join(dir, "token")}}
	l := recordTo(t, site, slog.New(slog.DiscardHandler))
	sealOne(t, l)
	closeLedger(t, l)
	want, err := os.ReadFile(filepath.Join(site.State, "ledger", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	if got := kept.Load(); got == nil || !bytes.Equal(*got, want) {
		t.Errorf("the witness has %v, want %s", got, want)
	}
}

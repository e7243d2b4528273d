package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
	"bespoke/host/watch"
)

// An edge that is stopped says that it is not ready while it still answers.
func TestReadiness(t *testing.T) {
	slow := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-slow
		io.WriteString(w, "late, and whole")
	}))
	defer origin.Close()
	dir := t.TempDir()
	shareCompiled(t, filepath.Join(dir, "state"))
	file := filepath.Join(dir, "bespoke.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntenants: [{name: shop, hosts: [shop.localhost], origin: %q}]\n", origin.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := start(context.Background(), file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ready := func() string {
		resp, err := http.Get("http://" + p.admin.Addr().String() + "/readyz")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	until := func(part string) {
		t.Helper()
		for begin := time.Now(); !strings.Contains(ready(), part); time.Sleep(5 * time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("%s; want %s", ready(), part)
			}
		}
	}
	until(`503 {"ready":false,"not_ready":[{"what":"listener"`)
	go p.edge.Serve(p.listener)
	until(`200 {"ready":true}`)

	answer := make(chan string, 1)
	go func() {
		req, _ := http.NewRequest("GET", "http://"+p.listener.Addr().String(), nil)
		req.Host = "shop.localhost"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	slow <- struct{}{} // the request has arrived, and a second one would wait
	close(slow)
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	until(`503 {"ready":false,"not_ready":[{"what":"edge"`)
	if got := <-answer; got != "late, and whole" {
		t.Errorf("what had arrived is answered %q", got)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestLedgerFigures(t *testing.T) {
	s := ledger.Status{Segments: 1, Records: 2, Bytes: 3, Waiting: 4, Unrecorded: 5, Failures: 6, WitnessFailures: 7, Blocked: "disk full", Err: errors.New("disk full"), Sealed: time.UnixMilli(8500)}
	got := map[string]float64{}
	for _, f := range ledgerFigures(func() ledger.Status { return s }) {
		f.Samples(func(v watch.Sample) { got[strings.TrimPrefix(f.Name, "bespoke_ledger_")] = v.Value })
	}
	want := map[string]float64{"segments": 1, "records": 2, "bytes_total": 3, "waiting": 4, "unrecorded_total": 5, "failures_total": 6, "witness_failures_total": 7, "blocked": 1, "sealed_timestamp_seconds": 8.5}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	s = ledger.Status{}
	for _, f := range ledgerFigures(func() ledger.Status { return s }) {
		f.Samples(func(v watch.Sample) {
			if v.Value != 0 {
				t.Errorf("%s is %v of nothing", f.Name, v.Value)
			}
		})
	}
}

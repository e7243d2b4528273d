package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/geo/demodb"
)

// A served is a real process that serves a configuration.
type served struct {
	cmd  *exec.Cmd
	addr string
	log  lockedBuffer
}

// serveProcess starts "bespoke serve" and waits until it takes connections.
func serveProcess(t *testing.T, file string) *served {
	t.Helper()
	s := &served{cmd: exec.Command("bespoke", "serve", "-c", file)} // testscript.Main puts this binary into PATH under that name
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if err != nil || !ok {
		t.Fatalf("serve said %q, %v:\n%s", line, err, s.log.String())
	}
	s.addr = addr
	return s
}

// kill ends the process as kill -9 does: it runs no code of its own any more.
func (s *served) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// A device is a browser in San Francisco, before whatever process serves.
type device struct {
	t      *testing.T
	at     **served
	client http.Client
}

func newDevice(t *testing.T, at **served) *device {
	jar, _ := cookiejar.New(nil)
	d := &device{t: t, at: at}
	d.client = http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // each process has an address of its own
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, (*at).addr)
		},
	}}
	return d
}

func (d *device) do(method, path, body string) (int, string) {
	d.t.Helper()
	req, _ := http.NewRequest(method, "http://stores.localhost"+path, strings.NewReader(body))
	req.Header.Set("X-Forwarded-For", "198.51.100.7")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v\n%s", method, path, err, (*d.at).log.String())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// tailored reports whether a page uses the visitor's place: what is near them is first.
func (d *device) tailored() bool {
	d.t.Helper()
	status, body := d.do("GET", "/", "")
	if status != 200 {
		d.t.Fatalf("%d %s", status, body)
	}
	return strings.Index(body, "San Francisco") < strings.Index(body, "Berlin")
}

// A refusal that was acknowledged for all of a subject's devices is not undone
// by kill -9: from the first request after the start on, the other device's
// pages use nothing.
func TestRefusalSurvivesKill(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header().Set("Bespoke-Subject", "jane@example.com")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<ul id=results><li data-lat=52.5 data-lon=13.4>Berlin</li><li data-lat=37.8 data-lon=-122.4>San Francisco</li></ul>\n")
	}))
	defer origin.Close()
	dir := t.TempDir()
	shareCompiled(t, filepath.Join(dir, "state"))
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "places.mmdb"), db.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "bespoke.yaml")
	config := fmt.Sprintf(`listen: 127.0.0.1:0
geo: places.mmdb
trusted_proxies: [127.0.0.1]
tenants:
  - {name: stores, hosts: [stores.localhost], origin: %q, routes: [{path: /**, policies: [{use: nearby, with: {list: "#results"}}]}]}
`, origin.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	now := serveProcess(t, file)
	phone, laptop := newDevice(t, &now), newDevice(t, &now)
	stranger := newDevice(t, &now)
	if _, err := os.Stat(filepath.Join(dir, "state", "store")); err == nil {
		t.Error("the store is there before there is a subject")
	}
	phone.do("GET", "/login", "")
	laptop.do("GET", "/login", "")
	choose := func(d *device, body string) {
		t.Helper()
		status, said := d.do("PUT", "/_bespoke/api/choice", body)
		if status != 200 || !strings.Contains(said, `"all_devices": true`) {
			t.Fatalf("choose %s: %d %s\n%s", body, status, said, now.log.String())
		}
	}
	settled := func(d *device) (settled string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			_, body := d.do("GET", "/_bespoke/api/choice", "")
			var c struct {
				Purposes map[string]struct{ Rule, Signal string } `json:"purposes"`
			}
			if err := json.Unmarshal([]byte(body), &c); err != nil {
				t.Fatal(err, body)
			}
			l := c.Purposes["localize"]
			if l.Rule != "unknown-subject" {
				return l.Rule + " by " + l.Signal
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("never known:\n%s", now.log.String())
			}
		}
	}
	for round := range 4 {
		choose(laptop, `{"localize":true}`)
		if !laptop.tailored() || !phone.tailored() {
			t.Fatalf("round %d: what was allowed does not hold", round)
		}
		choose(phone, `{}`)
		now.kill()
		now = serveProcess(t, file)
		if !stranger.tailored() {
			t.Fatal("the test shows nothing")
		}
		for i := range 5 {
			if laptop.tailored() {
				t.Fatalf("round %d: request %d after the start uses what was refused on the other device", round, i)
			}
		}
		if by := settled(laptop); by != "withdrawal by subject" {
			t.Errorf("round %d: refused as %s", round, by)
		}
		if laptop.tailored() {
			t.Errorf("round %d: used once the store is open", round)
		}
	}
}

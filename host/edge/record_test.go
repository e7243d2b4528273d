package edge

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/ledger"
	"bespoke/host/recommend"
)

// A notebook is a ledger in memory: what is recorded, a line each.
type notebook struct {
	full  atomic.Bool  // nothing is taken
	space atomic.Int64 // reserved

	mu     sync.Mutex
	lines  []string
	events []ledger.Event
}

func (n *notebook) Reserve() bool {
	if n.full.Load() {
		return false
	}
	n.space.Add(1)
	return true
}

func (n *notebook) Exchange(x *ledger.Exchange, reserved bool) {
	if reserved {
		n.space.Add(-1)
	}
	line := string(x.AppendJSON(nil))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notebook) Event(e ledger.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

func (n *notebook) Pseudonym(dst *[8]byte, tenant string, id []byte) {
	sum := sha256.Sum256(append([]byte(tenant+"\x00"), id...))
	copy(dst[:], sum[:])
}

func (n *notebook) SealDigest(sum [32]byte) [32]byte {
	return sha256.Sum256(append([]byte("sealed"), sum[:]...))
}

func (n *notebook) records() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lines)
}

// A recorded is a record as a reader sees it.
type recorded struct {
	Tenant, Route, Served, Fault string
	Status                       int
	Decision                     *struct {
		Jurisdiction, Facts string
		Granted             []string
		By                  map[string]string
	}
	Policies []struct {
		Policy, Digest, Outcome             string
		Version, Edits                      int
		Given, Withheld, Absent, Undeclared []string
	}
	Plan, Stopped, Untouched, Pseudonym, In, Out string
	Edits, Applied                               int
	NotApplied                                   int `json:"not_applied"`
	Sealed                                       bool
}

// last waits for the n-th record, and returns it.
func (n *notebook) last(t testing.TB, want int) (r recorded, line string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); n.records() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d records, want %d", n.records(), want)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.lines) != want {
		t.Fatalf("%d records, want %d: %s", len(n.lines), want, n.lines)
	}
	line = n.lines[want-1]
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	for i := range r.Policies {
		r.Policies[i].Outcome = cmp.Or(r.Policies[i].Outcome, ledger.Ran) // which is left out
	}
	return r, line
}

// Every exchange makes one record, however it ends.
func TestEveryExchangeIsRecordedOnce(t *testing.T) {
	const big = 1 << 20
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/pass/big"), strings.HasPrefix(path, "/page/big"):
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, strings.Repeat("<p>a line</p>\n", big/14))
		case strings.HasSuffix(path, "/broken"):
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Length", fmt.Sprint(big))
			io.WriteString(w, strings.Repeat("x", big/2))
			panic(http.ErrAbortHandler)
		case strings.HasSuffix(path, "/gone"):
			panic(http.ErrAbortHandler)
		case strings.HasSuffix(path, "/empty"):
			w.WriteHeader(204)
		default:
			html(page).ServeHTTP(w, r)
		}
	})
	book := new(notebook)
	r := newRig(t, origin, recordedBy(book), sampling(3), routes(`
      - path: /pass/**
      - path: /item/*
        items: /item/{item}
        policies: [{use: greet, with: {slot: "#greeting", text: hello}}]
      - path: /page/**
        policies:
          - use: nearby
            with: {list: "#results", show: ".distance"}
`))
	// Counting what a page shows panics, when its answer is already under way.
	r.edge.current.Load().exact["shop.localhost"].recommender = new(recommend.Recommender)

	var sent atomic.Int64
	raw := func(text string, read int) { // and leaves
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		sent.Add(1)
		io.WriteString(c, text)
		io.ReadFull(c, make([]byte, read))
	}
	get := func(v *visitor, method, target string, body string) {
		req, err := http.NewRequest(method, "http://shop.localhost"+target, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		req.Close = true // else the client may send it again
		req.Header.Set("X-Forwarded-For", berlin)
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		sent.Add(1)
		resp, err := v.client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(io.Discard, resp.Body) // may be broken off
		resp.Body.Close()
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			v := r.visitor(berlin)
			get(v, "POST", "/_bespoke/privacy", "action=allow-all")
			for range 6 {
				for _, target := range []string{
					"/pass/page", "/pass/big", "/pass/broken", "/pass/gone", "/pass/empty", "/nowhere",
					"/page/page", "/page/big", "/page/broken", "/page/gone", "/page/empty",
					"/item/1", "/_bespoke/privacy", "/_bespoke/nothing", "/.well-known/gpc.json",
				} {
					get(v, "GET", target, "")
				}
				get(v, "HEAD", "/page/page", "")
				get(v, "POST", "/page/page", "a=b")
				raw("GET /page/big HTTP/1.1\r\nHost: shop.localhost\r\n\r\n", 1000)
				raw("GET /pass/big HTTP/1.1\r\nHost: shop.localhost\r\n\r\n", 1000)
				raw("GET /page/big HTTP/1.0\r\nHost: shop.localhost\r\n\r\n", 0)
				raw("GET / HTTP/1.1\r\nHost: elsewhere.localhost\r\n\r\n", 10)
				raw("CONNECT / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n", 10)
				raw("this is nothing\r\n\r\n", 10)
				raw("POST /page/page HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100\r\n\r\nshort", 0)
			}
		})
	}
	all.Wait()
	book.last(t, int(sent.Load()))
	r.stop()
	if n := book.records(); n != int(sent.Load()) {
		t.Errorf("%d records of %d exchanges", n, sent.Load())
	}
	if n := book.space.Load(); n != 0 {
		t.Errorf("%d reservations are left", n)
	}
	seen := map[string]int{}
	for _, line := range book.lines {
		var x recorded
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		seen[strings.TrimSuffix(x.Served+" "+x.Fault, " ")]++
	}
	for _, want := range []string{
		"origin", "centre", "edge internal/internal", "edge visitor/unknown-site", "edge visitor/method", "edge visitor/bad-request",
		"edge origin/down", "origin origin/down",
	} {
		if seen[want] == 0 {
			t.Errorf("no record says %q; there are %v", want, seen)
		}
	}
	if strings.Count(r.log.String(), "msg=panic") == 0 {
		t.Error("nothing panicked")
	}
}

// The digests of a sample are those of what the origin sent and the visitor got.
func TestBodiesAreDigested(t *testing.T) {
	long := strings.Replace(page, "<p>the end</p>", strings.Repeat("<p>a line</p>\n", 40000), 1)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := page
		if strings.Contains(r.URL.Path, "long") {
			body = long
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if coding := r.URL.Query().Get("coding"); coding != "" {
			w.Header().Set("Content-Encoding", coding)
			body = encode(t, coding, body)
		}
		if r.URL.Query().Has("sized") {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Header().Set("X-Digest", fmt.Sprintf("%x", sha256.Sum256([]byte(body))))
		io.WriteString(w, body)
	})
	book := new(notebook)
	r := newRig(t, origin, recordedBy(book), sampling(1), routes(`
      - path: /pass/**
      - path: /page/**
        policies:
          - use: nearby
            with: {list: "#results", show: ".distance"}
`))
	v := r.visitor(nowhere, "Accept-Encoding", "gzip, br")
	n := 0
	for _, path := range []string{"/pass/short", "/pass/long", "/page/short", "/page/long"} {
		for _, query := range []string{"", "?sized", "?coding=gzip", "?coding=br&sized"} {
			n++
			resp, body := v.get(path + query)
			x, line := book.last(t, n)
			if want := resp.Header.Get("X-Digest"); x.In != want {
				t.Errorf("%s%s: the origin's body is recorded as %q, want %s", path, query, x.In, want)
			}
			if want := fmt.Sprintf("%x", sha256.Sum256([]byte(body))); x.Out != want || x.Sealed {
				t.Errorf("%s%s: the sent body is recorded as %q, want %s: %s", path, query, x.Out, want, line)
			}
		}
	}
	// What a policy was given of the visitor keys them.
	v.choose("action=allow-all")
	v.from = berlin
	resp, body := v.get("/page/short")
	x, line := book.last(t, n+2)
	in, _ := hex.DecodeString(resp.Header.Get("X-Digest"))
	out := sha256.Sum256([]byte(body))
	wantIn, wantOut := book.SealDigest([32]byte(in)), book.SealDigest(out)
	if x.In != fmt.Sprintf("%x", wantIn) || x.Out != fmt.Sprintf("%x", wantOut) || !x.Sealed || bytes.Equal(wantIn[:], wantOut[:]) {
		t.Errorf("sealed: %s", line)
	}
}

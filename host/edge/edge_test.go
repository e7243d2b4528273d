package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/geo"
	"bespoke/geo/demodb"
	"bespoke/host/audit/exhibit"
	"bespoke/host/profile"
	"bespoke/host/recommend"
)

// Addresses of the demo's geo database.
const (
	sanFrancisco = "198.51.100.7"
	berlin       = "192.0.2.7"
	nowhere      = "10.1.2.3"
)

// nearbyAndGreet are the routes of most tests here.
const nearbyAndGreet = `
      - path: /**
        policies:
          - use: nearby
            with: {list: "#results", show: ".distance"}
          - use: greet
            with: {slot: "#greeting", text: "Welcome back, {name}"}
`

// page is what origins here answer with: Tokyo first, which is nobody's order.
const page = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Stores</title></head><body>
<p id="greeting"></p>
<ul id="results">
<li data-lat="35.68" data-lon="139.69">Tokyo <span class="distance"></span></li>
<li data-lat="52.52" data-lon="13.40">Berlin <span class="distance"></span></li>
<li data-lat="37.77" data-lon="-122.42">San Francisco <span class="distance"></span></li>
</ul>
<p>the end</p>
</body></html>
`

// A rig is a real edge before a real origin, over loopback.
type rig struct {
	t      testing.TB
	edge   *Edge
	origin *httptest.Server
	url    string // of the edge
	addr   string
	dir    string
	log    *syncBuffer
	store  *Store
	known  *Subjects // nil without subjects
	clock  *clock
	served chan error
}

type rigOption func(*rigConfig)

type rigConfig struct {
	routes string
	extra  string // top-level YAML
	origin string // address, instead of a server
	trust  string
	tenant string // more YAML of the tenant, on one line
	level  slog.Level
	known  bool
	items  *recommend.Recommender
	ledger Ledger
	sample int
	keeps  *exhibit.Store
}

func routes(yaml string) rigOption   { return func(c *rigConfig) { c.routes = yaml } }
func extra(yaml string) rigOption    { return func(c *rigConfig) { c.extra = yaml } }
func originAt(addr string) rigOption { return func(c *rigConfig) { c.origin = addr } }
func ofTenant(yaml string) rigOption { return func(c *rigConfig) { c.tenant = yaml } }
func logging(l slog.Level) rigOption { return func(c *rigConfig) { c.level = l } }
func withSubjects() rigOption        { return func(c *rigConfig) { c.known = true } }
func offering(i *recommend.Recommender) rigOption {
	return func(c *rigConfig) { c.items = i }
}
func recordedBy(l Ledger) rigOption         { return func(c *rigConfig) { c.ledger = l } }
func sampling(n int) rigOption              { return func(c *rigConfig) { c.sample = n } }
func exhibiting(s *exhibit.Store) rigOption { return func(c *rigConfig) { c.keeps = s } }
func trusting(prefix string) rigOption      { return func(c *rigConfig) { c.trust = prefix } }

// A clock is the system's, and what a test adds.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(by time.Duration) { c.ahead.Add(int64(by)) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// cache is shared by all rigs of a test binary, so that the built-in module is
// compiled once.
var cache = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "bespoke-edge-test-")
	if err != nil {
		panic(err)
	}
	return dir
})

// compiled is the folder of compiled code in cache.
func compiled() string { return filepath.Join(cache(), "cache") }

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		playRole(role)
		os.Exit(0)
	}
	code := m.Run()
	os.RemoveAll(cache())
	os.Exit(code)
}

func newRig(t testing.TB, origin http.Handler, opts ...rigOption) *rig {
	t.Helper()
	c := rigConfig{routes: nearbyAndGreet, trust: "127.0.0.0/8", level: LevelLines}
	for _, o := range opts {
		o(&c)
	}
	r := &rig{t: t, dir: t.TempDir(), log: &syncBuffer{}, clock: new(clock), served: make(chan error, 1)}
	if c.origin == "" {
		r.origin = httptest.NewServer(origin)
		t.Cleanup(r.origin.Close)
		c.origin = r.origin.Listener.Addr().String()
	}
	var db bytes.Buffer
	if err := demodb.Build(&db); err != nil {
		t.Fatal(err)
	}
	r.write("places.mmdb", db.String())
	r.configure(c)

	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: c.level}))
	site, modules, err := Load(context.Background(), r.config(), log)
	if err != nil {
		t.Fatal(err)
	}
	places, err := geo.Open(site.Geo)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := profile.NewSealer(profile.Key{1})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(c.routes, "@") {
		if r.store, err = OpenStore(context.Background(), r.dir, site.Limits.Policy, log); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r.stop()
			if err := r.store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if c.known {
		if r.known, err = NewSubjects(SubjectsConfig{Dir: r.subjectsDir(), Key: [32]byte{2}, Log: log, Retry: 20 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r.stop()
			if err := r.known.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	r.edge, err = New(Config{Site: site, Modules: modules, Geo: places, Store: r.store, Subjects: r.known, Ledger: c.ledger, Sample: c.sample, Exhibits: c.keeps, Sealer: sealer, Log: log, Now: r.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, t := range r.edge.current.Load().exact {
		t.recommender = c.items
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.url = "http://" + r.addr
	go func() { r.served <- r.edge.Serve(ln) }()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) subjectsDir() string { return filepath.Join(r.dir, "store") }

func (r *rig) config() string { return filepath.Join(r.dir, "bespoke.yaml") }

func (r *rig) configure(c rigConfig) {
	r.write("bespoke.yaml", fmt.Sprintf(`listen: 127.0.0.1:0
state: %q
geo: places.mmdb
trusted_proxies: [%s]
%s
tenants:
  - name: shop
    hosts: [shop.localhost, shop.example]
    origin: http://%s
    %s
    routes: %s
`, cache(), c.trust, c.extra, c.origin, c.tenant, c.routes))
}

func (r *rig) write(name, text string) {
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() {
	if r.edge == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*drainGrace) // too short for grace periods
	defer cancel()
	if err := r.edge.Shutdown(ctx); err != nil {
		r.t.Logf("shutdown: %v", err)
	}
	r.edge = nil
}

// A visitor is a browser as far as these tests need one: a jar and an address.
type visitor struct {
	rig    *rig
	client http.Client
	from   string
	header http.Header
}

func (r *rig) visitor(from string, header ...string) *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{rig: r, from: from, header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		v.header.Add(header[i], header[i+1])
	}
	v.client = http.Client{
		Jar:           jar,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, r.addr)
		}},
	}
	r.t.Cleanup(v.client.CloseIdleConnections)
	return v
}

// do sends a request to the shop and returns the answer with its body read.
func (v *visitor) do(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	v.rig.t.Helper()
	req, err := http.NewRequest(method, "http://shop.localhost"+path, body)
	if err != nil {
		v.rig.t.Fatal(err)
	}
	req.Header = v.header.Clone()
	if v.from != "" {
		req.Header.Set("X-Forwarded-For", v.from)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.rig.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.rig.t.Fatalf("%s %s: read the body: %v", method, path, err)
	}
	return resp, string(b)
}

func (v *visitor) get(path string, header ...string) (*http.Response, string) {
	v.rig.t.Helper()
	return v.do("GET", path, nil, header...)
}

// choose posts a form to the privacy centre.
func (v *visitor) choose(form string) {
	v.rig.t.Helper()
	resp, body := v.do("POST", "/_bespoke/privacy", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != 303 {
		v.rig.t.Fatalf("choose %s: %d %s", form, resp.StatusCode, body)
	}
}

func html(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Last-Modified", "Sat, 03 Jan 2026 00:00:00 GMT")
		w.Header().Set("Cache-Control", "public, max-age=600")
		io.WriteString(w, body)
	})
}

// cities returns the cities of the page in the order that they stand in.
func cities(body string) string {
	var order []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "<li") {
			_, rest, _ := strings.Cut(line, ">")
			name, _, _ := strings.Cut(rest, " <")
			order = append(order, name)
		}
	}
	return strings.Join(order, ", ")
}

const (
	originOrder = "Tokyo, Berlin, San Francisco"
	fromSF      = "San Francisco, Tokyo, Berlin"
	fromBerlin  = "Berlin, Tokyo, San Francisco"
)

func jarURL() *url.URL { return &url.URL{Scheme: "http", Host: "shop.localhost", Path: "/"} }

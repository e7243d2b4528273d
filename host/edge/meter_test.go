package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/watch"
	"bespoke/modules/abi"
)

// figuresOf returns every counter and gauge of an edge as "name{a,b} value", and
// of histograms how many were counted.
func figuresOf(e *Edge) map[string]float64 {
	all := map[string]float64{}
	for _, f := range e.Families() {
		f.Samples(func(s watch.Sample) {
			key := f.Name + "{" + strings.Join(s.Labels, ",") + "}"
			if s.Histogram != nil {
				s.Value = float64(s.Histogram.Count)
			}
			if _, twice := all[key]; twice {
				panic(key + " stands twice")
			}
			all[key] = s.Value
		})
	}
	return all
}

func TestFigures(t *testing.T) {
	dir := t.TempDir()
	files := map[string][]byte{
		"spin.wasm":  module([]byte{0x03, 0x40, 0x0c, 0, 0x0b}, nil, &abi.Manifest{Name: "spin", Version: "1.0.0"}), // loop: br 0
		"two.wasm":   emitter([]abi.Edit{{Op: abi.OpText, Target: "#a", A: "new"}, {Op: abi.OpText, Target: "#nowhere", A: "x"}, {Op: abi.OpSetHeader, Target: "x-two", A: "2"}}),
		"reads.wasm": teller([]string{"request.path", "geo.city", "profile.recent", "profile.persona"}, map[string]string{"request.path": "to test", "geo.city": "to test", "profile.recent": "to test"}),
	}
	for name, code := range files {
		if err := os.WriteFile(filepath.Join(dir, name), code, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	use := func(name string) string { return `{use: "file:` + filepath.Join(dir, name) + `"}` }
	hang := make(chan struct{})
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		case "/slow":
			<-hang
		default:
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<p id=a>old</p>"))
		}
	})
	r := newRig(t, origin, extra("limits: {origin_timeout: 1s, policy: {time: 5ms}}"), routes("[{path: /spin, policies: ["+use("spin.wasm")+"]}, {path: /two, policies: ["+use("two.wasm")+", "+use("reads.wasm")+"]}]"))
	defer close(hang)
	refuser, allower := r.visitor("192.0.2.7"), r.visitor("198.51.100.7")
	refuser.choose("action=refuse-all")
	for range 3 {
		refuser.get("/two")
	}
	allower.get("/two")
	allower.get("/spin")
	allower.get("/broken")
	allower.get("/slow")
	allower.get("/anything")
	if resp, err := http.Get(r.url + "/elsewhere"); err == nil { // by address: no site's
		resp.Body.Close()
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "nonsense\r\n\r\n")
	io.ReadAll(c)
	c.Close()

	two, spin, reads := "file:"+filepath.Join(dir, "two.wasm"), "file:"+filepath.Join(dir, "spin.wasm"), "file:"+filepath.Join(dir, "reads.wasm")
	want := map[string]float64{
		"bespoke_exchanges_total{shop,,centre,3xx}":                          1,
		"bespoke_exchanges_total{shop,/two,origin,2xx}":                      4,
		"bespoke_exchanges_total{shop,/spin,origin,2xx}":                     1,
		"bespoke_exchanges_total{shop,,origin,2xx}":                          1,
		"bespoke_exchanges_total{shop,,edge,5xx}":                            2,
		"bespoke_exchanges_total{,,edge,4xx}":                                2,
		"bespoke_exchange_duration_seconds{shop}":                            9,
		"bespoke_edge_duration_seconds{shop}":                                9,
		"bespoke_origin_duration_seconds{shop}":                              8,
		"bespoke_faults_total{shop,origin,down}":                             1,
		"bespoke_faults_total{shop,origin,slow}":                             1,
		"bespoke_faults_total{,visitor,unknown-site}":                        1,
		"bespoke_faults_total{,visitor,bad-request}":                         1,
		"bespoke_decisions_total{shop,localize,false,withdrawal}":            3,
		"bespoke_decisions_total{shop,localize,true,jurisdiction}":           2,
		"bespoke_decisions_total{shop,personalize,false,withdrawal}":         3,
		"bespoke_reads_total{shop,public,given}":                             4,
		"bespoke_reads_total{shop,place-cell,given}":                         1,
		"bespoke_reads_total{shop,place-cell,withheld}":                      3,
		"bespoke_reads_total{shop,inferred,withheld}":                        3,
		"bespoke_reads_total{shop,inferred,absent}":                          1,
		"bespoke_reads_total{shop,inferred,undeclared}":                      4,
		"bespoke_policy_runs_total{shop,/two," + two + "}":                   4,
		"bespoke_policy_edits_total{shop,/two," + two + "}":                  12,
		"bespoke_policy_edits_applied_total{shop,/two," + two + "}":          4,
		"bespoke_policy_edits_not_applied_total{shop,/two," + two + "}":      4,
		"bespoke_policy_edits_not_applied_total{shop,/two," + reads + "}":    16,
		"bespoke_policy_runs_total{shop,/spin," + spin + "}":                 0,
		"bespoke_policy_failures_total{shop,/spin," + spin + ",fuel}":        1,
		"bespoke_policy_suspended{," + filepath.Join(dir, "spin.wasm") + "}": 0,
		"bespoke_draining{}":                                                 0,
	}
	// What a visitor was sent may be a moment ahead of what is counted of it.
	var got map[string]float64
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		if got = figuresOf(r.edge); got["bespoke_exchange_duration_seconds{shop}"] == 9 && got["bespoke_exchanges_total{,,edge,4xx}"] == 2 {
			break
		}
	}
	for key, v := range want {
		if got[key] != v {
			t.Errorf("%s is %v, want %v", key, got[key], v)
		}
	}
	if got["bespoke_policy_fuel_total{shop,/spin,"+spin+"}"] < 400_000 || got["bespoke_policy_seconds_total{shop,/two,"+two+"}"] <= 0 || got["bespoke_origin_connections{shop}"] < 1 {
		t.Errorf("fuel, seconds, connections: %v", got)
	}
	if t.Failed() {
		t.Log(got)
	}

	// A reload keeps what was counted, and forgets what is not configured any more.
	site, modules, err := Load(context.Background(), r.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	site.Tenants[0].Name = "renamed"
	if _, err := r.edge.Reload(site, modules, nil); err != nil {
		t.Fatal(err)
	}
	for key := range figuresOf(r.edge) {
		if strings.Contains(key, "{shop") {
			t.Errorf("%s: there is no such site any more", key)
		}
	}
	allower.get("/two")
	if site, modules, err = Load(context.Background(), r.config(), nil); err != nil {
		t.Fatal(err)
	}
	site.Tenants[0].Name = "renamed"
	if _, err := r.edge.Reload(site, modules, nil); err != nil {
		t.Fatal(err)
	}
	allower.get("/two")
	allower.get("/two") // so that the one before is counted
	if n := figuresOf(r.edge)["bespoke_exchanges_total{renamed,/two,origin,2xx}"]; n < 2 {
		t.Errorf("%v exchanges after a reload: counters went back", n)
	}
}

// BenchmarkFigures is what counting adds to an exchange with two policies: the
// looks at the clock, and the figures.
func BenchmarkFigures(b *testing.B) {
	e, x := counted(b)
	b.ReportAllocs()
	for b.Loop() {
		count(e, x)
	}
}

func TestFiguresAllocateNothing(t *testing.T) {
	e, x := counted(t)
	if n := testing.AllocsPerRun(100, func() { count(e, x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func counted(t testing.TB) (*Edge, *exchange) {
	r := newRig(t, html(page), logging(slog.LevelError))
	s := r.edge.current.Load()
	tn := s.tenantNamed("shop")
	x := &exchange{edge: r.edge, ctx: new(fasthttp.RequestCtx), snap: s, tenant: tn, route: &tn.routes[0]}
	x.edits = []abi.Edit{{Op: abi.OpText}, {Op: abi.OpText}}
	return r.edge, x
}

func count(e *Edge, x *exchange) {
	x.tally = tally{shard: x.tally.shard}
	x.tally.open(e, e.born)
	x.fromOrigin(e.tick()) // header
	at := e.tick()
	for i := range 2 {
		x.tally.read(abi.Public, readGiven)
		x.tally.read(abi.PlaceCell, readWithheld)
		at = x.ran(&x.route.policies[i], abi.OnResponse, at, 100, i, nil)
	}
	x.fromOrigin(e.tick()) // body
	x.tally.decided = true
	x.tally.answered = e.tick()
	x.count(noFault)
}

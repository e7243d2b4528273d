package edge

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"bespoke/host/watch"
	"bespoke/host/watch/otlp"
)

// traced has an edge send traces to a collector. spans ends that, and returns
// what came, a line for each span, by trace.
func traced(t testing.TB, r *rig, propagate bool) (spans func() map[string][]string) {
	var mu sync.Mutex
	var all []*tracepb.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		d := new(tracepb.TracesData)
		if err := proto.Unmarshal(b, d); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range d.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				all = append(all, ss.Spans...)
			}
		}
	}))
	t.Cleanup(collector.Close)
	u, err := url.Parse(collector.URL)
	if err != nil {
		t.Fatal(err)
	}
	e, err := otlp.New(otlp.Config{Endpoint: u, Sample: 1, Wait: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r.edge.traces = e // no exchange has begun
	r.edge.current.Load().site.Traces.Propagate = propagate
	return func() map[string][]string {
		r.stop() // every exchange has ended
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		out := map[string][]string{}
		for _, s := range all {
			line := s.Name
			for _, kv := range s.Attributes {
				switch kv.Key {
				case "bespoke.policy", "bespoke.phase", "http.route", "error.type", "bespoke.served":
					line += " " + kv.Value.GetStringValue()
				case "http.response.status_code":
					line += fmt.Sprint(" ", kv.Value.GetIntValue())
				}
			}
			if s.EndTimeUnixNano < s.StartTimeUnixNano || time.Since(time.Unix(0, int64(s.StartTimeUnixNano))).Abs() > time.Minute {
				t.Errorf("%s from %d to %d", line, s.StartTimeUnixNano, s.EndTimeUnixNano)
			}
			id := hex.EncodeToString(s.TraceId)
			out[id] = append(out[id], line)
		}
		return out
	}
}

func TestTraces(t *testing.T) {
	var mu sync.Mutex
	told := map[string]http.Header{}
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		told[r.URL.Path] = r.Header.Clone()
		mu.Unlock()
		if r.URL.Path == "/broken" {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
			return
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	const parent = "00-5ec0de5ec0de5ec0de5ec0de5ec0de01-b7ad6b7169203331-01"
	for _, trusted := range []bool{false, true} {
		t.Run(fmt.Sprint("trusted=", trusted), func(t *testing.T) {
			trust := "10.0.0.0/8"
			if trusted {
				trust = "127.0.0.0/8"
			}
			r := newRig(t, origin, trusting(trust))
			spans := traced(t, r, true)
			v := r.visitor("198.51.100.7", "Traceparent", parent, "Tracestate", "vendor=secret")
			v.get("/one")
			v.get("/broken")
			got := spans()

			var lines []string
			for id, list := range got {
				if (id == "5ec0de5ec0de5ec0de5ec0de5ec0de01") != trusted {
					t.Errorf("trace %s", id)
				}
				lines = append(lines, list...)
			}
			slices.Sort(lines)
			want := "exchange /** edge 502 origin/down; exchange /** origin 200; origin; origin; origin body; policy greet on_response; policy nearby on_response; rewrite"
			if s := strings.Join(lines, "; "); s != want {
				t.Errorf("spans %s\nwant  %s", s, want)
			}
			h := told["/one"]
			p := watch.ParseParent([]byte(h.Get("Traceparent")))
			if !p.Known() || !p.Sampled || h.Get("Traceparent") == parent || got[hex.EncodeToString(p.Trace[:])] == nil || len(h.Values("Traceparent")) != 1 {
				t.Errorf("the origin is told %v", h)
			}
			if (h.Get("Tracestate") != "") != trusted {
				t.Errorf("Tracestate %q", h.Get("Tracestate"))
			}
		})
	}

	t.Run("not propagated", func(t *testing.T) {
		r := newRig(t, origin)
		spans := traced(t, r, false)
		r.visitor("198.51.100.7").get("/two")
		if len(spans()) != 1 || told["/two"].Get("Traceparent") != "" {
			t.Errorf("the origin is told %v", told["/two"])
		}
	})
}

// BenchmarkTraces is what traces add to the figures of an exchange with two policies.
func BenchmarkTraces(b *testing.B) {
	b.Run("off", func(b *testing.B) {
		e, x := counted(b)
		b.ReportAllocs()
		for b.Loop() {
			x.beginTrace()
			count(e, x)
		}
	})
	for _, sample := range []float64{1e-9, 1} {
		b.Run(fmt.Sprint("sample=", sample), func(b *testing.B) {
			e, x := counted(b)
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
			defer collector.Close()
			u, _ := url.Parse(collector.URL)
			ex, err := otlp.New(otlp.Config{Endpoint: u, Sample: sample})
			if err != nil {
				b.Fatal(err)
			}
			defer ex.Close(context.Background())
			e.traces = ex
			b.ReportAllocs()
			for b.Loop() {
				x.beginTrace()
				t := x.tally.trace
				count(e, x)
				if t != nil {
					x.tally.trace = t
					x.endTrace(noFault, 200, e.tick())
				}
			}
		})
	}
}

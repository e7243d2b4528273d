package otlp

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"bespoke/host/watch"
)

// A collector takes what an Exporter sends, and reads it with OpenTelemetry's own
// types.
type collector struct {
	t      *testing.T
	server *httptest.Server
	answer atomic.Int32 // status; 0: 200
	asked  atomic.Int32

	mu     sync.Mutex
	spans  []*tracepb.Span
	traces map[string]bool // by ID
	last   *tracepb.TracesData
}

func collect(t *testing.T) *collector {
	c := &collector{t: t, traces: map[string]bool{}}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	if s := c.answer.Load(); s != 0 {
		w.WriteHeader(int(s))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
	}
	// An ExportTraceServiceRequest has the same one field as TracesData.
	d := new(tracepb.TracesData)
	if err := proto.Unmarshal(body, d); err != nil {
		c.t.Error(err)
	}
	if len(d.ProtoReflect().GetUnknown()) > 0 {
		c.t.Error("unknown fields")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = d
	for _, rs := range d.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				if len(s.ProtoReflect().GetUnknown()) > 0 {
					c.t.Error("unknown fields")
				}
				c.traces[hex.EncodeToString(s.TraceId)] = true
				c.spans = append(c.spans, s)
			}
		}
	}
}

func (c *collector) exporter(conf Config) *Exporter {
	c.t.Helper()
	u, err := url.Parse(c.server.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	conf.Endpoint, conf.Version = u, "1.2.3"
	e, err := New(conf)
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

func (c *collector) close(e *Exporter) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		c.t.Error(err)
	}
}

func attributes(s *tracepb.Span) string {
	var all []string
	for _, kv := range s.Attributes {
		v := kv.Value.GetStringValue()
		if n := kv.Value.GetIntValue(); n != 0 {
			v = "int"
		}
		all = append(all, kv.Key+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestWire(t *testing.T) {
	c := collect(t)
	e := c.exporter(Config{Sample: 1})
	began := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	tr := e.Begin(watch.Parent{})
	tr.Began, tr.Took, tr.Tenant, tr.Route, tr.Served, tr.Status, tr.Fault = began, 30*time.Millisecond, "stores", "/shop/**", "origin", 502, "origin/down"
	long := strings.Repeat("x", 300) // its length needs two bytes
	tr.Spans = append(tr.Spans,
		watch.Span{Kind: watch.SpanPolicy, Policy: long, Phase: "on_request", Fault: "fuel", From: time.Millisecond, To: 2 * time.Millisecond},
		watch.Span{Kind: watch.SpanOrigin, From: 2 * time.Millisecond, To: 20 * time.Millisecond})
	id, root, origin := tr.ID, tr.Root, tr.Origin
	header := string(tr.AppendParent(nil))
	e.Take(tr)
	child := e.Begin(watch.Parent{Trace: [16]byte{9}, Span: [8]byte{7}, Sampled: true})
	child.Began = began
	e.Take(child)
	c.close(e)

	if len(c.spans) != 4 {
		t.Fatalf("%d spans", len(c.spans))
	}
	rs := c.last.ResourceSpans[0]
	if n := rs.Resource.Attributes; len(n) != 2 || n[0].Key != "service.name" || n[0].Value.GetStringValue() != "bespoke" || n[1].Value.GetStringValue() != "1.2.3" {
		t.Errorf("resource %v", n)
	}
	x, p, o := c.spans[0], c.spans[1], c.spans[2]
	if !bytes.Equal(x.TraceId, id[:]) || !bytes.Equal(x.SpanId, root[:]) || len(x.ParentSpanId) != 0 || x.Name != "exchange" || x.Kind != tracepb.Span_SPAN_KIND_SERVER ||
		x.StartTimeUnixNano != uint64(began.UnixNano()) || x.EndTimeUnixNano-x.StartTimeUnixNano != 30e6 || x.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("exchange %v", x)
	}
	if got := attributes(x); got != "bespoke.served=origin bespoke.tenant=stores error.type=origin/down http.response.status_code=int http.route=/shop/**" {
		t.Error(got)
	}
	if !bytes.Equal(p.ParentSpanId, root[:]) || len(p.SpanId) != 8 || p.Kind != tracepb.Span_SPAN_KIND_INTERNAL || p.StartTimeUnixNano != uint64(began.UnixNano())+1e6 || p.EndTimeUnixNano-p.StartTimeUnixNano != 1e6 {
		t.Errorf("policy %v", p)
	}
	if got := attributes(p); got != "bespoke.phase=on_request bespoke.policy="+long+" bespoke.tenant=stores error.type=fuel" {
		t.Error(got)
	}
	if !bytes.Equal(o.SpanId, origin[:]) || o.Kind != tracepb.Span_SPAN_KIND_CLIENT || o.Name != "origin" || o.Status != nil {
		t.Errorf("origin %v", o)
	}
	if y := c.spans[3]; y.TraceId[0] != 9 || y.ParentSpanId[0] != 7 {
		t.Errorf("child %v", y)
	}
	// What the origin is told leads back to the span that asked it.
	if back := watch.ParseParent([]byte(header)); back.Trace != id || back.Span != origin || !back.Sampled {
		t.Errorf("%s: %v", header, back)
	}
}

func TestSample(t *testing.T) {
	c := collect(t)
	e := c.exporter(Config{Sample: 0.25})
	defer c.close(e)
	n := 0
	for range 4000 {
		if e.Begin(watch.Parent{}) != nil {
			n++
		}
	}
	if n < 800 || n > 1200 { // 1000, and 7 standard deviations
		t.Errorf("%d of 4000", n)
	}
	if e.Begin(watch.Parent{Span: [8]byte{1}}) != nil {
		t.Error("the parent is not sampled, and its child is")
	}
}

// TestTrouble has a collector that is busy, then refuses, then works.
func TestTrouble(t *testing.T) {
	c := collect(t)
	var log bytes.Buffer
	e := c.exporter(Config{Sample: 1, Wait: time.Millisecond, Retry: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	until := func(what string, done func() bool) {
		t.Helper()
		for begin := time.Now(); !done(); time.Sleep(time.Millisecond) {
			if time.Since(begin) > 10*time.Second {
				t.Fatal(what)
			}
		}
	}
	c.answer.Store(503)
	e.Take(e.Begin(watch.Parent{}))
	until("it is not tried again", func() bool { return c.asked.Load() == 2 })
	c.answer.Store(0)
	until("what was tried again is not sent", func() bool { return e.sent.Load() == 1 })

	before := c.asked.Load()
	c.answer.Store(400)
	e.Take(e.Begin(watch.Parent{}))
	until("not given up", func() bool { return e.dropped.Load() == 1 })
	if n := c.asked.Load() - before; n != 1 {
		t.Errorf("asked %d times what is refused for good", n)
	}
	e.Take(e.Begin(watch.Parent{}))
	until("not given up", func() bool { return e.dropped.Load() == 2 })
	c.answer.Store(0)
	e.Take(e.Begin(watch.Parent{}))
	c.close(e)
	if e.sent.Load() != 2 || strings.Count(log.String(), "not taken") != 1 || strings.Count(log.String(), "taken again") != 1 {
		t.Errorf("%d sent, log %s", e.sent.Load(), log.String())
	}
}

// TestNobodyWaits has a collector that never answers.
func TestNobodyWaits(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	u, _ := url.Parse(server.URL)
	e, err := New(Config{Endpoint: u, Sample: 1, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 3 * maxWaiting {
		e.Take(e.Begin(watch.Parent{}))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("%s", took)
	}
	if e.dropped.Load() < maxWaiting/2 {
		t.Errorf("%d dropped", e.dropped.Load())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("what could not be sent is not told of")
	}
}

func TestEndpoints(t *testing.T) {
	for in, want := range map[string]string{
		"http://a.example:4318": "http://a.example:4318/v1/traces", "http://a.example/": "http://a.example/v1/traces", "https://a.example/otlp": "https://a.example/otlp",
	} {
		u, _ := url.Parse(in)
		e, err := New(Config{Endpoint: u})
		if err != nil || e.url != want {
			t.Errorf("%s: %v, %v", in, e.url, err)
		}
		e.Close(context.Background())
	}
	if _, err := New(Config{Endpoint: &url.URL{Scheme: "ftp", Host: "a"}}); err == nil {
		t.Error("ftp is taken")
	}
}

func BenchmarkEncode(b *testing.B) {
	tr := &watch.Trace{ID: [16]byte{1}, Root: [8]byte{2}, Tenant: "stores", Route: "/shop/**", Status: 200, Spans: make([]watch.Span, 4)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendTrace(buf[:0], tr)
	}
}

package edge

import (
	"time"

	"bespoke/host/watch"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// Traces take where the time of some exchanges went; the exporter of
// host/watch/otlp does. They are safe for concurrent use.
type Traces interface {
	// Begin returns a trace for an exchange that is to be traced, nil otherwise.
	Begin(watch.Parent) *watch.Trace
	// Take takes a trace of Begin, which is not the caller's any more.
	Take(*watch.Trace)
}

var (
	nameTraceparent = []byte("Traceparent")
	nameTracestate  = []byte("Tracestate")
)

// beginTrace decides whether the exchange is traced. Only a trusted proxy may
// say of what it is a part: a visitor could have every exchange of theirs traced,
// and under a number that they know.
func (x *exchange) beginTrace() {
	if x.edge.traces == nil {
		return
	}
	var parent watch.Parent
	if x.trusted {
		parent = watch.ParseParent(x.ctx.Request.Header.PeekCanonical(nameTraceparent))
	}
	x.tally.trace = x.edge.traces.Begin(parent)
}

// propagate tells the origin of the trace, where the configuration says so. What
// a visitor wrote there is dropped then.
func (x *exchange) propagate() {
	if x.edge.traces == nil || !x.snap.site.Traces.Propagate {
		return
	}
	h := &x.ctx.Request.Header
	if !x.trusted {
		h.DelBytes(nameTraceparent)
		h.DelBytes(nameTracestate)
	}
	if t := x.tally.trace; t != nil {
		x.scratch = t.AppendParent(x.scratch[:0])
		setOne(h, nameTraceparent, x.scratch)
	}
}

// span notes a part of the exchange, if it is traced.
func (y *tally) span(kind watch.SpanKind, from, to time.Duration) {
	if y.trace != nil {
		y.trace.Spans = append(y.trace.Spans, watch.Span{Kind: kind, From: from - y.began, To: to - y.began})
	}
}

// spanOfRun notes a run of a policy, if the exchange is traced.
func (y *tally) spanOfRun(p *policy, ph abi.Phase, failure engine.FaultKind, from, to time.Duration) {
	if y.trace != nil {
		y.trace.Spans = append(y.trace.Spans, watch.Span{
			Kind: watch.SpanPolicy, Policy: p.name, Phase: ph.Export(), Fault: failure.String(), From: from - y.began, To: to - y.began,
		})
	}
}

// endTrace gives the trace away: all that is told of the exchange is in it.
func (x *exchange) endTrace(f fault, status int, now time.Duration) {
	y := &x.tally
	t := y.trace
	if t == nil {
		return
	}
	y.trace = nil
	if y.rewrote > 0 {
		t.Spans = append(t.Spans, watch.Span{Kind: watch.SpanRewrite, From: y.rewrote - y.began, To: y.answered - y.began})
		if x.streamed {
			t.Spans[len(t.Spans)-1].To = now - y.began
		}
	}
	t.Began, t.Took, t.Status, t.Fault = x.edge.born.Add(y.began), now-y.began, status, f.String()
	t.Served = servedNames[y.served]
	if x.tenant != nil {
		t.Tenant = x.tenant.name
	}
	if x.route != nil {
		t.Route = x.route.Path
	}
	x.edge.traces.Take(t)
}

package edge

import (
	"errors"
	"math"
	"time"

	"bespoke/host/consent"
	"bespoke/host/watch"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// Who answered, as the figures and the record name it.
const (
	servedOrigin uint8 = iota
	servedPolicy       // a redirect
	servedCentre       // the privacy centre, and what else the edge has of its own
	servedEdge         // a fault
)

var servedNames = [...]string{servedOrigin: "origin", servedPolicy: "policy", servedCentre: "centre", servedEdge: "edge"}

// Outcomes of reads, as the figures name them.
const (
	readGiven = iota
	readWithheld
	readAbsent
	readUndeclared
	readOutcomes
)

const readClasses = int(abi.Interests) + 1

// figures returns the words that this package's figures are told by.
func figures() watch.Names {
	n := watch.Names{
		Served:   servedNames[:],
		Outcomes: []string{readGiven: "given", readWithheld: "withheld", readAbsent: "absent", readUndeclared: "undeclared"},
		Rules:    consent.Rules(),
		Reasons:  missedNames[:],
	}
	for p := range abi.Purpose(abi.Purposes) {
		n.Purposes = append(n.Purposes, p.String())
	}
	for c := range readClasses {
		n.Classes = append(n.Classes, abi.Class(c).String())
	}
	for k := range engine.FaultKinds {
		n.Failures = append(n.Failures, k.String())
	}
	for _, f := range faults {
		n.Faults = append(n.Faults, watch.Fault{Source: f.source, Name: f.name})
	}
	return n
}

// count resolves what a snapshot's exchanges are counted under.
func (s *snapshot) count(m *watch.Meters) {
	for i := range s.site.Tenants {
		t := s.tenantNamed(s.site.Tenants[i].Name)
		t.meter = m.Tenant(t.name)
		for j := range t.routes {
			r := &t.routes[j]
			r.meter = t.meter.Route(r.Path)
			for k := range r.policies {
				r.policies[k].meter = t.meter.Policy(r.Path, r.policies[k].name)
			}
		}
	}
}

func (s *snapshot) tenantNames() (names []string) {
	for i := range s.site.Tenants {
		names = append(names, s.site.Tenants[i].Name)
	}
	return names
}

// tenantNamed returns the tenant of that name, nil if there is none.
func (s *snapshot) tenantNamed(name string) *tenant {
	for _, t := range s.exact {
		if t.name == name {
			return t
		}
	}
	for _, w := range s.wild {
		if w.tenant.name == name {
			return w.tenant
		}
	}
	return nil
}

// A tally is what an exchange gathers for the figures while it lasts.
type tally struct {
	shard    uint32        // of the figures; the exchange's for ever
	began    time.Duration // since the edge's start, as all times here
	answered time.Duration // when the answer could begin; 0: not yet
	origin   time.Duration // that the origin took
	visitor  time.Duration // that the visitor took to send a body
	asked    bool          // the origin was
	decided  bool
	rewrote  time.Duration // when rewriting began, in an exchange that is traced
	trace    *watch.Trace  // nil: it is not
	served   uint8
	reads    [readClasses * readOutcomes]uint16
	ran      []emitted // of ranBuf, unless there are more
	ranBuf   [4]emitted
}

// emitted says which edits of an exchange are a policy's.
type emitted struct{ meter, from, to int }

// tick is the time since the edge's start: one look at the monotonic clock.
func (e *Edge) tick() time.Duration { return time.Since(e.born) }

// open begins the tally of an exchange that began at a time of the edge's clock.
func (y *tally) open(e *Edge, began time.Time) {
	if y.shard == 0 {
		y.shard = e.shards.Add(1)
	}
	if y.began = began.Sub(e.born); e.setClock {
		y.began = e.tick()
	}
	y.ran = y.ranBuf[:0]
}

// read counts a read of a policy.
func (y *tally) read(class abi.Class, outcome int) {
	if n := &y.reads[int(class)*readOutcomes+outcome]; *n < math.MaxUint16 {
		*n++
	}
}

// fromOrigin counts the time since then as the origin's. It returns the time of now.
func (x *exchange) fromOrigin(since time.Duration) time.Duration {
	now := x.edge.tick()
	kind := watch.SpanBody
	if !x.tally.asked {
		kind = watch.SpanOrigin
	}
	x.tally.span(kind, since, now)
	x.tally.origin += now - since
	x.tally.asked = true
	return now
}

// ran counts a run of a policy that began at a time, and remembers which edits
// are its own. It returns the time of now.
func (x *exchange) ran(p *policy, ph abi.Phase, since time.Duration, fuel int64, from int, err error) time.Duration {
	if x.tally.ran == nil {
		return since // a dry exchange
	}
	now := x.edge.tick()
	run := watch.Run{Fuel: uint64(max(fuel, 0)), Took: now - since}
	if err != nil {
		run.Failure = uint8(failureOf(err))
	} else if run.Edits = len(x.edits) - from; run.Edits > 0 {
		x.tally.ran = append(x.tally.ran, emitted{p.meter, from, len(x.edits)})
	}
	x.tally.spanOfRun(p, ph, engine.FaultKind(run.Failure), since, now)
	x.tenant.meter.Ran(x.tally.shard, p.meter, &run)
	if refused := &x.view.refused; refused.any {
		x.tenant.meter.Missed(x.tally.shard, p.meter, int(refusedOp), refused.times[:])
	}
	return now
}

func failureOf(err error) engine.FaultKind {
	var f *engine.Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	return engine.FaultHost
}

// count adds the exchange to the figures. f is why it ended without the origin's
// answer, or why that did not go out whole.
func (x *exchange) count(f fault) {
	y := &x.tally
	meter := x.edge.homeless
	c := watch.Exchange{Fault: uint8(f), Status: x.ctx.Response.StatusCode(), Served: y.served, Origin: -1}
	if x.tenant != nil && x.tenant.meter != nil {
		meter = x.tenant.meter
		if x.route != nil {
			c.Route = x.route.meter
		}
	}
	now := x.edge.tick()
	if y.answered == 0 {
		y.answered = now
	}
	c.Took, c.Own = now-y.began, y.answered-y.began-y.origin-y.visitor
	if y.asked {
		c.Origin = y.origin
	}
	var rules [abi.Purposes]uint8
	if y.decided {
		for p := range abi.Purpose(abi.Purposes) {
			rules[p] = uint8(x.decision.Rule(p))
		}
		c.Decided, c.Granted, c.Rules = true, uint8(x.decision.Granted()), rules[:]
	}
	c.Reads = y.reads[:]
	x.endTrace(f, c.Status, now)
	meter.Count(y.shard, &c)
	if x.body != nil && len(y.ran) > 0 {
		x.countEdits(meter)
	}
}

// Families returns the figures of the edge: what [watch] shows.
func (e *Edge) Families() []watch.Family {
	own := []watch.Family{
		watch.One("bespoke_connections", "Open connections of visitors.", watch.Gauge, func() float64 { return float64(e.server.GetOpenConnectionsCount()) }),
		watch.One("bespoke_upload_bytes", "Bytes of request bodies that are held beyond 64 KiB each.", watch.Gauge, func() float64 { return float64(e.uploads.Load()) }),
		watch.One("bespoke_draining", "1 while the edge is being stopped.", watch.Gauge, func() float64 {
			if e.draining.Load() {
				return 1
			}
			return 0
		}),
		{Name: "bespoke_origin_connections", Help: "Open connections to the origin.", Kind: watch.Gauge, Labels: []string{"tenant"}, Samples: e.originConnections},
		{Name: "bespoke_policy_suspended", Help: "1 while a module is suspended because it failed too often; built-in policies share one module, and only uploads have a tenant.",
			Kind: watch.Gauge, Labels: []string{"tenant", "module"}, Samples: e.suspended},
	}
	return append(e.meters.Families(), own...)
}

func (e *Edge) originConnections(yield func(watch.Sample)) {
	s := e.acquire()
	if s == nil {
		return
	}
	defer s.release()
	for i := range s.site.Tenants {
		t := s.tenantNamed(s.site.Tenants[i].Name)
		yield(watch.Sample{Labels: []string{t.name}, Value: float64(t.origin.client.ConnsCount())})
	}
}

func (e *Edge) suspended(yield func(watch.Sample)) {
	s := e.acquire()
	if s == nil {
		return
	}
	defer s.release()
	tell := func(tenant, module string, m *engine.Module) {
		v := 0.0
		if m.State().Suspended {
			v = 1
		}
		yield(watch.Sample{Labels: []string{tenant, module}, Value: v})
	}
	s.modules.each(func(name string, m *engine.Module) { tell("", name, m) })
	if e.store != nil {
		e.store.each(tell)
	}
}

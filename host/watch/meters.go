package watch

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// bounds are those of the buckets, from what an exchange costs here to what an
// origin may take.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

const (
	classes   = 6               // of status codes: 1xx to 5xx, and what is none
	histogram = len(bounds) + 2 // buckets, the one beyond, the sum in nanoseconds
	maxShards = 8
)

// Meters are the figures of a process. They are safe for concurrent use.
type Meters struct {
	names  Names
	places places
	shards int

	mu      sync.Mutex // guards the rest
	tenants map[string]*Tenant
}

// places says where in a shard's cells a figure is.
type places struct {
	took, own, origin int // histograms
	faults            int // by fault
	decisions         int // by purpose, rule, denied and granted
	reads             int // by class and outcome
	cells             int // how many there are

	route  int // cells of a route: by who served, and class of status
	policy int // cells of a policy: by failure; the parts below; by reason
}

// Parts of a policy's cells, between those by failure and those by reason.
const (
	policyFuel = iota
	policyTime
	policyEdits
	policyApplied
	policyNotApplied
	policyParts
)

// NewMeters returns figures that are all zero.
func NewMeters(n Names) *Meters {
	m := &Meters{names: n, tenants: map[string]*Tenant{}}
	m.shards = min(runtime.GOMAXPROCS(0), maxShards)
	p, at := &m.places, 0
	take := func(n int) int { at += n; return at - n }
	p.took, p.own, p.origin = take(histogram), take(histogram), take(histogram)
	p.faults = take(len(n.Faults))
	p.decisions = take(len(n.Purposes) * len(n.Rules) * 2)
	p.reads = take(len(n.Classes) * len(n.Outcomes))
	p.cells = at
	p.route, p.policy = len(n.Served)*classes, len(n.Failures)+policyParts+len(n.Reasons)
	return m
}

// A Tenant is the figures of one site. Those of a name are the same after a
// reload: counters do not go back.
type Tenant struct {
	meters *Meters
	name   string
	shards []shard

	mu       sync.Mutex // guards the rest, and the lengths of what shards hold
	routes   []string
	policies []policyName
}

type policyName struct{ route, policy string }

// A shard is the part of a tenant's figures that some of its exchanges write.
type shard struct {
	mu       sync.Mutex // guards the rest
	cells    []uint64
	routes   []uint64
	policies []uint64
	_        [40]byte // up to two cache lines, so that shards share none
}

// Tenant returns the figures of a site; "" stands for requests that are no site's.
func (m *Meters) Tenant(name string) *Tenant {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[name]
	if t == nil {
		t = &Tenant{meters: m, name: strings.ToValidUTF8(name, "?"), shards: make([]shard, m.shards)}
		for i := range t.shards {
			t.shards[i].cells = make([]uint64, m.places.cells)
		}
		t.Route("") // where no route matches
		m.tenants[name] = t
	}
	return t
}

// Retain forgets the tenants that are not among names, and so bounds the labels
// by what is configured.
func (m *Meters) Retain(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.tenants {
		if name != "" && !slices.Contains(names, name) {
			delete(m.tenants, name)
		}
	}
}

// Route returns the number of a route, by its pattern; 0 is none.
func (t *Tenant) Route(pattern string) int {
	pattern = strings.ToValidUTF8(pattern, "?")
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.routes, pattern); i >= 0 {
		return i
	}
	t.routes = append(t.routes, pattern)
	t.grow()
	return len(t.routes) - 1
}

// Policy returns the number of a policy on a route, by their names.
func (t *Tenant) Policy(route, policy string) int {
	n := policyName{strings.ToValidUTF8(route, "?"), strings.ToValidUTF8(policy, "?")}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.policies, n); i >= 0 {
		return i
	}
	t.policies = append(t.policies, n)
	t.grow()
	return len(t.policies) - 1
}

// grow makes room in every shard for what has a number.
func (t *Tenant) grow() {
	p := &t.meters.places
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.routes = append(s.routes, make([]uint64, len(t.routes)*p.route-len(s.routes))...)
		s.policies = append(s.policies, make([]uint64, len(t.policies)*p.policy-len(s.policies))...)
		s.mu.Unlock()
	}
}

// An Exchange is what one exchange adds to the figures. Its bytes are indexes
// into Names.
type Exchange struct {
	Route  int // of Tenant.Route
	Served uint8
	Fault  uint8
	Status int

	Took   time.Duration // from the request to the last byte of the answer
	Own    time.Duration // of it, until the answer could begin, without Origin
	Origin time.Duration // of it, waiting for the origin; below zero: it was not asked

	Decided bool    // the rest is of a decision
	Granted uint8   // a set of purposes, by bit
	Rules   []uint8 // by purpose

	Reads []uint16 // by class and outcome: class*len(Outcomes)+outcome; nil: none
}

// Count adds an exchange. Which shard it goes to is the caller's choice: those
// who come from different processors do well to pass different numbers.
func (t *Tenant) Count(shard uint32, x *Exchange) {
	p, n := &t.meters.places, &t.meters.names
	s := &t.shards[int(shard)%len(t.shards)]
	class := classes - 1
	if x.Status >= 100 && x.Status < 600 {
		class = x.Status/100 - 1
	}
	s.mu.Lock()
	s.routes[x.Route*p.route+int(x.Served)*classes+class]++
	observe(s.cells[p.took:], x.Took)
	observe(s.cells[p.own:], x.Own)
	if x.Origin >= 0 {
		observe(s.cells[p.origin:], x.Origin)
	}
	if x.Fault > 0 {
		s.cells[p.faults+int(x.Fault)]++
	}
	if x.Decided {
		for i, rule := range x.Rules {
			s.cells[p.decisions+(i*len(n.Rules)+int(rule))*2+int(x.Granted>>i&1)]++
		}
	}
	for i, times := range x.Reads {
		if times > 0 {
			s.cells[p.reads+i] += uint64(times)
		}
	}
	s.mu.Unlock()
}

// Fault counts a request that could not be read, and so became no exchange.
func (t *Tenant) Fault(shard uint32, served, fault uint8, status int) {
	t.Count(shard, &Exchange{Served: served, Fault: fault, Status: status, Origin: -1})
}

func observe(cells []uint64, d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	cells[i]++
	cells[len(bounds)+1] += uint64(d)
}

// A Run is one run of a policy.
type Run struct {
	Failure uint8 // index into Names.Failures; 0: it ran
	Fuel    uint64
	Took    time.Duration
	Edits   int // that it emitted and that count
}

// Ran adds a run of a policy, by its number.
func (t *Tenant) Ran(shard uint32, policy int, r *Run) {
	n := len(t.meters.names.Failures)
	s := &t.shards[int(shard)%len(t.shards)]
	s.mu.Lock()
	cells := s.policies[policy*t.meters.places.policy:]
	cells[r.Failure]++
	cells = cells[n:]
	cells[policyFuel] += r.Fuel
	cells[policyTime] += uint64(max(r.Took, 0))
	cells[policyEdits] += uint64(max(r.Edits, 0))
	s.mu.Unlock()
}

// Applied adds what became of a policy's edits of a body: on how many places
// they were carried out, and how many edits were on none.
func (t *Tenant) Applied(shard uint32, policy, places, none int) {
	n := len(t.meters.names.Failures)
	s := &t.shards[int(shard)%len(t.shards)]
	s.mu.Lock()
	cells := s.policies[policy*t.meters.places.policy+n:]
	cells[policyApplied] += uint64(places)
	cells[policyNotApplied] += uint64(none)
	s.mu.Unlock()
}

// Missed adds why edits of a policy were refused, or not carried out: how often, by
// reason, from one of Names.Reasons on.
func (t *Tenant) Missed(shard uint32, policy, from int, times []uint16) {
	first := len(t.meters.names.Failures) + policyParts + from
	s := &t.shards[int(shard)%len(t.shards)]
	s.mu.Lock()
	cells := s.policies[policy*t.meters.places.policy+first:][:len(times)]
	for i, n := range times {
		cells[i] += uint64(n)
	}
	s.mu.Unlock()
}

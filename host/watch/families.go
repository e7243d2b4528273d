package watch

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Families returns the figures, each with what it is called and what it means.
func (m *Meters) Families() []Family {
	n, p := &m.names, &m.places
	return []Family{
		{"bespoke_exchanges_total", "Requests answered, by who answered and the class of the status.", Counter,
			[]string{"tenant", "route", "served", "status"}, m.ofRoutes},
		m.durations("bespoke_exchange_duration_seconds", "From the request's header to the last byte of the answer.", p.took),
		m.durations("bespoke_edge_duration_seconds", "What the edge itself took until the answer could begin: without the origin, and without sending.", p.own),
		m.durations("bespoke_origin_duration_seconds", "What the origin took until its answer's header, and until its body where that is read as a whole.", p.origin),
		m.cells("bespoke_faults_total", "Exchanges that went wrong, by whose fault it was.", []string{"tenant", "source", "fault"}, p.faults, len(n.Faults),
			func(i int) []string { return []string{n.Faults[i].Source, n.Faults[i].Name} }),
		m.cells("bespoke_decisions_total", "Decisions on a purpose, by outcome and the rule that settled it.", []string{"tenant", "purpose", "granted", "rule"},
			p.decisions, len(n.Purposes)*len(n.Rules)*2, func(i int) []string {
				return []string{n.Purposes[i/2/len(n.Rules)], strconv.FormatBool(i%2 == 1), n.Rules[i/2%len(n.Rules)]}
			}),
		m.cells("bespoke_reads_total", "Keys that policies read, by class and outcome.", []string{"tenant", "class", "outcome"},
			p.reads, len(n.Classes)*len(n.Outcomes), func(i int) []string {
				return []string{n.Classes[i/len(n.Outcomes)], n.Outcomes[i%len(n.Outcomes)]}
			}),
		m.runs("bespoke_policy_runs_total", "Runs of a policy that ended well.", 0, 1),
		{"bespoke_policy_failures_total", "Runs of a policy that failed, or were refused, by kind.", Counter,
			[]string{"tenant", "route", "policy", "kind"}, func(yield func(Sample)) { m.words(1, n.Failures[min(1, len(n.Failures)):], yield) }},
		m.runs("bespoke_policy_fuel_total", "WebAssembly instructions, and host calls as such, that runs took.", len(n.Failures)+policyFuel, 1),
		m.runs("bespoke_policy_seconds_total", "Time that runs took.", len(n.Failures)+policyTime, 1e-9),
		m.runs("bespoke_policy_edits_total", "Edits that runs emitted and that counted.", len(n.Failures)+policyEdits, 1),
		m.runs("bespoke_policy_edits_applied_total", "Places in bodies that edits changed.", len(n.Failures)+policyApplied, 1),
		m.runs("bespoke_policy_edits_not_applied_total", "Edits of bodies that changed no place: nothing matched, or the place does not allow it.", len(n.Failures)+policyNotApplied, 1),
		{"bespoke_policy_edit_reasons_total", "Why edits were refused, or not carried out at a place; an edit counts once for each reason on a page.", Counter,
			[]string{"tenant", "route", "policy", "reason"}, func(yield func(Sample)) { m.words(len(n.Failures)+policyParts, n.Reasons, yield) }},
	}
}

// all returns the tenants in the order of their names.
func (m *Meters) all() []*Tenant {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Tenant, 0, len(m.tenants))
	for _, t := range m.tenants {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *Tenant) int { return cmp.Compare(a.name, b.name) })
	return list
}

// sum adds up what the shards hold. get is called with a shard locked.
func (t *Tenant) sum(get func(*shard) []uint64) []uint64 {
	var total []uint64
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j, v := range get(s) {
			if j == len(total) {
				total = append(total, 0)
			}
			total[j] += v
		}
		s.mu.Unlock()
	}
	return total
}

// cells is a counter of each of n cells from a place on, but those that are zero.
func (m *Meters) cells(name, help string, labels []string, from, n int, words func(i int) []string) Family {
	return Family{name, help, Counter, labels, func(yield func(Sample)) {
		for _, t := range m.all() {
			for i, v := range t.sum(func(s *shard) []uint64 { return s.cells[from : from+n] }) {
				if v > 0 {
					yield(Sample{Labels: append([]string{t.name}, words(i)...), Value: float64(v)})
				}
			}
		}
	}}
}

func (m *Meters) durations(name, help string, from int) Family {
	return Family{name, help, Durations, []string{"tenant"}, func(yield func(Sample)) {
		for _, t := range m.all() {
			cells := t.sum(func(s *shard) []uint64 { return s.cells[from : from+histogram] })
			h := &Histogram{Sum: time.Duration(cells[len(bounds)+1])}
			for i, upTo := range bounds {
				h.Count += cells[i]
				h.Buckets = append(h.Buckets, Bucket{upTo, h.Count})
			}
			h.Count += cells[len(bounds)]
			if h.Count > 0 {
				yield(Sample{Labels: []string{t.name}, Histogram: h})
			}
		}
	}}
}

func (m *Meters) ofRoutes(yield func(Sample)) {
	for _, t := range m.all() {
		cells := t.sum(func(s *shard) []uint64 { return s.routes })
		t.mu.Lock()
		routes := t.routes
		t.mu.Unlock()
		for i, v := range cells {
			if v == 0 {
				continue
			}
			served, class := i%m.places.route/classes, i%classes
			status := "other"
			if class < classes-1 {
				status = strconv.Itoa(class+1) + "xx"
			}
			yield(Sample{Labels: []string{t.name, routes[i/m.places.route], m.names.Served[served], status}, Value: float64(v)})
		}
	}
}

// eachPolicy hands the cells of every policy to do.
func (m *Meters) eachPolicy(do func(labels []string, cells []uint64)) {
	for _, t := range m.all() {
		cells := t.sum(func(s *shard) []uint64 { return s.policies })
		t.mu.Lock()
		policies := t.policies
		t.mu.Unlock()
		for i := range len(cells) / m.places.policy {
			do([]string{t.name, policies[i].route, policies[i].policy}, cells[i*m.places.policy:])
		}
	}
}

// runs is a counter of one cell of every policy: told even where it is zero, so
// that a policy that never runs shows.
func (m *Meters) runs(name, help string, cell int, unit float64) Family {
	return Family{name, help, Counter, []string{"tenant", "route", "policy"}, func(yield func(Sample)) {
		m.eachPolicy(func(labels []string, cells []uint64) {
			yield(Sample{Labels: labels, Value: float64(cells[cell]) * unit})
		})
	}}
}

// words tells the cells of every policy from one on, each by its word, but those that are zero.
func (m *Meters) words(from int, words []string, yield func(Sample)) {
	m.eachPolicy(func(labels []string, cells []uint64) {
		for i, word := range words {
			if n := cells[from+i]; n > 0 {
				yield(Sample{Labels: append(slices.Clip(labels), word), Value: float64(n)})
			}
		}
	})
}

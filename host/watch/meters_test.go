package watch

import (
	"sync"
	"testing"
	"time"
)

func few() Names {
	return Names{
		Served: []string{"origin"}, Purposes: []string{"a", "b", "c", "d", "e"}, Rules: []string{"x", "y", "z"},
		Classes: []string{"public", "inferred"}, Outcomes: []string{"given", "withheld"}, Failures: []string{"", "trap"}, Reasons: []string{"unmatched", "place", "refused-right"}, Faults: []Fault{{}, {"origin", "down"}},
	}
}

// TestNothingIsLost counts from many goroutines while routes are added and
// figures are read, as a reload and a scrape would.
func TestNothingIsLost(t *testing.T) {
	m := NewMeters(few())
	const workers, each = 8, 2000
	var wg sync.WaitGroup
	for w := range uint32(workers) {
		wg.Go(func() {
			tenant := m.Tenant("stores")
			route, policy := tenant.Route("/"+string(rune('a'+w))), tenant.Policy("/", string(rune('a'+w)))
			for range each {
				tenant.Count(w, &Exchange{Route: route, Status: 200, Took: time.Millisecond, Origin: -1})
				tenant.Ran(w, policy, &Run{Fuel: 2})
				tenant.Missed(w, policy, 1, []uint16{3, 1})
			}
		})
	}
	for range 50 {
		for _, f := range m.Families() {
			f.Samples(func(Sample) {})
		}
	}
	wg.Wait()
	sums := map[string]float64{}
	for _, f := range m.Families() {
		f.Samples(func(s Sample) {
			if s.Histogram != nil {
				sums[f.Name] += float64(s.Histogram.Count)
			}
			sums[f.Name] += s.Value
		})
	}
	for name, want := range map[string]float64{
		"bespoke_exchanges_total": workers * each, "bespoke_exchange_duration_seconds": workers * each,
		"bespoke_policy_runs_total": workers * each, "bespoke_policy_fuel_total": 2 * workers * each, "bespoke_policy_edit_reasons_total": 4 * workers * each, "bespoke_origin_duration_seconds": 0,
	} {
		if sums[name] != want {
			t.Errorf("%s: %v, want %v", name, sums[name], want)
		}
	}
}

func TestStrangeStatus(t *testing.T) {
	m := NewMeters(few())
	tenant := m.Tenant("a")
	for _, status := range []int{-1, 0, 99, 600, 1 << 40} {
		tenant.Count(7, &Exchange{Status: status})
	}
	m.Families()[0].Samples(func(s Sample) {
		if s.Labels[3] != "other" || s.Value != 5 {
			t.Errorf("%+v", s)
		}
	})
}

func exchange() (Exchange, Run) {
	return Exchange{Status: 200, Took: 3 * time.Millisecond, Own: 80 * time.Microsecond, Origin: time.Millisecond, Decided: true,
		Rules: []uint8{0, 1, 2, 0, 1}, Reads: []uint16{1, 2, 0, 3}}, Run{Fuel: 100, Took: time.Microsecond, Edits: 2}
}

func TestCountingAllocatesNothing(t *testing.T) {
	tenant := NewMeters(few()).Tenant("a")
	policy := tenant.Policy("/", "p")
	x, r := exchange()
	if n := testing.AllocsPerRun(100, func() {
		tenant.Count(1, &x)
		tenant.Ran(1, policy, &r)
		tenant.Applied(1, policy, 1, 1)
		tenant.Missed(1, policy, 0, []uint16{1, 0, 2})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkCount is an exchange with two policies, and all that is counted of it.
func BenchmarkCount(b *testing.B) {
	tenant := NewMeters(few()).Tenant("a")
	one, two := tenant.Policy("/", "p"), tenant.Policy("/", "q")
	x, r := exchange()
	count := func(shard uint32) {
		tenant.Count(shard, &x)
		tenant.Ran(shard, one, &r)
		tenant.Ran(shard, two, &r)
		tenant.Applied(shard, one, 1, 1)
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			count(1)
		}
	})
	b.Run("all", func(b *testing.B) {
		var mu sync.Mutex
		shard := uint32(0)
		b.RunParallel(func(pb *testing.PB) {
			mu.Lock()
			shard++
			mine := shard
			mu.Unlock()
			for pb.Next() {
				count(mine)
			}
		})
	})
}

package console

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
	"bespoke/host/watch"
)

// busy are real meters of an edge that was busy for three hours: one more
// request in every minute, now and then a fault.
func busy(h *house) (families func() []watch.Family, play func()) {
	m := watch.NewMeters(watch.Names{
		Served: []string{"origin", "policy", "centre", "edge"}, Purposes: []string{"localize", "personalize"}, Rules: []string{"choice", "gpc"},
		Classes: []string{"public", "coarse"}, Outcomes: []string{"given", "withheld"}, Failures: []string{"", "trap", "fuel"}, Reasons: []string{"unmatched", "overridden", "refused-right", markup},
		Faults: []watch.Fault{{}, {Source: "origin", Name: "down"}, {Source: "visitor", Name: "bad-request"}, {Source: "internal", Name: "internal"}},
	})
	random := rand.New(rand.NewPCG(1, 2))
	play = func() {
		stores, books := m.Tenant("stores"), m.Tenant("books")
		all, shop, any := stores.Route("/**"), stores.Route("/shop/"+markup), books.Route("/**")
		nearby, ranking := stores.Policy("/**", "nearby"), stores.Policy("/shop/**", "ranking@active")
		other := stores.Policy("/shop/**", "rankings@active")
		for minute := range 180 {
			for i := range 40 + minute%60 {
				own := time.Duration(80+random.IntN(400)) * time.Microsecond
				origin := time.Duration(3+random.IntN(40)) * time.Millisecond
				x := watch.Exchange{Route: all, Status: 200, Own: own, Origin: origin, Took: own + origin + 100*time.Microsecond}
				switch {
				case i%17 == 0:
					x.Status, x.Route = 404, shop
				case i%97 == 5:
					x.Status, x.Served, x.Fault = 502, 3, 1
				}
				stores.Count(uint32(i), &x)
				stores.Ran(0, nearby, &watch.Run{Fuel: 5200, Took: 9 * time.Microsecond, Edits: 2})
				stores.Applied(0, nearby, 2, i%5/4)
			}
			stores.Missed(0, nearby, 1, []uint16{1})
			stores.Missed(0, ranking, 0, []uint16{2, 0, 1, 1})
			stores.Missed(0, other, 0, []uint16{9})
			stores.Ran(0, ranking, &watch.Run{Failure: uint8(minute % 3), Fuel: 90_000, Took: 200 * time.Microsecond})
			books.Count(0, &watch.Exchange{Route: any, Status: 200, Own: 90 * time.Microsecond, Origin: time.Millisecond, Took: 2 * time.Millisecond})
			h.later(time.Minute)
			h.console.sample()
		}
		stores.Fault(0, 3, 2, 400)
	}
	return func() []watch.Family {
		return append(m.Families(),
			watch.Family{Name: figSuspended, Kind: watch.Gauge, Labels: []string{"tenant", "module"}, Samples: func(yield func(watch.Sample)) {
				yield(watch.Sample{Labels: []string{"stores", "ranking"}, Value: 1})
				yield(watch.Sample{Labels: []string{"books", "shelf"}, Value: 0})
			}},
			watch.One(figVisitors, "", watch.Gauge, func() float64 { return 12 }))
	}, play
}

func startBusy(t *testing.T, more func(*Config)) *house {
	var families func() []watch.Family
	var play func()
	h := start(t, func(c *Config) {
		c.Figures = func() []watch.Family { return families() }
		if more != nil {
			more(c)
		}
	})
	families, play = busy(h)
	play()
	return h
}

func TestOperator(t *testing.T) {
	h := startBusy(t, func(c *Config) {
		c.Recording = func() ledger.Status {
			return ledger.Status{Records: 1_234_567, Segments: 9000, Waiting: 3, Unrecorded: 2, Sealed: c.Now().Add(-time.Second), Blocked: "the disk is full " + markup}
		}
	})
	b := h.in(h.operator)
	r := b.get("/console/operation").want(t, 200, "Recording has stopped", "1,234,567 records in 9,000 segments", "2 exchanges", "refused the connection",
		"1 policy suspended", "12 connections", "trap 60", "fuel 60", "a request that could not be understood")
	if strings.Contains(r.body, "<script") || strings.Contains(r.body, "shelf") {
		t.Error(r.body)
	}
	all := 0
	for minute := range 180 {
		all += 40 + minute%60
	}
	// The last hour by minutes: what every minute had, and nothing twice.
	hour := 0
	for minute := 121; minute < 180; minute++ {
		hour += 40 + minute%60 + 1
	}
	r.want(t, 200, fmt.Sprintf("of %s requests in 59 minutes", num(hour+1)))
	six := b.get("/console/operation?hours=6").want(t, 200, fmt.Sprintf("of %s requests in 2 hours", num(all+180+1-40-1)))
	if n := strings.Count(six.body, `class="spot"`); n != 2*18 {
		t.Errorf("%d columns, want two charts of 18", n)
	}
	// A tenant sees its own, and nothing of the process.
	tenant := h.in(h.books).get("/console/operation").want(t, 200, "Operation: books", "of 59 requests in 59 minutes")
	for _, others := range []string{"stores", "nearby", "disk is full", "of memory", "1,234,567"} {
		if strings.Contains(tenant.body, others) {
			t.Errorf("books sees %s", others)
		}
	}
	h.in(h.stores).get("/console/tenants/stores").want(t, 200, "What policies did", "5,200", "Another edit of the same element won")
	policy := h.in(h.stores).get("/console/tenants/stores/policies/ranking").want(t, 200, "Nothing in the body fits", "360", "Declare the right", "(refused-right)", "180")
	if strings.Contains(policy.body, "Another edit") || strings.Contains(policy.body, "1,980") || strings.Contains(policy.body, "1,620") {
		t.Error("reasons of other policies")
	}
	if books := h.in(h.books).get("/console/tenants/books").want(t, 200); strings.Contains(books.body, "Nothing in the body") {
		t.Error("books sees reasons of stores")
	}
}

func TestOperatorEmpty(t *testing.T) {
	h := start(t, func(c *Config) { c.Figures = watch.NewMeters(watch.Names{}).Families })
	h.in(h.operator).get("/console/operation").want(t, 200, "begin a minute after", "No request came yet", "keeps no record")
}

func TestQuantile(t *testing.T) {
	h := watch.Histogram{Count: 100, Buckets: []watch.Bucket{{UpTo: time.Millisecond, Count: 0}, {UpTo: 3 * time.Millisecond, Count: 50}, {UpTo: 5 * time.Millisecond, Count: 90}}}
	for q, want := range map[float64]time.Duration{0.25: 2 * time.Millisecond, 0.5: 3 * time.Millisecond, 0.9: 5 * time.Millisecond, 0.99: 5 * time.Millisecond} {
		if got := quantile(h, q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if got := quantile(watch.Histogram{}, 0.5); got >= 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		num(0): "0", num(999): "999", num(1000): "1,000", num(-1234567): "-1,234,567", plural(1, "line"): "1 line", plural(0, "line"): "0 lines",
		byteCount(1): "1 byte", byteCount(1000): "1.00 kB", byteCount(9_996_000): "10.0 MB", byteCount(123_456_789): "123 MB",
		share(0, 5): "0%", share(5, 5): "100%", share(1, 100_000): "under 0.1%", share(99_999, 100_000): "over 99.9%", share(0, 0): "–", share(1, 3): "33%",
		span3(1250 * time.Microsecond): "1.25 ms", span3(999 * time.Nanosecond): "999 ns", span3(12 * time.Second): "12 s", span3(-1): "–",
		since(noon, noon): "just now", since(noon, noon.Add(-3*time.Hour)): "3 hours ago", since(noon, noon.Add(time.Minute)): "in 60 seconds",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for x, want := range map[float64]float64{0: 2, 1: 1, 2: 2, 3: 4, 11: 20, 100: 100, 101: 200, 450: 600, 0.3: 0.4} {
		if got := roundUp(x); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v is rounded to %v, want %v", x, got, want)
		}
	}
}

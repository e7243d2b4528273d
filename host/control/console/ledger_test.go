package console

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// A diary is a real ledger that a test writes, at times of its choice.
type diary struct {
	*testing.T
	*ledger.Ledger
	dir    string
	clock  atomic.Pointer[time.Time]
	random *rand.Rand
}

func newDiary(t *testing.T, begin time.Time) *diary {
	d := &diary{T: t, dir: filepath.Join(t.TempDir(), "ledger"), random: rand.New(rand.NewPCG(3, 4))}
	d.clock.Store(&begin)
	d.open()
	return d
}

func (d *diary) open() {
	d.Helper()
	var err error
	d.Ledger, err = ledger.Open(ledger.Config{Dir: d.dir, Keys: filepath.Join(filepath.Dir(d.dir), "keys"), Origin: "bespoke/test", Window: time.Hour, Now: func() time.Time { return *d.clock.Load() }})
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { d.Ledger.Close() })
}

func (d *diary) now() time.Time { return *d.clock.Load() }

func (d *diary) sealed() {
	d.Helper()
	if err := d.Flush(); err != nil {
		d.Fatal(err)
	}
}

func (d *diary) at(t time.Time) {
	d.Helper()
	if d.now().Truncate(12*time.Hour) != t.Truncate(12*time.Hour) {
		d.sealed() // not every hour: each seal waits for the disk
	}
	d.clock.Store(&t)
}

// decided returns a decision on all purposes, as the edge makes them.
func decided(rule, signal string, granted ...string) *ledger.Decision {
	x := &ledger.Decision{Facts: "optin"}
	for _, p := range purposes {
		one := ledger.PurposeDecision{Purpose: p.Name, Rule: rule, Signal: signal}
		for _, g := range granted {
			one.Granted = one.Granted || g == p.Name
		}
		if rule == "jurisdiction" {
			x.Jurisdiction = "DE"
			if p.Name == "locate" {
				one.Rule, one.Signal = "explicit-only", "none"
			}
		}
		x.Purposes = append(x.Purposes, one)
	}
	return x
}

// exchange records one, of a visitor of some kind.
func (d *diary) exchange(tenant string, kind int) {
	x := &ledger.Exchange{Time: d.now().Add(-3 * time.Millisecond), Tenant: tenant, Route: "/**", Served: "origin", Status: 200}
	p := ledger.Policy{Name: "nearby", Digest: [16]byte{0xab, 1}, Outcome: "ran", Given: []string{"config.*", "preference.name"}, Absent: []string{"geo.timezone"}}
	x.Sealed, x.Plan = true, [16]byte{1, 2, 3}
	switch kind {
	case 0, 1, 2:
		x.Decision = decided("jurisdiction", "jurisdiction")
		p.Withheld = []string{"geo.lat", "geo.lon", "profile.affinity.*"}
	case 3, 4:
		x.Decision = decided("withdrawal", "choice")
		p.Withheld = []string{"geo.lat", "geo.lon"}
	case 5:
		x.Decision = decided("gpc", "sec-gpc")
		x.Decision.Jurisdiction = "US-CA"
		x.Decision.Purposes[4] = ledger.PurposeDecision{Purpose: "measure", Granted: true, Rule: "jurisdiction", Signal: "jurisdiction"}
		p.Withheld = []string{"geo.lat", "geo.lon", "profile.affinity.*"}
		p.Undeclared = []string{"inferred"}
	case 6, 7, 8:
		x.Decision = decided("choice", "choice", "localize", "personalize", "measure")
		p.Given = append(p.Given, "geo.lat", "geo.lon", "profile.affinity.*")
		p.Edits, x.Edits, x.Applied, x.Pseudonym = 3, 3, 12, [8]byte{1, byte(kind)}
	case 9:
		x.Route, x.Served, x.Status, x.Fault = "", "edge", 502, "origin/down"
		d.Exchange(x, false)
		return
	}
	p.Reused = d.random.IntN(3) > 0
	x.Policies = []ledger.Policy{p}
	d.Exchange(x, false)
}

// broken records an exchange that breaks the promise: a place, given to a policy
// though the visitor refused.
func (d *diary) broken(tenant string) {
	x := &ledger.Exchange{Time: d.now(), Tenant: tenant, Route: "/shop/" + markup, Served: "origin", Status: 200, Decision: decided("withdrawal", "choice"),
		Policies: []ledger.Policy{{Name: markup, Outcome: "failed " + markup, Version: 3, Given: []string{"geo.city"}}}, Stopped: markup, Untouched: markup, Fault: markup, Exhibit: markup}
	d.Exchange(x, false)
}

// month records thirty days of two sites, until now.
func (d *diary) month(end time.Time, perDay int) {
	for day := 29; day >= 0; day-- {
		for hour := range 24 {
			d.at(end.Add(-time.Duration(day)*24*time.Hour - time.Duration(23-hour)*time.Hour))
			n := perDay / 24 * (8 + min(hour, 23-hour)) / 12
			if day == 12 && hour < 9 {
				continue // the edge stood still
			}
			for range n {
				tenant := "stores"
				if d.random.IntN(4) == 0 {
					tenant = "books"
				}
				kind := d.random.IntN(100) / 10
				if kind == 9 && d.random.IntN(8) > 0 {
					kind = 6
				}
				d.exchange(tenant, kind)
			}
		}
		d.Event(ledger.Event{Kind: ledger.KindChoice, Time: d.now(), Tenant: "stores", Data: map[string]any{"granted": []string{"localize"}, "from": "notice"}})
		d.Event(ledger.Event{Kind: ledger.KindActivation, Time: d.now(), Tenant: "stores", Data: map[string]any{"policy": "ranking", "version": 30 - day}})
	}
	d.sealed()
}

func canaries(c *Config) {
	c.Canaries = func() []probe.Standing {
		now := c.Now()
		return []probe.Standing{
			{Tenant: "books", Every: time.Hour, Rounds: map[string]uint64{}},
			{Tenant: "stores", Every: time.Hour, Rounds: map[string]uint64{probe.Equal: 719}, Last: &probe.Round{Tenant: "stores", Started: now.Add(-20 * time.Minute), Verdict: probe.Equal, Requests: 240}},
		}
	}
}

// recorded is a house whose sites have a ledger.
func recorded(t *testing.T, d *diary, more func(*Config)) *house {
	return startBusy(t, func(c *Config) {
		c.Ledger, c.Recording, c.Cache = d.dir, d.Status, filepath.Join(t.TempDir(), "counts")
		canaries(c)
		if more != nil {
			more(c)
		}
	})
}

// showing is the end of what startBusy plays.
var showing = noon.Add(3 * time.Hour)

func TestPrivacy(t *testing.T) {
	d := newDiary(t, noon.Add(-40*24*time.Hour))
	d.month(showing, 480)
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	sum, err := ledger.Summarize(d.dir, ledger.Period{From: showing.Add(-23 * time.Hour), To: showing.Add(time.Hour)})
	h.must(err)
	if sum.Total.Refused == 0 || sum.Total.Exchanges < 200 {
		t.Fatalf("the test shows little: %+v", sum.Total)
	}
	b.get("/console/privacy").want(t, 200, "<strong>0</strong> violations", "Yes: no exchange broke the promise", plural(sum.Total.Refused, "exchange"), "Nobody has verified",
		"Global Privacy Control", "byte for byte", "719", "What this does not cover")
	month := b.get("/console/privacy?period=30d").want(t, 200, "the last 30 days", "<strong>0</strong> violations")
	all, err := ledger.Summarize(d.dir, ledger.Period{From: showing.Add(-29 * 24 * time.Hour).Truncate(24 * time.Hour)})
	h.must(err)
	month.want(t, 200, num(all.Total.Exchanges)+"</strong> exchanges")
	b.get("/console/privacy?from=2026-04-22&to=2026-04-22").want(t, 200, "22 April 2026")
	b.get("/console/privacy?from=2025-01-01&to=2025-01-02").want(t, 200, "Nothing happened")
	for _, bad := range []string{"period=x", "from=x", "from=2026-02-30", "from=2026-05-02&to=2026-05-01", "to=2026-05-01", "purpose=x", "from=0001-01-01"} {
		b.get("/console/privacy?"+bad).want(t, 400)
	}

	// One violation is red, and leads to the record that proves it.
	d.at(showing.Add(-time.Minute))
	d.broken("stores")
	d.sealed()
	h.later(time.Minute)
	red := b.get("/console/privacy").want(t, 200, "<strong>1</strong> violation<", "No: 1 exchange broke the promise", `class="answer bad"`)
	number := d.Status().Records - 1
	red.want(t, 200, fmt.Sprintf(`href="/console/privacy/records/%d"`, number), "geo.city")
	// The other site has none.
	h.in(h.books).get("/console/privacy").want(t, 200, "<strong>0</strong> violations")
	b.get("/console/privacy?tenant=books").want(t, 200, "<strong>0</strong> violations")
	b.get("/console/privacy?tenant=stores").want(t, 200, "<strong>1</strong> violation<")
}

package main

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"bespoke/geo"
	"bespoke/host/audit/probe"
	"bespoke/host/config"
	"bespoke/host/ledger"
	"bespoke/host/watch"
)

// canaries are the experiments that the process does on its own sites, as
// audit.canaries asks for. Their visitors come over a listener in memory that the edge
// serves like any other, so that they may come from anywhere; beyond that it cannot
// tell them from visitors. They agree to all but to be counted (measure), so that the
// edge's own rules keep them out of what is learned of visitors and of every aggregate.
type canaries struct {
	*probe.Canaries
	pipe *probe.Pipe
	log  *slog.Logger
}

// canaryRate is how many requests a second canaries send, at most.
const canaryRate = 25

// canaryBody is how much of a page they compare, in bytes.
const canaryBody = 1 << 20

// newCanaries does nothing yet. record is told of each round.
func newCanaries(log *slog.Logger, record func(ledger.Event)) *canaries {
	tell := func(r *probe.Round) { record(canaryEvent(r)) }
	return &canaries{Canaries: probe.NewCanaries(log, tell), pipe: probe.NewPipe(), log: log}
}

// begin has the edge serve the listener in memory, and the first rounds follow.
func (c *canaries) begin(serve func(net.Listener) error, site *config.Config, db *geo.DB) {
	go func() { // ends with close, or with the edge
		if err := serve(c.pipe); err != nil && !errors.Is(err, net.ErrClosed) {
			c.log.Error("canaries: the listener in memory ended", "error", err)
		}
	}()
	c.set(site, db)
}

// set makes the canaries those of a configuration.
func (c *canaries) set(site *config.Config, db *geo.DB) {
	var list []probe.Canary
	var places []string
	for i := range site.Tenants {
		t := &site.Tenants[i]
		if t.Canaries == nil {
			continue
		}
		if places == nil {
			places = somePlaces(db, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
		}
		list = append(list, probe.Canary{Tenant: t.Name, Every: t.Canaries.Every, Config: c.config(site, t, places)})
	}
	c.Set(list)
}

// config is the experiment on a tenant's site. Where proxies are trusted, canaries come
// from one, over TLS that it ended, as visitors do; else straight from their addresses.
func (c *canaries) config(site *config.Config, t *config.Tenant, places []string) probe.Config {
	host := t.Hosts[0]
	for _, h := range t.Hosts {
		if !strings.HasPrefix(h, "*.") {
			host = h
			break
		}
	}
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		host = "www." + rest
	}
	out := probe.Config{
		URL: "http://" + host + t.Canaries.Paths[0], Paths: t.Canaries.Paths[1:], Pairs: t.Canaries.Pairs,
		Places: places, Rate: canaryRate, MaxBody: canaryBody,
	}
	if len(site.TrustedProxies) > 0 {
		out.URL = "https" + strings.TrimPrefix(out.URL, "http")
		out.Headers = map[string]string{"X-Forwarded-Proto": "https"}
		out.PlaceHeader = "X-Forwarded-For"
		proxy := c.pipe.Transport(site.TrustedProxies[0].Addr())
		out.Transport = func(string) http.RoundTripper { return proxy }
		return out
	}
	transports := map[string]http.RoundTripper{}
	for _, p := range places {
		transports[p] = c.pipe.Transport(netip.MustParseAddr(p))
	}
	out.Transport = func(place string) http.RoundTripper { return transports[place] }
	return out
}

// close ends the round that is under way, then the listener.
func (c *canaries) close() {
	c.Close()
	c.pipe.Close()
}

const (
	manyPlaces = 8    // that canaries come from
	guesses    = 4096 // addresses that are looked up, to find them
)

// somePlaces returns addresses in different countries, as the database knows them; of
// one that knows none, and without one, addresses that belong to nobody.
func somePlaces(db *geo.DB, r *rand.Rand) []string {
	var list []string
	if db == nil {
		return probe.DefaultPlaces()
	}
	seen := map[string]bool{}
	try := func(a netip.Addr) {
		if p := db.Lookup(a); p.Located && p.Country != "" && !seen[p.Country] && len(list) < manyPlaces {
			seen[p.Country] = true
			list = append(list, a.String())
		}
	}
	for _, p := range probe.DefaultPlaces() {
		try(netip.MustParseAddr(p))
	}
	for range guesses {
		try(netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))}))
	}
	if len(list) < 2 {
		return probe.DefaultPlaces()
	}
	return list
}

// families are what /metrics shows of canaries.
func (c *canaries) families() []watch.Family {
	each := func(value func(s *probe.Standing, yield func(watch.Sample))) func(func(watch.Sample)) {
		return func(yield func(watch.Sample)) {
			list := c.Status()
			for i := range list {
				value(&list[i], yield)
			}
		}
	}
	return []watch.Family{
		{Name: "bespoke_canary_alarm", Help: "1 from a round of canaries that found a difference between visitors who refused, until one with power found none.", Kind: watch.Gauge, Labels: []string{"tenant"},
			Samples: each(func(s *probe.Standing, yield func(watch.Sample)) {
				v := 0.0
				if s.Alarm != nil {
					v = 1
				}
				yield(watch.Sample{Labels: []string{s.Tenant}, Value: v})
			})},
		{Name: "bespoke_canary_rounds_total", Help: "Rounds of canaries, by verdict.", Kind: watch.Counter, Labels: []string{"tenant", "verdict"},
			Samples: each(func(s *probe.Standing, yield func(watch.Sample)) {
				for _, verdict := range []string{probe.Equal, probe.Differs, probe.Undecided, probe.NoPower, probe.Failed} {
					yield(watch.Sample{Labels: []string{s.Tenant, verdict}, Value: float64(s.Rounds[verdict])})
				}
			})},
		{Name: "bespoke_canary_last_round_timestamp_seconds", Help: "When the last round of canaries began.", Kind: watch.Gauge, Labels: []string{"tenant"},
			Samples: each(func(s *probe.Standing, yield func(watch.Sample)) {
				if s.Last != nil {
					yield(watch.Sample{Labels: []string{s.Tenant}, Value: float64(s.Last.Started.Unix())})
				}
			})},
	}
}

// canaryRecord is what the ledger keeps of a round. It tells how many exchanges were of
// no visitor, and nothing of anybody.
type canaryRecord struct {
	Verdict    string            `json:"verdict"`
	Because    string            `json:"because"`
	Seed       uint64            `json:"seed,string"` // beyond what numbers of JSON hold exactly
	Began      time.Time         `json:"began"`
	Requests   int               `json:"requests"`
	Dimensions []canaryDimension `json:"dimensions,omitempty"`
}

type canaryDimension struct {
	Name    string            `json:"name"`
	Power   bool              `json:"power"`
	Refused map[string]string `json:"refused"` // verdict, by the way
}

// canaryEvent returns the record of a round.
func canaryEvent(r *probe.Round) ledger.Event {
	data := canaryRecord{Verdict: r.Verdict, Because: r.Because, Seed: r.Seed, Began: r.Started.Truncate(time.Millisecond), Requests: r.Requests}
	for i := range r.Dimensions {
		d := &r.Dimensions[i]
		if d.Missing != "" || d.Declared {
			continue
		}
		one := canaryDimension{Name: d.Name, Power: d.Power, Refused: map[string]string{}}
		for _, c := range d.Refuse {
			one.Refused[c.Way] = c.Verdict
		}
		data.Dimensions = append(data.Dimensions, one)
	}
	return ledger.Event{Kind: ledger.KindCanary, Time: time.Now(), Tenant: r.Tenant, Data: data}
}

// event records one, where anything is recorded.
func (p *process) event(e ledger.Event) {
	if p.ledger != nil {
		p.ledger.Event(e)
	}
}

package probe

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A Canary is the experiment on one tenant's site, again and again.
type Canary struct {
	Tenant string
	Every  time.Duration // from the start of a round to the start of the next
	Config Config        // Seed is drawn anew for each round
}

// A Round is one experiment of a canary, and its result.
type Round struct {
	Tenant  string    `json:"tenant"`
	Started time.Time `json:"started"`
	Took    float64   `json:"took_seconds"`
	Seed    uint64    `json:"seed"`
	Verdict string    `json:"verdict"` // of a Report; Failed where there is none
	Because string    `json:"because"`
	// Requests is how many exchanges the round was: so many in the tenant's figures
	// are of no visitor.
	Requests   int         `json:"requests"`
	Dimensions []Dimension `json:"dimensions,omitempty"`
	// Report is the whole one where a difference was found, nil otherwise.
	Report *Report `json:"-"`
}

// Failed is the verdict of a round that could not be done.
const Failed = "failed"

// A Standing is how a tenant's canaries stand.
type Standing struct {
	Tenant string
	Every  time.Duration
	Rounds map[string]uint64 // since the start, by verdict; a copy
	Last   *Round            // nil: none has ended yet
	// Alarm is the last round that found a difference, nil if a later one found
	// none where there was power to: what shows nothing ends no alarm.
	Alarm *Round
}

// Canaries do experiments on a schedule, one at a time. Make them with NewCanaries,
// say which with Set, end them with Close. They are safe for concurrent use.
type Canaries struct {
	log   *slog.Logger
	tell  func(*Round)
	wake  chan struct{} // holds one
	ended chan struct{}
	stop  context.CancelFunc

	mu    sync.Mutex
	sites []*canarySite      // by tenant; guarded by mu
	halt  context.CancelFunc // ends the round that is under way, nil for none; guarded by mu
}

type canarySite struct {
	Canary
	next  time.Time
	state Standing
}

// NewCanaries starts none yet. tell is called after each round, by one goroutine.
func NewCanaries(log *slog.Logger, tell func(*Round)) *Canaries {
	ctx, stop := context.WithCancel(context.Background())
	c := &Canaries{log: log, tell: tell, wake: make(chan struct{}, 1), ended: make(chan struct{}), stop: stop}
	go c.run(ctx) // ends with Close
	return c
}

// firstWithin is how soon after Set a site's first round begins, at most.
const firstWithin = time.Minute

// Set replaces what is tried. What is known of a tenant that stays is kept; a round
// of one that is gone, or is tried in another way now, ends.
func (c *Canaries) Set(list []Canary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.sites
	c.sites = nil
	for _, one := range list {
		s := &canarySite{Canary: one, state: Standing{Tenant: one.Tenant, Rounds: map[string]uint64{}}}
		if i := slices.IndexFunc(old, func(o *canarySite) bool { return o.Tenant == one.Tenant }); i >= 0 {
			s.state, s.next = old[i].state, old[i].next
		} else {
			s.next = time.Now().Add(rand.N(min(one.Every, firstWithin)))
		}
		s.state.Every = one.Every
		if latest := time.Now().Add(one.Every); s.next.After(latest) {
			s.next = latest
		}
		c.sites = append(c.sites, s)
	}
	slices.SortFunc(c.sites, func(a, b *canarySite) int { return cmp.Compare(a.Tenant, b.Tenant) })
	if c.halt != nil {
		c.halt() // its transport may be of a configuration that is closed; it is done again
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Status returns how all stand, by tenant.
func (c *Canaries) Status() []Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Standing, len(c.sites))
	for i, s := range c.sites {
		list[i] = s.state
		list[i].Rounds = map[string]uint64{}
		for verdict, n := range s.state.Rounds {
			list[i].Rounds[verdict] = n
		}
	}
	return list
}

// Close ends the round that is under way, and returns when it has.
func (c *Canaries) Close() {
	c.stop()
	<-c.ended
}

func (c *Canaries) run(ctx context.Context) {
	defer close(c.ended)
	for ctx.Err() == nil {
		one, in := c.due()
		if one == nil {
			t := time.NewTimer(in)
			select {
			case <-ctx.Done():
			case <-t.C:
			case <-c.wake:
			}
			t.Stop()
			continue
		}
		c.round(ctx, one)
	}
}

// due returns the site whose round is to begin, or in what time to look again.
func (c *Canaries) due() (*Canary, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := time.Hour
	var first *canarySite
	for _, s := range c.sites {
		if first == nil || s.next.Before(first.next) {
			first = s
		}
	}
	if first == nil {
		return nil, in
	}
	if in = time.Until(first.next); in > 0 {
		return nil, in
	}
	first.next = time.Now().Add(first.Every)
	one := first.Canary
	return &one, 0
}

// round does one experiment, and takes note of its result.
func (c *Canaries) round(ctx context.Context, one *Canary) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.halt = cancel
	c.mu.Unlock()
	r := &Round{Tenant: one.Tenant, Started: time.Now().UTC(), Seed: rand.Uint64()}
	config := one.Config
	config.Seed = r.Seed
	rep, err := Run(ctx, config)
	r.Took = time.Since(r.Started).Seconds()
	if err != nil {
		r.Verdict, r.Because = Failed, err.Error()
	} else {
		r.Verdict, r.Because, r.Requests, r.Dimensions = rep.Verdict, rep.Because, rep.Requests, rep.Dimensions
		if rep.Found() {
			r.Report = rep
		}
	}
	halted := ctx.Err() != nil
	if halted && r.Verdict != Differs { // a difference counts, whoever ended the round
		c.note(one.Tenant, nil)
		return
	}
	c.note(one.Tenant, r)
	c.logs(r)
	if c.tell != nil {
		c.tell(r)
	}
}

// note keeps a round's result; nil: it was ended, and is to be done again.
func (c *Canaries) note(tenant string, r *Round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halt = nil
	i := slices.IndexFunc(c.sites, func(s *canarySite) bool { return s.Tenant == tenant })
	if i < 0 {
		return
	}
	s := c.sites[i]
	if r == nil {
		s.next = time.Now().Add(rand.N(min(s.Every, firstWithin)))
		return
	}
	s.state.Last = r
	s.state.Rounds[r.Verdict]++
	switch r.Verdict {
	case Differs:
		s.state.Alarm = r
	case Equal:
		s.state.Alarm = nil
	}
}

func (c *Canaries) logs(r *Round) {
	level, text := slog.LevelInfo, "canaries: no difference"
	switch r.Verdict {
	case Differs:
		level, text = slog.LevelError, "canaries: visitors who refused got different answers"
	case Failed:
		level, text = slog.LevelWarn, "canaries: the round could not be done"
	case NoPower, Undecided:
		level, text = slog.LevelWarn, "canaries: the round shows nothing"
	}
	c.log.Log(context.Background(), level, text, "tenant", r.Tenant, "verdict", r.Verdict, "because", r.Because, "seed", r.Seed, "requests", r.Requests)
}

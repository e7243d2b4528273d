package console

import (
	"errors"
	"sync"
	"time"

	"bespoke/host/ledger"
)

// counting keeps what was counted of the ledger, so that a page takes no longer
// the larger the ledger is: who asks waits for at most patience, and is shown what
// was counted before, with its time, while the rest is counted on.
type counting struct {
	turn sync.Mutex // held by who counts: one at a time, so that exchanges keep the processors

	mu sync.Mutex // guards the rest
	by map[ledger.Period]*counted
}

// A counted is a summary, or one that is being made.
type counted struct {
	summary *ledger.Summary // nil: none yet
	err     error
	at      time.Time     // when it was begun
	used    time.Time     // when it was last asked for
	who     string        // had it counted last
	took    time.Duration // of work
	busy    chan struct{} // closed when the one under way is done; nil: none is
}

const (
	patience   = 1500 * time.Millisecond
	freshFor   = 5 * time.Second
	maxCounted = 64 // periods that are kept; the one asked for longest ago makes room

	// Bounds of one asker, so that nobody is kept from theirs.
	maxCountedOf = 16 // of those that are kept
	maxBusy      = 8  // that are counted, or wait for that, in all
	maxBusyOf    = 2
)

// errBusy: as many periods as may are being counted.
var errBusy = errors.New("too much is being counted")

// of returns a summary of a period, and when it was begun; nil: it is still
// being made. The error is errBusy where it cannot even be begun now. Who asks is
// one that shares of all.
func (c *counting) of(who, dir string, p ledger.Period, now func() time.Time) (*ledger.Summary, time.Time, error) {
	c.mu.Lock()
	e, asked := c.by[p], now()
	// One that takes long is made less often.
	fresh := e != nil && e.summary != nil && asked.Sub(e.at) < max(freshFor, 10*e.took)
	if !fresh && (e == nil || e.busy == nil) && !c.free(who) {
		if fresh = e != nil && e.summary != nil; !fresh {
			c.mu.Unlock()
			return nil, time.Time{}, errBusy
		}
		// What was counted before is shown, with its time.
	}
	if e == nil {
		c.room(who)
		e = &counted{}
		c.by[p] = e
	}
	e.used = asked
	if !fresh && e.busy == nil {
		e.who, e.busy = who, make(chan struct{})
		go c.count(dir, p, e, asked) // ends by itself: it reads a folder
	}
	busy := e.busy
	c.mu.Unlock()
	if !fresh {
		wait := time.NewTimer(patience)
		defer wait.Stop()
		select {
		case <-busy:
		case <-wait.C:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.summary, e.at, e.err
}

func (c *counting) count(dir string, p ledger.Period, e *counted, asked time.Time) {
	c.turn.Lock()
	began := time.Now()
	s, err := ledger.Summarize(dir, p)
	c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	e.err = err
	if err == nil {
		e.summary, e.at, e.took = s, asked, time.Since(began)
	}
	close(e.busy)
	e.busy = nil
}

// free reports whether one more may be counted for who asks.
func (c *counting) free(who string) bool {
	all, own := 0, 0
	for _, e := range c.by {
		if e.busy != nil {
			all++
			if e.who == who {
				own++
			}
		}
	}
	return all < maxBusy && own < maxBusyOf
}

// room forgets the summary that was asked for longest ago, if there are too many: of
// those of who asks, or of all. Few enough are busy that there is always one to forget.
func (c *counting) room(who string) {
	if c.by == nil {
		c.by = map[ledger.Period]*counted{}
	}
	own := 0
	for _, e := range c.by {
		if e.who == who {
			own++
		}
	}
	if own < maxCountedOf && len(c.by) < maxCounted {
		return
	}
	var oldest ledger.Period
	found := false
	for p, e := range c.by {
		if e.busy == nil && (own < maxCountedOf || e.who == who) && (!found || e.used.Before(c.by[oldest].used)) {
			oldest, found = p, true
		}
	}
	if found {
		delete(c.by, oldest)
	}
}

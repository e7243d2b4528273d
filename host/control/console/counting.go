package console

import (
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
	took    time.Duration // of work
	busy    chan struct{} // closed when the one under way is done; nil: none is
}

const (
	patience   = 1500 * time.Millisecond
	freshFor   = 5 * time.Second
	maxCounted = 64 // periods that are kept; the one asked for longest ago makes room
)

// of returns a summary of a period, and when it was begun; nil: it is still
// being made.
func (c *counting) of(dir string, p ledger.Period, now func() time.Time) (*ledger.Summary, time.Time, error) {
	c.mu.Lock()
	e := c.by[p]
	if e == nil {
		c.room()
		e = &counted{}
		c.by[p] = e
	}
	asked := now()
	e.used = asked
	// One that takes long is made less often.
	fresh := e.summary != nil && asked.Sub(e.at) < max(freshFor, 10*e.took)
	if !fresh && e.busy == nil {
		e.busy = make(chan struct{})
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

// room forgets the summary that was asked for longest ago, if there are too many.
func (c *counting) room() {
	if c.by == nil {
		c.by = map[ledger.Period]*counted{}
	}
	if len(c.by) < maxCounted {
		return
	}
	var oldest ledger.Period
	found := false
	for p, e := range c.by {
		if e.busy == nil && (!found || e.used.Before(c.by[oldest].used)) {
			oldest, found = p, true
		}
	}
	if found {
		delete(c.by, oldest)
	}
}

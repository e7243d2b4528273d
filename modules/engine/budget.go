package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// Suspension says when a module that keeps failing is not run for a while. It
// is suspended when, since it was last well, it failed Failures times and in
// more than half of its runs; then for First, twice as long each time that it
// fails again, up to Last. Zero fields stand for 20, one second and five minutes.
type Suspension struct {
	Failures    int
	First, Last time.Duration
}

func (s Suspension) or() Suspension {
	if s.Failures == 0 {
		s.Failures = 20
	}
	if s.First == 0 {
		s.First = time.Second
	}
	if s.Last == 0 {
		s.Last = 5 * time.Minute
	}
	return s
}

// window is the number of runs after which failures are counted anew.
const window = 1000

// A budget decides whether a module may run. Runs that succeed only count.
type budget struct {
	rules Suspension
	now   func() time.Time
	tell  func(until time.Time) // a suspension began or was prolonged; zero: it ended

	runs  atomic.Uint64 // that ended, in whatever way
	until atomic.Int64  // of the suspension, in Unix nanoseconds; 0: none

	mu       sync.Mutex
	begin    uint64        // runs when failures began to be counted
	failures int           // since then
	pause    time.Duration // the last one
	resumed  time.Time
}

// admit reports whether a run may begin. After a suspension one run is let
// through to try: trial.
func (b *budget) admit() (ok, trial bool) {
	until := b.until.Load()
	if until == 0 {
		return true, false
	}
	now := b.now()
	if now.UnixNano() < until {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Whoever is first moves the time on, so that the others wait for the outcome.
	return b.until.CompareAndSwap(until, now.Add(b.pause).UnixNano()), true
}

// succeeded counts a run that ended well.
func (b *budget) succeeded(trial bool) {
	b.runs.Add(1)
	if !trial {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resumed = b.now()
	b.begin, b.failures = b.runs.Load(), 0
	b.until.Store(0)
	b.tell(time.Time{})
}

// failed counts a run that the policy itself failed.
func (b *budget) failed(trial bool) {
	runs := b.runs.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if trial {
		b.suspend()
		return
	}
	if b.until.Load() != 0 {
		return // began before the suspension
	}
	if runs-b.begin > window {
		b.begin, b.failures = runs-1, 0
	}
	b.failures++
	if b.failures >= b.rules.Failures && uint64(b.failures)*2 > runs-b.begin {
		b.suspend()
	}
}

func (b *budget) suspend() {
	now := b.now()
	if b.pause > 0 && !b.resumed.IsZero() && now.Sub(b.resumed) > b.rules.Last {
		b.pause = 0 // it was well for long
	}
	b.pause = min(max(b.rules.First, 2*b.pause), b.rules.Last)
	b.resumed = time.Time{}
	b.failures = 0
	b.until.Store(now.Add(b.pause).UnixNano())
	b.tell(now.Add(b.pause))
}

// slowRuns is how many runs of a module must go well after one that used up its fuel.
const slowRuns = 20

// A lane is what modules share that used up their fuel lately. Go cannot take
// a processor from compiled code before it returns, so a few runs without an
// end could have all processors. Only as many of them as the lane is wide run
// at once, and at least one processor is left to others.
type lane struct {
	inside atomic.Int32
	width  int32
}

func (l *lane) enter() bool {
	if l.inside.Add(1) <= l.width {
		return true
	}
	l.inside.Add(-1)
	return false
}

func (l *lane) leave() { l.inside.Add(-1) }

// State is how a module fares.
type State struct {
	Suspended bool      // it is not run until Until, when one run tries it again
	Until     time.Time // zero if it is not suspended

	Runs     uint64             // that ended, well or not; not those refused before they began
	Failures [FaultKinds]uint64 // by FaultKind
	Fuel     uint64             // instructions that runs took, in all
	Edits    uint64             // emitted by runs, in all, those of failed runs included

	Loaded    bool // its code is in memory
	Instances int  // in memory
	Fresh     bool // each run gets a new instance, for it changes what cannot be reset: this is slow
	Paged     bool // restored page by page, not by copying all its memory
}

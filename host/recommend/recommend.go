package recommend

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Recommender. The zero value is the default.
type Options struct {
	// Support is how many visitors must stand behind what is shown; 5 if 0, at most 16.
	Support int

	Idle              time.Duration // after which a session closes; 30 minutes if 0
	BestHalfLife      time.Duration // of best sellers; 14 days if 0
	TrendHalfLife     time.Duration // of trending; 1 day if 0
	NeighbourHalfLife time.Duration // of pairs of items; 30 days if 0

	MaxItems int // of a catalogue; 1,000,000 if 0, and at most

	OpenSessions int // held in memory at most; 65,536 if 0
	KeptSessions int // closed ones kept for "for you"; 131,072 if 0

	SaveEvery time.Duration // how often aggregates go to disk; 5 minutes if 0
	// Manual starts no goroutine: the caller calls Advance, and Save.
	Manual bool
	// Weights of "for you"; DefaultWeights if nil.
	Weights *Weights
	Log     *slog.Logger // nothing is logged if nil
}

// settings are options that were checked and filled in.
type settings struct {
	Options
	idle     uint32 // seconds
	perShard int
	weights  Weights
}

func (o Options) settle() (settings, error) {
	s := settings{Options: o, weights: DefaultWeights()}
	s.Support = cmp.Or(o.Support, 5)
	s.Idle = cmp.Or(o.Idle, 30*time.Minute)
	s.BestHalfLife = cmp.Or(o.BestHalfLife, 14*24*time.Hour)
	s.TrendHalfLife = cmp.Or(o.TrendHalfLife, 24*time.Hour)
	s.NeighbourHalfLife = cmp.Or(o.NeighbourHalfLife, 30*24*time.Hour)
	s.MaxItems = cmp.Or(o.MaxItems, maxItems)
	s.OpenSessions = cmp.Or(o.OpenSessions, 1<<16)
	s.KeptSessions = cmp.Or(o.KeptSessions, 1<<17)
	s.SaveEvery = cmp.Or(o.SaveEvery, 5*time.Minute)
	if o.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if o.Weights != nil {
		s.weights = *o.Weights
	}
	switch {
	case s.Support < 1 || s.Support > maxSupport:
		return s, fmt.Errorf("support: %d is not from 1 to %d visitors", o.Support, maxSupport)
	case s.Idle < time.Second || s.Idle > 24*time.Hour:
		return s, fmt.Errorf("idle: %v is not from 1s to 24h", o.Idle)
	case min(s.BestHalfLife, s.TrendHalfLife, s.NeighbourHalfLife) < time.Minute:
		return s, errors.New("half-life: less than a minute")
	case s.MaxItems < 1 || s.MaxItems > maxItems:
		return s, fmt.Errorf("max items: %d is not from 1 to %d", o.MaxItems, maxItems)
	case s.OpenSessions < 1 || s.OpenSessions > 1<<22:
		return s, fmt.Errorf("open sessions: %d is not from 1 to %d", o.OpenSessions, 1<<22)
	case s.KeptSessions < 1 || s.KeptSessions > 1<<22:
		return s, fmt.Errorf("kept sessions: %d is not from 1 to %d", o.KeptSessions, 1<<22)
	case s.SaveEvery < time.Second:
		return s, fmt.Errorf("save every: %v is less than 1s", o.SaveEvery)
	}
	s.idle = uint32(s.Idle / time.Second)
	s.perShard = (s.OpenSessions + shards - 1) / shards
	kept := 1
	for kept < s.KeptSessions {
		kept *= 2
	}
	s.KeptSessions = kept
	return s, nil
}

// A Recommender is one tenant's. All its methods may be called at once.
type Recommender struct {
	opts settings
	dir  string

	// Read by all, without a lock.
	cat   atomic.Pointer[Catalogue]
	items table
	pasts pasts
	ranks atomic.Pointer[ranks]
	now   atomic.Uint32 // logical seconds: what the wall clock went forward while we looked, a day at most at a time
	wall  atomic.Int64  // the wall clock when we looked, Unix seconds
	pool  sync.Pool     // of *scratch
	stats counters

	shards [shards]shard // each under its own lock

	queue   sync.Mutex
	pending []*open // under queue: closed, to be learned
	applied []*open // under queue: the slice of the last time, empty

	writer   sync.Mutex // held by whoever changes items, pasts, or what follows
	seed     uint64
	flood    *flood
	lesson   lesson
	dirty    map[uint32]struct{} // items that the ranks do not know yet
	stale    bool                // the ranks have to be made anew
	ranked   uint32              // when they were made anew, logical seconds
	changed  bool                // since then
	restored []error

	loading sync.Mutex // one catalogue at a time
	stop    chan struct{}
	done    chan struct{} // closed when the goroutine ended
	once    sync.Once
}

type counters struct {
	events, unknown, invalid, dropped, sessions, unheard atomic.Uint64
}

// Stats counts since Open.
type Stats struct {
	Events   uint64 // taken
	Unknown  uint64 // events of items that the catalogue does not have
	Invalid  uint64
	Sessions uint64 // that entered the aggregates
	Unheard  uint64 // sessions that said only what their visitor had said today
	Dropped  uint64 // sessions lost because too many closed at once
	Open     int    // sessions that are open
	Kept     int    // sessions that "for you" looks at
}

// Stats tells what happened.
func (r *Recommender) Stats() Stats {
	s := Stats{
		Events: r.stats.events.Load(), Unknown: r.stats.unknown.Load(), Invalid: r.stats.invalid.Load(),
		Sessions: r.stats.sessions.Load(), Unheard: r.stats.unheard.Load(), Dropped: r.stats.dropped.Load(),
		Kept: int(min(r.pasts.next.Load()-1, uint32(len(r.pasts.slot)))),
	}
	for i := range r.shards {
		r.shards[i].mu.Lock()
		s.Open += len(r.shards[i].byKey)
		r.shards[i].mu.Unlock()
	}
	return s
}

// Files in the folder of a recommender.
const (
	numbersFile    = "numbers"
	catalogueFile  = "catalogue"
	aggregatesFile = "aggregates"
)

// Open opens a tenant's recommender with what is in a folder of its own, which is
// made if it is not there; "" keeps nothing. A file that is damaged is put aside as
// NAME.damaged and said by Restored; what it held begins empty. Only a folder that
// cannot be used, or an option that cannot be, is an error.
func Open(dir string, o Options) (*Recommender, error) {
	opts, err := o.settle()
	if err != nil {
		return nil, fmt.Errorf("recommend: %w", err)
	}
	r := &Recommender{opts: opts, dir: dir, stop: make(chan struct{}), done: make(chan struct{}), dirty: map[uint32]struct{}{}}
	r.pasts.slot = make([]atomic.Pointer[past], opts.KeptSessions)
	r.pool.New = func() any { return newScratch() }
	for i := range r.shards {
		r.shards[i].init()
	}
	r.empty()
	r.wall.Store(time.Now().Unix())
	r.cat.Store(emptyCatalogue(newNumbers()))
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("recommend: %w", err)
		}
		r.restore()
	}
	r.rankAll()
	if o.Manual {
		close(r.done)
	} else {
		go r.run()
	}
	return r, nil
}

// empty makes the aggregates those of a shop without visitors.
func (r *Recommender) empty() {
	var seed [8]byte
	rand.Read(seed[:]) // never fails
	r.seed = binary.LittleEndian.Uint64(seed[:])
	r.flood = newFlood(mix(r.seed))
	r.now.Store(1)
	r.pasts.next.Store(1)
}

// Restored says what of the folder could not be read at Open, nil if all could.
func (r *Recommender) Restored() error { return errors.Join(r.restored...) }

// path is a file of the folder.
func (r *Recommender) path(name string) string { return filepath.Join(r.dir, name) }

// Catalogue is the one that holds now; empty before the first Load.
func (r *Recommender) Catalogue() *Catalogue { return r.cat.Load() }

// Load takes a new catalogue in place of the one before: JSON Lines or CSV with a
// header row. One that has anything wrong in it is refused as a whole, with an
// error of type Problems; then the one before stays. progress may be nil.
func (r *Recommender) Load(in io.Reader, progress func(items int)) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	old := r.cat.Load().nums
	day := today()
	next := &numbers{epoch: old.epoch, items: old.items.clone(), vals: old.vals.clone()}
	// What is offered until now was seen until now.
	offered := r.cat.Load()
	for i := range offered.items {
		next.items.seen[offered.items[i].number] = day
	}
	for _, v := range offered.values {
		next.vals.seen[v] = day
	}
	freed := next.items.reclaim(day)
	next.vals.reclaim(day)
	b := newBuilder(next, day)
	b.most = r.opts.MaxItems
	if err := b.read(in, progress); err != nil {
		return fmt.Errorf("recommend: reading the catalogue: %w", err)
	}
	c, err := b.done()
	if err != nil {
		return err
	}
	if r.dir != "" {
		// Numbers first: a catalogue whose numbers are not on the disk could get
		// others after a crash; numbers without their catalogue do no harm.
		if err := next.save(r.path(numbersFile)); err != nil {
			return fmt.Errorf("recommend: %w", err)
		}
		if err := writeFile(r.path(catalogueFile), magicCatalogue, c.encode); err != nil {
			return fmt.Errorf("recommend: %w", err)
		}
	}
	r.take(c, freed)
	return nil
}

// take makes a catalogue the one that holds.
func (r *Recommender) take(c *Catalogue, freed []uint32) {
	r.writer.Lock()
	defer r.writer.Unlock()
	r.forget(freed)
	r.cat.Store(c)
	r.rankAll()
}

// forget drops all that is known under numbers that may mean other items from now on.
func (r *Recommender) forget(freed []uint32) {
	if len(freed) == 0 {
		return
	}
	r.changed = true
	gone := make(map[uint32]bool, len(freed))
	for _, item := range freed {
		gone[item] = true
		r.items.forget(item)
	}
	for _, s := range r.items.all {
		s.near.Store(s.near.Load().without(gone))
		s.with.Store(s.with.Load().without(gone))
	}
	for i := range r.pasts.slot {
		if p := r.pasts.slot[i].Load(); p != nil {
			r.pasts.slot[i].Store(p.without(gone))
		}
	}
}

// Learn lets the sessions that closed count, without waiting for the next second.
func (r *Recommender) Learn() {
	r.writer.Lock()
	defer r.writer.Unlock()
	r.learn()
}

// today counts days since 1970.
func today() uint32 { return uint32(max(time.Now().Unix(), 0) / 86400) }

// Advance tells the time. It closes sessions that are idle, lets them count, and
// brings the ranks up to date. The recommender does so itself every second, unless
// it is Manual. A clock that goes back stands still here; one that jumps ahead goes
// ahead by a day at most.
func (r *Recommender) Advance(now time.Time) {
	r.writer.Lock()
	defer r.writer.Unlock()
	r.advance(now, false)
}

func (r *Recommender) advance(now time.Time, all bool) {
	wall := now.Unix()
	if d := wall - r.wall.Load(); d > 0 {
		r.now.Add(uint32(min(d, maxAge)))
	}
	r.wall.Store(wall)
	r.closeIdle(all)
	r.learn()
	r.rank()
}

// Settle closes all open sessions now, and lets them count.
func (r *Recommender) Settle() {
	r.writer.Lock()
	defer r.writer.Unlock()
	r.closeIdle(true)
	r.learn()
	r.rank()
}

// run ends with Close.
func (r *Recommender) run() {
	defer close(r.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-r.stop:
			return
		case now := <-tick.C:
			r.Advance(now)
			if now.Sub(last) < r.opts.SaveEvery {
				continue
			}
			last = now
			if err := r.Save(); err != nil {
				r.opts.Log.Error("recommend: aggregates not saved", "err", err)
			}
		}
	}
}

// Close lets the open sessions count and saves. The recommender still answers, and
// learns nothing more by itself.
func (r *Recommender) Close() error {
	err := error(nil)
	r.once.Do(func() {
		close(r.stop)
		<-r.done
		r.Settle()
		err = r.Save()
	})
	return err
}

package recommend

import (
	"slices"
	"sync"
	"time"
)

// A Kind is what a visitor did with an item.
type Kind uint8

const (
	View     Kind = iota + 1 // saw the item's own page
	Click                    // followed a link to it
	Purchase                 // bought it
	Hide                     // does not want to see it: the session says nothing of it
	Search                   // looked for something; of no item, keeps the session open
)

// An Event is what a visitor did, with consent. Session and Visitor are the
// caller's: opaque, and not to be guessed by visitors, so that nobody writes into
// the session of another (a keyed hash is right). They are kept in memory while the
// session is open and until the day ends, and nowhere else.
type Event struct {
	Kind    Kind
	Item    uint32    // by number; see Catalogue.Number
	Session uint64    // not 0
	Visitor uint64    // 0: every session counts as a visitor of its own
	Time    time.Time // zero: now
}

// An Outcome says what became of an event.
type Outcome uint8

const (
	Taken       Outcome = iota
	UnknownItem         // not in the catalogue
	Invalid             // no session key, or no kind that there is
	Repeated            // what the session's last event said already
)

func (o Outcome) String() string {
	return [...]string{"taken", "unknown item", "invalid", "repeated"}[o]
}

// Bounds of what is held of sessions that are open.
const (
	shards      = 64
	maxEvents   = 100 // then the session closes, and the next event opens another
	maxPastView = 50  // items of a session that are kept after it closed
	maxPending  = 1 << 16
	maxAge      = 24 * 3600 // seconds by which an event may be late
)

// An entry is an event of an open session.
type entry struct {
	item uint32
	at   uint32 // logical seconds
	kind Kind
}

// An open session, in its shard's list from the longest idle to the last active.
type open struct {
	key, visitor uint64
	last         uint32 // logical seconds of its last event
	entries      []entry
	prev, next   *open
}

// A shard holds the open sessions of some keys under its own lock.
type shard struct {
	mu     sync.Mutex
	byKey  map[uint64]*open
	head   open  // a ring; head.next is idle for the longest
	spare  *open // closed and applied sessions, to be used again
	spares int
	_      [32]byte // shards do not share cache lines
}

func (s *shard) init() {
	s.byKey = map[uint64]*open{}
	s.head.prev, s.head.next = &s.head, &s.head
}

func (o *open) unlink() { o.prev.next, o.next.prev = o.next, o.prev }

func (s *shard) last(o *open) {
	o.prev, o.next = s.head.prev, &s.head
	o.prev.next, o.next.prev = o, o
}

// Event takes note of what a visitor did. It may be called by many at once; it
// takes one short lock, and no memory once sessions come and go.
func (r *Recommender) Event(e Event) Outcome {
	if e.Session == 0 || e.Kind < View || e.Kind > Search {
		r.stats.invalid.Add(1)
		return Invalid
	}
	if e.Kind != Search && r.cat.Load().at(e.Item) == nil {
		r.stats.unknown.Add(1)
		return UnknownItem
	}
	visitor := e.Visitor
	if visitor == 0 {
		visitor = e.Session
	}
	now := r.now.Load()
	at := now - min(r.age(e.Time), now-min(now, 1))
	s := &r.shards[mix(e.Session)%shards]
	s.mu.Lock()
	o := s.byKey[e.Session]
	if o != nil && (o.visitor != visitor || now > o.last+r.opts.idle || len(o.entries) == maxEvents) {
		// Another visitor under the same key is a login, or a mistake of the
		// caller's: two visitors never are one session.
		r.close(s, o)
		o = nil
	}
	if o == nil {
		if len(s.byKey) >= r.opts.perShard {
			r.close(s, s.head.next)
		}
		o = s.open(e.Session, visitor)
	} else {
		o.unlink()
	}
	o.last = now
	s.last(o)
	out := Taken
	if e.Kind != Search {
		out = o.note(entry{e.Item, at, e.Kind})
	}
	s.mu.Unlock()
	if out == Taken {
		r.stats.events.Add(1)
	}
	return out
}

// age is how many seconds ago something was, at most a day, and never in the
// future: a visitor's clock is wrong as often as not.
func (r *Recommender) age(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(r.wall.Load()-t.Unix(), 0), maxAge))
}

// note adds an entry in its order of time: events that are late are few, and come
// soon after.
func (o *open) note(e entry) Outcome {
	i := len(o.entries)
	for i > 0 && o.entries[i-1].at > e.at {
		i--
	}
	if i > 0 && o.entries[i-1].item == e.item && o.entries[i-1].kind == e.kind {
		return Repeated
	}
	o.entries = slices.Insert(o.entries, i, e)
	return Taken
}

func (s *shard) open(key, visitor uint64) *open {
	o := s.spare
	if o == nil {
		o = &open{entries: make([]entry, 0, 8)}
	} else {
		s.spare = o.next
		s.spares--
		o.entries = o.entries[:0]
	}
	o.key, o.visitor = key, visitor
	s.byKey[key] = o
	return o
}

// close takes a session out of its shard and puts it in the queue of those that
// enter the aggregates. The shard's lock is held.
func (r *Recommender) close(s *shard, o *open) {
	delete(s.byKey, o.key)
	o.unlink()
	r.queue.Lock()
	if len(r.pending) < maxPending {
		r.pending = append(r.pending, o)
	} else {
		r.stats.dropped.Add(1)
	}
	r.queue.Unlock()
}

// reuse gives a session that was applied back to its shard.
func (r *Recommender) reuse(o *open) {
	s := &r.shards[mix(o.key)%shards]
	o.key, o.visitor = 0, 0
	s.mu.Lock()
	if s.spares < 64 && cap(o.entries) <= 32 {
		o.prev, o.next = nil, s.spare
		s.spare = o
		s.spares++
	}
	s.mu.Unlock()
}

// closeIdle closes the sessions that had no event for a while; all of them if all.
func (r *Recommender) closeIdle(all bool) {
	now := r.now.Load()
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for o := s.head.next; o != &s.head && (all || now > o.last+r.opts.idle); o = s.head.next {
			r.close(s, o)
		}
		s.mu.Unlock()
	}
}

// CloseSession closes an open session now, as a logout or a withdrawal of consent
// asks for. With forget it enters no aggregate.
func (r *Recommender) CloseSession(session uint64, forget bool) {
	s := &r.shards[mix(session)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byKey[session]
	if o == nil {
		return
	}
	if forget {
		o.entries = o.entries[:0]
	}
	r.close(s, o)
}

// trail appends the items that a session saw and did not hide, the newest first,
// each once, at most n.
func (r *Recommender) trail(dst []uint32, session uint64, n int) []uint32 {
	s := &r.shards[mix(session)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byKey[session]
	if o == nil {
		return dst
	}
	for i := len(o.entries) - 1; i >= 0 && len(dst) < n; i-- {
		e := o.entries[i]
		if !slices.Contains(dst, e.item) && !o.hides(e.item) {
			dst = append(dst, e.item)
		}
	}
	return dst
}

func (o *open) hides(item uint32) bool {
	for _, e := range o.entries {
		if e.item == item && e.kind == Hide {
			return true
		}
	}
	return false
}

// mix spreads a key over all bits (the finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

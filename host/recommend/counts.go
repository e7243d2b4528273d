package recommend

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
)

// A decayed counter is a count that halves with time, and the time up to which it
// was, in one word: readers see both or neither. One goroutine writes, all read.
type decayed struct{ word atomic.Uint64 }

// halve is what is left of a weight after some seconds. Time never runs backwards
// here; if it seems to, nothing decays.
func halve(seconds int64, halfLife float64) float32 {
	if seconds <= 0 {
		return 1
	}
	return float32(math.Exp2(-float64(seconds) / halfLife))
}

func (d *decayed) at(now uint32, halfLife float64) float32 {
	w := d.word.Load()
	if w == 0 {
		return 0
	}
	return math.Float32frombits(uint32(w>>32)) * halve(int64(now)-int64(uint32(w)), halfLife)
}

func (d *decayed) add(now uint32, halfLife float64, amount float32) {
	v := d.at(now, halfLife) + amount
	d.set(v, max(now, uint32(d.word.Load())))
}

func (d *decayed) set(v float32, at uint32) {
	d.word.Store(uint64(math.Float32bits(v))<<32 | uint64(at))
}

func (d *decayed) get() (v float32, at uint32) {
	w := d.word.Load()
	return math.Float32frombits(uint32(w >> 32)), uint32(w)
}

// A crowd remembers which visitors it saw, as one bit for each by a hash of the
// visitor's key. Two visitors may share a bit, one visitor never has two: so the
// number of bits is never more than the number of visitors, and a support that
// the bits show is there. 64 bits show up to maxSupport without trouble.
type crowd struct{ bits atomic.Uint64 }

func (c *crowd) add(visitor uint64) { c.bits.Store(c.bits.Load() | 1<<(visitor>>58)) }

func (c *crowd) atLeast(k int) bool { return bits.OnesCount64(c.bits.Load()) >= k }

// maxSupport is the largest support that can be asked for. A pair has 32 bits; of
// 32, sixteen differ after some 22 visitors.
const maxSupport = 16

// A state is what is known of one item from sessions. One goroutine writes it, all
// read: each field is one atomic word.
type state struct {
	views     decayed       // half-life of best sellers
	fresh     decayed       // views, half-life of trending
	purchases decayed       // half-life of best sellers
	seen      crowd         // visitors who viewed it
	bought    crowd         // visitors who bought it
	ever      atomic.Uint32 // how many sessions there were
	sessions  atomic.Pointer[ring]
	near      atomic.Pointer[neighbours] // seen in the same sessions
	with      atomic.Pointer[neighbours] // bought in the same sessions
}

// A table has a state for each item number that was ever seen in a session. It
// grows in chunks, so that a catalogue of a million items without visitors costs
// little.
const chunkSize = 256

type chunk [chunkSize]atomic.Pointer[state]

type table struct {
	chunks [(maxItemNumber + chunkSize) / chunkSize]atomic.Pointer[chunk]
}

// at gives the state of an item, nil if there is none.
func (t *table) at(item uint32) *state {
	if item > maxItemNumber {
		return nil
	}
	c := t.chunks[item/chunkSize].Load()
	if c == nil {
		return nil
	}
	return c[item%chunkSize].Load()
}

// make gives the state of an item that is in the catalogue, a new one if there is
// none. For the writer alone.
func (t *table) make(item uint32) *state {
	c := t.chunks[item/chunkSize].Load()
	if c == nil {
		c = new(chunk)
		t.chunks[item/chunkSize].Store(c)
	}
	s := c[item%chunkSize].Load()
	if s == nil {
		s = new(state)
		c[item%chunkSize].Store(s)
	}
	return s
}

// forget drops what is known of an item.
func (t *table) forget(item uint32) {
	if c := t.chunks[item/chunkSize].Load(); c != nil {
		c[item%chunkSize].Store(nil)
	}
}

// all goes through the items that have a state, by number.
func (t *table) all(yield func(uint32, *state) bool) {
	for i := range t.chunks {
		c := t.chunks[i].Load()
		if c == nil {
			continue
		}
		for j := range c {
			if s := c[j].Load(); s != nil && !yield(uint32(i*chunkSize+j), s) {
				return
			}
		}
	}
}

// A ring holds the newest sessions of an item, by their sequence number: the one
// that was its n-th is in slot n modulo their number. A reader that is overtaken by
// the writer reads newer sessions than it meant to: that does no harm.
type ring struct{ slot []atomic.Uint32 }

// push adds a session to an item's ring, for the writer alone. The ring grows, up to
// most slots, a power of two, only where it would lose a session that is still kept:
// one after oldest.
func (s *state) push(seq, oldest uint32, most int) {
	r := s.sessions.Load()
	if r == nil {
		r = &ring{slot: make([]atomic.Uint32, 4)}
	}
	n := s.ever.Load()
	if lost := r.slot[int(n)%len(r.slot)].Load(); lost > oldest && len(r.slot) < most {
		g := &ring{slot: make([]atomic.Uint32, 2*len(r.slot))}
		for i := 1; i <= min(int(n), len(r.slot)); i++ {
			g.slot[(int(n)-i)%len(g.slot)].Store(r.slot[(int(n)-i)%len(r.slot)].Load())
		}
		r = g
	}
	r.slot[int(n)%len(r.slot)].Store(seq)
	s.sessions.Store(r)
	s.ever.Store(n + 1)
}

// oldest is the sequence number after which sessions are kept, when seq is the newest.
func (p *pasts) oldest(seq uint32) uint32 { return seq - min(seq, uint32(len(p.slot))) }

// A past is a session that closed. It names nobody, and never changes.
type past struct {
	seq   uint32
	at    uint32   // when it closed, in logical seconds
	items []uint32 // in order of time, without immediate repeats
}

// newPast copies a path. A short session lies in one cache line with its items:
// an answer looks at hundreds of them, at random places in memory.
func newPast(seq, at uint32, path []uint32) *past {
	if len(path) > 8 {
		return &past{seq, at, slices.Clone(path)}
	}
	p := &struct {
		past
		near [8]uint32
	}{past: past{seq: seq, at: at}}
	p.items = p.near[:copy(p.near[:], path):len(path)]
	return &p.past
}

// pasts keeps the newest sessions, a power of two of them.
type pasts struct {
	next atomic.Uint32 // the sequence number that the next one gets; the first is 1
	slot []atomic.Pointer[past]
}

func (p *pasts) at(seq uint32) *past {
	s := p.slot[int(seq)&(len(p.slot)-1)].Load()
	if s == nil || s.seq != seq {
		return nil
	}
	return s
}

// without gives the session without some items.
func (p *past) without(gone map[uint32]bool) *past {
	if !slices.ContainsFunc(p.items, func(i uint32) bool { return gone[i] }) {
		return p
	}
	return newPast(p.seq, p.at, slices.DeleteFunc(slices.Clone(p.items), func(i uint32) bool { return gone[i] }))
}

package recommend

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync/atomic"
)

// Save writes the aggregates to the folder, if anything changed. Open sessions are
// not in it: they are about visitors, and nothing about a visitor is kept.
func (r *Recommender) Save() error {
	if r.dir == "" {
		return nil
	}
	r.writer.Lock()
	defer r.writer.Unlock()
	if !r.changed {
		return nil
	}
	// Events and answers go on meanwhile: only learning waits for this lock.
	if err := writeFile(r.path(aggregatesFile), magicAggregates, r.encode); err != nil {
		return fmt.Errorf("recommend: %w", err)
	}
	r.changed = false
	return nil
}

func (r *Recommender) encode(e *encoder) error {
	e.uint32(r.cat.Load().Epoch())
	e.uint32(r.now.Load())
	e.uint64(r.seed)
	n := 0
	for range r.items.all {
		n++
	}
	e.count(n)
	for item, s := range r.items.all {
		e.uint32(item)
		for _, d := range []*decayed{&s.views, &s.fresh, &s.purchases} {
			v, at := d.get()
			e.float32(v)
			e.uint32(at)
		}
		e.uint64(s.seen.bits.Load())
		e.uint64(s.bought.bits.Load())
		e.uint32(s.ever.Load())
		encodeNeighbours(e, s.near.Load())
		encodeNeighbours(e, s.with.Load())
	}
	next := r.pasts.next.Load()
	e.uint32(next)
	kept := min(next-1, uint32(len(r.pasts.slot)))
	e.count(int(kept))
	for seq := next - kept; seq != next; seq++ {
		p := r.pasts.at(seq)
		if p == nil {
			p = &past{}
		}
		e.uint32(p.at)
		e.count(len(p.items))
		for _, item := range p.items {
			e.uint32(item)
		}
	}
	return nil
}

func encodeNeighbours(e *encoder, n *neighbours) {
	if n == nil {
		e.count(0)
		return
	}
	e.count(len(n.list))
	e.uint32(n.at)
	e.float32(n.next)
	e.float32(n.both)
	for i := range n.list {
		k := &n.list[i]
		e.uint32(k.item)
		e.float32(k.next)
		e.float32(k.both)
		e.uint32(k.who)
	}
}

// aggregates are what a file said, before anything of it is used.
type aggregates struct {
	epoch, now uint32
	seed       uint64
	items      *table
	pasts      *pasts
}

// decodeAggregates reads all, or says what is wrong.
func decodeAggregates(d *decoder, keep int) (*aggregates, error) {
	a := &aggregates{epoch: d.uint32(), now: max(d.uint32(), 1), seed: d.uint64(), items: new(table)}
	if a.now > math.MaxInt32 {
		d.fail("a time is not possible")
	}
	a.pasts = &pasts{slot: make([]atomic.Pointer[past], keep)}
	ever := map[uint32]uint32{}
	for n := d.count(50); n > 0 && d.err == nil; n-- {
		item := d.uint32()
		if item == 0 || item > maxItemNumber || a.items.at(item) != nil {
			d.fail("an item's number is not possible")
			break
		}
		s := a.items.make(item)
		for _, c := range []*decayed{&s.views, &s.fresh, &s.purchases} {
			v := d.weight()
			c.set(v, a.time(d))
		}
		s.seen.bits.Store(d.uint64())
		s.bought.bits.Store(d.uint64())
		if k := d.uint32(); k > 0 {
			ever[item] = k
		}
		s.near.Store(a.neighbours(d))
		s.with.Store(a.neighbours(d))
	}
	a.sessions(d, keep)
	if err := d.end(); err != nil {
		return nil, err
	}
	for item, k := range ever {
		// How many sessions there ever were, for how rare an item is. The places of
		// those that are kept do not change: they are counted from the newest.
		if s := a.items.at(item); s != nil {
			s.setEver(k)
		}
	}
	return a, nil
}

// time reads logical seconds, which are never after the file's own.
func (a *aggregates) time(d *decoder) uint32 {
	t := d.uint32()
	if t > a.now {
		d.fail("a time is after the file's")
	}
	return t
}

func (a *aggregates) neighbours(d *decoder) *neighbours {
	k := d.count(16)
	if k == 0 {
		return nil
	}
	if k > maxNeighbours {
		d.fail("more neighbours than there may be")
		return nil
	}
	n := &neighbours{at: a.time(d), next: d.weight(), both: d.weight(), list: make([]neighbour, k)}
	for i := range n.list {
		n.list[i] = neighbour{d.uint32(), d.weight(), d.weight(), d.uint32()}
	}
	return n
}

// sessions reads the kept sessions; if fewer are kept now than then, the newest.
func (a *aggregates) sessions(d *decoder, keep int) {
	next := d.uint32()
	kept := d.count(5)
	if next == 0 || uint64(kept) > uint64(next)-1 {
		d.fail("sessions are not numbered as they can be")
		return
	}
	a.pasts.next.Store(next)
	for seq := next - uint32(kept); seq != next && d.err == nil; seq++ {
		at, n := a.time(d), d.count(4)
		if n > maxPastView {
			d.fail("a session is longer than it may be")
			return
		}
		path := make([]uint32, n)
		for i := range path {
			item := d.uint32()
			if item == 0 || item > maxItemNumber {
				d.fail("an item's number is not possible")
				return
			}
			path[i] = item
		}
		if int(next-seq) > keep {
			continue
		}
		a.pasts.slot[int(seq)&(keep-1)].Store(newPast(seq, at, path))
		for i, item := range path {
			if !slices.Contains(path[i+1:], item) {
				a.items.make(item).push(seq, a.pasts.oldest(seq), recentSessions)
			}
		}
	}
}

// setEver moves a ring's entries to where they are if n sessions came through it.
func (s *state) setEver(n uint32) {
	have := s.ever.Load()
	if n <= have {
		return
	}
	if old := s.sessions.Load(); old != nil {
		g := &ring{slot: make([]atomic.Uint32, len(old.slot))}
		for i := uint32(1); i <= min(have, uint32(len(old.slot))); i++ {
			g.slot[int(n-i)%len(g.slot)].Store(old.slot[int(have-i)%len(old.slot)].Load())
		}
		s.sessions.Store(g)
	}
	s.ever.Store(n)
}

// restore reads the folder. Whatever is damaged is put aside and begins empty.
func (r *Recommender) restore() {
	nums, err := loadNumbers(r.path(numbersFile))
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil {
		if !isNew {
			r.putAside(numbersFile, err)
		}
		nums = newNumbers() // a new epoch: what was kept under another is void
	}
	r.cat.Store(emptyCatalogue(nums))
	r.restoreCatalogue(nums)
	if err != nil {
		// From now on these are the numbers, after the next start too.
		if err := nums.save(r.path(numbersFile)); err != nil {
			r.restored = append(r.restored, fmt.Errorf("recommend: %w", err))
		}
	}
	d, err := readFile(r.path(aggregatesFile), magicAggregates, 4<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var a *aggregates
	if err == nil {
		a, err = decodeAggregates(d, len(r.pasts.slot))
	}
	if err == nil && a.epoch != nums.epoch {
		err = fmt.Errorf("%w: aggregates belong to other numbers than the folder's", ErrDamaged)
	}
	if err != nil {
		r.putAside(aggregatesFile, err)
		return
	}
	r.seed, r.flood = a.seed, newFlood(mix(a.seed))
	r.now.Store(a.now)
	r.pasts.next.Store(a.pasts.next.Load())
	r.pasts.slot = a.pasts.slot
	for i := range a.items.chunks {
		r.items.chunks[i].Store(a.items.chunks[i].Load())
	}
}

// putAside renames a damaged file, so that it can be looked at and is not read
// again.
func (r *Recommender) putAside(name string, err error) {
	err = fmt.Errorf("recommend: %s begins empty: %w", name, err)
	if rerr := os.Rename(r.path(name), r.path(name)+".damaged"); rerr != nil {
		err = errors.Join(err, rerr)
	}
	r.opts.Log.Error("recommend: a damaged file was put aside", "file", name, "err", err)
	r.restored = append(r.restored, err)
}

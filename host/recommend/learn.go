package recommend

import "slices"

// learn takes the closed sessions out of the queue and into the aggregates. It and
// what it calls are the only writers; r.writer is held.
func (r *Recommender) learn() {
	r.queue.Lock()
	list := r.pending
	r.pending, r.applied = r.applied[:0], nil
	r.queue.Unlock()
	for i, o := range list {
		r.apply(o)
		r.reuse(o)
		list[i] = nil
	}
	r.queue.Lock()
	r.applied = list[:0]
	r.queue.Unlock()
}

// A lesson is what a session says, once what it may not say is left out. Its memory
// is used again for the next.
type lesson struct {
	path   []uint32 // items in order, without immediate repeats
	items  []uint32 // each once, in order of the last time
	isNew  []bool   // by items: the visitor said it for the first time today
	bought []uint32
	newBuy []bool
	links  []link
}

// apply lets a session count.
func (r *Recommender) apply(o *open) {
	now := r.now.Load()
	r.flood.begin(now)
	visitor := mix(o.visitor ^ r.seed)
	count := r.flood.count(visitor)
	l := &r.lesson
	l.read(o, r.cat.Load())
	heard := false
	l.isNew, l.newBuy = l.isNew[:0], l.newBuy[:0]
	for _, item := range l.items {
		first := r.flood.first(visitor, item, View, &count)
		l.isNew = append(l.isNew, first)
		if first {
			heard = true
			s := r.items.make(item)
			s.views.add(now, r.opts.BestHalfLife.Seconds(), 1)
			s.fresh.add(now, r.opts.TrendHalfLife.Seconds(), 1)
			s.seen.add(visitor)
			r.touch(item)
		}
	}
	for _, item := range l.bought {
		first := r.flood.first(visitor, item, Purchase, &count)
		l.newBuy = append(l.newBuy, first)
		if first {
			heard = true
			s := r.items.make(item)
			s.purchases.add(now, r.opts.BestHalfLife.Seconds(), 1)
			s.bought.add(visitor)
			r.touch(item)
		}
	}
	if heard {
		r.pairs(l, visitor, now)
		r.orders(l, visitor, now)
		if count.sessions < daySessions && len(l.items) > 1 {
			count.sessions++
			r.keep(l, now)
		}
		r.stats.sessions.Add(1)
	} else if len(l.items) > 0 {
		r.stats.unheard.Add(1)
	}
	r.flood.setCount(visitor, count)
}

// read takes from a session what is still in the catalogue and was not hidden.
func (l *lesson) read(o *open, cat *Catalogue) {
	l.path, l.items, l.bought = l.path[:0], l.items[:0], l.bought[:0]
	for _, e := range o.entries {
		if e.kind == Hide || cat.at(e.item) == nil || o.hides(e.item) {
			continue
		}
		if e.kind == Purchase {
			if !slices.Contains(l.bought, e.item) {
				l.bought = append(l.bought, e.item)
			}
			if slices.Contains(l.path, e.item) {
				continue // an order's list is no path through the shop
			}
		}
		if n := len(l.path); n == 0 || l.path[n-1] != e.item {
			l.path = append(l.path, e.item)
		}
	}
	if n := len(l.path); n > maxPastView {
		l.path = l.path[n-maxPastView:]
	}
	for i, item := range l.path {
		if !slices.Contains(l.path[i+1:], item) {
			l.items = append(l.items, item)
		}
	}
}

// reach is how many steps apart two items may be seen and still be neighbours. A
// step counts for 1/distance (the sequential rules of Ludewig and Jannach, "Evaluation of
// session-based recommendation algorithms", UMUAI 28, 2018).
const reach = 8

// pairs lets a session's items be neighbours of each other. A pair of which the
// visitor said both today says nothing new.
func (r *Recommender) pairs(l *lesson, visitor uint64, now uint32) {
	for i, item := range l.items {
		l.links = l.links[:0]
		for at, other := range l.path {
			if other != item {
				continue
			}
			for d := 1; d <= reach; d++ {
				if to := at + d; to < len(l.path) {
					l.link(l.path[to], item, i, 1/float32(d), 1/float32(d))
				}
				if to := at - d; to >= 0 {
					l.link(l.path[to], item, i, 0, 1/float32(d))
				}
			}
		}
		if len(l.links) > 0 {
			s := r.items.make(item)
			s.near.Store(s.near.Load().merge(l.links, visitor, now, r.opts.NeighbourHalfLife.Seconds()))
		}
	}
}

// link adds to what a session says of a pair; a pair counts once, at its nearest.
func (l *lesson) link(to, from uint32, fromIndex int, next, both float32) {
	if to == from || !l.isNew[fromIndex] && !l.isNew[slices.Index(l.items, to)] {
		return
	}
	for i := range l.links {
		if k := &l.links[i]; k.item == to {
			k.next, k.both = max(k.next, next), max(k.both, both)
			return
		}
	}
	l.links = append(l.links, link{to, next, both})
}

// orders lets what was bought in one session be neighbours in "bought together".
func (r *Recommender) orders(l *lesson, visitor uint64, now uint32) {
	for i, item := range l.bought {
		l.links = l.links[:0]
		for j, other := range l.bought {
			if i != j && (l.newBuy[i] || l.newBuy[j]) {
				l.links = append(l.links, link{other, 0, 1})
			}
		}
		if len(l.links) > 0 {
			s := r.items.make(item)
			s.with.Store(s.with.Load().merge(l.links, visitor, now, r.opts.NeighbourHalfLife.Seconds()))
		}
	}
}

// keep stores a session for "for you".
func (r *Recommender) keep(l *lesson, now uint32) {
	seq := r.pasts.next.Load()
	p := newPast(seq, now, l.path)
	// First the session, then the ways to it: whoever finds a number finds it.
	r.pasts.slot[int(seq)&(len(r.pasts.slot)-1)].Store(p)
	for _, item := range l.items {
		r.items.make(item).push(seq, r.pasts.oldest(seq), recentSessions)
	}
	if seq++; seq == 0 {
		seq = 1
	}
	r.pasts.next.Store(seq)
}

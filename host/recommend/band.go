package recommend

import (
	"fmt"
	"slices"
)

// A Band is a list of items for a place in a page.
type Band uint8

const (
	RecentlyViewed Band = iota + 1 // Query.Recent
	BestSellers
	Trending
	Deals
	BoughtTogether // with Query.Item
	Similar        // seen in the same sessions as Query.Item; else alike in the catalogue
	ViewedNext     // seen after Query.Item
	ForYou         // from Query.Session or Trail, and Recent
	FromCatalogue  // in the catalogue's order: where nothing else is known
)

var bandNames = [...]string{"", "recently-viewed", "best-sellers", "trending", "deals", "bought-together", "similar", "viewed-next", "for-you", "catalogue"}

// String is the band's name in configurations and keys.
func (b Band) String() string { return bandNames[b] }

// ParseBand finds a band by its name.
func ParseBand(name string) (Band, error) {
	if i := slices.Index(bandNames[1:], name); i >= 0 {
		return Band(i + 1), nil
	}
	return 0, fmt.Errorf("%.40q is no band; %q are", name, bandNames[1:])
}

// Personal says whether a band's answer is about its visitor: it may be asked for
// only with consent to personalize, and with what that consent covers.
func (b Band) Personal() bool { return b == RecentlyViewed || b == ForYou }

// A Query says for whom and beside what a band is shown. What the visitor's
// decision does not grant is left out by the caller. The lists are read up to a
// bound, newest first: 20 of Trail and Recent, 256 of the others.
type Query struct {
	N    int    // how many; 12 if 0, at most MaxN
	Item uint32 // the item of the page, 0 if it is of none; never in the answer

	Session uint64   // the open session that "for you" follows
	Trail   []uint32 // or what was seen in it, the newest first
	Recent  []uint32 // items of the visitor's profile, the newest first

	Hidden []uint32 // items that are never shown
	Muted  []uint32 // attribute values of which nothing is shown
	Within []uint32 // attribute values that everything shown has
	// Exact leaves out what fills up a band that has too few of its own.
	Exact bool
}

// MaxN is how many items a band has at most.
const MaxN = 100

// A Pick is an item of a band's answer.
type Pick struct {
	Item  uint32
	Band  Band // where it is from: another than was asked for where the band was filled up
	Score float32
}

// Band gives a band's items, the best first. A band that knows too little is filled
// up with what is next best and about nobody; so it is empty only if nothing in the
// catalogue may be shown.
func (r *Recommender) Band(b Band, q Query) []Item {
	picks := r.AppendBand(make([]Pick, 0, q.n()), b, &q)
	cat := r.cat.Load()
	items := make([]Item, 0, len(picks))
	for _, p := range picks {
		if it, ok := cat.Item(p.Item); ok { // else a new catalogue came in between
			items = append(items, it)
		}
	}
	return items
}

func (q *Query) n() int {
	if q.N <= 0 {
		return 12
	}
	return min(q.N, MaxN)
}

// AppendBand appends a band's items to dst. It takes no lock but that of Session,
// and no memory but dst's.
func (r *Recommender) AppendBand(dst []Pick, b Band, q *Query) []Pick {
	a := r.answer(dst, q)
	defer a.free()
	ranks := r.ranks.Load()
	switch b {
	case RecentlyViewed:
		for i, item := range q.Recent[:min(len(q.Recent), maxTrail)] {
			a.add(item, b, 1/float32(i+1))
		}
	case BestSellers:
		a.rank(ranks.best, b)
	case Trending:
		a.rank(ranks.trend, b)
	case Deals:
		a.rank(ranks.deals, b)
	case BoughtTogether:
		a.together()
	case Similar:
		a.similar(Similar)
	case ViewedNext:
		a.similar(ViewedNext)
	case ForYou:
		a.forYou(&r.opts.weights, r.opts.Support)
	}
	if !q.Exact {
		a.fill(b, ranks)
	}
	return a.dst
}

// fill takes what is next best, until there is enough.
func (a *answer) fill(b Band, ranks *ranks) {
	if a.full() {
		return
	}
	switch b {
	case BoughtTogether:
		a.similar(Similar)
		a.alike()
	case Similar, ViewedNext:
		a.alike()
	case Deals:
		// Where nothing is reduced, nothing is a deal: best sellers follow.
	}
	a.rank(ranks.best, BestSellers)
	a.bestWithin()
	a.catalogue()
}

// An answer is a band under way.
type answer struct {
	r     *Recommender
	cat   *Catalogue
	q     *Query
	s     *scratch
	dst   []Pick
	begin int // where the answer begins in dst
	n     int
}

func (r *Recommender) answer(dst []Pick, q *Query) answer {
	s := r.pool.Get().(*scratch)
	return answer{r: r, cat: r.cat.Load(), q: q, s: s, dst: dst, begin: len(dst), n: q.n()}
}

func (a *answer) free() { a.r.pool.Put(a.s) }

func (a *answer) full() bool { return len(a.dst)-a.begin >= a.n }

// may says whether an item may be shown to this visitor at all. All that a visitor
// hides is honoured.
func (a *answer) may(item uint32) bool {
	rec := a.cat.at(item)
	if rec == nil || !rec.stock || item == a.q.Item || slices.Contains(a.q.Hidden, item) {
		return false
	}
	if len(a.q.Muted) == 0 && len(a.q.Within) == 0 {
		return true
	}
	values := a.cat.valuesOf(rec)
	for _, v := range values {
		if slices.Contains(a.q.Muted, v) {
			return false
		}
	}
	for _, v := range a.q.Within {
		if !slices.Contains(values, v) {
			return false
		}
	}
	return true
}

// add appends an item if it may be shown and is not there yet.
func (a *answer) add(item uint32, b Band, score float32) {
	if a.full() || a.has(item) || !a.may(item) {
		return
	}
	a.dst = append(a.dst, Pick{item, b, score})
}

func (a *answer) has(item uint32) bool {
	return slices.ContainsFunc(a.dst[a.begin:], func(p Pick) bool { return p.Item == item })
}

func (a *answer) rank(list []ranked, b Band) {
	for _, e := range list {
		if a.full() {
			return
		}
		// The support was there when the rank was made, and does not shrink.
		a.add(e.item, b, e.score)
	}
}

// bestWithin takes best sellers of a part of the catalogue that the ranks, which are
// of all of it, do not reach to.
func (a *answer) bestWithin() {
	if len(a.q.Within) == 0 || a.full() {
		return
	}
	list := a.cat.With(a.q.Within[0])
	for _, v := range a.q.Within[1:] {
		if l := a.cat.With(v); len(l) < len(list) {
			list = l
		}
	}
	if len(list) > maxLook/4 {
		return // then enough of them are in the ranks
	}
	t := &a.s.items
	t.reset()
	for _, item := range list {
		if e := t.at(item); e != nil {
			e.a = a.r.bestScore(a.cat, item)
		}
	}
	a.best(BestSellers, func(e *itemScore) float32 { return e.a })
}

// maxLook is how many items of the catalogue are looked at for one answer.
const maxLook = 4096

// catalogue takes items in the catalogue's order: those within what is asked for,
// else the first.
func (a *answer) catalogue() {
	if len(a.q.Within) > 0 {
		for i, item := range a.cat.With(a.q.Within[0]) {
			if a.full() || i == maxLook {
				return
			}
			a.add(item, FromCatalogue, 0)
		}
		return
	}
	for i := range a.cat.items {
		if a.full() || i == maxLook {
			return
		}
		a.add(a.cat.items[i].number, FromCatalogue, 0)
	}
}

// alike takes items that have most attribute values in common with the page's item.
// It is about the catalogue alone. Values that many items have say little, and are
// not looked through: each value counts for one by the number of its items.
func (a *answer) alike() {
	rec := a.cat.at(a.q.Item)
	if rec == nil || a.full() {
		return
	}
	t := &a.s.items
	t.reset()
	look := maxLook
	for _, v := range a.cat.valuesOf(rec) {
		list := a.cat.With(v)
		if len(list) > look {
			continue
		}
		look -= len(list)
		for _, item := range list {
			if e := t.at(item); e != nil {
				e.a += 1 / float32(len(list))
			}
		}
	}
	a.best(Similar, func(e *itemScore) float32 { return e.a })
}

// together takes what was bought in one order with the page's item, by as many
// visitors as are asked for. The weight is divided by the root of how much an item
// is bought at all: else what everybody buys would go with everything.
func (a *answer) together() {
	a.beside(BoughtTogether, func(s *state) *neighbours { return s.with.Load() }, func(e *neighbour, o *state, now uint32, h float64) float32 {
		return e.both / sqrt(1+o.purchases.at(now, h))
	})
}

// similar takes what as many visitors as are asked for saw together with the page's
// item, or next after it.
func (a *answer) similar(b Band) {
	a.beside(b, func(s *state) *neighbours { return s.near.Load() }, func(e *neighbour, o *state, now uint32, h float64) float32 {
		if b == ViewedNext {
			return e.next
		}
		return e.both / sqrt(1+o.views.at(now, h))
	})
}

// beside takes of the page's item's neighbours those whom as many visitors as are
// asked for made so, by the weight of each.
func (a *answer) beside(b Band, of func(*state) *neighbours, weight func(e *neighbour, o *state, now uint32, h float64) float32) {
	s := a.r.items.at(a.q.Item)
	if s == nil {
		return
	}
	list := of(s)
	if list == nil {
		return
	}
	now, h := a.r.now.Load(), a.r.opts.BestHalfLife.Seconds()
	t := &a.s.items
	t.reset()
	for i := range list.list {
		e := &list.list[i]
		if !e.atLeast(a.r.opts.Support) {
			continue
		}
		if o := a.r.items.at(e.item); o != nil {
			if k := t.at(e.item); k != nil {
				k.a = weight(e, o, now, h)
			}
		}
	}
	a.best(b, func(e *itemScore) float32 { return e.a })
}

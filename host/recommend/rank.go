package recommend

import (
	"cmp"
	"math"
	"slices"
)

// rankLen is how many items each rank has: what is hidden, muted or out of stock is
// left out when it is read, so there have to be more than are shown.
const rankLen = 1024

// rerank is after how many seconds all ranks are made anew. In between only the
// items that sessions touched are put in their places: the order of the others does
// not change while all decay alike (best sellers), or hardly (trending).
const rerank = 600

// ranks are the lists that are about nobody. They never change; new ones take their
// place.
type ranks struct {
	best  []ranked // bought, or else viewed, most
	trend []ranked // viewed more of late than is usual for the item
	deals []ranked // discount times popularity
}

type ranked struct {
	item  uint32
	score float32
}

// touch notes that an item's place may have changed.
func (r *Recommender) touch(item uint32) {
	r.changed = true
	if len(r.dirty) >= 1<<16 {
		r.stale = true
		return
	}
	r.dirty[item] = struct{}{}
}

// rank brings the ranks up to date.
func (r *Recommender) rank() {
	if r.stale || r.now.Load()-r.ranked >= rerank {
		r.rankAll()
		return
	}
	if len(r.dirty) == 0 {
		return
	}
	cat, old := r.cat.Load(), r.ranks.Load()
	merge := func(list []ranked, score func(*Catalogue, uint32) float32) []ranked {
		all := make([]ranked, 0, len(list)+len(r.dirty))
		for _, e := range list {
			if _, ok := r.dirty[e.item]; !ok {
				all = append(all, ranked{e.item, score(cat, e.item)})
			}
		}
		for item := range r.dirty {
			all = append(all, ranked{item, score(cat, item)})
		}
		return cutRank(all)
	}
	r.ranks.Store(&ranks{merge(old.best, r.bestScore), merge(old.trend, r.trendScore), merge(old.deals, r.dealScore)})
	clear(r.dirty)
}

// rankAll makes the ranks from all items.
func (r *Recommender) rankAll() {
	cat := r.cat.Load()
	var best, trend, deals []ranked
	for item := range r.items.all {
		if cat.at(item) == nil {
			continue
		}
		if s := r.bestScore(cat, item); s > 0 {
			best = append(best, ranked{item, s})
		}
		if s := r.trendScore(cat, item); s > 0 {
			trend = append(trend, ranked{item, s})
		}
	}
	for _, item := range cat.deals {
		deals = append(deals, ranked{item, r.dealScore(cat, item)})
	}
	r.ranks.Store(&ranks{cutRank(best), cutRank(trend), cutRank(deals)})
	clear(r.dirty)
	r.stale, r.ranked = false, r.now.Load()
}

// cutRank sorts by score, at equal scores by number, and keeps the first.
func cutRank(all []ranked) []ranked {
	all = slices.DeleteFunc(all, func(e ranked) bool { return !(e.score > 0) })
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.item, b.item))
	})
	return slices.Clone(all[:min(len(all), rankLen)])
}

// shown says whether enough visitors saw an item for it to be shown for that.
func (r *Recommender) shown(s *state) bool { return s != nil && s.seen.atLeast(r.opts.Support) }

// bestScore counts what was bought. What was only viewed comes after it, in its own
// order. Both only with their support.
func (r *Recommender) bestScore(_ *Catalogue, item uint32) float32 {
	s := r.items.at(item)
	if !r.shown(s) {
		return 0
	}
	now, h := r.now.Load(), r.opts.BestHalfLife.Seconds()
	v := s.views.at(now, h)
	score := v / (1 + v) // below 1
	if s.bought.atLeast(r.opts.Support) {
		score += 1 + s.purchases.at(now, h)
	}
	return score
}

// trendScore is by how many of its usual deviations an item was viewed more of late
// than its long average says.
func (r *Recommender) trendScore(_ *Catalogue, item uint32) float32 {
	s := r.items.at(item)
	if !r.shown(s) {
		return 0
	}
	now, long, short := r.now.Load(), r.opts.BestHalfLife.Seconds(), r.opts.TrendHalfLife.Seconds()
	usual := float64(s.views.at(now, long)) * short / long
	return float32((float64(s.fresh.at(now, short)) - usual) / math.Sqrt(usual+1))
}

// dealScore is discount times popularity. A discount is the catalogue's to tell and
// needs no support; popularity without support counts as none.
func (r *Recommender) dealScore(cat *Catalogue, item uint32) float32 {
	it, ok := cat.Item(item)
	if !ok {
		return 0
	}
	popular := 0.0
	if s := r.items.at(item); r.shown(s) {
		now, h := r.now.Load(), r.opts.BestHalfLife.Seconds()
		popular = float64(s.views.at(now, h))
		if s.bought.atLeast(r.opts.Support) {
			popular += 5 * float64(s.purchases.at(now, h))
		}
	}
	return float32(it.Discount() * (1 + math.Log1p(popular)))
}

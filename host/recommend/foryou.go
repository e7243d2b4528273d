package recommend

import (
	"math"
	"slices"
)

// Bounds of one prediction.
const (
	recentSessions = 512 // m of VMIS-kNN: the newest sessions of an item, a power of two
	maxTrail       = 20  // items of the visitor that are looked at
	sessionTable   = 8192
	itemTable      = 8192
)

// Weights of "for you". What is known of the next item is mixed from three:
//
//   - sessions like this one (VMIS-kNN: Kersbergen, Sprangers, Schelter, "Serenade",
//     SIGMOD 2022), with the item-distance decay of STAN (Garg et al., SIGIR 2019);
//   - what followed the last items, and was beside them (co-visitation);
//   - what the visitor saw before, and may come back to.
//
// Each of the first two is scaled to a sum of 1 before it is weighed.
type Weights struct {
	Sessions float32 // weight of VMIS-kNN
	Pairs    float32 // weight of co-visitation
	Own      float32 // weight of the visitor's own items

	K           int     // sessions that are looked at, of those like this one
	M           int     // newest sessions of each item, at most 512
	Trail       int     // items of the visitor's session that are looked at, at most 20
	TrailDecay  float32 // e-folding of an item's weight with its place in the trail
	MatchDecay  float32 // e-folding of a session's weight with the place of its newest match
	ItemDecay   float32 // e-folding of an item's weight with its distance from the match
	Before      float32 // factor for items before the match
	IDF         float32 // how much rare items count for more; 0 not at all
	LengthNorm  float32 // exponent of a session's length that divides its weight
	SessionDays float32 // e-folding of a session's weight with its age; 0 none
	PairTrail   int     // items of the trail whose neighbours count
	PairDecay   float32 // e-folding over those
	Both        float32 // share of "beside" in co-visitation, the rest is "after"
	OwnDecay    float32 // e-folding of own items with their place in the trail
	OwnSeen     bool    // own items may be shown at all
}

// DefaultWeights is what the product uses. The figures behind it are in
// docs/recommend.md.
func DefaultWeights() Weights {
	return Weights{
		Sessions: 0.5, Pairs: 0.5, Own: 0.03,
		K: 150, M: 500, Trail: 8, TrailDecay: 2, MatchDecay: 1.6, ItemDecay: 2, Before: 0.6, IDF: 1, LengthNorm: 0.25, SessionDays: 30,
		PairTrail: 4, PairDecay: 0.8, Both: 0.5, OwnDecay: 3, OwnSeen: true,
	}
}

// Predict appends what "for you" gives under weights of the caller's, and with a
// support of its own. Evaluations use it; pages ask for the band.
func (r *Recommender) Predict(dst []Pick, q *Query, w *Weights, support int) []Pick {
	a := r.answer(dst, q)
	defer a.free()
	a.forYou(w, support)
	if !q.Exact {
		a.fill(ForYou, r.ranks.Load())
	}
	return a.dst
}

// forYou takes what the visitor may want to see next.
func (a *answer) forYou(w *Weights, support int) {
	trail := a.trail()
	if len(trail) == 0 {
		return
	}
	t := &a.s.items
	t.reset()
	var sum [2]float32
	if w.Sessions > 0 {
		a.neighbourhood(w, trail[:min(len(trail), w.Trail)])
		sum[0] = a.weighRare(w)
	}
	if w.Pairs > 0 {
		sum[1] = a.covisits(w, trail[:min(len(trail), w.PairTrail)])
	}
	scale := func(weight, sum float32) float32 {
		if sum <= 0 {
			return 0
		}
		return weight / sum
	}
	fa, fb := scale(w.Sessions, sum[0]), scale(w.Pairs, sum[1])
	if w.Own > 0 {
		for i, item := range trail {
			if e := t.at(item); e != nil {
				e.own = w.Own * a.s.decay(i, w.OwnDecay)
			}
		}
	}
	a.s.support, a.s.ownSeen = support, w.OwnSeen
	a.best(ForYou, func(e *itemScore) float32 {
		return fa*e.a + fb*e.b + e.own
	})
}

// trail gives the items of the visitor, the newest first: of the session, then of
// the profile, each once. The page's own item is the newest.
func (a *answer) trail() []uint32 {
	s, q := a.s, a.q
	s.trail = s.trail[:0]
	take := func(list []uint32) {
		for _, item := range list {
			if len(s.trail) < maxTrail && item != 0 && !slices.Contains(s.trail, item) && a.cat.at(item) != nil && !slices.Contains(q.Hidden, item) {
				s.trail = append(s.trail, item)
			}
		}
	}
	if q.Item != 0 {
		s.page[0] = q.Item
		take(s.page[:])
	}
	if q.Trail == nil && q.Session != 0 {
		s.open = a.r.trail(s.open[:0], q.Session, maxTrail)
		take(s.open)
	} else {
		take(q.Trail[:min(len(q.Trail), maxTrail)])
	}
	s.session = len(s.trail)
	take(q.Recent[:min(len(q.Recent), maxTrail)])
	return s.trail
}

// neighbourhood adds to each item's a what the sessions say that are most like the
// trail.
func (a *answer) neighbourhood(w *Weights, trail []uint32) {
	s, r := a.s, a.r
	s.resetSessions()
	m := min(w.M, recentSessions)
	for p, item := range trail {
		st := r.items.at(item)
		if st == nil {
			continue
		}
		ring := st.sessions.Load()
		if ring == nil {
			continue
		}
		weight := s.decay(p, w.TrailDecay)
		n := st.ever.Load()
		for i := uint32(1); i <= uint32(min(m, int(n), len(ring.slot))); i++ {
			seq := ring.slot[int(n-i)%len(ring.slot)].Load()
			s.match(seq, weight, uint8(p))
		}
	}
	now := r.now.Load()
	for _, k := range s.nearest(w.K) {
		old := r.pasts.at(k.seq)
		if old == nil {
			continue
		}
		weight := k.score * s.decay(int(k.place), w.MatchDecay)
		if w.SessionDays > 0 {
			weight *= s.decay(min(int(now-min(old.at, now))/86400, 63), w.SessionDays)
		}
		if w.LengthNorm > 0 {
			weight *= s.norm(len(old.items), w.LengthNorm)
		}
		at := len(old.items) - 1
		for at > 0 && old.items[at] != trail[k.place] {
			at--
		}
		for i, item := range old.items {
			d, f := i-at, weight
			if d < 0 {
				d, f = -d, weight*w.Before
			}
			if d == 0 {
				continue // the match itself says nothing of what follows
			}
			if e := s.items.at(item); e != nil {
				e.a += f * s.decay(d-1, w.ItemDecay)
			}
		}
	}
}

// weighRare lets rare items count for more, and gives the sum of all.
func (a *answer) weighRare(w *Weights) float32 {
	total := a.s.log(a.r.pasts.next.Load())
	var sum float32
	for i := range a.s.items.list {
		e := &a.s.items.list[i]
		if e.a > 0 && w.IDF > 0 {
			if st := a.r.items.at(e.item); st != nil {
				e.a *= 1 + w.IDF*max(total-a.s.log(st.ever.Load()), 0)
			}
		}
		sum += e.a
	}
	return sum
}

// covisits adds to each item's b what was seen after and beside the newest items.
func (a *answer) covisits(w *Weights, trail []uint32) (sum float32) {
	for p, item := range trail {
		st := a.r.items.at(item)
		if st == nil {
			continue
		}
		list := st.near.Load()
		if list == nil {
			continue
		}
		weight := a.s.decay(p, w.PairDecay)
		next, both := float32(0), float32(0)
		if list.next > 0 {
			next = weight * (1 - w.Both) / list.next
		}
		if list.both > 0 {
			both = weight * w.Both / list.both
		}
		for i := range list.list {
			k := &list.list[i]
			if e := a.s.items.at(k.item); e != nil {
				v := k.next*next + k.both*both
				e.b += v
				sum += v
			}
		}
	}
	return sum
}

func sqrt(v float32) float32 { return float32(math.Sqrt(float64(v))) }

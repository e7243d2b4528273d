package recommend

import (
	"cmp"
	"math"
	"slices"
)

// A scratch is the memory of one answer, used again for the next.
type scratch struct {
	trail, open []uint32
	page        [1]uint32
	session     int // how many of trail are of the session
	support     int
	ownSeen     bool

	items    itemScores
	sessions []matched // a table by sequence number
	used     []uint16  // places of sessions in use
	near     []nearest
	top      []Pick

	decays   [8]decayTable
	norms    [maxPastView + 1]float32
	exponent float32 // of norms
	logs     [1024]float32
}

func newScratch() *scratch {
	s := &scratch{
		trail: make([]uint32, 0, maxTrail), open: make([]uint32, 0, maxTrail),
		sessions: make([]matched, sessionTable), used: make([]uint16, 0, sessionTable),
		top: make([]Pick, 0, MaxN+1),
	}
	for i := range s.logs {
		s.logs[i] = float32(math.Log(float64(max(i, 1))))
	}
	s.items.slot = make([]uint16, itemTable)
	s.items.list = make([]itemScore, 0, itemTable*3/4)
	return s
}

// itemScores adds up scores by item: a table of places in a list.
type itemScores struct {
	slot []uint16 // place in list, plus 1
	list []itemScore
}

type itemScore struct {
	item      uint32
	a, b, own float32
	slot      uint16
}

func (t *itemScores) reset() {
	for i := range t.list {
		t.slot[t.list[i].slot] = 0
	}
	t.list = t.list[:0]
}

// at gives the entry of an item, a new one if it has none; nil if the table is full.
func (t *itemScores) at(item uint32) *itemScore {
	i := (item * 2654435769) >> (32 - 13) // Fibonacci hashing; itemTable is 1<<13
	for {
		at := t.slot[i]
		if at == 0 {
			break
		}
		if e := &t.list[at-1]; e.item == item {
			return e
		}
		i = (i + 1) % itemTable
	}
	if len(t.list) == cap(t.list) {
		return nil
	}
	t.list = append(t.list, itemScore{item: item, slot: uint16(i)})
	t.slot[i] = uint16(len(t.list))
	return &t.list[len(t.list)-1]
}

// A matched session has something in common with the trail.
type matched struct {
	seq   uint32 // 0: the place is free
	score float32
	place uint8 // of its newest match in the trail
}

func (s *scratch) resetSessions() {
	for _, i := range s.used {
		s.sessions[i].seq = 0
	}
	s.used = s.used[:0]
}

func (s *scratch) match(seq uint32, weight float32, place uint8) {
	i := (seq * 2654435769) >> (32 - 13) // sessionTable is 1<<13
	for s.sessions[i].seq != 0 {
		if e := &s.sessions[i]; e.seq == seq {
			e.score += weight
			return
		}
		i = (i + 1) % sessionTable
	}
	if seq == 0 || len(s.used) >= sessionTable*3/4 {
		return
	}
	s.sessions[i] = matched{seq, weight, place}
	s.used = append(s.used, uint16(i))
}

type nearest struct {
	key   uint64 // score and sequence number: the larger the nearer
	seq   uint32
	score float32
	place uint8
}

// nearest gives the k sessions with the most weight, of equal ones the newest. In
// no order.
func (s *scratch) nearest(k int) []nearest {
	s.near = s.near[:0]
	for _, i := range s.used {
		e := &s.sessions[i]
		s.near = append(s.near, nearest{uint64(math.Float32bits(e.score))<<32 | uint64(e.seq), e.seq, e.score, e.place})
	}
	selectTop(s.near, k)
	return s.near[:min(k, len(s.near))]
}

// selectTop moves the k largest to the front (Hoare's selection). Keys differ, as
// sequence numbers do.
func selectTop(list []nearest, k int) {
	for len(list) > k && k > 0 {
		a, b, c := list[0].key, list[len(list)/2].key, list[len(list)-1].key
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := 0, len(list)-1
		for i <= j {
			for list[i].key > pivot {
				i++
			}
			for list[j].key < pivot {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			list = list[:j+1]
		case k >= i:
			list, k = list[i:], k-i
		default:
			return
		}
	}
}

// A decayTable has exp(-i/scale) for the first i.
type decayTable struct {
	scale float32
	v     [64]float32
}

// decay is exp(-i/scale), 1 if scale is 0.
func (s *scratch) decay(i int, scale float32) float32 {
	if scale == 0 {
		return 1
	}
	if i >= 64 {
		return 0
	}
	t := &s.decays[0]
	for j := range s.decays {
		if s.decays[j].scale == scale {
			t = &s.decays[j]
			return t.v[i]
		}
		if s.decays[j].scale == 0 {
			t = &s.decays[j]
			break
		}
	}
	t.scale = scale
	for k := range t.v {
		t.v[k] = float32(math.Exp(-float64(k) / float64(scale)))
	}
	return t.v[i]
}

// norm is a power of a session's length that divides.
func (s *scratch) norm(n int, exponent float32) float32 {
	if s.exponent != exponent {
		s.exponent = exponent
		for i := range s.norms {
			s.norms[i] = float32(math.Pow(float64(max(i, 1)), -float64(exponent)))
		}
	}
	return s.norms[min(n, maxPastView)]
}

// log is the natural logarithm of a count, 0 for none.
func (s *scratch) log(n uint32) float32 {
	if int(n) < len(s.logs) {
		return s.logs[n]
	}
	return float32(math.Log(float64(n)))
}

// best takes the items with the highest scores that may be shown, those of equal
// score by number: an answer never depends on the order of a table.
func (a *answer) best(b Band, score func(*itemScore) float32) {
	room := a.n - (len(a.dst) - a.begin)
	if room <= 0 {
		return
	}
	s := a.s
	s.top = s.top[:0]
	for i := range s.items.list {
		e := &s.items.list[i]
		v := score(e)
		if !(v > 0) {
			continue
		}
		p := Pick{e.item, b, v}
		if len(s.top) == room && comparePicks(p, s.top[room-1]) > 0 {
			continue
		}
		if a.has(e.item) || !a.may(e.item) || b == ForYou && !a.supported(e) {
			continue
		}
		at, _ := slices.BinarySearchFunc(s.top, p, comparePicks)
		if len(s.top) == room {
			s.top = s.top[:room-1]
		}
		s.top = slices.Insert(s.top, at, p)
	}
	a.dst = append(a.dst, s.top...)
}

func comparePicks(p, q Pick) int {
	return cmp.Or(cmp.Compare(q.Score, p.Score), cmp.Compare(p.Item, q.Item))
}

// supported says whether enough visitors saw an item for "for you" to show it. The
// visitor's own items need nobody else.
func (a *answer) supported(e *itemScore) bool {
	if slices.Contains(a.s.trail, e.item) {
		return a.s.ownSeen
	}
	st := a.r.items.at(e.item)
	return st != nil && st.seen.atLeast(a.s.support)
}

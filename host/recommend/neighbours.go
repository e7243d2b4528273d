package recommend

import (
	"math/bits"
	"slices"
)

// maxNeighbours is how many neighbours an item keeps.
const maxNeighbours = 64

// A neighbour is an item that was in the same sessions.
type neighbour struct {
	item uint32
	next float32 // weight of "this one after the other"
	both float32 // weight of "this one beside the other", before or after
	who  uint32  // crowd of the visitors, 32 bits; see crowd
}

func (n *neighbour) atLeast(k int) bool { return bits.OnesCount32(n.who) >= k }

// neighbours is the list of one item. It never changes: a session that closes makes
// a new one, so readers need no lock.
type neighbours struct {
	at   uint32  // logical seconds up to which the weights are decayed
	next float32 // all weight that ever went to next, decayed alike
	both float32
	list []neighbour // in no order
}

// link is what one session says of a pair.
type link struct {
	item       uint32
	next, both float32
}

// merge makes the list that follows from a session: what was decays, what the
// session saw is added. Where there is no room the weakest make place, but never
// one of this session for another of it.
func (n *neighbours) merge(links []link, visitor uint64, now uint32, halfLife float64) *neighbours {
	if n == nil {
		n = &neighbours{at: now}
	}
	left := halve(int64(now)-int64(n.at), halfLife)
	m := &neighbours{at: max(now, n.at), next: n.next * left, both: n.both * left}
	m.list = make([]neighbour, len(n.list), min(len(n.list)+len(links), maxNeighbours))
	for i, e := range n.list {
		e.next, e.both = e.next*left, e.both*left
		m.list[i] = e
	}
	bit := uint32(1) << (visitor >> 59)
	old := len(m.list)
	for _, l := range links {
		m.next += l.next
		m.both += l.both
		i := slices.IndexFunc(m.list, func(e neighbour) bool { return e.item == l.item })
		switch {
		case i >= 0:
		case len(m.list) < maxNeighbours:
			i = len(m.list)
			m.list = append(m.list, neighbour{item: l.item})
		default:
			if i = weakest(m.list[:old]); i < 0 {
				continue
			}
			// The new one takes the last old place, which is behind us then.
			old--
			m.list[i], m.list[old] = m.list[old], neighbour{item: l.item}
			i = old
		}
		m.list[i].next += l.next
		m.list[i].both += l.both
		m.list[i].who |= bit
	}
	return m
}

func weakest(list []neighbour) int {
	w := -1
	for i := range list {
		if w < 0 || list[i].both < list[w].both {
			w = i
		}
	}
	return w
}

// without gives the list without some items.
func (n *neighbours) without(gone map[uint32]bool) *neighbours {
	if n == nil || !slices.ContainsFunc(n.list, func(e neighbour) bool { return gone[e.item] }) {
		return n
	}
	m := *n
	m.list = slices.DeleteFunc(slices.Clone(n.list), func(e neighbour) bool { return gone[e.item] })
	return &m
}

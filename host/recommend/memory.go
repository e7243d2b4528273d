package recommend

import "unsafe"

// perName is what a name and its number take besides the name's bytes: its place in
// a map that is three quarters full, in the list of names, and the day it was seen.
const perName = (16+4+1)*4/3 + 16 + 4

func (n *names) memory() int64 {
	b := int64(len(n.name))*perName + int64(len(n.free))*4
	for _, s := range n.name {
		b += int64(len(s))
	}
	return b
}

// memory is about how many bytes a catalogue takes, with the book of its numbers.
func (c *Catalogue) memory() int64 {
	b := int64(c.sizes) + int64(cap(c.items))*int64(unsafe.Sizeof(record{})) + int64(cap(c.values))*4 +
		int64(cap(c.place)+cap(c.deals))*4 + c.nums.items.memory() + c.nums.vals.memory()
	for _, l := range c.carriers {
		b += int64(cap(l))*4 + 48
	}
	return b
}

// Memory is about how many bytes the recommender takes: the catalogue, and what was
// learned. What is held while a catalogue is loaded, and of open sessions, is not in
// it. It looks at every item: ask it for people, not for pages.
func (r *Recommender) Memory() int64 {
	b := r.cat.Load().memory() + int64(len(r.pasts.slot))*8
	for i := range r.pasts.slot {
		if p := r.pasts.slot[i].Load(); p != nil {
			b += int64(unsafe.Sizeof(*p)) + int64(max(cap(p.items), 8))*4
		}
	}
	for i := range r.items.chunks {
		c := r.items.chunks[i].Load()
		if c == nil {
			continue
		}
		b += int64(unsafe.Sizeof(*c))
		for j := range c {
			if s := c[j].Load(); s != nil {
				b += s.memory()
			}
		}
	}
	return b
}

func (s *state) memory() int64 {
	b := int64(unsafe.Sizeof(*s))
	if g := s.sessions.Load(); g != nil {
		b += int64(unsafe.Sizeof(*g)) + int64(len(g.slot))*4
	}
	for _, n := range []*neighbours{s.near.Load(), s.with.Load()} {
		if n != nil {
			b += int64(unsafe.Sizeof(*n)) + int64(cap(n.list))*int64(unsafe.Sizeof(neighbour{}))
		}
	}
	return b
}

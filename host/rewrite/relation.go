package rewrite

import "slices"

// A chain of :has is answered from its end: whether a subject can be reached
// from a node through the parts from k on is a matter of that node and k alone,
// whoever asks. So a node answers it once for each part, and all questions
// about an outline together take time in proportion to its nodes and the parts.

// Questions about a node and a part, by their place in outline.memo.
const (
	askHolds  = 2 * iota // the node meets the part, and the rest of the chain follows
	askWithin            // a descendant does
	askBeside            // a sibling after it does
	askMask   = 3
)

// relation answers for one relative chain of :has.
func (o *outline) relation(id int32, r *relation) (answer, int) {
	n := &o.nodes[id]
	single := len(r.parts) == 1 && !o.rw.plan.inner[r.parts[0]].late
	if r.comb[0] == descendant || r.comb[0] == childOf {
		switch {
		case single && r.comb[0] == childOf:
			return o.child(id, r.parts[0])
		case single:
			return o.within(id, r.parts[0])
		case n.closedCost < 0:
			return wait, 0
		}
		return o.leads(id, r, 0), n.closedCost
	}
	switch {
	case single:
		return o.beside(id, r.parts[0], r.comb[0] == nextTo)
	case n.settledCost < 0:
		return wait, 0
	}
	return o.leads(id, r, 0), n.settledCost
}

// within looks for the first element in node id that meets the part.
func (o *outline) within(id, part int32) (answer, int) {
	n := &o.nodes[id]
	end := int32(len(o.nodes))
	if n.closedCost >= 0 {
		end = n.last
	}
	all := o.meets[part]
	at, _ := slices.BinarySearch(all, id+1)
	switch {
	case at < len(all) && all[at] < end:
		return yes, o.nodes[all[at]].cost
	case n.closedCost >= 0:
		return no, n.closedCost
	}
	return wait, 0
}

// child looks for the first child of node id that meets the part.
func (o *outline) child(id, part int32) (answer, int) {
	n, at := &o.nodes[id], &o.childAt[part]
	if at.node != id { // else it goes on where the last search ended
		at.node, at.last = id, -1
	}
	i := o.firstChild(id)
	if at.last >= 0 {
		i = o.nodes[at.last].next
	}
	for ; i >= 0; i = o.nodes[i].next {
		if x := &o.nodes[i]; x.bits&(1<<part) != 0 {
			return yes, x.cost
		}
		at.last = i
	}
	if n.closedCost >= 0 {
		return no, n.closedCost
	}
	return wait, 0
}

func (o *outline) firstChild(id int32) int32 {
	if i := id + 1; int(i) < len(o.nodes) && o.nodes[i].parent == id {
		return i
	}
	return -1
}

// beside looks among the siblings after node id.
func (o *outline) beside(id, part int32, only bool) (answer, int) {
	n := &o.nodes[id]
	i := n.next
	if !only {
		i = o.nextSibling(id, part)
	}
	switch {
	case i >= 0 && o.nodes[i].bits&(1<<part) != 0:
		return yes, o.nodes[i].cost
	case i >= 0:
		return no, o.nodes[i].cost
	case n.settledCost >= 0:
		return no, n.settledCost
	}
	return wait, 0
}

// nextSibling returns the first sibling after node id that meets the part, or
// -1. What it passes over it notes in outline.jumps, so that nobody has to again.
func (o *outline) nextSibling(id, part int32) int32 {
	parts := len(o.rw.plan.inner)
	for len(o.jumps) < len(o.nodes)*parts {
		o.jumps = append(o.jumps, 0)
	}
	jump := func(i int32) *int32 { return &o.jumps[int(i)*parts+int(part)] }
	// Where a walk from i is to look next; 0 is no sibling after another.
	next := func(i int32) int32 {
		if to := *jump(i); to > 0 {
			return to
		}
		return o.nodes[i].next
	}
	end, found := id, next(id)
	for found >= 0 && o.nodes[found].bits&(1<<part) == 0 {
		end, found = found, next(found)
	}
	to := found
	if to < 0 {
		to = end // it is looked at again, but nothing before it
	}
	for i := id; i != end; {
		after := next(i)
		*jump(i) = to
		i = after
	}
	return found
}

// leads tells whether, of the parts from k on, the chain's subject can be
// reached from node id, about which all is known that counts.
func (o *outline) leads(id int32, r *relation, k int) answer {
	switch r.comb[k] {
	case childOf:
		a := no
		for i := o.firstChild(id); i >= 0 && a != yes; i = o.nodes[i].next {
			a = a.or(o.holds(i, r, k))
		}
		return a
	case nextTo:
		if next := o.nodes[id].next; next >= 0 {
			return o.holds(next, r, k)
		}
		return no
	case after:
		return o.holdsBeside(id, r, k)
	}
	return o.holdsWithin(id, r, k)
}

// holds tells whether node i meets part k of the chain and the rest follows from there.
func (o *outline) holds(i int32, r *relation, k int) answer {
	part := r.parts[k]
	if o.nodes[i].bits&(1<<part) == 0 {
		return no
	}
	if a, ok := o.known(i, part, askHolds); ok {
		return a
	}
	a := yes
	if t := &o.rw.plan.inner[part]; t.late {
		for j := range t.conds {
			if c := &t.conds[j]; c.late && a == yes {
				a, _ = o.cond(i, c)
			}
		}
	}
	if a == yes && k+1 < len(r.parts) {
		a = o.leads(i, r, k+1)
	}
	return o.note(i, part, askHolds, a)
}

// holdsWithin tells whether holds is true of a descendant of node id.
func (o *outline) holdsWithin(id int32, r *relation, k int) answer {
	part := r.parts[k]
	if a, ok := o.known(id, part, askWithin); ok {
		return a
	}
	a := no
	for i := o.firstChild(id); i >= 0 && a != yes; i = o.nodes[i].next {
		if a = a.or(o.holds(i, r, k)); a != yes {
			a = a.or(o.holdsWithin(i, r, k))
		}
	}
	return o.note(id, part, askWithin, a)
}

// holdsBeside tells whether holds is true of a sibling after node id.
func (o *outline) holdsBeside(id int32, r *relation, k int) answer {
	part := r.parts[k]
	// Each sibling has the answer of the next, and what that is itself.
	i, a := id, no
	for o.nodes[i].next >= 0 {
		if b, ok := o.known(i, part, askBeside); ok {
			a = b
			break
		}
		i = o.nodes[i].next
	}
	for ; i != id; i = o.nodes[i].prev {
		if o.nodes[i].next < 0 {
			o.note(i, part, askBeside, no)
		}
		a = o.note(o.nodes[i].prev, part, askBeside, a.or(o.holds(i, r, k)))
	}
	return a
}

// known returns what has been noted of node i and the part.
func (o *outline) known(i, part int32, ask uint) (answer, bool) {
	at := int(i)*len(o.rw.plan.inner) + int(part)
	if at >= len(o.memo) {
		return no, false
	}
	switch o.memo[at] >> ask & askMask {
	case 1:
		return no, true
	case 2:
		return yes, true
	case 3:
		return untold, true
	}
	return no, false
}

// note notes it. All that has to be known to answer is, so nothing waits.
func (o *outline) note(i, part int32, ask uint, a answer) answer {
	parts := len(o.rw.plan.inner)
	for len(o.memo) < len(o.nodes)*parts {
		o.memo = append(o.memo, 0)
	}
	v := uint8(3)
	switch a {
	case no:
		v = 1
	case yes:
		v = 2
	default:
		a = untold
	}
	at := int(i)*parts + int(part)
	o.memo[at] = o.memo[at]&^(askMask<<ask) | v<<ask
	return a
}

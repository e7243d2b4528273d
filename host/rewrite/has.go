package rewrite

import "bytes"

// late answers a condition that the start tag of node id alone does not tell.
func (o *outline) late(id int32, c *cond) answer {
	if int(id) >= len(o.nodes) {
		if o.rw.stopped != 0 || o.ended {
			return untold
		}
		return wait
	}
	a, cost := o.cond(id, c)
	n := &o.nodes[id]
	switch {
	case a == wait && (o.ended || o.over(id)):
		return untold
	case a != wait && cost-n.cost > o.rw.plan.maxBuffer:
		return untold
	}
	return a
}

// cond answers any condition of node id, and tells at what cost it was known.
func (o *outline) cond(id int32, c *cond) (answer, int) {
	n := &o.nodes[id]
	switch c.kind {
	case pseudoIs, pseudoNot:
		return o.alternatives(id, c)
	case pseudoRoot:
		return no, n.cost
	case pseudoEmpty:
		return o.empty(n, id)
	case pseudoHas:
		a, cost := no, n.cost
		for i := range c.has {
			b, at := o.relation(id, &c.has[i])
			if a = a.or(b); a == yes {
				return yes, at
			}
			cost = max(cost, at)
		}
		return a, cost
	case pseudoNthLast:
		return last(c, n.next, n.fromEnd, n.settledCost, o)
	case pseudoNthLastType:
		return last(c, n.kindNext, n.kindFromEnd, n.settledCost, o)
	case pseudoNth:
		return answerOf(nth(c.a, c.b, int(n.index))), n.cost
	default:
		return answerOf(nth(c.a, c.b, int(n.kindIndex))), n.cost
	}
}

// last answers for a place counted from the end; next is the next that counts.
func last(c *cond, next, fromEnd int32, settled int, o *outline) (answer, int) {
	switch {
	case c.a == 0 && c.b == 1 && next >= 0:
		return no, o.nodes[next].cost
	case settled < 0:
		return wait, 0
	}
	return answerOf(nth(c.a, c.b, int(fromEnd))), settled
}

func (o *outline) alternatives(id int32, c *cond) (answer, int) {
	a, cost := no, o.nodes[id].cost
	for i := range c.alts {
		b, at := untold, cost
		if x := c.alts[i].test; x != nil {
			b, at = o.full(id, x)
		}
		a, cost = a.or(b), max(cost, at)
	}
	if c.kind == pseudoNot {
		a = a.not()
	}
	return a, cost
}

// full answers for a compound.
func (o *outline) full(id int32, x *test) (answer, int) {
	n := &o.nodes[id]
	o.text.exact = o.rw.plan.xml
	o.text.parse(o.buf, n.name)
	if !x.meets(o.buf, &o.text, n.key, o.buf[n.from+1:n.name]) {
		return no, n.cost
	}
	a, cost := yes, n.cost
	for i := range x.conds {
		b, at := o.cond(id, &x.conds[i])
		if a = a.and(b); a == no {
			return no, at
		}
		cost = max(cost, at)
	}
	return a, cost
}

// empty answers :empty: neither an element nor text, be it a space, is in it.
func (o *outline) empty(n *node, id int32) (answer, int) {
	if n.void || n.template { // what stands in a template is no child of it
		return yes, n.cost
	}
	if int(id)+1 < len(o.nodes) && o.nodes[id+1].parent == id {
		return no, o.nodes[id+1].cost
	}
	at := n.end
	if !n.raw {
		at = skipComments(o.buf, at, o.rw.plan.xml)
	}
	if n.closedCost >= 0 {
		return answerOf(at >= n.closed), n.closedCost
	}
	return wait, 0
}

// skipComments returns the index after the comments that begin at b[i], and the
// like: end tags of nothing too, since whoever asks knows that no element ends there.
func skipComments(b []byte, i int, xml bool) int {
	for i+1 < len(b) && b[i] == '<' {
		end, rest := -1, b[i+2:]
		switch {
		case b[i+1] == '/' && len(rest) > 0 && byteClass[rest[0]]&cAlpha != 0:
			end, _ = tagEnd(rest, tName)
		case b[i+1] == '!' && len(rest) > 1 && rest[0] == '-' && rest[1] == '-':
			if end, _ = commentEnd(rest[2:], cmStart); end >= 0 {
				end += 2
			}
		case b[i+1] == '!' && len(rest) > 0 && rest[0] == '[':
			return i // CDATA is text
		case b[i+1] == '?' && xml:
			if end = bytes.Index(rest, []byte("?>")); end >= 0 {
				end += 2
			}
		case b[i+1] == '!', b[i+1] == '?', b[i+1] == '/':
			end = bytes.IndexByte(rest, '>') + 1
			if end == 0 {
				end = -1
			}
		}
		if end < 0 {
			return i
		}
		i += 2 + end
	}
	return i
}

// relation answers for one relative chain of :has.
func (o *outline) relation(id int32, r *relation) (answer, int) {
	n := &o.nodes[id]
	part := r.parts[0]
	single := len(r.parts) == 1 && !o.rw.plan.inner[part].late
	switch r.comb[0] {
	case descendant, childOf:
		if single {
			return o.within(id, part, r.comb[0] == childOf)
		}
		if n.closedCost < 0 {
			return wait, 0
		}
		return o.search(id, r, id+1, n.last), n.closedCost
	}
	if single {
		return o.beside(id, part, r.comb[0] == nextTo)
	}
	if n.settledCost < 0 {
		return wait, 0
	}
	return o.search(id, r, n.last, n.settledLast), n.settledCost
}

// within looks for the first element in node id that meets the test.
func (o *outline) within(id, part int32, child bool) (answer, int) {
	n := &o.nodes[id]
	end := int32(len(o.nodes))
	if n.closedCost >= 0 {
		end = n.last
	}
	i := id + 1
	if o.resume.node == id && o.resume.part == part {
		i = o.resume.next
	}
	for ; i < end; i++ {
		if x := &o.nodes[i]; x.bits&(1<<part) != 0 && (!child || x.parent == id) {
			return yes, x.cost
		}
	}
	if n.closedCost >= 0 {
		return no, n.closedCost
	}
	o.resume.node, o.resume.part, o.resume.next = id, part, i
	return wait, 0
}

// beside looks among the siblings after node id.
func (o *outline) beside(id, part int32, only bool) (answer, int) {
	n := &o.nodes[id]
	i := n.next
	for ; i >= 0; i = o.nodes[i].next {
		if x := &o.nodes[i]; x.bits&(1<<part) != 0 {
			return yes, x.cost
		} else if only {
			return no, x.cost
		}
	}
	if n.settledCost >= 0 {
		return no, n.settledCost
	}
	return wait, 0
}

// search looks for a subject of the chain among the nodes from to to.
func (o *outline) search(id int32, r *relation, from, to int32) answer {
	end := len(r.parts) - 1
	a := no
	for i := from; i < to && a != yes; i++ {
		a = a.or(o.chain(id, r, i, end))
	}
	return a
}

// chain tells whether node i can be part at of the chain that begins at node id.
func (o *outline) chain(id int32, r *relation, i int32, at int) answer {
	if o.budget--; o.budget < 0 {
		return untold
	}
	x := &o.nodes[i]
	part := r.parts[at]
	if x.bits&(1<<part) == 0 {
		return no
	}
	if t := &o.rw.plan.inner[part]; t.late {
		for j := range t.conds {
			if c := &t.conds[j]; c.late {
				if a, _ := o.cond(i, c); a != yes {
					return a
				}
			}
		}
	}
	if at == 0 {
		return answerOf(o.leads(id, r.comb[0], i))
	}
	a := no
	switch r.comb[at] {
	case childOf:
		if x.parent > id {
			return o.chain(id, r, x.parent, at-1)
		}
	case nextTo:
		if x.prev > id {
			return o.chain(id, r, x.prev, at-1)
		}
	case descendant:
		for p := x.parent; p > id && a != yes; p = o.nodes[p].parent {
			a = a.or(o.chain(id, r, p, at-1))
		}
	case after:
		for p := x.prev; p > id && a != yes; p = o.nodes[p].prev {
			a = a.or(o.chain(id, r, p, at-1))
		}
	}
	return a
}

// leads tells whether node i stands to node id as the leading combinator says.
func (o *outline) leads(id int32, comb combinator, i int32) bool {
	x := &o.nodes[i]
	switch comb {
	case childOf:
		return x.parent == id
	case nextTo:
		return x.prev == id
	case after:
		return x.parent == o.nodes[id].parent && x.prev >= id
	}
	return i < o.nodes[id].last || o.nodes[id].closedCost < 0
}

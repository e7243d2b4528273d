package rewrite

import "bytes"

// late answers a condition that the start tag of node id alone does not tell.
func (o *outline) late(id int32, c *cond) answer {
	if len(o.waits) > 0 && o.waits[0].node != id {
		o.waits = o.waits[:0] // that one went on all the same
	}
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
	case pseudoEmpty, pseudoHas, pseudoNthLast, pseudoNthLastType:
		a, cost := o.leaf(id, c)
		if a == wait {
			o.waits = append(o.waits, waiting{id, c})
		}
		return a, cost
	case pseudoNth:
		return answerOf(nth(c.a, c.b, int(n.index))), n.cost
	default:
		return answerOf(nth(c.a, c.b, int(n.kindIndex))), n.cost
	}
}

// leaf answers a condition that depends on what comes after the start tag of node id.
func (o *outline) leaf(id int32, c *cond) (answer, int) {
	n := &o.nodes[id]
	switch c.kind {
	case pseudoEmpty:
		return o.empty(n, id)
	case pseudoNthLast:
		return last(c, n.next, n.fromEnd, n.settledCost, o)
	case pseudoNthLastType:
		return last(c, n.kindNext, n.kindFromEnd, n.settledCost, o)
	}
	a, cost := no, n.cost
	for i := range c.has {
		b, at := o.relation(id, &c.has[i])
		if a = a.or(b); a == yes {
			return yes, at
		}
		cost = max(cost, at)
	}
	return a, cost
}

// waiting is a condition of a node whose answer has not come yet.
type waiting struct {
	node int32
	cond *cond
}

// still tells whether none of the conditions that the last questions came to
// wait for has an answer by now.
func (o *outline) still() bool {
	for _, w := range o.waits {
		if o.over(w.node) {
			return false
		}
		if a, _ := o.leaf(w.node, w.cond); a != wait {
			return false
		}
	}
	return len(o.waits) > 0
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

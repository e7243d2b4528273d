package rewrite

import "math/bits"

// ahead lets a Rewriter wait at a start tag for what the page says further on:
// it keeps the page from there as it came, while an outline of it grows.
// When the outline has the answer, the kept bytes are rewritten as if they came now.
type ahead struct {
	on     bool
	buf    []byte // the page from where the outline begins
	at     int    // how much of it has been rewritten
	node   int32  // elements opened since then
	events int    // of the outline, when it was last asked
	out    *outline
}

// nodeCost is what an element of the outline counts of MaxBuffer, beside its bytes.
const nodeCost = 64

// refork is how much of the kept page may have been rewritten before it is let go.
const refork = 64 << 10

// ask says that the start tag at s needs an answer that lies ahead.
func (r *Rewriter) ask(s int) int {
	r.asked = true
	return r.wait(s, true)
}

// lookAhead keeps x and y, the page from the tag on that asks.
func (r *Rewriter) lookAhead(x, y []byte) {
	a := &r.ahead
	a.on = true
	a.buf = append(append(a.buf[:0], x...), y...)
	r.forkOutline()
	r.pump()
}

func (r *Rewriter) forkOutline() {
	a := &r.ahead
	a.at, a.node, a.events = 0, 0, -1
	if a.out == nil {
		a.out = new(outline)
	}
	a.out.fork(r)
}

// pump rewrites what is kept, up to the next tag whose answer is not there yet.
func (r *Rewriter) pump() {
	a := &r.ahead
	for a.on {
		a.out.advance(a.buf)
		if a.events == a.out.events && !a.out.over(a.node) || a.out.still() {
			return
		}
		r.asked, a.out.waits = false, a.out.waits[:0]
		a.at += r.run(a.buf[a.at:])
		switch {
		case !r.asked:
			a.on = false
			r.keep(a.buf[a.at:])
		case a.at > refork && a.at > 4*(len(a.buf)-a.at):
			a.buf = a.buf[:copy(a.buf, a.buf[a.at:])]
			r.forkOutline()
		default:
			a.events = a.out.events
			r.buffered = max(r.buffered, len(a.buf)-a.at)
			return
		}
	}
}

// endAhead ends the page for what waits.
func (r *Rewriter) endAhead() {
	a := &r.ahead
	if !a.on {
		return
	}
	a.out.end(a.buf)
	a.events = -1
	for a.on {
		r.asked = false
		a.at += r.run(a.buf[a.at:])
		if r.asked { // cannot be: an outline that has ended has every answer
			r.stop(nil, 0, WhyAmbiguous)
			continue
		}
		a.on = false
		r.keep(a.buf[a.at:])
	}
}

// answer answers late condition c for the element that the rewriter is at.
func (a *ahead) answer(c *cond) answer {
	if !a.on {
		return wait
	}
	return a.out.late(a.node, c)
}

// An outline is the tree of the elements of a part of a page.
type outline struct {
	rw      Rewriter // follows the tags, and writes nothing
	nodes   []node   // in the page's order, so that those of a subtree are neighbours
	opened  []int32  // by depth: the open elements, -1 for those that were open before
	firsts  []int32  // by depth: the first child there
	lasts   []int32
	buf     []byte
	base    int  // in run: where in buf it began
	at      int  // in run: where in buf the tag is
	fed     int  // how much of buf has been followed
	tag     bool // an unfinished tag begins there
	scanned int
	state   int
	events  int // elements opened and closed
	ended   bool
	meets   [][]int32                    // by place in matcher.inner: the nodes that have that bit
	childAt []struct{ node, last int32 } // the same: how far the search for a child of node has come
	jumps   []int32                      // see nextSibling
	memo    []uint8                      // see relation.go
	waits   []waiting                    // what the last questions wait for
	text    tagText
}

// A node is an element. Places of others are indexes in outline.nodes, -1 for none.
type node struct {
	parent, prev, next, kindNext  int32
	index, kindIndex              int32 // among siblings, from 1
	fromEnd, kindFromEnd          int32 // the same from the end, once settled
	from, name, end, closed       int   // in buf: start tag, the end of its name, its end, the end tag
	last                          int32 // once closed: the place after its last descendant
	settledLast                   int32 // once settled: after the last descendant of its parent
	cost, closedCost, settledCost int   // where it began, closed, and its parent closed; -1: not yet
	key                           uint64
	bits                          uint64 // the tests of matcher.inner that it meets, late conditions aside
	void, raw, template           bool
}

// fork begins an outline where r is.
func (o *outline) fork(r *Rewriter) {
	w := &o.rw
	if w.plan != r.plan || w.outline == nil {
		w.Reset(r.plan, nowhere{})
	}
	w.outline = o
	w.follow(r)
	w.muted = true
	o.nodes, o.opened, o.firsts, o.lasts = o.nodes[:0], o.opened[:0], o.firsts[:0], o.lasts[:0]
	for range len(w.stack) {
		o.opened = append(o.opened, -1)
		o.firsts, o.lasts = append(o.firsts, -1), append(o.lasts, -1)
	}
	o.firsts, o.lasts = append(o.firsts, -1), append(o.lasts, -1)
	o.fed, o.tag, o.events, o.ended = 0, false, 0, false
	o.forget(len(r.plan.inner))
}

// forget forgets what has been found out for :has.
func (o *outline) forget(parts int) {
	o.jumps, o.memo, o.waits = o.jumps[:0], o.memo[:0], o.waits[:0]
	for i := range o.meets {
		o.meets[i] = o.meets[i][:0]
	}
	for len(o.meets) < parts {
		o.meets = append(o.meets, nil)
	}
	o.childAt = o.childAt[:0]
	for range parts {
		o.childAt = append(o.childAt, struct{ node, last int32 }{-1, -1})
	}
}

// follow makes r stand where other stands in the page.
func (r *Rewriter) follow(other *Rewriter) {
	r.mode, r.sub, r.dashes, r.raw = inData, 0, 0, 0
	r.initial, r.quirks, r.began = other.initial, other.quirks, other.began
	stack, names := append(r.stack[:0], other.stack...), append(r.names[:0], other.names...)
	for i := range stack {
		stack[i].flags &^= fPending
	}
	r.tree = other.tree
	r.stack, r.names = stack, names
	r.stopped, r.done = 0, false
	if r.plan.matcher != other.plan.matcher {
		return // it asks for nothing of what follows
	}
	r.steps = append(r.steps[:0], other.steps...)
	r.levels = append(r.levels[:0], other.levels...)
	r.sibs = append(r.sibs[:0], other.sibs...)
	r.counted = append(r.counted[:0], other.counted...)
	r.kinds = append(r.kinds[:0], other.kinds...)
}

// advance follows what has been added to buf.
func (o *outline) advance(buf []byte) {
	o.buf = buf
	if o.tag {
		j, state := tagEnd(buf[o.scanned:], o.state)
		if j < 0 && len(buf)-o.fed <= o.rw.plan.maxTag {
			o.scanned, o.state = len(buf), state
			return
		}
		if j < 0 {
			o.rw.stop(nil, 0, WhyTag)
		}
		o.tag = false
	}
	o.base = o.fed
	o.fed += o.rw.run(buf[o.fed:])
	if rest := buf[o.fed:]; len(rest) > 1 && o.rw.waitTag {
		name := 1
		if rest[1] == '/' {
			name = 2
		}
		_, o.state = tagEnd(rest[name:], tName)
		o.scanned, o.tag = len(buf), true
	}
}

// end ends the page.
func (o *outline) end(buf []byte) {
	o.advance(buf)
	o.at, o.fed = len(buf), len(buf)
	o.rw.truncate(0)
	o.settle(0)
	o.ended = true
}

func (o *outline) cost(at int) int { return at + nodeCost*len(o.nodes) }

// over tells whether n has waited for more than the bound.
func (o *outline) over(n int32) bool {
	return o.rw.stopped != 0 || int(n) < len(o.nodes) && o.cost(o.fed)-o.nodes[n].cost > o.rw.plan.maxBuffer
}

// open adds the element that the tag opens.
func (o *outline) open(r *Rewriter, t *tag) {
	o.events++
	id := int32(len(o.nodes))
	n := node{
		parent: -1, prev: o.lasts[t.n], next: -1, kindNext: -1, key: t.key, cost: o.cost(o.at), closedCost: -1, settledCost: -1,
		from: o.at, name: o.base + t.p, end: o.base + t.end, void: t.void, template: t.flags&fTemplate != 0, raw: t.flags&(fRaw|fRCDATA) != 0 && t.flags&fForeign == 0,
	}
	if t.n > 0 {
		n.parent = o.opened[t.n-1]
	}
	n.index = r.levels[t.n].count
	if k := r.kind(t); k != nil {
		n.kindIndex = k.count
		if k.last >= 0 {
			o.nodes[k.last].kindNext = id
		}
		k.last = id
	}
	if n.prev >= 0 {
		o.nodes[n.prev].next = id
	} else {
		o.firsts[t.n] = id
	}
	o.lasts[t.n] = id
	n.bits = r.bits
	for x := n.bits; x != 0; x &= x - 1 {
		i := bits.TrailingZeros64(x)
		o.meets[i] = append(o.meets[i], id)
	}
	if t.void {
		n.closed, n.closedCost, n.last = n.end, n.cost, id+1
		o.nodes = append(o.nodes, n)
		return
	}
	o.nodes = append(o.nodes, n)
	o.opened = append(o.opened[:t.n], id)
	o.firsts = append(o.firsts[:t.n+1], -1)
	o.lasts = append(o.lasts[:t.n+1], -1)
}

// innerBits tells which tests of matcher.inner the element meets.
func (r *Rewriter) innerBits(b []byte, t *tag) (met uint64) {
	for i := range r.plan.inner {
		x := &r.plan.inner[i]
		ok := x.meets(b, &r.text, t.key, t.name)
		for j := range x.conds {
			if c := &x.conds[j]; ok && !c.late {
				ok = r.cond(b, t, c) == yes
			}
		}
		if ok {
			met |= 1 << i
		}
	}
	return met
}

// close ends the open elements from depth n to depth, the innermost first.
func (o *outline) close(n, depth int) {
	for i := depth - 1; i >= n; i-- {
		o.settle(i + 1)
		if i < len(o.opened) {
			if id := o.opened[i]; id >= 0 {
				x := &o.nodes[id]
				x.closed, x.closedCost, x.last = o.at, o.cost(o.at), int32(len(o.nodes))
			}
			o.events++
		}
	}
	o.opened = o.opened[:min(len(o.opened), n)]
}

// settle tells the elements of a depth that no sibling follows any more.
func (o *outline) settle(depth int) {
	if depth >= len(o.lasts) {
		return
	}
	o.events++
	cost, k := o.cost(o.at), int32(1)
	for id := o.lasts[depth]; id >= 0; k++ {
		x := &o.nodes[id]
		x.fromEnd, x.kindFromEnd = k, 1
		if x.kindNext >= 0 {
			x.kindFromEnd = o.nodes[x.kindNext].kindFromEnd + 1
		}
		x.settledCost, x.settledLast = cost, int32(len(o.nodes))
		id = x.prev
	}
	o.firsts[depth], o.lasts[depth] = -1, -1
}

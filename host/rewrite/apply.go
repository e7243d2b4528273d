package rewrite

import "bespoke/modules/abi"

// A pending is what is to be done when an open element ends.
type pending struct {
	depth    int32 // its index in the stack
	from, to int32 // in editing.held: its edits
	mute     uint8 // what of it is left out
	muted    int32 // the edit that leaves it out
	child    int32 // its place in editing.children, or -1
	frame    bool  // it is the list of the frame that is innermost when it ends
	show     int32 // the child whose distance its content gives way to, or -1
	exit     int32 // its id, by place in Plan.ids, or -1
	appended bool  // its append edits are done
}

const (
	muteInner = 1 + iota
	muteWhole
)

type editing struct {
	text      tagText
	hits      []int32
	exit      int32
	step      []uint64 // steps of the element at hand
	steps     []uint64 // steps of the open elements
	idSeen    []bool   // by place in Plan.ids
	idDone    []bool
	left      int  // ids that end a search and have not been reached
	done      bool // all are: nothing is matched any more
	muted     bool // bytes are left out
	muteDepth int  // until the open element of this index ends

	pend     []pending
	held     []int32
	seen     []uint32 // by name of attribute: the turn in which it was last set
	turn     uint32
	splices  []splice
	class    []byte
	frames   []frame
	children []child
	perm     []int32
	buf      []byte // what frames keep back
	scratch  []byte
	values   []byte // texts to sort by, names of children
	name     []byte
}

func (d *editing) reset(p *Plan) {
	d.hits, d.pend, d.held, d.steps = d.hits[:0], d.pend[:0], d.held[:0], d.steps[:0]
	d.step = zeroed(d.step, p.words)
	d.idSeen, d.idDone = zeroed(d.idSeen, len(p.ids)), zeroed(d.idDone, len(p.ids))
	d.seen, d.turn = zeroed(d.seen, p.names), 0
	d.left, d.done, d.muted = p.exits, false, false
	d.frames, d.children, d.buf, d.values = d.frames[:0], d.children[:0], d.buf[:0], d.values[:0]
}

// A summary is what the edits of one element come to.
type summary struct {
	text                           int32 // the last one, or -1
	order, keep                    int32 // the last ones, or -1
	remove                         bool
	before, after, prepend, append bool
	attrs                          bool
}

// edit opens the element and carries out its edits as far as its start tag goes.
func (r *Rewriter) edit(b []byte, t *tag, match bool) {
	r.hits, r.exit = r.hits[:0], -1
	child, show := int32(-1), int32(-1)
	clear(r.step)
	if match {
		r.match(b, t)
		if len(r.frames) > 0 {
			child, show = r.inList(b, t)
		}
	}
	if r.extract != nil {
		r.extractTag(b, t)
		return
	}
	if t.ghost >= 0 {
		r.makeGhost(b, t.ghost, t.s, t.s)
		if len(r.frames) == 0 {
			child, show = -1, -1
		}
	}
	if len(r.hits) == 0 && child < 0 && show < 0 && r.exit < 0 {
		if t.n < len(r.stack) {
			r.popTo(b, t.n, t.s, false, false)
		}
		if !t.void {
			r.push(t)
		}
		return
	}
	sum := r.summarize(t)
	format := t.format >= 0 && t.ghost < 0
	r.popTo(b, t.n, t.s, sum.remove || sum.before, format)
	r.flush(b, t.s)
	p := pending{depth: int32(t.n), child: -1, show: show, exit: r.exit}
	if r.exit >= 0 {
		r.idSeen[r.exit] = true
	}
	if sum.remove {
		r.takeOut(t, p)
		return
	}
	if child >= 0 && len(r.frames) > 0 {
		p.child = r.openChild(b, t)
	}
	if sum.before {
		r.insert(abi.OpBefore)
	}
	if sum.attrs {
		r.writeAttrs(b, t)
	}
	r.flush(b, t.end)
	if t.void {
		r.endVoid(sum, p)
		return
	}
	r.startContent(t, sum, p)
}

// summarize counts the edits in r.hits, and reports those that cannot be carried out.
func (r *Rewriter) summarize(t *tag) summary {
	sum := summary{text: -1, order: -1, keep: -1}
	outside := r.textBeside(t)
	inside := r.textInside(t)
	for _, h := range r.hits {
		switch op := r.plan.edits[h].op; op {
		case abi.OpRemove:
			if t.flags&fRoot != 0 && t.flags&fForeign == 0 { // the parser would make another
				r.not(h, WhyPlace)
			} else {
				sum.remove = true
			}
		case abi.OpBefore, abi.OpAfter:
			if outside != 0 {
				r.not(h, outside)
			} else if op == abi.OpBefore {
				sum.before = true
			} else {
				sum.after = true
			}
		case abi.OpText, abi.OpPrepend, abi.OpAppend:
			switch {
			case inside != 0:
				r.not(h, inside)
			case op == abi.OpText:
				r.override(&sum.text, h)
			case op == abi.OpPrepend:
				sum.prepend = true
			default:
				sum.append = true
			}
		case abi.OpOrder, abi.OpKeep:
			switch {
			case inside == WhyVoid || inside == WhyRawText || t.flags&fRCDATA != 0:
				r.not(h, max(inside, WhyVoid))
			case t.flags&fRoot != 0 && t.key != keyBody:
				r.not(h, WhyPlace)
			case op == abi.OpOrder:
				r.override(&sum.order, h)
			default:
				r.override(&sum.keep, h)
			}
		default:
			sum.attrs = true
		}
	}
	r.settle(&sum)
	return sum
}

// override lets a later edit take the place of an earlier one.
func (r *Rewriter) override(place *int32, h int32) {
	if *place >= 0 {
		r.not(*place, WhyOverridden)
	}
	*place = h
}

// settle drops what text and remove beat.
func (r *Rewriter) settle(sum *summary) {
	for _, h := range r.hits {
		op := r.plan.edits[h].op
		switch {
		case sum.remove:
			if op == abi.OpRemove {
				r.applied[h]++
			} else if r.why[h] == 0 {
				r.not(h, WhyOverridden)
			}
		case sum.text >= 0 && (op == abi.OpPrepend || op == abi.OpAppend || op == abi.OpOrder || op == abi.OpKeep):
			r.not(h, WhyOverridden)
		}
	}
	if sum.text >= 0 {
		sum.prepend, sum.append, sum.order, sum.keep = false, false, -1, -1
		r.applied[sum.text]++
	}
}

// textInside tells why the element can have no text put into it, or 0.
func (r *Rewriter) textInside(t *tag) Reason {
	switch {
	case t.void:
		return WhyVoid
	case t.flags&fRaw != 0, t.key == keyScript, t.key == keyStyle:
		return WhyRawText
	case t.flags&fNoText != 0 && t.flags&fForeign == 0:
		return WhyPlace
	}
	return 0
}

// textBeside tells why text can stand neither before nor after the element, or 0.
func (r *Rewriter) textBeside(t *tag) Reason {
	if t.flags&fRoot != 0 && t.flags&fForeign == 0 {
		return WhyPlace
	}
	if t.n == 0 || r.stack[t.n-1].key == keyHTML {
		// The parent is a head or body that is not written down.
		if t.flags&(fHeadPart|fNoText) != 0 && t.flags&fTable == 0 || t.key == keyFrame {
			return WhyPlace
		}
		return 0
	}
	if parent := r.stack[t.n-1].flags; parent&fNoText != 0 && parent&fForeign == 0 {
		return WhyPlace
	}
	return 0
}

// takeOut begins an element that is left out.
func (r *Rewriter) takeOut(t *tag, p pending) {
	r.e = t.end
	if t.void {
		r.reach(p.exit)
		return
	}
	r.muted, r.muteDepth = true, t.n
	p.mute, p.show = muteWhole, -1
	for _, h := range r.hits {
		if r.plan.edits[h].op == abi.OpRemove {
			p.muted = h
		}
	}
	r.pushPending(t, p)
}

// pushPending opens an element at whose end something is to be done.
func (r *Rewriter) pushPending(t *tag, p pending) {
	t.flags |= fPending
	r.pend = append(r.pend, p)
	r.push(t)
}

func (r *Rewriter) endVoid(sum summary, p pending) {
	if sum.after {
		r.insertBack(abi.OpAfter)
	}
	if p.child >= 0 && len(r.frames) > 0 {
		r.children[p.child].end = len(r.buf)
		r.frames[len(r.frames)-1].cur = -1
	}
	r.reach(p.exit)
}

// startContent does what comes right after the start tag.
func (r *Rewriter) startContent(t *tag, sum summary, p pending) {
	if p.show >= 0 && len(r.frames) > 0 {
		r.children[p.show].show = len(r.buf)
	} else {
		p.show = -1
	}
	switch {
	case sum.text >= 0:
		r.newline(t, sum.text)
		r.put(r.plan.edits[sum.text].content)
		r.muted, r.muteDepth = true, t.n
		p.mute, p.muted = muteInner, sum.text
	case sum.prepend:
		for i := len(r.hits) - 1; i >= 0; i-- {
			if r.plan.edits[r.hits[i]].op == abi.OpPrepend {
				r.newline(t, r.hits[i])
				break
			}
		}
		r.insertBack(abi.OpPrepend)
	}
	if sum.append || sum.after {
		p.from = int32(len(r.held))
		for _, h := range r.hits {
			op := r.plan.edits[h].op
			if op == abi.OpAppend && sum.append || op == abi.OpAfter && sum.after {
				r.held = append(r.held, h)
			}
		}
		p.to = int32(len(r.held))
	}
	if len(r.frames) == 0 { // what was written may have been too much for them
		p.child, p.show = -1, -1
	}
	if sum.order >= 0 || sum.keep >= 0 {
		p.frame = r.openFrame(t, sum)
	}
	if p.child < 0 && p.show < 0 && p.exit < 0 && p.mute == 0 && p.from == p.to && !p.frame {
		r.push(t)
		return
	}
	r.pushPending(t, p)
}

// newline writes the newline that the parser will drop, if the content begins with another.
func (r *Rewriter) newline(t *tag, h int32) {
	if t.flags&fNewline != 0 && r.plan.edits[h].newline {
		r.put(newline)
	}
}

var newline = []byte{'\n'}

// insert writes the contents of the hits of that operation, in order.
func (r *Rewriter) insert(op abi.Op) {
	for _, h := range r.hits {
		if r.plan.edits[h].op == op {
			r.put(r.plan.edits[h].content)
			r.applied[h]++
		}
	}
}

// insertBack does so from the last to the first: each goes next to the element.
func (r *Rewriter) insertBack(op abi.Op) {
	for i := len(r.hits) - 1; i >= 0; i-- {
		if h := r.hits[i]; r.plan.edits[h].op == op {
			r.put(r.plan.edits[h].content)
			r.applied[h]++
		}
	}
}

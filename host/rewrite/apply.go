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
	unwrap   bool  // its tags are left out
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
	left      int   // ids that end a search and have not been reached
	done      bool  // all are: nothing is matched any more
	tagIn     flags // of the element that was innermost when the tag at hand began
	inserted  bool  // something was, or will be, put into the page
	loose     bool  // a link was ended by something else than its end tag: the parser goes on with it
	muted     bool  // bytes are left out
	muteDepth int   // until the open element of this index ends

	pend     []pending
	held     []int32
	seen     []uint32 // by name of attribute: the turn in which it was last set
	turn     uint32
	splices  []splice
	class    []byte
	frames   []frame
	children []child
	perm     []int32
	weights  []float64
	pattern  pattern
	probe    *Rewriter // finds values within children
	slots    []int32
	buf      []byte // what frames keep back
	scratch  []byte
	filled   int    // what fills have read and written
	values   []byte // texts to sort by, names of children
	name     []byte
}

func (d *editing) reset(p *Plan) {
	d.hits, d.pend, d.held, d.steps = d.hits[:0], d.pend[:0], d.held[:0], d.steps[:0]
	d.step = zeroed(d.step, p.words)
	d.idSeen, d.idDone = zeroed(d.idSeen, len(p.ids)), zeroed(d.idDone, len(p.ids))
	d.seen, d.turn = zeroed(d.seen, p.names), 0
	d.left, d.done, d.muted, d.inserted, d.loose = p.exits, false, false, false, false
	d.filled = 0
	d.frames, d.children, d.buf, d.values = d.frames[:0], d.children[:0], d.buf[:0], d.values[:0]
}

// A summary is what the edits of one element come to.
type summary struct {
	text, replace, unwrap          int32 // the last ones, or -1; text is also html
	order, keep, fill              int32 // keep is the first of them
	remove                         bool
	before, after, prepend, append bool
	attrs                          bool
}

// edit opens the element and carries out its edits as far as its start tag goes.
func (r *Rewriter) edit(b []byte, t *tag) {
	if r.inserted && t.key == keyFrameset && t.flags&fForeign == 0 && t.n <= 1 && r.outline == nil {
		r.lose(b, t.s) // browsers would pass over it now, and show what they drop
		return
	}
	child, show := int32(-1), int32(-1)
	if t.live && len(r.frames) > 0 {
		child, show = r.inList(b, t)
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
		r.enter(t)
		if !t.void {
			r.push(t)
		}
		return
	}
	sum := r.summarize(b, t)
	r.inserted = r.inserted || sum.text >= 0 || sum.replace >= 0 || sum.fill >= 0 || sum.before || sum.after || sum.prepend || sum.append
	format := t.format >= 0 && t.ghost < 0
	r.popTo(b, t.n, t.s, sum.remove || sum.before || sum.replace >= 0 || sum.unwrap >= 0, format)
	r.enter(t)
	r.flush(b, t.s)
	held := int32(len(r.held))
	p := pending{depth: int32(t.n), from: held, to: held, child: -1, show: show, exit: r.exit}
	if r.exit >= 0 {
		r.idSeen[r.exit] = true
	}
	if sum.remove {
		r.takeOut(t, p, abi.OpRemove)
		return
	}
	if child >= 0 && len(r.frames) > 0 {
		p.child = r.openChild(b, t)
	}
	if sum.before {
		r.insert(abi.OpBefore)
	}
	if p.child >= 0 && len(r.frames) > 0 {
		r.children[p.child].tag = len(r.buf)
	}
	switch {
	case sum.replace >= 0:
		r.putText(r.plan.edits[sum.replace].content)
		r.applied[sum.replace]++
		if sum.after {
			r.insertBack(abi.OpAfter)
		}
		if t.void {
			r.e = t.end
			r.endVoid(summary{}, p)
			return
		}
		r.takeOut(t, p, abi.OpReplace)
		return
	case sum.unwrap >= 0:
		r.e = t.end
		p.unwrap = true
	case sum.attrs:
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
func (r *Rewriter) summarize(b []byte, t *tag) summary {
	sum := summary{text: -1, replace: -1, unwrap: -1, order: -1, keep: -1, fill: -1}
	kept := r.hits[:0]
	for _, h := range r.hits {
		e := r.plan.edits[h]
		if why := r.refuses(b, t, e); why != 0 {
			r.not(h, why)
			continue
		}
		kept = append(kept, h)
		switch e.op {
		case abi.OpRemove:
			sum.remove = true
		case abi.OpReplace:
			r.override(&sum.replace, h)
		case abi.OpUnwrap:
			sum.unwrap = h
			r.applied[h]++
		case abi.OpBefore:
			sum.before = true
		case abi.OpAfter:
			sum.after = true
		case abi.OpText, abi.OpHTML:
			r.override(&sum.text, h)
		case abi.OpPrepend:
			sum.prepend = true
		case abi.OpAppend:
			sum.append = true
		case abi.OpOrder:
			r.override(&sum.order, h)
		case abi.OpKeep:
			if sum.keep < 0 { // all of them count, see openFrame
				sum.keep = h
			}
		case abi.OpFill:
			r.override(&sum.fill, h)
		default:
			sum.attrs = true
		}
	}
	r.hits = kept
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

// settle drops what remove, replace, unwrap, text and fill beat.
func (r *Rewriter) settle(sum *summary) {
	if sum.remove || sum.replace >= 0 {
		r.settleGone(sum)
		return
	}
	for _, h := range r.hits {
		switch op := r.plan.edits[h].op; op {
		case abi.OpPrepend, abi.OpAppend:
			if sum.text >= 0 {
				r.not(h, WhyOverridden)
			}
		case abi.OpOrder, abi.OpKeep:
			if sum.text >= 0 || sum.fill >= 0 {
				r.not(h, WhyOverridden)
			}
		case abi.OpFill:
			if sum.text >= 0 {
				r.not(h, WhyOverridden)
			}
		case abi.OpAttr, abi.OpUnsetAttr, abi.OpAddClass, abi.OpRemoveClass:
			if sum.unwrap >= 0 {
				r.not(h, WhyOverridden)
			}
		}
	}
	if sum.text >= 0 {
		sum.prepend, sum.append, sum.order, sum.keep, sum.fill = false, false, -1, -1, -1
		r.applied[sum.text]++
	}
	if sum.fill >= 0 {
		sum.order, sum.keep = -1, -1
	}
	if sum.unwrap >= 0 {
		sum.attrs = false
	}
}

// settleGone is settle where the element goes.
func (r *Rewriter) settleGone(sum *summary) {
	for _, h := range r.hits {
		switch op := r.plan.edits[h].op; {
		case op == abi.OpRemove:
			r.applied[h]++
		case !sum.remove && (op == abi.OpReplace || op == abi.OpBefore || op == abi.OpAfter):
		case op == abi.OpUnwrap:
			r.applied[h]--
			fallthrough
		default:
			r.not(h, WhyOverridden)
		}
	}
}

// takeOut begins an element that op leaves out.
func (r *Rewriter) takeOut(t *tag, p pending, op abi.Op) {
	r.e = t.end
	if t.void {
		r.reach(p.exit)
		return
	}
	r.muted, r.muteDepth = true, t.n
	p.mute, p.show = muteWhole, -1
	for _, h := range r.hits {
		if r.plan.edits[h].op == op {
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
		r.children[p.child].close = len(r.buf)
		r.children[p.child].end = len(r.buf)
		r.frames[len(r.frames)-1].cur = -1
	}
	r.reach(p.exit)
}

// startContent does what comes right after the start tag.
func (r *Rewriter) startContent(t *tag, sum summary, p pending) {
	if p.child >= 0 && len(r.frames) > 0 {
		r.children[p.child].inner = len(r.buf)
	}
	if p.show >= 0 && len(r.frames) > 0 {
		r.children[p.show].show = len(r.buf)
	} else {
		p.show = -1
	}
	switch {
	case sum.text >= 0:
		e := r.plan.edits[sum.text]
		if t.flags&fRaw != 0 { // a data block
			r.put(e.json)
		} else {
			r.newline(t, sum.text)
			r.putText(e.content)
		}
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
	if sum.order >= 0 || sum.keep >= 0 || sum.fill >= 0 {
		p.frame = r.openFrame(t, sum)
	}
	if p.child < 0 && p.show < 0 && p.exit < 0 && p.mute == 0 && p.from == p.to && !p.frame && !p.unwrap {
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
			r.putText(r.plan.edits[h].content)
			r.applied[h]++
		}
	}
}

// insertBack does so from the last to the first: each goes next to the element.
func (r *Rewriter) insertBack(op abi.Op) {
	for i := len(r.hits) - 1; i >= 0; i-- {
		if h := r.hits[i]; r.plan.edits[h].op == op {
			r.putText(r.plan.edits[h].content)
			r.applied[h]++
		}
	}
}

package rewrite

import "bespoke/modules/abi"

// popTo ends the open elements beyond the first n, which the markup at b[s]
// ends by implication. With explicit their end tags are written, because
// something is about to stand between them and that markup; with format the
// outermost of them is a formatting element that the markup itself would end.
func (r *Rewriter) popTo(b []byte, n, s int, explicit, format bool) {
	open := r.popOpen(b, n, s)
	if explicit && !r.muted && n < open {
		r.flush(b, s)
		r.writeEnds(open, n+1)
		if format || r.stack[n].flags&fFormat == 0 {
			r.writeEnd(n)
		}
	}
	r.truncate(n)
}

// popOpen does what is pending for the open elements from n on, innermost
// first, without taking them off the stack. It returns how many elements are still open in the output.
func (r *Rewriter) popOpen(b []byte, n, s int) int {
	open := len(r.stack)
	for i := n; i < open && r.links > 0 && !r.loose; i++ {
		r.loose = r.stack[i].flags&fLink != 0
	}
	for i := open - 1; i >= n; i-- {
		if r.stack[i].flags&fPending != 0 {
			open = r.endElement(b, i, s, s, open)
		}
	}
	return open
}

// writeEnds writes the end tags of the elements that are open in the output,
// from the innermost to element n, formatting elements aside: the parser goes
// on with those in what follows.
func (r *Rewriter) writeEnds(open, n int) int {
	for i := open - 1; i >= n; i-- {
		if r.stack[i].flags&(fFormat|fGhost) == 0 {
			r.writeEnd(i)
		}
	}
	return min(open, n)
}

func (r *Rewriter) writeEnd(i int) {
	r.name = append(r.name[:0], '<', '/')
	r.name = r.appendName(r.name, i)
	r.name = append(r.name, '>')
	r.put(r.name)
}

// endElement does what is pending for element i, which ends at b[s:end], its
// end tag, or at s == end by implication. open is the number of elements that are open
// in the output; what it is then is returned.
func (r *Rewriter) endElement(b []byte, i, s, end, open int) int {
	if r.stopped != 0 {
		return open
	}
	at := len(r.pend) - 1
	for at >= 0 && int(r.pend[at].depth) != i {
		at--
	}
	p := &r.pend[at]
	held := r.held[p.from:p.to]
	if p.mute != 0 {
		r.muted = false
		r.e = s
		open = min(open, i+1)
	}
	if p.mute == muteWhole {
		r.e = end
		if p.child >= 0 { // something stands in its place
			r.closeChild(int(p.child), i, false)
		}
		r.endPending(at)
		return min(open, i)
	}
	r.appendContent(b, i, s, &open, p, held)
	if p.frame {
		r.flush(b, s)
		if p.frame {
			r.finishFrame()
		}
	}
	if p.show >= 0 { // after what is a list itself has its length
		r.flush(b, s)
		if p.show >= 0 {
			r.children[p.show].showEnd = len(r.buf)
		}
	}
	if p.unwrap && r.codes > 0 {
		r.lose(b, s) // an end tag of ours would run the script that is open
		return open
	}
	if p.unwrap {
		r.flush(b, s)
		r.writeEnds(open, i+1)
		r.e, open = end, i
	} else if s < end {
		open = min(open, i)
	}
	if p.child >= 0 {
		r.flush(b, end)
		if p.child >= 0 {
			r.children[p.child].close = len(r.buf)
		}
	}
	r.afterContent(b, i, s, end, &open, held)
	if p.child >= 0 {
		r.flush(b, end)
		if p.child >= 0 {
			r.closeChild(int(p.child), i, open > i)
		}
	}
	r.endPending(at)
	return open
}

// appendContent writes what append edits add at the end of element i.
func (r *Rewriter) appendContent(b []byte, i, s int, open *int, p *pending, held []int32) {
	if p.appended {
		return
	}
	for _, h := range held {
		if e := r.plan.edits[h]; e.op == abi.OpAppend {
			if why := r.ends(e, i+1, *open, -1); why != 0 { // what came in the element decides, too
				r.not(h, why)
				continue
			}
			r.flush(b, s)
			*open = r.writeEnds(*open, i+1)
			r.putText(e.content)
			r.applied[h]++
		}
	}
}

// afterContent writes what after edits add behind element i, the last first:
// each goes next to the element.
func (r *Rewriter) afterContent(b []byte, i, s, end int, open *int, held []int32) {
	ended := -1
	if s < end {
		ended = i // by its own end tag
	}
	for x := len(held) - 1; x >= 0; x-- {
		if e := r.plan.edits[held[x]]; e.op == abi.OpAfter {
			if why := r.ends(e, i, *open, ended); why != 0 {
				r.not(held[x], why)
				continue
			}
			r.flush(b, end)
			if *open > i {
				r.writeEnds(*open, i+1)
				r.writeEnd(i)
				*open = i
			}
			r.putText(e.content)
			r.applied[held[x]]++
		}
	}
}

// ends tells why the edit's content cannot go out where the first n elements
// stay open and the others end, those up to open by tags of ours, or 0. Such a
// tag would run a script of SVG that the page's own tags only end.
func (r *Rewriter) ends(e *prepared, n, open, ended int) Reason {
	for i := n; i < open && r.codes > 0; i++ {
		if r.stack[i].flags&fCode != 0 {
			return WhyAmbiguous
		}
	}
	if e.markup && !r.stays(e, n, ended, nil) {
		return WhyPlace
	}
	return 0
}

// endPending forgets pending at.
func (r *Rewriter) endPending(at int) {
	p := r.pend[at] // a copy: the slice closes over its place
	r.pend = append(r.pend[:at], r.pend[at+1:]...)
	if at == len(r.pend) {
		// Those of elements that ended before what is in them go now, too.
		n := int32(0)
		if at > 0 {
			n = r.pend[at-1].to
		}
		r.held = r.held[:n]
	}
	r.reach(p.exit)
}

// makeGhost ends element i at b[s:end] while elements within it stay open.
func (r *Rewriter) makeGhost(b []byte, i, s, end int) {
	if r.trial != nil && i < r.trial.base {
		r.trial.bad = true
	}
	if len(r.frames) > 0 {
		// What belongs to which child is no longer what the bytes say.
		r.flush(b, s)
		r.abandon(WhyAmbiguous)
	}
	if r.stack[i].flags&fPending != 0 {
		r.endGhost(b, i, s, end)
	}
	e := &r.stack[i]
	if e.flags&fCounted != 0 {
		r.count(e.flags, -1)
	}
	e.flags = fGhost
	e.key = 0
}

// endGhost does what is pending for element i, which becomes a ghost. What
// stays open in it is read on as before: nothing is put into a script or style
// of SVG, no markup where it was not tried, and what was to be left out stays
// away, wherever its end may be.
func (r *Rewriter) endGhost(b []byte, i, s, end int) {
	foreign := r.tagIn&fForeign != 0
	for j := i + 1; j < len(r.stack); j++ {
		foreign = foreign || r.stack[j].flags&fForeign != 0
	}
	at := len(r.pend) - 1
	for at >= 0 && int(r.pend[at].depth) != i {
		at--
	}
	p := &r.pend[at]
	if foreign && (p.mute != 0 || p.unwrap) {
		r.lose(b, s)
		return
	}
	kept := r.held[p.from:p.from]
	for _, h := range r.held[p.from:p.to] {
		if foreign || r.plan.edits[h].markup {
			r.not(h, WhyAmbiguous)
		} else {
			kept = append(kept, h)
		}
	}
	p.to = p.from + int32(len(kept))
	r.endElement(b, i, s, end, i+1)
}

// lose stops all editing at b[s], where it cannot be told in which context the
// rest would be read after what was left out: it goes out in none.
func (r *Rewriter) lose(b []byte, s int) {
	r.flush(b, s)
	r.muted, r.muteDepth = true, 0
	r.stop(b, s, WhyAmbiguous)
}

// endBody does what is pending for body at "</body>" or "</html>". The
// element itself stays open: what follows still belongs to it.
func (r *Rewriter) endBody(b []byte, s int) {
	n := len(r.stack) - 1
	if n < 0 || r.stack[n].key != keyBody || r.stack[n].flags&fPending == 0 || r.muted {
		return
	}
	p := &r.pend[len(r.pend)-1]
	open := n + 1
	r.appendContent(b, n, s, &open, p, r.held[p.from:p.to])
	p.appended = true
}

// reach notes that the element of an id has ended.
func (r *Rewriter) reach(id int32) {
	if id >= 0 {
		r.idDone[id] = true
		if r.plan.ids[id].exit {
			r.left--
		}
	}
}

// leaveEarly ends the search when no edit can match any more: the rest passes
// as it is, and the tail goes to its end.
func (r *Rewriter) leaveEarly() bool {
	if r.left > 0 || !r.plan.canExit || r.done || len(r.pend) > 0 || r.muted || r.outline != nil {
		return false
	}
	r.done = true
	r.mode = inPass
	return true
}

// dropPending reports the edits that will not be carried out.
func (r *Rewriter) dropPending(why Reason) {
	for i := range r.pend {
		p := &r.pend[i]
		for _, h := range r.held[p.from:p.to] {
			if r.plan.edits[h].op == abi.OpAfter || !p.appended {
				r.not(h, why)
			}
		}
	}
}

// stop ends all editing at b[s].
func (r *Rewriter) stop(b []byte, s int, why Reason) int {
	// What was to be left out stays away, wherever its end may be: without
	// what stood before it, the rest may be read as something else.
	r.flush(b, s)
	r.abandon(WhyStopped)
	r.dropPending(WhyStopped)
	r.stopped = why
	r.mode = inPass
	return s
}

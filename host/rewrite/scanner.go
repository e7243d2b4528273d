package rewrite

import "bytes"

// run takes b up to its end, or to where something begins that b does not
// finish, and returns that index.
func (r *Rewriter) run(b []byte) int {
	r.e, r.gone, r.hold = 0, 0, -1
	r.swift = r.maySwift()
	for i := 0; i < len(b) && r.hold < 0; {
		switch r.mode {
		case inData:
			if r.plan.xml {
				i = r.dataXML(b, i)
			} else {
				i = r.data(b, i)
			}
		case inRaw:
			i = r.rawText(b, i)
		case inScript:
			i = r.script(b, i)
		case inComment, inCDATA:
			var n int
			if r.mode == inComment {
				n, r.sub = commentEnd(b[i:], r.sub)
			} else {
				if n, r.sub = seekEnd(b[i:], ']', r.sub); r.framesOK {
					r.noteCDATA(b[i:], n)
				}
			}
			if n < 0 {
				i = len(b)
			} else {
				i += n
				r.mode = inData
			}
		case inBogus:
			n := bytes.IndexByte(b[i:], '>')
			if n < 0 {
				i = len(b)
			} else {
				i += n + 1
				r.mode = inData
			}
		case inXMLComment, inXMLPI, inDoctype:
			i = r.runXML(b, i)
		default:
			i = len(b)
		}
	}
	end := len(b)
	if r.hold >= 0 {
		end = r.hold
	}
	r.flush(b, end)
	r.seam = r.seam || r.muted || r.e != r.gone
	return end
}

// wait says that what begins at s is not finished.
func (r *Rewriter) wait(s int, tag bool) int {
	r.hold, r.waitTag = s, tag
	return s
}

func (r *Rewriter) data(b []byte, i int) int {
	text := i
	for {
		j := 0
		if i >= len(b) || b[i] != '<' { // tags come together often
			j = bytes.IndexByte(b[i:], '<')
		}
		if r.watchText {
			end := i + j
			if j < 0 {
				end = len(b)
			}
			r.noteText(b, i, end)
		}
		if j < 0 {
			r.extractText(b[text:])
			return len(b)
		}
		s := i + j
		if s+1 >= len(b) {
			r.extractText(b[text:])
			return r.wait(s, false)
		}
		if c := b[s+1]; r.extract != nil && (byteClass[c]&cAlpha != 0 || c == '/' || c == '!' || c == '?') {
			r.extractText(b[text:s])
		}
		switch c := b[s+1]; {
		case byteClass[c]&cAlpha != 0:
			if i = r.shortStart(b, s); i == 0 {
				i = r.startTag(b, s)
			}
		case c == '/':
			i = r.endTag(b, s)
		case c == '!':
			i = r.declaration(b, s)
		case c == '?':
			r.mode = inBogus
			return s + 1
		default:
			if r.watchText {
				r.noteText(b, s, s+1)
			}
			i = s + 1
			continue
		}
		if r.hold >= 0 || r.mode != inData {
			return i
		}
		text = i
	}
}

func (r *Rewriter) extractText(b []byte) {
	if r.extract == nil || r.templates > 0 {
		return
	}
	if n := len(r.stack); n > 0 && (r.stack[n-1].key == keyScript || r.stack[n-1].key == keyStyle) {
		return // of SVG
	}
	r.extract.add(b)
}

// declaration reads what begins with '<!'.
func (r *Rewriter) declaration(b []byte, s int) int {
	p := b[s+2:]
	switch {
	case len(p) == 0:
		return r.wait(s, false)
	case p[0] == '-':
		if len(p) == 1 {
			return r.wait(s, false)
		}
		if p[1] == '-' {
			r.mode, r.sub = inComment, cmStart
			return s + 4
		}
	case p[0] == '[' && len(r.stack) > 0 && r.stack[len(r.stack)-1].flags&fForeign != 0:
		const open = "[CDATA["
		n := min(len(p), len(open))
		if string(p[:n]) == open[:n] {
			if n < len(open) {
				return r.wait(s, false)
			}
			if r.selects > 0 {
				return r.stop(b, s, WhyAmbiguous) // as in rawInSelect
			}
			r.mode, r.sub = inCDATA, 0
			return s + 2 + n
		}
	case r.initial && lower[p[0]] == 'd':
		const open = "doctype"
		n := min(len(p), len(open))
		if foldEqual(p[:n], open[:n]) {
			end := bytes.IndexByte(p[:min(len(p), maxDoctype)], '>')
			if end < 0 && len(p) < maxDoctype {
				return r.wait(s, false)
			}
			r.initial = false
			if end >= len(open) {
				r.quirks = quirksDoctype(p[len(open):end])
			}
		}
	}
	r.mode = inBogus
	return s + 2
}

// startTag takes the start tag that begins at b[s]; it returns the index after it.
func (r *Rewriter) startTag(b []byte, s int) int {
	k, p := nameKey(b, s+1)
	if p >= len(b) {
		return r.wait(s, true)
	}
	f := tagFlags(k)
	if r.plan.xml {
		k, f = exactKey(b[s+1:p]), 0
	}
	if r.outline != nil {
		r.outline.at = r.outline.base + s
	}
	input := k == keyInput && (r.framesOK || r.selects > 0)
	live := !r.done && r.templates == 0 && r.codes == 0
	simple := r.simple(f)
	within := simple && r.withinItem()
	shows := within && r.mayShow(k)
	read := live && (r.plan.anyTag || r.plan.tagBits[tagHash(k)] || len(r.frames) > 0 && (!within || shows)) ||
		k == keySVG || k == keyMath || input || len(r.stack) > 0 && r.stack[len(r.stack)-1].flags&fForeign != 0
	end, passed := p+1, false
	if read && simple && r.plan.quick && len(r.frames) == 0 && !r.plan.tagBits[tagHash(k)] && !input {
		var may bool
		end, may = r.plan.glance(b, p)
		read, passed = may, true
	}
	if read && end >= 0 {
		r.text.exact = r.plan.xml
		end = r.text.parse(b, p)
	} else if b[p] != '>' && !passed {
		end = skipAttrs(b, p)
	}
	if end < 0 {
		return r.wait(s, true)
	}
	if end-s > r.plan.maxTag {
		return r.stop(b, s, WhyTag)
	}
	if simple && (!read || r.plan.quick && r.plan.cannotMeet(b, &r.text, k) &&
		(len(r.frames) == 0 || within && !(shows && r.showsIn(b, k, b[s+1:p])))) {
		if f&fVoid == 0 {
			r.pushElement(k, f, b[s+1:p])
			if w := r.plan.words; w > 0 {
				clear(r.step)
				r.pushSteps(w)
			}
		}
		return end
	}
	r.tagIn = r.innermost()
	t := tag{s: s, p: p, end: end, key: k, flags: f, name: b[s+1 : p], read: read, live: live}
	if input {
		i := r.text.find(b, "type")
		t.hidden = i >= 0 && foldEqual(r.text.value(b, i), "hidden")
	}
	return r.openTag(b, &t)
}

// openTag does what a start tag that has been read does to the tree and to the
// page; it returns the index after it. t.live says for now that edits may aim at something at all.
func (r *Rewriter) openTag(b []byte, t *tag) int {
	v := opens
	if r.plan.xml {
		v = r.placeXML(b, t)
	} else {
		v = r.place(b, t)
	}
	for t.n > 0 && r.stack[t.n-1].flags&fGhost != 0 {
		t.n-- // nothing is left in it
	}
	if r.watch != nil {
		seen := *t // so that t itself stays on the stack
		r.watch(b, t.s, t.p, t.end, &seen, v)
	}
	switch v {
	case ambiguous:
		return r.stop(b, t.s, WhyAmbiguous)
	case ignored:
		r.noteIgnored(t)
		if r.trial != nil {
			r.trial.bad = true
		}
		if t.n < len(r.stack) {
			r.popTo(b, t.n, t.s, false, false)
		}
		return t.end
	}
	if !t.void && t.n >= r.plan.maxDepth {
		return r.stop(b, t.s, WhyDepth)
	}
	// What is left out may end with this tag.
	heard := !r.muted || t.n <= r.muteDepth || t.ghost == r.muteDepth || r.outline != nil
	t.live = t.live && heard && t.read && !r.text.overflow
	if !r.seek(b, t) {
		return r.ask(t.s)
	}
	r.noteSeen(t)
	if t.adopts {
		r.adoptBetween(b, t.ghost, t.s)
	}
	r.edit(b, t)
	if r.leaveEarly() {
		return t.end
	}
	if t.flags&(fRaw|fRCDATA) != 0 && t.flags&fForeign == 0 {
		r.startRaw(t)
	}
	return t.end
}

// innermost returns the flags of the innermost open element.
func (r *Rewriter) innermost() flags {
	if n := len(r.stack); n > 0 {
		return r.stack[n-1].flags
	}
	return 0
}

func (r *Rewriter) startRaw(t *tag) {
	switch t.key {
	case keyPlaintext:
		r.mode = inPlain
	case keyScript:
		r.mode, r.sub, r.dashes = inScript, scPlain, 0
	default:
		r.mode, r.raw = inRaw, t.key
	}
}

// endTag takes the end tag that begins at b[s].
func (r *Rewriter) endTag(b []byte, s int) int {
	i := s + 2
	if i >= len(b) {
		return r.wait(s, false)
	}
	switch c := b[i]; {
	case c == '>':
		return i + 1
	case byteClass[c]&cAlpha == 0:
		r.mode = inBogus
		return i
	}
	if end := r.endsTop(b, i); end > 0 {
		return end
	}
	k, p := nameKey(b, i)
	if p >= len(b) {
		return r.wait(s, true)
	}
	end := p + 1
	if b[p] != '>' {
		if end = skipAttrs(b, p); end < 0 {
			return r.wait(s, true)
		}
	}
	if end-s > r.plan.maxTag {
		return r.stop(b, s, WhyTag)
	}
	if r.watch != nil {
		r.watch(b, s, p, end, nil, opens)
	}
	r.closeTag(b, s, end, k, b[i:p])
	return end
}

// closeTag does what the end tag b[s:end] does to the tree and to the page.
func (r *Rewriter) closeTag(b []byte, s, end int, k uint64, name []byte) {
	r.initial = false
	if r.outline != nil {
		r.outline.at = r.outline.base + s
	}
	if !r.seenBody || r.framesOK {
		r.noteEarlyEnd(k)
	}
	if n := len(r.stack) - 1; n >= 0 && r.stack[n].key == k && k&longKey == 0 &&
		r.stack[n].flags&fRoot == 0 && k != keyForm && k != keyFrameset { // the common case
		if f := r.stack[n].flags; f&fPending != 0 {
			r.tagIn = f
			r.endElement(b, n, s, end, n+1)
			r.truncate(n)
			r.leaveEarly()
		} else {
			r.truncate(n)
		}
		return
	}
	if n := len(r.stack) - 1; n >= 0 && r.stack[n].key == keyColgroup && r.stack[n].flags&fForeign == 0 && k != keyColgroup && k != keyCol && k != keyTemplate {
		r.popTo(b, n, s, false, false)
	}
	r.tagIn = r.innermost()
	c := r.closes(k, name)
	if r.trial != nil && !c.hit {
		r.trial.bad = true
	}
	switch {
	case c.hit:
		open := r.popOpen(b, c.n+1, s)
		if r.stack[c.n].flags&fPending != 0 {
			r.endElement(b, c.n, s, end, open)
		}
		r.truncate(c.n)
	case c.n < len(r.stack):
		r.popTo(b, c.n, s, false, false)
	}
	if c.ghost >= 0 {
		r.adopt(b, c.ghost, s, end)
	}
	if (k == keyBody || k == keyHTML) && !c.hit {
		r.endBody(b, s)
	}
	if n := len(r.stack); r.framePage == inFrames && (n == 0 || r.stack[n-1].key != keyFrameset) {
		r.framePage = afterFrames
	}
	r.leaveEarly()
}

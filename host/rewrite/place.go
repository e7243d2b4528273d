package rewrite

// place works out what the start tag does to the tree.
func (r *Rewriter) place(b []byte, t *tag) verdict {
	t.n, t.ghost, t.format = len(r.stack), -1, -1
	if t.n > 0 {
		if top := r.stack[t.n-1].flags; top&(fForeign|fOddTop) != 0 {
			if v, done := r.placeUnder(b, t, top); done {
				return v
			}
		}
	}
	if t.key == keyImage {
		t.key, t.flags = keyImg, tagFlags(keyImg)
	}
	t.void = t.flags&fVoid != 0
	if r.framePage != noFrames {
		return r.placeInFrames(t)
	}
	if t.flags&(fRaw|fRCDATA) != 0 && r.selects > 0 && r.rawInSelect(t) {
		return ambiguous
	}
	if t.flags&fStructure == 0 {
		return opens
	}
	return r.placeStructure(t)
}

// placeUnder does so where the innermost element has rules of its own; done, if nothing is left to do.
func (r *Rewriter) placeUnder(b []byte, t *tag, top flags) (v verdict, done bool) {
	switch {
	case top&fForeign != 0:
		if htmlStart(top, t.key) {
			return opens, false
		}
		if r.breaksOut(b, t) {
			for t.n > 0 && r.stack[t.n-1].flags&fForeign != 0 && r.stack[t.n-1].flags&(fHTMLInside|fMathText) == 0 {
				t.n--
			}
			return opens, false
		}
		if r.selects > 0 && (t.key == keyScript || t.key == keyTextarea) && r.inScope(t.n, fSelect, fTemplate) >= 0 {
			return ambiguous, true // as in rawInSelect
		}
		t.flags = foreignFlags(t.key, top&fForeign)
		if t.flags&fAnnotation != 0 && r.htmlAnnotation(b) {
			t.flags |= fHTMLInside
		}
		t.void = r.text.slash
		return opens, true
	case top&fTemplate != 0:
		v = r.placeInTemplate(t)
		return v, v != opens
	case r.stack[t.n-1].key == keyColgroup:
		if t.key != keyCol && t.flags&fTemplate == 0 && t.key != keyHTML {
			t.n--
		}
	case r.seenBody, t.flags&fHeadPart == 0 && t.key != keyHTML, r.headDone && t.key == keyNoscript:
		t.n-- // head
	}
	return opens, false
}

// htmlStart tells whether a start tag in foreign element f is read as HTML.
func htmlStart(f flags, key uint64) bool {
	return f&fHTMLInside != 0 || f&fMathText != 0 && key != keyMglyph && key != keyMalignmark ||
		f&fAnnotation != 0 && key == keySVG
}

func (r *Rewriter) breaksOut(b []byte, t *tag) bool {
	if t.flags&fBreakout != 0 {
		return true
	}
	return t.key == keyFont &&
		(r.text.find(b, "color") >= 0 || r.text.find(b, "face") >= 0 || r.text.find(b, "size") >= 0)
}

func (r *Rewriter) htmlAnnotation(b []byte) bool {
	i := r.text.find(b, "encoding")
	if i < 0 {
		return false
	}
	v := r.text.value(b, i)
	return foldEqual(v, "text/html") || foldEqual(v, "application/xhtml+xml")
}

// rawInSelect tells whether the content of raw text element t in a select is
// text for some parsers and markup for others: until 2025 the standard let most start
// tags in a select pass without effect.
func (r *Rewriter) rawInSelect(t *tag) bool {
	return t.key != keyScript && t.key != keyTextarea && r.inScope(t.n, fSelect, fTemplate) >= 0
}

// placeInFrames does so in a page of frames (13.2.6.4.20 to 23).
func (r *Rewriter) placeInFrames(t *tag) verdict {
	switch {
	case t.key == keyNoframes, r.framePage == inFrames && (t.key == keyFrameset || t.key == keyFrame):
		return opens
	}
	return ignored
}

// What a template's first child decided on (13.2.6.4.18): how start tags directly in it are read.
const (
	fAsBody flags = fPending << (1 + iota)
	fAsTable
	fAsColumns
	fAsRows
	fAsCells
)

const fAs = fAsBody | fAsTable | fAsColumns | fAsRows | fAsCells

func (r *Rewriter) placeInTemplate(t *tag) verdict {
	f := &r.stack[t.n-1].flags
	if *f&fAs == 0 && (t.flags&fHeadPart == 0 || t.key == keyNoscript || t.key == keyHead) {
		switch {
		case t.key == keyCol:
			*f |= fAsColumns
		case t.flags&(fTablePart|fRowGroup) != 0:
			*f |= fAsTable
		case t.flags&fRow != 0:
			*f |= fAsRows
		case t.flags&fCell != 0:
			*f |= fAsCells
		default:
			*f |= fAsBody
		}
	}
	if *f&fAsColumns != 0 && t.key != keyCol && t.flags&fTemplate == 0 {
		return ignored
	}
	return opens
}

func (r *Rewriter) placeStructure(t *tag) verdict {
	f := t.flags
	switch {
	case f&fRoot != 0:
		return r.placeRoot(t)
	case f&(fCell|fRow|fRowGroup|fTablePart) != 0:
		return r.placeTablePart(t)
	case f&fTable != 0:
		if at := r.tableMode(t.n); at >= 0 {
			if r.stack[at].flags&fTemplate != 0 {
				return ignored
			}
			t.n = at
		} else if !r.quirks {
			r.closeP(t)
		}
		return opens
	case t.key == keyForm:
		if r.formOpen && r.templates == 0 {
			return ignored
		}
		if r.tableMode(t.n) >= 0 {
			if r.templates > 0 {
				return ignored
			}
			t.void = true // it is closed at once; only the form pointer stays
			return opens
		}
	case t.key == keyFrame:
		return ignored
	case t.key == keyFrameset:
		return r.placeFrameset(t)
	case t.key == keySVG:
		t.flags |= fSVG
		t.void = r.text.slash
	case t.key == keyMath:
		t.flags |= fMath
		t.void = r.text.slash
	case f&fLink != 0:
		if r.links > 0 {
			r.placeFormat(t)
		}
	case f&fButton != 0:
		if i := r.inScope(t.n, fButton, fScope); i >= 0 {
			t.n = i
		}
	case f&(fSelect|fOption|fOptgroup) != 0, t.key == keyInput:
		return r.placeInSelect(t)
	case f&fRuby != 0:
		r.placeRuby(t)
	case f&(fLi|fDd) != 0:
		r.placeItem(t)
	}
	if f&fClosesP != 0 {
		r.closeP(t)
		switch {
		case f&fHeading != 0 && t.n > 0 && r.stack[t.n-1].flags&fHeading != 0:
			t.n--
		case t.key == keyHr && r.selectOpen(t) >= 0:
			r.implyEnds(t, 0)
		}
	}
	return opens
}

// placeFrameset begins a page of frames, in place of a body that was not
// written down and has nothing to be seen in it.
func (r *Rewriter) placeFrameset(t *tag) verdict {
	if r.templates > 0 || r.seenBody && !r.framesOK {
		return ignored
	}
	for t.n > 0 && (r.stack[t.n-1].key != keyHTML || r.stack[t.n-1].flags&fForeign != 0) {
		t.n--
	}
	return opens
}

// selectOpen returns the index of the select in scope, or -1.
func (r *Rewriter) selectOpen(t *tag) int {
	if r.selects == 0 {
		return -1
	}
	return r.inScope(t.n, fSelect, fScope)
}

// implyEnds ends elements whose end tags are implied, up to one with a flag of but.
func (r *Rewriter) implyEnds(t *tag, but flags) {
	for t.n > 0 && r.stack[t.n-1].flags&fImplied != 0 && r.stack[t.n-1].flags&but == 0 {
		t.n--
	}
}

// placeInSelect places select, input, option and optgroup.
func (r *Rewriter) placeInSelect(t *tag) verdict {
	at := r.selectOpen(t)
	switch {
	case t.flags&fSelect != 0:
		if at >= 0 {
			t.n = at
			return ignored // but it ends the open one
		}
	case t.key == keyInput:
		if at >= 0 && !(t.hidden && r.tableMode(t.n) >= 0) {
			t.n = at
		}
	case at >= 0:
		but := fOptgroup
		if t.flags&fOptgroup != 0 {
			but = 0
		}
		r.implyEnds(t, but)
	case t.n > 0 && r.stack[t.n-1].flags&fOption != 0:
		t.n--
	}
	return opens
}

// placeItem ends an open li, or dd or dt.
func (r *Rewriter) placeItem(t *tag) {
	for i := t.n - 1; i >= 0; i-- {
		f := r.stack[i].flags
		if f&t.flags&(fLi|fDd) != 0 {
			t.n = i
			return
		}
		if f&fSpecial != 0 && f&fPassLi == 0 {
			return
		}
	}
}

func (r *Rewriter) placeRoot(t *tag) verdict {
	switch {
	case r.templates > 0,
		t.key == keyHTML && (r.seenHTML || r.seenHead || r.seenBody || t.n > 0),
		t.key == keyHead && (r.seenHead || r.seenBody || t.n > 1):
		return ignored
	case t.key == keyBody && r.seenBody:
		r.framesOK = false
		return ignored
	}
	return opens
}

// closeP closes a p in button scope.
func (r *Rewriter) closeP(t *tag) {
	if r.pOpen > 0 {
		if i := r.inScope(t.n, fP, fScope|fButton); i >= 0 {
			t.n = i
		}
	}
}

// Elements that decide whether start tags are read as in a table.
const fTableMode = fCell | fRow | fRowGroup | fTable | fTablePart | fTemplate

// tableMode returns the index of the table, or template, that the first n open elements are
// directly in, not in a cell or caption of it, or -1.
func (r *Rewriter) tableMode(n int) int {
	i := r.inScope(n, fTableMode, 0)
	if i < 0 {
		return -1
	}
	switch f := r.stack[i].flags; {
	case f&(fTable|fRow|fRowGroup) != 0:
		return r.inScope(n, fTable|fTemplate, 0)
	case f&(fAsTable|fAsRows|fAsCells) != 0:
		return i
	}
	return -1
}

func (r *Rewriter) placeTablePart(t *tag) verdict {
	at := r.inScope(t.n, fTableScope, 0)
	if at < 0 {
		return ignored
	}
	is := func(i int, f flags) bool { return i < t.n && r.stack[i].flags&f != 0 }
	n := at + 1
	f := r.stack[at].flags
	switch {
	case f&(fTable|fAsTable) != 0:
	case f&fAsColumns != 0 && t.key == keyCol:
	case f&fAsRows != 0 && t.flags&(fRow|fCell) != 0:
	case f&fAsCells != 0 && t.flags&fCell != 0:
	case f&(fAsRows|fAsCells) != 0 && is(n, fRow|fCell):
		t.n = n
		return ignored // but it ends the row or cell
	default:
		return ignored
	}
	in := at // what the row or cell is made up in
	if t.flags&(fRow|fCell) != 0 {
		if is(n, fRowGroup) {
			in = n
			n++
		}
		r.stack[in].flags |= fMadeGroup // no matter if in is not a table
	} else {
		r.stack[at].flags &^= fMadeGroup | fMadeRow
	}
	switch {
	case t.flags&fRow != 0:
		r.stack[in].flags &^= fMadeRow
	case t.flags&fCell != 0:
		if is(n, fRow) {
			n++
		} else {
			r.stack[in].flags |= fMadeRow
		}
	case t.key == keyCol:
		if t.n == n+1 && r.stack[n].key == keyColgroup {
			n++
		}
	}
	t.n = n
	return opens
}

// placeFormat ends an open element of the same name, as "a" and "nobr" do.
func (r *Rewriter) placeFormat(t *tag) {
	crossed := false
	for i := t.n - 1; i >= 0; i-- {
		e := &r.stack[i]
		if e.key == t.key && e.flags&fForeign == 0 {
			t.format = i
			switch {
			case r.lastBlock(i) < 0:
				t.n = i
			case crossed:
				t.ghost = i // it is not in scope, and ends all the same
			default:
				t.ghost, t.adopts, t.n = i, true, r.staysOpen(i)
			}
			return
		}
		if e.flags&fMarker != 0 || t.key == keyNobr && e.flags&fScope != 0 {
			return
		}
		crossed = crossed || e.flags&fScope != 0
	}
}

func (r *Rewriter) placeRuby(t *tag) {
	if i := r.inScope(t.n, fRubyOpen, fScope); i < 0 {
		return
	}
	but := flags(0)
	if t.key != keyRb && t.key != keyRtc {
		but = fRtc
	}
	r.implyEnds(t, but)
}

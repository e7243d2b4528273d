package rewrite

// An element is an open element.
type element struct {
	key     uint64
	flags   flags
	name    int32 // where its name is in tree.names, if the key does not hold it
	nameLen int32
}

// tree is the stack of open elements, kept as WHATWG 13.2.6 says, apart from
// elements that a parser makes up (html, head, body, tbody, colgroup, what the
// list of active formatting elements brings back) and foster parenting.
type tree struct {
	stack     []element
	names     []byte
	pOpen     int
	selects   int
	templates int
	formOpen  bool
	seenHTML  bool
	seenHead  bool
	seenBody  bool
	frameset  bool
}

func (t *tree) reset() {
	*t = tree{stack: t.stack[:0], names: t.names[:0]}
}

// A tag is a start tag with what it means for the tree.
type tag struct {
	s, p, end int // '<', after the name, after '>'
	key       uint64
	flags     flags
	name      []byte // as written
	read      bool   // its attributes have been read
	void      bool
	n         int // open elements that stay open
	ghost     int // an open formatting element that this tag ends, though elements in it stay open; or -1
	format    int // an open formatting element that this tag ends; or -1
}

type verdict int

const (
	opens verdict = iota
	ignored
	ambiguous // parsers differ in what becomes of the rest
)

// place works out what the start tag does to the tree.
func (r *Rewriter) place(b []byte, t *tag) verdict {
	t.n, t.ghost, t.format = len(r.stack), -1, -1
	if t.n > 0 {
		top := r.stack[t.n-1].flags
		if top&fForeign != 0 && !htmlStart(top, t.key) {
			if !r.breaksOut(b, t) {
				t.flags = foreignFlags(t.key, top&fForeign)
				if t.flags&fAnnotation != 0 && r.htmlAnnotation(b) {
					t.flags |= fHTMLInside
				}
				t.void = r.text.slash
				return opens
			}
			for t.n > 0 && r.stack[t.n-1].flags&fForeign != 0 && r.stack[t.n-1].flags&(fHTMLInside|fMathText) == 0 {
				t.n--
			}
		}
	}
	if t.key == keyImage {
		t.key, t.flags = keyImg, tagFlags(keyImg)
	}
	t.void = t.flags&fVoid != 0
	if t.n > 0 && r.stack[t.n-1].key == keyHead && t.flags&fHeadPart == 0 && t.key != keyHTML {
		t.n--
	}
	if r.frameset && t.key != keyFrameset && t.key != keyFrame {
		if t.flags&(fRaw|fRCDATA) != 0 && t.key != keyNoframes {
			return ambiguous
		}
		if t.key != keyNoframes {
			return ignored
		}
	}
	if r.selects > 0 && t.n > 0 && r.stack[t.n-1].flags&(fSelect|fOption|fOptgroup) != 0 {
		if v, done := r.placeInSelect(t); done {
			return v
		}
	}
	if t.flags&fStructure == 0 {
		return opens
	}
	return r.placeStructure(t)
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

func (r *Rewriter) placeInSelect(t *tag) (verdict, bool) {
	top := func() flags { return r.stack[t.n-1].flags }
	switch {
	case t.flags&fOption != 0:
		if top()&fOption != 0 {
			t.n--
		}
		return opens, true
	case t.flags&fOptgroup != 0, t.key == keyHr:
		if top()&fOption != 0 {
			t.n--
		}
		if top()&fOptgroup != 0 {
			t.n--
		}
		return opens, true
	case t.key == keyScript, t.flags&fTemplate != 0:
		return opens, true
	case t.key == keyInput, t.key == keyKeygen, t.key == keyTextarea, t.flags&fSelect != 0:
		for t.n > 0 && r.stack[t.n-1].flags&fSelect == 0 {
			t.n--
		}
		t.n--
		if t.flags&fSelect != 0 {
			return ignored, true // but it closes the open one
		}
		return opens, false
	case t.flags&(fRaw|fRCDATA) != 0:
		return ambiguous, true
	}
	return ignored, true
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
			t.void = true // it is closed at once; only the form pointer stays
			return opens
		}
	case t.key == keyFrame && (t.n == 0 || r.stack[t.n-1].key != keyFrameset),
		t.key == keyFrameset && r.seenBody:
		return ignored
	case t.key == keySVG:
		t.flags |= fSVG
		t.void = r.text.slash
	case t.key == keyMath:
		t.flags |= fMath
		t.void = r.text.slash
	case t.key == keyA || t.key == keyNobr:
		r.placeFormat(t)
	case f&fButton != 0:
		if i := r.inScope(t.n, fButton, fScope); i >= 0 {
			t.n = i
		}
	case f&(fOption|fOptgroup) != 0:
		if t.n > 0 && r.stack[t.n-1].flags&fOption != 0 {
			t.n--
		}
	case f&fRuby != 0:
		r.placeRuby(t)
	case f&(fLi|fDd) != 0:
		r.placeItem(t)
	}
	if f&fClosesP != 0 {
		r.closeP(t)
		if f&fHeading != 0 && t.n > 0 && r.stack[t.n-1].flags&fHeading != 0 {
			t.n--
		}
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
		t.key == keyHead && (r.seenHead || r.seenBody || t.n > 1),
		t.key == keyBody && r.seenBody:
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

// inScope returns the index of the innermost of the first n open elements that
// has a flag of want, or -1 if one of stop comes before.
func (r *Rewriter) inScope(n int, want, stop flags) int {
	for i := n - 1; i >= 0; i-- {
		f := r.stack[i].flags
		if f&want != 0 {
			return i
		}
		if f&stop != 0 {
			break
		}
	}
	return -1
}

// tableMode returns the index of the table that the first n open elements are
// directly in, not in a cell or caption of it, or -1.
func (r *Rewriter) tableMode(n int) int {
	i := r.inScope(n, fScope|fRow|fRowGroup, 0)
	if i < 0 || r.stack[i].flags&(fTable|fRow|fRowGroup) == 0 {
		return -1
	}
	return r.inScope(n, fTable, fTemplate|fCell)
}

func (r *Rewriter) placeTablePart(t *tag) verdict {
	at := r.inScope(t.n, fTableScope, 0)
	if at < 0 || r.stack[at].flags&(fTable|fTemplate) == 0 {
		return ignored
	}
	is := func(i int, f flags) bool { return i < t.n && r.stack[i].flags&f != 0 }
	n := at + 1
	switch {
	case t.flags&fRow != 0:
		if is(n, fRowGroup) {
			n++
		}
	case t.flags&fCell != 0:
		if is(n, fRowGroup) {
			n++
		}
		if is(n, fRow) {
			n++
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
	for i := t.n - 1; i >= 0; i-- {
		e := &r.stack[i]
		if e.key == t.key && e.flags&fForeign == 0 {
			t.format = i
			if r.furthestBlock(i) >= 0 {
				t.ghost = i
			} else {
				t.n = i
			}
			return
		}
		if e.flags&fScope != 0 {
			return
		}
	}
}

func (r *Rewriter) placeRuby(t *tag) {
	for i := t.n - 1; i >= 0; i-- {
		if r.stack[i].key == keyRuby {
			rtc := t.key == keyRb || t.key == keyRtc
			for t.n > 0 && r.stack[t.n-1].flags&fImplied != 0 && (rtc || r.stack[t.n-1].key != keyRtc) {
				t.n--
			}
			return
		}
		if r.stack[i].flags&fScope != 0 {
			return
		}
	}
}

// furthestBlock returns the index of the outermost special element within
// formatting element i, or -1 (the adoption agency, WHATWG 13.2.6.4.7).
func (r *Rewriter) furthestBlock(i int) int {
	for j := i + 1; j < len(r.stack); j++ {
		if r.stack[j].flags&fSpecial != 0 {
			return j
		}
	}
	return -1
}

// push opens an element.
func (r *Rewriter) push(t *tag) {
	e := element{key: t.key, flags: t.flags, name: int32(len(r.names))}
	if t.key&longKey != 0 {
		r.names = append(r.names, t.name...)
		e.nameLen = int32(len(t.name))
	}
	if t.flags&(fP|fSelect|fTemplate) != 0 {
		switch {
		case t.flags&fP != 0:
			r.pOpen++
		case t.flags&fSelect != 0:
			r.selects++
		default:
			r.templates++
		}
	}
	r.stack = append(r.stack, e)
	if w := r.plan.words; w > 0 {
		r.pushSteps(w)
	}
}

// noteSeen remembers what decides over later tags.
func (r *Rewriter) noteSeen(t *tag) {
	r.initial = false
	switch t.key {
	case keyForm:
		r.formOpen = true
	case keyHTML:
		r.seenHTML = true
	case keyHead:
		r.seenHead = true
	case keyFrameset:
		r.frameset = true
	}
	if t.flags&fHeadPart == 0 && t.key != keyHTML {
		r.seenBody = true
	}
}

// truncate forgets the open elements beyond n, with ghosts that come to lie on top.
func (r *Rewriter) truncate(n int) {
	for n > 0 && r.stack[n-1].flags&fGhost != 0 {
		n--
	}
	if r.extract != nil {
		r.extract.close(n)
	}
	for i := len(r.stack) - 1; i >= n; i-- {
		e := &r.stack[i]
		if e.flags&(fP|fSelect|fTemplate) != 0 {
			switch {
			case e.flags&fP != 0:
				r.pOpen--
			case e.flags&fSelect != 0:
				r.selects--
			default:
				r.templates--
			}
		}
		r.names = r.names[:e.name]
	}
	r.stack = r.stack[:n]
}

// appendName appends the name of open element i.
func (r *Rewriter) appendName(dst []byte, i int) []byte {
	e := &r.stack[i]
	if e.key&longKey != 0 {
		return append(dst, r.names[e.name:e.name+e.nameLen]...)
	}
	for k := e.key; k != 0; k >>= 8 {
		dst = append(dst, byte(k))
	}
	return dst
}

// hidesTail tells whether markup at the end of the page would not be seen.
func (r *Rewriter) hidesTail() bool {
	for i := range r.stack {
		if r.stack[i].flags&(fNoTail|fForeign) != 0 {
			return true
		}
	}
	return r.frameset
}

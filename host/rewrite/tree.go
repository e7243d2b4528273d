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
	links     int // open a and nobr
	selects   int
	templates int
	codes     int // scripts and styles that are not HTML's
	formOpen  bool
	seenHTML  bool  // here and below: written down, or taken to be there
	seenHead  bool  //
	headDone  bool  // it has ended; its element stays on the stack for what is put into it yet
	seenBody  bool  //
	framesOK  bool  // nothing so far keeps a frameset from taking the place of body
	framePage uint8 // one has
	swift     bool  // in run: the short ways may be taken
	watchText bool  // whether text is more than space decides over later tags
	// watch, if there is one, is told of each tag: of a start tag with what
	// becomes of it, before that is done; of an end tag with t nil.
	watch func(b []byte, s, p, end int, t *tag, v verdict)
}

func (t *tree) reset() {
	*t = tree{stack: t.stack[:0], names: t.names[:0], framesOK: true, watchText: true}
}

// Values of tree.framePage.
const (
	noFrames = iota
	inFrames
	afterFrames
)

// A tag is a start tag with what it means for the tree.
type tag struct {
	s, p, end int // '<', after the name, after '>'
	key       uint64
	flags     flags
	name      []byte // as written
	read      bool   // its attributes have been read
	live      bool   // edits may aim at it
	hidden    bool   // an input that is not to be seen; told only where it matters
	void      bool
	n         int  // open elements that stay open
	ghost     int  // an open formatting element that this tag ends, though elements in it stay open; or -1
	adopts    bool // so do those between it and the innermost block
	format    int  // an open formatting element that this tag ends; or -1
}

type verdict int

const (
	opens verdict = iota
	ignored
	ambiguous // parsers differ in what becomes of the rest
)

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

// push opens an element.
func (r *Rewriter) push(t *tag) {
	if (t.flags&fForeign != 0 || r.plan.xml) && r.code(t) {
		t.flags |= fCode
	}
	r.pushElement(t.key, t.flags, t.name)
	if t.key == keyColgroup {
		r.watchText = true
	}
	if w := r.plan.words; w > 0 {
		r.pushSteps(w)
	}
}

// pushElement puts an element on the stack.
func (t *tree) pushElement(key uint64, f flags, name []byte) {
	e := element{key: key, flags: f, name: int32(len(t.names))}
	if key&longKey != 0 {
		t.names = append(t.names, name...)
		e.nameLen = int32(len(name))
		e.flags |= fLong
	}
	if f&fCounted != 0 {
		t.count(f, 1)
	}
	t.stack = append(t.stack, e)
}

// count counts an open element of fCounted: n is 1 or -1.
func (t *tree) count(f flags, n int) {
	switch {
	case f&fCode != 0:
		t.codes += n
	case f&fP != 0:
		t.pOpen += n
	case f&fLink != 0:
		t.links += n
	case f&fSelect != 0:
		t.selects += n
	default:
		t.templates += n
	}
}

// noteSeen remembers what decides over later tags.
func (r *Rewriter) noteSeen(t *tag) {
	r.initial = false
	if r.plan.xml {
		return
	}
	if t.key == keyForm && t.flags&fForeign == 0 && r.templates == 0 {
		r.formOpen = true
	}
	if !r.seenBody || r.framesOK {
		r.noteEarly(t)
	}
}

// noteEarly does so as long as it is not settled whether the page has a body.
func (r *Rewriter) noteEarly(t *tag) {
	if r.templates > 0 {
		return
	}
	if t.key == keyHTML && t.flags&fForeign == 0 {
		r.seenHTML = true
		return
	}
	r.seenHead = true
	switch {
	case t.flags&fHeadPart == 0, t.key == keyNoscript && r.headDone:
		r.seenBody = true
	case t.flags&fTemplate != 0:
		r.framesOK = false
	}
	if t.flags&fForeign != 0 {
		return
	}
	switch {
	case t.key == keyFrameset:
		r.framePage = inFrames
	case t.flags&fNoFrames == 0, t.key == keyInput && t.hidden:
		return
	}
	r.framesOK = false
}

// noteIgnored does so for a tag of which no element comes.
func (r *Rewriter) noteIgnored(t *tag) {
	if r.templates > 0 || r.seenBody {
		return
	}
	if t.key == keyHTML {
		r.seenHTML = true
		return
	}
	r.seenHead = true
	r.seenBody = t.flags&fHeadPart == 0
}

// noteEarlyEnd does so at the end tag of key.
func (r *Rewriter) noteEarlyEnd(key uint64) {
	if r.templates > 0 {
		return
	}
	switch key {
	case keyHead:
		r.seenHead, r.headDone = true, true
	case keyBr:
		r.framesOK = false
		fallthrough
	case keyBody, keyHTML:
		r.seenHead, r.headDone, r.seenBody = true, true, true
	}
}

// noteText does so for text.
func (r *Rewriter) noteText(b []byte, i, end int) {
	for ; i < end; i++ {
		c := b[i]
		if byteClass[c]&cSpace != 0 || r.initial && c >= 0x80 { // it may be a byte order mark
			continue
		}
		n := len(r.stack)
		switch {
		case r.templates > 0 || r.framePage != noFrames:
		case n > 0 && r.stack[n-1].key == keyColgroup && r.stack[n-1].flags&fForeign == 0:
			r.popTo(b, n-1, i, false, false)
		default:
			r.initial, r.seenHead, r.headDone, r.seenBody = false, true, true, true
			if c == 0 { // the parser drops it
				continue
			}
			r.framesOK = false
		}
		break
	}
	n := len(r.stack)
	r.watchText = r.initial || !r.seenBody || r.framesOK || n > 0 && r.stack[n-1].key == keyColgroup && r.stack[n-1].flags&fForeign == 0
}

// noteCDATA does so for a piece of a CDATA section, up to its end if that is not negative.
func (r *Rewriter) noteCDATA(b []byte, end int) {
	if end < 0 {
		end = len(b)
	}
	for _, c := range b[:end] {
		// Of what ends the section nothing must count, wherever the piece was cut.
		if byteClass[c]&cSpace == 0 && c != 0 && c != ']' && c != '>' {
			r.framesOK = false
			return
		}
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
	if r.outline != nil {
		r.outline.close(n, len(r.stack))
	}
	if r.trial != nil && n < r.trial.base {
		r.trial.bad = true
	}
	for i := len(r.stack) - 1; i >= n; i-- {
		e := &r.stack[i]
		if e.flags&fCounted != 0 {
			r.count(e.flags, -1)
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
	if r.plan.xml {
		return len(r.stack) > 0
	}
	for i := range r.stack {
		if r.stack[i].flags&(fNoTail|fForeign) != 0 {
			return true
		}
	}
	return r.framePage != noFrames
}

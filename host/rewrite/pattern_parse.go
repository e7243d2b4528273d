package rewrite

import "bytes"

// maxPatternDepth bounds the open elements of a pattern.
const maxPatternDepth = 512

// A patternParser is what a pattern needs while it is being parsed.
type patternParser struct {
	lex  lexer
	open []patternNode
	sets []fillSet // of the tag
	low  []byte    // a name in lower case
	run  int       // where in text the literal part begins that is not among parts yet
}

// A patternNode is an open element of a pattern.
type patternNode struct {
	name, nameEnd int // in the markup
	key           uint64
	inner         int   // where its content begins
	flags         flags // of the element, if it is HTML
	space         flags // fSVG or fMath, if it is not
	html          bool  // it is foreign, and what is in it is HTML
	address       bool  // its text is a URL
	own           bool  // its end tag must be there
	fill          int   // the number of parts before what the sample's text is replaced by, or -1
	text          int   // the length of text there
	when          int   // the part that says whether it is there, or -1
}

// parse makes p the pattern that stands in markup: elements and text that are
// balanced but for end tags which HTML lets out. It returns 0, or why that
// cannot be used. It keeps no reference to markup.
func (p *pattern) parse(markup []byte, xml bool) Reason { return p.parseIn(markup, xml, 0) }

// parseIn is parse for markup that stands in an element of SVG or MathML (fSVG,
// fMath) in HTML.
func (p *pattern) parseIn(markup []byte, xml bool, space flags) Reason {
	p.parts, p.text, p.names = p.parts[:0], p.text[:0], p.names[:0]
	p.run, p.open = 0, p.open[:0]
	l := &p.lex
	l.b, l.i, l.xml = markup, 0, xml
	p.open = append(p.open, patternNode{space: space, fill: -1, when: -1}) // what is around
	why := p.tokens(l)
	if why == 0 {
		p.flush()
	}
	l.b = nil
	clear(p.sets[:cap(p.sets)])
	return why
}

func (p *pattern) tokens(l *lexer) Reason {
	for {
		why := Reason(0)
		switch kind := l.next(p.foreign()); kind {
		case lexEOF:
			return p.implied(1)
		case lexBad:
			return WhyAmbiguous
		case lexText:
			why = p.textToken(l.b[l.from:l.to])
		case lexCDATA:
			// The same as text, which needs no care for where it ends.
			p.low = p.low[:0]
			for _, c := range l.b[l.name:l.nameEnd] {
				if ref := reference(c, slotText, false); ref != "" && c != 0 && c != '\r' {
					p.low = append(p.low, ref...)
				} else {
					p.low = append(p.low, c)
				}
			}
			if next, _, _ := findSlot(p.low); next < 0 {
				p.lit(l.b[l.from:l.to])
			} else {
				why = p.textToken(p.low)
			}
		case lexStart:
			why = p.startTag(l)
		case lexEnd:
			why = p.endTag(l)
		default:
			p.lit(l.b[l.from:l.to])
		}
		if why != 0 {
			return why
		}
	}
}

func (p *pattern) top() *patternNode { return &p.open[len(p.open)-1] }

// foreign tells whether what comes next is read by the rules of foreign content.
func (p *pattern) foreign() bool { return p.top().space != 0 && !p.top().html }

// lit adds literal text.
func (p *pattern) lit(b []byte) { p.text = append(p.text, b...) }

// flush makes a part of the literal text.
func (p *pattern) flush() {
	if len(p.text) > p.run {
		p.parts = append(p.parts, part{from: int32(p.run), to: int32(len(p.text))})
		p.run = len(p.text)
	}
}

// add adds a part with a name, and returns its index.
func (p *pattern) add(kind partKind, name []byte) int {
	p.flush()
	from := len(p.names)
	p.names = append(p.names, name...)
	p.parts = append(p.parts, part{kind: kind, from: int32(from), to: int32(len(p.names))})
	return len(p.parts) - 1
}

// checked adds the beginning or the end of a value that must be checked.
func (p *pattern) checked(kind partKind, c check) {
	if c != noCheck {
		p.parts[p.add(kind, nil)].check = c
	}
}

// startTag takes a start tag, and what follows it if that is not markup.
func (p *pattern) startTag(l *lexer) Reason {
	if len(p.open) > maxPatternDepth {
		return WhyDepth
	}
	n := patternNode{name: l.name, nameEnd: l.nameEnd, fill: -1, when: -1}
	name := l.b[l.name:l.nameEnd]
	key := foldKey(name)
	void := l.slash
	if !l.xml {
		if !p.placed(&n, key) {
			return WhyAmbiguous
		}
		if n.space == 0 {
			void = n.flags&fVoid != 0
		}
	} else {
		_, local := splitBytes(name)
		key = foldKey(local)
		n.address = foldEqual(local, "link") || foldEqual(local, "url") || foldEqual(local, "uri")
	}
	n.key = key
	text, why := p.readFill(l, &n)
	if why != 0 {
		return why
	}
	p.writeTag(l, &n)
	if void {
		p.endIf(&n)
		return 0
	}
	n.inner, n.own = l.i, n.when >= 0
	p.open = append(p.open, n)
	if len(text) > 0 && !holdsCode(key) {
		if why := p.fillText(text); why != 0 {
			return why
		}
	}
	if n.space == 0 && n.flags&(fRaw|fRCDATA) != 0 {
		return p.rawToken(l, &n)
	}
	return 0
}

// holdsCode tells of elements whose text is no text for people, whatever namespace they are of.
func holdsCode(key uint64) bool {
	return tagFlags(key)&fRaw != 0 || key == keyObject || key == keyApplet
}

// endTag takes an end tag.
func (p *pattern) endTag(l *lexer) Reason {
	name := l.b[l.name:l.nameEnd]
	for i := len(p.open) - 1; i > 0; i-- {
		n := &p.open[i]
		open := l.b[n.name:n.nameEnd]
		if l.xml && !bytes.Equal(open, name) || !l.xml && !sameFold(open, name) {
			continue
		}
		if why := p.implied(i + 1); why != 0 {
			return why
		}
		if n.fill >= 0 { // what stood there was a sample
			p.text = p.text[:n.text]
			p.parts = p.parts[:n.fill]
			p.run = n.text
		}
		p.lit(l.b[l.from:l.to])
		p.endIf(n)
		p.open = p.open[:i]
		return 0
	}
	return WhyAmbiguous
}

// endIf ends what is there on a condition.
func (p *pattern) endIf(n *patternNode) {
	if n.when >= 0 {
		p.flush()
		p.parts[n.when].next = int32(len(p.parts))
	}
}

func (p *pattern) lower(b []byte) []byte {
	p.low = p.low[:0]
	for _, c := range b {
		p.low = append(p.low, lower[c])
	}
	return p.low
}

// splitBytes splits a qualified name.
func splitBytes(b []byte) (prefix, local []byte) {
	if i := bytes.LastIndexByte(b, ':'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return nil, b
}

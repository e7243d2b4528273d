package rewrite

import "bytes"

// A fillSet is a part of data-fill that sets an attribute.
type fillSet struct {
	attr, name []byte // in the markup
	done       bool
}

// maxFillSets bounds the attributes that one data-fill sets.
const maxFillSets = 32

// readFill reads data-fill-if, which begins a condition, and data-fill: into
// p.sets, and the name of the element's text.
func (p *pattern) readFill(l *lexer, n *patternNode) (text []byte, why Reason) {
	p.sets = p.sets[:0]
	if a := p.attr("data-fill-if"); a != nil {
		name := bytes.TrimSpace(l.b[a.from:a.to])
		if !plainName(name) {
			return nil, WhyPattern
		}
		n.when = p.add(partIf, name)
	}
	a := p.attr("data-fill")
	if a == nil {
		return nil, 0
	}
	for rest := l.b[a.from:a.to]; ; {
		var word []byte
		if word, rest = cutToken(rest); len(word) == 0 {
			return text, 0
		}
		attr, name, set := bytes.Cut(word, []byte{'='})
		switch {
		case set && plainAttr(attr) && plainName(name) && len(p.sets) < maxFillSets:
			p.sets = append(p.sets, fillSet{attr: attr, name: name})
		case !set && plainName(word) && text == nil:
			text = word
		default:
			return nil, WhyPattern
		}
	}
}

// plainAttr is plainName for attributes, which may have a prefix.
func plainAttr(b []byte) bool {
	prefix, local := splitBytes(b)
	return plainName(local) && (len(local) == len(b) || plainName(prefix))
}

// attr finds the first attribute of that name in the tag.
func (p *pattern) attr(name string) *lexAttr {
	for i := range p.lex.attrs {
		a := &p.lex.attrs[i]
		if b := p.lex.b[a.name:a.nameEnd]; foldEqual(b, name) && (!p.lex.xml || string(b) == name) {
			return a
		}
	}
	return nil
}

func (p *pattern) sameName(a, b []byte) bool {
	if p.lex.xml {
		return bytes.Equal(a, b)
	}
	return sameFold(a, b)
}

// writeTag adds the start tag. It keeps its bytes if nothing in it changes.
func (p *pattern) writeTag(l *lexer, n *patternNode) {
	changes := len(p.sets) > 0
	for i := range l.attrs {
		changes = changes || p.slotted(&l.attrs[i]) || p.dropsID(n, &l.attrs[i])
	}
	if !changes {
		p.lit(l.b[l.from:l.to])
		return
	}
	p.lit(l.b[l.from:l.nameEnd])
	for i := range l.attrs {
		a := &l.attrs[i]
		name := l.b[a.name:a.nameEnd]
		switch {
		case p.repeated(i), p.dropsID(n, a):
		case p.setHere(n, name):
		case p.slotted(a):
			p.slotAttr(n, a)
		default:
			p.literalAttr(a)
		}
	}
	for i := range p.sets {
		if s := &p.sets[i]; !s.done {
			p.setAttr(n, s, s.attr)
		}
	}
	if l.slash {
		p.lit([]byte(" /"))
	}
	p.lit([]byte{'>'})
}

// slotted tells whether the value has a slot.
func (p *pattern) slotted(a *lexAttr) bool {
	from, _, _ := findSlot(p.lex.b[a.from:a.to])
	return from >= 0
}

// dropsID tells whether the attribute is an id, which only one copy could have.
// In SVG and other XML copies keep theirs: what refers to it means the first,
// which looks the same.
func (p *pattern) dropsID(n *patternNode, a *lexAttr) bool {
	return !p.lex.xml && n.space == 0 && foldEqual(p.lex.b[a.name:a.nameEnd], "id") && !p.slotted(a)
}

// repeated tells whether an attribute of that name came before, so that parsers ignore this one.
func (p *pattern) repeated(i int) bool {
	l := &p.lex
	name := l.b[l.attrs[i].name:l.attrs[i].nameEnd]
	for _, a := range l.attrs[:i] {
		if p.sameName(l.b[a.name:a.nameEnd], name) {
			return true
		}
	}
	return false
}

// setHere writes the attribute as data-fill sets it, if it does.
func (p *pattern) setHere(n *patternNode, name []byte) bool {
	for i := range p.sets {
		if s := &p.sets[i]; !s.done && p.sameName(s.attr, name) {
			return p.setAttr(n, s, name)
		}
	}
	return false
}

// setAttr writes an attribute that is there if the item has the name; false if it may not be set.
func (p *pattern) setAttr(n *patternNode, s *fillSet, name []byte) bool {
	s.done = true
	c, use := p.useOf(n, name)
	if use != filled {
		return false
	}
	has := p.add(partHas, s.name)
	p.openValue(name, '"')
	p.checked(partMark, c)
	p.add(slotQuoted, s.name)
	p.checked(partCheck, c)
	p.lit([]byte{'"'})
	p.flush()
	p.parts[has].next = int32(len(p.parts))
	return true
}

func (p *pattern) openValue(name []byte, quote byte) {
	p.text = append(p.text, ' ')
	p.lit(name)
	p.text = append(p.text, '=', quote)
}

func (p *pattern) literalAttr(a *lexAttr) {
	end := a.nameEnd
	if a.valued {
		end = a.to
		if a.quote != 0 {
			end++
		}
	}
	p.text = append(p.text, ' ')
	p.lit(p.lex.b[a.name:end])
}

// slotAttr writes an attribute with slots in its value.
func (p *pattern) slotAttr(n *patternNode, a *lexAttr) {
	l := &p.lex
	name, value := l.b[a.name:a.nameEnd], l.b[a.from:a.to]
	c, use := p.useOf(n, name)
	switch use {
	case leftOut:
		return
	case asItIs:
		p.literalAttr(a)
		return
	}
	quote := a.quote
	if quote == 0 {
		quote = '"' // which no value without quotes has in it
	}
	p.openValue(name, quote)
	p.checked(partMark, c)
	if c == checkURL || c == checkURLs {
		p.addressPieces(value, c, slotQuoted)
	} else {
		p.pieces(value, slotQuoted)
	}
	p.checked(partCheck, c)
	p.text = append(p.text, quote)
}

// What becomes of an attribute that has slots.
const (
	filled = iota
	leftOut
	asItIs
)

var keyUse = nameKeyOf("use")

// maxAttrWord is longer than every name of an attribute that is known here.
const maxAttrWord = 32

// useOf tells what becomes of slots in the attribute, and what its value must be.
func (p *pattern) useOf(n *patternNode, name []byte) (check, int) {
	low := p.lower(name)
	_, local := splitBytes(low)
	// Names are compared as far as they may mean something, which needs no allocation.
	low, local = low[:min(len(low), maxAttrWord)], local[:min(len(local), maxAttrWord)]
	if harmlessAttr(string(low)) {
		return noCheck, filled
	}
	if use := p.useIn(n.key, low); use != filled {
		return noCheck, use
	}
	if activeAttr(low) || activeAttr(local) || guardedAttr(string(low)) || guardedAttr(string(local)) || !plainAttr(name) || low[0] == '_' {
		return noCheck, leftOut
	}
	kind := urlKind(string(low))
	if kind == 0 {
		kind = urlKind(string(local))
	}
	switch kind {
	case oneURL:
		if string(local) == "href" && n.key == keyUse {
			return checkFragmentOnly, filled // what it brings in would be part of the page
		}
		return checkURL, filled
	case urlList:
		return checkURLs, filled
	case animated:
		return checkAnimated, filled
	}
	if !p.lex.xml && n.space == 0 {
		return noCheck, filled
	}
	switch string(local) {
	case "url", "uri", "xmlurl", "htmlurl": // RSS, Media RSS, OPML
		if p.lex.xml {
			return checkURL, filled
		}
	case "fill", "stroke", "filter", "mask", "clip-path", "cursor", "marker", "marker-start", "marker-mid", "marker-end":
		return checkPaint, filled
	}
	return noCheck, filled
}

// useIn tells it of elements that load, run or rule something. name is in lower case, and means something to them.
func (p *pattern) useIn(key uint64, name []byte) int {
	ok := true
	switch key {
	case keyScript:
		return asItIs // without its type it might run
	case keyStyle, keyBase, keyObject, keyEmbed, keyApplet, keyParam, keyFrame, keyFrameset:
		ok = false
	case keyMeta: // microdata aside
		ok = !p.lex.xml && p.attr("itemprop") != nil && p.attr("http-equiv") == nil && string(name) == "content"
	case keyLink:
		rel := p.attr("rel")
		if p.lex.xml {
			ok = string(name) != "rel" && (rel == nil || p.feedLink(rel))
		} else {
			ok = p.attr("itemprop") != nil && rel == nil && string(name) != "rel"
		}
	case keyInput:
		ok = string(name) != "type"
	case keyIframe:
		switch string(name) {
		case "src", "width", "height", "loading":
		default:
			ok = false // what it may do, or a page in an attribute
		}
	}
	if ok {
		return filled
	}
	return leftOut
}

// feedLink tells whether a link of XML is one that feeds have.
func (p *pattern) feedLink(rel *lexAttr) bool {
	for rest := p.lex.b[rel.from:rel.to]; ; {
		var word []byte
		if word, rest = cutToken(rest); len(word) == 0 {
			return true
		}
		if _, ok := feedRel[string(word)]; !ok {
			return false
		}
	}
}

package rewrite

import "bytes"

// findSlot returns where the first slot of b begins and ends, and its name;
// negative if there is none.
func findSlot(b []byte) (from, to int, name []byte) {
	for {
		i := bytes.Index(b[from:], []byte("{{"))
		if i < 0 {
			return -1, -1, nil
		}
		from += i
		if n, name := slotAt(b[from:]); n > 0 {
			return from, from + n, name
		}
		from++
	}
}

// slotAt returns the length of the slot that b begins with, and its name; 0 if it is none.
func slotAt(b []byte) (int, []byte) {
	if len(b) < 2 || b[0] != '{' || b[1] != '{' {
		return 0, nil
	}
	i := 2
	for i < len(b) && b[i] == ' ' {
		i++
	}
	j := i
	for j < len(b) && (byteClass[b[j]]&cAlnum != 0 || b[j] == '_' || b[j] == '.' || b[j] == '-') {
		j++
	}
	k := j
	for k < len(b) && b[k] == ' ' {
		k++
	}
	if !plainName(b[i:j]) || !bytes.HasPrefix(b[k:], []byte("}}")) {
		return 0, nil
	}
	return k + 2, b[i:j]
}

// textToken takes text in which markup would be read.
func (p *pattern) textToken(b []byte) Reason {
	t := p.top()
	if len(b) == 1 && b[0] == '<' && bytes.HasPrefix(p.lex.b[p.lex.to:], []byte("{{")) {
		// With what takes the slot's place it might begin a tag.
		p.lit([]byte("&lt;"))
		return 0
	}
	if from, _, _ := findSlot(b); from < 0 {
		p.lit(b)
		return 0
	}
	switch {
	case t.space == 0 && t.flags&fNoText != 0:
		return WhyPlace // parsers would move it out
	case (p.lex.xml || t.space != 0) && holdsCode(t.key):
		p.lit(b)
	case p.lex.xml && t.address:
		p.addressText(b)
	case p.lex.xml && holdsHTML(b):
		p.innerHTML(b)
	default:
		p.swallow(t)
		p.pieces(b, slotText)
	}
	return 0
}

// pieces adds text with slots of one kind.
func (p *pattern) pieces(b []byte, kind partKind) {
	for {
		from, to, name := findSlot(b)
		if from < 0 {
			p.lit(b)
			return
		}
		p.lit(b[:from])
		p.add(kind, name)
		b = b[to:]
	}
}

// swallow writes the newline that parsers drop at the beginning of pre and
// textarea, if the next slot stands there: the value may begin with one.
func (p *pattern) swallow(t *patternNode) {
	if t.flags&fNewline != 0 && p.lex.from == t.inner && bytes.HasPrefix(p.lex.b[p.lex.from:], []byte("{{")) {
		p.lit([]byte("\n"))
	}
}

// fillText makes the value the text of the element that has just been opened.
// What is there is left out when it ends.
func (p *pattern) fillText(name []byte) Reason {
	n := p.top()
	if n.space == 0 && n.flags&fNoText != 0 {
		return WhyPlace
	}
	if n.flags&fNewline != 0 {
		p.lit([]byte("\n"))
	}
	kind := slotText
	c := noCheck
	if n.flags&fRCDATA != 0 {
		kind = slotQuoted
	}
	if n.address {
		c = checkURL
	}
	p.checked(partMark, c)
	p.add(kind, name)
	p.checked(partCheck, c)
	n.own, n.fill, n.text = true, len(p.parts), len(p.text)
	return 0
}

// addressText takes the text of an element that holds a URL. If there is more
// in it than this text, no slot is one, since nobody would check the whole.
func (p *pattern) addressText(b []byte) {
	l := &p.lex
	if l.from != p.top().inner || !bytes.HasPrefix(l.b[l.to:], []byte("</")) {
		p.lit(b)
		return
	}
	p.checked(partMark, checkURL)
	p.addressPieces(b, checkURL, slotText)
	p.checked(partCheck, checkURL)
}

// addressPieces adds the value of what holds URLs: a slot that begins one is
// taken as it is, another as a component.
func (p *pattern) addressPieces(b []byte, c check, kind partKind) {
	first := true
	for {
		from, to, name := findSlot(b)
		if from < 0 {
			p.lit(b)
			return
		}
		for _, x := range b[:from] {
			if c == checkURLs {
				first = x <= ' ' || x == ','
			} else {
				first = first && x <= ' '
			}
		}
		p.lit(b[:from])
		if first {
			p.add(kind, name)
		} else {
			p.add(slotPart, name)
		}
		first = false
		b = b[to:]
	}
}

// holdsHTML tells whether text of XML is markup once it is decoded, as in feeds.
func holdsHTML(b []byte) bool {
	for i, c := range b {
		if c == '&' && refersTo(b[i:]) == '<' {
			return true
		}
	}
	return false
}

// refersTo returns the character that the reference at the beginning of b means, 0 if none.
func refersTo(b []byte) rune {
	n := bytes.IndexByte(b[:min(len(b), maxXMLReference)], ';')
	if n < 0 {
		return 0
	}
	r, _ := xmlReference(b[1:n])
	return r
}

// innerHTML takes text of XML that is HTML once it is decoded. A slot is text
// in that; there is none within its tags, where it could be anything.
func (p *pattern) innerHTML(b []byte) {
	tag := false
	for {
		from, to, name := findSlot(b)
		if from < 0 {
			p.lit(b)
			return
		}
		for i, c := range b[:from] {
			switch {
			case c == '>':
				tag = false
			case c == '&':
				switch refersTo(b[i:]) {
				case '<':
					tag = true
				case '>':
					tag = false
				}
			}
		}
		if tag {
			p.lit(b[:to])
		} else {
			p.lit(b[:from])
			p.add(slotTwice, name)
		}
		b = b[to:]
	}
}

// rawToken takes the content of an element of HTML whose content is not markup.
func (p *pattern) rawToken(l *lexer, n *patternNode) Reason {
	if l.raw(l.b[n.name:n.nameEnd]) == lexBad {
		return WhyAmbiguous
	}
	b := l.b[l.from:l.to]
	from, _, _ := findSlot(b)
	switch {
	case n.key == keyScript && bytes.Contains(b, []byte("<!--")):
		return WhyAmbiguous // it may end later
	case from < 0:
		p.lit(b)
	case n.flags&fRCDATA != 0:
		p.swallow(n)
		for {
			i := bytes.IndexByte(b, '<')
			if i < 0 {
				break
			}
			// With what takes a slot's place it might begin the end tag.
			p.pieces(b[:i], slotQuoted)
			p.lit([]byte("&lt;"))
			b = b[i+1:]
		}
		p.pieces(b, slotQuoted)
	case n.key == keyScript && p.dataBlock(l.b, l.attrs) && p.json(b, false):
		p.json(b, true)
	default:
		p.lit(b)
	}
	return 0
}

// dataBlock tells whether a script with these attributes is JSON, which nothing runs.
func (p *pattern) dataBlock(b []byte, attrs []lexAttr) bool {
	typed := false
	for _, a := range attrs {
		name := b[a.name:a.nameEnd]
		if foldEqual(name, "src") {
			return false
		}
		if typed || !foldEqual(name, "type") {
			continue
		}
		typed = true
		v := p.lower(bytes.TrimSpace(b[a.from:a.to]))
		v, _, _ = bytes.Cut(v, []byte(";"))
		v = bytes.TrimSpace(v)
		switch {
		case string(v) == "application/json":
		case bytes.HasPrefix(v, []byte("application/")) && bytes.HasSuffix(v, []byte("+json")):
		default:
			return false
		}
	}
	return typed
}

// json adds the content of a data block, with slots, or only tells whether it
// can be done: what stands around a slot must be JSON so far that it is plain
// what is in a string.
func (p *pattern) json(b []byte, add bool) bool {
	quoted, escaped := false, 0 // escaped: how many more bytes belong to an escape
	for i := 0; i < len(b); i++ {
		c := b[i]
		if n, name := slotAt(b[i:]); n > 0 {
			if escaped > 0 {
				return false
			}
			if add {
				kind := slotValue
				if quoted {
					kind = slotJSON
				}
				p.add(kind, name)
			}
			i += n - 1
			continue
		}
		switch {
		case escaped > 0:
			escaped--
			if c == 'u' && b[i-1] == '\\' {
				escaped = 4
			} else if byteClass[c]&cAlnum == 0 && c != '"' && c != '\\' && c != '/' {
				return false
			}
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			escaped = 1
		case quoted && c < ' ':
			return false
		case quoted && c == '<':
			// With what takes a slot's place it might end the script.
			if add {
				p.text = append(p.text, `\u003C`...)
			}
			continue
		case !quoted && byteClass[c]&(cAlnum|cSpace) == 0 && bytes.IndexByte([]byte("{}[],:+-."), c) < 0:
			return false
		}
		if add {
			p.text = append(p.text, c)
		}
	}
	return !quoted
}

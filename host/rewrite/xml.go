package rewrite

import "bytes"

// What is not well-formed in a way that touches elements ends all editing:
// an XML processor stops there too (XML 1.0, 1.2 "fatal error").

// Modes of XML, beside those of HTML.
const (
	inXMLComment = 32 + iota
	inXMLPI
	inDoctype
)

// runXML takes what the modes of XML have to say to b[i:]; it returns the index after it.
func (r *Rewriter) runXML(b []byte, i int) int {
	var n int
	switch r.mode {
	case inXMLComment:
		n, r.sub = seekEnd(b[i:], '-', r.sub)
	case inXMLPI:
		n, r.sub = seekPI(b[i:], r.sub)
	default:
		n = r.doctype(b[i:])
	}
	if n < 0 {
		return len(b)
	}
	r.mode = inData
	return i + n
}

// seekEnd walks b to the end of "-->", or of "]]>" if c is ']'; state counts the c before b,
// up to two. It returns the index after the end, or -1 and the state at the end of b.
func seekEnd(b []byte, c byte, state int) (int, int) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == c:
			state = min(state+1, 2)
		case b[i] == '>' && state == 2:
			return i + 1, 0
		default:
			state = 0
			j := bytes.IndexByte(b[i:], c)
			if j < 0 {
				return -1, 0
			}
			i += j - 1
		}
	}
	return -1, state
}

// seekPI walks b to the end of "?>"; state is 1 if a '?' stands before b.
func seekPI(b []byte, state int) (int, int) {
	for i := 0; i < len(b); i++ {
		if state == 1 && b[i] == '>' {
			return i + 1, 0
		}
		state = 0
		j := bytes.IndexByte(b[i:], '?')
		if j < 0 {
			return -1, 0
		}
		i += j
		state = 1
	}
	return -1, state
}

// States within a document type declaration. Declarations within it nest by
// their '<' and '>', so its brackets need no count.
const (
	dtBody = iota
	dtLess
	dtBang
	dtBangDash
	dtDouble
	dtSingle
	dtComment // and the number of '-' before
	dtComment1
	dtComment2
	dtPI // and whether a '?' stands before
	dtPI1
)

// doctype walks b; it returns the index after the declaration, or -1. Between
// calls r.sub is the state and r.dashes how many '<' are open.
func (r *Rewriter) doctype(b []byte) int {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch r.sub {
		case dtDouble, dtSingle:
			if c == '"' && r.sub == dtDouble || c == '\'' && r.sub == dtSingle {
				r.sub = dtBody
			}
			continue
		case dtComment, dtComment1, dtComment2:
			n, state := seekEnd(b[i:], '-', r.sub-dtComment)
			if n < 0 {
				r.sub = dtComment + state
				return -1
			}
			i += n - 1
			r.sub = dtBody
			continue
		case dtPI, dtPI1:
			n, state := seekPI(b[i:], r.sub-dtPI)
			if n < 0 {
				r.sub = dtPI + state
				return -1
			}
			i += n - 1
			r.sub = dtBody
			continue
		case dtLess:
			switch c {
			case '!':
				r.sub = dtBang
				continue
			case '?':
				r.sub = dtPI
				continue
			}
			r.dashes++
		case dtBang:
			if c == '-' {
				r.sub = dtBangDash
				continue
			}
			r.dashes++
		case dtBangDash:
			if c == '-' {
				r.sub = dtComment
				continue
			}
			r.dashes++
		}
		r.sub = dtBody
		switch c {
		case '"':
			r.sub = dtDouble
		case '\'':
			r.sub = dtSingle
		case '<':
			r.sub = dtLess
		case '>':
			if r.dashes == 0 {
				return i + 1
			}
			r.dashes--
		}
	}
	return -1
}

// dataXML takes text and tags from b[i] on.
func (r *Rewriter) dataXML(b []byte, i int) int {
	r.framesOK = false // that is a matter of HTML
	text := i
	for r.hold < 0 && r.mode == inData {
		j := bytes.IndexByte(b[i:], '<')
		if j < 0 {
			r.extractText(b[text:])
			return len(b)
		}
		s := i + j
		r.extractText(b[text:s])
		if s+1 >= len(b) {
			return r.wait(s, false)
		}
		switch c := b[s+1]; {
		case c == '/':
			i = r.endXML(b, s)
		case c == '!':
			i = r.declarationXML(b, s)
		case c == '?':
			r.mode, r.sub = inXMLPI, 0
			i = s + 2
		case byteClass[c]&cAlpha != 0, c == '_', c == ':', c >= 0x80:
			i = r.startTag(b, s)
		default:
			return r.stop(b, s, WhyAmbiguous)
		}
		text = i
	}
	return i
}

// declarationXML reads what begins with '<!'.
func (r *Rewriter) declarationXML(b []byte, s int) int {
	for _, d := range [...]struct {
		open string
		mode int
	}{{"<!--", inXMLComment}, {"<![CDATA[", inCDATA}, {"<!DOCTYPE", inDoctype}} {
		n := min(len(b)-s, len(d.open))
		if string(b[s:s+n]) != d.open[:n] {
			continue
		}
		if n < len(d.open) {
			return r.wait(s, false)
		}
		r.mode, r.sub, r.dashes = d.mode, 0, 0
		return s + n
	}
	return r.stop(b, s, WhyAmbiguous)
}

// placeXML works out what the start tag does to the tree. Its name and
// attributes have been read as those of HTML are; XML allows less.
func (r *Rewriter) placeXML(b []byte, t *tag) verdict {
	t.n, t.ghost, t.format = len(r.stack), -1, -1
	if !startWellFormed(b[t.s:t.end]) {
		return ambiguous
	}
	t.void = b[t.end-2] == '/'
	return opens
}

// endXML takes the end tag that begins at b[s].
func (r *Rewriter) endXML(b []byte, s int) int {
	_, p := nameKey(b, s+2)
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
	name, k := b[s+2:p], exactKey(b[s+2:p])
	n := len(r.stack) - 1
	if n < 0 || r.stack[n].key != k || k&longKey != 0 && !r.sameXML(n, name) || len(skipSpaceXML(b[p:end])) != 1 {
		return r.stop(b, s, WhyAmbiguous)
	}
	if r.watch != nil {
		r.watch(b, s, p, end, nil, opens)
	}
	if r.outline != nil {
		r.outline.at = r.outline.base + s
	}
	if r.stack[n].flags&fPending != 0 {
		r.endElement(b, n, s, end, n+1)
	}
	r.truncate(n)
	r.leaveEarly()
	return end
}

// sameXML compares the name of open element i.
func (r *Rewriter) sameXML(i int, name []byte) bool {
	e := &r.stack[i]
	return string(r.names[e.name:e.name+e.nameLen]) == string(name)
}

// exactKey is the key of a name whose letters' case counts.
func exactKey(name []byte) uint64 {
	if len(name) <= 8 {
		var k uint64
		for q, c := range name {
			k |= uint64(c) << (8 * uint(q))
		}
		return k
	}
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range name {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h | longKey
}

// startWellFormed tells whether t, a start tag in the sense of HTML, is one of XML (3.1):
// names of name characters, all values in quotes and without '<'. Space between
// attributes may be missing, as most XML parsers let it.
func startWellFormed(t []byte) bool {
	rest := skipNameXML(t[1:])
	for {
		t := skipSpaceXML(rest)
		if len(t) == 0 {
			return false
		}
		switch t[0] {
		case '>':
			return len(t) == 1
		case '/':
			return len(t) == 2 && t[1] == '>'
		}
		if rest = skipNameXML(t); len(rest) == len(t) {
			return false
		}
		rest = skipSpaceXML(rest)
		if len(rest) == 0 || rest[0] != '=' {
			return false
		}
		rest = skipSpaceXML(rest[1:])
		if len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
			return false
		}
		n := bytes.IndexByte(rest[1:], rest[0])
		if n < 0 || bytes.IndexByte(rest[1:1+n], '<') >= 0 {
			return false
		}
		rest = rest[n+2:]
	}
}

func skipSpaceXML(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n' || b[0] == '\t' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// skipNameXML passes over a name (2.3). Characters beyond ASCII are taken for those of names.
func skipNameXML(b []byte) []byte {
	for i, c := range b {
		if byteClass[c]&cAlpha != 0 || c == '_' || c == ':' || c >= 0x80 {
			continue
		}
		if i == 0 || byteClass[c]&cAlnum == 0 && c != '-' && c != '.' {
			return b[i:]
		}
	}
	return nil
}

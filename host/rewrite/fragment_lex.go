package rewrite

import (
	"bytes"
	"unicode/utf8"
)

// A lexer cuts markup that is there as a whole into tokens, by a reading that
// is stricter than a page gets: what parsers read in different ways, or only by
// repair, is lexBad. It serves markup of policies, and patterns.
type lexer struct {
	b    []byte
	i    int // where the next token begins
	xml  bool
	what string // what is wrong, with lexBad

	// The token.
	from, to      int // of all of it
	name, nameEnd int // of a tag; of what is within a comment or CDATA section
	attrs         []lexAttr
	slash         bool // a start tag that ends in "/>"
}

// A lexAttr is the place of an attribute in lexer.b.
type lexAttr struct {
	name, nameEnd int32
	from, to      int32 // of the value, without quotes
	quote         byte  // the quote, 0 if there is none
	valued        bool  // there is a value, though it may be empty
}

const (
	lexEOF = iota
	lexBad
	lexText
	lexStart
	lexEnd
	lexComment
	lexCDATA
	lexPI // of XML
)

// maxLexAttrs bounds the attributes of one tag: they are compared with each other.
const maxLexAttrs = 128

// next reads a token. foreign says that the markup around it is SVG or MathML in HTML.
func (l *lexer) next(foreign bool) int {
	l.from, l.to = l.i, l.i
	if l.i >= len(l.b) {
		return lexEOF
	}
	rest := l.b[l.i:]
	if rest[0] != '<' {
		n := bytes.IndexByte(rest, '<')
		if n < 0 {
			n = len(rest)
		}
		return l.text(n)
	}
	if len(rest) == 1 {
		return l.text(1)
	}
	switch c := rest[1]; {
	case l.nameStart(c):
		return l.startTag()
	case c == '/':
		return l.endTag()
	case c == '!':
		return l.declaration(foreign)
	case c == '?':
		if n := bytes.Index(rest, []byte("?>")); l.xml && n >= 0 {
			return l.within(lexPI, 2, n, n+2)
		}
		return l.bad("a processing instruction")
	}
	return l.text(1)
}

func (l *lexer) bad(what string) int {
	l.what = what
	return lexBad
}

// text takes n bytes as text. A '<' that begins nothing is text of its own in HTML.
func (l *lexer) text(n int) int {
	if l.xml && l.b[l.i] == '<' {
		return l.bad("a '<' that begins nothing")
	}
	l.i += n
	l.to = l.i
	return lexText
}

// within ends a token of size bytes whose content stands between two places in it.
func (l *lexer) within(kind, from, to, size int) int {
	l.name, l.nameEnd = l.from+from, l.from+to
	l.i += size
	l.to = l.i
	return kind
}

func (l *lexer) nameStart(c byte) bool {
	return byteClass[c]&cAlpha != 0 || l.xml && (c == '_' || c == ':' || c >= 0x80)
}

func (l *lexer) nameByte(c byte) bool {
	if l.xml {
		return l.nameStart(c) || c >= '0' && c <= '9' || c == '-' || c == '.'
	}
	return byteClass[c]&cNameEnd == 0 && c != '<' && c != '"' && c != '\'' && c != '=' && c != 0
}

// tagName reads the name that begins at b[i], and returns the index after it.
func (l *lexer) tagName(i int) int {
	l.name = i
	for i < len(l.b) && l.nameByte(l.b[i]) {
		i++
	}
	l.nameEnd = i
	return i
}

func (l *lexer) space(i int) int {
	for i < len(l.b) && byteClass[l.b[i]]&cSpace != 0 && (!l.xml || l.b[i] != '\f') {
		i++
	}
	return i
}

func (l *lexer) endTag() int {
	if l.i+2 >= len(l.b) || !l.nameStart(l.b[l.i+2]) {
		return l.bad("an end tag without a name")
	}
	i := l.space(l.tagName(l.i + 2))
	if i >= len(l.b) {
		return l.bad("an unfinished tag")
	}
	if l.b[i] != '>' {
		return l.bad("an end tag with more than its name")
	}
	l.i, l.to = i+1, i+1
	return lexEnd
}

func (l *lexer) startTag() int {
	l.attrs, l.slash = l.attrs[:0], false
	i := l.tagName(l.i + 1)
	for {
		was := i
		if i = l.space(i); i >= len(l.b) {
			return l.bad("an unfinished tag")
		}
		switch c := l.b[i]; {
		case c == '>':
			l.i, l.to = i+1, i+1
			return lexStart
		case c == '/':
			if i+1 >= len(l.b) || l.b[i+1] != '>' {
				return l.bad("a '/' within a tag")
			}
			l.slash = true
			l.i, l.to = i+2, i+2
			return lexStart
		}
		if i == was {
			return l.bad("no space before an attribute")
		}
		if len(l.attrs) == maxLexAttrs {
			return l.bad("too many attributes")
		}
		if i = l.attr(i); i < 0 {
			return lexBad
		}
	}
}

// attr reads the attribute at b[i]; it returns the index after it, or -1.
func (l *lexer) attr(i int) int {
	a := lexAttr{name: int32(i)}
	for i < len(l.b) && l.attrByte(l.b[i]) {
		i++
	}
	a.nameEnd = int32(i)
	if int(a.name) == i || l.xml && !l.nameStart(l.b[a.name]) {
		l.bad("a character that no attribute's name has")
		return -1
	}
	eq := l.space(i)
	if eq < len(l.b) && l.b[eq] == '=' {
		a.valued = true
		i = l.value(&a, l.space(eq+1))
	} else if l.xml {
		l.bad("an attribute without a value")
		return -1
	}
	l.attrs = append(l.attrs, a)
	return i
}

func (l *lexer) attrByte(c byte) bool {
	if l.xml {
		return l.nameByte(c)
	}
	return byteClass[c]&cAttrEnd == 0 && c != '<' && c != '"' && c != '\'' && c != 0
}

// value reads the value at b[i].
func (l *lexer) value(a *lexAttr, i int) int {
	if i < len(l.b) && (l.b[i] == '"' || l.b[i] == '\'') {
		a.quote = l.b[i]
		n := bytes.IndexByte(l.b[i+1:], a.quote)
		if n < 0 {
			l.bad("an attribute whose quote is not closed")
			return -1
		}
		a.from, a.to = int32(i+1), int32(i+1+n)
		if l.xml && bytes.IndexByte(l.b[a.from:a.to], '<') >= 0 {
			l.bad("a '<' in an attribute")
			return -1
		}
		return i + n + 2
	}
	if l.xml {
		l.bad("an attribute without quotes")
		return -1
	}
	a.from = int32(i)
	for i < len(l.b) && byteClass[l.b[i]]&cBareEnd == 0 {
		switch l.b[i] {
		case '"', '\'', '<', '`', 0:
			l.bad("an attribute without quotes whose value has one of \"'<` in it")
			return -1
		}
		i++
	}
	if a.to = int32(i); a.from == a.to {
		l.bad("an attribute whose value is missing")
		return -1
	}
	return i
}

func (l *lexer) declaration(foreign bool) int {
	rest := l.b[l.i:]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		in := rest[4:]
		if !l.xml && (bytes.HasPrefix(in, []byte(">")) || bytes.HasPrefix(in, []byte("->"))) {
			return l.bad("a comment that ends as it begins")
		}
		n := bytes.Index(in, []byte("-->"))
		if n < 0 {
			return l.bad("an unfinished comment")
		}
		if m := bytes.Index(in[:n], []byte("--!>")); m >= 0 && !l.xml {
			return l.bad("a comment that ends in \"--!>\"")
		}
		return l.within(lexComment, 4, 4+n, 4+n+3)
	case (foreign || l.xml) && bytes.HasPrefix(rest, []byte("<![CDATA[")):
		n := bytes.Index(rest, []byte("]]>"))
		if n < 0 {
			return l.bad("an unfinished CDATA section")
		}
		return l.within(lexCDATA, 9, n, n+3)
	case bytes.HasPrefix(rest, []byte("<![")):
		return l.bad("a CDATA section, which is none here")
	}
	return l.bad("a declaration")
}

// raw reads the text of an element whose content is not markup, up to its end
// tag, which is not read. It is lexBad without one.
func (l *lexer) raw(name []byte) int {
	l.from = l.i
	for j := l.i; ; {
		n := bytes.Index(l.b[j:], []byte("</"))
		if n < 0 {
			return l.bad("an element whose end tag is missing")
		}
		j += n + 2
		end := j + len(name)
		if end < len(l.b) && sameFold(l.b[j:end], name) && byteClass[l.b[end]]&cNameEnd != 0 {
			l.i, l.to = j-2, j-2
			return lexText
		}
	}
}

// sameFold compares names as HTML does, by ASCII without case.
func sameFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower[a[i]] != lower[b[i]] {
			return false
		}
	}
	return true
}

// decodeXML appends v to dst with its references decoded (XML 1.0, 4.1 and 4.6).
// Those that a document would have to declare stand as they are.
func decodeXML(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '&')
		if i < 0 {
			return append(dst, v...)
		}
		dst, v = append(dst, v[:i]...), v[i:]
		n := bytes.IndexByte(v[:min(len(v), maxXMLReference)], ';')
		r, ok := rune(0), false
		if n > 0 {
			r, ok = xmlReference(v[1:n])
		}
		if !ok {
			dst, v = append(dst, '&'), v[1:]
			continue
		}
		dst, v = utf8.AppendRune(dst, r), v[n+1:]
	}
}

// maxXMLReference bounds a reference with its '&' and ';'. Only leading zeros make it longer.
const maxXMLReference = 32

// xmlReference tells which character is meant by what stands between '&' and ';'.
func xmlReference(ref []byte) (rune, bool) {
	switch string(ref) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(ref) < 2 || ref[0] != '#' {
		return 0, false
	}
	digits, base := ref[1:], rune(10)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	r := rune(0)
	for _, c := range digits {
		d := rune(c - '0')
		if l := lower[c]; base == 16 && l >= 'a' && l <= 'f' {
			d = rune(l-'a') + 10
		} else if c < '0' || c > '9' {
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, len(digits) > 0 && xmlRune(r)
}

// xmlRune tells whether XML 1.0 has the character (2.2).
func xmlRune(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r < 0xD800 || r >= 0xE000 && r < 0xFFFE || r >= 0x10000 && r <= utf8.MaxRune
}

package rewrite

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// fail says what was expected at p.i, and what is there.
func (p *selectorParser) fail(want string) error {
	got := "the end"
	if p.i < len(p.s) {
		r, _ := utf8.DecodeRuneInString(p.s[p.i:])
		got = fmt.Sprintf("%q", r)
		if strings.HasPrefix(p.s[p.i:], "/*") {
			got = "a comment, which is not known here"
		}
	}
	return p.wrong(p.i, "expected "+want+", found "+got)
}

// wrong says what is wrong at byte at of the selector.
func (p *selectorParser) wrong(at int, what string) error {
	return fmt.Errorf("selector %q, column %d: %s", p.s, utf8.RuneCountInString(p.s[:at])+1, what)
}

// peek returns the next byte, 0 at the end. The selector has no NUL.
func (p *selectorParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *selectorParser) space() bool {
	from := p.i
	for p.i < len(p.s) && byteClass[p.s[p.i]]&cSpace != 0 {
		p.i++
	}
	return p.i > from
}

// identAhead tells whether a name begins here (CSS Syntax 4.3.9).
func (p *selectorParser) identAhead() bool {
	c := p.peek()
	if c == '-' && p.i+1 < len(p.s) {
		d := p.s[p.i+1]
		return d == '-' || nameStart(d) || d == '\\'
	}
	return nameStart(c) || c == '\\'
}

func nameStart(c byte) bool { return byteClass[c]&cAlpha != 0 || c == '_' || c >= 0x80 }
func nameByte(c byte) bool  { return byteClass[c]&cAlnum != 0 || c == '-' || c == '_' || c >= 0x80 }

// ident reads a name (CSS Syntax 4.3.11). what says what it names.
func (p *selectorParser) ident(what string) (string, error) {
	if !p.identAhead() {
		return "", p.fail(what)
	}
	from := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == '\\' {
			return p.escaped(from)
		}
		if !nameByte(c) {
			break
		}
		p.i++
	}
	return p.s[from:p.i], nil
}

// escaped goes on with a name that has an escape at p.i.
func (p *selectorParser) escaped(from int) (string, error) {
	var b strings.Builder
	b.WriteString(p.s[from:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '\\':
			p.i++
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		case nameByte(c):
			b.WriteByte(c)
			p.i++
		default:
			return b.String(), nil
		}
	}
	return b.String(), nil
}

// escape reads what follows a backslash (CSS Syntax 4.3.7).
func (p *selectorParser) escape() (rune, error) {
	if p.i == len(p.s) || p.s[p.i] == '\n' || p.s[p.i] == '\r' || p.s[p.i] == '\f' {
		return 0, p.fail("a character after '\\'")
	}
	var r rune
	n := 0
	for ; n < 6 && p.i < len(p.s) && isHex(p.s[p.i]); n++ {
		c := lower[p.s[p.i]]
		if c <= '9' {
			c -= '0'
		} else {
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
		p.i++
	}
	if n == 0 {
		r, size := utf8.DecodeRuneInString(p.s[p.i:])
		p.i += size
		return r, nil
	}
	if p.i < len(p.s) && byteClass[p.s[p.i]]&cSpace != 0 {
		p.lineBreak()
	}
	if r == 0 || !utf8.ValidRune(r) {
		r = utf8.RuneError
	}
	return r, nil
}

// lineBreak skips one byte of whitespace, or CR and LF, which count as one (CSS Syntax 3.3).
func (p *selectorParser) lineBreak() {
	if strings.HasPrefix(p.s[p.i:], "\r\n") {
		p.i++
	}
	p.i++
}

// quoted reads a string that begins with the quote q (CSS Syntax 4.3.5).
func (p *selectorParser) quoted(q byte) (string, error) {
	p.i++
	from := p.i
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case q:
			p.i++
			return p.s[from : p.i-1], nil
		case '\n', '\r', '\f':
			return "", p.fail("the closing quote")
		case '\\':
			return p.quotedEscaped(from, q)
		}
		p.i++
	}
	return "", p.fail("the closing quote")
}

// quotedEscaped goes on with a string that has a backslash at p.i.
func (p *selectorParser) quotedEscaped(from int, q byte) (string, error) {
	var b strings.Builder
	b.WriteString(p.s[from:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch c {
		case q:
			p.i++
			return b.String(), nil
		case '\n', '\r', '\f':
			return "", p.fail("the closing quote")
		case '\\':
			p.i++
			switch p.peek() {
			case '\n', '\r', '\f': // an escaped line break stands for nothing
				p.lineBreak()
				continue
			}
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			continue
		}
		b.WriteByte(c)
		p.i++
	}
	return "", p.fail("the closing quote")
}

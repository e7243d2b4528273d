package rewrite

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// A jsonScanner checks JSON text by RFC 8259, to the letter: what parsers
// could read in different ways is an error. Text must be UTF-8.
type jsonScanner struct {
	doc      []byte
	kinds    []byte // by depth: what the open value is, '{' or '['
	depth    int
	maxDepth int
	fault    Reason // why the last function failed
}

// reset readies the scanner for a text. It keeps the text until the next reset.
func (s *jsonScanner) reset(doc []byte, maxDepth int) {
	s.doc, s.depth, s.maxDepth, s.fault = doc, 0, maxDepth, 0
	if len(s.kinds) <= maxDepth {
		s.kinds = make([]byte, maxDepth+1)
	}
}

func (s *jsonScanner) fail(why Reason) int {
	s.fault = why
	return -1
}

// space returns the place of the first byte from i on that is no whitespace.
func (s *jsonScanner) space(i int) int {
	for i < len(s.doc) && s.doc[i] <= ' ' {
		switch s.doc[i] {
		case ' ', '\n', '\r', '\t':
		default:
			return i
		}
		i++
		for i+8 <= len(s.doc) && binary.LittleEndian.Uint64(s.doc[i:]) == 0x2020202020202020 {
			i += 8
		}
	}
	return i
}

// pass checks the value that begins at i, and returns its end. It is negative if the value is wrong.
func (s *jsonScanner) pass(i int) int {
	doc, base := s.doc, s.depth
value:
	if uint(i) >= uint(len(doc)) {
		return s.fail(WhyAmbiguous)
	}
	switch c := doc[i]; c {
	case '"':
		i, _ = stringEnd(doc, i+1)
	case '{', '[':
		if s.depth == s.maxDepth {
			return s.fail(WhyDepth)
		}
		s.depth++
		s.kinds[s.depth] = c
		i = s.space(i + 1)
		switch {
		case uint(i) < uint(len(doc)) && doc[i] == c+2: // the closing bracket
			i++
			s.depth--
		case c == '{':
			goto name
		default:
			goto value
		}
	case 't', 'f', 'n':
		i = literalEnd(doc, i)
	default:
		i = numberEnd(doc, i)
	}
	for {
		if i < 0 {
			return s.fail(WhyAmbiguous)
		}
		if s.depth == base {
			return i
		}
		if uint(i) < uint(len(doc)) && doc[i] <= ' ' {
			i = s.space(i)
		}
		if uint(i) >= uint(len(doc)) {
			return s.fail(WhyAmbiguous)
		}
		kind := s.kinds[s.depth]
		if doc[i] == ',' {
			if i++; uint(i) < uint(len(doc)) && doc[i] <= ' ' {
				i = s.space(i)
			}
			if kind == '[' {
				goto value
			}
			goto name
		}
		if doc[i] != kind+2 {
			return s.fail(WhyAmbiguous)
		}
		i++
		s.depth--
	}
name:
	i, _ = s.name(i)
	if i = s.colon(i); i < 0 {
		return -1
	}
	goto value
}

// name checks the name of a member that begins at i. It returns its end, negative if it is wrong,
// and whether it has escapes.
func (s *jsonScanner) name(i int) (end int, escaped bool) {
	if uint(i) >= uint(len(s.doc)) || s.doc[i] != '"' {
		return s.fail(WhyAmbiguous), false
	}
	if end, escaped = stringEnd(s.doc, i+1); end < 0 {
		s.fault = WhyAmbiguous
	}
	return end, escaped
}

// colon returns the place of the value that belongs to the name which ends at i.
func (s *jsonScanner) colon(i int) int {
	if i < 0 {
		return -1
	}
	if uint(i) < uint(len(s.doc)) && s.doc[i] <= ' ' {
		i = s.space(i)
	}
	if uint(i) >= uint(len(s.doc)) || s.doc[i] != ':' {
		return s.fail(WhyAmbiguous)
	}
	if i++; uint(i) < uint(len(s.doc)) && s.doc[i] <= ' ' {
		i = s.space(i)
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stringEnd returns the end of the string whose first byte after the quote
// is doc[i], negative if it is wrong, and whether it has escapes.
func stringEnd(doc []byte, i int) (end int, escaped bool) {
	start, high := i, uint64(0)
	for {
		if i+8 <= len(doc) {
			w := binary.LittleEndian.Uint64(doc[i:])
			high |= w
			// Flipping one bit takes the quote to 0x20 and no other byte below 0x21 beyond it or back.
			x, y := w^(ones*0x02), w^(ones*'\\')
			m := ((x - ones*0x21) &^ x & highs) | ((y - ones) &^ y & highs)
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		if uint(i) >= uint(len(doc)) {
			return -1, false
		}
		switch c := doc[i]; {
		case c == '"':
			if high&highs != 0 && !utf8.Valid(doc[start:i]) {
				return -1, false
			}
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = escapeEnd(doc, i+1); i < 0 {
				return -1, false
			}
		case c < ' ':
			return -1, false
		default:
			high |= uint64(c)
			i++
		}
	}
}

// escapeEnd returns the end of the escape whose first byte after the backslash is doc[i], or -1.
func escapeEnd(doc []byte, i int) int {
	if i >= len(doc) {
		return -1
	}
	switch doc[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if _, ok := hex4(doc, i+1); ok {
			return i + 5
		}
	}
	return -1
}

// hex4 reads four hexadecimal digits at doc[i].
func hex4(doc []byte, i int) (r rune, ok bool) {
	if i+4 > len(doc) {
		return 0, false
	}
	for _, c := range doc[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// numberEnd returns the end of the number at doc[i], or -1.
func numberEnd(doc []byte, i int) int {
	if doc[i] == '-' {
		i++
	}
	if uint(i) < uint(len(doc)) && doc[i] == '0' {
		i++
	} else if i = digitsEnd(doc, i); i < 0 {
		return -1
	}
	if uint(i) < uint(len(doc)) && doc[i] == '.' {
		if i = digitsEnd(doc, i+1); i < 0 {
			return -1
		}
	}
	if uint(i) < uint(len(doc)) && doc[i]|0x20 == 'e' {
		i++
		if uint(i) < uint(len(doc)) && (doc[i] == '+' || doc[i] == '-') {
			i++
		}
		return digitsEnd(doc, i)
	}
	return i
}

// digitsEnd returns the end of the digits at doc[i], of which there must be one, or -1.
func digitsEnd(doc []byte, i int) int {
	start := i
	for uint(i) < uint(len(doc)) && doc[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// literalEnd returns the end of true, false or null at doc[i], or -1.
func literalEnd(doc []byte, i int) int {
	rest := doc[i:]
	switch {
	case len(rest) >= 4 && (string(rest[:4]) == "true" || string(rest[:4]) == "null"):
		return i + 4
	case len(rest) >= 5 && string(rest[:5]) == "false":
		return i + 5
	}
	return -1
}

// jsonUnquote appends to dst the text of s, which is what stands between the
// quotes of a string that has been checked. What lone surrogates become is for lone to say: false makes
// them U+FFFD, true the three bytes that they would have, so that they are
// equal to no text in UTF-8 (WTF-8, 4.4).
func jsonUnquote(dst, s []byte, lone bool) []byte {
	for {
		at := bytes.IndexByte(s, '\\')
		if at < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:at]...)
		c := s[at+1]
		s = s[at+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(s, 0)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					low, _ = hex4(s, 2)
				}
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					dst, s = utf8.AppendRune(dst, both), s[6:]
					continue
				}
				if lone {
					dst = append(dst, 0xED, byte(0x80|r>>6&0x3F), byte(0x80|r&0x3F))
					continue
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

// appendJSON appends text as a string of JSON. '<' is escaped, and so are
// U+2028 and U+2029, so that the string may stand in a script of a page too.
func appendJSON(dst []byte, text string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != 0xE2 {
			continue
		}
		if c == 0xE2 {
			if !lineSeparator(text[i:]) {
				continue
			}
			dst = append(dst, text[from:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, '8'+text[i+2]-0xA8)
			i += 2
			from = i + 1
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			const digits = "0123456789abcdef"
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[c>>4], digits[c&15])
		}
	}
	dst = append(dst, text[from:]...)
	return append(dst, '"')
}

// lineSeparator tells whether s begins with U+2028 or U+2029.
func lineSeparator(s string) bool {
	return len(s) >= 3 && s[1] == 0x80 && (s[2] == 0xA8 || s[2] == 0xA9)
}

// compactJSON appends a value that has been checked, without the whitespace
// between its tokens. Within strings, what appendJSON would escape for a page is escaped.
func compactJSON(dst []byte, value string) []byte {
	quoted := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case !quoted:
			if c <= ' ' {
				continue
			}
			quoted = c == '"'
		case c == '"':
			quoted = false
		case c == '\\':
			dst = append(dst, c)
			i++
			c = value[i]
		case c == '<':
			dst = append(dst, `\u003c`...)
			continue
		case c == 0xE2 && lineSeparator(value[i:]):
			dst = append(dst, `\u202`...)
			c = '8' + value[i+2] - 0xA8
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

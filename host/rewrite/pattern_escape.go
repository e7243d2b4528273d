package rewrite

import (
	"strings"
	"unicode/utf16"
)

// appendSlot appends the value s, escaped for a slot of text: slotText,
// slotQuoted or slotTwice. In XML, what it has no character for is replaced.
//
// Text in text, as feeds hold HTML, is escaped for both, so that it is text
// there as well.
func appendSlot(dst []byte, s string, kind partKind, xml bool, cs Charset) []byte {
	from := 0
	for i := 0; i < len(s); {
		ref, n := reference(s[i], kind, xml), 1
		if xml && ref == "" && (strings.HasPrefix(s[i:], "\uFFFE") || strings.HasPrefix(s[i:], "\uFFFF")) {
			ref, n = "\uFFFD", len("\uFFFE")
		}
		if ref == "" {
			i++
			continue
		}
		dst = cs.Append(dst, s[from:i])
		dst = cs.Append(dst, ref)
		i += n
		from = i
	}
	return cs.Append(dst, s[from:])
}

// reference returns what stands for c in a slot of that kind, "" for c itself.
func reference(c byte, kind partKind, xml bool) string {
	if c > '>' {
		return ""
	}
	if kind == slotTwice {
		switch c {
		case '&':
			return "&amp;amp;"
		case '<':
			return "&amp;lt;"
		case '>':
			return "&amp;gt;"
		case '"':
			return "&amp;quot;"
		case '\'':
			return "&amp;#39;"
		}
	}
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '\r':
		return "&#13;" // or it would become a line feed
	case '"':
		if kind == slotQuoted {
			return "&quot;"
		}
	case '\'':
		if kind == slotQuoted {
			return "&#39;"
		}
	case '\t', '\n':
		if kind != slotQuoted || !xml {
			return ""
		}
		if c == '\t' {
			return "&#9;" // or it would become a space (XML 1.0, 3.3.3)
		}
		return "&#10;"
	case 0:
		return "\uFFFD"
	default:
		if xml && c < ' ' {
			return "\uFFFD"
		}
	}
	return ""
}

const hexDigits = "0123456789ABCDEF"

// appendComponent appends s as a component of a URL: all but the unreserved
// characters (RFC 3986, 2.3) percent-encoded. It is ASCII then, without markup.
func appendComponent(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if byteClass[c]&cAlnum != 0 || c == '-' || c == '.' || c == '_' || c == '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// appendJSONText appends s as it stands within a string of JSON (RFC 8259, 7).
// It is ASCII, which reads the same in every charset, and can neither end the
// script that it is in nor begin a comment of one.
func appendJSONText(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == '<' || r == '>' || r == '&' || r >= 0x7F:
			if r > 0xFFFF {
				var low rune
				r, low = utf16.EncodeRune(r)
				dst = appendUnit(dst, r)
				r = low
			}
			dst = appendUnit(dst, r)
		default:
			dst = append(dst, byte(r))
		}
	}
	return dst
}

// appendUnit appends a UTF-16 code unit as JSON writes it.
func appendUnit(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendJSONValue appends s as a value of JSON: as it is if it is a number or
// one of true, false and null, else as a string. There being none is null.
func appendJSONValue(dst []byte, s string, there bool) []byte {
	switch {
	case !there:
		return append(dst, "null"...)
	case s == "true", s == "false", s == "null", isNumber(s):
		return append(dst, s...)
	}
	dst = appendJSONText(append(dst, '"'), s)
	return append(dst, '"')
}

// isNumber tells whether s is a number of JSON (RFC 8259, 6).
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if rest, ok := strings.CutPrefix(s, "."); ok {
		n := digits(rest)
		if n == 0 {
			return false
		}
		s = rest[n:]
	}
	if s != "" && lower[s[0]] == 'e' {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n := digits(s)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

// digits counts the digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

package rewrite

import (
	"bytes"
	"html"
	"unicode/utf8"
)

// decodeValue appends v to dst with its character references decoded as in an
// attribute (WHATWG 13.2.5.72 to 80): one without ';' stands as it is before '=' and alphanumerics.
func decodeValue(dst, v []byte) []byte {
	for {
		i := bytes.IndexByte(v, '&')
		if i < 0 {
			return append(dst, v...)
		}
		dst = append(dst, v[:i]...)
		v = v[i:]
		n := referenceEnd(v)
		ref := v[:n]
		v = v[n:]
		if n > 1 && ref[1] == '#' {
			dst = appendNumeric(dst, ref)
		} else {
			dst = appendNamed(dst, ref, len(v) > 0 && v[0] == '=')
		}
	}
}

// referenceEnd returns the length of what may be a reference at the beginning of v, which is '&'.
func referenceEnd(v []byte) int {
	j := 1
	switch {
	case j < len(v) && v[j] == '#':
		j++
		if j < len(v) && lower[v[j]] == 'x' {
			j++
			for j < len(v) && isHex(v[j]) {
				j++
			}
		} else {
			for j < len(v) && v[j] >= '0' && v[j] <= '9' {
				j++
			}
		}
	default:
		for j < len(v) && byteClass[v[j]]&cAlnum != 0 {
			j++
		}
	}
	if j < len(v) && v[j] == ';' {
		j++
	}
	return j
}

// referenceNumber returns the number of a numeric reference, more than the last code point if it is that or more; -1 without a digit.
func referenceNumber(ref []byte) rune {
	base, digits := rune(10), ref[2:]
	if len(digits) > 0 && lower[digits[0]] == 'x' {
		base, digits = 16, digits[1:]
	}
	n := rune(-1)
	for _, c := range digits {
		d := rune(lower[c]) - '0'
		if c == ';' {
			break
		}
		if d > 9 {
			d += '0' - 'a' + 10
		}
		n = min(max(n, 0)*base+d, utf8.MaxRune+1)
	}
	return n
}

// windows1252 are the code points that numbers from 0x80 on stand for in HTML; 0 for themselves.
var windows1252 = [32]rune{
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
	0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
}

func appendNumeric(dst, ref []byte) []byte {
	c := referenceNumber(ref)
	switch {
	case c < 0:
		return append(dst, ref...)
	case c >= 0x80 && c < 0xA0 && windows1252[c-0x80] != 0:
		c = windows1252[c-0x80]
	case c == 0:
		c = utf8.RuneError
	}
	return utf8.AppendRune(dst, c) // of surrogates and what is too large it makes U+FFFD
}

// appendNamed appends what ref stands for, or ref if that is nothing.
func appendNamed(dst, ref []byte, equals bool) []byte {
	if c := fewNames(ref); c != 0 {
		return append(dst, c)
	}
	if len(ref) < 3 {
		return append(dst, ref...)
	}
	switch string(ref) { // package html leaves these two out
	case "&nLt;":
		return append(dst, "\u226a\u20d2"...)
	case "&nGt;":
		return append(dst, "\u226b\u20d2"...)
	}
	text := html.UnescapeString(string(ref))
	last := text[len(text)-1]
	switch {
	case ref[len(ref)-1] == ';':
		// What is left after a shorter name was decoded.
		if last == ';' && string(ref) != "&semi;" {
			return append(dst, ref...)
		}
	case equals || byteClass[last]&cAlnum != 0:
		return append(dst, ref...)
	}
	return append(dst, text...)
}

// fewNames returns what the references that XML has, too, stand for; 0 for others.
func fewNames(ref []byte) byte {
	switch string(ref) {
	case "&amp;":
		return '&'
	case "&lt;":
		return '<'
	case "&gt;":
		return '>'
	case "&quot;":
		return '"'
	case "&apos;":
		return '\''
	}
	return 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || lower[c] >= 'a' && lower[c] <= 'f'
}

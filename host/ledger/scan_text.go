package ledger

import (
	"bytes"
	"time"
	"unicode/utf8"
	"unsafe"
)

// list reads strings up to the closing bracket; there is at least one.
func (s *scanner) list(out *[]string) bool {
	for {
		var v string
		if !s.text(&v) {
			return false
		}
		*out = append(*out, v)
		if s.lit("]") {
			return true
		}
		if !s.must(",") {
			return false
		}
	}
}

func (s *scanner) optString(name string, out *string) bool {
	return !s.lit(name) || s.nonEmpty(out)
}

func (s *scanner) nonEmpty(out *string) bool {
	return s.text(out) && (*out != "" || s.fail("a text, as empty ones are left out"))
}

// plain are the bytes that stand for themselves in a string, one by one.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text reads a JSON string in the one form that appendEscaped writes.
func (s *scanner) text(out *string) bool {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return s.fail("a text")
	}
	from := s.i + 1
	b := s.b
	for i := from; i < len(b); {
		if plain[b[i]] {
			i++
			continue
		}
		switch c := b[i]; {
		case c == '"':
			*out = ""
			if i > from {
				*out = unsafe.String(&b[from], i-from) // a view: no allocation for each string of each record
			}
			s.i = i + 1
			return true
		case c == '\\':
			s.i = i
			return s.escaped(from, out)
		case c < 0x20:
			s.i = i
			return s.fail("control characters escaped")
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			s.i = i
			return s.fail("UTF-8")
		}
		i += n
	}
	s.i = len(s.b)
	return s.fail("the end of the text")
}

// escaped reads a string that has an escape at s.i, from its start.
func (s *scanner) escaped(from int, out *string) bool {
	b := bytes.Clone(s.b[from:s.i])
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			*out = string(b)
			return true
		case c == '\\':
			rest := s.b[s.i+1:]
			switch {
			case len(rest) > 0 && (rest[0] == '"' || rest[0] == '\\'):
				b = append(b, rest[0])
				s.i += 2
			case len(rest) >= 5 && string(rest[:3]) == "u00" && (rest[3] == '0' || rest[3] == '1') && unhex(rest[4]) < 16:
				b = append(b, (rest[3]-'0')<<4|unhex(rest[4]))
				s.i += 6
			default:
				return s.fail(`\", \\ or \u00XX of a control character`)
			}
		case c < 0x20:
			return s.fail("control characters escaped")
		case c < utf8.RuneSelf:
			b = append(b, c)
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n <= 1 {
				return s.fail("UTF-8")
			}
			b = append(b, s.b[s.i:s.i+n]...)
			s.i += n
		}
	}
	return s.fail("the end of the text")
}

// optInt reads a number above zero, as zero is left out.
func (s *scanner) optInt(name string, out *int) bool {
	if !s.lit(name) {
		return true
	}
	var n int64
	if !s.number(&n) {
		return false
	}
	*out = int(n)
	return n != 0 || s.fail("a number above zero")
}

// number reads digits without a sign or leading zeros, below 10^18.
func (s *scanner) number(out *int64) bool {
	from := s.i
	var n int64
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 && s.i-from < 18 {
		n = n*10 + int64(s.b[s.i]-'0')
		s.i++
	}
	if s.i == from || s.b[from] == '0' && s.i > from+1 {
		return s.fail("a number")
	}
	*out = n
	return true
}

// optHex reads lower-case hexadecimal digits and the closing quote; the name
// has the opening one. What is zero is left out.
func (s *scanner) optHex(name string, out []byte) bool {
	if !s.lit(name) {
		return true
	}
	if len(s.b)-s.i < 2*len(out)+1 {
		return s.fail("more digits")
	}
	some := byte(0)
	for i := range out {
		hi, lo := unhex(s.b[s.i]), unhex(s.b[s.i+1])
		if hi|lo > 15 {
			return s.fail("hexadecimal digits")
		}
		out[i] = hi<<4 | lo
		some |= out[i]
		s.i += 2
	}
	return (some != 0 || s.fail("a digest, as zero is left out")) && s.must(`"`)
}

func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c-'a' <= 5:
		return c - 'a' + 10
	}
	return 0xff
}

// time reads RFC 3339 with milliseconds, in UTC, with its quotes.
func (s *scanner) time(out *time.Time) bool {
	const form = "\"2006-01-02T15:04:05.000Z\""
	if len(s.b)-s.i < len(form) {
		return s.fail("a time")
	}
	b := s.b[s.i : s.i+len(form)]
	if string(b[1:11]) != s.day {
		day, err := time.Parse(time.DateOnly, string(b[1:11]))
		if err != nil {
			return s.fail("a date")
		}
		s.day, s.midnight = string(b[1:11]), day
	}
	two := func(i int) int { // 100 or more: no digits
		hi, lo := b[i]-'0', b[i+1]-'0'
		if hi > 9 || lo > 9 {
			return 100
		}
		return int(hi)*10 + int(lo)
	}
	h, m, sec, ms := two(12), two(15), two(18), two(21)*10+int(b[23]-'0')
	if b[0] != '"' || b[11] != 'T' || b[14] != ':' || b[17] != ':' || b[20] != '.' || string(b[24:]) != `Z"` ||
		h > 23 || m > 59 || sec > 59 || ms > 999 || b[23]-'0' > 9 {
		return s.fail("a time of day, to the millisecond, UTC")
	}
	s.i += len(form)
	*out = s.midnight.Add(time.Duration(((h*60+m)*60+sec)*1000+ms) * time.Millisecond)
	return true
}

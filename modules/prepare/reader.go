package prepare

import (
	"fmt"
	"unicode/utf8"
)

// A reader reads a part of a binary. After a refusal every read gives zero
// and the position stays.
type reader struct {
	data    []byte // the whole binary, so that positions are offsets
	pos     int
	end     int // of the part
	fn      int // index of the function that is read; -1: none
	refused *Refusal
}

func (r *reader) refuse(rule, format string, args ...any) {
	r.refuseAt(r.pos, rule, format, args...)
}

func (r *reader) refuseAt(offset int, rule, format string, args ...any) {
	if r.refused == nil {
		r.refused = &Refusal{Func: r.fn, Offset: offset, Rule: rule, Err: fmt.Errorf(format, args...)}
	}
}

func (r *reader) ok() bool { return r.refused == nil }

// more reports whether there is something left to read.
func (r *reader) more() bool { return r.refused == nil && r.pos < r.end }

func (r *reader) byte() byte {
	if r.refused != nil {
		return 0
	}
	if r.pos >= r.end {
		r.refuse(RuleFormat, "it ends too early")
		return 0
	}
	c := r.data[r.pos]
	r.pos++
	return c
}

// skip passes over n bytes.
func (r *reader) skip(n int) {
	if r.refused != nil {
		return
	}
	if n > r.end-r.pos {
		r.refuse(RuleFormat, "%d bytes are announced, %d are left: it ends too early", n, r.end-r.pos)
		return
	}
	r.pos += n
}

// u32 reads an unsigned LEB128 of 32 bits (core 2.0, section 5.2.2): at most
// five bytes, the unused bits of the fifth zero.
func (r *reader) u32() uint32 {
	if r.refused == nil && r.pos < r.end {
		if c := r.data[r.pos]; c < 0x80 {
			r.pos++
			return uint32(c)
		}
	}
	return r.longU32()
}

func (r *reader) longU32() uint32 {
	at := r.pos
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.refuseAt(at, RuleNumber, "a number is longer than 32 bits")
	return 0
}

// signed reads a signed LEB128 of 32, 33 or 64 bits: at most bits/7 bytes,
// rounded up, the unused bits of the last equal to the sign.
func (r *reader) signed(bits int) int64 {
	at := r.pos
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		c := r.byte()
		if left := bits - shift; left < 7 {
			// The sign is bit left-1; it and all above it must be alike.
			if top := int8(c<<1) >> left; c >= 0x80 || top != 0 && top != -1 {
				break
			}
		}
		v |= int64(c&0x7f) << shift
		if c < 0x80 {
			if c&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.refuseAt(at, RuleNumber, "a number is longer than %d bits", bits)
	return 0
}

// count reads a number of things and refuses more than most.
func (r *reader) count(what string, most int) int {
	at := r.pos
	n := r.u32()
	if r.refused != nil {
		return 0
	}
	if uint64(n) > uint64(most) {
		r.refuseAt(at, RuleLimit, "%s: %d, at most %d are allowed", what, n, most)
		return 0
	}
	return int(n)
}

// items is count of things that take at least a byte each, so that more than
// there are bytes left is refused too, before memory is reserved for them.
func (r *reader) items(what string, most int) int {
	at := r.pos
	n := r.count(what, most)
	if r.refused == nil && n > r.end-r.pos {
		r.refuseAt(at, RuleFormat, "%s: %d, but %d bytes are left: it ends too early", what, n, r.end-r.pos)
		return 0
	}
	return n
}

// part returns a reader of the next n bytes, and passes over them.
func (r *reader) part(n int) reader {
	start := r.pos
	r.skip(n)
	return reader{data: r.data, pos: start, end: r.pos, fn: r.fn, refused: r.refused}
}

// close refuses bytes that were not read, and passes a refusal of the part on to whole.
func (r *reader) close(whole *reader) {
	if r.refused == nil && r.pos != r.end {
		r.refuse(RuleFormat, "%d bytes too many", r.end-r.pos)
	}
	if whole.refused == nil {
		whole.refused = r.refused
	}
}

// name reads a name of UTF-8 (core 2.0, section 5.2.4).
func (r *reader) name(most int) string {
	n := r.count("bytes of a name", most)
	at := r.pos
	r.skip(n)
	if r.refused != nil {
		return ""
	}
	b := r.data[at:r.pos]
	if !utf8.Valid(b) {
		r.refuseAt(at, RuleFormat, "a name is not UTF-8")
		return ""
	}
	return string(b)
}

// limits reads the limits of a table or memory (core 2.0, section 5.3.7).
func (r *reader) limits() (hasMax bool, low, high uint32) {
	at := r.pos
	flags := r.byte()
	if r.refused == nil && flags > 1 {
		r.refuseAt(at, RuleFormat, "limits of kind 0x%02x: want 0 or 1 (shared and 64-bit ones are not in WebAssembly 2.0)", flags)
	}
	low = r.u32()
	if flags == 1 {
		high = r.u32()
		if r.refused == nil && high < low {
			r.refuseAt(at, RuleFormat, "limits from %d to %d", low, high)
		}
	}
	return flags == 1, low, high
}

// letter returns the letter of a value type (core 2.0, section 5.3.4), 0 if it is none.
func letter(c byte) byte {
	switch c {
	case 0x7f:
		return 'i'
	case 0x7e:
		return 'I'
	case 0x7d:
		return 'f'
	case 0x7c:
		return 'F'
	case 0x7b:
		return 'v'
	case 0x70:
		return 'r'
	case 0x6f:
		return 'e'
	}
	return 0
}

// valueType reads a value type and returns its letter.
func (r *reader) valueType() byte {
	at := r.pos
	c := r.byte()
	l := letter(c)
	if l == 0 && r.refused == nil {
		r.refuseAt(at, RuleFormat, "value type 0x%02x is not in WebAssembly 2.0", c)
	}
	return l
}

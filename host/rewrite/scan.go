package rewrite

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Classes of bytes.
const (
	cSpace   = 1 << iota // ASCII whitespace of HTML
	cNameEnd             // ends a tag name: whitespace / >
	cAttrEnd             // ends an attribute name: whitespace / > =
	cBareEnd             // ends an unquoted value: whitespace >
	cAlpha               // ASCII letter
	cAlnum               // ASCII letter or digit
)

var byteClass = func() (t [256]uint8) {
	for _, c := range []byte("\t\n\f\r ") {
		t[c] |= cSpace | cNameEnd | cAttrEnd | cBareEnd
	}
	t['/'] |= cNameEnd | cAttrEnd
	t['>'] |= cNameEnd | cAttrEnd | cBareEnd
	t['='] |= cAttrEnd
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= cAlpha | cAlnum
		t[c-32] |= cAlpha | cAlnum
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= cAlnum
	}
	return t
}()

var lower = func() (t [256]uint8) {
	for i := range t {
		t[i] = uint8(i)
		if i >= 'A' && i <= 'Z' {
			t[i] = uint8(i) + 32
		}
	}
	return t
}()

// longKey marks the key of a name that does not fit into eight bytes below
// 0x80: such keys are hashes, and equality needs the names as well.
const longKey = 1 << 63

// nameKey reads the tag name that begins at b[i]: its key, which is the same
// for every case of its letters, and the index after it, len(b) if b ends before the name does.
func nameKey(b []byte, i int) (key uint64, end int) {
	if i+8 < len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		// The first byte below 0x40 (bits 6 and 7 clear) ends the name, or is a digit, '-' and the like.
		if m := ^(w | w<<1) & 0x8080808080808080; m != 0 {
			n := uint(bits.TrailingZeros64(m)) >> 3
			mask := uint64(1)<<(8*n) - 1
			// All before it 0x60-0x7F: nothing to fold.
			if (w&0xE0E0E0E0E0E0E0E0^0x6060606060606060)&mask == 0 {
				c := b[i+int(n)]
				if byteClass[c]&cNameEnd != 0 {
					return w & mask, i + int(n)
				}
				if d := b[i+int(n)+1]; c >= '0' && byteClass[c]&cAlnum != 0 && byteClass[d]&cNameEnd != 0 && n < 7 { // as in h1
					return w & (mask<<8 | 0xFF), i + int(n) + 1
				}
			}
		}
	}
	j := i
	for j < len(b) && byteClass[b[j]]&cNameEnd == 0 {
		j++
	}
	return ownKey(foldKey(b[i:j]), b[i:j]), j
}

// ownKey keeps names apart from those of HTML that are hashed: whoever makes up
// a name with the hash of plaintext or of blockquote must not get their meaning.
func ownKey(key uint64, name []byte) uint64 {
	for key&longKey != 0 {
		e := &tagTable.entries[(key*tagTable.mul)>>tagShift]
		if e.key != key || foldEqual(name, e.name) {
			break
		}
		key ^= 1 << 62
		key += 2
	}
	return key
}

func foldKey(name []byte) uint64 {
	if len(name) <= 8 {
		var k uint64
		for q, c := range name {
			k |= uint64(lower[c]) << (8 * uint(q))
		}
		return k
	}
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range name {
		h = (h ^ uint64(lower[c])) * 1099511628211
	}
	return h | longKey
}

func nameKeyOf(name string) uint64 { return foldKey([]byte(name)) }

// An attr is the place of one attribute: its name, its value without quotes
// (from == to if it has none), and the end of all of it.
type attr struct{ name, nameEnd, from, to, end int32 }

// maxAttrs is how many attributes of one tag are told apart. A tag with more matches nothing.
const maxAttrs = 512

// attrNameEnd returns the index where the name of the attribute that begins at
// b[i] ends: whitespace, '/', '>' or '=', or len(b). Its first byte is part of it, even a '='.
func attrNameEnd(b []byte, i int) int {
	i++
	if i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		// Up to the first byte below 0x40, as in nameKey.
		if m := ^(w | w<<1) & 0x8080808080808080; m != 0 {
			i += bits.TrailingZeros64(m) >> 3
		} else {
			i += 8
		}
	}
	for i < len(b) && byteClass[b[i]]&cAttrEnd == 0 {
		i++
	}
	return i
}

// skipAttrs returns the index after the '>' of the tag whose name ends before b[i], or -1.
func skipAttrs(b []byte, i int) int {
	for {
		for i < len(b) && byteClass[b[i]]&cNameEnd != 0 {
			if b[i] == '>' {
				return i + 1
			}
			i++
		}
		if i >= len(b) {
			return -1
		}
		i = attrNameEnd(b, i)
		for i < len(b) && byteClass[b[i]]&cSpace != 0 {
			i++
		}
		if i >= len(b) {
			return -1
		}
		if b[i] != '=' {
			continue
		}
		if i+1 < len(b) && b[i+1] == '"' {
			n := bytes.IndexByte(b[i+2:], '"')
			if n < 0 {
				return -1
			}
			i += n + 3
			continue
		}
		if _, _, i = scanValue(b, i+1); i < 0 {
			return -1
		}
	}
}

// glance is skipAttrs for a tag that no quick test aims at by its type. It
// tells also whether one may aim at it by its id or by a class: then the
// attributes have to be parsed.
func (m *glimpse) glance(b []byte, i int) (end int, may bool) {
	for {
		for i < len(b) && byteClass[b[i]]&cNameEnd != 0 {
			if b[i] == '>' {
				return i + 1, may
			}
			i++
		}
		if i >= len(b) {
			return -1, false
		}
		name := i
		i = attrNameEnd(b, i)
		nameEnd := i
		for i < len(b) && byteClass[b[i]]&cSpace != 0 {
			i++
		}
		if i >= len(b) {
			return -1, false
		}
		if b[i] != '=' {
			continue
		}
		from, to := 0, 0
		if i+1 < len(b) && b[i+1] == '"' {
			n := bytes.IndexByte(b[i+2:], '"')
			if n < 0 {
				return -1, false
			}
			from, to = i+2, i+2+n
			i = to + 1
		} else if from, to, i = scanValue(b, i+1); i < 0 {
			return -1, false
		}
		switch {
		case may:
		case nameEnd-name == 2 && m.hasID && b[name]|0x20 == 'i' && b[name+1]|0x20 == 'd':
			may = m.idWords.mayHold(b[from:to]) || bytes.IndexByte(b[from:to], '&') >= 0
		case nameEnd-name == 5 && m.hasClassTests && foldEqual(b[name:nameEnd], "class"):
			may = !m.noClass(b[from:to])
		}
	}
}

// scanValue reads an attribute's value after its '='.
func scanValue(b []byte, i int) (from, to, next int) {
	for i < len(b) && byteClass[b[i]]&cSpace != 0 {
		i++
	}
	if i >= len(b) {
		return 0, 0, -1
	}
	switch c := b[i]; c {
	case '"', '\'':
		j := bytes.IndexByte(b[i+1:], c)
		if j < 0 {
			return 0, 0, -1
		}
		return i + 1, i + 1 + j, i + j + 2
	case '>':
		return i, i, i
	}
	from = i
	for i < len(b) && byteClass[b[i]]&cBareEnd == 0 {
		i++
	}
	if i >= len(b) {
		return 0, 0, -1
	}
	return from, i, i
}

// A tagText is a start tag as it stands in a buffer.
type tagText struct {
	attrs    []attr
	id       int // index of the first id attribute, -1 without
	class    int // the same of class
	overflow bool
	slash    bool   // it closes itself, where that means something
	exact    bool   // it is XML: the case of letters counts
	decoded  []byte // room for values with character references
	known    []decodedAttr
}

// A decodedAttr is an attribute whose value has been decoded: it stands in tagText.decoded.
type decodedAttr struct{ attr, from, to int }

// parse reads the attributes of the tag whose name ends before b[i]. It
// returns the index after its '>', or -1 if b ends before.
func (t *tagText) parse(b []byte, i int) int {
	t.attrs, t.id, t.class, t.overflow = t.attrs[:0], -1, -1, false
	t.decoded, t.known = t.decoded[:0], t.known[:0]
	last := i
	for {
		for i < len(b) && byteClass[b[i]]&cNameEnd != 0 {
			if b[i] == '>' {
				t.slash = b[i-1] == '/' && i-1 >= last
				return i + 1
			}
			i++
		}
		if i >= len(b) {
			return -1
		}
		a := attr{name: int32(i)}
		i = attrNameEnd(b, i)
		a.nameEnd, a.end = int32(i), int32(i)
		for i < len(b) && byteClass[b[i]]&cSpace != 0 {
			i++
		}
		if i >= len(b) {
			return -1
		}
		if b[i] == '=' {
			var from, to int
			if from, to, i = scanValue(b, i+1); i < 0 {
				return -1
			}
			a.from, a.to, a.end = int32(from), int32(to), int32(i)
		}
		last = int(a.end)
		t.add(b, a)
	}
}

func (t *tagText) add(b []byte, a attr) {
	if len(t.attrs) == maxAttrs {
		t.overflow = true
		return
	}
	switch a.nameEnd - a.name {
	case 2:
		if t.id < 0 && t.named(b, &a, "id") {
			t.id = len(t.attrs)
		}
	case 5:
		if t.class < 0 && t.named(b, &a, "class") {
			t.class = len(t.attrs)
		}
	}
	t.attrs = append(t.attrs, a)
}

// find returns the index of the first attribute of that name (in HTML lower case), or -1.
func (t *tagText) find(b []byte, name string) int {
	for i := range t.attrs {
		if t.named(b, &t.attrs[i], name) {
			return i
		}
	}
	return -1
}

// named tells whether the attribute has that name (in HTML lower case).
func (t *tagText) named(b []byte, a *attr, name string) bool {
	if int(a.nameEnd-a.name) != len(name) {
		return false
	}
	if t.exact {
		return string(b[a.name:a.nameEnd]) == name
	}
	return lower[b[a.name]] == name[0] && foldEqual(b[a.name:a.nameEnd], name)
}

// value returns the value of attribute i with character references decoded.
func (t *tagText) value(b []byte, i int) []byte {
	v := b[t.attrs[i].from:t.attrs[i].to]
	if bytes.IndexByte(v, '&') < 0 {
		return v
	}
	for _, k := range t.known {
		if k.attr == i {
			return t.decoded[k.from:k.to]
		}
	}
	from := len(t.decoded)
	if t.exact {
		t.decoded = decodeXML(t.decoded, v)
	} else {
		t.decoded = decodeValue(t.decoded, v)
	}
	t.known = append(t.known, decodedAttr{i, from, len(t.decoded)})
	return t.decoded[from:]
}

func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower[b[i]] != s[i] {
			return false
		}
	}
	return true
}

// cutToken splits the first word off v; word is empty when there is none.
func cutToken(v []byte) (word, rest []byte) {
	i := 0
	for i < len(v) && byteClass[v[i]]&cSpace != 0 {
		i++
	}
	j := i
	for j < len(v) && byteClass[v[j]]&cSpace == 0 {
		j++
	}
	return v[i:j], v[j:]
}

func hasToken(v []byte, word string) bool {
	for {
		var w []byte
		if w, v = cutToken(v); len(w) == 0 {
			return false
		}
		if string(w) == word {
			return true
		}
	}
}

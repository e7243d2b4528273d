package rewrite

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one selector.
const (
	maxSelector  = 1024 // bytes
	maxAlts      = 32   // alternatives in a list
	maxCompounds = 32   // compounds in one alternative
	maxParts     = 32   // simple selectors in one compound, its type aside
	maxNesting   = 4    // functions within one another: :not(:is(a)) has two
)

// A chain is a complex selector: compounds from the leftmost to the subject.
// comb[i] joins parts[i] to parts[i-1]; comb[0] is descendant, or in :has the
// leading combinator.
type chain struct {
	parts []compound
	comb  []combinator
}

type combinator uint8

const (
	descendant combinator = iota
	childOf               // >
	nextTo                // +
	after                 // ~
)

// A compound is a run of simple selectors that one element has to meet.
type compound struct {
	tag     string // as written; "" for any
	ids     []string
	classes []string
	attrs   []attrTest
	pseudos []pseudo
}

// An attrTest is an attribute selector.
type attrTest struct {
	name  string // as written
	op    byte   // 0 (is there), '=', or the first byte of an operator
	value string
	fold  bool // flag i: ASCII case does not matter
	exact bool // flag s: it does, also where HTML says that it does not (see foldsInHTML)
}

// A pseudo is a pseudo-class. :first-child is pseudoNth with b 1, :only-child
// that and pseudoNthLast with b 1, and so on for the types.
type pseudo struct {
	kind pseudoKind
	list []chain // of is, not and has; of nth the S, of one compound each, nil without "of"
	a, b int     // of nth: an+b for n = 0, 1, ...; within ±maxNth
}

type pseudoKind uint8

const (
	pseudoIs  pseudoKind = iota // also :where; nothing meets an empty list
	pseudoNot                   // the list is not empty, and has no empty compound
	pseudoHas                   // the chains are relative: comb[0] joins to the element itself
	pseudoEmpty
	pseudoRoot
	pseudoNth
	pseudoNthLast
	pseudoNthType
	pseudoNthLastType
)

// CheckSelector tells whether s is a selector that this package can match. It
// takes, of Selectors Level 4: type, universal, id, class and attribute
// selectors with all operators and the flags i and s; compounds and lists of
// them; the combinators descendant, child (>), next (+) and later sibling (~);
// and these pseudo-classes: :is, :where, :not and :has, :nth-child and
// :nth-last-child (An+B, and "of" with compounds), :nth-of-type and
// :nth-last-of-type, :first-child, :last-child, :only-child, :first-of-type,
// :last-of-type, :only-of-type, :empty and :root.
//
// It is stricter than a browser where that helps whoever writes a selector: a
// list with one part that is wrong is wrong as a whole, within :is too; what is
// open at the end (a bracket, a quote) is an error; comments and namespaces are
// refused (a prefix in XML is part of the name, its colon escaped). :has may not
// stand within :has.
//
// A selector has at most 1,024 bytes, 32 alternatives in a list, 32 compounds
// in an alternative, 32 simple selectors in a compound, and functions nested 4
// deep.
//
// The error names the column, counted in characters from 1, what was expected
// there and what was found.
func CheckSelector(s string) error {
	_, err := parseSelector(s)
	return err
}

func parseSelector(s string) ([]chain, error) {
	if len(s) > maxSelector {
		return nil, fmt.Errorf("selector has %d bytes, at most %d are allowed", len(s), maxSelector)
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("selector has a NUL or is not valid UTF-8")
	}
	p := selectorParser{s: s}
	return p.list(wholeChains)
}

// parseCompound reads a selector that consists of a single compound.
func parseCompound(s string) (compound, error) {
	list, err := parseSelector(s)
	if err != nil {
		return compound{}, err
	}
	if len(list) != 1 || len(list[0].parts) != 1 {
		return compound{}, fmt.Errorf("selector %q: expected one compound, without combinators or commas", s)
	}
	return list[0].parts[0], nil
}

// late tells whether the start tag, with what came before it, does not suffice
// to answer for the compound or for anything in it: the element's content or
// later siblings matter.
func (c *compound) late() bool {
	for i := range c.pseudos {
		switch p := &c.pseudos[i]; p.kind {
		case pseudoHas, pseudoEmpty, pseudoNthLast, pseudoNthLastType:
			return true
		default:
			for j := range p.list {
				if p.list[j].late() {
					return true
				}
			}
		}
	}
	return false
}

// late tells whether one of the compounds is late.
func (c *chain) late() bool {
	for i := range c.parts {
		if c.parts[i].late() {
			return true
		}
	}
	return false
}

// key is a text that two compounds share only if they match the same elements,
// whatever the page.
func (c *compound) key() string { return string(c.appendKey(nil)) }

// key is a text that two chains share only if they match the same elements.
func (c *chain) key() string { return string(c.appendKey(nil)) }

// appendKey appends the key to dst. Every string has its length before it, so
// that no two sequences of parts read the same.
func (c *compound) appendKey(dst []byte) []byte {
	dst = appendCounted(dst, '<', c.tag)
	for _, id := range c.ids {
		dst = appendCounted(dst, '#', id)
	}
	for _, class := range c.classes {
		dst = appendCounted(dst, '.', class)
	}
	for i := range c.attrs {
		dst = c.attrs[i].appendKey(dst)
	}
	for i := range c.pseudos {
		dst = c.pseudos[i].appendKey(dst)
	}
	return dst
}

func (c *chain) appendKey(dst []byte) []byte {
	for i := range c.parts {
		dst = append(dst, " >+~"[c.comb[i]])
		dst = c.parts[i].appendKey(dst)
	}
	return dst
}

func (t *attrTest) appendKey(dst []byte) []byte {
	dst = appendCounted(dst, '[', t.name)
	switch {
	case t.op == 0:
		return dst
	case t.fold:
		dst = append(dst, 'i')
	case t.exact:
		dst = append(dst, 's')
	}
	from := len(dst)
	dst = appendCounted(dst, t.op, t.value)
	if t.fold {
		for i := from; i < len(dst); i++ {
			dst[i] = lower[dst[i]]
		}
	}
	return dst
}

func (p *pseudo) appendKey(dst []byte) []byte {
	dst = append(dst, ':', 'a'+byte(p.kind))
	switch p.kind {
	case pseudoNth, pseudoNthLast, pseudoNthType, pseudoNthLastType:
		dst = append(strconv.AppendInt(dst, int64(p.a), 10), 'n')
		dst = strconv.AppendInt(dst, int64(p.b), 10)
	}
	if p.list == nil {
		return dst
	}
	dst = append(dst, '(')
	for i := range p.list {
		dst = append(p.list[i].appendKey(dst), ',')
	}
	return append(dst, ')')
}

func appendCounted(dst []byte, kind byte, s string) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	return append(append(dst, ':'), s...)
}

// foldsInHTML tells whether the case of the attribute's value does not matter
// in HTML although no flag says so: the list of WHATWG HTML 4.16.2.
func (t *attrTest) foldsInHTML() bool {
	if t.op == 0 || t.exact {
		return false
	}
	switch lowerASCII(t.name) {
	case "accept", "accept-charset", "align", "alink", "axis", "bgcolor", "charset", "checked", "clear", "codetype",
		"color", "compact", "declare", "defer", "dir", "direction", "disabled", "enctype", "face", "frame", "hreflang",
		"http-equiv", "lang", "language", "link", "media", "method", "multiple", "nohref", "noresize", "noshade",
		"nowrap", "readonly", "rel", "rev", "rules", "scope", "scrolling", "selected", "shape", "target", "text",
		"type", "valign", "valuetype", "vlink":
		return true
	}
	return false
}

// ok tells whether v, an attribute's value, passes the test (Selectors 4, 6.1
// and 6.2).
func (t *attrTest) ok(v []byte) bool {
	w := t.value
	switch t.op {
	case 0:
		return true
	case '=':
		return len(v) == len(w) && t.same(v)
	case '|':
		return len(v) >= len(w) && (len(v) == len(w) || v[len(w)] == '-') && t.same(v[:len(w)])
	case '~':
		return w != "" && t.hasToken(v)
	case '^':
		return w != "" && len(v) >= len(w) && t.same(v[:len(w)])
	case '$':
		return w != "" && len(v) >= len(w) && t.same(v[len(v)-len(w):])
	case '*':
		return w != "" && t.within(v)
	}
	return false
}

// same compares v, which is as long as the value, with it.
func (t *attrTest) same(v []byte) bool {
	if !t.fold {
		return string(v) == t.value
	}
	for i := range v {
		if lower[v[i]] != lower[t.value[i]] {
			return false
		}
	}
	return true
}

// hasToken tells whether the value is one of the words of v.
func (t *attrTest) hasToken(v []byte) bool {
	for i := 0; i < len(v); {
		if byteClass[v[i]]&cSpace != 0 {
			i++
			continue
		}
		from := i
		for i < len(v) && byteClass[v[i]]&cSpace == 0 {
			i++
		}
		if i-from == len(t.value) && t.same(v[from:i]) {
			return true
		}
	}
	return false
}

// within tells whether the value, which is not empty, stands in v. Its time is
// linear: a search that began to cost more goes on by a rolling hash.
func (t *attrTest) within(v []byte) bool {
	w := t.value
	if !t.fold {
		for missed := 0; missed < 16; missed++ {
			i := bytes.IndexByte(v, w[0])
			if i < 0 || len(v)-i < len(w) {
				return false
			}
			if string(v[i:i+len(w)]) == w {
				return true
			}
			v = v[i+1:]
		}
	}
	if len(v) < len(w) {
		return false
	}
	// Rabin and Karp: the hash of the bytes x0 x1 ... is x0*r^(n-1) + x1*r^(n-2) + ...
	const r = 16777619
	var want, have uint32
	out := uint32(1) // r^len(w), what the byte that leaves counts
	for i := range len(w) {
		want = want*r + uint32(lower[w[i]])
		have = have*r + uint32(lower[v[i]])
		out *= r
	}
	for i := len(w); ; i++ {
		if have == want && t.same(v[i-len(w):i]) {
			return true
		}
		if i == len(v) {
			return false
		}
		have = have*r + uint32(lower[v[i]]) - out*uint32(lower[v[i-len(w)]])
	}
}

func lowerASCII(s string) string {
	for i := range len(s) {
		if lower[s[i]] != s[i] {
			b := []byte(s)
			for j := range b {
				b[j] = lower[b[j]]
			}
			return string(b)
		}
	}
	return s
}

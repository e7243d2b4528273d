package rewrite

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of one selector.
const (
	maxSelector  = 1024 // bytes
	maxAlts      = 32   // alternatives in a list
	maxCompounds = 32   // compounds in one alternative
	maxParts     = 32   // ids, classes and attribute tests in one compound
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
}

// A pseudo is a pseudo-class.
type pseudo struct {
	kind pseudoKind
	list []chain // of is, not and has; of nth the S, of compounds only, nil without one
	a, b int     // of nth: an+b
}

type pseudoKind uint8

const (
	pseudoIs pseudoKind = iota // also :where
	pseudoNot
	pseudoHas
	pseudoEmpty
	pseudoRoot
	pseudoNth
	pseudoNthLast
	pseudoNthType
	pseudoNthLastType
)

// CheckSelector tells whether s is a selector that this package can match:
// type, universal, id, class and attribute selectors (Selectors Level 4,
// sections 5 and 6), compounds of them, descendant and child combinators, and
// lists. Its error names the column, counted in characters from 1, and what was expected.
func CheckSelector(s string) error {
	_, err := parseSelector(s)
	return err
}

type selectorParser struct {
	s string
	i int
}

func parseSelector(s string) ([]chain, error) {
	if len(s) > maxSelector {
		return nil, fmt.Errorf("selector has %d bytes, at most %d are allowed", len(s), maxSelector)
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("selector is not valid UTF-8")
	}
	p := &selectorParser{s: s}
	var list []chain
	for {
		one, err := p.chain()
		if err != nil {
			return nil, err
		}
		if list = append(list, one); len(list) > maxAlts {
			return nil, p.fail(fmt.Sprintf("at most %d selectors in a list", maxAlts))
		}
		if p.i == len(p.s) {
			return list, nil
		}
		p.i++ // the comma, at which chain stops
	}
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

func (p *selectorParser) fail(want string) error {
	got := "the end"
	if p.i < len(p.s) {
		r, _ := utf8.DecodeRuneInString(p.s[p.i:])
		got = fmt.Sprintf("%q", r)
	}
	return fmt.Errorf("selector %q, column %d: expected %s, found %s",
		p.s, utf8.RuneCountInString(p.s[:p.i])+1, want, got)
}

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

func (p *selectorParser) chain() (chain, error) {
	var out chain
	join := descendant
	p.space()
	for {
		c, err := p.compound()
		if err != nil {
			return out, err
		}
		out.parts, out.comb = append(out.parts, c), append(out.comb, join)
		if len(out.parts) > maxCompounds {
			return out, p.fail(fmt.Sprintf("at most %d compounds", maxCompounds))
		}
		spaced := p.space()
		switch c := p.peek(); {
		case p.i == len(p.s) || c == ',':
			return out, nil
		case c == '>':
			p.i++
			p.space()
			join = childOf
		case c == '+' || c == '~' || c == '|' || c == ')' || c == '{':
			return out, p.fail("a combinator that is carried out here (space or '>'), ',' or the end")
		case spaced:
			join = descendant
		default:
			return out, p.fail("'#', '.', '[', a combinator (space or '>'), ',' or the end")
		}
	}
}

func (p *selectorParser) compound() (compound, error) {
	var c compound
	from := p.i
	switch {
	case p.peek() == '*':
		p.i++
	case p.identAhead():
		name, err := p.ident("a type name")
		if err != nil {
			return c, err
		}
		c.tag = name
	}
	for parts := 0; ; parts++ {
		if parts > maxParts {
			return c, p.fail(fmt.Sprintf("at most %d ids, classes and attributes in one compound", maxParts))
		}
		var err error
		var name string
		switch p.peek() {
		case '#':
			p.i++
			name, err = p.ident("the name of an id")
			c.ids = append(c.ids, name)
		case '.':
			p.i++
			name, err = p.ident("the name of a class")
			c.classes = append(c.classes, name)
		case '[':
			p.i++
			var a attrTest
			a, err = p.attribute()
			c.attrs = append(c.attrs, a)
		case ':':
			return c, p.fail("a type, '*', '#', '.' or '[' (pseudo-classes are not carried out here)")
		default:
			if p.i == from {
				return c, p.fail("a type, '*', '#', '.' or '['")
			}
			return c, nil
		}
		if err != nil {
			return c, err
		}
	}
}

func (p *selectorParser) attribute() (attrTest, error) {
	var a attrTest
	p.space()
	name, err := p.ident("the name of an attribute")
	if err != nil {
		return a, err
	}
	a.name = name
	p.space()
	switch c := p.peek(); c {
	case ']':
		p.i++
		return a, nil
	case '=':
		a.op = '='
		p.i++
	case '~', '|', '^', '$', '*':
		a.op = c
		p.i++
		if p.peek() != '=' {
			return a, p.fail("'='")
		}
		p.i++
	default:
		return a, p.fail("']', '=', '~=', '|=', '^=', '$=' or '*='")
	}
	p.space()
	if q := p.peek(); q == '"' || q == '\'' {
		a.value, err = p.quoted(q)
	} else {
		a.value, err = p.ident("a name or a quoted string")
	}
	if err != nil {
		return a, err
	}
	p.space()
	if p.peek() != ']' {
		return a, p.fail("']'")
	}
	p.i++
	return a, nil
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
		if !nameStart(c) && byteClass[c]&cAlnum == 0 && c != '-' {
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
		case nameStart(c) || byteClass[c]&cAlnum != 0 || c == '-':
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
		if strings.HasPrefix(p.s[p.i:], "\r\n") {
			p.i++
		}
		p.i++
	}
	if r == 0 || !utf8.ValidRune(r) {
		r = utf8.RuneError
	}
	return r, nil
}

func (p *selectorParser) quoted(q byte) (string, error) {
	var b strings.Builder
	p.i++
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
			if p.peek() == '\n' { // an escaped line break stands for nothing
				p.i++
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

// ok tells whether v, an attribute's value, passes the test.
func (t *attrTest) ok(v []byte) bool {
	w := t.value
	switch t.op {
	case '=':
		return string(v) == w
	case '~':
		return w != "" && hasToken(v, w)
	case '|':
		return len(v) >= len(w) && string(v[:len(w)]) == w && (len(v) == len(w) || v[len(w)] == '-')
	case '^':
		return w != "" && len(v) >= len(w) && string(v[:len(w)]) == w
	case '$':
		return w != "" && len(v) >= len(w) && string(v[len(v)-len(w):]) == w
	case '*':
		if w == "" {
			return false
		}
		for i := 0; i+len(w) <= len(v); i++ {
			if string(v[i:i+len(w)]) == w {
				return true
			}
		}
		return false
	}
	return true
}

// key is a text that two compounds share only if they match the same elements.
func (c *compound) key() string {
	return fmt.Sprintf("%q%q%q%v%v", c.tag, c.ids, c.classes, c.attrs, c.pseudos)
}

// key is a text that two chains share only if they match the same elements.
func (c *chain) key() string {
	s := ""
	for i := range c.parts {
		s += string(" >+~"[c.comb[i]]) + c.parts[i].key()
	}
	return s
}

// late tells whether the start tag does not suffice to answer for the compound
// or for anything in it: the element's content or later siblings matter.
func (c *compound) late() bool {
	for i := range c.pseudos {
		switch p := &c.pseudos[i]; p.kind {
		case pseudoHas, pseudoEmpty, pseudoNthLast, pseudoNthLastType:
			return true
		default:
			for j := range p.list {
				for k := range p.list[j].parts {
					if p.list[j].parts[k].late() {
						return true
					}
				}
			}
		}
	}
	return false
}

package rewrite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	nethtml "golang.org/x/net/html"
)

// The oracle's own reading of selectors (Selectors Level 4), over the tree of
// x/net/html and as plain as can be: no index, no order of visits, every
// question answered by walking the tree. It shares nothing with the rewriter,
// and where cascadia knows a selector too the two have to agree.

// An xchain is a complex selector; comb[i] stands before parts[i].
type xchain struct {
	parts []xcompound
	comb  []byte // ' ', '>', '+' or '~'; that of parts[0] counts in :has only
}

type xcompound []func(*nethtml.Node) bool

// blankIsEmpty says whether :empty takes elements with nothing but space in
// them: the draft of Selectors Level 4 does, as cascadia does; browsers do not yet.
const blankIsEmpty = false

// An xparser reads selectors that are valid; it panics on others.
type xparser struct{ s string }

func xselector(s string) []xchain {
	p := &xparser{s}
	list := p.list(false)
	if p.s != "" {
		panic(fmt.Sprintf("left of %q: %q", s, p.s))
	}
	return list
}

func (p *xparser) spaces() bool {
	before := len(p.s)
	p.s = strings.TrimLeft(p.s, " \t\n")
	return len(p.s) < before
}

func (p *xparser) eat(s string) bool {
	rest, ok := strings.CutPrefix(p.s, s)
	p.s = rest
	return ok
}

func (p *xparser) need(s string) {
	if !p.eat(s) {
		panic(fmt.Sprintf("expected %q before %q", s, p.s))
	}
}

func (p *xparser) name() string {
	i, out := 0, ""
	for i < len(p.s) {
		c := p.s[i]
		if c == '\\' && i+1 < len(p.s) {
			i++
			out += p.s[i : i+1]
		} else if c >= 0x80 || c == '-' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			out += p.s[i : i+1]
		} else {
			break
		}
		i++
	}
	p.s = p.s[i:]
	return out
}

func (p *xparser) list(relative bool) (all []xchain) {
	p.spaces()
	if strings.HasPrefix(p.s, ")") {
		return nil
	}
	for {
		all = append(all, p.chain(relative))
		p.spaces()
		if !p.eat(",") {
			return all
		}
		p.spaces()
	}
}

func (p *xparser) chain(relative bool) (c xchain) {
	comb := byte(' ')
	if relative {
		comb = p.combinator(comb)
	}
	for {
		c.parts, c.comb = append(c.parts, p.compound()), append(c.comb, comb)
		spaced := p.spaces()
		if p.s == "" || p.s[0] == ',' || p.s[0] == ')' {
			return c
		}
		if comb = p.combinator(0); comb == 0 {
			if comb = ' '; !spaced {
				panic("no combinator before " + p.s)
			}
		}
	}
}

func (p *xparser) combinator(none byte) byte {
	if p.s != "" && strings.Contains(">+~", p.s[:1]) {
		none, p.s = p.s[0], p.s[1:]
		p.spaces()
	}
	return none
}

func (p *xparser) compound() (c xcompound) {
	if !p.eat("*") {
		if n := p.name(); n != "" {
			c = append(c, func(x *nethtml.Node) bool { return strings.EqualFold(x.Data, n) })
		}
	}
	for {
		switch {
		case p.eat("#"):
			n := p.name()
			c = append(c, func(x *nethtml.Node) bool { v, _ := attrOf(x, "id"); return v == n })
		case p.eat("."):
			n := p.name()
			c = append(c, func(x *nethtml.Node) bool { v, _ := attrOf(x, "class"); return slices.Contains(strings.Fields(v), n) })
		case p.eat("["):
			c = append(c, p.attribute())
		case p.eat(":"):
			c = append(c, p.pseudo(strings.ToLower(p.name())))
		default:
			return c
		}
	}
}

func (p *xparser) attribute() func(*nethtml.Node) bool {
	p.spaces()
	name := p.name()
	p.spaces()
	op := ""
	if i := strings.IndexAny(p.s, "=]"); p.s[i] == '=' {
		op, p.s = p.s[:i+1], p.s[i+1:]
	}
	p.spaces()
	want := ""
	if op != "" {
		if q := p.s[0]; q == '"' || q == '\'' {
			i := strings.IndexByte(p.s[1:], q) + 1
			want, p.s = p.s[1:i], p.s[i+1:]
		} else {
			want = p.name()
		}
	}
	p.spaces()
	fold := p.eat("i") || p.eat("I")
	if !fold && !p.eat("s") {
		p.eat("S")
	}
	p.spaces()
	p.need("]")
	return func(x *nethtml.Node) bool {
		have, ok := attrOf(x, asciiLower(name))
		want := want
		if fold {
			have, want = asciiLower(have), asciiLower(want)
		}
		switch op {
		case "":
			return ok
		case "=":
			return ok && have == want
		case "~=":
			return want != "" && slices.Contains(strings.FieldsFunc(have, func(r rune) bool { return strings.ContainsRune(" \t\n\f\r", r) }), want)
		case "|=":
			return ok && (have == want || strings.HasPrefix(have, want+"-"))
		case "^=":
			return want != "" && strings.HasPrefix(have, want)
		case "$=":
			return want != "" && strings.HasSuffix(have, want)
		case "*=":
			return want != "" && strings.Contains(have, want)
		}
		panic(op)
	}
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func (p *xparser) pseudo(name string) func(*nethtml.Node) bool {
	switch name {
	case "is", "where", "not", "has":
		p.need("(")
		list := p.list(name == "has")
		p.need(")")
		switch name {
		case "not":
			return func(x *nethtml.Node) bool { return !anyMatches(list, x) }
		case "has":
			return func(x *nethtml.Node) bool { return xhas(list, x) }
		}
		return func(x *nethtml.Node) bool { return anyMatches(list, x) }
	case "empty":
		return func(x *nethtml.Node) bool {
			return !slices.ContainsFunc(kids(x), func(c *nethtml.Node) bool {
				return c.Type == nethtml.ElementNode || c.Type == nethtml.TextNode && !(blankIsEmpty && strings.TrimSpace(c.Data) == "")
			})
		}
	case "root":
		return func(x *nethtml.Node) bool { return x.Parent != nil && x.Parent.Type == nethtml.DocumentNode }
	case "first-child":
		return xnth(0, 1, false, false, nil)
	case "last-child":
		return xnth(0, 1, true, false, nil)
	case "only-child":
		return xboth(xnth(0, 1, false, false, nil), xnth(0, 1, true, false, nil))
	case "first-of-type":
		return xnth(0, 1, false, true, nil)
	case "last-of-type":
		return xnth(0, 1, true, true, nil)
	case "only-of-type":
		return xboth(xnth(0, 1, false, true, nil), xnth(0, 1, true, true, nil))
	case "nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type":
		p.need("(")
		a, b := p.formula()
		var of []xchain
		if p.spaces(); p.eat("of") {
			of = p.list(false)
		}
		p.need(")")
		return xnth(a, b, strings.Contains(name, "last"), strings.HasSuffix(name, "type"), of)
	}
	panic("pseudo-class " + name)
}

func xboth(f, g func(*nethtml.Node) bool) func(*nethtml.Node) bool {
	return func(x *nethtml.Node) bool { return f(x) && g(x) }
}

// formula reads an+b up to ")" or "of".
func (p *xparser) formula() (a, b int) {
	i := strings.IndexByte(p.s, ')')
	if j := strings.Index(p.s, " of "); j >= 0 && j < i {
		i = j
	}
	s := strings.ToLower(strings.ReplaceAll(p.s[:i], " ", ""))
	p.s = p.s[i:]
	switch s {
	case "odd":
		return 2, 1
	case "even":
		return 2, 0
	}
	before, after, hasN := strings.Cut(s, "n")
	if !hasN {
		return 0, must(strconv.Atoi(s))
	}
	switch before {
	case "", "+":
		a = 1
	case "-":
		a = -1
	default:
		a = must(strconv.Atoi(before))
	}
	if after != "" {
		b = must(strconv.Atoi(after))
	}
	return a, b
}

// xnth tells whether x is number a*k+b, for some k from 0 on, of its siblings.
func xnth(a, b int, last, typed bool, of []xchain) func(*nethtml.Node) bool {
	return func(x *nethtml.Node) bool {
		if of != nil && !anyMatches(of, x) {
			return false
		}
		at := 1
		step := elementBefore
		if last {
			step = elementAfter
		}
		for s := step(x); s != nil; s = step(s) {
			if (!typed || s.Data == x.Data && s.Namespace == x.Namespace) && (of == nil || anyMatches(of, s)) {
				at++
			}
		}
		for k := range at + 1 + max(b, -b) {
			if a*k+b == at {
				return true
			}
		}
		return false
	}
}

func elementBefore(x *nethtml.Node) *nethtml.Node {
	for x = x.PrevSibling; x != nil && x.Type != nethtml.ElementNode; x = x.PrevSibling {
	}
	return x
}

func elementAfter(x *nethtml.Node) *nethtml.Node {
	for x = x.NextSibling; x != nil && x.Type != nethtml.ElementNode; x = x.NextSibling {
	}
	return x
}

// kids are the child nodes in the page: what is in a template is not.
func kids(x *nethtml.Node) (all []*nethtml.Node) {
	if x.Data == "template" && x.Namespace == "" {
		return nil
	}
	for c := x.FirstChild; c != nil; c = c.NextSibling {
		all = append(all, c)
	}
	return all
}

func anyMatches(list []xchain, x *nethtml.Node) bool {
	return slices.ContainsFunc(list, func(c xchain) bool { return c.at(len(c.parts)-1, x, nil) })
}

// at tells whether the chain up to part i holds with x as its subject, from
// anchor on if there is one.
func (c xchain) at(i int, x, anchor *nethtml.Node) bool {
	for _, test := range c.parts[i] {
		if !test(x) {
			return false
		}
	}
	next := func(y *nethtml.Node) bool {
		switch {
		case y == nil || y.Type != nethtml.ElementNode:
			return false
		case i > 0:
			return c.at(i-1, y, anchor)
		}
		return y == anchor
	}
	if i == 0 && anchor == nil {
		return true
	}
	switch c.comb[i] {
	case '>':
		return next(x.Parent)
	case '+':
		return next(elementBefore(x))
	case '~':
		for y := elementBefore(x); y != nil; y = elementBefore(y) {
			if next(y) {
				return true
			}
		}
		return false
	}
	for y := x.Parent; y != nil; y = y.Parent {
		if next(y) {
			return true
		}
	}
	return false
}

// xhas looks at all that a relative selector can reach from x.
func xhas(list []xchain, x *nethtml.Node) bool {
	found := false
	var look func(y *nethtml.Node)
	look = func(y *nethtml.Node) {
		if y.Type != nethtml.ElementNode || found {
			return
		}
		for _, c := range list {
			found = found || c.at(len(c.parts)-1, y, x)
		}
		for _, k := range kids(y) {
			look(k)
		}
	}
	for _, k := range kids(x) {
		look(k)
	}
	for s := elementAfter(x); s != nil; s = elementAfter(s) {
		look(s)
	}
	return found
}

// selectAll returns the elements of the page that match.
func selectAll(doc *nethtml.Node, selector string) (all []*nethtml.Node) {
	list := xselector(selector)
	for n := range doc.Descendants() {
		if n.Type == nethtml.ElementNode && !inTemplate(n) && anyMatches(list, n) {
			all = append(all, n)
		}
	}
	return all
}

// cascadiaKnows tells whether cascadia 1.3.5 reads the selector as the standard
// does. It does not know :is, :where, "of S" and the flag s; in :has it knows
// no combinator before the first compound, and lets the other compounds lie
// outside the element.
func cascadiaKnows(s string) bool {
	if !blankIsEmpty && strings.Contains(s, ":empty") {
		return false
	}
	for _, odd := range []string{":is(", ":where(", " of ", " s]", ":has(>", ":has(+", ":has(~", ":has( "} {
		if strings.Contains(s, odd) {
			return false
		}
	}
	for rest := s; ; {
		_, inside, ok := strings.Cut(rest, ":has(")
		if !ok {
			return true
		}
		if i := strings.IndexByte(inside, ')'); strings.ContainsAny(inside[:i], " >+~") {
			return false
		}
		rest = inside
	}
}

// The two readings of selectors agree, and each kind of selector finds something.
func TestOracleSelectors(t *testing.T) {
	parts := []string{" ", ">", "+", "~", ",", ":not(", ":is(", ":has(", ":has(>", ":has(+", ":has(~", "nth-child", "nth-last-child", "of-type", " of ", ":empty", ":root", "only", "first", "last", " i]", "^=", "$=", "*=", "~=", "|="}
	found := map[string]int{}
	compared := 0
	for seed := range 600 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 11))
		g := &pageWriter{Rand: rnd}
		doc := must(nethtml.Parse(strings.NewReader(randomPage(rnd, 1500))))
		for n := range doc.Descendants() {
			for n.Data == "template" && n.FirstChild != nil { // cascadia would look inside
				n.RemoveChild(n.FirstChild)
			}
		}
		for range 20 {
			s := g.selector()
			ours := selectAll(doc, s)
			for _, p := range parts {
				if strings.Contains(s, p) && len(ours) > 0 {
					found[p]++
				}
			}
			if !cascadiaKnows(s) {
				continue
			}
			compared++
			theirs := slices.DeleteFunc(cascadia.QueryAll(doc, must(cascadia.ParseGroup(s))), inTemplate)
			if !slices.Equal(ours, theirs) {
				t.Fatalf("seed %d: %s finds %d, by cascadia %d", seed, s, len(ours), len(theirs))
			}
		}
	}
	for _, p := range parts {
		if found[p] < 20 {
			t.Errorf("selectors with %q found something %d times", p, found[p])
		}
	}
	if compared < 3000 {
		t.Errorf("%d selectors were compared", compared)
	}
}

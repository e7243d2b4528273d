package rewrite

import (
	"fmt"
	"strings"
)

// maxNth bounds the numbers of An+B: no page has as many elements, and an+b
// cannot overflow. Larger ones count as this (CSS Syntax 6. leaves it open).
const maxNth = 1 << 30

// A pseudoArg says what stands in the parentheses of a pseudo-class.
type pseudoArg uint8

const (
	argNone     pseudoArg = iota
	argList               // selectors, or nothing
	argSome               // selectors
	argRelative           // selectors that may begin with a combinator
	argNth                // An+B
	argNthOf              // An+B, and "of" and compounds
)

type pseudoName struct {
	name string
	arg  pseudoArg
	kind pseudoKind
	b    int  // without an argument, of nth
	also bool // the mirror image, which is the kind after it, has to hold too
}

// pseudoNames are the pseudo-classes that are known, in order of their names.
var pseudoNames = [...]pseudoName{
	{name: "empty", kind: pseudoEmpty},
	{name: "first-child", kind: pseudoNth, b: 1},
	{name: "first-of-type", kind: pseudoNthType, b: 1},
	{name: "has", arg: argRelative, kind: pseudoHas},
	{name: "is", arg: argList, kind: pseudoIs},
	{name: "last-child", kind: pseudoNthLast, b: 1},
	{name: "last-of-type", kind: pseudoNthLastType, b: 1},
	{name: "not", arg: argSome, kind: pseudoNot},
	{name: "nth-child", arg: argNthOf, kind: pseudoNth},
	{name: "nth-last-child", arg: argNthOf, kind: pseudoNthLast},
	{name: "nth-last-of-type", arg: argNth, kind: pseudoNthLastType},
	{name: "nth-of-type", arg: argNth, kind: pseudoNthType},
	{name: "only-child", kind: pseudoNth, b: 1, also: true},
	{name: "only-of-type", kind: pseudoNthType, b: 1, also: true},
	{name: "root", kind: pseudoRoot},
	{name: "where", arg: argList, kind: pseudoIs},
}

// pseudoClass reads what follows a ':' into c.
func (p *selectorParser) pseudoClass(c *compound) error {
	at := p.i - 1
	if p.peek() == ':' {
		return p.wrong(at, "pseudo-elements are not known here: they are no elements of the page")
	}
	written, err := p.ident("the name of a pseudo-class")
	if err != nil {
		return err
	}
	name := lowerASCII(written)
	var known *pseudoName
	for i := range pseudoNames {
		if pseudoNames[i].name == name {
			known = &pseudoNames[i]
		}
	}
	switch {
	case known == nil:
		return p.unknownPseudo(at, name)
	case p.inHas && known.kind == pseudoHas:
		return p.wrong(at, "':has' may not stand within ':has'") // Selectors 4, 4.5
	case known.arg == argNone:
		if p.peek() == '(' {
			return p.wrong(p.i, fmt.Sprintf("':%s' takes no argument", name))
		}
		c.pseudos = append(c.pseudos, pseudo{kind: known.kind, b: known.b})
		if known.also {
			c.pseudos = append(c.pseudos, pseudo{kind: known.kind + 1, b: known.b})
		}
		return nil
	case p.peek() != '(':
		return p.fail(fmt.Sprintf("'(' after ':%s'", name))
	case p.depth == maxNesting:
		return p.wrong(p.i, fmt.Sprintf("expected functions at most %d deep", maxNesting))
	}
	p.i++
	one, err := p.argument(known)
	if err != nil {
		return err
	}
	c.pseudos = append(c.pseudos, one)
	return nil
}

// argument reads what follows the '(' of a pseudo-class, and the ')'.
func (p *selectorParser) argument(known *pseudoName) (pseudo, error) {
	one := pseudo{kind: known.kind}
	was := p.inHas
	p.depth++
	p.inHas = was || known.kind == pseudoHas
	p.space()
	var err error
	switch known.arg {
	case argList, argSome:
		if p.peek() != ')' || known.arg == argSome {
			one.list, err = p.list(wholeChains)
		}
	case argRelative:
		one.list, err = p.list(relativeChains)
	default:
		err = p.nth(&one, known.arg == argNthOf)
	}
	if err != nil {
		return one, err
	}
	p.i++ // the ')', at which list and nth stop
	p.depth--
	p.inHas = was
	return one, nil
}

// nth reads An+B (CSS Syntax 6.) into one and, if of is true, "of" and what
// follows, up to the ')'.
func (p *selectorParser) nth(one *pseudo, of bool) error {
	if err := p.anPlusB(one); err != nil {
		return err
	}
	want := "')'"
	if of {
		want = "\"of\" or ')'"
	}
	p.space()
	if p.peek() == ')' {
		return nil
	}
	if !of || !p.word("of") {
		return p.fail(want)
	}
	var err error
	one.list, err = p.list(oneCompound)
	return err
}

func (p *selectorParser) anPlusB(one *pseudo) error {
	const want = "An+B (as in 3, 2n+1, -n + 3, odd or even)"
	if p.word("odd") {
		one.a, one.b = 2, 1
		return p.numberEnds()
	}
	if p.word("even") {
		one.a = 2
		return p.numberEnds()
	}
	sign := 1
	switch p.peek() {
	case '-':
		sign = -1
		p.i++
	case '+':
		p.i++
	}
	n, digits := p.digits()
	if lower[p.peek()] != 'n' {
		if !digits {
			return p.fail(want)
		}
		one.b = sign * n
		return p.numberEnds()
	}
	p.i++
	if !digits {
		n = 1
	}
	one.a = sign * n
	end := p.i
	p.space()
	switch p.peek() {
	case '+':
		sign = 1
	case '-':
		sign = -1
	default:
		p.i = end
		return p.numberEnds()
	}
	p.i++
	p.space()
	if n, digits = p.digits(); !digits {
		return p.fail("a digit")
	}
	one.b = sign * n
	return p.numberEnds()
}

// numberEnds fails if what was read goes on as the same token.
func (p *selectorParser) numberEnds() error {
	if c := p.peek(); p.i < len(p.s) && c != ')' && byteClass[c]&cSpace == 0 {
		return p.fail("space or ')' after An+B")
	}
	return nil
}

func (p *selectorParser) digits() (n int, ok bool) {
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		n = min(n*10+int(p.s[p.i]-'0'), maxNth)
		ok = true
		p.i++
	}
	return n, ok
}

// word reads w, lower case, if that is the name that comes next.
func (p *selectorParser) word(w string) bool {
	from := p.i
	if p.identAhead() {
		if name, err := p.ident(""); err == nil && lowerASCII(name) == w {
			return true
		}
	}
	p.i = from
	return false
}

// unknownPseudo says which names are known, and which one may have been meant.
func (p *selectorParser) unknownPseudo(at int, name string) error {
	switch name {
	case "before", "after", "first-line", "first-letter": // CSS 2 wrote these with one colon
		return p.wrong(at, "pseudo-elements are not known here: they are no elements of the page")
	}
	var b strings.Builder
	b.WriteString("expected a pseudo-class that is known here (")
	meant, least := "", 3
	for i := range pseudoNames {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(":" + pseudoNames[i].name)
		if d := editDistance(name, pseudoNames[i].name); d < least && d < len(pseudoNames[i].name) {
			meant, least = pseudoNames[i].name, d
		}
	}
	if r := []rune(name); len(r) > 40 {
		name = string(r[:40]) + "..."
	}
	fmt.Fprintf(&b, "), found ':%s'", name)
	if meant != "" {
		fmt.Fprintf(&b, "; is ':%s' meant?", meant)
	}
	return p.wrong(at, b.String())
}

// editDistance counts the bytes to insert, delete or replace (Levenshtein) that
// make b, of less than 32 bytes, of a. It says 3 where they are clearly more than 2.
func editDistance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return 3
	}
	var row [32]int
	for j := range len(b) + 1 {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = min(d, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

package rewrite

import (
	"fmt"
	"strings"
)

// A selectorParser reads one selector, left to right.
type selectorParser struct {
	s     string
	i     int  // what comes next
	depth int  // functions that are open
	inHas bool // :has is one of them
}

// A listKind says what may stand in a list of selectors.
type listKind uint8

const (
	wholeChains    listKind = iota
	relativeChains          // may begin with a combinator
	oneCompound             // one compound each
)

// list reads selectors up to the end of s, or up to the ')' of the function that is open.
func (p *selectorParser) list(kind listKind) ([]chain, error) {
	list := make([]chain, 0, 1)
	for {
		one, err := p.chain(kind)
		if err != nil {
			return nil, err
		}
		if list = append(list, one); len(list) > maxAlts {
			return nil, p.fail(fmt.Sprintf("at most %d selectors in a list", maxAlts))
		}
		switch {
		case p.peek() == ',':
			p.i++
		case p.i == len(p.s) && p.depth == 0, p.peek() == ')' && p.depth > 0:
			return list, nil
		default:
			return nil, p.fail(p.goesOn(kind))
		}
	}
}

// goesOn says what may follow a compound.
func (p *selectorParser) goesOn(kind listKind) string {
	s := "'#', '.', '[', ':', "
	if kind == oneCompound {
		s = "(in a compound, which is what \"of\" takes) " + s
	} else {
		s += "a combinator (space, '>', '+' or '~'), "
	}
	if p.depth > 0 {
		return s + "',' or ')'"
	}
	return s + "',' or the end"
}

// chain reads one selector of a list, and the space after it.
func (p *selectorParser) chain(kind listKind) (chain, error) {
	out := chain{parts: make([]compound, 0, 2), comb: make([]combinator, 0, 2)}
	p.space()
	join := descendant
	if kind == relativeChains {
		join, _ = p.combinator()
	}
	for {
		if len(out.parts) == maxCompounds {
			return out, p.fail(fmt.Sprintf("at most %d compounds", maxCompounds))
		}
		out.parts, out.comb = append(out.parts, compound{}), append(out.comb, join)
		if err := p.compound(&out.parts[len(out.parts)-1]); err != nil {
			return out, err
		}
		spaced := p.space()
		if c := p.peek(); p.i == len(p.s) || c == ',' || c == ')' || kind == oneCompound {
			return out, nil
		}
		var written bool
		if join, written = p.combinator(); !written && !spaced {
			return out, nil // list says what is wrong
		}
	}
}

// combinator reads a combinator that is written, and the space after it.
func (p *selectorParser) combinator() (c combinator, written bool) {
	switch p.peek() {
	case '>':
		c = childOf
	case '+':
		c = nextTo
	case '~':
		c = after
	default:
		return descendant, false
	}
	p.i++
	p.space()
	return c, true
}

// compound reads into c, which is empty.
func (p *selectorParser) compound(c *compound) error {
	from := p.i
	switch {
	case p.peek() == '*':
		p.i++
	case p.identAhead():
		var err error
		if c.tag, err = p.ident("a type"); err != nil {
			return err
		}
	}
	if p.peek() == '|' && !strings.HasPrefix(p.s[p.i:], "||") { // || would be the column combinator
		return p.namespace()
	}
	for n := 0; ; n++ {
		var err error
		var name string
		at := p.i
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
			p.i++
			err = p.pseudoClass(c)
		default:
			if p.i == from {
				return p.fail("a type, '*', '#', '.', '[' or ':'")
			}
			return nil
		}
		if err != nil {
			return err
		}
		if n == maxParts {
			return p.wrong(at, fmt.Sprintf("expected at most %d simple selectors in a compound", maxParts))
		}
	}
}

// attribute reads what follows a '['.
func (p *selectorParser) attribute() (attrTest, error) {
	var a attrTest
	var err error
	p.space()
	if c := p.peek(); c == '*' || c == '|' {
		return a, p.namespace()
	}
	if a.name, err = p.ident("the name of an attribute"); err != nil {
		return a, err
	}
	p.space()
	switch c := p.peek(); c {
	case ']':
		p.i++
		return a, nil
	case '=':
		a.op = '='
	case '~', '|', '^', '$', '*':
		a.op = c
		p.i++
		if p.peek() != '=' {
			if c == '|' {
				return a, p.namespace()
			}
			return a, p.fail("'='")
		}
	default:
		return a, p.fail("']', '=', '~=', '|=', '^=', '$=' or '*='")
	}
	p.i++
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
	if p.peek() == ']' {
		p.i++
		return a, nil
	}
	return a, p.flag(&a)
}

// flag reads the flag of an attribute selector, and the ']'.
func (p *selectorParser) flag(a *attrTest) error {
	at := p.i
	name := ""
	if p.identAhead() {
		var err error
		if name, err = p.ident("a flag"); err != nil {
			return err
		}
	}
	switch name {
	case "i", "I":
		a.fold = true
	case "s", "S":
		a.exact = true
	default:
		p.i = at
		return p.fail("']' or one of the flags 'i' and 's'")
	}
	p.space()
	if p.peek() != ']' {
		return p.fail("']'")
	}
	p.i++
	return nil
}

func (p *selectorParser) namespace() error {
	return p.wrong(p.i, `namespaces are not known here; a prefix is part of the name, with its colon escaped, as in media\:content`)
}

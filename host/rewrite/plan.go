package rewrite

import (
	"fmt"
	"slices"

	"bespoke/modules/abi"
)

// Defaults of Options.
const (
	DefaultMaxBuffer = 1 << 20
	DefaultMaxTag    = 64 << 10
	DefaultMaxDepth  = 512
)

// Options say how a plan treats a page. The zero value of a limit stands for its default.
type Options struct {
	// Tail is trusted markup that is added after the last byte of the page. It
	// is left out, and Report.Tail says why, where it would not be markup or
	// not be seen: inside a comment, raw text, an unfinished tag, a template, a
	// select, foreign content, a page of frames; and when editing has stopped.
	Tail []byte
	// UTF8 says that the page is known to be UTF-8. Without it, what is
	// inserted and is not ASCII goes out as numeric character references.
	// Tail goes out as it is, so it should be ASCII.
	UTF8 bool
	// Syntax says by which rules the page is read.
	Syntax Syntax
	// MaxBuffer bounds the bytes of an element that has to be complete before
	// it can go out (order, keep). A longer one passes in the page's order.
	MaxBuffer int
	// MaxTag bounds the bytes of one tag. At a longer one editing stops.
	MaxTag int
	// MaxDepth bounds the open elements. At a deeper one editing stops.
	MaxDepth int
}

// A Syntax is a set of rules by which markup is read.
type Syntax uint8

const (
	HTML Syntax = iota // WHATWG HTML 13.2
	XML                // XML 1.0: RSS, Atom, SVG, XHTML
)

// A Plan is a compiled list of edits. It never changes and may be used by many
// Rewriters at the same time.
type Plan struct {
	tail                 []byte
	xml                  bool
	maxBuffer, maxTag    int
	maxDepth             int
	edits                []*prepared
	names                int // how many attribute names the edits have
	routes               []route
	tests                []test
	ids                  []planID
	byID                 map[string]int32 // places in ids
	byClass              map[string][]int32
	byTag                map[uint64][]int32
	byAttr               []int32   // tests without id, class and type
	anyTag               bool      // a test may match any type, so attributes are always read
	tagBits              [256]bool // else: the hashes of the types that tests name
	words                int       // words of 64 bits that hold the steps of one element
	exits                int       // ids at whose end a route is satisfied
	canExit              bool      // every route has one
	idle                 bool      // nothing to do at all
	hasID, hasClassTests bool
}

// A planID is an id that selectors name. It means the first element that has it.
type planID struct {
	tests []int32 // that begin with it
	exit  bool    // a route is satisfied where its element ends
}

// A route is a chain with the edits that aim at it.
type route struct {
	edits []int32 // ascending
	exit  int32   // the id at whose end it is satisfied, or -1
}

// A test is a compound, and what follows when an element meets it.
type test struct {
	compound
	key  uint64 // of tag; 0 for any
	uses []use
}

// A use is one place of a test in a route.
type use struct {
	route int32
	prev  int32 // the step that an ancestor must have, or -1
	step  int32 // the step that this element then has, or -1 if it is the subject
	child bool  // the ancestor must be the parent
}

// Compile compiles edits of the body. It fails on the first that [Check] would
// refuse. Edits are known by their index from then on.
func Compile(edits []abi.Edit, opt Options) (*Plan, error) {
	p := newPlan(opt)
	if p.maxBuffer < 0 || p.maxTag < 0 || p.maxDepth < 0 {
		return nil, fmt.Errorf("compile: a negative limit in %d, %d, %d", p.maxBuffer, p.maxTag, p.maxDepth)
	}
	c := newCompiler(p)
	for i, e := range edits {
		one, err := prepare(e, opt.UTF8)
		if err != nil {
			return nil, fmt.Errorf("edit %d, %s on %q: %w", i, e.Op, e.Target, err)
		}
		c.add(int32(i), one)
	}
	c.finish()
	return p, nil
}

func newPlan(opt Options) *Plan {
	return &Plan{
		tail:      opt.Tail,
		xml:       opt.Syntax == XML,
		maxBuffer: or(opt.MaxBuffer, DefaultMaxBuffer),
		maxTag:    or(opt.MaxTag, DefaultMaxTag),
		maxDepth:  or(opt.MaxDepth, DefaultMaxDepth),
		byID:      map[string]int32{}, byClass: map[string][]int32{}, byTag: map[uint64][]int32{},
	}
}

func or(v, d int) int {
	if v == 0 {
		return d
	}
	return v
}

type compiler struct {
	plan   *Plan
	routes map[string]int32
	tests  map[string]int32
	names  map[string]int
	steps  int
}

func newCompiler(p *Plan) *compiler {
	return &compiler{plan: p, routes: map[string]int32{}, tests: map[string]int32{}, names: map[string]int{}}
}

// finish makes the plan ready when all edits have been added.
func (c *compiler) finish() {
	p := c.plan
	p.idle = len(p.edits) == 0 && len(p.tail) == 0
	p.canExit = len(p.edits) > 0
	for _, rt := range p.routes {
		p.canExit = p.canExit && rt.exit >= 0
	}
	p.names = len(c.names)
	p.words = (c.steps + 63) / 64
	for i := range p.tests {
		p.index(int32(i))
	}
}

func (c *compiler) add(i int32, e *prepared) {
	if e.name != "" {
		id, ok := c.names[e.name]
		if !ok {
			id = len(c.names)
			c.names[e.name] = id
		}
		e.nameID = id
	}
	c.plan.edits = append(c.plan.edits, e)
	for _, t := range e.target {
		key := t.key()
		r, ok := c.routes[key]
		if !ok {
			r = c.route(t)
			c.routes[key] = r
		}
		rt := &c.plan.routes[r]
		if n := len(rt.edits); n == 0 || rt.edits[n-1] != i {
			rt.edits = append(rt.edits, i)
		}
	}
}

func (c *compiler) route(t chain) int32 {
	p := c.plan
	n := int32(len(p.routes))
	rt := route{exit: -1}
	prev := int32(-1)
	for i := range t.parts {
		part := t.parts[i]
		k := part.key()
		at, ok := c.tests[k]
		if !ok {
			at = int32(len(p.tests))
			c.tests[k] = at
			p.tests = append(p.tests, newTest(part))
		}
		u := use{route: n, prev: prev, child: t.comb[i] == childOf, step: -1}
		if i < len(t.parts)-1 {
			u.step = int32(c.steps)
			c.steps++
		}
		prev = u.step
		p.tests[at].uses = append(p.tests[at].uses, u)
		if len(part.ids) > 0 {
			x, ok := p.byID[part.ids[0]]
			if !ok {
				x = int32(len(p.ids))
				p.byID[part.ids[0]] = x
				p.ids = append(p.ids, planID{})
			}
			rt.exit = x // the innermost one
		}
	}
	if rt.exit >= 0 && !p.ids[rt.exit].exit {
		p.ids[rt.exit].exit = true
		p.exits++
	}
	p.routes = append(p.routes, rt)
	return n
}

func newTest(c compound) test {
	c.tag = lowerASCII(c.tag)
	c.attrs = slices.Clone(c.attrs)
	for i := range c.attrs {
		c.attrs[i].name = lowerASCII(c.attrs[i].name)
	}
	t := test{compound: c}
	if c.tag != "" {
		t.key = nameKeyOf(c.tag)
	}
	return t
}

// index puts a test where the search for it is shortest.
func (p *Plan) index(i int32) {
	t := &p.tests[i]
	if t.tag == "" {
		p.anyTag = true
	} else {
		p.tagBits[tagHash(t.key)] = true
	}
	switch {
	case len(t.ids) > 0:
		id := &p.ids[p.byID[t.ids[0]]]
		id.tests = append(id.tests, i)
		p.hasID = true
	case len(t.classes) > 0:
		p.byClass[t.classes[0]] = append(p.byClass[t.classes[0]], i)
		p.hasClassTests = true
	case t.tag != "":
		p.byTag[t.key] = append(p.byTag[t.key], i)
	default:
		p.byAttr = append(p.byAttr, i)
	}
}

func tagHash(key uint64) uint8 { return uint8(key * 0x9E3779B97F4A7C15 >> 56) }

// meets tells whether the start tag in b meets the compound. name is its name
// as written; attributes have been read into t.
func (x *test) meets(b []byte, t *tagText, key uint64, name []byte) bool {
	if x.key != 0 && (x.key != key || key&longKey != 0 && !foldEqual(name, x.tag)) {
		return false
	}
	if len(x.ids) > 0 {
		if t.id < 0 {
			return false
		}
		v := t.value(b, t.id)
		for _, id := range x.ids {
			if string(v) != id {
				return false
			}
		}
	}
	if len(x.classes) > 0 {
		if t.class < 0 {
			return false
		}
		v := t.value(b, t.class)
		for _, c := range x.classes {
			if !hasToken(v, c) {
				return false
			}
		}
	}
	for i := range x.attrs {
		a := &x.attrs[i]
		at := t.find(b, a.name)
		if at < 0 || !a.ok(t.value(b, at)) {
			return false
		}
	}
	return true
}

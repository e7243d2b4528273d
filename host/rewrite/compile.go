package rewrite

import (
	"fmt"
	"strings"
)

// A matcher is the compiled form of a plan's targets. It depends on them alone,
// so plans of equal targets share it. It never changes.
type matcher struct {
	xml     bool
	routes  []route
	tests   []test
	ids     []planID
	byID    map[string]int32 // places in ids
	byClass map[string][]int32
	byTag   map[uint64][]int32
	byAttr  []int32   // tests without id, class and type
	anyTag  bool      // a test may match any type, so attributes are always read
	tagBits [256]bool // else: the hashes of the types that tests name
	words   int       // words of 64 bits that hold the steps of one element
	exits   int       // ids at whose end a route is satisfied
	canExit bool      // every route has one
	glimpse
	quick bool // cannotMeet may be asked

	subTests []int32 // of chains within :is and :not, the innermost first
	subs     int     // such chains
	inner    []test  // of :has: what a lookahead asks of every element; at most 64
	counters []test  // the S of :nth-child(... of S); at most 64
	siblings bool    // + or ~ stands somewhere
	counts   bool    // elements are counted
	kinds    bool    // and by type

	looksAhead bool // a start tag alone does not tell of some test
}

// A planID is an id that selectors name. It means the first element that has it.
type planID struct {
	tests []int32 // that begin with it
	exit  bool    // a route is satisfied where its element ends
}

// A route is a chain with the edits that aim at it, or one within :is or :not.
type route struct {
	edits []int32 // ascending
	exit  int32   // the id at whose end it is satisfied, or -1
	sub   int32   // the bit that its subject sets, or -1
}

// A test is a compound, and what follows when an element meets it.
type test struct {
	compound        // tag and names of attributes as they compare
	key      uint64 // of tag; 0 for any
	conds    []cond
	late     bool // a start tag alone does not tell
	uses     []use
}

// A cond is a pseudo-class.
type cond struct {
	kind    pseudoKind
	late    bool
	alts    []alt // is, not: any of them
	a, b    int
	counter int32 // nth of S: its place in matcher.counters; or -1
	has     []relation
}

// An alt is one alternative of :is or :not: a compound, or the subject of a chain.
type alt struct {
	test *test
	sub  int32
}

// A relation is a relative chain of :has; its parts are places in matcher.inner.
type relation struct {
	parts []int32
	comb  []combinator
}

// A use is one place of a test in a route.
type use struct {
	route int32
	prev  int32 // the step that another element must have, or -1
	step  int32 // the step that this element then has, or -1 if it is the subject
	comb  combinator
}

// maxInner bounds the compounds within :has, and those counted by of S, of one plan.
const maxInner = 64

type compiler struct {
	*matcher
	byKey  map[string]int32 // routes
	testOf map[string]int32
	steps  int
}

// compileTargets compiles the targets of edits 0, 1, 2, and so on.
func compileTargets(targets [][]chain, xml bool) (*matcher, error) {
	c := &compiler{
		matcher: &matcher{xml: xml, byID: map[string]int32{}, byClass: map[string][]int32{}, byTag: map[uint64][]int32{}},
		byKey:   map[string]int32{}, testOf: map[string]int32{},
	}
	for i, t := range targets {
		for j := range t {
			if err := c.target(int32(i), &t[j]); err != nil {
				return nil, err
			}
		}
	}
	m := c.matcher
	m.canExit = len(targets) > 0
	for _, rt := range m.routes {
		m.canExit = m.canExit && (rt.exit >= 0 || rt.sub >= 0)
	}
	m.words = (c.steps + 63) / 64
	sub := map[int32]bool{}
	for _, i := range m.subTests {
		sub[i] = true
	}
	for i := range m.tests {
		m.looksAhead = m.looksAhead || m.tests[i].late
		if !sub[int32(i)] {
			m.index(int32(i))
		}
	}
	m.quick = len(m.byAttr)+len(m.subTests)+len(m.counters) == 0
	return m, nil
}

func (c *compiler) target(edit int32, t *chain) error {
	key := t.key()
	r, ok := c.byKey[key]
	if !ok {
		var err error
		if r, err = c.route(t, -1); err != nil {
			return err
		}
		c.byKey[key] = r
	}
	rt := &c.routes[r]
	if n := len(rt.edits); n == 0 || rt.edits[n-1] != edit {
		rt.edits = append(rt.edits, edit)
	}
	return nil
}

// route adds a chain; sub is the bit of one within :is or :not, or -1.
func (c *compiler) route(t *chain, sub int32) (int32, error) {
	rt := route{exit: -1, sub: sub}
	at := make([]int32, len(t.parts))
	for i := range t.parts {
		var err error
		if at[i], err = c.test(&t.parts[i], sub >= 0); err != nil {
			return 0, err
		}
		if t.comb[i] == nextTo || t.comb[i] == after {
			c.siblings = true
			rt.exit = -1 // what an id before this holds is not all
		}
		if ids := t.parts[i].ids; len(ids) > 0 && sub < 0 {
			rt.exit = c.id(ids[0])
		}
	}
	n := int32(len(c.routes))
	prev := int32(-1)
	for i := range t.parts {
		u := use{route: n, prev: prev, comb: t.comb[i], step: -1}
		if i < len(t.parts)-1 {
			u.step = int32(c.steps)
			c.steps++
		}
		prev = u.step
		x := &c.tests[at[i]]
		x.uses = append(x.uses, u)
	}
	if rt.exit >= 0 && !c.ids[rt.exit].exit {
		c.ids[rt.exit].exit = true
		c.exits++
	}
	c.routes = append(c.routes, rt)
	return n, nil
}

func (c *compiler) id(name string) int32 {
	x, ok := c.byID[name]
	if !ok {
		x = int32(len(c.ids))
		c.byID[name] = x
		c.idWords.add(name)
		c.ids = append(c.ids, planID{})
	}
	return x
}

// test returns the place of a compound in tests.
func (c *compiler) test(part *compound, sub bool) (int32, error) {
	key := part.key()
	if sub {
		key = "sub " + key
	}
	if at, ok := c.testOf[key]; ok {
		return at, nil
	}
	x, err := c.compound(part)
	if err != nil {
		return 0, err
	}
	if sub && x.late {
		return 0, fmt.Errorf("within :is and :not, a chain of several compounds may not hold :has, :empty or what counts from the end")
	}
	at := int32(len(c.tests))
	c.testOf[key] = at
	c.tests = append(c.tests, x)
	if sub {
		c.subTests = append(c.subTests, at)
		c.reads(&x)
	}
	return at, nil
}

// reads notes that attributes are to be read of elements of the test's type.
func (c *compiler) reads(x *test) {
	if x.tag == "" {
		c.anyTag = true
	} else {
		c.tagBits[tagHash(x.key)] = true
	}
}

// bareTest compiles a compound without pseudo-classes.
func bareTest(part *compound, xml bool) *test {
	x := &test{compound: *part}
	x.attrs = make([]attrTest, len(part.attrs))
	copy(x.attrs, part.attrs)
	if x.tag != "" {
		x.key = exactKeyOf(x.tag)
	}
	if !xml {
		x.tag = lowerASCII(x.tag)
		if x.tag != "" {
			x.key = nameKeyOf(x.tag)
		}
		for i := range x.attrs {
			x.attrs[i].fold = x.attrs[i].fold || x.attrs[i].foldsInHTML()
			x.attrs[i].name = lowerASCII(x.attrs[i].name)
		}
	}
	return x
}

func (c *compiler) compound(part *compound) (test, error) {
	x := bareTest(part, c.xml)
	for i := range part.pseudos {
		one, err := c.cond(&part.pseudos[i])
		if err != nil {
			return *x, err
		}
		x.late = x.late || one.late
		x.conds = append(x.conds, one)
	}
	return *x, nil
}

func (c *compiler) cond(p *pseudo) (cond, error) {
	out := cond{kind: p.kind, a: p.a, b: p.b, counter: -1}
	var err error
	switch p.kind {
	case pseudoIs, pseudoNot:
		for i := range p.list {
			var a alt
			if a, err = c.alt(&p.list[i]); err != nil {
				return out, err
			}
			out.late = out.late || a.test != nil && a.test.late
			out.alts = append(out.alts, a)
		}
	case pseudoHas:
		out.late = true
		c.counts = true // a lookahead knows elements by their place
		for i := range p.list {
			var r relation
			if r, err = c.relation(&p.list[i]); err != nil {
				return out, err
			}
			out.has = append(out.has, r)
		}
	case pseudoEmpty:
		out.late, c.counts = true, true
	case pseudoNth:
		c.counts = true
		if len(p.list) > 0 {
			out.counter, err = c.counter(p.list)
		}
	case pseudoNthType:
		c.counts, c.kinds = true, true
	case pseudoNthLast:
		out.late, c.counts = true, true
		if len(p.list) > 0 {
			err = fmt.Errorf(":nth-last-child(... of S) is not carried out here")
		}
	case pseudoNthLastType:
		out.late, c.counts, c.kinds = true, true, true
	}
	return out, err
}

func (c *compiler) alt(t *chain) (alt, error) {
	if len(t.parts) == 1 {
		x, err := c.compound(&t.parts[0])
		return alt{&x, -1}, err
	}
	sub := int32(c.subs)
	c.subs++
	_, err := c.route(t, sub)
	return alt{nil, sub}, err
}

func (c *compiler) relation(t *chain) (relation, error) {
	r := relation{comb: t.comb}
	for i := range t.parts {
		x, err := c.compound(&t.parts[i])
		if err != nil {
			return r, err
		}
		if len(c.inner) == maxInner {
			return r, fmt.Errorf("more than %d compounds within :has", maxInner)
		}
		r.parts = append(r.parts, int32(len(c.inner)))
		c.inner = append(c.inner, x)
		c.reads(&x)
	}
	return r, nil
}

// counter adds what :nth-child(... of S) counts.
func (c *compiler) counter(list []chain) (int32, error) {
	if len(c.counters) == maxInner {
		return 0, fmt.Errorf("more than %d times :nth-child(... of S)", maxInner)
	}
	x := test{}
	one := cond{kind: pseudoIs, counter: -1}
	for i := range list {
		if len(list[i].parts) != 1 {
			return 0, fmt.Errorf("of S: expected compounds, without combinators")
		}
		a, err := c.alt(&list[i])
		if err != nil {
			return 0, err
		}
		if a.test.late {
			return 0, fmt.Errorf("of S: :has, :empty and what counts from the end are not carried out here")
		}
		one.alts = append(one.alts, a)
	}
	x.conds = []cond{one}
	c.anyTag = true
	c.counters = append(c.counters, x)
	return int32(len(c.counters) - 1), nil
}

// index puts a test where the search for it is shortest.
func (c *matcher) index(i int32) {
	t := &c.tests[i]
	if t.tag == "" {
		c.anyTag = true
	} else {
		c.tagBits[tagHash(t.key)] = true
	}
	switch {
	case len(t.ids) > 0 && c.hasIDOf(t.ids[0]):
		id := &c.ids[c.byID[t.ids[0]]]
		id.tests = append(id.tests, i)
		c.hasID = true
	case len(t.classes) > 0:
		c.byClass[t.classes[0]] = append(c.byClass[t.classes[0]], i)
		c.classWords.add(t.classes[0])
		c.hasClassTests = true
	case t.tag != "":
		c.byTag[t.key] = append(c.byTag[t.key], i)
	default:
		c.byAttr = append(c.byAttr, i)
	}
}

func (c *matcher) hasIDOf(id string) bool { _, ok := c.byID[id]; return ok }

func tagHash(key uint64) uint8 { return uint8(key * 0x9E3779B97F4A7C15 >> 56) }

// meets tells whether the start tag in b meets the compound, its pseudo-classes
// aside. name is its name as written; attributes have been read into t.
func (x *test) meets(b []byte, t *tagText, key uint64, name []byte) bool {
	if x.key != 0 && (x.key != key || key&longKey != 0 && !strings.EqualFold(string(name), x.tag)) {
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

// exactKeyOf is nameKeyOf with the case of letters kept, as XML wants it.
func exactKeyOf(name string) uint64 {
	if len(name) <= 8 {
		var k uint64
		for i := range len(name) {
			k |= uint64(name[i]) << (8 * uint(i))
		}
		return k
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h | longKey
}

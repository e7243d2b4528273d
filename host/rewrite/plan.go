package rewrite

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"bespoke/modules/abi"
)

// Defaults of Options.
const (
	DefaultMaxBuffer = 1 << 20
	DefaultMaxTag    = 1 << 20 // images come as data URIs
	DefaultMaxDepth  = 512
)

// Options say how a plan treats a page. The zero value of a limit stands for its default.
type Options struct {
	// Tail is trusted markup that is added after the last byte of the page. It
	// is left out, and Report.Tail says why, where it would not be markup or
	// not be seen: inside a comment, raw text, an unfinished tag, a template, a
	// select, foreign content, a page of frames; and when editing has stopped.
	// Where there is nothing (more) to look for, nobody sees that, and it is added.
	Tail []byte
	// Charset is the page's: see [Sniff]. Without it, what is inserted and is
	// not ASCII goes out as numeric character references. Tail goes out as it
	// is, so it should be ASCII.
	Charset Charset
	// CSP are the values of the Content-Security-Policy headers that came with the page.
	CSP []string
	// Syntax says by which rules the page is read.
	Syntax Syntax
	// Drafts are what checking the edits left; it may be nil, and serves one plan.
	Drafts *Drafts
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
	*matcher
	tail              []byte
	charset           Charset
	csp               csp
	maxBuffer, maxTag int
	maxDepth          int
	edits             []*prepared
	names             int  // how many attribute names the edits have
	idle              bool // nothing to look for
}

// Compile compiles edits of the body. It fails on the first that [Check] would
// refuse. Edits are known by their index from then on.
func Compile(edits []abi.Edit, opt Options) (*Plan, error) {
	return new(Compiler).Compile(edits, opt)
}

func newPlan(opt Options) (*Plan, error) {
	p := &Plan{
		tail:      opt.Tail,
		charset:   opt.Charset,
		maxBuffer: or(opt.MaxBuffer, DefaultMaxBuffer),
		maxTag:    or(opt.MaxTag, DefaultMaxTag),
		maxDepth:  or(opt.MaxDepth, DefaultMaxDepth),
	}
	if p.maxBuffer < 0 || p.maxTag < 0 || p.maxDepth < 0 {
		return nil, fmt.Errorf("compile: a negative limit in %d, %d, %d", p.maxBuffer, p.maxTag, p.maxDepth)
	}
	for _, policy := range opt.CSP {
		p.csp.add([]byte(policy))
	}
	return p, nil
}

func or(v, d int) int {
	if v == 0 {
		return d
	}
	return v
}

// A Compiler compiles plans and remembers their targets, so that the next plan
// with the same ones need not compile them. Any number of goroutines may use
// it. The zero value remembers nothing.
type Compiler struct {
	mu       sync.RWMutex
	max      int
	next     uint64
	targets  map[targetKey]*target
	matchers map[string]*matcher
}

type targetKey struct {
	text string
	xml  bool
}

// A target is a parsed selector.
type target struct {
	id     uint64 // never used again; the same for the same text, within a Compiler
	chains []chain
}

// NewCompiler returns a Compiler that remembers at most n targets, and lists of targets.
func NewCompiler(n int) *Compiler {
	return &Compiler{max: n, targets: map[targetKey]*target{}, matchers: map[string]*matcher{}}
}

// Check is like [Check].
func (c *Compiler) Check(e abi.Edit, s Syntax) abi.Refusal {
	if _, err := c.prepare(e, s, UTF8); err != nil {
		return err.refusal
	}
	return abi.Accepted
}

// target parses a selector, and compiles it once, to tell what cannot be.
func (c *Compiler) target(text string, xml bool) (*target, error) {
	key := targetKey{text, xml}
	c.mu.RLock()
	t := c.targets[key]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	chains, err := parseSelector(text)
	if err != nil {
		return nil, err
	}
	if _, err := compileTargets([][]chain{chains}, xml); err != nil {
		return nil, fmt.Errorf("selector %q: %w", text, err)
	}
	t = &target{chains: chains}
	if c.max == 0 {
		return t, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.targets) >= c.max { // what is in use comes back soon
		clear(c.targets)
		clear(c.matchers)
	}
	c.next++
	t.id = c.next
	c.targets[targetKey{strings.Clone(text), xml}] = t
	return t, nil
}

// matcher returns the compiled form of the targets of the edits.
func (c *Compiler) matcher(edits []*prepared, xml bool) (*matcher, error) {
	var room [256]byte
	key := append(room[:0], 0)
	if xml {
		key[0] = 1
	}
	known := c.max > 0
	for _, e := range edits {
		known = known && e.target.id != 0
		key = binary.LittleEndian.AppendUint64(key, e.target.id)
	}
	if known {
		c.mu.RLock()
		m := c.matchers[string(key)]
		c.mu.RUnlock()
		if m != nil {
			return m, nil
		}
	}
	targets := make([][]chain, len(edits))
	for i, e := range edits {
		targets[i] = e.target.chains
	}
	m, err := compileTargets(targets, xml)
	if err != nil || !known {
		return m, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.matchers) >= c.max {
		clear(c.matchers)
	}
	c.matchers[string(key)] = m
	return m, nil
}

// Compile is like the function [Compile].
func (c *Compiler) Compile(edits []abi.Edit, opt Options) (*Plan, error) {
	p, err := newPlan(opt)
	if err != nil {
		return nil, err
	}
	p.edits = make([]*prepared, len(edits))
	next := 0
	for i, e := range edits {
		var d *draft
		if d, next = opt.Drafts.find(e, next); d != nil && d.markup != nil && d.syntax == opt.Syntax && opt.Charset == UTF8 {
			p.edits[i] = d.markup
		} else if one, err := c.prepare(e, opt.Syntax, opt.Charset); err == nil {
			p.edits[i] = one
		} else {
			return nil, fmt.Errorf("edit %d, %s on %q: %w", i, e.Op, e.Target, err)
		}
		p.name(i)
	}
	if p.matcher, err = c.matcher(p.edits, opt.Syntax == XML); err != nil {
		return nil, err
	}
	// Of XML a tail needs a look at where it would stand.
	p.idle = len(edits) == 0 && (len(p.tail) == 0 || opt.Syntax == HTML)
	return p, nil
}

// name gives the attribute of edit i a number, the same for the same attribute.
func (p *Plan) name(i int) {
	e := p.edits[i]
	if e.name == "" {
		return
	}
	for _, other := range p.edits[:i] {
		if other.name == e.name {
			e.nameID = other.nameID
			return
		}
	}
	e.nameID = p.names
	p.names++
}

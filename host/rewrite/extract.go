package rewrite

import (
	"fmt"
	"html"
	"strings"
)

// Bounds of Extract.
const (
	maxExtracts     = 1000     // elements
	maxExtractBytes = 64 << 10 // of all texts together
)

// Extract returns, for each element of the page that matches the selector, in
// the page's order, the value of the attribute; of those that lack it, nothing. If
// attr is empty it is the element's text: that of everything in it but
// scripts, styles and comments, with character references decoded, runs of whitespace made one space,
// and none around it. It takes the first 1000 elements and 64 KiB of text.
// Where editing would stop, so does this. It fails on a bad selector or name only.
func Extract(page []byte, syntax Syntax, selector, attr string) ([]string, error) {
	target, err := parseSelector(selector)
	if err != nil {
		return nil, err
	}
	if syntax == HTML {
		attr = lowerASCII(attr)
	}
	if attr != "" && !attrName(attr) {
		return nil, fmt.Errorf("%q is no name of an attribute", attr)
	}
	m, err := compileTargets([][]chain{target}, syntax == XML)
	if err != nil {
		return nil, err
	}
	p, err := newPlan(Options{Syntax: syntax})
	if err != nil {
		return nil, err
	}
	p.matcher, p.edits = m, []*prepared{{}}
	r := New(p, nowhere{})
	r.extract = &extract{attr: attr, left: maxExtractBytes, most: maxExtracts}
	if _, err := r.Write(page); err != nil {
		return nil, err
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return r.extract.strings(), nil
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// An extract collects what Extract returns. The whole page comes in one Write.
type extract struct {
	attr   string
	found  []found
	open   []int32 // of found: the elements that are open, with their depth
	depth  []int32
	left   int // bytes
	most   int // elements
	within int // the least depth of an element
}

type found struct {
	text  []byte
	space bool // whitespace came after the text
}

func (x *extract) strings() []string {
	out := make([]string, len(x.found))
	for i := range x.found {
		out[i] = strings.ToValidUTF8(string(x.found[i].text), "\ufffd")
	}
	return out
}

// extractTag opens the element, and begins to collect its text if it matches.
func (r *Rewriter) extractTag(b []byte, t *tag) {
	x := r.extract
	if t.ghost >= 0 {
		r.makeGhost(b, t.ghost, t.s, t.s)
	}
	r.popTo(b, t.n, t.s, false, false)
	r.enter(t)
	if r.exit >= 0 {
		r.idSeen[r.exit] = true
	}
	if len(r.hits) == 0 || len(x.found) == x.most || t.n < x.within {
		if !t.void {
			r.push(t)
		}
		return
	}
	if x.attr != "" {
		if i := r.text.find(b, x.attr); i >= 0 {
			v := r.text.value(b, i)
			v = v[:min(len(v), x.left)]
			x.left -= len(v)
			x.found = append(x.found, found{text: append([]byte(nil), v...)})
		}
		if !t.void {
			r.push(t)
		}
		return
	}
	x.found = append(x.found, found{})
	if !t.void {
		x.open = append(x.open, int32(len(x.found)-1))
		x.depth = append(x.depth, int32(t.n))
		r.push(t)
	}
}

// close ends the elements from depth n on.
func (x *extract) close(n int) {
	for i := len(x.depth) - 1; i >= 0 && int(x.depth[i]) >= n; i-- {
		x.depth, x.open = x.depth[:i], x.open[:i]
	}
}

// add takes text that lies in the elements that are open.
func (x *extract) add(b []byte) {
	if len(x.open) == 0 || len(b) == 0 || x.left <= 1 {
		return
	}
	text := html.UnescapeString(string(b))
	for _, i := range x.open {
		x.found[i].fold(text, &x.left)
	}
}

// fold appends text with whitespace folded, as far as *left goes.
func (f *found) fold(text string, left *int) {
	for i := range len(text) {
		if byteClass[text[i]]&cSpace != 0 {
			f.space = true
			continue
		}
		if *left <= 1 {
			return
		}
		if f.space && len(f.text) > 0 {
			f.text = append(f.text, ' ')
			*left--
		}
		f.space = false
		f.text = append(f.text, text[i])
		*left--
	}
}

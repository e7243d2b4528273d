package rewrite

import (
	"bytes"
	"slices"
)

// A trial puts markup on a copy of the page's open elements, to see whether it
// stays where it is put.
type trial struct {
	rw   Rewriter
	plan Plan
	base int
	bad  bool
}

// readyTrial readies a trial where the first n elements are open, and the one
// that inside opens if it is not nil. Element ended, or -1, has had its end tag.
func (r *Rewriter) readyTrial(n, ended int, inside *tag) *trial {
	if r.tried == nil {
		r.tried = new(trial)
		r.tried.plan = Plan{matcher: new(matcher), maxTag: 1 << 30}
	}
	y := r.tried
	y.plan.maxDepth = r.plan.maxDepth
	w := &y.rw
	w.trial = nil
	w.Reset(&y.plan, nowhere{})
	w.follow(r)
	w.keepOpen(n, ended)
	if inside != nil {
		one := *inside
		one.n = len(w.stack)
		w.push(&one)
	}
	w.trial, w.muted = y, true
	y.base, y.bad = len(w.stack), false
	return y
}

// stays tells whether the edit's markup, put where the first n elements are open, and the
// one that inside opens if it is not nil, closes none of them and leaves none of
// its own open.
func (r *Rewriter) stays(e *prepared, n, ended int, inside *tag) bool {
	if r.plan.xml {
		return true // it is balanced
	}
	if r.loose && e.any&fLink != 0 {
		return false // it would end a link that goes on unseen
	}
	if !r.readyTrial(n, ended, inside).holds(e) {
		return false
	}
	if !slices.ContainsFunc(r.pend, func(p pending) bool { return p.unwrap && int(p.depth) < n }) {
		return true
	}
	// Nor without the elements around it whose tags go.
	y := r.readyTrial(n, ended, inside)
	y.withoutUnwrapped(r.pend, n)
	return y.holds(e)
}

// holds tells whether the edit's markup closes nothing that was open, and leaves nothing open.
func (y *trial) holds(e *prepared) bool {
	w := &y.rw
	w.run(e.content)
	return !y.bad && w.hold < 0 && w.mode == inData && w.stopped == 0 && len(w.stack) == y.base
}

// withoutUnwrapped takes those of the first n open elements away whose tags are left out.
func (y *trial) withoutUnwrapped(pend []pending, n int) {
	w := &y.rw
	for i := len(pend) - 1; i >= 0; i-- {
		if d := int(pend[i].depth); pend[i].unwrap && d < n {
			if f := w.stack[d].flags; f&fCounted != 0 {
				w.count(f, -1)
			}
			w.stack = slices.Delete(w.stack, d, d+1)
			y.base--
		}
	}
}

// keepOpen ends the open elements beyond the first n, but for formatting
// elements: the parser goes on with those in what follows, unless it is element
// ended, whose end tag is there.
func (r *Rewriter) keepOpen(n, ended int) {
	var kept []element
	for i, e := range r.stack[n:] {
		if n+i != ended && e.flags&(fFormat|fGhost) == fFormat && e.key&longKey == 0 {
			kept = append(kept, e)
		}
	}
	r.truncate(n)
	for _, e := range kept {
		if e.flags&fCounted != 0 {
			r.count(e.flags, 1)
		}
	}
	r.stack = append(r.stack, kept...)
}

// closing appends the end tags that the sample of a list leaves out; it returns
// false if the sample is not by itself where the first n elements are open.
func (r *Rewriter) closing(dst, sample []byte, n int) ([]byte, bool) {
	if r.plan.xml {
		return dst, true
	}
	y := r.readyTrial(n, -1, nil)
	w := &y.rw
	w.run(sample)
	if y.bad || w.hold >= 0 || w.mode != inData || w.stopped != 0 || w.codes > 0 {
		return dst, false
	}
	for i := len(w.stack) - 1; i >= y.base; i-- {
		dst = append(dst, '<', '/')
		dst = w.appendName(dst, i)
		dst = append(dst, '>')
	}
	return dst, true
}

// topFlags tells what all elements that stand at the top of markup, which is
// balanced, have in common: nothing, if there is text beside them, or none. And
// it tells what any of its elements is.
func topFlags(markup []byte) (common, any flags) {
	common = ^flags(0)
	depth := 0
	for i := 0; i < len(markup); {
		j := bytes.IndexByte(markup[i:], '<')
		if j < 0 {
			j = len(markup) - i
		}
		if depth == 0 && len(trimSpace(markup[i:i+j])) > 0 {
			common = 0
		}
		if i += j; i == len(markup) {
			break
		}
		switch c := markup[i+1]; {
		case c == '!':
			n, _ := commentEnd(markup[i+4:], cmStart)
			i += 4 + n
		case c == '/':
			depth--
			i = skipAttrs(markup, i+2)
		default:
			key, p := nameKey(markup, i+1)
			f := tagFlags(key)
			any |= f
			if depth == 0 {
				common &= f
			}
			i = skipAttrs(markup, p)
			if i > 0 && f&fVoid == 0 && (markup[i-2] != '/' || f != 0) {
				depth++
			}
		}
		if i < 0 {
			return 0, ^flags(0)
		}
	}
	if common == ^flags(0) {
		common = 0
	}
	return common, any
}

// fitsTable tells whether markup with these topFlags may stand directly in the table part.
func fitsTable(parent, top flags) bool {
	switch {
	case parent&fForeign != 0:
		return false
	case parent&fTable != 0:
		return top&(fRowGroup|fRow|fTablePart) != 0
	case parent&fRowGroup != 0:
		return top&fRow != 0
	case parent&fRow != 0:
		return top&fCell != 0
	}
	return false
}

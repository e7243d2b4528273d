package rewrite

import "bytes"

// A trial puts markup on a copy of the page's open elements, to see whether it
// stays where it is put.
type trial struct {
	rw   Rewriter
	plan Plan
	base int
	bad  bool
}

// stays tells whether markup, put where the first n elements are open, and the
// one that inside opens if it is not nil, closes none of them and leaves none of
// its own open.
func (r *Rewriter) stays(markup []byte, n int, inside *tag) bool {
	if r.plan.xml {
		return true // it is balanced
	}
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
	w.truncate(n)
	if inside != nil {
		one := *inside
		one.n = n
		w.push(&one)
	}
	w.trial, w.muted = y, true
	y.base, y.bad = len(w.stack), false
	w.run(markup)
	return !y.bad && w.hold < 0 && w.mode == inData && w.stopped == 0 && len(w.stack) == y.base
}

// topFlags tells what all elements that stand at the top of markup, which is
// balanced, have in common: nothing, if there is text beside them, or none.
func topFlags(markup []byte) flags {
	common, depth := ^flags(0), 0
	for i := 0; i < len(markup); {
		j := bytes.IndexByte(markup[i:], '<')
		if j < 0 {
			j = len(markup) - i
		}
		if depth == 0 && len(trimSpace(markup[i:i+j])) > 0 {
			return 0
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
			if depth == 0 {
				common &= f
			}
			i = skipAttrs(markup, p)
			if i > 0 && f&fVoid == 0 && (markup[i-2] != '/' || f != 0) {
				depth++
			}
		}
		if i < 0 {
			return 0
		}
	}
	if common == ^flags(0) {
		return 0
	}
	return common
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

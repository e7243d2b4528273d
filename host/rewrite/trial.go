package rewrite

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

package rewrite

import "bespoke/modules/abi"

// A jsonSum is what edits of the members of a value come to.
type jsonSum struct {
	order, fill int32
	keeps       int // those in JSONRewriter.keeps from here on
}

// resolve settles which hits of a mark act. kind is the first byte of the
// value; in is what it stands in.
func (r *JSONRewriter) resolve(m *jsonMark, kind, in byte, sum *jsonSum) {
	hits := r.hits[m.hits:m.hitsEnd]
	if len(hits) == 1 { // the most frequent case, for speed
		if op := r.plan.edits[hits[0]/2].op; op == abi.OpText || op == abi.OpReplace {
			m.set = hits[0]
			return
		}
	}
	for _, h := range hits {
		switch r.plan.edits[h/2].op {
		case abi.OpRemove:
			m.gone = true
		case abi.OpText, abi.OpReplace:
			r.settle(m, h)
		case abi.OpAttr, abi.OpUnsetAttr:
			if h&1 != 0 {
				r.settle(m, h)
			}
		case abi.OpOrder, abi.OpKeep:
			if h&1 != 0 {
				m.show = h
			}
		}
	}
	if m.gone {
		for _, h := range hits {
			if r.plan.edits[h/2].op != abi.OpRemove {
				r.not(h/2, WhyOverridden)
			}
		}
		m.set, m.show = -1, -1
		return
	}
	for _, h := range hits {
		if h&1 == 0 {
			r.resolveInner(m, h/2, kind, in, sum)
		}
	}
}

// settle lets a later edit of the value take the place of earlier ones.
func (r *JSONRewriter) settle(m *jsonMark, h int32) {
	if m.set >= 0 {
		r.not(m.set/2, WhyOverridden)
	}
	if m.show >= 0 {
		r.not(m.show/2, WhyOverridden)
		m.show = -1
	}
	m.set = h
}

// resolveInner settles an edit of what is in the value, or beside it.
func (r *JSONRewriter) resolveInner(m *jsonMark, e int32, kind, in byte, sum *jsonSum) {
	op := r.plan.edits[e].op
	want := byte('[')
	switch op {
	case abi.OpText, abi.OpReplace:
		return
	case abi.OpBefore, abi.OpAfter:
		if in != '[' {
			r.not(e, WhyPlace)
		} else {
			m.beside = true
		}
		return
	case abi.OpAttr, abi.OpUnsetAttr:
		want = '{'
	}
	switch {
	case m.set >= 0:
		r.not(e, WhyOverridden)
	case kind != want:
		r.not(e, WhyPlace)
	case op == abi.OpOrder:
		r.override(&sum.order, e)
	case op == abi.OpKeep:
		if len(r.keeps)-sum.keeps < maxKeeps { // all of them count
			r.keeps = append(r.keeps, e)
		} else {
			r.not(e, WhyBuffer)
		}
	case op == abi.OpFill:
		r.override(&sum.fill, e)
	}
	if sum.fill >= 0 { // there is nothing of the page's left to be ordered
		r.override(&sum.order, -1)
		for _, k := range r.keeps[sum.keeps:] {
			r.not(k, WhyOverridden)
		}
		r.keeps = r.keeps[:sum.keeps]
	}
}

// override lets a later edit take the place of an earlier one.
func (r *JSONRewriter) override(place *int32, e int32) {
	if *place >= 0 {
		r.not(*place, WhyOverridden)
	}
	*place = e
}

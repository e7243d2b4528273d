package rewrite

import "io"

// States of a Rewriter between two bytes.
const (
	inData    = iota // markup and text
	inRaw            // RCDATA and RAWTEXT
	inScript         // script data
	inComment        //
	inBogus          // a bogus comment, or a doctype
	inCDATA          //
	inPlain          // after plaintext
	inPass           // nothing is looked at any more
)

// Sizes of the output buffer: what it collects before it writes, and the
// piece from which on it does not copy.
const (
	outSize  = 32 << 10
	outWhole = 4 << 10
)

// maxDoctype is how far a doctype is read to tell quirks mode.
const maxDoctype = 1024

// A Rewriter rewrites one page at a time. One goroutine owns it. Give it the
// page with Write and end with Close; Reset makes it ready for the next page
// and keeps its buffers.
type Rewriter struct {
	plan *Plan
	w    io.Writer
	err  error // the first of w
	out  []byte

	// Scanner.
	mode     int
	carry    []byte // an unfinished tag, or the beginning of markup that cannot be told yet
	carryTag bool   // it is a tag
	tagState int    // where in the tag it ends
	hold     int    // in run: where what has to wait begins, or -1
	waitTag  bool   // in run: it is a tag
	e        int    // in run: everything before this index has gone out, or is left out
	gone     int    // in run: where the last piece that went out ended
	seam     bool   // what goes out next does not follow what stood before it in the page
	ended    uint8  // how the output ends
	sub      int    // state within a comment, CDATA section or script
	dashes   int    // hyphens just before, in an escaped script
	raw      uint64 // the element whose end tag ends raw text
	initial  bool   // nothing but space and comments so far, so a doctype counts
	quirks   bool

	tree
	editing
	report
	siblings
	ahead   ahead
	outline *outline // of which this is the Rewriter, or nil
	trial   *trial   // of which this is the Rewriter, or nil
	tried   *trial   // to try markup in
	extract *extract // for Extract only
}

// New returns a Rewriter that writes to w what plan p makes of a page.
func New(p *Plan, w io.Writer) *Rewriter {
	r := new(Rewriter)
	r.Reset(p, w)
	return r
}

// Reset makes r ready for another page.
func (r *Rewriter) Reset(p *Plan, w io.Writer) {
	r.plan, r.w, r.err = p, w, nil
	r.out, r.carry = r.out[:0], r.carry[:0]
	r.carryTag = false
	r.seam, r.ended = false, endsWhole
	r.mode, r.sub, r.dashes, r.raw = inData, 0, 0, 0
	r.initial, r.quirks = true, true
	r.tree.reset()
	r.editing.reset(p)
	r.siblings.reset(p)
	r.report.reset(p)
	r.ahead.on, r.extract = false, nil
	if p.idle {
		r.mode = inPass
	}
}

// Write takes the next bytes of the page, cut anywhere. It keeps no reference
// to b. It never fails but with the error of the writer beneath.
func (r *Rewriter) Write(b []byte) (int, error) {
	rest := b
	for r.plan.looksAhead && len(rest) > refork {
		r.next(rest[:refork]) // an outline of all of it would be long
		rest = rest[refork:]
	}
	r.next(rest)
	r.flushOut()
	if r.err != nil {
		return 0, r.err
	}
	return len(b), nil
}

func (r *Rewriter) next(b []byte) {
	if r.ahead.on {
		r.ahead.buf = append(r.ahead.buf, b...)
		r.pump()
	} else {
		r.take(b)
	}
}

func (r *Rewriter) take(b []byte) {
	r.asked = false
	for len(b) > 0 && len(r.carry) > 0 {
		b = r.feed(b)
		if r.asked {
			r.lookAhead(r.carry, b)
			return
		}
	}
	if len(b) == 0 {
		return
	}
	switch done := r.run(b); {
	case r.asked:
		r.lookAhead(b[done:], nil)
	case done < len(b):
		r.keep(b[done:])
	}
}

// Close ends the page: what was waiting goes out, elements that are still open
// end, and the tail is added. It does not close the writer beneath.
func (r *Rewriter) Close() error {
	r.endAhead()
	clean := r.mode == inData && len(r.carry) == 0
	hidden := r.hidesTail()
	r.e, r.gone = 0, 0
	if clean {
		r.popTo(nil, 0, 0, false, false)
	} else if r.mode != inPass {
		r.abandon(WhyUnfinished)
		r.dropPending(WhyUnfinished)
	}
	if !r.muted {
		r.send(r.carry)
	}
	r.carry = r.carry[:0]
	if tail := r.plan.tail; len(tail) > 0 {
		switch {
		case r.stopped != 0:
			r.tailWhy = WhyStopped
		case r.plan.idle, r.done, clean && !hidden:
			r.emit(r.join(tail))
		case clean:
			r.tailWhy = WhyPlace
		default:
			r.tailWhy = WhyUnfinished
		}
	}
	r.mode = inPass
	r.flushOut()
	return r.err
}

// feed gives the carry as much of b as settles it, and returns the rest of b.
func (r *Rewriter) feed(b []byte) []byte {
	if !r.carryTag {
		// What is short is at most a dozen bytes, a doctype aside.
		r.carry = append(r.carry, b[0])
		n := r.run(r.carry)
		r.keep(r.carry[n:])
		return b[1:]
	}
	j, state := tagEnd(b, r.tagState)
	if j < 0 {
		r.carry = append(r.carry, b...)
		r.tagState = state
		r.checkTag()
		return nil
	}
	r.carry = append(r.carry, b[:j]...)
	n := r.run(r.carry)
	r.keep(r.carry[n:])
	return b[j:]
}

// keep makes rest, which may be a part of it, the carry.
func (r *Rewriter) keep(rest []byte) {
	r.carry = append(r.carry[:0], rest...)
	r.carryTag = len(rest) > 0 && r.waitTag
	if !r.carryTag {
		return
	}
	name := 1
	if r.carry[1] == '/' {
		name = 2
	}
	_, r.tagState = tagEnd(r.carry[name:], tName)
	r.checkTag()
}

func (r *Rewriter) checkTag() {
	if len(r.carry) > r.plan.maxTag {
		r.e, r.gone = 0, 0
		r.stop(r.carry, 0, WhyTag)
		if !r.muted {
			r.send(r.carry)
		}
		r.carry = r.carry[:0]
		r.carryTag = false
	}
}

// flush sends b[r.e:to] on its way.
func (r *Rewriter) flush(b []byte, to int) {
	if r.muted || to <= r.e {
		return
	}
	x := b[r.e:to]
	if r.seam || r.e != r.gone {
		x = r.join(x)
		r.seam = false
	}
	r.send(x)
	r.ended = ending(r.ended, x)
	r.e, r.gone = to, to
}

// send adds to the element that is being kept back, or to the output.
func (r *Rewriter) send(x []byte) {
	if len(r.frames) > 0 {
		if len(r.buf)+len(x) <= r.plan.maxBuffer {
			r.buf = append(r.buf, x...)
			r.buffered = max(r.buffered, len(r.buf))
			return
		}
		r.abandon(WhyBuffer)
	}
	r.emit(x)
}

func (r *Rewriter) emit(x []byte) {
	if len(x) >= outWhole {
		r.flushOut()
		r.write(x)
		return
	}
	r.out = append(r.out, x...)
	if len(r.out) >= outSize {
		r.flushOut()
	}
}

func (r *Rewriter) flushOut() {
	if len(r.out) > 0 {
		r.write(r.out)
		r.out = r.out[:0]
	}
}

func (r *Rewriter) write(x []byte) {
	if r.err != nil {
		return
	}
	n, err := r.w.Write(x)
	if err == nil && n < len(x) {
		err = io.ErrShortWrite
	}
	r.err = err
}

package rewrite

import (
	"encoding/binary"
	"math/bits"
)

// The short ways: most tags of a page are written plainly, stand where they
// belong, and no edit can aim at them. What they do to the tree is done here, in
// a few steps; where anything is in doubt the scanner's own way is taken.

// maySwift tells whether nobody but the tree and the edits has to hear of a tag,
// and nothing counts elements.
func (r *Rewriter) maySwift() bool {
	m := r.plan.matcher
	return r.watch == nil && r.extract == nil && r.outline == nil && r.trial == nil && !r.ahead.on &&
		!m.xml && !m.counts && !m.siblings && r.plan.maxTag > 16
}

// shortStart takes the start tag that begins at b[s] if its name is written as
// most are, it is simple, and no edit can aim at it. It returns the index after
// it, or 0: then startTag has to see to it.
func (r *Rewriter) shortStart(b []byte, s int) int {
	if !r.swift || s+10 > len(b) {
		return 0
	}
	// nameKey, as far as it needs no loop.
	w := binary.LittleEndian.Uint64(b[s+1:])
	m := ^(w | w<<1) & 0x8080808080808080
	if m == 0 {
		return 0
	}
	size := uint(bits.TrailingZeros64(m)) >> 3
	mask := uint64(1)<<(8*size) - 1
	k, p := w&mask, s+1+int(size)
	if k&0xE0E0E0E0E0E0E0E0 != 0x6060606060606060&mask {
		return 0
	}
	if c := b[p]; byteClass[c]&cNameEnd == 0 {
		if c < '0' || c > '9' || size == 7 || byteClass[b[p+1]]&cNameEnd == 0 { // as in h1
			return 0
		}
		k, p = w&(mask<<8|0xFF), p+1
	}
	f := tagFlags(k)
	if !r.simple(f) {
		return 0
	}
	end, x := p+1, r.plan.matcher
	look, read := &x.glimpse, x.anyTag || x.tagBits[tagHash(k)]
	if len(r.frames) > 0 {
		if !r.withinItem() {
			return 0
		}
		if r.mayShow(k) {
			l := &r.frames[len(r.frames)-1]
			if !l.sees {
				return 0
			}
			look, read = &l.look, true
		}
	}
	switch {
	case read && (!x.quick || len(x.byTag) > 0 && x.tagBits[tagHash(k)]):
		return 0
	case b[p] == '>':
	case !read:
		end = skipAttrs(b, p)
	default:
		var may bool
		if end, may = look.glance(b, p); may {
			return 0
		}
	}
	if end < 0 || end-s > r.plan.maxTag {
		return 0
	}
	if f&fVoid == 0 {
		if f&fCounted != 0 {
			r.count(f, 1)
		}
		r.stack = append(r.stack, element{key: k, flags: f, name: int32(len(r.names))})
		if w := x.words; w > 0 {
			clear(r.step)
			r.pushSteps(w)
		}
	}
	return end
}

// simple tells whether all that a start tag of these flags does to the tree is
// to open one more element, or, if it is void, nothing.
func (r *Rewriter) simple(f flags) bool {
	n := len(r.stack)
	if !r.swift || !r.seenBody || r.framesOK || r.framePage != noFrames || r.selects|r.templates|r.codes != 0 ||
		n == 0 || n >= r.plan.maxDepth {
		return false
	}
	top := r.stack[n-1].flags
	if f&fIntricate|top&fIntricateTop != 0 {
		return false
	}
	return f&fDepends == 0 || (f&fClosesP == 0 || r.pOpen == 0) && (f&fLink == 0 || r.links == 0) &&
		(f&(fLi|fDd) == 0 || top&fSpecial != 0 && top&(fPassLi|fLi|fDd) == 0) &&
		(f&fHeading == 0 || top&fHeading == 0) && (f&(fCell|fRow) == 0 || simpleInTable(f, top))
}

// simpleInTable is simple for a row or cell: it stands where it belongs, and no
// row is open there that is not written down.
func simpleInTable(f, top flags) bool {
	if f&fCell != 0 {
		return top&fRow != 0
	}
	return top&fRowGroup != 0 && top&fMadeRow == 0 || top&fTable != 0 && top&(fMadeGroup|fMadeRow) == fMadeGroup
}

// endsTop ends the innermost element if it is what the end tag whose name
// begins at b[i] ends, as nearly all do, and nothing else happens. It
// returns the index after the tag, or 0.
func (r *Rewriter) endsTop(b []byte, i int) int {
	n := len(r.stack) - 1
	if n < 1 || i+9 > len(b) || !r.swift {
		return 0
	}
	e := &r.stack[n]
	if e.flags&fIntricateEnd|r.stack[n-1].flags&fGhost != 0 {
		return 0
	}
	// The key is the name in lower case; here only that is recognized.
	size := uint(bits.Len64(e.key)+7) / 8
	w := binary.LittleEndian.Uint64(b[i:])
	if (w^e.key)<<(64-8*size) != 0 || b[i+int(size)] != '>' {
		return 0
	}
	if e.flags&fCounted != 0 {
		r.count(e.flags, -1)
	}
	r.stack = r.stack[:n]
	return i + int(size) + 1
}

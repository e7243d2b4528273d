package rewrite

// The adoption agency (WHATWG 13.2.6.4.7): the end of a formatting element
// while special elements ("blocks") within it stay open. It ends the formatting element, and
// what else lies between it and the innermost block but blocks; what is within that block ends,
// too. The copies that the parser makes of formatting elements are not followed.

// maxBlocks is how many blocks the parser takes into account.
const maxBlocks = 8

// lastBlock returns the index of the innermost special element within
// formatting element i, or -1. Of very many it is that which the parser reaches.
func (r *Rewriter) lastBlock(i int) int {
	last := -1
	for j, n := i+1, 0; j < len(r.stack) && n < maxBlocks; j++ {
		if r.stack[j].flags&fSpecial != 0 {
			last = j
			n++
		}
	}
	return last
}

// staysOpen returns how many elements stay open once formatting element i has ended.
func (r *Rewriter) staysOpen(i int) int {
	n, last := 0, i
	for j := i + 1; j < len(r.stack); j++ {
		if r.stack[j].flags&fSpecial != 0 {
			n++
			last = j
		}
	}
	if n >= maxBlocks {
		return len(r.stack) // the parser gives up before it comes to them
	}
	return last + 1
}

// adopt ends element i at b[s:end] while elements within it stay open, and with a formatting
// element those between it and the innermost block.
func (r *Rewriter) adopt(b []byte, i, s, end int) {
	if r.stack[i].flags&fFormat != 0 {
		r.adoptBetween(b, i, s)
	}
	r.makeGhost(b, i, s, end)
}

func (r *Rewriter) adoptBetween(b []byte, i, s int) {
	for j := r.lastBlock(i) - 1; j > i; j-- {
		f := r.stack[j].flags
		if f&(fSpecial|fGhost) != 0 {
			continue
		}
		if f&fCode != 0 {
			r.codes--
		}
		r.makeGhost(b, j, s, s)
	}
}

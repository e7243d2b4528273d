package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// Behind a segment's records are their marks: the first bytes of each record's leaf hash, in
// order, in a frame that zstd skips (RFC 8878, 3.1.2). The statement has their hash. Where
// the records do not fit the statement any more, the marks say which of them do.
const (
	markSize  = 4 // of one mark, in bytes
	marksHead = 8 // of the frame, before the marks
)

// marksMagic is the one of the sixteen magic numbers of skippable frames that we use.
const marksMagic = 0x184D2A5B

// marksHeader is what the frame of n bytes of marks begins with.
func marksHeader(n int) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, marksHead), marksMagic)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// appendMarks appends the frame of marks.
func appendMarks(b, marks []byte) []byte {
	return append(append(b, marksHeader(len(marks))...), marks...)
}

// checkMarks checks the end of a segment's bytes: the frame of marks, which should be those
// of the records that were found in it.
func checkMarks(frame []byte, st *Statement, marks []byte) error {
	n := int(st.Records) * markSize // parseStatement bounds it
	if at := len(frame) - marksHead - n; at < 0 || !bytes.Equal(frame[at:at+marksHead], marksHeader(n)) {
		return errors.New("the frame of marks is not behind the records")
	}
	if own := frame[len(frame)-n:]; !bytes.Equal(own, marks) || sha256.Sum256(own) != st.Marks {
		return errors.New("the marks are not those of the records")
	}
	return nil
}

// What happened to records.
type changeKind uint8

const (
	changed    changeKind = iota // n records from at on
	missing                      // n records from at on
	inserted                     // n records behind at, which is -1 in front of the first
	swapped                      // at changed places with other
	moved                        // n records from at on stand behind other, which is -1 in front of the first
	replaced                     // n records from at on are not there, other ones, how many is in other, are
	unreadable                   // n records from at on: the text breaks off
)

// A change is one difference between the records that were sealed and those that are
// there. Places are indexes in the segment as it was sealed.
type change struct {
	kind         changeKind
	at, n, other int
}

// maxCompared bounds the records that are compared out of order, of either side; beyond it
// only their range is told.
const maxCompared = 1 << 20

// compareMarks says how the marks that were found differ from those that were sealed. cut says
// that what was found breaks off. It takes O(n log n) time for n records.
func compareMarks(sealed, found []byte, cut bool) []change {
	c := comparison{w: marksOf(sealed), g: marksOf(found), cut: cut}
	// What is equal at both ends is out of question.
	p := equalPrefix(c.w, c.g)
	c.w, c.g, c.base = c.w[p:], c.g[p:], p
	if !cut {
		s := equalSuffix(c.w, c.g)
		c.w, c.g = c.w[:len(c.w)-s], c.g[:len(c.g)-s]
	}
	switch {
	case len(c.w) == 0 && len(c.g) == 0:
		return nil
	case len(c.w) > maxCompared || len(c.g) > maxCompared:
		c.told(replaced, 0, len(c.w), len(c.g))
		return c.list
	}
	// Two ways to tell it, both of which are true. The one that blames fewer records is taken.
	var still []change
	if !cut && len(c.w) == len(c.g) {
		c.inPlace()
		still, c.list = c.list, nil
	}
	c.aligned()
	if still != nil && blamed(still) <= blamed(c.list) {
		return still
	}
	slices.SortStableFunc(c.list, func(a, b change) int { return a.at - b.at })
	return c.list
}

// blamed counts the records that changes name, a pair that changed places once.
func blamed(list []change) (n int) {
	for _, c := range list {
		switch c.kind {
		case replaced:
			n += max(c.n, c.other)
		default:
			n += c.n
		}
	}
	return n
}

func marksOf(b []byte) []uint32 {
	list := make([]uint32, len(b)/markSize)
	for i := range list {
		list[i] = binary.BigEndian.Uint32(b[i*markSize:])
	}
	return list
}

func equalPrefix(a, b []uint32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func equalSuffix(a, b []uint32) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// A comparison is of the marks w that were sealed with those g that are there.
type comparison struct {
	w, g []uint32
	base int // index in the segment of the first of w
	cut  bool
	list []change
}

// told adds a change at w[at], and joins it with the one before if it goes on.
func (c *comparison) told(kind changeKind, at, n, other int) {
	at += c.base
	if k := len(c.list) - 1; k >= 0 && (kind == changed || kind == missing) && c.list[k].kind == kind && c.list[k].at+c.list[k].n == at {
		c.list[k].n += n
		return
	}
	c.list = append(c.list, change{kind, at, n, other})
}

// An index finds marks: the mark and its place in one number, sorted.
type index []uint64

// indexOf is the index of marks, or of those only that differ from other.
func indexOf(marks, other []uint32) index {
	var x index
	for i, m := range marks {
		if other == nil || m != other[i] {
			x = append(x, uint64(m)<<32|uint64(i))
		}
	}
	slices.Sort(x)
	return x
}

// find returns the first place of a mark, and how many there are, two at most.
func (x index) find(m uint32) (at, n int) {
	k, _ := slices.BinarySearch(x, uint64(m)<<32)
	for k+n < len(x) && n < 2 && uint32(x[k+n]>>32) == m {
		n++
	}
	if n > 0 {
		at = int(uint32(x[k]))
	}
	return at, n
}

// inPlace explains the difference, of as many records as there were, with pairs that changed
// places, and records that were changed where they are.
func (c *comparison) inPlace() {
	w := indexOf(c.w, c.g)
	for i := range c.w {
		if c.w[i] == c.g[i] {
			continue
		}
		j, n := w.find(c.g[i])
		_, own := w.find(c.w[i])
		switch {
		case n != 1 || own != 1 || c.g[j] != c.w[i]:
			c.told(changed, i, 1, 0)
		case i < j:
			c.told(swapped, i, 1, c.base+j)
		}
	}
}

// aligned explains the difference by the longest run of records that are still in order: those
// of which the mark is there once on either side, and what is equal beside them.
func (c *comparison) aligned() {
	w, g := indexOf(c.w, nil), indexOf(c.g, nil)
	to := make([]int, len(c.g)) // place in w; -1: none
	for j, m := range c.g {
		to[j] = -1
		if i, n := w.find(m); n == 1 {
			if _, n := g.find(m); n == 1 {
				to[j] = i
			}
		}
	}
	kept := increasing(to) // places in g
	away := make([]bool, len(c.w))
	k, last, run := 0, -1, -1
	for j, i := range to {
		switch {
		case k < len(kept) && kept[k] == j:
			last, run = i, -1
			k++
		case i >= 0: // in another place than it was
			away[i] = true
			if n := len(c.list) - 1; run >= 0 && i == run+1 && n >= 0 && c.list[n].kind == moved {
				c.list[n].n++
			} else {
				c.told(moved, i, 1, c.base+last)
			}
			run = i
		default:
			run = -1
		}
	}
	i0, j0 := 0, 0
	for _, j := range kept {
		c.gap(i0, to[j], j0, j, to, away)
		i0, j0 = to[j]+1, j+1
	}
	if c.cut {
		if e := equalPrefix(c.w[i0:], c.g[j0:]); i0+e < len(c.w) {
			c.told(unreadable, i0+e, len(c.w)-i0-e, 0)
		}
		return
	}
	c.gap(i0, len(c.w), j0, len(c.g), to, away)
}

// gap explains w[i0:i1], in the place of which g[j0:j1] is.
func (c *comparison) gap(i0, i1, j0, j1 int, to []int, away []bool) {
	p := equalPrefix(c.w[i0:i1], c.g[j0:j1])
	i0, j0 = i0+p, j0+p
	s := equalSuffix(c.w[i0:i1], c.g[j0:j1])
	i1, j1 = i1-s, j1-s
	gone, new := 0, 0
	for i := i0; i < i1; i++ {
		if !away[i] {
			gone++
		}
	}
	for j := j0; j < j1; j++ {
		if to[j] < 0 {
			new++
		}
	}
	kind := changed
	switch {
	case gone == 0 && new == 0:
		return
	case gone == 0:
		c.told(inserted, i0-1, new, 0)
		return
	case new == 0:
		kind = missing
	case gone != new:
		c.told(replaced, i0, i1-i0, new)
		return
	}
	for i := i0; i < i1; i++ {
		if !away[i] {
			c.told(kind, i, 1, 0)
		}
	}
}

// increasing returns the indexes of a longest increasing run of the numbers that are not negative.
func increasing(list []int) []int {
	var ends []int // ends[k]: where the run of k+1 numbers ends whose end is smallest
	before := make([]int, len(list))
	for j, i := range list {
		if i < 0 {
			continue
		}
		k, _ := slices.BinarySearchFunc(ends, i, func(e, i int) int { return list[e] - i })
		before[j] = -1
		if k > 0 {
			before[j] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, j)
		} else {
			ends[k] = j
		}
	}
	run := make([]int, len(ends))
	for k, j := len(ends)-1, 0; k >= 0; k-- {
		if k == len(ends)-1 {
			j = ends[k]
		} else {
			j = before[run[k+1]]
		}
		run[k] = j
	}
	return run
}

package rewrite

import (
	"slices"
	"strconv"

	"bespoke/modules/abi"
)

// A jsonSeq is how far the members of a box have been written.
type jsonSeq struct {
	pos  int32 // in the document: what is before it has been written, or is left out
	lead bool  // no member of the document's has been written, and pos is where the next begins, or -1
	any  bool  // something has been written
}

// write writes the document as the last walk found it.
func (r *JSONRewriter) write() {
	r.away = zeroed(r.away, len(r.plan.edits))
	for i := range r.away {
		r.away[i] = -1
	}
	r.named, r.turn, r.adds = zeroed(r.named, r.plan.names), 0, r.adds[:0]
	r.between(0, int32(len(r.marks)), 0, int32(len(r.doc)))
}

// between writes doc[pos:end], in which the marks i to j-1 lie.
func (r *JSONRewriter) between(i, j, pos, end int32) {
	for i < j && r.room() {
		m := &r.marks[i]
		r.out = append(r.out, r.doc[pos:m.val]...)
		r.put(i)
		pos, i = m.end, m.after
	}
	r.out = append(r.out, r.doc[pos:end]...)
}

// room tells whether more may be written.
func (r *JSONRewriter) room() bool {
	if len(r.out) > r.limit {
		r.stopped = WhyBuffer
	}
	return r.stopped == 0
}

// put writes the value of a mark.
func (r *JSONRewriter) put(i int32) {
	switch m := &r.marks[i]; {
	case r.shows(m):
		if m.set >= 0 {
			r.not(m.set/2, WhyOverridden)
		}
		r.putDistance(m.show / 2)
	case m.set >= 0:
		r.out = append(r.out, r.plan.edits[m.set/2].content...)
		r.applied[m.set/2]++
	case m.box >= 0:
		r.members(i)
	default:
		r.between(i+1, m.after, m.val, m.end)
	}
}

// shows tells whether the value gives way to a distance.
func (r *JSONRewriter) shows(m *jsonMark) bool { return m.show >= 0 && r.away[m.show/2] >= 0 }

// putDistance writes the distance of the element at hand: a number with one digit after the point.
func (r *JSONRewriter) putDistance(e int32) {
	km := r.away[e]
	if r.plan.edits[e].list.miles {
		km /= kmPerMile
	}
	r.out = strconv.AppendFloat(r.out, km, 'f', 1, 64)
}

// goes tells whether the member is left out.
func (r *JSONRewriter) goes(m *jsonMark) bool {
	return m.gone || m.set >= 0 && r.plan.edits[m.set/2].op == abi.OpUnsetAttr && !r.shows(m)
}

// members writes an array or object whose members may change.
func (r *JSONRewriter) members(i int32) {
	m := &r.marks[i]
	b := &r.boxes[m.box]
	r.out = append(r.out, b.kind)
	s := jsonSeq{pos: b.first, lead: true}
	adds := len(r.adds)
	if b.kind == '{' {
		r.gather(i)
	} else {
		r.putHits(m, b, &s, abi.OpPrepend)
	}
	if b.fill >= 0 {
		for _, x := range r.plan.edits[b.fill].items {
			r.put1(b, &s, x)
		}
	} else {
		r.children(i, b, &s)
	}
	if b.fill >= 0 {
		r.applied[b.fill]++
	}
	for i := range r.nLists(b) {
		r.applied[r.listAt(b, i)]++
	}
	if b.kind == '{' {
		for _, h := range r.adds[adds:] {
			r.add(b, &s, h)
		}
		r.adds = r.adds[:adds]
	} else {
		r.putHits(m, b, &s, abi.OpAppend)
	}
	if s.any || b.count == 0 {
		r.out = append(r.out, r.doc[b.lastEnd:m.end-1]...)
	}
	r.out = append(r.out, b.kind+2)
}

// putHits writes the contents that are put before all elements, the last
// first, or after all of them.
func (r *JSONRewriter) putHits(m *jsonMark, b *jsonBox, s *jsonSeq, op abi.Op) {
	hits := r.hits[m.hits:m.hitsEnd]
	for i := range hits {
		h := hits[i]
		if op == abi.OpPrepend {
			h = hits[len(hits)-1-i]
		}
		if e := &r.plan.edits[h/2]; e.op == op {
			r.put1(b, s, e.content)
			r.applied[h/2]++
		}
	}
}

// put1 writes one more element.
func (r *JSONRewriter) put1(b *jsonBox, s *jsonSeq, content []byte) {
	if !r.room() {
		return
	}
	r.begin(b, s)
	r.out = append(r.out, content...)
}

// begin writes what stands before one more member.
func (r *JSONRewriter) begin(b *jsonBox, s *jsonSeq) {
	if s.any {
		r.comma1(b)
	} else {
		r.out = append(r.out, r.lead(b)...)
	}
	s.any = true
}

// lead is the whitespace before the first member.
func (r *JSONRewriter) lead(b *jsonBox) []byte { return r.doc[r.marks[b.mark].val+1 : b.first] }

// comma1 writes a comma in the style of the box: what stands between its first two members or,
// if it has but one, a comma and the whitespace before that.
func (r *JSONRewriter) comma1(b *jsonBox) {
	if b.count > 1 {
		r.out = append(r.out, r.doc[b.firstEnd:b.second]...)
		return
	}
	r.out = append(r.out, ',')
	lead := r.lead(b)
	if len(lead) == 0 && b.count == 1 && b.kind == '{' && r.doc[b.nameVal-1] == ' ' {
		r.out = append(r.out, ' ') // who writes a space after colons writes one after commas
	}
	r.out = append(r.out, lead...)
}

// children writes the members of the box that the document has.
func (r *JSONRewriter) children(i int32, b *jsonBox, s *jsonSeq) {
	after, slot, prev := r.marks[i].after, b.perm, int32(-1)
	for c := i + 1; c < after && r.room(); c = r.marks[c].after {
		m := &r.marks[c]
		if m.prev >= 0 && m.prev != prev { // members without a mark
			r.upTo(b, s, m.prev)
		}
		prev = m.end
		at := c
		gone := r.goes(m)
		if gone {
			r.countGone(m)
		} else if b.perm >= 0 {
			at = r.perm[slot]
			slot++
			gone = at < 0
		}
		switch {
		case !gone:
			r.upTo(b, s, m.start)
			r.member(at, b)
			s.pos = m.end
		case s.lead: // the comma after it goes too
			s.pos = m.next
		default: // the comma before it
			s.pos = m.end
		}
	}
	if !s.lead || s.pos >= 0 && s.pos < b.lastEnd {
		r.upTo(b, s, b.lastEnd)
	}
}

// upTo writes the document up to the place pos.
func (r *JSONRewriter) upTo(b *jsonBox, s *jsonSeq, pos int32) {
	if s.lead {
		r.begin(b, s)
		s.lead = false
	}
	r.out = append(r.out, r.doc[s.pos:pos]...)
	s.pos = pos
}

// member writes a member, or an element with what is put beside it.
func (r *JSONRewriter) member(i int32, b *jsonBox) {
	m := &r.marks[i]
	hits := r.hits[m.hits:m.hitsEnd]
	if b.show >= 0 {
		r.away[b.show] = m.away
	}
	if m.beside {
		for _, h := range hits {
			if e := &r.plan.edits[h/2]; e.op == abi.OpBefore && r.room() {
				r.out = append(r.out, e.content...)
				r.comma1(b)
				r.applied[h/2]++
			}
		}
	}
	r.out = append(r.out, r.doc[m.start:m.val]...)
	r.put(i)
	if !m.beside {
		return
	}
	for k := len(hits) - 1; k >= 0; k-- {
		if e := &r.plan.edits[hits[k]/2]; e.op == abi.OpAfter && r.room() {
			r.comma1(b)
			r.out = append(r.out, e.content...)
			r.applied[hits[k]/2]++
		}
	}
}

// countGone counts the edits that took a member away.
func (r *JSONRewriter) countGone(m *jsonMark) {
	if !m.gone {
		r.applied[m.set/2]++
		return
	}
	for _, h := range r.hits[m.hits:m.hitsEnd] {
		if r.plan.edits[h/2].op == abi.OpRemove {
			r.applied[h/2]++
		}
	}
}

// gather adds to r.adds the hits that add a member to the object, in their order.
func (r *JSONRewriter) gather(i int32) {
	m := &r.marks[i]
	base := len(r.adds)
	for _, h := range r.hits[m.hits:m.hitsEnd] {
		if op := r.plan.edits[h/2].op; h&1 == 0 && (op == abi.OpAttr || op == abi.OpUnsetAttr) {
			r.adds = append(r.adds, h)
		}
	}
	if m.list >= 0 {
		if e := r.boxes[m.list].show; e >= 0 && m.away >= 0 {
			r.adds = append(r.adds, 2*e)
			slices.Sort(r.adds[base:])
		}
	}
	if len(r.adds) == base {
		return
	}
	r.turn++
	for c := i + 1; c < m.after; c = r.marks[c].after {
		for _, h := range r.hits[r.marks[c].hits:r.marks[c].hitsEnd] {
			if h&1 != 0 {
				r.named[r.plan.edits[h/2].nameID] = r.turn
			}
		}
	}
	to := len(r.adds)
	for k := to - 1; k >= base; k-- { // the last that says what becomes of a name wins
		h := r.adds[k]
		e := &r.plan.edits[h/2]
		switch id := &r.named[e.nameID]; *id {
		case r.turn: // the object has it
		case -r.turn:
			r.not(h/2, WhyOverridden)
		default:
			*id = -r.turn
			if e.op != abi.OpUnsetAttr {
				to--
				r.adds[to] = h
			}
		}
	}
	r.adds = append(r.adds[:base], r.adds[to:]...)
}

// add writes a member that the object did not have.
func (r *JSONRewriter) add(b *jsonBox, s *jsonSeq, h int32) {
	if !r.room() {
		return
	}
	e := &r.plan.edits[h/2]
	r.begin(b, s)
	r.out = append(r.out, e.member...)
	if b.count > 0 {
		r.out = append(r.out, r.doc[b.nameEnd:b.nameVal]...)
	} else {
		r.out = append(r.out, ':')
	}
	if e.list != nil {
		r.putDistance(h / 2)
		return
	}
	r.out = append(r.out, e.content...)
	r.applied[h/2]++
}

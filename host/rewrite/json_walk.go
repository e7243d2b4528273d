package rewrite

import (
	"slices"

	"bespoke/modules/abi"
)

// A jsonMark is a value that the writing of the document has to stop at: edits
// have it for a target, or change what it consists of, or it is an element of a
// list. Marks stand in the order of the document, those within a mark behind it.
type jsonMark struct {
	start, val, end int32   // the member, from its name on, or the element; the value in it; the end of both
	prev, next      int32   // where the sibling before it ends and the one after it starts, or -1
	after           int32   // the first mark that is not within it
	hits, hitsEnd   int32   // in JSONRewriter.hits
	set             int32   // the hit that says what the value becomes, or that the member goes; or -1
	show            int32   // the hit that writes a distance in its place, if there is one; or -1
	box             int32   // in JSONRewriter.boxes, or -1
	list            int32   // of an element of a list: in JSONRewriter.boxes; or -1
	fields          int32   // of an element of a list: in JSONRewriter.spans
	away            float64 // of an element of a list: the distance to show; negative if there is none
	gone, beside    bool    // it goes; something is put beside it
}

// A jsonBox is an array or object whose members may change.
type jsonBox struct {
	mark             int32
	kind             byte  // '[' or '{'
	count            int32 // of members; above 1 it says no more than that
	first, firstEnd  int32
	second, lastEnd  int32
	nameEnd, nameVal int32 // of the last member of an object: where its name ends and its value begins
	order            int32 // the edit that acts, or -1
	keeps, keepsEnd  int32 // the edits that act, in JSONRewriter.keeps
	show, fill       int32
	perm             int32 // of a list: what goes to its places, in JSONRewriter.perm; or -1
}

// jsonActive is a place in the trie that the value at hand, or one that it lies in, is at.
type jsonActive struct{ node, next int32 }

// A jsonSite is where a value stands.
type jsonSite struct {
	start, prev int32 // as in jsonMark
	in          byte  // what it stands in: '[', '{' or 0
	list        int32 // as in jsonMark
	gone        bool  // it goes, whatever its hits
}

// A jsonTwin is a name that an object has several times.
type jsonTwin struct {
	object int   // where it begins
	node   int32 // what the name leads to
}

// walk reads the whole document and finds what is to be done. It tells whether it may be done.
func (r *JSONRewriter) walk(doc []byte, twins bool) bool {
	p := r.plan
	r.jsonScanner.reset(doc, p.maxDepth)
	r.marks, r.boxes, r.hits, r.keeps, r.active = r.marks[:0], r.boxes[:0], r.hits[:0], r.keeps[:0], r.active[:0]
	r.spans, r.perm, r.text, r.place = r.spans[:0], r.perm[:0], r.text[:0], jsonPlace{}
	r.seen, r.serial, r.work = zeroed(r.seen, len(p.nodes)), 0, 0
	r.lists = zeroed(r.lists, len(p.edits))
	if !twins && len(r.twins) > 0 {
		clear(r.twins)
	}
	r.second, r.quiet, r.open = twins, false, 0
	i := 0
	if len(doc) >= 3 && string(doc[:3]) == "\xEF\xBB\xBF" {
		i = 3
	}
	i = r.space(i)
	r.active = append(r.active, jsonActive{})
	if i = r.value(i, 0, jsonSite{start: int32(i), prev: -1, list: -1}); i < 0 {
		return false
	}
	if r.space(i) != len(doc) {
		r.fault = WhyAmbiguous
		return false
	}
	return true
}

// value reads the value at doc[v], which is at the places in r.active[from:]. It returns its end, or -1.
func (r *JSONRewriter) value(v, from int, at jsonSite) int {
	p, first := r.plan, len(r.hits)
	var box, inner, reads, asMember bool
	several := -1
	for _, a := range r.active[from:] {
		n := &p.nodes[a.node]
		if r.quiet {
			inner, reads = inner || n.inner, reads || len(n.reads) > 0
			continue
		}
		if len(n.hits) > 0 {
			r.hits = append(r.hits, n.hits...)
			several++
		}
		box, inner, reads = box || n.box, inner || n.inner, reads || len(n.reads) > 0
	}
	for _, h := range r.hits[first:] {
		asMember = asMember || h&1 != 0
	}
	if several > 0 {
		slices.Sort(r.hits[first:])
	}
	if asMember {
		r.keepHits(first, at.in)
	}
	if box && v < len(r.doc) {
		box = r.doc[v] == '{' || r.doc[v] == '['
	}
	end := -1
	if box || at.list >= 0 || at.gone && !r.quiet || len(r.hits) > first {
		end = r.mark(v, from, first, at, inner)
	} else {
		end = r.within(v, from, inner, -1)
	}
	if reads && end >= 0 {
		r.readField(from, v, end)
	}
	return end
}

// keepHits drops the hits from first on that set a member of an object, where
// the value is an element of an array, or of a list that shows no distances.
func (r *JSONRewriter) keepHits(first int, in byte) {
	kept := r.hits[:first]
	for _, h := range r.hits[first:] {
		op := r.plan.edits[h/2].op
		if h&1 == 0 || in == '{' && (op == abi.OpAttr || op == abi.OpUnsetAttr || r.lists[h/2].show) {
			kept = append(kept, h)
		}
	}
	r.hits = kept
}

// within reads the value at doc[v], to mark what lies in it.
func (r *JSONRewriter) within(v, from int, inner bool, box int32) int {
	if v < len(r.doc) && (inner || box >= 0) {
		switch r.doc[v] {
		case '{':
			return r.object(v, from, box)
		case '[':
			return r.array(v, from, box)
		}
	}
	return r.pass(v)
}

// mark reads the value at doc[v] and marks it. Its hits are those from first on.
func (r *JSONRewriter) mark(v, from, first int, at jsonSite, inner bool) int {
	if len(r.marks) == maxJSONMarks || len(r.hits) > maxJSONHits || v >= len(r.doc) {
		why := WhyBuffer
		if v >= len(r.doc) {
			why = WhyAmbiguous
		}
		return r.fail(why)
	}
	x := int32(len(r.marks))
	r.marks = append(r.marks, jsonMark{
		start: at.start, val: int32(v), prev: at.prev, next: -1, hits: int32(first), hitsEnd: int32(len(r.hits)),
		set: -1, show: -1, box: -1, list: at.list, away: -1, gone: at.gone,
	})
	if at.list >= 0 {
		r.openItem(x)
	}
	kind := r.doc[v]
	sum := jsonSum{order: -1, fill: -1, keeps: len(r.keeps)}
	if !at.gone {
		r.resolve(&r.marks[x], kind, at.in, &sum)
	}
	end := -1
	switch m := &r.marks[x]; {
	case m.gone, m.set >= 0:
		// Edits in it do not act, but lists go by what the document says.
		r.quiet = true
		end = r.within(v, from, inner && r.open > 0, -1)
		r.quiet = false
	case (kind == '{' || kind == '[') && r.boxed(from):
		m.box = int32(len(r.boxes))
		r.boxes = append(r.boxes, jsonBox{
			mark: x, kind: kind, first: int32(v + 1), lastEnd: int32(v + 1),
			order: sum.order, keeps: int32(sum.keeps), keepsEnd: int32(len(r.keeps)), show: -1, fill: sum.fill, perm: -1,
		})
		if sum.fill >= 0 {
			from = len(r.active) // nothing in it counts any more
		}
		end = r.within(v, from, inner, m.box)
	default:
		end = r.within(v, from, inner, -1)
	}
	r.marks[x].end, r.marks[x].after = int32(end), int32(len(r.marks))
	return end
}

// boxed tells whether edits at the places in r.active[from:] may change the members of the value.
func (r *JSONRewriter) boxed(from int) bool {
	for _, a := range r.active[from:] {
		if r.plan.nodes[a.node].box {
			return true
		}
	}
	return false
}

// object reads the object at doc[i], which is at the places in r.active[from:].
func (r *JSONRewriter) object(i, from int, box int32) int {
	if r.depth == r.maxDepth {
		return r.fail(WhyDepth)
	}
	r.depth++
	r.serial++
	doc, to, serial, object := r.doc, len(r.active), r.serial, i
	prev, last := int32(-1), -1
	i = r.space(i + 1)
	if i < len(doc) && doc[i] == '}' {
		r.depth--
		return i + 1
	}
	for {
		start := i
		end, escaped := r.name(i)
		v := r.colon(end)
		if v < 0 {
			return -1
		}
		if last >= 0 {
			r.marks[last].next, last = int32(start), -1
		}
		if r.work += to - from; r.work > maxJSONWork {
			return r.fail(WhyBuffer)
		}
		gone := r.enter(start, end, escaped, from, to, serial, object)
		m := len(r.marks)
		if len(r.active) == to && !gone {
			i = r.pass(v)
		} else {
			i = r.value(v, to, jsonSite{start: int32(start), prev: prev, in: '{', list: -1, gone: gone})
			r.active = r.active[:to]
			if len(r.marks) > m && int(r.marks[m].val) == v {
				last = m
			}
		}
		if i < 0 {
			return -1
		}
		if box >= 0 {
			b := &r.boxes[box]
			b.note(int32(start), int32(i))
			b.nameEnd, b.nameVal = int32(end), int32(v)
		}
		prev = int32(i)
		if i = r.space(i); i < len(doc) && doc[i] == '}' {
			r.depth--
			return i + 1
		}
		if i = r.comma(i); i < 0 {
			return -1
		}
	}
}

// comma returns the place of what follows the comma at doc[i], or -1.
func (r *JSONRewriter) comma(i int) int {
	if i >= len(r.doc) || r.doc[i] != ',' {
		return r.fail(WhyAmbiguous)
	}
	return r.space(i + 1)
}

// note counts a member.
func (b *jsonBox) note(start, end int32) {
	switch b.count {
	case 0:
		b.first, b.firstEnd, b.count = start, end, 1
	case 1:
		b.second, b.count = start, 2
	}
	b.lastEnd = end
}

// enter adds to r.active the places that the name doc[start:end] leads to from
// those in r.active[from:to]. It tells whether the member goes because a later one of its name does.
func (r *JSONRewriter) enter(start, end int, escaped bool, from, to int, serial int32, object int) (gone bool) {
	name := r.doc[start+1 : end-1]
	if escaped {
		r.unquoted = jsonUnquote(r.unquoted[:0], name, true)
		name = r.unquoted
	}
	for k := from; k < to; k++ {
		n := &r.plan.nodes[r.active[k].node]
		if !n.inner {
			continue
		}
		if n.star != 0 {
			r.active = append(r.active, jsonActive{node: n.star})
		}
		c := n.child(name)
		if c == 0 {
			continue
		}
		if r.second {
			if last, ok := r.twins[jsonTwin{object, c}]; ok && last != start {
				gone = gone || r.plan.clears(c)
				continue
			}
		} else if r.seen[c] == serial {
			if r.twins == nil {
				r.twins = map[jsonTwin]int{}
			}
			r.twins[jsonTwin{object, c}] = start
			r.work += 128 // these take room too
		}
		r.seen[c] = serial
		r.active = append(r.active, jsonActive{node: c})
	}
	return gone
}

// clears tells whether the edits of a place take a member away: then all of its
// name have to go, or one that was hidden would come to light.
func (p *JSONPlan) clears(node int32) bool {
	unset := false
	for _, h := range p.nodes[node].hits {
		switch p.edits[h/2].op {
		case abi.OpRemove:
			return true
		case abi.OpText, abi.OpReplace:
			unset = false
		case abi.OpAttr, abi.OpUnsetAttr:
			if h&1 != 0 {
				unset = p.edits[h/2].op == abi.OpUnsetAttr
			}
		}
	}
	return unset
}

// array reads the array at doc[i], which is at the places in r.active[from:].
func (r *JSONRewriter) array(i, from int, box int32) int {
	if r.depth == r.maxDepth {
		return r.fail(WhyDepth)
	}
	r.depth++
	doc, to := r.doc, len(r.active)
	prev, last := int32(-1), -1
	i = r.space(i + 1)
	if i < len(doc) && doc[i] == ']' {
		r.depth--
		return i + 1
	}
	list := int32(-1)
	if box >= 0 && r.openList(box) {
		list = box
	}
	for k := range r.active[from:] {
		r.active[from+k].next = 0
	}
	for n := int32(0); ; n++ {
		start, m := i, len(r.marks)
		if last >= 0 {
			r.marks[last].next, last = int32(start), -1
		}
		if r.work += to - from; r.work > maxJSONWork {
			return r.fail(WhyBuffer)
		}
		r.enterElement(n, from, to)
		if len(r.active) == to && list < 0 {
			i = r.pass(i)
		} else {
			if list >= 0 && n == maxJSONElements {
				return r.fail(WhyBuffer)
			}
			i = r.value(i, to, jsonSite{start: int32(start), prev: prev, in: '[', list: list})
			r.active = r.active[:to]
			if len(r.marks) > m && int(r.marks[m].val) == start {
				last = m
			}
		}
		if i < 0 {
			return -1
		}
		if box >= 0 {
			r.boxes[box].note(int32(start), int32(i))
		}
		prev = int32(i)
		if i = r.space(i); i < len(doc) && doc[i] == ']' {
			r.depth--
			if list >= 0 && !r.closeList(box) {
				return -1
			}
			return i + 1
		}
		if i = r.comma(i); i < 0 {
			return -1
		}
	}
}

// enterElement is enter for element n of an array.
func (r *JSONRewriter) enterElement(n int32, from, to int) {
	for k := from; k < to; k++ {
		a := r.active[k]
		nd := &r.plan.nodes[a.node]
		if nd.star != 0 {
			r.active = append(r.active, jsonActive{node: nd.star})
		}
		if int(a.next) < len(nd.index) && nd.index[a.next].at == n {
			r.active = append(r.active, jsonActive{node: nd.index[a.next].node})
			r.active[k].next++
		}
	}
}

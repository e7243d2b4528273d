package rewrite

// A JSONRewriter edits documents of JSON, one after another. The zero value
// is ready. It is for one goroutine at a time.
type JSONRewriter struct {
	jsonScanner
	plan *JSONPlan

	// What a walk leaves.
	marks []jsonMark
	boxes []jsonBox
	keeps []int32 // of the lists
	hits  []int32
	perm  []int32 // marks of elements in their new order; -1 where one is dropped

	// While it walks.
	active   []jsonActive
	seen     []int32 // by node: the object, by number, in which it was last reached
	serial   int32
	work     int
	unquoted []byte
	twins    map[jsonTwin]int // the place of the last name of each
	second   bool             // the walk after twins were found
	lists    []jsonOpen       // by edit
	open     int              // how many of them are open
	quiet    bool             // nothing is marked
	spans    []jsonSpan       // the fields of the elements of open lists
	keys     []jsonKey
	index    []int32
	text     []byte // of fields
	weights  []float64
	place    jsonPlace

	// While it writes.
	out   []byte
	limit int       // how long out may become
	away  []float64 // by edit: the distance of the element at hand, negative if it has none
	adds  []int32   // hits that add a member to the objects at hand
	named []int32   // by name of member: the turn in which it was last seen
	turn  int32

	applied  []int
	why      []uint32 // by edit: a set of reasons
	list     []NotApplied
	buffered int
	stopped  Reason
}

// maxScratch is how many marks a rewriter keeps room for between documents.
const maxScratch = 1 << 14

// Rewrite appends the document, edited, to dst. Where the plan has edits, the
// document is checked by RFC 8259 from end to end: if it is wrong, or beyond a limit, it is appended as
// it is, and [Report].Stopped says why. doc must not overlap dst. The rewriter keeps neither.
func (r *JSONRewriter) Rewrite(dst []byte, p *JSONPlan, doc []byte) []byte {
	r.plan, r.buffered = p, 0
	r.resetReport()
	if len(p.edits) == 0 {
		return append(dst, doc...)
	}
	if len(doc) > p.maxBytes {
		r.stopped = WhyBuffer
		return append(dst, doc...)
	}
	r.buffered = len(doc)
	start := len(dst)
	if r.readAll(doc) {
		r.out, r.limit = dst, start+p.maxBytes*jsonGrowth
		r.write()
		dst, r.out = r.out, nil
	} else {
		r.stopped = r.fault
	}
	if why := r.stopped; why != 0 {
		r.resetReport()
		r.stopped = why
		dst = append(dst[:start], doc...)
	}
	r.release()
	return dst
}

// readAll walks through the document, again if it has names more than once that
// targets name: then it is known which are the last.
func (r *JSONRewriter) readAll(doc []byte) bool {
	ok := r.walk(doc, false)
	if ok && len(r.twins) > 0 {
		r.resetReport()
		ok = r.walk(doc, true)
		r.seen = zeroed(r.seen, len(r.plan.nodes))
		for t := range r.twins {
			r.ambiguous(t.node)
		}
	}
	return ok
}

// ambiguous reports the edits that reach a value through a node.
func (r *JSONRewriter) ambiguous(node int32) {
	if r.seen[node] != 0 {
		return
	}
	r.seen[node] = 1
	n := &r.plan.nodes[node]
	for _, h := range n.hits {
		r.not(h/2, WhyAmbiguous)
	}
	for _, u := range n.reads {
		r.not(u.edit, WhyAmbiguous)
	}
	for i := range n.names {
		r.ambiguous(n.names[i].node)
	}
	for _, c := range n.byName {
		r.ambiguous(c)
	}
	if n.star != 0 {
		r.ambiguous(n.star)
	}
}

// release lets go of the document, and of room that documents seldom need.
func (r *JSONRewriter) release() {
	r.doc = nil
	if cap(r.marks) > maxScratch || cap(r.hits) > 4*maxScratch || len(r.twins) > maxScratch {
		r.marks, r.boxes, r.hits, r.perm, r.twins = nil, nil, nil, nil, nil
		r.spans, r.keys, r.index, r.text = nil, nil, nil, nil
	}
}

// Report tells what became of the last document. Its slices are good until the next Rewrite.
func (r *JSONRewriter) Report() Report {
	r.list = r.list[:0]
	for i, set := range r.why {
		for y := Reason(1); set>>y != 0; y++ {
			if set>>y&1 != 0 {
				r.list = append(r.list, NotApplied{i, y})
			}
		}
	}
	return Report{Applied: r.applied, NotApplied: r.list, Buffered: r.buffered, Stopped: r.stopped}
}

func (r *JSONRewriter) resetReport() {
	r.applied = zeroed(r.applied, len(r.plan.edits))
	r.why = zeroed(r.why, len(r.plan.edits))
	r.stopped = 0
}

func (r *JSONRewriter) not(edit int32, y Reason) { r.why[edit] |= 1 << y }

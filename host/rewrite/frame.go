package rewrite

import (
	"slices"

	"bespoke/modules/abi"
)

// maxChildren bounds the children of the lists that are kept back at a time.
const maxChildren = 1 << 14

// maxFrames bounds the lists within each other that are kept back: each is
// looked through, and written anew, once for each that is around it.
const maxFrames = 16

// maxKeeps bounds the keep edits of one list. Each looks at every item.
const maxKeeps = 32

// A frame is a list that is kept back until it ends, to be ordered, cut or filled.
type frame struct {
	depth       int // of its element in the stack
	start       int // in editing.buf
	from        int // of its children in editing.children
	cur         int // the child that is open, or -1
	order, fill int32
	nKeeps      int
	keepBuf     [maxKeeps]int32
	show        *list   // whose show counts, or nil
	look        glimpse // of the plan and of show
	sees        bool    // it sees what may meet show
}

// keeps are its keep edits: what one of them drops, no other brings back.
func (f *frame) keeps() []int32 { return f.keepBuf[:f.nKeeps] }

// each calls do with all of its edits.
func (f *frame) each(do func(h int32)) {
	if f.order >= 0 {
		do(f.order)
	}
	for _, h := range f.keeps() {
		do(h)
	}
	if f.fill >= 0 {
		do(f.fill)
	}
}

// A child is a child element of a list. Offsets are in editing.buf.
type child struct {
	start, end     int
	tag, inner     int // where its start tag begins, and ends
	close          int // where it ends itself; before end is what was put after it
	template       bool
	show, showEnd  int // the content that the distance replaces; -1 if none was found
	name, nameEnd  int // in editing.values: its name, if it has no end tag
	text, textEnd  int // in editing.values: what it is ordered by
	num            float64
	away           float64 // distance to show
	item, hasValue bool    // by order
	kept           uint32  // bit i: it takes part in keep edit i
	passes         bool    // what keeps ask, but for their count
	shown          bool    // it has a distance to show
	replaced       bool    // by something else, or by nothing
}

func (r *Rewriter) openFrame(t *tag, sum summary) bool {
	f := frame{depth: t.n, start: len(r.buf), from: len(r.children), cur: -1, order: sum.order, fill: sum.fill}
	if sum.keep >= 0 {
		for _, h := range r.hits {
			if r.plan.edits[h].op != abi.OpKeep {
				continue
			}
			if f.nKeeps == maxKeeps {
				r.not(h, WhyBuffer)
				continue
			}
			f.keepBuf[f.nKeeps] = h
			f.nKeeps++
		}
	}
	if len(r.frames) == maxFrames {
		f.each(func(h int32) { r.not(h, WhyDepth) })
		return false
	}
	f.each(func(h int32) {
		if l := r.plan.edits[h].list; l != nil && f.show == nil && l.show != nil {
			f.show = l
		}
	})
	if f.show != nil {
		f.look, f.sees = r.plan.glimpse.with(f.show.show)
	}
	r.frames = append(r.frames, f)
	return true
}

// inList tells whether the tag opens a child of a list that is kept back: then
// it readies r.children's next, and returns 0. And it tells the child in which
// the element shows the distance. Each is -1 otherwise.
func (r *Rewriter) inList(b []byte, t *tag) (isChild, show int32) {
	i := len(r.frames) - 1
	for i >= 0 && r.frames[i].depth >= t.n {
		i-- // it ends with this tag
	}
	if i < 0 {
		return -1, -1
	}
	f := &r.frames[i]
	if f.depth == t.n-1 {
		return 0, -1
	}
	if f.show == nil || f.cur < 0 {
		return -1, -1
	}
	c := &r.children[f.cur]
	if !c.shown || c.show >= 0 || t.void || t.flags&(fRaw|fNoText) != 0 ||
		!f.show.show.meets(b, &r.text, t.key, t.name) {
		return -1, -1
	}
	return -1, int32(f.cur)
}

// withinItem tells whether a tag that ends nothing opens an element within an
// item of the innermost list, and no item.
func (r *Rewriter) withinItem() bool {
	n := len(r.frames)
	return n > 0 && r.frames[n-1].depth+1 < len(r.stack)
}

// mayShow tells whether the distance of the item may be shown in an element of that type.
func (r *Rewriter) mayShow(key uint64) bool {
	f := &r.frames[len(r.frames)-1]
	if f.show == nil || f.cur < 0 {
		return false
	}
	c := &r.children[f.cur]
	want := f.show.show.key
	return c.shown && c.show < 0 && (want == 0 || want == key)
}

// showsIn tells whether it is shown in the element whose attributes have been read.
func (r *Rewriter) showsIn(b []byte, key uint64, name []byte) bool {
	return r.frames[len(r.frames)-1].show.show.meets(b, &r.text, key, name)
}

// openChild opens a child of the innermost list.
func (r *Rewriter) openChild(b []byte, t *tag) int32 {
	if len(r.children) == maxChildren {
		r.abandon(WhyBuffer)
		return -1
	}
	f := &r.frames[len(r.frames)-1]
	c := child{start: len(r.buf), close: -1, show: -1, template: t.flags&fTemplate != 0, passes: true}
	if f.order >= 0 {
		l := r.plan.edits[f.order].list
		if c.item = l.takes(b, r, t); c.item {
			r.rank(b, l, &c)
		}
	}
	from, shown := r.keepChild(b, t, f, &c)
	if l := f.show; l != nil && c.passes && l.takes(b, r, t) {
		if c.shown = shown; from == nil || !from.samePlace(l) {
			c.away, c.shown = r.distance(b, l)
		}
	}
	f.cur = len(r.children)
	r.children = append(r.children, c)
	return int32(f.cur)
}

// keepChild tells in c which keeps it takes part in, and whether it passes them
// as far as its start tag tells. It returns the last list that it measured the
// distance c.away for, if any, and whether there is one.
func (r *Rewriter) keepChild(b []byte, t *tag, f *frame, c *child) (from *list, placed bool) {
	for i, h := range f.keeps() {
		l := r.plan.edits[h].list
		if !l.takes(b, r, t) {
			continue
		}
		c.kept |= 1 << i
		if l.lat != "" && (from == nil || !from.samePlace(l)) {
			from = l
			c.away, placed = r.distance(b, l)
		}
		if l.within >= 0 && !(placed && c.away <= l.within) || !r.chosen(b, l) {
			c.passes = false
			return from, placed
		}
	}
	return from, placed
}

// takes tells whether the child takes part in the edit.
func (l *list) takes(b []byte, r *Rewriter, t *tag) bool {
	return l.items == nil || l.items.meets(b, &r.text, t.key, t.name)
}

// rank reads what the child is ordered by from its start tag.
func (r *Rewriter) rank(b []byte, l *list, c *child) {
	switch l.by {
	case byDistance:
		c.num, c.hasValue = r.distance(b, l)
	case byIDs:
		if r.text.id >= 0 {
			var at int
			at, c.hasValue = l.ids[string(r.text.value(b, r.text.id))]
			c.num = float64(at)
		}
	case byAttr:
		if l.key.from == nil {
			if i := r.text.find(b, l.key.attr); i >= 0 {
				r.rankBy(l, c, r.text.value(b, i))
			}
		}
	case byAffinity:
		ws := r.weights[:0]
		for k := range l.likes {
			if i := r.text.find(b, l.likes[k].attr); i >= 0 {
				ws = l.liked(k, r.text.value(b, i), ws)
			}
		}
		r.weights = ws
		c.hasValue = len(ws) > 0
		c.num = -l.score(ws) // the best first
	}
}

func (r *Rewriter) rankBy(l *list, c *child, v []byte) {
	c.num, c.hasValue = l.ranked(v)
	c.text = len(r.values)
	if l.as == asText {
		r.values = append(r.values, v...)
	}
	c.textEnd = len(r.values)
}

// chosen tells whether the child passes the sets, and the filter as far as its start tag tells.
func (r *Rewriter) chosen(b []byte, l *list) bool {
	if l.only != nil || l.drop != nil {
		in, out := false, false
		if r.text.id >= 0 {
			id := r.text.value(b, r.text.id)
			_, in = l.only[string(id)]
			_, out = l.drop[string(id)]
		}
		if l.only != nil && !in || out {
			return false
		}
	}
	if l.filter.none() || l.filter.from != nil {
		return true
	}
	if i := r.text.find(b, l.filter.attr); i >= 0 {
		return l.passes(r.text.value(b, i), true)
	}
	return l.passes(nil, false)
}

func (l *list) samePlace(m *list) bool {
	return l == m || l.at == m.at && l.lat == m.lat && l.lon == m.lon
}

func (r *Rewriter) distance(b []byte, l *list) (float64, bool) {
	if l.lat == "" {
		return 0, false
	}
	i, j := r.text.find(b, l.lat), r.text.find(b, l.lon)
	if i < 0 || j < 0 {
		return 0, false
	}
	lat, okLat := degrees(r.text.value(b, i), 90)
	lon, okLon := degrees(r.text.value(b, j), 180)
	if !okLat || !okLon {
		return 0, false
	}
	return l.at.Distance(lat, lon), true
}

// closeChild ends child c, which is element i of the stack. open says that no end tag has been written for it.
func (r *Rewriter) closeChild(c, i int, open bool) {
	x := &r.children[c]
	x.end = len(r.buf)
	if x.tag < x.start || x.close < x.tag { // it was replaced
		x.tag, x.close, x.replaced = x.start, x.end, true
	}
	if open {
		x.name = len(r.values)
		r.values = r.appendName(r.values, i)
		x.nameEnd = len(r.values)
	}
	r.frames[len(r.frames)-1].cur = -1
}

// finishFrame orders and cuts the innermost list and lets it go.
func (r *Rewriter) finishFrame() {
	f := r.frames[len(r.frames)-1]
	r.frames = r.frames[:len(r.frames)-1]
	if f.fill >= 0 {
		if why := r.fillFrame(&f); why != 0 {
			r.not(f.fill, why)
			f.fill = -1
		}
	} else {
		r.lookWithin(&f)
		if changed, moved := r.arrange(&f); changed {
			r.rebuild(&f, moved)
		}
	}
	f.each(func(h int32) { r.applied[h]++ })
	r.children = r.children[:f.from]
	r.seam, r.ended = true, ending(endsWhole, r.buf)
	if len(r.frames) == 0 {
		r.emit(r.buf)
		r.buf, r.values = r.buf[:0], r.values[:0]
		return
	}
	r.buffered = max(r.buffered, len(r.buf))
	if len(r.buf) > r.plan.maxBuffer { // the distances written made it longer
		r.abandon(WhyBuffer)
	}
}

// arrange puts into r.perm, for every slot, the index of the child that goes
// there, or -1-index if it is dropped. It tells whether anything changes, and
// whether children move or go.
func (r *Rewriter) arrange(f *frame) (changed, moved bool) {
	all := r.children[f.from:]
	r.perm = r.perm[:0]
	if f.order >= 0 {
		for i := range all {
			if all[i].item {
				r.perm = append(r.perm, int32(i))
			}
		}
		r.sort(r.plan.edits[f.order].list, all)
	}
	sorted := len(r.perm)
	next := 0
	var counts [maxKeeps]int // of what each keep has let through
	for i := range all {
		at := i
		if all[i].item {
			at = int(r.perm[next])
			next++
		}
		c := &all[at]
		moved = moved || at != i
		changed = changed || c.show >= 0
		if c.kept != 0 && !(c.passes && r.lets(f, c.kept, &counts)) {
			at = -1 - at
			moved = true
		}
		r.perm = append(r.perm, int32(at))
	}
	r.perm = append(r.perm[:0], r.perm[sorted:]...)
	return changed || moved, moved
}

// lets counts an item that takes part in the keeps of those bits, unless one
// of them has let its first ones through already.
func (r *Rewriter) lets(f *frame, kept uint32, counts *[maxKeeps]int) bool {
	for i, h := range f.keeps() {
		if first := r.plan.edits[h].list.first; kept>>i&1 != 0 && first > 0 && counts[i] == first {
			return false
		}
	}
	for i := range f.keeps() {
		counts[i] += int(kept >> i & 1)
	}
	return true
}

func (r *Rewriter) sort(l *list, all []child) {
	values := r.values
	slices.SortStableFunc(r.perm, func(i, j int32) int {
		a, b := &all[i], &all[j]
		return l.compare(a.num, b.num, a.hasValue, b.hasValue, values[a.text:a.textEnd], values[b.text:b.textEnd])
	})
}

// rebuild writes the list anew as r.perm says. What stands between children
// keeps its place, but for the space before a slot that becomes empty.
func (r *Rewriter) rebuild(f *frame, moved bool) {
	all := r.children[f.from:]
	out := r.scratch[:0]
	pos := f.start
	for i, at := range r.perm {
		gap := r.buf[pos:all[i].start]
		pos = all[i].end
		if at < 0 {
			if word, _ := cutToken(gap); len(word) > 0 {
				out = appendJoined(out, gap)
			}
			continue
		}
		out = appendJoined(out, gap)
		c := &all[at]
		if c.show >= 0 {
			out = appendJoined(out, r.buf[c.start:c.show])
			out = f.show.appendDistance(out, c.away)
			out = append(out, r.buf[c.showEnd:c.end]...)
		} else {
			out = appendJoined(out, r.buf[c.start:c.end])
		}
		if moved && c.name < c.nameEnd {
			// What comes after it now need not be what ended it.
			out = append(out, '<', '/')
			out = append(out, r.values[c.name:c.nameEnd]...)
			out = append(out, '>')
		}
	}
	r.replaceList(f, appendJoined(out, r.buf[pos:]))
}

// replaceList puts out, which is the scratch, in the place of the list.
func (r *Rewriter) replaceList(f *frame, out []byte) {
	if f.start == 0 {
		r.buf, r.scratch = out, r.buf
		return
	}
	r.scratch = out
	r.buf = append(r.buf[:f.start], out...)
}

// abandon lets everything go that is kept back, as it came.
func (r *Rewriter) abandon(why Reason) {
	if len(r.frames) == 0 {
		return
	}
	for i := range r.frames {
		r.frames[i].each(func(h int32) { r.not(h, why) })
	}
	r.frames, r.children = r.frames[:0], r.children[:0]
	for i := range r.pend {
		p := &r.pend[i]
		p.frame, p.child, p.show = false, -1, -1
	}
	r.emit(r.buf)
	r.buf, r.values = r.buf[:0], r.values[:0]
}

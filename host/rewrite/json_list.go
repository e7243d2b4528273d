package rewrite

import (
	"bytes"
	"slices"

	"bespoke/modules/abi"
)

// A jsonList is what order or keep wants of the elements of an array, with
// where in an element it looks: fields are paths of names.
type jsonList struct {
	*list
	fields   [][]string
	lat, lon int // places in fields, or -1
	key      int
	filter   int
	id       int
	likes    []int
}

// listed reads the arguments of order and keep.
func (p *jsonEdit) listed(e abi.Edit, room *[]byte) (bad *editError) {
	l := &jsonList{lat: -1, lon: -1, key: -1, filter: -1, id: -1}
	if e.Op == abi.OpOrder {
		l.list, bad = parseOrder(e, ofJSON)
	} else {
		l.list, bad = parseKeep(e, ofJSON)
	}
	if bad != nil {
		return bad
	}
	var err error
	at := func(name string) int {
		i, e := l.field(name)
		if err == nil {
			err = e
		}
		return i
	}
	if l.list.lat != "" {
		l.lat, l.lon = at(l.list.lat), at(l.list.lon)
	}
	if l.by == byAttr {
		l.key = at(l.list.key.attr)
	}
	if !l.list.filter.none() {
		l.filter = at(l.list.filter.attr)
	}
	if l.by == byIDs || l.only != nil || l.drop != nil {
		l.id = at("id")
	}
	for _, a := range l.list.likes {
		l.likes = append(l.likes, at(a.attr))
	}
	if err != nil {
		return badArgument("%s: %w", e.Op, err)
	}
	if l.showName != "" {
		bad = p.named(l.showName, room)
	}
	p.list = l
	return bad
}

// field returns the place in fields of a member by its name or, with / in front, by a pointer from the element on.
func (l *jsonList) field(name string) (int, error) {
	path := []string{name}
	if name[0] == '/' {
		if err := checkPointer(name); err != nil {
			return 0, err
		}
		path = path[:0]
		for rest := name; rest != ""; {
			name, rest = cutPointer(rest)
			path = append(path, name)
		}
	}
	i := slices.IndexFunc(l.fields, func(p []string) bool { return slices.Equal(p, path) })
	if i < 0 {
		i = len(l.fields)
		l.fields = append(l.fields, path)
	}
	return i, nil
}

// A jsonOpen is an edit whose list is being read.
type jsonOpen struct {
	open, show bool
	base       int32 // in JSONRewriter.spans: the fields of the element at hand
}

// A jsonSpan is a value, by where it lies in the document; empty if there is none.
type jsonSpan struct{ from, to int32 }

// A jsonKey is what an element is ordered by.
type jsonKey struct {
	mark     int32
	has, out bool // it has a value; keep does not let it through
	num      float64
	from, to int // of its text, in JSONRewriter.text
}

// A jsonPlace is a distance that has been computed: order, keep and show often want the same.
type jsonPlace struct {
	lat, lon jsonSpan
	at       abi.Center
	km       float64
	ok       bool
}

// openList begins a list, if the box is one. Order and keep of one list both act.
func (r *JSONRewriter) openList(box int32) bool {
	b := &r.boxes[box]
	for i := range r.nLists(b) {
		e := r.listAt(b, i)
		r.lists[e] = jsonOpen{open: true, base: -1}
		r.open++
		if b.show < 0 && r.plan.edits[e].member != nil {
			b.show = e
			r.lists[e].show = true
		}
	}
	return r.nLists(b) > 0
}

// nLists returns how many order and keep edits the box has.
func (r *JSONRewriter) nLists(b *jsonBox) int {
	n := int(b.keepsEnd - b.keeps)
	if b.order >= 0 {
		n++
	}
	return n
}

// listAt returns edit i of those: order, then the keeps.
func (r *JSONRewriter) listAt(b *jsonBox, i int) int32 {
	if b.order >= 0 {
		if i == 0 {
			return b.order
		}
		i--
	}
	return r.keeps[int(b.keeps)+i]
}

// openItem begins an element of a list.
func (r *JSONRewriter) openItem(mark int32) {
	m := &r.marks[mark]
	b := &r.boxes[m.list]
	m.fields = int32(len(r.spans))
	for i := range r.nLists(b) {
		e := r.listAt(b, i)
		r.lists[e].base = int32(len(r.spans))
		for range r.plan.edits[e].list.fields {
			r.spans = append(r.spans, jsonSpan{})
		}
	}
}

// readField notes the value for the lists that want it. A later one of the same name takes its place.
func (r *JSONRewriter) readField(from, v, end int) {
	for _, a := range r.active[from:] {
		for _, u := range r.plan.nodes[a.node].reads {
			if l := &r.lists[u.edit]; l.open && l.base >= 0 {
				r.spans[l.base+u.field] = jsonSpan{int32(v), int32(end)}
			}
		}
	}
}

// closeList puts the elements of a list that has been read in order, and cuts it. It tells whether it could.
func (r *JSONRewriter) closeList(box int32) bool {
	b := &r.boxes[box]
	b.perm = int32(len(r.perm))
	r.keys, r.index, r.text = r.keys[:0], r.index[:0], r.text[:0]
	spans := len(r.spans)
	for c := b.mark + 1; int(c) < len(r.marks); c = r.marks[c].after {
		m := &r.marks[c]
		spans = min(spans, int(m.fields))
		if m.gone {
			continue
		}
		k := jsonKey{mark: c}
		if b.order >= 0 {
			r.rank(r.plan.edits[b.order].list, int(m.fields), &k)
		}
		if b.show >= 0 {
			if km, ok := r.distance(r.plan.edits[b.show].list, r.fieldsOf(m, b, b.show)); ok {
				m.away = km
			}
		}
		for _, e := range r.keeps[b.keeps:b.keepsEnd] {
			k.out = k.out || !r.passes(r.plan.edits[e].list, r.fieldsOf(m, b, e))
		}
		r.index = append(r.index, int32(len(r.keys)))
		r.keys = append(r.keys, k)
		if r.work > maxJSONWork {
			r.fault = WhyBuffer
			return false
		}
	}
	if b.order >= 0 {
		r.sortKeys(r.plan.edits[b.order].list)
	}
	r.cut(b)
	r.spans = r.spans[:spans]
	for i := range r.nLists(b) {
		r.lists[r.listAt(b, i)] = jsonOpen{}
		r.open--
	}
	return true
}

// fieldsOf returns where in r.spans the fields are that edit e reads of an element.
func (r *JSONRewriter) fieldsOf(m *jsonMark, b *jsonBox, e int32) int {
	at := int(m.fields)
	for i := 0; r.listAt(b, i) != e; i++ {
		at += len(r.plan.edits[r.listAt(b, i)].list.fields)
	}
	return at
}

func (r *JSONRewriter) sortKeys(l *jsonList) {
	keys, text := r.keys, r.text
	slices.SortFunc(r.index, func(i, j int32) int {
		a, b := &keys[i], &keys[j]
		if c := l.compare(a.num, b.num, a.has, b.has, text[a.from:a.to], text[b.from:b.to]); c != 0 {
			return c
		}
		return int(i - j) // equal ones keep their order
	})
}

// cut writes to r.perm the elements in the order of r.index; -1 stands for those that keep does not let through.
func (r *JSONRewriter) cut(b *jsonBox) {
	left := len(r.index)
	for _, e := range r.keeps[b.keeps:b.keepsEnd] {
		if first := r.plan.edits[e].list.first; first > 0 {
			left = min(left, first)
		}
	}
	for _, i := range r.index {
		at := r.keys[i].mark
		if r.keys[i].out || left == 0 {
			at = -1
		} else {
			left--
		}
		r.perm = append(r.perm, at)
	}
}

// rank reads what an element, whose fields are at base, is ordered by.
func (r *JSONRewriter) rank(l *jsonList, base int, k *jsonKey) {
	switch l.by {
	case byDistance:
		k.num, k.has = r.distance(l, base)
	case byIDs:
		if v, ok := r.field(base, l.id); ok {
			var at int
			at, k.has = l.ids[string(v)]
			k.num = float64(at)
		}
	case byAttr:
		v, ok := r.field(base, l.key)
		if !ok {
			return
		}
		if k.num, k.has = l.ranked(v); l.as == asText {
			k.from = len(r.text)
			r.text = append(r.text, v...)
			k.to = len(r.text)
		}
	case byAffinity:
		ws := r.weights[:0]
		for i, f := range l.likes {
			if v, ok := r.field(base, f); ok {
				if !r.affords(v, len(l.list.likes[i].values)) {
					return
				}
				ws = l.liked(i, v, ws)
			}
		}
		r.weights = ws
		k.has = len(ws) > 0
		k.num = -l.score(ws) // the best first
	}
}

// affords tells whether there is time to look for so many values in a text.
func (r *JSONRewriter) affords(text []byte, values int) bool {
	r.work += len(text) * values / 8
	return r.work <= maxJSONWork
}

// passes tells whether keep lets the element, whose fields are at base, through, but for its count.
func (r *JSONRewriter) passes(l *jsonList, base int) bool {
	if l.within >= 0 {
		if km, ok := r.distance(l, base); !ok || km > l.within {
			return false
		}
	}
	if l.filter >= 0 {
		v, ok := r.field(base, l.filter)
		if !r.affords(v, len(l.in)+len(l.not)) || !l.list.passes(v, ok) {
			return false
		}
	}
	if l.id < 0 {
		return true
	}
	v, ok := r.field(base, l.id)
	if l.only != nil {
		if _, in := l.only[string(v)]; !ok || !in {
			return false
		}
	}
	_, out := l.drop[string(v)]
	return !ok || !out
}

// distance returns the kilometres from the list's place to the element's.
func (r *JSONRewriter) distance(l *jsonList, base int) (float64, bool) {
	if l.lat < 0 {
		return 0, false
	}
	last := &r.place
	if lat, lon := r.spans[base+l.lat], r.spans[base+l.lon]; last.lat != lat || last.lon != lon || last.at != l.at {
		*last = jsonPlace{lat: lat, lon: lon, at: l.at}
		a, _ := r.field(base, l.lat)
		o, _ := r.field(base, l.lon)
		y, okY := degrees(a, 90)
		x, okX := degrees(o, 180)
		if last.ok = okY && okX; last.ok {
			last.km = l.at.Distance(y, x)
		}
	}
	return last.km, last.ok
}

// field returns a field's value as text: of a string
// what it says, a number or boolean as written, the scalars of an array with commas between
// them. Of null and of objects there is none. The text is good until the list is closed.
func (r *JSONRewriter) field(base, i int) (v []byte, ok bool) {
	s := r.spans[base+i]
	if s.from == s.to {
		return nil, false
	}
	raw := r.doc[s.from:s.to]
	switch raw[0] {
	case '{', 'n':
		return nil, false
	case '[':
		from := len(r.text)
		r.join(int(s.from) + 1)
		return r.text[from:], true
	case '"':
		raw = raw[1 : len(raw)-1]
		if bytes.IndexByte(raw, '\\') >= 0 {
			from := len(r.text)
			r.text = jsonUnquote(r.text, raw, false)
			return r.text[from:], true
		}
	}
	return raw, true
}

// join adds to r.text the scalars of the array whose first byte after the bracket is r.doc[i].
func (r *JSONRewriter) join(i int) {
	from := len(r.text)
	for i = r.space(i); r.doc[i] != ']'; {
		end := r.pass(i)
		raw := r.doc[i:end]
		if c := raw[0]; c != '{' && c != '[' && c != 'n' {
			if len(r.text) > from {
				r.text = append(r.text, ',')
			}
			if c == '"' {
				r.text = jsonUnquote(r.text, raw[1:len(raw)-1], false)
			} else {
				r.text = append(r.text, raw...)
			}
		}
		if i = r.space(end); r.doc[i] == ',' {
			i = r.space(i + 1)
		}
	}
}

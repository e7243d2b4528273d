package rewrite

import "bytes"

// lookWithin reads the values that order and keep want of elements within the children.
func (r *Rewriter) lookWithin(f *frame) {
	if f.order >= 0 {
		l := r.plan.edits[f.order].list
		if l.by == byAttr && l.key.from != nil {
			for i := range r.children[f.from:] {
				c := &r.children[f.from+i]
				if v, ok := r.valueWithin(f, c, &l.key); c.item && ok {
					r.rankBy(l, c, v)
				}
			}
		}
	}
	for k, h := range f.keeps() {
		l := r.plan.edits[h].list
		if l.filter.from != nil {
			for i := range r.children[f.from:] {
				c := &r.children[f.from+i]
				if c.kept>>k&1 != 0 && c.passes {
					c.passes = l.passes(r.valueWithin(f, c, &l.filter))
				}
			}
		}
	}
}

// valueWithin returns the value that s means in the child, as it stands after
// edits within it. It is good until the next call.
func (r *Rewriter) valueWithin(f *frame, c *child, s *source) ([]byte, bool) {
	if r.probe == nil {
		r.probe = new(Rewriter)
	}
	w := r.probe
	w.Reset(s.from, nowhere{})
	w.follow(r) // rows are read as such only in a table
	w.truncate(f.depth + 1)
	x := &extract{attr: s.attr, left: maxExtractBytes, most: 1, within: f.depth + 1}
	w.extract = x
	_, _ = w.Write(r.buf[c.tag:c.close])
	_ = w.Close()
	if len(x.found) == 0 {
		return nil, false
	}
	return x.found[0].text, true
}

// fillFactor is how many times MaxBuffer all fills of a page may read and write:
// lists in lists grow with each one around them, and short ones to any length.
const fillFactor = 4

// fillFrame puts items into the innermost list. It returns 0, or why it could not.
//
// The items take the places of the children, templates aside; what stands
// between these stays. Further items follow the last place, or, without one, the
// template, each after the space that stands before that.
func (r *Rewriter) fillFrame(f *frame) Reason {
	all := r.children[f.from:]
	sample, tail := -1, -1 // the child that is repeated; the last place
	r.slots = r.slots[:0]
	for i := range all {
		if all[i].template {
			if sample < 0 {
				sample = i
			}
		} else {
			r.slots = append(r.slots, int32(i))
		}
	}
	if sample < 0 {
		if len(all) == 0 {
			return WhyPattern
		}
		sample = 0
	}
	if all[sample].replaced {
		return WhyPattern
	}
	markup := r.sample(&all[sample])
	if r.filled += len(markup); r.filled > fillFactor*r.plan.maxBuffer {
		return WhyBuffer
	}
	space := r.stack[f.depth].flags
	if !foreignInside(space) {
		space = 0
	}
	if why := r.pattern.parseIn(markup, r.plan.xml, space&fForeign); why != 0 {
		return why
	}
	closing, ok := r.closing(r.name[:0], markup, f.depth+1)
	if r.name = closing; !ok {
		return WhyPattern
	}
	tail = sample
	if n := len(r.slots); n > 0 {
		tail = int(r.slots[n-1])
	}
	items := r.plan.edits[f.fill].items
	r.pattern.most = r.plan.maxBuffer
	out := r.scratch[:0]
	pos, next := f.start, 0
	for i := range all {
		gap := r.buf[pos:all[i].start]
		pos = all[i].end
		switch {
		case all[i].template:
			out = appendJoined(appendJoined(out, gap), r.buf[all[i].start:all[i].end])
		case next < len(items):
			out = r.appendItem(appendJoined(out, gap), &items[next], closing)
			next++
		default:
			if word, _ := cutToken(gap); len(word) > 0 {
				out = appendJoined(out, gap)
			}
		}
		if i == tail {
			space := spaceBefore(r.buf[f.start:all[i].start])
			for ; next < len(items); next++ {
				out = r.appendItem(append(out, space...), &items[next], closing)
			}
		}
		if len(out) > r.plan.maxBuffer {
			r.filled += len(out)
			return WhyBuffer
		}
	}
	r.filled += len(out)
	r.replaceList(f, appendJoined(out, r.buf[pos:]))
	return 0
}

func (r *Rewriter) appendItem(out []byte, it *item, closing []byte) []byte {
	n := len(out)
	out = r.pattern.append(out, it, r.plan.charset)
	return append(joinAt(out, n), closing...)
}

// sample returns the markup that the child stands for: the content of a template, or all of another.
func (r *Rewriter) sample(c *child) []byte {
	if !c.template {
		return r.buf[c.tag:c.close]
	}
	content := r.buf[c.inner:c.end]
	if c.name == c.nameEnd { // it has an end tag
		if i := bytes.LastIndex(content, []byte("</")); i >= 0 {
			content = content[:i]
		}
	}
	return content
}

// spaceBefore returns the space at the end of b.
func spaceBefore(b []byte) []byte {
	i := len(b)
	for i > 0 && byteClass[b[i-1]]&cSpace != 0 {
		i--
	}
	return b[i:]
}

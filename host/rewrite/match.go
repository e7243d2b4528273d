package rewrite

import (
	"bytes"
	"slices"
)

// startTag takes the start tag that begins at b[s]; it returns the index after it.
func (r *Rewriter) startTag(b []byte, s int) int {
	k, p := nameKey(b, s+1)
	if p >= len(b) {
		return r.wait(s, true)
	}
	t := tag{s: s, p: p, key: k, name: b[s+1 : p], flags: tagFlags(k)}
	live := !r.done && r.templates == 0
	t.read = live && (r.plan.anyTag || r.plan.tagBits[tagHash(k)] || len(r.frames) > 0) ||
		k == keySVG || k == keyMath || len(r.stack) > 0 && r.stack[len(r.stack)-1].flags&fForeign != 0
	switch {
	case t.read:
		t.end = r.text.parse(b, p)
	case b[p] == '>':
		t.end = p + 1
	default:
		t.end = skipAttrs(b, p)
	}
	if t.end < 0 {
		return r.wait(s, true)
	}
	if t.end-s > r.plan.maxTag {
		return r.stop(b, s, WhyTag)
	}
	v := r.place(b, &t)
	for t.n > 0 && r.stack[t.n-1].flags&fGhost != 0 {
		t.n-- // nothing is left in it
	}
	switch v {
	case ambiguous:
		return r.stop(b, s, WhyAmbiguous)
	case ignored:
		if t.n < len(r.stack) {
			r.popTo(b, t.n, s, false, false)
		}
		return t.end
	}
	if !t.void && t.n >= r.plan.maxDepth {
		return r.stop(b, s, WhyDepth)
	}
	r.noteSeen(&t)
	// What is left out may end with this tag.
	heard := !r.muted || t.n <= r.muteDepth || t.ghost == r.muteDepth
	r.edit(b, &t, live && heard && t.read && !r.text.overflow)
	if r.leaveEarly() {
		return t.end
	}
	if t.flags&(fRaw|fRCDATA) != 0 && t.flags&fForeign == 0 {
		r.startRaw(&t)
	}
	return t.end
}

func (r *Rewriter) startRaw(t *tag) {
	switch t.key {
	case keyPlaintext:
		r.mode = inPlain
	case keyScript:
		r.mode, r.sub, r.dashes = inScript, scPlain, 0
	default:
		r.mode, r.raw = inRaw, t.key
	}
}

// endTag takes the end tag that begins at b[s].
func (r *Rewriter) endTag(b []byte, s int) int {
	i := s + 2
	if i >= len(b) {
		return r.wait(s, false)
	}
	switch c := b[i]; {
	case c == '>':
		return i + 1
	case byteClass[c]&cAlpha == 0:
		r.mode = inBogus
		return i
	}
	k, p := nameKey(b, i)
	if p >= len(b) {
		return r.wait(s, true)
	}
	end := p + 1
	if b[p] != '>' {
		if end = skipAttrs(b, p); end < 0 {
			return r.wait(s, true)
		}
	}
	if end-s > r.plan.maxTag {
		return r.stop(b, s, WhyTag)
	}
	r.initial = false
	if n := len(r.stack) - 1; n >= 0 && r.stack[n].key == k && k&longKey == 0 &&
		r.stack[n].flags&(fPending|fRoot|fFormat) == 0 && k != keyForm {
		r.truncate(n) // the common case
		return end
	}
	if k == keyBody || k == keyHTML {
		r.endBody(b, s)
		return end
	}
	c := r.closes(k, b[i:p])
	if c.ghost >= 0 {
		r.makeGhost(b, c.ghost, s, end)
	}
	switch {
	case c.hit:
		open := r.popOpen(b, c.n+1, s)
		if r.stack[c.n].flags&fPending != 0 {
			r.endElement(b, c.n, s, end, open)
		}
		r.truncate(c.n)
	case c.n < len(r.stack):
		r.popTo(b, c.n, s, false, false)
	}
	r.leaveEarly()
	return end
}

// match finds the edits that aim at the element that the tag opens: r.hits, in
// the order in which they were emitted, and r.exit.
func (r *Rewriter) match(b []byte, t *tag) {
	p := r.plan
	if p.hasID && r.text.id >= 0 {
		if id, ok := p.byID[string(r.text.value(b, r.text.id))]; ok && !r.idSeen[id] {
			r.exit = id
			for _, i := range p.ids[id].tests {
				r.try(b, t, i)
			}
		}
	}
	if p.hasClassTests && r.text.class >= 0 {
		v := r.text.value(b, r.text.class)
		for rest := v; ; {
			var word []byte
			if word, rest = cutToken(rest); len(word) == 0 {
				break
			}
			if list := p.byClass[string(word)]; len(list) > 0 && !tokenBefore(v, word, len(rest)) {
				for _, i := range list {
					r.try(b, t, i)
				}
			}
		}
	}
	if len(p.byTag) > 0 && p.tagBits[tagHash(t.key)] {
		for _, i := range p.byTag[t.key] {
			r.try(b, t, i)
		}
	}
	for _, i := range p.byAttr {
		r.try(b, t, i)
	}
	if len(r.hits) > 1 {
		slices.Sort(r.hits)
		r.hits = slices.Compact(r.hits)
	}
}

// tokenBefore tells whether word, which ends rest bytes before the end of v, stands in v before.
func tokenBefore(v, word []byte, rest int) bool {
	v = v[:len(v)-rest-len(word)]
	for {
		var w []byte
		if w, v = cutToken(v); len(w) == 0 {
			return false
		}
		if bytes.Equal(w, word) {
			return true
		}
	}
}

// try notes what follows if the element meets test i.
func (r *Rewriter) try(b []byte, t *tag, i int32) {
	x := &r.plan.tests[i]
	if !x.meets(b, &r.text, t.key, t.name) {
		return
	}
	w := r.plan.words
	for j := range x.uses {
		u := &x.uses[j]
		rt := &r.plan.routes[u.route]
		if rt.exit >= 0 && r.idDone[rt.exit] {
			continue
		}
		if u.prev >= 0 {
			if t.n == 0 {
				continue
			}
			at := (t.n - 1) * 2 * w
			if !u.child {
				at += w
			}
			if r.steps[at+int(u.prev>>6)]&(1<<(u.prev&63)) == 0 {
				continue
			}
		}
		if u.step >= 0 {
			r.step[u.step>>6] |= 1 << (u.step & 63)
			continue
		}
		r.hits = append(r.hits, rt.edits...)
	}
}

// pushSteps stores the steps of the element just pushed: its own (w words),
// then those of it and its ancestors (w words).
func (r *Rewriter) pushSteps(w int) {
	n := len(r.stack)
	r.steps = append(r.steps[:(n-1)*2*w], r.step...)
	r.steps = append(r.steps, r.step...)
	if n > 1 {
		own := r.steps[(n-1)*2*w+w:]
		before := r.steps[(n-2)*2*w+w : (n-1)*2*w]
		for i := range own {
			own[i] |= before[i]
		}
	}
}

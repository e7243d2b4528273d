package rewrite

import (
	"bytes"
	"slices"
)

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

package rewrite

import (
	"bytes"
	"slices"
)

// An answer is what is known of a condition.
type answer uint8

const (
	no answer = iota
	yes
	wait   // it depends on what has not come yet
	untold // it cannot be told within the bounds
)

func answerOf(ok bool) answer {
	if ok {
		return yes
	}
	return no
}

// and: what is wrong stays wrong, whatever else is not known.
func (a answer) and(b answer) answer {
	switch {
	case a == no || b == no:
		return no
	case a == wait || b == wait:
		return wait
	case a == untold || b == untold:
		return untold
	}
	return yes
}

func (a answer) or(b answer) answer { return a.not().and(b.not()).not() }

func (a answer) not() answer {
	switch a {
	case no:
		return yes
	case yes:
		return no
	}
	return a
}

// siblings is what selectors need to know of what came before among the
// children of each open element, and of the element at hand.
type siblings struct {
	levels  []level     // by depth
	sibs    []uint64    // by depth: steps of the child before, then of all children so far
	counted []int32     // by depth: for each of matcher.counters, how many children met it
	kinds   []kindCount // by depth
	zeros   []uint64
	subBits []uint64 // routes of matcher.subs that the element at hand is the subject of
	met     uint64   // matcher.counters that it meets
	bits    uint64   // in an outline: matcher.inner that it meets
	lost    []int32  // edits that cannot be decided for it
	asked   bool     // it cannot be told yet which edits aim at it
	began   bool     // the body has begun

	classSeen []uint32 // by place in matcher.tests: the turn in which its class was met
	classTurn uint32   // elements with a class so far
}

func (s *siblings) reset(p *Plan) {
	s.levels, s.sibs, s.counted, s.kinds = s.levels[:0], s.sibs[:0], s.counted[:0], s.kinds[:0]
	s.zeros, s.subBits = zeroed(s.zeros, 2*p.words), zeroed(s.subBits, (p.subs+63)/64)
	s.lost, s.asked, s.began = s.lost[:0], false, false
	s.classSeen, s.classTurn = zeroed(s.classSeen, len(p.tests)), 0
}

// seek finds the edits that aim at the element that the tag opens: r.hits, in
// the order in which they were emitted, and r.exit. It changes nothing that it would
// find changed when it is called again for the same tag, and it returns false
// if it has to be, because the answer lies ahead.
func (r *Rewriter) seek(b []byte, t *tag) bool {
	r.hits, r.exit, r.lost = r.hits[:0], -1, r.lost[:0]
	clear(r.step)
	m := r.plan.matcher
	if m.counts || m.siblings {
		r.level(t)
	}
	if !t.live {
		r.bits = 0
		return true
	}
	r.asked = false
	if len(m.subTests) > 0 {
		clear(r.subBits)
		for _, i := range m.subTests {
			r.try(b, t, i)
		}
	}
	r.met = 0
	for i := range m.counters {
		if r.full(b, t, &m.counters[i]) == yes {
			r.met |= 1 << i
		}
	}
	if r.outline != nil {
		r.bits = r.innerBits(b, t)
		return true
	}
	r.match(b, t)
	if r.asked {
		return false
	}
	for _, h := range r.lost {
		if !slices.Contains(r.hits, h) {
			r.not(h, WhyBuffer)
		}
	}
	return true
}

func (r *Rewriter) match(b []byte, t *tag) {
	p := r.plan.matcher
	if p.hasID && r.text.id >= 0 {
		if id, ok := p.byID[string(r.text.value(b, r.text.id))]; ok && !r.idSeen[id] {
			r.exit = id
			for _, i := range p.ids[id].tests {
				r.try(b, t, i)
			}
		}
	}
	if p.hasClassTests && r.text.class >= 0 {
		r.classTurn++
		for rest := r.text.value(b, r.text.class); ; {
			var word []byte
			if word, rest = cutToken(rest); len(word) == 0 {
				break
			}
			// The first test tells the class, which may stand there many times.
			if list := p.byClass[string(word)]; len(list) > 0 && r.classSeen[list[0]] != r.classTurn {
				r.classSeen[list[0]] = r.classTurn
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

// A wordSet holds hashes of words: a word whose hash it lacks is none of them.
type wordSet [4]uint64

func (s *wordSet) add(w string)          { h := wordHash([]byte(w)); s[h>>6] |= 1 << (h & 63) }
func (s *wordSet) mayHold(w []byte) bool { h := wordHash(w); return s[h>>6]&(1<<(h&63)) != 0 }

func wordHash(w []byte) uint8 {
	n := len(w)
	if n == 0 {
		return 0
	}
	return w[0] + 29*w[n-1] + 101*w[n/2] + 7*uint8(n)
}

// A glimpse holds the ids and classes that somebody looks for.
type glimpse struct {
	hasID         bool
	hasClassTests bool
	idWords       wordSet
	classWords    wordSet
}

// with returns a glimpse that also sees what may meet the test; ok is false
// if the test has neither id nor class.
func (g glimpse) with(x *test) (sum glimpse, ok bool) {
	switch {
	case len(x.ids) > 0:
		g.hasID = true
		g.idWords.add(x.ids[0])
	case len(x.classes) > 0:
		g.hasClassTests = true
		g.classWords.add(x.classes[0])
	default:
		return g, false
	}
	return g, true
}

// cannotMeet tells, without a look into a map, that the element meets no test.
// False means nothing. It may be asked only of a quick matcher.
func (m *matcher) cannotMeet(b []byte, t *tagText, key uint64) bool {
	if len(m.byTag) > 0 && m.tagBits[tagHash(key)] {
		return false
	}
	if m.hasID && t.id >= 0 {
		a := &t.attrs[t.id]
		if v := b[a.from:a.to]; m.idWords.mayHold(v) || bytes.IndexByte(v, '&') >= 0 {
			return false
		}
	}
	return !m.hasClassTests || t.class < 0 || m.noClass(b[t.attrs[t.class].from:t.attrs[t.class].to])
}

func (m *glimpse) noClass(v []byte) bool {
	from := -1
	for i, c := range v {
		switch {
		case c == '&':
			return false
		case byteClass[c]&cSpace == 0:
			if from < 0 {
				from = i
			}
		case from >= 0:
			if m.classWords.mayHold(v[from:i]) {
				return false
			}
			from = -1
		}
	}
	return from < 0 || !m.classWords.mayHold(v[from:])
}

// try notes what follows if the element meets test i.
func (r *Rewriter) try(b []byte, t *tag, i int32) {
	x := &r.plan.tests[i]
	if !x.meets(b, &r.text, t.key, t.name) {
		return
	}
	late := yes
	for j := range x.conds {
		if c := &x.conds[j]; !c.late {
			late = late.and(r.cond(b, t, c))
		}
	}
	if late == no {
		return
	}
	settled := !x.late
	for j := range x.uses {
		u := &x.uses[j]
		rt := &r.plan.routes[u.route]
		if rt.exit >= 0 && r.idDone[rt.exit] || u.prev >= 0 && !r.stands(t, u) {
			continue
		}
		if !settled { // only now: a question costs a look ahead
			settled = true
			for k := range x.conds {
				if c := &x.conds[k]; c.late {
					late = late.and(r.cond(b, t, c))
				}
			}
		}
		switch {
		case late == no:
			return
		case late == wait:
			r.asked = true
			return
		case late == untold:
			r.lost = append(r.lost, rt.edits...)
		case u.step >= 0:
			r.step[u.step>>6] |= 1 << (u.step & 63)
		case rt.sub >= 0:
			r.subBits[rt.sub>>6] |= 1 << (rt.sub & 63)
		default:
			r.hits = append(r.hits, rt.edits...)
		}
	}
}

// stands tells whether the element that u's combinator points at has step u.prev.
func (r *Rewriter) stands(t *tag, u *use) bool {
	w := r.plan.words
	word, bit := int(u.prev>>6), uint64(1)<<(u.prev&63)
	switch u.comb {
	case nextTo:
		return r.sibs[t.n*2*w+word]&bit != 0
	case after:
		return r.sibs[(t.n*2+1)*w+word]&bit != 0
	}
	if t.n == 0 {
		return false
	}
	at := (t.n - 1) * 2 * w
	if u.comb == descendant {
		at += w
	}
	return r.steps[at+word]&bit != 0
}

// full answers for a compound with its pseudo-classes.
func (r *Rewriter) full(b []byte, t *tag, x *test) answer {
	if !x.meets(b, &r.text, t.key, t.name) {
		return no
	}
	a := yes
	for i := range x.conds {
		if a = a.and(r.cond(b, t, &x.conds[i])); a == no {
			return no
		}
	}
	return a
}

// cond answers for one pseudo-class of the element that the tag opens.
func (r *Rewriter) cond(b []byte, t *tag, c *cond) answer {
	switch c.kind {
	case pseudoIs, pseudoNot:
		a := no
		for i := range c.alts {
			x := &c.alts[i]
			if x.test != nil {
				a = a.or(r.full(b, t, x.test))
			} else {
				a = a.or(answerOf(r.subBits[x.sub>>6]&(1<<(x.sub&63)) != 0))
			}
		}
		if c.kind == pseudoNot {
			return a.not()
		}
		return a
	case pseudoRoot:
		return answerOf(t.n == 0 && (r.plan.xml || t.key == keyHTML))
	case pseudoNth:
		if c.counter < 0 {
			return answerOf(nth(c.a, c.b, int(r.levels[t.n].count)+1))
		}
		if r.met&(1<<c.counter) == 0 {
			return no
		}
		return answerOf(nth(c.a, c.b, int(r.counted[t.n*len(r.plan.counters)+int(c.counter)])+1))
	case pseudoNthType:
		k := r.kind(t)
		switch {
		case k != nil:
			return answerOf(nth(c.a, c.b, int(k.count)+1))
		case len(r.kinds) == maxKinds:
			return untold
		}
		return answerOf(nth(c.a, c.b, 1))
	}
	return r.ahead.answer(c)
}

// nth tells whether i is a*n+b for a whole n from 0 on.
func nth(a, b, i int) bool {
	if a == 0 {
		return i == b
	}
	d := i - b
	return d%a == 0 && d/a >= 0
}

// A level is what is known of the children so far of an open element.
type level struct{ count int32 }

// A kindCount counts the children of one type of the open element above depth.
type kindCount struct {
	depth, count int32
	key          uint64
	last         int32 // in a lookahead: its node, or -1
}

// maxKinds bounds the types that are told apart among the children of open elements.
const maxKinds = 512

// level readies what counts the siblings of the element that the tag opens.
func (r *Rewriter) level(t *tag) {
	m := r.plan.matcher
	for len(r.levels) <= t.n+1 {
		r.levels = append(r.levels, level{})
		r.sibs = append(r.sibs, r.zeros...)
		for range m.counters {
			r.counted = append(r.counted, 0)
		}
	}
	for n := len(r.kinds); n > 0 && int(r.kinds[n-1].depth) > t.n; n-- {
		r.kinds = r.kinds[:n-1]
	}
	// What comes before body, written or not, is of head.
	if !m.xml && !r.began && !r.seenBody && t.flags&fHeadPart == 0 && t.key != keyHTML {
		r.began = true
		if t.key != keyBody && (t.n == 0 || t.n == 1 && r.stack[0].key == keyHTML) {
			r.clearLevel(t.n)
		}
	}
}

func (r *Rewriter) clearLevel(n int) {
	r.levels[n] = level{}
	w := 2 * r.plan.words
	clear(r.sibs[n*w : (n+1)*w])
	k := len(r.plan.counters)
	clear(r.counted[n*k : (n+1)*k])
	for i := len(r.kinds); i > 0 && int(r.kinds[i-1].depth) >= n; i-- {
		r.kinds = r.kinds[:i-1]
	}
}

func (r *Rewriter) kind(t *tag) *kindCount {
	for i := len(r.kinds) - 1; i >= 0 && int(r.kinds[i].depth) == t.n; i-- {
		if r.kinds[i].key == t.key {
			return &r.kinds[i]
		}
	}
	return nil
}

// enter counts the element that the tag opens. It comes before push.
func (r *Rewriter) enter(t *tag) {
	m := r.plan.matcher
	if m.counts || m.siblings {
		r.levels[t.n].count++
		if w := m.words; m.siblings && w > 0 {
			prev := r.sibs[t.n*2*w:]
			for i, s := range r.step {
				prev[i] = s
				prev[w+i] |= s
			}
		}
		for i := range m.counters {
			if r.met&(1<<i) != 0 {
				r.counted[t.n*len(m.counters)+i]++
			}
		}
		if m.kinds {
			if k := r.kind(t); k != nil {
				k.count++
			} else if len(r.kinds) < maxKinds {
				r.kinds = append(r.kinds, kindCount{int32(t.n), 1, t.key, -1})
			}
		}
		if !t.void {
			r.clearLevel(t.n + 1)
		}
	}
	if r.outline != nil {
		r.outline.open(r, t)
	} else {
		r.ahead.node++
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

package profile

import (
	"bytes"
	"cmp"
	"slices"
)

// interests are affinities and personas, which fade together. Their levels are as
// of base, which is less than one step of decay before the profile's last minute;
// it is 0 where there is none.
type interests struct {
	base     minute
	n, np    uint8
	values   [MaxAffinities]affinity // by value; what is beyond n is zero
	personas [MaxPersonas]persona    // by name; what is beyond np is zero
}

type affinity struct {
	value uint32
	level level
}

type persona struct {
	name  [MaxPersona]byte // zeros after the name
	level level
}

func (a *persona) text() []byte {
	if i := bytes.IndexByte(a.name[:], 0); i >= 0 {
		return a.name[:i]
	}
	return a.name[:]
}

func personaName[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= MaxPersona
}

func (in *interests) all() []affinity { return in.values[:in.n:in.n] }
func (in *interests) who() []persona  { return in.personas[:in.np:in.np] }
func (in *interests) empty() bool     { return in.n == 0 && in.np == 0 }

func (in *interests) find(value uint32) (int, bool) {
	lo, hi := 0, int(in.n)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); in.values[mid].value < value {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < int(in.n) && in.values[lo].value == value
}

func (in *interests) remove(i int) {
	copy(in.values[i:in.n], in.values[i+1:in.n])
	in.n--
	in.values[in.n] = affinity{}
	in.settle()
}

func (in *interests) removePersona(i int) {
	copy(in.personas[i:in.np], in.personas[i+1:in.np])
	in.np--
	in.personas[in.np] = persona{}
	in.settle()
}

func (in *interests) settle() {
	if in.empty() {
		in.base = 0
	}
}

// stepsTo moves base up to now, and returns how many whole steps that were.
func stepsTo(base *minute, now, step minute) uint32 {
	if now <= *base {
		return 0
	}
	n := (now - *base) / step
	*base += n * step
	return uint32(n)
}

func (in *interests) decay(now, step minute) {
	if in.empty() {
		return
	}
	steps := stepsTo(&in.base, now, step)
	if steps == 0 {
		return
	}
	n := 0
	for _, a := range in.all() {
		if a.level = a.level.less(steps); a.level > 0 {
			in.values[n] = a
			n++
		}
	}
	clear(in.values[n:in.n])
	np := 0
	for _, a := range in.who() {
		if a.level = a.level.less(steps); a.level > 0 {
			in.personas[np] = a
			np++
		}
	}
	clear(in.personas[np:in.np])
	in.n, in.np = uint8(n), uint8(np)
	in.settle()
}

// like adds to the weight of a value. Where there is no room, the weakest of the
// others makes way: else what a visitor has liked for long would keep out what
// they like now.
func (in *interests) like(value uint32, weight float64, now minute) {
	if in.empty() {
		in.base = now
	}
	i, ok := in.find(value)
	if ok {
		in.values[i].level = in.values[i].level.plus(weight)
		return
	}
	if int(in.n) == MaxAffinities {
		w := weakest(in.all())
		in.remove(w)
		if w < i {
			i--
		}
	}
	copy(in.values[i+1:in.n+1], in.values[i:in.n])
	in.values[i] = affinity{value, level(0).plus(weight)}
	in.n++
}

// weakest returns the index of the lowest level; of equal ones, the last.
func weakest(list []affinity) int {
	w := 0
	for i := range list {
		if list[i].level <= list[w].level {
			w = i
		}
	}
	return w
}

func weakestPersona(list []persona) int {
	w := 0
	for i := range list {
		if list[i].level <= list[w].level {
			w = i
		}
	}
	return w
}

func comparePersona(a, b persona) int { return bytes.Compare(a.name[:], b.name[:]) }

// score adds to the score of a persona, as like does.
func (in *interests) score(name string, weight float64, now minute) {
	if in.empty() {
		in.base = now
	}
	var p persona
	copy(p.name[:], name)
	i, ok := slices.BinarySearchFunc(in.who(), p, comparePersona)
	if ok {
		in.personas[i].level = in.personas[i].level.plus(weight)
		return
	}
	if p.level = levelOf(weight); p.level == 0 {
		in.settle()
		return
	}
	if int(in.np) == MaxPersonas {
		w := weakestPersona(in.who())
		in.removePersona(w)
		if w < i {
			i--
		}
	}
	copy(in.personas[i+1:in.np+1], in.personas[i:in.np])
	in.personas[i] = p
	in.np++
}

// merge takes up o; join makes one level of two. Both have decayed to the same
// minute with the same step, so that their bases are less than one step apart:
// levels are joined as they are.
func (in *interests) merge(o *interests, join func(a, b level) level) {
	var values [2 * MaxAffinities]affinity
	all := union(values[:0], in.all(), o.all(), func(a, b affinity) int { return cmp.Compare(a.value, b.value) },
		func(a, b affinity) affinity { return affinity{a.value, join(a.level, b.level)} })
	for len(all) > MaxAffinities {
		i := weakest(all)
		all = slices.Delete(all, i, i+1)
	}
	var personas [2 * MaxPersonas]persona
	who := union(personas[:0], in.who(), o.who(), comparePersona,
		func(a, b persona) persona { return persona{a.name, join(a.level, b.level)} })
	for len(who) > MaxPersonas {
		i := weakestPersona(who)
		who = slices.Delete(who, i, i+1)
	}
	*in = interests{base: max(in.base, o.base), n: uint8(len(all)), np: uint8(len(who))}
	copy(in.values[:], all)
	copy(in.personas[:], who)
}

// union appends what is in a or b, both sorted, to dst, sorted; of what is in both
// it appends what join makes of it.
func union[T any](dst, a, b []T, compare func(a, b T) int, join func(a, b T) T) []T {
	for len(a) > 0 && len(b) > 0 {
		switch c := compare(a[0], b[0]); {
		case c < 0:
			dst, a = append(dst, a[0]), a[1:]
		case c > 0:
			dst, b = append(dst, b[0]), b[1:]
		default:
			dst, a, b = append(dst, join(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

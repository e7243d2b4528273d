package profile

import (
	"errors"
	"fmt"
	"math/bits"
)

// Version 1: a byte, and then bits, the highest first. Widths are in bits; a gap
// is a number of minutes, Exp-Golomb of the order in brackets.
//
//	version               8
//	last minute          28
//	born                 gap before last [12]
//	recent, purchases, each:
//	  count               5
//	  if not 0: width-1   5, order of gaps 4
//	  each: number        width, gap after the one before it, the first before last [order]
//	affinities:
//	  count               7
//	  if not 0: k         5
//	  each: value         less the one before it and 1, Rice of k; level 8
//	personas:
//	  count               4
//	  each: length        5, as many bytes, level 8
//	if one of either: base  gap before last [6]
//	channels: 1 if there are any, and then
//	  each: 1 if it has any, and then three levels of 8
//	  base                gap before last [6]
//	zeros to the next byte
const inferredVersion = 1

// MaxInferred is the most bytes that an Inferred has, encoded; sealed, 1,286
// characters of a cookie. In bits: 81 before the items; 2 times 14 and 20 times 74;
// 12 and 64 times 40.2 for affinities (the most of a Rice code whose k fits the
// mean: k+3, and 3.2 for one in ten that are written out); 1,644 for personas;
// 172 for the rest.
const MaxInferred = 934

// MaxCookies is the most characters that the cookies of what is declared, hidden
// and inferred have together, as their bounds have it ([MaxPreferred],
// [MaxHiddenBytes], [MaxInferred]). Browsers keep 4,096 bytes of a cookie, and
// servers often read 8 KB of header.
const MaxCookies = 3900

const (
	bornOrder = 12
	baseOrder = 6
)

// AppendEncode appends the profile as bytes, to be sealed, to dst.
func (p *Inferred) AppendEncode(dst []byte) []byte {
	w := bitWriter{b: append(dst, inferredVersion)}
	w.put(uint32(p.last), minuteBits)
	w.golomb(uint32(p.last-p.born), bornOrder)
	w.items(p.recent.all(), p.last)
	w.items(p.purchases.all(), p.last)
	w.interests(&p.interests, p.last)
	w.channels(&p.channels, p.last)
	return w.end()
}

func (w *bitWriter) items(list []Item, last minute) {
	w.put(uint32(len(list)), 5)
	if len(list) == 0 {
		return
	}
	var all uint32
	var gaps [MaxRecent]uint32
	for i, it := range list {
		all |= it.Number
		gaps[i] = uint32(last) - it.Minute
		last = minute(it.Minute)
	}
	width := uint(max(1, bits.Len32(all)))
	k := bestOrder(gaps[:len(list)])
	w.put(uint32(width-1), 5)
	w.put(uint32(k), 4)
	for i, it := range list {
		w.put(it.Number, width)
		w.golomb(gaps[i], k)
	}
}

// bestOrder returns the order that writes gaps in the fewest bits.
func bestOrder(gaps []uint32) uint {
	best, least := uint(0), ^uint(0)
	for k := range uint(16) {
		var n uint
		for _, g := range gaps {
			n += golombLen(g, k)
		}
		if n < least {
			best, least = k, n
		}
	}
	return best
}

func (w *bitWriter) interests(in *interests, last minute) {
	w.put(uint32(in.n), 7)
	if in.n > 0 {
		k := riceFor(int(in.n), in.values[in.n-1].value)
		w.put(uint32(k), 5)
		next := uint32(0)
		for _, a := range in.all() {
			w.rice(a.value-next, k)
			w.put(uint32(a.level), levelBits)
			next = a.value + 1
		}
	}
	w.put(uint32(in.np), 4)
	for i := range in.who() {
		a := &in.personas[i]
		name := a.text()
		w.put(uint32(len(name)), 5)
		for _, c := range name {
			w.put(uint32(c), 8)
		}
		w.put(uint32(a.level), levelBits)
	}
	if !in.empty() {
		w.golomb(uint32(last-in.base), baseOrder)
	}
}

func (w *bitWriter) channels(c *channels, last minute) {
	if c.empty() {
		w.put(0, 1)
		return
	}
	w.put(1, 1)
	for _, counts := range c.counts {
		if counts == [numOutcomes]level{} {
			w.put(0, 1)
			continue
		}
		w.put(1, 1)
		for _, l := range counts {
			w.put(uint32(l), levelBits)
		}
	}
	w.golomb(uint32(last-c.base), baseOrder)
}

// errInferred says no more: who could use more would be who forged it.
var errInferred = errors.New("inferred profile: not one that was encoded")

// Parse reads what AppendEncode wrote into p, whose former content is dropped.
// With an error p knows nothing. The error is [ErrNewer] if a later build wrote it.
func (p *Inferred) Parse(b []byte) error {
	*p = Inferred{}
	switch {
	case len(b) == 0 || b[0] == 0:
		return errInferred
	case b[0] > inferredVersion:
		return fmt.Errorf("inferred profile: version %d, this build reads up to %d: %w", b[0], inferredVersion, ErrNewer)
	case len(b) > MaxInferred:
		return errInferred
	}
	r := bitReader{b: b[1:]}
	p.last = minute(r.take(minuteBits))
	p.born = r.before(p.last, bornOrder)
	r.items(&p.recent, p.last)
	r.items(&p.purchases, p.last)
	r.interests(&p.interests, p.last)
	r.channels(&p.channels, p.last)
	if !r.atEnd() {
		*p = Inferred{}
		return errInferred
	}
	p.settle()
	return nil
}

// before reads a minute by its gap before t.
func (r *bitReader) before(t minute, k uint) minute {
	gap := r.golomb(k)
	if gap > uint32(t) {
		r.bad = true
		return 0
	}
	return t - minute(gap)
}

func (r *bitReader) items(l *items, last minute) {
	n := int(r.take(5))
	if n > len(l.list) {
		r.bad = true
	}
	if n == 0 || r.bad {
		return
	}
	width, k := uint(r.take(5))+1, uint(r.take(4))
	for range n {
		number := r.take(width)
		last = r.before(last, k)
		if r.bad || l.find(number) >= 0 {
			r.bad = true
			return
		}
		l.list[l.n] = Item{number, uint32(last)}
		l.n++
	}
}

func (r *bitReader) level() level { return level(r.take(levelBits)) }

func (r *bitReader) interests(in *interests, last minute) {
	n := int(r.take(7))
	if n > len(in.values) {
		r.bad = true
	}
	if n > 0 && !r.bad {
		k, next := uint(r.take(5)), uint64(0)
		for range n {
			value := next + uint64(r.rice(k))
			l := r.level()
			if r.bad || l == 0 || value > 1<<32-1 {
				r.bad = true
				return
			}
			in.values[in.n] = affinity{uint32(value), l}
			in.n++
			next = value + 1
		}
	}
	r.personas(in)
	if !r.bad && !in.empty() {
		in.base = r.before(last, baseOrder)
	}
}

func (r *bitReader) personas(in *interests) {
	n := int(r.take(4))
	if n > len(in.personas) {
		r.bad = true
	}
	for range n {
		if r.bad {
			return
		}
		a := &in.personas[in.np]
		size := int(r.take(5))
		if size > len(a.name) {
			r.bad = true
			return
		}
		for i := range size {
			a.name[i] = byte(r.take(8))
		}
		a.level = r.level()
		if !personaName(a.name[:size]) || a.level == 0 || in.np > 0 && comparePersona(in.personas[in.np-1], *a) >= 0 {
			r.bad = true
			return
		}
		in.np++
	}
}

func (r *bitReader) channels(c *channels, last minute) {
	if r.take(1) == 0 {
		return
	}
	for i := range c.counts {
		if r.take(1) == 0 {
			continue
		}
		for j := range c.counts[i] {
			c.counts[i][j] = r.level()
		}
	}
	if c.base = r.before(last, baseOrder); c.empty() {
		r.bad = true
	}
}

// Fit drops what is oldest until the profile, sealed, has at most that many
// characters: of the items looked at and bought the one that is longest ago, and
// when there is none left, the weakest affinity, then engagement and personas. It
// reports whether that was enough; if not, p knows nothing.
func (p *Inferred) Fit(chars int) bool {
	var buf [MaxInferred]byte
	for limit := sealedFit(chars); len(p.AppendEncode(buf[:0])) > limit; {
		if !p.dropOldest() {
			*p = Inferred{}
			return false
		}
	}
	p.settle()
	return true
}

func (p *Inferred) dropOldest() bool {
	r, b := &p.recent, &p.purchases
	switch {
	case r.n > 0 && (b.n == 0 || r.list[r.n-1].Minute <= b.list[b.n-1].Minute):
		r.cut(r.n - 1)
	case b.n > 0:
		b.cut(b.n - 1)
	case p.interests.n > 0:
		p.interests.remove(weakest(p.interests.all()))
	case !p.channels.empty() || p.interests.np > 0:
		p.channels = channels{}
		clear(p.interests.personas[:])
		p.interests.np = 0
		p.interests.settle()
	default:
		return false
	}
	return true
}

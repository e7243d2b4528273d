package config

import "strings"

// maxPattern is the most bytes of a path pattern; one bit each below, and one for the end.
const maxPattern = 255

// Match reports whether the route stands for a path: the decoded path of a
// request, without query. In the pattern "*" stands for any bytes, also none,
// of one segment; "**" for any bytes at all; everything else for itself. So
// "/shop/**" stands for "/shop/" and all below it, but not for "/shop".
//
// It does not allocate, and its time is linear in the length of the path.
func (r *Route) Match(path string) bool {
	p := r.Path
	star := strings.IndexByte(p, '*')
	switch {
	case star < 0:
		return p == path
	case star == len(p)-2 && p[star+1] == '*':
		return strings.HasPrefix(path, p[:star])
	case len(p) > maxPattern, !strings.HasPrefix(path, p[:star]):
		return false
	}
	return match(p[star:], path[star:])
}

// A states is a set of positions in a pattern, one bit each.
type states [4]uint64

func (s *states) set(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s *states) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// match runs the pattern as a nondeterministic automaton, all positions at
// once: backtracking would be quadratic or worse on hostile paths.
func match(pattern, path string) bool {
	var (
		takes    [256]states // takes[c]: the positions that consume c and move on
		anySlash states      // positions of "**", which consume anything and stay
		any      states      // positions of "*" and "**"
		now      states
		n        int // positions so far
	)
	for i := 0; i < len(pattern); {
		if pattern[i] != '*' {
			takes[pattern[i]].set(n)
			i, n = i+1, n+1
			continue
		}
		run := i
		for i < len(pattern) && pattern[i] == '*' {
			i++
		}
		any.set(n)
		if i-run > 1 {
			anySlash.set(n)
		}
		n++
	}
	now.set(0)
	now.skip(&any)
	for i := 0; i < len(path); i++ {
		stay := &any
		if path[i] == '/' {
			stay = &anySlash
		}
		if now == (states{}) {
			return false
		}
		now.step(&takes[path[i]], stay)
		now.skip(&any)
	}
	return now.has(n)
}

// step moves every position in takes on by one and keeps those in stay.
func (s *states) step(takes, stay *states) {
	var carry uint64
	for i, v := range s {
		moved := v & takes[i]
		s[i] = moved<<1 | carry | v&stay[i]
		carry = moved >> 63
	}
}

// skip adds the position after each star, since a star may stand for nothing.
// Two stars never stand side by side, so once is enough.
func (s *states) skip(any *states) {
	var carry uint64
	for i, v := range s {
		over := v & any[i]
		s[i] = v | over<<1 | carry
		carry = over >> 63
	}
}

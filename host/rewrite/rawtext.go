package rewrite

import "bytes"

// rawText looks for the end tag of r.raw.
func (r *Rewriter) rawText(b []byte, i int) int {
	text := i
	for {
		j := bytes.IndexByte(b[i:], '<')
		if j < 0 {
			return len(b)
		}
		s := i + j
		if s+1 >= len(b) {
			return r.wait(s, false)
		}
		i = s + 1
		if b[s+1] != '/' {
			continue
		}
		switch r.named(b, s+2, r.raw) {
		case wait:
			return r.wait(s, false)
		case yes:
			if tagFlags(r.raw)&fRCDATA != 0 {
				r.extractText(b[text:s])
			}
			r.mode = inData
			return s
		}
	}
}

// maxRawName is the length of the longest name that named looks for.
const maxRawName = 8

// named tells whether the tag name at b[i] is that of key; wait, if b ends too early.
func (r *Rewriter) named(b []byte, i int, key uint64) answer {
	k, end := nameKey(b[:min(len(b), i+maxRawName+1)], i)
	if end-i > maxRawName {
		return no
	}
	if end == len(b) {
		return wait
	}
	if k == key {
		return yes
	}
	return no
}

// States of script data (WHATWG 13.2.5.4 and 15 to 31).
const (
	scPlain = iota
	scEscaped
	scDouble
)

func (r *Rewriter) script(b []byte, i int) int {
	for i < len(b) {
		if r.sub == scPlain {
			j := bytes.IndexByte(b[i:], '<')
			if j < 0 {
				return len(b)
			}
			i += j
		}
		switch c := b[i]; {
		case c == '<':
			n := r.scriptTag(b, i)
			if r.hold >= 0 || r.mode != inScript {
				return n
			}
			i = n
			continue
		case c == '-':
			r.dashes = min(r.dashes+1, 2)
		case c == '>' && r.dashes == 2:
			r.sub, r.dashes = scPlain, 0
		default:
			r.dashes = 0
		}
		i++
	}
	return i
}

// scriptTag takes a '<' within a script at b[s].
func (r *Rewriter) scriptTag(b []byte, s int) int {
	r.dashes = 0
	if s+1 >= len(b) {
		return r.wait(s, false)
	}
	c := b[s+1]
	switch {
	case c == '!' && r.sub == scPlain:
		const open = "<!--"
		n := min(len(b)-s, len(open))
		if string(b[s:s+n]) != open[:n] {
			return s + 1
		}
		if n < len(open) {
			return r.wait(s, false)
		}
		r.sub, r.dashes = scEscaped, 2
		return s + n
	case c == '/':
		switch r.named(b, s+2, keyScript) {
		case wait:
			return r.wait(s, false)
		case yes:
			if r.sub != scDouble {
				r.mode = inData
				return s
			}
			r.sub = scEscaped
		}
	case byteClass[c]&cAlpha != 0 && r.sub == scEscaped:
		switch r.named(b, s+1, keyScript) {
		case wait:
			return r.wait(s, false)
		case yes:
			r.sub = scDouble
		}
	}
	return s + 1
}

package rewrite

// Where something is put in or left out, two pieces of the page meet that did
// not stand together. Text that a parser has read as text must not become
// markup there, nor part of a character reference: "1 <" before "b" would be a
// tag, "&no" before "t;" another character. The first byte behind such a seam is
// then written as a reference, which says the same and can be read in one way only.

// How a piece of output ends.
const (
	endsWhole = iota
	endsLess  // with a '<' that is text
	endsRef   // with '&' and what may be the beginning of a reference's name
)

// maxRef bounds the names of references that are looked for: the longest of
// HTML (13.5) has 33 characters.
const maxRef = 40

// ending tells how the output ends after x, which follows what ended as before
// tells. x ends where markup may begin, or where a run ends.
func ending(before uint8, x []byte) uint8 {
	n := len(x)
	if n == 0 {
		return before
	}
	if x[n-1] == '<' {
		return endsLess
	}
	i := n
	for i > 0 && n-i < maxRef && (byteClass[x[i-1]]&cAlnum != 0 || x[i-1] == '#') {
		i--
	}
	if i > 0 && x[i-1] == '&' || i == 0 && before == endsRef {
		return endsRef
	}
	return endsWhole
}

// reads tells whether c would be read on with what ends so. In attributes a
// '=' decides what stands before it.
func reads(ends, c uint8) bool {
	switch ends {
	case endsLess:
		return byteClass[c]&cAlpha != 0 || c == '/' || c == '!' || c == '?'
	case endsRef:
		return byteClass[c]&cAlnum != 0 || c == '#' || c == ';' || c == '='
	}
	return false
}

// appendRef appends the ASCII character c as a reference.
func appendRef(dst []byte, c uint8) []byte {
	dst = append(dst, '&', '#')
	if c >= 100 {
		dst = append(dst, '0'+c/100)
	}
	return append(dst, '0'+c/10%10, '0'+c%10, ';')
}

// appendJoined appends x to dst where they did not stand together.
func appendJoined(dst, x []byte) []byte { return joinAt(append(dst, x...), len(dst)) }

// joinAt sees to the seam before b[n].
func joinAt(b []byte, n int) []byte {
	if n == len(b) || !reads(ending(endsWhole, b[:n]), b[n]) {
		return b
	}
	rest := append(appendRef(nil, b[n]), b[n+1:]...)
	return append(b[:n], rest...)
}

// join sends the first byte of x, which follows a seam, if it has to become a
// reference, and returns what is left.
func (r *Rewriter) join(x []byte) []byte {
	if len(x) == 0 || !reads(r.ended, x[0]) {
		return x
	}
	r.name = appendRef(r.name[:0], x[0])
	r.send(r.name)
	r.ended = endsWhole
	return x[1:]
}

// putText adds the content of an edit.
func (r *Rewriter) putText(x []byte) {
	x = r.join(x)
	r.send(x)
	r.seam, r.ended = true, ending(r.ended, x)
}

// put adds markup that the page has not. It does not begin in the middle of
// text, and text does not go on after it.
func (r *Rewriter) put(x []byte) {
	r.send(x)
	r.seam, r.ended = true, endsWhole
}

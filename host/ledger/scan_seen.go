package ledger

import "bytes"

// What one record says of its decision and of what policies read, the next ones say in the same
// words, so a scanner keeps the last few such pieces with what they mean. Where the same bytes
// follow, parsing them again would come to the same.

const (
	seenPieces = 8
	seenBytes  = 1 << 10 // longer pieces are not kept
)

type seen[V any] struct {
	pieces [seenPieces]seenPiece[V]
	next   int // is given up for a new one
}

type seenPiece[V any] struct {
	text []byte // with its own end in it, so that nothing behind it changes what it means
	// value has slices of its own; its strings are views into text.
	value V
	line  int64 // the last that used it
}

// find returns the piece that b begins with; nil: none.
func (s *seen[V]) find(b []byte, line int64) *seenPiece[V] {
	for i := range s.pieces {
		p := &s.pieces[i]
		if len(p.text) > 0 && bytes.HasPrefix(b, p.text) {
			p.line = line
			return p
		}
	}
	return nil
}

// keep makes a piece of text, without a value yet, in the place of one that this line does not
// use; nil: there is none, or this is the first line, and perhaps the only one.
func (s *seen[V]) keep(text []byte, line int64) *seenPiece[V] {
	if line <= 1 || len(text) > seenBytes {
		return nil
	}
	for range s.pieces {
		p := &s.pieces[s.next]
		s.next = (s.next + 1) % seenPieces
		if p.line != line {
			p.text, p.line = append(p.text[:0], text...), line
			return p
		}
	}
	return nil
}

package config

import (
	"github.com/goccy/go-yaml/token"
)

// Bounds of the file's shape. The parser recurses for every level and for every
// key of a mapping, keeps the whole path of every key, and moves all tokens for
// every value that is left out, so each is bounded before it runs.
const (
	maxDepth   = 16
	maxKeys    = 256 // in one mapping written as a block
	maxKey     = 64  // bytes of a key
	maxNothing = 200 // values left out
)

// A shape follows the nesting of a file token by token.
type shape struct {
	d     *decoder
	block []level // block collections around the token, by growing column
	flow  []open  // open brackets around the token
	none  int     // values left out so far
	docs  int     // document headers so far
	any   bool    // something stood before
	bad   bool
	stop  bool // what follows cannot be told
}

type level struct{ col, keys int }

// An open is a bracket that is not closed yet.
type open struct {
	at      *token.Token
	mapping bool
	keyed   bool // the current entry has its colon
	filled  bool // the current entry has a token
}

func (s *shape) fault(t *token.Token, format string, args ...any) {
	s.d.errorf(place(t), format, args...)
	s.bad = true
}

// checkTokens refuses the parts of YAML that the package does without, and
// nesting beyond the bounds. It stops at the first fault of shape, as the rest
// would only follow from it.
func (d *decoder) checkTokens(tokens token.Tokens) bool {
	s := &shape{d: d}
	list := make(token.Tokens, 0, len(tokens))
	for _, t := range tokens {
		if t.Type != token.CommentType {
			list = append(list, t)
		}
	}
	for i, t := range list {
		var before, after *token.Token
		if i > 0 {
			before = list[i-1]
		}
		if i+1 < len(list) {
			after = list[i+1]
		}
		if !s.refused(t, after) {
			s.nesting(before, t, after)
		}
		if s.stop || len(d.errs) >= MaxErrors {
			return false
		}
	}
	for _, o := range s.flow {
		s.fault(o.at, "the bracket %s is never closed", quote(o.at.Value))
	}
	return !s.bad
}

// excess is a fault after which the rest is not looked at.
func (s *shape) excess(t *token.Token, format string, args ...any) {
	s.fault(t, format, args...)
	s.stop = true
}

// refused reports tokens of features that have no place in a configuration.
func (s *shape) refused(t, after *token.Token) bool {
	switch t.Type {
	case token.AnchorType:
		s.fault(t, "an anchor (&) is not allowed; to begin a text with \"&\", put it in quotes")
	case token.AliasType:
		s.fault(t, "an alias (*) is not allowed; to begin a text with \"*\", put it in quotes, as in \"*.example.com\"")
	case token.TagType:
		s.fault(t, "a tag (!) is not allowed; to begin a text with \"!\", put it in quotes")
	case token.MergeKeyType:
		s.fault(t, "a merge key (<<) is not allowed")
	case token.MappingKeyType:
		s.fault(t, "a complex key (?) is not allowed")
	case token.DirectiveType:
		s.excess(t, "a directive (%%) is not allowed; to begin a text with \"%%\", put it in quotes")
	case token.DocumentHeaderType:
		if s.docs++; s.docs > 1 || s.any {
			s.fault(t, "a second document, expected one")
		}
	case token.DocumentEndType:
		if after != nil {
			s.fault(after, "text after the end of the document")
		}
	default:
		s.any = true
		return false
	}
	return true
}

// nesting keeps the levels of t and counts keys and values left out.
func (s *shape) nesting(before, t, after *token.Token) {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		s.fill()
		s.flow = append(s.flow, open{at: t, mapping: t.Type == token.MappingStartType})
		s.depth(t)
		return
	case token.SequenceEndType, token.MappingEndType:
		s.endEntry(t, true)
		if len(s.flow) > 0 {
			s.flow = s.flow[:len(s.flow)-1]
		}
		return
	case token.CollectEntryType:
		s.endEntry(t, false)
		return
	case token.MappingValueType:
		s.colon(before, t, after)
		return
	case token.SequenceEntryType:
		if len(s.flow) == 0 {
			s.enter(t, place(t).col, false)
			if !follows(after, t, place(t).col+1) {
				s.nothing(t)
			}
		}
		return
	}
	s.fill()
}

// fill notes that the current entry in brackets has something in it.
func (s *shape) fill() {
	if n := len(s.flow); n > 0 {
		s.flow[n-1].filled = true
	}
}

// endEntry ends an entry in brackets, at a comma or at the closing bracket.
func (s *shape) endEntry(t *token.Token, last bool) {
	n := len(s.flow)
	if n == 0 {
		return
	}
	e := &s.flow[n-1]
	if !e.filled && !last || e.filled && e.mapping && !e.keyed {
		s.nothing(t)
	}
	e.filled, e.keyed = false, false
}

func (s *shape) colon(key, t, after *token.Token) {
	if key != nil && len(key.Value) > maxKey {
		s.fault(key, "the key %s has more than %d bytes", quote(key.Value), maxKey)
	}
	if n := len(s.flow); n > 0 {
		s.flow[n-1].keyed, s.flow[n-1].filled = true, true
		if after == nil || after.Type == token.CollectEntryType ||
			after.Type == token.MappingEndType || after.Type == token.SequenceEndType {
			s.nothing(t)
		}
		return
	}
	col := place(t).col
	if key != nil && place(key).line == place(t).line {
		col = place(key).col
	}
	s.enter(t, col, true)
	if !follows(after, t, col+1) && (after == nil || after.Type != token.SequenceEntryType || place(after).col < col) {
		s.nothing(t)
	}
}

// follows reports whether t's value can begin with after: on the same line, or
// below it and not left of col.
func follows(after, t *token.Token, col int) bool {
	return after != nil && (place(after).line == place(t).line || place(after).col >= col)
}

// enter goes to the block collection at a column, leaving those right of it.
func (s *shape) enter(t *token.Token, col int, key bool) {
	for len(s.block) > 0 && s.block[len(s.block)-1].col > col {
		s.block = s.block[:len(s.block)-1]
	}
	if len(s.block) == 0 || s.block[len(s.block)-1].col < col {
		s.block = append(s.block, level{col: col})
		s.depth(t)
	}
	if top := &s.block[len(s.block)-1]; key {
		if top.keys++; top.keys == maxKeys+1 {
			s.excess(t, "a mapping with more than %d keys", maxKeys)
		}
	}
}

func (s *shape) depth(t *token.Token) {
	if len(s.block)+len(s.flow) == maxDepth+1 {
		s.excess(t, "nested more than %d levels deep", maxDepth)
	}
}

func (s *shape) nothing(t *token.Token) {
	if s.none++; s.none == maxNothing+1 {
		s.excess(t, "more than %d values are left out", maxNothing)
	}
}

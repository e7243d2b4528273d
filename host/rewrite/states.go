package rewrite

import "bytes"

// States of a tag whose end has not come yet (WHATWG 13.2.5.8 and 13.2.5.32 to 40).
const (
	tName = iota
	tBefore
	tAttr
	tAfter
	tValue
	tDouble
	tSingle
	tBare
)

// tagEnd walks b, a piece of a tag after its '<' or '</', from state; it
// returns the index after the '>' that ends the tag, or -1 and the state at the end of b.
func tagEnd(b []byte, state int) (int, int) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch state {
		case tDouble, tSingle:
			q := byte('"')
			if state == tSingle {
				q = '\''
			}
			j := bytes.IndexByte(b[i:], q)
			if j < 0 {
				return -1, state
			}
			i += j
			state = tBefore
			continue
		case tValue:
			switch {
			case byteClass[c]&cSpace != 0:
			case c == '"':
				state = tDouble
			case c == '\'':
				state = tSingle
			case c == '>':
				return i + 1, state
			default:
				state = tBare
			}
			continue
		}
		if c == '>' {
			return i + 1, state
		}
		state = tagStep(state, c)
	}
	return -1, state
}

func tagStep(state int, c byte) int {
	space := byteClass[c]&cSpace != 0
	switch state {
	case tName:
		if space || c == '/' {
			return tBefore
		}
	case tBefore:
		if !space && c != '/' {
			return tAttr
		}
	case tAttr:
		switch {
		case space:
			return tAfter
		case c == '/':
			return tBefore
		case c == '=':
			return tValue
		}
	case tAfter:
		switch {
		case c == '=':
			return tValue
		case c == '/':
			return tBefore
		case !space:
			return tAttr
		}
	case tBare:
		if space {
			return tBefore
		}
	}
	return state
}

// States within a comment (WHATWG 13.2.5.43 to 51).
const (
	cmStart = iota
	cmStartDash
	cmBody
	cmDash
	cmDashDash
	cmBang
)

// commentEnd walks b from state; it returns the index after the comment's end,
// or -1 and the state at the end of b.
func commentEnd(b []byte, state int) (int, int) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch state {
		case cmBody:
			j := bytes.IndexByte(b[i:], '-')
			if j < 0 {
				return -1, cmBody
			}
			i += j
			state = cmDash
			continue
		case cmStart, cmStartDash, cmDashDash, cmBang:
			if c == '>' {
				return i + 1, cmBody
			}
		}
		switch {
		case c == '-':
			switch state {
			case cmStart:
				state = cmStartDash
			case cmBang:
				state = cmDash
			default:
				state = cmDashDash
			}
		case c == '!' && state == cmDashDash:
			state = cmBang
		default:
			state = cmBody
		}
	}
	return -1, state
}

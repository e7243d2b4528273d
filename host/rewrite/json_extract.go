package rewrite

import (
	"unicode/utf8"

	"bespoke/modules/abi"
)

// ExtractJSON returns the values that a JSON Pointer, in which * may stand as
// in [CheckJSON], leads to, in the order of the document: of a string what it says, of anything else its bytes. It
// takes the first 1000 and 64 KiB of them together: a string that goes beyond that is cut,
// and any other value is left out, as are all after it. From a document that
// editing would pass as it is, it takes nothing. It fails on a bad pointer only.
func ExtractJSON(doc []byte, pointer string) ([]string, error) {
	if err := checkPointer(pointer); err != nil {
		return nil, err
	}
	p := newJSONPlan(JSONOptions{}, 1)
	p.edits[0] = jsonEdit{op: abi.OpText, target: pointer}
	p.add(0)
	p.finish()
	r := JSONRewriter{plan: p}
	r.resetReport()
	if len(doc) > p.maxBytes || !r.readAll(doc) {
		return nil, nil
	}
	var out []string
	var text []byte
	left := maxExtractBytes
	for i := int32(0); int(i) < len(r.marks) && len(out) < maxExtracts; i = r.marks[i].after {
		m := &r.marks[i]
		v := doc[m.val:m.end]
		if v[0] == '"' {
			text = jsonUnquote(text[:0], v[1:len(v)-1], false)
			v = text
		} else if len(v) > left {
			break
		}
		if len(v) > left {
			for v = v[:left]; len(v) > 0; v = v[:len(v)-1] {
				if r, size := utf8.DecodeLastRune(v); r != utf8.RuneError || size != 1 {
					break
				}
			}
			left = len(v)
		}
		left -= len(v)
		out = append(out, string(v))
	}
	return out, nil
}

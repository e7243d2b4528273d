package rewrite

import (
	"bytes"
	"slices"

	"bespoke/modules/abi"
)

// A splice changes one attribute of a start tag.
type splice struct {
	at   int32 // index of the attribute, or -1: it is not there yet
	edit int32 // what sets it; -1: class, whose value is in editing.class
	drop bool
}

// writeAttrs writes the start tag up to the end of the last attribute that its
// edits change. Only those attributes change; a new one stands after the tag's name.
func (r *Rewriter) writeAttrs(b []byte, t *tag) {
	r.splices = r.splices[:0]
	r.turn++
	class := false
	for i := len(r.hits) - 1; i >= 0; i-- { // the last to set an attribute wins
		h := r.hits[i]
		e := r.plan.edits[h]
		switch e.op {
		case abi.OpAddClass, abi.OpRemoveClass:
			class = true
		case abi.OpAttr, abi.OpUnsetAttr:
			r.applied[h]++
			if e.name == "class" {
				class = true
			} else if r.seen[e.nameID] != r.turn {
				r.seen[e.nameID] = r.turn
				r.change(b, e.name, h, e.op == abi.OpUnsetAttr)
			}
		}
	}
	if class {
		r.changeClass(b)
	}
	slices.Reverse(r.splices) // new ones in the order of their edits
	slices.SortStableFunc(r.splices, func(x, y splice) int { return int(x.at - y.at) })
	for _, s := range r.splices {
		r.writeSplice(b, t, s)
	}
}

func (r *Rewriter) change(b []byte, name string, edit int32, drop bool) {
	at := r.text.find(b, name)
	if !drop {
		r.splices = append(r.splices, splice{int32(at), edit, false})
		return
	}
	for ; at >= 0 && at < len(r.text.attrs); at++ { // a second one would count once the first is gone
		if a := &r.text.attrs[at]; r.text.named(b, a, name) {
			r.splices = append(r.splices, splice{int32(at), edit, true})
		}
	}
}

func (r *Rewriter) writeSplice(b []byte, t *tag, s splice) {
	if s.at < 0 {
		r.flush(b, t.p)
		if s.edit >= 0 {
			r.put(r.plan.edits[s.edit].whole)
			return
		}
		r.put(classOpen)
		r.put(r.class)
		r.put(valueClose)
		return
	}
	a := r.text.attrs[s.at]
	if !s.drop {
		r.flush(b, int(a.nameEnd))
		r.writeValue(s)
		r.e = int(a.end)
		return
	}
	r.flush(b, int(a.name))
	r.e = int(a.end)
	switch {
	case b[r.e] == '=':
		// What follows is an attribute whose name begins with '='; it must not become a value.
		r.put(slash)
	case b[a.name-1] == '/':
		// Or the tag might close itself.
		r.put(space)
	}
}

var (
	space      = []byte{' '}
	slash      = []byte{'/'}
	classOpen  = []byte(` class="`)
	valueOpen  = []byte(`="`)
	valueClose = []byte(`"`)
)

func (r *Rewriter) writeValue(s splice) {
	if s.edit >= 0 {
		e := r.plan.edits[s.edit]
		r.put(e.whole[len(" ")+len(e.name):])
		return
	}
	r.put(valueOpen)
	r.put(r.class)
	r.put(valueClose)
}

// changeClass works out the value of class after all edits of it, in order. The
// classes that stay keep their bytes.
func (r *Rewriter) changeClass(b []byte) {
	at := r.text.class
	there, changed := at >= 0, false
	r.class = r.class[:0]
	if there {
		a := r.text.attrs[at]
		r.class = appendQuoted(r.class, b[a.from:a.to])
	}
	drop := int32(-1)
	for _, h := range r.hits {
		e := r.plan.edits[h]
		switch {
		case e.op == abi.OpAttr && e.name == "class":
			r.class = append(r.class[:0], e.content...)
			there, changed = true, true
		case e.op == abi.OpUnsetAttr && e.name == "class":
			r.class = r.class[:0]
			changed = changed || there
			there, drop = false, h
		case e.op == abi.OpAddClass:
			r.applied[h]++
			if from, _ := r.findClass(0, e.raw); from >= 0 {
				continue
			}
			if n := len(r.class); n > 0 && byteClass[r.class[n-1]]&cSpace == 0 {
				r.class = append(r.class, ' ')
			}
			r.class = append(r.class, e.content...)
			there, changed = true, true
		case e.op == abi.OpRemoveClass:
			r.applied[h]++
			changed = r.removeClass(e.raw) || changed
		}
	}
	switch {
	case !changed:
	case there:
		r.splices = append(r.splices, splice{int32(at), -1, false})
	default:
		r.change(b, "class", drop, true)
	}
}

// findClass returns where the class stands in r.class from index i on, or -1.
func (r *Rewriter) findClass(i int, name string) (from, to int) {
	for rest := r.class[i:]; ; {
		var word []byte
		if word, rest = cutToken(rest); len(word) == 0 {
			return -1, -1
		}
		same := string(word) == name
		if bytes.IndexByte(word, '&') >= 0 {
			n := len(r.text.decoded)
			r.text.decoded = decodeValue(r.text.decoded, word)
			same = string(r.text.decoded[n:]) == name
			r.text.decoded = r.text.decoded[:n]
		}
		if same {
			to = len(r.class) - len(rest)
			return to - len(word), to
		}
	}
}

// removeClass takes a class out of r.class, as often as it stands there.
func (r *Rewriter) removeClass(name string) bool {
	n := 0 // what stays so far
	for i := 0; ; {
		from, to := r.findClass(i, name)
		if from < 0 {
			if i == 0 {
				return false
			}
			r.class = append(r.class[:n], r.class[i:]...)
			return true
		}
		n += copy(r.class[n:], r.class[i:from])
		if to < len(r.class) {
			to++ // the space after it
		} else if n > 0 {
			n--
		}
		i = to
	}
}

// appendQuoted appends the bytes of a value so that they mean the same between double quotes.
func appendQuoted(dst, v []byte) []byte {
	for _, c := range v {
		if c == '"' {
			dst = append(dst, "&quot;"...)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

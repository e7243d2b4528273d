package rewrite

import "bytes"

// A pattern is the markup that fill repeats, with slots for an item's values.
// It may be parsed anew any number of times, and keeps its buffers.
//
// A slot is "{{name}}", with spaces or without, in text and in values of
// attributes. An item that lacks the name leaves it empty. A value is escaped
// for where it stands; in an address it becomes one component, unless the
// address begins with it, and the whole must have an accepted scheme, or it
// becomes "#". In a script that is JSON by its type a slot within a string is a part
// of that, any other a value of its own. Where a value could do harm there is no
// slot: attributes that run or style something, or decide over what may, are left out; other
// scripts, style, raw text and comments stay as they are.
//
// data-fill="title href=url" on an element is another way to say the same, that
// leaves the element its sample content: the value of "title" becomes its text, and that of
// "url" the attribute href, which goes if the item lacks "url". An
// element with data-fill-if="name" is left out where the item lacks the name, or its value is
// empty.
//
// Copies have no id in HTML, unless there is a slot in it: an id is unique.
type pattern struct {
	parts []part
	text  []byte // what the literal parts are of
	names []byte // what the names of slots are of

	patternParser
	room []byte // for values decoded
	most int    // append adds nothing more to what is longer; 0: no bound
}

// A part is a piece of literal text, a slot or a condition.
type part struct {
	kind  partKind
	check check
	from  int32 // what it is of text, or its name of names
	to    int32
	next  int32 // partIf, partHas: which part follows if it is not
	hint  int32 // a slot, partIf, partHas: which field of the last item had the name
}

type partKind uint8

const (
	partText   partKind = iota
	partIf              // what follows is there if the item's value is not empty
	partHas             // what follows is there if the item has the name
	partMark            // a value that must be checked begins
	partCheck           // it ends
	slotText            // in text
	slotQuoted          // in an attribute, or in RCDATA
	slotTwice           // in text of HTML that is text of XML
	slotPart            // a component of a URL
	slotJSON            // in a string of JSON
	slotValue           // a value of JSON
)

// A check is what must hold for a value with a slot in it, as a reader will decode it.
type check uint8

const (
	noCheck   check = iota
	checkURL        // the scheme is accepted
	checkURLs       // the same for each of a list
	checkAnimated
	checkFragmentOnly // it begins with '#'
	checkPaint        // it refers to nothing
)

// append appends one copy of the pattern to dst, with the item's values in the
// slots. It gives up where dst has become longer than p.most.
func (p *pattern) append(dst []byte, it *item, cs Charset) []byte {
	mark, seam := 0, false
	for i := 0; i < len(p.parts); i++ {
		t, n := &p.parts[i], len(dst)
		if p.most > 0 && n > p.most {
			return dst
		}
		switch t.kind {
		case partText:
			dst = append(dst, p.text[t.from:t.to]...)
			if seam {
				dst, seam = joinAt(dst, n), false
			}
			continue
		case partMark:
			mark = len(dst)
			continue
		case partCheck:
			if !p.holds(t.check, dst[mark:]) {
				dst = append(dst[:mark], '#')
			}
			continue
		}
		v, ok := p.value(t, it)
		switch t.kind {
		case partIf, partHas:
			if !ok || v == "" && t.kind == partIf {
				i, seam = int(t.next)-1, true
			}
		case slotText, slotQuoted, slotTwice:
			dst, seam = joinAt(appendSlot(dst, v, t.kind, p.lex.xml, cs), n), true
		case slotPart:
			dst, seam = joinAt(appendComponent(dst, v), n), true
		case slotJSON:
			dst = appendJSONText(dst, v)
		case slotValue:
			dst = appendJSONValue(dst, v, ok)
		}
	}
	return dst
}

// value returns the item's value for the part.
func (p *pattern) value(t *part, it *item) (string, bool) {
	name := p.names[t.from:t.to]
	if h := int(t.hint); h < len(it.fields) && it.fields[h].name == string(name) {
		return it.fields[h].value, true
	}
	for i := range it.fields {
		if it.fields[i].name == string(name) {
			t.hint = int32(i)
			return it.fields[i].value, true
		}
	}
	return "", false
}

// holds checks a value as it will be written.
func (p *pattern) holds(c check, v []byte) bool {
	if bytes.IndexByte(v, '&') >= 0 {
		v = p.decode(v)
	}
	switch c {
	case checkURL:
		return safeURLBytes(v)
	case checkURLs:
		for {
			i := 0
			for i < len(v) && v[i] > ' ' && v[i] != ',' {
				i++
			}
			if !safeURLBytes(v[:i]) {
				return false
			}
			if i == len(v) {
				return true
			}
			v = v[i+1:]
		}
	case checkAnimated:
		return safeValue("values", string(v))
	case checkFragmentOnly:
		return len(v) > 0 && v[0] == '#'
	case checkPaint:
		return !refers(v)
	}
	return true
}

// decode decodes references. What slots and most pages have in addresses needs no allocation.
func (p *pattern) decode(v []byte) []byte {
	p.room = decodeXML(p.room[:0], v)
	if p.lex.xml {
		return p.room
	}
	for rest := v; ; {
		i := bytes.IndexByte(rest, '&')
		if i < 0 {
			return p.room
		}
		rest = rest[i+1:]
		n := bytes.IndexByte(rest, ';')
		r, ok := rune(0), false
		if n >= 0 {
			r, ok = xmlReference(rest[:n])
		}
		if !ok || r >= 0x7F && r < 0xA0 {
			p.room = decodeValue(p.room[:0], v)
			return p.room
		}
		rest = rest[n+1:]
	}
}

// safeURLBytes is safeURL.
func safeURLBytes(v []byte) bool {
	for len(v) > 0 && v[0] <= ' ' {
		v = v[1:]
	}
	var scheme [8]byte
	n := 0
	for _, c := range v {
		switch c {
		case '\t', '\n', '\r':
			continue
		case '/', '?', '#', '\\':
			return true
		case ':':
			switch string(scheme[:n]) {
			case "http", "https", "mailto", "tel":
				return true
			}
			return false
		}
		if n == len(scheme) {
			scheme[0] = ' ' // none that is accepted is so long
			continue
		}
		scheme[n] = lower[c]
		n++
	}
	return true
}

// refers tells whether CSS in v could mean something elsewhere, by url() or by a name that escapes hide.
func refers(v []byte) bool {
	for i, c := range v {
		if c == '\\' || lower[c] == 'u' && i+3 <= len(v) && foldEqual(v[i:i+3], "url") {
			return true
		}
	}
	return false
}

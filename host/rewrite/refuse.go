package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"bespoke/modules/abi"
)

// refuses tells why the edit cannot be carried out on the element that the tag opens, or 0.
func (r *Rewriter) refuses(b []byte, t *tag, e *prepared) Reason {
	switch e.op {
	case abi.OpRemove:
		return r.refusesGone(b, t)
	case abi.OpReplace:
		if why := r.refusesGone(b, t); why != 0 {
			return why
		}
		return r.contentBeside(t, e)
	case abi.OpBefore, abi.OpAfter:
		return r.contentBeside(t, e)
	case abi.OpText, abi.OpHTML, abi.OpPrepend, abi.OpAppend:
		return r.contentInside(b, t, e)
	case abi.OpUnwrap:
		return r.refusesUnwrap(t)
	case abi.OpOrder, abi.OpKeep, abi.OpFill:
		return r.refusesList(t)
	}
	return r.refusesAttr(b, t, e)
}

// refusesGone: the parser would make another root; and a policy in a meta guards the page.
func (r *Rewriter) refusesGone(b []byte, t *tag) Reason {
	if t.flags&fRoot != 0 && t.flags&fForeign == 0 || r.plan.xml && t.n == 0 {
		return WhyPlace
	}
	key := t.key
	if r.plan.xml {
		key = nameKeyOf(localName(string(t.name)))
	}
	if key == keyMeta && r.text.find(b, "http-equiv") >= 0 {
		return WhyUnsafe
	}
	return 0
}

// unwraps tells whether an edit takes the tags of the element at hand away.
func (r *Rewriter) unwraps() bool {
	return slices.ContainsFunc(r.hits, func(h int32) bool { return r.plan.edits[h].op == abi.OpUnwrap })
}

func (r *Rewriter) refusesList(t *tag) Reason {
	switch inside := r.textInside(t); {
	case inside == WhyVoid || inside == WhyRawText || t.flags&fRCDATA != 0:
		return max(inside, WhyVoid)
	case t.flags&fRoot != 0 && t.key != keyBody:
		return WhyPlace
	}
	return 0
}

// contentInside tells why the element cannot have the edit's content put into it, or 0.
func (r *Rewriter) contentInside(b []byte, t *tag, e *prepared) Reason {
	why := r.textInside(t)
	if why == WhyRawText && e.op == abi.OpText && t.key == keyScript && r.dataBlock(b) {
		if e.json == nil {
			return WhyRawText
		}
		return 0
	}
	if why == WhyPlace && e.markup && fitsTable(t.flags, e.top) {
		why = 0
	}
	if why == WhyRawText && r.inlineHashed(t) {
		return WhyIntegrity
	}
	if why != 0 || !e.markup {
		return why
	}
	if t.flags&fRCDATA != 0 && t.flags&fForeign == 0 {
		return WhyRawText
	}
	if foreignInside(t.flags) && e.any&(fRaw|fRCDATA|fVoid) != 0 {
		return WhyPlace // HTML and SVG read these in different ways
	}
	if !r.stays(e, t.n, -1, t) || r.unwraps() && !r.stays(e, t.n, -1, nil) {
		return WhyPlace
	}
	return 0
}

// code tells whether the element holds a script or a style, whatever the syntax and the prefix.
func (r *Rewriter) code(t *tag) bool {
	if t.key == keyScript || t.key == keyStyle {
		return true
	}
	if !r.plan.xml {
		return false
	}
	name := t.name
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return foldEqual(name, "script") || foldEqual(name, "style") || foldEqual(name, "handler")
}

// inlineHashed tells whether the page's policy lists hashes that may be of this script's or style's content.
func (r *Rewriter) inlineHashed(t *tag) bool {
	c := &r.plan.csp
	return t.key == keyScript && c.scriptHashes || t.key == keyStyle && c.styleHashes
}

// dataBlock tells whether the script at hand is JSON that no browser runs or acts on.
func (r *Rewriter) dataBlock(b []byte) bool {
	i := r.text.find(b, "type")
	if i < 0 || r.text.find(b, "src") >= 0 {
		return false
	}
	v := trimSpace(r.text.value(b, i))
	if foldEqual(v, "application/json") || foldEqual(v, "application/ld+json") {
		return true
	}
	return len(v) > 5 && foldEqual(v[len(v)-5:], "+json")
}

// contentBeside tells why the edit's content can stand neither before nor after the element, or 0.
func (r *Rewriter) contentBeside(t *tag, e *prepared) Reason {
	if r.plan.xml && t.n == 0 {
		return WhyPlace
	}
	why := r.textBeside(t)
	if why == WhyPlace && e.markup && t.n > 0 && fitsTable(r.stack[t.n-1].flags, e.top) {
		why = 0
	}
	if e.markup && t.n > 0 && foreignInside(r.stack[t.n-1].flags) && e.any&(fRaw|fRCDATA|fVoid) != 0 {
		return WhyPlace
	}
	if why == 0 && e.markup && !r.stays(e, t.n, -1, nil) {
		return WhyPlace
	}
	return why
}

// foreignInside tells whether the content of an element is SVG or MathML.
func foreignInside(f flags) bool {
	return f&fForeign != 0 && f&(fHTMLInside|fMathText) == 0
}

// textInside tells why the element can have no text put into it, or 0.
func (r *Rewriter) textInside(t *tag) Reason {
	switch {
	case t.void:
		return WhyVoid
	case t.flags&fRaw != 0, r.code(t):
		return WhyRawText
	case t.flags&fNoText != 0 && t.flags&fForeign == 0:
		return WhyPlace
	}
	return 0
}

// textBeside tells why text can stand neither before nor after the element, or 0.
func (r *Rewriter) textBeside(t *tag) Reason {
	if r.plan.xml {
		return 0
	}
	if t.flags&fRoot != 0 && t.flags&fForeign == 0 {
		return WhyPlace
	}
	if t.n == 0 || r.stack[t.n-1].key == keyHTML {
		// The parent is a head or body that is not written down.
		if t.flags&(fHeadPart|fNoText) != 0 && t.flags&fTable == 0 || t.key == keyFrame {
			return WhyPlace
		}
		return 0
	}
	if parent := r.stack[t.n-1].flags; parent&fNoText != 0 && parent&fForeign == 0 {
		return WhyPlace
	}
	return 0
}

// What unwrap cannot take away: elements that decide how the parser reads what is in them.
const fNoUnwrap = fCell | fRow | fRowGroup | fTable | fTablePart | fOption | fOptgroup | fSelect |
	fScope | fButton | fRuby | fTemplate | fRoot | fHTMLInside | fMathText | fAnnotation | fNoText

// refusesUnwrap tells why the tags of the element cannot be taken away, or 0.
func (r *Rewriter) refusesUnwrap(t *tag) Reason {
	switch {
	case r.code(t):
		return WhyRawText
	case r.plan.xml:
		if t.n == 0 {
			return WhyPlace
		}
		return 0
	case t.void:
		return WhyVoid
	case t.flags&(fRaw|fRCDATA) != 0:
		return WhyRawText
	case t.flags&fNoUnwrap != 0, t.key == keySVG, t.key == keyMath, t.key == keyForm, t.flags&fMath != 0:
		return WhyPlace
	case t.n > 0 && r.stack[t.n-1].flags&(fMath|fMathText|fAnnotation) != 0:
		return WhyPlace // its children would be read in another way
	case t.flags&fSpecial != 0 && t.n > 0 && r.stack[t.n-1].flags&fHeading != 0:
		return WhyPlace // a heading in it would end the one around it
	case t.flags&fSpecial != 0 && t.flags&fPassLi == 0 && r.inItem(t.n):
		return WhyPlace // items in it would end the one around it
	}
	return r.textBeside(t)
}

// inItem tells whether an item's start tag among the first n open elements would
// end one of them.
func (r *Rewriter) inItem(n int) bool {
	for i := n - 1; i >= 0; i-- {
		f := r.stack[i].flags
		if f&(fLi|fDd) != 0 {
			return true
		}
		if f&fSpecial != 0 && f&fPassLi == 0 {
			break
		}
	}
	return false
}

// refusesAttr tells why an attribute of the element may not be changed, or 0:
// where that would load or run code, or take away what guards.
func (r *Rewriter) refusesAttr(b []byte, t *tag, e *prepared) Reason {
	name := e.name
	if name == "" {
		return 0 // a class
	}
	key := t.key
	if r.plan.xml {
		if !r.mayPrefix(b, name) {
			return WhyPlace
		}
		name = lowerASCII(localName(name))
		key = nameKeyOf(localName(string(t.name)))
	}
	switch name {
	case "src", "href", "crossorigin", "type", "rel", "data":
		if r.text.find(b, "integrity") >= 0 {
			return WhyIntegrity
		}
	}
	if harmlessAttr(name) {
		return 0
	}
	switch {
	case r.code(t), key == keyBase, key == keyObject, key == keyEmbed, key == keyApplet,
		key == keyParam, key == keyFrame, t.flags&fTemplate != 0:
		return WhyUnsafe
	case key == keyMeta:
		if name != "content" || r.text.find(b, "http-equiv") >= 0 {
			return WhyUnsafe
		}
	case key == keyLink:
		if name != "href" && name != "hreflang" || r.loads(b) {
			return WhyUnsafe
		}
	case key == keyIframe:
		switch name {
		case "src", "width", "height", "loading":
		default:
			return WhyUnsafe
		}
	}
	return r.decides(t, name)
}

// mayPrefix tells whether an attribute of that name keeps XML well formed: its
// prefix must be declared, which the tag itself shows.
func (r *Rewriter) mayPrefix(b []byte, name string) bool {
	i := strings.IndexByte(name, ':')
	if i < 0 || name[:i] == "xml" {
		return true
	}
	for k := range r.text.attrs {
		a := &r.text.attrs[k]
		have := string(b[a.name:a.nameEnd])
		if strings.HasPrefix(have, name[:i+1]) || have == "xmlns:"+name[:i] {
			return true
		}
	}
	return false
}

// decides refuses attributes by which the parser decides how to read on.
func (r *Rewriter) decides(t *tag, name string) Reason {
	switch name {
	case "encoding":
		if t.flags&fAnnotation != 0 {
			return WhyUnsafe
		}
	case "color", "face", "size":
		if n := len(r.stack); t.key == keyFont && n > 0 && r.stack[n-1].flags&fForeign != 0 {
			return WhyUnsafe
		}
	case "type":
		if t.key == keyInput && r.inScope(len(r.stack), fTable, 0) >= 0 {
			return WhyUnsafe
		}
	}
	return 0
}

// harmlessAttr tells whether the attribute means the same on every element: what
// it is called, how it is presented, and what scripts of the page keep there.
func harmlessAttr(name string) bool {
	switch name {
	case "id", "class", "title", "lang", "dir", "hidden", "role", "tabindex":
		return true
	}
	return strings.HasPrefix(name, "data-") || strings.HasPrefix(name, "aria-")
}

// loads tells whether the link at hand loads code or styles.
func (r *Rewriter) loads(b []byte) bool {
	i := r.text.find(b, "rel")
	if i < 0 {
		return false
	}
	for rest := r.text.value(b, i); ; {
		var word []byte
		if word, rest = cutToken(rest); len(word) == 0 {
			return false
		}
		for _, name := range [...]string{"stylesheet", "import", "modulepreload", "preload", "prefetch", "manifest", "serviceworker"} {
			if foldEqual(word, name) {
				return true
			}
		}
	}
}

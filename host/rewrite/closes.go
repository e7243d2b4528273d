package rewrite

import "bytes"

// A closing is what an end tag does to the tree.
type closing struct {
	n     int  // open elements that stay open
	hit   bool // the tag itself ends element n; else those beyond n end by implication
	ghost int  // an element that ends although elements in it stay open, or -1
}

// closes works out what the end tag of that name does.
func (r *Rewriter) closes(key uint64, name []byte) closing {
	none := closing{n: len(r.stack), ghost: -1}
	if len(r.stack) == 0 {
		if key == keyForm {
			r.formOpen = false
		}
		return none
	}
	f := tagFlags(key)
	n := len(r.stack)
	if r.stack[n-1].flags&fForeign != 0 {
		if key == keyP || key == keyBr {
			for n > 0 && r.stack[n-1].flags&fForeign != 0 && r.stack[n-1].flags&(fHTMLInside|fMathText) == 0 {
				n--
			}
			none.n = n
		} else {
			for i := n - 1; i >= 0 && r.stack[i].flags&fForeign != 0; i-- {
				if r.same(i, key, name) {
					return closing{i, true, -1}
				}
			}
		}
	}
	return r.closesHTML(key, name, f, none)
}

// closesHTML does so where an HTML element is on top, or nothing foreign has that name.
func (r *Rewriter) closesHTML(key uint64, name []byte, f flags, none closing) closing {
	i, n := -1, len(r.stack)
	switch {
	case f&fVoid != 0, f&fRoot != 0:
		if key == keyHead && r.stack[n-1].key == keyHead && r.stack[n-1].flags&fPending != 0 {
			i = n - 1 // else it stays
		}
	case f&fP != 0:
		if r.pOpen > 0 {
			i = r.inScope(n, fP, fScope|fButton)
		}
	case f&fLi != 0:
		i = r.inScope(n, fLi, fScope|fListScope)
	case f&fHeading != 0:
		i = r.inScope(n, fHeading, fScope)
	case f&fFormat != 0:
		i = r.find(n, key, name, fScope)
		if i < 0 {
			return none
		}
		if r.lastBlock(i) >= 0 {
			none.n, none.ghost = r.staysOpen(i), i
			return none
		}
	case key == keyForm:
		return r.closesForm(none)
	case f&fInScope != 0:
		i = r.find(n, key, name, fScope)
	case f&(fRow|fRowGroup) != 0:
		if i = r.find(n, key, name, fTableScope); i < 0 {
			none.n = r.closesMadeUp(key)
			return none
		}
	case f&(fTable|fCell|fTablePart) != 0:
		if i = r.find(n, key, name, fTableScope); i < 0 && f&fTable != 0 && r.templates > 0 {
			none.n = r.closesInTemplate()
		}
	case f&fTemplate != 0:
		i = r.find(n, key, name, 0)
	default:
		i = r.find(n, key, name, fSpecial)
	}
	if i < 0 {
		return none
	}
	return closing{i, true, -1}
}

// closesMadeUp returns what stays open after the end tag of a tr or tbody that
// is not written down, but there for what is directly in a table.
func (r *Rewriter) closesMadeUp(key uint64) int {
	n := len(r.stack)
	at := r.inScope(n, fTableScope, 0)
	if at < 0 {
		return n
	}
	switch key {
	case keyTbody:
		if f := &r.stack[at].flags; *f&fMadeGroup != 0 && *f&(fTable|fAsTable) != 0 {
			*f &^= fMadeGroup | fMadeRow
			return at + 1
		}
	case keyTr:
		if at+1 < n && r.stack[at+1].flags&fRowGroup != 0 {
			at++
		}
		if f := &r.stack[at].flags; *f&fMadeRow != 0 && *f&fAsCells == 0 {
			*f &^= fMadeRow
			return at + 1
		}
	}
	return n
}

// closesInTemplate returns what stays open after the end tag of a table where
// there is none, but parts of one in a template.
func (r *Rewriter) closesInTemplate() int {
	n := len(r.stack)
	i := r.inScope(n, fTableMode, 0)
	switch f := r.stack[i].flags; {
	case f&fRow != 0 && i > 0 && r.stack[i-1].flags&fRowGroup != 0:
		return i - 1
	case f&(fRow|fRowGroup) != 0, f&fTablePart != 0:
		return i
	case f&fAsRows != 0 && f&fMadeRow != 0:
		r.stack[i].flags &^= fMadeRow
		return i + 1
	}
	return n
}

func (r *Rewriter) closesForm(none closing) closing {
	if r.templates == 0 {
		if !r.formOpen {
			return none
		}
		r.formOpen = false
	}
	i := r.find(none.n, keyForm, nil, fScope)
	switch {
	case i < 0:
		return none
	case r.templates > 0:
		return closing{i, true, -1}
	}
	for none.n-1 > i && r.stack[none.n-1].flags&fImplied != 0 {
		none.n--
	}
	if none.n-1 > i {
		none.ghost = i
		return none
	}
	return closing{i, true, -1}
}

// find returns the index of the innermost HTML element of that name, or -1 if
// one that has a flag of stop comes before.
func (r *Rewriter) find(n int, key uint64, name []byte, stop flags) int {
	for i := n - 1; i >= 0; i-- {
		f := r.stack[i].flags
		if f&fForeign == 0 && r.same(i, key, name) {
			return i
		}
		if f&stop != 0 {
			break
		}
	}
	return -1
}

func (r *Rewriter) same(i int, key uint64, name []byte) bool {
	e := &r.stack[i]
	return e.key == key && (key&longKey == 0 || e.nameLen == int32(len(name)) &&
		bytes.EqualFold(r.names[e.name:e.name+e.nameLen], name))
}

package rewrite

// placed finds out which kind of element the start tag of that name opens in
// HTML; false if that depends on the parser, or on more than is known here.
func (p *pattern) placed(n *patternNode, key uint64) bool {
	f := tagFlags(key)
	if p.foreign() {
		n.space = p.top().space
		switch string(p.lower(p.lex.b[n.name:n.nameEnd])) {
		case "foreignobject", "desc", "title":
			n.html = n.space == fSVG
		case "mi", "mo", "mn", "ms", "mtext":
			n.html = n.space == fMath
		case "annotation-xml", "mglyph", "malignmark", "font":
			return false
		}
		// The others would end the foreign content.
		return f&fBreakout == 0
	}
	n.flags = f
	switch key {
	case keySVG:
		n.space = fSVG
	case keyMath:
		n.space = fMath
	case keyPlaintext, keyFrameset, keyFrame, keyImage, keyMglyph, keyMalignmark:
		return false
	}
	if open := len(p.open); !p.impliesEnds(key, f) || len(p.open) < open && p.attr("data-fill-if") != nil {
		return false // where it is left out, these would not end
	}
	// Within select, some parsers drop tags together with what they mean for the text that follows.
	odd := f&(fRaw|fRCDATA) != 0 || n.space != 0 || key == keyInput || key == keyKeygen
	if odd {
		for i := range p.open {
			if p.open[i].flags&(fSelect|fOption|fOptgroup) != 0 {
				return false
			}
		}
	}
	return f&fRoot == 0
}

// impliesEnds ends the open elements that the start tag of that name ends (WHATWG
// 13.2.6.4); false if it does more than that, such as taking formatting along.
func (p *pattern) impliesEnds(key uint64, f flags) bool {
	n := len(p.open)
	to := n
	switch top := p.open[n-1].flags; {
	case f&(fCell|fRow|fRowGroup|fTablePart) != 0:
		to = p.inTable(key, f)
	case f&(fLi|fDd) != 0:
		to = p.inItem(f & (fLi | fDd))
	case f&fHeading != 0 && top&fHeading != 0,
		f&fButton != 0 && p.inScope(fButton, fScope) < n,
		(key == keyA || key == keyNobr || key == keyForm) && p.has(key):
		return false
	case f&fTable != 0 && p.inScope(fP, fScope|fButton) < n:
		return false // whether the p ends depends on the doctype
	case f&(fOption|fOptgroup) != 0 && top&(fOption|fOptgroup) != 0:
		to = n - 1
		if f&fOptgroup != 0 && top&fOption != 0 && p.open[n-2].flags&fOptgroup != 0 {
			to--
		} else if f&fOption != 0 && top&fOptgroup != 0 {
			to = n
		}
	case f&fRuby != 0 && p.inScope(fRubyOpen, fScope) < n:
		for to > 1 && p.open[to-1].flags&fRuby != 0 {
			to--
		}
	}
	if f&fClosesP != 0 {
		to = min(to, p.inScope(fP, fScope|fButton))
	}
	return p.implied(to) == 0
}

// inScope returns the index of the innermost open element that has a flag of
// want, or how many are open if one of stop comes before.
func (p *pattern) inScope(want, stop flags) int {
	for i := len(p.open) - 1; i > 0; i-- {
		if f := p.open[i].flags; f&want != 0 {
			return i
		} else if f&stop != 0 {
			break
		}
	}
	return len(p.open)
}

// inItem returns the index of the item that the start tag of another ends.
func (p *pattern) inItem(item flags) int {
	for i := len(p.open) - 1; i > 0; i-- {
		f := p.open[i].flags
		if f&item != 0 {
			return i
		}
		if f&fSpecial != 0 && f&fPassLi == 0 || p.open[i].space != 0 {
			break
		}
	}
	return len(p.open)
}

// inTable returns how many elements stay open where a part of a table begins.
func (p *pattern) inTable(key uint64, f flags) int {
	stop := fTable | fTemplate
	switch {
	case f&fRow != 0:
		stop |= fRowGroup
	case f&fCell != 0:
		stop |= fRowGroup | fRow
	case key == keyCol:
		stop |= fTablePart
	}
	i := len(p.open)
	for i > 1 && p.open[i-1].flags&stop == 0 {
		i--
	}
	return i
}

// has tells whether an element of HTML of that name is open.
func (p *pattern) has(key uint64) bool {
	for i := range p.open {
		if p.open[i].key == key && p.open[i].space == 0 && i > 0 {
			return true
		}
	}
	return false
}

// implied ends the open elements from i on, whose end tags are not there. They
// must be of those that HTML lets out.
func (p *pattern) implied(i int) Reason {
	const mayLack = fImplied | fCell | fRow | fRowGroup | fTablePart
	for _, n := range p.open[i:] {
		if n.flags&mayLack == 0 || n.own {
			return WhyAmbiguous
		}
	}
	p.open = p.open[:i]
	return 0
}

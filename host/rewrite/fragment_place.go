package rewrite

import "strings"

// holds is what may stand directly in an element.
type holds uint8

const (
	holdsNothing  holds = iota // a void element
	holdsAny                   // not known until something stands there: the top, and template
	holdsFlow                  // whatever is no part of something else
	holdsText                  // text
	holdsRaw                   // text that ends at the end tag only
	holdsSVG                   // elements of the same namespace, and text
	holdsSections              // of a table: caption, colgroup, thead, tbody, tfoot
	holdsRows                  // tr
	holdsCells                 // td, th
	holdsCols                  // col
	holdsGroups                // of a select: optgroup, option
	holdsOptions               // option
)

// htmlElements are the elements of HTML that markup may have. All others are
// refused, those of scripts (custom elements) too:
//
//   - script, noscript, object, embed, applet, param, frame, frameset, portal:
//     they run or load code, or depend on whether scripts run
//   - style, link, meta, base, title, head, body, html: they change the page as a whole
//   - plaintext, xmp, noembed, noframes, listing: their content is read in odd ways
//   - image, nobr, font, keygen, isindex, marquee, rb, rtc and others that are obsolete
//   - slot: means something in shadow trees only
var htmlElements = elements(
	holdsNothing, "area br col hr img input source track wbr",
	holdsFlow, "a abbr address article aside audio b bdi bdo blockquote button caption cite code data dd del details dfn dialog div dl dt em fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup i ins kbd label legend li main map mark menu meter nav ol output p picture pre progress q rp rt ruby s samp search section small span strong sub summary sup td th time u ul var video",
	holdsAny, "template",
	holdsText, "option",
	holdsRaw, "textarea iframe",
	holdsSections, "table",
	holdsRows, "tbody thead tfoot",
	holdsCells, "tr",
	holdsCols, "colgroup",
	holdsGroups, "select",
	holdsOptions, "optgroup datalist",
)

// svgElements are those of SVG, in lower case. Not among them: script and style;
// foreignObject, within which HTML would stand; animate, animateTransform, animateMotion
// and set, which may aim at href; image and feImage; metadata; handler and listener.
var svgElements = elements(
	holdsSVG, "svg a g defs symbol use switch view circle ellipse line path polygon polyline rect text tspan textpath lineargradient radialgradient stop clippath mask pattern marker filter feblend fecolormatrix fecomponenttransfer fecomposite feconvolvematrix fediffuselighting fedisplacementmap fedistantlight fedropshadow feflood fefunca fefuncb fefuncg fefuncr fegaussianblur femerge femergenode femorphology feoffset fepointlight fespecularlighting fespotlight fetile feturbulence",
	holdsText, "title desc", // where HTML could stand
)

// mathElements are those of MathML Core that carry no action. In those that
// hold text HTML could stand.
var mathElements = elements(
	holdsSVG, "math mrow mfrac msqrt mroot mpadded mphantom mstyle mspace msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mtr mtd semantics merror",
	holdsText, "mi mo mn ms mtext annotation",
)

// elements makes a table of pairs: what the elements hold, and their names.
func elements(pairs ...any) map[string]holds {
	m := map[string]holds{}
	for i := 0; i < len(pairs); i += 2 {
		for _, name := range strings.Fields(pairs[i+1].(string)) {
			m[name] = pairs[i].(holds)
		}
	}
	return m
}

// misplaced says why a parser would not put n directly into what is open, as it
// is written; "" if it does. It may settle what the open one holds.
func (f *fragment) misplaced(n *fragmentNode) string {
	t := f.top()
	if f.foreign() {
		if t.holds == holdsText {
			return "in <" + t.name + ">, which holds text only"
		}
		return ""
	}
	kind := kindOf(n)
	if n.name == "template" && t.holds != holdsText && t.holds != holdsGroups && t.holds != holdsOptions {
		return ""
	}
	if t.holds == holdsAny {
		t.holds = kind
		if n.name == "option" || n.name == "optgroup" {
			t.holds = holdsFlow // they may stand anywhere
		}
	}
	switch {
	case t.holds == kind, t.holds == holdsGroups && kind == holdsOptions:
	case t.holds == holdsFlow && (kind == holdsGroups || kind == holdsOptions) && (len(f.open) == 1 || t.name == "template"):
		// Whether a select is around is for the place to say.
	default:
		if len(f.open) == 1 {
			return "beside content of another kind"
		}
		return "directly in <" + t.name + ">"
	}
	return f.impliesEnd(n)
}

// kindOf tells which kind of content the element is.
func kindOf(n *fragmentNode) holds {
	switch {
	case n.flags&fCell != 0:
		return holdsCells
	case n.flags&fRow != 0:
		return holdsRows
	case n.flags&fRowGroup != 0, n.name == "caption", n.name == "colgroup":
		return holdsSections
	case n.name == "col":
		return holdsCols
	case n.flags&fOptgroup != 0:
		return holdsGroups
	case n.flags&fOption != 0:
		return holdsOptions
	}
	return holdsFlow
}

// impliesEnd tells of an open element that the start tag of n would end (WHATWG 13.2.6.4.7).
func (f *fragment) impliesEnd(n *fragmentNode) string {
	in := func(name string) string { return "in <" + name + ">, which it would end" }
	switch {
	case n.flags&(fClosesP|fTable) != 0 && f.inScope(fP, fScope|fButton):
		// A table does so in pages that have a doctype.
		return in("p")
	case n.flags&fHeading != 0 && f.top().flags&fHeading != 0:
		return in(f.top().name)
	case n.flags&fButton != 0 && f.inScope(fButton, fScope):
		return in("button")
	case n.name == "a" && f.within("a"), n.name == "form" && f.within("form"):
		// A form would not end the other, but be ignored.
		return in(n.name)
	case n.flags&fRuby != 0 && f.top().name != "ruby":
		return "outside <ruby>"
	case n.flags&(fLi|fDd) != 0:
		for i := len(f.open) - 1; i > 0; i-- {
			g := f.open[i].flags
			if g&n.flags&(fLi|fDd) != 0 {
				return in(f.open[i].name)
			}
			// Parsers older than "search" go on past it, too.
			if g&fSpecial != 0 && g&fPassLi == 0 && f.open[i].name != "search" {
				break
			}
		}
	}
	return ""
}

func (f *fragment) inScope(want, stop flags) bool {
	for i := len(f.open) - 1; i > 0; i-- {
		if g := f.open[i].flags; g&want != 0 {
			return true
		} else if g&stop != 0 {
			return false
		}
	}
	return false
}

// within tells whether an element of that name is open, of whatever namespace.
func (f *fragment) within(name string) bool {
	for i := range f.open {
		if f.open[i].name == name {
			return true
		}
	}
	return false
}

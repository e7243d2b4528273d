package rewrite

// flags say what the HTML standard's tree construction (WHATWG 13.2.6) does
// with an element. On an open element they also hold its namespace.
type flags uint64

const (
	fVoid       flags = 1 << iota // has no content
	fRaw                          // its content is not markup, and no character references are decoded in it
	fRCDATA                       // its content is text with character references
	fClosesP                      // its start tag closes an open p
	fP                            // p
	fLi                           // li
	fDd                           // dd, dt
	fPassLi                       // special, but the search for an open li, dd or dt goes on past it
	fCell                         // td, th
	fRow                          // tr
	fRowGroup                     // tbody, thead, tfoot
	fTable                        // table
	fTablePart                    // caption, colgroup, col
	fOption                       // option
	fOptgroup                     // optgroup
	fSelect                       // select
	fHeading                      // h1 to h6
	fFormat                       // formatting element
	fSpecial                      // special category
	fScope                        // ends the search for an element in scope
	fTableScope                   // ends the search in table scope
	fListScope                    // ends the search in list item scope
	fButton                       // button
	fInScope                      // its end tag looks for it in scope
	fImplied                      // its end tag is implied by many others
	fRuby                         // rb, rt, rp, rtc
	fHeadPart                     // may stand in head
	fNoText                       // text in it would be moved elsewhere by the parser, or lost
	fNoTail                       // open at the end of the page, it hides what is added there
	fTemplate                     // template
	fRoot                         // html, head, body
	fLink                         // a, nobr
	fOdd                          // handled by name: form, svg, math, image, frame, frameset, input
	fSVG                          // an element of SVG
	fMath                         // an element of MathML
	fHTMLInside                   // HTML integration point
	fMathText                     // MathML text integration point
	fAnnotation                   // annotation-xml
	fBreakout                     // its start tag ends foreign content
	fNewline                      // the parser drops a newline that comes first in it
	fGhost                        // ended while elements within it stayed open
	fMarker                       // formatting elements around it do not reach into it
	fNoFrames                     // no frameset may come after it
	fOddTop                       // start tags directly in it are read by other rules
	fRubyOpen                     // ruby
	fRtc                          // rtc
	fMadeGroup                    // a table in which a tbody is open that is not written down
	fMadeRow                      // a table, or group of rows, in which such a tr is open
	fCode                         // a script or style that is not HTML's: elements may stand in it
	fLong                         // its key does not hold its name
	fPending                      // something is to be done at its end
)

const fForeign = fSVG | fMath

// A start tag with none of these only opens one more element.
const fStructure = fClosesP | fLi | fDd | fCell | fRow | fRowGroup | fTable | fTablePart |
	fOption | fOptgroup | fSelect | fButton | fRuby | fRoot | fLink | fOdd

// Open elements with one of these are counted.
const fCounted = fP | fLink | fSelect | fTemplate | fCode

// Whether a start tag with one of these takes the short way depends on what is open.
const fDepends = fClosesP | fLi | fDd | fLink | fHeading | fCell | fRow

// A start tag with one of these never takes the short way, nor does one whose
// parent has one of fIntricateTop, nor the end tag of an element with one of fIntricateEnd.
const (
	fIntricate    = fStructure&^fDepends | fRaw | fRCDATA | fTemplate | fHeadPart
	fIntricateTop = fForeign | fOddTop
	fIntricateEnd = fPending | fRoot | fOdd | fGhost | fLong
)

// Names that code refers to.
var (
	keyA          = nameKeyOf("a")
	keyApplet     = nameKeyOf("applet")
	keyBase       = nameKeyOf("base")
	keyEmbed      = nameKeyOf("embed")
	keyLink       = nameKeyOf("link")
	keyMeta       = nameKeyOf("meta")
	keyObject     = nameKeyOf("object")
	keyParam      = nameKeyOf("param")
	keyAnnotation = nameKeyOf("annotation-xml")
	keyBody       = nameKeyOf("body")
	keyBr         = nameKeyOf("br")
	keyCol        = nameKeyOf("col")
	keyColgroup   = nameKeyOf("colgroup")
	keyFont       = nameKeyOf("font")
	keyForm       = nameKeyOf("form")
	keyFrame      = nameKeyOf("frame")
	keyFrameset   = nameKeyOf("frameset")
	keyHead       = nameKeyOf("head")
	keyHr         = nameKeyOf("hr")
	keyHTML       = nameKeyOf("html")
	keyIframe     = nameKeyOf("iframe")
	keyImage      = nameKeyOf("image")
	keyImg        = nameKeyOf("img")
	keyInput      = nameKeyOf("input")
	keyKeygen     = nameKeyOf("keygen")
	keyForeign    = nameKeyOf("foreignobject")
	keyDesc       = nameKeyOf("desc")
	keyTr         = nameKeyOf("tr")
	keyTitle      = nameKeyOf("title")
	keyMalignmark = nameKeyOf("malignmark")
	keyMath       = nameKeyOf("math")
	keyMglyph     = nameKeyOf("mglyph")
	keyMi         = nameKeyOf("mi")
	keyMn         = nameKeyOf("mn")
	keyMo         = nameKeyOf("mo")
	keyMs         = nameKeyOf("ms")
	keyMtext      = nameKeyOf("mtext")
	keyNobr       = nameKeyOf("nobr")
	keyNoframes   = nameKeyOf("noframes")
	keyNoscript   = nameKeyOf("noscript")
	keyP          = nameKeyOf("p")
	keyPlaintext  = nameKeyOf("plaintext")
	keyRb         = nameKeyOf("rb")
	keyRtc        = nameKeyOf("rtc")
	keyScript     = nameKeyOf("script")
	keyStyle      = nameKeyOf("style")
	keySVG        = nameKeyOf("svg")
	keyTbody      = nameKeyOf("tbody")
	keyTemplate   = nameKeyOf("template")
	keyTextarea   = nameKeyOf("textarea")
)

var tagClasses = []struct {
	flags flags
	names string
}{
	{fVoid, "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"},
	{fRaw, "script style xmp iframe noembed noframes noscript plaintext"},
	{fRCDATA, "title textarea"},
	{fClosesP, "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer header hgroup main menu nav ol p search section summary ul h1 h2 h3 h4 h5 h6 pre listing form li dd dt plaintext hr xmp"},
	{fP, "p"},
	{fLi, "li"},
	{fDd, "dd dt"},
	{fPassLi, "address div p"},
	{fCell, "td th"},
	{fRow, "tr"},
	{fRowGroup, "tbody thead tfoot"},
	{fTable, "table"},
	{fTablePart, "caption colgroup col"},
	{fOption, "option"},
	{fOptgroup, "optgroup"},
	{fSelect, "select"},
	{fHeading, "h1 h2 h3 h4 h5 h6"},
	{fFormat, "a b big code em font i nobr s small strike strong tt u"},
	{fSpecial, "address applet area article aside base basefont bgsound blockquote body br button caption center col colgroup dd details dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input keygen li link listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext pre script search section select source style summary table tbody td template textarea tfoot th thead title tr track ul wbr xmp"},
	{fScope, "applet caption html table td th marquee object template select"},
	{fTableScope, "html table template"},
	{fListScope, "ol ul"},
	{fButton, "button"},
	{fInScope, "address article aside blockquote button center details dialog dir div dl fieldset figcaption figure footer header hgroup listing main menu nav ol pre search section select summary ul applet marquee object dd dt"},
	{fImplied, "dd dt li optgroup option p rb rp rt rtc"},
	{fRuby, "rb rp rt rtc"},
	{fHeadPart, "base basefont bgsound link meta title noscript noframes style script template head"},
	{fNoText, "html head table tbody thead tfoot tr colgroup frameset script style xmp iframe noembed noframes noscript plaintext"},
	{fNoTail, "template select frameset object audio video canvas"},
	{fTemplate, "template"},
	{fRoot, "html head body"},
	{fLink, "a nobr"},
	{fOdd, "form svg math image frame frameset input"},
	{fBreakout, "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"},
	{fNewline, "pre listing textarea"},
	{fMarker, "applet object marquee template td th caption"},
	{fNoFrames, "body pre listing li dd dt button applet marquee object table area br embed img image keygen wbr input hr textarea xmp iframe select template"},
	{fOddTop, "head colgroup template"},
	{fRubyOpen, "ruby"},
	{fRtc, "rtc"},
}

const tagShift = 64 - 10

type tagEntry struct {
	key   uint64
	flags flags
	name  string
}

type tagIndex struct {
	mul     uint64
	entries [1 << (64 - tagShift)]tagEntry
}

// tagTable has no two names in one place, so that a lookup is one comparison.
var tagTable = buildTagTable()

func buildTagTable() *tagIndex {
	all := map[string]flags{}
	for _, c := range tagClasses {
		for _, n := range splitSpace(c.names) {
			all[n] |= c.flags
		}
	}
	for _, n := range splitSpace("foreignobject annotation-xml malignmark") { // the long ones among the keys above
		all[n] |= 0
	}
	mul := uint64(0x9E3779B97F4A7C15)
search:
	for {
		mul = mul*6364136223846793005 + 1442695040888963407
		t := &tagIndex{mul: mul | 1}
		for n, f := range all {
			k := nameKeyOf(n)
			e := &t.entries[(k*t.mul)>>tagShift]
			if e.key != 0 {
				continue search
			}
			*e = tagEntry{k, f, n}
		}
		return t
	}
}

func tagFlags(key uint64) flags {
	e := &tagTable.entries[(key*tagTable.mul)>>tagShift]
	if e.key == key {
		return e.flags
	}
	return 0
}

// foreignFlags returns the flags of an element of SVG or MathML: HTML may stand again in some.
func foreignFlags(key uint64, space flags) flags {
	switch {
	case space == fSVG && (key == keyForeign || key == keyDesc || key == keyTitle):
		return space | fHTMLInside | fScope | fSpecial
	case space == fMath && (key == keyMi || key == keyMo || key == keyMn || key == keyMs || key == keyMtext):
		return space | fMathText | fScope | fSpecial
	case space == fMath && key == keyAnnotation:
		return space | fAnnotation | fScope | fSpecial
	}
	return space
}

func splitSpace(s string) []string {
	var out []string
	start := -1
	for i := range len(s) {
		if byteClass[s[i]]&cSpace != 0 {
			if start >= 0 {
				out = append(out, s[start:i])
			}
			start = -1
		} else if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, s[start:])
	}
	return out
}

package rewrite

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of markup that a policy gives.
const (
	maxFragment      = 256 << 10 // bytes
	maxFragmentDepth = 64        // elements in each other
)

// checkFragment tells whether s is markup that may stand in a page: well formed
// by a strict reading, balanced, and without anything that runs code. Its error
// names what is wrong and the byte offset.
//
// A parser (WHATWG HTML 13.2.6) makes of s exactly the elements that are
// written, and nothing else of what surrounds it, whatever flow content that
// is. Elements whose place matters (li, p, a, option, parts of a table) may end
// open elements of the page, or be dropped, if they stand at the top of s: the
// place where s goes decides over these.
func checkFragment(s string, xml bool) error {
	f := fragment{lexer: lexer{b: []byte(s), xml: xml}}
	if len(s) > maxFragment {
		return fmt.Errorf("markup of %d bytes; at most %d are accepted", len(s), maxFragment)
	}
	if at, what := unclean(s); what != "" {
		return f.refuse(at, "%s", what)
	}
	f.open = append(f.open, fragmentNode{holds: holdsAny})
	for {
		var err error
		switch kind := f.next(f.foreign()); kind {
		case lexEOF:
			if n := len(f.open) - 1; n > 0 {
				return f.refuse(f.open[n].at, "<%s> is not closed", f.open[n].name)
			}
			return nil
		case lexBad:
			return f.refuse(f.from, "%s", f.what)
		case lexText:
			err = f.text(string(f.b[f.from:f.to]))
		case lexComment:
			err = f.comment(string(f.b[f.name:f.nameEnd]))
		case lexCDATA:
			// Text does the same, and reads the same everywhere.
			err = f.refuse(f.from, "a CDATA section; write it as text")
		case lexPI:
			err = f.refuse(f.from, "a processing instruction")
		case lexStart:
			err = f.start()
		case lexEnd:
			err = f.end()
		}
		if err != nil {
			return err
		}
	}
}

// unclean finds what no markup may have in it: what is not UTF-8, and control
// characters, which parsers drop, replace or read as Windows-1252.
func unclean(s string) (int, string) {
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			return i, "not UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7F && r < 0xA0, r&0xFFFE == 0xFFFE:
			return i, fmt.Sprintf("the character U+%04X", r)
		}
	}
	return 0, ""
}

// A fragment is markup while it is being checked.
type fragment struct {
	lexer
	open []fragmentNode // the first stands for the place where the markup goes
}

type fragmentNode struct {
	name  string // of HTML in lower case; of XML as written
	at    int    // where its start tag begins
	flags flags  // of the element, if it is HTML
	space flags  // fSVG or fMath, else 0
	holds holds
	xml   bool
	bound []string // XML: the prefixes that it declares
}

// refuse says what is wrong at byte at.
func (f *fragment) refuse(at int, format string, a ...any) error {
	return fmt.Errorf("markup, byte %d: %s", at, fmt.Sprintf(format, a...))
}

func (f *fragment) top() *fragmentNode { return &f.open[len(f.open)-1] }

func (f *fragment) foreign() bool { return f.top().space != 0 }

func (f *fragment) text(s string) error {
	if f.xml {
		return f.xmlText(s)
	}
	if strings.Trim(s, " \t\n\f\r") == "" {
		return nil
	}
	switch t := f.top(); t.holds {
	case holdsAny:
		t.holds = holdsFlow
	case holdsFlow, holdsText, holdsSVG:
	default:
		// A parser would move it out of a table.
		return f.refuse(f.from, "text between parts of a table, or in a list that holds none")
	}
	return nil
}

// comment accepts comments of the plain form. Those that servers behind this
// one act on (server side includes, ESI) are none.
func (f *fragment) comment(s string) error {
	switch {
	case f.top().holds == holdsText:
		// It would be text in a title that is taken for HTML's, and no end to a URL.
		return f.refuse(f.from, "a comment in <%s>, which holds text only", f.top().name)
	case strings.Contains(s, "--"), strings.HasSuffix(s, "-"), strings.Contains(s, "<!"):
		return f.refuse(f.from, "a comment with \"--\" or \"<!\" in it")
	case strings.HasPrefix(s, "#"), strings.HasPrefix(strings.ToLower(s), "esi"):
		return f.refuse(f.from, "a comment that is an instruction")
	}
	return nil
}

func (f *fragment) start() error {
	if len(f.open) > maxFragmentDepth {
		return f.refuse(f.from, "more than %d elements in each other", maxFragmentDepth)
	}
	if f.xml {
		return f.startXML()
	}
	n := fragmentNode{name: lowerASCII(string(f.b[f.name:f.nameEnd])), at: f.from}
	known, ok := htmlElements[n.name]
	if f.foreign() || n.name == "svg" || n.name == "math" {
		n.space = f.top().space
		if !f.foreign() {
			n.space = fSVG
			if n.name == "math" {
				n.space = fMath
			}
		}
		known, ok = svgElements[n.name]
		if n.space == fMath {
			known, ok = mathElements[n.name]
		}
	} else {
		n.flags = tagFlags(nameKeyOf(n.name))
	}
	if !ok {
		return f.refuse(n.at, "<%s> is not accepted", shown(n.name))
	}
	n.holds = known
	if what := f.misplaced(&n); what != "" {
		return f.refuse(n.at, "<%s> %s", n.name, what)
	}
	if err := f.attributes(&n); err != nil {
		return err
	}
	switch {
	case n.flags&fVoid != 0 || f.slash && n.space != 0:
		return nil
	case f.slash:
		return f.refuse(n.at, "<%s> cannot close itself", n.name)
	}
	f.open = append(f.open, n)
	if n.holds == holdsRaw {
		return f.rawText(n.name)
	}
	return nil
}

// rawText reads the content of textarea and iframe.
func (f *fragment) rawText(name string) error {
	at := f.i
	if f.raw([]byte(name)) == lexBad {
		return f.refuse(at, "<%s> is not closed", name)
	}
	// What is in an iframe may be markup to some readers; and in SVG, where markup
	// of policies may come to stand, a textarea holds markup like all others.
	switch {
	case name == "iframe" && f.to > f.from:
		return f.refuse(at, "<iframe> with content")
	case bytes.IndexByte(f.b[f.from:f.to], '<') >= 0:
		return f.refuse(at, "a '<' in <%s>; write it as &lt;", name)
	}
	return nil
}

func (f *fragment) end() error {
	name := string(f.b[f.name:f.nameEnd])
	if !f.xml {
		name = lowerASCII(name)
	}
	t := f.top()
	switch {
	case len(f.open) == 1:
		return f.refuse(f.from, "</%s> closes nothing", shown(name))
	case t.name != name:
		return f.refuse(f.from, "</%s> where </%s> is expected", shown(name), t.name)
	}
	f.open = f.open[:len(f.open)-1]
	return nil
}

func (f *fragment) attributes(n *fragmentNode) error {
	for i, a := range f.attrs {
		name := string(f.b[a.name:a.nameEnd])
		low := lowerASCII(name)
		for _, b := range f.attrs[:i] {
			other := string(f.b[b.name:b.nameEnd])
			if other == name || !f.xml && lowerASCII(other) == low {
				return f.refuse(int(a.name), "the attribute %q twice", shown(name))
			}
		}
		value := f.b[a.from:a.to]
		if a.quote == 0 && !bare(value) {
			return f.refuse(int(a.from), "an attribute that needs quotes")
		}
		// What XML has of references means the same in HTML.
		if what := refusedAttr(n, low, string(decodeValue(nil, value))); what != "" {
			return f.refuse(int(a.name), "the attribute %q %s", shown(name), what)
		}
	}
	return nil
}

// bare tells whether a value without quotes reads the same to everybody.
func bare(v []byte) bool {
	for i, c := range v {
		if byteClass[c]&cAlnum == 0 && !strings.Contains("-_.:#%/+", string(rune(c))) || c == '/' && i == len(v)-1 {
			return false
		}
	}
	return true
}

// refusedAttr says why the attribute may not stand in markup, "" if it may.
// Name is in lower case, the value decoded.
func refusedAttr(n *fragmentNode, name, value string) string {
	local := name
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		local = name[i+1:]
	}
	switch {
	case !attrName(name):
		return "has a name that is not accepted"
	case strings.HasPrefix(name, "xmlns"):
		if !n.xml && value != namespaces[name] && (n.space != fMath || value != mathNamespace) {
			return "declares another namespace"
		}
	case activeAttr([]byte(name)), local != name && activeAttr([]byte(local)):
		return "is not accepted"
	case !safeValue(name, value), !safeValue(local, value):
		return "has a scheme that is not http, https, mailto or tel"
	case local == "href" && lowerASCII(n.name) == "use" && !strings.HasPrefix(value, "#"):
		// What it brings in would be part of the page.
		return "does not begin with #"
	case (n.space == fSVG || n.xml && local != "url") && urlKind(local) == 0 && !localURLs(value):
		return "refers to something outside the page"
	}
	return ""
}

// namespaces are those that a page's parser gives these attributes anyhow.
var namespaces = map[string]string{
	"xmlns:xlink": "http://www.w3.org/1999/xlink",
	"xmlns":       "http://www.w3.org/2000/svg",
}

const mathNamespace = "http://www.w3.org/1998/Math/MathML"

// localURLs tells whether each url() of CSS in the value means a part of the page.
func localURLs(value string) bool {
	if strings.IndexByte(value, '\\') >= 0 {
		return false // CSS could hide the name
	}
	for rest := strings.ToLower(value); ; {
		i := strings.Index(rest, "url")
		if i < 0 {
			return true
		}
		rest = rest[i+len("url"):]
		if in, ok := strings.CutPrefix(rest, "("); ok && !strings.HasPrefix(strings.TrimLeft(in, "\"' "), "#") {
			return false
		}
	}
}

// activeAttr tells whether an attribute, by its name in lower case, can run or
// style something, or decides over what may. Neither markup of policies nor
// slots may set it.
func activeAttr(name []byte) bool {
	switch string(name) {
	case "style", // what the attr operation refuses, too
		"srcdoc",             // a page of its own
		"nonce", "integrity", // they let scripts and styles run
		"http-equiv",          // a header
		"is",                  // makes it an element of the page's scripts
		"attributename",       // aims an animation at any attribute
		"handler", "listener", // XML events
		"attributionsrc",           // tells advertisers about the visitor
		"jsaction", "jscontroller": // run code of the page
		return true
	}
	for _, p := range activePrefixes {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// activePrefixes are those of event handlers, of what makes a template a shadow
// tree, and of attributes that widely used libraries run as code or load markup by.
var activePrefixes = [...]string{"on", "shadowroot", "v-", "x-", "ng-", "data-ng-", "hx-", "data-hx-"}

// shown cuts a name for an error.
func shown(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

package rewrite

import "bytes"

// A csp is what the Content Security Policies of a page (CSP Level 3) say that
// edits have to mind: where an inline script or style counts because its hash
// is listed, a change of its content would switch it off. The zero value is a
// page without policy.
//
// An element whose content has been written to its reader cannot be hashed
// before it is edited, so whether this very content is listed is not asked: any
// hash in a list covers all that the list is about.
type csp struct {
	scriptHashes bool // of inline scripts, or of event handlers
	styleHashes  bool // of style elements
	styleAttrs   bool // of style attributes
}

// Directives that hashes may stand in. Those of an element or an attribute come
// after the one that speaks for them when they are not there.
const (
	defaultSrc = iota
	scriptSrc
	scriptElem
	scriptAttr
	styleSrc
	styleElem
	styleAttr
	directives // how many these are
)

// What a directive says.
const (
	cspThere  = 1 << iota // it is there, so none speaks for it
	cspHash               // it lists a hash
	cspUnsafe             // it lets hashes speak for attributes
)

// add takes in a policy: a Content-Security-Policy header's value, which may
// hold several divided by commas, or the content of a meta, in which some
// browsers divide at commas and the standard does not. A value with commas is
// therefore read both ways, and what either says holds. All policies of a page
// are in force, so each can only add.
func (c *csp) add(policy []byte) {
	c.one(policy)
	for more := bytes.IndexByte(policy, ',') >= 0; more; {
		var one []byte
		one, policy, more = bytes.Cut(policy, []byte{','})
		c.one(one)
	}
}

// one takes in one policy (CSP 2.2.1, "parse a serialized CSP").
func (c *csp) one(policy []byte) {
	var said [directives]uint8
	for more := true; more; {
		var d []byte
		d, policy, more = bytes.Cut(policy, []byte{';'})
		if !ascii(d) {
			continue
		}
		name, d := cutToken(d)
		// Of several of one name, the first counts.
		if i := directive(name); i >= 0 && said[i] == 0 {
			said[i] = cspThere | sources(d)
		}
	}
	// CSP 6.8.3, "get fetch directive fallback list".
	says := func(list ...int) uint8 {
		for _, i := range list {
			if said[i] != 0 {
				return said[i]
			}
		}
		return 0
	}
	covers := func(says uint8) bool { return says&cspHash != 0 }
	coversAttrs := func(says uint8) bool { return says&cspHash != 0 && says&cspUnsafe != 0 }
	c.scriptHashes = c.scriptHashes || covers(says(scriptElem, scriptSrc, defaultSrc)) ||
		coversAttrs(says(scriptAttr, scriptSrc, defaultSrc))
	c.styleHashes = c.styleHashes || covers(says(styleElem, styleSrc, defaultSrc))
	c.styleAttrs = c.styleAttrs || coversAttrs(says(styleAttr, styleSrc, defaultSrc))
}

// directive is the place of the directive of that name, -1 if hashes do not
// matter in it.
func directive(name []byte) int {
	for i, s := range [directives]string{
		defaultSrc: "default-src",
		scriptSrc:  "script-src", scriptElem: "script-src-elem", scriptAttr: "script-src-attr",
		styleSrc: "style-src", styleElem: "style-src-elem", styleAttr: "style-src-attr",
	} {
		if foldEqual(name, s) {
			return i
		}
	}
	return -1
}

// sources tells what the sources of a directive are. A hash is known by its
// beginning (CSP 2.3.1, hash-source): should a browser be lenient about the
// rest, then so have we been.
func sources(list []byte) (says uint8) {
	for {
		var word []byte
		if word, list = cutToken(list); len(word) == 0 {
			return says
		}
		const n = len("'sha256-")
		if len(word) >= n {
			switch begin := word[:n]; {
			case foldEqual(begin, "'sha256-"), foldEqual(begin, "'sha384-"), foldEqual(begin, "'sha512-"):
				says |= cspHash
			}
		}
		if foldEqual(word, "'unsafe-hashes'") {
			says |= cspUnsafe
		}
	}
}

// ascii reports whether s is ASCII: a directive that is not does not count.
func ascii(s []byte) bool {
	for _, c := range s {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

package rewrite

import (
	"bytes"
	"strings"
)

// refusedXML are names of elements that run or load code, restyle the page or
// aim at attributes of others, in whatever vocabulary of XML has them (XHTML,
// SVG). In lower case, since a page may come to be read as HTML.
var refusedXML = elements(holdsNothing, "script style foreignobject iframe frame frameset object embed applet param base meta html head body noscript noembed noframes xmp plaintext portal animate animatetransform animatemotion animatecolor set handler listener feimage")

// urlText are elements whose text is a URL that readers of feeds follow (RSS
// 2.0 link, Atom uri).
var urlText = elements(holdsText, "link url uri")

// feedRel are the relations that a link may have: those of feeds (RFC 4287
// 4.2.7.2, RFC 4685, RFC 5005, WebSub). Others, in XHTML, load styles and scripts.
var feedRel = elements(holdsText, "alternate self related enclosure via edit edit-media replies hub next prev previous first last current license prev-archive next-archive")

// closedNamespaces must not have a prefix: their elements are known by their plain names.
var closedNamespaces = [...]string{
	"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", mathNamespace,
	"http://www.w3.org/2001/xml-events", "http://www.w3.org/ns/xbl", "http://www.mozilla.org/xbl",
	"http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/", "http://www.w3.org/1999/XSL/Transform",
}

// xmlText checks references (XML 1.0, 4.1) and that no ']]>' is there (2.4).
func (f *fragment) xmlText(s string) error {
	if i := strings.Index(s, "]]>"); i >= 0 {
		return f.refuse(f.from+i, "\"]]>\" in text")
	}
	if err := f.references(f.from, f.to); err != nil {
		return err
	}
	if f.top().holds == holdsText && !safeURL(string(decodeXML(nil, []byte(s)))) {
		return f.refuse(f.from, "<%s> has a scheme that is not http, https, mailto or tel", f.top().name)
	}
	return nil
}

func (f *fragment) references(from, to int) error {
	for i := from; i < to; i++ {
		if f.b[i] != '&' {
			continue
		}
		n := bytes.IndexByte(f.b[i:min(to, i+maxXMLReference)], ';')
		ok := false
		if n > 0 {
			_, ok = xmlReference(f.b[i+1 : i+n])
		}
		if !ok {
			return f.refuse(i, "a '&' that begins none of &amp; &lt; &gt; &quot; &apos; and numeric references")
		}
	}
	return nil
}

func (f *fragment) startXML() error {
	n := fragmentNode{name: string(f.b[f.name:f.nameEnd]), at: f.from, xml: true}
	prefix, local, ok := splitName(n.name)
	if !ok {
		return f.refuse(n.at, "%q is no name that is accepted", shown(n.name))
	}
	if f.top().holds == holdsText {
		return f.refuse(n.at, "<%s> in <%s>, which holds a URL only", shown(n.name), f.top().name)
	}
	for _, a := range f.attrs {
		if err := f.references(int(a.from), int(a.to)); err != nil {
			return err
		}
		if p, ok := strings.CutPrefix(string(f.b[a.name:a.nameEnd]), "xmlns:"); ok {
			if err := f.bind(&n, p, a); err != nil {
				return err
			}
		}
	}
	if !f.bound(&n, prefix) || prefix == "xml" || prefix == "xlink" {
		return f.refuse(n.at, "the prefix of <%s> is not declared", shown(n.name))
	}
	if _, refused := refusedXML[lowerASCII(local)]; refused {
		return f.refuse(n.at, "<%s> is not accepted", n.name)
	}
	for _, a := range f.attrs {
		name := string(f.b[a.name:a.nameEnd])
		if p, _, ok := splitName(name); !ok || p != "xmlns" && !f.bound(&n, p) {
			return f.refuse(int(a.name), "the prefix of the attribute %q is not declared", shown(name))
		}
	}
	if err := f.attributes(&n); err != nil {
		return err
	}
	if _, ok := urlText[lowerASCII(local)]; ok {
		n.holds = holdsText
		if err := f.rel(); err != nil {
			return err
		}
	}
	if !f.slash {
		f.open = append(f.open, n)
	}
	return nil
}

// bind declares a prefix.
func (f *fragment) bind(n *fragmentNode, prefix string, a lexAttr) error {
	uri := string(decodeXML(nil, f.b[a.from:a.to]))
	bad := uri == "" || prefix == "xmlns" || prefix == "xml" ||
		(prefix == "xlink") != (uri == namespaces["xmlns:xlink"])
	for _, c := range closedNamespaces {
		bad = bad || uri == c
	}
	if bad {
		return f.refuse(int(a.name), "the prefix %q for %q", shown(prefix), shown(uri))
	}
	n.bound = append(n.bound, prefix)
	return nil
}

// bound tells whether the prefix means something within n.
func (f *fragment) bound(n *fragmentNode, prefix string) bool {
	if prefix == "" || prefix == "xml" || prefix == "xlink" {
		return true
	}
	for i := len(f.open); i >= 0; i-- {
		e := n
		if i < len(f.open) {
			e = &f.open[i]
		}
		for _, p := range e.bound {
			if p == prefix {
				return true
			}
		}
	}
	return false
}

// rel checks the relation of a link.
func (f *fragment) rel() error {
	for _, a := range f.attrs {
		name := lowerASCII(string(f.b[a.name:a.nameEnd]))
		if name != "rel" {
			continue
		}
		for _, r := range strings.Fields(string(decodeXML(nil, f.b[a.from:a.to]))) {
			if _, ok := feedRel[lowerASCII(r)]; !ok {
				return f.refuse(int(a.name), "a link to what is %q", shown(r))
			}
		}
	}
	return nil
}

// splitName splits a qualified name (Namespaces in XML 1.0, 4). Only ASCII is
// accepted, of which every reader has the same opinion.
func splitName(s string) (prefix, local string, ok bool) {
	local = s
	if i := strings.IndexByte(s, ':'); i >= 0 {
		prefix, local = s[:i], s[i+1:]
		ok = plainName(prefix)
	} else {
		ok = true
	}
	return prefix, local, ok && plainName(local)
}

// plainName accepts [a-zA-Z_][a-zA-Z0-9_.-]* of up to 128 bytes.
func plainName[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > 128 || byteClass[s[0]]&cAlpha == 0 && s[0] != '_' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; byteClass[c]&cAlnum == 0 && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

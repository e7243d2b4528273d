package rewrite

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// Check tells whether an edit of HTML could be compiled: its operation, its
// target and its arguments. It answers [abi.RefusedUnsupported] for operations
// that this package does not carry out, those on headers among them.
func Check(e abi.Edit) abi.Refusal { return new(Compiler).Check(e, HTML) }

// An editError says why an edit was refused.
type editError struct {
	refusal abi.Refusal
	err     error
}

func (e *editError) Error() string { return e.err.Error() }
func (e *editError) Unwrap() error { return e.err }

func badArgument(format string, a ...any) *editError {
	return &editError{abi.RefusedArgument, fmt.Errorf(format, a...)}
}

// A prepared edit has everything that does not depend on the page.
type prepared struct {
	op      abi.Op
	target  *target
	name    string // attr, unset-attr: the attribute, as it compares
	nameID  int    // the same number for the same attribute, within a plan
	raw     string // add-class, remove-class: the class as it compares
	content []byte // escaped; with attr, the value
	whole   []byte // attr: a space, then the attribute as it is written
	markup  bool   // content is markup
	top     flags  // what all elements at its top have in common
	any     flags  // what some element in it is
	json    []byte // text: the same as JSON, for a data block; nil if it is none
	newline bool   // content begins with a newline, which some elements would swallow
	list    *list  // order, keep
	items   []item // fill
}

func (c *Compiler) prepare(e abi.Edit, s Syntax, cs Charset) (*prepared, *editError) {
	if !e.Op.Known() {
		return nil, &editError{abi.RefusedUnknownOp, fmt.Errorf("operation %d is unknown", e.Op)}
	}
	p := &prepared{op: e.Op}
	k := ofHTML
	if s == XML {
		k = ofXML
	}
	bad := p.arguments(e, k, cs)
	if bad != nil {
		return nil, bad
	}
	if e.B != "" && p.list == nil && e.Op != abi.OpAttr && !p.markup {
		return nil, badArgument("%s takes no second argument", e.Op)
	}
	var err error
	if p.target, err = c.target(e.Target, s == XML); err != nil {
		return nil, &editError{abi.RefusedTarget, err}
	}
	return p, nil
}

func (p *prepared) arguments(e abi.Edit, k kind, cs Charset) (bad *editError) {
	switch e.Op {
	case abi.OpText:
		return p.text(e, k, cs)
	case abi.OpHTML:
		return p.html(e, k, cs)
	case abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend, abi.OpReplace:
		if e.B == "html" {
			return p.html(e, k, cs)
		}
		return p.text(e, k, cs)
	case abi.OpAttr:
		return p.attr(e, k, cs)
	case abi.OpUnsetAttr:
		var ok bool
		if p.name, ok = k.attr(e.A); !ok {
			return badArgument("%q is no name of an attribute", e.A)
		}
		if guardedAttr(lowerASCII(p.name)) {
			return badArgument("the attribute %q may not be taken away", e.A)
		}
	case abi.OpAddClass, abi.OpRemoveClass:
		return p.class(e, k, cs)
	case abi.OpRemove, abi.OpUnwrap:
		if e.A != "" {
			return badArgument("%s takes no argument", e.Op)
		}
	case abi.OpOrder:
		p.list, bad = parseOrder(e, k)
	case abi.OpKeep:
		p.list, bad = parseKeep(e, k)
	case abi.OpFill:
		var err error
		if p.items, err = parseItems(e.A); err != nil {
			return badArgument("fill: %w", err)
		}
	default:
		bad = &editError{abi.RefusedUnsupported, fmt.Errorf("operation %s is not carried out here", e.Op)}
	}
	return bad
}

func (p *prepared) text(e abi.Edit, k kind, cs Charset) *editError {
	if !clean(e.A) {
		return badArgument("the text of %s has a NUL or is not UTF-8", e.Op)
	}
	p.content = escape(nil, e.A, false, k == ofXML, cs)
	p.newline = strings.HasPrefix(e.A, "\n")
	if e.Op == abi.OpText && json.Valid([]byte(e.A)) {
		p.json = escapeJSON(nil, e.A)
	}
	return nil
}

func (p *prepared) html(e abi.Edit, k kind, cs Charset) *editError {
	p.markup = true
	if err := checkFragment(e.A, k == ofXML); err != nil {
		return badArgument("%s: %w", e.Op, err)
	}
	p.content = cs.Append(nil, e.A)
	p.top, p.any = topFlags(p.content)
	p.newline = strings.HasPrefix(e.A, "\n")
	return nil
}

func (p *prepared) attr(e abi.Edit, k kind, cs Charset) *editError {
	var ok bool
	p.name, ok = k.attr(e.A)
	folded := lowerASCII(p.name)
	switch {
	case !ok:
		return badArgument("%q is no name of an attribute", e.A)
	case activeAttr([]byte(folded)), activeAttr([]byte(localName(folded))), guardedAttr(folded):
		return badArgument("the attribute %q may not be set", e.A)
	case !clean(e.B):
		return badArgument("the value of %q has a NUL or is not UTF-8", e.A)
	case !safeValue(folded, e.B), k == ofXML && !safeValue(localName(folded), e.B):
		return badArgument("the value of %q has a scheme that is not http, https, mailto or tel", e.A)
	}
	p.whole = append(append(append(p.whole, ' '), p.name...), `="`...)
	from := len(p.whole)
	p.whole = append(escape(p.whole, e.B, true, k == ofXML, cs), '"')
	p.content = p.whole[from : len(p.whole)-1]
	return nil
}

// localName takes the prefix off a name.
func localName(name string) string {
	return name[strings.IndexByte(name, ':')+1:]
}

// guardedAttr tells whether the attribute guards what the element may do, so that
// no edit may change it.
func guardedAttr(name string) bool {
	switch localName(name) {
	case "nonce", "integrity", "sandbox", "csp", "is", "http-equiv", "xmlns":
		return true
	}
	return strings.HasPrefix(name, "xmlns:") || strings.HasPrefix(name, "shadowroot")
}

func (p *prepared) class(e abi.Edit, k kind, cs Charset) *editError {
	if !clean(e.A) {
		return badArgument("the class of %s has a NUL or is not UTF-8", e.Op)
	}
	word, rest := cutToken([]byte(e.A))
	if len(rest) > 0 || string(word) != e.A || e.A == "" {
		return badArgument("%s takes one class, without spaces", e.Op)
	}
	p.raw = e.A
	p.content = escape(nil, e.A, true, k == ofXML, cs)
	return nil
}

// escapeJSON appends JSON so that it can end neither a script nor a line of one,
// and reads the same in every charset.
func escapeJSON(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '<' || r == '>' || r == '&':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, hi, lo)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return dst
}

func clean(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// attrName accepts [a-z][a-z0-9_.:-]*.
func attrName(s string) bool {
	if s == "" || len(s) > 128 || byteClass[s[0]]&cAlpha == 0 {
		return false
	}
	for i := range len(s) {
		if byteClass[s[i]]&cAlnum == 0 && !strings.Contains("_.:-", s[i:i+1]) {
			return false
		}
	}
	return true
}

// escape appends s to dst in the charset, escaped so that it is the same text
// in element content and in RCDATA, or, if quoted, between double quotes. A
// carriage return is escaped because parsers make a line feed of it.
// In XML what it has no characters for becomes U+FFFD, and space in attributes is
// kept from being normalized (XML 1.0, 2.2 and 3.3.3).
func escape(dst []byte, s string, quoted, xml bool, cs Charset) []byte {
	if xml {
		s = xmlText(s)
	}
	from := 0
	for i := range len(s) {
		ref := ""
		switch s[i] {
		case '&':
			ref = "&amp;"
		case '<':
			ref = "&lt;"
		case '>':
			ref = "&gt;"
		case '\r':
			ref = "&#13;"
		case '"':
			if quoted {
				ref = "&quot;"
			}
		case '\t', '\n':
			if quoted && xml {
				ref = "&#9;"
				if s[i] == '\n' {
					ref = "&#10;"
				}
			}
		}
		if ref == "" {
			continue
		}
		dst = cs.Append(dst, s[from:i])
		dst = append(dst, ref...)
		from = i + 1
	}
	return cs.Append(dst, s[from:])
}

// xmlText puts U+FFFD in the place of what is no character of XML.
func xmlText(s string) string {
	bad := func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	}
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if bad(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// How an attribute holds URLs.
const (
	oneURL  = 1 + iota
	urlList // apart by spaces and commas
	animated
)

func urlKind(name string) int {
	switch name {
	case "href", "src", "action", "formaction", "poster", "data", "xlink:href", "background", "cite",
		"longdesc", "manifest", "codebase", "classid", "profile", "usemap", "icon", "dynsrc", "lowsrc", "xml:base":
		return oneURL
	case "srcset", "imagesrcset", "ping", "archive":
		return urlList
	case "to", "from", "by", "values": // SVG animation may aim at href
		return animated
	}
	return 0
}

// safeValue tells whether the value, as the visitor's browser will decode it,
// may stand in the attribute.
func safeValue(name, value string) bool {
	switch urlKind(name) {
	case oneURL:
		return safeURL(value)
	case urlList:
		for _, u := range strings.FieldsFunc(value, func(r rune) bool { return r <= ' ' || r == ',' }) {
			if !safeURL(u) {
				return false
			}
		}
	case animated:
		v := strings.ToLower(stripURL(value))
		return !strings.Contains(v, "script:") && !strings.Contains(v, "data:")
	}
	return true
}

// stripURL takes away what a URL parser ignores (WHATWG URL 4.4): controls and
// spaces around it, tabs and newlines within it.
func stripURL(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	return strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
}

func safeURL(s string) bool {
	s = stripURL(s)
	i := strings.IndexAny(s, ":/?#\\")
	if i < 0 || s[i] != ':' {
		return true
	}
	switch lowerASCII(s[:i]) {
	case "http", "https", "mailto", "tel":
		return true
	}
	return false
}

package rewrite

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// Check tells whether an edit could be compiled: its operation, its target and
// its arguments. It answers [abi.RefusedUnsupported] for operations that this
// package does not carry out, those on headers among them.
func Check(e abi.Edit) abi.Refusal {
	if _, err := prepare(e, true); err != nil {
		return err.refusal
	}
	return abi.Accepted
}

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
	target  []chain
	name    string // attr, unset-attr: the attribute, lower case
	nameID  int    // the same number for the same attribute, within a plan
	raw     string // add-class, remove-class: the class as it compares
	content []byte // escaped; with attr, the value
	newline bool   // content begins with a newline, which some elements would swallow
	list    *list  // order, keep
}

func prepare(e abi.Edit, utf8Page bool) (*prepared, *editError) {
	if !e.Op.Known() {
		return nil, &editError{abi.RefusedUnknownOp, fmt.Errorf("operation %d is unknown", e.Op)}
	}
	p := &prepared{op: e.Op}
	var bad *editError
	switch e.Op {
	case abi.OpText, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
		bad = p.text(e, utf8Page)
	case abi.OpAttr:
		bad = p.attr(e, utf8Page)
	case abi.OpUnsetAttr:
		p.name = lowerASCII(e.A)
		if !attrName(p.name) {
			bad = badArgument("%q is no name of an attribute", e.A)
		}
	case abi.OpAddClass, abi.OpRemoveClass:
		bad = p.class(e, utf8Page)
	case abi.OpRemove:
		if e.A != "" {
			bad = badArgument("remove takes no argument")
		}
	case abi.OpOrder:
		p.list, bad = parseOrder(e)
	case abi.OpKeep:
		p.list, bad = parseKeep(e)
	default:
		bad = &editError{abi.RefusedUnsupported, fmt.Errorf("operation %s is not carried out here", e.Op)}
	}
	if bad != nil {
		return nil, bad
	}
	if e.B != "" && p.list == nil && e.Op != abi.OpAttr {
		return nil, badArgument("%s takes no second argument", e.Op)
	}
	target, err := parseSelector(e.Target)
	if err != nil {
		return nil, &editError{abi.RefusedTarget, err}
	}
	p.target = target
	return p, nil
}

func (p *prepared) text(e abi.Edit, utf8Page bool) *editError {
	if e.B == "html" {
		return &editError{abi.RefusedUnsupported, fmt.Errorf("markup in %s is not carried out here", e.Op)}
	}
	if !clean(e.A) {
		return badArgument("the text of %s has a NUL or is not UTF-8", e.Op)
	}
	p.content = escape(nil, e.A, false, utf8Page)
	p.newline = strings.HasPrefix(e.A, "\n")
	return nil
}

func (p *prepared) attr(e abi.Edit, utf8Page bool) *editError {
	p.name = lowerASCII(e.A)
	switch {
	case !attrName(p.name):
		return badArgument("%q is no name of an attribute", e.A)
	case strings.HasPrefix(p.name, "on"), p.name == "style", p.name == "srcdoc", p.name == "attributename":
		return badArgument("the attribute %q may not be set", e.A)
	case !clean(e.B):
		return badArgument("the value of %q has a NUL or is not UTF-8", e.A)
	case !safeValue(p.name, e.B):
		return badArgument("the value of %q has a scheme that is not http, https, mailto or tel", e.A)
	}
	p.content = escape(nil, e.B, true, utf8Page)
	return nil
}

func (p *prepared) class(e abi.Edit, utf8Page bool) *editError {
	if !clean(e.A) {
		return badArgument("the class of %s has a NUL or is not UTF-8", e.Op)
	}
	word, rest := cutToken([]byte(e.A))
	if len(rest) > 0 || string(word) != e.A || e.A == "" {
		return badArgument("%s takes one class, without spaces", e.Op)
	}
	p.raw = e.A
	p.content = escape(nil, e.A, true, utf8Page)
	return nil
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

// escape appends s to dst, escaped so that it is the same text in element
// content and in RCDATA, or, if quoted, between double quotes. A carriage return is escaped
// because parsers make a line feed of it; so is all that is not ASCII unless the page is UTF-8.
func escape(dst []byte, s string, quoted, utf8Page bool) []byte {
	for i, r := range s {
		switch {
		case r == '&':
			dst = append(dst, "&amp;"...)
		case r == '<':
			dst = append(dst, "&lt;"...)
		case r == '>':
			dst = append(dst, "&gt;"...)
		case r == '"' && quoted:
			dst = append(dst, "&quot;"...)
		case r == '\r':
			dst = append(dst, "&#13;"...)
		case r < utf8.RuneSelf:
			dst = append(dst, s[i])
		case utf8Page:
			dst = utf8.AppendRune(dst, r)
		default:
			// References to C1 controls mean Windows-1252 characters (WHATWG 13.2.5.80).
			if r < 0xA0 {
				r = utf8.RuneError
			}
			dst = append(dst, "&#"...)
			dst = strconv.AppendInt(dst, int64(r), 10)
			dst = append(dst, ';')
		}
	}
	return dst
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

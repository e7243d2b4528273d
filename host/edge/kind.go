package edge

import (
	"bytes"
	"mime"
	"strings"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// A kind is how the body of an answer is read.
type kind uint8

const (
	noKind   kind = iota // it passes as it is
	htmlKind             // WHATWG HTML
	xmlKind              // XML 1.0: RSS, Atom, SVG, XHTML
	jsonKind             // RFC 8259
)

func (k kind) String() string { return [...]string{"other", "html", "xml", "json"}[k] }

// usual are the types that most answers have, which need no parsing.
var usual = [...]struct {
	contentType string
	kind        kind
}{
	{"text/html; charset=utf-8", htmlKind}, {"text/html; charset=UTF-8", htmlKind}, {"text/html;charset=utf-8", htmlKind}, {"text/html;charset=UTF-8", htmlKind},
	{"text/html", htmlKind}, {"application/json", jsonKind}, {"application/json; charset=utf-8", jsonKind},
}

// kindOf tells the kind by a Content-Type (RFC 9110, 8.3; RFC 7303, 9.6 and RFC
// 6839, 3.1 for the suffixes), and returns that as a string.
func kindOf(contentType []byte) (kind, string) {
	for i := range usual {
		if u := &usual[i]; string(contentType) == u.contentType {
			return u.kind, u.contentType
		}
	}
	s := string(contentType)
	mt, _, err := mime.ParseMediaType(s)
	if err != nil {
		return noKind, s
	}
	_, sub, _ := strings.Cut(mt, "/")
	switch {
	case mt == "text/html":
		return htmlKind, s
	case sub == "xml", strings.HasSuffix(sub, "+xml"):
		return xmlKind, s
	case mt == "application/json", mt == "text/json", strings.HasSuffix(sub, "+json"):
		return jsonKind, s
	}
	return noKind, s
}

// containsFold reports whether b has the word in it, which is in lower case.
func containsFold(b []byte, word string) bool {
	for ; len(b) >= len(word); b = b[1:] {
		if b[0]|0x20 == word[0] && bytes.EqualFold(b[:len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// syntax is how the rewriter reads markup of the kind.
func (k kind) syntax() rewrite.Syntax {
	if k == xmlKind {
		return rewrite.XML
	}
	return rewrite.HTML
}

// check tells whether an edit can be carried out in a body of the kind.
func (k kind) check(c *rewrite.Compiler, d *rewrite.Drafts, e abi.Edit) abi.Refusal {
	if k == jsonKind {
		return d.CheckJSON(e)
	}
	return d.Check(c, e, k.syntax())
}

// extract reads the values in a body that key names: SELECTOR or
// SELECTOR@ATTR in markup, a pointer in JSON.
func (k kind) extract(body []byte, key string) ([]string, error) {
	if k == jsonKind {
		return rewrite.ExtractJSON(body, key)
	}
	selector, attr := key, ""
	if i := strings.LastIndexByte(key, '@'); i > 0 && !strings.ContainsAny(key[i:], `]"'`) {
		selector, attr = key[:i], key[i+1:]
	}
	return rewrite.Extract(body, k.syntax(), selector, attr)
}

// rewritable reports whether the answer's body may be edited: a success with a
// whole body, of a kind and in a coding that are understood. It leaves the kind.
func (x *exchange) rewritable() bool {
	if x.route == nil || len(x.route.policies) == 0 || x.ctx.Request.Header.IsHead() {
		return false
	}
	h := &x.in.Header
	switch s := x.in.StatusCode(); {
	case s < 200 || s > 299, s == 204, s == 205, s == 206:
		return false
	}
	if codingOf(h.ContentEncoding()) == otherwise {
		return false
	}
	for _, line := range h.PeekAll("Cache-Control") {
		if containsFold(line, "no-transform") {
			return false // RFC 9111, 5.2.2.6
		}
	}
	x.kind, x.contentType = kindOf(h.ContentType())
	return x.kind != noKind
}

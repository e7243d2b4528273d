package edge

import (
	"bytes"
	"io"
	"log/slog"
	"mime"
	"strings"

	"bespoke/host/control"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// wholeBody is the size up to which a body is read and rewritten as a whole,
// which lets the answer say its length; larger ones, and those of unknown
// length, are streamed.
const wholeBody = 256 << 10

// rewritable reports whether the answer is a page that may be edited: HTML, a
// success with a whole body, in codings and a charset that are understood.
func (x *exchange) rewritable() bool {
	if x.route == nil || len(x.route.policies) == 0 || x.ctx.Request.Header.IsHead() {
		return false
	}
	h := &x.in.Header
	switch s := x.in.StatusCode(); {
	case s < 200 || s > 299, s == 204, s == 205, s == 206:
		return false
	}
	if ok, _ := htmlCharset(h.ContentType()); !ok {
		return false
	}
	if codingOf(h.ContentEncoding()) == otherwise {
		return false
	}
	for _, line := range h.PeekAll("Cache-Control") {
		if bytes.Contains(bytes.ToLower(line), []byte("no-transform")) {
			return false // RFC 9111, 5.2.2.6
		}
	}
	return true
}

// htmlCharset reports whether a Content-Type is HTML in an encoding whose
// markup is ASCII, and whether it says UTF-8.
func htmlCharset(contentType []byte) (ok, utf8 bool) {
	switch string(contentType) { // nearly all that there are, without parsing
	case "text/html; charset=utf-8", "text/html; charset=UTF-8", "text/html;charset=utf-8", "text/html;charset=UTF-8":
		return true, true
	case "text/html":
		return true, false
	}
	mt, params, err := mime.ParseMediaType(string(contentType))
	if err != nil || mt != "text/html" {
		return false, false
	}
	switch cs := strings.ToLower(params["charset"]); {
	case cs == "utf-8", cs == "utf8":
		return true, true
	case cs == "", cs == "us-ascii", cs == "ascii", cs == "latin1",
		strings.HasPrefix(cs, "iso-8859-"), strings.HasPrefix(cs, "windows-125"):
		return true, false
	}
	return false, false
}

// openBody readies the page's body for policies to look at, and for rewriting.
func (x *exchange) openBody() {
	coded := codingOf(x.in.Header.ContentEncoding())
	b := bodies.Get().(*body)
	b.origin, b.from, b.to = x.in.BodyStream(), coded, coded
	b.left, b.err, b.late = x.snap.site.Limits.DecodedBodyBytes, nil, nil
	b.head, b.looked, b.all, b.started = b.head[:0], false, false, false
	b.out.Reset()
	x.body = b
}

// rewrite puts the body through the edits that policies emitted, and adds the
// link to the privacy centre.
func (x *exchange) rewrite() {
	in, out, b := x.in, &x.ctx.Response, x.body
	b.plan = x.plan()
	n := in.Header.ContentLength()
	in.Header.CopyTo(&out.Header)
	if b.from != identity && !accepts(&x.ctx.Request.Header, b.from.String()) {
		b.to = identity // the origin was not asked for it
		out.Header.Del("Content-Encoding")
	}
	switch {
	case b.from == identity && n >= 0 && n <= wholeBody && b.take(n):
		x.inOne()
		return
	case x.unchunked:
		x.whole()
		return
	}
	x.streamed = true
	out.SetBodyStream(&stream{x: x, src: b}, -1)
}

// inOne rewrites a body that is in memory. What no edit changes is sent from where it is.
func (x *exchange) inOne() {
	b := x.body
	x.in.CloseBodyStream() // the connection to the origin serves others while the visitor takes the answer
	x.parcel.open()
	b.gather = gather{page: b.head, to: &x.parcel, made: b.gather.made[:0]}
	b.begin(&b.gather)
	b.rw.Write(b.head)
	b.rw.Close()
	x.applied = b.applied()
	b.gather.end()
	x.parcel.send(x)
}

// whole rewrites all of the body before anything is sent.
func (x *exchange) whole() {
	b, out := x.body, &x.ctx.Response
	for b.err == nil {
		if b.step(); b.out.Len() > max(oldBody, 4*wholeBody) {
			b.err = errTooLarge
		}
	}
	if b.err == io.EOF {
		out.SetBody(b.out.Bytes())
		x.applied = b.applied()
		return
	}
	// The origin broke off. So does the answer, at the same place: what came is
	// sent, and the connection ends without the end of the message.
	x.streamed = true
	out.SetBodyStream(&stream{x: x, src: b}, -1)
}

// plan compiles what policies emitted. Each edit was checked when it was
// emitted; should the plan be refused all the same, the page goes out without edits.
func (x *exchange) plan() *rewrite.Plan {
	edits := make([]abi.Edit, 0, len(x.edits))
	for i := range x.edits {
		if x.edits[i].Op.Body() {
			edits = append(edits, x.edits[i])
		}
	}
	_, utf8 := htmlCharset(x.in.Header.ContentType())
	opt := rewrite.Options{Tail: x.tail()}
	if utf8 {
		opt.Charset = rewrite.UTF8
	}
	plan, err := rewrite.Compile(edits, opt)
	if err != nil {
		x.failed++
		x.edge.log.LogAttrs(x.edge.ctx, slog.LevelError, "plan refused", slog.String("tenant", x.tenant.name),
			slog.String("route", x.route.Path), slog.String("error", err.Error()))
		plan, _ = rewrite.Compile(nil, opt) // no edit, nothing to refuse
	}
	return plan
}

const privacyLink = `<p class="bespoke-privacy"><a href="` + control.PathPrivacy + `">Privacy choices</a></p>`

// tail is what is added to the end of every page that is rewritten: the way to
// the privacy centre and, where the database's licence asks for it and the page
// shows its results, where the place comes from.
func (x *exchange) tail() []byte {
	switch dest := x.ctx.Request.Header.Peek("Sec-Fetch-Dest"); string(dest) {
	case "", "document", "iframe", "frame", "embed", "object":
	default:
		return nil // a script fetched a piece of a page, not a page
	}
	if x.located && x.snap.geo != nil {
		if info := x.snap.geo.Info(); info.Attribution != "" {
			return []byte(strings.TrimSuffix(privacyLink, "</p>") + ` <a href="` + info.AttributionURL + `">` + info.Attribution + `</a></p>`)
		}
	}
	return []byte(privacyLink)
}

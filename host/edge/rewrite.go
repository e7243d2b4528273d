package edge

import (
	"io"
	"log/slog"
	"net/url"
	"strings"

	"bespoke/host/control"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

const (
	// wholeBody is the size up to which a body is read and rewritten as a whole,
	// which lets the answer say its length; larger ones, and those of unknown
	// length, are streamed.
	wholeBody = 256 << 10
	// wholeDecoded is what such a body may be when it is decoded.
	wholeDecoded = 4 * wholeBody
)

// openBody readies the body for policies to look at, and for rewriting.
func (x *exchange) openBody() {
	coded := codingOf(x.in.Header.ContentEncoding())
	b := bodies.Get().(*body)
	b.open(x.originBody(), coded, x.snap.site.Limits.DecodedBodyBytes)
	x.body = b
}

// rewrite puts the body through the edits that policies emitted, and adds the
// link to the privacy centre to pages.
func (x *exchange) rewrite() {
	if x.tally.trace != nil {
		x.tally.rewrote = x.edge.tick()
	}
	in, out, b := x.in, &x.ctx.Response, x.body
	n := in.Header.ContentLength()
	in.Header.CopyTo(&out.Header)
	if b.from != identity && !accepts(&x.ctx.Request.Header, b.from.String()) {
		b.to = identity // the origin was not asked for it
		out.Header.Del("Content-Encoding")
	}
	edits := x.bodyEdits()
	limit := 0
	switch {
	case x.kind == jsonKind && len(edits) > 0:
		limit = rewrite.DefaultMaxJSON // it has to be seen as a whole
	case n >= 0 && n <= wholeBody:
		limit = wholeDecoded
		b.expect(n)
	}
	at := x.edge.tick()
	all := b.all(limit)
	x.fromOrigin(at)
	if x.kind == jsonKind {
		b.plan = x.edge.idle
		if all && len(edits) > 0 {
			x.rewriteJSON(edits)
			return
		}
		if len(edits) > 0 {
			x.untouched = isTooLarge
		}
	} else {
		if !all {
			b.holdHead(x.contentType, x.kind == xmlKind)
		}
		b.plan = x.plan(edits)
	}
	switch {
	case all:
		x.inOne()
	case x.unchunked:
		x.whole()
	default:
		x.send(b, -1)
	}
}

// bodyEdits returns the edits that are the body's.
func (x *exchange) bodyEdits() []abi.Edit {
	n := 0
	for i := range x.edits {
		if x.edits[i].Op.Body() {
			n++
		}
	}
	if n == len(x.edits) {
		return x.edits
	}
	edits := x.own[:0]
	for i := range x.edits {
		if x.edits[i].Op.Body() {
			edits = append(edits, x.edits[i])
		}
	}
	x.own = edits
	return edits
}

// inOne rewrites markup that is in memory. What no edit changes is sent from where it is.
func (x *exchange) inOne() {
	b := x.body
	x.in.CloseBodyStream() // the connection to the origin serves others while the visitor takes the answer
	x.parcel.open()
	if b.to == identity {
		b.gather.open(b.head, &x.parcel)
		b.begin(&b.gather)
		b.rw.Write(b.head)
		b.endPage() // memory takes all
		b.gather.end()
	} else {
		b.begin(b.encoder())
		b.rw.Write(b.head)
		b.finish()
		x.parcel.add(b.out.Bytes())
	}
	x.parcel.send(x)
}

// rewriteJSON edits a document that is in memory.
func (x *exchange) rewriteJSON(edits []abi.Edit) {
	b := x.body
	x.in.CloseBodyStream()
	x.parcel.open()
	plan, err := rewrite.CompileJSON(edits, rewrite.JSONOptions{Drafts: &x.drafts})
	if err != nil {
		x.planRefused(err)
		b.plan = x.edge.idle
		x.inOne()
		return
	}
	b.gather.made = b.json.Rewrite(b.gather.made[:0], plan, b.head)
	b.edited = true
	if b.to == identity {
		x.parcel.add(b.gather.made)
	} else {
		w := b.encoder()
		w.Write(b.gather.made)
		w.Close()
		x.parcel.add(b.out.Bytes())
	}
	x.parcel.send(x)
}

// whole rewrites all of the body before anything is sent.
func (x *exchange) whole() {
	b, out := x.body, &x.ctx.Response
	for b.err == nil {
		if b.step(); b.out.Len() > max(oldBody, wholeDecoded) {
			b.err = errTooLarge
		}
	}
	if b.err == io.EOF {
		x.rec.out.add(b.out.Bytes())
		x.rec.out.end()
		out.SetBody(b.out.Bytes())
		return
	}
	// The origin broke off, or went on for too long. So does the answer, at the
	// same place: what came is sent, and the connection ends before the message does.
	x.send(b, b.out.Len()+1)
}

// plan compiles the edits of markup.
func (x *exchange) plan(edits []abi.Edit) *rewrite.Plan {
	opt := rewrite.Options{
		Syntax:  x.kind.syntax(),
		Charset: rewrite.Sniff(x.body.head, x.contentType, x.kind == xmlKind),
		Drafts:  &x.drafts,
	}
	if !opt.Charset.Editable() {
		x.untouched = isCharset
		return x.edge.idle
	}
	if x.kind == htmlKind {
		opt.Tail = x.tail()
	}
	if len(edits) == 0 { // nothing to look for
		x.body.after = opt.Tail
		return x.edge.idle
	}
	for _, policy := range x.in.Header.PeekAll("Content-Security-Policy") {
		opt.CSP = append(opt.CSP, string(policy))
	}
	plan, err := x.tenant.compiler.Compile(edits, opt)
	if err != nil {
		x.planRefused(err)
		x.body.after = opt.Tail
		return x.edge.idle
	}
	return plan
}

// planRefused tells of edits that do not compile together. Each was checked
// when it was emitted, so this is a fault of ours; the body goes out without edits.
func (x *exchange) planRefused(err error) {
	x.failed++
	x.untouched = isNotToPlan
	x.edge.log.LogAttrs(x.edge.ctx, slog.LevelError, "plan refused", slog.String("tenant", x.tenant.name),
		slog.String("route", x.route.Path), slog.String("error", unquoted(err.Error())))
}

// tail is what is added to the end of every page that is rewritten: the way to
// the privacy centre, or where the visitor is to be asked, the notice that asks.
// Where the database's licence asks for it and the page shows its results, it
// says where the place comes from.
func (x *exchange) tail() []byte {
	h := &x.ctx.Request.Header
	dest := h.PeekCanonical(nameFetchDest)
	switch string(dest) {
	case "", "document", "iframe", "frame", "embed", "object":
	default:
		return nil // a script fetched a piece of a page, not a page
	}
	lang := control.Language(string(h.PeekCanonical(nameAcceptLanguage)))
	// Asked is who opens a page in a browser: not a program, nor in a frame, which
	// is a part of a page that asks. Browsers say so wherever they would keep the
	// answer: over TLS, and on this machine.
	ask := x.decision.Ask && string(dest) == "document"
	link := x.edge.privacy.Link(lang)
	if ask {
		path := (&url.URL{Path: x.path, RawQuery: string(x.ctx.URI().QueryString())}).String()
		link = x.edge.privacy.Notice(lang, path)
	}
	if x.located && x.snap.geo != nil {
		if info := x.snap.geo.Info(); info.Attribution != "" {
			source := ` <a href="` + info.AttributionURL + `">` + info.Attribution + `</a></p>`
			if ask {
				return append([]byte("<p>"+source), link...)
			}
			return []byte(strings.TrimSuffix(string(link), "</p>") + source)
		}
	}
	return link
}

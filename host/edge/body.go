package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	kgzip "github.com/klauspost/compress/gzip"

	"bespoke/host/control"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// A body rewrites one response's body on its way: the origin's bytes are
// decoded, go through the rewriter, and are encoded again as the origin had
// them. It keeps its buffers from one use to the next; bodies is their pool.
type body struct {
	origin   io.Reader // the origin's body
	from, to coding
	plan     *rewrite.Plan
	left     int // decoded bytes still allowed

	src io.Reader // decoded; nil before the first step
	rw  *rewrite.Rewriter
	in  []byte
	out bytes.Buffer // rewritten, encoded, not yet sent
	err error        // io.EOF: whole; else why it is not

	gzr *kgzip.Reader
	gzw *kgzip.Writer
	brr *brotli.Reader
	brw *brotli.Writer
}

var bodies = sync.Pool{New: func() any { return &body{in: make([]byte, 16<<10)} }}

type coding uint8

const (
	identity coding = iota
	gzipped
	brotlied
	otherwise
)

func codingOf(name []byte) coding {
	switch string(bytes.ToLower(bytes.TrimSpace(name))) {
	case "", "identity":
		return identity
	case "gzip", "x-gzip":
		return gzipped
	case "br":
		return brotlied
	}
	return otherwise
}

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
	if codingOf(h.ContentEncoding()) == otherwise || len(h.PeekAll("Content-Encoding")) > 1 {
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

// rewrite puts the body through the edits that policies emitted, and adds the
// link to the privacy centre.
func (x *exchange) rewrite() {
	in, out := x.in, &x.ctx.Response
	plan := x.plan()
	n := in.Header.ContentLength()
	coded := codingOf(in.Header.ContentEncoding())
	in.Header.CopyTo(&out.Header)

	b := bodies.Get().(*body)
	b.open(in.BodyStream(), plan, coded, coded, x.snap.site.Limits.DecodedBodyBytes)
	if coded != identity && !accepts(&x.ctx.Request.Header, coded.String()) {
		b.to = identity // the origin was not asked for it
		out.Header.Del("Content-Encoding")
	}
	x.body = b
	if b.from == identity && n >= 0 && n <= wholeBody || !x.ctx.Request.Header.IsHTTP11() {
		x.whole()
		return
	}
	x.streamed = true
	out.SetBodyStream(&stream{x: x, src: b}, -1)
}

// whole rewrites all of the body before anything is sent.
func (x *exchange) whole() {
	b, out := x.body, &x.ctx.Response
	for b.err == nil {
		b.step()
	}
	if b.err == io.EOF {
		out.SetBody(b.out.Bytes())
		x.applied = b.applied()
		b.close()
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
			edits = append(edits, x.edits[i].Edit)
		}
	}
	_, utf8 := htmlCharset(x.in.Header.ContentType())
	opt := rewrite.Options{Tail: x.tail(), UTF8: utf8}
	plan, err := rewrite.Compile(edits, opt)
	if err != nil {
		x.failed++
		x.edge.log.LogAttrs(x.ctx, slog.LevelError, "plan refused", slog.String("tenant", x.tenant.name),
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
	if x.located && x.snap.geo != nil {
		if info := x.snap.geo.Info(); info.Attribution != "" {
			return []byte(strings.TrimSuffix(privacyLink, "</p>") + ` <a href="` + info.AttributionURL + `">` + info.Attribution + `</a></p>`)
		}
	}
	return []byte(privacyLink)
}

func (c coding) String() string {
	switch c {
	case gzipped:
		return "gzip"
	case brotlied:
		return "br"
	}
	return "identity"
}

// open readies b for one body: from and to are how it is coded at the origin
// and for the visitor.
func (b *body) open(src io.Reader, plan *rewrite.Plan, from, to coding, limit int) {
	b.origin, b.from, b.to, b.left, b.err = src, from, to, limit, nil
	b.plan = plan
	b.out.Reset()
}

// start connects decoder, rewriter and encoder, when the first bytes are wanted.
func (b *body) start() error {
	b.src = b.origin
	switch b.from {
	case gzipped:
		if b.gzr == nil {
			b.gzr = new(kgzip.Reader)
		}
		if err := b.gzr.Reset(b.origin); err != nil {
			return fmt.Errorf("gzip: %w", unexpected(err))
		}
		b.src = b.gzr
	case brotlied:
		if b.brr == nil {
			b.brr = brotli.NewReader(nil)
		}
		if err := b.brr.Reset(b.origin); err != nil {
			return fmt.Errorf("br: %w", err)
		}
		b.src = b.brr
	}
	var sink io.Writer = &b.out
	switch b.to {
	case gzipped:
		if b.gzw == nil {
			b.gzw, _ = kgzip.NewWriterLevel(nil, gzipLevel)
		}
		b.gzw.Reset(&b.out)
		sink = b.gzw
	case brotlied:
		if b.brw == nil {
			b.brw = brotli.NewWriterLevel(nil, brotliLevel)
		}
		b.brw.Reset(&b.out)
		sink = b.brw
	}
	if b.rw == nil {
		b.rw = rewrite.New(b.plan, sink)
	} else {
		b.rw.Reset(b.plan, sink)
	}
	return nil
}

// Levels at which a page is worth its time when it is coded for one visitor.
const (
	gzipLevel   = 4
	brotliLevel = 3
)

var errTooLarge = errors.New("the decoded body is over the limit")

// unexpected turns an end of input where more must come into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// step takes one read's worth of the origin's body through, into b.out. It
// leaves io.EOF in b.err when the body is whole, and another error when it is not.
func (b *body) step() {
	if b.err != nil {
		return
	}
	if b.src == nil {
		if b.err = b.start(); b.err != nil {
			return
		}
	}
	n, err := b.src.Read(b.in)
	if b.from != identity {
		if b.left -= n; b.left < 0 {
			b.err = errTooLarge
			return
		}
	}
	if n > 0 {
		if _, werr := b.rw.Write(b.in[:n]); werr != nil {
			b.err = werr
			return
		}
	}
	switch {
	case err == io.EOF:
		if b.err = b.finish(); b.err == nil {
			b.err = io.EOF
		}
	case err != nil:
		b.err = err
		b.flush() // what came is the visitor's
	case n > 0:
		b.err = b.flush() // a slow origin's page shows as it comes
	}
}

func (b *body) flush() error {
	switch b.to {
	case gzipped:
		return b.gzw.Flush()
	case brotlied:
		return b.brw.Flush()
	}
	return nil
}

func (b *body) finish() error {
	if err := b.rw.Close(); err != nil {
		return err
	}
	switch b.to {
	case gzipped:
		return b.gzw.Close()
	case brotlied:
		return b.brw.Close()
	}
	return nil
}

// applied returns how many elements edits took effect on.
func (b *body) applied() (n int) {
	for _, m := range b.rw.Report().Applied {
		n += m
	}
	return n
}

// close gives b back to the pool. Large buffers are left to the collector.
func (b *body) close() {
	b.origin, b.src, b.plan = nil, nil, nil
	if b.out.Cap() > 2*wholeBody {
		b.out = bytes.Buffer{}
	}
	bodies.Put(b)
}

// A stream is a body that is sent after the handler has returned. It ends the
// exchange when it is closed.
type stream struct {
	x   *exchange
	src *body // nil: the origin's body passes as it is
}

// Read is for servers that do not use WriteTo.
func (s *stream) Read(p []byte) (int, error) {
	if s.src == nil {
		return s.x.in.BodyStream().Read(p)
	}
	for s.src.out.Len() == 0 && s.src.err == nil {
		s.src.step()
	}
	if s.src.out.Len() > 0 {
		return s.src.out.Read(p)
	}
	return 0, s.src.err
}

// SupportsBodyWriteTo tells fasthttp that WriteTo does what Read does.
func (s *stream) SupportsBodyWriteTo() bool { return s.src != nil }

// WriteTo sends each step of the body as one piece.
func (s *stream) WriteTo(w io.Writer) (total int64, err error) {
	if s.src == nil {
		return io.Copy(w, s.x.in.BodyStream())
	}
	for {
		if s.src.out.Len() > 0 {
			n, err := s.src.out.WriteTo(w)
			total += n
			if err != nil {
				return total, err
			}
		}
		if s.src.err == io.EOF {
			return total, nil
		}
		if s.src.err != nil {
			return total, s.src.err
		}
		s.src.out.Reset()
		s.src.step()
	}
}

// CloseWithError ends the exchange. err is why the body was not sent to its end.
func (s *stream) CloseWithError(err error) error {
	x := s.x
	if x == nil {
		return nil
	}
	s.x = nil
	f := noFault
	if b := s.src; b != nil {
		if b.rw != nil && b.src != nil {
			x.applied = b.applied()
		}
		if b.err != nil && b.err != io.EOF {
			f = x.brokeOff(b.err)
		}
		b.close()
	}
	x.record(f)
	x.end()
	return nil
}

// passOn sends the origin's answer as it is.
func (x *exchange) passOn() {
	in, out := x.in, &x.ctx.Response
	if in != out {
		in.Header.CopyTo(&out.Header)
	}
	n := in.Header.ContentLength()
	switch {
	case in.BodyStream() == nil: // 204, 304, HEAD
	case n >= 0 && n <= wholeBody:
		x.passWhole(n)
	case in != out:
		x.streamed = true
		out.SetBodyStream(&stream{x: x}, max(n, -1))
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// passWhole sends a body of n bytes, read as a whole: a stream would be written
// in pieces of a few kilobytes, a system call each.
func (x *exchange) passWhole(n int) {
	buf := buffers.Get().(*[]byte)
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	m, err := io.ReadFull(x.in.BodyStream(), b)
	if err != nil {
		err = unexpected(err)
		x.brokeOff(err)
		x.ctx.Response.SetBodyStream(io.MultiReader(bytes.NewReader(b[:m]), &failing{err}), n)
		return
	}
	*buf = x.ctx.Response.SwapBody(b) // the buffer that was there, for the next
	buffers.Put(buf)
}

// failing is the end of a body that is not whole: the server closes the
// connection instead of ending the message.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func (x *exchange) brokeOff(err error) fault {
	f := originFault(err)
	if errors.Is(err, errTooLarge) {
		f = originBad
	}
	x.edge.log.LogAttrs(x.ctx, slog.LevelWarn, "origin broke off", slog.String("tenant", x.tenant.name),
		slog.String("fault", faults[f].name), slog.String("error", originError(err)))
	return f
}

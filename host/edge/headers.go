package edge

import (
	"bytes"
	"net/url"
	"strconv"

	"github.com/valyala/fasthttp"

	"bespoke/modules/abi"
)

// visible is what policies may see of a request's header. It is kept apart
// because the request is changed on its way to the origin.
type visible struct {
	values [8]string // by index in abi.ReadableHeaders; "" absent
}

func (x *exchange) keepVisible() {
	for i, name := range abi.ReadableHeaders {
		if v := x.ctx.Request.Header.Peek(name); len(v) > 0 {
			x.seen.values[i] = string(v)
		}
	}
}

func (v *visible) header(name string) (string, bool) {
	for i, n := range abi.ReadableHeaders {
		if n == name {
			return v.values[i], v.values[i] != ""
		}
	}
	return "", false
}

// Header names as fasthttp keeps them: looking one up by these bytes spares it
// the work of bringing the name into that form.
var (
	nameConnection     = []byte("Connection")
	nameCookie         = []byte("Cookie")
	nameForwarded      = []byte("Forwarded")
	nameForwardedFor   = []byte("X-Forwarded-For")
	nameForwardedHost  = []byte("X-Forwarded-Host")
	nameForwardedProto = []byte("X-Forwarded-Proto")
	nameRealIP         = []byte("X-Real-Ip")
	nameExpect         = []byte("Expect")
	nameGPC            = []byte("Sec-Gpc")
	nameFetchDest      = []byte("Sec-Fetch-Dest")
	nameAcceptLanguage = []byte("Accept-Language")
	nameCacheControl   = []byte("Cache-Control")

	private = []byte("private, no-store")

	// statements are an origin's about its bytes, or about who may store them.
	statements = [...][]byte{
		[]byte("Etag"), []byte("Last-Modified"), []byte("Expires"), []byte("Pragma"), []byte("Age"), []byte("Accept-Ranges"),
		[]byte("Content-Md5"), []byte("Digest"), []byte("Content-Digest"), []byte("Repr-Digest"),
		[]byte("Surrogate-Control"), []byte("Cdn-Cache-Control"),
		[]byte("Cache-Control"), // all lines of it: setting replaces one
	}

	// conditions ask for less than the whole (RFC 9110, 13.1 and 14.2).
	conditions = [...][]byte{
		[]byte("If-None-Match"), []byte("If-Modified-Since"), []byte("If-Range"), []byte("Range"),
	}

	// hopByHop are the header fields that hold for one connection only (RFC
	// 9110, 7.6.1), but Connection. fasthttp frames messages itself and so owns
	// Transfer-Encoding.
	hopByHop = [...][]byte{
		[]byte("Proxy-Connection"), []byte("Keep-Alive"), []byte("Te"), []byte("Trailer"), []byte("Upgrade"),
		[]byte("Proxy-Authenticate"), []byte("Proxy-Authorization"),
	}
)

// header is what requests and responses have in common here.
type header interface {
	PeekCanonical([]byte) []byte
	PeekAll(string) [][]byte
	DelBytes([]byte)
}

// stripHopByHop removes the fields of one connection, those that Connection
// names among them.
func stripHopByHop(h header) {
	if lines := h.PeekAll("Connection"); len(lines) > 0 {
		var named [][]byte
		for _, line := range lines {
			for name := range bytes.SplitSeq(line, []byte(",")) {
				name = bytes.TrimSpace(name)
				if len(name) > 0 && !bytes.EqualFold(name, []byte("close")) && !bytes.EqualFold(name, []byte("keep-alive")) {
					named = append(named, bytes.Clone(name))
				}
			}
		}
		for _, name := range named {
			h.DelBytes(name)
		}
		h.DelBytes(nameConnection)
	}
	// Not only where there is a value: an empty line would hide those after it.
	for _, name := range hopByHop {
		h.DelBytes(name)
	}
}

// prepareRequest turns the visitor's request into the one for the origin.
func (x *exchange) prepareRequest() {
	h := &x.ctx.Request.Header
	proto := []byte("http")
	if x.secure() {
		proto = []byte("https")
	}
	// All that may come in several lines is read first: deleting a field changes
	// the order of the others' lines, and with it what they mean.
	strip := x.stripping()
	gpc := hasGPC(h) // Connection may name it, which takes nothing back
	way := x.forwardedFor(x.scratch[:0], strip != nil)
	cookies, less := keptCookies(way, h.PeekAll("Cookie"), strip)
	x.scratch, cookies = cookies, cookies[len(way):]
	var forwarded []byte
	if strip != nil && x.trusted {
		forwarded = x.coarseForwarded(h.PeekAll("Forwarded"))
	}
	stripHopByHop(h)

	setOne(h, nameForwardedFor, way)
	if !x.trusted || len(h.PeekCanonical(nameForwardedHost)) == 0 {
		setOne(h, nameForwardedHost, x.ctx.Host())
	}
	setOne(h, nameForwardedProto, proto)
	if !x.trusted {
		h.DelBytes(nameForwarded)
		h.DelBytes(nameRealIP)
	}
	if n := len(h.PeekAll("Cookie")); less && n > 0 {
		setCookies(h, cookies, n)
	}
	h.DelBytes(nameExpect) // answered here
	switch lines := h.PeekAll("Sec-GPC"); {
	case gpc:
		setOne(h, nameGPC, []byte("1"))
	case len(lines) > 0:
		h.DelBytes(nameGPC)
	}
	if strip != nil {
		x.stripPersonal(h, forwarded)
	}
	h.SetProtocol("HTTP/1.1")
	h.SetNoDefaultContentType(true)
	x.ctx.Request.UseHostHeader = true
	if !x.tenant.keep {
		h.SetHost(x.tenant.origin.host)
	}
	x.ctx.Request.URI().SetScheme("http") // for the client: the connection is dialled with TLS if need be
	if x.route != nil && len(x.route.policies) > 0 {
		x.limitEncodings(h)
		x.askWhole(h)
	}
	for i := range x.edits {
		switch e := &x.edits[i]; e.Op {
		case abi.OpUpstreamHeader:
			h.Del(e.Target) // Set would leave all lines but the first
			h.Set(e.Target, e.A)
		case abi.OpUpstreamPath:
			x.ctx.Request.URI().SetPath(e.A)
		}
	}
	x.propagate()
}

// setOne leaves one line of a field, where the first stood.
func setOne(h *fasthttp.RequestHeader, name, value []byte) {
	if len(h.PeekAll(string(name))) > 1 {
		h.DelBytes(name) // setting replaces one line
	}
	h.SetCanonical(name, value)
}

// limitEncodings asks the origin only for content codings that both the
// visitor takes and the edge can decode.
func (x *exchange) limitEncodings(h *fasthttp.RequestHeader) {
	var list [2]string
	n := 0
	for _, c := range [...]string{"br", "gzip"} {
		if accepts(h, c) {
			list[n] = c
			n++
		}
	}
	switch n {
	case 0:
		h.Set("Accept-Encoding", "identity")
	case 1:
		h.Set("Accept-Encoding", list[0])
	default:
		h.Set("Accept-Encoding", "gzip, br")
	}
}

// askWhole makes a request for the whole of what policies may edit. A browser may
// still hold it from before, with the origin's validators; "not modified" would
// leave the visitor with that. What a browser says that it wants as something
// that is never edited (W3C Fetch Metadata, 2.1) keeps its conditions.
func (x *exchange) askWhole(h *fasthttp.RequestHeader) {
	switch string(h.PeekCanonical(nameFetchDest)) {
	case "image", "script", "style", "font", "audio", "video", "track",
		"worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet":
		return
	}
	for _, name := range conditions {
		h.DelBytes(name)
	}
}

// accepts reports whether a request takes a content coding (RFC 9110, 12.5.3).
// A coding must be named: "*" and silence count as no, which is always safe, and
// so does a weight that cannot be read.
func accepts(h *fasthttp.RequestHeader, coding string) bool {
	for _, line := range h.PeekAll("Accept-Encoding") {
		for item := range bytes.SplitSeq(line, []byte(",")) {
			name, params, weighed := bytes.Cut(item, []byte(";"))
			if !bytes.EqualFold(bytes.TrimSpace(name), []byte(coding)) {
				continue
			}
			if !weighed {
				return true
			}
			key, value, _ := bytes.Cut(params, []byte("="))
			q, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			return err == nil && q > 0 && bytes.EqualFold(bytes.TrimSpace(key), []byte("q"))
		}
	}
	return false
}

// relocate keeps a redirect that names the origin's own address on the site: the
// visitor cannot, or should not, reach the origin.
func (x *exchange) relocate(h *fasthttp.ResponseHeader) {
	if s := x.ctx.Response.StatusCode(); s < 300 || s > 399 || s == 304 {
		return
	}
	at, err := url.Parse(string(h.Peek("Location")))
	if err != nil || at.Scheme != x.tenant.origin.scheme || at.Host != x.tenant.origin.host || at.User != nil || at.Host == string(x.ctx.Host()) {
		return
	}
	at.Scheme, at.Host = "http", string(x.ctx.Host())
	if x.secure() {
		at.Scheme = "https"
	}
	h.Set("Location", at.String())
}

// finishHeader makes the response's header true to what was done.
func (x *exchange) finishHeader() {
	h := &x.ctx.Response.Header
	if string(h.Protocol()) != "HTTP/1.1" {
		h.SetProtocol([]byte("HTTP/1.1"))
	}
	x.relocate(h)
	tailored := x.body != nil
	for i := range x.edits {
		switch e := &x.edits[i]; e.Op {
		case abi.OpSetHeader:
			h.Del(e.Target) // Set would leave all lines but the first
			h.Set(e.Target, e.A)
		case abi.OpAddHeader:
			h.Add(e.Target, e.A)
		case abi.OpRemoveHeader:
			h.Del(e.Target)
		case abi.OpUpstreamHeader, abi.OpUpstreamPath:
		default:
			continue
		}
		tailored = true // by a policy, and so perhaps by what it read
	}
	if tailored {
		keepPrivate(h)
	}
}

// keepPrivate marks an answer as one visitor's alone. None of the origin's
// statements about its bytes, or about who may store them, holds any more.
func keepPrivate(h *fasthttp.ResponseHeader) {
	var found [len(statements)]bool
	for name := range h.All() { // looking for each by itself would go through all each time
		for i, s := range statements {
			found[i] = found[i] || string(s) == string(name)
		}
	}
	for i, is := range found {
		if is {
			h.DelBytes(statements[i])
		}
	}
	h.SetCanonical(nameCacheControl, private)
}

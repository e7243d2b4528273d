package edge

import (
	"bytes"
	"crypto/sha256"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bespoke/host/audit/exhibit"
	"bespoke/host/control"
	"bespoke/modules/abi"
)

// Of a few exchanges without personal data everything is kept, so that anybody can
// run them again (Replay). Which of them does not depend on the visitor: the next on
// a route after a while. Whether one can be kept does: nothing may have been given to
// a policy but public keys, nothing may name the visitor to the origin, and the answer
// must be one that a shared cache might store.

// A capture is an exchange that may become an exhibit. It is a witness of its runs.
type capture struct {
	x        *exchange
	e        exhibit.Exhibit
	why      string // why it cannot be kept; "": nothing speaks against it
	body     bounded
	sent     bounded
	encoding string // content codings that the visitor takes
	language string
	kept     int // bytes of values and edits
}

// Reasons why an exchange cannot be kept, which tests count.
const (
	whyRequest  = "the request is no plain GET"
	whyNamed    = "the request names the visitor to the origin"
	whyQuery    = "no policy read an argument of the query"
	whyPersonal = "a policy was given, or an answer hangs on, what is the visitor's"
	whyKnown    = "the visitor is known, and the record has their pseudonym"
	whyPolicy   = "a policy failed"
	whyIdle     = "no policy ran"
	whyFault    = "a fault"
	whyAnswer   = "the origin's answer is one visitor's"
	whyEchoes   = "the origin's answer repeats what it was sent of the visitor"
	whySize     = "too large"
	whySent     = "the answer sets a cookie, or was not sent whole"
)

// maxCaptured bounds what policies read and emitted, in bytes.
const maxCaptured = 1 << 20

// bounded keeps bytes up to exhibit.MaxBody.
type bounded struct {
	bytes.Buffer
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.over = b.over || b.Len()+len(p) > exhibit.MaxBody; !b.over {
		b.Buffer.Write(p)
	}
	return len(p), nil
}

// An exhibitClock spaces the exhibits of a route.
type exhibitClock struct {
	next  atomic.Int64 // nanoseconds: not before
	every time.Duration
}

// exhibitRetry is how long after an exchange that could not be kept another is tried,
// so that many such cost little.
const exhibitRetry = 20 * time.Millisecond

func (c *exhibitClock) due(now time.Time) bool {
	next, n := c.next.Load(), now.UnixNano()
	return n >= next && c.next.CompareAndSwap(next, n+int64(min(c.every, exhibitRetry)))
}

// kept is called when an exhibit was made.
func (c *exhibitClock) kept(now time.Time) { c.next.Store(now.UnixNano() + int64(c.every)) }

// clockExhibits gives every route with policies its clock.
func (e *Edge) clockExhibits(s *snapshot) {
	if e.exhibits == nil {
		return
	}
	var clocks []*exhibitClock
	add := func(t *tenant) {
		for i := range t.routes {
			if r := &t.routes[i]; len(r.policies) > 0 && r.exhibits == nil { // a tenant has several hosts
				r.exhibits = new(exhibitClock)
				clocks = append(clocks, r.exhibits)
			}
		}
	}
	for _, t := range s.exact {
		add(t)
	}
	for _, w := range s.wild {
		add(w.tenant)
	}
	for _, c := range clocks {
		c.every = e.exhibits.Every(len(clocks))
	}
}

// beginExhibit begins to keep the exchange, if it is the turn of one.
func (x *exchange) beginExhibit() {
	if x.route == nil || x.route.exhibits == nil || !x.route.exhibits.due(x.began) || !x.edge.exhibits.Reserve() {
		return
	}
	h, req := &x.ctx.Request.Header, &x.ctx.Request
	c := &capture{x: x}
	x.exhibit, x.witness = c, c
	target := string(h.RequestURI())
	if !h.IsGet() || x.unchunked || len(req.Body()) > 0 || len(target) > 4096 || target == "" || target[0] != '/' {
		c.refuse(whyRequest)
		return
	}
	c.e = exhibit.Exhibit{
		Build: build(), Time: x.began, Tenant: x.tenant.name, Route: x.route.Path, Zone: x.tenant.zone.String(),
		Site:    x.tenant.origin.scheme + "://" + x.tenant.origin.host,
		Request: exhibit.Request{Method: "GET", Target: exhibit.Text(target), Host: string(h.Host()), Secure: x.secure()},
		Facts:   string(x.decision.Facts().AppendText(nil)), Asks: x.decision.Ask, Granted: grantedNames(x),
	}
	if dest := string(h.PeekCanonical(nameFetchDest)); dest != "" {
		c.header("sec-fetch-dest", dest)
	}
	for _, name := range [...]string{"gzip", "br"} {
		if accepts(h, name) {
			c.encoding = strings.TrimPrefix(c.encoding+", "+name, ", ")
		}
	}
	if l := h.PeekCanonical(nameAcceptLanguage); len(l) > 0 {
		c.language = control.Language(string(l)) // all that the edge itself makes of it
	}
}

func grantedNames(x *exchange) []string {
	names := []string{}
	for p := range abi.Purpose(abi.Purposes) {
		if x.decision.Grants(p) {
			names = append(names, p.String())
		}
	}
	return names
}

func (c *capture) header(name, value string) {
	c.e.Request.Header = append(c.e.Request.Header, exhibit.Field{Name: name, Value: exhibit.Text(value)})
}

// refuse says that the exchange cannot be kept. Nothing more of it is.
func (c *capture) refuse(why string) {
	if c.why == "" {
		c.why = why
		c.body, c.sent, c.e = bounded{}, bounded{}, exhibit.Exhibit{}
	}
}

// begins, and what follows, implement [witness].
func (c *capture) begins(p *policy, _ *pick, ph abi.Phase) {
	if c.why != "" {
		return
	}
	for i := range c.x.route.policies {
		if p == &c.x.route.policies[i] {
			c.e.Runs = append(c.e.Runs, exhibit.Run{Policy: i, Phase: phaseName(ph)})
		}
	}
}

func phaseName(ph abi.Phase) string {
	if ph == abi.OnRequest {
		return "request"
	}
	return "response"
}

func (c *capture) read(key, value []byte, ok bool) ([]byte, bool) {
	if c.why != "" {
		return value, ok
	}
	k := string(key)
	if c.personal(k, ok) {
		c.refuse(whyPersonal)
		return value, ok
	}
	r := exhibit.Read{Key: k}
	if ok {
		t := exhibit.Text(value)
		r.Value = &t
	}
	run := &c.e.Runs[len(c.e.Runs)-1]
	run.Reads = append(run.Reads, r)
	c.grow(len(key) + len(value))
	return value, ok
}

// personal reports whether the answer to a read hangs on what is the visitor's.
func (c *capture) personal(key string, given bool) bool {
	x := c.x
	switch {
	case abi.Classify(key) != abi.Public:
		return given
	case strings.HasPrefix(key, "time."):
		return x.place.TimeZone != "" // it is told in the zone of their place
	case strings.HasPrefix(key, abi.KeyRecommend):
		return !x.preferences().Empty() || !x.hiddenItems().Empty() // what they hid or muted is left out
	}
	return false
}

func (c *capture) emitted(e abi.Edit, r abi.Refusal) {
	if c.why != "" {
		return
	}
	run := &c.e.Runs[len(c.e.Runs)-1]
	run.Edits = append(run.Edits, exhibit.Edit{Op: uint32(e.Op), Target: strings.Clone(e.Target), A: strings.Clone(e.A), B: strings.Clone(e.B), Refused: int32(r)})
	c.grow(len(e.Target) + len(e.A) + len(e.B))
}

func (c *capture) logged(abi.Level, []byte) {}

func (c *capture) ended(fault error) {
	if fault != nil {
		c.refuse(whyPolicy)
	}
}

func (c *capture) grow(n int) {
	if c.kept += n + 64; c.kept > maxCaptured {
		c.refuse(whySize)
	}
}

// identifying are fields of a request that say who sends it.
var identifying = [...]string{"Cookie", "Authorization", "Proxy-Authorization"}

// harmless are fields that name nobody, whatever they hold; an answer may repeat them.
var harmless = [...]string{
	"host", "connection", "accept", "accept-encoding", "accept-language", "cache-control", "pragma", "dnt", "priority", "upgrade-insecure-requests",
	"sec-fetch-*", "sec-gpc", "sec-ch-ua-mobile", "sec-ch-ua-platform", "x-forwarded-host", "x-forwarded-proto", "content-type", "content-length", "te",
}

// answered takes the origin's answer, before the edge takes anything off it.
func (c *capture) answered() {
	if c.why != "" {
		return
	}
	h := &c.x.in.Header
	for _, name := range identifying {
		if has(&c.x.ctx.Request.Header, name) {
			c.refuse(whyNamed)
			return
		}
	}
	if !shared(h) {
		c.refuse(whyAnswer)
		return
	}
	a := &exhibit.Answer{Status: c.x.in.StatusCode(), Length: h.ContentLength()}
	for name, value := range h.All() {
		if !framing(name) {
			a.Header = append(a.Header, exhibit.Field{Name: string(name), Value: exhibit.Text(value)})
		}
	}
	if a.Length > exhibit.MaxBody || len(a.Header) > 200 {
		c.refuse(whySize)
		return
	}
	c.e.Origin = a
}

// has reports whether a header has a field with a value. (fasthttp lists an empty one
// for some that are not there.)
func has(h header, name string) bool {
	return slices.ContainsFunc(h.PeekAll(name), func(line []byte) bool { return len(line) > 0 })
}

// shared reports whether a shared cache might store an answer (RFC 9111, 3): else it
// is one visitor's.
func shared(h header) bool {
	if has(h, "Set-Cookie") || has(h, "Bespoke-Subject") {
		return false
	}
	for _, line := range h.PeekAll("Cache-Control") {
		if containsFold(line, "private") || containsFold(line, "no-store") {
			return false
		}
	}
	for _, line := range h.PeekAll("Vary") {
		if bytes.IndexByte(line, '*') >= 0 {
			return false
		}
	}
	return true
}

// ready takes the header as it will be sent, but for what the server adds.
func (c *capture) ready() {
	if c.why != "" {
		return
	}
	out := &c.x.ctx.Response
	passes := c.x.streamed && c.x.parcel.x == nil && c.x.body == nil // and nobody sees what
	if passes || has(&out.Header, "Set-Cookie") {
		c.refuse(whySent)
		return
	}
	c.e.Sent.Status, c.e.Sent.Length = out.StatusCode(), out.Header.ContentLength()
	c.e.Sent.Header = sentHeader(c.x)
	c.e.Streamed = c.x.streamed && c.x.parcel.x == nil
	if !c.x.streamed {
		c.sent.Write(out.Body())
	}
}

// sentHeader returns the header of an answer but for what is of the connection.
func sentHeader(x *exchange) (all []exhibit.Field) {
	for name, value := range x.ctx.Response.Header.All() {
		if !framing(name) {
			all = append(all, exhibit.Field{Name: string(name), Value: exhibit.Text(value)})
		}
	}
	return all
}

// framing reports whether a field is of the connection and its moment: what is said
// there of the length is kept apart.
func framing(name []byte) bool {
	switch string(name) {
	case "Date", "Connection", "Content-Length", "Transfer-Encoding":
		return true
	}
	return false
}

// endExhibit makes an exhibit of the exchange, if nothing speaks against it. It
// returns its name, "" for none, and the SHA-256 of both bodies. It must be called
// once, when all is sent.
func (x *exchange) endExhibit(f fault) (name string, in, out [32]byte) {
	c := x.exhibit
	if c == nil {
		return
	}
	x.exhibit, x.witness = nil, nil
	text, code := c.finish(f)
	if text == nil {
		x.edge.log.LogAttrs(x.edge.ctx, slog.LevelDebug, "no exhibit", slog.String("tenant", x.tenant.name), slog.String("route", x.route.Path), slog.String("why", c.why))
		x.edge.exhibits.Unreserve()
		return
	}
	x.route.exhibits.kept(x.began)
	name = exhibit.Name(text, c.e.Time)
	x.edge.exhibits.Put(name, text, code)
	if c.e.Origin != nil {
		in = sha256.Sum256(c.body.Bytes())
	}
	return name, in, sha256.Sum256(c.sent.Bytes())
}

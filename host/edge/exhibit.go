package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/modules/abi"
	"bespoke/policies/builtin"
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

// finish returns the exhibit's text and the modules that it needs; nil if it is not
// to be kept.
func (c *capture) finish(f fault) ([]byte, []exhibit.Code) {
	x, e := c.x, &c.e
	switch {
	case c.why != "":
	case f != noFault, x.unrecorded:
		c.refuse(whyFault)
	case c.body.over || c.sent.over:
		c.refuse(whySize)
	case x.failed > 0:
		c.refuse(whyPolicy)
	case len(e.Runs) == 0:
		c.refuse(whyIdle)
	case x.located, x.rec.personal:
		c.refuse(whyPersonal)
	case x.subject.standing != noSubject, x.subject.named, x.inferred != nil:
		c.refuse(whyKnown)
	case e.Sent.Length >= 0 && e.Sent.Length != c.sent.Len(),
		e.Origin != nil && e.Origin.Length >= 0 && e.Origin.Length != c.body.Len():
		c.refuse(whySent) // or something passed by
	case !c.wholeQuery():
		c.refuse(whyQuery)
	case c.echoes():
		c.refuse(whyEchoes)
	}
	if c.why != "" {
		return nil, nil
	}
	c.keepHeaders()
	code := c.keepPolicies()
	if e.Origin != nil {
		e.Origin.Body = c.body.Bytes()
	}
	e.Sent.Body = c.sent.Bytes()
	text, err := e.Encode()
	if err != nil {
		x.edge.log.LogAttrs(x.edge.ctx, slog.LevelDebug, "no exhibit", slog.String("error", err.Error()))
		return nil, nil
	}
	return text, code
}

// wholeQuery reports whether some policy read every argument of the query. A query may
// name a person, and the origin saw all of it: its page may repeat what no policy read.
func (c *capture) wholeQuery() bool {
	seen := map[string]bool{}
	for name := range c.x.ctx.QueryArgs().All() {
		if seen[string(name)] || !c.wasGiven(abi.KeyRequestQuery+string(name)) {
			return false
		}
		seen[string(name)] = true
	}
	return true
}

// wasGiven reports whether some run read a key and got an answer.
func (c *capture) wasGiven(key string) bool {
	for i := range c.e.Runs {
		if slices.ContainsFunc(c.e.Runs[i].Reads, func(r exhibit.Read) bool { return r.Key == key && r.Value != nil }) {
			return true
		}
	}
	return false
}

// keepHeaders keeps those of the request that some policy was given, and what the
// edge itself made of others.
func (c *capture) keepHeaders() {
	for i, name := range abi.ReadableHeaders {
		if c.wasGiven(abi.KeyRequestHeader + name) {
			c.header(name, c.x.seen.values[i])
		} else if name == "accept-language" && c.language != "" {
			c.header(name, c.language)
		}
	}
	if c.encoding != "" {
		c.header("accept-encoding", c.encoding)
	}
}

// shortest is the length below which an answer holds a value by chance.
const shortest = 4

// echoes reports whether the answer repeats what the origin was sent of the visitor:
// an address, a browser's name, where they come from.
func (c *capture) echoes() bool {
	if c.e.Origin == nil {
		return false
	}
	text := c.body.Bytes()
	if coded := codingOf(c.x.in.Header.ContentEncoding()); coded != identity {
		var err error
		if text, err = decoded(text, coded); err != nil {
			return true // nobody can tell
		}
	}
	for name, value := range c.x.ctx.Request.Header.All() {
		if c.namesNobody(string(name), string(value)) {
			continue
		}
		for part := range bytes.SplitSeq(value, []byte(",")) {
			if part = bytes.TrimSpace(part); len(part) < shortest {
				continue
			}
			if bytes.Contains(text, part) {
				return true
			}
			for _, f := range c.e.Origin.Header {
				if strings.Contains(string(f.Value), string(part)) {
					return true
				}
			}
		}
	}
	return false
}

// namesNobody reports whether an answer may repeat a field of the request.
func (c *capture) namesNobody(name, value string) bool {
	if checkName(name, harmless[:]) != abi.Accepted {
		return true
	}
	if strings.EqualFold(name, "Referer") { // a page has links to where one comes from
		at, err := url.Parse(value)
		return err == nil && at.Host == string(c.x.ctx.Host()) && at.RawQuery == "" && at.User == nil
	}
	return slices.ContainsFunc(c.x.edits, func(e abi.Edit) bool {
		return e.Op == abi.OpUpstreamHeader && strings.EqualFold(e.Target, name) // what a policy made of public keys
	})
}

// keepPolicies keeps which policies the route has, and returns their modules.
func (c *capture) keepPolicies() (code []exhibit.Code) {
	x := c.x
	for i := range x.picks {
		p, pk := &x.route.policies[i], &x.picks[i]
		k := exhibit.Policy{Name: p.name, Version: pk.version, Limits: exhibit.Limits(x.snap.site.Limits.Policy.Or(abi.DefaultLimits))}
		if p.ref.Kind == config.Uploaded && x.edge.store != nil {
			k.Limits = exhibit.Limits(x.edge.store.limits)
		}
		for _, s := range p.with {
			k.With = append(k.With, exhibit.Field{Name: s.Name, Value: exhibit.Text(s.Value)})
		}
		if pk.module != nil {
			digest := pk.module.Digest()
			k.Module, k.Entry = hex.EncodeToString(digest[:]), pk.manifest.Name
			code = append(code, exhibit.Code{Digest: digest, Bytes: x.moduleBytes(p, digest)})
		}
		c.e.Policies = append(c.e.Policies, k)
	}
	return code
}

// moduleBytes returns how to get the bytes of a module, after the exchange.
func (x *exchange) moduleBytes(p *policy, digest [32]byte) func() ([]byte, error) {
	ref, store, limit := p.ref, x.edge.store, x.snap.modules.limit
	return func() (code []byte, err error) {
		switch ref.Kind {
		case config.Builtin:
			code = builtin.Module()
		case config.Uploaded:
			return store.registry.Binary(digest) // which checks it
		default:
			code, err = readModule(ref.File, limit)
		}
		if sum := sha256.Sum256(code); err == nil && sum != digest {
			err = fmt.Errorf("%s is another by now", ref.Name)
		}
		return code, err
	}
}

// build names the build of this process, "" if it cannot tell.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value + rev
		case s.Key == "vcs.modified" && s.Value == "true":
			rev += "+changes"
		}
	}
	return rev
}

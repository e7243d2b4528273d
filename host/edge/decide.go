package edge

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// decide gathers the request's signals and settles what is granted. Of the
// place only what the decision grants stays in the exchange, so that nothing
// after this phase could use more. The jurisdiction is the host's own business:
// no policy reads it.
func (x *exchange) decide(whole geo.Place) {
	j := geo.JurisdictionOf(whole.Country, whole.Region)
	s := consent.Signals{
		Jurisdiction: consent.Jurisdiction{ID: j.ID, OptIn: j.Regime != geo.OptOut},
		GPC:          x.hasLine(nameGPC, "1"),
		DNT:          x.tenant.dnt && x.hasLine(nameDNT, "1"),
		Now:          x.began,
	}
	s.Choice, s.ChoiceUnreadable = x.openChoice()
	x.decision = consent.Decide(s)
	x.place = whole.At(precision(&x.decision))
}

// precision is how exactly a decision lets the visitor's place be known. The
// address never tells an exact place, whatever is granted.
func precision(d *consent.Decision) geo.Precision {
	if d.Grants(abi.Localize) {
		return geo.Cell
	}
	return geo.None
}

// hasLine reports whether any line of a request header is exactly value.
func (x *exchange) hasLine(name []byte, value string) bool {
	h := &x.ctx.Request.Header
	for _, v := range h.PeekAll(string(name)) {
		if string(v) == value {
			return true
		}
	}
	return false
}

// What a cookie of ours is for; part of what its seal binds.
const (
	useChoice      use = "choice"
	usePreferences use = "preferences"
)

type use string

// Cookies carry the __Host- prefix (RFC 6265bis, 4.1.3.2): no other host and no
// plain HTTP can set or read them. Browsers refuse that on plain HTTP, so in
// development, on this machine's own names, they carry a plain name.
func (x *exchange) cookieName(u use) string {
	plain := x.local && !x.secure()
	switch {
	case u == useChoice && plain:
		return "bespoke-choice"
	case u == useChoice:
		return "__Host-bespoke-choice"
	case plain:
		return "bespoke-preferences"
	}
	return "__Host-bespoke-preferences"
}

// secure reports whether the visitor came over TLS, as a trusted proxy says.
func (x *exchange) secure() bool {
	return x.trusted && string(x.ctx.Request.Header.PeekCanonical(nameForwardedProto)) == "https"
}

func (x *exchange) binding(u use) profile.Binding {
	return profile.Binding{Use: string(u), Tenant: x.tenant.name, Host: string(x.host)}
}

// cookie returns the value of a request cookie (RFC 6265, 4.2.1), and how many
// there are of that name.
func (x *exchange) cookie(name string) (value []byte, n int) {
	h := &x.ctx.Request.Header
	if len(h.PeekCanonical(nameCookie)) == 0 {
		return nil, 0
	}
	for _, line := range h.PeekAll("Cookie") {
		for pair := range bytes.SplitSeq(line, []byte(";")) {
			k, v, _ := bytes.Cut(bytes.TrimSpace(pair), []byte("="))
			if string(bytes.TrimSpace(k)) == name {
				value = bytes.TrimSpace(v)
				n++
			}
		}
	}
	return value, n
}

// openChoice returns the visitor's choice. One that cannot be read, or more
// than one, is unreadable: the decision takes it for a refusal.
func (x *exchange) openChoice() (c *consent.Choice, unreadable bool) {
	token, n := x.cookie(x.cookieName(useChoice))
	if n == 0 {
		return nil, false
	}
	if n > 1 {
		return nil, true
	}
	plain, err := x.edge.sealer.Open(token, x.binding(useChoice))
	if err != nil {
		return nil, true
	}
	c, err = consent.ParseChoice(plain)
	return c, err != nil
}

// openPreferences reads what the visitor declared. What cannot be read is as
// if nothing had been declared.
func (x *exchange) openPreferences() {
	token, n := x.cookie(x.cookieName(usePreferences))
	if n != 1 {
		return
	}
	if plain, err := x.edge.sealer.Open(token, x.binding(usePreferences)); err == nil {
		x.preferences, _ = profile.ParsePreferences(plain)
	}
}

// cookieLife is how long browsers keep what the visitor chose. They are asked
// again before (consent.ChoiceLife); a refusal outlives that.
const cookieLife = 400 * 24 * time.Hour // the most that browsers allow (RFC 6265bis, 5.5)

// ownPage answers what the edge itself serves on every site: the privacy
// centre and the GPC statement. It reports whether it did.
func (x *exchange) ownPage() bool {
	path := x.path
	if path == control.PathStatement {
		x.answer(control.Answer{Status: 200, ContentType: "application/json", Body: []byte(control.Statement)}, "public, max-age=86400")
		return true
	}
	if len(path) < len(control.Prefix) || path[:len(control.Prefix)] != control.Prefix {
		return false
	}
	req := &x.ctx.Request
	visit := control.Visit{
		Site: x.tenant.name, Decision: x.decision, Preferences: x.preferences,
		Used: x.tenant.used, Now: x.began,
	}
	if x.snap.geo != nil {
		info := x.snap.geo.Info()
		visit.Attribution, visit.AttributionURL = info.Attribution, info.AttributionURL
	}
	a := x.edge.privacy.Answer(control.Request{
		Method: string(req.Header.Method()), Path: path, Query: string(x.ctx.URI().QueryString()),
		ContentType: string(req.Header.ContentType()), Body: req.Body(), CrossOrigin: x.crossOrigin(),
	}, visit)
	if a.Choice != nil {
		x.setCookie(useChoice, a.Choice.Encode())
	}
	if a.Preferences != nil {
		if *a.Preferences == (profile.Preferences{}) {
			x.setCookie(usePreferences, nil)
		} else {
			x.setCookie(usePreferences, a.Preferences.Encode())
		}
	}
	caching := "no-store"
	if path == control.PathStyle {
		caching = "public, max-age=3600"
	}
	x.answer(a, caching)
	return true
}

func (x *exchange) answer(a control.Answer, caching string) {
	out := &x.ctx.Response
	out.SetStatusCode(a.Status)
	h := &out.Header
	if a.ContentType != "" {
		h.SetContentType(a.ContentType)
	}
	h.Set("Cache-Control", caching)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if a.Location != "" {
		h.Set("Location", a.Location)
	}
	if a.Status == fasthttp.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST")
	}
	out.SetBodyRaw(a.Body)
}

// crossOrigin reports whether a browser says that another site sent the
// request: by Sec-Fetch-Site (W3C Fetch Metadata), else by Origin. What is no
// browser sends neither, and holds no visitor's cookies.
func (x *exchange) crossOrigin() bool {
	h := &x.ctx.Request.Header
	if site := h.Peek("Sec-Fetch-Site"); len(site) > 0 {
		return string(site) != "same-origin" && string(site) != "none"
	}
	origin := h.Peek("Origin")
	if len(origin) == 0 {
		return false
	}
	var uri fasthttp.URI
	if err := uri.Parse(nil, origin); err != nil {
		return true
	}
	return string(uri.Host()) != string(x.ctx.Host())
}

// setCookie seals plain into one of our cookies; nil drops the cookie.
func (x *exchange) setCookie(u use, plain []byte) {
	var c fasthttp.Cookie
	name := x.cookieName(u)
	c.SetKey(name)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSecure(name[0] == '_')
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	if plain == nil {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(int(cookieLife / time.Second))
		c.SetValue(x.edge.sealer.Seal(plain, x.binding(u)))
	}
	x.ctx.Response.Header.SetCookie(&c)
}

package edge

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/host/profile"
)

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

// keepPreferences keeps the cookie in which the visitor's preferences are, until
// somebody wants to know them: opening it costs more than most policies do.
func (x *exchange) keepPreferences() {
	if token, n := x.cookie(x.cookieName(usePreferences)); n == 1 {
		x.sealed = append(x.sealed[:0], token...)
	}
}

// preferences returns what the visitor declared. What cannot be read is as if
// nothing had been declared.
func (x *exchange) preferences() *profile.Preferences {
	if len(x.sealed) > 0 {
		if plain, err := x.edge.sealer.Open(x.sealed, x.binding(usePreferences)); err == nil {
			x.declared, _ = profile.ParsePreferences(plain)
		}
		x.sealed = x.sealed[:0]
	}
	return &x.declared
}

// cookieLife is how long browsers keep what the visitor chose. They are asked
// again before (consent.ChoiceLife); a refusal outlives that.
const cookieLife = 400 * 24 * time.Hour // the most that browsers allow (RFC 6265bis, 5.5)

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

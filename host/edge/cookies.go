package edge

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/host/profile"
)

// What a cookie of ours is for; part of what its seal binds.
const (
	useChoice      use = "choice"
	usePreferences use = "preferences"
	useSubject     use = "subject"
	useWhy         use = "why"
	useInferred    use = "profile"
	useHidden      use = "hidden"
)

type use string

// Cookies carry the __Host- prefix (RFC 6265bis, 4.1.3.2): no other host and no
// plain HTTP can set or read them. Browsers refuse that on plain HTTP, so in
// development, on this machine's own names, they carry a plain name.
func (x *exchange) cookieName(u use) string {
	names := &hostNames
	if x.local && !x.secure() {
		names = &plainNames
	}
	switch u {
	case useChoice:
		return names.choice
	case usePreferences:
		return names.preferences
	case useSubject:
		return names.subject
	case useInferred:
		return names.inferred
	case useHidden:
		return names.hidden
	}
	return names.why
}

type cookieNames struct{ choice, preferences, subject, why, inferred, hidden string }

var (
	hostNames = cookieNames{
		"__Host-bespoke-choice", "__Host-bespoke-preferences", "__Host-bespoke-subject", "__Host-bespoke-why",
		"__Host-bespoke-profile", "__Host-bespoke-hidden",
	}
	plainNames = cookieNames{"bespoke-choice", "bespoke-preferences", "bespoke-subject", "bespoke-why", "bespoke-profile", "bespoke-hidden"}
)

// secure reports whether the visitor came over TLS, as a trusted proxy says.
func (x *exchange) secure() bool {
	return x.trusted && string(x.ctx.Request.Header.PeekCanonical(nameForwardedProto)) == "https"
}

func (x *exchange) binding(u use) profile.Binding {
	return profile.Binding{Use: string(u), Tenant: x.tenant.name, Host: string(x.host)}
}

var (
	ownMark   = []byte("bespoke-") // in the name of every cookie of ours
	semicolon = []byte(";")
	equals    = []byte("=")
)

// ownCookies are the cookies of ours that came with a request. They are opened
// when somebody wants to know, which for the preferences is seldom.
type ownCookies struct{ choice, preferences, subject, why, inferred, hidden ownCookie }

// An ownCookie is a cookie as it came: the last one of the name, and how many
// there were.
type ownCookie struct {
	token []byte
	n     int
}

func (o *ownCookies) reset() {
	for _, c := range [...]*ownCookie{&o.choice, &o.preferences, &o.subject, &o.why, &o.inferred, &o.hidden} {
		c.token, c.n = c.token[:0], 0
	}
}

// keptToken is the most of a token that is kept. It is more than a Sealer opens.
const keptToken = 4096 + 1

// keepCookies keeps our cookies (RFC 6265, 4.2.1), before the request is made the
// origin's.
func (x *exchange) keepCookies() {
	lines := x.ctx.Request.Header.PeekAll("Cookie") // an empty one hides none of those after it
	if len(lines) == 0 {
		return
	}
	names := &hostNames
	if x.local && !x.secure() {
		names = &plainNames
	}
	for _, line := range lines {
		if !bytes.Contains(line, ownMark) {
			continue
		}
		for pair := range bytes.SplitSeq(line, semicolon) {
			k, v, _ := bytes.Cut(bytes.TrimSpace(pair), equals)
			var c *ownCookie
			switch string(bytes.TrimSpace(k)) {
			case names.choice:
				c = &x.cookies.choice
			case names.preferences:
				c = &x.cookies.preferences
			case names.subject:
				c = &x.cookies.subject
			case names.why:
				c = &x.cookies.why
			case names.inferred:
				c = &x.cookies.inferred
			case names.hidden:
				c = &x.cookies.hidden
			default:
				continue
			}
			v = bytes.TrimSpace(v)
			c.token, c.n = append(c.token[:0], v[:min(len(v), keptToken)]...), c.n+1
		}
	}
}

// A keptChoice is the choice that the visitor's browser keeps.
type keptChoice struct {
	opened     bool
	unreadable bool            // there is one, or several, and nobody can tell what it is
	choice     *consent.Choice // nil: none, or unreadable
	issued     time.Time       // when the browser was told to keep it
	as         subjectTag      // whom the visitor was known as when they chose
}

// A subjectTag tells subjects apart; zero is nobody.
type subjectTag [12]byte

// The cookie of a choice is a version, the second in which it was issued, a tag,
// and the choice. A choice alone, which begins with a number below this one, is
// what earlier builds wrote.
const (
	choiceCookie     = 0xC1
	choiceCookieHead = 1 + 4 + len(subjectTag{})
)

func (k *keptChoice) encode() []byte {
	b := make([]byte, 0, 40)
	b = append(b, choiceCookie)
	b = binary.BigEndian.AppendUint32(b, uint32(k.issued.Unix()))
	b = append(b, k.as[:]...)
	return append(b, k.choice.Encode()...)
}

func (k *keptChoice) parse(b []byte) (err error) {
	if len(b) > choiceCookieHead && b[0] == choiceCookie {
		k.issued = time.Unix(int64(binary.BigEndian.Uint32(b[1:])), 0)
		copy(k.as[:], b[5:])
		b = b[choiceCookieHead:]
	}
	if k.choice, err = consent.ParseChoice(b); err == nil && k.issued.IsZero() {
		k.issued = k.choice.At
	}
	return err
}

// openChoice opens the visitor's choice. One that cannot be read, or more than
// one, is unreadable: the decision takes it for a refusal.
func (x *exchange) openChoice() {
	k, c := &x.kept, &x.cookies.choice
	if k.opened {
		return
	}
	if k.opened = true; c.n == 0 {
		return
	}
	plain, err := x.edge.sealer.Open(c.token, x.binding(useChoice))
	if err == nil {
		err = k.parse(plain)
	}
	if err != nil || c.n > 1 {
		*k = keptChoice{opened: true, unreadable: true}
	}
}

// renewAfter is how old the cookie of a refusal gets before the browser is told
// to keep it anew, so that a visitor who comes back within a year is not
// forgotten.
const renewAfter = 30 * 24 * time.Hour

// renews reports whether the cookie is to be sent anew. Only one that grants
// nothing any more is: a cookie that grants something, sent with an answer that
// was under way while the visitor withdrew, would bring back what they withdrew.
func (k *keptChoice) renews(now time.Time) bool {
	if k.choice == nil || now.Sub(k.issued) < renewAfter {
		return false
	}
	return k.choice.Granted == 0 || now.Sub(k.choice.At) > consent.ChoiceLife
}

// renewChoice has the browser keep a refusal for another while, if it is time.
func (x *exchange) renewChoice() {
	k := &x.kept // opened where something could be tailored
	if !k.renews(x.began) {
		return
	}
	k.issued = x.began
	x.setCookie(&x.in.Header, useChoice, k.encode())
	keepPrivate(&x.in.Header)
}

// preferences returns what the visitor declared. What cannot be read, or is
// there twice, is as if nothing had been declared.
func (x *exchange) preferences() *profile.Preferences {
	if c := &x.cookies.preferences; c.n > 0 {
		if c.n == 1 {
			if plain, err := x.edge.sealer.Open(c.token, x.binding(usePreferences)); err == nil {
				x.declared, _ = profile.ParsePreferences(plain)
			}
		}
		c.n = 0
	}
	return &x.declared
}

// cookieLife is how long browsers keep what the visitor chose. They are asked
// again before (consent.ChoiceLife); a refusal outlives that.
const cookieLife = 400 * 24 * time.Hour // the most that browsers allow (RFC 6265bis, 5.5)

// setCookie seals plain into one of our cookies on an answer; nil drops the cookie.
func (x *exchange) setCookie(h *fasthttp.ResponseHeader, u use, plain []byte) {
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
		if u != useWhy { // which ends with the session
			c.SetMaxAge(int(cookieLife / time.Second))
		}
		c.SetValue(x.edge.sealer.Seal(plain, x.binding(u)))
	}
	h.SetCookie(&c)
}

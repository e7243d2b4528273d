package config

import (
	"math"
	"strconv"
	"strings"

	"bespoke/host/consent"
)

// A Consent is how a site asks its visitors, and what it makes of their answer.
// It can only be stricter than the rules of the visitor's place.
type Consent struct {
	OptIn       bool   // ask every visitor, wherever they are; else where the rules of their place say so
	TextVersion uint16 // of the text that visitors are shown; what was allowed to another one is asked for again

	// Cookies are the names of the cookies that hold the IAB's consent strings;
	// those of the IAB where the file names none.
	Cookies consent.CookieNames

	DNT bool // honour the header DNT

	// StripPersonal says that the origin is not sent what is personal, where the
	// visitor has not granted personalize. StripCookies are then names of cookies;
	// one that ends in "*" stands for all that begin so.
	StripPersonal bool
	StripCookies  []string

	Brand Brand
}

// A Brand is what a site makes of its privacy centre. Whether it can be used
// (contrast, languages) is for the package that draws it; Line and Col are where
// to say what is wrong, 0 where the file has no brand.
type Brand struct {
	Accent, AccentDark string            // "#rrggbb"; "" for ours
	Logo               string            // path of an image on the site
	Title, Intro       map[string]string // by language; "" for the others
	Line, Col          int
}

func (d *decoder) consent(n *node, c *Consent) {
	var strip, listed pos
	d.mapping(n, "consent", []field{
		{"regime", false, func(n *node) { c.OptIn = d.regime(n) }},
		{"text_version", false, func(n *node) {
			if v, ok := d.count(n, "text_version", math.MaxUint16); ok {
				c.TextVersion = uint16(v)
			}
		}},
		{"cookies", false, func(n *node) { d.signalCookies(n, &c.Cookies) }},
		{"dnt", false, func(n *node) {
			if d.word(n, "dnt", "honour", "ignore") == "honour" {
				c.DNT = true
			}
		}},
		{"strip", false, func(n *node) {
			strip = n.pos
			c.StripPersonal = d.word(n, "strip", "personal", "nothing") == "personal"
		}},
		{"strip_cookies", false, func(n *node) { listed, c.StripCookies = n.pos, d.stripCookies(n) }},
		{"brand", false, func(n *node) { d.brand(n, &c.Brand) }},
	})
	if listed != (pos{}) && strip == (pos{}) {
		d.errorf(listed, "strip_cookies: names cookies, but nothing is stripped without strip: personal")
	}
}

// regime reads what a site asks for in every place. A place's own rules cannot
// be loosened.
func (d *decoder) regime(n *node) bool {
	const want = "opt-in, which asks every visitor; leave the key out for the rules of each visitor's place"
	s, ok := d.text(n, "regime", want)
	if !ok || s == "opt-in" {
		return ok
	}
	why := ""
	if s == "opt-out" || s == "none" || s == "off" {
		why = "; a site can only be stricter than the rules of a visitor's place"
	}
	d.errorf(n.pos, "regime: found %s, expected %s%s", n.describe(), want, why)
	return false
}

// word reads one of some words.
func (d *decoder) word(n *node, what string, words ...string) string {
	s, ok := d.text(n, what, list(words))
	if !ok {
		return ""
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	d.errorf(n.pos, "%s: found %s, expected %s%s", what, n.describe(), list(words), suggest(s, words))
	return ""
}

func (d *decoder) signalCookies(n *node, names *consent.CookieNames) {
	seen := map[string]pos{}
	one := func(key string, to *string) field {
		return field{key, false, func(n *node) {
			s, ok := d.cookieName(n, key, false)
			if !ok {
				return
			}
			if at, twice := seen[s]; twice {
				d.errorf(n.pos, "%s: the cookie %s is named at %s already", key, quote(s), at)
				return
			}
			seen[s], *to = n.pos, s
		}}
	}
	d.mapping(n, "cookies", []field{one("tcf", &names.TCF), one("gpp", &names.GPP), one("usprivacy", &names.USPrivacy)})
	if n.kind == mapping && (names.TCF == names.GPP || names.TCF == names.USPrivacy || names.GPP == names.USPrivacy) && len(seen) < 3 {
		d.errorf(n.pos, "cookies: two of the consent strings would come in the same cookie, as the others have the names %s, %s and %s",
			quote(consent.DefaultCookieNames().TCF), quote(consent.DefaultCookieNames().GPP), quote(consent.DefaultCookieNames().USPrivacy))
	}
}

const (
	maxCookieName   = 128
	maxStripCookies = 100
)

func (d *decoder) stripCookies(n *node) (out []string) {
	seen := map[string]pos{}
	d.each(n, "strip_cookies", func(n *node) {
		s, ok := d.cookieName(n, "strip_cookies", true)
		if !ok {
			return
		}
		if at, twice := seen[s]; twice {
			d.errorf(n.pos, "strip_cookies: %s stands at %s already", quote(s), at)
			return
		}
		if seen[s] = n.pos; len(seen) == maxStripCookies+1 {
			d.errorf(n.pos, "strip_cookies: found more than %d names; one that ends in \"*\" stands for several", maxStripCookies)
		}
		out = append(out, s)
	})
	return out
}

// cookieName checks the name of a cookie: a token (RFC 6265, 4.1.1; RFC 9110,
// 5.6.2). A "*", of which tokens may consist too, stands only at the end, and
// only where a name may stand for several.
func (d *decoder) cookieName(n *node, what string, several bool) (string, bool) {
	want := "the name of a cookie"
	if several {
		want += ", or the beginning of names and \"*\""
	}
	s, ok := d.text(n, what, want)
	if !ok {
		return "", false
	}
	name := s
	if several {
		name = strings.TrimSuffix(s, "*")
	}
	why := ""
	switch bare := strings.TrimPrefix(name, "__Host-"); {
	case len(s) > maxCookieName:
		why = "; it has more than " + strconv.Itoa(maxCookieName) + " bytes"
	case strings.HasPrefix(bare, "bespoke-"):
		why = "; those that begin with \"bespoke-\" are the edge's own, and never go to the origin"
	case strings.Contains(name, "*"):
		why = "; \"*\" stands only at the end of a list's names"
	case name != "" && isToken(name):
		return s, true
	}
	d.errorf(n.pos, "%s: found %s, expected %s%s", what, n.describe(), want, why)
	return "", false
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

func (d *decoder) brand(n *node, b *Brand) {
	b.Line, b.Col = n.line, n.col
	one := func(key string, to *string, want string) field {
		return field{key, false, func(n *node) { *to, _ = d.text(n, key, want) }}
	}
	words := func(key string, to *map[string]string) field {
		return field{key, false, func(n *node) { *to = d.words(n, key) }}
	}
	d.mapping(n, "brand", []field{
		one("accent", &b.Accent, "a colour such as \"#0b5cad\""),
		one("accent_dark", &b.AccentDark, "a colour such as \"#8cc8e6\""),
		one("logo", &b.Logo, "a path on the site itself, such as /logo.svg"),
		words("title", &b.Title),
		words("intro", &b.Intro),
	})
}

// words reads a text, or texts by language.
func (d *decoder) words(n *node, what string) map[string]string {
	const want = "a text, or texts by language such as {en: ..., de: ...}"
	if n.kind == scalar {
		s, ok := d.text(n, what, want)
		if !ok {
			return nil
		}
		return map[string]string{"": s}
	}
	if n.kind != mapping {
		d.errorf(n.pos, "%s: found %s, expected %s", what, n.describe(), want)
		return nil
	}
	out := map[string]string{}
	for _, p := range n.pairs {
		if _, twice := out[p.key.text]; twice || p.key.text == "" {
			d.errorf(p.key.pos, "%s: the language %s stands twice, or is empty", what, quote(p.key.text))
			continue
		}
		if s, ok := d.text(p.value, what, "a text"); ok {
			out[p.key.text] = s
		}
	}
	return out
}

package edge

import (
	"bytes"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// A stripping is what a tenant wants its origin not to be sent of visitors who
// have not granted personalize. It is immutable.
type stripping struct {
	exact    map[string]bool // names of cookies
	prefixes []string        // of names of cookies
}

// newStripping returns nil where the tenant asks for nothing of the kind.
func newStripping(c *config.Consent) *stripping {
	if !c.StripPersonal {
		return nil
	}
	s := &stripping{exact: map[string]bool{}}
	for _, name := range c.StripCookies {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.exact[name] = true
		}
	}
	return s
}

// cookie reports whether a cookie of that name is personal. Names are compared
// as they are (RFC 6265, 5.3: case matters).
func (s *stripping) cookie(name []byte) bool {
	if s == nil {
		return false
	}
	if s.exact[string(name)] {
		return true
	}
	for _, p := range s.prefixes {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// stripping returns what is to be kept from the origin in this exchange, nil for
// nothing.
func (x *exchange) stripping() *stripping {
	if x.tenant.strip == nil || x.decision.Grants(abi.Personalize) {
		return nil
	}
	return x.tenant.strip
}

var (
	nameReferer = []byte("Referer")

	// otherAddresses are fields in which proxies and content networks write the
	// visitor's whole address: Cloudflare (HTTP headers reference), Akamai and
	// Cloudflare (True-Client-IP), Fastly, Fly.io, Azure Front Door, Envoy,
	// ingress-nginx, and two of no owner. X-Forwarded-For tells it coarsely.
	otherAddresses = [...][]byte{
		[]byte("Cf-Connecting-Ip"), []byte("Cf-Connecting-Ipv6"), []byte("Cf-Pseudo-Ipv4"), []byte("True-Client-Ip"),
		[]byte("Fastly-Client-Ip"), []byte("Fly-Client-Ip"), []byte("X-Azure-Clientip"), []byte("X-Azure-Socketip"),
		[]byte("X-Envoy-External-Address"), []byte("X-Original-Forwarded-For"), []byte("X-Client-Ip"), []byte("X-Cluster-Client-Ip"),
	}

	// highEntropy are the client hints that tell more about a browser than every
	// site is told: those of WICG "User-Agent Client Hints", section 3, that are
	// not in the low entropy hint table of WICG "Client Hints Infrastructure",
	// which has Sec-CH-UA, Sec-CH-UA-Mobile and Sec-CH-UA-Platform.
	highEntropy = [...][]byte{
		[]byte("Sec-Ch-Ua-Arch"), []byte("Sec-Ch-Ua-Bitness"), []byte("Sec-Ch-Ua-Form-Factors"), []byte("Sec-Ch-Ua-Full-Version"),
		[]byte("Sec-Ch-Ua-Full-Version-List"), []byte("Sec-Ch-Ua-Model"), []byte("Sec-Ch-Ua-Platform-Version"), []byte("Sec-Ch-Ua-Wow64"),
	}
)

// stripPersonal takes out of the request for the origin what is personal, but for
// cookies (keptCookies) and X-Forwarded-For (forwardedFor). forwarded is the new
// value of Forwarded, "" for none.
func (x *exchange) stripPersonal(h *fasthttp.RequestHeader, forwarded []byte) {
	for _, name := range highEntropy {
		h.DelBytes(name)
	}
	for _, name := range otherAddresses {
		h.DelBytes(name)
	}
	x.coarsenRealIP(h)
	h.DelBytes(nameForwarded)
	if len(forwarded) > 0 {
		h.SetCanonical(nameForwarded, forwarded)
	}
	if lines := h.PeekAll("Referer"); len(lines) > 0 {
		origin := originOf(lines[0])
		single := len(lines) == 1
		if origin == "" || !single {
			h.DelBytes(nameReferer)
		}
		if origin != "" && single { // several contradict each other
			h.SetCanonical(nameReferer, []byte(origin))
		}
	}
}

// originOf returns what the Referrer Policy "origin" would have let a browser
// send instead of a referrer: scheme, host and port, and "/" (W3C Referrer
// Policy, 8.4). It is "" for what is no address of a page.
func originOf(referrer []byte) string {
	u, err := url.Parse(string(referrer))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !validHost([]byte(u.Host)) {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/"
}

// coarse returns an address without what tells one household from the next: the
// last 8 bits of IPv4, the last 80 of IPv6.
func coarse(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{} // no address at all
	}
	return p.Addr()
}

// coarsenRealIP makes X-Real-IP coarse; what is no address goes.
func (x *exchange) coarsenRealIP(h *fasthttp.RequestHeader) {
	lines := h.PeekAll("X-Real-Ip")
	if len(lines) == 0 {
		return
	}
	a, ok := parseForwarded(bytes.TrimSpace(lines[0]))
	ok = ok && len(lines) == 1
	h.DelBytes(nameRealIP)
	if ok {
		h.SetCanonical(nameRealIP, coarse(a).AppendTo(nil))
	}
}

// forwardedFor appends the value of X-Forwarded-For for the origin: the way that
// the request came, which is believed, and kept, only from a trusted proxy, then
// the peer. With coarsen every address on it is made coarse, but those of trusted
// proxies: they are the operator's, and the origin may know them by it. The first
// is the visitor's in any case.
func (x *exchange) forwardedFor(way []byte, coarsen bool) []byte {
	h := &x.ctx.Request.Header
	begin := len(way)
	if x.trusted {
		for _, line := range h.PeekAll("X-Forwarded-For") {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			if !coarsen {
				way = append(append(way, line...), ", "...)
				continue
			}
			for entry := range bytes.SplitSeq(line, []byte(",")) {
				way = append(x.appendHop(way, bytes.TrimSpace(entry), len(way) == begin), ", "...)
			}
		}
	}
	if coarsen && (!x.trusted || len(way) == begin) {
		return coarse(x.peer).AppendTo(way)
	}
	return x.peer.AppendTo(way)
}

// appendHop appends one address of the way, coarse if it may be a visitor's.
func (x *exchange) appendHop(dst, entry []byte, first bool) []byte {
	a, ok := parseForwarded(entry)
	switch {
	case !ok:
		return append(dst, "unknown"...) // whatever it was, it could be a name for the visitor
	case !first && x.trusts(a):
		return a.AppendTo(dst)
	}
	return coarse(a).AppendTo(dst)
}

// hasGPC reports whether the request carries the Global Privacy Control signal. The
// origin is sent it as it is to be written, once, and nothing where it is not there:
// a consent string that says the same is not the header.
func hasGPC(h *fasthttp.RequestHeader) bool {
	var s consent.Signals
	var none consent.CookieNames
	for _, line := range h.PeekAll("Sec-GPC") {
		s.Header(nameGPC, line, &none)
	}
	return s.GPC
}

// isOwn reports whether a cookie of that name is one of ours, with the prefix
// that it has over TLS or without: both may be there, on a machine that serves
// both.
func isOwn(name []byte) bool {
	name, ok := bytes.CutPrefix(bytes.TrimPrefix(name, []byte("__Host-")), ownMark)
	switch string(name) {
	case "choice", "preferences", "subject", "why", "profile", "hidden":
		return ok
	}
	return false
}

// keptCookies appends to dst what the origin gets of the visitor's cookies: not our
// own, as they are between the visitor and the edge, and not those to be stripped.
// less is false where that is the one line that came.
func keptCookies(dst []byte, lines [][]byte, strip *stripping) (kept []byte, less bool) {
	less = len(lines) > 1 // one line is all that there is in HTTP/1.1 (RFC 6265, 5.4)
	for _, line := range lines {
		less = less || strip != nil || bytes.Contains(line, ownMark)
	}
	if !less {
		return dst, false
	}
	kept = dst
	begin := len(dst)
	for _, line := range lines {
		first := true // of this line
		for pair, more := line, true; more; {
			pair, line, more = bytes.Cut(line, semicolon)
			name, _, _ := bytes.Cut(pair, equals)
			if name = bytes.TrimSpace(name); isOwn(name) || strip.cookie(name) {
				continue
			}
			switch {
			case first && len(kept) > begin:
				kept = append(kept, "; "...)
			case !first:
				kept = append(kept, ';')
			}
			if first {
				pair = bytes.TrimLeft(pair, " \t")
			}
			kept, first = append(kept, pair...), false
		}
	}
	return kept, true
}

// setCookies sends cookies to the origin as they are, in place of n lines. fasthttp would parse the
// site's own, write them anew, and lose some, if it knew that this is Cookie. The
// line is as short as what is left: blanks in place of a cookie would tell how
// long it was.
func setCookies(h *fasthttp.RequestHeader, cookies []byte, n int) {
	none := len(bytes.TrimSpace(cookies)) == 0
	if n > 1 || none {
		h.DelBytes(nameCookie)
	}
	if none {
		return
	}
	h.DisableSpecialHeader()
	h.SetCanonical(nameCookie, cookies)
	h.EnableSpecialHeader()
}

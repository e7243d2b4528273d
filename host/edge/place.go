package edge

import (
	"bytes"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
)

// findPlace returns where the visitor is, as exactly as the database knows. It
// does not keep the address; only the origin is sent it (prepareRequest).
func (x *exchange) findPlace() geo.Place {
	addr := x.clientAddr()
	if x.snap.geo == nil {
		return geo.Place{}
	}
	return x.snap.geo.Lookup(addr)
}

// clientAddr returns the address of the visitor: the peer's, or, where the peer
// is a trusted proxy, the last in X-Forwarded-For that is not of a trusted
// proxy. What stands before that was written by whoever sent it, and counts
// for nothing. An entry that is no address ends the search: unknown.
func (x *exchange) clientAddr() netip.Addr {
	addr := x.peer
	h := &x.ctx.Request.Header
	if !x.trusted || len(h.PeekCanonical(nameForwardedFor)) == 0 {
		return addr
	}
	lines := h.PeekAll("X-Forwarded-For")
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			var entry []byte
			if j := bytes.LastIndexByte(rest, ','); j >= 0 {
				entry, rest = rest[j+1:], rest[:j]
			} else {
				entry, more = rest, false
			}
			a, ok := parseForwarded(bytes.TrimSpace(entry))
			if !ok {
				return netip.Addr{}
			}
			addr = a
			if !x.trusts(a) {
				return a
			}
		}
	}
	return addr
}

func (x *exchange) trusts(a netip.Addr) bool {
	for _, p := range x.snap.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func peer(ctx *fasthttp.RequestCtx) netip.Addr {
	if t, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// parseForwarded reads an entry of X-Forwarded-For: an address, which some
// proxies write with a port.
func parseForwarded(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil {
			return a.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}

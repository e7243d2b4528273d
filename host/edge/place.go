package edge

import (
	"bytes"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/profile"
	"bespoke/modules/abi"
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
	if !x.trusted {
		return addr
	}
	lines := x.ctx.Request.Header.PeekAll("X-Forwarded-For")
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

// A source is what told a place.
type source uint8

const (
	fromAddress source = iota // and the database
	fromVisitor               // who chose it
	fromBrowser               // the coordinates; the names are the address's
)

// chosePlace reports whether the visitor said where they want to be taken to be.
// That is used because they asked for it, and needs no purpose.
func (x *exchange) chosePlace() bool { return x.preferences().Place.Mode == profile.PlaceChosen }

// where returns the place that policies read. What the visitor declared beats what
// their address tells, and is not mixed with it: a chosen place is known by what
// they gave of it, and by nothing else. An exact place of the browser was given for
// the purpose locate; without that it is as if it were not there.
func (x *exchange) where() (geo.Place, source) {
	switch p := &x.preferences().Place; {
	case p.Mode == profile.PlaceChosen:
		return geo.Place{City: p.Name, Located: p.Located, Lat: p.Lat, Lon: p.Lon, Precision: geo.Exact}, fromVisitor
	case p.Mode == profile.PlaceExact && p.Located && x.decision.Grants(abi.Locate):
		whole := x.place
		if whole.Located && geo.Distance(whole.Lat, whole.Lon, p.Lat, p.Lon) > sameArea {
			whole = geo.Place{} // the address is not where the visitor is: a VPN, or a carrier's exit
		}
		whole.Located, whole.Lat, whole.Lon, whole.Precision = true, p.Lat, p.Lon, geo.Exact
		return whole, fromBrowser
	}
	return x.place, fromAddress
}

// sameArea is how far, in kilometres, the address's place may lie from the
// browser's for its names to be believed. Databases place addresses in a town
// near by, seldom in the very one.
const sameArea = 100

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

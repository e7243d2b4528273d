package edge

import "bytes"

// findTenant finds the site that the request is for, by its host (RFC 9110,
// 7.2), and its route.
func (x *exchange) findTenant() fault {
	h := &x.ctx.Request.Header
	if h.IsConnect() || h.IsTrace() {
		return methodRefused
	}
	if p := h.Protocol(); string(p) != "HTTP/1.1" && string(p) != "HTTP/1.0" {
		return badVersion
	}
	x.unchunked = !h.IsHTTP11()
	// The site is the one of the Host header; a request target that names
	// another is a trick.
	if !validHost(h.Host()) || !bytes.EqualFold(h.Host(), x.ctx.Host()) {
		return badRequest
	}
	x.host = hostname(x.scratch[:0], h.Host())
	x.scratch = x.host[len(x.host):]
	x.tenant = x.snap.tenant(x.host)
	if x.tenant == nil {
		return unknownSite
	}
	x.local = isLocal(x.host)
	x.peer = peer(x.ctx)
	x.trusted = x.trusts(x.peer)
	x.path = string(x.ctx.Path())
	if len(x.tenant.routes) > 0 {
		x.route = x.tenant.route(x.path)
	}
	if x.route != nil && x.route.headers {
		x.keepVisible()
	}
	return noFault
}

// validHost reports whether a Host header's value has only what hosts and ports
// are made of.
func validHost(h []byte) bool {
	for _, c := range h {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(h) > 0
}

// hostname appends a Host header's value to dst, in lower case and without port.
func hostname(dst, h []byte) []byte {
	if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
		h = h[:i]
	}
	h = bytes.TrimSuffix(h, []byte("."))
	for _, c := range h {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// isLocal reports whether browsers take plain HTTP to this host for
// trustworthy (W3C Secure Contexts, 3.1), as in development.
func isLocal(host []byte) bool {
	switch {
	case string(host) == "localhost", string(host) == "[::1]", bytes.HasSuffix(host, []byte(".localhost")):
		return true
	case bytes.HasPrefix(host, []byte("127.")):
		return len(bytes.Trim(host, "0123456789.")) == 0
	}
	return false
}

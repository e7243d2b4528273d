package edge

import "bytes"

// findTenant finds the site that the request is for, by its host (RFC 9110,
// 7.2), and its route.
func (x *exchange) findTenant() fault {
	h := &x.ctx.Request.Header
	if h.IsConnect() || h.IsTrace() {
		return methodRefused
	}
	x.host = hostname(x.ctx.Host())
	x.tenant = x.snap.tenant(x.host)
	if x.tenant == nil {
		return unknownSite
	}
	x.local = isLocal(x.host)
	x.path = string(x.ctx.Path())
	if len(x.tenant.routes) > 0 {
		x.route = x.tenant.route(x.path)
	}
	if x.route != nil && len(x.route.policies) > 0 {
		x.keepVisible()
	}
	return noFault
}

// hostname lowers the case of a Host header's value in place and cuts its port.
func hostname(h []byte) []byte {
	if i := bytes.LastIndexByte(h, ':'); i >= 0 && bytes.IndexByte(h[i:], ']') < 0 {
		h = h[:i]
	}
	h = bytes.TrimSuffix(h, []byte("."))
	for i, c := range h {
		if 'A' <= c && c <= 'Z' {
			h[i] = c + 'a' - 'A'
		}
	}
	return h
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

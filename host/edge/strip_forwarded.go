package edge

import (
	"bytes"
	"strings"
)

// coarseForwarded writes Forwarded (RFC 7239) anew: of each element the
// parameters for and by with coarse addresses, proto and host as they are, and
// nothing else, as an extension may hold anything. What is not of that form comes
// to nothing.
func (x *exchange) coarseForwarded(lines [][]byte) (out []byte) {
	ok := true
	for _, line := range lines {
		if out, ok = x.appendForwarded(out, string(line)); !ok {
			return nil
		}
	}
	return out
}

// appendForwarded appends the elements of one line (RFC 7239, 4).
func (x *exchange) appendForwarded(out []byte, s string) (_ []byte, ok bool) {
	separator := ", "
	if len(out) == 0 {
		separator = ""
	}
	for first := len(out) == 0; ; {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return out, true
		}
		switch s[0] { // between elements or parameters; empty ones are let pass (RFC 9110, 5.6.1.2)
		case ',':
			if separator = ", "; len(out) == 0 {
				separator = ""
			}
			first, s = len(out) == 0, s[1:]
			continue
		case ';':
			s = s[1:]
			continue
		}
		name, value, rest, ok := parameter(s)
		if !ok {
			return nil, false
		}
		s = rest
		if name, value = strings.ToLower(name), x.coarseParameter(name, value, first); value == "" {
			continue
		}
		out = append(append(append(append(out, separator...), name...), '='), value...)
		separator = ";"
	}
}

// coarseParameter returns a parameter's value as it may be sent on, quoted if
// need be; "" if it may not.
func (x *exchange) coarseParameter(name, value string, first bool) string {
	switch strings.ToLower(name) {
	case "for":
		return forwardedNode(string(x.appendHop(nil, []byte(value), first)))
	case "by":
		return forwardedNode(string(x.appendHop(nil, []byte(value), false)))
	case "proto":
		if value == "http" || value == "https" {
			return value
		}
	case "host":
		if validHost([]byte(value)) {
			return `"` + value + `"`
		}
	}
	return ""
}

// forwardedNode writes an address as a node (RFC 7239, 6): IPv6 in brackets, which
// need quotes.
func forwardedNode(a string) string {
	if strings.Contains(a, ":") {
		return `"[` + a + `]"`
	}
	return a
}

// parameter reads token "=" ( token / quoted-string ) from the beginning of s,
// up to what separates it from the next.
func parameter(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, " \t\",;") {
		return "", "", "", false
	}
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ",;")
		if end < 0 {
			end = len(s)
		}
		value = strings.TrimRight(s[:end], " \t")
		return name, value, s[end:], !strings.ContainsAny(value, " \t\"")
	}
	var b bytes.Buffer
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", "", "", false
			}
			b.WriteByte(s[i])
		case '"':
			rest = strings.TrimLeft(s[i+1:], " \t")
			return name, b.String(), rest, rest == "" || rest[0] == ',' || rest[0] == ';'
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", "", false
}

package config

import (
	"errors"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reason is an error of the file system without the operation and the path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// address checks host:port. The host may be empty, the port 0.
func (d *decoder) address(n *node, what string) string {
	const want = "an address such as 127.0.0.1:8080"
	s, ok := d.text(n, what, want)
	if !ok {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	hint := ""
	switch {
	case err != nil && hostName(s) && !number(s):
		hint = "; the port is missing"
	case err != nil && number(s):
		hint = "; did you mean \":" + s + "\"?"
	case err != nil:
	case !number(port) || !portFits(port):
		hint = "; a port is a number from 0 to 65535"
	case host == "" || hostName(host):
		return s
	default:
		if _, err := netip.ParseAddr(host); err == nil {
			return s
		}
	}
	d.errorf(n.pos, "%s: found %s, expected %s%s", what, n.describe(), want, hint)
	return ""
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func portFits(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// hostName reports whether s is a host name in lower case: labels of letters,
// digits, hyphens and (as they are met) underscores (RFC 1123, section 2.1).
func hostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// hostPattern returns a tenant's host as it is kept; if s is none, a hint why, where there is one.
func hostPattern(s string) (host, why string, ok bool) {
	h := strings.ToLower(s)
	if strings.HasPrefix(h, "[") && strings.HasSuffix(h, "]") {
		a, err := netip.ParseAddr(h[1 : len(h)-1])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", "; in brackets stands an IPv6 address", false
		}
		return "[" + a.String() + "]", "", true
	}
	name := strings.TrimPrefix(h, "*.")
	before, _, colon := strings.Cut(name, ":")
	switch {
	case strings.Contains(h, "://"):
		why = "; a host has no scheme"
	case strings.Contains(name, "*"):
		why = "; \"*\" stands only for all of the first part"
	case isIPv6(name):
		why = "; an IPv6 address stands in brackets"
	case colon && hostName(before):
		why = "; a host has no port"
	case strings.HasSuffix(name, "."):
		why = "; without the dot at its end"
	default:
		return h, "", hostName(name)
	}
	return "", why, false
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// origin checks a URL of scheme and host. What may hold a password is never shown.
func (d *decoder) origin(n *node) *url.URL {
	const want = "a URL such as http://127.0.0.1:3000"
	s, ok := d.text(n, "origin", want)
	if !ok {
		return nil
	}
	if strings.Contains(s, "@") {
		d.errorf(n.pos, "origin: the URL has a user name or an \"@\", expected %s", want)
		return nil
	}
	u, err := url.Parse(s)
	why := ""
	switch {
	case !strings.Contains(s, "://"):
		rest := strings.TrimPrefix(strings.TrimPrefix(s, "http:"), "https:")
		why = "; did you mean " + quote("http://"+strings.TrimLeft(rest, "/")) + "?"
	case err != nil:
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		why = ": " + err.Error()
	case u.Scheme != "http" && u.Scheme != "https":
		why = "; the scheme is http or https"
	case u.Host == "":
		why = "; the host is missing"
	case u.Path != "" && u.Path != "/":
		why = "; it may not have a path"
	case strings.ContainsAny(s, "?#"):
		why = "; it may not have a query or a fragment"
	default:
		if host, ok := originHost(u); ok {
			return &url.URL{Scheme: u.Scheme, Host: host}
		}
		why = "; the host or the port is not valid"
	}
	d.errorf(n.pos, "origin: found %s, expected %s%s", n.describe(), want, why)
	return nil
}

func originHost(u *url.URL) (string, bool) {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(u.Host, ":") || port != "" && (!portFits(port) || strings.Trim(port, "0") == "") {
		return "", false
	}
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return "", false
		}
		host = "[" + a.String() + "]"
	} else if !hostName(host) {
		return "", false
	}
	if port != "" {
		host += ":" + port
	}
	return host, true
}

var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"", 1},
}

// parseSize reads 64KiB, 1MB or plain bytes. ok is false for anything else and
// for what does not fit an int64; hint is then the unit that was perhaps meant.
func parseSize(s string) (n int64, hint string, ok bool) {
	digits := s
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = s[:i]
	}
	unit := s[len(digits):]
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, "", false
	}
	for _, u := range units {
		if unit == u.name {
			return v * u.bytes, "", v <= math.MaxInt64/u.bytes
		}
	}
	for _, u := range units {
		if c := strings.TrimSpace(strings.ToLower(unit)); c == strings.ToLower(u.name) || c+"ib" == strings.ToLower(u.name) {
			return 0, "; did you mean " + digits + u.name + "?", false
		}
	}
	return 0, "", false
}

// size checks a number of bytes between least and most.
func (d *decoder) size(n *node, what string, least, most int64) (int64, bool) {
	const want = "a size such as 64KiB, 10MiB, 1MB or 4096"
	if n.kind != scalar {
		d.errorf(n.pos, "%s: found %s, expected %s", what, n.describe(), want)
		return 0, false
	}
	v, hint, ok := parseSize(n.text)
	if !ok {
		d.errorf(n.pos, "%s: found %s, expected %s%s", what, n.describe(), want, hint)
		return 0, false
	}
	if v < least || v > most {
		d.errorf(n.pos, "%s: found %s, expected from %s to %s", what, n.describe(), showSize(least), showSize(most))
		return 0, false
	}
	return v, true
}

func showSize(n int64) string {
	for _, u := range []int{2, 1, 0} {
		if n >= units[u].bytes && n%units[u].bytes == 0 {
			return strconv.FormatInt(n/units[u].bytes, 10) + units[u].name
		}
	}
	return strconv.FormatInt(n, 10)
}

// duration checks a time between a millisecond and most, in whole milliseconds.
func (d *decoder) duration(n *node, what string, most time.Duration) (time.Duration, bool) {
	const want = "a time such as 5s or 100ms"
	if n.kind != scalar {
		d.errorf(n.pos, "%s: found %s, expected %s", what, n.describe(), want)
		return 0, false
	}
	v, err := time.ParseDuration(n.text)
	if err != nil {
		hint := ""
		if number(n.text) && len(n.text) < 9 {
			hint = "; did you mean " + n.text + "s?"
		}
		d.errorf(n.pos, "%s: found %s, expected %s%s", what, n.describe(), want, hint)
		return 0, false
	}
	if v < time.Millisecond || v > most || v%time.Millisecond != 0 {
		d.errorf(n.pos, "%s: found %s, expected whole milliseconds from 1ms to %s", what, n.describe(), showTime(most))
		return 0, false
	}
	return v, true
}

// showTime leaves out the minutes and seconds that are zero.
func showTime(t time.Duration) string {
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// count checks a whole number between 1 and most.
func (d *decoder) count(n *node, what string, most int) (int, bool) {
	v, err := strconv.Atoi(n.text)
	fits := n.kind == scalar && err == nil && number(n.text) && v >= 1 && v <= most
	if !fits || n.quoted {
		hint := ""
		if fits {
			hint = "; leave the quotes out"
		}
		d.errorf(n.pos, "%s: found %s, expected a whole number from 1 to %d%s", what, n.describe(), most, hint)
		return 0, false
	}
	return v, true
}

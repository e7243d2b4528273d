package probe

import (
	"net/http"
	"strings"
	"time"
)

// A jar keeps the cookies of one visitor for one site, in the order in which they
// came, so that equal visitors send equal bytes. It sends Secure cookies without TLS
// too: what is looked for is what the site does with them.
type jar struct{ cookies []jarCookie }

type jarCookie struct{ name, value, path string }

// Bounds of a jar, near those of browsers (RFC 6265, 6.1).
const (
	maxCookies     = 180
	maxCookieBytes = 4096
)

func (j *jar) set(name, value, path string) {
	if len(name)+len(value) > maxCookieBytes {
		return
	}
	for i := range j.cookies {
		if c := &j.cookies[i]; c.name == name && c.path == path {
			c.value = value
			return
		}
	}
	if len(j.cookies) < maxCookies {
		j.cookies = append(j.cookies, jarCookie{name, value, path})
	}
}

// take keeps what an answer to a request for a path sets, and drops what it ends.
func (j *jar) take(h http.Header, path string, now time.Time) {
	for _, line := range h["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			continue
		}
		if c.Path == "" || c.Path[0] != '/' {
			c.Path = "/" // RFC 6265, 5.1.4
			if i := strings.LastIndexByte(path, '/'); i > 0 {
				c.Path = path[:i]
			}
		}
		if c.MaxAge < 0 || c.MaxAge == 0 && !c.Expires.IsZero() && c.Expires.Before(now) {
			j.drop(c.Name, c.Path)
			continue
		}
		j.set(c.Name, c.Value, c.Path)
	}
}

func (j *jar) drop(name, path string) {
	for i := range j.cookies {
		if j.cookies[i].name == name && j.cookies[i].path == path {
			j.cookies = append(j.cookies[:i], j.cookies[i+1:]...)
			return
		}
	}
}

// header returns the value of Cookie for a request, "" for none.
func (j *jar) header(path string) string {
	var b strings.Builder
	for _, c := range j.cookies {
		if !strings.HasPrefix(path, c.path) || len(path) > len(c.path) && c.path[len(c.path)-1] != '/' && path[len(c.path)] != '/' {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name + "=" + c.value)
	}
	return b.String()
}

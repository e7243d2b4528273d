package probe

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const concealed = "CONCEALED"

// secrets are what a file tells of accounts, and must be in no report: what their
// visitors carry, where they go and what they send, and the cookies that they get for it.
type secrets struct {
	headers   map[string]bool // canonical names
	cookies   map[string]bool // names
	urls      map[string]bool // of what they do before a page is measured
	bodies    map[string]bool
	replacer  *strings.Replacer // of values, where they stand in something else
	elsewhere string            // what stands for an address
}

// leastSecret is how long a value is, in bytes, that is looked for in other values. A
// shorter one would be found in too much; under its own name it is concealed all the same.
const leastSecret = 4

// secrets returns those of a slot, of all of its visitors: one may be sent what is of another.
func (r *run) secrets(s *slot, visitors ...*visitor) *secrets {
	x := &secrets{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, nil, r.fetch.base.Scheme + "://" + r.fetch.base.Host + "/" + concealed}
	var values []string
	for _, side := range []*Side{&s.a, &s.b, &s.other} {
		for name, v := range side.Headers {
			x.headers[http.CanonicalHeaderKey(name)] = true
			values = append(values, v)
		}
		for name, v := range side.Cookies {
			x.cookies[name] = true
			values = append(values, v)
		}
		for i := range side.Requests {
			st := &side.Requests[i]
			x.bodies[st.Body] = true
			if slices.Contains(r.pages, st.Path) {
				continue // it is measured too, and no secret
			}
			values = append(values, st.Path, st.Body)
			if u, err := r.fetch.resolve(st.Path); err == nil {
				x.urls[u.String()] = true
				values = append(values, u.String(), u.RequestURI())
			}
		}
	}
	for _, v := range visitors {
		for _, name := range v.issued {
			x.cookies[name] = true
		}
	}
	for _, v := range values {
		values = append(values, url.QueryEscape(v), url.PathEscape(v))
	}
	values = slices.DeleteFunc(values, func(v string) bool { return len(v) < leastSecret })
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) }) // the longest first
	var pairs []string
	for _, v := range slices.Compact(values) {
		pairs = append(pairs, v, concealed)
	}
	x.replacer = strings.NewReplacer(pairs...)
	return x
}

// text conceals values in a text.
func (x *secrets) text(s string) string { return x.replacer.Replace(s) }

// conceal takes secrets out of all of an exhibit but the bodies of answers.
func (x *secrets) conceal(e *Exhibit) {
	for _, w := range []*Witness{&e.A, &e.B} {
		for i := range w.Requests {
			q := &w.Requests[i]
			q.Header = x.header(q.Header)
			if x.urls[q.URL] {
				q.URL = x.elsewhere
			}
			if q.Body != "" && x.bodies[q.Body] {
				q.Body = concealed
			}
		}
		answer := *w.Response // which the mask may still learn from
		answer.Header = x.header(answer.Header)
		w.Response = &answer
	}
	for i := range e.Differences {
		d := &e.Differences[i]
		if x.cookies[strings.TrimPrefix(d.Part, "Set-Cookie ")] {
			d.A, d.B = x.unless(d.A), x.unless(d.B)
		}
		if d.A, d.B = x.text(d.A), x.text(d.B); d.A == d.B { // it differs all the same
			d.A, d.B = d.A+" (of a)", d.B+" (of b)"
		}
	}
}

// unless conceals the value of a cookie that there is.
func (x *secrets) unless(value string) string {
	if value == absent {
		return value
	}
	return concealed
}

// header returns a header without secrets.
func (x *secrets) header(h http.Header) http.Header {
	h = h.Clone()
	for name, list := range h {
		for i, value := range list {
			switch {
			case name == "Cookie":
				pairs := strings.Split(value, "; ")
				for j := range pairs {
					pairs[j] = x.cookie(pairs[j])
				}
				value = strings.Join(pairs, "; ")
			case name == "Set-Cookie":
				value = x.cookie(value)
			case x.headers[name]:
				value = concealed
			}
			list[i] = x.text(value)
		}
	}
	return h
}

// cookie conceals the value of a pair that begins a line: name=value; Path=/.
func (x *secrets) cookie(line string) string {
	pair, attributes, more := strings.Cut(line, ";")
	name, _, ok := strings.Cut(pair, "=")
	if !ok || !x.cookies[strings.TrimSpace(name)] {
		return line
	}
	line = name + "=" + concealed
	if more {
		line += ";" + attributes
	}
	return line
}

// changed returns the names of cookies that are not as they were.
func changed(before, after []jarCookie) (names []string) {
	for _, c := range after {
		if !slices.Contains(before, c) {
			names = append(names, c.name)
		}
	}
	return names
}

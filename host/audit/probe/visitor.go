package probe

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// A visitor is one of a pair: a browser's headers, a jar, and what they have done.
type visitor struct {
	fetch   *fetcher
	agent   string
	headers map[string]string
	jar     jar
	place   string
	// said are the requests that the visitor sent, in order; kept so that a pair can
	// be shown.
	said   []Request
	issued []string // names of the cookies that the site set when the visitor did what its side says
}

func newVisitor(f *fetcher, c *Config) *visitor {
	v := &visitor{fetch: f, agent: c.UserAgent, headers: map[string]string{}, place: c.home()}
	maps.Copy(v.headers, c.Headers)
	return v
}

// carries gives the visitor what a side carries.
func (v *visitor) carries(s *Side) {
	maps.Copy(v.headers, s.Headers)
	for _, name := range slices.Sorted(maps.Keys(s.Cookies)) {
		v.jar.set(name, s.Cookies[name], "/")
	}
	if s.place != "" {
		v.place = s.place
	}
}

// does sends the requests of a side. A redirect back is not followed; an answer that
// refuses is an error.
func (v *visitor) does(ctx context.Context, s *Side) error {
	for i := range s.Requests {
		st := &s.Requests[i]
		r, err := v.send(ctx, st)
		if err != nil {
			return err
		}
		if r.Status >= 400 {
			return fmt.Errorf("%s %s: the site answered with status %d", v.said[len(v.said)-1].Method, st.Path, r.Status)
		}
	}
	return nil
}

// send sends one request, and keeps what the answer sets.
func (v *visitor) send(ctx context.Context, st *Step) (*Response, error) {
	u, err := v.fetch.resolve(st.Path)
	if err != nil {
		return nil, err
	}
	r := Request{Method: st.Method, URL: u.String(), Body: st.Body, Header: http.Header{
		"User-Agent":      {v.agent},
		"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		"Accept-Language": {"en"},
	}}
	if r.Method == "" {
		r.Method = "GET"
	}
	if st.ContentType != "" {
		r.Header.Set("Content-Type", st.ContentType)
	}
	if r.Method != "GET" && r.Method != "HEAD" { // as browsers do (Fetch, 3.1)
		r.Header.Set("Origin", v.fetch.base.Scheme+"://"+v.fetch.base.Host)
	}
	for name, value := range v.headers {
		r.Header.Set(name, value)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if c := v.jar.header(path); c != "" {
		r.Header.Set("Cookie", c)
	}
	v.said = append(v.said, r)
	in, err := v.fetch.do(ctx, v.place, &r)
	if err != nil {
		return nil, err
	}
	v.jar.take(in.Header, path, time.Now())
	return in, nil
}

// measure sends the request whose answer is compared. A site that does not answer
// is an answer too: that may depend on the visitor as any other.
func (v *visitor) measure(ctx context.Context, path string) (*Response, error) {
	r, err := v.send(ctx, &Step{Path: path})
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &Response{Header: http.Header{}, Broken: "no answer"}, nil
}

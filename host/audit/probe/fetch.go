package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a site may send us.
const (
	DefaultBody    = 4 << 20          // bytes of a body
	DefaultTimeout = 20 * time.Second // of one exchange
	maxHeader      = 256 << 10        // bytes
	maxURL         = 8 << 10
)

// A Request is one that a visitor sends. Header is all that was set, Cookie
// among it.
type Request struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
}

// A Response is what came back. Names of header fields are in their canonical
// form; the order of fields of different names is not kept.
type Response struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"-"`
	// Cut says that the body was longer than the probe reads: what came up to there
	// is compared.
	Cut bool `json:"cut,omitempty"`
	// Broken says how the body ended early, "" if it did not.
	Broken string `json:"broken,omitempty"`
}

// decoded returns the body without its coding, as far as its bound, for tokens
// and for people. What cannot be decoded is returned as it came.
func (r *Response) decoded() []byte {
	if !strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		return r.Body
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return r.Body
	}
	b, err := io.ReadAll(io.LimitReader(z, DefaultBody))
	if err != nil && len(b) == 0 {
		return r.Body
	}
	return b
}

// A fetcher sends requests, no faster than it was told to.
type fetcher struct {
	base      *url.URL // the site
	transport func(place string) http.RoundTripper
	timeout   time.Duration
	body      int64
	every     time.Duration // between the starts of two requests; 0: no limit

	mu   sync.Mutex
	next time.Time // when the next request may start; guarded by mu
	sent int       // guarded by mu
}

// wait returns when the next request may be sent.
func (f *fetcher) wait(ctx context.Context) error {
	f.mu.Lock()
	now := time.Now()
	at := f.next
	if at.Before(now) {
		at = now
	}
	f.next = at.Add(f.every)
	f.sent++
	f.mu.Unlock()
	return pause(ctx, at.Sub(now))
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fetcher) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// do sends a request for a visitor and reads the answer within its bounds. It
// follows nothing.
func (f *fetcher) do(ctx context.Context, place string, r *Request) (*Response, error) {
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		if name == "Host" {
			req.Host = values[0]
			continue
		}
		req.Header[name] = values
	}
	in, err := f.transport(place).RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	}
	defer in.Body.Close()
	out := &Response{Status: in.StatusCode, Header: in.Header}
	out.Body, err = io.ReadAll(io.LimitReader(in.Body, f.body+1))
	if int64(len(out.Body)) > f.body {
		out.Body, out.Cut = out.Body[:f.body], true
	}
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%s %s: the body took longer than %v", r.Method, r.URL, f.timeout)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		out.Broken = "the connection ended within the body"
	}
	return out, nil
}

// NewTransport returns a transport that bounds what it reads and decodes nothing.
func NewTransport(conns int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableCompression:     true, // bytes are compared as they come
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    conns,
		MaxConnsPerHost:        2 * conns,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
	}
}

// resolve returns the address of a path of the site, an error for another site's.
func (f *fetcher) resolve(path string) (*url.URL, error) {
	u, err := f.base.Parse(path)
	switch {
	case err != nil:
		return nil, err
	case len(path) > maxURL:
		return nil, fmt.Errorf("an address of %d bytes is too long", len(path))
	case u.Scheme != f.base.Scheme || u.Host != f.base.Host:
		return nil, fmt.Errorf("%s is not of the site %s://%s", u, f.base.Scheme, f.base.Host)
	}
	u.Fragment = ""
	return u, nil
}

// names returns the names of header fields, sorted.
func names(h http.Header) []string {
	list := make([]string, 0, len(h))
	for name := range h {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

package control

import (
	"bytes"
	"net/http"
	"net/url"

	"github.com/valyala/fasthttp"
)

// ConsolePrefix begins the paths that AdminConfig.Console answers.
const ConsolePrefix = "/console/"

// MaxConsoleForm is the most bytes that a form of the consoles may have.
const MaxConsoleForm = 16 << 10

// console hands a request to the consoles. All that they are given is a copy:
// fasthttp uses its memory again once the request is answered, and they keep
// some of it.
func (a *Admin) console(ctx *fasthttp.RequestCtx) *problem {
	target := string(ctx.Request.Header.RequestURI())
	if target == "/" {
		ctx.Response.Header.Set("Location", ConsolePrefix)
		ctx.SetStatusCode(http.StatusSeeOther)
		return nil
	}
	at, err := url.ParseRequestURI(target)
	if err != nil {
		return &problem{Status: 400, Detail: "the request cannot be understood"}
	}
	body, fault := (&call{Admin: a, ctx: ctx}).body(MaxConsoleForm)
	if fault != nil && ctx.IsPost() {
		return fault
	}
	r := &http.Request{
		Method: string(ctx.Method()), URL: at, RequestURI: target, Host: string(ctx.Host()), RemoteAddr: ctx.RemoteAddr().String(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: http.NoBody, ContentLength: int64(len(body)),
	}
	if len(body) > 0 {
		r.Body = readCloser{bytes.NewReader(bytes.Clone(body))}
	}
	for name, value := range ctx.Request.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	w := &answered{ctx: ctx, header: http.Header{}}
	a.config.Console.ServeHTTP(w, r.WithContext(ctx))
	w.WriteHeader(http.StatusOK)
	return nil
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// answered writes what the consoles answer into fasthttp's response.
type answered struct {
	ctx    *fasthttp.RequestCtx
	header http.Header
	done   bool // the header is written
}

func (w *answered) Header() http.Header { return w.header }

func (w *answered) WriteHeader(status int) {
	if w.done {
		return
	}
	w.done = true
	w.ctx.SetStatusCode(status)
	for name, values := range w.header {
		for _, v := range values {
			w.ctx.Response.Header.Add(name, v)
		}
	}
}

func (w *answered) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.ctx.Response.AppendBody(p)
	return len(p), nil
}

package control

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"

	"github.com/valyala/fasthttp"
)

// A NotReady is a part of the edge that is not as it should be before requests
// are sent to it.
type NotReady struct {
	What string `json:"what"` // one word
	Why  string `json:"why"`
}

// Figures writes all figures in the format that an Accept header's value asks
// for, and returns its media type; see [bespoke/host/watch/prom].
type Figures func(w io.Writer, accept string) (contentType string, err error)

// health says that the process is alive: it answers.
func health(ctx *fasthttp.RequestCtx) *problem {
	if p := readOnly(ctx); p != nil {
		return p
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString("ok\n")
	return nil
}

// ready says whether requests should be sent to this edge: 200, or 503 and what
// is in the way. "?exclude=ledger" leaves a part out; it may stand several times.
func (a *Admin) ready(ctx *fasthttp.RequestCtx) *problem {
	if p := readOnly(ctx); p != nil {
		return p
	}
	answer := struct {
		Ready    bool       `json:"ready"`
		NotReady []NotReady `json:"not_ready,omitempty"`
	}{Ready: true}
	if a.config.Ready != nil {
		excluded := ctx.QueryArgs().PeekMulti("exclude")
		for _, n := range a.config.Ready() {
			if !slices.ContainsFunc(excluded, func(e []byte) bool { return string(e) == n.What }) {
				answer.Ready, answer.NotReady = false, append(answer.NotReady, n)
			}
		}
	}
	if !answer.Ready {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return &problem{Status: 500, Detail: "the answer cannot be written", cause: err}
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
	return nil
}

// metrics answers a scrape, of those whose token allows it: how many visitors a
// site has, and how many of them refuse, is for those who run it.
func (a *Admin) metrics(ctx *fasthttp.RequestCtx) *problem {
	if p := readOnly(ctx); p != nil {
		return p
	}
	token, p := a.authenticate(ctx, a.config.Now())
	if p != nil {
		return p
	}
	if token.Role == RoleTenant {
		return forbidden("this token is for one tenant, and these figures are of all")
	}
	if a.config.Figures == nil {
		return notFound("this edge has no figures")
	}
	contentType, err := a.config.Figures(ctx.Response.BodyWriter(), string(ctx.Request.Header.Peek("Accept")))
	if err != nil {
		a.config.Log.LogAttrs(ctx, slog.LevelError, "figures", slog.String("error", err.Error()))
	}
	ctx.SetContentType(contentType)
	return nil
}

func readOnly(ctx *fasthttp.RequestCtx) *problem {
	if ctx.IsGet() || ctx.IsHead() {
		return nil
	}
	p := &problem{Status: 405, Detail: "this resource takes GET, HEAD"}
	p.header("Allow", "GET, HEAD")
	return p
}

func forbidden(why string) *problem {
	p := &problem{Status: 403, Detail: why}
	p.header("WWW-Authenticate", `Bearer realm="bespoke", error="insufficient_scope"`)
	return p
}

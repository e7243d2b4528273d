package edge

import (
	"errors"
	"log/slog"

	"github.com/valyala/fasthttp"
)

// A fault is why an exchange ends without the origin's answer. The table below
// is all of them: who is at fault, what the visitor is sent, what is recorded.
// A policy's fault is not here: its page goes out without its edits.
type fault uint8

const (
	noFault fault = iota
	badRequest
	headerTooLarge
	bodyTooLarge
	slowVisitor
	unknownSite
	methodRefused
	originDown
	originSlow
	originBad
	originBusy
	badVersion
	stopping
	internal
)

type faultRow struct {
	source string // visitor, origin, internal
	name   string
	status int
	text   string
}

var faults = [...]faultRow{
	badRequest:     {"visitor", "bad-request", 400, "The request could not be understood."},
	headerTooLarge: {"visitor", "header-too-large", 431, "The request's header is too large."},
	bodyTooLarge:   {"visitor", "body-too-large", 413, "The request's body is too large."},
	slowVisitor:    {"visitor", "slow", 408, "The request took too long to arrive."},
	unknownSite:    {"visitor", "unknown-site", 421, "There is no such site here."},
	methodRefused:  {"visitor", "method", 405, "This method is not served here."},
	originDown:     {"origin", "down", 502, "The site cannot be reached. Please try again in a moment."},
	originSlow:     {"origin", "slow", 504, "The site took too long to answer. Please try again in a moment."},
	originBad:      {"origin", "malformed", 502, "The site gave an answer that cannot be understood."},
	originBusy:     {"origin", "busy", 503, "The site is very busy. Please try again in a moment."},
	badVersion:     {"visitor", "version", 505, "Only HTTP/1.0 and HTTP/1.1 are served here."},
	stopping:       {"internal", "stopping", 503, "This server is stopping. Please try again in a moment."},
	internal:       {"internal", "internal", 500, "Something went wrong here. Please try again in a moment."},
}

// faultNames are the faults as they are recorded: source/name.
var faultNames = func() (names [len(faults)]string) {
	for f, row := range faults {
		if row.name != "" {
			names[f] = row.source + "/" + row.name
		}
	}
	return names
}()

// String returns source and name of a fault; "" for none.
func (f fault) String() string { return faultNames[f] }

// answer sends the fault's page in place of whatever was there.
func (f fault) answer(ctx *fasthttp.RequestCtx) {
	row := &faults[f]
	ctx.Response.Reset()
	if ctx.Request.IsBodyStream() {
		ctx.SetConnectionClose() // what is left of the body is not waited for
	}
	ctx.Response.SetStatusCode(row.status)
	h := &ctx.Response.Header
	h.SetContentType("text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if f == methodRefused {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	ctx.Response.SetBodyString(row.text + "\n")
}

// malformed answers what the HTTP server could not read as a request.
func (e *Edge) malformed(ctx *fasthttp.RequestCtx, err error) {
	f := badRequest
	var small *fasthttp.ErrSmallBuffer
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &small):
		f = headerTooLarge
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		f = bodyTooLarge
	case errors.As(err, &timeout) && timeout.Timeout():
		f = slowVisitor
	}
	f.answer(ctx)
	ctx.SetConnectionClose()
	e.homeless.Fault(0, servedEdge, uint8(f), faults[f].status)
	e.recordRefused(f)
	e.log.LogAttrs(e.ctx, slog.LevelDebug, "refused", slog.String("fault", faults[f].name), slog.Int("status", faults[f].status))
}

package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/config"
)

// An origin is a tenant's site, reached over kept-alive connections.
type origin struct {
	client fasthttp.HostClient
	scheme string
	host   string // of the Host header that the origin gets
}

// originIdle is how long an unused connection to an origin is kept. It is
// below the keep-alive time of common servers (5 s in Node.js and Apache), so
// that a request is seldom sent into a connection that the origin just closed.
const originIdle = 4 * time.Second

// originHeader is the most bytes that the header of an origin's answer may have.
// It is also how much is read at once, of which what belongs to the body is
// copied again; so it is no larger than common servers' headers need.
const originHeader = 8 << 10

func newOrigin(u *url.URL, l config.Limits) *origin {
	o := &origin{scheme: u.Scheme, host: u.Host}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	o.client = fasthttp.HostClient{
		Addr: net.JoinHostPort(u.Hostname(), port),
		Dial: func(addr string) (net.Conn, error) {
			return dialOrigin(addr, u, l)
		},
		MaxConns:                  l.OriginConns,
		MaxConnWaitTimeout:        l.OriginConnectTimeout,
		MaxIdemponentCallAttempts: l.OriginConns + 2, // each kept connection may be stale
		MaxIdleConnDuration:       originIdle,
		ReadBufferSize:            originHeader,
		StreamResponseBody:        true,
		DisablePathNormalizing:    true, // the path is the origin's to interpret
		NoDefaultUserAgentHeader:  true,
		SecureErrorLogMessage:     true,
		// What was not sent may be sent, and what may be sent twice (RFC 9110,
		// 9.2.2) is, once, when the connection ends before an answer.
		RetryIfErr: func(r *fasthttp.Request, attempts int, err error) (resetTimeout, retry bool) {
			if errors.Is(err, errStale) {
				return false, true
			}
			h := &r.Header
			idempotent := h.IsGet() || h.IsHead() || h.IsOptions() || h.IsPut() || h.IsDelete()
			return false, idempotent && attempts < 2 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err))
		},
	}
	return o
}

func (o *origin) close() { o.client.CloseIdleConnections() }

func dialOrigin(addr string, u *url.URL, l config.Limits) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.OriginConnectTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		t := tls.Client(c, &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, &net.OpError{Op: "dial", Net: "tls", Err: err}
		}
		c = t
	}
	return newPatient(c, l.OriginTimeout), nil
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout() && op.Op != "dial"
}

// askOrigin sends the request on and reads the header of the answer. The
// body stays a stream.
func (x *exchange) askOrigin() fault {
	x.prepareRequest()
	// What has no body goes straight into the visitor's answer.
	x.in = &x.ctx.Response
	if !x.ctx.Request.Header.IsHead() {
		x.in = fasthttp.AcquireResponse()
	}
	if x.script != nil {
		return x.script.answer(x.in)
	}
	at := x.edge.tick()
	err := x.tenant.origin.client.Do(&x.ctx.Request, x.in)
	x.fromOrigin(at)
	if err == nil {
		c := connOf(x.in)
		if x.in.BodyStream() != nil { // else the connection serves somebody else already
			c.heading, c.framed = false, x.in.Header.ContentLength() == -1 // chunked
		}
		if x.in.StatusCode() == fasthttp.StatusSwitchingProtocols {
			c.unusable = true // nobody asked for it, and who knows what it speaks now
			return originBad
		}
		stripHopByHop(&x.in.Header)
		x.in.Header.SetNoDefaultContentType(true)
		if x.exhibit != nil {
			x.exhibit.answered()
		}
		return noFault
	}
	f := originFault(err)
	x.edge.log.LogAttrs(x.edge.ctx, slog.LevelWarn, "origin", slog.String("tenant", x.tenant.name),
		slog.String("fault", faults[f].name), slog.String("error", originError(err)))
	return f
}

func originFault(err error) fault {
	var timeout interface{ Timeout() bool }
	var small *fasthttp.ErrSmallBuffer
	var op *net.OpError
	switch {
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return originBusy
	case errors.Is(err, fasthttp.ErrDialTimeout):
		return originDown
	case errors.As(err, &op) && op.Op == "dial":
		return originDown // a connect that times out is a site that is down
	case errors.Is(err, fasthttp.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return originSlow
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return originDown
	case errors.As(err, &small):
		return originBad
	}
	return originBad
}

// originError describes an error without what the origin sent, which may hold
// a visitor's data.
func originError(err error) string {
	return unquoted(err.Error())
}

// unquoted is the text of an error up to where it begins to quote something,
// at most 200 bytes.
func unquoted(s string) string {
	if i := strings.IndexAny(s, "\n\"'`"); i >= 0 {
		s = s[:i]
	}
	return s[:min(len(s), 200)]
}

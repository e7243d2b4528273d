package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"syscall"
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

// A patient connection gives each read and write its own time, so that a long
// answer may take as long as it keeps coming. It is used by one exchange at a time.
type patient struct {
	net.Conn
	limit time.Duration
	// framed says that the message being read has an end of its own, so that
	// the end of the connection cannot be it. fasthttp takes a connection that
	// ends between two chunks for the end of the body.
	framed bool

	raw      syscall.RawConn // to look for what should not have come; nil: cannot
	used     bool            // an exchange has used it
	reading  bool            // the last step was a read: the next write begins an exchange
	heading  bool            // a header is being read, until headBy
	headBy   time.Time
	unusable bool

	readBy, writeBy time.Time // the deadlines that are set
}

// soon returns the deadline that a step may take until, and whether it has to
// be set. Setting one costs as much as a small header; so a deadline is set
// with a quarter more than the limit, and stays while it leaves the limit.
func (p *patient) soon(set *time.Time) (by time.Time, renew bool) {
	now := time.Now()
	if set.Sub(now) >= p.limit {
		return *set, false
	}
	*set = now.Add(p.limit + p.limit/4)
	return *set, true
}

// newPatient returns a patient connection over c.
func newPatient(c net.Conn, limit time.Duration) *patient {
	p := &patient{Conn: c, limit: limit}
	under := c
	if t, ok := c.(*tls.Conn); ok {
		under = t.NetConn()
	}
	if s, ok := under.(syscall.Conn); ok {
		p.raw, _ = s.SyscallConn()
	}
	return p
}

// errStale says that a kept connection was found unusable before anything was
// sent over it.
var errStale = errors.New("the kept connection is stale")

// begin readies the connection for the next exchange. An origin may have closed
// it since the last, or sent more than its answer: a body to HEAD, bytes beyond
// Content-Length. Those would be read as the answer to somebody else's request.
func (p *patient) begin() error {
	if p.used && (p.unusable || p.raw != nil && pending(p.raw)) {
		return errStale
	}
	p.used, p.reading, p.framed = true, false, false
	p.heading, p.headBy = true, time.Now().Add(p.limit)
	return nil
}

func (p *patient) Read(b []byte) (int, error) {
	p.reading = true
	if p.heading {
		// The header has its time as a whole: an origin cannot stretch it.
		p.readBy = p.headBy
		if err := p.Conn.SetReadDeadline(p.headBy); err != nil {
			return 0, err
		}
		n, err := p.Conn.Read(b)
		return n, err
	}
	if by, renew := p.soon(&p.readBy); renew {
		if err := p.Conn.SetReadDeadline(by); err != nil {
			return 0, err
		}
	}
	n, err := p.Conn.Read(b)
	if err == io.EOF && p.framed {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (p *patient) Write(b []byte) (int, error) {
	if p.reading || !p.used {
		if err := p.begin(); err != nil {
			return 0, err
		}
	}
	if by, renew := p.soon(&p.writeBy); renew {
		if err := p.Conn.SetWriteDeadline(by); err != nil {
			return 0, err
		}
	}
	return p.Conn.Write(b)
}

// LocalAddr leads from a response, which has its connection's address, back to
// the connection; see connOf.
func (p *patient) LocalAddr() net.Addr { return patientAddr{p} }

type patientAddr struct{ conn *patient }

func (a patientAddr) Network() string { return a.conn.Conn.LocalAddr().Network() }
func (a patientAddr) String() string  { return a.conn.Conn.LocalAddr().String() }

// connOf returns the connection that a response came over.
func connOf(r *fasthttp.Response) *patient { return r.LocalAddr().(patientAddr).conn }

// The client sets one deadline for a whole exchange; here each step has its own.
func (p *patient) SetDeadline(time.Time) error      { return nil }
func (p *patient) SetReadDeadline(time.Time) error  { return nil }
func (p *patient) SetWriteDeadline(time.Time) error { return nil }

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout() && op.Op != "dial"
}

// askOrigin sends the request on and reads the header of the answer. The
// body stays a stream.
func (x *exchange) askOrigin() fault {
	x.prepareRequest()
	// Where nothing can be edited, the answer goes straight into the visitor's.
	x.in = &x.ctx.Response
	if x.route != nil && len(x.route.policies) > 0 && !x.ctx.Request.Header.IsHead() {
		x.in = fasthttp.AcquireResponse()
	}
	err := x.tenant.origin.client.Do(&x.ctx.Request, x.in)
	if err == nil {
		c := connOf(x.in)
		c.heading, c.framed = false, x.in.Header.ContentLength() == -1 // chunked
		if x.in.StatusCode() == fasthttp.StatusSwitchingProtocols {
			c.unusable = true // nobody asked for it, and who knows what it speaks now
			return originBad
		}
		stripHopByHop(&x.in.Header)
		x.in.Header.SetNoDefaultContentType(true)
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
	s := err.Error()
	if i := bytes.IndexAny([]byte(s), "\n\""); i >= 0 {
		s = s[:i]
	}
	if len(s) > 200 {
		s = s[:200]
	}
	return s
}

package edge

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// Both kinds of connection here set deadlines seldom: setting one, and asking
// the clock for it, costs as much as a small header. A deadline is set with
// time to spare and left alone; when it passes, and there is still time, it is
// set again and the step goes on.

// A patient connection, to an origin, gives the header of an answer its time as
// a whole, and then each step its own, so that a long answer may take as long as
// it keeps coming: a step ends after one to two and a half times the limit
// without a byte. It is used by one exchange at a time.
type patient struct {
	net.Conn
	limit time.Duration
	// framed says that the message being read has an end of its own, so that
	// the end of the connection cannot be it. fasthttp takes a connection that
	// ends between two chunks for the end of the body.
	framed bool

	raw      syscall.RawConn  // to look for what should not have come; nil: cannot
	look     func(fd uintptr) // looks, and leaves
	found    bool             // what it found
	used     bool             // an exchange has used it
	reading  bool             // the last step was a read: the next write begins an exchange
	heading  bool             // a header is being read
	unusable bool
	by       time.Time // the deadline that is set
	came     bool      // bytes came or went since it was set
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
	if p.used && (p.unusable || p.raw != nil && p.pending()) {
		return errStale
	}
	p.used, p.reading, p.framed, p.heading = true, false, false, true
	if now := time.Now(); p.by.Sub(now) < p.limit {
		return p.arm(now)
	}
	return nil
}

func (p *patient) arm(now time.Time) error {
	p.by, p.came = now.Add(p.limit+p.limit/4), false
	return p.Conn.SetDeadline(p.by)
}

// more reports whether a step that ran out of time may go on.
func (p *patient) more(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !p.heading && p.came && p.arm(time.Now()) == nil
}

func (p *patient) Read(b []byte) (int, error) {
	p.reading = true
	for {
		n, err := p.Conn.Read(b)
		if n > 0 {
			p.came = true
		} else if p.more(err) {
			continue
		}
		if err == io.EOF && p.framed {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
}

func (p *patient) Write(b []byte) (sum int, err error) {
	if p.reading || !p.used {
		if err := p.begin(); err != nil {
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

// A visitorConn is a connection from a visitor. The server sets deadlines for
// reading; for writing each step has its own time, so that a long answer may
// take as long as the visitor keeps taking it.
type visitorConn struct {
	net.Conn
	limit  time.Duration // of a write
	until  time.Time     // what the server wants for reads; zero: for ever
	armed  time.Time     // what is set for reads
	writes time.Time     // what is set for writes
	after  *net.Buffers  // goes out in one system call with the next Write; its first place is for that

	silent atomic.Bool // nothing has come over it; browsers open connections in reserve
	drop   atomic.Bool // see hangUp
	asked  bool        // it was looked for once more what had come
	gone   func()      // called once it is closed
}

// hangUp ends a connection over which nothing has come. It may be called by any
// goroutine.
func (v *visitorConn) hangUp() {
	if v.silent.Load() {
		v.drop.Store(true)
		v.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close closes the connection.
func (v *visitorConn) Close() error {
	v.gone()
	return v.Conn.Close()
}

// SetReadDeadline is called for every request, nearly always with a later time.
func (v *visitorConn) SetReadDeadline(t time.Time) error {
	v.until = t
	if t.IsZero() || v.armed.IsZero() || t.Before(v.armed) {
		v.armed = t
		return v.Conn.SetReadDeadline(t)
	}
	return nil
}

func (v *visitorConn) Read(b []byte) (int, error) {
	for {
		n, err := v.Conn.Read(b)
		if n > 0 && v.silent.Load() {
			v.silent.Store(false)
			if v.asked { // and it goes on as any other
				v.drop.Store(false)
				v.armed = v.until
				return n, v.Conn.SetReadDeadline(v.until)
			}
		}
		// A deadline that has passed fails without a look at what has come, and
		// that nobody has read it yet does not mean that nothing has.
		if err != nil && v.drop.Load() && !v.asked && errors.Is(err, os.ErrDeadlineExceeded) {
			v.asked = true
			if err := v.Conn.SetReadDeadline(time.Now().Add(drainTail)); err != nil {
				return n, err
			}
			continue
		}
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || v.armed.Equal(v.until) || v.drop.Load() {
			return n, err
		}
		v.armed = v.until
		if err := v.Conn.SetReadDeadline(v.until); err != nil {
			return n, err
		}
	}
}

func (v *visitorConn) Write(b []byte) (sum int, err error) {
	if v.after != nil {
		(*v.after)[0] = b
		if err := v.writeAll(v.after); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	if err := v.ready(); err != nil {
		return 0, err
	}
	for {
		n, err := v.Conn.Write(b[sum:])
		sum += n
		if !v.more(n, err) {
			return sum, err
		}
	}
}

// writeAll writes all of these, and takes off what went.
func (v *visitorConn) writeAll(all *net.Buffers) error {
	if err := v.ready(); err != nil {
		return err
	}
	for {
		n, err := all.WriteTo(v.Conn)
		if !v.more(int(n), err) {
			return err
		}
	}
}

// ready makes sure that a write has its time. until is ahead of the clock by
// the time that a request may take to arrive.
func (v *visitorConn) ready() error {
	if v.writes.Before(v.until) || v.writes.IsZero() {
		return v.arm()
	}
	return nil
}

// more reports whether a write that ran out of time goes on: the visitor took some.
func (v *visitorConn) more(n int, err error) bool {
	return err != nil && n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && v.arm() == nil
}

func (v *visitorConn) arm() error {
	now := time.Now()
	if v.until.After(now) {
		now = v.until
	}
	v.writes = now.Add(v.limit)
	return v.Conn.SetWriteDeadline(v.writes)
}

func (v *visitorConn) SetWriteDeadline(time.Time) error { return nil }

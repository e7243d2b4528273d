package edge

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"sync"
)

// A stream is a body that is sent after the handler has returned. It ends the
// exchange when it is closed.
type stream struct {
	x   *exchange
	src *body // nil: the origin's body passes as it is
	err error // of the last read, if it passes
	n   int   // bytes that it has, if it passes; below 0: nobody knows
}

// Read is for servers that do not use WriteTo.
func (s *stream) Read(p []byte) (int, error) {
	if s.src == nil {
		var n int
		n, s.err = s.x.originBody().Read(p)
		s.n -= n
		s.x.rec.out.add(p[:n])
		return n, s.err
	}
	for s.src.out.Len() == 0 && s.src.err == nil {
		s.src.step()
	}
	if s.src.out.Len() > 0 {
		n, err := s.src.out.Read(p)
		s.x.rec.out.add(p[:n])
		return n, err
	}
	return 0, s.src.err
}

// why returns why the origin's body did not come whole, nil if it did, or if the
// visitor left first.
func (s *stream) why() error {
	err := s.err
	if s.src != nil {
		err = s.src.err
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// whole reports whether all of the body was handed on.
func (s *stream) whole() bool {
	if s.src != nil {
		return s.src.err == io.EOF && s.src.out.Len() == 0
	}
	return s.err == io.EOF || s.n == 0
}

// send makes the stream the body of the exchange's answer, of n bytes; -1: nobody knows.
func (x *exchange) send(src *body, n int) {
	x.streamed = true
	x.stream = &stream{x: x, src: src, n: n}
	x.ctx.Response.SetBodyStream(x.stream, n)
}

// SupportsBodyWriteTo tells fasthttp that WriteTo does what Read does.
func (s *stream) SupportsBodyWriteTo() bool { return s.src != nil }

// WriteTo sends each step of the body as one piece.
func (s *stream) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if s.src.out.Len() > 0 {
			s.x.rec.out.add(s.src.out.Bytes())
			if e := s.x.exhibit; e != nil {
				e.sent.Write(s.src.out.Bytes())
			}
			n, err := s.src.out.WriteTo(w)
			total += n
			if err != nil {
				return total, err
			}
		}
		if s.src.err == io.EOF {
			return total, nil
		}
		if s.src.err != nil {
			return total, s.src.err
		}
		s.src.out.Reset()
		s.src.step()
	}
}

// CloseWithError ends the exchange. err is why the body was not sent to its end.
func (s *stream) CloseWithError(err error) error {
	x := s.x
	if x == nil {
		return nil
	}
	s.x = nil
	if err != nil && x.exhibit != nil {
		x.exhibit.refuse(whySent)
	}
	switch why := s.why(); {
	case why != nil:
		x.late = x.brokeOff(why)
	case err == nil && !s.whole(): // something here panicked, and the server cut the answer off
		x.late = internal
	case err == nil:
		x.rec.out.end()
		if s.src == nil {
			x.rec.in.end()
		}
	}
	x.record(noFault)
	x.end()
	return nil
}

// passOn sends the origin's answer as it is.
func (x *exchange) passOn() {
	in, out := x.in, &x.ctx.Response
	if in != out {
		in.Header.CopyTo(&out.Header)
	}
	n := in.Header.ContentLength()
	switch {
	case in == out, in.BodyStream() == nil: // HEAD, 204, 304
	case n >= 0 && n <= wholeBody:
		x.passWhole(n)
	case n < 0 && x.unchunked:
		x.passUnmeasured()
	default:
		x.send(nil, max(n, -1))
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// passWhole sends a body of n bytes, read as a whole: a stream would be written
// in pieces of a few kilobytes, a system call each.
func (x *exchange) passWhole(n int) {
	buf := buffers.Get().(*[]byte)
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	at := x.edge.tick()
	m, err := io.ReadFull(x.originBody(), b)
	x.fromOrigin(at)
	if err != nil {
		err = unexpected(err)
		x.late = x.brokeOff(err)
		x.ctx.Response.SetBodyStream(io.MultiReader(bytes.NewReader(b[:m]), &failing{err}), n)
		return
	}
	x.passing = buf
	x.in.CloseBodyStream() // the connection to the origin serves others while the visitor takes the answer
	x.parcel.open()
	x.parcel.add(b)
	x.rec.in.end()
	x.parcel.send(x)
}

// oldBody is the most of a body that is held for a visitor of HTTP/1.0, who must
// be told its length, where the origin did not say it.
const oldBody = 4 << 20

func (x *exchange) passUnmeasured() {
	b, err := io.ReadAll(io.LimitReader(x.in.BodyStream(), oldBody+1))
	if err == nil && len(b) > oldBody {
		err = errTooLarge
	}
	if err != nil {
		x.late = x.brokeOff(err)
		x.ctx.Response.SetBodyStream(io.MultiReader(bytes.NewReader(b), &failing{err}), oldBody+1)
		return
	}
	for _, t := range [...]*tap{&x.rec.in, &x.rec.out} {
		t.add(b)
		t.end()
	}
	x.ctx.Response.SwapBody(b)
}

// failing is the end of a body that is not whole: the server closes the
// connection instead of ending the message.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func (x *exchange) brokeOff(err error) fault {
	f := originFault(err)
	if errors.Is(err, errTooLarge) {
		f = originBad
	}
	x.edge.log.LogAttrs(x.edge.ctx, slog.LevelWarn, "origin broke off", slog.String("tenant", x.tenant.name),
		slog.String("fault", faults[f].name), slog.String("error", originError(err)))
	return f
}

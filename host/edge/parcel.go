package edge

import (
	"bufio"
	"io"
	"net"
	"slices"
)

// A parcel is a body that is whole in memory, in pieces: header and pieces go
// out in one system call, and nothing is copied together for it. The pieces
// must stay as they are until it is closed, which ends the exchange.
type parcel struct {
	x      *exchange
	pieces net.Buffers // the first is the header's place; those that were sent are taken off
	size   int         // bytes of the body
	room   [10][]byte  // holds pieces
}

// open empties the parcel.
func (p *parcel) open() { p.pieces, p.size = p.room[:1], 0 }

// add appends a piece of the body.
func (p *parcel) add(b []byte) {
	p.pieces = append(p.pieces, b)
	p.size += len(b)
}

// send makes the parcel the body of the exchange's answer.
func (p *parcel) send(x *exchange) {
	p.x, x.streamed = x, true
	for _, b := range p.pieces[1:] {
		x.rec.out.add(b)
	}
	if e := x.exhibit; e != nil {
		for _, piece := range p.pieces[1:] {
			e.sent.Write(piece)
		}
	}
	x.ctx.Response.SetBodyStream(p, p.size)
}

// take returns the whole body of x, which is not sent then; nil if the parcel is not
// its body.
func (p *parcel) take(x *exchange) []byte {
	if p.x == nil {
		return nil
	}
	p.x, x.streamed = nil, false
	return slices.Concat(p.pieces[1:]...)
}

// SupportsBodyWriteTo tells fasthttp to use WriteTo.
func (p *parcel) SupportsBodyWriteTo() bool { return true }

// WriteTo sends what w holds, which is the header, and the pieces.
func (p *parcel) WriteTo(w io.Writer) (n int64, err error) {
	if p.size == 0 {
		return 0, nil
	}
	bw, buffered := w.(*bufio.Writer)
	conn, ours := p.x.ctx.Conn().(*visitorConn)
	switch {
	case buffered && ours && bw.Buffered() > 0:
		conn.after = &p.pieces
		err = bw.Flush()
		conn.after = nil
	case buffered && ours: // the header was longer than the buffer
		p.pieces = p.pieces[1:]
		err = conn.writeAll(&p.pieces)
	default:
		p.pieces = p.pieces[1:]
		_, err = p.pieces.WriteTo(w)
	}
	if err != nil {
		return 0, err
	}
	return int64(p.size), nil
}

// Read is for servers that do not use WriteTo.
func (p *parcel) Read(b []byte) (int, error) { return p.pieces.Read(b) }

// CloseWithError ends the exchange.
func (p *parcel) CloseWithError(err error) error {
	if x := p.x; x != nil {
		p.x = nil
		if err == nil { // all of it was sent
			x.rec.out.end()
		}
		x.record(noFault)
		x.end()
	}
	return nil
}

// A gather puts what a rewriter makes of a page in memory into a parcel: what
// comes from the page as it is stays there, and only the rest is copied.
type gather struct {
	page []byte
	to   *parcel
	made []byte // what is not the page's
	from int    // made before this is in the parcel
}

func (g *gather) open(page []byte, to *parcel) {
	*g = gather{page: page, to: to, made: g.made[:0]}
}

// Write takes the next bytes. It keeps those that are a part of the page.
func (g *gather) Write(b []byte) (int, error) {
	// A part of the page ends, by its capacity, where the page does.
	if at := cap(g.page) - cap(b); len(b) > 0 && at >= 0 && at < len(g.page) && &g.page[at] == &b[0] {
		g.end()
		g.to.add(b)
	} else {
		g.made = append(g.made, b...)
	}
	return len(b), nil
}

// end puts what was made last into the parcel.
func (g *gather) end() {
	if g.from < len(g.made) {
		g.to.add(g.made[g.from:])
		g.from = len(g.made)
	}
}

package edge

import (
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

// freeUpload is how much of a request's body counts against no budget.
const freeUpload = 64 << 10

// uploadBudget is how many bodies of the greatest size may be held at a time,
// over all visitors. Beyond it an upload is answered "busy".
const uploadBudget = 16

// takeBody reads the request's body as a whole, so that it can be sent again if
// a kept connection turns out to be closed, and so that a slow visitor holds no
// connection to the origin. Memory follows what came, never what was announced.
func (x *exchange) takeBody() fault {
	req := &x.ctx.Request
	if !req.IsBodyStream() {
		return noFault
	}
	at := x.edge.tick()
	defer func() { x.tally.visitor = x.edge.tick() - at }()
	limit, announced := x.snap.site.Limits.RequestBodyBytes, req.Header.ContentLength()
	if announced > limit {
		return bodyTooLarge
	}
	if announced >= 0 {
		return x.readUpload(limit)
	}
	if bytes.Contains(bytes.ToLower(req.Header.RawHeaders()), []byte("content-length:")) {
		return badRequest // two framings (RFC 9112, 6.1)
	}
	// fasthttp merges the trailer fields of a chunked body into the header,
	// where they would pass for what a proxy before us wrote (RFC 9110, 6.5.1).
	var header fasthttp.RequestHeader
	req.Header.CopyTo(&header)
	f := x.readUpload(limit)
	header.CopyTo(&req.Header)
	// It is known now. fasthttp would go on to announce chunks to the origin, and send none where there is
	// no byte: then the next request over that connection, somebody else's, would be taken for them.
	if f == noFault {
		req.Header.SetContentLength(len(req.Body()))
	}
	return f
}

func (x *exchange) readUpload(limit int) fault {
	budget := int64(uploadBudget) * int64(limit)
	src, announced := x.ctx.Request.BodyStream(), x.ctx.Request.Header.ContentLength()
	b := make([]byte, 0, min(max(announced, 512), freeUpload)+1)
	for {
		if len(b) == cap(b) {
			grown := int64(cap(b)) // the buffer doubles
			if x.edge.uploads.Add(grown) > budget {
				x.edge.uploads.Add(-grown)
				return originBusy
			}
			x.uploading += grown
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		var timeout interface{ Timeout() bool }
		switch {
		case len(b) > limit:
			return bodyTooLarge
		case err == io.EOF && announced >= 0 && len(b) < announced:
			return badRequest // broken off; fasthttp ends it like a whole one
		case err == io.EOF:
			x.ctx.Request.SwapBody(b)
			return noFault
		case errors.As(err, &timeout) && timeout.Timeout():
			return slowVisitor
		case err != nil:
			return badRequest
		}
	}
}

package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	kgzip "github.com/klauspost/compress/gzip"

	"bespoke/host/rewrite"
)

// A body rewrites one response's body on its way: the origin's bytes are
// decoded, go through the rewriter, and are encoded again as the origin had
// them. It keeps its buffers from one use to the next; bodies is their pool.
type body struct {
	origin   io.Reader // the origin's body
	from, to coding
	plan     *rewrite.Plan
	left     int // decoded bytes still allowed

	src io.Reader    // decoded; nil before the first read
	in  []byte       // of one read
	out bytes.Buffer // rewritten, encoded, not yet sent
	err error        // io.EOF: whole; else why it is not

	// The beginning of the decoded body, as far as somebody had to see it, and
	// why there is no more of it: nil if there may be.
	head []byte
	late error

	rw      *rewrite.Rewriter
	sink    io.Writer // what rw writes to
	after   []byte    // what follows the page, where rw does not add it
	json    rewrite.JSONRewriter
	gather  gather
	started bool // rw has begun
	edited  bool // json has edited

	gzr *kgzip.Reader
	gzw *kgzip.Writer
	brr *brotli.Reader
	brw *brotli.Writer
}

var bodies = sync.Pool{New: func() any { return &body{in: make([]byte, 16<<10)} }}

type coding uint8

const (
	identity coding = iota
	gzipped
	brotlied
	otherwise
)

func codingOf(name []byte) coding {
	switch string(bytes.ToLower(bytes.TrimSpace(name))) {
	case "", "identity":
		return identity
	case "gzip", "x-gzip":
		return gzipped
	case "br":
		return brotlied
	}
	return otherwise
}

func (c coding) String() string {
	switch c {
	case gzipped:
		return "gzip"
	case brotlied:
		return "br"
	}
	return "identity"
}

// decode connects the decoder, when the first bytes are wanted.
func (b *body) decode() error {
	if b.src != nil {
		return nil
	}
	b.src = b.origin
	if b.from != identity {
		// An origin may call an empty body coded.
		var first [1]byte
		if n, err := io.ReadFull(b.origin, first[:]); n == 0 {
			if err == io.EOF {
				b.src = strings.NewReader("")
				return nil
			}
			return err
		}
		b.origin = io.MultiReader(bytes.NewReader(first[:]), b.origin)
	}
	switch b.from {
	case gzipped:
		if b.gzr == nil {
			b.gzr = new(kgzip.Reader)
		}
		if err := b.gzr.Reset(b.origin); err != nil {
			return fmt.Errorf("gzip: %w", unexpected(err))
		}
		b.src = b.gzr
	case brotlied:
		if b.brr == nil {
			b.brr = brotli.NewReader(nil)
		}
		if err := b.brr.Reset(b.origin); err != nil {
			return fmt.Errorf("br: %w", err)
		}
		b.src = b.brr
	}
	return nil
}

// hold reads until n bytes of the decoded body are in head, or there is no more.
func (b *body) hold(n int) {
	if b.late == nil {
		b.late = b.decode()
	}
	for b.late == nil && len(b.head) < n {
		if len(b.head) == cap(b.head) {
			b.head = slices.Grow(b.head, max(len(b.head), 32<<10))
		}
		var m int
		m, b.late = b.src.Read(b.head[len(b.head):cap(b.head)])
		b.head = b.head[:len(b.head)+m]
		b.late = b.ended(b.late)
	}
}

// expect makes room for a body of n bytes.
func (b *body) expect(n int) {
	if b.from == identity && cap(b.head) < n && len(b.head) == 0 {
		b.head = make([]byte, 0, n)
	}
}

// all reports whether the whole body, of at most limit bytes, is in head; it
// reads if limit is not 0.
func (b *body) all(limit int) bool {
	if limit > 0 {
		b.hold(limit + 1)
	}
	return b.late == io.EOF && len(b.head) <= limit && (b.from == identity || len(b.head) <= b.left)
}

// pageLimit is the most of a page that is held for policies to look at. A
// longer page has nothing that they can read.
const pageLimit = 1 << 20

// page returns the whole body as the origin sent it, decoded; ok is false if it
// is too long, or did not come whole. What was read is rewritten later.
func (b *body) page() (text []byte, ok bool) {
	ok = b.all(pageLimit)
	return b.head, ok
}

// Sizes of the beginning of a body that tell its charset: any byte order mark,
// and what the body may say of itself (WHATWG HTML, 4.2.5.4).
const (
	markBytes    = 3
	prescanBytes = 1024
)

// holdHead reads as much as is needed to tell the charset. It waits for no
// more, so that a slow origin's page shows as it comes.
func (b *body) holdHead(contentType string, xml bool) {
	b.hold(markBytes)
	if strings.Contains(contentType, "charset=") {
		return
	}
	for b.late == nil && len(b.head) < prescanBytes {
		if !xml && rewrite.Sniff(b.head, contentType, false).Name() != "" {
			return // it says so already
		}
		b.hold(len(b.head) + 1)
	}
}

// read returns the next of the decoded body: first what is in head.
func (b *body) read() ([]byte, error) {
	if len(b.head) > 0 {
		head := b.head
		b.head = b.head[:0]
		return head, b.late
	}
	if b.late != nil {
		return nil, b.late
	}
	n, err := b.src.Read(b.in)
	return b.in[:n], b.ended(err)
}

// ended makes what follows the end of a gzip stream, and is no other, its end:
// some origins pad, and browsers take it.
func (b *body) ended(err error) error {
	if b.from == gzipped && errors.Is(err, kgzip.ErrHeader) {
		return io.EOF
	}
	return err
}

// start connects decoder, rewriter and encoder.
func (b *body) start() error {
	if err := b.decode(); err != nil {
		return err
	}
	b.begin(b.encoder())
	return nil
}

// encoder returns what encodes into out.
func (b *body) encoder() io.WriteCloser {
	switch b.to {
	case gzipped:
		if b.gzw == nil {
			b.gzw, _ = kgzip.NewWriterLevel(nil, gzipLevel)
		}
		b.gzw.Reset(&b.out)
		return b.gzw
	case brotlied:
		if b.brw == nil {
			b.brw = brotli.NewWriterLevel(nil, brotliLevel)
		}
		b.brw.Reset(&b.out)
		return b.brw
	}
	return plainEncoder{&b.out}
}

type plainEncoder struct{ *bytes.Buffer }

func (plainEncoder) Close() error { return nil }

// begin readies the rewriter.
func (b *body) begin(sink io.Writer) {
	b.started, b.sink = true, sink
	if b.rw == nil {
		b.rw = rewrite.New(b.plan, sink)
	} else {
		b.rw.Reset(b.plan, sink)
	}
}

// Levels at which a page is worth its time when it is coded for one visitor.
const (
	gzipLevel   = 4
	brotliLevel = 3
)

var errTooLarge = errors.New("the decoded body is over the limit")

// unexpected turns an end of input where more must come into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// step takes one read's worth of the origin's body through, into b.out. It
// leaves io.EOF in b.err when the body is whole, and another error when it is not.
func (b *body) step() {
	if b.err != nil {
		return
	}
	if !b.started {
		b.started = true
		if b.err = b.start(); b.err != nil {
			return
		}
	}
	text, err := b.read()
	if b.from != identity {
		if len(text) > b.left {
			text, err = text[:b.left], errTooLarge
		}
		b.left -= len(text)
	}
	n := len(text)
	if n > 0 {
		if _, werr := b.rw.Write(text); werr != nil {
			b.err = werr
			return
		}
	}
	switch {
	case err == io.EOF:
		if b.err = b.finish(); b.err == nil {
			b.err = io.EOF
		}
	case err != nil:
		b.err = err
		b.flush() // what came is the visitor's
	case n > 0:
		b.err = b.flush() // a slow origin's page shows as it comes
	}
}

func (b *body) flush() error {
	switch b.to {
	case gzipped:
		return b.gzw.Flush()
	case brotlied:
		return b.brw.Flush()
	}
	return nil
}

// endPage ends the page before the encoder.
func (b *body) endPage() error {
	if err := b.rw.Close(); err != nil || len(b.after) == 0 {
		return err
	}
	_, err := b.sink.Write(b.after)
	return err
}

func (b *body) finish() error {
	if err := b.endPage(); err != nil {
		return err
	}
	switch b.to {
	case gzipped:
		return b.gzw.Close()
	case brotlied:
		return b.brw.Close()
	}
	return nil
}

// report tells what became of the edits. It is good until the body is closed.
func (b *body) report() (r rewrite.Report) {
	switch {
	case b.edited:
		return b.json.Report()
	case b.started && b.rw != nil:
		return b.rw.Report()
	}
	return r
}

// open readies b for a body.
func (b *body) open(origin io.Reader, coded coding, limit int) {
	b.origin, b.from, b.to, b.left = origin, coded, coded, limit
	b.err, b.late, b.head = nil, nil, b.head[:0]
	b.started, b.edited, b.after = false, false, nil
	b.out.Reset()
}

// close gives b back to the pool. Large buffers are left to the collector.
func (b *body) close() {
	b.origin, b.src, b.plan, b.sink, b.after = nil, nil, nil, nil, nil
	b.gather.page, b.gather.to = nil, nil
	if cap(b.gather.made) > wholeBody {
		b.gather.made = nil
	}
	if cap(b.head) > wholeBody {
		b.head = nil
	}
	if b.out.Cap() > 2*wholeBody {
		b.out = bytes.Buffer{}
	}
	bodies.Put(b)
}

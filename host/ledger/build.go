package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A builder hashes and compresses the records of one window as they come.
type builder struct {
	enc     *zstd.Encoder
	frame   []byte // what enc wrote
	root    rootHasher
	marks   []byte // of the records, as they come
	records int64
	events  int64
	size    int // bytes of records
	began   time.Time
	chunks  []*chunk // reused by the sealer
}

// Write takes compressed bytes from enc.
func (b *builder) Write(p []byte) (int, error) {
	b.frame = append(b.frame, p...)
	return len(p), nil
}

func (b *builder) open() error {
	// One goroutine: the sealer's. The other cores belong to exchanges. Records
	// repeat what the last few dozen said, so a larger window finds little more, and
	// costs the cache. The statement's hashes are a better checksum.
	enc, err := zstd.NewWriter(b, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(64<<10), zstd.WithEncoderCRC(false))
	b.enc = enc
	return err
}

func (b *builder) close() {
	if b.enc != nil {
		b.enc.Close()
	}
}

// add hashes and compresses a chunk.
func (b *builder) add(c *chunk) error {
	if b.records == 0 {
		b.began = c.began
	}
	for from := 1; from < len(c.buf); {
		to := from + bytes.IndexByte(c.buf[from:], '\n')
		// A leaf is the hash of 0x00 and the line. The byte before the line, the end of
		// the line before it, lends its place, which saves a copy.
		before := c.buf[from-1]
		c.buf[from-1] = 0
		leaf := sha256.Sum256(c.buf[from-1 : to])
		b.root.add(leaf)
		b.marks = append(b.marks, leaf[:markSize]...)
		c.buf[from-1] = before
		from = to + 1
	}
	b.records += c.n
	b.events += c.events
	b.size += len(c.buf)
	_, err := b.enc.Write(c.buf[1:])
	return err
}

// A segment is all that is to be written for one window. It is built once: if
// writing fails, the same bytes are written again, so that never two
// different segments are signed with one number.
type segment struct {
	Statement
	frame  []byte // the records' and that of their marks
	tiles  []tileFile
	after  *edge // the tree with this segment
	signed []byte
	events int64

	// durable says that frame and tiles are on disk, and that the checkpoint may be as
	// well, even if writing it has failed: from then on nothing is cut off.
	durable bool
}

// build ends the window.
func (l *Ledger) build() (*segment, error) {
	b := &l.builder
	if err := b.enc.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	s := &segment{frame: appendMarks(b.frame, b.marks), events: b.events}
	from, to := milli(b.began), milli(l.Now())
	// A clock that was set back does not make the ledger's order doubtful.
	if from.Before(l.tip.to) {
		from = l.tip.to
	}
	if to.Before(from) {
		to = from
	}
	s.Statement = Statement{
		Segment: l.tip.size, First: l.tip.records, Records: b.records, Root: b.root.root(),
		File: max(segmentFile(from), l.tip.file), Bytes: int64(len(s.frame)), SHA256: sha256.Sum256(s.frame), Marks: sha256.Sum256(b.marks),
		From: from, To: to,
	}
	if s.File == l.tip.file {
		s.Offset = l.tip.end
	}
	var err error
	if s.after, s.tiles, err = l.tip.add(s.append(nil)); err != nil {
		return nil, err
	}
	tree, err := s.after.tree()
	if err != nil {
		return nil, err
	}
	s.signed, err = l.sign(tree)
	return s, err
}

// sign makes a checkpoint.
func (l *Ledger) sign(tree tlog.Tree) ([]byte, error) {
	return note.Sign(&note.Note{Text: formatCheckpoint(l.key.Name(), tree)}, l.signer)
}

// reset makes the builder ready for the next window, with memory for its frame.
func (b *builder) reset(frame []byte) {
	b.frame, b.marks, b.records, b.events, b.size = frame[:0], b.marks[:0], 0, 0, 0
	b.root.reset()
	b.enc.Reset(b)
}

package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"
)

// A segmentReader reads segments one after the other, into the same memory.
type segmentReader struct {
	dir   string
	file  *os.File
	name  string
	zstd  *zstd.Decoder
	frame []byte // of a segment: records and marks
	text  []byte // a zero byte, then the records
	leaf  treeHead
	marks []byte // of the lines that were read
	wide  []byte // see locate
}

func newSegmentReader(dir string) (*segmentReader, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment), zstd.WithDecoderMaxWindow(maxSegment/2))
	if err != nil {
		return nil, err
	}
	return &segmentReader{dir: dir, zstd: z}, nil
}

func (r *segmentReader) close() {
	r.zstd.Close()
	if r.file != nil {
		r.file.Close()
	}
}

// What is wrong with a segment's bytes, as opposed to an error of reading them. What they hold
// may still be compared with their marks.
var (
	errFrame = errors.New("the bytes are not those that were sealed")
	errShort = errors.New("the file ends too early")
	errZstd  = errors.New("zstd")
)

// load reads the segment's bytes and checks their hash, then decompresses the records.
func (r *segmentReader) load(st *Statement) error { return r.loadAt(st, st.Offset) }

// loadAt is load of a segment that begins at byte at of its file.
func (r *segmentReader) loadAt(st *Statement, at int64) error {
	r.text = r.text[:0]
	if st.Bytes > maxSegment {
		return fmt.Errorf("%d bytes: expected at most %d", st.Bytes, maxSegment)
	}
	if err := r.open(st.File); err != nil {
		return err
	}
	if int64(cap(r.frame)) < st.Bytes {
		r.frame = make([]byte, st.Bytes+st.Bytes/4)
	}
	r.frame = r.frame[:st.Bytes]
	n, err := r.file.ReadAt(r.frame, at)
	if n < len(r.frame) {
		r.frame = r.frame[:n]
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("bytes %d to %d: %w, by %d bytes", at, at+st.Bytes, errShort, st.Bytes-int64(n))
		}
		return err
	}
	if sha256.Sum256(r.frame) != st.SHA256 {
		return errFrame
	}
	return r.unpack(r.frame)
}

// open makes a file of segments the one that is read.
func (r *segmentReader) open(name string) error {
	if r.file != nil && r.name == name {
		return nil
	}
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
	f, err := os.Open(filepath.Join(r.dir, segmentsName, name))
	if err != nil {
		return err
	}
	r.file, r.name = f, name
	return nil
}

// unpack decompresses records. After an error there is the text up to where it breaks off.
func (r *segmentReader) unpack(frame []byte) error {
	// The zero byte in front is what a leaf's hash begins with (RFC 6962, 2.1), so
	// that lines need not be copied to be hashed.
	text, err := r.zstd.DecodeAll(frame, append(r.text[:0], 0))
	if r.text = r.text[:0]; len(text) > 0 {
		r.text = text
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errZstd, err)
	}
	return nil
}

// lines calls f with each line of what was loaded, without its end, and
// returns how many there are and their hash (RFC 6962) as a tree. It leaves their marks.
func (r *segmentReader) lines(f func(i int64, line []byte)) (n int64, root tlog.Hash, err error) {
	r.leaf.reset()
	r.marks = r.marks[:0]
	from := 1
	for from < len(r.text) {
		length := bytes.IndexByte(r.text[from:], '\n')
		if length < 0 {
			return n, r.leaf.hash(), fmt.Errorf("line %d does not end", n)
		}
		before := r.text[from-1] // the end of the line before, or the byte in front
		r.text[from-1] = 0
		leaf := sha256.Sum256(r.text[from-1 : from+length])
		r.leaf.add(leaf)
		r.marks = append(r.marks, leaf[:markSize]...)
		r.text[from-1] = before
		if f != nil {
			f(n, r.text[from:from+length])
		}
		from += length + 1
		n++
	}
	return n, r.leaf.hash(), nil
}

// frames counts the segments at the start of b, each a zstd frame and one of marks (RFC 8878,
// 3.1): whole ones, and how many bytes follow.
func frames(b []byte) (whole int, rest int) {
	for len(b) > 0 {
		n := frameLength(b)
		if n == 0 {
			break
		}
		var marks zstd.Header
		if marks.Decode(b[n:]) != nil || !marks.Skippable || int64(marks.SkippableSize) > int64(len(b)-n-marksHead) {
			break
		}
		n += marksHead + int(marks.SkippableSize)
		whole++
		b = b[n:]
	}
	return whole, len(b)
}

// frameLength is the length of the frame that b begins with, 0 if it is cut off
// or no frame.
func frameLength(b []byte) int {
	var h zstd.Header
	if h.Decode(b) != nil || h.Skippable || h.HeaderSize == 0 {
		return 0
	}
	at := h.HeaderSize
	for {
		if at+3 > len(b) {
			return 0
		}
		head := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		size := head >> 3
		if head>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		if at += 3 + size; at > len(b) {
			return 0
		}
		if head&1 != 0 {
			break
		}
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(b) {
		return 0
	}
	return at
}

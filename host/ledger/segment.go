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
	frame []byte
	text  []byte // a zero byte, then the records
	leaf  treeHead
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

// errFrame: the bytes of the frame are not those that were sealed.
var errFrame = errors.New("the bytes are not those that were sealed")

// load reads the segment's frame and checks its hash, then decompresses it. With
// errFrame the records are there if the frame could be decompressed all the same.
func (r *segmentReader) load(st *Statement) error {
	r.text = r.text[:0]
	if st.Bytes > maxSegment {
		return fmt.Errorf("a frame of %d bytes: expected at most %d", st.Bytes, maxSegment)
	}
	if r.file == nil || r.name != st.File {
		if r.file != nil {
			r.file.Close()
			r.file = nil
		}
		f, err := os.Open(filepath.Join(r.dir, segmentsName, st.File))
		if err != nil {
			return err
		}
		r.file, r.name = f, st.File
	}
	if int64(cap(r.frame)) < st.Bytes {
		r.frame = make([]byte, st.Bytes+st.Bytes/4)
	}
	r.frame = r.frame[:st.Bytes]
	n, err := r.file.ReadAt(r.frame, st.Offset)
	if n < len(r.frame) {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("bytes %d to %d: the file ends %d bytes too early", st.Offset, st.Offset+st.Bytes, len(r.frame)-n)
		}
		return err
	}
	sealed := sha256.Sum256(r.frame) == st.SHA256
	// The zero byte in front is what a leaf's hash begins with (RFC 6962, 2.1), so
	// that lines need not be copied to be hashed.
	text, err := r.zstd.DecodeAll(r.frame, append(r.text[:0], 0))
	if len(text) > 0 {
		r.text = text
	}
	if !sealed {
		return errFrame
	}
	if err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	return nil
}

// lines calls f with each line of what was loaded, without its end, and
// returns how many there are and their hash (RFC 6962) as a tree.
func (r *segmentReader) lines(f func(i int64, line []byte)) (n int64, root tlog.Hash, err error) {
	r.leaf.reset()
	from := 1
	for from < len(r.text) {
		length := bytes.IndexByte(r.text[from:], '\n')
		if length < 0 {
			return n, r.leaf.hash(), fmt.Errorf("line %d does not end", n)
		}
		before := r.text[from-1] // the end of the line before, or the byte in front
		r.text[from-1] = 0
		r.leaf.add(sha256.Sum256(r.text[from-1 : from+length]))
		r.text[from-1] = before
		if f != nil {
			f(n, r.text[from:from+length])
		}
		from += length + 1
		n++
	}
	return n, r.leaf.hash(), nil
}

// frames counts the zstd frames at the start of b: whole ones, and whether
// something follows that is the start of one at most (RFC 8878, 3.1).
func frames(b []byte) (whole int, rest int) {
	for len(b) > 0 {
		n := frameLength(b)
		if n == 0 {
			break
		}
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

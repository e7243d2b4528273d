package recommend

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// A file of ours: 8 bytes of magic with its kind, the version, what it says, and
// the SHA-256 of all that. It is written beside its name, synced, and renamed:
// after a crash there is the old one or the new one.
const (
	magicNumbers    = "bspkNUM\n"
	magicCatalogue  = "bspkCAT\n"
	magicAggregates = "bspkAGG\n"
	fileVersion     = 1
)

// ErrDamaged says that a file is not as it was written: cut, changed, of another
// kind, or of a version that this build does not know.
var ErrDamaged = errors.New("damaged file")

// writeFile writes a file of ours as a whole. fill writes what it says.
func writeFile(name, magic string, fill func(*encoder) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", name, err)
		}
	}()
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, hash), 256<<10)
	e := &encoder{w: w}
	e.raw([]byte(magic))
	e.uint32(fileVersion)
	err = fill(e)
	err = errors.Join(err, e.err, w.Flush())
	if err == nil {
		_, err = f.Write(hash.Sum(nil))
	}
	if err == nil {
		err = f.Sync() // a crash from here on finds these bytes on the disk
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil { // the old until here, the new from here
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes a rename last. A system that cannot sync folders says so, and
// does what it does.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrInvalid) && !errors.Is(err, os.ErrPermission) {
		d.Close()
		return err
	}
	return d.Close()
}

// readFile gives what a file of ours says, after its sum was checked: never a
// part. It holds the whole file in memory, at most limit bytes.
func readFile(name, magic string, limit int64) (*decoder, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrDamaged, name, st.Size(), limit)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	d, err := parseFile(b, magic)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

func parseFile(b []byte, magic string) (*decoder, error) {
	const head = 8 + 4
	if len(b) < head+sha256.Size {
		return nil, fmt.Errorf("%w: %d bytes, a whole one has more", ErrDamaged, len(b))
	}
	if !bytes.Equal(b[:8], []byte(magic)) {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrDamaged, magic)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("%w: its checksum does not fit", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != fileVersion {
		return nil, fmt.Errorf("%w: version %d, this build reads %d", ErrDamaged, v, fileVersion)
	}
	return &decoder{b: body[head:]}, nil
}

// An encoder writes numbers and strings; its first error stays.
type encoder struct {
	w   *bufio.Writer
	buf [binary.MaxVarintLen64]byte
	err error
}

func (e *encoder) raw(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *encoder) uint32(v uint32)   { e.raw(binary.LittleEndian.AppendUint32(e.buf[:0], v)) }
func (e *encoder) uint64(v uint64)   { e.raw(binary.LittleEndian.AppendUint64(e.buf[:0], v)) }
func (e *encoder) float32(v float32) { e.uint32(math.Float32bits(v)) }
func (e *encoder) count(v int)       { e.raw(binary.AppendUvarint(e.buf[:0], uint64(v))) }
func (e *encoder) text(s string)     { e.count(len(s)); e.raw([]byte(s)) }

// A decoder reads what an encoder wrote. Past the end everything is zero and err
// says so; no length in the bytes makes it take more memory than there are bytes.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	d.b = nil
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail("it ends early")
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// weight reads a float32 that has to be finite and not negative.
func (d *decoder) weight() float32 {
	v := math.Float32frombits(d.uint32())
	if !(v >= 0 && v <= math.MaxFloat32) {
		d.fail("a weight is no number")
		return 0
	}
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many of something follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.b)/max(size, 1)) {
		d.fail("a count is larger than the file")
		return 0
	}
	return int(v)
}

func (d *decoder) text() string { return string(d.take(d.count(1))) }

// end sees that nothing is left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes are left over")
	}
	return d.err
}

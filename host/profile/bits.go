package profile

import (
	"encoding/binary"
	"math/bits"
)

// A bitWriter appends numbers to b, the highest bit first.
type bitWriter struct {
	b   []byte
	acc uint64 // its last n bits are not in b yet; n < 32 between calls
	n   uint
}

// put writes the low bits of v, as many as width says: at most 32.
func (w *bitWriter) put(v uint32, width uint) {
	w.acc = w.acc<<width | uint64(v)&(1<<width-1)
	if w.n += width; w.n >= 32 {
		w.n -= 32
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(w.acc>>w.n))
	}
}

// ones writes n ones, at most 31, and then a zero.
func (w *bitWriter) ones(n uint) { w.put(1<<(n+1)-2, n+1) }

// end fills the last byte with zeros.
func (w *bitWriter) end() []byte {
	for w.put(0, -w.n&7); w.n > 0; {
		w.n -= 8
		w.b = append(w.b, byte(w.acc>>w.n))
	}
	return w.b
}

// A bitReader reads what a bitWriter wrote. Beyond the end are zeros, and bad is
// set; so is it where a number cannot be one that was written.
type bitReader struct {
	b   []byte
	acc uint64 // at its top, n bits that are not read yet, and then zeros or the first of b
	n   uint
	bad bool
}

func (r *bitReader) fill() {
	if len(r.b) >= 8 {
		r.acc |= binary.BigEndian.Uint64(r.b) >> r.n
		size := (64 - r.n) / 8
		r.b, r.n = r.b[size:], r.n+8*size
		return
	}
	for r.n <= 56 && len(r.b) > 0 {
		r.acc |= uint64(r.b[0]) << (56 - r.n)
		r.b, r.n = r.b[1:], r.n+8
	}
}

// take reads as many bits as width says: at most 32.
func (r *bitReader) take(width uint) uint32 {
	if r.n < width {
		if r.fill(); r.n < width {
			r.bad, r.n, r.acc = true, 0, 0
			return 0
		}
	}
	v := r.acc >> 32 >> (32 - width)
	r.acc, r.n = r.acc<<width, r.n-width
	return uint32(v)
}

// ones reads ones up to a zero. More than max are bad.
func (r *bitReader) ones(max uint) uint {
	if r.n <= max {
		r.fill()
	}
	n := uint(bits.LeadingZeros64(^r.acc))
	if n > max {
		r.bad = true
		return 0
	}
	r.take(n + 1)
	return n
}

// atEnd reports whether nothing is left but the zeros that end fills with.
func (r *bitReader) atEnd() bool { return !r.bad && len(r.b) == 0 && r.n < 8 && r.acc == 0 }

// A limited Rice code: v>>k as so many ones and a zero, then the low k bits. It
// suits the gaps of ascending numbers, which cost little more than their entropy.
// So that one far number does not cost a row of ones, from maxOnes on it is
// written out.
// (R. F. Rice, "Some practical universal noiseless coding techniques", JPL 79-22;
// the limit as in JPEG-LS, ISO/IEC 14495-1, A.5.3.)
const maxOnes = 20

func (w *bitWriter) rice(v uint32, k uint) {
	if q := v >> k; q < maxOnes {
		w.ones(uint(q))
		w.put(v, k)
		return
	}
	w.ones(maxOnes)
	w.put(v, 32)
}

func (r *bitReader) rice(k uint) uint32 {
	q := r.ones(maxOnes)
	if q == maxOnes {
		v := r.take(32)
		r.bad = r.bad || v>>k < maxOnes
		return v
	}
	if q>>(32-k) != 0 {
		r.bad = true
	}
	return uint32(q)<<k | r.take(k)
}

// riceFor returns the k for n ascending numbers that end with last: the mean gap
// is about 2^k.
func riceFor(n int, last uint32) uint {
	return uint(max(0, bits.Len32(last/uint32(n))-1))
}

// Exponential-Golomb codes, for numbers below 2^31: short for small ones, and for
// one of n bits never more than about 2n-k. (J. Teuhola, "A compression method for
// clustered bit-vectors", 1978.)
func (w *bitWriter) golomb(v uint32, k uint) {
	x := uint64(v)>>k + 1
	n := uint(bits.Len64(x)) - 1
	w.ones(n)
	w.put(uint32(x), n)
	w.put(v, k)
}

func (r *bitReader) golomb(k uint) uint32 {
	n := r.ones(31)
	x := uint64(1)<<n | uint64(r.take(n))
	v := (x-1)<<k | uint64(r.take(k))
	if v > 1<<32-1 {
		r.bad = true
	}
	return uint32(v)
}

// golombLen returns how many bits golomb writes.
func golombLen(v uint32, k uint) uint { return 2*uint(bits.Len32(v>>k+1)) - 1 + k }

package consent

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// A bitText is a row of 0 and 1: fields are appended to it, and read off its
// front. It is how these tests write strings and read them back, and it shares
// nothing with the decoders.
type bitText string

// refuse is what reading panics with; oracle turns it into "not readable".
type refuse struct{}

// oracle runs read and reports whether it took the text.
func oracle[T any](read func() T) (v T, ok bool) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case refuse:
			var zero T
			v, ok = zero, false
		default:
			panic(e)
		}
	}()
	return read(), true
}

func demand(ok bool) {
	if !ok {
		panic(refuse{})
	}
}

func (b *bitText) write(v uint64, n int) { *b += bitText(fmt.Sprintf("%0*b", n, v)) }

func (b *bitText) writeFlag(v bool) {
	if v {
		*b += "1"
	} else {
		*b += "0"
	}
}

// writeFlags writes bit 0 of v first.
func (b *bitText) writeFlags(v uint32, n int) {
	for i := range n {
		b.writeFlag(v&(1<<i) != 0)
	}
}

func (b *bitText) writeLetters(s string) {
	for _, c := range s {
		b.write(uint64(c-'A'), 6)
	}
}

// writeFibonacci follows the steps "To encode an integer N" of the GPP text.
func (b *bitText) writeFibonacci(n int) {
	numbers := []int{1, 2}
	for numbers[len(numbers)-1] < n {
		numbers = append(numbers, numbers[len(numbers)-1]+numbers[len(numbers)-2])
	}
	places := make([]byte, 0, len(numbers))
	for i := len(numbers) - 1; i >= 0; i-- {
		switch {
		case n >= numbers[i]:
			n -= numbers[i]
			places = append(places, '1')
		case len(places) > 0:
			places = append(places, '0')
		}
	}
	for i := len(places) - 1; i >= 0; i-- {
		*b += bitText(places[i])
	}
	*b += "1"
}

// text encodes in base64url, filled up with zeros to a multiple of 6 and of unit.
func (b bitText) text(unit int) string {
	for len(b)%6 != 0 || len(b)%unit != 0 {
		b += "0"
	}
	var out strings.Builder
	for i := 0; i < len(b); i += 6 {
		v, err := strconv.ParseUint(string(b[i:i+6]), 2, 6)
		if err != nil {
			panic(err)
		}
		out.WriteByte(base64url[v])
	}
	return out.String()
}

func rowOf(text string) bitText {
	demand(text != "")
	var b strings.Builder
	for _, c := range []byte(text) {
		i := strings.IndexByte(base64url, c)
		demand(i >= 0)
		for place := 32; place > 0; place /= 2 {
			b.WriteByte(byte('0' + i/place%2))
		}
	}
	return bitText(b.String())
}

func (b *bitText) take(n int) bitText {
	demand(len(*b) >= n)
	v := (*b)[:n]
	*b = (*b)[n:]
	return v
}

func (b *bitText) number(n int) uint64 {
	v, err := strconv.ParseUint(string(b.take(n)), 2, 64)
	if err != nil {
		panic(err)
	}
	return v
}

// flags returns a set with bit 0 for the first.
func (b *bitText) flags(n int) (set uint32) {
	for i, c := range b.take(n) {
		if c == '1' {
			set |= 1 << i
		}
	}
	return set
}

func (b *bitText) letters() (v [2]byte) {
	for i := range v {
		n := b.number(6)
		demand(n < 26)
		v[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n]
	}
	return v
}

func (b *bitText) fibonacci() int {
	i := strings.Index(string(*b), "11")
	demand(i >= 0)
	code := b.take(i + 2)
	n, x, y := 0, 1, 2
	for _, c := range code[:i+1] {
		if c == '1' {
			n += x
		}
		x, y = y, x+y
		demand(x < 1<<17)
	}
	demand(n < 1<<16)
	return n
}

func (b bitText) end() { demand(strings.Trim(string(b), "0") == "") }

func TestFibonacciCodes(t *testing.T) {
	// GPP, Consent String Specification, "About Fibonacci Encoding".
	for n, want := range map[int]bitText{
		1: "11", 2: "011", 3: "0011", 4: "1011", 5: "00011", 6: "10011", 7: "01011",
	} {
		var b bitText
		b.writeFibonacci(n)
		if b != want {
			t.Errorf("the test writes %d as %s, want %s", n, b, want)
		}
		r := bitReader{s: []byte(want.text(1))}
		if got := r.fibonacci(); got != n || r.end() != 0 {
			t.Errorf("%s: %d, %v", want, got, r.fault)
		}
	}
	for n := 1; n < 1<<16; n += 1 + n/500 {
		var b bitText
		b.writeFibonacci(n)
		r := bitReader{s: []byte(b.text(1))}
		if got := r.fibonacci(); got != n || r.end() != 0 {
			t.Fatalf("%d: read %d, %v", n, got, r.fault)
		}
	}
	for _, b := range []bitText{
		bitText(strings.Repeat("0", 600) + "11"),
		bitText(strings.Repeat("10", 300) + "11"),
	} {
		r := bitReader{s: []byte(b.text(1))}
		if r.fibonacci(); r.fault != errRange {
			t.Errorf("a code without end: %v", r.fault)
		}
	}
	for _, n := range []int{1<<16 - 1, 1 << 16, 75025, 1 << 17} {
		var b bitText
		b.writeFibonacci(n)
		r := bitReader{s: []byte(b.text(1))}
		if got := r.fibonacci(); n < 1<<16 && got != n || n >= 1<<16 && r.fault != errRange {
			t.Errorf("%d: read %d, %v", n, got, r.fault)
		}
	}
	r := bitReader{s: []byte("A")}
	if r.fibonacci(); r.fault != errTruncated {
		t.Errorf("no code: %v", r.fault)
	}
}

func TestSextets(t *testing.T) {
	for c := range 256 {
		i := strings.IndexByte(base64url, byte(c))
		if want := byte(i + 64); i >= 0 && sextets[c] != want || i < 0 && sextets[c] != 0 {
			t.Errorf("character %d: %d", c, sextets[c])
		}
	}
}

// TestBitReader reads random rows in random pieces, some of them skipped.
func TestBitReader(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var b bitText
		for range rng.IntN(200) {
			b.writeFlag(rng.IntN(2) == 0)
		}
		b += "1" // so that the end is known
		r := bitReader{s: []byte(b.text(1))}
		for rest := b; rest != ""; {
			n := min(len(rest), rng.IntN(49))
			if rng.IntN(3) == 0 {
				n = min(len(rest), rng.IntN(120))
				r.skip(uint(n))
				rest.take(n)
				continue
			}
			got := r.bits(uint(n))
			if n > 0 && got != rest.number(n) || n == 0 && got != 0 {
				t.Fatalf("%s: %d bits before %d: %b", b, n, len(rest), got)
			}
		}
		if f := r.end(); f != 0 {
			t.Fatalf("%s: %v", b, f)
		}
	}
}

func TestBitReaderFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		read func(r *bitReader)
		want fault
	}{
		{"nothing read", "AAAA", func(r *bitReader) {}, 0},
		{"a bit left", "C", func(r *bitReader) { r.bits(4) }, errPadding},
		{"a character left", "AB", func(r *bitReader) { r.bits(6) }, errPadding},
		{"many zeros left", "A" + strings.Repeat("A", 100), func(r *bitReader) { r.bits(6) }, 0},
		{"bad among what is left", "AA=", func(r *bitReader) { r.bits(6) }, errBase64},
		{"bad among what is read", "A=A", func(r *bitReader) { r.bits(12) }, errBase64},
		{"bad among what is skipped", "AA+AAA", func(r *bitReader) { r.skip(30) }, errBase64},
		{"bad where a skip ends", "AA/AAA", func(r *bitReader) { r.skip(14) }, errBase64},
		{"read beyond", "AA", func(r *bitReader) { r.bits(13) }, errTruncated},
		{"skip beyond", "AA", func(r *bitReader) { r.skip(13) }, errTruncated},
		{"skip far beyond", "AA", func(r *bitReader) { r.skip(1 << 16) }, errTruncated},
		{"the first fault stays", "=", func(r *bitReader) { r.bits(1); r.bits(1) }, errBase64},
		{"no letter", "az", func(r *bitReader) { r.letters() }, errValue},
	} {
		r := bitReader{s: []byte(c.text)}
		c.read(&r)
		if f := r.end(); f != c.want {
			t.Errorf("%s: %v, want %v", c.name, f, c.want)
		}
	}
}

func TestFaultTexts(t *testing.T) {
	seen := map[string]fault{}
	for f := fault(1); f < faults; f++ {
		if other, double := seen[f.Error()]; f.Error() == "" || double {
			t.Errorf("fault %d has the text %q (also %d)", f, f.Error(), other)
		}
		seen[f.Error()] = f
	}
	if fault(0).err() != nil {
		t.Error("no fault is an error")
	}
}

func TestIsBase64(t *testing.T) {
	for s, want := range map[string]bool{"": true, "AZaz09-_": true, "A.": false, "A ": false, "Aä": false, "\x00": false} {
		if isBase64([]byte(s)) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

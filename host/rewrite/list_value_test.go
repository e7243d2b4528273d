package rewrite

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// The fast way to read a number gives what strconv gives, to the bit.
func TestDecimal(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 10))
	fast := 0
	for range 200_000 {
		s := strconv.FormatFloat((rnd.Float64()-0.5)*400, 'f', rnd.IntN(17), 64)
		switch rnd.IntN(8) {
		case 0:
			s = strconv.FormatInt(rnd.Int64N(1000), 10)
		case 1:
			b := []byte(s)
			b[rnd.IntN(len(b))] = "0.-+e x"[rnd.IntN(7)]
			s = string(b)
		}
		f, ok := decimal([]byte(s))
		if !ok {
			continue
		}
		fast++
		if g, err := strconv.ParseFloat(s, 64); err != nil || math.Float64bits(f) != math.Float64bits(g) {
			t.Fatalf("%q: %v; want %v, %v", s, f, g, err)
		}
	}
	if fast < 100_000 {
		t.Errorf("only %d numbers were read the fast way", fast)
	}
	for _, s := range []string{"", "-", ".", "-.", "+1", "1e3", "1.2.3", "0x1", " 1", "1 ", "-0", "1234567890.123456"} {
		if f, ok := decimal([]byte(s)); ok {
			t.Errorf("%q: %v", s, f)
		}
	}
}

//go:build !race

// The race detector makes sync.Pool forget at random.

package ledger

import "testing"

func TestAppendDoesNotAllocate(t *testing.T) {
	l, _ := newLedger(t, nil)
	x := newTypical()
	var p [8]byte
	id := []byte("visitor")
	record := func() {
		if !l.Reserve() {
			t.Fatal("no room")
		}
		l.Pseudonym(&p, "stores", id)
		x.In = l.SealDigest(x.In)
		l.Exchange(x, true)
	}
	for range 2000 { // the chunks that are used again
		record()
	}
	mustFlush(t, l)
	if n := testing.AllocsPerRun(500, record); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
}

package edge

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"bespoke/host/consent"
	"bespoke/host/ledger"
)

// TestMemo has many keys share few slots, from several goroutines.
func TestMemo(t *testing.T) {
	type key struct {
		a string
		b uint64
	}
	m := newMemo[key, string](4)
	var made sync.Map
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 20_000 {
				k := key{string(rune('a' + r.IntN(20))), r.Uint64N(3)}
				want := k.a + string(rune('0'+k.b))
				if got := *m.of(k, func() string { made.Store(k, true); return want }); got != want {
					t.Errorf("%v: %q", k, got)
					return
				}
			}
		})
	}
	wg.Wait()
	n := 0
	made.Range(func(any, any) bool { n++; return true })
	if n != 60 {
		t.Errorf("%d keys were made", n)
	}
	if n := testing.AllocsPerRun(100, func() { m.of(key{"a", 1}, func() string { return "a1" }) }); n != 0 {
		t.Errorf("finding one takes %v allocations", n)
	}
}

// TestDecisionsInTheirOwnWords records decisions one after the other, many of which differ in
// little, and compares each with what is written of it alone.
func TestDecisionsInTheirOwnWords(t *testing.T) {
	e := &Edge{decisions: newMemo[consent.Settled, ledger.Decision](256)}
	r := rand.New(rand.NewPCG(5, 6))
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	places := []consent.Jurisdiction{{ID: "DE", OptIn: true}, {ID: "FR", OptIn: true}, {ID: "US-CA"}, {ID: "US-VA"}}
	choice := func() *consent.Choice {
		if r.IntN(2) == 0 {
			return nil
		}
		c := &consent.Choice{Granted: consent.Set(r.IntN(1<<5)) & consent.All, At: now.Add(-time.Duration(r.IntN(500)) * 24 * time.Hour), Epoch: uint32(r.IntN(2)), TextVersion: uint16(r.IntN(2)), UnderGPC: r.IntN(2) == 0}
		return c
	}
	seen := map[string]bool{}
	for range 50_000 {
		s := consent.Signals{Now: now, TextVersion: 1, Jurisdiction: places[r.IntN(len(places))], GPC: r.IntN(3) == 0, Choice: choice(), Subject: choice()}
		d := consent.Decide(s)
		alone := writeDecision(&d)
		want := (&ledger.Exchange{Decision: &alone}).AppendJSON(nil)
		if got := (&ledger.Exchange{Decision: e.decided(&d)}).AppendJSON(nil); !bytes.Equal(got, want) {
			t.Fatalf("recorded %s\nit is    %s", got, want)
		}
		seen[string(want)] = true
	}
	if len(seen) < 500 {
		t.Errorf("%d decisions that differ", len(seen))
	}
}

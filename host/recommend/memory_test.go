package recommend

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What Memory says is what the heap grew by, within a third.
func TestMemoryFigure(t *testing.T) {
	const items = 30_000
	var lines strings.Builder
	for i := range items {
		fmt.Fprintf(&lines, `{"id":"item-%07d","title":"Thing %d of many","url":"/p/%d","price":3,"attributes":{"colour":"c%d","room":["a","b"]}}`+"\n", i, i, i, i%50)
	}
	before := heapNow()
	r, err := Open("", Options{Manual: true, KeptSessions: 4096})
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string) {
		t.Helper()
		got, want := r.Memory(), heapNow()-before
		if float64(got) < float64(want)*2/3 || float64(got) > float64(want)*4/3 {
			t.Errorf("%s: %d bytes, the heap grew by %d", what, got, want)
		}
	}
	if err := r.Load(strings.NewReader(lines.String()), nil); err != nil {
		t.Fatal(err)
	}
	near("a catalogue")
	rng := rand.New(rand.NewPCG(1, 2))
	for s := range 20_000 {
		for range 6 {
			r.Event(Event{Kind: View, Item: 1 + rng.Uint32N(items), Session: uint64(s + 1)})
		}
		if s%1000 == 0 {
			r.Settle()
		}
	}
	r.Settle()
	r.Advance(time.Now())
	near("and what was learned")
	runtime.KeepAlive(r)
	runtime.KeepAlive(lines.String()) // not to be missing from the heap
}

func TestMaxItems(t *testing.T) {
	r, err := Open("", Options{Manual: true, MaxItems: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Load(strings.NewReader("id\na\nb\n"), nil); err != nil {
		t.Fatal(err)
	}
	err = r.Load(strings.NewReader("id\nc\nd\ne\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "line 4: more than 2 items") || r.Catalogue().Len() != 2 {
		t.Errorf("%v, %d items", err, r.Catalogue().Len())
	}
	for _, n := range []int{-1, maxItems + 1} {
		if _, err := Open("", Options{Manual: true, MaxItems: n}); err == nil {
			t.Errorf("%d items are allowed", n)
		}
	}
}

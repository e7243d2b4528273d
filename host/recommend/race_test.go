package recommend

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// All at once: events, answers, time, catalogues, saves.
func TestAtOnce(t *testing.T) {
	r := manual(t, t.TempDir(), Options{Support: 2, OpenSessions: 256, KeptSessions: 128})
	load(t, r, shopOf(60))
	var stop atomic.Bool
	var busy sync.WaitGroup
	var answers atomic.Int64
	start := func(f func(i uint64)) {
		busy.Go(func() {
			for i := uint64(0); !stop.Load(); i++ {
				f(i)
			}
		})
	}
	for w := range uint64(3) {
		start(func(i uint64) {
			key := i/5 + 1
			r.Event(Event{Kind: Kind(1 + i%3), Item: uint32(1 + (i*7+w)%60), Session: key<<2 | w + 1, Visitor: key % 50})
			if i%50 == 0 {
				r.CloseSession(key<<2|w+1, i%100 == 0)
			}
		})
		start(func(i uint64) {
			q := Query{Item: uint32(1 + i%60), Session: (i/5+1)<<2 | w + 1, Hidden: []uint32{uint32(1 + i%7)}, N: 20}
			for b := BestSellers; b <= ForYou; b++ {
				for _, p := range r.AppendBand(nil, b, &q) {
					if p.Item == q.Hidden[0] || p.Item == q.Item {
						t.Error("hidden, or the page's own")
					}
				}
				answers.Add(1)
			}
		})
	}
	now := time.Unix(1_800_000_000, 0)
	start(func(i uint64) { now = now.Add(time.Minute); r.Advance(now) })
	start(func(i uint64) {
		if err := r.Save(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Millisecond)
	})
	start(func(i uint64) {
		if err := r.Load(strings.NewReader(shopOf(50+int(i%10))+fmt.Sprintf(`{"id":"extra%d"}`, i)), nil); err != nil {
			t.Error(err)
		}
		r.Stats()
		time.Sleep(10 * time.Millisecond)
	})
	time.Sleep(time.Second)
	stop.Store(true)
	busy.Wait()
	if s := r.Stats(); s.Sessions == 0 || answers.Load() == 0 {
		t.Errorf("nothing happened: %+v", s)
	}
}

// By itself it closes sessions and ends; Close twice is no harm.
func TestByItself(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(dir, Options{Support: 1, Idle: time.Second, SaveEvery: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	load(t, r, shopOf(20))
	r.Event(Event{Kind: Purchase, Item: num(r, "i2"), Session: 1})
	for begin := time.Now(); len(r.Band(BestSellers, Query{Exact: true})) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("the session never counted")
		}
	}
	r.Event(Event{Kind: Purchase, Item: num(r, "i3"), Session: 2})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := manual(t, dir, Options{Support: 1})
	if got := ids(again.Band(BestSellers, Query{Exact: true})); !strings.Contains(got, "i2") || !strings.Contains(got, "i3") {
		t.Errorf("after a restart: %q", got)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, o := range []Options{{Support: -1}, {Support: 17}, {Idle: time.Millisecond}, {BestHalfLife: time.Second}, {OpenSessions: -1}, {KeptSessions: 1 << 30}, {SaveEvery: 1}} {
		if r, err := Open("", o); err == nil {
			r.Close()
			t.Errorf("%+v was taken", o)
		}
	}
}

package recommend

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// busyShop has n items and sessions of people who go from item to item: mostly to
// one of the next few, in departments of which some are visited much more.
func busyShop(tb testing.TB, n, sessions int) (*Recommender, *rand.Rand) {
	tb.Helper()
	r := manual(tb, "", Options{})
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"id":"i%d","title":"Item %d","price":%d,"was":%d,"attributes":{"department":"d%d"}}`+"\n", i, i, 10+i%50, i%3*40, i/100)
	}
	if err := r.Load(&b, nil); err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 9))
	now := time.Unix(1_800_000_000, 0)
	for s := range sessions {
		at := popular(rng, n)
		for range 2 + rng.IntN(6) {
			r.Event(Event{Kind: View, Item: uint32(1 + at), Session: uint64(s) + 1})
			at = (at + 1 + rng.IntN(8)) % n
		}
		r.CloseSession(uint64(s)+1, false)
		if s%200 == 0 {
			now = now.Add(time.Minute)
			r.Advance(now)
		}
	}
	r.Settle()
	return r, rng
}

// popular picks one of n as visitors do: a few much more often than most.
func popular(rng *rand.Rand, n int) int {
	f := rng.Float64()
	return int(f * f * f * float64(n-1))
}

func queries(rng *rand.Rand, n int) []Query {
	list := make([]Query, 1024)
	for i := range list {
		at := popular(rng, n)
		for range 1 + rng.IntN(8) {
			list[i].Trail = append(list[i].Trail, uint32(1+at))
			at = (at + 1 + rng.IntN(8)) % n
		}
		slices.Reverse(list[i].Trail)
		list[i].Item, list[i].N = list[i].Trail[0], 20
	}
	return list
}

// A prediction with 20,000 items and 100,000 sessions; the goal is 100 µs.
func BenchmarkForYou(b *testing.B) {
	r, rng := busyShop(b, 20_000, 100_000)
	qs := queries(rng, 20_000)
	picks := make([]Pick, 0, 20)
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		picks = r.AppendBand(picks[:0], ForYou, &qs[i%len(qs)])
		if len(times) < cap(times) || len(times) < 1<<20 {
			times = append(times, time.Since(begin))
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "µs-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "µs-p99")
}

func BenchmarkBands(b *testing.B) {
	r, rng := busyShop(b, 20_000, 20_000)
	qs := queries(rng, 20_000)
	picks := make([]Pick, 0, 20)
	for band := RecentlyViewed; band < ForYou; band++ {
		b.Run(band.String(), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				picks = r.AppendBand(picks[:0], band, &qs[i%len(qs)])
			}
		})
	}
}

// An event, and its part of what a session costs when it is learned; the goal is 5 µs.
func BenchmarkEvent(b *testing.B) {
	r, rng := busyShop(b, 20_000, 20_000)
	path := make([]uint32, 1<<16)
	for i := range path {
		path[i] = uint32(1 + popular(rng, 20_000))
	}
	b.Run("take", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			r.Event(Event{Kind: View, Item: path[i&0xffff], Session: uint64(1 + i%1000)})
			i++
		}
		r.Settle()
	})
	b.Run("take and learn", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			key := uint64(1e6 + i/5)
			r.Event(Event{Kind: View, Item: path[i&0xffff], Session: key})
			if i%5 == 4 {
				r.CloseSession(key, false)
				r.Learn()
			}
		}
	})
}

// An answer takes no memory but its caller's.
func TestNoAllocations(t *testing.T) {
	r, rng := busyShop(t, 500, 2000)
	qs := queries(rng, 500)
	picks := make([]Pick, 0, MaxN)
	i := 0
	for band := RecentlyViewed; band <= ForYou; band++ {
		if n := testing.AllocsPerRun(500, func() {
			qs[i%len(qs)].Session = 5
			picks = r.AppendBand(picks[:0], band, &qs[i%len(qs)])
			i++
		}); n >= 1 {
			t.Errorf("%v: %v allocations", band, n)
		}
	}
	if n := testing.AllocsPerRun(2000, func() {
		r.Event(Event{Kind: View, Item: uint32(1 + i%400), Session: 1})
		i++
	}); n >= 1 {
		t.Errorf("an event: %v allocations", n)
	}
}

// What a million items hold: BESPOKE_MEMORY=1 go test -run TestMemory -v ./host/recommend
func TestMemory(t *testing.T) {
	if os.Getenv("BESPOKE_MEMORY") == "" {
		t.Skip("measures, and takes a minute and a gigabyte: BESPOKE_MEMORY=1 has it run")
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	begin := heap()
	r := manual(t, t.TempDir(), Options{})
	t.Logf("empty: %.1f MiB", heap()-begin)
	const n = 1_000_000
	in, out := io.Pipe()
	go func() {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, `{"id":"sku-%07d","title":"A thing of some length, number %d","url":"/things/%d","image":"/images/%d.svg","price":%d,"was":%d,"attributes":{"department":"d%d","colour":"c%d","size":["s","m"]}}`+"\n", i, i, i, i, 10+i%90, i%2*120, i%5000, i%40)
			if b.Len() > 1<<20 {
				out.Write(b.Bytes())
				b.Reset()
			}
		}
		out.Write(b.Bytes())
		out.Close()
	}()
	start := time.Now()
	if err := r.Load(in, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("catalogue of %d items: %.1f MiB, loaded in %v", r.Catalogue().Len(), heap()-begin, time.Since(start))
	rng := rand.New(rand.NewPCG(1, 1))
	const sessions = 300_000
	start = time.Now()
	for s := range sessions {
		at := rng.IntN(n)
		for range 2 + rng.IntN(8) {
			r.Event(Event{Kind: Kind(1 + s%3), Item: uint32(1 + at), Session: uint64(s) + 1})
			at = (at + 1 + rng.IntN(8)) % n
		}
		r.CloseSession(uint64(s)+1, false)
		if s%1000 == 0 {
			r.Learn()
		}
	}
	r.Settle()
	t.Logf("after %d sessions: %.1f MiB, learned in %v", sessions, heap()-begin, time.Since(start))
	start = time.Now()
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	t.Logf("saved in %v", time.Since(start))
	start = time.Now()
	again, err := Open(r.dir, Options{Manual: true})
	if err != nil || again.Restored() != nil {
		t.Fatal(err, again.Restored())
	}
	t.Logf("opened in %v", time.Since(start))
	start = time.Now()
	again.rankAll()
	t.Logf("ranked in %v", time.Since(start))
	runtime.KeepAlive(r)
}

// A catalogue, by the item.
func BenchmarkLoad(b *testing.B) {
	var in bytes.Buffer
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&in, `{"id":"sku-%07d","title":"A thing of some length, number %d","url":"/things/%d","image":"/images/%d.svg","price":%d,"was":%d,"attributes":{"department":"d%d","colour":"c%d","size":["s","m"]}}`+"\n", i, i, i, i, 10+i%90, i%2*120, i%5000, i%40)
	}
	r := manual(b, "", Options{})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Load(bytes.NewReader(in.Bytes()), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/item")
}

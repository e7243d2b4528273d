package recommend

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func files(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return strings.Join(names, " ")
}

// shopOf has items i1 to in, in departments of ten; every fifth is reduced, i13 is
// out of stock.
func shopOf(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		was, stock := 0, "true"
		if i%5 == 0 {
			was = 100 + i%3*50
		}
		if i == 13 {
			stock = "false"
		}
		fmt.Fprintf(&b, `{"id":"i%d","title":"Item %d","price":80,"was":%d,"stock":%s,"attributes":{"department":"d%d","colour":"c%d"}}`+"\n", i, i, was, stock, i/10, i%4)
	}
	return b.String()
}

func num(r *Recommender, id string) uint32 {
	n, ok := r.Catalogue().Number(id)
	if !ok {
		panic(id + " is not in the catalogue")
	}
	return n
}

// visit is a session of one visitor, closed. An id with a + was bought, with a -
// hidden.
func visit(r *Recommender, visitor uint64, ids ...string) {
	key := visitor<<20 + r.stats.sessions.Load() + r.stats.unheard.Load() + 1
	for _, id := range ids {
		kind := View
		switch id[0] {
		case '+':
			kind, id = Purchase, id[1:]
		case '-':
			kind, id = Hide, id[1:]
		}
		r.Event(Event{Kind: kind, Item: num(r, id), Session: key, Visitor: visitor})
	}
	r.Settle()
}

func ids(items []Item) string {
	var list []string
	for _, it := range items {
		list = append(list, it.ID)
	}
	return strings.Join(list, " ")
}

func TestBands(t *testing.T) {
	r := manual(t, "", Options{Support: 3})
	load(t, r, shopOf(40))
	for v := uint64(1); v <= 6; v++ {
		visit(r, v, "i1", "i2", "i3")
		visit(r, v+10, "i7", "+i7", "+i8")
		visit(r, v+20, "i2", "i3", "i20")
	}
	for v := uint64(31); v <= 35; v++ {
		visit(r, v, "+i9", "i30")
	}
	for _, c := range []struct {
		band Band
		q    Query
		want string // the first
	}{
		{BestSellers, Query{Exact: true, N: 4}, "i7 i8 i9"},
		{Trending, Query{Exact: true, N: 3}, "i2 i3"},
		{Deals, Query{N: 1}, "i20"}, // 150 to 80, and seen by six
		{BoughtTogether, Query{Item: num(r, "i7"), Exact: true}, "i8"},
		{BoughtTogether, Query{Item: num(r, "i7"), N: 2}, "i8 "},
		{Similar, Query{Item: num(r, "i1"), Exact: true}, "i2 i3"},
		{ViewedNext, Query{Item: num(r, "i2"), Exact: true}, "i3 i20"},
		{ForYou, Query{Trail: []uint32{num(r, "i2"), num(r, "i1")}, Item: num(r, "i2"), N: 1}, "i3"},
		{ForYou, Query{Recent: []uint32{num(r, "i7")}, N: 2}, "i8"},
		{RecentlyViewed, Query{Recent: []uint32{num(r, "i4"), num(r, "i13"), num(r, "i5")}, Exact: true}, "i4 i5"},
		{Similar, Query{Item: num(r, "i31"), N: 1}, "i35"}, // nobody saw it: alike, d3 and c3
		{ForYou, Query{N: 1}, "i7"},                        // nothing is known: best sellers
	} {
		t.Run(fmt.Sprint(c.band, c.q), func(t *testing.T) {
			if got := ids(r.Band(c.band, c.q)); !strings.HasPrefix(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Of a part of the catalogue the best sellers come first, also where those of all of
// it leave no place in the ranks.
func TestBestWithin(t *testing.T) {
	r := manual(t, "", Options{Support: 2})
	load(t, r, shopOf(60))
	for v := uint64(1); v <= 4; v++ {
		visit(r, v, "i31", "+i33", "i34", "+i1")
	}
	r.ranks.Store(&ranks{}) // as if 1,024 others were before them
	d3, _ := r.Catalogue().Value("department", "d3")
	if got := ids(r.Band(BestSellers, Query{Within: []uint32{d3}, N: 4})); got != "i33 i31 i34 i30" {
		t.Errorf("got %s", got)
	}
}

func TestBandNames(t *testing.T) {
	for b := RecentlyViewed; b <= FromCatalogue; b++ {
		if got, err := ParseBand(b.String()); err != nil || got != b {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	if _, err := ParseBand(""); err == nil {
		t.Error("no name is a band")
	}
}

// The session is followed as it happens: what is open counts for its own visitor,
// and for nobody else before it closes.
func TestSessionFollowed(t *testing.T) {
	r := manual(t, "", Options{Support: 2})
	load(t, r, shopOf(40))
	for v := uint64(1); v <= 4; v++ {
		visit(r, v, "i1", "i2", "i3")
		visit(r, v+10, "i21", "i22", "i23")
	}
	r.Event(Event{Kind: View, Item: num(r, "i21"), Session: 99})
	if got := ids(r.Band(ForYou, Query{Session: 99, Exact: true, N: 2})); !strings.Contains(got, "i22") {
		t.Errorf("after i21: %s", got)
	}
	r.Event(Event{Kind: View, Item: num(r, "i1"), Session: 99})
	if got := ids(r.Band(ForYou, Query{Session: 99, Exact: true, N: 1})); got != "i2" {
		t.Errorf("after i1: %s", got)
	}
	r.Event(Event{Kind: Hide, Item: num(r, "i1"), Session: 99})
	if got := ids(r.Band(ForYou, Query{Session: 99, Exact: true, N: 1})); got != "i22" {
		t.Errorf("i1 is hidden: %s", got)
	}
}

// Nothing is shown for fewer visitors than the support: not in any band, for any
// item, whatever was seen before.
func TestSupportProperty(t *testing.T) {
	const n, support = 30, 4
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		r := manual(t, "", Options{Support: support})
		load(t, r, shopOf(n))
		who := map[string]map[uint64]bool{}     // visitors of an item
		buy := map[string]map[uint64]bool{}     // buyers
		pair := map[[2]string]map[uint64]bool{} // visitors of both in one session
		note := func(m map[string]map[uint64]bool, k string, v uint64) {
			if m[k] == nil {
				m[k] = map[uint64]bool{}
			}
			m[k][v] = true
		}
		for range 12 + round*4 {
			v := uint64(rng.IntN(12) + 1)
			var list []string
			for range 1 + rng.IntN(5) {
				id := fmt.Sprintf("i%d", 1+rng.IntN(n))
				note(who, id, v)
				if rng.IntN(3) == 0 {
					note(buy, id, v)
					id = "+" + id
				}
				list = append(list, id)
			}
			visit(r, v, list...)
			for _, a := range list {
				for _, b := range list {
					k := [2]string{strings.TrimPrefix(a, "+"), strings.TrimPrefix(b, "+")}
					if pair[k] == nil {
						pair[k] = map[uint64]bool{}
					}
					pair[k][v] = true
				}
			}
		}
		for i := 1; i <= n; i++ {
			page := fmt.Sprintf("i%d", i)
			for b := BestSellers; b <= ForYou; b++ {
				for _, p := range r.AppendBand(nil, b, &Query{Item: num(r, page), N: 30}) {
					it, _ := r.Catalogue().Item(p.Item)
					bad := false
					switch p.Band {
					case BestSellers, Trending, ForYou:
						bad = len(who[it.ID]) < support
					case BoughtTogether, ViewedNext:
						bad = len(pair[[2]string{page, it.ID}]) < support
					}
					if bad {
						t.Fatalf("%v on %s shows %s as %v, seen by %d, together by %d", b, page, it.ID, p.Band, len(who[it.ID]), len(pair[[2]string{page, it.ID}]))
					}
				}
			}
		}
		for _, p := range r.AppendBand(nil, BestSellers, &Query{N: 30, Exact: true}) {
			if it, _ := r.Catalogue().Item(p.Item); p.Score >= 1 && len(buy[it.ID]) < support {
				t.Fatalf("%s is best for %d buyers", it.ID, len(buy[it.ID]))
			}
		}
	}
}

// Hidden, muted and out of stock never show, in no band, and however the rest of
// the page's bands is filled up; every answer names each item once.
func TestNeverShownProperty(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := manual(t, "", Options{Support: 1})
	load(t, r, shopOf(60))
	any := func() string { return fmt.Sprintf("i%d", 1+rng.IntN(60)) }
	for v := uint64(1); v <= 200; v++ {
		visit(r, v, any(), "+"+any(), any(), "+"+any())
	}
	c := r.Catalogue()
	for range 300 {
		q := Query{N: 1 + rng.IntN(60), Item: num(r, any()), Exact: rng.IntN(2) == 0}
		for range rng.IntN(10) {
			q.Hidden = append(q.Hidden, num(r, any()))
			q.Recent = append(q.Recent, num(r, any()), q.Hidden[0])
			q.Trail = append(q.Trail, num(r, any()), q.Hidden[0])
		}
		muted, _ := c.Value("colour", fmt.Sprintf("c%d", rng.IntN(4)))
		within, _ := c.Value("department", fmt.Sprintf("d%d", rng.IntN(6)))
		if rng.IntN(2) == 0 {
			q.Muted = []uint32{muted}
		}
		if rng.IntN(3) == 0 {
			q.Within = []uint32{within}
		}
		for b := RecentlyViewed; b <= ForYou; b++ {
			seen := map[uint32]bool{}
			for _, p := range r.AppendBand(nil, b, &q) {
				it, ok := c.Item(p.Item)
				switch {
				case !ok || !it.InStock || it.ID == "i13":
					t.Fatalf("%v shows %s, out of stock", b, it.ID)
				case slices.Contains(q.Hidden, p.Item):
					t.Fatalf("%v shows %s, hidden", b, it.ID)
				case p.Item == q.Item:
					t.Fatalf("%v shows the page's own item", b)
				case len(q.Muted) > 0 && slices.Contains(it.Values, muted):
					t.Fatalf("%v shows %s, muted", b, it.ID)
				case len(q.Within) > 0 && !slices.Contains(it.Values, within):
					t.Fatalf("%v shows %s, not within", b, it.ID)
				case seen[p.Item]:
					t.Fatalf("%v shows %s twice", b, it.ID)
				}
				seen[p.Item] = true
			}
			if !q.Exact && len(q.Within) == 0 && len(q.Muted) == 0 && len(seen) < min(q.N, 45) {
				t.Fatalf("%v shows %d of %d: a hole", b, len(seen), q.N)
			}
		}
	}
}

// everything is what all bands say, for comparison.
func everything(r *Recommender) string {
	var b strings.Builder
	for band := BestSellers; band <= ForYou; band++ {
		for it := range r.Catalogue().All() {
			q := Query{Item: it.Number, N: 20}
			fmt.Fprintln(&b, band, it.ID, r.AppendBand(nil, band, &q))
		}
	}
	return b.String()
}

// A flood of one visitor moves nothing that one visit of the same visitor does not.
func TestFloodMovesNothing(t *testing.T) {
	build := func(times int) *Recommender {
		r := manual(t, "", Options{Support: 3})
		load(t, r, shopOf(40))
		for v := uint64(1); v <= 12; v++ {
			visit(r, v, "i1", "+i2", "i3")
			visit(r, v+100, "i4", "i5", "+i6")
		}
		for range times {
			visit(r, 999, "i39", "+i39", "i1", "+i38")
		}
		return r
	}
	once, flood := build(1), build(3000)
	if a, b := everything(once), everything(flood); a != b {
		t.Errorf("a flood moved something:\n%s", firstDifference(a, b))
	}
	// And from thousands of sessions of one visitor, nothing is near best sellers.
	for range 3000 {
		visit(flood, 998, "+i39")
	}
	if got := ids(flood.Band(BestSellers, Query{Exact: true})); strings.Contains(got, "i39") {
		t.Errorf("two visitors bought their way: %s", got)
	}
	if flood.Stats().Unheard == 0 {
		t.Error("no session was unheard: the test shows nothing")
	}
}

// A pair that was said today is not heard again in sessions that say other things.
func TestFloodOfPairs(t *testing.T) {
	r := manual(t, "", Options{Support: 1})
	load(t, r, shopOf(40))
	pair := func() (near, with neighbour) {
		s, other := r.items.at(num(r, "i39")), num(r, "i1")
		for _, e := range s.near.Load().list {
			if e.item == other {
				near = e
			}
		}
		for _, e := range s.with.Load().list {
			if e.item == other {
				with = e
			}
		}
		return near, with
	}
	visit(r, 5, "i39", "i1", "+i39", "+i1")
	near, with := pair()
	if near.both == 0 || with.both == 0 {
		t.Fatal("no pair: the test shows nothing")
	}
	for k := 2; k < 20; k++ {
		visit(r, 5, "i39", "i1", "+i39", "+i1", fmt.Sprintf("+i%d", k))
	}
	if n, w := pair(); n.next != near.next || n.both != near.both || w.both != with.both {
		t.Errorf("once %v %v, after a flood %v %v", near, with, n, w)
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

// One visitor says at most so much in a day, and memory is bounded with many.
func TestFloodBounds(t *testing.T) {
	f := newFlood(1)
	f.begin(86400)
	var c dayCount
	heard := 0
	for i := range uint32(1000) {
		if f.first(5, i, View, &c) {
			heard++
		}
	}
	if heard != dayItems {
		t.Errorf("%d items heard of one visitor in a day, want %d", heard, dayItems)
	}
	for v := range uint64(2 * maxSaid) {
		var c dayCount
		f.first(v, 1, View, &c)
		f.setCount(v, c)
	}
	if n := len(f.said[0]) + len(f.said[1]); n > maxSaid {
		t.Errorf("%d remembered, at most %d may be", n, maxSaid)
	}
	if n := len(f.visitors[0]) + len(f.visitors[1]); n > maxVisitors {
		t.Errorf("%d visitors remembered, at most %d may be", n, maxVisitors)
	}
	f.begin(2 * 86400)
	if c := f.count(5); c.items != 0 || !f.first(5, 1, View, &c) {
		t.Error("the next day does not begin anew")
	}
}

func TestEventOutcomes(t *testing.T) {
	r := manual(t, "", Options{OpenSessions: 64})
	load(t, r, shopOf(20))
	one := num(r, "i1")
	for _, c := range []struct {
		e    Event
		want Outcome
	}{
		{Event{Kind: View, Item: one, Session: 1}, Taken},
		{Event{Kind: View, Item: one, Session: 1}, Repeated},
		{Event{Kind: Purchase, Item: one, Session: 1}, Taken},
		{Event{Kind: Search, Session: 1}, Taken},
		{Event{Kind: View, Item: 4000000, Session: 1}, UnknownItem},
		{Event{Kind: View, Item: 0, Session: 1}, UnknownItem},
		{Event{Kind: View, Item: one}, Invalid},
		{Event{Kind: 0, Item: one, Session: 1}, Invalid},
		{Event{Kind: 77, Item: one, Session: 1}, Invalid},
	} {
		if got := r.Event(c.e); got != c.want {
			t.Errorf("%+v: %v, want %v", c.e, got, c.want)
		}
	}
	for i := range uint64(10_000) {
		r.Event(Event{Kind: View, Item: one, Session: 1000 + i})
	}
	if got := r.Stats().Open; got > 64 {
		t.Errorf("%d sessions are open, at most 64 may be", got)
	}
	for i := range 1000 {
		r.Event(Event{Kind: View, Item: one + uint32(i%2), Session: 5})
	}
	s := &r.shards[mix(5)%shards]
	if o := s.byKey[5]; len(o.entries) > maxEvents {
		t.Errorf("%d events of one session, at most %d may be", len(o.entries), maxEvents)
	}
}

// A session closes when it was idle, and only then counts; with forget it never does.
func TestSessionCloses(t *testing.T) {
	r := manual(t, "", Options{Support: 1})
	load(t, r, shopOf(20))
	begin := time.Unix(1_800_000_000, 0)
	r.Advance(begin)
	for i := range uint64(3) {
		r.Event(Event{Kind: Purchase, Item: num(r, "i3"), Session: 10 + i})
	}
	best := func() string { return ids(r.Band(BestSellers, Query{Exact: true})) }
	r.Advance(begin.Add(29 * time.Minute))
	if got := best(); got != "" {
		t.Errorf("open sessions count: %s", got)
	}
	r.Event(Event{Kind: Purchase, Item: num(r, "i4"), Session: 20})
	r.CloseSession(20, true)
	r.Advance(begin.Add(31 * time.Minute))
	if got := best(); got != "i3" {
		t.Errorf("after half an hour: %q", got)
	}
}

// Clock jumps: nothing is lost, nothing wins, and time goes on afterwards.
func TestClockJumps(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	build := func(jump time.Duration) *Recommender {
		r := manual(t, "", Options{Support: 1})
		load(t, r, shopOf(20))
		r.Advance(begin)
		for v := uint64(1); v <= 5; v++ {
			visit(r, v, "+i1", "i2")
		}
		if jump != 0 {
			r.Advance(begin.Add(jump))
			r.Event(Event{Kind: View, Item: num(r, "i9"), Session: 77, Time: begin.Add(jump * 2)})
			r.Event(Event{Kind: View, Item: num(r, "i8"), Session: 77, Time: time.Unix(-1<<62, 0)})
			r.Event(Event{Kind: View, Item: num(r, "i7"), Session: 77, Time: time.Unix(1<<62, 0)})
			r.Advance(begin)
		}
		for v := uint64(11); v <= 14; v++ {
			visit(r, v, "+i3", "i2")
		}
		return r
	}
	want := "i1 i3 i2"
	for _, jump := range []time.Duration{0, -100 * 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, time.Hour, -time.Hour} {
		r := build(jump)
		if got := ids(r.Band(BestSellers, Query{Exact: true, N: 3})); got != want {
			t.Errorf("after a jump by %v: %s, want %s", jump, got, want)
		}
		now := r.now.Load()
		r.Advance(begin.Add(10 * time.Second))
		if d := r.now.Load() - now; d != 10 {
			t.Errorf("after a jump by %v, 10 s are %d", jump, d)
		}
	}
}

// An event that is late has its place; one of the future is of now.
func TestEventTimes(t *testing.T) {
	r := manual(t, "", Options{})
	load(t, r, shopOf(20))
	now := time.Unix(1_800_000_000, 0)
	r.Advance(now)
	r.Advance(now.Add(time.Hour))
	now = now.Add(time.Hour)
	for _, e := range []struct {
		id string
		at time.Time
	}{
		{"i9", now}, {"i8", time.Unix(-1<<60, 0)}, {"i7", now.Add(-time.Minute)}, {"i6", time.Unix(1<<60, 0)}, {"i5", time.Time{}},
	} {
		r.Event(Event{Kind: View, Item: num(r, e.id), Session: 1, Time: e.at})
	}
	var got []string
	for _, item := range r.trail(nil, 1, 10) {
		it, _ := r.Catalogue().Item(item)
		got = append(got, it.ID)
	}
	if s := strings.Join(got, " "); s != "i5 i6 i9 i7 i8" {
		t.Errorf("newest first: %s", s)
	}
}

// What was is forgotten by halves.
func TestDecay(t *testing.T) {
	r := manual(t, "", Options{Support: 1, BestHalfLife: 24 * time.Hour})
	load(t, r, shopOf(20))
	now := time.Unix(1_800_000_000, 0)
	r.Advance(now)
	for v := uint64(1); v <= 6; v++ {
		visit(r, v, "+i1")
	}
	for range 2 {
		now = now.Add(24 * time.Hour)
		r.Advance(now)
	}
	for v := uint64(1); v <= 2; v++ {
		visit(r, v, "+i2")
	}
	if got := ids(r.Band(BestSellers, Query{Exact: true})); got != "i2 i1" {
		t.Errorf("two today and six two half-lives ago: %s", got)
	}
	var d decayed
	d.add(100, 50, 8)
	if got := d.at(150, 50); got != 4 {
		t.Errorf("8 after a half-life is %v", got)
	}
	if got := d.at(50, 50); got != 8 {
		t.Errorf("8 before is %v", got)
	}
}

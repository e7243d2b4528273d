package profile

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// after returns the moment that long after noon, with the standard memory.
func after(d time.Duration) Moment { return Memory{}.At(noon.Add(d)) }

const day = 24 * time.Hour

// event does to p one random thing that a visitor does, at m.
func event(p *Inferred, r *rand.Rand, m Moment) {
	attributes := make([]uint32, r.IntN(6))
	for i := range attributes {
		attributes[i] = r.Uint32N(65536)
		if r.IntN(2) == 0 {
			attributes[i] = r.Uint32N(12) // what is liked again and again
		}
	}
	item := r.Uint32N(1e6)
	if r.IntN(3) == 0 {
		item = r.Uint32N(30)
	}
	switch r.IntN(12) {
	default:
		p.View(item, attributes, m)
	case 0:
		p.Click(item, attributes, m)
	case 1:
		p.Search(attributes, m)
	case 2:
		p.Purchase(item, attributes, m)
	case 3:
		p.Persona([]string{"teacher", "executive", "a", "b", "c", "d", "e", "f", "g", "h", strings.Repeat("z", 24)}[r.IntN(11)], 0.01+r.Float64()*9, m)
	case 4:
		p.Message(Channel(r.IntN(4)), Outcome(r.IntN(4)), m)
	case 5:
		p.Forget(item)
	case 6:
		p.ForgetValue(r.Uint32N(12))
	case 7:
		p.Decay(m)
	}
}

// visit returns a profile of n random events in sessions over a year.
func visit(r *rand.Rand, n int, memory Memory) Inferred {
	var p Inferred
	at := noon.Add(time.Duration(r.IntN(int(100 * day))))
	for range n {
		switch r.IntN(20) {
		case 0:
			at = at.Add(time.Duration(r.Int64N(int64(10 * day))))
		case 1:
			at = at.Add(-time.Duration(r.Int64N(int64(10 * day)))) // a clock that jumps
		default:
			at = at.Add(time.Duration(r.Int64N(int64(5 * time.Minute))))
		}
		event(&p, r, memory.At(at))
	}
	return p
}

// sound fails the test if p breaks a law of its type.
func sound(t testing.TB, p *Inferred) {
	t.Helper()
	for _, list := range [][]Item{p.Recent(), p.Purchases()} {
		at := p.last
		for i, it := range list {
			if minute(it.Minute) > at {
				t.Fatalf("item %d is newer than what comes before it: %v, last %d", i, list, p.last)
			}
			at = minute(it.Minute)
			if slices.ContainsFunc(list[:i], func(o Item) bool { return o.Number == it.Number }) {
				t.Fatalf("item %d is there twice", it.Number)
			}
		}
	}
	in := &p.interests
	for i, a := range in.all() {
		if a.level == 0 || a.level > maxLevel || i > 0 && in.values[i-1].value >= a.value {
			t.Fatalf("affinities: %v", in.all())
		}
	}
	for i, a := range in.who() {
		if a.level == 0 || a.level > maxLevel || i > 0 && comparePersona(in.personas[i-1], a) >= 0 {
			t.Fatalf("personas: %v", in.who())
		}
	}
	if in.base > p.last || p.channels.base > p.last || p.born > p.last ||
		in.empty() != (in.base == 0) || p.channels.empty() != (p.channels.base == 0) {
		t.Fatalf("minutes: born %d, last %d, interests %d, channels %d", p.born, p.last, in.base, p.channels.base)
	}
	if q := *p; !p.Empty() {
		if q.settle(); q.Empty() {
			t.Fatal("knows nothing, and is not the zero value")
		}
	}
	b := p.AppendEncode(nil)
	var q Inferred
	if err := q.Parse(b); err != nil || q != *p {
		t.Fatalf("comes back otherwise (%v):\n%+v\n%+v", err, *p, q)
	}
	if len(b) > MaxInferred {
		t.Fatalf("%d bytes, at most %d", len(b), MaxInferred)
	}
}

func TestSound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		memory := Memory{Interests: time.Duration(r.Int64N(int64(30 * day))), Items: time.Duration(r.Int64N(int64(30 * day)))}
		p := visit(r, r.IntN(200), memory)
		sound(t, &p)
		if i == 0 && p.interests.n == 0 {
			t.Fatal("random visits leave nothing to test")
		}
	}
}

// Three black things, and black comes first.
func TestAffinity(t *testing.T) {
	const black, brass, lamp = 7, 9, 11
	var p Inferred
	p.View(1, []uint32{brass, lamp}, after(0))
	p.View(2, []uint32{black, lamp}, after(time.Minute))
	p.View(3, []uint32{black}, after(2*time.Minute))
	p.View(4, []uint32{black}, after(3*time.Minute))
	p.Click(5, []uint32{brass}, after(4*time.Minute))
	p.Click(4, []uint32{brass}, after(4*time.Minute)) // looked at a moment ago
	p.Search([]uint32{brass}, after(5*time.Minute))
	p.Purchase(6, []uint32{12}, after(5*time.Minute))
	want := []Affinity{{12, 4}, {black, 3}, {brass, 2.5}, {lamp, 2}}
	got := p.AppendAffinities(nil)
	for i, a := range got {
		if i >= len(want) || a.Value != want[i].Value || math.Abs(a.Weight/want[i].Weight-1) > 0.03 || p.Affinity(a.Value) != a.Weight {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	var numbers []uint32
	for _, it := range p.Recent() {
		numbers = append(numbers, it.Number)
	}
	if !slices.Equal(numbers, []uint32{4, 3, 2, 1}) || len(p.Purchases()) != 1 || p.Purchases()[0].Number != 6 {
		t.Errorf("recent %v, purchases %v", p.Recent(), p.Purchases())
	}
	p.View(2, nil, after(time.Hour))
	if r := p.Recent(); len(r) != 4 || r[0].Number != 2 || !r[0].Time().Equal(noon.Add(time.Hour)) || r[1].Number != 4 {
		t.Errorf("after another look at 2: %v", r)
	}
	p.Forget(2)
	p.Forget(6)
	p.ForgetValue(black)
	if r := p.Recent(); len(r) != 3 || r[0].Number != 4 || len(p.Purchases()) != 0 || p.Affinity(black) != 0 || p.Affinity(brass) == 0 {
		t.Errorf("after forgetting: %v, %v", r, p.AppendAffinities(nil))
	}
	sound(t, &p)
}

// To load a page a thousand times is one look at it.
func TestAgain(t *testing.T) {
	var p Inferred
	for range 1000 {
		p.View(1, []uint32{5}, after(0))
		p.Purchase(2, []uint32{6}, after(0))
	}
	if p.Affinity(5) != WeightView || p.Affinity(6) != WeightPurchase {
		t.Errorf("%v", p.AppendAffinities(nil))
	}
	p.View(1, []uint32{5}, after(31*time.Minute))
	if w := p.Affinity(5); math.Abs(w-2) > 0.02 {
		t.Errorf("looked at again after half an hour: %v", w)
	}
	long := make([]uint32, maxAttributes+1)
	for i := range long {
		long[i] = uint32(i)
	}
	p.View(3, long, after(time.Hour))
	sound(t, &p)
	if p.Affinity(maxAttributes-1) != 1 || p.Affinity(maxAttributes) != 0 {
		t.Error("of an item with 65 attributes not the first 64 count")
	}
}

func TestDecay(t *testing.T) {
	var p Inferred
	p.View(1, []uint32{5}, after(0))
	p.Persona("teacher", 1, after(0))
	p.MailOpened(after(0))
	for _, tt := range []struct {
		at              time.Duration
		interest, mails float64
		items           int
	}{{0, 1, 1, 1}, {14 * day, 0.5, 0.8506, 1}, {28 * day, 0.25, 0.7236, 1}, {60 * day, 0, 0.5, 1}, {180 * day, 0, 0.125, 1}, {181 * day, 0, 0.1236, 0}, {400 * day, 0, 0, 0}} {
		q := p
		q.Decay(after(tt.at))
		near := func(got, want float64) bool { return math.Abs(got-want) <= 0.03*want }
		_, score := q.TopPersona()
		if !near(q.Affinity(5), tt.interest) || !near(score, tt.interest) || !near(q.Engagement(Mail).Opened, tt.mails) || len(q.Recent()) != tt.items {
			t.Errorf("after %v: affinity %v, persona %v, mails %v, items %d; want %+v", tt.at, q.Affinity(5), score, q.Engagement(Mail).Opened, len(q.Recent()), tt)
		}
		if tt.at == 400*day && !q.Empty() {
			t.Errorf("after %v something is left: %+v", tt.at, q)
		}
	}
}

// However often a profile decays, the outcome is the same.
func TestDecayOften(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		memory := Memory{Interests: MinMemory + time.Duration(r.Int64N(int64(30*day))), Channels: MinMemory + time.Duration(r.Int64N(int64(30*day)))}
		p := visit(r, 100, memory)
		once, often := p, p
		at := p.Last()
		for range 50 {
			at = at.Add(time.Duration(r.Int64N(int64(day))))
			often.Decay(memory.At(at))
			sound(t, &often)
		}
		once.Decay(memory.At(at))
		// What is gone in between has no base any more.
		if often.Empty() != once.Empty() || !often.Empty() && often != once {
			t.Fatalf("decay in steps:\n%+v\nat once:\n%+v", often, once)
		}
	}
}

// Weights follow their exact values, however many events and decays there were.
func TestDecayExact(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	memory := Memory{Interests: 2 * day}
	var p Inferred
	exact, at := make([]float64, 10), noon
	for i := range 2000 {
		pause := time.Duration(r.IntN(60)) * time.Minute
		at = at.Add(pause)
		for v := range exact {
			exact[v] *= math.Exp2(-float64(pause) / float64(2*day))
		}
		v := r.IntN(len(exact))
		exact[v]++
		p.Search([]uint32{uint32(v)}, memory.At(at))
		for v, want := range exact {
			if got := p.Affinity(uint32(v)); want > 0.5 && math.Abs(got/want-1) > 0.15 {
				t.Fatalf("event %d: value %d has %v, want %v", i, v, got, want)
			}
		}
	}
}

// A time before that of the last event counts as that; one far ahead loses what
// would be lost then, and breaks nothing.
func TestClockJumps(t *testing.T) {
	var p Inferred
	p.View(1, []uint32{5}, after(0))
	for i, back := range []Moment{after(-day), Memory{}.At(time.Unix(0, 0)), Memory{}.At(time.Time{}), Memory{}.At(time.Unix(-1<<60, 0))} {
		q := p
		q.View(uint32(2+i), []uint32{5}, back)
		if !q.Last().Equal(noon) || q.Recent()[0].Number != uint32(2+i) || q.Affinity(5) < 1.98 {
			t.Errorf("jump %d: %+v", i, q)
		}
		sound(t, &q)
	}
	q := p
	far := Memory{}.At(time.Unix(1<<60, 0))
	q.View(2, []uint32{6}, far)
	sound(t, &q)
	if len(q.Recent()) != 1 || q.Affinity(6) != 1 || q.Affinity(5) != 0 {
		t.Errorf("far ahead: %+v", q)
	}
	q.View(3, []uint32{6}, after(time.Minute))
	sound(t, &q)
	if len(q.Recent()) != 2 || q.Affinity(6) < 1.98 {
		t.Errorf("back from far ahead: %+v", q)
	}
}

// The weakest makes way, and never to what is nowhere.
func TestFull(t *testing.T) {
	var p Inferred
	for v := range uint32(MaxAffinities) {
		for range 2 + v%5 {
			p.Search([]uint32{1000 + v}, after(0))
		}
	}
	p.Search([]uint32{1}, after(0))
	if p.Affinity(1) != 1 || p.interests.n != MaxAffinities || p.Affinity(1060) != 0 || p.Affinity(1055) == 0 {
		t.Errorf("a new one: %v", p.AppendAffinities(nil))
	}
	p.Search([]uint32{5000}, after(0))
	if p.Affinity(5000) != 1 || p.Affinity(1) != 0 {
		t.Errorf("another: %v", p.AppendAffinities(nil))
	}
	for i := range uint32(50) {
		p.View(i, nil, after(time.Duration(i)*time.Minute))
		p.Purchase(i, nil, after(time.Duration(i)*time.Minute))
	}
	if len(p.Recent()) != MaxRecent || p.Recent()[0].Number != 49 || p.Recent()[19].Number != 30 || len(p.Purchases()) != MaxPurchases {
		t.Errorf("items: %v, %v", p.Recent(), p.Purchases())
	}
	for i := range 10 {
		if err := p.Persona(string(rune('a'+i)), float64(10-i), after(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if name, _ := p.TopPersona(); name != "a" || p.interests.np != MaxPersonas {
		t.Errorf("personas: %s of %d", name, p.interests.np)
	}
	for range 100_000 {
		p.Search([]uint32{3}, after(time.Hour))
	}
	if w := p.Affinity(3); !(w > 50 && w < 100) {
		t.Errorf("a flood leads to %v", w)
	}
	sound(t, &p)
}

func TestPersonaRefuses(t *testing.T) {
	var p Inferred
	for _, name := range []string{"", "Teacher", "a b", "a\x00", "é", strings.Repeat("a", 25), strings.Repeat("a", 1<<20)} {
		if p.Persona(name, 1, after(0)) == nil {
			t.Errorf("takes the name %.30q", name)
		}
	}
	for _, weight := range []float64{0, -1, 10.1, math.NaN(), math.Inf(1)} {
		if p.Persona("a", weight, after(0)) == nil {
			t.Errorf("takes the weight %v", weight)
		}
	}
	if err := p.Persona("a", 1e-9, after(0)); err != nil || !p.Empty() {
		t.Errorf("a weight of nothing: %v, %+v", err, p)
	}
}

func TestEngagement(t *testing.T) {
	for _, tt := range []struct {
		sent, opened, clicked int
		want                  string
	}{
		{0, 0, 0, ""}, {1, 1, 1, ""}, {4, 0, 0, "low"}, {30, 1, 0, "low"}, {10, 2, 0, "some"}, {10, 5, 0, "high"}, {10, 0, 2, "high"},
		{0, 3, 0, "high"}, // who does not tell what they sent
	} {
		var p Inferred
		for range tt.sent {
			p.MailSent(after(0))
		}
		for range tt.opened {
			p.MailOpened(after(0))
		}
		for range tt.clicked {
			p.MailClicked(after(0))
		}
		if got := p.Engagement(Mail).Name(); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
		if p.Engagement(Push) != (Engagement{}) || p.Engagement(99) != (Engagement{}) {
			t.Errorf("%+v: another channel knows of it", tt)
		}
	}
	for c := range numChannels {
		if got, ok := ParseChannel(c.String()); !ok || got != c {
			t.Errorf("channel %v", c)
		}
	}
}

func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		m  Memory
		ok bool
	}{{Memory{}, true}, {Memory{Interests: time.Hour, Channels: MaxMemory, Items: day}, true}, {Memory{Interests: time.Minute}, false}, {Memory{Channels: -1}, false}, {Memory{Items: MaxMemory + 1}, false}} {
		if err := tt.m.Check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.m, err)
		}
		var p Inferred
		p.View(1, []uint32{1}, tt.m.At(noon))
		p.View(2, []uint32{1}, tt.m.At(noon.Add(time.Hour)))
		sound(t, &p)
	}
}

// ordered puts items of the same minute in order, and drops what Merge takes
// from the one that it is called on.
func ordered(p Inferred) Inferred {
	p.born = 0
	for _, l := range []*items{&p.recent, &p.purchases} {
		slices.SortStableFunc(l.list[:l.n], func(a, b Item) int {
			if a.Minute != b.Minute {
				return int(b.Minute) - int(a.Minute)
			}
			return int(a.Number) - int(b.Number)
		})
	}
	return p
}

func TestMergeLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 1000 {
		p, q := visit(r, r.IntN(60), Memory{}), visit(r, r.IntN(60), Memory{})
		m := after(time.Duration(r.Int64N(int64(200 * day))))
		self, decayed := p, p
		self.Merge(&p, m)
		decayed.Decay(m)
		if self != decayed {
			t.Fatalf("merged with itself:\n%+v\nwant\n%+v", self, decayed)
		}
		pq, qp := p, q
		pq.Merge(&q, m)
		qp.Merge(&p, m)
		sound(t, &pq)
		// Of items that are met in the same minute, which of them are the newest 20
		// may differ; seldom, and not here.
		if ordered(pq) != ordered(qp) {
			t.Fatalf("p.Merge(q):\n%+v\nq.Merge(p):\n%+v", ordered(pq), ordered(qp))
		}
		if len(q.Recent()) > 0 && pq.recent.shares(&q.recent) {
			twice := pq
			twice.Merge(&q, m)
			if ordered(twice) != ordered(pq) {
				t.Fatalf("merged twice:\n%+v\nonce:\n%+v", twice, pq)
			}
		}
	}
}

// The account's and the browser's: added up at the first login, and not again at
// the next one.
func TestMergeLogin(t *testing.T) {
	var account, browser Inferred
	account.View(1, []uint32{5}, after(0))
	browser.View(2, []uint32{5, 6}, after(time.Minute))
	account.Merge(&browser, after(time.Minute))
	if w := account.Affinity(5); math.Abs(w-2) > 0.02 || account.Affinity(6) != 1 || len(account.Recent()) != 2 || account.Recent()[0].Number != 2 {
		t.Fatalf("first login: %v of 5, %+v", w, account.Recent())
	}
	browser = account // the answer to the login
	for i := range uint32(30) {
		browser.View(100+i, []uint32{7}, after(time.Duration(i)*time.Hour)) // nothing older is left among the recent
	}
	account.Merge(&browser, after(day))
	if w := account.Affinity(5); w > 2.02 || account.Affinity(7) < 25 {
		t.Errorf("second login: %v of 5, %v of 7", w, account.Affinity(7))
	}
	lost := Inferred{}
	lost.Merge(&browser, after(day))
	browser.Decay(after(day))
	if lost != browser {
		t.Error("merged into nothing, it changes")
	}
}

func TestHidden(t *testing.T) {
	var h Hidden
	for _, n := range []uint32{5, 1 << 31, 0, math.MaxUint32, 7, 5} {
		if err := h.Hide(n); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(h.Items(), []uint32{0, 5, 7, 1 << 31, math.MaxUint32}) || !h.Has(5) || h.Has(6) {
		t.Fatalf("%v", h.Items())
	}
	var got Hidden
	if err := got.Parse(h.AppendEncode(nil)); err != nil || !slices.Equal(got.items, h.items) {
		t.Fatalf("%v, %v", got, err)
	}
	h.Show(5)
	h.Show(6)
	if h.Has(5) || len(h.Items()) != 4 {
		t.Errorf("%v", h.Items())
	}
	for i := range uint32(MaxHidden - 4) {
		if err := h.Hide(100 + i); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Hide(99); err != ErrTooMuch || h.Has(99) || h.Hide(100) != nil {
		t.Errorf("one too many: %v", err)
	}
	some := Hidden{[]uint32{0, 99, 100, 3}}
	if left := h.Merge(&some); left != 2 {
		t.Errorf("%d left out, want 2", left)
	}
	if left := some.Merge(&Hidden{[]uint32{8}}); left != 0 || !some.Has(8) {
		t.Errorf("%d left out of %v", left, some)
	}
	for name, b := range map[string]string{
		"nothing": "", "version 0": "\x00", "an end": "\x01", "too many": "\x01\xff" + strings.Repeat("\x00", 500), "cut short": "\x01\x05\x00",
		"more": "\x01\x00\x00", "bits at the end": string(append(h.AppendEncode(nil)[:3], 0xff)),
	} {
		if err := got.Parse([]byte(b)); err == nil || !got.Empty() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

package profile

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestBits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	type entry struct {
		kind, k uint
		v       uint32
	}
	for range 2000 {
		var in []entry
		var w bitWriter
		for range r.IntN(40) {
			e := entry{uint(r.IntN(3)), uint(r.IntN(32)), r.Uint32() >> r.IntN(32)}
			switch e.kind {
			case 0:
				e.k++
				e.v &= 1<<e.k - 1
				w.put(e.v, e.k)
			case 1:
				w.rice(e.v, e.k)
			case 2:
				e.v >>= 1
				e.k %= 16
				before := len(w.b)*8 + int(w.n) // bits
				w.golomb(e.v, e.k)
				if n := len(w.b)*8 + int(w.n) - before; n != int(golombLen(e.v, e.k)) {
					t.Fatalf("%+v: %d bits, foretold %d", e, n, golombLen(e.v, e.k))
				}
			}
			in = append(in, e)
		}
		b := w.end()
		rd := bitReader{b: b}
		for _, e := range in {
			got := [...]func(uint) uint32{rd.take, rd.rice, rd.golomb}[e.kind](e.k)
			if got != e.v || rd.bad {
				t.Fatalf("%+v came back as %d, bad %v", e, got, rd.bad)
			}
		}
		if !rd.atEnd() {
			t.Fatalf("not at the end of %x after %v", b, in)
		}
	}
}

// typical are preferences as most who have any have them.
func typical() *Preferences {
	p := &Preferences{Name: "Jane", Theme: "dark", PageSize: 48, Sort: "price", Filters: []Filter{{"colour", "black"}, {"finish", "nickel"}}}
	if err := p.Check(); err != nil {
		panic(err)
	}
	return p
}

// busy returns a profile with 20 items of a million, and 64 affinities of 65,536,
// the items in sessions of that many.
func busy(r *rand.Rand, session int) Inferred {
	var p Inferred
	at := noon
	for i := range MaxRecent {
		if at = at.Add(time.Duration(r.IntN(5)) * time.Minute); i%session == 0 {
			at = at.Add(time.Duration(r.Int64N(int64(14 * day))))
		}
		p.View(r.Uint32N(1e6), nil, Memory{}.At(at))
	}
	for p.interests.n < MaxAffinities {
		p.Search([]uint32{r.Uint32N(65536)}, Memory{}.At(at))
	}
	for i := range p.interests.all() {
		p.interests.values[i].level = 1 + level(r.IntN(int(maxLevel)))
	}
	return p
}

// 20 recent items, 64 affinities and typical preferences have at most 500
// characters of cookie values together, under any key.
func TestSize(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	s := ring(t, Keys{Named: []NumberedKey{{1, Key{1}}}})
	b := Binding{"profile", "stores", "stores.localhost"}
	declared := len(s.Seal(typical().Encode(), b))
	for _, session := range []int{20, 8, 5, 1} {
		most, sum := 0, 0
		const n = 500
		for range n {
			p := busy(r, session)
			if len(p.Recent()) != 20 || len(p.AppendAffinities(nil)) != 64 {
				t.Fatal("not as many as there should be")
			}
			size := declared + len(s.Seal(p.AppendEncode(nil), b))
			most, sum = max(most, size), sum+size
		}
		t.Logf("sessions of %d items: %d characters on average, at most %d, of these %d declared", session, sum/n, most, declared)
		if most > 500 {
			t.Errorf("sessions of %d items: %d characters", session, most)
		}
	}
}

// All bounds together keep below the hard limit.
func TestSizeMost(t *testing.T) {
	if n := SealedLen(MaxPreferred) + SealedLen(MaxHiddenBytes) + SealedLen(MaxInferred); n > MaxCookies {
		t.Errorf("%d characters, at most %d", n, MaxCookies)
	}
	r := rand.New(rand.NewPCG(4, 5))
	most, mostHidden := 0, 0
	for range 3000 {
		p := worst(r)
		sound(t, &p)
		most = max(most, len(p.AppendEncode(nil)))
		var h Hidden
		for i := 0; i < MaxHidden; i = len(h.items) {
			if h.Hide(far(r)); i == 0 && r.IntN(2) == 0 {
				h.Hide(math.MaxUint32)
			}
		}
		var again Hidden
		if err := again.Parse(h.AppendEncode(nil)); err != nil {
			t.Fatal(err)
		}
		mostHidden = max(mostHidden, len(h.AppendEncode(nil)))
	}
	t.Logf("inferred %d of %d bytes, hidden %d of %d", most, MaxInferred, mostHidden, MaxHiddenBytes)
	if mostHidden > MaxHiddenBytes {
		t.Errorf("%d bytes of hidden items, at most %d", mostHidden, MaxHiddenBytes)
	}
}

// far returns a number whose length is what is random.
func far(r *rand.Rand) uint32 {
	if r.IntN(3) == 0 {
		return math.MaxUint32 - r.Uint32()>>r.IntN(32)
	}
	return r.Uint32() >> r.IntN(3)
}

// worst returns a profile that takes as much room as one can.
func worst(r *rand.Rand) Inferred {
	p := Inferred{last: maxMinute}
	for _, l := range []*items{&p.recent, &p.purchases} {
		at := uint32(maxMinute)
		for l.n < MaxRecent {
			at -= min(at, r.Uint32N(uint32(maxMinute)/10)>>r.IntN(20))
			if n := far(r); l.find(n) < 0 {
				l.list[l.n] = Item{n, at}
				l.n++
			}
		}
	}
	spread := r.IntN(3)
	for p.interests.n < MaxAffinities {
		v := far(r)
		if spread > 0 && p.interests.n < 58 {
			v = r.Uint32N(1 << (10 * spread))
		}
		p.interests.like(v, 1, 1)
	}
	for i := range MaxPersonas {
		copy(p.interests.personas[i].name[:], "abcdefghijklmnopqrstuvwx")
		p.interests.personas[i].name[0] += byte(i)
		p.interests.personas[i].level = maxLevel
	}
	p.interests.np = MaxPersonas
	p.channels.base = 1
	for i := range p.channels.counts {
		p.channels.counts[i] = [numOutcomes]level{1, 2, 3}
	}
	return p
}

func TestFit(t *testing.T) {
	p := busy(rand.New(rand.NewPCG(6, 7)), 5)
	p.Purchase(1, nil, Memory{}.At(p.Last()))
	p.MailOpened(Memory{}.At(p.Last()))
	recent, affinities := MaxRecent, MaxAffinities
	for chars := 600; chars >= 0; chars -= 7 {
		q := p
		ok := q.Fit(chars)
		if ok != (chars >= 60) && (chars < 50 || chars > 70) {
			t.Fatalf("fits %d characters: %v", chars, ok)
		}
		if !ok {
			if !q.Empty() {
				t.Fatal("does not fit, and knows something")
			}
			continue
		}
		sound(t, &q)
		if n := SealedLen(len(q.AppendEncode(nil))); n > chars && !q.Empty() {
			t.Fatalf("%d characters, want %d", n, chars)
		}
		if len(q.Recent()) > recent || int(q.interests.n) > affinities || int(q.interests.n) < MaxAffinities && len(q.Recent())+len(q.Purchases()) > 0 {
			t.Fatalf("%d characters: %d items, %d affinities", chars, len(q.Recent()), q.interests.n)
		}
		recent, affinities = len(q.Recent()), int(q.interests.n)
		for i, it := range q.Recent() {
			if it != p.Recent()[i] {
				t.Fatal("it is not the oldest that is dropped")
			}
		}
	}
	if affinities > 5 {
		t.Errorf("%d affinities are left of the least", affinities)
	}
}

func TestParseInferredRefuses(t *testing.T) {
	good := busy(rand.New(rand.NewPCG(8, 9)), 4)
	good.Persona("teacher", 1, after(0))
	good.MailSent(after(0))
	b := good.AppendEncode(nil)
	var p Inferred
	for i := range b {
		if err := p.Parse(b[:i]); err == nil || !p.Empty() {
			t.Fatalf("the first %d bytes are taken", i)
		}
	}
	if p.Parse(append(b, 0)) == nil || p.Parse(make([]byte, 1<<20)) == nil {
		t.Error("longer ones are taken")
	}
	for range 20_000 {
		bad := []byte(string(b))
		bad[1+rand.IntN(len(b)-1)] ^= byte(1 + rand.IntN(255))
		if p.Parse(bad) == nil {
			sound(t, &p)
		}
	}
	for v := range 256 {
		b[0] = byte(v)
		if err := p.Parse(b); errors.Is(err, ErrNewer) != (v > inferredVersion) || (err == nil) != (v == inferredVersion) {
			t.Errorf("version %d: %v", v, err)
		}
		if err := new(Hidden).Parse([]byte{byte(v), 0}); errors.Is(err, ErrNewer) != (v > hiddenVersion) {
			t.Errorf("hidden, version %d: %v", v, err)
		}
	}
	if err := p.Parse(append([]byte{inferredVersion + 1}, make([]byte, 4000)...)); !errors.Is(err, ErrNewer) {
		t.Errorf("a long one of a later build: %v", err)
	}
}

// What breaks a law of the type is refused, though somebody sealed it.
func TestParseInferredUnsound(t *testing.T) {
	sane := func() Inferred {
		var p Inferred
		p.View(1, []uint32{4, 5}, after(0))
		p.View(2, nil, after(0))
		p.Persona("a", 1, after(0))
		p.Persona("b", 1, after(0))
		p.MailSent(after(0))
		return p
	}
	for name, change := range map[string]func(p *Inferred){
		"an item twice":          func(p *Inferred) { p.recent.list[1].Number = 2 },
		"an item before 1970":    func(p *Inferred) { p.last, p.born = 5, 5; p.recent.list[0].Minute = ^uint32(90) },
		"born before 1970":       func(p *Inferred) { p.last, p.born = 5, ^minute(90) },
		"a base before 1970":     func(p *Inferred) { *p = Inferred{last: 5, interests: p.interests}; p.interests.base = ^minute(90) },
		"a value beyond 32 bits": func(p *Inferred) { p.interests.values[0].value = math.MaxUint32 },
		"an affinity of nothing": func(p *Inferred) { p.interests.values[1].level = 0 },
		"personas in disorder":   func(p *Inferred) { p.interests.personas[0].name[0] = 'c' },
		"a persona twice":        func(p *Inferred) { p.interests.personas[0].name[0] = 'b' },
		"a persona without name": func(p *Inferred) { p.interests.personas[0].name[0] = 0 },
		"a persona with a space": func(p *Inferred) { p.interests.personas[1].name[1] = ' ' },
		"a persona of nothing":   func(p *Inferred) { p.interests.personas[1].level = 0 },
	} {
		p := sane()
		sound(t, &p)
		change(&p)
		var q Inferred
		if err := q.Parse(p.AppendEncode(nil)); err == nil || !q.Empty() {
			t.Errorf("%s: read as %+v", name, q)
		}
	}
	for name, rest := range map[string]func(w *bitWriter){
		"nine personas": func(w *bitWriter) {
			w.put(9, 4)
			for i := range uint32(9) {
				w.put(1, 5)
				w.put('a'+i, 8)
				w.put(1, levelBits)
			}
			w.golomb(0, baseOrder)
			w.put(0, 1)
		},
		"channels without any": func(w *bitWriter) {
			w.put(0, 4)
			w.put(0b1000, 4)
			w.golomb(0, baseOrder)
		},
	} {
		w := bitWriter{b: []byte{inferredVersion}}
		w.put(1000, minuteBits)
		w.golomb(0, bornOrder)
		w.put(0, 5+5+7)
		rest(&w)
		var q Inferred
		if err := q.Parse(w.end()); err == nil || !q.Empty() {
			t.Errorf("%s: read as %+v", name, q)
		}
	}
	var w bitWriter
	w.ones(maxOnes)
	w.put(5, 32)
	r := bitReader{b: w.end()}
	if r.rice(2); !r.bad {
		t.Error("a second spelling of a number is taken")
	}
}

// Of what was bought and what was looked at, what is longer ago goes first.
func TestFitOldest(t *testing.T) {
	for _, bought := range []int{0, 3, 9} {
		var p Inferred
		for i := range 10 {
			if i == bought {
				p.Purchase(1e6, nil, after(time.Duration(i)*day))
				continue
			}
			p.View(uint32(1e5+i), nil, after(time.Duration(i)*day))
		}
		for left := 9; left > 0; left-- {
			if !p.Fit(SealedLen(len(p.AppendEncode(nil))-1)) || len(p.Recent())+len(p.Purchases()) > left {
				t.Fatalf("%d are left, want at most %d", len(p.Recent())+len(p.Purchases()), left)
			}
			oldest := 10 - len(p.Recent()) - len(p.Purchases()) // that is left
			if (len(p.Purchases()) > 0) != (bought >= oldest) {
				t.Fatalf("bought on day %d, cut to day %d: %v, %v", bought, oldest, p.Recent(), p.Purchases())
			}
			if len(p.Recent())+len(p.Purchases()) == 1 {
				break
			}
		}
	}
}

func FuzzInferred(f *testing.F) {
	r := rand.New(rand.NewPCG(10, 11))
	for n := range 20 {
		p := visit(r, n*n, Memory{})
		f.Add(p.AppendEncode(nil))
	}
	p := worst(r)
	f.Add(p.AppendEncode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Inferred
		if p.Parse(b) != nil {
			if !p.Empty() {
				t.Fatal("refused, and knows something")
			}
			return
		}
		sound(t, &p)
		q := p
		q.Decay(after(0))
		sound(t, &q)
		q.Merge(&p, after(day))
		sound(t, &q)
		q.Fit(300)
		sound(t, &q)
		Know(&p, nil, catalogue{})
	})
}

// FuzzEvents does what b says: eight bytes an event.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("12345678abcdefghABCDEFGHijklmnop"), int64(time.Hour))
	f.Fuzz(func(t *testing.T, b []byte, half int64) {
		var p, other Inferred
		memory := Memory{Interests: time.Duration(half), Channels: time.Duration(half) / 2, Items: time.Duration(half) * 3}
		at := noon
		for len(b) >= 8 && !t.Failed() {
			n := binary.LittleEndian.Uint64(b)
			b = b[8:]
			at = at.Add(time.Duration(int16(n>>48)) * time.Minute)
			item, m := uint32(n>>8), memory.At(at)
			attributes := []uint32{item ^ 1, item >> 16, uint32(n >> 40)}
			switch n % 11 {
			case 0, 1, 2:
				p.View(item, attributes, m)
			case 3:
				p.Click(item, attributes, m)
			case 4:
				p.Search(attributes, m)
			case 5:
				p.Purchase(item, attributes, m)
			case 6:
				p.Persona(string([]byte{'a' + byte(item%26)}), float64(item%1000)/100, m)
			case 7:
				p.Message(Channel(item), Outcome(item>>8), m)
			case 8:
				p.Forget(item)
				p.ForgetValue(item)
			case 9:
				p, other = other, p
			case 10:
				p.Merge(&other, m)
			}
			sound(t, &p)
		}
	})
}

func FuzzHidden(f *testing.F) {
	f.Add((&Hidden{[]uint32{1, 5, 1 << 30}}).AppendEncode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again Hidden
		if h.Parse(b) != nil {
			return
		}
		b = h.AppendEncode(nil)
		if err := again.Parse(b); err != nil || len(b) > MaxHiddenBytes || len(again.items) != len(h.items) {
			t.Fatalf("%v came back as %v, %v (%d bytes)", h, again, err, len(b))
		}
		for i, n := range h.items {
			if again.items[i] != n || i > 0 && h.items[i-1] >= n {
				t.Fatalf("%v came back as %v", h, again)
			}
		}
	})
}

func BenchmarkInferred(b *testing.B) {
	r := rand.New(rand.NewPCG(12, 13))
	s := ring(b, Keys{Named: []NumberedKey{{1, Key{1}}}})
	bind := Binding{"profile", "stores", "stores.localhost"}
	p := busy(r, 5)
	attributes := make([]uint32, 8)
	for i := range attributes {
		attributes[i] = p.interests.values[i*8].value
	}
	plain := p.AppendEncode(nil)
	token := []byte(s.Seal(plain, bind))
	declared := []byte(s.Seal(typical().Encode(), bind))
	now := p.Last()
	var q Inferred
	buf := make([]byte, 0, 4096)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q.Parse(plain)
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.AppendEncode(buf[:0])
		}
	})
	b.Run("decay and view", func(b *testing.B) {
		b.ReportAllocs()
		q = p
		for i := uint32(0); b.Loop(); i++ {
			now = now.Add(10 * time.Minute)
			q.View(i, attributes, Memory{}.At(now))
		}
	})
	b.Run("open, view, seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = s.AppendOpen(buf[:0], token, bind)
			q.Parse(buf)
			q.View(1, attributes, Memory{}.At(now))
			buf = q.AppendEncode(buf[:0])
			n := len(buf)
			buf = s.AppendSeal(buf, buf[:n], bind)
		}
	})
	b.Run("open, seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = s.AppendOpen(buf[:0], token, bind)
			n := len(buf)
			buf = s.AppendSeal(buf, buf[:n], bind)
		}
	})
	b.Run("open, seal of two", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, token := range [...][]byte{token, declared} {
				buf, _ = s.AppendOpen(buf[:0], token, bind)
				n := len(buf)
				buf = s.AppendSeal(buf, buf[:n], bind)
			}
		}
	})
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		o := busy(r, 5)
		for b.Loop() {
			q = p
			q.Merge(&o, Memory{}.At(now))
		}
	})
}

func TestInferredAllocates(t *testing.T) {
	s := ring(t, Keys{Original: Key{1}})
	bind := Binding{"profile", "stores", "stores.localhost"}
	p := busy(rand.New(rand.NewPCG(14, 15)), 5)
	token := []byte(s.Seal(p.AppendEncode(nil), bind))
	buf, attributes, m := make([]byte, 0, 4096), []uint32{1, 2, 3}, Memory{}.At(p.Last())
	affinities := make([]Affinity, 0, MaxAffinities)
	if n := testing.AllocsPerRun(500, func() {
		buf, _ = s.AppendOpen(buf[:0], token, bind)
		p.Parse(buf)
		p.View(1, attributes, m)
		affinities = p.AppendAffinities(affinities[:0])
		buf = p.AppendEncode(buf[:0])
		n := len(buf)
		buf = s.AppendSeal(buf, buf[:n], bind)
	}); n > 0 {
		t.Errorf("%v allocations to open, view and seal", n)
	}
}

package recommend

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lived makes a recommender that saw some visitors.
func lived(t testing.TB, dir string) *Recommender {
	r := manual(t, dir, Options{Support: 2, KeptSessions: 256})
	load(t, r, shopOf(50))
	rng := rand.New(rand.NewPCG(5, 6))
	now := time.Unix(1_800_000_000, 0)
	for v := range uint64(400) {
		now = now.Add(time.Minute)
		r.Advance(now)
		var list []string
		at := rng.IntN(50)
		for range 2 + rng.IntN(6) {
			id := fmt.Sprintf("i%d", 1+at)
			if rng.IntN(4) == 0 {
				id = "+" + id
			}
			list = append(list, id)
			at = (at + rng.IntN(4)) % 50
		}
		visit(r, v+1, list...)
	}
	r.Advance(now)
	return r
}

// What was saved gives the same answers, and learns on alike.
func TestRestoreSameAnswers(t *testing.T) {
	dir := t.TempDir()
	r := lived(t, dir)
	r.rankAll()
	want := everything(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := manual(t, dir, Options{Support: 2, KeptSessions: 256})
	if err := again.Restored(); err != nil {
		t.Fatal(err)
	}
	if got := everything(again); got != want {
		t.Fatalf("other answers after a restart:\n%s", firstDifference(want, got))
	}
	if strings.Count(want, "for-you}") == 0 && !strings.Contains(want, fmt.Sprint(ForYou)) {
		t.Error("no answer is for you: the test shows nothing")
	}
	for i := range uint64(20) {
		visit(r, 5000+i, "i1", "i30", "+i31")
		visit(again, 5000+i, "i1", "i30", "+i31")
	}
	r.rankAll()
	again.rankAll()
	if a, b := everything(r), everything(again); a != b {
		t.Errorf("learned otherwise after a restart:\n%s", firstDifference(a, b))
	}
}

// A catalogue is the same after a restart.
func TestRestoreCatalogue(t *testing.T) {
	for _, text := range []string{twoJSON, twoCSV, shopOf(30)} {
		dir := t.TempDir()
		r := manual(t, dir, Options{})
		load(t, r, text)
		say := func(r *Recommender) string {
			var b strings.Builder
			c := r.Catalogue()
			for it := range c.All() {
				fmt.Fprintf(&b, "%+v", it)
				for _, v := range it.Values {
					name, value, _ := c.Attribute(v)
					fmt.Fprint(&b, name, "=", value, c.With(v))
				}
				fmt.Fprintln(&b)
			}
			return b.String()
		}
		again := manual(t, dir, Options{})
		if err := again.Restored(); err != nil {
			t.Fatal(err)
		}
		if a, b := say(r), say(again); a != b || a == "" {
			t.Errorf("another catalogue after a restart:\n%s", firstDifference(a, b))
		}
	}
}

// A ring has the newest sessions that are kept, and does not grow for those that are
// not.
func TestRing(t *testing.T) {
	p := pasts{slot: make([]atomic.Pointer[past], 16)}
	s := new(state)
	for seq := uint32(1); seq <= 1000; seq++ {
		if seq%3 == 0 {
			s.push(seq, p.oldest(seq), 512)
		}
		if seq == 500 {
			s.setEver(5000) // as after a restart
		}
		if seq < 10 {
			continue
		}
		r := s.sessions.Load()
		n := s.ever.Load()
		var got, want []uint32
		for i := uint32(1); i <= 5; i++ {
			got = append(got, r.slot[int(n-i)%len(r.slot)].Load())
			want = append(want, (seq/3+1-i)*3)
		}
		if want = want[:min(5, seq/3)]; !slices.Equal(got[:len(want)], want) {
			t.Fatalf("after %d: %v, want %v", seq, got, want)
		}
		if len(r.slot) > 8 {
			t.Fatalf("after %d: %d slots for 5 or 6 sessions that are kept", seq, len(r.slot))
		}
	}
	for seq := uint32(2000); seq < 4000; seq++ {
		s.push(seq, 1999, 512)
	}
	if n := len(s.sessions.Load().slot); n != 512 {
		t.Errorf("%d slots, want 512", n)
	}
}

// Fewer sessions may be kept after a restart.
func TestRestoreSmaller(t *testing.T) {
	dir := t.TempDir()
	lived(t, dir).Close()
	r := manual(t, dir, Options{Support: 2, KeptSessions: 16})
	if err := r.Restored(); err != nil {
		t.Fatal(err)
	}
	if got := r.Stats().Kept; got != 16 {
		t.Errorf("%d sessions are kept", got)
	}
	if len(r.Band(ForYou, Query{Item: num(r, "i3")})) == 0 {
		t.Error("no answer")
	}
}

// Every damage is said, and what it held begins empty as a whole.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	lived(t, dir).Close()
	for _, name := range []string{numbersFile, catalogueFile, aggregatesFile} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		damages := map[string][]byte{
			"empty":   {},
			"cut":     whole[:len(whole)/2],
			"cut end": whole[:len(whole)-1],
			"longer":  append(bytes.Clone(whole), 0),
			"other":   append([]byte("something else: "), whole...),
		}
		rng := rand.New(rand.NewPCG(7, 8))
		for i := range 20 {
			b := bytes.Clone(whole)
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			damages[fmt.Sprint("bit ", i)] = b
		}
		for what, b := range damages {
			t.Run(name+" "+what, func(t *testing.T) {
				copied := t.TempDir()
				for _, n := range []string{numbersFile, catalogueFile, aggregatesFile} {
					have, _ := os.ReadFile(filepath.Join(dir, n))
					if n == name {
						have = b
					}
					os.WriteFile(filepath.Join(copied, n), have, 0o600)
				}
				r := manual(t, copied, Options{Support: 2})
				if err := r.Restored(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
					t.Errorf("got %v", err)
				}
				if _, err := os.Stat(filepath.Join(copied, name+".damaged")); err != nil {
					t.Error(err)
				}
				switch name {
				case catalogueFile:
					if r.Catalogue().Len() != 0 {
						t.Error("half a catalogue")
					}
				default:
					// Without their numbers, aggregates mean nothing.
					if r.Stats().Kept != 0 || len(r.ranks.Load().best) != 0 {
						t.Error("half of the aggregates")
					}
					if r.Catalogue().Len() != 50 {
						t.Error("the catalogue is gone")
					}
				}
				// The next start finds nothing wrong, and the same numbers.
				epoch := r.Catalogue().Epoch()
				r.Close()
				again := manual(t, copied, Options{})
				if err := again.Restored(); err != nil || again.Catalogue().Epoch() != epoch {
					t.Errorf("the next start: %v, epoch %d, %d", err, epoch, again.Catalogue().Epoch())
				}
			})
		}
	}
}

// A version to come is refused with its name.
func TestFutureVersion(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := writeFile(name, magicAggregates, func(*encoder) error { return nil }); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(name)
	if _, err := parseFile(b, magicAggregates); err != nil {
		t.Fatal(err)
	}
	if _, err := parseFile(b, magicNumbers); !errors.Is(err, ErrDamaged) {
		t.Errorf("another kind: %v", err)
	}
}

// Writing that fails leaves what was there, and no crumbs.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x")
	if err := writeFile(name, magicNumbers, func(e *encoder) error { e.text("old"); return nil }); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := writeFile(name, magicNumbers, func(e *encoder) error { e.text("new"); return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	d, err := readFile(name, magicNumbers, 1<<20)
	if err != nil || d.text() != "old" || files(t, dir) != "x" {
		t.Errorf("%v; files %s", err, files(t, dir))
	}
	if _, err := readFile(name, magicNumbers, 10); err == nil {
		t.Error("a file beyond the limit was read")
	}
}

// Any bytes: an error or aggregates, without panic, and no more memory than bytes.
func FuzzAggregates(f *testing.F) {
	dir := f.TempDir()
	r := manual(f, dir, Options{Support: 2, KeptSessions: 16})
	load(f, r, shopOf(8))
	for v := range uint64(6) {
		visit(r, v+1, "i1", "+i2", "i3", "+i4")
	}
	r.Close()
	d, err := readFile(filepath.Join(dir, aggregatesFile), magicAggregates, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.b)
	d, err = readFile(filepath.Join(dir, catalogueFile), magicCatalogue, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.b)
	d, err = readFile(filepath.Join(dir, numbersFile), magicNumbers, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeCatalogue(&decoder{b: b}, newNumbers(), 1); err == nil && c.Len() > len(b) {
			t.Error("more items than bytes")
		}
		if n, err := decodeNumbers(&decoder{b: b}); err == nil && len(n.items.name) > len(b) {
			t.Error("more names than bytes")
		}
		a, err := decodeAggregates(&decoder{b: b}, 16)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		r := manual(t, "", Options{Support: 1, KeptSessions: 16})
		load(t, r, shopOf(8))
		r.now.Store(a.now)
		r.pasts.slot = a.pasts.slot
		r.pasts.next.Store(a.pasts.next.Load())
		for i := range a.items.chunks {
			r.items.chunks[i].Store(a.items.chunks[i].Load())
		}
		everything(r)
		visit(r, 1, "i1", "+i2", "i3", "+i4")
	})
}

package edge

import (
	"sync"
	"testing"
	"time"

	"bespoke/host/consent"
)

func newSubjects(t *testing.T, dir string) *Subjects {
	t.Helper()
	s, err := NewSubjects(SubjectsConfig{Dir: dir, Key: [32]byte{2}, Retry: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *Subjects) open1(t *testing.T) {
	t.Helper()
	s.start()
	eventually(t, "the store is open", func() bool {
		v := s.view.Load()
		return v != nil && v.Stale() == nil
	})
}

// Of choices that do not know of each other the refusal wins, whichever comes
// first, and when they come at once.
func TestOptOutWins(t *testing.T) {
	s := newSubjects(t, t.TempDir()+"/store")
	s.open1(t)
	at := time.Now().UTC().Truncate(time.Second)
	for round := range 30 {
		key := s.namer.Subject("shop", string(rune('a'+round)))
		yes := &consent.Choice{Granted: consent.All, At: at.Add(time.Duration(round%3) * time.Second), Epoch: 5}
		no := &consent.Choice{At: at, Epoch: 5}
		var wait sync.WaitGroup
		for _, c := range []*consent.Choice{yes, no, yes} {
			wait.Go(func() {
				if !s.keep(key, c) {
					t.Error("not kept")
				}
			})
			if round%2 == 0 {
				wait.Wait() // one after the other
			}
		}
		wait.Wait()
		if c, is := s.choice(key); is != subjectKept || c == nil || c.Granted != 0 {
			t.Fatalf("round %d: %+v, %v", round, c, is)
		}
		if !s.keep(key, &consent.Choice{Granted: consent.All, At: at.Add(time.Minute), Epoch: 6}) {
			t.Fatal("not kept")
		}
		if c, _ := s.choice(key); c.Granted != consent.All {
			t.Fatalf("round %d: a later choice that knows of both does not count: %+v", round, c)
		}
	}
}

// Another key cannot tell what subjects chose, and so nobody has a say but no.
func TestOtherSubjectsKey(t *testing.T) {
	dir := t.TempDir() + "/store"
	s := newSubjects(t, dir)
	key := s.namer.Subject("shop", "jane")
	if !s.keep(key, &consent.Choice{At: time.Now(), Epoch: 1}) {
		t.Fatal("not kept")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := NewSubjects(SubjectsConfig{Dir: dir, Key: [32]byte{3}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	<-other.tried
	if c, is := other.choice(key); c != nil || is != subjectUnknown {
		t.Errorf("%v, %v", c, is)
	}
	if other.keep(key, &consent.Choice{At: time.Now(), Epoch: 1}) {
		t.Error("told as kept in a store that is not open")
	}
	again := newSubjects(t, dir) // the folder is there: nobody has to come first
	eventually(t, "the store is open", func() bool { _, is := again.choice(key); return is == subjectKept })
	if c, _ := again.choice(key); c == nil || c.Granted != 0 {
		t.Errorf("after a restart: %+v", c)
	}
}

// What waits is one choice for each subject, folded in as it would be in the store.
func TestWaiting(t *testing.T) {
	at := time.Now().UTC().Truncate(time.Second)
	some := consent.Set(0).With(0)
	yes := func(epoch uint32, after time.Duration) *consent.Choice {
		return &consent.Choice{Granted: consent.All, Epoch: epoch, At: at.Add(after)}
	}
	for name, tt := range map[string]struct {
		old     *consent.Choice
		w       waiting
		granted consent.Set
	}{
		"nothing before":              {nil, waiting{&consent.Choice{Granted: some, At: at}, true}, some},
		"an explicit, newer one":      {yes(1, 0), waiting{&consent.Choice{At: at.Add(time.Second), Epoch: 2}, false}, 0},
		"an explicit, older one":      {yes(2, time.Second), waiting{&consent.Choice{At: at, Epoch: 1}, false}, consent.All},
		"brought, later":              {yes(9, 0), waiting{&consent.Choice{Granted: some, At: at.Add(time.Second)}, true}, some},
		"brought, earlier":            {yes(1, time.Second), waiting{&consent.Choice{At: at, Epoch: 9}, true}, consent.All},
		"brought, grants what it can": {&consent.Choice{At: at, Epoch: 1}, waiting{&consent.Choice{Granted: some, At: at.Add(time.Hour), Epoch: 9}, true}, 0},
	} {
		if c := tt.w.into(tt.old); c.Granted != tt.granted {
			t.Errorf("%s: %b, want %b", name, c.Granted, tt.granted)
		}
	}
	no := waiting{&consent.Choice{At: at.Add(time.Second), Epoch: 1}, true}
	explicit := waiting{&consent.Choice{Granted: some, At: at, Epoch: 4}, false}
	for _, w := range []waiting{no.and(explicit), explicit.and(no)} {
		if w.brought || w.choice.Granted != 0 || w.choice.Epoch != 4 {
			t.Errorf("both: %+v %v", w.choice, w.brought)
		}
	}
	if w := (waiting{}).and(no); w != no {
		t.Errorf("alone: %+v", w)
	}
}

// A request that knows its subject looks into memory.
func BenchmarkSubjectChoice(b *testing.B) {
	s, err := NewSubjects(SubjectsConfig{Dir: b.TempDir() + "/store", Key: [32]byte{2}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	key := s.namer.Subject("shop", "jane")
	if !s.keep(key, &consent.Choice{At: time.Now(), Epoch: 1}) {
		b.Fatal("not kept")
	}
	if err := s.store.Load().View(choicesBucket).Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, is := s.choice(key); is != subjectKept {
			b.Fatal(is)
		}
	}
}

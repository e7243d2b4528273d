package state

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestClusterAway stops the server that a view follows: the view answers on and
// says that it is stale. When the server is back, also with other content, so is
// the view.
func TestClusterAway(t *testing.T) {
	dir := t.TempDir()
	ns := cluster(t, dir, -1)
	port := ns.Addr().(*net.TCPAddr).Port
	s, err := OpenURL(ns.ClientURL(), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.retry = 20 * time.Millisecond
	mustSet(t, s, "t.stays", "1")
	mustSet(t, s, "t.goes", "1")
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v.Stale() != nil {
		t.Fatal(v.Stale())
	}

	ns.Shutdown()
	ns.WaitForShutdown()
	eventually(t, "the view says that it is stale", func() bool { return v.Stale() != nil })
	if !errors.Is(v.Stale(), ErrUnavailable) || !v.Ready() {
		t.Errorf("ready %v, stale: %v", v.Ready(), v.Stale())
	}
	if b, ok := v.Get("t.stays"); !ok || string(b) != "1" {
		t.Errorf("from memory: %q, %v", b, ok)
	}
	begin := time.Now()
	if err := set(s, "t.stays", "2"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("update: %v", err)
	}
	if _, _, _, err := s.Get(t.Context(), "b", "t.stays"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("two errors took %v", d)
	}
	if b, _ := v.Get("t.stays"); string(b) != "1" {
		t.Errorf("after a refused update the view has %q", b)
	}

	// Back, and somebody else was there first.
	ns = cluster(t, dir, port)
	other, err := OpenURL(ns.ClientURL(), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	mustSet(t, other, "t.stays", "3")
	if err := other.Delete(t.Context(), "b", "t.goes"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the view has what others wrote", func() bool {
		b, _ := v.Get("t.stays")
		_, there := v.Get("t.goes")
		return string(b) == "3" && !there && v.Stale() == nil
	})
	mustSet(t, s, "t.stays", "4")
	ow := other.View("b")
	if err := ow.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, "t.stays", "5")
	eventually(t, "the other edge has it", func() bool { b, _ := ow.Get("t.stays"); return string(b) == "5" })

	// Back, with nothing: what was in memory is not there any more.
	ns.Shutdown()
	ns.WaitForShutdown()
	cluster(t, t.TempDir(), port)
	eventually(t, "the view is empty", func() bool { _, there := v.Get("t.stays"); return !there && v.Stale() == nil })
	mustSet(t, s, "t.stays", "6")
	if b, _ := v.Get("t.stays"); string(b) != "6" {
		t.Errorf("the view has %q", b)
	}
}

// TestOpenURL sees that errors of a cluster name no addresses, which may hold
// passwords.
func TestOpenURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, url := range []string{"nats://" + addr, "nats://:secret@" + addr, "nats://a:secret@[::1", "secret://x y:1"} {
		_, err := OpenURL(url, testOptions())
		if err == nil {
			t.Fatalf("%s: opened", url)
		}
		for _, part := range []string{"secret", addr} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error says too much: %v", url, err)
			}
		}
	}
}

// TestSilentServer has a server that accepts and says nothing in place of the one
// that a store is used to: nobody waits for it long, and Close does not either.
func TestSilentServer(t *testing.T) {
	ns := cluster(t, t.TempDir(), -1)
	addr := ns.Addr().String()
	s, err := OpenURL(ns.ClientURL(), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	s.retry = time.Millisecond
	mustSet(t, s, "t.k", "x")
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	c := <-accepted // the view is at it
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, _, _, err := s.Get(ctx, "b", "t.k"); err == nil {
		t.Error("got an answer from nowhere")
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("get took %v, with a limit of 100 ms", d)
	}
	if b, ok := v.Get("t.k"); !ok || string(b) != "x" {
		t.Errorf("from memory: %q", b)
	}
	begin = time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("close took %v", d)
	}
}

// TestUnreadable damages a sealed value behind the store's back.
func TestUnreadable(t *testing.T) {
	s := open(t, t.TempDir(), testOptions())
	mustSet(t, s, "t.k", "refused")
	mustSet(t, s, "t.l", "refused")
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := s.live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.bucket(t.Context(), s, "b")
	if err != nil {
		t.Fatal(err)
	}
	// Another subject's sealed value, moved.
	e, err := b.kv.Get(t.Context(), "t.l")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.kv.Put(t.Context(), "t.k", e.Value()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the view has it", func() bool { got, ok := v.Get("t.k"); return ok && len(got) == 0 })
	if _, _, ok, err := s.Get(t.Context(), "b", "t.k"); !errors.Is(err, ErrUnreadable) || ok {
		t.Errorf("get: %v", err)
	}
	if err := set(s, "t.k", "x"); !errors.Is(err, ErrUnreadable) {
		t.Errorf("update: %v", err)
	}
	mustGet(t, s, "t.l", "refused")
	if err := s.Delete(t.Context(), "b", "t.k"); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, "t.k", "again")
	mustGet(t, s, "t.k", "again")
}

// TestViewNeverGoesBack gives a view what the store and this process say in every
// order in which it can arrive.
func TestViewNeverGoesBack(t *testing.T) {
	s := open(t, t.TempDir(), testOptions())
	type step struct {
		own   bool // told by Update or Delete; else by the store
		rev   uint64
		value string // "" for deleted
	}
	run := func(steps ...step) string {
		v := newView(s, "b")
		for _, st := range steps {
			if st.own {
				var value []byte
				if st.value != "" {
					value = []byte(st.value)
				}
				v.told("t.k", value, st.rev)
				continue
			}
			e := fakeEntry{rev: st.rev, op: jetstream.KeyValuePurge}
			if st.value != "" {
				e.op, e.value = jetstream.KeyValuePut, s.seal.seal("b", "t.k", []byte(st.value))
			}
			v.feed(e)
		}
		b, _ := v.Get("t.k")
		return string(b)
	}
	for i, c := range []struct {
		steps []step
		want  string
	}{
		{[]step{{false, 1, "a"}, {false, 2, "b"}}, "b"},
		{[]step{{true, 2, "b"}, {false, 1, "a"}}, "b"},
		{[]step{{true, 2, "b"}, {false, 1, "a"}, {false, 2, "b"}, {false, 3, "c"}}, "c"},
		{[]step{{true, 3, "c"}, {true, 2, "b"}}, "c"},
		{[]step{{false, 1, "a"}, {true, 2, ""}, {false, 1, "a"}}, ""},
		{[]step{{true, 2, ""}, {false, 1, "a"}, {false, 2, ""}}, ""},
		{[]step{{true, 2, ""}, {false, 1, "a"}, {false, 2, ""}, {false, 3, "c"}}, "c"},
		{[]step{{true, 3, "c"}, {false, 2, ""}, {false, 3, "c"}}, "c"},
		{[]step{{true, 3, "c"}, {true, 2, ""}}, "c"},
		{[]step{{true, 0, ""}, {false, 1, "a"}}, "a"},
	} {
		if got := run(c.steps...); got != c.want {
			t.Errorf("%d: %v: %q, want %q", i, c.steps, got, c.want)
		}
	}
}

type fakeEntry struct {
	jetstream.KeyValueEntry
	rev   uint64
	value []byte
	op    jetstream.KeyValueOp
}

func (e fakeEntry) Key() string                     { return "t.k" }
func (e fakeEntry) Revision() uint64                { return e.rev }
func (e fakeEntry) Value() []byte                   { return e.value }
func (e fakeEntry) Operation() jetstream.KeyValueOp { return e.op }

func BenchmarkViewGet(b *testing.B) {
	s, err := Open(b.TempDir(), testOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range 1000 {
		if err := set(s, s.Subject("stores", fmt.Sprint(i)), "value"); err != nil {
			b.Fatal(err)
		}
	}
	v := s.View("b")
	if err := v.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	key := s.Subject("stores", "7")
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := v.Get(key); !ok {
				b.Fail()
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	s, err := Open(b.TempDir(), testOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	i := 0
	for b.Loop() {
		i++
		if err := set(s, fmt.Sprint("t.", i%100), fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Open(dir, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}

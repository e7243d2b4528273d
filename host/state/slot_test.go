package state

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func newSlot(t *testing.T, address string) *Slot {
	t.Helper()
	s, err := NewSlot(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func wantSlot(t *testing.T, s *Slot, want string) {
	t.Helper()
	if got, err := s.Latest(t.Context()); err != nil || string(got) != want || (got == nil) != (want == "") {
		t.Fatalf("%.40q, %v; want %.40q", got, err, want)
	}
}

// A slot holds what was put, for others to read, and connects again by itself.
func TestSlot(t *testing.T) {
	dir := t.TempDir()
	ns := cluster(t, dir, -1)
	port := ns.Addr().(*net.TCPAddr).Port
	address := ns.ClientURL() + "/public"
	s, other := newSlot(t, address), newSlot(t, address+"/other")
	wantSlot(t, s, "")
	for _, value := range []string{"one", "two", strings.Repeat("x", MaxValue)} {
		if err := s.Put(t.Context(), []byte(value)); err != nil {
			t.Fatal(err)
		}
		wantSlot(t, s, value)
	}
	wantSlot(t, other, "")
	for _, n := range []int{0, MaxValue + 1} {
		if err := s.Put(t.Context(), make([]byte, n)); err == nil {
			t.Errorf("a value of %d bytes was taken", n)
		}
	}
	if err := other.Put(t.Context(), []byte("apart")); err != nil {
		t.Fatal(err)
	}

	// It is in the clear, with what was there before.
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, _ := jetstream.New(nc)
	kv, err := js.KeyValue(t.Context(), "public")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := kv.History(t.Context(), slotKey); err != nil || len(all) != 3 || string(all[0].Value()) != "one" {
		t.Errorf("%d values, %v", len(all), err)
	}
	// What somebody else put there is bounded.
	if err := js.DeleteKeyValue(t.Context(), "public"); err != nil {
		t.Fatal(err)
	}
	if kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "public"}); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), slotKey, bytes.Repeat([]byte("x"), MaxValue+1)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Latest(t.Context()); err == nil {
		t.Errorf("%d bytes were read", len(got))
	}

	ns.Shutdown()
	ns.WaitForShutdown()
	if err := s.Put(t.Context(), []byte("away")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the server is away: %v", err)
	}
	cluster(t, dir, port)
	eventually(t, "the slot is used again", func() bool { return s.Put(t.Context(), []byte("back")) == nil })
	wantSlot(t, s, "back")
	wantSlot(t, other, "") // its bucket was made anew
	// Closed, it can be used again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSlot(t, s, "back")
}

// A server that accepts and says nothing holds up nobody for longer than they wait.
func TestSlotIsBounded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := newSlot(t, "nats://edge:secret@"+ln.Addr().String()+"/public")
	for _, use := range []func(context.Context) error{
		func(ctx context.Context) error { return s.Put(ctx, []byte("x")) },
		func(ctx context.Context) error { _, err := s.Latest(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		err := use(ctx)
		cancel()
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), ln.Addr().String()+"/public/checkpoint") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

func TestNewSlot(t *testing.T) {
	for _, address := range []string{
		"", "public", "http://a/public", "nats://a", "nats://a/", "nats:///public", "nats://:4222/public", "nats://a/b.c", "nats://a/b/", "nats://a/b/*",
		"nats://u:secret@a/b c", "nats://u:secret@a:x/b", "nats://u:secret@a/b?c", "nats://u:secret@a/b#c", "nats://u:secret@a/" + strings.Repeat("b", 33),
	} {
		if _, err := NewSlot(address); err == nil {
			t.Errorf("%q was taken", address)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	if s := newSlot(t, "tls://u:secret@a:1/b/c"); s.String() != "tls://a:1/b/c" || s.server != "tls://u:secret@a:1" {
		t.Error(s, s.server)
	}
}

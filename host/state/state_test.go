package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bespoke/host/state/statetest"
)

// TestMain lets tests run this binary as another process.
func TestMain(m *testing.M) {
	if task := os.Getenv("STATE_TEST_TASK"); task != "" {
		child(task, os.Getenv("STATE_TEST_DIR"))
		return
	}
	os.Exit(m.Run())
}

var testKey = [32]byte{1, 2, 3}

func testOptions() Options { return Options{Key: testKey} }

// contract fits a Store to the contract, whose View is an interface.
type contract struct{ *Store }

func (c contract) View(bucket string) statetest.View { return c.Store.View(bucket) }

func TestContractEmbedded(t *testing.T) {
	statetest.Run(t, func(dir string) (statetest.Store, error) {
		s, err := Open(dir, testOptions())
		return contract{s}, err
	})
}

func TestContractExternal(t *testing.T) {
	servers := make(map[string]*server.Server)
	statetest.Run(t, func(dir string) (statetest.Store, error) {
		if servers[dir] == nil {
			servers[dir] = cluster(t, dir, -1)
		}
		s, err := OpenURL(servers[dir].ClientURL(), testOptions())
		return contract{s}, err
	})
}

// cluster starts a server that others would run, on loopback.
func cluster(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncAlways: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return ns
}

func open(t *testing.T, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	s.retry = 20 * time.Millisecond
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func set(s *Store, key, value string) error {
	return s.Update(context.Background(), "b", key, func([]byte) ([]byte, error) { return []byte(value), nil })
}

func mustSet(t *testing.T, s *Store, key, value string) {
	t.Helper()
	if err := set(s, key, value); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, s *Store, key, want string) {
	t.Helper()
	value, _, _, err := s.Get(context.Background(), "b", key)
	if err != nil || string(value) != want {
		t.Fatalf("get %s: %.40q, %v; want %.40q", key, value, err, want)
	}
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, opt := range map[string]Options{
		"no key":            {},
		"too small":         {Key: testKey, MaxBytes: 1},
		"too large":         {Key: testKey, MaxBytes: 1 << 50},
		"negative":          {Key: testKey, MaxBytes: -1},
		"negative replicas": {Key: testKey, Replicas: -1},
		"too many replicas": {Key: testKey, Replicas: 6},
	} {
		dir := t.TempDir() + "/state"
		if s, err := Open(dir, opt); err == nil {
			s.Close()
			t.Errorf("%s: taken", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a folder was made", name)
		}
	}
}

// TestAcknowledgedMeansSynced sees that the server fsyncs before it acknowledges;
// kill -9, of which crash_test.go makes sure, would not tell.
func TestAcknowledgedMeansSynced(t *testing.T) {
	s := open(t, t.TempDir(), testOptions())
	if !s.link.ns.JetStreamConfig().SyncAlways {
		t.Error("the embedded server does not sync every write")
	}
	if s.link.ns.Addr() != nil {
		t.Errorf("the embedded server listens on %v", s.link.ns.Addr())
	}
}

// TestFull sees that a bucket refuses what goes beyond its size, and only that: a
// subject in it can still withdraw and be erased.
func TestFull(t *testing.T) {
	s := open(t, t.TempDir(), Options{Key: testKey, MaxBytes: 64 << 10})
	ctx := context.Background()
	value := strings.Repeat("v", 1000)
	var err error
	n := 0
	for ; n < 200; n++ {
		if err = set(s, fmt.Sprint("t.", n), value); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable) {
		t.Fatalf("after %d values: %v", n, err)
	}
	if !strings.Contains(err.Error(), "bucket b") || !strings.Contains(err.Error(), "65536 bytes") {
		t.Errorf("the error does not say what is full: %v", err)
	}
	if n < 45 || n > 65 {
		t.Errorf("%d values of 1000 bytes filled 64 KiB", n)
	}
	for i := range n {
		mustSet(t, s, fmt.Sprint("t.", i), value+" and withdrawn")
	}
	if err := set(s, "t.new", "x"); !errors.Is(err, ErrFull) {
		t.Fatalf("a new key in a full bucket: %v", err)
	}
	// Other buckets have their own.
	if err := s.Update(ctx, "c", "t.k", func([]byte) ([]byte, error) { return []byte("x"), nil }); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ctx, "b", "t.0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "b", "t.1"); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, "t.new", "x")
}

// TestFullToTheBrim fills also what is kept for changes. Then even those are
// refused, but erasing is not.
func TestFullToTheBrim(t *testing.T) {
	s := open(t, t.TempDir(), Options{Key: testKey, MaxBytes: 64 << 10})
	keys := 0
	for ; set(s, fmt.Sprint("t.", keys), "x") == nil; keys++ {
	}
	full := 0
	for size := 1 << 10; size > 0; size /= 4 {
		full = 0
		for i := range keys {
			err := s.Update(t.Context(), "b", fmt.Sprint("t.", i), func(old []byte) ([]byte, error) {
				return append(old, make([]byte, size)...), nil
			})
			if errors.Is(err, ErrFull) {
				full++
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if full == 0 {
		t.Fatal("the bucket is not full: the test shows nothing")
	}
	mustSet(t, s, "t.0", "x") // needs no room
	v := s.View("b")
	if err := v.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := keys - 1; i >= 0; i-- {
		key := fmt.Sprint("t.", i)
		if err := s.Delete(context.Background(), "b", key); err != nil {
			t.Fatalf("%d of %d: %v", i, keys, err)
		}
		mustGet(t, s, key, "")
		if _, ok := v.Get(key); ok {
			t.Fatal("the view has an erased key")
		}
	}
}

// TestMarksExpire sees that in the end nothing is left of a deleted key, not even
// its mark.
func TestMarksExpire(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	s.marker = time.Second // the least that NATS knows
	defer s.Close()
	mustSet(t, s, "t.k", "value")
	records := func() uint64 {
		t.Helper()
		l, err := s.live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stream, err := l.js.Stream(t.Context(), "KV_b")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	if err := s.Delete(t.Context(), "b", "t.k"); err != nil {
		t.Fatal(err)
	}
	if n := records(); n != 1 {
		t.Fatalf("%d records after the deletion, want its mark", n)
	}
	eventually(t, "the mark is gone", func() bool { return records() == 0 })
	// Who was never there leaves none.
	if err := s.Delete(t.Context(), "b", "t.stranger"); err != nil {
		t.Fatal(err)
	}
	if n := records(); n != 0 {
		t.Errorf("%d records after a stranger was erased", n)
	}
	// The folder is in order, though the highest record in it is gone.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, testOptions()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustSet(t, s, "t.k", "again")
	mustGet(t, s, "t.k", "again")
}

// TestSize sees that another MaxBytes counts for buckets that are there.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Key: testKey, MaxBytes: 64 << 10})
	value := strings.Repeat("v", 8000)
	n := 0
	for ; set(s, fmt.Sprint("t.", n), value) == nil; n++ {
	}
	s.Close()
	s = open(t, dir, Options{Key: testKey, MaxBytes: 128 << 10})
	mustSet(t, s, "t.more", value)
	s.Close()
	// Smaller than what is in it: nothing is lost, nothing added.
	s = open(t, dir, Options{Key: testKey, MaxBytes: 64 << 10})
	mustGet(t, s, "t.more", value)
	for i := range n {
		mustGet(t, s, fmt.Sprint("t.", i), value)
	}
	if err := set(s, "t.new", "x"); !errors.Is(err, ErrFull) {
		t.Errorf("a new key: %v", err)
	}
	mustSet(t, s, "t.0", "withdrawn")
}

// TestEndsWhole sees that nothing goes on after Close.
func TestEndsWhole(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		s, err := Open(t.TempDir(), testOptions())
		if err != nil {
			t.Fatal(err)
		}
		mustSet(t, s, "t.k", "x")
		s.View("b")
		s.View("c").Wait(t.Context())
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > closeTime {
			t.Errorf("close took %v", d)
		}
	}
	var buf []byte
	eventually(t, "the goroutines end", func() bool {
		buf = make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		return runtime.NumGoroutine() <= before
	})
}

func TestLogsNoKeys(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                          "plain",
		"publish to $KV.b.t.abc-_=/1: x": "publish to $KV...: x",
		"$KV.b.k":                        "$KV...",
		"$KV.b.k $KV.c.l end":            "$KV... $KV... end",
		"$KV.":                           "$KV...",
		"$KV.ä":                          "$KV...ä",
	} {
		if got := withoutKeys(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

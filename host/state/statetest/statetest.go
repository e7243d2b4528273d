// Package statetest is the contract of a durable store, as tests: what consent and
// subjects rely on, whatever is behind it. A second implementation runs [Run] and
// needs nothing else of this project.
package statetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Store keeps small values under keys, in buckets.
type Store interface {
	// Subject names the key of a tenant's subject without saying who it is.
	Subject(tenant, subject string) string
	Get(ctx context.Context, bucket, key string) (value []byte, rev uint64, ok bool, err error)
	// Update is durable when it returns. It calls fn again after a conflict.
	Update(ctx context.Context, bucket, key string, fn func(old []byte) (new []byte, err error)) error
	Delete(ctx context.Context, bucket, key string) error
	View(bucket string) View
	Close() error
}

// A View answers from memory.
type View interface {
	Get(key string) (value []byte, ok bool)
	Ready() bool
	Wait(ctx context.Context) error
}

// Run runs the contract. The function opens the store that is kept in a folder:
// the same store for the same folder, also after Close.
func Run(t *testing.T, open func(dir string) (Store, error)) {
	for _, part := range []struct {
		name string
		run  func(*suite)
	}{
		{"get and update", (*suite).getAndUpdate},
		{"update refuses", (*suite).updateRefuses},
		{"update leaves", (*suite).updateLeaves},
		{"concurrent updates", (*suite).concurrentUpdates},
		{"delete", (*suite).delete},
		{"buckets and keys are apart", (*suite).apart},
		{"subjects", (*suite).subjects},
		{"hostile names", (*suite).hostileNames},
		{"durable", (*suite).durable},
		{"view follows", (*suite).viewFollows},
		{"view has what was acknowledged", (*suite).viewHasAcknowledged},
		{"view under writers", (*suite).viewUnderWriters},
		{"cancelled", (*suite).cancelled},
		{"closed", (*suite).closed},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := &suite{T: t, dir: t.TempDir(), open: open}
			s.reopen()
			defer func() { s.store.Close() }()
			part.run(s)
		})
	}
}

// A suite is one part of the contract under way.
type suite struct {
	*testing.T
	dir   string
	open  func(string) (Store, error)
	store Store
}

func (s *suite) reopen() {
	s.Helper()
	if s.store != nil {
		s.ok(s.store.Close())
	}
	var err error
	s.store, err = s.open(s.dir)
	s.ok(err)
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	s.Cleanup(cancel)
	return ctx
}

// set writes a value whatever was there.
func (s *suite) set(bucket, key, value string) {
	s.Helper()
	s.ok(s.store.Update(s.ctx(), bucket, key, func([]byte) ([]byte, error) { return []byte(value), nil }))
}

// want checks a value, "" for none, and returns its revision.
func (s *suite) want(bucket, key, want string) uint64 {
	s.Helper()
	value, rev, ok, err := s.store.Get(s.ctx(), bucket, key)
	s.ok(err)
	if string(value) != want || ok != (want != "") {
		s.Fatalf("get %s: %q, %v; want %q", key, value, ok, want)
	}
	return rev
}

func (s *suite) wantView(v View, key, want string) {
	s.Helper()
	value, ok := v.Get(key)
	if string(value) != want || ok != (want != "") {
		s.Fatalf("view of %s: %q, %v; want %q", key, value, ok, want)
	}
}

func (s *suite) view(bucket string) View {
	s.Helper()
	v := s.store.View(bucket)
	s.ok(v.Wait(s.ctx()))
	if !v.Ready() {
		s.Fatal("the view is not ready after Wait")
	}
	return v
}

func (s *suite) getAndUpdate() {
	s.want("b", "t.k", "")
	var olds []string
	for i := range 4 {
		s.ok(s.store.Update(s.ctx(), "b", "t.k", func(old []byte) ([]byte, error) {
			if (old == nil) != (i == 0) {
				s.Errorf("update %d: old is %q", i, old)
			}
			olds = append(olds, string(old))
			return fmt.Appendf(nil, "value %d", i), nil
		}))
	}
	if got, want := strings.Join(olds, ","), ",value 0,value 1,value 2"; got != want {
		s.Errorf("old values %q, want %q", got, want)
	}
	first := s.want("b", "t.k", "value 3")
	s.set("b", "t.k", "value 4")
	if second := s.want("b", "t.k", "value 4"); second <= first {
		s.Errorf("revision %d after %d", second, first)
	}
	// A value is bytes, all of them.
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	s.set("b", "t.bytes", string(all))
	s.want("b", "t.bytes", string(all))
	// The caller's bytes stay the caller's.
	mine := []byte("mine")
	s.ok(s.store.Update(s.ctx(), "b", "t.mine", func([]byte) ([]byte, error) { return mine, nil }))
	v := s.view("b")
	copy(mine, "----")
	s.wantView(v, "t.mine", "mine")
	got, _, _, err := s.store.Get(s.ctx(), "b", "t.mine")
	s.ok(err)
	copy(got, "----")
	s.want("b", "t.mine", "mine")
	s.wantView(v, "t.mine", "mine")
}

func (s *suite) updateRefuses() {
	s.set("b", "t.k", "before")
	rev := s.want("b", "t.k", "before")
	no := errors.New("no")
	err := s.store.Update(s.ctx(), "b", "t.k", func([]byte) ([]byte, error) { return []byte("after"), no })
	if !errors.Is(err, no) {
		s.Errorf("the function's error came back as %v", err)
	}
	for _, bad := range [][]byte{{}, make([]byte, 64<<10+1), make([]byte, 1<<20)} {
		if err := s.store.Update(s.ctx(), "b", "t.k", func([]byte) ([]byte, error) { return bad, nil }); err == nil {
			s.Errorf("a value of %d bytes was taken", len(bad))
		}
	}
	if s.want("b", "t.k", "before") != rev {
		s.Error("a refused update changed the revision")
	}
	most := strings.Repeat("x", 64<<10)
	s.set("b", "t.most", most)
	s.want("b", "t.most", most)
}

func (s *suite) updateLeaves() {
	s.set("b", "t.k", "same")
	rev := s.want("b", "t.k", "same")
	for _, leave := range []func(old []byte) []byte{
		func([]byte) []byte { return nil },
		func(old []byte) []byte { return old },
		bytes.Clone,
		func([]byte) []byte { return []byte("same") },
	} {
		s.ok(s.store.Update(s.ctx(), "b", "t.k", func(old []byte) ([]byte, error) { return leave(old), nil }))
	}
	if now := s.want("b", "t.k", "same"); now != rev {
		s.Errorf("revision %d after updates that change nothing, was %d", now, rev)
	}
	s.ok(s.store.Update(s.ctx(), "b", "t.none", func([]byte) ([]byte, error) { return nil, nil }))
	s.want("b", "t.none", "")
	// Changed in place is changed.
	s.ok(s.store.Update(s.ctx(), "b", "t.k", func(old []byte) ([]byte, error) { old[0] = 'S'; return old, nil }))
	s.want("b", "t.k", "Same")
}

// number reads what add wrote.
func number(b []byte) uint64 {
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (s *suite) concurrentUpdates() {
	const writers, each = 8, 25
	ctx := s.ctx()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.store.Update(ctx, "b", "t.sum", func(old []byte) ([]byte, error) {
					return binary.BigEndian.AppendUint64(nil, number(old)+1), nil
				}); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	value, _, _, err := s.store.Get(ctx, "b", "t.sum")
	s.ok(err)
	if number(value) != writers*each {
		s.Errorf("%d after %d additions", number(value), writers*each)
	}
}

func (s *suite) delete() {
	s.ok(s.store.Delete(s.ctx(), "b", "t.none"))
	s.want("b", "t.none", "")
	s.set("b", "t.k", "one")
	s.set("b", "t.other", "stays")
	rev := s.want("b", "t.k", "one")
	s.ok(s.store.Delete(s.ctx(), "b", "t.k"))
	s.want("b", "t.k", "")
	s.want("b", "t.other", "stays")
	s.ok(s.store.Delete(s.ctx(), "b", "t.k"))
	s.reopen()
	s.want("b", "t.k", "")
	s.want("b", "t.other", "stays")
	s.ok(s.store.Update(s.ctx(), "b", "t.k", func(old []byte) ([]byte, error) {
		if old != nil {
			s.Errorf("after the deletion old is %q", old)
		}
		return []byte("two"), nil
	}))
	if again := s.want("b", "t.k", "two"); again <= rev {
		s.Errorf("revision %d after %d and a deletion", again, rev)
	}
	// An update that began before a deletion does not bring back what was deleted.
	calls := 0
	s.ok(s.store.Update(s.ctx(), "b", "t.k", func(old []byte) ([]byte, error) {
		if calls++; calls == 1 {
			s.ok(s.store.Delete(s.ctx(), "b", "t.k"))
		}
		return append(old, '+'), nil
	}))
	s.want("b", "t.k", "+")
	if calls != 2 {
		s.Errorf("the function was called %d times, want 2", calls)
	}
}

func (s *suite) apart() {
	at := [][2]string{{"b", "t.k"}, {"c", "t.k"}, {"b", "t.k.k"}, {"b", "t.K"}, {"b", "T.k"}, {"B", "t.k"}, {"b-c", "t=k/1"}}
	for i, a := range at {
		s.set(a[0], a[1], fmt.Sprint("value ", i))
	}
	for i, a := range at {
		s.want(a[0], a[1], fmt.Sprint("value ", i))
		s.wantView(s.view(a[0]), a[1], fmt.Sprint("value ", i))
	}
	s.ok(s.store.Delete(s.ctx(), "b", "t.k"))
	s.want("c", "t.k", "value 1")
	s.want("b", "t.k.k", "value 2")
}

func (s *suite) subjects() {
	pairs := [][2]string{
		{"stores", "jane@example.org"}, {"stores", "jane"}, {"stores", "Jane"}, {"other", "jane"},
		{"", "jane"}, {"stores", ""}, {"", ""},
		{"a", "b.c"}, {"a.b", "c"}, {"ab", "c"}, {"a", "bc"}, {"a=2eb", "c"},
		{"a b", "c"}, {"a*", "c"}, {"a>", "c"}, {"ä", "c"}, {"\x00", "\xff"}, {"..", ".."},
		{strings.Repeat("n", 64), "x"}, {strings.Repeat("n", 65), "x"}, {strings.Repeat("n", 5000), strings.Repeat("s", 5000)},
	}
	seen := make(map[string]int)
	for i, p := range pairs {
		key := s.store.Subject(p[0], p[1])
		if j, ok := seen[key]; ok {
			s.Errorf("%q and %q share a key", pairs[j], p)
		}
		seen[key] = i
		if len(p[1]) > 2 && strings.Contains(key, p[1]) {
			s.Errorf("the key %q names the subject %q", key, p[1])
		}
		s.set("b", key, fmt.Sprint("value ", i))
	}
	s.reopen()
	for i, p := range pairs {
		s.want("b", s.store.Subject(p[0], p[1]), fmt.Sprint("value ", i))
	}
}

func (s *suite) hostileNames() {
	keys := []string{"", ".", "a.", ".a", "a..b", "a b", "a*", "a.*", ">", "a.>", "$KV.b.k", "a\n", "a\x00", "ä", "a\r\nPUB x", strings.Repeat("k", 257), strings.Repeat("k", 1<<20)}
	write := func([]byte) ([]byte, error) { return []byte("x"), nil }
	for _, key := range keys {
		if err := s.store.Update(s.ctx(), "b", key, write); err == nil {
			s.Errorf("update of key %.20q was taken", key)
		}
		if _, _, _, err := s.store.Get(s.ctx(), "b", key); err == nil {
			s.Errorf("get of key %.20q was taken", key)
		}
		if err := s.store.Delete(s.ctx(), "b", key); err == nil {
			s.Errorf("delete of key %.20q was taken", key)
		}
	}
	for _, bucket := range []string{"", ".", "a.b", "a b", "*", ">", "../b", "ä", strings.Repeat("b", 33)} {
		if err := s.store.Update(s.ctx(), bucket, "k", write); err == nil {
			s.Errorf("bucket %q was taken", bucket)
		}
		if v := s.store.View(bucket); v.Ready() {
			s.Errorf("the view of bucket %q is ready", bucket)
		}
	}
	// And the store is as well as before.
	s.set("b", "t.k", "fine")
	s.want("b", "t.k", "fine")
}

func (s *suite) durable() {
	for round := range 3 {
		for i := range 20 {
			s.set("b", fmt.Sprint("t.", i), fmt.Sprintf("round %d value %d", round, i))
		}
		s.ok(s.store.Delete(s.ctx(), "b", "t.7"))
		s.reopen()
		for i := range 20 {
			want := fmt.Sprintf("round %d value %d", round, i)
			if i == 7 {
				want = ""
			}
			s.want("b", fmt.Sprint("t.", i), want)
		}
	}
}

func (s *suite) cancelled() {
	s.set("b", "t.k", "before")
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	err := s.store.Update(ctx, "b", "t.k", func([]byte) ([]byte, error) { return []byte("after"), nil })
	if !errors.Is(err, context.Canceled) {
		s.Errorf("update: %v", err)
	}
	if _, _, _, err := s.store.Get(ctx, "b", "t.k"); !errors.Is(err, context.Canceled) {
		s.Errorf("get: %v", err)
	}
	if err := s.store.Delete(ctx, "b", "t.k"); !errors.Is(err, context.Canceled) {
		s.Errorf("delete: %v", err)
	}
	// That was the caller's doing, and changes nothing for others.
	s.want("b", "t.k", "before")
}

func (s *suite) closed() {
	s.set("b", "t.k", "value")
	v := s.view("b")
	begin := time.Now()
	s.ok(s.store.Close())
	if d := time.Since(begin); d > 2*time.Second {
		s.Errorf("close took %v", d)
	}
	s.ok(s.store.Close())
	if err := s.store.Update(s.ctx(), "b", "t.k", func([]byte) ([]byte, error) { return []byte("x"), nil }); err == nil {
		s.Error("update after close")
	}
	if _, _, _, err := s.store.Get(s.ctx(), "b", "t.k"); err == nil {
		s.Error("get after close")
	}
	if err := s.store.Delete(s.ctx(), "b", "t.k"); err == nil {
		s.Error("delete after close")
	}
	s.wantView(v, "t.k", "value") // from memory
	if s.store.View("late").Ready() {
		s.Error("a view made after close is ready")
	}
	s.store = nil
	s.reopen()
	s.want("b", "t.k", "value")
}

package state

import (
	"bytes"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func newTestSealer(t testing.TB, key [32]byte) *sealer {
	t.Helper()
	s, err := newSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeal(t *testing.T) {
	s := newTestSealer(t, testKey)
	value := []byte("refused on 3 May")
	sealed := s.seal("b", "t.k", value)
	if got, err := s.open("b", "t.k", sealed); err != nil || !bytes.Equal(got, value) {
		t.Fatalf("open: %q, %v", got, err)
	}
	if bytes.Contains(sealed, value[:6]) {
		t.Error("the value can be read")
	}
	if bytes.Equal(sealed, s.seal("b", "t.k", value)) {
		t.Error("the same value is sealed the same twice")
	}
	refuse := func(what string, s *sealer, bucket string, key Key, b []byte) {
		t.Helper()
		if got, err := s.open(bucket, key, b); !errors.Is(err, ErrUnreadable) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	refuse("another key", s, "b", "t.l", sealed)
	refuse("another bucket", s, "c", "t.k", sealed)
	refuse("bucket and key cut elsewhere", s, "b\x00t.k", "", sealed)
	refuse("another secret", newTestSealer(t, [32]byte{9}), "b", "t.k", sealed)
	refuse("nothing", s, "b", "t.k", nil)
	refuse("an empty value", s, "b", "t.k", s.seal("b", "t.k", nil))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		refuse("a flipped bit", s, "b", "t.k", bad)
		refuse("cut short", s, "b", "t.k", sealed[:i])
	}
}

func TestSubject(t *testing.T) {
	s := newTestSealer(t, testKey)
	// Under the race detector a pool forgets at random.
	if n := testing.AllocsPerRun(1000, func() { s.subject("stores", "jane@example.org") }); n > 1 && !raced() {
		t.Errorf("%v allocations, want the key alone", n)
	}
	if a, b := s.subject("t", "x"), newTestSealer(t, [32]byte{9}).subject("t", "x"); a == b {
		t.Error("the key of a subject does not depend on the secret")
	}
	// The same person is somebody else with each tenant.
	parts := make(map[string]bool)
	for _, p := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"b", "bc"}} {
		_, part, _ := strings.Cut(s.subject(p[0], p[1]), ".")
		if parts[part] {
			t.Errorf("the HMAC of %q is that of another", p)
		}
		parts[part] = true
	}
	if tenant, _, _ := strings.Cut(s.subject("stores", "x"), "."); tenant != "stores" {
		t.Errorf("the tenant's part is %q", tenant)
	}
}

func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func FuzzSealed(f *testing.F) {
	s := newTestSealer(f, testKey)
	f.Add("b", "t.k", []byte("x"), []byte{})
	f.Add("b", "t.k", []byte("x"), s.seal("b", "t.k", []byte("x")))
	f.Add("b", "t.k", []byte("x"), newTestSealer(f, [32]byte{9}).seal("b", "t.k", []byte("x")))
	f.Fuzz(func(t *testing.T, bucket, key string, value, sealed []byte) {
		if got, err := s.open(bucket, key, sealed); err == nil && !bytes.Equal(sealed, s.seal("b", "t.k", []byte("x"))) {
			// Only the seed is ever right, and only in its place.
			if bucket != "b" || key != "t.k" || string(got) != "x" {
				t.Fatalf("%q opened for %q %q", sealed, bucket, key)
			}
		}
		got, err := s.open(bucket, key, s.seal(bucket, key, value))
		if len(value) > 0 && (err != nil || !bytes.Equal(got, value)) {
			t.Fatalf("%q: %q, %v", value, got, err)
		}
	})
}

func FuzzSubject(f *testing.F) {
	s := newTestSealer(f, testKey)
	for _, p := range [][2]string{{"stores", "jane"}, {"", ""}, {"a.b", "c"}, {"=", "="}, {strings.Repeat("x", 70), "y"}} {
		f.Add(p[0], p[1], p[1], p[0])
	}
	f.Fuzz(func(t *testing.T, t1, s1, t2, s2 string) {
		k1, k2 := s.subject(t1, s1), s.subject(t2, s2)
		for _, k := range []Key{k1, k2} {
			if err := checkKey(k); err != nil {
				t.Fatalf("%q: %v", k, err)
			}
			if strings.Count(k, ".") != 1 {
				t.Fatalf("%q: want two parts", k)
			}
		}
		if same := t1 == t2 && s1 == s2; same != (k1 == k2) {
			t.Fatalf("%q %q and %q %q: %q, %q", t1, s1, t2, s2, k1, k2)
		}
		part1, _, _ := strings.Cut(k1, ".")
		part2, _, _ := strings.Cut(k2, ".")
		if (t1 == t2) != (part1 == part2) {
			t.Fatalf("tenants %q and %q: %q, %q", t1, t2, part1, part2)
		}
	})
}

func BenchmarkSubject(b *testing.B) {
	s := newTestSealer(b, testKey)
	b.ReportAllocs()
	for b.Loop() {
		s.subject("stores", "jane@example.org")
	}
}

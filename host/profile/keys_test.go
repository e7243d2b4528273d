package profile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func ring(t testing.TB, keys Keys) *Sealer {
	t.Helper()
	s, err := NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loadRing(t testing.TB, dir string) *Sealer {
	t.Helper()
	keys, err := LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return ring(t, keys)
}

// From the first key to the second, the third, and without those before it.
func TestRotate(t *testing.T) {
	dir := t.TempDir()
	b := Binding{"choice", "stores", "stores.localhost"}
	opens := func(s *Sealer, token string) bool {
		plain, err := s.Open([]byte(token), b)
		return err == nil && string(plain) == "yes"
	}
	if _, err := Rotate(dir); err == nil {
		t.Error("rotates where there is no key")
	}
	first := loadRing(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "cookie.key")); err != nil {
		t.Fatal(err)
	}
	token0 := first.Seal([]byte("yes"), b)
	key, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := NewSealer(key)
	if err != nil || !opens(alone, token0) || !opens(first, alone.Seal([]byte("yes"), b)) || len(alone.Seal([]byte("yes"), b)) != len(token0) {
		t.Error("cookie.key alone is not what it was")
	}
	name, err := Rotate(dir)
	if err != nil || name != filepath.Join(dir, "cookie-1.key") {
		t.Fatalf("%s, %v", name, err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", st.Mode(), err)
	}
	second := loadRing(t, dir)
	token1 := second.Seal([]byte("yes"), b)
	if !opens(second, token0) || !opens(second, token1) || opens(first, token1) {
		t.Error("after one rotation")
	}
	if err := os.WriteFile(filepath.Join(dir, "cookie-9.key"), bytes.Repeat([]byte{9}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err = Rotate(dir); err != nil || filepath.Base(name) != "cookie-10.key" {
		t.Fatalf("%s, %v", name, err)
	}
	third := loadRing(t, dir)
	token10 := third.Seal([]byte("yes"), b)
	only10 := func() *Sealer {
		b, _ := os.ReadFile(name)
		return ring(t, Keys{Named: []NumberedKey{{10, Key(b)}}})
	}()
	if !opens(only10, token10) || opens(only10, token1) || opens(only10, token0) {
		t.Error("it is not the greatest number that seals")
	}
	for _, token := range []string{token0, token1, token10} {
		if !opens(third, token) {
			t.Error("an older key does not open any more")
		}
	}
	if err := os.Remove(filepath.Join(dir, "cookie.key")); err != nil {
		t.Fatal(err)
	}
	later := loadRing(t, dir)
	if opens(later, token0) || !opens(later, token1) || !opens(later, token10) {
		t.Error("without cookie.key")
	}
	if _, err := os.Stat(filepath.Join(dir, "cookie.key")); err == nil {
		t.Error("a key that was removed is made anew")
	}
}

func TestLoadKeysRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"cookie-01.key": "cookie-N.key", "cookie-x.key": "cookie-N.key", "cookie--1.key": "cookie-N.key", "cookie-.key": "cookie-N.key",
		"cookie-256.key": "cookie-N.key", "cookie-0.key": "cookie-N.key", "cookie-2.key": "5 bytes, want 32",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("short"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKeys(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"cookie.key", "subjects.key", "cookie-3.key", "cookie-3.key.old", "key-1.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{3}, 32), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if keys, err := LoadKeys(dir); err != nil || len(keys.Named) != 1 {
		t.Errorf("%v", err)
	}
	for _, keys := range []Keys{{}, {Named: []NumberedKey{{1, Key{1}}, {1, Key{2}}}}, {Named: []NumberedKey{{2, Key{1}}, {1, Key{2}}}}} {
		if _, err := NewRing(keys); err == nil {
			t.Errorf("%d keys: no error", len(keys.Named))
		}
	}
}

// Tokens of a named key: bound, and no change of them goes unnoticed.
func TestTamperNamed(t *testing.T) {
	s := ring(t, Keys{Original: Key{1}, Named: []NumberedKey{{1, Key{2}}, {2, Key{3}}}})
	b := Binding{"profile", "stores", "stores.localhost"}
	token := []byte(s.Seal([]byte("some text"), b))
	for i := range token {
		for _, c := range []byte("Aa0_-=B\n ") {
			m := bytes.Clone(token)
			if m[i] = c; c != token[i] {
				if got, err := s.Open(m, b); err == nil || got != nil {
					t.Fatalf("byte %d changed to %q still opens", i, c)
				}
			}
		}
		if _, err := s.Open(token[:i], b); err == nil {
			t.Fatalf("the first %d bytes still open", i)
		}
	}
	if _, err := s.Open(token, Binding{"hidden", "stores", "stores.localhost"}); err != ErrToken {
		t.Errorf("for another use: %v", err)
	}
	for v := range 256 {
		raw := append([]byte{byte(v)}, make([]byte, 60)...)
		_, err := s.Open([]byte(base64.RawURLEncoding.EncodeToString(raw)), b)
		if errors.Is(err, ErrNewer) != (v > tokenNamed) || err == nil {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

func TestAppend(t *testing.T) {
	s := ring(t, Keys{Named: []NumberedKey{{7, Key{3}}}})
	b := Binding{"profile", "stores", "stores.localhost"}
	for n := range 100 {
		plain := bytes.Repeat([]byte{'x'}, n)
		out := s.AppendSeal([]byte("a="), plain, b)
		if !bytes.HasPrefix(out, []byte("a=")) || len(out)-2 != SealedLen(n) || sealedFit(len(out)-2) != n {
			t.Fatalf("%d bytes: %s; %d characters foretold, %d bytes", n, out, SealedLen(n), sealedFit(len(out)-2))
		}
		got, err := s.AppendOpen([]byte("b="), out[2:], b)
		if err != nil || string(got) != "b="+string(plain) {
			t.Fatalf("%q, %v", got, err)
		}
		if got, err := s.AppendOpen([]byte("b="), out[1:], b); err == nil || string(got) != "b=" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// What one goroutine seals and opens is not mixed with what another does.
func TestSealerConcurrent(t *testing.T) {
	s := ring(t, Keys{Original: Key{1}, Named: []NumberedKey{{1, Key{2}}}})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b := Binding{"profile", "stores", string(rune('a' + g))}
			plain := bytes.Repeat([]byte{byte(g)}, 50+40*g)
			var token, got []byte
			for range 300 {
				token = s.AppendSeal(token[:0], plain, b)
				var err error
				if got, err = s.AppendOpen(got[:0], token, b); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("goroutine %d: %x, %v", g, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

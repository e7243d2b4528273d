package profile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func sealer(t testing.TB) *Sealer {
	t.Helper()
	key, err := LoadKey(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpen(t *testing.T) {
	s := sealer(t)
	b := Binding{"preferences", "stores", "stores.localhost"}
	plain := (&Preferences{Name: "Jane"}).Encode()
	token := s.Seal(plain, b)
	got, err := s.Open([]byte(token), b)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("Open: %q, %v", got, err)
	}
	if again := s.Seal(plain, b); again == token {
		t.Error("two tokens of the same text are equal")
	}
	for _, other := range []Binding{
		{"choice", "stores", "stores.localhost"},
		{"preferences", "shop", "stores.localhost"},
		{"preferences", "stores", "shop.localhost"},
		{"preferencess", "tores", "stores.localhost"},
	} {
		if _, err := s.Open([]byte(token), other); err == nil {
			t.Errorf("opens under %v", other)
		}
	}
	if _, err := sealer(t).Open([]byte(token), b); err == nil {
		t.Error("opens under another key")
	}
}

// Every single change of a token, and every truncation, is noticed.
func TestTamper(t *testing.T) {
	s := sealer(t)
	b := Binding{"choice", "stores", "stores.localhost"}
	token := []byte(s.Seal([]byte("some text"), b))
	for i := range token {
		for _, c := range []byte("Aa0_-=\x00\n ") {
			if c == token[i] {
				continue
			}
			m := bytes.Clone(token)
			m[i] = c
			if _, err := s.Open(m, b); err == nil {
				t.Fatalf("byte %d changed to %q still opens", i, c)
			}
		}
		if _, err := s.Open(token[:i], b); err == nil {
			t.Fatalf("the first %d bytes still open", i)
		}
	}
	if _, err := s.Open(append(token, 'A'), b); err == nil {
		t.Fatal("a longer token opens")
	}
}

func TestParseName(t *testing.T) {
	tests := []struct{ in, want, err string }{
		{"Jane", "Jane", ""},
		{"  Jane \t Q.  ", "Jane Q.", ""},
		{"", "", ""},
		{"Jürgen 田中 👩‍🚀", "Jürgen 田中 👩‍🚀", ""},
		{"<script>alert(1)</script>", "<script>alert(1)</script>", ""}, // text, escaped where it is put
		{"a\x00b", "", "U+0000"},
		{"a\u202eb", "", "U+202E"},
		{"\xff", "", "UTF-8"},
		{strings.Repeat("a", 61), "", "at most 60"},
		{strings.Repeat("a", 1<<20), "", "at most 60"},
	}
	for _, tt := range tests {
		got, err := ParseName(tt.in)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("ParseName(%.20q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("ParseName(%.20q): error %v, want one with %q", tt.in, err, tt.err)
		}
	}
}

func TestLoadKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var keys [8]Key
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], _ = LoadKey(dir) })
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || k == (Key{}) {
			t.Fatal("processes that start together got different keys, or none")
		}
	}
	name := filepath.Join(dir, "cookie.key")
	st, err := os.Stat(name)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v; want mode 0600", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(name, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(dir); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("a short key file: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	s := sealer(f)
	b := Binding{"preferences", "stores", "stores.localhost"}
	f.Add([]byte(s.Seal([]byte{1, 'J'}, b)))
	f.Add([]byte("AQ"))
	f.Fuzz(func(t *testing.T, token []byte) { s.Open(token, b) })
}

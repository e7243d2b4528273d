package ledger

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHTTPWitnessToken sends the token of a file, and the next one once the file has it.
func TestHTTPWitnessToken(t *testing.T) {
	p := new(place)
	token := "first"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.ServeHTTP(w, r)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	w := HTTPWitness{URL: s.URL, TokenFile: file}
	if msg, err := w.Latest(t.Context()); err != nil || msg != nil {
		t.Fatal(msg, err)
	}
	if err := w.Put(t.Context(), []byte("checkpoint")); err != nil {
		t.Fatal(err)
	}
	if msg, err := w.Latest(t.Context()); err != nil || string(msg) != "checkpoint" {
		t.Fatal(string(msg), err)
	}
	token = "second"
	if err := w.Put(t.Context(), []byte("other")); err == nil || !strings.Contains(err.Error(), "401") {
		t.Error(err)
	}
	write("second")
	if err := w.Put(t.Context(), []byte("other")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "\n", "two secrets", "secret\r\nHost: a", strings.Repeat("secret", maxToken/6+1), "secr\u00e9t"} {
		write(bad)
		if err := w.Put(t.Context(), []byte("x")); err == nil || strings.Contains(err.Error(), "secr") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	os.Remove(file)
	if _, err := w.Latest(t.Context()); err == nil {
		t.Error("without its file")
	}
	if got := string(*p.content.Load()); got != "other" {
		t.Errorf("the server has %q", got)
	}
}

// TestHTTPWitnessTellsNoSecret makes each kind of error with an address that has secrets in all places.
func TestHTTPWitnessTellsNoSecret(t *testing.T) {
	p := new(place)
	p.broken.Store(true)
	s := httptest.NewServer(p)
	refused := httptest.NewServer(p)
	refused.Close()
	defer s.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		url  string
		ctx  context.Context
		want string
	}{
		{s.URL, t.Context(), "500"},
		{refused.URL, t.Context(), "refused"},
		{s.URL, cancelled, "canceled"},
		{"http://a b", t.Context(), "invalid character"},
		{"ftp://a.example", t.Context(), "unsupported"},
	} {
		w := HTTPWitness{URL: strings.Replace(c.url, "://", "://SECRET:SECRET@", 1) + "/path?token=SECRET#SECRET"}
		_, err := w.Latest(c.ctx)
		for _, err := range []error{err, w.Put(c.ctx, []byte("x"))} {
			if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.url, err)
			}
		}
		if strings.Contains(w.String(), "SECRET") {
			t.Error(w.String())
		}
	}
	if w := (HTTPWitness{URL: "https://u:p@a.example:8443/b/c?d=e"}); w.String() != "https://a.example:8443/b/c" {
		t.Error(w.String())
	}
}

// TestHTTPWitnessIsNotLedElsewhere: a client that follows makes a GET of the PUT, and takes its 200 for an answer.
func TestHTTPWitnessIsNotLedElsewhere(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusMovedPermanently)
		}
	}))
	defer s.Close()
	w := HTTPWitness{URL: s.URL}
	if err := w.Put(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "301") {
		t.Error(err)
	}
}

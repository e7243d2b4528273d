package probe

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Hostile sites: every answer is bounded in bytes and in time, and none breaks the probe.
func TestHostileSites(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	chunk := make([]byte, 1<<20)
	for range 64 {
		z.Write(chunk)
	}
	z.Close()
	for name, h := range map[string]http.HandlerFunc{
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		},
		"varying gzip bombs": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
			fmt.Fprint(w, rand.Uint64())
		},
		"huge header":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"many headers":  func(w http.ResponseWriter, _ *http.Request) { many(w.Header()) },
		"redirect loop": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) },
		"away": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
		"deep page": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("<a href='", 1<<16)+strings.Repeat("<b c=d ", 1<<16))
		},
		"terminal": func(w http.ResponseWriter, r *http.Request) {
			from := r.Header.Get("X-Forwarded-For")
			w.Header().Add("Set-Cookie", "\x1b[2J"+from+"=\x1b[2J; path=/\x07")
			fmt.Fprintf(w, "\x1b]0;owned\x07\x1b[2J%s", from)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			began := time.Now()
			r, err := Run(t.Context(), Config{URL: s.URL, Pairs: 2, PlaceHeader: "X-Forwarded-For", Dimensions: []string{Place}, Timeout: 200 * time.Millisecond, MaxBody: 1 << 20, Settle: -1})
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if err != nil {
				if len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				return
			}
			if out := text(r); strings.ContainsAny(out, "\x1b\x07") || len(out) > 64<<10 {
				t.Errorf("a report of %d bytes: %.200q", len(out), out)
			}
		})
	}
}

func many(h http.Header) {
	for i := range 12_000 {
		h.Add("Set-Cookie", fmt.Sprintf("%x=%d", i, rand.IntN(10)))
	}
}

func TestWrongUse(t *testing.T) {
	for _, c := range []Config{
		{URL: "shop.example"}, {URL: "ftp://shop.example"}, {URL: "http://a:b@shop.example"}, {URL: "http://x", Pairs: -1}, {URL: "http://x", Paths: []string{"x"}},
		{URL: "http://x", Ways: []string{"please"}}, {URL: "http://x", Dimensions: []string{"shoe-size"}}, {URL: "http://x", Rate: -1},
	} {
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%+v was taken", c)
		} else if _, ok := err.(*UsageError); !ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	if f, err := ReadFile(strings.NewReader(`{"refuse": {"cookies": {"optout": "1"}}, "dimensions": {"shoe-size": {"a": {"headers": {"X-Shoe": "38"}}, "b": {"headers": {"X-Shoe": "46"}}}}}`)); err != nil || f.Dimensions["shoe-size"].B.Headers["X-Shoe"] != "46" {
		t.Error(f, err)
	}
	for text, want := range map[string]string{
		"":                            "EOF",
		"{\n\"refuses\": {}}":         "refuses",
		"{} {}":                       "more after",
		`{"dimensions": {"A B": {}}}`: "no name",
		`{"refuse": {"requests": [{"path": "http://elsewhere/"}]}}`: "path",
		`{"refuse": {"headers": {"Cookie": "a=b"}}}`:                "cookies stand under",
		`{"refuse": {"headers": {"X": "a\r\nb"}}}`:                  "cannot be sent",
		`{"refuse": {"cookies": {"x": "a;b"}}}`:                     "cannot be sent",
	} {
		if _, err := ReadFile(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

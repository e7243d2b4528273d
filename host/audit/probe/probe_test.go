package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A planted site uses what its visitors bring. What it does for those who refused is
// the fault that is planted.
type planted struct {
	leak func(w http.ResponseWriter, r *http.Request, about string) // nil: honest
	vary func(w http.ResponseWriter)                                // nil: always the same
}

func refuses(r *http.Request) bool {
	c, err := r.Cookie("optout")
	return r.Header.Get("Sec-GPC") == "1" || err == nil && c.Value == "1"
}

// about is all that the site knows of a visitor.
func about(r *http.Request) string {
	var b strings.Builder
	b.WriteString(r.Header.Get("X-Forwarded-For"))
	for _, name := range []string{"name", "visitor_id", "sid", "seen"} {
		if c, err := r.Cookie(name); err == nil {
			b.WriteString("|" + c.Value)
		}
	}
	return b.String()
}

func (p planted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/optout" {
		http.SetCookie(w, &http.Cookie{Name: "optout", Value: "1", Path: "/"})
		return
	}
	seen := ""
	if c, err := r.Cookie("seen"); err == nil {
		seen = c.Value
	}
	if strings.HasPrefix(r.URL.Path, "/p/") {
		seen += "-" + r.URL.Path[3:]
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: seen, Path: "/"})
		io.WriteString(w, "an item")
		return
	}
	w.Header().Set("Content-Type", "text/html")
	if p.vary != nil {
		p.vary(w)
	}
	switch {
	case !refuses(r):
		fmt.Fprintf(w, "<p>for you: %s</p>", about(r))
	case p.leak != nil:
		p.leak(w, r, about(r))
	}
	for i := range 8 {
		fmt.Fprintf(w, "<a href=/p/%d>item</a>\n", i)
	}
}

var twoAccounts = &File{
	Refuse:     &Side{Requests: []Step{{Method: "POST", Path: "/optout"}}},
	Dimensions: map[string]FileSides{Account: {A: Side{Cookies: map[string]string{"sid": "alpha-7f"}}, B: Side{Cookies: map[string]string{"sid": "beta-93"}}, Secret: true}},
}

func probing(t *testing.T, h http.Handler, change func(*Config)) *Report {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	c := Config{URL: s.URL + "/", Pairs: 5, Seed: 1, PlaceHeader: "X-Forwarded-For", File: twoAccounts, Settle: -1}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rep, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func text(r *Report) string {
	var b strings.Builder
	r.Text(&b)
	return b.String()
}

func find(t *testing.T, r *Report, name string) *Dimension {
	t.Helper()
	for i := range r.Dimensions {
		if r.Dimensions[i].Name == name {
			return &r.Dimensions[i]
		}
	}
	t.Fatalf("no dimension %s", name)
	return nil
}

// ofOurs are the dimensions that a planted site knows of.
var ofOurs = []string{History, Past, Place, Identifiers, Name, Account}

func TestHonestSite(t *testing.T) {
	r := probing(t, planted{}, nil)
	if r.Verdict != Equal || len(r.Exhibits) > 0 || len(r.Noise) > 0 {
		t.Fatal(text(r))
	}
	for _, name := range ofOurs {
		d := find(t, r, name)
		if !d.Power || len(d.Refuse) != 2 || d.Refuse[0].Pairs != 5 || d.Refuse[1].Same != 3 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for _, name := range []string{Profile, Declared} {
		if d := find(t, r, name); d.Missing == "" {
			t.Errorf("%s was tried: %+v", name, d)
		}
	}
}

// Each channel that a leak can take is found, in every dimension, and the pair that
// is shown is one that differs.
func TestLeaks(t *testing.T) {
	for name, leak := range map[string]func(w http.ResponseWriter, r *http.Request, about string){
		"body":   func(w http.ResponseWriter, _ *http.Request, about string) { fmt.Fprintf(w, "<!-- %s -->", about) },
		"header": func(w http.ResponseWriter, _ *http.Request, about string) { w.Header().Set("X-Segment", about) },
		"cookie": func(w http.ResponseWriter, _ *http.Request, about string) {
			http.SetCookie(w, &http.Cookie{Name: "u", Value: fmt.Sprintf("%x", about)})
		},
		"attributes": func(w http.ResponseWriter, _ *http.Request, about string) {
			http.SetCookie(w, &http.Cookie{Name: "u", Value: "1", Path: fmt.Sprintf("/%x", about)})
		},
		"etag": func(w http.ResponseWriter, _ *http.Request, about string) {
			w.Header().Set("Etag", fmt.Sprintf(`"%x"`, about))
		},
		"status": func(w http.ResponseWriter, _ *http.Request, about string) {
			sum := 0
			for i := range len(about) {
				sum += int(about[i])
			}
			w.WriteHeader(200 + sum%97)
		},
		"expires": func(w http.ResponseWriter, _ *http.Request, about string) {
			sum := 0
			for i := range len(about) {
				sum = 31*sum%86400 + int(about[i])
			}
			w.Header().Set("Expires", time.Now().Add(time.Duration(sum)*time.Minute).UTC().Format(http.TimeFormat))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := probing(t, planted{leak: leak}, nil)
			if r.Verdict != Differs {
				t.Fatal(text(r))
			}
			for _, dim := range ofOurs {
				for _, c := range find(t, r, dim).Refuse {
					if c.Verdict != Differs || c.SameUnequal > 0 {
						t.Errorf("%s, %s: %+v", dim, c.Way, c)
					}
				}
			}
			for _, e := range r.Exhibits {
				if len(e.Differences) == 0 || e.Differences[0].A == e.Differences[0].B {
					t.Errorf("%+v", e.Differences)
				}
			}
		})
	}
}

// A leak in one dimension is found in that one, and in no other.
func TestLeakIsNamed(t *testing.T) {
	for dim, from := range map[string]func(r *http.Request) string{
		Place:       func(r *http.Request) string { return r.Header.Get("X-Forwarded-For") },
		Name:        cookie("name"),
		Identifiers: cookie("visitor_id"),
		Account:     cookie("sid"),
	} {
		r := probing(t, planted{leak: func(w http.ResponseWriter, r *http.Request, _ string) { io.WriteString(w, from(r)) }}, nil)
		for _, d := range r.Dimensions {
			for _, c := range d.Refuse {
				if (c.Verdict == Differs) != (d.Name == dim) {
					t.Errorf("leak of %s: %s by %s: %+v", dim, d.Name, c.Way, c)
				}
			}
		}
	}
}

func cookie(name string) func(r *http.Request) string {
	return func(r *http.Request) string {
		if c, err := r.Cookie(name); err == nil {
			return c.Value
		}
		return ""
	}
}

// What was gathered before the refusal is forgotten by the first of these sites when
// the visitor refuses, and not by the second.
func TestPastIsApart(t *testing.T) {
	r := probing(t, planted{leak: func(w http.ResponseWriter, r *http.Request, about string) {
		if c, err := r.Cookie("seen"); err == nil && r.Header.Get("Sec-GPC") == "1" {
			fmt.Fprint(w, c.Value)
		}
	}}, func(c *Config) { c.Dimensions = []string{Past} })
	d := find(t, r, Past)
	if d.Refuse[0].Verdict != Equal || d.Refuse[1].Verdict != Differs {
		t.Error(text(r))
	}
}

// What one visitor gets of another looks like a site that varies, unless it is said
// that it does not.
func TestSteady(t *testing.T) {
	last := ""
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/optout" {
			planted{}.ServeHTTP(w, r)
			return
		}
		if refuses(r) {
			fmt.Fprintf(w, "<!-- %s -->", last) // kept from the last who agreed
		} else {
			last = about(r)
			fmt.Fprintf(w, "for you: %s", about(r))
		}
		io.WriteString(w, "<a href=/p/1>one</a><a href=/p/2>two</a>")
	})
	if r := probing(t, h, func(c *Config) { c.Steady = true }); r.Verdict != Differs || !slices.ContainsFunc(r.Exhibits, func(e *Exhibit) bool { return e.Same }) {
		t.Error(text(r))
	}
	if r := probing(t, planted{}, func(c *Config) { c.Steady = true }); r.Verdict != Equal {
		t.Error(text(r))
	}
}

// Many pairs at the same time find what one at a time does.
func TestConcurrent(t *testing.T) {
	many := func(c *Config) { c.Concurrency = 8 }
	if r := probing(t, planted{}, many); r.Verdict != Equal {
		t.Error(text(r))
	}
	r := probing(t, planted{leak: func(w http.ResponseWriter, r *http.Request, _ string) { io.WriteString(w, cookie("name")(r)) }}, many)
	if r.Verdict != Differs || find(t, r, Name).Refuse[0].Unequal != 5 || find(t, r, Place).Refuse[0].Unequal != 0 {
		t.Error(text(r))
	}
}

func TestNoPower(t *testing.T) {
	static := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<a href=/x>x</a>") })
	r := probing(t, static, nil)
	if r.Verdict != NoPower || find(t, r, Place).Power || find(t, r, Place).Refuse[0].Verdict != Equal {
		t.Error(text(r))
	}
	r = probing(t, planted{}, func(c *Config) { c.Dimensions, c.Require = []string{Place}, []string{Place, Profile} })
	if r.Verdict != NoPower || !strings.Contains(r.Because, Profile) || strings.Contains(r.Because, Place) {
		t.Error(text(r))
	}
}

// Sites that vary by themselves: what identical visitors get is learned, hidden where
// that is sound and tested where it is not. An honest one passes, a leak is found
// beside the noise.
func TestSitesThatVary(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6)) // pairs ask one after the other
	nonce := func(w http.ResponseWriter) {
		n := fmt.Sprintf("%016x", random.Uint64())
		w.Header().Set("Content-Security-Policy", "script-src 'nonce-"+n+"'")
		fmt.Fprintf(w, "<script nonce=%s></script>", n)
	}
	adverts := func(w http.ResponseWriter) {
		for range random.IntN(6) {
			fmt.Fprintf(w, "<i>%d</i>", random.IntN(4))
		}
	}
	clock := func(w http.ResponseWriter) { fmt.Fprintf(w, "<time>%d</time>", time.Now().UnixNano()) }
	place := func(w http.ResponseWriter, r *http.Request, _ string) {
		fmt.Fprintf(w, "<b>near <u>%s</u></b><em>ten</em><em>stores</em>", strings.ReplaceAll(r.Header.Get("X-Forwarded-For"), ".", "x"))
	}
	for name, vary := range map[string]func(http.ResponseWriter){"nonce": nonce, "clock": clock, "adverts": adverts} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) { c.Dimensions, c.Pairs = []string{Place}, 40 }
			r := probing(t, planted{vary: vary}, change)
			if d := find(t, r, Place); r.Verdict != Equal || !d.Power || d.Refuse[0].Test == nil || len(r.Noise) == 0 {
				t.Errorf("honest: %s", text(r))
			}
			r = probing(t, planted{vary: vary, leak: place}, change)
			if r.Verdict != Differs {
				t.Errorf("leaky: %s", text(r))
			}
		})
	}
}

// A test that makes too much of noise would find something on one in a hundred honest
// sites or more.
func TestFalseAlarms(t *testing.T) {
	found := 0
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		differ, same := make([]int, 10), make([]int, 5)
		for i := range differ {
			differ[i] = random.IntN(6)
		}
		for i := range same {
			same[i] = random.IntN(6)
		}
		if permute(differ, same, random).P <= 0.01 {
			found++
		}
	}
	if found > 40 { // 20 are expected, 40 are more than four standard deviations away
		t.Errorf("%d of 2000 tests at the level 0.01 found a difference where there was none", found)
	}
}

func TestPermute(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		differ, same []int
		p            float64
		method       string
	}{
		{[]int{1, 1, 1}, []int{0, 0, 0}, 1.0 / 20, exactly},
		{[]int{0, 0, 0}, []int{1, 1, 1}, 1, exactly},
		{[]int{2, 0}, []int{1, 0}, 3.0 / 6, exactly}, // by hand: ranks 4, 1.5, 3, 1.5; three of the six sums of two are at least 5.5
		{[]int{5}, nil, 1, "none: there are not pairs of both kinds"},
	} {
		if got := permute(c.differ, c.same, random); got.P != c.p || got.Method != c.method {
			t.Errorf("%v %v: %+v, want p %v", c.differ, c.same, got, c.p)
		}
	}
	differ, same := make([]int, 30), make([]int, 15)
	for i := range differ {
		differ[i] = 1
	}
	if got := permute(differ, same, random); got.Method != sampling || got.P != 1.0/(draws+1) {
		t.Errorf("%+v", got)
	}
}

// A page that changes once for everybody is no leak.
func TestDrift(t *testing.T) {
	var n atomic.Int64
	version := func(w http.ResponseWriter) { fmt.Fprintf(w, "version %d", n.Add(1)/180) }
	r := probing(t, planted{vary: version}, func(c *Config) { c.Dimensions, c.Ways, c.Pairs = []string{Place}, []string{ByGPC}, 40 })
	if r.Verdict != Equal {
		t.Error(text(r))
	}
	if n.Load() < 200 {
		t.Errorf("only %d answers: the page did not change in the middle", n.Load())
	}
	for series, want := range map[string]bool{"aaaabbbb": true, "aaaa": false, "aaaabaaaabbbb": false, "abababab": false, "aaabbbbb": false, "aaaabbbbcccc": false} {
		var list [][32]byte
		for _, c := range []byte(series) {
			list = append(list, [32]byte{c})
		}
		if drifts(list) != want {
			t.Errorf("%s: %v", series, !want)
		}
	}
}

// The same seed draws the same experiment.
func TestSeed(t *testing.T) {
	said := func(seed uint64) (list []string) {
		h := planted{}
		probing(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			list = append(list, r.Method+" "+r.URL.Path+" "+about(r))
			h.ServeHTTP(w, r)
		}), func(c *Config) { c.Seed = seed })
		return list
	}
	a, b, c := said(1), said(1), said(2)
	if !slices.Equal(a, b) {
		t.Error("one seed, two experiments")
	}
	if slices.Equal(a, c) {
		t.Error("two seeds, one experiment")
	}
	// Who comes first must not tell who they are.
	first := 0
	rep := 0
	for _, line := range a {
		if strings.HasPrefix(line, "GET / 192.0.2.7") {
			rep++
		} else if strings.HasPrefix(line, "GET / 198.51.100.7") {
			first++
		}
	}
	if rep == 0 || first == 0 {
		t.Errorf("%d and %d visits", rep, first)
	}
}

func TestSaved(t *testing.T) {
	r := probing(t, planted{leak: func(w http.ResponseWriter, _ *http.Request, about string) {
		fmt.Fprintf(w, "<!-- %s -->", strings.ToUpper(about))
	}}, nil)
	dir := filepath.Join(t.TempDir(), "out")
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Save(dir); err == nil {
		t.Error("a report was written over another")
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil || back.Verdict != Differs || len(back.Exhibits) != len(r.Exhibits) {
		t.Errorf("%v %+v", err, back)
	}
	// The body is the site's, which echoes; what was sent is concealed everywhere.
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if i, err := d.Info(); err != nil || i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: others can read it: %v", path, i.Mode())
		}
		if d.IsDir() || strings.HasSuffix(path, ".body") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("alpha-7f")) || bytes.Contains(b, []byte("beta-93")) {
			t.Errorf("%s holds the session of an account", path)
		}
		return nil
	})
	if n := strings.Count(text(r), concealed); n == 0 {
		t.Error("nothing was concealed: the test shows nothing")
	}
}

// The script of a pair asks again, and finds the difference.
func TestRepeat(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	s := httptest.NewServer(planted{leak: func(w http.ResponseWriter, _ *http.Request, about string) { io.WriteString(w, about) }})
	defer s.Close()
	r, err := Run(t.Context(), Config{URL: s.URL, Pairs: 1, PlaceHeader: "X-Forwarded-For", Dimensions: []string{Place, Name}, Settle: -1})
	if err != nil || len(r.Exhibits) != 2 {
		t.Fatal(err, text(r))
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	for i := range r.Exhibits {
		cmd := exec.Command("sh", "repeat.sh")
		cmd.Dir = filepath.Join(dir, fmt.Sprintf("pair-%d", i+1))
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "differ") {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(planted{})
	defer s.Close()
	r, err := Run(ctx, Config{URL: s.URL, Pairs: 50, PlaceHeader: "X-Forwarded-For", Settle: -1, Progress: func(done, _ int) {
		if done == 60 {
			cancel()
		}
	}})
	if err != nil || !r.Interrupted || r.Verdict != Undecided || find(t, r, Place).Agree.Pairs == 0 {
		t.Errorf("%v %+v", err, r)
	}
}

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

// A dimension of a file is tried like the others.
func TestOwnDimension(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Shoe")) })
	f := &File{Dimensions: map[string]FileSides{
		"shoe-size": {A: Side{Headers: map[string]string{"X-Shoe": "38"}}, B: Side{Headers: map[string]string{"X-Shoe": "46"}}},
	}}
	if r := probing(t, h, func(c *Config) { c.File = f }); r.Verdict != Differs || r.Exhibits[0].Dimension != "shoe-size" {
		t.Error(text(r))
	}
	of := f.Dimensions["shoe-size"]
	of.Declared = true
	f.Dimensions["shoe-size"] = of
	if r := probing(t, h, func(c *Config) { c.File = f }); r.Verdict == Differs || !strings.Contains(text(r), "as wished") {
		t.Error(text(r))
	}
}

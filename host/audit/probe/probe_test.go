package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

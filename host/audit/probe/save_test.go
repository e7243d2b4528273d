package probe

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A ticking site is a planted one for which time passes from each answer to the next:
// what tells about the moment is never the same.
type ticking struct {
	planted
	answers atomic.Int64
	honest  atomic.Bool // from now on
}

func (s *ticking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.answers.Add(1)
	now := time.Date(2026, 3, 1, 0, 0, int(n), 0, time.UTC)
	h := w.Header()
	h.Set("Date", now.Format(http.TimeFormat))
	h.Set("Expires", now.Add(time.Hour).Format(http.TimeFormat))
	h.Set("Age", fmt.Sprint(n))
	h.Set("Server-Timing", fmt.Sprintf("app;dur=%d", n))
	h.Set("X-Took.Ms", fmt.Sprint(n))
	p := s.planted
	if s.honest.Load() {
		p.leak = func(w http.ResponseWriter, r *http.Request, _ string) {
			// What looks like a header that is not compared, in the body.
			io.WriteString(w, "the same\nDate: for all\n")
		}
	}
	p.ServeHTTP(w, r)
}

// The script of a pair asks again, and finds the difference; and where there is none
// any more it says that, however long it took.
func TestRepeat(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("runs the script that repeats a finding, which asks with curl, and there is none (Debian: apt-get install curl; make test does it):", err)
	}
	for name, leak := range map[string]func(w http.ResponseWriter, r *http.Request, about string){
		"body":   func(w http.ResponseWriter, _ *http.Request, about string) { io.WriteString(w, about) },
		"a line": func(w http.ResponseWriter, _ *http.Request, about string) { io.WriteString(w, "\nDate: "+about+"\n") },
		"header": func(w http.ResponseWriter, _ *http.Request, about string) {
			w.Header().Set("X-About", fmt.Sprintf("%x", about))
		},
		"date": func(w http.ResponseWriter, _ *http.Request, about string) {
			sum := 0
			for i := range len(about) {
				sum = 31*sum%86400 + int(about[i])
			}
			w.Header().Set("Expires", time.Date(2027, 3, 1, 0, sum, 0, 0, time.UTC).Format(http.TimeFormat))
		},
		"status": func(w http.ResponseWriter, _ *http.Request, about string) {
			sum := 0
			for i := range len(about) {
				sum += int(about[i])
			}
			w.WriteHeader(200 + sum%97)
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := &ticking{planted: planted{leak: leak}}
			s := httptest.NewServer(site)
			defer s.Close()
			// A path that curl would take for a pattern of several.
			r, err := Run(t.Context(), Config{URL: s.URL + "/?a[]={x,y}", Pairs: 1, PlaceHeader: "X-Forwarded-For", Dimensions: []string{Place, Name}, Settle: -1, IgnoreHeaders: []string{"x-took.ms"}})
			if err != nil || len(r.Exhibits) != 2 {
				t.Fatal(err, text(r))
			}
			dir := filepath.Join(t.TempDir(), "out")
			if err := r.Save(dir); err != nil {
				t.Fatal(err)
			}
			repeat := func(i int) (string, error) {
				cmd := exec.Command("sh", "repeat.sh")
				cmd.Dir = filepath.Join(dir, fmt.Sprintf("pair-%d", i+1))
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			for i := range r.Exhibits {
				if out, err := repeat(i); err == nil || !strings.Contains(out, "differ") {
					t.Errorf("%v: %s", err, out)
				}
			}
			if name == "date" {
				return // of the honest site Expires follows the clock, which the script does not know to be fine here
			}
			site.honest.Store(true)
			for i := range r.Exhibits {
				if out, err := repeat(i); err != nil || !strings.Contains(out, "equal") {
					t.Errorf("equal now: %v: %s", err, out)
					for _, file := range []string{"again-a", "again-b"} {
						b, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("pair-%d", i+1), file))
						t.Logf("%s", b)
					}
				}
			}
			// A site that does not answer is not equal to itself.
			s.Close()
			if out, err := repeat(0); err == nil || strings.Contains(out, "equal") {
				t.Errorf("no answer: %v: %s", err, out)
			}
		})
	}
}

// Nothing that a file tells of an account is in a report: in what its visitors carry,
// the addresses and bodies of what they send, and what the site tells them back in a header.
func TestSecretsAreConcealed(t *testing.T) {
	secrets := []string{"alpha-7f", "beta-93", "Päss", "P%C3%A4ss", "tok/en", "tok%2Fen", "open-sesame", "issued-"}
	side := func(who, word string) Side {
		return Side{
			Headers:  map[string]string{"X-Account": who},
			Cookies:  map[string]string{"sid": who},
			Requests: []Step{{Path: "/login/" + who + "?pass=Päss&t=tok%2Fen"}, {Method: "POST", Path: "/in?w=" + word, Body: "word=" + word}},
		}
	}
	f := &File{Refuse: twoAccounts.Refuse, Dimensions: map[string]FileSides{Account: {A: side("alpha-7f", "open-sesame-1"), B: side("beta-93", "open-sesame-2")}}}
	failing := false
	leaky := planted{leak: func(w http.ResponseWriter, r *http.Request, about string) {
		w.Header().Set("X-You", r.Header.Get("X-Account"))
		http.SetCookie(w, &http.Cookie{Name: "again", Value: r.Header.Get("X-Account")})
		fmt.Fprintf(w, "you are %d", len(r.Header.Get("X-Account")))
	}}
	site := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case failing && r.URL.Path == "/in" && r.Header.Get("X-Account") == "beta-93":
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/login/"):
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "issued-" + r.Header.Get("X-Account")[:2], Path: "/"})
		default:
			leaky.ServeHTTP(w, r)
		}
	})
	for _, failing = range []bool{false, true} {
		r := probing(t, site, func(c *Config) { c.File, c.Dimensions = f, []string{Account, Name} })
		if failing && !strings.Contains(r.Failure, "status 403") {
			t.Errorf("what failed is not told: %q", r.Failure)
		}
		dir := filepath.Join(t.TempDir(), "out")
		if err := r.Save(dir); err != nil {
			t.Fatal(err)
		}
		all := ""
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".body") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, s := range secrets {
				if strings.Contains(string(b), s) {
					t.Errorf("failing %v: %s holds %q", failing, path, s)
				}
			}
			all += string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if failing {
			continue
		}
		for _, want := range []string{"X-Account: " + concealed, "/" + concealed, "POST http", "sid=" + concealed, "session=" + concealed, "X-You: " + concealed} {
			if !strings.Contains(all, want) {
				t.Errorf("no %q: the test shows little", want)
			}
		}
	}
}

package config

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"/", []string{"/"}, []string{"", "/a", "//"}},
		{"/a/b", []string{"/a/b"}, []string{"/a/b/", "/a/", "/A/b", "/a/bc"}},
		{"/**", []string{"/", "/a", "/a/b/"}, []string{"", "a"}},
		{"/a/**", []string{"/a/", "/a/b/c"}, []string{"/a", "/ab"}},
		{"/a**", []string{"/a", "/ab", "/a/b"}, []string{"/b"}},
		{"/*", []string{"/", "/a"}, []string{"/a/", "/a/b"}},
		{"/*/b", []string{"/a/b", "//b"}, []string{"/b", "/a/c/b", "/a/b/"}},
		{"/a*c", []string{"/ac", "/abc", "/abcc"}, []string{"/a/c", "/ab"}},
		{"/**/x", []string{"/a/x", "/a/b/x", "//x"}, []string{"/x", "/a/x/y"}},
		{"/**.html", []string{"/.html", "/a/b.html"}, []string{"/a.html/"}},
		{"/*.html", []string{"/a.html"}, []string{"/a/b.html"}},
		{"/**a*b", []string{"/ab", "/x/a/xaxb"}, []string{"/a/b", "/x/a/b/"}},
		{"/**a*b/c*d", []string{"/a/axb/cxd", "/ab/ab/cd"}, []string{"/axb/x/cxd"}},
	} {
		r := Route{Path: c.pattern}
		for _, p := range c.yes {
			if !r.Match(p) {
				t.Errorf("%s does not match %q", c.pattern, p)
			}
		}
		for _, p := range c.no {
			if r.Match(p) {
				t.Errorf("%s matches %q", c.pattern, p)
			}
		}
	}
}

// TestMatchOracle compares with regular expressions on random short texts.
func TestMatchOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		var b strings.Builder
		for range rnd.IntN(n) {
			b.WriteByte(alphabet[rnd.IntN(len(alphabet))])
		}
		return b.String()
	}
	matched := 0
	for range 20_000 {
		p := "/" + text("ab/**", 9)
		re := regexp.MustCompile("^(?s:" + strings.NewReplacer("\x01", ".*", "\x02", "[^/]*").Replace(
			regexp.MustCompile(`\*+`).ReplaceAllStringFunc(p, func(s string) string {
				if len(s) > 1 {
					return "\x01"
				}
				return "\x02"
			})) + ")$")
		r := Route{Path: p}
		for range 10 {
			s := "/" + text("aab/", 12)
			want := re.MatchString(s)
			if want {
				matched++
			}
			if got := r.Match(s); got != want {
				t.Fatalf("%q on %q: got %v", p, s, got)
			}
		}
	}
	if matched < 10_000 {
		t.Errorf("only %d matches: the test looks at too little", matched)
	}
}

// TestMatchLong covers positions in every word of the set.
func TestMatchLong(t *testing.T) {
	for n := 1; n < maxPattern-4; n++ {
		p := "/*" + strings.Repeat("ab/", 100)[:n] + "*"
		r := Route{Path: p}
		s := "/x" + strings.Repeat("ab/", 100)[:n]
		if !r.Match(s + "y") {
			t.Fatalf("length %d: no match", n)
		}
		if r.Match(s[:len(s)-1]) {
			t.Fatalf("length %d: matches a path that is too short", n)
		}
	}
	if (&Route{Path: "/*" + strings.Repeat("a", maxPattern)}).Match("/" + strings.Repeat("a", maxPattern)) {
		t.Error("a pattern beyond the bound matches")
	}
}

// TestMatchHostile: what makes a backtracking matcher run for ages.
func TestMatchHostile(t *testing.T) {
	start := time.Now()
	path := "/" + strings.Repeat("a", 1<<20)
	for _, p := range []string{
		"/" + strings.Repeat("*a", 120) + "b", "/" + strings.Repeat("**a", 80) + "b",
		"/**" + strings.Repeat("a", 200) + "*b", "/" + strings.Repeat("**a*a", 50) + "b",
	} {
		if (&Route{Path: p}).Match(path) {
			t.Errorf("%s matches", p)
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestMatchAllocs(t *testing.T) {
	r := Route{Path: "/shop/*/items/**.html"}
	if n := testing.AllocsPerRun(100, func() {
		if !r.Match("/shop/a/items/b/c.html") {
			t.Fatal("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, p := range []string{"/**", "/shop/items/list.html", "/shop/*/items/**.html"} {
		r := Route{Path: p}
		b.Run(strings.ReplaceAll(p, "/", "|"), func(b *testing.B) {
			for b.Loop() {
				r.Match("/shop/garden/items/2026/list.html")
			}
		})
	}
}

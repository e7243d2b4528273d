package rewrite

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	nethtml "golang.org/x/net/html"
)

// What cascadia 1.3.5 takes and this package refuses, with the reason. Each
// says in which texts the difference is to be expected.
var cascadiaTakes = map[string]*regexp.Regexp{
	"comments are refused":                       regexp.MustCompile(`/\*`),
	"!= and #= are no operators of the standard": regexp.MustCompile(`[!#]=`),
	"an id has to be a name (Selectors 4, 6.5)":  regexp.MustCompile(`#-*[0-9]|#-+([^-a-zA-Z0-9_\\]|$)`),
	"pseudo-classes of its own, or about state":  regexp.MustCompile(`(?i):(input|link|enabled|disabled|checked|visited|hover|active|focus|target|lang|contains|matches|haschild)`),
	":has within :has (Selectors 4, 4.5)":        regexp.MustCompile(`(?is):has.*:has`),
	"limits":                                     regexp.MustCompile(`(?s)(\(.*){5}|(,.*){32}|.{1000}`),
	"namespaces are refused":                     regexp.MustCompile(`\*\|\*`),
}

// What this package takes and cascadia refuses.
var cascadiaRefuses = map[string]*regexp.Regexp{
	":is and :where":                     regexp.MustCompile(`(?i):(is|where)\(`),
	"of in :nth-child":                   regexp.MustCompile(`(?i)[^-]of[^-]`),
	"a combinator that begins :has":      regexp.MustCompile(`(?is):has.*[(,]\s*[>+~]`),
	"the flag s":                         regexp.MustCompile(`(?i)[\s'"]s\s*\]`),
	"the flag written with an escape":    regexp.MustCompile(`\\(0*[46]9|0*[57]3|[iIsS])\s*\]`),
	"names that begin with --":           regexp.MustCompile(`--`),
	"numbers beyond 64 bits":             regexp.MustCompile(`[0-9]{19}`),
	"escapes in names of pseudo-classes": regexp.MustCompile(`:[-a-z]*\\`),
}

// On random selectors, whole and damaged, this parser and cascadia's agree
// about what a selector is, apart from the differences listed above; and each
// of those occurs.
func TestSelectorsAsCascadia(t *testing.T) {
	fill := []string{"/*x*/", "!=", "#=", "#1", "#-", ":hover", ":contains(a)", ":lang(de)", ":has(a)", ":not(a)", ":is(a)", ":where(a b)", ":nth-child(o\\64 d)", "*|*", "\\",
		" of a", ":has(> a)", " s", " i", "--a", "9999999999999999999", ":em\\70ty", "(", ")", "[", "]", "'", "\"", ",", ">", "+", "~", " ", "|", "=", "*", ".", "#", ":", "a", "n", "1", "-", "\n"}
	takes, refuses := map[string]int{}, map[string]int{}
	both, neither := 0, 0
	for seed := range uint64(60000) {
		g := &selectorWriter{rand.New(rand.NewPCG(seed, 6)), plainNames, append([]string{""}, plainNames...)}
		s := g.write(g.list(g.IntN(4), false, false))
		for range g.IntN(3) {
			at := g.IntN(len(s) + 1)
			end := min(at+g.IntN(3)*g.IntN(3), len(s))
			s = s[:at] + g.one(fill...) + s[end:]
		}
		if g.IntN(50) == 0 {
			s = strings.Repeat(s+",", 10) + "a"
		}
		s = strings.ToValidUTF8(s, "é")
		err := CheckSelector(s)
		_, theirs := cascadia.ParseGroup(s)
		switch {
		case err == nil && theirs == nil:
			both++
		case err != nil && theirs != nil:
			neither++
		case err != nil:
			explained(t, cascadiaTakes, takes, s, err)
		default:
			explained(t, cascadiaRefuses, refuses, s, theirs)
		}
		if t.Failed() {
			return
		}
	}
	if both < 5000 || neither < 5000 {
		t.Errorf("both took %d, neither took %d", both, neither)
	}
	for why := range cascadiaTakes {
		if takes[why] == 0 {
			t.Errorf("it never mattered that %s", why)
		}
	}
	for why := range cascadiaRefuses {
		if refuses[why] == 0 {
			t.Errorf("it never mattered that %s", why)
		}
	}
}

func explained(t *testing.T, reasons map[string]*regexp.Regexp, seen map[string]int, s string, err error) {
	found := false
	for why, r := range reasons {
		if r.MatchString(s) {
			found = true
			seen[why]++
		}
	}
	if !found {
		t.Errorf("a difference without a reason: %q: %v", s, err)
	}
}

// Values are tested as cascadia tests them, but that with it every value begins
// and ends with the empty string, contains it, and has it as a word where
// there are two spaces (Selectors 4, 6.1 and 6.2: none does), and that it finds nothing in a value of spaces alone.
func TestAttrTestsAsCascadia(t *testing.T) {
	for seed := range uint64(20000) {
		g := rand.New(rand.NewPCG(seed, 7))
		text := func(n int) string {
			b := make([]byte, g.IntN(n))
			for i := range b {
				b[i] = "abA- "[g.IntN(5)]
			}
			return string(b)
		}
		w := &selectorWriter{Rand: g}
		v := text(8)
		a := attrTest{name: "x", op: "=~|^$*"[g.IntN(6)], value: text(4), fold: g.IntN(2) == 0}
		if strings.IndexByte("~^$*", a.op) >= 0 && (a.value == "" || strings.TrimSpace(v) == "") {
			continue
		}
		s := "[x" + strings.Replace(string(a.op)+"=", "==", "=", 1) + w.quoted(a.value)
		if a.fold {
			s += "i"
		}
		s += "]"
		n := &nethtml.Node{Type: nethtml.ElementNode, Data: "p", Attr: []nethtml.Attribute{{Key: "x", Val: v}}}
		if got, want := a.ok([]byte(v)), must(cascadia.Parse(s)).Match(n); got != want {
			t.Fatalf("%s on %q: %v", s, v, got)
		}
	}
}

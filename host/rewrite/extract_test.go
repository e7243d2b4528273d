package rewrite

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	nethtml "golang.org/x/net/html"
)

func TestExtract(t *testing.T) {
	page := `<title>A &amp;
 B</title><ul><li id=a class="x &quot;">one <b>t<!-- no -->wo</b><script>no</script> 1 < 2<li> three<ul><li>four</ul></ul><p><i>a<b>b</i>c</b>d<br id=e>`
	for _, c := range []struct {
		selector, attr string
		want           []string
	}{
		{"title", "", []string{"A & B"}},
		{"li", "", []string{"one two 1 < 2", "threefour", "four"}},
		{"li", "CLASS", []string{`x "`}},
		{"i, b", "", []string{"two", "ab", "b"}},
		{"br", "", []string{""}},
		{"br", "id", []string{"e"}},
		{"u", "", []string{}},
	} {
		got, err := Extract([]byte(page), HTML, c.selector, c.attr)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s@%s: %q, %v; want %q", c.selector, c.attr, got, err, c.want)
		}
	}
	if _, err := Extract(nil, HTML, "p[", ""); err == nil {
		t.Error("a bad selector was taken")
	}
	if _, err := Extract(nil, HTML, "p", "a b"); err == nil {
		t.Error("a bad name was taken")
	}
	got, _ := Extract([]byte(strings.Repeat("<p>"+strings.Repeat("é ", 100), 2000)), HTML, "p", "")
	if n := len(strings.Join(got, "")); len(got) != maxExtracts || n > maxExtractBytes+2 || n < maxExtractBytes-4 {
		t.Errorf("%d elements, %d bytes", len(got), n)
	}
}

// Against x/net/html and cascadia.
func TestExtractOracle(t *testing.T) {
	found := 0
	for seed := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 12))
		page := randomPage(rnd, 1500)
		for _, selector := range []string{"li", "b", ".c1", "td", "ul > li b", "title", "dt, dd", "#n2"} {
			var want []string
			for _, n := range cascadia.QueryAll(must(nethtml.Parse(strings.NewReader(page))), must(cascadia.ParseGroup(selector))) {
				if !inTemplate(n) {
					want = append(want, strings.Join(strings.Fields(textOf(n)), " "))
				}
			}
			got, err := Extract([]byte(page), HTML, selector, "")
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("seed %d, %s: %v\ngot  %q\nwant %q\n%s", seed, selector, err, got, want, page)
			}
			found += len(got)
		}
	}
	if found < 1000 {
		t.Errorf("%d elements compared", found)
	}
}

func textOf(n *nethtml.Node) string {
	if n.Type == nethtml.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if !is(c, "script style noscript template") {
			b.WriteString(textOf(c))
		}
	}
	return b.String()
}

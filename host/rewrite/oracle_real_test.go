//go:build real

package rewrite

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// realSelectors are such as policies have, for pages of Python's manual as Debian packs it.
var realSelectors = []string{"h1", "title", "a[href]", "a.reference.internal", "#indices-and-tables", ".sphinxsidebarwrapper > ul li", "div.body p", "div.section > p:first-of-type", "li:has(> ul)", "ul > li:last-child", "p:empty, td:empty",
	"dl.py > dd", "dt[id^='os.']", "p + p", "h2 ~ p", "section > :nth-child(2n+1)", "li:nth-last-child(2)", "pre", "div[class*=highlight]", "table.docutils tr:nth-child(odd) td:last-of-type", "code.xref:not(.py-mod)", "em, strong",
	"link[rel=next]", "meta[name]", "script[src]", "input[type=text i]", "form", "div.related li.right", "a:is(.headerlink, .biblio)", "section:not(:has(h3))", "p:only-child", "span.pre", ".footer a:nth-of-type(2)", "[id]:where(section, span)", "body > div:nth-of-type(2)", "div.admonition > p:nth-child(2 of p)"}

// asWritten tells whether the parser makes of the page the elements whose tags
// are in it, and no others: no end tag of a p that has ended, no tbody that is not written.
func asWritten(page string) bool {
	n := map[string]int{}
	for x := range must(nethtml.Parse(strings.NewReader(page))).Descendants() {
		if x.Type == nethtml.ElementNode {
			n[strings.ToLower(x.Data)]++
		}
	}
	for y := nethtml.NewTokenizer(strings.NewReader(page)); ; {
		switch y.Next() {
		case nethtml.ErrorToken:
			for _, left := range n {
				if left != 0 {
					return false
				}
			}
			return true
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			n[y.Token().Data]--
		}
	}
}

// On a hundred real pages edit-then-parse equals parse-then-edit, too.
func TestOracleReal(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.html", "*/*.html"} {
		found, err := filepath.Glob("/usr/share/doc/python3.*/html/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 100 {
		t.Fatalf("%d pages of python3-doc in /usr/share/doc: sh tools/need.sh python3-doc", len(pages))
	}
	slices.Sort(pages)
	var applied [abi.OpFill + 1]int
	hits, done, odd := map[string]int{}, 0, 0
	for i, name := range pages {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if done == 100 || len(page) > 200<<10 || i%4 != 0 { // the oracle is slow
			continue
		}
		if !asWritten(string(page)) {
			odd++
			continue
		}
		done++
		g := &pageWriter{Rand: rand.New(rand.NewPCG(uint64(i), 31))}
		for range 5 {
			var edits []abi.Edit
			for len(edits) < 3 {
				e := g.edit()
				e.Target = g.one(realSelectors...)
				if e.Op == abi.OpOrder || e.Op == abi.OpKeep || e.Op == abi.OpFill {
					e.Target = g.one("ul", "dl", "tbody", "ul:has(ul)", "div.body", "section:last-child", "table", ".related ul")
				}
				if e.Op == abi.OpOrder {
					e.A, e.B = g.one("by=attr\nfrom=a", "by=attr\nfrom=a@href\ndir=desc", "by=attr\nattr=class", "by=attr\nattr=id\nitems=dt"), ""
				}
				if Check(e) == abi.Accepted {
					edits = append(edits, e)
				}
			}
			_, rep, ok := oracleAgrees(t, string(page), edits)
			if !ok {
				t.Fatalf("%s", name)
			}
			for k, n := range rep.Applied {
				applied[edits[k].Op] += n
				hits[edits[k].Target] += n
			}
		}
	}
	if done < 100 {
		t.Errorf("%d pages", done)
	}
	t.Logf("%d pages, and %d with elements that the parser made up; applied by operation %v, by target %v", done, odd, applied, hits)
	for op := abi.OpText; op <= abi.OpFill; op++ {
		if applied[op] < 20 {
			t.Errorf("%s was applied %d times", op, applied[op])
		}
	}
}

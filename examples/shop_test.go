package examples

import (
	"math"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// isShop reports whether a site is one of shops.
func isShop(s Site) bool {
	_, err := shopFiles.ReadDir(s.Name)
	return err == nil
}

// maxPage bounds every page of a shop, in bytes.
const maxPage = 100 << 10

// Every page of every shop that a link leads to is whole, small, and leads to others.
func TestShopPages(t *testing.T) {
	for _, s := range shops() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			docs := map[string]*html.Node{}
			todo := []string{"/"}
			for len(todo) > 0 {
				target := todo[0]
				todo = todo[1:]
				if docs[target] != nil {
					continue
				}
				page := text(t, s.Origin, target)
				if len(page) > maxPage {
					t.Errorf("%s: %d bytes, at most %d may be", target, len(page), maxPage)
				}
				if strings.HasPrefix(target, "/p/") && len(docs)%8 != 0 {
					docs[target] = parse(t, page) // one template made all of these
				} else {
					docs[target] = wellFormed(t, page)
				}
				if t.Failed() {
					t.Fatalf("%s: see above", target)
				}
				for _, a := range find(docs[target], "a[href]") {
					if u, err := url.Parse(attr(a, "href")); err != nil || u.Host != "" {
						t.Errorf("%s: link %q leads out of the site", target, attr(a, "href"))
					} else if u.Path != "" {
						todo = append(todo, path.Join("/", u.Path))
					}
				}
			}
			if len(docs) < 200 {
				t.Errorf("only %d pages are linked", len(docs))
			}
			assets := map[string]bool{}
			for target, doc := range docs {
				for _, n := range find(doc, "[href], [src]") {
					u, err := url.Parse(attr(n, "href") + attr(n, "src"))
					switch {
					case err != nil || u.Scheme != "" || u.Host != "":
						t.Errorf("%s: <%s> refers out of the site", target, n.Data)
					case u.Path == "" && strings.Contains(u.Fragment, "{{"): // of a band's pattern
					case u.Fragment != "":
						there := doc
						if u.Path != "" {
							there = docs[u.Path]
						}
						if len(find(there, `[id="`+u.Fragment+`"]`)) != 1 {
							t.Errorf("%s: nothing has the id %s", target, u)
						}
					case docs[u.Path] == nil && !assets[u.Path]:
						text(t, s.Origin, u.Path)
						assets[u.Path] = true
					}
				}
			}
		})
	}
}

// A catalogue says what the pages show: ids once, prices, pictures, words.
func TestShopCatalogues(t *testing.T) {
	plain := regexp.MustCompile(`^[A-Z][0-9]+$`)
	for _, s := range shops() {
		items := catalogue(shopFiles, s.Name+"/catalogue.jsonl")
		if len(items) < 200 {
			t.Errorf("%s: %d items, want at least 200", s.Name, len(items))
		}
		seen := map[string]bool{}
		for i, it := range items {
			if seen[it.ID] || !plain.MatchString(it.ID) || it.URL != "/p/"+it.ID || it.Image != "/art/"+it.ID+".svg" {
				t.Errorf("%s: id %q, url %q, image %q", s.Name, it.ID, it.URL, it.Image)
			}
			seen[it.ID] = true
			if it.Title == "" || it.Price < 0 || it.Price > 5000 || it.Price == 0 && it.Lat == nil || it.Was != 0 && it.Was <= it.Price || cents(it.Price) || cents(it.Was) {
				t.Errorf("%s: %s: %q for %v, was %v", s.Name, it.ID, it.Title, it.Price, it.Was)
			}
			if (it.Lat == nil) != (it.Lon == nil) || it.Lat != nil && !(math.Abs(*it.Lat) <= 90 && math.Abs(*it.Lon) <= 180) {
				t.Errorf("%s: %s has no place", s.Name, it.ID)
			}
			if i%8 != 0 {
				continue
			}
			if !strings.Contains(text(t, s.Origin, it.URL), html.EscapeString(it.Title)) {
				t.Errorf("%s: the page of %s does not show %q", s.Name, it.ID, it.Title)
			}
			if pic := text(t, s.Origin, it.Image); !strings.Contains(pic, "--t:") || !strings.Contains(pic, "<symbol") || balanced(pic) != nil {
				t.Errorf("%s: %s has the picture %q", s.Name, it.ID, pic)
			}
		}
	}
}

// cents reports whether an amount is no whole number of hundredths.
func cents(v float64) bool { return math.Abs(v*100-math.Round(v*100)) > 1e-6 }

// A list is narrowed and sorted by its address; what it does not know it leaves out.
func TestShopLists(t *testing.T) {
	var origin = shops()[2].Origin // the outfitter
	ids := func(target string) (out []string) {
		for _, n := range find(parse(t, text(t, origin, target)), "#results > li[data-bespoke-item]") {
			out = append(out, attr(n, "data-bespoke-item"))
		}
		return out
	}
	of := func(target, selector string) int {
		return len(find(parse(t, text(t, origin, target)), "#results > li"+selector))
	}
	if n := len(ids("/d/wear")); n != 70 || len(ids("/d/wear/all")) != n || len(ids("/d/wear?color=%3Cb%3E&nothing=1&sort=%00")) != 0 || len(ids("/d/wear?nothing=1&sort=%00&page=-7")) != n {
		t.Errorf("%d in Clothes", n)
	}
	if n := of("/d/wear?color=black", ""); n == 0 || n != of("/d/wear?color=black", `[data-color="black"]`) || n != of("/d/wear", `[data-color="black"]`) {
		t.Errorf("%d black clothes", n)
	}
	if n := of("/d/wear?size=XL", ""); n == 0 || n != of("/d/wear", `[data-size$="XL"]`) {
		t.Errorf("%d clothes in XL", n)
	}
	all := map[string]bool{}
	for _, page := range []string{"1", "2", "3", "4"} {
		for _, id := range ids("/d/all?sort=price&page=" + page) {
			if all[id] {
				t.Errorf("%s stands on two pages", id)
			}
			all[id] = true
		}
	}
	if len(all) != 224 {
		t.Errorf("%d on all pages", len(all))
	}
	last := 0.0
	for _, id := range ids("/d/camp?sort=price") {
		for _, it := range catalogue(shopFiles, "outfitter/catalogue.jsonl") {
			if it.ID == id && it.Price < last {
				t.Errorf("%s is cheaper than the one before it", id)
			} else if it.ID == id {
				last = it.Price
			}
		}
	}
	for _, missing := range []string{"/d/", "/d/nothing", "/d/all/all", "/p/", "/p/C1", "/art/C1.svg", "/list.html", "/product.html", "/card.html", "/catalogue.jsonl", "/shop.json", "/README.md"} {
		if res := ask(t, origin, "GET", missing); res.StatusCode != 404 {
			t.Errorf("%s: status %d", missing, res.StatusCode)
		}
	}
}

// The card account keeps its promise by what its configuration has not: payments
// are no items, there is nothing to learn from them, and no policy that would.
func TestMemberLearnsNothing(t *testing.T) {
	for _, s := range shops() {
		if s.Name != "member" {
			continue
		}
		used := regexp.MustCompile(`use: (\S+)`).FindAllStringSubmatch(s.Routes, -1)
		for _, u := range used {
			if u[1] != "greet" && u[1] != "prefer" && u[1] != "nearby" {
				t.Errorf("its routes use %s", u[1])
			}
		}
		if len(used) == 0 || strings.Contains(s.Routes, "items:") || s.Tenant != "" || s.Files != nil {
			t.Errorf("%d policies, tenant %q, routes\n%s", len(used), s.Tenant, s.Routes)
		}
	}
}

package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// A guest is a visitor of one site of the demo, through the real edge. Berlin asks
// first, San Francisco uses what it may until they refuse.
type guest struct {
	t          *testing.T
	site, port string
	from       string // address
	gpc        bool
	http.Client
}

const (
	fromBerlin       = "192.0.2.7"
	fromSanFrancisco = "198.51.100.7"
)

func visit(t *testing.T, port, site, from string) *guest {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, site: site, port: port, from: from}
	g.Jar = jar
	g.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g
}

func (g *guest) ask(method, path string, form url.Values) string {
	g.t.Helper()
	address := "http://" + g.site + ".localhost:" + g.port
	r, err := http.NewRequest(method, "http://127.0.0.1:"+g.port+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = g.site + ".localhost:" + g.port
	r.Header.Set("X-Forwarded-For", g.from)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", address)
	}
	if g.gpc {
		r.Header.Set("Sec-GPC", "1")
	}
	res, err := g.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || form == nil && res.StatusCode != http.StatusOK || form != nil && res.StatusCode != http.StatusSeeOther {
		g.t.Fatalf("%s %s%s: status %d, %v", method, g.site, path, res.StatusCode, err)
	}
	return string(b)
}

// hide tells the edge that the visitor does not want to see an item again.
func (g *guest) hide(item string) {
	g.t.Helper()
	r, err := http.NewRequest("POST", "http://127.0.0.1:"+g.port+"/_bespoke/api/events", strings.NewReader(`{"kind":"hide","item":"`+item+`"}`))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = g.site + ".localhost:" + g.port
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", "http://"+r.Host)
	r.Header.Set("X-Forwarded-For", g.from)
	res, err := g.Do(r)
	if err != nil || res.StatusCode != http.StatusNoContent {
		g.t.Fatalf("hiding %s: %v, %v", item, res, err)
	}
	res.Body.Close()
}

func (g *guest) page(path string) *html.Node {
	g.t.Helper()
	doc, err := html.Parse(strings.NewReader(g.ask("GET", path, nil)))
	if err != nil {
		g.t.Fatal(err)
	}
	return doc
}

// say sends the form of the privacy page: name, value, name, value.
func (g *guest) say(pairs ...string) {
	g.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	g.ask("POST", "/_bespoke/privacy", form)
}

func (g *guest) agree() { g.say("personalize", "on", "measure", "on", "localize", "on") }

// values lists an attribute of the elements that match.
func values(doc *html.Node, selector, name string) (out []string) {
	for _, n := range cascadia.QueryAll(doc, cascadia.MustCompile(selector)) {
		for _, a := range n.Attr {
			if a.Key == name {
				out = append(out, a.Val)
			}
		}
	}
	return out
}

// look views n items of the front page's list that match.
func (g *guest) look(path, selector string, n int) []string {
	g.t.Helper()
	ids := values(g.page(path), "#results > "+selector, "data-bespoke-item")
	if len(ids) < n {
		g.t.Fatalf("%s%s: %d match %s", g.site, path, len(ids), selector)
	}
	for _, id := range ids[:n] {
		g.ask("GET", "/p/"+id, nil)
	}
	return ids[:n]
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Each shop for four visitors: one who agrees, one who refuses, one with Global
// Privacy Control, and one whose own choice is against what was inferred.
func TestShops(t *testing.T) {
	port := demo(t)
	t.Run("stores", func(t *testing.T) { corrected(t, port) })
	t.Run("department", func(t *testing.T) { department(t, port) })
	t.Run("decor", func(t *testing.T) { decor(t, port) })
	t.Run("outfitter", func(t *testing.T) { outfitter(t, port) })
	t.Run("office", func(t *testing.T) { office(t, port) })
	t.Run("offers", func(t *testing.T) { offers(t, port) })
	t.Run("member", func(t *testing.T) { member(t, port) })
}

// others are two who looked at the same as somebody who agreed: one refused
// before, the other sends Global Privacy Control. Their page must be want.
func others(t *testing.T, port, site, path, selector string, want []string) {
	t.Helper()
	refuses, gpc := visit(t, port, site, fromSanFrancisco), visit(t, port, site, fromSanFrancisco)
	refuses.say("action", "refuse-all")
	gpc.gpc = true
	for _, g := range []*guest{refuses, gpc} {
		g.look(path, selector, 3)
		same(t, site+" for who did not agree", values(g.page("/"), "#results > li", "data-bespoke-item"), want)
	}
}

// corrected is a visitor of the cafés who says where they are, against what the
// address says, and allows nothing.
func corrected(t *testing.T, port string) {
	g := visit(t, port, "stores", fromSanFrancisco)
	first := func() string {
		return cascadia.Query(g.page("/"), cascadia.MustCompile("#results > li:first-child .city")).FirstChild.Data
	}
	same(t, "from San Francisco", []string{first()}, []string{"San Francisco"})
	g.say("action", "refuse-all")
	same(t, "refused", []string{first()}, []string{"Lisbon"})
	g.say("place-mode", "chosen", "place", "35.68, 139.69")
	same(t, "corrected", []string{first()}, []string{"Tokyo"})
}

func department(t *testing.T, port string) {
	g := visit(t, port, "department", fromBerlin)
	sent := values(g.page("/"), "#recent > li", "data-bespoke-item")
	g.look("/d/kitchen", "li", 3)
	same(t, "before agreeing", values(g.page("/"), "#recent > li", "data-bespoke-item"), sent)
	g.agree()
	seen := g.look("/d/outdoors", "li", 4)
	slices.Reverse(seen)
	doc := g.page("/")
	same(t, "recently viewed", values(doc, "#recent > li.picked", "data-bespoke-item"), seen)
	g.hide(seen[1])
	same(t, "one of them hidden", values(g.page("/"), "#recent > li.picked", "data-bespoke-item"), slices.Delete(seen, 1, 2))
	if n := len(values(doc, "#for-you > li.picked, #deals > li.picked", "data-bespoke-item")); n < 12 {
		t.Errorf("%d picked and reduced", n)
	}
	g.say("action", "refuse-all")
	same(t, "after refusing", values(g.page("/"), "#recent > li", "data-bespoke-item"), sent)

	gpc := visit(t, port, "department", fromSanFrancisco)
	gpc.gpc = true
	gpc.look("/d/outdoors", "li", 4)
	same(t, "with GPC", values(gpc.page("/"), "#recent > li", "data-bespoke-item"), sent)
}

func decor(t *testing.T, port string) {
	g := visit(t, port, "decor", fromBerlin)
	sent := values(g.page("/"), "#results > li", "data-bespoke-item")
	g.agree()
	g.look("/d/all", `li[data-color="brushed nickel"]`, 4)
	if first := values(g.page("/"), "#results > li", "data-color")[:3]; !slices.Equal(first, []string{"brushed nickel", "brushed nickel", "brushed nickel"}) {
		t.Errorf("after four things of brushed nickel, the first are %v", first)
	}
	g.say("sort", "price-desc")
	dearest := values(g.page("/"), "#results > li", "data-price")
	if !slices.IsSortedFunc(dearest, func(a, b string) int { return int(number(t, b)*100 - number(t, a)*100) }) {
		t.Errorf("sorted by price, as chosen: %v", dearest)
	}
	others(t, port, "decor", "/d/all", `li[data-color="brushed nickel"]`, sent)
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func outfitter(t *testing.T, port string) {
	g := visit(t, port, "outfitter", fromBerlin)
	sent := values(g.page("/"), "#results > li", "data-bespoke-item")
	g.agree()
	g.look("/d/all", `li[data-color="forest"]`, 4)
	if first := values(g.page("/d/wear"), "#results > li", "data-color")[0]; first != "forest" {
		t.Errorf("after four things in forest, the first is %s", first)
	}
	g.say("filters", "color: black, navy\nsize: M", "sort", "price", "page-size", "6")
	doc := g.page("/d/wear")
	if n := len(values(doc, "#results > li", "data-color")); n != 6 || n != len(values(doc, `#results > [data-color="black"][data-size*="M"], #results > [data-color="navy"][data-size*="M"]`, "data-color")) {
		t.Errorf("%d in black or navy and M, want 6", n)
	}
	if p := values(doc, "#results > li", "data-price"); !slices.IsSortedFunc(p, func(a, b string) int { return int(number(t, a)*100 - number(t, b)*100) }) {
		t.Errorf("sorted by price, as chosen: %v", p)
	}
	if n := len(values(g.page("/d/wear/all"), "#results > li", "data-color")); n <= 6 {
		t.Errorf("all on one page are %d", n)
	}
	for _, c := range values(g.page("/d/wear?color=red"), "#results > li", "data-color") {
		if c != "red" {
			t.Errorf("the address asks for red, and gets %s", c)
		}
	}
	others(t, port, "outfitter", "/d/all", `li[data-color="forest"]`, sent)
}

func office(t *testing.T, port string) {
	g := visit(t, port, "office", fromBerlin)
	sent := values(g.page("/"), "#results > li", "data-bespoke-item")
	corners := "#corners, .corner-of"
	same(t, "everybody", values(g.page("/"), corners, "id"), []string{"corners"})
	g.agree()
	g.look("/d/classroom", `li[data-kind="crayons"]`, 4)
	same(t, "a teacher", values(g.page("/"), corners, "id"), []string{"for-teacher"})
	if who := values(g.page("/"), "#results > li:first-child", "data-persona"); !slices.Equal(who, []string{"teacher"}) {
		t.Errorf("the first is for %v", who)
	}
	g.say("filters", "persona: executive")
	same(t, "an executive, as they say", values(g.page("/"), corners, "id"), []string{"for-executive"})
	others(t, port, "office", "/d/classroom", `li[data-kind="crayons"]`, sent)
}

func offers(t *testing.T, port string) {
	berlin, america, gpc := visit(t, port, "offers", fromBerlin), visit(t, port, "offers", fromSanFrancisco), visit(t, port, "offers", fromSanFrancisco)
	gpc.gpc = true
	here := func(g *guest) []string {
		doc := g.page("/")
		if hidden := values(doc, ".here[hidden]", "id"); hidden != nil {
			t.Errorf("hidden, but sent: %v", hidden)
		}
		return values(doc, ".here", "id")
	}
	same(t, "Berlin, not asked", here(berlin), nil)
	berlin.agree()
	same(t, "Berlin, agreed", here(berlin), []string{"in-berlin"})
	berlin.say("place-mode", "chosen", "place", "52.521, 13.40")
	same(t, "Mitte, chosen", here(berlin), []string{"in-berlin-mitte", "in-berlin"})
	berlin.say("action", "refuse-all")
	same(t, "Mitte, chosen, all else refused", here(berlin), []string{"in-berlin-mitte", "in-berlin"})
	same(t, "San Francisco", here(america), []string{"in-san-francisco"})
	same(t, "San Francisco with GPC", here(gpc), nil)
	america.say("action", "refuse-all")
	same(t, "San Francisco, refused", here(america), nil)
}

func member(t *testing.T, port string) {
	g := visit(t, port, "member", fromBerlin)
	sent := values(g.page("/"), "#results > li", "data-bespoke-item")
	g.agree()
	g.look("/", `li[data-category="Coffee"]`, 4)
	same(t, "nothing is made of what they bought", values(g.page("/"), "#results > li", "data-bespoke-item"), sent)
	g.say("name", "Jane", "filters", "category: Coffee", "sort", "amount", "page-size", "5")
	doc := g.page("/")
	if c := values(doc, "#results > li", "data-category"); !slices.Equal(c, slices.Repeat([]string{"Coffee"}, 5)) {
		t.Errorf("five of Coffee, as chosen: %v", c)
	}
	if n := cascadia.Query(doc, cascadia.MustCompile("#greeting")); n == nil || n.FirstChild == nil || n.FirstChild.Data != "Welcome back, Jane" {
		t.Error("no greeting")
	}
	g.say("place-mode", "chosen", "place", "35.68, 139.69")
	near := cascadia.Query(g.page("/lounges.html"), cascadia.MustCompile("#lounges > li:first-child h2"))
	if near == nil || near.FirstChild.Data != "Tokyo" {
		t.Error("the lounge in Tokyo is not the first in Tokyo")
	}
	others(t, port, "member", "/", `li[data-category="Coffee"]`, sent)
}

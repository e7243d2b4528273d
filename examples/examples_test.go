package examples

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/cascadia"
	"github.com/goccy/go-yaml"
	"golang.org/x/net/html"
)

// ask sends one request to an origin; headers are name, value, name, value.
func ask(t *testing.T, origin http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	origin.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, origin http.Handler, target string) string {
	t.Helper()
	res := ask(t, origin, "GET", target)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: status %d", target, res.StatusCode)
	}
	return body(t, res)
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, page string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func find(doc *html.Node, selector string) []*html.Node {
	return cascadia.QueryAll(doc, cascadia.MustCompile(selector))
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// eachPage runs f on every HTML page of every example, found by following
// links from "/"; it fails on a link that leads nowhere.
func eachPage(t *testing.T, f func(t *testing.T, s Site, target, page string)) {
	for _, s := range Sites() {
		if isShop(s) {
			continue // TestShopPages: they have hundreds of pages, of few templates
		}
		todo, seen := []string{"/"}, map[string]bool{"/": true}
		for len(todo) > 0 {
			target := todo[0]
			todo = todo[1:]
			page := text(t, s.Origin, target)
			if !strings.Contains(page, "<html") {
				continue // a feed, a picture or data
			}
			t.Run(s.Name+target, func(t *testing.T) { f(t, s, target, page) })
			for _, a := range find(parse(t, page), "a[href]") {
				u, err := url.Parse(attr(a, "href"))
				if err != nil {
					t.Fatalf("%s: %v", target, err)
				}
				if next := path.Join("/", u.Path); u.Host == "" && u.Path != "" && !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
		if len(seen) < 3 {
			t.Errorf("%s: found only %d pages", s.Name, len(seen))
		}
	}
}

func TestPagesAreWellFormed(t *testing.T) {
	eachPage(t, func(t *testing.T, _ Site, _, page string) { wellFormed(t, page) })
}

func wellFormed(t *testing.T, page string) *html.Node {
	t.Helper()
	doc := parse(t, page)
	if !strings.HasPrefix(page, "<!DOCTYPE html>\n<html lang=\"en\">") {
		t.Error("no doctype, or no language, at the start")
	}
	if err := balanced(page); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`head > meta[charset="utf-8"]:first-child`, `meta[name="viewport"]`, `meta[name="description"]`,
		"title", "h1", "header", "main", "footer", "a.skip[href='#main']", "#greeting:empty",
	} {
		if n := len(find(doc, want)); n != 1 {
			t.Errorf("%d elements match %s, want 1", n, want)
		}
	}
	for _, bad := range []string{"script", "[style]", "style", "iframe", "img:not([alt])"} {
		if n := len(find(doc, bad)); n != 0 {
			t.Errorf("%d elements match %s, want none", n, bad)
		}
	}
	ids := map[string]bool{}
	for _, n := range find(doc, "[id]") {
		if id := attr(n, "id"); ids[id] || id == "" {
			t.Errorf("id %q is empty or stands twice", id)
		} else {
			ids[id] = true
		}
	}
	level := 0
	for _, h := range find(doc, "h1, h2, h3, h4, h5, h6") {
		l := int(h.Data[1] - '0')
		if l > level+1 {
			t.Errorf("heading %q: h%d follows h%d", content(h), l, level)
		}
		level = l
	}
	return doc
}

// balanced reports the first tag of page that is not closed in order. Our
// pages close every element by a tag of its own, so this is stricter than HTML.
func balanced(page string) error {
	void := []string{"meta", "link", "br", "hr", "img", "input"}
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				return z.Err()
			}
			if len(open) > 0 {
				return fmt.Errorf("never closed: %v", open)
			}
			return nil
		case html.StartTagToken:
			if name, _ := z.TagName(); !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				return fmt.Errorf("</%s> closes nothing: open are %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestBalancedSeesFaults(t *testing.T) {
	for _, page := range []string{"<p><b></p></b>", "<ul><li></ul>", "</p>", "<div>"} {
		if balanced(page) == nil {
			t.Errorf("%s passes", page)
		}
	}
}

func TestLinksResolve(t *testing.T) {
	eachPage(t, func(t *testing.T, s Site, target, page string) {
		base, _ := url.Parse(target)
		for _, n := range find(parse(t, page), "[href], [src]") {
			ref := attr(n, "href") + attr(n, "src")
			u, err := base.Parse(ref)
			if err != nil || u.Scheme != "" || u.Host != "" {
				t.Errorf("<%s> refers to %q: not within the site", n.Data, ref)
				continue
			}
			there := text(t, s.Origin, u.Path)
			if u.Fragment == "" {
				continue
			}
			if got := find(parse(t, there), "#"+u.Fragment); len(got) != 1 {
				t.Errorf("%q: %d elements have that id", ref, len(got))
			}
		}
	})
}

func TestStylesAreSelfContained(t *testing.T) {
	for _, s := range Sites() {
		for name := range s.Origin.(*static).assets {
			if css := text(t, s.Origin, name); strings.HasSuffix(name, ".css") && regexp.MustCompile(`@import|url\(|//\w`).MatchString(css) {
				t.Errorf("%s %s refers to something outside itself", s.Name, name)
			}
		}
	}
}

// Text on its background has a contrast of at least 4.5 (WCAG 2.2, 1.4.3), in light and in dark.
func TestContrast(t *testing.T) {
	for _, s := range Sites() {
		css := text(t, s.Origin, "/shared/site.css")
		for name := range s.Origin.(*static).assets {
			if strings.HasSuffix(name, ".css") && !strings.HasPrefix(name, "/shared/") {
				css += text(t, s.Origin, name)
			}
		}
		contrast(t, s.Name, css)
	}
}

func contrast(t *testing.T, site, css string) {
	t.Helper()
	root := regexp.MustCompile(`(?s)(@media \(prefers-color-scheme: dark\) \{\s*)?:root \{(.*?)\}`)
	hex := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`)
	light, dark := map[string]string{}, map[string]string{}
	for _, b := range root.FindAllStringSubmatch(css, -1) {
		for _, p := range hex.FindAllStringSubmatch(b[2], -1) {
			dark[p[1]] = p[2]
			if b[1] == "" {
				light[p[1]] = p[2]
			}
		}
	}
	if light["paper"] == dark["paper"] {
		t.Fatalf("%s: light and dark are the same", site)
	}
	for scheme, color := range map[string]map[string]string{"light": light, "dark": dark} {
		for _, pair := range []string{
			"ink paper", "ink card", "muted paper", "muted card", "accent paper", "accent card",
			"band-ink band", "band-muted band", "glow band", "on-glow glow",
		} {
			a, b, _ := strings.Cut(pair, " ")
			la, lb := luminance(t, color[a]), luminance(t, color[b])
			if c := (max(la, lb) + .05) / (min(la, lb) + .05); c < 4.5 {
				t.Errorf("%s, %s: %s on %s has a contrast of %.2f", site, scheme, a, b, c)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	v, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("color %q: want three or six hexadecimal digits", hex)
	}
	linear := func(c uint64) float64 {
		if f := float64(c&255) / 255; f > .04045 {
			return math.Pow((f+.055)/1.055, 2.4)
		} else {
			return f / 12.92
		}
	}
	return .2126*linear(v>>16) + .7152*linear(v>>8) + .0722*linear(v)
}

type store struct {
	name, city string
	lat, lon   float64
}

func stores(t *testing.T) []store {
	t.Helper()
	var list []store
	for _, li := range find(parse(t, text(t, Sites()[0].Origin, "/")), "ul#results > li") {
		lat, err1 := strconv.ParseFloat(attr(li, "data-lat"), 64)
		lon, err2 := strconv.ParseFloat(attr(li, "data-lon"), 64)
		one := func(selector string) string {
			n := find(li, selector)
			if len(n) != 1 {
				t.Fatalf("%q: %d elements match %s, want 1", content(li), len(n), selector)
			}
			return content(n[0])
		}
		s := store{one("h3"), one(".city"), lat, lon}
		if err1 != nil || err2 != nil || !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) || lat == 0 || lon == 0 {
			t.Errorf("%s: coordinates %q, %q", s.name, attr(li, "data-lat"), attr(li, "data-lon"))
		}
		if one(".distance:empty") != "" || s.name == "" || s.city == "" || one(".street") == "" || one(".hours") == "" || one("svg use") != "" {
			t.Errorf("%q lacks something", content(li))
		}
		list = append(list, s)
	}
	return list
}

// demoPlaces are the four cities that the demo's visitors come from.
var demoPlaces = []store{
	{city: "Berlin", lat: 52.52, lon: 13.405},
	{city: "San Francisco", lat: 37.7749, lon: -122.4194},
	{city: "Tokyo", lat: 35.6762, lon: 139.6503},
	{city: "São Paulo", lat: -23.5505, lon: -46.6333},
}

func TestStores(t *testing.T) {
	list := stores(t)
	cities, names := map[string][]store{}, []string{}
	for _, s := range list {
		for _, o := range cities[s.city] {
			if apart(s, o) > 30 {
				t.Errorf("%s and %s are both in %s, but %.0f km apart", s.name, o.name, s.city, apart(s, o))
			}
		}
		cities[s.city] = append(cities[s.city], s)
		names = append(names, s.name)
	}
	if len(list) < 40 || len(cities) < 20 {
		t.Errorf("%d cafés in %d cities, want at least 40 in 20", len(list), len(cities))
	}
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(list) {
		t.Error("the origin's order is not that of distinct names")
	}
	claim := fmt.Sprintf("%d cafés in %d cities", len(list), len(cities))
	for _, target := range []string{"/", "/menu.html", "/about.html"} {
		if !strings.Contains(text(t, Sites()[0].Origin, target), claim) {
			t.Errorf("%s does not say %q", target, claim)
		}
	}
	for _, here := range demoPlaces {
		for _, s := range list[:5] {
			if s.city == here.city {
				t.Errorf("%s in %s is among the origin's first five", s.name, s.city)
			}
		}
		for _, s := range nearest(list, here)[:3] {
			if s.city != here.city {
				t.Errorf("seen from %s, %s in %s is among the nearest three", here.city, s.name, s.city)
			}
		}
		// The edge shows a policy the centre of a cell, at most 5.6 km north or south and east or west of the visitor.
		for north := -5.6; north < 6; north += 5.6 {
			for east := -5.6; east < 6; east += 5.6 {
				cell := store{lat: here.lat + north/111, lon: here.lon + east/111/math.Cos(here.lat*math.Pi/180)}
				if s := nearest(list, cell)[0]; s.city != here.city {
					t.Errorf("%g km north and %g km east of %s, the nearest is %s in %s", north, east, here.city, s.name, s.city)
				}
			}
		}
	}
}

func nearest(list []store, here store) []store {
	return slices.SortedStableFunc(slices.Values(list), func(a, b store) int {
		return cmp.Compare(apart(here, a), apart(here, b))
	})
}

// apart is a distance in kilometres, by the spherical law of cosines.
func apart(a, b store) float64 {
	const rad = math.Pi / 180
	c := math.Sin(a.lat*rad)*math.Sin(b.lat*rad) + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*math.Cos((a.lon-b.lon)*rad)
	return 6371 * math.Acos(min(1, c))
}

// What the routes of stores aim at is on its front page.
func TestRoutesOfStores(t *testing.T) {
	var routes []struct {
		Path     string
		Policies []struct {
			Use  string
			With map[string]string
		}
	}
	site := Sites()[0]
	if err := yaml.UnmarshalWithOptions([]byte(site.Routes), &routes, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if len(routes) != 1 || routes[0].Path != "/**" || len(routes[0].Policies) != 3 {
		t.Fatalf("routes are %+v", routes)
	}
	doc := parse(t, text(t, site.Origin, "/"))
	nearby, greet := routes[0].Policies[0], routes[0].Policies[1]
	if own := routes[0].Policies[2]; own.Use != "opening@active" || own.With != nil {
		t.Errorf("the site's own policy is %+v", own)
	}
	lists := find(doc, nearby.With["list"])
	if nearby.Use != "nearby" || len(lists) != 1 {
		t.Fatalf("%s aims at %d lists", nearby.Use, len(lists))
	}
	items := fmt.Sprintf("li[%s][%s] %s:empty", nearby.With["lat"], nearby.With["lon"], nearby.With["show"])
	if n := len(find(lists[0], items)); n != len(stores(t)) {
		t.Errorf("%d items match %s", n, items)
	}
	if n := find(doc, "header "+greet.With["slot"]); greet.Use != "greet" || len(n) != 1 || !strings.Contains(greet.With["text"], "{name}") {
		t.Errorf("%+v aims at %d slots", greet, len(n))
	}
}

func TestCompressedIsTheSame(t *testing.T) {
	for _, s := range Sites() {
		packed := 0
		for target := range s.Origin.(*static).assets {
			plain := ask(t, s.Origin, "GET", target, "Accept-Encoding", "br, gzip;q=0")
			zipped := ask(t, s.Origin, "GET", target, "Accept-Encoding", "br, gzip")
			want := body(t, plain)
			if plain.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s: compressed although refused", target)
			}
			if zipped.Header.Get("Content-Encoding") != "gzip" {
				if got := body(t, zipped); got != want {
					t.Errorf("%s: two plain bodies differ", target)
				}
				continue
			}
			packed++
			z, err := gzip.NewReader(zipped.Body)
			if err != nil {
				t.Fatalf("%s: %v", target, err)
			}
			got, err := io.ReadAll(z)
			if err != nil || string(got) != want {
				t.Errorf("%s: decompressed body differs from the plain one (%v)", target, err)
			}
			if plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
				t.Errorf("%s: one ETag for two representations", target)
			}
		}
		if packed < 3 {
			t.Errorf("%s: only %d compressed files", s.Name, packed)
		}
	}
}

func TestOriginAnswers(t *testing.T) {
	origin := Sites()[0].Origin
	tag := ask(t, origin, "GET", "/").Header.Get("ETag")
	zipTag := ask(t, origin, "GET", "/", "Accept-Encoding", "gzip").Header.Get("ETag")
	for _, c := range []struct {
		name, method, target string
		headers              []string
		status, length       int // length below zero: any that is not 0
		header, value        string
	}{
		{"page", "GET", "/", nil, 200, -1, "Content-Type", "text/html; charset=utf-8"},
		{"caching", "GET", "/", nil, 200, -1, "Cache-Control", "public, max-age=60"},
		{"varies", "GET", "/", nil, 200, -1, "Vary", "Accept-Encoding"},
		{"head", "HEAD", "/", nil, 200, 0, "ETag", tag},
		{"style", "GET", "/shared/site.css", nil, 200, -1, "Content-Type", "text/css; charset=utf-8"},
		{"icon", "GET", "/icon.svg", nil, 200, -1, "Content-Type", "image/svg+xml"},
		{"known", "GET", "/", []string{"If-None-Match", tag}, 304, 0, "ETag", tag},
		{"known, compressed", "GET", "/", []string{"If-None-Match", zipTag, "Accept-Encoding", "gzip"}, 304, 0, "ETag", zipTag},
		{"known in another coding", "GET", "/", []string{"If-None-Match", zipTag}, 200, -1, "ETag", tag},
		{"range", "GET", "/", []string{"Range", "bytes=0-14"}, 206, 15, "Content-Length", "15"},
		{"index by name", "GET", "/index.html", nil, 301, -1, "Location", "/"},
		{"missing", "GET", "/no-such-page", nil, 404, -1, "Cache-Control", ""},
		{"climbing", "GET", "/../examples.go", nil, 404, -1, "ETag", ""},
		{"routes are not served", "GET", "/routes.yaml", nil, 404, -1, "ETag", ""},
		{"no form here", "POST", "/", nil, 405, -1, "Allow", "GET, HEAD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := ask(t, origin, c.method, c.target, c.headers...)
			n := len(body(t, res))
			if res.StatusCode != c.status || res.Header.Get(c.header) != c.value {
				t.Errorf("status %d, %s %q; want %d, %q", res.StatusCode, c.header, res.Header.Get(c.header), c.status, c.value)
			}
			if c.length >= 0 && n != c.length || c.length < 0 && n == 0 {
				t.Errorf("body of %d bytes, want %d", n, c.length)
			}
		})
	}
}

func TestAcceptsGzip(t *testing.T) {
	for lines, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br, gzip;q=0.5": true, "*": true,
		"gzip;q=0": false, "gzip; Q=0.0": false, "*, gzip;q=0": false, "*;q=0": false, "*;q=0, gzip": true,
		"gzip;q=NaN": false, "gzip;q=2": false, "gzip;level=9": false, "br": false, "gzipped": false, ",;,": false,
	} {
		if got := acceptsGzip([]string{lines}); got != want {
			t.Errorf("%q: %v, want %v", lines, got, want)
		}
	}
	if acceptsGzip(nil) || !acceptsGzip([]string{"br", "gzip"}) {
		t.Error("no line, or two lines, are read wrongly")
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// An exampleSite says how four visitors meet one of the examples, in a browser,
// through the real edge.
type exampleSite struct {
	name string
	page string // where it is seen what is tailored
	look string // JavaScript: what is seen there, as one text
	// visit is what a visitor does before; what is inferred comes from it and from their place.
	visit []string
	links [2]string // the same: a page, and a selector of links on it, of which they follow three
	// inferred tells whether the page fits what was done, which the visitor
	// allowed; nil: nothing is inferred there.
	inferred func(seen string) bool
	// prefer sets what disagrees with the inference, by field of the privacy centre;
	// chosen tells whether the page then does as the visitor chose.
	prefer map[string]string
	hide   string // an item that they hide
	chosen func(seen string) bool
}

func exampleSites(t *testing.T) []exampleSite {
	black, red := itemsWith(t, "decor", "color", "black", 3), itemsWith(t, "department", "color", "red", 3)
	blue := itemsWith(t, "outfitter", "color", "navy", 3)
	classroom := itemsWith(t, "office", "persona", "teacher", 4)
	const first = `[...document.querySelectorAll('#results > li')].slice(0, 3).map(e => e.dataset.color + ' ' + e.dataset.price).join(', ')`
	shown := func(ids string) string {
		return `[...document.querySelectorAll('` + ids + `')].filter(e => e.checkVisibility()).map(e => e.id).join(' ')`
	}
	return []exampleSite{
		{name: "stores", page: "/", look: `[...document.querySelectorAll('#results > li')].slice(0, 2).map(e => e.textContent.replace(/\s+/g, ' ')).join('|')`,
			inferred: func(s string) bool { return strings.Contains(s, "Berlin") && strings.Contains(s, " km") },
			prefer:   map[string]string{"place": "35.68, 139.69"}, chosen: func(s string) bool { return strings.Contains(s, "Tokyo") }},
		{name: "department", page: "/", look: `[...document.querySelectorAll('#recent a')].map(e => e.getAttribute('href')).join(' ')`,
			visit: paths(red), inferred: func(s string) bool { return strings.Contains(s, "/p/"+red[2]) && strings.Contains(s, "/p/"+red[0]) },
			hide: red[2], chosen: func(s string) bool { return !strings.Contains(s, "/p/"+red[2]) && strings.Contains(s, "/p/"+red[0]) }},
		{name: "decor", page: "/", look: first,
			visit: paths(black), inferred: func(s string) bool { return strings.Count(s, "black") == 3 },
			prefer: map[string]string{"sort": "price"}, chosen: func(s string) bool { return ascending(s) }},
		{name: "outfitter", page: "/", look: first,
			visit: paths(blue), inferred: func(s string) bool { return strings.Count(s, "navy") == 3 },
			prefer: map[string]string{"filters": "color: red"}, chosen: func(s string) bool { return s != "" && strings.Count(s, "red ") == strings.Count(s, ", ")+1 }},
		{name: "office", page: "/", look: shown("#for-teacher, #for-executive, #for-student, #corners"),
			visit: paths(classroom), inferred: func(s string) bool { return s == "for-teacher" },
			prefer: map[string]string{"filters": "persona: executive"}, chosen: func(s string) bool { return s == "for-executive" }},
		{name: "offers", page: "/", look: shown("[id^=in-]"),
			inferred: func(s string) bool { return strings.Contains(s, "in-berlin") },
			prefer:   map[string]string{"place": "37.7749, -122.4194"}, chosen: func(s string) bool { return s == "in-san-francisco" }},
		{name: "member", page: "/lounges.html", look: `[...document.querySelectorAll('#lounges > li')].slice(0, 2).map(e => e.textContent.replace(/\s+/g, ' ')).join('|')`,
			inferred: func(s string) bool { return strings.Contains(s, "Berlin") && strings.Contains(s, " km") },
			prefer:   map[string]string{"place": "35.68, 139.69"}, chosen: func(s string) bool { return strings.Contains(s, "Tokyo") }},

		{name: "mail", page: "/", look: `[...document.querySelectorAll('#ads > li')].map(e => e.dataset.interest || 'for everybody').join(' ')`,
			links: [2]string{"/label/travel.html", "#messages > li a"}, inferred: func(s string) bool { return s == "travel" },
			prefer: map[string]string{"muted": "travel"}, chosen: func(s string) bool { return s != "travel" && s != "" }},
		{name: "letters", page: "/subscriber.html", look: `document.querySelector('#frequency').textContent`,
			prefer: map[string]string{"contact": "monthly"}, chosen: func(s string) bool { return s == "monthly" }},
		{name: "circle", page: "/", look: `[...document.querySelectorAll('#feed > li')].slice(0, 3).map(e => e.dataset.topic + ' ' + -e.dataset.thanks).join(', ')`,
			links: [2]string{"/topic/music.html", ".feed > li .who a"}, inferred: func(s string) bool { return strings.Count(s, "music") == 3 },
			prefer: map[string]string{"sort": "thanked"}, chosen: ascending},
		{name: "river", page: "/", look: `[...new Set([...document.querySelectorAll('#stories > li')].map(e => e.dataset.source))].sort().join(' ')`,
			prefer: map[string]string{"filters": "sources: tide,beta"}, chosen: func(s string) bool { return s == "beta tide" }},
		{name: "builder", page: "/", look: `document.querySelector('#sheet').className`,
			prefer: map[string]string{"filters": "theme: dusk"}, chosen: func(s string) bool { return strings.Contains(s, "theme-dusk") }},
		{name: "cards", page: "/design.html", look: `document.querySelector('.slogan').textContent`,
			prefer: map[string]string{"filters": "slogan: Danke"}, chosen: func(s string) bool { return strings.Contains(s, "Danke") }},
		{name: "money", page: "/", look: `[...document.querySelectorAll('#summary meter')].map(e => e.max).join(' ')`,
			prefer: map[string]string{"filters": "budget groceries: 120"}, chosen: func(s string) bool { return s == "120" }},
		{name: "lessons", page: "/", look: `[...document.querySelectorAll('#next > li')].slice(0, 3).map(e => e.dataset.skill).join(' ')`,
			links: [2]string{"/skill/maps.html", ".steps > li a"}, inferred: func(s string) bool { return s == "maps maps maps" },
			prefer: map[string]string{"filters": "topic: commas\nlevel: 2"}, chosen: func(s string) bool { return s == "commas commas commas" }},
	}
}

// itemsWith returns n items of an example's catalogue that have the attribute value.
func itemsWith(t *testing.T, site, attribute, value string, n int) (ids []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../examples", site, "catalogue.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan() && len(ids) < n; {
		var item struct {
			ID         string
			Attributes map[string]any
		}
		if err := json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &item); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(item.Attributes[attribute]) == value {
			ids = append(ids, item.ID)
		}
	}
	if len(ids) < n {
		t.Fatalf("%s has %d items with %s %s", site, len(ids), attribute, value)
	}
	return ids
}

func paths(ids []string) (all []string) {
	for _, id := range ids {
		all = append(all, "/p/"+id)
	}
	return all
}

// ascending tells whether the prices, the last word of each part, never fall.
func ascending(seen string) bool {
	var prices []float64
	for part := range strings.SplitSeq(seen, ", ") {
		var p float64
		if _, err := fmt.Sscan(part[strings.LastIndexByte(part, ' ')+1:], &p); err != nil {
			return false
		}
		prices = append(prices, p)
	}
	return len(prices) > 1 && slices.IsSorted(prices)
}

// A person is one visitor of a site, with a browser of their own.
type person struct {
	keyboard
	site string
}

// newPerson returns a browser of somebody's own, whose every request has these headers.
func newPerson(t *testing.T, b context.Context, headers network.Headers) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if headers != nil {
		must(t)(chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers}))
	}
	return ctx
}

// act chooses in the privacy centre.
func (p person) act(action string) {
	p.Helper()
	p.open(p.site + "/_bespoke/privacy")
	resp, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS(`main button[value="`+action+`"]`)))
	if err != nil || resp.Status != 200 {
		p.Fatalf("%s: %+v, %v", action, resp, err)
	}
}

func (p person) prefer(fields map[string]string) {
	p.Helper()
	p.open(p.site + "/_bespoke/privacy")
	for id, value := range fields {
		if id == "place" {
			p.eval(`document.querySelector('[name=place-mode][value=chosen]').click(), ''`)
		}
		if err := chromedp.Do(p.ctx, chromedp.SetValue(chromedp.ID(id), value)); err != nil {
			p.Fatal(err)
		}
	}
	resp, err := chromedp.RunResponse(p.ctx, chromedp.Click(chromedp.CSS(`button[value=prefer]`)))
	if err != nil || resp.Status != 200 {
		p.Fatalf("saving %v: %+v, %v", fields, resp, err)
	}
}

// hide says, as a page of the site would, that an item is not to be shown again.
func (p person) hide(item string) {
	p.Helper()
	p.open(p.site + "/")
	status, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](`fetch('/_bespoke/api/events', {method: 'POST',
		headers: {'Content-Type': 'application/json'}, body: JSON.stringify({kind: 'hide', item: '`+item+`'})}).then(r => r.status)`, chromedp.EvalAwaitPromise))
	if err != nil || status/100 != 2 {
		p.Fatalf("hiding %s: %d, %v", item, status, err)
	}
}

func (p person) see(x exampleSite) string {
	p.Helper()
	for _, path := range x.visit {
		p.open(p.site + path)
	}
	if x.links[0] != "" {
		p.open(p.site + x.links[0])
		hrefs := strings.Fields(p.eval(`[...new Set([...document.querySelectorAll('` + x.links[1] + `')].map(e => e.href))].slice(0, 3).join(' ')`))
		if len(hrefs) < 3 {
			p.Fatalf("%s has %d links %s", x.links[0], len(hrefs), x.links[1])
		}
		for _, h := range hrefs {
			p.open(h)
		}
	}
	p.open(p.site + x.page)
	return p.eval(x.look)
}

// Every example, for each of four visitors: who allows it, who refuses, whose
// browser sends the Global Privacy Control signal, and who chose something else
// than what is inferred.
func TestExamples(t *testing.T) {
	port := demo(t)
	b := browser(t)
	if err := chromedp.Do(b); err != nil {
		t.Fatal(err)
	}
	// They are new to each site, as what a browser keeps of one it shows to no other. A
	// browser of their own at each site would take most of the time.
	var people [5]context.Context
	for i := range people {
		people[i] = newPerson(t, b, map[int]network.Headers{3: {"Sec-GPC": "1"}}[i])
	}
	for _, x := range exampleSites(t) {
		t.Run(x.name, func(t *testing.T) {
			site := "http://" + x.name + ".localhost:" + port
			visitor := func(i int) person { return person{keyboard{t, people[i]}, site} }
			origin := visitor(0)
			origin.open(site + x.page)
			everybody := origin.eval(x.look)

			allows := visitor(1)
			allows.act("allow-all")
			seen := allows.see(x)
			if x.inferred != nil && !x.inferred(seen) || x.inferred == nil && seen != everybody {
				t.Errorf("who allows it sees %q", seen)
			}
			shot(t, allows.ctx, "example-"+x.name+"-window")

			// Refused later: what was inferred is gone on the next page.
			allows.act("refuse-all")
			allows.open(site + x.page)
			if got := allows.eval(x.look); got != everybody {
				t.Errorf("who refuses after all sees %q, everybody %q", got, everybody)
			}
			refuses := visitor(2)
			refuses.act("refuse-all")
			if got := refuses.see(x); got != everybody || x.inferred != nil && x.inferred(got) {
				t.Errorf("who refuses sees %q, everybody %q", got, everybody)
			}

			signal := visitor(3)
			if got := signal.see(x); got != everybody {
				t.Errorf("with Sec-GPC: %q, everybody %q", got, everybody)
			}

			chooses := visitor(4)
			chooses.act("allow-all")
			chooses.see(x)
			if x.prefer != nil {
				chooses.prefer(x.prefer)
			}
			if x.hide != "" {
				chooses.hide(x.hide)
			}
			chooses.open(site + x.page)
			if got := chooses.eval(x.look); !x.chosen(got) {
				t.Errorf("who chose %v %s, with everything allowed, sees %q", x.prefer, x.hide, got)
			}
		})
	}
}

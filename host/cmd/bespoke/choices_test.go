package main

import (
	"slices"
	"strings"
	"testing"
)

// Each site in which the visitor chooses, for four of them: one who agrees, one
// who refuses, one with Global Privacy Control, and one whose own choice is
// against what was inferred. Where nothing is inferred, there is nothing to refuse.
func TestChoices(t *testing.T) {
	port := demo(t)
	t.Run("mail", func(t *testing.T) { mailbox(t, port) })
	t.Run("letters", func(t *testing.T) { mailing(t, port) })
	t.Run("circle", func(t *testing.T) { circle(t, port) })
	t.Run("river", func(t *testing.T) { river(t, port) })
	t.Run("builder", func(t *testing.T) { builder(t, port) })
	t.Run("cards", func(t *testing.T) { cards(t, port) })
	t.Run("money", func(t *testing.T) { money(t, port) })
	t.Run("lessons", func(t *testing.T) { lessons(t, port) })
}

// outsiders are two of whom nothing may be inferred, whatever they look at.
func outsiders(t *testing.T, port, site string) []*guest {
	refuses, gpc := visit(t, port, site, fromSanFrancisco), visit(t, port, site, fromSanFrancisco)
	refuses.say("action", "refuse-all")
	gpc.gpc = true
	return []*guest{refuses, gpc}
}

// read opens the pages of items of a list.
func (g *guest) read(pages ...string) {
	for _, p := range pages {
		g.page(p)
	}
}

// some returns the first n addresses of a list's items that meet a selector.
func (g *guest) some(path, selector string, n int) []string {
	g.t.Helper()
	out := values(g.page(path), selector+" a", "href")
	if len(out) < n {
		g.t.Fatalf("%s has %d of %s, want %d", path, len(out), selector, n)
	}
	return out[:n]
}

func (g *guest) has(path string, parts ...string) {
	g.t.Helper()
	body := g.ask("GET", path, nil)
	for _, p := range parts {
		if !strings.Contains(body, p) {
			g.t.Errorf("%s%s lacks %q", g.site, path, p)
		}
	}
}

func mailbox(t *testing.T, port string) {
	g := visit(t, port, "mail", fromBerlin)
	const ads = "#ads > li"
	neutral := values(g.page("/"), ads, "class")
	same(t, "ads before agreeing", neutral, []string{"ad"})
	same(t, "their topics", values(g.page("/"), ads, "data-interest"), nil)
	g.say("advertise", "on", "personalize", "on")
	g.read(g.some("/label/travel.html", "#messages > li", 3)...)
	same(t, "the ad after three messages about travel", values(g.page("/"), ads, "data-interest"), []string{"travel"})
	g.say("mute", "travel") // against what was inferred
	if got := values(g.page("/"), ads, "data-interest"); slices.Contains(got, "travel") {
		t.Errorf("muted, but the ad is %v", got)
	}
	g.say("action", "refuse-all")
	g.say("page-size", "10", "theme", "dark", "filter.tagline", "Warm <regards>")
	if n := len(values(g.page("/"), "#messages > li", "id")); n != 10 {
		t.Errorf("%d messages, want 10", n)
	}
	g.has("/settings.html", `class="theme-dark"`, "Warm &lt;regards&gt;", "Two rooms more")
	for _, o := range outsiders(t, port, "mail") {
		o.read(o.some("/label/travel.html", "#messages > li", 3)...)
		same(t, "the ad of who did not agree", values(o.page("/"), ads, "data-interest"), nil)
		if n := len(values(o.page("/"), "#messages > li", "id")); n != 50 {
			t.Errorf("%d messages, want 50", n)
		}
	}
}

func mailing(t *testing.T, port string) {
	const mailer = "/mailer/subscriber.json"
	for _, g := range append(outsiders(t, port, "letters"), visit(t, port, "letters", fromBerlin)) {
		g.has(mailer, `"frequency": "weekly"`, "As often as the site writes to everybody.")
		g.say("contact", "monthly")
		g.has(mailer, `"frequency": "monthly"`, "As often as the subscriber chose.")
		g.has("/subscriber.html", `id="frequency">monthly<`)
	}
}

func circle(t *testing.T, port string) {
	const topics = "#feed > li"
	g := visit(t, port, "circle", fromBerlin)
	sent := values(g.page("/"), topics, "id")
	g.agree()
	g.read(g.some("/topic/music.html", ".feed > li .who", 3)...)
	if got := values(g.page("/"), topics, "data-topic")[:3]; !slices.Equal(got, []string{"music", "music", "music"}) {
		t.Errorf("after three posts about music, the first are about %v", got)
	}
	first := values(g.page("/"), topics, "id")[0]
	g.say("action", "hide-item", "item", first)
	if slices.Contains(values(g.page("/"), topics, "id"), first) {
		t.Errorf("%s was hidden, and is there", first)
	}
	g.say("sort", "thanked", "filter.alerts", "off") // against what was inferred
	thanks := values(g.page("/"), topics, "data-thanks")
	if !slices.IsSortedFunc(thanks, func(a, b string) int { return int(number(t, b) - number(t, a)) }) {
		t.Errorf("most thanked first, as chosen: %v", thanks)
	}
	same(t, "alerts", values(g.page("/"), "#alerts", "class"), nil)
	g.say("mute", "music")
	if slices.Contains(values(g.page("/"), topics, "data-topic"), "music") || strings.Contains(g.ask("GET", "/feed.json", nil), `"topic": "music"`) {
		t.Error("music was muted, and is there")
	}
	for _, o := range outsiders(t, port, "circle") {
		o.read(o.some("/topic/music.html", ".feed > li .who", 3)...)
		same(t, "the feed of who did not agree", values(o.page("/"), topics, "id"), sent)
	}
}

func river(t *testing.T, port string) {
	for _, g := range append(outsiders(t, port, "river"), visit(t, port, "river", fromBerlin)) {
		if n := strings.Count(g.ask("GET", "/river.rss", nil), "<item>"); n != 60 {
			t.Errorf("%d stories, want 60", n)
		}
		g.say("filter.sources", "tide,beta", "mute", "weather")
		n := len(values(g.page("/"), `#stories > [data-source="tide"], #stories > [data-source="beta"]`, "id"))
		if all := len(values(g.page("/"), "#stories > li", "id")); n == 0 || n != all || len(values(g.page("/"), `#stories > [data-topic="weather"]`, "id")) > 0 {
			t.Errorf("%d of %d stories are of the chosen sources and not muted", n, all)
		}
		for path, mark := range map[string]string{"/river.rss": "<item>", "/river.atom": "<entry>"} {
			body := g.ask("GET", path, nil)
			if strings.Count(body, mark) != n || strings.Contains(body, "leaf") {
				t.Errorf("%s has %d stories, the page %d", path, strings.Count(body, mark), n)
			}
		}
	}
}

func builder(t *testing.T, port string) {
	for _, g := range append(outsiders(t, port, "builder"), visit(t, port, "builder", fromBerlin)) {
		g.has("/", "theme-sand accent-rust font-plain", "Kiln &amp; Clay")
		g.say("filter.theme", "dusk", "filter.accent", "sea", "filter.heading", "Jane <& Co>", "filter.logo", "star", "filter.font", `x" onclick="`)
		g.has("/", "theme-dusk accent-sea", "font-plain", "Jane &lt;&amp; Co", `src="/logo/star.svg"`)
		g.has("/about.html", "theme-dusk")
		if strings.Contains(g.ask("GET", "/", nil), "onclick") {
			t.Error("a font that is not offered is in the page")
		}
	}
}

func cards(t *testing.T, port string) {
	for _, g := range append(outsiders(t, port, "cards"), visit(t, port, "cards", fromBerlin)) {
		g.has("/product/pl-020.html", ">Just because<")
		g.has("/product/pl-020.html?slogan=Hurra+%3Cb%3E&colour=red", ">Hurra &lt;b&gt;<", "colour-red")
		g.has("/product/pl-020.html?slogan="+strings.Repeat("x", 41), ">Just because<", "At most 40 characters")
		g.say("filter.slogan", "Danke", "filter.colour", "blue")
		g.has("/mug.svg", ">Danke<", `fill="#1c4f9c"`)
		g.has("/design.html", ">Danke<", "colour-blue")
	}
}

func money(t *testing.T, port string) {
	for _, g := range append(outsiders(t, port, "money"), visit(t, port, "money", fromBerlin)) {
		same(t, "meters without a budget", values(g.page("/"), "#summary meter", "max"), nil)
		g.say("filter.budget groceries", "120")
		same(t, "meters with one", values(g.page("/"), "#summary meter", "max"), []string{"120.00"})
		g.has("/week.json", `"budget":"120.00","over":"29.29"`)
	}
}

func lessons(t *testing.T, port string) {
	const skills = "#next > li"
	g := visit(t, port, "lessons", fromBerlin)
	sent := values(g.page("/"), skills, "id")
	if len(sent) != 6 {
		t.Errorf("%d exercises, want 6", len(sent))
	}
	g.agree()
	g.read(g.some("/skill/maps.html", ".steps > li", 3)...)
	same(t, "after three about maps", values(g.page("/"), skills, "data-skill"), slices.Repeat([]string{"maps"}, 6))
	g.say("filter.topic", "commas", "filter.level", "2", "page-size", "3") // against what was inferred
	same(t, "as chosen", values(g.page("/"), skills, "data-skill"), slices.Repeat([]string{"commas"}, 3))
	for _, o := range outsiders(t, port, "lessons") {
		o.read(o.some("/skill/maps.html", ".steps > li", 3)...)
		same(t, "the exercises of who did not agree", values(o.page("/"), skills, "id"), sent)
	}
}

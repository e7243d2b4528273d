package builtin_test

import (
	"context"
	"strings"
	"testing"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// A visit is an exchange that takes reasons too, and edits of HTML, XML or JSON.
type visit struct {
	exchange
	json bool
}

func (x *visit) Emit(e abi.Edit) abi.Refusal {
	switch {
	case e.Op == abi.OpWhy && (e.A == "" || len(e.A) > 200 || strings.Contains(e.A, "\n")):
		return abi.RefusedArgument
	case e.Op == abi.OpWhy:
	case x.json:
		if r := rewrite.CheckJSON(e); r != abi.Accepted {
			return r
		}
	default:
		if r := rewrite.Check(e); r != abi.Accepted {
			return r
		}
	}
	x.edits = append(x.edits, e)
	return abi.Accepted
}

// written writes edits a line each: name, target and arguments, with bars for line ends.
func written(edits []abi.Edit) string {
	var b strings.Builder
	for _, e := range edits {
		line := e.Op.String() + " " + e.Target
		if e.Op == abi.OpWhy {
			line = "why"
		}
		for _, a := range []string{e.A, e.B} {
			if a != "" {
				line += " [" + strings.ReplaceAll(a, "\n", "¶") + "]"
			}
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// runs gives a policy these keys, pairs, and returns what it did.
func runs(t testing.TB, policy string, json bool, pairs ...string) *visit {
	t.Helper()
	m := loaded(t)
	manifest, ok := m.Manifest(policy)
	if !ok {
		t.Fatalf("no manifest of %s", policy)
	}
	x := &visit{exchange{manifest: manifest, values: keys(policy, pairs...)}, json}
	if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	for _, k := range x.reads {
		if !manifest.Declares(k) {
			t.Errorf("reads %q, which the manifest does not declare", k)
		}
		if option, ok := strings.CutPrefix(k, abi.KeyConfig); ok && k != abi.KeyConfigPolicy {
			if _, ok := manifest.With[option]; !ok {
				t.Errorf("reads the option %s, which the manifest does not have", option)
			}
		}
	}
	for k := range x.values {
		if option, ok := strings.CutPrefix(k, abi.KeyConfig); ok && k != abi.KeyConfigPolicy && manifest.With[option].Type == "" {
			t.Errorf("the manifest does not have the option %s", option)
		}
	}
	if len(x.edits) > 0 && x.edits[0].Op != abi.OpWhy {
		t.Errorf("an edit without a reason: %+v", x.edits[0])
	}
	return x
}

// A trial is one run: with is the route's configuration, then comes what is
// known of the visitor, name and value; want is what it does, and log a part of
// what it tells the operator.
type trial struct {
	name   string
	policy string
	with   []string
	knows  []string
	want   string
	log    string
}

func (c *trial) try(t *testing.T, json bool) {
	t.Run(c.policy+"/"+c.name, func(t *testing.T) {
		var pairs []string
		for i := 0; i < len(c.with); i += 2 {
			pairs = append(pairs, "config."+c.with[i], c.with[i+1])
		}
		x := runs(t, c.policy, json, append(pairs, c.knows...)...)
		if got := written(x.edits); got != c.want {
			t.Errorf("edits\n%swant\n%s", got, c.want)
		}
		if log := strings.Join(x.log, "\n"); (log == "") != (c.log == "") || !strings.Contains(log, c.log) {
			t.Errorf("log %q, want %q", log, c.log)
		}
	})
}

type list = []string

const (
	two   = "id=1\ttitle=One\turl=/1\tprice=5.00\tattr.colour=black\nid=2\ttitle=T=2\tattr.colour=red,blue\n"
	best  = "id=9\ttitle=Nine\n"
	liked = "black\t3.5\nbrushed nickel\t2\n"
	left  = "why [Without what you hid.]\nkeep #l [attr=data-bespoke-item¶not=7|8]\n"
	quiet = "why [Without the topics that you muted.]\nkeep #l [attr=data-topic¶not=tea]\n"
	saved = "why [Sorted by price, as you chose.]\norder #l [by=attr¶as=number¶attr=data-price]\n"
)

func TestShelf(t *testing.T) {
	with := list{"slot", "#s", "band", "for-you"}
	filled := "fill #s [id=1¶title=One¶url=/1¶price=5.00¶attr.colour=black¶¶id=2¶title=T=2¶attr.colour=red,blue¶]\n"
	instead := "why [The best sellers of this site, for everybody.]\nfill #s [id=9¶title=Nine¶]\n"
	for _, c := range []trial{
		{"for you", "", with, list{"recommend.for-you?n=8", two}, "why [Chosen by what you looked at lately.]\n" + filled, ""},
		{"not granted", "", with, list{"recommend.best-sellers?n=8", best}, instead, ""},
		{"not granted, with a heading", "", append(with, "heading", "h2", "instead-title", "Best sellers"), list{"recommend.best-sellers?n=8", best},
			instead + "text h2 [Best sellers]\n", ""},
		{"nothing at all", "", with, nil, "", ""},
		{"too few", "", append(with, "least", "3"), list{"recommend.for-you?n=8", two, "recommend.best-sellers?n=8", best}, "", ""},
		{"none instead", "", append(with, "instead", "none"), list{"recommend.best-sellers?n=8", best}, "", ""},
		{"first", "", append(with, "first", "1"), list{"recommend.for-you?n=1", two},
			"why [Chosen by what you looked at lately.]\nfill #s [id=1¶title=One¶url=/1¶price=5.00¶attr.colour=black¶]\n", ""},
		// Customization beats inference: what was hidden or muted is gone, whatever is recommended.
		{"hidden", "", with, list{"recommend.for-you?n=9", two, "preference.hidden", "1"},
			"why [Chosen by what you looked at lately.]\nfill #s [id=2¶title=T=2¶attr.colour=red,blue¶]\n", ""},
		{"muted", "", with, list{"recommend.for-you?n=16", two, "preference.muted", "Blue"},
			"why [Chosen by what you looked at lately.]\nfill #s [id=1¶title=One¶url=/1¶price=5.00¶attr.colour=black¶]\n", ""},
		{"all hidden", "", with, list{"recommend.for-you?n=10", two, "preference.hidden", "2\n1", "recommend.best-sellers?n=10", best}, instead, ""},
		{"by path", "", list{"slot", "#s", "band", "similar", "item-path", "/item/*.html"},
			list{"request.path", "/item/a&b.html", "recommend.similar?item=a%26b&n=8", best}, "why [Similar to this, by what others looked at.]\nfill #s [id=9¶title=Nine¶]\n", ""},
		{"another path", "", list{"slot", "#s", "band", "similar", "item-path", "/item/*.html", "instead", "trending"},
			list{"request.path", "/item/a/b.html", "recommend.trending?n=8", best}, "why [What many look at these days.]\nfill #s [id=9¶title=Nine¶]\n", ""},
		{"by query", "", list{"slot", "#s", "band", "bought-together", "item-query", "id"},
			list{"request.query.id", "4", "recommend.bought-together?item=4&n=8", best}, "why [What others bought together with this.]\nfill #s [id=9¶title=Nine¶]\n", ""},
		{"by what was looked at", "", list{"slot", "#s", "band", "similar", "item-recent", "true"},
			list{"profile.recent", "5\n6", "recommend.similar?item=5&n=8", best}, "why [Similar to this, by what others looked at.]\nfill #s [id=9¶title=Nine¶]\n", ""},
		{"next of what was looked at last", "", list{"slot", "#s", "band", "next"}, list{"recommend.next?n=8", best},
			"why [What others looked at next, after what you looked at.]\nfill #s [id=9¶title=Nine¶]\n", ""},
		{"similar to nothing", "", list{"slot", "#s", "band", "similar"}, list{"recommend.similar?n=8", two, "recommend.best-sellers?n=8", best}, instead, ""},
		{"names that fill refuses", "", with, list{"recommend.for-you?n=8", "id=1\tattr.größe=L\t=x\tbroken\t9=y\nonly rubbish\n\n"},
			"why [Chosen by what you looked at lately.]\nfill #s [id=1¶]\n", ""},
		{"no band", "", list{"slot", "#s"}, nil, "", "the option band is missing"},
		{"bad first", "", append(with, "first", "0"), nil, "", "first is no whole number"},
	} {
		c.policy = "shelf"
		c.try(t, false)
	}
}

func TestRank(t *testing.T) {
	with := list{"list", "#l", "attributes", "colour\nfinish=data-f"}
	order := "why [Ordered by what you looked at: black and matt first.]\norder #l [weight.data-colour=black:3.5|brushed nickel:2¶weight.data-f=matt:1¶by=affinity]\n"
	likes := list{"profile.affinity.colour", liked, "profile.affinity.finish", "matt\t1"}
	for _, c := range []trial{
		{"liked", "", with, likes, order, ""},
		{"one attribute", "", append(with, "items", "li"), likes[:2],
			"why [Ordered by what you looked at: black first.]\norder #l [weight.data-colour=black:3.5|brushed nickel:2¶by=affinity] [items=li]\n", ""},
		{"not granted", "", with, nil, "", ""},
		{"values that order refuses", "", with, list{"profile.affinity.colour", "a|b\t3\n\t2\nred\tNaN\nred:x\t1\nblue\t1e9\n"},
			"why [Ordered by what you looked at: a|b first.]\norder #l [weight.data-colour=red:x:1¶by=affinity]\n", ""},
		{"first", "", append(with, "first", "5"), nil, "why [The first ones of the list.]\nkeep #l [first=5]\n", ""},
		// Customization beats inference.
		{"a saved order", "", append(with, "sorts", "name=data-n\nprice=data-price number asc"), append(likes, "preference.sort", "price"), saved, ""},
		{"a saved order that is the site's", "", with, append(likes, "preference.sort", "newest"), "", ""},
		{"an order in the address", "", with, append(likes, "request.query.sort", "price", "preference.sort", "price"), "", ""},
		{"a saved order that is this one", "", append(with, "own-sort", "best\nrecommended"), append(likes, "preference.sort", "Recommended"), order, ""},
		{"hidden and muted", "", with, append(likes, "preference.hidden", "7\n8", "preference.muted", "tea"), left + quiet + order, ""},
		{"page size", "", append(with, "first", "5"), list{"preference.page-size", "20"}, "why [As many on a page as you chose.]\nkeep #l [first=20]\n", ""},
		{"bad sorts", "", append(with, "sorts", "price=p sideways"), append(likes, "preference.sort", "price"), "", "the option sorts"},
	} {
		c.policy = "rank"
		c.try(t, false)
	}
	(&trial{"in JSON", "rank", list{"list", "/items", "attributes", "colour=/attributes/colour"}, append(likes, "preference.hidden", "7", "preference.muted", "tea"),
		"why [Without what you hid.]\nkeep /items [attr=id¶not=7]\nwhy [Without the topics that you muted.]\nkeep /items [attr=topic¶not=tea]\n" +
			"why [Ordered by what you looked at: black first.]\norder /items [weight./attributes/colour=black:3.5|brushed nickel:2¶by=affinity]\n", ""}).try(t, true)
}

func TestPrefer(t *testing.T) {
	with := list{"list", "#l", "filters", "brand=data-brand\nmax price=data-price max\nwithout=data-tag not", "sorts", "price=data-price number"}
	for _, c := range []trial{
		{"nothing saved", "", with, nil, "", ""},
		{"filters", "", with, list{"preference.filters", "brand=Delta, Kohler\nMax Price= 20 \nsize=9\nwithout=sale"},
			"why [Filtered as you saved it: brand Delta, Kohler.]\nkeep #l [attr=data-brand¶in=Delta| Kohler]\n" +
				"why [Filtered as you saved it: max price 20.]\nkeep #l [attr=data-price¶max=20]\n" +
				"why [Filtered as you saved it: without sale.]\nkeep #l [attr=data-tag¶not=sale]\n", ""},
		{"a price that is none", "", with, list{"preference.filters", "max price=cheap"}, "why [Filtered as you saved it: max price cheap.]\n", ""},
		// What is asked for now beats what was saved.
		{"a filter in the address", "", with, list{"preference.filters", "brand=Delta", "request.query.brand", "Kohler"}, "", ""},
		{"an order in the address", "", append(with, "sort-query", "by"), list{"preference.sort", "price", "request.query.by", "name"}, "", ""},
		{"all of it", "", with, list{"preference.sort", "price", "preference.page-size", "50", "preference.hidden", "7\n8", "preference.muted", "tea"},
			left + quiet + saved + "why [As many on a page as you chose.]\nkeep #l [first=50]\n", ""},
		{"no pages", "", append(with, "pages", "false"), list{"preference.page-size", "50"}, "", ""},
		{"bad filters", "", list{"list", "#l", "filters", "brand=b like"}, list{"preference.filters", "brand=x"}, "", "the option filters"},
	} {
		c.policy = "prefer"
		c.try(t, false)
	}
}

func TestFence(t *testing.T) {
	with := list{"inside", "harbour\nold town", "show", "#offer", "hide", "#far", "slot", "#where", "text", "Here in {fence}", "topic", "offers"}
	gone := "why [Without what is only for certain places.]\nremove #offer\n"
	in := "why [You seem to be in this area: old town.]\nunset-attr #offer [hidden]\nremove #far\ntext #where [Here in old town]\n"
	for _, c := range []trial{
		{"inside", "", with, list{"geo.fences", "station\nold town\n"}, in, ""},
		{"outside", "", with, list{"geo.fences", "station"}, gone, ""},
		{"not granted", "", with, nil, gone, ""},
		// Customization beats inference.
		{"inside, but muted", "", with, list{"geo.fences", "old town", "preference.muted", "offers"}, gone, ""},
		{"inside, something else muted", "", with, list{"geo.fences", "old town", "preference.muted", "tea"}, in, ""},
		{"nothing to do", "", list{"inside", "a"}, nil, "", "one of the options"},
	} {
		c.policy = "fence"
		c.try(t, false)
	}
}

func TestPersona(t *testing.T) {
	with := list{"variants", "teacher=.t\nexecutive=.e", "usual", ".u"}
	usual := "why [The same for everybody.]\nremove .t\nremove .e\n"
	for _, c := range []trial{
		{"seems", "", with, list{"profile.persona", "executive\t4.5\nteacher\t1"},
			"why [You seem to be interested in what is for: executive.]\nremove .t\nunset-attr .e [hidden]\nremove .u\n", ""},
		{"one without a variant", "", with, list{"profile.persona", "pirate\t9\nteacher\t1"},
			"why [You seem to be interested in what is for: teacher.]\nunset-attr .t [hidden]\nremove .e\nremove .u\n", ""},
		{"hardly", "", with, list{"profile.persona", "executive\t0.9"}, usual, ""},
		{"not granted", "", with, nil, usual, ""},
		{"no score", "", with, list{"profile.persona", "executive\tNaN"}, usual, ""},
		// Customization beats inference.
		{"says otherwise", "", with, list{"profile.persona", "executive\t9", "preference.filter.persona", "teacher"},
			"why [For teacher, as you chose.]\nunset-attr .t [hidden]\nremove .e\nremove .u\n", ""},
		{"says none", "", with, list{"profile.persona", "executive\t9", "preference.filter.persona", "nobody"}, usual, ""},
		{"a list", "", list{"list", "#l", "items", "li"}, list{"profile.persona", "executive\t9"},
			"why [You seem to be interested in what is for: executive.]\norder #l [weight.data-persona=executive:1¶by=affinity] [items=li]\n", ""},
		{"a list with a saved order", "", list{"list", "#l"}, list{"profile.persona", "executive\t9", "preference.sort", "price", "preference.hidden", "7\n8"},
			left + "why [You seem to be interested in what is for: executive.]\n", ""},
		{"nothing to do", "", nil, nil, "", "one of the options"},
	} {
		c.policy = "persona"
		c.try(t, false)
	}
}

func TestAds(t *testing.T) {
	with := list{"slot", "#ad"}
	label := "attr #ad [aria-label] [Advertisement]\nbefore #ad [Advertisement]\n"
	neutral := "why [Advertising that is not chosen by what you did.]\n" + label + "keep #ad [first=1]\n"
	chosen := "why [Advertising, chosen by what you seem to be interested in: cars.]\n" + label + "order #ad [weight.data-interest=cars:3|tea:1¶by=affinity]\n"
	for _, c := range []trial{
		{"interests", "", with, list{"profile.interests", "cars\t3\ntea\t1"}, chosen + "keep #ad [first=1]\n", ""},
		{"not granted", "", with, nil, neutral, ""},
		{"own label", "", append(with, "label", "Anzeige", "label-slot", ".lbl", "first", "2"), nil,
			"why [Advertising that is not chosen by what you did.]\nattr #ad [aria-label] [Anzeige]\ntext .lbl [Anzeige]\nkeep #ad [first=2]\n", ""},
		// Customization beats inference.
		{"muted", "", with, list{"profile.interests", "cars\t3\ntea\t1", "preference.muted", "cars"}, chosen + "keep #ad [attr=data-interest¶not=cars]\nkeep #ad [first=1]\n", ""},
	} {
		c.policy = "ads"
		c.try(t, false)
	}
}

func TestFeed(t *testing.T) {
	with := list{"list", "channel", "items", "item", "id", "from:guid", "topic", "from:category\nfrom:author", "source", "from:source@url",
		"attributes", "topic=data-topic", "sorts", "newest=from:pubDate date desc", "first", "20"}
	first := "why [The first ones of the list.]\nkeep channel [first=20] [items=item]\n"
	order := "why [Ordered by what you looked at: black first.]\norder channel [weight.data-topic=black:3.5|brushed nickel:2¶by=affinity] [items=item]\n"
	for _, c := range []trial{
		{"nobody", "", with, nil, first, ""},
		{"liked", "", with, list{"profile.affinity.topic", liked}, order + first, ""},
		{"chosen sources", "", with, list{"preference.filter.sources", "https://a/,https://b/"},
			"why [Only of the sources that you chose.]\nkeep channel [from=source@url¶in=https://a/|https://b/] [items=item]\n" + first, ""},
		// Customization beats inference.
		{"liked, but sorted, muted and hidden", "", with, list{"profile.affinity.topic", liked, "preference.sort", "newest", "preference.muted", "black", "preference.hidden", "7", "preference.page-size", "5"},
			"why [Without what you hid.]\nkeep channel [from=guid¶not=7] [items=item]\n" +
				"why [Without the topics that you muted.]\nkeep channel [from=category¶not=black] [items=item]\nkeep channel [from=author¶not=black] [items=item]\n" +
				"why [Sorted by newest, as you chose.]\norder channel [by=attr¶as=date¶from=pubDate¶dir=desc] [items=item]\n" +
				"why [As many on a page as you chose.]\nkeep channel [first=5] [items=item]\n", ""},
		{"alerts", "", list{"list", "#l", "alerts", ".alert"}, list{"preference.filter.alerts", "Off"}, "why [Without alerts, as you chose.]\nremove .alert\n", ""},
		{"alerts wanted", "", list{"list", "#l", "alerts", ".alert"}, list{"preference.filter.alerts", "on"}, "", ""},
	} {
		c.policy = "feed"
		c.try(t, false)
	}
}

func TestTheme(t *testing.T) {
	with := list{"themes", "light\ndark", "choices", "accent=teal|Plum", "heading", "h1", "tagline", ".tag", "logo", "#logo", "logos", "fox=/fox.svg\nbad=javascript:alert(1)", "longest", "12"}
	for _, c := range []trial{
		{"nothing chosen", "", with, nil, "", ""},
		{"chosen", "", with, list{"preference.theme", "dark", "preference.filter.accent", "plum", "preference.filter.heading", " My\u202e <b>shop ", "preference.filter.tagline", "far too long a line", "preference.filter.logo", "fox"},
			"why [The theme that you chose: dark.]\nremove-class html [theme-light]\nadd-class html [theme-dark]\n" +
				"why [The accent that you chose: plum.]\nremove-class html [accent-teal]\nadd-class html [accent-Plum]\n" +
				"why [The heading that you wrote.]\ntext h1 [My <b>shop]\nwhy [The tagline that you wrote.]\ntext .tag [far too long…]\n" +
				"why [The logo that you chose: fox.]\nattr #logo [src] [/fox.svg]\n", ""},
		{"not allowed", "", with, list{"preference.theme", "neon", "preference.filter.accent", "x onload=alert(1)", "preference.filter.logo", "https://evil.example/"}, "", ""},
		{"a theme of the site", "", append(with, "themes", "light\nocean"), list{"preference.theme", "light", "preference.filter.theme", "ocean"},
			"why [The theme that you chose: ocean.]\nremove-class html [theme-light]\nadd-class html [theme-ocean]\n", ""},
		{"an address that is refused", "", with, list{"preference.filter.logo", "bad"}, "why [The logo that you chose: bad.]\n", "logo: edit refused"},
	} {
		c.policy = "theme"
		c.try(t, false)
	}
}

func TestCard(t *testing.T) {
	with := list{"slogan", "#s", "longest", "10", "note", "#n", "colour", "#c", "colours", "red=#c00\nblue=#00c", "font", "#f", "fonts", "serif\nmono"}
	note := func(s string) string { return "why [What you wrote could not be used.]\ntext #n [" + s + "]\n" }
	for _, c := range []trial{
		{"nothing", "", with, nil, "", ""},
		{"written", "", with, list{"request.query.slogan", " Größe <1> ", "request.query.colour", "red", "request.query.font", "mono"},
			"why [The slogan that you wrote.]\ntext #s [Größe <1>]\nwhy [The colour that you chose: red.]\nattr #c [fill] [#c00]\nwhy [The font that you chose: mono.]\nadd-class #f [font-mono]\n", ""},
		{"saved", "", append(with, "colour-attribute", "stroke"), list{"preference.filter.slogan", "Hello", "preference.filter.colour", "blue"},
			"why [The slogan that you wrote.]\ntext #s [Hello]\nwhy [The colour that you chose: blue.]\nattr #c [stroke] [#00c]\n", ""},
		{"written beats saved", "", with, list{"preference.filter.slogan", "Hello", "request.query.slogan", "Bye"}, "why [The slogan that you wrote.]\ntext #s [Bye]\n", ""},
		{"as long as allowed", "", with, list{"request.query.slogan", "ÄÄÄÄÄÄÄÄÄÄ"}, "why [The slogan that you wrote.]\ntext #s [ÄÄÄÄÄÄÄÄÄÄ]\n", ""},
		{"too long", "", with, list{"request.query.slogan", "ÄÄÄÄÄÄÄÄÄÄÄ"}, note("At most 10 characters have room."), ""},
		{"turned text", "", with, list{"request.query.slogan", "a\u202eb"}, note("Some of these characters cannot be printed."), ""},
		{"a control character", "", with, list{"request.query.slogan", "a\x07b"}, note("Some of these characters cannot be printed."), ""},
		{"not Latin", "", append(with, "characters", "latin"), list{"request.query.slogan", "Привет"}, note("Only Latin letters, digits and usual punctuation can be printed."), ""},
		{"Latin", "", append(with, "characters", "latin"), list{"request.query.slogan", "Çok iyi!"}, "why [The slogan that you wrote.]\ntext #s [Çok iyi!]\n", ""},
		{"not allowed", "", with, list{"request.query.colour", "url(//evil)", "request.query.font", "x y"}, "", ""},
		{"nothing written", "", with, list{"request.query.slogan", "", "preference.filter.slogan", "Hello"}, "", ""},
	} {
		c.policy = "card"
		c.try(t, false)
	}
}

func TestCadence(t *testing.T) {
	with := list{"frequency", "/frequency", "reason", "/why/text"}
	says := func(f, why string) string {
		return "why [" + why + "]\nattr  [frequency] [\"" + f + "\"]\nattr /why [text] [\"" + why + "\"]\n"
	}
	for _, c := range []trial{
		{"not granted", "", with, nil, says("weekly", "As often as the site writes to everybody."), ""},
		{"as usual", "", append(with, "usual", "monthly"), list{"profile.engagement", "push\t0.9"}, says("monthly", "As often as the site writes to everybody."), ""},
		{"most", "", with, list{"profile.engagement", "push\t0\nmail\t0.5"}, says("daily", "Most of what is sent is looked at."), ""},
		{"some", "", with, list{"profile.engagement", "mail\t0.3"}, says("weekly", "Some of what is sent is looked at."), ""},
		{"little", "", with, list{"profile.engagement", "mail\t0.05"}, says("monthly", "Little of what is sent is looked at."), ""},
		// Customization beats inference.
		{"declared", "", with, list{"profile.engagement", "mail\t0.9", "preference.contact", "never"}, says("never", "As often as the subscriber chose."), ""},
		{"bad bounds", "", append(with, "often", "0.1", "seldom", "0.2"), nil, "", "seldom is above often"},
	} {
		c.policy = "cadence"
		c.try(t, true)
	}
}

func TestSummary(t *testing.T) {
	with := list{"amount", "/e/*/amount", "category", "/e/*/category", "list", "/summary", "total", "/total", "money", "€ {amount}"}
	entries := list{"page./e/*/amount", "12.5\n-2\n0.055\n100\nrubbish", "page./e/*/category", "Food\nfood\nFun\nRent\nRent"}
	sums := "why [Added up from this page.]\ntext /total [€ 110.55]\n"
	beside := "why [Added up from this page, beside the budgets that you set.]\n"
	for _, c := range []trial{
		{"without budgets", "", with, entries, sums + beside + "fill /summary [name=Food¶spent=€ 10.50¶¶name=Fun¶spent=€ 0.05¶¶name=Rent¶spent=€ 100.00¶¶]\n", ""},
		{"with budgets", "", with, append(entries, "preference.filters", "budget fun=0.5\nbudget rent=90\nbudget food=much"), sums + beside +
			"fill /summary [name=Food¶spent=€ 10.50¶¶name=Fun¶spent=€ 0.05¶budget=€ 0.50¶left=€ 0.45¶¶name=Rent¶spent=€ 100.00¶budget=€ 90.00¶over=€ 10.00¶¶]\n", ""},
		{"muted", "", with, append(entries, "preference.muted", "rent\nfun"), "why [Added up from this page.]\ntext /total [€ 10.50]\n" + beside + "fill /summary [name=Food¶spent=€ 10.50¶¶]\n", ""},
		{"the last days", "", append(with, "date", "/e/*/date", "days", "2"), append(entries, "page./e/*/date", "2026-03-01T10:00:00Z\n2026-02-28\n2026-02-27\n2026-02-28T23:00:00Z\n", "time.date", "2026-03-01"),
			"why [Added up from this page.]\ntext /total [€ 110.50]\n" + beside + "fill /summary [name=Food¶spent=€ 10.50¶¶name=Rent¶spent=€ 100.00¶¶]\n", ""},
		{"no entries", "", with, nil, "", ""},
		{"an entry without a category", "", with, list{"page./e/*/amount", "1\n2", "page./e/*/category", "a"}, "", "not every entry"},
		{"nothing to do", "", with[:4], entries, "", "one of the options"},
	} {
		c.policy = "summary"
		c.try(t, true)
	}
}

func TestLesson(t *testing.T) {
	with := list{"list", "#l", "level", "data-level"}
	first := "why [The first ones of the list.]\nkeep #l [first=5]\n"
	needs := list{"profile.affinity.needs", "fractions\t3\nangles\t1"}
	for _, c := range []trial{
		{"needs", "", with, needs, "why [First what you seem to need: fractions.]\norder #l [weight.data-skill=fractions:3|angles:1¶by=affinity]\n" + first, ""},
		{"not granted", "", with, nil, first, ""},
		// Customization beats inference.
		{"chosen", "", with, append(needs, "preference.filter.topic", "angles, sets", "preference.filter.level", "2", "preference.page-size", "3", "preference.hidden", "7\n8"),
			left + "why [At the level that you chose: 2.]\nkeep #l [attr=data-level¶in=2]\n" +
				"why [First what you chose to work on: angles, sets.]\norder #l [weight.data-skill=sets:1000000|angles:1000000|fractions:3|angles:1¶by=affinity]\n" +
				"why [As many on a page as you chose.]\nkeep #l [first=3]\n", ""},
		{"an order of their own", "", with, append(needs, "preference.sort", "easy first"), first, ""},
	} {
		c.policy = "lesson"
		c.try(t, false)
	}
}

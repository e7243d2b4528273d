package builtin_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// page carries the edits out; reasons are for others.
func page(t testing.TB, body string, syntax rewrite.Syntax, visits ...*visit) string {
	t.Helper()
	plan, err := rewrite.Compile(bodyEdits(visits), rewrite.Options{Charset: rewrite.UTF8, Syntax: syntax})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := rewrite.New(plan, &out)
	if _, err := r.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func document(t testing.TB, body string, visits ...*visit) string {
	t.Helper()
	plan, err := rewrite.CompileJSON(bodyEdits(visits), rewrite.JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(new(rewrite.JSONRewriter).Rewrite(nil, plan, []byte(body)))
}

func bodyEdits(visits []*visit) (edits []abi.Edit) {
	for _, x := range visits {
		for _, e := range x.edits {
			if e.Op.Body() {
				edits = append(edits, e)
			}
		}
	}
	return edits
}

// Two policies and all that a visitor saved, on one list: nothing that one of
// them leaves out comes back by the other.
func TestTogether(t *testing.T) {
	const shop = `<ul id=l>
<li data-bespoke-item=1 data-topic=tea data-colour=black data-price=3>1</li>
<li data-bespoke-item=2 data-topic=mugs data-colour=red data-price=9>2</li>
<li data-bespoke-item=3 data-topic="mugs, sale" data-colour=black data-price=7>3</li>
<li data-bespoke-item=4 data-topic=mugs data-colour=black data-price=90>4</li>
<li data-bespoke-item=5 data-topic=mugs data-colour=blue data-price=8>5</li>
<li data-bespoke-item=6 data-topic=mugs data-colour=black data-price=5>6</li>
</ul>`
	visitor := list{"config.list", "#l", "profile.affinity.colour", "black\t2", "preference.muted", "tea", "preference.hidden", "5", "preference.filters", "max=50"}
	rank := append(list{"config.attributes", "colour", "config.first", "3"}, visitor...)
	prefer := append(list{"config.filters", "max=data-price max"}, visitor...)
	items := func(page string) (found string) {
		for _, s := range strings.Split(page, "</li>") {
			found += s[len(s)-1:]
		}
		return strings.TrimSuffix(found, ">")
	}
	if got := items(page(t, shop, rewrite.HTML, runs(t, "rank", false, rank...), runs(t, "prefer", false, prefer...))); got != "362" {
		t.Errorf("by what is liked: %s", got)
	}
	sort := list{"config.sorts", "price=data-price number", "preference.sort", "price", "preference.page-size", "2"}
	got := items(page(t, shop, rewrite.HTML, runs(t, "rank", false, append(rank, sort...)...), runs(t, "prefer", false, append(prefer, sort...)...)))
	if got != "63" {
		t.Errorf("as saved: %s", got)
	}
	if got := page(t, shop, rewrite.HTML, runs(t, "rank", false, "config.list", "#l", "config.attributes", "colour"), runs(t, "prefer", false, "config.list", "#l")); got != shop {
		t.Errorf("for nobody:\n%s", got)
	}
}

// What a catalogue says becomes text, whatever it holds.
func TestShelfPage(t *testing.T) {
	const shop = `<h2>For you</h2><ul id=s><template><li><a data-fill="title href=url"></a><b>{{attr.colour}}</b><s data-fill-if="was">{{was}}</s></li></template><li>kept</li></ul>`
	x := runs(t, "shelf", false, "config.slot", "#s", "config.band", "for-you", "recommend.for-you?n=8",
		"id=1\ttitle=</template><script>alert(1)</script>\turl=javascript:alert(1)\tattr.colour=\"><img src=x onerror=alert(1)>\nid=2\ttitle={{id}}\turl=/2\twas=9")
	got := page(t, shop, rewrite.HTML, x)
	if strings.Contains(got, "<script") || strings.Contains(got, "<img") || strings.Contains(got, "javascript:") {
		t.Errorf("injected: %s", got)
	}
	if !strings.Contains(got, `<li><a data-fill="title href=url" href="/2">{{id}}</a><b></b><s data-fill-if="was">9</s></li>`) || strings.Contains(got, "kept") {
		t.Errorf("not filled: %s", got)
	}
	if got := page(t, shop, rewrite.HTML, runs(t, "shelf", false, "config.slot", "#s", "config.band", "for-you")); got != shop {
		t.Errorf("a hole: %s", got)
	}
}

func TestFeedPage(t *testing.T) {
	const rss = `<rss><channel><title>River</title>
<item><guid>1</guid><category>tea</category><pubDate>Mon, 02 Mar 2026 10:00:00 GMT</pubDate></item>
<item><guid>2</guid><category>mugs</category><pubDate>Tue, 03 Mar 2026 10:00:00 GMT</pubDate></item>
<item><guid>3</guid><category>mugs</category><pubDate>Wed, 04 Mar 2026 10:00:00 GMT</pubDate></item>
<item><guid>4</guid><category>mugs</category><pubDate>Thu, 05 Mar 2026 10:00:00 GMT</pubDate></item>
</channel></rss>`
	got := page(t, rss, rewrite.XML, runs(t, "feed", false, "config.list", "channel", "config.items", "item", "config.id", "from:guid", "config.topic", "from:category",
		"config.sorts", "newest=from:pubDate date desc", "config.first", "1", "preference.sort", "newest", "preference.hidden", "4", "preference.muted", "tea"))
	if strings.Count(got, "<item>") != 1 || !strings.Contains(got, "<guid>3</guid>") || !strings.Contains(got, "<title>River</title>") {
		t.Errorf("got %s", got)
	}
	got = document(t, `{"items":[{"id":1,"topic":["tea"]},{"id":2,"topic":["mugs"]},{"id":3,"topic":["mugs"]}]}`,
		runs(t, "feed", true, "config.list", "/items", "preference.hidden", "2", "preference.muted", "tea"))
	if got != `{"items":[{"id":3,"topic":["mugs"]}]}` {
		t.Errorf("got %s", got)
	}
}

func TestAdsPage(t *testing.T) {
	const slot = `<h6></h6><div id=ad><p>neutral</p><p data-interest=cars>cars</p><p data-interest=tea>tea</p></div>`
	for want, knows := range map[string]list{
		"neutral": nil,
		"cars":    {"profile.interests", "cars\t3\ntea\t1"},
		"tea":     {"profile.interests", "cars\t3\ntea\t1", "preference.muted", "cars"},
	} {
		got := page(t, slot, rewrite.HTML, runs(t, "ads", false, append(list{"config.slot", "#ad", "config.label-slot", "h6"}, knows...)...))
		if strings.Count(got, "<p") != 1 || !strings.Contains(got, ">"+want+"<") || !strings.Contains(got, `<h6>Advertisement</h6><div aria-label="Advertisement" id=ad>`) {
			t.Errorf("%s: got %s", want, got)
		}
	}
}

func TestCardPage(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg"><rect id="c" fill="#fff"/><text id="s" font-family="serif">Yours</text></svg>`
	got := page(t, svg, rewrite.XML, runs(t, "card", false, "config.slogan", "#s", "config.colour", "#c", "config.colours", "red=#c00", "config.font", "#s", "config.fonts", "mono=monospace",
		"request.query.slogan", "</text><script/>", "request.query.colour", "red", "request.query.font", "mono"))
	if want := `<svg xmlns="http://www.w3.org/2000/svg"><rect id="c" fill="#c00"/><text id="s" font-family="monospace">&lt;/text&gt;&lt;script/&gt;</text></svg>`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestDocuments(t *testing.T) {
	got := document(t, `{"subscriber":7,"why":{}}`, runs(t, "cadence", true, "config.frequency", "/frequency", "config.reason", "/why/text", "preference.contact", "monthly"))
	if want := `{"subscriber":7,"why":{"text":"As often as the subscriber chose."},"frequency":"monthly"}`; got != want {
		t.Errorf("got %s", got)
	}
	got = document(t, `{"e":[{"a":1.5,"c":"tea"}],"sums":[],"total":""}`, runs(t, "summary", true, "config.amount", "/e/*/a", "config.category", "/e/*/c", "config.list", "/sums", "config.total", "/total",
		"page./e/*/a", "1.5", "page./e/*/c", "tea", "preference.filters", "budget tea=1"))
	if want := `{"e":[{"a":1.5,"c":"tea"}],"sums":[{"name":"tea","spent":"1.50","budget":"1.00","over":"0.50"}],"total":"1.50"}`; got != want {
		t.Errorf("got %s", got)
	}
}

// BenchmarkShelfRankGreet is what three policies cost on a page of 30 KB with a
// list of 50 items and a shelf of 8: their runs, and the rewriting. "runs" is the
// first alone, "page" all of it.
func BenchmarkShelfRankGreet(b *testing.B) {
	m := loaded(b)
	var band strings.Builder
	for i := range 8 {
		n := strconv.Itoa(i)
		band.WriteString("id=" + n + "\ttitle=Item number " + n + "\turl=/item/" + n + "\timage=/i/" + n + ".svg\tprice=12.90\tattr.colour=black\tattr.finish=matt\n")
	}
	known := map[string]map[string]string{
		"shelf": keys("shelf", "config.slot", "#s", "config.band", "for-you", "recommend.for-you?n=8", band.String()),
		"rank": keys("rank", "config.list", "#l", "config.attributes", "colour\nfinish", "profile.affinity.colour", "black\t3.5\nred\t2\nblue\t1",
			"profile.affinity.finish", "matt\t2.25\nbrushed nickel\t1"),
		"greet": keys("greet", "config.slot", "#hello", "preference.name", "Jane"),
	}
	visits := make([]*visit, 0, 3)
	run := func() []*visit {
		visits = visits[:0]
		for name, values := range known {
			manifest, _ := m.Manifest(name)
			x := &visit{exchange{manifest: manifest, values: values}, false}
			if err := m.Run(context.Background(), abi.OnResponse, x); err != nil || len(x.edits) == 0 {
				b.Fatal(err, x.edits)
			}
			visits = append(visits, x)
		}
		return visits
	}
	b.Run("runs", func(b *testing.B) {
		for b.Loop() {
			run()
		}
	})
	var body strings.Builder
	body.WriteString("<!doctype html><title>Shop</title><p id=hello>Hello</p><ul id=s><li><a data-fill=\"title href=url\">x</a> {{price}}</li></ul>\n<ul id=l>\n")
	for i := range 50 {
		body.WriteString("<li data-colour=" + []string{"red", "black", "green"}[i%3] + " data-finish=matt><a href=/item/" + strconv.Itoa(i) + ">Item</a> <p>" + strings.Repeat("Some words about it. ", 26) + "</p></li>\n")
	}
	body.WriteString("</ul>")
	text := body.String()
	b.Run("page", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			page(b, text, rewrite.HTML, run()...)
		}
	})
}

package rewrite

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// An attack is a page by a hostile visitor, or one by a site that an edit
// could turn against it: the page runs nothing by itself, and may not after the edit.
type attack struct {
	page string
	edit abi.Edit
}

// hidden is markup that is text in HTML and runs in SVG and MathML, where style holds markup.
const hidden = `<style><!--</style><img title="--><img src=data:x onerror=__hit()>">`

func attacks() []attack {
	return []attack{
		// What is text in HTML is markup in SVG.
		{`<svg><g class=x></g></svg>`, edit(abi.OpAppend, ".x", "<textarea><script>__hit()</script></textarea>", "html")},
		{`<svg><g class=x></g></svg>`, edit(abi.OpAppend, ".x", "<textarea><a href=javascript:__hit()>t</a></textarea>", "html")},
		{`<math><mi class=x></mi></math>`, edit(abi.OpBefore, ".x", "<textarea><mi href=javascript:__hit()>t</mi></textarea>", "html")},
		{`<svg><g class=x></g></svg>`, edit(abi.OpAppend, ".x", `<iframe src="/"><a href="javascript:__hit()">t</a></iframe>`, "html")},
		{`<svg><g class=x></g></svg>`, edit(abi.OpAppend, ".x", `<title><img src=data:x onerror=__hit()></title>`, "html")},
		// What is around an element decides how it is read.
		{`<math><mtext><span class=x><mglyph>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<math><mi><b class=x><malignmark>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<math><annotation-xml><g class=x><svg><desc>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<svg><foreignObject class=x>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<svg><desc class=x>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<svg><p class=x>a</p>` + hidden, edit(abi.OpRemove, ".x")},
		{`<svg><b class=x>` + hidden, edit(abi.OpUnwrap, ".x")},
		{`<svg><br class=x>` + hidden, edit(abi.OpReplace, ".x", "T")},
		{`<div class=x><svg><p id=p>a</p><x-y>` + hidden + `</x-y></div>`, edit(abi.OpKeep, ".x", "drop=p")},
		{`<div class=x><svg><p data-n=2>a</p><x-y data-n=1>` + hidden + `</x-y></div>`, edit(abi.OpOrder, ".x", "by=attr\nattr=data-n")},
		{`<table class=x><math><mtext><table><mglyph>` + hidden, edit(abi.OpUnwrap, ".x")},
		// Attributes decide, too.
		{`<svg><font class=x color=red>` + hidden, edit(abi.OpUnsetAttr, ".x", "color")},
		{`<svg><font class=x face=a>` + hidden, edit(abi.OpUnsetAttr, ".x", "face")},
		{`<math><annotation-xml class=x encoding=text/html>` + hidden, edit(abi.OpUnsetAttr, ".x", "encoding")},
		{`<math><annotation-xml class=x encoding=text/html>` + hidden, edit(abi.OpAttr, ".x", "encoding", "a")},
		{`<script class=x type=text/plain>__hit()</script>`, edit(abi.OpUnsetAttr, ".x", "type")},
		{`<script class=x type=text/plain>__hit()</script>`, edit(abi.OpAttr, ".x", "type", "module")},
		{`<template class=x><script>__hit()</script></template>`, edit(abi.OpUnwrap, ".x")},
		{`<template class=x><script>__hit()</script></template>`, edit(abi.OpAttr, ".x", "shadowrootmode", "open")},
		{`<noscript class=x>` + hidden + `</noscript>`, edit(abi.OpUnwrap, ".x")},
		{`<textarea class=x><script>__hit()</script></textarea>`, edit(abi.OpUnwrap, ".x")},
		{`<svg><a class=x><set attributeName=href to=/ /></a></svg>`, edit(abi.OpAttr, "set", "to", "java\tscript:__hit()")},
		// Text where a script or style takes it.
		{`<svg><script><g class=x></g></script></svg>`, edit(abi.OpBefore, ".x", "__hit()")},
		{`<svg><style><g class=x></g></style></svg>`, edit(abi.OpAfter, ".x", "*{}")},
		{`<a class=x><p><svg><style></a></style></svg>`, edit(abi.OpAppend, ".x", "*{}")},
		{`<a class=x><p><svg><style></a></style></svg>`, edit(abi.OpAfter, ".x", "*{}")},
		{`<a class=x><p><svg><script></a></script></svg>`, edit(abi.OpAfter, ".x", "__hit()")},
		{`<form class=x><p><svg><style></form></style></svg>`, edit(abi.OpAppend, ".x", "*{}")},
		{`<nobr class=x><p><svg><style></nobr></style></svg>`, edit(abi.OpAfter, ".x", "<b>*{}</b>", "html")},
		{`<div class=x><svg><script>__hit()</div>`, edit(abi.OpAppend, ".x", "t")},
		{`<div class=x><svg><script>__hit()`, edit(abi.OpAppend, ".x", "t")},
		{`<svg><script><desc><p class=x>a</p></desc></script></svg>`, edit(abi.OpText, ".x", "__hit()")},
		{`<div class=x><p><svg><script>a</script></svg><b></b></div>`, edit(abi.OpKeep, ".x", "within=1\nlat=a\nlon=b\nat=1,1", "show=script")},
		// Samples that a pattern might read otherwise than browsers do.
		{`<svg class=x><g><![CDATA[><g title="]]><a href='"> {{v}} '><![CDATA[></g>]]></g></svg>`, edit(abi.OpFill, ".x", "v=' onclick=__hit() '")},
		{`<svg class=x><style>{{v}}</style></svg>`, edit(abi.OpFill, ".x", "v=*{}")},
		{`<svg class=x><g><script>{{v}}</script></g></svg>`, edit(abi.OpFill, ".x", "v=__hit()")},
		{`<math class=x><mtext><mglyph><style>{{v}}</style></mglyph></mtext></math>`, edit(abi.OpFill, ".x", "v=</style><img src=data:x onerror=__hit()>")},
		{`<ul class=x><li><svg><p>{{v}}<style>{{v}}</style></li></ul>`, edit(abi.OpFill, ".x", "v=*{}")},
		{`<select class=x><option><style>{{v}}</style><svg><script>{{v}}</script></select>`, edit(abi.OpFill, ".x", "v=__hit()")},
		{`<div class=x><p><noscript><style>{{v}}</noscript>{{v}}</p></div>`, edit(abi.OpFill, ".x", "v=</noscript><img src=data:x onerror=__hit()>")},
		{`<table class=x><tr><td><svg><desc><style>{{v}}</style></table>`, edit(abi.OpFill, ".x", "v=*{}")},
		// What stands on both sides of an edit becomes one.
		{`<p>1 <<b class=x>2</b></p>`, edit(abi.OpBefore, ".x", "img src=data:x onerror=__hit() ")},
		{`<p>1 <<b class=x>2</b></p>`, edit(abi.OpReplace, ".x", "img src=data:x onerror=__hit() ")},
		{`<p class=x>1 <</p>`, edit(abi.OpAppend, ".x", "img src=data:x onerror=__hit() ")},
		{`<p class=x>1 <<b>2</b>`, edit(abi.OpAppend, ".x", "img src=data:x onerror=__hit() ")},
		{`<p>1 <<b class=x></b>img src=data:x onerror=__hit()></p>`, edit(abi.OpRemove, ".x")},
		{`<p>1 <<b class=x></b>img src=data:x onerror=__hit()></p>`, edit(abi.OpUnwrap, ".x")},
		{`<p>1 <<b class=x>img src=data:x onerror=__hit()></b></p>`, edit(abi.OpUnwrap, ".x")},
		{`<p>1 <<br class=x>img src=data:x onerror=__hit()></p>`, edit(abi.OpRemove, ".x")},
		{`<p class=x>1 <<b></b>img src=data:x onerror=__hit()></p>`, edit(abi.OpKeep, ".x", "drop=a\nfirst=1\nattr=a\nin=b")},
		{`<p class=x>1 <<b>2</b>img src=data:x onerror=__hit()></p>`, edit(abi.OpFill, ".x", "")},
		{`<ul class=x><<template>img src=data:x onerror=__hit()></template></ul>`, edit(abi.OpFill, ".x", "v=1")},
		{`<ul class=x><li>a<<li id=n1>b</ul>`, edit(abi.OpOrder, ".x", "by=ids\nids=n1")},
		{`<p class=x>1 <<b>2</b></p>`, edit(abi.OpFill, ".x", "v=1")},
	}
}

// dangers are what runs in a page or restyles it: scripts and styles with their text,
// handlers, addresses that run.
func dangers(doc *nethtml.Node) []string {
	found := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type != nethtml.ElementNode {
			continue
		}
		if is(n, "script style") {
			text := ""
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				if c.Type == nethtml.TextNode {
					text += c.Data
				}
			}
			if text != "" {
				kind, _ := attrOf(n, "type")
				if n.Data == "style" { // there is one kind that counts
					kind = strings.Trim(kind, " ")
					found["style "+text] = kind == "" || strings.EqualFold(kind, "text/css")
				} else {
					found["script "+kind+" "+text] = !inTemplate(n)
				}
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || strings.HasPrefix(a.Key, "shadowroot") || runs(a.Key, a.Val) {
				found[n.Data+" "+a.Key+"="+a.Val] = true
			}
		}
	}
	var all []string
	for s, live := range found {
		if live {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

// moreDangers are those that the edited page has and the page has not.
func moreDangers(page, out string) []string {
	known := dangers(must(nethtml.Parse(strings.NewReader(page))))
	return slices.DeleteFunc(dangers(must(nethtml.Parse(strings.NewReader(out)))), func(s string) bool { return slices.Contains(known, s) })
}

// trapped is moreDangers of random pages. A formatting element that is left open
// goes on in what follows, so where edits take it away the page's own words may
// come to stand elsewhere: that is one of the differences that are allowed, and
// of such pages only words of edits count.
func trapped(page, out string) []string {
	more := moreDangers(page, out)
	if !formatting.MatchString(page) {
		return more
	}
	return slices.DeleteFunc(more, func(s string) bool { return !strings.Contains(s, "onx") && !strings.Contains(s, "*{}") })
}

var formatting = regexp.MustCompile(`(?i)<(a|b|i|font|nobr)[ />]`)

// No edit makes a page run what it did not.
func TestAttacks(t *testing.T) {
	for _, a := range attacks() {
		p, err := Compile([]abi.Edit{a.edit}, Options{})
		if err != nil {
			continue // refused, which is as good
		}
		out, _ := rewriteAt(t, p, a.page)
		if more := moreDangers(a.page, out); len(more) > 0 {
			t.Errorf("%v on %s\ngives %s\nwhich has %q", a.edit, a.page, out, more)
		}
	}
}

// randomTrap is a page of the tags that browsers read in more than one way.
func randomTrap(rnd *rand.Rand, size int) string {
	g := &pageWriter{Rand: rnd}
	tags := strings.Fields("svg svg math math style style title desc foreignObject mtext mi annotation-xml mglyph malignmark font p b a table tr td select option template form textarea noscript script iframe xmp li div g br img button x-y nobr body")
	for g.b.Len() < size {
		switch g.IntN(10) {
		case 0, 1, 2, 3, 4:
			name := g.one(tags...)
			g.put("<", name)
			switch g.IntN(6) {
			case 0:
				g.put(g.one(" color=a", " encoding=text/html", " type=hidden", " type=application/json", " size"))
			case 1, 2:
				g.put(" class=c", g.one("1", "2"))
			case 3:
				g.put(g.one(` data-n=1`, ` data-n=2 id=n2`, ` id=n1`))
			}
			g.put(g.one(">", ">", ">", ">", "/>"))
		case 5, 6:
			g.put("</", g.one(tags...), ">")
		case 7:
			g.put(`<u title="`, g.one("-->", "]]>", "</style>", "</title>", "</textarea>", "</script>", "</noscript>", "'>", "</select>", "</xmp>"), fmt.Sprintf(`<q onclick=h%d()>">`, g.IntN(1000)))
		case 8:
			g.put(g.one("<!--", "-->", "<![CDATA[", "]]>", "{{v}}", "t", "<!-->", `<u title='`, `'>`, "<", "</", "&", "t<"))
		default:
			g.put(g.one("t", " ", "{{v}}", fmt.Sprintf("q onclick=h%d()>", g.IntN(1000)), "/p>", "!--"))
		}
	}
	return g.b.String()
}

// randomTrapEdits are edits that reach into traps, with what would run as their values.
func randomTrapEdits(rnd *rand.Rand, n int) (list []abi.Edit) {
	g := &pageWriter{Rand: rnd}
	for len(list) < n {
		e := g.edit()
		e.Target = g.one(".c1", ".c1", ".c2", "#n1", "#n2", "p", "b", "li", "style", "svg *", "math *", "font", "a", "form", "template", "*")
		switch e.Op {
		case abi.OpText, abi.OpHTML, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend, abi.OpReplace:
			e.A = "x<i onx=1>'\"*{}"
			if e.Op == abi.OpHTML || e.B == "html" {
				e.A = g.one("<b>x</b>", "<p>x</p>", "<svg><g>x</g></svg>", "<textarea>&lt;i onx=1></textarea>", "<a>x</a>", "<table><tbody><tr><td>x</td></tr></tbody></table>", "<math><mtext>x</mtext></math>", "<input>", "<select><option>x</option></select>", "<!-- x -->", "<form></form>", "<li>x</li>")
			}
		case abi.OpAttr:
			e.A, e.B = g.one("title", "color", "encoding", "class", "size"), g.one("text/html", "'\"><i onx=1>", "hidden", "")
		case abi.OpUnsetAttr:
			e.A = g.one("color", "encoding", "class", "size", "title")
		case abi.OpOrder:
			e.A, e.B = g.one("by=attr\nattr=data-n\ndir=desc", "by=ids\nids=n2 n1"), ""
		case abi.OpKeep:
			e.A, e.B = g.one("first=1", "drop=n1", "ids=n2"), ""
		case abi.OpFill:
			e.A = "v=x<i onx=1>'\" onx=2 *{}\n\nv=y"
		}
		if Check(e) == abi.Accepted {
			list = append(list, e)
		}
	}
	return list
}

func trap(seed uint64) (page string, edits []abi.Edit) {
	rnd := rand.New(rand.NewPCG(seed, 21))
	return randomTrap(rnd, 50+rnd.IntN(400)), randomTrapEdits(rnd, 1+rnd.IntN(3))
}

func TestTraps(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 2000
	}
	changed := 0
	for seed := range rounds {
		page, edits := trap(uint64(seed))
		out, _ := rewriteAt(t, compile(t, Options{}, edits...), page)
		if more := trapped(page, out); len(more) > 0 {
			t.Fatalf("seed %d: %v on %s\ngives %s\nwhich has %q", seed, edits, page, out, more)
		}
		if out != page {
			changed++
		}
	}
	if changed < rounds/6 {
		t.Errorf("%d of %d pages were edited", changed, rounds)
	}
}

func FuzzTraps(f *testing.F) {
	for i, a := range attacks() {
		f.Add(a.page, uint64(i))
	}
	for i := range uint64(20) {
		page, _ := trap(i)
		f.Add(page, i)
	}
	f.Fuzz(func(t *testing.T, page string, seed uint64) {
		if strings.Contains(strings.ToLower(page), "<frameset") {
			return // see doc.go
		}
		edits := randomTrapEdits(rand.New(rand.NewPCG(seed, 21)), 1+int(seed%3))
		out, _ := rewriteAt(t, compile(t, Options{MaxDepth: 100}, edits...), page)
		if more := trapped(page, out); len(more) > 0 {
			t.Fatalf("%v on %s\ngives %s\nwhich has %q", edits, page, out, more)
		}
	})
}

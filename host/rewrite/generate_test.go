package rewrite

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"bespoke/modules/abi"
)

// A pageWriter writes random pages: well formed as browsers see it, with end
// tags left out where HTML lets them be.
type pageWriter struct {
	*rand.Rand
	b    strings.Builder
	ids  int
	deep int
}

func randomPage(rnd *rand.Rand, size int) string {
	g := &pageWriter{Rand: rnd}
	g.b.WriteString("<!DOCTYPE html>\n<html lang=en>\n<head><meta charset=utf-8><title>a &amp; b</title>\n<script>if (a<b) { x = '<b>' } <!-- <script> </script> --></script><style>p > b {}</style></head>\n<body")
	g.attrs()
	g.b.WriteString(">\n")
	for g.b.Len() < size {
		g.block()
	}
	g.b.WriteString("</body></html>") // the parser moves space after these into body
	return g.b.String()
}

func (g *pageWriter) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *pageWriter) put(s ...string) {
	for _, x := range s {
		g.b.WriteString(x)
	}
}

func (g *pageWriter) attrs() {
	for g.IntN(2) == 0 {
		switch g.IntN(14) {
		case 0:
			if !strings.Contains(g.tagSoFar(), "id=") {
				g.ids++
				g.put(fmt.Sprintf(` id=n%d`, g.ids))
			}
		case 1:
			g.put(` class="`, g.one("c1", "c2", "c1 c2", " c2  c3 ", "c&amp;d"), `"`)
		case 2:
			g.put(` class=`, g.one("c1", "c2", "c3"))
		case 3:
			g.put(fmt.Sprintf(" data-n=%d", g.IntN(20)))
		case 4, 9, 10, 11:
			g.put(fmt.Sprintf(` data-lat='%d.5' data-lon="%d"`, g.IntN(170)-85, g.IntN(350)-175))
		case 5:
			g.put(g.one(` title="a > b"`, ` title='"'`, ` TITLE=x/y`, ` title = "&quot;&lt;"`, ` title`))
		case 6:
			g.put(g.one(` hidden`, ` hidden=""`, ` / hidden`))
		case 7:
			g.put(g.one(` href="/x?a=1&copy=2"`, ` href='#'`, ` href=//h/p`))
		case 8:
			g.put("\n")
		case 12:
			g.put(` data-tag="`, g.one("red", "Blue", "red, green", "green,blue", "a|b", ""), `"`)
		case 13:
			g.put(` data-d=`, g.one("2024-02-29", "2023-12-31", "2024-02-29T10:00:00Z", "2024-02-29T10:00:00+02:00", "soon"))
		}
	}
}

func (g *pageWriter) tagSoFar() string {
	s := g.b.String()
	return s[strings.LastIndexByte(s, '<'):]
}

func (g *pageWriter) open(name string) {
	g.put("<", name)
	g.attrs()
	g.put(">")
}

func (g *pageWriter) element(name string, inside func()) {
	g.open(name)
	g.deep++
	inside()
	g.deep--
	g.put("</", name, g.one("", "", " "), ">")
}

func (g *pageWriter) text() {
	g.put(g.one("word ", "{{v}}", "a &lt; b ", "1 < 2 ", "&amp;", "x", " ", "\n", "é ", "</>", "<!-- a <b> -- > -->", "<!-->", "<?php x>", "<!bogus>", "&no", "&#66", "6x", "t;"))
}

func (g *pageWriter) inline() {
	for range g.IntN(4) {
		switch k := g.IntN(12); {
		case k < 6 || g.deep > 8:
			g.text()
		case k < 9:
			g.put(g.one("", "", "", "<")) // which is text
			g.element(g.one("b", "i", "em", "span", "SPAN", "small", "x-y", "custom-element"), g.inline)
		case k == 9:
			g.put(g.one("", "", "", "<"))
			g.open(g.one("br", "img", "input"))
		case k == 10:
			g.element("svg", func() {
				g.put("<g")
				g.attrs()
				g.put(" />")
				g.element("g", func() { g.element("text", g.text) })
				g.element("desc", func() { g.element("span", g.text) })
				g.put("<style>.a > .b{}</style>")
			})
		default:
			// Not a newline first: see what doc.go says of it.
			g.element(g.one("button", "label", "textarea"), func() { g.put("x"); g.text() })
		}
	}
}

func (g *pageWriter) blocks() {
	for range g.IntN(4) {
		g.block()
	}
}

// sample is markup with slots, for fill.
func (g *pageWriter) sample() string {
	return g.one("<li>{{v}}</li>", "<li id=s title='{{w}}'>{{ v }}, {{w}}</li>", "<li class=c1><b data-fill='v title=w'>sample</b></li>\n", "<li>{{v}}<a href=\"/x?q={{v}}\" data-fill-if=w>{{w}}</a></li>",
		"<li><a href={{u}}>{{v}}</a><i data-fill=v><b>x</b></i>", "<li data-n={{w}}>{{none}}<textarea>x{{v}}</textarea>", "<li><a data-fill='href=u w' href=/>x</a><!-- {{v}} --></li>", "<li id='i{{v}}'>{{x}<p>{{v}}</p></li>")
}

func (g *pageWriter) items() string {
	s := ""
	for range g.IntN(5) {
		s += g.one("v=1\n", "v=<b>&amp;\nw=2\n", "v=a\"b'c\nw=\nu=/p?q=1\n", "v=é \nw=x\nu=javascript:alert(1)\n", "w={{v}}\nu=https://h/?a=1&copy=2\n") + "\n"
	}
	return s
}

// item opens name and leaves its end tag out now and then.
func (g *pageWriter) item(name string, inside func()) {
	g.open(name)
	g.deep++
	inside()
	g.deep--
	if g.IntN(2) == 0 {
		g.put("</", name, ">", g.one("", "\n", "\n  "))
	}
}

func (g *pageWriter) block() {
	if g.deep > 8 {
		g.text()
		return
	}
	switch g.IntN(13) {
	case 0, 1:
		g.element(g.one("div", "section", "article", "DIV", "blockquote"), g.blocks)
	case 2, 3:
		g.element(g.one("ul", "ol"), func() {
			g.put(g.one("", "\n"))
			if g.IntN(4) == 0 {
				g.put("<template>", g.one("", "\n "), g.sample(), "</template>", g.one("", "\n  "))
			}
			for range g.IntN(6) {
				g.item("li", g.one2(g.inline, g.blocks))
			}
		})
	case 4:
		g.element("dl", func() {
			for range g.IntN(4) {
				g.item(g.one("dt", "dd"), g.inline)
			}
		})
	case 5:
		// A paragraph without an end tag, followed by what ends it.
		g.open("p")
		g.inline()
		g.put(g.one("</p>", "<hr>", "<p>x</p>", "<div>y</div>"))
	case 6:
		g.element("table", func() {
			g.put("<tbody>")
			for range g.IntN(4) {
				g.item("tr", func() {
					for range g.IntN(3) {
						g.open(g.one("td", "th"))
						g.inline()
						if g.IntN(2) == 0 {
							g.put("</td></th>")
						}
					}
				})
			}
		})
	case 7:
		g.element("select", func() {
			for range g.IntN(3) {
				g.open("option")
				g.put("x")
			}
		})
	case 8:
		g.element(g.one("h1", "h2", "h3"), g.inline)
	case 9:
		g.element("a", g.inline)
	case 10:
		g.put(g.one("<template><li class=c1>t<p>", "<template><b>x</b>"), "</template>")
	case 11:
		g.put(g.one("<script>document.write('<b class=c1>')</script>", "<noscript><p class=c1></noscript>", "<style>b{}</style>"))
	default:
		g.text()
	}
}

func (g *pageWriter) one2(of ...func()) func() { return of[g.IntN(len(of))] }

// soup is markup that parsers repair.
func randomSoup(rnd *rand.Rand, size int) string {
	g := &pageWriter{Rand: rnd}
	tags := strings.Fields("a b p div li ul table tr td tbody span select option form button svg math mi g title script style textarea h1 body html head template br frameset plaintext nobr desc foreignobject x-y custom-element")
	for g.b.Len() < size {
		switch g.IntN(5) {
		case 0, 1:
			g.open(g.one(tags...))
		case 2:
			g.put("</", g.one(tags...), ">")
		case 3:
			g.text()
		default:
			g.put(g.one("<!--", "-->", "--!>", "<", "</", "<a b='", "'>", "\"", "=", "<![CDATA[", "]]>", "/>", "<!", "&", "\x00", "\xff", "<!doctype html>", "</script", "<!--<script>"))
		}
	}
	return g.b.String()
}

// selector returns a selector of any kind that pages of pageWriter may match.
func (g *pageWriter) selector() string {
	s := g.complex(2)
	if g.IntN(6) == 0 {
		s += ", " + g.complex(1)
	}
	return s
}

// complex returns compounds with combinators; deep bounds how pseudo-classes nest.
func (g *pageWriter) complex(deep int) string {
	s := g.compound(deep)
	for g.IntN(5) < 2 {
		s = g.compound(deep-1) + g.one(" ", " ", " > ", ">", " + ", "+", " ~ ", "~") + s
	}
	return s
}

func (g *pageWriter) compound(deep int) string {
	s := ""
	switch g.IntN(6) {
	case 0:
		s = "*"
	case 1:
		s = g.one(".c1", ".c2", ".c2.c1", ".c3")
	case 2:
		s = g.attrTest()
	default:
		s = g.one("p", "li", "li", "ul", "ol", "b", "i", "span", "div", "DIV", "section", "td", "tr", "a", "dt", "dd", "option", "g", "text", "h1", "blockquote", "article", "body", "table", "custom-element", "em", "small", "br", "img")
	}
	switch g.IntN(10) {
	case 0:
		s += g.one(".c1", ".c2", g.attrTest())
	case 1:
		s += fmt.Sprintf("#n%d", 1+g.IntN(9))
	}
	for g.IntN(5) < 2 && deep > 0 {
		s += g.pseudo(deep - 1)
	}
	return s
}

func (g *pageWriter) attrTest() string {
	return g.one("[data-n]", "[data-n='3']", "[data-n=\"1\"]", "[title^='a']", "[title$='b' ]", "[title*='>']", "[class~=c2]", "[class|=c1]", "[hidden]", "[HREF*=x]", "[title='A > B' i]", "[class*=C1 i]", "[title^=A s]", "[lang|=en]", "[data-n$='1']", "[title='']")
}

func (g *pageWriter) pseudo(deep int) string {
	switch g.IntN(12) {
	case 0:
		return g.one(":first-child", ":last-child", ":only-child")
	case 1:
		return g.one(":first-of-type", ":last-of-type", ":only-of-type")
	case 2, 3:
		of := ""
		if g.IntN(3) == 0 {
			of = " of " + g.one("li", ".c1", "b, i", "[data-n]", "p, .c2", ":not(.c1)", "*")
		}
		return ":" + g.one("nth-child", "nth-last-child") + "(" + g.formula() + of + ")"
	case 4:
		return ":" + g.one("nth-of-type", "nth-last-of-type") + "(" + g.formula() + ")"
	case 5:
		return ":empty"
	case 6:
		return ":root"
	case 7, 8:
		return ":not(" + g.complex(deep) + ")"
	case 9:
		return g.one(":is(", ":where(") + g.complex(deep) + ", " + g.complex(deep) + ")"
	}
	for {
		inner := g.complex(deep)
		if !strings.Contains(inner, ":has(") {
			return ":has(" + g.one("", "", "> ", "+ ", "~ ", ">") + inner + ")"
		}
	}
}

func (g *pageWriter) formula() string {
	return g.one("odd", "even", "2", "1", "3", "n", "2n", "2n+1", "3n - 1", "-n+3", "n+2", "-2n+5", "0n+1", "+3n+1", "2N", "-n + 2")
}

// randomEdits returns edits whose targets may occur in pages of pageWriter.
func randomEdits(rnd *rand.Rand, n int) []abi.Edit {
	g := &pageWriter{Rand: rnd}
	var list []abi.Edit
	for len(list) < n {
		if e := g.edit(); Check(e) == abi.Accepted {
			list = append(list, e)
		}
	}
	return list
}

// edit returns an edit of any kind; some are refused.
func (g *pageWriter) edit() abi.Edit {
	e := abi.Edit{Op: abi.OpText + abi.Op(g.IntN(int(abi.OpFill)))}
	if e.Target = g.selector(); g.IntN(2) == 0 {
		e.Target = g.one("p", "li", "b", "span", "div", ".c1", ".c2.c1", "li.c1", "#n1", "#n3", "#n5", "[data-n]", "[data-n='3']", "[title^='a']",
			"ul > li", "div p", "div > p", ".c1 .c2", "body .c3", "td", "tr", "option", "select", "table", "dt, dd", "svg g", "g", "text", "desc", "h1, h2", "a", "br", "meta",
			"textarea", "script", "title", "style", "custom-element", "section li b", "input", "html", "body", "head", "template", "[hidden]", "ul, #n2", "li:last-child", "li:not(:has(b))")
	}
	switch e.Op {
	case abi.OpText:
		e.A = g.one("T1", "<b>&amp;", "é\"'", "</li>", "-->")
	case abi.OpHTML:
		e.A = g.markup()
	case abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend, abi.OpReplace:
		if e.A = g.one("T1", "<b>&amp;", "é\"'", "</li>", "-->"); g.IntN(2) == 0 {
			e.A, e.B = g.markup(), "html"
		}
	case abi.OpAttr:
		e.A, e.B = g.one("title", "data-n", "href", "class"), g.one("v", "a\"b<c>&amp;", "")
	case abi.OpUnsetAttr:
		e.A = g.one("title", "data-n", "hidden", "class", "id", "charset")
	case abi.OpAddClass, abi.OpRemoveClass:
		e.A = g.one("c1", "c2", "c9", "c&d")
	case abi.OpOrder:
		e.Target = g.one("ul", "ol", "dl", "#n2", "tbody", ".c1", "select", "section", "ul:has(b)", "div > :last-child")
		e.A, e.B = g.order(), g.how()
	case abi.OpKeep:
		e.Target = g.one("ul", "ol", "dl", "#n2", "tbody", ".c1", "article", "ul:not(.c1)", "ol:nth-of-type(odd)")
		e.A, e.B = g.keep(), g.how()
	case abi.OpFill:
		e.Target = g.one("ul", "ul", "ol", "dl", ".c1", "ul:has(template)", "tbody", "#n2", "div")
		e.A = g.items()
	}
	if !strings.Contains(e.A, "lat=") && strings.Contains(e.B, "show=") {
		e.B = ""
	}
	return e
}

func (g *pageWriter) markup() string {
	return g.one("<b>m</b>", "x &amp; <i title=\"a&quot;b>c\">m</i>y", "<p class=k>m</p>", "<div><ul><li>m</li><li>n</li></ul></div>", "<br><img alt='' src=/m.png>m",
		"<li>m</li>", "<td>m</td>", "<tr><td>m</td></tr>", "<option>m</option>", "<h3>m</h3>", "<a href=\"/m\">m</a>", "plain", "<!-- m --><em><small>m</small></em>", "<table><tbody><tr><td>m</td></tr></tbody></table>", "<svg><g><text>m</text></g></svg>")
}

const place = "\nlat=data-lat\nlon=data-lon\nat=10,20"

func (g *pageWriter) order() string {
	if g.IntN(4) == 0 {
		return "by=affinity\nweight.data-tag=" + g.one("red:1|blue:0.5", "green:2|red:-1|blue:2", "a|b:1:3") + g.one("", "\nweight.data-n=3:5|4:0.25|1:-2", "\nweight.class=c1:1") + g.one("", "\ndecay=0.9", "\ndecay=1")
	}
	return g.one("by=distance"+place, "by=distance"+place, "by=distance"+place, "by=attr\nattr=data-n\nas=number", "by=attr\nattr=data-n\nas=number\ndir=desc", "by=attr\nattr=title\ndir=desc", "by=ids\nids=n4 n2 n9",
		"by=attr\nattr=data-d\nas=date", "by=attr\nas=text\nfrom="+g.one("b", "b@data-n", "span@title", ".c1", "td", "[data-n]@data-n"))
}

func (g *pageWriter) keep() string {
	s := ""
	if g.IntN(2) == 0 {
		s += g.one("first=1\n", "first=2\n", "first=3\n")
	}
	switch g.IntN(6) {
	case 0, 1:
		return s + "within=9000" + place
	case 2:
		return s + g.one("ids=n1 n2 n3 n4", "drop=n1 n3 n5", "ids=", "ids=n2 n3 n4 n5\ndrop=n3")
	case 3, 4:
		return s + g.one("attr=data-n\n", "attr=data-tag\n", "from=b\n", "from=[data-n]@data-n\n") + g.one("in=red|3|m|x", "not=green|4", "min=3", "max=10\nmin=2", "in=red|blue\nnot=green")
	}
	return s + g.one("first=4", "drop=n7")
}

func (g *pageWriter) how() string {
	s := g.one("", "", "items=.c1\n", "items=li\n")
	return s + g.one("", "show=b", "show=.c2", "show=span\nunit=mi", "show=*", "show=*\nunit=mi")
}

package rewrite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// hostile are values that try to be more than text.
var hostile = []string{
	"<b>", "</b>", "<b", "<", ">", "&", "&lt;b&gt;", "&#60;b&#62;", "&LT;b>", "&lt", "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<ScRiPt>",
	"\"><b>", "'><b>", "\" onclick=\"x", "' onclick='x", "` onclick=`x", "\" onclick=x a=\"", "/><b>", " onclick=x", "\nonclick=x", "a=b", "\">", "\"/>", "\"", "'", "`", "=", "/",
	"<!--", "-->", "--!>", "<!-->", "<!--><b>", "]]>", "<![CDATA[<b>]]>", "<?x?>", "<!doctype html>", "</title><b>", "</textarea><b>", "</style><b>", "</svg><b>", "</template><b>",
	"</p><b>", "</ul></div><b>", "<plaintext>", "<svg onload=x>", "<math><mi xlink:href=javascript:x>", "<img src=x onerror=x>", "<iframe srcdoc='<b>'>", "<base href=//x>",
	"<meta http-equiv=refresh content=0>", "<body onload=x>", "<a href=javascript:x>", "<template><b>", "<noscript><b>", "<xmp><b></xmp>", "{{x}}", "${x}", "<%x%>", "\u2028", "\u2029",
	"\ufeff<b>", "\u202e<b>", "\ufffe", "\U0001f600", "\u00a0", "\x7f", "\x01", "\x1b[31m", "\r\n<b>", "\t", "\n", "\f<b>", "\v", "+ADw-script+AD4-", "\u017fcript", "\uff1cscript\uff1e", "¼script¾", "\u3008b\u3009",
	"&quot;><b>", "&#34;><b>", "&apos;><b>", "&NewLine;", "&Tab;", "&colon;", "&#x3c;b&#x3e;", "&#0060;b>", "&am", "&am\u0070;lt;b>", "%3Cb%3E", "\\u003cb\\u003e", "\\\"><b>", "\\x3cb\\x3e",
	"javascript:alert(1)", "JAVASCRIPT:alert(1)", "java\tscript:x", " javascript:x", "data:text/html,<script>x</script>", "vbscript:x", "javascript&colon;x", "java\u0000script:x",
	"expression(x)", "url(javascript:x)", "</style><script>x</script>", "<<b>", "<b<i>", "<//b>", "< b>", "<\u0000b>", "<b\n>", "</\nb>", "<a/b>", "<b/onclick=x>", "<b\fonclick=x>",
	"<select><b>", "</select><b>", "<option>", "<tr><td>", "</td></tr></table><b>", "<form action=//x>", "<input type=hidden>", "<button formaction=javascript:x>", "<object data=x>", "<embed src=x>",
	"<link rel=import href=x>", "<style>*{}</style>", "<svg><script>x</script></svg>", "<math href=javascript:x>", "<details open ontoggle=x>", "<video><source onerror=x>", "<marquee onstart=x>", "<frameset onload=x>",
	"\" style=\"x", "\" srcdoc=\"<b>", "x\" y=\"z", "x' y='z", "x y=z", "x>y", "x<y", "x&y", "x\"y", strings.Repeat("<b>", 50), strings.Repeat("&", 50), strings.Repeat("\"", 50), strings.Repeat("é", 50),
}

// places are pages with the element #x (or .x) at a place that has its own rules.
var places = []string{
	`<p id=x class=x>a</p>`, `<p id=x class='a x'>a<p>b`, `<ul><li id=x class=x>a<li>b</ul>`, `<title id=x class=x>a</title><p>b`, `<textarea id=x class=x>a</textarea>`,
	`<script id=x class=x>a</script>`, `<style id=x class=x>a</style>`, `<select><option id=x class=x>a<option>b</select>`, `<table><tr><td id=x class=x>a</table>`, `<table id=x class=x><tr><td>a</table>`,
	`<table><tbody id=x class=x><tr><td>a</table>`, `<table><tr id=x class=x><td>a</table>`, `<svg><g id=x class=x>a</g></svg>`, `<svg><title id=x class=x>a</title></svg>`, `<svg><style id=x class=x>a</style></svg>`,
	`<svg><foreignObject id=x class=x><p>a</foreignObject></svg>`, `<math><mi id=x class=x>a</mi></math>`, `<a id=x class=x href="/">a</a>b`, `<img id=x class=x src=a>b`, `<br id=x class=x>`, `<b><p id=x class=x>a</b>b</p>`,
	`<a>a<a id=x class=x>b</a>`, `<pre id=x class=x>a</pre>`, `<button id=x class=x>a</button>`, `<noscript id=x class=x>a</noscript>`, `<iframe id=x class=x>a</iframe>`, `<template id=x class=x>a</template>`, `<xmp id=x class=x>a</xmp>`,
	`<html><head id=x class=x></head><body>a`, `<html id=x class=x><body>a`, `<html><body id=x class=x>a</body></html>`, `<frameset id=x class=x></frameset>`, `<plaintext id=x class=x>a`, `<table><caption id=x class=x>a</table>`,
	`<table><colgroup id=x class=x><col></table>`, `<select id=x class=x><option>a</select>`, `<html><head><meta id=x class=x></head><body>a`, `<html><head><link id=x class=x><title>a</title></head><body>a`, `<div><p>a<div id=x class=x>b</div></div>`,
	`<dl><dt>a<dd id=x class=x>b</dl>`, `<ruby>a<rt id=x class=x>b</ruby>`, `<p id=x class=x data-a=1 title='a' title=b>a`, `<p/id=x/class=x/>a`, `<h1 id=x class=x>a<h2>b</h2>`, `<x-y id=x class=x>a</x-y>`, `<!doctype html><p><table id=x class=x></table>`,
}

// structure lists the elements of a page with their attributes' names, and the values of some.
func structure(page string) (elements, attrs []string) {
	doc := must(nethtml.Parse(strings.NewReader(page)))
	for n := range doc.Descendants() {
		if n.Type == nethtml.TextNode {
			continue
		}
		elements = append(elements, fmt.Sprint(n.Type, n.Namespace, " ", n.Data))
		for _, a := range n.Attr {
			attrs = append(attrs, n.Data+" "+a.Key)
		}
	}
	return elements, attrs
}

// No value, in no operation, at no place, makes an element or attribute that the operation does not mean.
func TestHostileValues(t *testing.T) {
	if len(hostile) < 140 {
		t.Fatalf("%d values", len(hostile))
	}
	for _, page := range places {
		elements, attrs := structure(page)
		// What text leaves of the page, a harmless one tells.
		harmless, _ := rewriteAt(t, compile(t, Options{}, edit(abi.OpText, ".x", "T")), page)
		fewer, fewerAttrs := structure(harmless)
		for _, v := range hostile {
			edits := []abi.Edit{
				edit(abi.OpText, ".x", v), edit(abi.OpBefore, ".x", v), edit(abi.OpAfter, ".x", v), edit(abi.OpPrepend, ".x", v), edit(abi.OpAppend, ".x", v),
				edit(abi.OpAddClass, ".x", v), edit(abi.OpRemoveClass, ".x", v), edit(abi.OpAttr, ".x", v, "y"), edit(abi.OpUnsetAttr, ".x", v),
			}
			for _, name := range []string{"title", "href", "src", "data-a", "srcset", "xlink:href", "class", "value", "alt"} {
				edits = append(edits, edit(abi.OpAttr, ".x", name, v))
			}
			for _, e := range edits {
				if Check(e) != abi.Accepted {
					continue
				}
				for _, cs := range []Charset{UTF8, {}} {
					got, rep := rewriteAt(t, compile(t, Options{Charset: cs}, e), page)
					want, allowed := elements, attrs
					if e.Op == abi.OpText {
						want, allowed = fewer, fewerAttrs
					}
					if e.Op == abi.OpAttr {
						checkAttr(t, page, got, e, rep)
					}
					es, as := structure(got)
					if !slices.Equal(es, want) {
						t.Fatalf("%v on %s\ngives %s\nhave %v\nwant %v", e, page, got, es, want)
					}
					if e.Op != abi.OpUnsetAttr && e.Op != abi.OpAttr && !slices.Equal(as, allowed) {
						t.Fatalf("%v on %s\ngives %s\nhave %v\nwant %v", e, page, got, as, allowed)
					}
				}
			}
		}
	}
}

// checkAttr checks that the attribute has exactly the value given, and that no other attribute came.
func checkAttr(t *testing.T, page, got string, e abi.Edit, rep Report) {
	t.Helper()
	values := func(page string) map[string]string {
		m := map[string]string{}
		for n := range must(nethtml.Parse(strings.NewReader(page))).Descendants() {
			if id, _ := attrOf(n, "id"); id == "x" {
				for _, a := range n.Attr {
					name := a.Key
					if a.Namespace != "" {
						name = a.Namespace + ":" + a.Key
					}
					if _, ok := m[name]; !ok {
						m[name] = a.Val
					}
				}
			}
		}
		return m
	}
	want := values(page)
	if rep.Applied[0] > 0 {
		want[e.A] = e.B
	}
	if have := values(got); fmt.Sprint(have) != fmt.Sprint(want) {
		t.Fatalf("%v on %s\ngives %s\nhave %q\nwant %q", e, page, got, have, want)
	}
}

// Whatever the page, text brings no script and no attribute.
func FuzzEdits(f *testing.F) {
	for i, v := range hostile {
		f.Add(awkward[i%len(awkward)], uint8(i%15+1), "b, #n1, p > *", v, "v")
		f.Add(places[i%len(places)], uint8(i%15+1), ".x", v, v)
	}
	f.Add(cities, uint8(abi.OpOrder), "#l", near, "show=.d")
	f.Add(cities, uint8(abi.OpKeep), "ul", "first=2", "items=li")
	f.Fuzz(func(t *testing.T, page string, op uint8, target, a, b string) {
		e := abi.Edit{Op: abi.Op(op), Target: target, A: a, B: b}
		p, err := Compile([]abi.Edit{e}, Options{MaxDepth: 100})
		if (err == nil) != (Check(e) == abi.Accepted) {
			t.Fatalf("Check and Compile differ: %v", err)
		}
		if err != nil {
			return
		}
		got, _ := rewriteAt(t, p, page)
		sameWhenCut(t, p, page, everyByte(page)...)
		switch e.Op {
		case abi.OpText, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
			if n, m := strings.Count(got, "<"), strings.Count(page, "<"); e.Op != abi.OpText && strings.Count(got, "</") == strings.Count(page, "</") && n != m {
				t.Fatalf("%d tags become %d: %s", m, n, got)
			}
		}
	})
}

// Soup with edits in it has no more scripts and handlers than without.
func TestHostileSoup(t *testing.T) {
	for seed := range 1500 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		page := randomSoup(rnd, 400)
		var edits []abi.Edit
		for _, e := range randomEdits(rnd, 6) {
			switch e.Op {
			case abi.OpText, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
				e.A = "<q onx=1></script><q>\"'><q></title></textarea></style><q>--><q>"
				edits = append(edits, e)
			case abi.OpAttr:
				e.A, e.B = "title", "\"><q onx=1>'<q>"
				edits = append(edits, e)
			case abi.OpAddClass:
				e.A = "\"'><q>"
				edits = append(edits, e)
			}
		}
		got, _ := rewriteAt(t, compile(t, Options{}, edits...), page)
		es, as := structure(got)
		if slices.ContainsFunc(es, func(s string) bool { return strings.HasSuffix(s, " q") }) || slices.ContainsFunc(as, func(s string) bool { return strings.HasSuffix(s, "onx") }) {
			t.Fatalf("seed %d: %v\npage %q\ngives %q", seed, edits, page, got)
		}
	}
}

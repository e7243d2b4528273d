package rewrite

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	nethtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

var goodFragments = []string{
	"", "text", "a < b & c > d", "&amp;&lt;&#65;&nbsp;", "<b>x</b>", "<B>x</b>", "<b>x</B>",
	`<p class=a id='b' title="c > d">x</p><p>y</p>`,
	"<div><p>a</p><p>b<br>c</p><hr></div>",
	"<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>",
	"<li>a</li><li>b</li>", "<dl><dt>a</dt><dd>b</dd></dl>",
	"<table><caption>c</caption><colgroup><col><col></colgroup><thead><tr><th>h</th></tr></thead><tbody> <tr><td>x<table><tbody></tbody></table></td></tr></tbody></table>",
	"<tr><td>x</td></tr>", " <td>x</td><th>y</th>", "<tbody><tr></tr></tbody>", "<col>",
	"<option>a</option><option selected>b</option>", "<select><optgroup label=x><option>a</option></optgroup><option>b</option></select>",
	"<a href='/x?a=1&amp;b=2'>x</a>", "<a href=https://example.org/x>x</a>", "<img src=/x.png alt=''>", `<img srcset="/a.png 1x, /b.png 2x">`,
	"<!-- a comment -->", "<textarea>\n&lt;b></textarea>", "<pre>\n\nx</pre>", "<iframe src=https://example.org></iframe>",
	"<template><tr><td>x</td></tr></template><template>x<div></div></template>",
	`<svg viewBox="0 0 1 1" xmlns="http://www.w3.org/2000/svg"><g fill="url(#g)"><path d="M0 0"/><title>t</title></g><use xlink:href="#x"/></svg>`,
	`<math><mrow><mi>x</mi><mo>&lt;</mo><mspace/></mrow></math>`,
	"<ruby>a<rp>(</rp><rt>b</rt><rp>)</rp></ruby>", "<button>x</button><button>y</button>",
	"<form action=/x><input name=a><button formaction=/y>z</button></form>",
	"<h1>a</h1><h2>b</h2>", "<p><span><a href=#x><b><i>x</i></b></a></span></p>", "<button><p>x</p></button>",
	"<label>a<input></label>", "<details><summary>a</summary>b</details>",
	"<b><b><b><b><b>x</b></b></b></b></b>", "<p><button><p>x</p></button></p>", "<video src=/x><track src=/y></video>",
	"<datalist id=x><option value=a></option></datalist>", "<a href='mailto:a@b.example'>x</a>",
	"<table><template><tr></tr></template><tbody><template><tr></tr></template><tr><template>x</template><td></td></tr></tbody></table>", "<option>a</option><b>c</b>d", "<tr></tr><template><div></div></template>",
	"<section><div><div><p>ü \U0001F600</p></div></div></section>",
}

var badFragments = []struct{ markup, says string }{
	{"<b>", "byte 0: <b> is not closed"},
	{"ab</b>", "byte 2: </b> closes nothing"},
	{"<b><i></b></i>", "byte 6: </b> where </i>"},
	{"</br>", "closes nothing"}, {"</p>", "closes nothing"}, {"<div/>", "cannot close itself"}, {"<br></br>", "closes nothing"},
	{"<p><p>a</p></p>", "<p> in <p>"}, {"<p><div></div></p>", "<div> in <p>"}, {"<p><b><div></div></b></p>", "in <p>"},
	{"<p><table></table></p>", "in <p>"}, {"<p><ul></ul></p>", "in <p>"}, {"<p><hr></p>", "in <p>"},
	{"<li><li></li></li>", "<li> in <li>"}, {"<li><div><p><li></li></p></div></li>", "in <"}, {"<dt><dd></dd></dt>", "<dd> in <dt>"},
	{"<h1><h2></h2></h1>", "<h2> in <h1>"}, {"<a><b><a></a></b></a>", "<a> in <a>"},
	{"<a><table><tbody><tr><td><a></a></td></tr></tbody></table></a>", "<a> in <a>"},
	{"<button><span><button></button></span></button>", "<button> in <button>"}, {"<form><div><form></form></div></form>", "<form> in <form>"},
	{"<table><tr></tr></table>", "directly in <table>"}, {"<table>x</table>", "text"}, {"<table><div></div></table>", "directly in <table>"},
	{"<tbody><td></td></tbody>", "directly in <tbody>"}, {"<tr></tr><div></div>", "beside"}, {"<div></div><tr></tr>", "beside"}, {"x<td></td>", "beside"},
	{"<tr></tr>x", "text"}, {"<div><tr></tr></div>", "directly in <div>"}, {"<template><tr></tr><b></b></template>", "directly in <template>"},
	{"<table><caption><tr></tr></caption></table>", "directly in"}, {"<colgroup><div></div></colgroup>", "directly in"},
	{"<option><b></b></option>", "directly in"}, {"<select><div></div></select>", "directly in"}, {"<select>x</select>", "text"},
	{"<div><option></option></div>", "directly in"}, {"<optgroup><optgroup></optgroup></optgroup>", "directly in"},
	{"<rt></rt>", "outside <ruby>"}, {"<ruby><span><rt></rt></span></ruby>", "outside"},
	{"<!DOCTYPE html>", "declaration"}, {"<!x>", "declaration"}, {"<?x?>", "processing"}, {"<![CDATA[x]]>", "CDATA"}, {"<svg><![CDATA[x]]></svg>", "CDATA"},
	{"<!-->", "comment"}, {"<!--> x -->", "ends as it begins"}, {"<!---> x -->", "ends as it begins"}, {"<!--->", "comment"}, {"<!-- a --!> -->", "comment"}, {"<!-- a", "unfinished comment"}, {"<!-- <!-- -->", "comment"},
	{"<!-- a -- b -->", "comment"}, {"<!-- <!x> -->", "comment"}, {"<li><search><li></li></search></li>", "<li> in <li>"}, {"<!--a--->", "comment"}, {"<!--#include virtual='/x' -->", "instruction"}, {"<!--esi <x> -->", "instruction"},
	{"<", ""}, {"<b", "unfinished tag"}, {"<b x", "unfinished tag"}, {"<b x='a>", "quote"}, {"</b", "unfinished tag"}, {"</ b>", "without a name"}, {"</>", "without a name"},
	{"<b></b x>", "more than its name"}, {`<b a="1"b="2"></b>`, "no space"}, {"<b / a></b>", "'/' within"},
	{"<b a=1 A=2></b>", "twice"}, {"<b a=x\"y></b>", "without quotes"}, {"<b a=x=y></b>", "needs quotes"}, {"<a href=x/></a>", "needs quotes"}, {"<b a=></b>", "missing"},
	{"<b =a></b>", "character"}, {"<b 'a></b>", "character"}, {"<b a<c></b>", "no space before"}, {"<b\x00></b>", "U+0000"}, {"a\x00", "byte 1: the character U+0000"},
	{"a\xff", "not UTF-8"}, {"\u0085", "U+0085"}, {"\uffff", "U+FFFF"}, {"\x1b", "U+001B"},
	{"<script>x</script>", "<script> is not accepted"}, {"<SCRIPT SRC=x></SCRIPT>", "is not accepted"}, {"<style></style>", "is not accepted"},
	{"<svg><script/></svg>", "is not accepted"}, {"<svg><style></style></svg>", "is not accepted"}, {"<svg><foreignObject></foreignObject></svg>", "is not accepted"},
	{"<svg><animate/></svg>", "is not accepted"}, {"<svg><set/></svg>", "is not accepted"}, {"<svg><p></p></svg>", "is not accepted"}, {"<svg><title><b></b></title></svg>", "not accepted"}, {"<svg><title><g/></title></svg>", "text only"}, {"<svg><title><!--x--></title></svg>", "text only"},
	{"<svg><title><style></style></title></svg>", "is not accepted"},
	{"<math><mtext><svg></svg></mtext></math>", "is not accepted"}, {"<math><mi><mglyph></mglyph></mi></math>", "is not accepted"},
	{"<math><annotation-xml encoding=text/html></annotation-xml></math>", "is not accepted"}, {"<math><mtext><mi></mi></mtext></math>", "text only"},
	{"<html></html>", "not accepted"}, {"<head></head>", "not accepted"}, {"<body></body>", "not accepted"}, {"<frameset></frameset>", "not accepted"}, {"<frame>", "not accepted"},
	{"<base href=/>", "not accepted"}, {"<meta charset=x>", "not accepted"}, {"<link rel=x>", "not accepted"}, {"<object></object>", "not accepted"}, {"<embed>", "not accepted"},
	{"<applet></applet>", "not accepted"}, {"<plaintext>", "not accepted"}, {"<xmp></xmp>", "not accepted"}, {"<noembed></noembed>", "not accepted"}, {"<noframes></noframes>", "not accepted"},
	{"<noscript></noscript>", "not accepted"}, {"<title></title>", "not accepted"}, {"<image>", "not accepted"}, {"<x-a></x-a>", "not accepted"}, {"<esi:include>", "not accepted"},
	{"<font color=x></font>", "not accepted"}, {"<nobr></nobr>", "not accepted"}, {"<isindex>", "not accepted"}, {"<portal></portal>", "not accepted"},
	{"<iframe srcdoc=x></iframe>", "is not accepted"}, {"<iframe>x</iframe>", "with content"}, {"<iframe src='javascript:x'></iframe>", "scheme"}, {"<iframe>", "not closed"},
	{"<textarea>", "not closed"}, {"<textarea><b></textarea>", "a '<' in <textarea>"}, {"<b onclick=x></b>", "is not accepted"}, {"<b ONCLICK=x></b>", "is not accepted"}, {"<b style=x></b>", "is not accepted"},
	{"<b nonce=x></b>", "is not accepted"}, {"<b integrity=x></b>", "is not accepted"}, {"<b is=x></b>", "is not accepted"}, {"<b v-html=x></b>", "is not accepted"},
	{"<template shadowrootmode=open></template>", "is not accepted"}, {"<b @click=x></b>", "name that is not accepted"},
	{"<a href=javascript:x></a>", "scheme"}, {"<a href='&#106;avascript:x'></a>", "scheme"}, {"<a href=' java\nscript:x'></a>", "scheme"}, {"<a href='javascript&colon;x'></a>", "scheme"},
	{"<a href='data:text/html,x'></a>", "scheme"}, {"<img srcset='/a 1x, javascript:x 2x'>", "scheme"}, {"<button formaction=javascript:x></button>", "scheme"},
	{"<svg><a xlink:href=javascript:x></a></svg>", "scheme"}, {"<svg><use href=/x.svg#a /></svg>", "begin with #"}, {"<svg><g fill='url(https://x/)'/></svg>", "outside"},
	{"<svg><g fill='u\\72l(https://x/)'/></svg>", "outside"}, {"<svg xmlns=http://www.w3.org/1999/xhtml></svg>", "namespace"}, {"<svg><g attributeName=x /></svg>", "not accepted"},
	{strings.Repeat("<b>", 65) + strings.Repeat("</b>", 65), "more than 64"}, {strings.Repeat("x", maxFragment+1), "bytes"},
	{"<b" + strings.Repeat(" a", 129) + "></b>", "too many attributes"},
}

func TestCheckFragment(t *testing.T) {
	for _, s := range goodFragments {
		if err := checkFragment(s, false); err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		fragmentAgrees(t, s)
	}
	for _, c := range badFragments {
		err := checkFragment(c.markup, false)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", shown(c.markup), err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", shown(c.markup), err, c.says)
		}
	}
}

// fragmentAgrees compares what x/net/html builds of the fragment with what is written.
func fragmentAgrees(t testing.TB, s string) {
	t.Helper()
	want, top := written(t, s)
	if ctx := tablePlace[top]; ctx != "" {
		nodes, err := nethtml.ParseFragment(strings.NewReader(s), &nethtml.Node{Type: nethtml.ElementNode, Data: ctx, DataAtom: atom.Lookup([]byte(ctx))})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, n := range nodes {
			built(&b, n)
		}
		if b.String() != want {
			t.Errorf("%q in <%s>\nbuilt   %s\nwritten %s", s, ctx, b.String(), want)
		}
		return
	}
	doc, err := nethtml.Parse(strings.NewReader("<!DOCTYPE html><html><head></head><body><div id=A>" + s + "</div><div id=B></div></body></html>"))
	if err != nil {
		t.Fatal(err)
	}
	body := doc.LastChild.LastChild
	a := body.FirstChild
	if a == nil || a.NextSibling == nil || body.LastChild != a.NextSibling || a.NextSibling.FirstChild != nil || len(a.NextSibling.Attr) != 1 {
		t.Fatalf("%q: what follows is no sibling", s)
	}
	var b strings.Builder
	for n := a.FirstChild; n != nil; n = n.NextSibling {
		built(&b, n)
		harmless(t, s, n)
	}
	if b.String() != want {
		t.Errorf("%q\nbuilt   %s\nwritten %s", s, b.String(), want)
	}
}

// tablePlace is where a parser accepts an element that stands at the top of a fragment.
var tablePlace = map[string]string{"tr": "tbody", "td": "tr", "th": "tr", "tbody": "table", "thead": "table", "tfoot": "table",
	"caption": "table", "colgroup": "table", "col": "colgroup"}

// written dumps a fragment by its tokens, each element from its start tag to its own end tag.
func written(t testing.TB, s string) (dump, top string) {
	z := nethtml.NewTokenizer(strings.NewReader(s))
	var b, text strings.Builder
	var open []string
	swallow := false
	flush := func() {
		if text.Len() > 0 {
			fmt.Fprintf(&b, "%q", text.String())
			text.Reset()
		}
	}
	for {
		kind := z.Next()
		if kind == nethtml.ErrorToken {
			break
		}
		tok := z.Token()
		if kind == nethtml.TextToken {
			if swallow {
				tok.Data = strings.TrimPrefix(tok.Data, "\n")
			}
			text.WriteString(tok.Data)
			swallow = false
			continue
		}
		swallow = false
		flush()
		switch kind {
		case nethtml.CommentToken:
			fmt.Fprintf(&b, "<!--%s-->", tok.Data)
		case nethtml.DoctypeToken:
			b.WriteString("<!doctype>")
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			if len(open) == 0 && top == "" && tok.Data != "template" {
				top = tok.Data
			}
			writtenTag(&b, tok.Data, tok.Attr)
			foreign := slices.Contains(open, "svg") || slices.Contains(open, "math") || tok.Data == "svg" || tok.Data == "math"
			if !foreign && is(&nethtml.Node{Type: nethtml.ElementNode, Data: tok.Data}, "area br col hr img input source track wbr") ||
				foreign && kind == nethtml.SelfClosingTagToken {
				fmt.Fprintf(&b, "</%s>", tok.Data)
				break
			}
			open = append(open, tok.Data)
			swallow = tok.Data == "pre" || tok.Data == "textarea"
		case nethtml.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Errorf("%q: </%s> closes nothing", s, tok.Data)
				return
			}
			open = open[:len(open)-1]
			fmt.Fprintf(&b, "</%s>", tok.Data)
		}
	}
	flush()
	if len(open) > 0 || z.Err() != io.EOF {
		t.Errorf("%q: %v open, %v", s, open, z.Err())
	}
	return b.String(), top
}

func writtenTag(b *strings.Builder, name string, attrs []nethtml.Attribute) {
	var all []string
	for _, a := range attrs {
		key := strings.ToLower(a.Key)
		if a.Namespace != "" && a.Key != "xmlns" {
			key = a.Namespace + ":" + key
		}
		all = append(all, fmt.Sprintf(" %s=%q", key, a.Val))
	}
	slices.Sort(all) // as x/net/html does with those of formatting elements
	fmt.Fprintf(b, "<%s%s>", strings.ToLower(name), strings.Join(all, ""))
}

// built dumps a tree in the same form.
func built(b *strings.Builder, n *nethtml.Node) {
	switch n.Type {
	case nethtml.TextNode:
		fmt.Fprintf(b, "%q", n.Data)
	case nethtml.CommentNode:
		fmt.Fprintf(b, "<!--%s-->", n.Data)
	case nethtml.ElementNode:
		writtenTag(b, n.Data, n.Attr)
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			built(b, c)
		}
		fmt.Fprintf(b, "</%s>", strings.ToLower(n.Data))
	}
}

// harmless looks for what could run in a tree.
func harmless(t testing.TB, s string, n *nethtml.Node) {
	t.Helper()
	if is(n, "script style link meta base object embed applet frame frameset noscript plaintext xmp foreignObject animate set html head body") {
		t.Errorf("%q has <%s>", s, n.Data)
	}
	for _, a := range n.Attr {
		v := strings.ToLower(strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, a.Val))
		url := slices.Contains(strings.Fields("href src action formaction srcset poster data ping background cite"), a.Key)
		if strings.HasPrefix(a.Key, "on") || a.Key == "srcdoc" || a.Key == "style" ||
			url && (strings.HasPrefix(v, "javascript:") || strings.HasPrefix(v, "data:") || strings.Contains(v, ",javascript:")) {
			t.Errorf("%q has %s=%q", s, a.Key, a.Val)
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		harmless(t, s, c)
	}
}

var goodXML = []string{
	"", "text &amp; &#65; &#x41;", "<a/>", "<item><title>x</title><link>https://example.org/</link></item>",
	`<p class="a" Class='b'>x</p>`, `<m:x xmlns:m="urn:m" m:y="1"><m:z/></m:x>`, `<link rel="alternate" href="/x"/>`, `<a xlink:href="/x" xml:lang="en"/>`,
	`<g xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></g>`, "<!-- c --><br/>", `<li><li>a</li></li>`, `<media:content xmlns:media="http://search.yahoo.com/mrss/" url="https://x/y?a=curl(b)"/>`,
}

var badXML = []struct{ markup, says string }{
	{"<a>", "not closed"}, {"</a>", "closes nothing"}, {"<a></A>", "where </a> is expected"}, {"<a b=c/>", "without quotes"}, {"<a b/>", "without a value"}, {"<a b='1' b='2'/>", "twice"},
	{"<a b='<'/>", "'<' in an attribute"}, {"a < b", "begins nothing"}, {"a & b", "begins none"}, {"&nbsp;", "begins none"}, {"<a b='&x;'/>", "begins none"}, {"&#0;", "begins none"}, {"&#x110000;", "begins none"},
	{"a]]>b", "]]>"}, {"<![CDATA[x]]>", "CDATA"}, {"<?x y?>", "processing"}, {"<!DOCTYPE x>", "declaration"}, {"<!-- a -- b -->", "comment"},
	{"<m:x/>", "not declared"}, {"<a m:b='c'/>", "not declared"}, {"<a:b:c/>", "no name"}, {"<xlink:a/>", "not declared"}, {"<a><b xmlns:m='urn:m'/><m:c/></a>", "not declared"},
	{"<h:x xmlns:h='http://www.w3.org/1999/xhtml'/>", "prefix"}, {"<h:x xmlns:h='&#104;ttp://www.w3.org/2000/svg'/>", "prefix"}, {"<x xmlns:xlink='urn:x'/>", "prefix"}, {"<x xmlns:l='http://www.w3.org/1999/xlink' l:href='javascript:x'/>", "prefix"},
	{"<script/>", "not accepted"}, {"<Script/>", "not accepted"}, {"<m:script xmlns:m='urn:m'/>", "not accepted"}, {"<foreignObject/>", "not accepted"}, {"<animate/>", "not accepted"}, {"<style/>", "not accepted"},
	{"<a onclick='x'/>", "not accepted"}, {"<a m:onload='x' xmlns:m='urn:m'/>", "not accepted"}, {"<a href='javascript:x'/>", "scheme"}, {"<a xml:base='javascript:x'/>", "scheme"}, {"<a m:href='javascript:x' xmlns:m='urn:m'/>", "scheme"}, {"<a@b/>", "no space"}, {"<a b@c='x'/>", "without a value"}, {"<a xlink:href='java&#9;script:x'/>", "scheme"},
	{"<link>javascript:x</link>", "scheme"}, {"<link>java<!--x-->script:x</link>", "comment in <link>"}, {"<link><b/></link>", "URL only"}, {"<link rel='stylesheet' href='/x'/>", "a link to"},
	{"<link rel='alternate &#115;tylesheet' href='/x'/>", "a link to"}, {"<use href='/x.svg#a'/>", "begin with #"}, {"<g fill='url(//x)'/>", "outside"}, {"<é/>", "no name"}, {"\x0c", "U+000C"},
}

func TestXMLReference(t *testing.T) {
	for _, c := range []struct {
		ref  string
		want rune
	}{
		{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}, {"#65", 'A'}, {"#0065", 'A'}, {"#x4A", 'J'}, {"#x4a", 'J'}, {"#x10FFFF", 0x10FFFF}, {"#9", '\t'},
		{"", 0}, {"#", 0}, {"#x", 0}, {"nbsp", 0}, {"AMP", 0}, {"#6a", 0}, {"#X41", 0}, {"#0", 0}, {"#x110000", 0}, {"#xFFFFFFFFF0000041", 0}, {"#4294967361", 0}, {"#-1", 0}, {"#x41 ", 0}, {"#xD800", 0}, {"#xFFFE", 0}, {"#x/", 0}, {"#:", 0},
	} {
		if r, ok := xmlReference([]byte(c.ref)); r != c.want && ok || ok != (c.want != 0) {
			t.Errorf("%s: %q, %v", c.ref, r, ok)
		}
	}
	if got := decodeXML(nil, []byte("a&amp;&lt;b&nbsp;&#x4A;&;&&gt")); string(got) != "a&<b&nbsp;J&;&&gt" {
		t.Errorf("%s", got)
	}
}

func TestCheckFragmentXML(t *testing.T) {
	for _, s := range goodXML {
		if err := checkFragment(s, true); err != nil {
			t.Errorf("%s: %v", s, err)
		} else {
			xmlAgrees(t, s)
		}
	}
	for _, c := range badXML {
		if err := checkFragment(c.markup, true); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", c.markup, err, c.says)
		}
	}
}

// xmlAgrees lets encoding/xml read the fragment.
func xmlAgrees(t testing.TB, s string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader("<r xmlns:xlink='http://www.w3.org/1999/xlink'>" + s + "</r><!--end-->"))
	depth := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			depth++
			if strings.EqualFold(tok.Name.Local, "script") || strings.EqualFold(tok.Name.Local, "style") {
				t.Errorf("%q has <%s>", s, tok.Name.Local)
			}
			for _, a := range tok.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || a.Name.Local == "href" && strings.HasPrefix(stripURL(strings.ToLower(a.Value)), "javascript:") {
					t.Errorf("%q has %s=%q", s, a.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			depth--
		case xml.ProcInst, xml.Directive:
			t.Errorf("%q has %T", s, tok)
		}
	}
}

// TestRandomFragments nests elements at random: whatever is accepted is built as
// it is written, and much is.
func TestRandomFragments(t *testing.T) {
	var names []string
	for n := range htmlElements {
		names = append(names, n)
	}
	names = append(names, "svg", "math", "p", "p", "div", "div", "b", "a", "li", "tr", "td", "tbody", "table")
	slices.Sort(names)
	accepted, refused := 0, 0
	rounds := 20000
	if testing.Short() {
		rounds = 5000
	}
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		var b strings.Builder
		for range 1 + rnd.IntN(2) {
			nest(&b, rnd, names, "", 1+rnd.IntN(5))
		}
		if checkFragment(b.String(), false) != nil {
			refused++
			continue
		}
		accepted++
		if fragmentAgrees(t, b.String()); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if accepted < rounds/4 || refused < rounds/4 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
}

// nest writes an element with what often stands in it.
func nest(b *strings.Builder, rnd *rand.Rand, names []string, in string, depth int) {
	likely := map[string]string{"table": "tbody thead caption colgroup", "tbody": "tr", "thead": "tr", "tr": "td th", "colgroup": "col", "ul": "li", "dl": "dt dd",
		"select": "option optgroup", "optgroup": "option", "datalist": "option", "ruby": "rt rp", "svg": "g path title", "g": "circle text", "math": "mrow mi", "mrow": "mi mn"}
	name := names[rnd.IntN(len(names))]
	if l := strings.Fields(likely[in]); len(l) > 0 && rnd.IntN(8) > 0 {
		name = l[rnd.IntN(len(l))]
	}
	fmt.Fprintf(b, "<%s", name)
	if rnd.IntN(4) == 0 {
		b.WriteString(` class="a b" title='>'`)
	}
	b.WriteString(">")
	if is(&nethtml.Node{Type: nethtml.ElementNode, Data: name}, "area br col hr img input source track wbr") {
		return
	}
	pieces := 6
	if name == "textarea" {
		pieces = 4
	}
	for range rnd.IntN(4) {
		switch {
		case name == "iframe":
		case rnd.IntN(3) == 0:
			b.WriteString([]string{" ", "\n", "text", "&lt;b&gt;", " a < b", "<!-- c -->"}[rnd.IntN(pieces)])
		case depth > 0 && name != "textarea":
			nest(b, rnd, names, name, depth-1)
		}
	}
	fmt.Fprintf(b, "</%s>", name)
}

func FuzzFragment(f *testing.F) {
	for _, s := range goodFragments {
		f.Add(s, false)
	}
	for _, c := range badFragments {
		if len(c.markup) < 1000 {
			f.Add(c.markup, false)
		}
	}
	for _, s := range goodXML {
		f.Add(s, true)
	}
	for _, c := range badXML {
		f.Add(c.markup, true)
	}
	f.Fuzz(func(t *testing.T, s string, asXML bool) {
		if checkFragment(s, asXML) != nil {
			return
		}
		if asXML {
			xmlAgrees(t, s)
		} else {
			fragmentAgrees(t, s)
		}
	})
}

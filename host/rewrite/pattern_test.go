package rewrite

import (
	"encoding/json"
	"strings"
	"testing"
)

// fillOne fills the pattern with one item, given as lines.
func fillOne(t testing.TB, markup, lines string, xml bool, cs Charset) (string, Reason) {
	t.Helper()
	var p pattern
	if why := p.parse([]byte(markup), xml); why != 0 {
		return "", why
	}
	var it item
	if items, err := parseItems(lines); err != nil {
		t.Fatal(err)
	} else if len(items) > 0 {
		it = items[0]
	}
	return string(p.append([]byte("-"), &it, cs)[1:]), 0
}

func TestPattern(t *testing.T) {
	const all = "t=<b>&\"'\nu=/a b?c=d&e=f\nj=javascript:alert(1)\nn=12.5e3\ns=1,5\nempty=\nhash=#x\nrel=//h/p"
	for _, c := range []struct{ name, markup, want string }{
		{"text", `<li>{{t}} {{ t }}{{nope}}{{empty}}.</li>`, `<li>&lt;b&gt;&amp;"' &lt;b&gt;&amp;"'.</li>`},
		{"no slots", `<li>{{}} {{1}} {{a b}} {{t} { {t}} {{t|x}}</li>`, `<li>{{}} {{1}} {{a b}} {{t} { {t}} {{t|x}}</li>`},
		{"braces around", `{{{n}}}`, `{12.5e3}`},
		{"quoted", `<b title="{{t}}" class='x {{t}}'></b>`, `<b title="&lt;b&gt;&amp;&quot;&#39;" class='x &lt;b&gt;&amp;&quot;&#39;'></b>`},
		{"unquoted", `<b title={{t}} class=a-{{n}}></b>`, `<b title="&lt;b&gt;&amp;&quot;&#39;" class="a-12.5e3"></b>`},
		{"the rest of a tag", `<b  a = 1 b='2'  c title={{n}} ></b>`, `<b a = 1 b='2' c title="12.5e3"></b>`},
		{"url", `<a href="{{u}}"></a>`, `<a href="/a b?c=d&amp;e=f"></a>`},
		{"url after space", `<a href=" {{u}}"></a>`, `<a href=" /a b?c=d&amp;e=f"></a>`},
		{"component", `<a href="/x/{{u}}?{{t}}"></a>`, `<a href="/x/%2Fa%20b%3Fc%3Dd%26e%3Df?%3Cb%3E%26%22%27"></a>`},
		{"url and component", `<a href="{{u}}{{u}}"></a>`, `<a href="/a b?c=d&amp;e=f%2Fa%20b%3Fc%3Dd%26e%3Df"></a>`},
		{"bad scheme", `<a href="{{j}}">x</a>`, `<a href="#">x</a>`},
		{"bad scheme in the page", `<a href="javascript:f({{n}})">x</a>`, `<a href="#">x</a>`},
		{"bad scheme by a reference", `<a href="&#106;avascript:{{n}}">x</a>`, `<a href="#">x</a>`},
		{"bad scheme of both", `<a href="java{{s}}:x">x</a>`, `<a href="#">x</a>`},
		{"no scheme", `<a href="{{rel}}">x</a>`, `<a href="//h/p">x</a>`},
		{"srcset", `<img srcset="{{u}} 1x, {{rel}} 2x, /p/{{u}} 3x">`, `<img srcset="/a b?c=d&amp;e=f 1x, //h/p 2x, /p/%2Fa%20b%3Fc%3Dd%26e%3Df 3x">`},
		{"bad srcset", `<img srcset="/x 1x, {{j}} 2x">`, `<img srcset="#">`},
		{"handlers and styles", `<b onclick="f({{n}})" style="top:{{n}}" srcdoc={{t}} nonce={{n}} title=x></b>`, `<b title=x></b>`},
		{"libraries", `<b v-html="{{t}}" x-data="{{t}}" @click="{{t}}" :a="{{t}}" ng-bind={{t}} hx-get="{{u}}"></b>`, `<b></b>`},
		{"others of these", `<b onclick="f()" title={{n}}></b>`, `<b onclick="f()" title="12.5e3"></b>`},
		{"iframe", `<iframe src="{{u}}" allow="{{t}}" sandbox="{{t}}" csp="{{t}}" name="{{t}}"></iframe>`, `<iframe src="/a b?c=d&amp;e=f"></iframe>`},
		{"input", `<input type={{t}} value={{n}}>`, `<input value="12.5e3">`},
		{"script", `<script src="{{u}}" async={{n}} id="{{n}}">{{t}}</script>`, `<script src="{{u}}" async={{n}} id="12.5e3">{{t}}</script>`},
		{"meta", `<meta itemprop=price content={{n}}><meta content="{{t}}"><meta itemprop=x http-equiv=refresh content="{{t}}">`, `<meta itemprop=price content="12.5e3"><meta><meta itemprop=x http-equiv=refresh>`},
		{"link", `<link itemprop=url href="{{u}}"><link rel=stylesheet href="{{u}}"><link rel={{t}} itemprop=x href="{{u}}">`, `<link itemprop=url href="/a b?c=d&amp;e=f"><link rel=stylesheet><link itemprop=x>`},
		{"object", `<object data="{{u}}"></object><embed src="{{u}}"><base href="{{u}}">`, `<object></object><embed><base>`},
		{"twice", `<b title={{n}} TITLE={{s}} class=a>x</b>`, `<b title="12.5e3" class=a>x</b>`},
		{"size", `<iframe width={{n}} height={{n}} loading={{n}}></iframe>`, `<iframe width="12.5e3" height="12.5e3" loading="12.5e3"></iframe>`},
		{"no paint", `<b fill="url({{n}})"></b>`, `<b fill="url(12.5e3)"></b>`},
		{"columns", `<colgroup><col><col data-fill-if=n></colgroup>`, `<colgroup><col><col data-fill-if=n></colgroup>`},
		{"id", `<b id=x class=y></b><b id="x-{{n}}"></b><b id=a id=b></b>`, `<b class=y></b><b id="x-12.5e3"></b><b></b>`},
		{"title", `<title>a < {{t}}</title>`, `<title>a &lt; &lt;b&gt;&amp;&quot;&#39;</title>`},
		{"the end of a title", `<title></{{nope}}title></tit{{n}}</title>`, `<title>&lt;/title>&lt;/tit12.5e3</title>`},
		{"textarea", `<textarea>{{t}}</textarea><textarea>x{{t}}</textarea>`, "<textarea>\n&lt;b&gt;&amp;&quot;&#39;</textarea><textarea>x&lt;b&gt;&amp;&quot;&#39;</textarea>"},
		{"pre", `<pre>{{t}}</pre><pre><b>{{n}}</b></pre>`, "<pre>\n&lt;b&gt;&amp;\"'</pre><pre><b>12.5e3</b></pre>"},
		{"raw text", `<style>{{t}}</style><noscript><b title="{{t}}"></noscript><xmp>{{t}}</xmp>`, `<style>{{t}}</style><noscript><b title="{{t}}"></noscript><xmp>{{t}}</xmp>`},
		{"scripts", `<script>f("{{t}}")</script><script type=module>{{t}}</script><script type="{{t}}">{{n}}</script>`, `<script>f("{{t}}")</script><script type=module>{{t}}</script><script type="{{t}}">{{n}}</script>`},
		{"JSON", `<script type="application/ld+json">{"a":"x{{t}}","b":{{n}},"c":{{s}},"d":{{nope}},"e":"{{nope}}"}</script>`,
			`<script type="application/ld+json">{"a":"x\u003Cb\u003E\u0026\"'","b":12.5e3,"c":"1,5","d":null,"e":""}</script>`},
		{"JSON with an escape", `<script type=application/json>{"a":"\{{t}}"}</script>`, `<script type=application/json>{"a":"\{{t}}"}</script>`},
		{"JSON with half of an escape", `<script type=application/json>{"a":"\u00{{n}}"}</script>`, `<script type=application/json>{"a":"\u00{{n}}"}</script>`},
		{"JSON with a comment", `<script type=application/json>{/*"*/"a":{{t}}}</script>`, `<script type=application/json>{/*"*/"a":{{t}}}</script>`},
		{"JSON with a tag", `<script type=application/json>["<{{nope}}/script>\"\\{{n}}"]</script>`, `<script type=application/json>["\u003C/script>\"\\12.5e3"]</script>`},
		{"JSON that is none", `<script type=application/json>["\{{t}}n"]</script>`, `<script type=application/json>["\{{t}}n"]</script>`},
		{"JSON that is none", `<script type=application/json>["\u00{{n}}ab"]</script>`, `<script type=application/json>["\u00{{n}}ab"]</script>`},
		{"JSON that is none", `<script type=application/json>["\<{{n}}"]</script>`, `<script type=application/json>["\<{{n}}"]</script>`},
		{"JSON that is none", `<script type=application/json>{/*""*/"a":{{t}}}</script>`, `<script type=application/json>{/*""*/"a":{{t}}}</script>`},
		{"JSON that is none", `<script type=application/json>{'a':{{t}}}</script>`, `<script type=application/json>{'a':{{t}}}</script>`},
		{"JSON that is none", `<script type=application/json>["<b>"]</script>`, `<script type=application/json>["<b>"]</script>`},
		{"JSON with a newline", "<script type=application/json>[\"a\n{{t}}\"]</script>", "<script type=application/json>[\"a\n{{t}}\"]</script>"},
		{"JSON from elsewhere", `<script type=application/json src=/x>{{n}}</script>`, `<script type=application/json src=/x>{{n}}</script>`},
		{"comment", `<!-- {{t}} -->`, `<!-- {{t}} -->`},
		{"a tag in the making", `a <{{nope}}b>`, `a &lt;b>`},
		{"tag names", `<x-{{t}}></x-{{t}}>`, `<x-{{t}}></x-{{t}}>`},
		{"svg", `<svg><title>{{t}}</title><g fill="{{n}}" stroke="{{u}}" id=g><use href="{{u}}"/><use href="{{hash}}"/></g><![CDATA[{{t}}<]]></svg>`,
			`<svg><title>&lt;b&gt;&amp;"'</title><g fill="12.5e3" stroke="/a b?c=d&amp;e=f" id=g><use href="#" /><use href="#x" /></g>&lt;b&gt;&amp;"'&lt;</svg>`},
		{"svg paint", `<svg><path fill="url({{u}})" mask="{{n}}" /></svg>`, `<svg><path fill="#" mask="12.5e3" /></svg>`},
		{"svg code", `<svg><style>{{t}}</style><script>{{t}}</script><set attributeName="{{t}}" to="{{j}}"/></svg>`, `<svg><style>{{t}}</style><script>{{t}}</script><set to="#" /></svg>`},
		{"fill text", `<b data-fill=t>sample <i>{{n}}</i><p>x</b>`, `<b data-fill=t>&lt;b&gt;&amp;"'</b>`},
		{"fill text, none", `<b data-fill="nope">sample</b>`, `<b data-fill="nope"></b>`},
		{"fill all", `<a data-fill="t href=u title=t class=nope" class=x href="/sample" id=y>sample</a>.`, `<a data-fill="t href=u title=t class=nope" href="/a b?c=d&amp;e=f" title="&lt;b&gt;&amp;&quot;&#39;">&lt;b&gt;&amp;"'</a>.`},
		{"fill void", `<img data-fill="src=j alt=n x" src=/s.png>`, `<img data-fill="src=j alt=n x" src="#" alt="12.5e3">`},
		{"fill what may not be", `<a data-fill="onclick=t style=t href=u" onclick="f()">x</a>`, `<a data-fill="onclick=t style=t href=u" onclick="f()" href="/a b?c=d&amp;e=f">x</a>`},
		{"fill script", `<script data-fill="t src=u">f()</script>`, `<script data-fill="t src=u">f()</script>`},
		{"fill textarea", `<textarea data-fill=t>x</textarea>`, "<textarea data-fill=t>\n&lt;b&gt;&amp;&quot;&#39;</textarea>"},
		{"fill in fill", `<p data-fill=n><b data-fill=t data-fill-if=n>x</b></p><i>{{t}}</i>`, `<p data-fill=n>12.5e3</p><i>&lt;b&gt;&amp;"'</i>`},
		{"if", `a<b data-fill-if=t>{{n}}</b><b data-fill-if=nope>{{n}}<i data-fill-if=t>x</i></b><br data-fill-if="empty"><br data-fill-if="n">c`, `a<b data-fill-if=t>12.5e3</b><br data-fill-if="n">c`},
		{"template", `<template><b>{{n}}</b></template>`, `<template><b>12.5e3</b></template>`},
		{"implied ends", `<ul><li>{{n}}<li>x<p>y</ul><p>{{n}}`, `<ul><li>12.5e3<li>x<p>y</ul><p>12.5e3`},
		{"what is left open", `<li>{{n}}<p>x<ul><li>a</ul><p>b `, `<li>12.5e3<p>x<ul><li>a</ul><p>b `},
		{"what another tag ends", `<dt>{{n}}<dd><p>x<div>y</div>`, `<dt>12.5e3<dd><p>x<div>y</div>`},
		{"rows", `<tr><td><p>{{n}}<td>x<tr><th>y`, `<tr><td><p>12.5e3<td>x<tr><th>y`},
		{"a table", `<table> <caption>{{n}}<colgroup><col><col><tbody><tr><td><table><tr><td>x</table><tfoot><tr><td>y</table>`, `<table> <caption>12.5e3<colgroup><col><col><tbody><tr><td><table><tr><td>x</table><tfoot><tr><td>y</table>`},
		{"options", `<optgroup label={{n}}><option>a<option>b<optgroup label=x><option>c`, `<optgroup label="12.5e3"><option>a<option>b<optgroup label=x><option>c`},
		{"ruby", `<ruby>{{n}}<rp>(<rt>x<rp>)</ruby>`, `<ruby>12.5e3<rp>(<rt>x<rp>)</ruby>`},
		{"math", `<math><mi><b>{{n}}</b></mi><mo><b></b></mo><mn><b></b></mn><ms><b></b></ms><mtext><b></b></mtext></math>`, `<math><mi><b>12.5e3</b></mi><mo><b></b></mo><mn><b></b></mn><ms><b></b></ms><mtext><b></b></mtext></math>`},
		{"ifs that end nothing", `<optgroup><option data-fill-if=nope>a</option></optgroup><p><button><p data-fill-if=nope></p></button></p><tbody><tr data-fill-if=nope><td>a</td></tr></tbody><tr><td data-fill-if=nope></td></tr><ruby><rt data-fill-if=nope></rt></ruby><li><ul><li data-fill-if=nope></li></ul></li>`,
			`<optgroup></optgroup><p><button></button></p><tbody></tbody><tr></tr><ruby></ruby><li><ul></ul></li>`},
		{"table", `<tr><td>{{n}}<td title={{n}}></tr>`, `<tr><td>12.5e3<td title="12.5e3"></tr>`},
		{"svg:use", `<svg><a><use xlink:href="{{u}}"/></a></svg>`, `<svg><a><use xlink:href="#" /></a></svg>`},
		{"select", `<option value="{{n}}">{{t}}`, `<option value="12.5e3">&lt;b&gt;&amp;"'`},
	} {
		got, why := fillOne(t, c.markup, all, false, UTF8)
		if got != c.want || why != 0 {
			t.Errorf("%s: %s\nhave %s (%v)\nwant %s", c.name, c.markup, got, why, c.want)
		}
	}
}

func TestPatternXML(t *testing.T) {
	const all = "t=<b>&\"'\x01\nu=https://h/a?b&c\nj=javascript:x\nn=1\nw=a\tb"
	for _, c := range []struct{ name, markup, want string }{
		{"text", `<item><title>{{t}}</title></item>`, "<item><title>&lt;b&gt;&amp;\"'\uFFFD</title></item>"},
		{"attribute", `<a b="{{t}}" C='{{w}}'/>`, "<a b=\"&lt;b&gt;&amp;&quot;&#39;\uFFFD\" C='a&#9;b' />"},
		{"text in text", `<d>&lt;p title="{{t}}"&gt;{{t}}&lt;/p&gt;</d>`, "<d>&lt;p title=\"{{t}}\"&gt;&amp;lt;b&amp;gt;&amp;amp;&amp;quot;&amp;#39;\uFFFD&lt;/p&gt;</d>"},
		{"text in text, tags ended", `<d>&lt;p>{{n}}&#60;b a=&quot;{{n}}&quot;>x&lt;/b></d>`, `<d>&lt;p>1&#60;b a=&quot;{{n}}&quot;>x&lt;/b></d>`},
		{"CDATA", `<d><![CDATA[{{n}} ]] {{t}}]]></d>`, "<d>1 ]] &lt;b&gt;&amp;\"'\uFFFD</d>"},
		{"markup in CDATA", `<d><![CDATA[<p a={{n}}>{{t}}</p>]]></d><d><![CDATA[<p>]]></d>`, "<d>&lt;p a={{n}}&gt;&amp;lt;b&amp;gt;&amp;amp;&amp;quot;&amp;#39;\uFFFD&lt;/p&gt;</d><d><![CDATA[<p>]]></d>"},
		{"link", `<link>{{u}}</link><link>{{j}}</link><link>/x/{{u}}</link><link><![CDATA[{{j}}]]></link>`, `<link>https://h/a?b&amp;c</link><link>#</link><link>/x/https%3A%2F%2Fh%2Fa%3Fb%26c</link><link>#</link>`},
		{"link in parts", `<link>java<!---->{{t}}</link><link>{{t}}<![CDATA[:]]></link>`, `<link>java<!---->{{t}}</link><link>{{t}}<![CDATA[:]]></link>`},
		{"fill link", `<link data-fill="j">x</link><link data-fill="u"/>`, `<link data-fill="j">#</link><link data-fill="u"/>`},
		{"Atom", `<link rel="alternate" href="{{u}}"/><link rel="stylesheet" href="{{u}}"/><link rel="{{t}}"/>`, `<link rel="alternate" href="https://h/a?b&amp;c" /><link rel="stylesheet" /><link />`},
		{"media", `<media:content url="{{j}}" id="{{n}}"/>`, `<media:content url="#" id="1" />`},
		{"code", `<svg:script>{{n}}</svg:script><style>{{n}}</style><g onload="{{n}}" xlink:href="{{j}}"/>`, `<svg:script>{{n}}</svg:script><style>{{n}}</style><g xlink:href="#" />`},
		{"instruction", `<?x {{n}}?><!-- {{n}} --><a>{{n}}</a>`, `<?x {{n}}?><!-- {{n}} --><a>1</a>`},
		{"ids", `<a id="x" b="{{n}}"/>`, `<a id="x" b="1" />`},
		{"other prefixes", `<s:use l:href="{{u}}"/><s:a l:href="{{j}}"/><h:base href="{{u}}"/>`, `<s:use l:href="#" /><s:a l:href="#" /><h:base />`},
		{"case", `<a><A>{{n}}</A></a>`, `<a><A>1</A></a>`},
		{"fill", `<a data-fill="n B=u" b="x">y</a>`, `<a data-fill="n B=u" b="x" B="https://h/a?b&amp;c">1</a>`},
	} {
		got, why := fillOne(t, c.markup, all, true, UTF8)
		if got != c.want || why != 0 {
			t.Errorf("%s: %s\nhave %s (%v)\nwant %s", c.name, c.markup, got, why, c.want)
		}
	}
}

func TestPatternRefused(t *testing.T) {
	for _, c := range []struct {
		markup string
		xml    bool
		why    Reason
	}{
		{"<b>", false, WhyAmbiguous}, {"</b>", false, WhyAmbiguous}, {"<b><i></b></i>", false, WhyAmbiguous}, {"<b", false, WhyAmbiguous}, {"<!--", false, WhyAmbiguous},
		{"<li><b>x", false, WhyAmbiguous}, {"</p>", false, WhyAmbiguous}, {"<title>", false, WhyAmbiguous}, {"<plaintext>", false, WhyAmbiguous}, {"<body></body>", false, WhyAmbiguous},
		{"<script><!-- </script>", false, WhyAmbiguous}, {"<svg><p></p></svg>", false, WhyAmbiguous}, {"<svg><font></font></svg>", false, WhyAmbiguous}, {"<svg></p></svg>", false, WhyAmbiguous},
		{"<math><annotation-xml></annotation-xml></math>", false, WhyAmbiguous}, {"<select><style></style></select>", false, WhyAmbiguous}, {"<option><svg></svg></option>", false, WhyAmbiguous},
		{"<![CDATA[x]]>", false, WhyAmbiguous}, {"<svg><desc><![CDATA[x]]></desc></svg>", false, WhyAmbiguous}, {"<a =x>", false, WhyAmbiguous}, {"<!doctype html>", false, WhyAmbiguous},
		{"<p><b><div></div></b></p>", false, WhyAmbiguous}, {"<a b=c'd></a>", false, WhyAmbiguous}, {"<a b=c<d></a>", false, WhyAmbiguous}, {"<a b=c`d></a>", false, WhyAmbiguous}, {"<a b=c\"d></a>", false, WhyAmbiguous}, {"<a b=c\x00d></a>", false, WhyAmbiguous},
		{"<!-- a --!> -->", false, WhyAmbiguous}, {"<p>a<div data-fill-if=x></div>", false, WhyAmbiguous}, {"<li>a<li data-fill-if=x></li>", false, WhyAmbiguous}, {"<option>a<option data-fill-if=x></option>", false, WhyAmbiguous}, {"<optgroup><option>a<optgroup data-fill-if=x></optgroup>", false, WhyAmbiguous}, {"<ruby><rp>a<rt data-fill-if=x></rt></ruby>", false, WhyAmbiguous}, {"<optgroup data-fill-if=x><option>a<optgroup></optgroup></optgroup>", false, WhyAmbiguous}, {"<tr><td>a<tr data-fill-if=x></tr>", false, WhyAmbiguous}, {"<td>a<td data-fill-if=x></td>", false, WhyAmbiguous},
		{"<math><mi><mglyph></mglyph></mi></math>", false, WhyAmbiguous}, {"<math><mi><malignmark></malignmark></mi></math>", false, WhyAmbiguous}, {"<math><mglyph></mglyph></math>", false, WhyAmbiguous}, {"<math><malignmark></malignmark></math>", false, WhyAmbiguous}, {"<p data-fill=x>a<div></div></p>", false, WhyAmbiguous}, {"<p><table></table></p>", false, WhyAmbiguous}, {"<h1><h2></h2></h1>", false, WhyAmbiguous}, {"<a><a></a></a>", false, WhyAmbiguous},
		{"<button><b><button></button></b></button>", false, WhyAmbiguous}, {"<form><form></form></form>", false, WhyAmbiguous}, {"<td><div><tr></tr></div></td>", false, WhyAmbiguous}, {"<div><td>x</td></div>", false, WhyAmbiguous},
		{"<p data-fill=x>a<p>b</p>", false, WhyAmbiguous}, {"<li data-fill-if=x>a<li>b", false, WhyAmbiguous},
		{"<b data-fill='a b'></b>", false, WhyPattern}, {"<b data-fill='a=b=c'></b>", false, WhyPattern}, {"<b data-fill='{{a}}'></b>", false, WhyPattern}, {"<b data-fill-if=''></b>", false, WhyPattern}, {"<b data-fill='1'></b>", false, WhyPattern},
		{"<table>{{x}}</table>", false, WhyPlace}, {"<tr data-fill=x></tr>", false, WhyPlace}, {strings.Repeat("<b>", 600), false, WhyDepth},
		{"<a>", true, WhyAmbiguous}, {"<a></A>", true, WhyAmbiguous}, {"<li><p></li>", true, WhyAmbiguous}, {"<a b=c/>", true, WhyAmbiguous}, {"a < b", true, WhyAmbiguous}, {"<br>", true, WhyAmbiguous},
	} {
		var p pattern
		if why := p.parse([]byte(c.markup), c.xml); why != c.why {
			t.Errorf("%s: %v, expected %v", shown(c.markup), why, c.why)
		}
	}
}

func TestPatternCharset(t *testing.T) {
	latin := charsetOf("iso-8859-1")
	got, _ := fillOne(t, "<b title=\"\xe9{{x}}\">\xe9{{x}}</b><a href=\"/{{x}}\"></a><script type=application/json>\"\xe9{{x}}\"</script>", "x=é\u0416", false, latin)
	const want = "<b title=\"\xe9\xe9&#1046;\">\xe9\xe9&#1046;</b><a href=\"/%C3%A9%D0%96\"></a><script type=application/json>\"\xe9\\u00E9\\u0416\"</script>"
	if got != want {
		t.Errorf("have %q\nwant %q", got, want)
	}
}

// Attributes of SVG and feeds that load something.
func TestPatternForeignAttributes(t *testing.T) {
	for _, name := range strings.Fields("fill stroke filter mask clip-path cursor marker marker-start marker-mid marker-end") {
		for v, want := range map[string]string{"red": "red", "URL(//h/)": "#", `\75rl(//h/)`: "#"} {
			markup := "<svg><g " + name + `="{{x}}" /></svg>`
			if got, _ := fillOne(t, markup, "x="+v, false, UTF8); got != strings.Replace(markup, "{{x}}", want, 1) {
				t.Errorf("%s: %s", v, got)
			}
		}
	}
	for _, name := range strings.Fields("url uri xmlUrl htmlUrl href l:href src") {
		for v, want := range map[string]string{"/x": "/x", "javascript:x": "#"} {
			markup := "<a " + name + `="{{x}}" />`
			if got, _ := fillOne(t, markup, "x="+v, true, UTF8); got != strings.Replace(markup, "{{x}}", want, 1) {
				t.Errorf("%s: %s", v, got)
			}
		}
	}
}

func TestAppendSlot(t *testing.T) {
	const v = "a\t\n\r\x00\x01&<>\"'\ufffe\uffff\uffee"
	for _, c := range []struct {
		kind partKind
		xml  bool
		want string
	}{
		{slotText, false, "a\t\n&#13;\ufffd\x01&amp;&lt;&gt;\"'\ufffe\uffff\uffee"},
		{slotText, true, "a\t\n&#13;\ufffd\ufffd&amp;&lt;&gt;\"'\ufffd\ufffd\uffee"},
		{slotQuoted, false, "a\t\n&#13;\ufffd\x01&amp;&lt;&gt;&quot;&#39;\ufffe\uffff\uffee"},
		{slotQuoted, true, "a&#9;&#10;&#13;\ufffd\ufffd&amp;&lt;&gt;&quot;&#39;\ufffd\ufffd\uffee"},
		{slotTwice, true, "a\t\n&#13;\ufffd\ufffd&amp;amp;&amp;lt;&amp;gt;&amp;quot;&amp;#39;\ufffd\ufffd\uffee"},
	} {
		if got := string(appendSlot(nil, v, c.kind, c.xml, UTF8)); got != c.want {
			t.Errorf("%v %v:\nhave %q\nwant %q", c.kind, c.xml, got, c.want)
		}
	}
}

func TestAppendJSONValue(t *testing.T) {
	for _, v := range []string{"0", "-0", "1", "10", "-12.50", "1e5", "1E-5", "1e+5", "0.1e0", "true", "false", "null"} {
		if got := string(appendJSONValue(nil, v, true)); got != v || !json.Valid([]byte(got)) {
			t.Errorf("%s becomes %s", v, got)
		}
	}
	for _, v := range []string{"", "-", "01", "-01", "1.", ".5", "1.e5", "1e", "1e+", "1e5x", "1x", "+1", "0x1", "NaN", "Infinity", "TRUE", "nil", "[]", "{}", " 1", "1 ", "1,2", "--1", "1-1"} {
		want, _ := json.Marshal(v)
		if got := string(appendJSONValue(nil, v, true)); got != string(want) {
			t.Errorf("%s becomes %s", v, got)
		}
	}
	if got := string(appendJSONValue(nil, "", false)); got != "null" {
		t.Errorf("nothing becomes %s", got)
	}
}

func TestPatternDecode(t *testing.T) {
	var p pattern
	for _, v := range append([]string{"a", "&amp;", "a&amp;b&#65;c", "&eacute;x", "a&amp;&colon;", "&#x80;", "&#128;x&amp;", "&#x7F;", "&amp", "&", "&;", "&amp;&", "&#0;", "&#xD800;", "&lt=", "&AMP;"}, hostileValues...) {
		p.lex.xml = false
		if have, want := string(p.decode([]byte(v))), string(decodeValue(nil, []byte(v))); have != want {
			t.Errorf("%q: %q, expected %q", v, have, want)
		}
		p.lex.xml = true
		if have, want := string(p.decode([]byte(v))), string(decodeXML(nil, []byte(v))); have != want {
			t.Errorf("%q in XML: %q, expected %q", v, have, want)
		}
	}
}

func TestSafeURLBytes(t *testing.T) {
	for _, v := range append([]string{"ht\ttp:x", "ht\ntp:x", "ht\rtp:x", "h\x01ttp:x", "a?:", "a\\:", "a/b:", "a#b:", "http:x", "HTTPS:x", "mailto:x", "tel:1", "telx:", "te:", "javascripthttp:x", "abcdefghhttp:", "\x00 \thttp:x"}, hostileValues...) {
		if have, want := safeURLBytes([]byte(v)), safeURL(v); have != want {
			t.Errorf("%q: %v, safeURL says %v", v, have, want)
		}
	}
}

func TestPatternForeign(t *testing.T) {
	var p pattern
	if why := p.parseIn([]byte(`<circle r="{{r}}"/><style><a title="{{r}}"/></style>`), false, fSVG); why != 0 {
		t.Fatal(why)
	}
	it := item{[]field{{"r", "<\"\U0001F600"}}}
	const want = "<circle r=\"&lt;&quot;\U0001F600\" /><style><a title=\"&lt;&quot;\U0001F600\" /></style>"
	if got := string(p.append(nil, &it, UTF8)); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
}

func TestParseItems(t *testing.T) {
	items, err := parseItems("\n\na=1\nb==x = \n\n\nA.b-c_=\n")
	if err != nil || len(items) != 2 || len(items[0].fields) != 2 || items[0].fields[1] != (field{"b", "=x = "}) || items[1].fields[0] != (field{"A.b-c_", ""}) {
		t.Errorf("%q, %v", items, err)
	}
	if items, err := parseItems(""); len(items) != 0 || err != nil {
		t.Errorf("%q, %v", items, err)
	}
	for _, c := range []struct{ in, says string }{
		{"a", "line 1"}, {"a=1\n=2", "line 2"}, {"1a=x", "line 1"}, {"a b=x", "line 1"}, {"a=1\nb=2\na=3", `line 3: the name "a" twice`}, {"a=\x00", "NUL"}, {"a=\xff", "UTF-8"}, {"\r\na=1", "line 1"},
		{strings.Repeat("a=1\n\n", maxItems+1), "more than 1000 items"}, {"a=" + strings.Repeat("x", maxItemBytes), "bytes"}, {manyNames(maxItemFields + 1), "more than 64 names"},
	} {
		if _, err := parseItems(c.in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %q", shown(c.in), err, c.says)
		}
	}
	if items, err := parseItems(strings.Repeat(manyNames(maxItemFields)+"\n", 100)); err != nil || len(items) != 100 {
		t.Error(err)
	}
	if items, err := parseItems(strings.Repeat("a=1\n\n", maxItems)); err != nil || len(items) != maxItems {
		t.Error(err)
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("n" + strings.Repeat("x", i) + "=1\n")
	}
	return b.String()
}

func TestPatternNoAllocations(t *testing.T) {
	markup := []byte(`<li id=x class="{{c}}" data-an-attribute-with-quite-a-long-name-of-its-own="{{c}}" a-second-attribute-with-quite-a-long-name="{{c}}"><a href="{{url}}?a=1&amp;b={{q}}" data-fill="title=title">{{title}}</a><img srcset="{{img}} 1x, /i/{{q}} 2x" data-fill-if=img><script type=application/json>{"a":"{{title}}","b":{{n}}}</script><p data-fill=c>sample</p></li>`)
	items, err := parseItems("c=a b\nurl=https://example.org/a\nq=x y&z\ntitle=\u00fc <b>\nimg=/x.png\nn=1.5\n\nn=2\nc=x\nurl=/?a&b")
	if err != nil {
		t.Fatal(err)
	}
	var p pattern
	var dst []byte
	for _, cs := range []Charset{UTF8, charsetOf("windows-1252"), {}} {
		run := func() {
			if why := p.parse(markup, false); why != 0 {
				t.Fatal(why)
			}
			dst = dst[:0]
			for i := range items {
				dst = p.append(dst, &items[i], cs)
			}
		}
		run()
		if n := testing.AllocsPerRun(50, run); n > 0 {
			t.Errorf("%s: %v allocations", cs.Name(), n)
		}
	}
}

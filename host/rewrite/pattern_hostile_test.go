package rewrite

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	nethtml "golang.org/x/net/html"
)

// hostileValues are of the families of OWASP's cheat sheets: what breaks out of
// text, tags, attributes, addresses, scripts, styles, comments, and encodings.
var hostileValues = []string{
	`<script>alert(1)</script>`, `</script><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `<svg/onload=alert(1)>`, `<svg><script>alert(1)</script>`, `</p></div></body></html>`,
	`<b`, `<`, `>`, `/`, `/>`, `<!`, `<!--`, `-->`, `--!>`, `<!-->`, `--><script>alert(1)</script>`, `<?php ?>`, `<![CDATA[`, `]]>`, `]]><script/>`, `</`, `</title><script>alert(1)</script>`, `</textarea><img src=x onerror=alert(1)>`,
	`</style><script>alert(1)</script>`, `</noscript><img src=x onerror=alert(1)>`, `</template><script>alert(1)</script>`, `</select><script>alert(1)</script>`, `<plaintext>`, `<math><mtext><mglyph><style><img src=x onerror=alert(1)>`, `<table><tr><td>`, `</td></tr></table>`, `<frameset>`, `<base href=//evil.example>`,
	`"`, `'`, "`", `" onmouseover="alert(1)`, `' onmouseover='alert(1)`, `x onmouseover=alert(1) y=`, `"><script>alert(1)</script>`, `'><script>alert(1)</script>`, `" autofocus onfocus=alert(1) x="`, `=`, ` a=b`, `" style="position:fixed`, "\" \tonclick\n=\n\"alert(1)", `\"><b>`, `\`, `\\"`, `\" onx=y `,
	`javascript:alert(1)`, `JaVaScRiPt:alert(1)`, ` javascript:alert(1)`, "\x01javascript:alert(1)", "java\tscript:alert(1)", "java\rscript:alert(1)", `javascript&colon;alert(1)`, `&#106;avascript:alert(1)`, `&#x6A&#x61vascript:alert(1)`, `javascript&#58;alert(1)`, `javascript:%61lert(1)`, `vbscript:x`, `data:text/html,<script>alert(1)</script>`, `data:text/html;base64,PHNjcmlwdD4=`, `DATA:,x`,
	`view-source:x`, `file:///etc/passwd`, `blob:x`, `feed:javascript:alert(1)`, `//evil.example/x`, `\\evil.example`, `https:javascript:alert(1)`, `/x, javascript:alert(1) 2x`, `x javascript:alert(1)`, `,javascript:alert(1),`, `../../..`, `..`, `?a=b&c=d#e`, `script:alert(1)`, `:alert(1)`, `url(//evil.example/x)`, `#" onload="x`,
	`expression(alert(1))`, `;background:url(javascript:alert(1))`, `}body{display:none}`, `*/`, `//`, `/*`, `'-alert(1)-'`, `";alert(1);//`, `\u0022;alert(1)//`, `\x3cscript>`, `${alert(1)}`, `{{x}}`, `{{constructor.constructor('alert(1)')()}}`, `}}`, `%3Cscript%3E`,
	`&lt;script&gt;alert(1)&lt;/script&gt;`, `&`, `&amp`, `&#60;script&#62;`, `&#x3c;`, `&quot; onx=y`, `&#0;`, `;`, `lt;b&gt;`, `#60;script`, `x6a;avascript:alert(1)`, `106;avascript:x`,
	"\u2028alert(1)", "\u2029", "\u0085", "\u00a0", "\ufeff<script>", "\uff1cscript\uff1e", "\u02bc\u2019\uff02", "\u212a\u017f", "\u202e<b>", "\x1b$B<", "\x1b(J\"", "\x7f", "\x0c<b>", "\r", "a\rb", "\ufffd", "\ufffe", "\uffff", "\U0001F600<\U0010FFFF", "+ADw-script+AD4-",
	`script`, `/script>`, `/script `, `-`, `--`, `!--`, `!--<script>`, `title>`, `textarea `, `scrip`, `true`, `null`, `1e999`, `-`, `01`, `NaN`, `[1`, `{"a":1}`, `"a"`, `1}`, `],"x":[`,
	strings.Repeat("<", 500), strings.Repeat(`"`, 500), strings.Repeat("A", 5000), strings.Repeat("&", 500), `on`, `style`, `srcdoc`, `http`, `https:`, `mailto:a@b?cc=c`, ``,
}

// hostileItem is an item whose names x and y have the value, as parseItems never
// lets through all of it.
func hostileItem(v string) *item {
	return &item{[]field{{"x", v}, {"y", v}}}
}

// hostileContexts are places for slots in HTML.
var hostileContexts = []string{
	`{{x}}`, `a{{x}}b`, `{{x}}{{y}}`, `<p>{{x}}</p>`, `a<{{x}}b>c`, `<{{x}}{{y}}>`, `</{{x}}p>`[:0] + `&{{x}};`, `&lt{{x}}`, `&#{{x}};`, `<!-{{x}}-><b></b>`[:0] + `<!-- {{x}} -->`, `<b>{{x}}</b><i>{{y}}</i>`,
	`<b title="{{x}}"></b>`, `<b title='{{x}}'></b>`, `<b title={{x}}></b>`, `<b title=a{{x}}b{{y}} class=z></b>`, `<b title="a&{{x}};" c></b>`, `<b title="{{x}}" title=b></b>`, `<b {{x}}></b>`, `<b {{x}}=y></b>`, `<b a{{x}}="{{y}}"></b>`, `<b data-x='{"a":"{{x}}"}'></b>`, `<br title="{{x}}"/>`, `<b title = {{x}}></b>`,
	`<a href="{{x}}"></a>`, `<a href='{{x}}'></a>`, `<a href={{x}}></a>`, `<a href="/{{x}}"></a>`, `<a href="?a={{x}}&amp;b={{y}}"></a>`, `<a href="java{{x}}"></a>`, `<a href="javascript:{{x}}"></a>`, `<a href="&#{{x}}"></a>`, `<a href="&#106{{x}}"></a>`, `<a href="{{x}}:{{y}}"></a>`, `<a href="	{{x}}"></a>`, `<a href="https://h/{{x}}#{{y}}"></a>`,
	`<img src="{{x}}">`, `<img srcset="{{x}} 1x, {{y}} 2x">`, `<img srcset="/a 1x,{{x}}">`, `<img srcset="java{{x}} 1x">`, `<form action="{{x}}"><button formaction={{y}}></button></form>`, `<video poster={{x}}></video>`, `<iframe src="{{x}}"></iframe>`, `<iframe srcdoc="{{x}}"></iframe>`, `<iframe>{{x}}</iframe>`, `<a ping="{{x}} /y"></a>`, `<body-x background={{x}}></body-x>`,
	`<b onclick="f('{{x}}')"></b>`, `<b style="color:{{x}}"></b>`, `<b ONCLICK={{x}}></b>`, `<b is="{{x}}" nonce="{{x}}"></b>`, `<input type="{{x}}" value="{{y}}">`, `<object data="{{x}}"></object>`, `<embed src={{x}}>`, `<base href="{{x}}">`, `<link rel=stylesheet href="{{x}}">`, `<meta http-equiv=refresh content="0;url={{x}}">`, `<meta http-equiv="{{x}}" content="{{y}}">`,
	`<script src="{{x}}"></script>`, `<script>f("{{x}}")</script>`, `<script type="{{x}}">{{y}}</script>`, `<script type=application/json>{"a":"{{x}}","b":{{y}}}</script>`, `<script type=application/json>["<{{x}}","<!-{{x}}","\\{{y}}"]</script>`, `<script type=application/json>["\{{x}}"]</script>`, `<script type=application/json>["\u00{{x}}"]</script>`, `<script type=application/json>['{{x}}']</script>`, `<script type=application/json>{{x}}</script>`, `<script type=text/template><b title="{{x}}"></b></script>`,
	`<style>{{x}}</style>`, `<title>{{x}}</title>`, `<title></{{x}}title></title>`, `<title></tit{{x}}le {{y}}></title>`, `<textarea>{{x}}</textarea>`, `<textarea><{{x}}/textarea></textarea>`, `<noscript>{{x}}<b title="{{y}}"></noscript>`, `<xmp>{{x}}</xmp>`, `<noembed>{{x}}</noembed>`, `<pre>{{x}}</pre>`,
	`<ul><li>{{x}}<li>{{y}}</ul>`, `<td>{{x}}`, `<tr><td title={{x}}>{{y}}</tr>`, `<select><option value={{x}}>{{y}}</select>`, `<template><td>{{x}}</td></template>`, `<p><b>{{x}}</b><p>{{y}}`, `<table><caption>{{x}}</caption></table>`, `<a href=x><b title="{{x}}">{{y}}</b></a>`,
	`<svg><text x="{{x}}">{{y}}</text></svg>`, `<svg><title>{{x}}</title></svg>`, `<svg><title><b title="{{x}}"></b></title></svg>`, `<svg><style>{{x}}</style><g fill="{{x}}"/></svg>`, `<svg><style><a title="{{x}}"/></style></svg>`, `<svg><script>{{x}}</script></svg>`, `<svg><![CDATA[{{x}}]]></svg>`, `<svg><![CDATA[a]]{{x}}>]]></svg>`, `<svg><use href="{{x}}"/><a xlink:href={{x}} /></svg>`, `<svg><set attributeName={{x}} to={{y}} /></svg>`, `<svg><foreignObject><p title={{x}}>{{y}}</p></foreignObject></svg>`,
	`<math><mi>{{x}}</mi><mtext><b>{{y}}</b></mtext></math>`, `<math href={{x}}></math>`, `<math><annotation>{{x}}</annotation></math>`,
	`<b data-fill="x title=x href=y">s</b>`, `<a data-fill="x title=x href=y onclick=x style=y">s</a>`, `<img data-fill="src=x srcset=y alt=x">`, `<title data-fill=x></title>`, `<textarea data-fill=x>s</textarea>`, `<svg><use data-fill="href=x"/></svg>`, `<iframe data-fill="x src=x srcdoc=y"></iframe>`, `<script data-fill="x src=y">1</script>`,
}

// patternShape dumps the elements and attributes of a tree, and the values that are
// code: those may not depend on a value.
func patternShape(t testing.TB, page string) string {
	t.Helper()
	doc := must(nethtml.Parse(strings.NewReader("<!doctype html><html><head></head><body><div id=A>" + page + "</div><div id=B></div></body></html>")))
	var b strings.Builder
	var walk func(n *nethtml.Node)
	walk = func(n *nethtml.Node) {
		if n.Type == nethtml.CommentNode {
			fmt.Fprintf(&b, "<!--%s-->", n.Data)
		}
		if n.Type == nethtml.ElementNode {
			fmt.Fprintf(&b, "<%s", n.Data)
			slices.SortStableFunc(n.Attr, func(x, y nethtml.Attribute) int { return strings.Compare(x.Key, y.Key) })
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
				if low := strings.ToLower(a.Key); activeAttr([]byte(low)) || !safeValue(low, a.Val) {
					fmt.Fprintf(&b, "=%q", a.Val)
				}
			}
			b.WriteString(">")
			if typ, _ := attrOf(n, "type"); is(n, "script style") && !strings.Contains(typ, "json") && n.FirstChild != nil {
				b.WriteString(n.FirstChild.Data)
			} else if is(n, "script") && n.FirstChild != nil {
				fmt.Fprintf(&b, "JSON %v", json.Valid([]byte(n.FirstChild.Data)))
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
		if n.Type == nethtml.ElementNode {
			b.WriteString("</>")
		}
	}
	walk(doc)
	return b.String()
}

func TestPatternHostile(t *testing.T) {
	if len(hostileValues) < 60 {
		t.Fatal("too few")
	}
	charsets := []Charset{UTF8, charsetOf("windows-1252"), {}}
	if testing.Short() {
		charsets = charsets[:1]
	}
	for _, markup := range hostileContexts {
		var p pattern
		if why := p.parse([]byte(markup), false); why != 0 {
			t.Errorf("%s: %v", markup, why)
			continue
		}
		for _, cs := range charsets {
			want := patternShape(t, string(p.append(nil, hostileItem("x1"), cs)))
			for _, v := range hostileValues {
				if v == "" || strings.TrimSpace(v) == "" {
					continue // no text may mean that a formatting element does not go on
				}
				out := p.append(nil, hostileItem(v), cs)
				if cs == (Charset{}) && !onlyASCII(out) {
					t.Errorf("%s with %q: not ASCII", markup, shown(v))
				}
				if have := patternShape(t, string(out)); have != want {
					t.Errorf("%s with %q: %q\nhave %s\nwant %s", markup, shown(v), shown(string(out)), have, want)
				}
			}
		}
	}
}

func onlyASCII(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= 0x80 }) < 0
}

// Values arrive as they are.
func TestPatternFidelity(t *testing.T) {
	read := func(page, name, attr string) string {
		doc := must(nethtml.Parse(strings.NewReader("<!doctype html><body>" + page)))
		var found string
		var walk func(n *nethtml.Node)
		walk = func(n *nethtml.Node) {
			if is(n, name) {
				if attr != "" {
					found, _ = attrOf(n, attr)
				} else {
					for c := n.FirstChild; c != nil; c = c.NextSibling {
						found += c.Data
					}
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(doc)
		return found
	}
	for _, v := range hostileValues {
		it := hostileItem(v)
		for _, c := range []struct{ markup, name, attr string }{
			{`<p>{{x}}</p>`, "p", ""}, {`<title>{{x}}</title>`, "title", ""}, {`<textarea>{{x}}</textarea>`, "textarea", ""}, {`<pre>{{x}}</pre>`, "pre", ""}, {`<pre data-fill=x>y</pre>`, "pre", ""},
			{`<p title="{{x}}"></p>`, "p", "title"}, {`<p title='{{x}}'></p>`, "p", "title"}, {`<p title={{x}}></p>`, "p", "title"}, {`<p data-fill=title=x></p>`, "p", "title"}, {`<p data-fill="x">y<b>z</b></p>`, "p", ""},
			{`<script type=application/json>"{{x}}"</script>`, "script", ""},
		} {
			for _, cs := range []Charset{UTF8, {}} {
				var p pattern
				p.parse([]byte(c.markup), false)
				got := read(string(p.append(nil, it, cs)), c.name, c.attr)
				if c.name == "script" {
					var s string
					if err := json.Unmarshal([]byte(got), &s); err != nil {
						t.Errorf("%q: %v", v, err)
					}
					got = s
				}
				want := v
				if cs != UTF8 {
					if c.name != "script" {
						want = strings.NewReplacer("\u0085", "\uFFFD", "\x1b", "\uFFFD").Replace(v)
					}
				}
				if got != want {
					t.Errorf("%s: %q becomes %q", c.markup, shown(v), shown(got))
				}
			}
		}
	}
}

var hostileXML = []string{
	`<a>{{x}}</a>`, `<a b="{{x}}"/>`, `<a b='{{x}}'>a{{y}}b</a>`, `<a><![CDATA[{{x}}]]></a>`, `<a><![CDATA[a]]{{x}}>]]></a>`, `<a><![CDATA[<b>{{x}}</b>]]></a>`, `<a>&lt;b {{x}}&gt;{{y}}</a>`, `<link>{{x}}</link>`, `<link href="{{x}}" rel="self"/>`,
	`<g xlink:href="{{x}}" onload="{{x}}" style="{{x}}"/>`, `<script>{{x}}</script>`, `<!-- {{x}} --><a/>`, `<a data-fill="x b=x href=y">s<c/></a>`, `<use href="{{x}}"/>`, `<a>]]{{x}}</a>`, `<a>&{{x}};</a>`[:0] + `<a>&amp;{{x}};</a>`,
}

func TestPatternHostileXML(t *testing.T) {
	shape := func(s string) string {
		var b strings.Builder
		d := xml.NewDecoder(strings.NewReader("<r xmlns:xlink='l'>" + s + "</r>"))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return b.String()
			}
			if err != nil {
				return err.Error() + shown(s)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				b.WriteString("<" + tok.Name.Local)
				for _, a := range tok.Attr {
					b.WriteString(" " + a.Name.Local)
					if a.Name.Local == "href" && !safeURL(a.Value) {
						t.Errorf("%s", shown(s))
					}
				}
			case xml.EndElement:
				b.WriteString(">")
			case xml.ProcInst, xml.Directive, xml.Comment:
				fmt.Fprintf(&b, "%T", tok)
			}
		}
	}
	for _, markup := range hostileXML {
		var p pattern
		if why := p.parse([]byte(markup), true); why != 0 {
			t.Errorf("%s: %v", markup, why)
			continue
		}
		want := shape(string(p.append(nil, hostileItem("x1"), UTF8)))
		if strings.Contains(want, "XML syntax") {
			t.Errorf("%s: %s", markup, want)
		}
		for _, v := range hostileValues {
			for _, cs := range []Charset{UTF8, {}} {
				if have := shape(string(p.append(nil, hostileItem(v), cs))); have != want {
					t.Errorf("%s with %q\nhave %s\nwant %s", markup, shown(v), have, want)
				}
			}
		}
	}
}

// A slot may stand anywhere: whatever is made of it, values do not change what
// elements and attributes there are.
func slotAnywhere(t testing.TB, markup, value string, at ...int) bool {
	t.Helper()
	page := markup
	for _, i := range at {
		i %= len(page) + 1
		page = page[:i] + "{{x}}" + page[i:]
	}
	var p pattern
	if p.parse([]byte(page), false) != 0 {
		return false
	}
	want := patternShape(t, string(p.append(nil, hostileItem("x1"), UTF8)))
	if have := patternShape(t, string(p.append(nil, hostileItem(value), UTF8))); have != want {
		t.Errorf("%q with %q\nhave %s\nwant %s", page, shown(value), have, want)
	}
	return true
}

func TestPatternAnywhere(t *testing.T) {
	filled := 0
	rounds := 8000
	if testing.Short() {
		rounds = 2000
	}
	for seed := range rounds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 4))
		markup := hostileContexts[rnd.IntN(len(hostileContexts))]
		if rnd.IntN(3) == 0 {
			markup += hostileContexts[rnd.IntN(len(hostileContexts))]
		}
		markup = strings.ReplaceAll(markup, "{{y}}", "z")
		if rnd.IntN(2) == 0 {
			markup = strings.ReplaceAll(markup, "{{x}}", "")
		}
		v := hostileValues[rnd.IntN(len(hostileValues)-16)]
		if strings.TrimSpace(v) == "" || strings.Contains(markup, "data-fill-if") {
			continue
		}
		if slotAnywhere(t, markup, v, rnd.IntN(1000), rnd.IntN(1000)) {
			filled++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if filled < rounds/10 {
		t.Errorf("%d of %d were patterns", filled, rounds)
	}
}

func FuzzPattern(f *testing.F) {
	for i, c := range hostileContexts {
		f.Add(c, hostileValues[i%len(hostileValues)], 3*i)
	}
	f.Fuzz(func(t *testing.T, markup, value string, at int) {
		if at < 0 || len(markup) > 4000 || len(value) > 1000 || strings.TrimSpace(value) == "" || strings.Contains(markup, "fill-if") || strings.ContainsRune(value, 0) || !clean(value) {
			return
		}
		// What a parser moves out of tables or reopens depends on whether there is text at all.
		slotAnywhere(t, markup, "x"+value, at)
		slotAnywhere(t, markup, value, at)
		var p pattern
		for _, in := range []flags{fSVG, fMath} {
			if p.parseIn([]byte(markup), false, in) == 0 {
				p.append(nil, hostileItem(value), Charset{})
			}
		}
		if p.parse([]byte(markup), true) == 0 {
			p.append(nil, hostileItem(value), Charset{})
		}
	})
}

func FuzzSafeURL(f *testing.F) {
	for _, v := range hostileValues {
		f.Add(v)
	}
	var p pattern
	f.Fuzz(func(t *testing.T, s string) {
		if have, want := safeURLBytes([]byte(s)), safeURL(s); have != want {
			t.Errorf("%q: %v, safeURL says %v", s, have, want)
		}
		if strings.Contains(s, "&") {
			return
		}
		if have, want := p.holds(checkURLs, []byte(s)), safeValue("srcset", s); have != want {
			t.Errorf("%q: %v, safeValue says %v", s, have, want)
		}
	})
}

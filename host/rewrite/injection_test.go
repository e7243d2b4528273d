package rewrite

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
	"golang.org/x/text/encoding/htmlindex"
)

// injectionValues are the values of testdata/injection.txt.
func injectionValues(t testing.TB) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(string(must(os.ReadFile("testdata/injection.txt")))) {
		if strings.HasPrefix(line, `"`) {
			v, err := strconv.Unquote(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			all = append(all, v)
		}
	}
	if len(all) < 200 {
		t.Fatalf("%d values", len(all))
	}
	return all
}

// An injector is an operation that takes a value.
type injector struct {
	name string
	edit func(v string) abi.Edit
}

// injectors are all such operations; everywhere are those whose value goes
// where the element's kind decides.
func injectors() (everywhere, attrs []injector) {
	for _, op := range []abi.Op{abi.OpText, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend, abi.OpReplace} {
		everywhere = append(everywhere, injector{op.String(), func(v string) abi.Edit { return edit(op, ".x", v) }})
	}
	for _, name := range strings.Fields("title href class") {
		everywhere = append(everywhere, injector{"attr " + name, func(v string) abi.Edit { return edit(abi.OpAttr, ".x", name, v) }})
	}
	for _, name := range strings.Fields("src srcset xlink:href data-a value alt action to content id lang poster ping style onclick srcdoc http-equiv") {
		attrs = append(attrs, injector{"attr " + name, func(v string) abi.Edit { return edit(abi.OpAttr, ".x", name, v) }})
	}
	attrs = append(attrs,
		injector{"attr named", func(v string) abi.Edit { return edit(abi.OpAttr, ".x", v, "y") }},
		injector{"unset-attr named", func(v string) abi.Edit { return edit(abi.OpUnsetAttr, ".x", v) }},
		injector{"add-class", func(v string) abi.Edit { return edit(abi.OpAddClass, ".x", v) }},
		injector{"remove-class", func(v string) abi.Edit { return edit(abi.OpRemoveClass, ".x", v) }},
	)
	return everywhere, attrs
}

// attrPlaces are places at which attributes are told apart.
var attrPlaces = []string{
	`<p id=x class=x>a</p>`, `<p class='a x'title="a"b>a`, `<a href="/" class=x>a</a>`, `<img class=x src=a srcset="b 2x"/>`, `<p data-a=1 title='a' title=b class=x>a`,
	`<p/class=x/>a`, `<svg><a class="x"/><image class=x xlink:href="a"/></svg>`, `<svg><set class=x to=a /></svg>`, `<p class=x =a ==b /=c "d 'e>f</p>`, `<form class=x action=/><button class=x formaction=/></form>`,
	`<math><mi class=x>a</mi></math>`, `<input class=x value=a>`, `<p class=x data-a=a/>b`, `<iframe class=x src=/></iframe><meta class=x content=a><video class=x poster=a></video>`,
}

// A mould is a page and an operation, into which values go.
type mould struct {
	page string
	in   injector
	opt  Options
}

// pour returns the page with the value in it, and whether the edit was accepted and carried out.
func (m *mould) pour(t testing.TB, v string) (out string, done bool) {
	t.Helper()
	p, err := Compile([]abi.Edit{m.in.edit(v)}, m.opt)
	if err != nil {
		return m.page, false
	}
	var b bytes.Buffer
	r := New(p, &b)
	if _, err := r.Write([]byte(m.page)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	rep := r.Report()
	n := 0
	for _, a := range rep.Applied {
		n += a
	}
	if n == 0 && b.String() != m.page {
		t.Errorf("%s %q on %s: nothing applied, but %s", m.in.name, v, m.page, b.String())
	}
	return b.String(), n > 0
}

// moulds are all places and operations of HTML.
func moulds() (all []mould) {
	everywhere, attrs := injectors()
	for i, page := range injectionPlaces() {
		for j, in := range everywhere {
			opt := Options{Charset: UTF8}
			if (i+j)%3 == 0 { // one that nothing is known of
				opt = Options{}
			}
			all = append(all, mould{page, in, opt})
		}
	}
	for _, page := range attrPlaces {
		for _, in := range attrs {
			all = append(all, mould{page, in, Options{Charset: UTF8}})
		}
	}
	for _, page := range fillPages {
		all = append(all, mould{page, injector{"fill", func(v string) abi.Edit { return edit(abi.OpFill, ".x", "v="+v+"\n\nw=1\nv=2") }}, Options{Charset: UTF8}})
	}
	return all
}

// injectionPlaces are places, and more that have comments, slots and odd markup beside the element.
func injectionPlaces() []string {
	return append(slices.Clone(places),
		`<!--a--><p class=x>a</p><!--b-->`, `<p class=x><!--a-->b<!--c--></p>`, `<p class=x>a<!--b`, `<!--><p class=x>a</p>-->b`, `<!doctype html><!--a--!><p class=x>b</p>`,
		`<script type=application/json class=x>{"a":1}</script>`, `<script type="application/ld+json" class=x>1</script><p>a`, `<svg><script class=x>a</script></svg>`, `<svg><script><g class=x>a</g></script></svg>`,
		`<svg><style><g class=x>a</g></style></svg>`, `<svg><desc class=x>a</desc></svg>`, `<svg><a class=x>a</a><![CDATA[b]]></svg>`, `<svg><text class=x>a<![CDATA[b]]>c</text></svg>`, `<svg><p class=x>a</p></svg>`,
		`<math><mtext class=x>a</mtext></math>`, `<math><annotation-xml encoding=text/html class=x>a</annotation-xml></math>`, `<math><mtext><table><tr><td class=x>a</table></mtext></math>`, `<math><mglyph class=x></mglyph></math>`,
		`<p class=x title="a>b`, `<p class=x title='a'"b">c</p>`, `<p class=x a=b=c>d</p>`, `<p class=x a="b"c='d'e>f</p>`, `<p class=x <b>a</p>`, `<p class=x/ / a>b</p>`, `<a href=javascript:void(0) class=x>a</a>`,
		`<noscript><p class=x>a</p></noscript><p class=x>b</p>`, `<noembed class=x>a</noembed>`, `<noframes class=x>a</noframes>`, `<object class=x>a</object>`, `<audio class=x>a</audio>`, `<listing class=x>a</listing>`,
		`<template><p class=x>a</p></template><p class=x>b</p>`, `<div><template class=x></template></div>`, `<table>a<p class=x>b</p><tr><td>c</table>`, `<table><form class=x><tr><td>a</table>`, `<table><input class=x type=hidden><tr><td>a</table>`,
		`<select><optgroup class=x><option>a</select>`, `<select><b class=x>a</b></select>`, `<select><option><i class=x>a</i></select>`, `<select><hr class=x></select>`, `<fieldset><legend class=x>a</legend></fieldset>`,
		`<frameset><frame class=x></frameset>`, `<frameset><noframes class=x>a</noframes></frameset>`, `<body><p class=x>a</body></html>b<i class=x>c</i>`, `a<p class=x>b<script>c</script>d`, `<style>a</style><p class=x>b`,
		`<title>a</title><p class=x>b`, `<b><i class=x><p>a</b>b</i>c`, `<nobr><nobr class=x>a`, `<applet class=x>a</applet>`, `<marquee class=x>a</marquee>`, `<label class=x>a<textarea>b</textarea></label>`,
		`<video class=x><source>a</video>`, `<canvas class=x>a</canvas>`, `<details class=x><summary>a</summary></details>`, `<dialog class=x>a</dialog>`, `<menu><li class=x>a</menu>`, `<p>a<plaintext class=x>b`)
}

// fillPages have slots of every kind; the first copy is filled with the value, the second with what is harmless.
var fillPages = []string{
	`<ul class=x><template><li>{{v}}</li></template></ul>`, `<ul class=x><li title="{{v}}" data-a='{{v}}' alt={{v}}>a</ul>`, `<ul class=x><li><a href="{{v}}">{{v}}</a></ul>`, `<ul class=x><li><a href="/a?b={{v}}#{{v}}">c</a></ul>`,
	`<ul class=x><li><a href=" {{v}}">a</a><a href="java{{v}}">b</a><a href="j{{v}}:{{v}}">c</a></ul>`, `<ul class=x><li><img srcset="/a 1x, {{v}} 2x" src={{v}}></ul>`, `<ul class=x><li data-fill="v title=v href=v src=v srcset=v">a</li></ul>`,
	`<ul class=x><li><a data-fill="href=v v">a</a></ul>`, `<ul class=x><li onclick="a({{v}})" style="b:{{v}}">a</ul>`, `<ul class=x><li data-fill="onclick=v style=v srcdoc=v">a</ul>`, `<ul class=x><li><iframe src="{{v}}" srcdoc="{{v}}"></iframe></ul>`,
	`<div class=x><p><script type=application/json>{"a":"{{v}}","b":{{v}},"c":[{{v}}]}</script></p></div>`, `<div class=x><p><script>a = "{{v}}"</script><style>b{c:{{v}}}</style></p></div>`,
	`<div class=x><p><!-- {{v}} --></p></div>`, `<div class=x><p><textarea>{{v}}</textarea></p></div>`, `<div class=x><p><textarea data-fill=v>a</textarea><title>{{v}}</title></p></div>`, `<div class=x><p><svg><a xlink:href="{{v}}"><text>{{v}}</text></a></svg></p></div>`,
	`<div class=x><p><svg><script>{{v}}</script><style>{{v}}</style></svg></p></div>`, `<div class=x><p><svg><set attributeName=href to="{{v}}" /><animate values="/;{{v}}" /></svg></p></div>`, `<div class=x><p><noscript>{{v}}</noscript><iframe>{{v}}</iframe><xmp>{{v}}</xmp></p></div>`,
	`<select class=x><option value={{v}}>{{v}}</select>`, `<table><tbody class=x><tr><td>{{v}}<td data-fill=v>a</table>`, `<dl class=x><template><dt>{{v}}<dd title={{v}}>{{v}}</template></dl>`, `<div class=x><p {{v}}>a</p></div>`, `<div class=x><p {{v}}="a" a{{v}}=b>a</p></div>`,
	`<div class=x><p><{{v}}>a</p></div>`, `<div class=x><p id="{{v}}" class={{v}}>a</p></div>`, `<div class=x><p><form action={{v}}><button formaction="{{v}}">a</button></form></p></div>`, `<div class=x><p><object data="{{v}}"></object><embed src="{{v}}"><base href={{v}}></p></div>`,
	`<div class=x><p><meta http-equiv=refresh content="0;url={{v}}"><link rel=stylesheet href="{{v}}"></p></div>`, `<div class=x><p><math><mtext>{{v}}</mtext><annotation-xml>{{v}}</annotation-xml></math></p></div>`,
	`<div class=x><p><svg><![CDATA[{{v}}]]></svg></p></div>`, `<div class=x><p><template>{{v}}<b title="{{v}}">c</b></template></p></div>`, `<div class=x><p><plaintext>{{v}}</div>`, `<div class=x><script src="{{v}}"></script></div>`, `<div class=x><script type=text/plain>{{v}}</script></div>`,
	`<div class=x><script type="{{v}}">a</script></div>`, `<div class=x><p data-fill-if=v>a</p></div>`, `<div class=x><svg><use href="{{v}}" fill="url({{v}})"/></svg></div>`, `<div class=x><p nonce={{v}} is={{v}}>a</p></div>`,
}

// shape is the structure of a page: its elements, the names of their
// attributes, with a mark on addresses that would run something, and comments.
// leave is the name of an attribute that does not count.
func shape(doc *nethtml.Node, leave string) string {
	var b strings.Builder
	shapeTo(&b, doc, leave)
	return b.String()
}

func shapeTo(b *strings.Builder, n *nethtml.Node, leave string) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.Type {
		case nethtml.CommentNode:
			b.WriteString("!")
		case nethtml.DoctypeNode:
			b.WriteString("D")
		case nethtml.ElementNode:
			fmt.Fprintf(b, "<%s:%s", c.Namespace, c.Data)
			var names []string
			for _, a := range c.Attr {
				name := a.Key
				if a.Namespace != "" {
					name = a.Namespace + ":" + a.Key
				}
				if name == leave {
					continue
				}
				if runs(name, a.Val) {
					name += "!"
				}
				names = append(names, name)
			}
			slices.Sort(names)
			b.WriteString(" " + strings.Join(slices.Compact(names), " ") + ">")
			shapeTo(b, c, leave)
			b.WriteString("</>")
		}
	}
}

var (
	addresses = strings.Fields("href src action formaction data poster background cite longdesc manifest xlink:href srcset imagesrcset ping codebase classid icon profile usemap")
	movers    = strings.Fields("to from by values")
	scheme    = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// runs tells whether the attribute's value is an address that a browser might
// run, or of a scheme that nobody meant.
func runs(name, value string) bool {
	clear := func(s string) string {
		return strings.ToLower(strings.Trim(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s), "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f "))
	}
	switch {
	case slices.Contains(movers, name):
		return strings.Contains(clear(value), "script:") || strings.Contains(clear(value), "data:")
	case !slices.Contains(addresses, name):
		return false
	}
	parts := []string{value}
	if strings.HasSuffix(name, "srcset") || name == "ping" {
		parts = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r <= ' ' })
	}
	for _, p := range parts {
		if s := scheme.FindString(clear(p)); s != "" && !slices.Contains([]string{"http:", "https:", "mailto:", "tel:"}, s) {
			return true
		}
	}
	return false
}

// No value, by no operation, at no place, makes an element, an attribute or a
// comment that the operation does not mean, and none that runs.
func TestInjection(t *testing.T) {
	values := injectionValues(t)
	done := map[string]int{}
	for _, m := range moulds() {
		wanted := map[bool]string{} // space alone makes no body
		for blank, v := range map[bool]string{false: "T", true: " "} {
			harmless, _ := m.pour(t, v)
			wanted[blank] = shape(must(nethtml.Parse(strings.NewReader(harmless))), "")
		}
		for _, v := range values {
			out, ok := m.pour(t, v)
			if !ok || m.in.name == "fill" && strings.ContainsAny(v, "\n") { // a newline ends a value of fill
				continue
			}
			done[m.in.name]++
			want := wanted[strings.Trim(v, " \t\n\f\r") == ""]
			leave := ""
			if strings.HasSuffix(m.in.name, "named") { // the attribute that it means is another one
				if leave = strings.ToLower(v); leave == "T" {
					continue
				}
			}
			doc := must(nethtml.Parse(strings.NewReader(out)))
			if have := shape(doc, leave); have != want && !(leave != "" && have == shape(must(nethtml.Parse(strings.NewReader(m.page))), leave)) {
				t.Fatalf("%s %q on %s\ngives %s\nhave %s\nwant %s", m.in.name, v, m.page, out, have, want)
			}
			if m.in.name == "text" && (m.opt.Charset == UTF8 || !controls(v)) {
				checkText(t, doc, m.page, out, v)
			}
			if name, ok := strings.CutPrefix(m.in.name, "attr "); ok && leave == "" && (m.opt.Charset == UTF8 || !controls(v)) {
				checkAttr(t, doc, m.page, out, name, v)
			}
		}
	}
	for _, m := range moulds() {
		if refusedAttrs := strings.Fields("style onclick srcdoc http-equiv"); done[m.in.name] == 0 && !slices.Contains(refusedAttrs, strings.TrimPrefix(m.in.name, "attr ")) {
			t.Errorf("%s was never done", m.in.name)
		}
	}
}

// checkAttr checks that an element has the attribute, and with the very value.
func checkAttr(t *testing.T, doc *nethtml.Node, page, out, name, v string) {
	t.Helper()
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if key := a.Key; a.Val == v && (key == name || a.Namespace+":"+key == name) {
				return
			}
		}
	}
	t.Fatalf("attr %s %q on %s\ngives %s", name, v, page, out)
}

// controls tells whether what is in it has to be replaced outside UTF-8: C1
// controls, which no character reference means, and those by which charsets shift.
func controls(v string) bool {
	return strings.ContainsFunc(v, func(r rune) bool { return r >= 0x80 && r < 0xA0 || r == 0x1B || r == 0x0E || r == 0x0F })
}

// Any value, in any mould.
func FuzzInjection(f *testing.F) {
	all := moulds()
	for i, v := range injectionValues(f) {
		f.Add(v, uint(i*37))
	}
	f.Fuzz(func(t *testing.T, v string, n uint) {
		m := all[n%uint(len(all))]
		harmless := "T"
		if strings.Trim(v, " \t\n\f\r") == "" {
			harmless = " "
		}
		base, _ := m.pour(t, harmless)
		out, ok := m.pour(t, v)
		if !ok || strings.HasSuffix(m.in.name, "named") || m.in.name == "fill" && strings.Contains(v, "\n") {
			return
		}
		have, want := shape(must(nethtml.Parse(strings.NewReader(out))), ""), shape(must(nethtml.Parse(strings.NewReader(base))), "")
		if have != want {
			t.Fatalf("%s %q on %s\ngives %s\nhave %s\nwant %s", m.in.name, v, m.page, out, have, want)
		}
	})
}

// checkText checks that the elements' text is the value, to the letter.
func checkText(t *testing.T, doc *nethtml.Node, page, out, v string) {
	t.Helper()
	for n := range doc.Descendants() {
		if c, _ := attrOf(n, "class"); !slices.Contains(strings.Fields(c), "x") || is(n, "script style html") || inTemplate(n) || within(n, "noscript noembed noframes iframe xmp plaintext table frameset template") {
			continue
		}
		if strings.HasPrefix(v, "\r") && is(n, "textarea pre listing") {
			continue // x/net/html drops "&#13;" there, and the newline after it; WHATWG 13.2.6.4.7 drops a line feed only
		}
		have := ""
		for x := range n.Descendants() {
			if x.Type == nethtml.TextNode {
				have += x.Data
			}
		}
		if have != v && !is(n, voidNames) && n.FirstChild != nil && !strings.HasPrefix(have, "a") && have != "b" && have != "d" && have != "f" {
			t.Fatalf("text %q on %s\ngives %s\nhave %q", v, page, out, have)
		}
	}
}

// In pages of other charsets as well; what comes out is read with that charset.
func TestInjectionCharsets(t *testing.T) {
	values := injectionValues(t)
	everywhere, _ := injectors()
	for _, name := range strings.Fields("windows-1252 shift_jis gbk gb18030 big5 euc-jp euc-kr iso-8859-7 koi8-r") {
		cs := Sniff(nil, "text/html; charset="+name, false)
		if !cs.Editable() {
			t.Fatalf("%s cannot be edited", name)
		}
		encoding := must(htmlindex.Get(name))
		for _, page := range []string{`<p class=x title="a">b</p>`, `<title class=x>a</title><p>b`, `<a class=x href=/>a</a>`, `<ul><li class=x>a</ul>`} {
			for _, in := range everywhere {
				m := mould{page, in, Options{Charset: cs}}
				harmless, _ := m.pour(t, "T")
				want := shape(must(nethtml.Parse(strings.NewReader(harmless))), "")
				for _, v := range values {
					out, ok := m.pour(t, v)
					if !ok {
						continue
					}
					read := must(encoding.NewDecoder().String(out))
					doc := must(nethtml.Parse(strings.NewReader(read)))
					if have := shape(doc, ""); have != want {
						t.Fatalf("%s: %s %q on %s\ngives %q\nread  %q\nhave %s\nwant %s", name, in.name, v, page, out, read, have, want)
					}
					if in.name == "text" && !controls(v) {
						checkText(t, doc, page, out, v)
					}
				}
			}
		}
	}
}

package rewrite

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// xmlPlaces are documents with the element .x, or x:x, at a place.
var xmlPlaces = []string{
	`<a><b class="x">c</b></a>`, `<?xml version="1.0"?><!-- a --><a><b class='x'/></a>`, `<a><![CDATA[b]]><b class="x"><![CDATA[c]]></b>d</a>`, `<a><?b c?><b class="x" d='e'>f</b><?g?></a>`,
	`<rss version="2.0"><channel><item class="x"><title>a</title><description>b</description></item></channel></rss>`, `<a xmlns:m="urn:m"><m:b class="x" m:c="d">e</m:b></a>`,
	`<svg xmlns="http://www.w3.org/2000/svg"><text class="x">a</text></svg>`, `<svg xmlns="http://www.w3.org/2000/svg"><script class="x">a</script><style class="x">b</style></svg>`,
	`<svg xmlns="http://www.w3.org/2000/svg"><script><g class="x">a</g></script></svg>`, `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><a class="x" xlink:href="/">b</a></svg>`,
	`<html xmlns="http://www.w3.org/1999/xhtml"><body><p class="x">a</p><br class="x"/><textarea class="x">b</textarea></body></html>`, `<!DOCTYPE a [<!ENTITY b "c">]><a><b class="x">&b;</b></a>`,
	`<a><b class="x"><!-- c --></b><!-- d --></a>`, `<a><b class="x" title="&lt;&quot;&#x27;">&#60;</b></a>`, "<a>\n\t<b\n\tclass = 'x'\n>c</b\n></a>",
}

// xmlShape is the structure of a document, or the error that it is not well-formed by.
func xmlShape(doc, leave string) (string, error) {
	var b strings.Builder
	d := xml.NewDecoder(strings.NewReader(doc))
	d.Entity = map[string]string{"b": "c"}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			fmt.Fprintf(&b, "<%s:%s", tok.Name.Space, tok.Name.Local)
			var names []string
			for _, a := range tok.Attr {
				name := a.Name.Local
				if strings.HasSuffix(a.Name.Space, "xlink") {
					name = "xlink:" + name
				}
				if name == leave {
					continue
				}
				if runs(name, a.Value) {
					name += "!"
				}
				names = append(names, name)
			}
			slices.Sort(names)
			b.WriteString(" " + strings.Join(names, " ") + ">")
		case xml.EndElement:
			b.WriteString("</>")
		case xml.Comment:
			b.WriteString("!")
		case xml.ProcInst, xml.Directive:
			b.WriteString("?")
		}
	}
}

func TestInjectionXML(t *testing.T) {
	values := injectionValues(t)
	everywhere, attrs := injectors()
	all := append(everywhere, attrs...)
	all = append(all, injector{"fill", func(v string) abi.Edit { return edit(abi.OpFill, ".x", "v="+v+"\n\nv=2") }})
	done := map[string]int{}
	pages := append(slices.Clone(xmlPlaces), `<a class="x"><b c="{{v}}" d='{{v}}'>{{v}}<![CDATA[{{v}}]]></b></a>`, `<a class="x"><b data-fill="v href=v c=v">e</b><!-- {{v}} --></a>`,
		`<svg xmlns="http://www.w3.org/2000/svg" class="x"><a href="{{v}}" onclick="{{v}}"><text>{{v}}</text><script>{{v}}</script></a></svg>`, `<rss class="x"><item><link>{{v}}</link><description>&lt;b&gt;{{v}}</description></item></rss>`)
	for _, page := range pages {
		for _, in := range all {
			m := mould{page, in, Options{Syntax: XML, Charset: UTF8}}
			harmless, _ := m.pour(t, "T")
			want, err := xmlShape(harmless, "")
			if err != nil {
				t.Fatalf("%s %s: %v: %s", in.name, page, err, harmless)
			}
			for _, v := range values {
				out, ok := m.pour(t, v)
				if !ok || in.name == "fill" && strings.Contains(v, "\n") {
					continue
				}
				done[in.name]++
				leave := ""
				if strings.HasSuffix(in.name, "named") {
					leave = v[strings.IndexByte(v, ':')+1:]
				}
				have, err := xmlShape(out, leave)
				plain, _ := xmlShape(page, leave)
				if err != nil || have != want && !(leave != "" && have == plain) {
					t.Fatalf("%s %q on %s\ngives %q\nhave %s, %v\nwant %s", in.name, v, page, out, have, err, want)
				}
			}
		}
	}
	for _, in := range everywhere {
		if done[in.name] == 0 {
			t.Errorf("%s was never done", in.name)
		}
	}
}

// In XML a prefix may stand before every name that counts.
func TestAttacksXML(t *testing.T) {
	const xhtml, svg = `xmlns:h="http://www.w3.org/1999/xhtml"`, `xmlns="http://www.w3.org/2000/svg" xmlns:l="http://www.w3.org/1999/xlink"`
	for _, a := range []attack{
		{`<svg ` + svg + `><a id="x" l:href="/"/></svg>`, edit(abi.OpAttr, "#x", "l:href", "javascript:__hit()")},
		{`<svg ` + svg + `><a id="x" l:href="/"/></svg>`, edit(abi.OpAttr, "#x", "l:HREF", "javascript:__hit()")},
		{`<svg ` + svg + `><script id="x"/></svg>`, edit(abi.OpAttr, "#x", "href", "/y")},
		{`<svg ` + svg + `><script id="x">a</script></svg>`, edit(abi.OpText, "#x", "__hit()")},
		{`<svg ` + svg + `><script><g id="x"/></script></svg>`, edit(abi.OpBefore, "#x", "__hit()")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpBefore, "#x", `<script>__hit()</script>`, "html")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpBefore, "#x", `<a l:href="javascript:__hit()">a</a>`, "html")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpBefore, "#x", `<a xmlns:q="http://www.w3.org/1999/xlink" q:href="javascript:__hit()">a</a>`, "html")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpBefore, "#x", `<q:script xmlns:q="http://www.w3.org/2000/svg">__hit()</q:script>`, "html")},
		{`<svg ` + svg + `><a id="x"><set attributeName="href" to="/"/></a></svg>`, edit(abi.OpAttr, "set", "to", "javascript:__hit()")},
		{`<svg ` + svg + `><a id="x"><set attributeName="fill" to="/"/></a></svg>`, edit(abi.OpAttr, "set", "attributeName", "href")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpAttr, "#x", "onload", "__hit()")},
		{`<svg ` + svg + `><g id="x"/></svg>`, edit(abi.OpAttr, "#x", "ONLOAD", "__hit()")},
		{`<svg ` + svg + ` id="x"><a l:href="{{v}}"/></svg>`, edit(abi.OpFill, "#x", "v=javascript:__hit()")},
		{`<svg ` + svg + ` id="x"><g><script>{{v}}</script></g></svg>`, edit(abi.OpFill, "#x", "v=__hit()")},
		{`<svg ` + svg + ` id="x"><g onclick="{{v}}"/></svg>`, edit(abi.OpFill, "#x", "v=__hit()")},
		{`<h:html ` + xhtml + `><h:script id="x">a</h:script></h:html>`, edit(abi.OpText, "#x", "__hit()")},
		{`<h:html ` + xhtml + `><h:script id="x">a</h:script></h:html>`, edit(abi.OpAttr, "#x", "src", "/y")},
		{`<h:html ` + xhtml + `><h:base id="x"/></h:html>`, edit(abi.OpAttr, "#x", "href", "/y")},
		{`<h:html ` + xhtml + `><h:meta http-equiv="refresh" id="x"/></h:html>`, edit(abi.OpAttr, "#x", "content", "0;url=/y")},
		{`<h:html ` + xhtml + `><h:meta http-equiv="content-security-policy" content="a" id="x"/></h:html>`, edit(abi.OpRemove, "#x")},
		{`<h:html ` + xhtml + `><h:link rel="stylesheet" id="x"/></h:html>`, edit(abi.OpAttr, "#x", "href", "/y")},
		{`<h:html ` + xhtml + `><h:object id="x"/></h:html>`, edit(abi.OpAttr, "#x", "data", "/y")},
		{`<h:html ` + xhtml + `><h:iframe id="x"/></h:html>`, edit(abi.OpAttr, "#x", "srcdoc", "y")},
		{`<h:html ` + xhtml + `><h:iframe sandbox="" id="x"/></h:html>`, edit(abi.OpUnsetAttr, "#x", "sandbox")},
		{`<h:html ` + xhtml + `><h:style id="x">a</h:style></h:html>`, edit(abi.OpText, "#x", "*{}")},
		{`<h:html ` + xhtml + `><h:p id="x"/></h:html>`, edit(abi.OpAttr, "#x", "style", "a")},
		{`<h:html ` + xhtml + `><h:p id="x"/></h:html>`, edit(abi.OpAttr, "#x", "xmlns", "a")},
		{`<h:html ` + xhtml + `><h:p id="x"/></h:html>`, edit(abi.OpUnsetAttr, "html", "xmlns:h")},
	} {
		if a.edit.Op == abi.OpAttr || a.edit.Op == abi.OpUnsetAttr { // that the target is there, a harmless edit tells
			if out, _ := rewriteAt(t, compile(t, Options{Syntax: XML}, edit(abi.OpAttr, a.edit.Target, "title", "T")), a.page); out == a.page && a.edit.Target != "html" {
				t.Errorf("no %s in %s", a.edit.Target, a.page)
			}
		}
		p, err := Compile([]abi.Edit{a.edit}, Options{Syntax: XML, Charset: UTF8})
		if err != nil {
			continue
		}
		out, _ := rewriteAt(t, p, a.page)
		fillSafe := a.edit.Op == abi.OpFill && !strings.Contains(out, "__hit") && !strings.Contains(out, "javascript")
		if out != a.page && !fillSafe {
			t.Errorf("%v on %s\ngives %s", a.edit, a.page, out)
		}
	}
}

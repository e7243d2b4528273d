package rewrite

import (
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// An xmlElement is an element as both readers tell it.
type xmlElement struct {
	name   string
	parent int
	attrs  string
}

// readXML returns the elements that encoding/xml sees, if it accepts the document.
func readXML(doc string) (list []xmlElement, err error) {
	strict := xml.NewDecoder(strings.NewReader(doc))
	raw := xml.NewDecoder(strings.NewReader(doc)) // with names as written
	pass := func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	strict.CharsetReader, raw.CharsetReader = pass, pass
	open := []int{-1}
	for {
		if _, err := strict.Token(); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		tok, err := raw.RawToken()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := xmlElement{name: qualified(tok.Name), parent: open[len(open)-1]}
			for _, a := range tok.Attr {
				e.attrs += fmt.Sprintf(" %s=%q", qualified(a.Name), a.Value)
			}
			open = append(open, len(list))
			list = append(list, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

func qualified(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// scanXML returns the elements that the scanner sees.
func scanXML(t testing.TB, doc string, cuts ...int) (list []xmlElement, stop Reason, whole bool) {
	t.Helper()
	r := New(compile(t, Options{Syntax: XML}, edit(abi.OpText, "[never]", "x")), io.Discard)
	var open []int
	r.watch = func(b []byte, s, p, end int, tg *tag, v verdict) {
		if tg == nil || v != opens {
			return
		}
		e := xmlElement{name: string(tg.name), parent: -1}
		text := tagText{exact: true}
		text.parse(b, p)
		for i, a := range text.attrs {
			v := strings.ReplaceAll(strings.ReplaceAll(string(text.value(b, i)), "\r\n", "\n"), "\r", "\n")
			e.attrs += fmt.Sprintf(" %s=%q", b[a.name:a.nameEnd], v)
		}
		open = open[:tg.n]
		if tg.n > 0 {
			e.parent = open[tg.n-1]
		}
		if !tg.void {
			open = append(open, len(list))
		}
		list = append(list, e)
	}
	at := 0
	for _, c := range append(cuts, len(doc)) {
		r.Write([]byte(doc[at:c]))
		at = c
	}
	whole = r.mode == inData && len(r.carry) == 0 && len(r.stack) == 0
	r.Close()
	return list, r.stopped, whole
}

// xmlDocs are the documents of testdata/xml, and some odd ones.
func xmlDocs(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/xml/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d documents, %v", len(files), err)
	}
	var docs []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(b))
	}
	return append(docs, oddXML...)
}

var oddXML = []string{
	"<a/>", "<a />", "<a></a >", "<a\n>\n</a\n>", "<a b='\"' c=\"'\"/>", "<a b='>' c='/>'></a>", "<a b = '1'\tc\n=\r'2' />", "<a>a > b ]] </a>", "<a>/></a>", "<a:b/>", "<_/>", "<a b='1'c='2'/>",
	"<a><b/></a>", "<a><!-- <b> - ></a> --></a>", "<a><![CDATA[</a>]]]]]></a>", "<a><!-- -><b> ->--></a>", "<a><![CDATA[]><b>>]]></a>", "<!DOCTYPE a [<x>'</x>' ]><a/>", "<a><?p </a>?></a>", "<a><?p ???></a>",
	"<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM '\">'><a/>", "<!DOCTYPE a [<!ENTITY b '<!--'><!--'--><!ENTITY c \"--&#62;\">]><a/>", "<!DOCTYPE a [ <!ELEMENT a (#PCDATA)> ] ><a/>",
	"<br><p><li></li></p></br>", "<p><p></p></p>", "<script><b></b></script>", "<title><b/></title>", "<plaintext/><a/>", "<table><b/><tr><td/></tr></table>", "<select><b/></select>",
	"<html><body/><head/></html>", "<A><a></a></A>", "<svg><p/></svg>", "<template><a/></template>", "<a>&#x41;&lt;</a>", "<a b='&#65;&amp;&quot;&#x1F600;'/>",
}

func TestXMLElements(t *testing.T) {
	for _, doc := range xmlDocs(t) {
		want, err := readXML(doc)
		if err != nil {
			t.Errorf("%q: %v", doc, err)
			continue
		}
		sameXMLElements(t, doc, want)
	}
}

func sameXMLElements(t testing.TB, doc string, want []xmlElement) {
	t.Helper()
	for _, cuts := range [][]int{nil, everyByte(doc)} {
		if got, stop, whole := scanXML(t, doc, cuts...); !slices.Equal(got, want) || stop != 0 || !whole {
			t.Errorf("%q (%d cuts): stopped %q, at the end: %v\nhave %v\nwant %v", doc, len(cuts), stop, whole, got, want)
		}
	}
}

func TestXMLCuts(t *testing.T) {
	edits := []abi.Edit{edit(abi.OpAttr, "item, entry, path, _", "x", "y"), edit(abi.OpText, "title, a", "T"), edit(abi.OpAppend, "channel, g, r", "A"), edit(abi.OpRemove, `media\:content, e, b`)}
	p := compile(t, Options{Syntax: XML, Charset: UTF8}, edits...)
	all := compile(t, Options{Syntax: XML, Charset: UTF8, Tail: []byte("<!--t-->")}, edit(abi.OpAttr, "*", "zq", "1"), edit(abi.OpAfter, "*", "."))
	for _, doc := range append(xmlDocs(t), notXML...) {
		for i := range len(doc) {
			sameWhenCut(t, p, doc, i)
			sameWhenCut(t, all, doc, i)
		}
		sameWhenCut(t, p, doc, everyByte(doc)...)
		sameWhenCut(t, all, doc, everyByte(doc)...)
	}
}

// notXML are documents that are not well-formed: at some place editing stops, and nothing before it is lost.
var notXML = []string{
	"<a></b>", "<a></A>", "</a>", "<a/></a>", "<a></a></a>", "<a><b></a></b>", "<a b>", "<a b=c/>", "<a 'b'/>", "<a b='<'/>", "<a =''/>", "<a b==''/>", "<a / >", "<a/b>", "<a //>", "<a\f/>",
	"<1/>", "< a/>", "<-/>", "<>", "</>", "</ a>", "<a></a b='c'>", "<a></a/>", "<a><", "<a><5", "<!->", "<!a>", "<![CDATA>", "<![cdata[]]>", "<!doctype a>", "<a b='1' /c>", "<a\"b/>", "<a;/>", "<a b;='c'/>",
	"<a><!-- ", "<a><![CDATA[", "<a><?x", "<!DOCTYPE a [", "<!DOCTYPE a '", "<a", "<a b='", "<a>", "<a><b/>", "<a\x00/>", "<a b\x00='c'/>",
	"<a-very-long-name></a-very-long-namE>", "<a-very-long-name></a-very-long-nam>", "<a.b.c.d.e></a.b.c.d.f>",
}

func TestNotXML(t *testing.T) {
	for _, doc := range notXML {
		if _, err := readXML(doc); err == nil && !oddDeclaration(doc) {
			t.Errorf("%q is accepted", doc)
		}
		if _, stop, whole := scanXML(t, doc); stop == 0 && whole {
			t.Errorf("%q: not stopped", doc)
		}
		page := "<r><x>1</x>" + doc + "<x>2</x></r>"
		out, rep := rewriteAt(t, compile(t, Options{Syntax: XML}, edit(abi.OpText, "x", "!")), page)
		if out != "<r><x>!</x>"+page[len("<r><x>1</x>"):] && !strings.Contains(out, "<x>!</x></r>") {
			t.Errorf("%q becomes %q, %+v", page, out, rep)
		}
	}
}

// Names and values are told apart by their case, and with their prefixes.
func TestXMLEdits(t *testing.T) {
	for _, c := range []struct {
		doc, want string
		edits     []abi.Edit
	}{
		{"<Item/><item/>", `<Item/><item a="1"/>`, list1{edit(abi.OpAttr, "item", "a", "1")}},
		{"<Item/><item/>", `<Item a="1"/><item/>`, list1{edit(abi.OpAttr, "Item", "a", "1")}},
		{"<linearGradient/><lineargradient/>", `<linearGradient a="1"/><lineargradient/>`, list1{edit(abi.OpAttr, "linearGradient", "a", "1")}},
		{"<r><m:c>x</m:c><c>y</c></r>", "<r><m:c>T</m:c><c>y</c></r>", list1{edit(abi.OpText, `m\:c`, "T")}},
		{`<a Id="i" id="j"/><a id="i"/>`, `<a Id="i" id="j"/><a class="k" id="i"/>`, list1{edit(abi.OpAddClass, "#i", "k")}},
		{`<s viewBox="1"/><s viewbox="1"/>`, `<s viewBox="2"/><s viewbox="1"/>`, list1{edit(abi.OpAttr, "[viewBox]", "viewBox", "2")}},
		{"<r><br>a</br><p><p>b</p></p></r>", "<r><br>T</br><p><p>T</p></p></r>", list1{edit(abi.OpText, "br, p > p", "T")}},
		{"<r><a><![CDATA[</a><a>]]></a><a/></r>", "<r><a>T</a><a/></r>", list1{edit(abi.OpText, "a", "T")}},
		{"<!DOCTYPE r [<!ENTITY a '<b>'>]><r><b>1</b></r>", "<!DOCTYPE r [<!ENTITY a '<b>'>]><r><b>T</b></r>", list1{edit(abi.OpText, "b", "T")}},
		{`<a b="&#x41;"/><a b="&unknown;A"/>`, `<a c="1" b="&#x41;"/><a b="&unknown;A"/>`, list1{edit(abi.OpAttr, "[b=A]", "c", "1")}},
		{"<r><i>1</i><i>2</i></r>", "<r><i>1</i></r>", list1{edit(abi.OpRemove, "i:last-child")}},
	} {
		out, rep := rewriteAt(t, compile(t, Options{Syntax: XML, Charset: UTF8}, c.edits...), c.doc)
		if out != c.want {
			t.Errorf("%s\nhave %s\nwant %s\n%+v", c.doc, out, c.want, rep)
		}
	}
}

// An xmlWriter writes random documents, most of them well-formed.
type xmlWriter struct {
	*rand.Rand
	b    strings.Builder
	deep int
}

func (g *xmlWriter) one(of ...string) string { return of[g.IntN(len(of))] }

func randomXML(rnd *rand.Rand) string {
	g := &xmlWriter{Rand: rnd}
	g.b.WriteString(g.one("", "<?xml version='1.0'?>", "<!--p-->\n", "<!DOCTYPE a>", "<!DOCTYPE a [<!ENTITY x \"'>]\">]>", "<!DOCTYPE a [<!--'>--> <!ELEMENT a ANY>\n]>"))
	g.element()
	g.b.WriteString(g.one("", "\n", "<!-- e -->", "<?e ?>"))
	return g.b.String()
}

func (g *xmlWriter) element() {
	name := g.one("a", "b", "A", "item", "media:content", "p", "br", "script", "title", "table", "td", "linearGradient", "été", "a.b-c_d", "template", "svg", "select", "option", "form", "image", "head", "body", "html", "frameset")
	g.b.WriteString("<" + name)
	for range g.IntN(3) {
		fmt.Fprintf(&g.b, "%s%s%d%s", g.one(" ", "\n\t", "  "), g.one("a", "id", "class", "xlink:href", "viewBox"), g.IntN(1000), g.one("=", " = ", "=\n"))
		g.b.WriteString(g.one(`"v"`, `'v'`, `""`, `"a > b"`, `'"/>'`, `"it's"`, `"&amp;&#60;&#x3e;"`, `"é"`))
	}
	g.b.WriteString(g.one("", "", " ", "\n"))
	if g.IntN(4) == 0 {
		g.b.WriteString("/>")
		return
	}
	g.b.WriteString(">")
	g.deep++
	for range g.IntN(5) {
		switch k := g.IntN(10); {
		case k < 4 && g.deep < 8:
			g.element()
		case k < 6:
			g.b.WriteString(g.one("text", " ", "\n", "a > b", "&lt;", "&#233;", "é", "]]", "'\"", "-->"))
		case k == 6:
			g.b.WriteString(g.one("<!---->", "<!-- <a> -->", "<!-- - ->> -->", "<!--\n'\"-->"))
		case k == 7:
			g.b.WriteString(g.one("<![CDATA[]]>", "<![CDATA[</a>]]>", "<![CDATA[]]]]>", "<![CDATA[<![CDATA[ > ]] > ]]>"))
		case k == 8:
			g.b.WriteString(g.one("<?p?>", "<?p <a>?>", "<?p ?? > ?>", "<?p '\"?>"))
		default:
			if g.IntN(40) == 0 { // and this is not well-formed
				g.b.WriteString(g.one("<", "</x>", "<a b>", "<![x>", "<br>", "<a b=1/>", "</>"))
			}
		}
	}
	g.deep--
	g.b.WriteString("</" + name + g.one("", "", " ", "\n") + ">")
}

func TestXMLRandom(t *testing.T) {
	accepted, stopped := 0, 0
	for seed := range 4000 {
		doc := randomXML(rand.New(rand.NewPCG(uint64(seed), 11)))
		want, err := readXML(doc)
		if err == nil {
			accepted++
			sameXMLElements(t, doc, want)
			continue
		}
		if _, stop, whole := scanXML(t, doc); stop == 0 && whole {
			t.Errorf("%q: %v, and not stopped", doc, err)
		}
		stopped++
	}
	if accepted < 3000 || stopped < 20 {
		t.Errorf("%d documents accepted, %d not", accepted, stopped)
	}
}

// Whenever encoding/xml accepts a document, the elements are the same. Left out
// is what it lets pass against the standard within declarations.
func FuzzXML(f *testing.F) {
	for _, doc := range xmlDocs(f) {
		f.Add(doc)
	}
	for _, doc := range notXML {
		f.Add("<r><x/>" + doc + "<x/></r>")
	}
	for seed := range 30 {
		f.Add(randomXML(rand.New(rand.NewPCG(uint64(seed), 12))))
	}
	p := compile(f, Options{Syntax: XML}, edit(abi.OpAttr, "*", "never", "x"), edit(abi.OpUnsetAttr, "*", "never"))
	f.Fuzz(func(t *testing.T, doc string) {
		sameWhenCut(t, p, doc, everyByte(doc)...)
		want, err := readXML(doc)
		if err != nil || oddDeclaration(doc) {
			return
		}
		sameXMLElements(t, doc, want)
	})
}

// oddDeclaration tells of declarations but a doctype, and of processing instructions within.
func oddDeclaration(doc string) bool {
	for i := 0; ; {
		n := strings.Index(doc[i:], "<!")
		if n < 0 {
			return false
		}
		i += n
		rest := doc[i:]
		switch {
		case strings.HasPrefix(rest, "<!DOCTYPE"):
			if strings.Contains(rest, "<?") {
				return true
			}
		case !strings.HasPrefix(rest, "<!--") && !strings.HasPrefix(rest, "<![CDATA["):
			return true
		}
		i += 2
	}
}

package rewrite

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

// benchPage is a page of about 20 KB with a list of 50 items.
func benchPage() []byte {
	var b bytes.Buffer
	b.WriteString("<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>Shop</title><script>" +
		"var a = 1 < 2; function f() { return '<b>' }\n</script></head>\n<body class=\"page\">\n<p id=\"greet\">Hello</p>\n<ul id=\"results\">\n")
	for i := range 50 {
		fmt.Fprintf(&b, `<li class="item" data-lat="%d.%03d" data-lon="%d.%03d"><a href="/item/%d?ref=list"><img src="/img/%d.jpg" alt="Item number %d" width="120" height="80"></a>`+
			`<h3><a href="/item/%d">Item %d</a></h3><p class="text">A few words about the item, which somebody wrote once and nobody reads.</p>`+
			`<span class="price">%d.00</span> <span class="distance"></span><button type="button" class="add" data-id="%d">Add to cart</button></li>`+"\n",
			i*7%120-60, i*13%1000, i*17%300-150, i*29%1000, i, i, i, i, i, i, i)
	}
	b.WriteString("</ul>\n<footer><p>The end</p></footer>\n</body></html>\n")
	return b.Bytes()
}

// BenchmarkRewrite measures kinds of plans on one page, cut at 16 KB.
func BenchmarkRewrite(b *testing.B) {
	page := benchPage()
	tail := Options{Tail: []byte(benchTail)}
	greet := edit(abi.OpText, "#greet", "Welcome back")
	order := edit(abi.OpOrder, "#results", near, "show=.distance")
	for _, c := range []struct {
		name string
		opt  Options
		list []abi.Edit
	}{
		{"tail", tail, nil},
		{"tag+tail", tail, list1{edit(abi.OpText, "blink", "x")}},
		{"tag", Options{}, list1{edit(abi.OpText, "blink", "x")}},
		{"id", Options{}, list1{edit(abi.OpText, "#nothing", "x")}},
		{"greet", Options{}, list1{greet}},
		{"greet+tail", tail, list1{greet}},
		{"mix", Options{}, list1{edit(abi.OpAttr, "a[href]", "rel", "nofollow"), edit(abi.OpAppend, "#greet", "x"), edit(abi.OpText, "h1", "y")}},
		{"order", Options{}, list1{order}},
		{"near", tail, list1{greet, order, edit(abi.OpKeep, "#results", "first=10")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := compile(b, c.opt, c.list...)
			r := new(Rewriter)
			var out bytes.Buffer
			pass(r, p, page, &out)
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				pass(r, p, page, &out)
			}
		})
	}
}

// BenchmarkNetHTML is the anchor: the tokenizer of golang.org/x/net/html over
// the same page, writing each token as it stands and changing nothing.
func BenchmarkNetHTML(b *testing.B) {
	page := benchPage()
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		z := nethtml.NewTokenizer(bytes.NewReader(page))
		for z.Next() != nethtml.ErrorToken {
			io.Discard.Write(z.Raw())
		}
	}
}

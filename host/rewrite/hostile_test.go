package rewrite

import (
	"math/rand/v2"
	"strings"
	"testing"

	"bespoke/modules/abi"

	nethtml "golang.org/x/net/html"
)

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

// Whatever the page, text brings no script and no attribute.
func FuzzEdits(f *testing.F) {
	for i, v := range injectionValues(f) {
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

// Soup with edits in it has no more scripts and handlers than without, and
// markup put into it holds what it was given and nothing of the page.
func TestHostileSoup(t *testing.T) {
	put := 0
	for seed := range 3000 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		page := randomSoup(rnd, 400)
		var edits []abi.Edit
		for _, e := range randomEdits(rnd, 8) {
			switch e.Op {
			case abi.OpText, abi.OpHTML, abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend, abi.OpReplace:
				if e.Op == abi.OpHTML || e.B == "html" {
					e.A = "<q><em>1</em>2</q>"
				} else {
					e.A = "<u onx=1></script><u>\"'></u></title></textarea></style><u>--><u>"
				}
			case abi.OpAttr:
				e.A, e.B = "title", "\"><u onx=1>'<u>"
			case abi.OpAddClass:
				e.A = "\"'><u>"
			}
			edits = append(edits, e)
		}
		got, _ := rewriteAt(t, compile(t, Options{}, edits...), page)
		for n := range must(nethtml.Parse(strings.NewReader(got))).Descendants() {
			_, handler := attrOf(n, "onx")
			if is(n, "q") {
				put++
			}
			if handler || is(n, "u") || is(n, "q") && dump(n) != "<em>1</em>2" {
				t.Fatalf("seed %d: %v\npage %q\ngives %q\nhas %s", seed, edits, page, got, dump(n))
			}
		}
	}
	if put < 300 {
		t.Errorf("markup was put in %d times", put)
	}
}

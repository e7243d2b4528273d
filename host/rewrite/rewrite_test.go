package rewrite

import (
	"bytes"
	"fmt"
	"testing"

	"bespoke/modules/abi"
)

// rewriteAt runs the page through the plan, cut at the given places.
func rewriteAt(t testing.TB, p *Plan, page string, cuts ...int) (string, Report) {
	t.Helper()
	var out bytes.Buffer
	r := New(p, &out)
	last := 0
	for _, c := range append(cuts, len(page)) {
		n, err := r.Write([]byte(page[last:c]))
		if err != nil || n != c-last {
			t.Fatalf("Write = %d, %v", n, err)
		}
		last = c
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), r.Report()
}

func compile(t testing.TB, opt Options, edits ...abi.Edit) *Plan {
	t.Helper()
	p, err := Compile(edits, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func edit(op abi.Op, target string, args ...string) abi.Edit {
	e := abi.Edit{Op: op, Target: target}
	if len(args) > 0 {
		e.A = args[0]
	}
	if len(args) > 1 {
		e.B = args[1]
	}
	return e
}

type list1 = []abi.Edit

const (
	berlin = "at=52.52,13.405"
	near   = "by=distance\nlat=data-lat\nlon=data-lon\n" + berlin
	cities = `<ul id=l>
<li data-lat=35.68 data-lon=139.69>Tokyo <i class=d></i></li>
<li data-lat=52.52 data-lon=13.40>Berlin <i class=d>?</i></li>
<li>Nowhere</li>
<li data-lat=48.86 data-lon=2.35>Paris <i class=d></i></li>
</ul>`
)

var cases = []struct {
	name  string
	edits list1
	in    string
	out   string
}{
	{"text", list1{edit(abi.OpText, "#a", "<b>&")}, `<p><b id=a>old<i>x</i></b>!`, `<p><b id=a>&lt;b&gt;&amp;</b>!`},
	{"attr new", list1{edit(abi.OpAttr, "p", "title", `a"<b`)}, `<p>x<p/>`, `<p title="a&quot;&lt;b">x<p title="a&quot;&lt;b"/>`},
	{"attr old", list1{edit(abi.OpAttr, "p", "title", "n")}, `<p a TITLE=old title=2 b>`, `<p a TITLE="n" title=2 b>`},
	{"attr valueless", list1{edit(abi.OpAttr, "p", "t", "n")}, `<p t /b><p t =x>`, `<p t="n" /b><p t="n">`},
	{"unset", list1{edit(abi.OpUnsetAttr, "p", "t")}, `<p t=1 b T='2'c><p/t/>`, `<p  b c><p/ />`},
	{"unset odd", list1{edit(abi.OpUnsetAttr, "p", "t")}, `<p a t="1"=d>`, `<p a /=d>`},
	{"classes", list1{edit(abi.OpAddClass, "p", "n"), edit(abi.OpRemoveClass, "p", "o")}, `<p class='o a"o'><p class=o><p><p class="x o y">`,
		`<p class="a&quot;o n"><p class="n"><p class="n"><p class="x y n">`},
	{"class there", list1{edit(abi.OpAddClass, "p", "n"), edit(abi.OpRemoveClass, "p", "o")}, `<p class='a  n'>`, `<p class='a  n'>`},
	{"class attr", list1{edit(abi.OpAddClass, "p", "a"), edit(abi.OpAttr, "p", "class", "b"), edit(abi.OpAddClass, "p", "c")}, `<p class=x>`, `<p class="b c">`},
	{"class unset", list1{edit(abi.OpAddClass, "p", "a"), edit(abi.OpUnsetAttr, "p", "class")}, `<p class=x><p>`, `<p ><p>`},
	{"around", list1{edit(abi.OpBefore, "b", "1"), edit(abi.OpBefore, "b", "2"), edit(abi.OpAfter, "b", "3"), edit(abi.OpAfter, "b", "4"),
		edit(abi.OpPrepend, "b", "5"), edit(abi.OpPrepend, "b", "6"), edit(abi.OpAppend, "b", "7"), edit(abi.OpAppend, "b", "8")},
		`<div>x<b>y</b>z</div>`, `<div>x12<b>65y78</b>43z</div>`},
	{"text beats", list1{edit(abi.OpText, "b", "1"), edit(abi.OpAppend, "b", "2"), edit(abi.OpText, "b", "3"), edit(abi.OpAfter, "b", "4")}, `<b>x</b>`, `<b>3</b>4`},
	{"remove beats", list1{edit(abi.OpText, "b", "1"), edit(abi.OpRemove, "b"), edit(abi.OpBefore, "b", "2")}, `x<b>y</b>z`, `xz`},
	{"remove implied", list1{edit(abi.OpRemove, "li")}, `<ul><li>a<li>b<li>c</ul>d`, `<ul></ul>d`},
	{"remove keeps p shut", list1{edit(abi.OpRemove, "div")}, `<p>a<div>x</div>b`, `<p>a</p>b`},
	{"append implied", list1{edit(abi.OpAppend, "li", "!")}, `<ul><li><p>a<li>b</ul>`, `<ul><li><p>a</p>!<li>b!</ul>`},
	{"after implied", list1{edit(abi.OpAfter, "p", "!")}, `<div><p>a<p>b</div>`, `<div><p>a</p>!<p>b</p>!</div>`},
	{"before implied", list1{edit(abi.OpBefore, "a", "!")}, `<a>x<a>y</a>`, `!<a>x</a>!<a>y</a>`},
	{"void", list1{edit(abi.OpAfter, "br", "!"), edit(abi.OpText, "br", "?"), edit(abi.OpBefore, "br", "-")}, `a<br>b`, `a-<br>!b`},
	{"raw", list1{edit(abi.OpText, "script", "x"), edit(abi.OpText, "title", "</title><b>")}, `<title>t</title><script>s</script>`, `<title>&lt;/title&gt;&lt;b&gt;</title><script>s</script>`},
	{"place", list1{edit(abi.OpBefore, "tr", "x"), edit(abi.OpAppend, "table", "x"), edit(abi.OpBefore, "body", "x"), edit(abi.OpAppend, "td", "ok")},
		`<html><body><table><tr><td>1</table></body></html>`, `<html><body><table><tr><td>1ok</table></body></html>`},
	{"body", list1{edit(abi.OpAppend, "body", "!"), edit(abi.OpPrepend, "body", "?")}, `<html><body><p>a</p></body></html>`, `<html><body>?<p>a</p>!</body></html>`},
	{"child", list1{edit(abi.OpAddClass, "ul > li", "n"), edit(abi.OpAddClass, "div b", "m")}, `<ul><li><ol><li></ol></ul><div><p><b></b></p></div><b></b>`,
		`<ul><li class="n"><ol><li></ol></ul><div><p><b class="m"></b></p></div><b></b>`},
	{"lists", list1{edit(abi.OpAttr, "b, .x, #y, [q='1']", "t", "1")}, `<b class=x><i class="a x"><u id=y><s q=1><s q=2>`, `<b t="1" class=x><i t="1" class="a x"><u t="1" id=y><s t="1" q=1><s q=2>`},
	{"operators", list1{edit(abi.OpAttr, `[a~=x][b^=p][c$=s][d*=mid][e|=en]`, "t", "1")}, `<p a="w x" b=pq c=rs d=amidb e=en-GB><p a=wx b=p c=s d=mid e=en>`, `<p t="1" a="w x" b=pq c=rs d=amidb e=en-GB><p a=wx b=p c=s d=mid e=en>`},
	{"references", list1{edit(abi.OpAttr, `[a="x&y"],[a="&copy=1"],#é`, "t", "1")}, `<p a="x&amp;y"><p a="&copy=1"><p id="&eacute;"><p a=x&y>`, `<p t="1" a="x&amp;y"><p t="1" a="&copy=1"><p t="1" id="&eacute;"><p t="1" a=x&y>`},
	{"duplicate attr", list1{edit(abi.OpRemove, "[a='1']")}, `<b a=2 a=1></b><b a=1 a=2></b>`, `<b a=2 a=1></b>`},
	{"not in text", list1{edit(abi.OpRemove, "b")}, `<!--<b>--><!--><b>x</b><!--a--!><b>y</b><script><!--<script><b></script><b>--></script><b></b><style><b></style><textarea><b></textarea><b>z</b>`,
		`<!--<b>--><!--><!--a--!><script><!--<script><b></script><b>--></script><style><b></style><textarea><b></textarea>`},
	{"cdata", list1{edit(abi.OpRemove, "b")}, `<![CDATA[<b>]]><svg><![CDATA[<b>]]></svg><b>x</b>`, `<![CDATA[<b>]]><svg><![CDATA[<b>]]></svg>`},
	{"svg", list1{edit(abi.OpAttr, "g", "id", "1"), edit(abi.OpText, "title", "t")}, `<svg><g/><g a=b/><title><i>x</i></title></g></svg>`, `<svg><g id="1"/><g id="1" a=b/><title>t</title></g></svg>`},
	{"template", list1{edit(abi.OpRemove, "b")}, `<template><b>x</b></template><b>y</b>`, `<template><b>x</b></template>`},
	{"noscript", list1{edit(abi.OpRemove, "b")}, `<noscript><b>x</b></noscript><b>y</b>`, `<noscript><b>x</b></noscript>`},
	{"order", list1{edit(abi.OpOrder, "#l", near, "show=.d")}, cities, `<ul id=l>
<li data-lat=52.52 data-lon=13.40>Berlin <i class=d>&lt; 1 km</i></li>
<li data-lat=48.86 data-lon=2.35>Paris <i class=d>877 km</i></li>
<li data-lat=35.68 data-lon=139.69>Tokyo <i class=d>8917 km</i></li>
<li>Nowhere</li>
</ul>`},
	{"keep then order", list1{edit(abi.OpKeep, "#l", "first=1"), edit(abi.OpOrder, "#l", near, "")}, cities, `<ul id=l>
<li data-lat=52.52 data-lon=13.40>Berlin <i class=d>?</i></li>
</ul>`},
	{"keep within", list1{edit(abi.OpKeep, "#l", "within=1000\nlat=data-lat\nlon=data-lon\n"+berlin, "show=.d\nunit=mi")}, cities, `<ul id=l>
<li data-lat=52.52 data-lon=13.40>Berlin <i class=d>&lt; 1 mi</i></li>
<li data-lat=48.86 data-lon=2.35>Paris <i class=d>545 mi</i></li>
</ul>`},
	{"order implied", list1{edit(abi.OpOrder, "ul", "by=attr\nattr=n\nas=number")}, `<ul><li n=2>b<li n=1>a</li> t <li n=3>c</ul>`, `<ul><li n=1>a</li><li n=2>b</li> t <li n=3>c</li></ul>`},
	{"order slots", list1{edit(abi.OpOrder, "ul", "by=attr\nattr=n\nas=number\ndir=desc", "items=.i")}, `<ul>0<li n=1 class=i>a</li>1<li n=9>ad</li>2<li class=i n=2>b</li>3<li class=i>c</li></ul>`,
		`<ul>0<li class=i n=2>b</li>1<li n=9>ad</li>2<li n=1 class=i>a</li>3<li class=i>c</li></ul>`},
	{"order ids", list1{edit(abi.OpOrder, "ul", "by=ids\nids=c a")}, `<ul><li id=a>a</li><li id=b>b</li><li id=c>c</li></ul>`, `<ul><li id=c>c</li><li id=a>a</li><li id=b>b</li></ul>`},
	{"order edits", list1{edit(abi.OpOrder, "ul", "by=attr\nattr=n"), edit(abi.OpBefore, "#a", "*"), edit(abi.OpText, "#b", "B")}, `<ul><li id=a n=z>a</li><li id=b n=y>b</li></ul>`, `<ul><li id=b n=y>B</li>*<li id=a n=z>a</li></ul>`},
	{"order nested", list1{edit(abi.OpOrder, "ul", "by=attr\nattr=n")}, `<ul><li n=2>x<ul><li n=4>4</li><li n=3>3</li></ul></li><li n=1>y</li></ul>`, `<ul><li n=1>y</li><li n=2>x<ul><li n=3>3</li><li n=4>4</li></ul></li></ul>`},
	{"order same", list1{edit(abi.OpOrder, "ul", "by=attr\nattr=n")}, `<ul><li n=1>y<li n=2>x</ul>`, `<ul><li n=1>y<li n=2>x</ul>`},
	{"keeps together", list1{edit(abi.OpKeep, "ul", "attr=a\nnot=2"), edit(abi.OpKeep, "ul", "first=2"), edit(abi.OpKeep, "ul", "from=b\nnot=x")},
		`<ul><li a=1><b>x</b><li a=2><li a=3><li a=4><b>y</b><li a=5></ul>`, `<ul><li a=3></li><li a=4><b>y</b></li></ul>`},
	{"keeps of several sorts", list1{edit(abi.OpKeep, "ul", "first=1", "items=.a"), edit(abi.OpKeep, "ul", "first=2", "items=.b"), edit(abi.OpKeep, "ul", "first=3")},
		`<ul><li class=a>1</li><li class=a>2</li><li class=b>3</li><li class="a b">4</li><li class=b>5</li><li>6</li></ul>`, `<ul><li class=a>1</li><li class=b>3</li><li class=b>5</li></ul>`},
	{"show only", list1{edit(abi.OpKeep, "ul", "first=9\nlat=a\nlon=b\nat=1,1", "show=i")}, `<ul><li a=1 b=1><i></i><li>x</ul>`, `<ul><li a=1 b=1><i>&lt; 1 km</i><li>x</ul>`},
	{"append twice", list1{edit(abi.OpAppend, "li", "1"), edit(abi.OpAppend, "li", "2"), edit(abi.OpAfter, "li p", "3")}, `<ul><li><p>a<li>b</ul>`, `<ul><li><p>a</p>312<li>b12</ul>`},
	{"append twice within", list1{edit(abi.OpAppend, "li", "1"), edit(abi.OpAppend, "li", "2")}, `<ul><li><p>a<li>b</ul>`, `<ul><li><p>a</p>12<li>b12</ul>`},
	{"button scope", list1{edit(abi.OpAppend, ".p", "!")}, `<p class=p>a<button><p>b</p>c</button>d</p>e`, `<p class=p>a<button><p>b</p>c</button>d!</p>e`},
	{"first id and class", list1{edit(abi.OpText, "#a, .b", "!")}, `<i id=x id=a>1</i><i id=a id=x>2</i><i class=x class=b>3</i><i class=b class=x>4</i>`, `<i id=x id=a>1</i><i id=a id=x>!</i><i class=x class=b>3</i><i class=b class=x>!</i>`},
	{"late duplicates", list1{edit(abi.OpRemove, "#a")}, `<b id=a>1</b><b id=a>2</b>`, `<b id=a>2</b>`},
}

func TestCases(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, rep := rewriteAt(t, compile(t, Options{Charset: UTF8}, c.edits...), c.in)
			if got != c.out {
				t.Errorf("got  %s\nwant %s\nreport %+v", got, c.out, rep)
			}
		})
	}
}

// Every case, cut at each place, and into single bytes.
func TestCutEverywhere(t *testing.T) {
	for _, c := range cases {
		p := compile(t, Options{Charset: UTF8}, c.edits...)
		whole, rep := rewriteAt(t, p, c.in)
		want := fmt.Sprint(rep)
		check := func(cuts ...int) {
			got, rep := rewriteAt(t, p, c.in, cuts...)
			if got != whole {
				t.Fatalf("%s: cut at %v\ngot  %s\nwant %s", c.name, cuts, got, whole)
			}
			if fmt.Sprint(rep) != want {
				t.Fatalf("%s: cut at %v: report %v, want %s", c.name, cuts, rep, want)
			}
		}
		var all []int
		for i := range len(c.in) {
			check(i)
			all = append(all, i)
		}
		check(all...)
	}
}

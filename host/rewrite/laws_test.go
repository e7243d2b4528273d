package rewrite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// awkward pages have markup that is easily taken for what it is not.
var awkward = []string{
	"", "<", "</", "<!", "<!-", "<!--", "<a", "<a b", "<a b=", "<a b='", "</a", "</a b='>'", "a<", "< b>", "<>", "</>", "<?", "<?x>",
	"<!-->b<!--->c<!--a--!>d<!--a--b-->e<!--->-->f<!----!>g<!--a<!--b-->c", "<!---", "<!--a--!", "<!doctype html><p><table>", "<p><table>x</table></p>",
	"<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"x>y\"><p>a<table><tr><td>b</table>",
	"<script><!--<script></script>--></script><b>x</b>", "<script><!-- </script><b>y</b>", "<script><!--<scripty></script><b>", "<script><!-<script></script><b>",
	"<script>a</scriptx></script ><b>", "<SCRIPT></ScRiPt/><b>", "<script><!--><script></script><b>", "<script><!--<script></script></script><b>-",
	"<title><b></titl></title/x><b>", "<textarea>\n<b></textareas></textarea><b>x</b>", "<style><b></style x='</style>'><b>", "<xmp><b></xmp><plaintext><b></plaintext>",
	"<svg><![CDATA[<b>]]]]><b>]]></svg>", "<svg><desc><![CDATA[<b>]]></desc><b>", "<![CDATA[<b>]]>", "<svg><![CDATA", "<svg><![CDA<b>",
	"<svg><style><b></style></svg><style><b></style>", "<math><mi><b><mglyph><b></mi></math><b>", "<math><annotation-xml encoding='text/HTML'><p><b></annotation-xml></math>",
	"<svg><font color=x><b>", "<svg><font><b>", "<svg><foreignObject><p>a<p>b</foreignObject><p></svg>", "<svg><g></p><b>", "<svg a=b/><b></svg>", "<svg/><b>",
	"<ul><li>a<li>b<ul><li>c</ul>d<li>e</ul>", "<select><option>a<option>b<optgroup><option>c<select><b>x", "<select><xmp><b></select></xmp>", "<select><input><b>",
	"<table><tr><td>a<td>b<tr><th>c<tbody><tr><td><table><td>d</table>e</table>f", "<table><form><tr><td></form><b></table><form><form><b></form>", "<tr><td><b>",
	"<a>1<a>2<p>3</a>4</p>5", "<b>1<p>2</b>3</p>4", "<i><b>1</i>2</b>", "<p>1<button><p>2<button>3</p>4</button>", "<h1>a<h2>b</h1>c", "<dl><dt>a<dd>b<dt>c</dl>",
	"<form><div></form></div><b>", "<head><b><title>a</title></head><body><body class=b>c</body></html>d<b>", "<frameset><frame><b></frameset><noframes><b></noframes>",
	"<template><tr><td>a<td><b></template><b>", "<noscript><b></noscript><b>", "<image src=x><b>", "<ruby>a<rt>b<rp>c<rtc>d<rt>e</ruby>", "<p a='1'b=\"2\"c=3/d e = f =g h=i'j k=\"l\">", "<p =a ==b /=c>",
	"<p\x00a=\x00 b=\xff\xfe>\x00\xff<b>", "<custom-element-with-a-long-name><b></CUSTOM-element-with-a-long-name><B>", "\xef\xbb\xbf<!doctype html><p><table><b>", "</body><b></html><p><b>", "<li><b>x<li>y</b>z",
}

// soupEdits reach into awkward pages.
var soupEdits = [][]abi.Edit{
	{edit(abi.OpText, "b", "T"), edit(abi.OpAfter, "li, p, td", "A"), edit(abi.OpAppend, "div p, ul > li", "P")},
	{edit(abi.OpRemove, "b, i"), edit(abi.OpOrder, "ul, tr, select, p, svg", "by=attr\nattr=data-n"), edit(abi.OpKeep, "ul, dl, tr", "first=1")},
	{edit(abi.OpAttr, "*", "x", "y"), edit(abi.OpUnsetAttr, "*", "b"), edit(abi.OpAddClass, "p", "c"), edit(abi.OpBefore, "*", "B")},
	{edit(abi.OpAppend, "*", "A"), edit(abi.OpAfter, "*", "F"), edit(abi.OpPrepend, "*", "P"), edit(abi.OpKeep, "*", "first=2\nlat=a\nlon=b\nat=1,2", "show=b")},
	{edit(abi.OpRemove, "#n1"), edit(abi.OpText, "#n2 b", "x")},
}

// check compares a page cut at some places with the page as a whole.
func sameWhenCut(t testing.TB, p *Plan, page string, cuts ...int) {
	t.Helper()
	want, rep := rewriteAt(t, p, page)
	got, rep2 := rewriteAt(t, p, page, cuts...)
	rep.Buffered, rep2.Buffered = 0, 0
	if got != want || fmt.Sprint(rep) != fmt.Sprint(rep2) {
		t.Fatalf("cut at %v: %q\ngot  %q %v\nwant %q %v", cuts, page, got, rep2, want, rep)
	}
}

func everyByte(page string) []int {
	all := make([]int, len(page))
	for i := range all {
		all[i] = i
	}
	return all
}

func TestCutAwkward(t *testing.T) {
	for _, edits := range soupEdits {
		for _, opt := range []Options{{Charset: UTF8}, {Tail: []byte("<i>tail</i>"), MaxTag: 40, MaxBuffer: 30, MaxDepth: 5}} {
			p := compile(t, opt, edits...)
			for _, page := range awkward {
				for i := range len(page) {
					sameWhenCut(t, p, page, i)
				}
				sameWhenCut(t, p, page, everyByte(page)...)
			}
		}
	}
}

func TestCutRandomly(t *testing.T) {
	for seed := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 2))
		page := randomPage(rnd, 500+rnd.IntN(4000))
		if seed%2 == 0 {
			page = randomSoup(rnd, 500+rnd.IntN(1000))
		}
		opt := Options{Charset: UTF8}
		if seed%3 == 0 {
			opt = Options{MaxBuffer: 10 + rnd.IntN(500), MaxTag: 100, MaxDepth: 12, Tail: []byte("<i>tail</i>")}
		}
		p := compile(t, opt, randomEdits(rnd, 1+rnd.IntN(6))...)
		for range 5 {
			cuts := make([]int, rnd.IntN(40))
			for i := range cuts {
				cuts[i] = rnd.IntN(len(page) + 1)
			}
			slices.Sort(cuts)
			sameWhenCut(t, p, page, cuts...)
		}
		sameWhenCut(t, p, page, everyByte(page)...)
	}
}

func TestCutLarge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	page := randomPage(rnd, 200<<10)
	p := compile(t, Options{Charset: UTF8, Tail: []byte("<i>")}, randomEdits(rnd, 12)...)
	for range 20 {
		cuts := make([]int, rnd.IntN(2000))
		for i := range cuts {
			cuts[i] = rnd.IntN(len(page) + 1)
		}
		slices.Sort(cuts)
		sameWhenCut(t, p, page, cuts...)
	}
}

// Plans that look at everything and change nothing.
func identityPlans(t testing.TB) []*Plan {
	return []*Plan{
		compile(t, Options{}),
		compile(t, Options{}, edit(abi.OpRemove, "never, .never > #never, [never]")),
		compile(t, Options{}, edit(abi.OpRemoveClass, "*", "never"), edit(abi.OpUnsetAttr, "*", "never"), edit(abi.OpOrder, "*", "by=attr\nattr=never")),
	}
}

func TestIdentity(t *testing.T) {
	plans := identityPlans(t)
	for seed := range 400 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		page := randomSoup(rnd, 1500)
		if seed < len(awkward) {
			page = awkward[seed]
		}
		for i, p := range plans {
			if got, _ := rewriteAt(t, p, page, len(page)/2); got != page {
				t.Fatalf("seed %d plan %d:\ngot  %q\nwant %q", seed, i, got, page)
			}
		}
	}
}

const mark = "\u2045T\u2046"

// onlyInserted tells whether out is page with marks put in, and end tags
// before them that the page left out.
func onlyInserted(out, page string) bool {
	for out != "" {
		if rest, ok := strings.CutPrefix(out, mark); ok {
			out = rest
			continue
		}
		if i := strings.IndexByte(out, '>'); i > 2 && out[0] == '<' && out[1] == '/' && !strings.HasPrefix(page, out[:i+1]) {
			out = out[i+1:]
			continue
		}
		if page == "" || page[0] != out[0] {
			return false
		}
		out, page = out[1:], page[1:]
	}
	return page == ""
}

// Bytes outside edits are unchanged.
func TestOnlyInserted(t *testing.T) {
	for seed := range 500 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 4))
		page := randomPage(rnd, 300+rnd.IntN(2000))
		var edits []abi.Edit
		for _, e := range randomEdits(rnd, 20) {
			switch e.Op {
			case abi.OpBefore, abi.OpAfter, abi.OpPrepend, abi.OpAppend:
				e.A = mark
				edits = append(edits, e)
			}
		}
		out, rep := rewriteAt(t, compile(t, Options{Charset: UTF8}, edits...), page)
		if !onlyInserted(out, page) {
			t.Fatalf("seed %d: %v\npage %s\nout  %s", seed, edits, page, out)
		}
		n := 0
		for _, a := range rep.Applied {
			n += a
		}
		if got := strings.Count(out, mark); got != n {
			t.Fatalf("seed %d: %d marks, %d reported", seed, got, n)
		}
	}
}

func TestEarlyExit(t *testing.T) {
	page := `<p id=a>x</p><div id=b class=c><i class=d>y</i></div>` + strings.Repeat("<b class=d id=a>z</b>", 3)
	edits := []abi.Edit{edit(abi.OpText, "#a", "A"), edit(abi.OpText, "#b .d", "D")}
	want := `<p id=a>A</p><div id=b class=c><i class=d>D</i></div>` + strings.Repeat("<b class=d id=a>z</b>", 3)
	var out bytes.Buffer
	r := New(compile(t, Options{}, edits...), &out)
	r.Write([]byte(page))
	if r.mode != inPass {
		t.Error("still looking")
	}
	if err := r.Close(); err != nil || out.String() != want {
		t.Errorf("%v, got %s", err, out.String())
	}
	got, rep := rewriteAt(t, compile(t, Options{Tail: []byte("!")}, edits...), page+"<!--")
	if got != want+"<!--!" || rep.Tail != 0 { // the rest is not looked at, comment or not
		t.Errorf("with tail in a comment: %s, %v", got, rep.Tail)
	}
	// The end of the last element ends the search, not the next tag.
	if got, _ := rewriteAt(t, compile(t, Options{Tail: []byte("!")}, edit(abi.OpText, "#x", "X")), "<body><p id=x></p><!--"); got != "<body><p id=x>X</p><!--!" {
		t.Error(got)
	}
	// An id that never comes keeps the search going; a rule without one as well.
	if got, _ := rewriteAt(t, compile(t, Options{}, append(edits, edit(abi.OpText, "u", "U"))...), page+"<u>u</u>"); got != want+"<u>U</u>" {
		t.Error(got)
	}
}

func TestTail(t *testing.T) {
	for page, why := range map[string]Reason{
		"": 0, "<p>x": 0, "<html><body>x</body></html>\n": 0, "<div>a<": WhyUnfinished, "<div>a<b": WhyUnfinished, "<!-- x": WhyUnfinished,
		"<script>": WhyUnfinished, "<title>x": WhyUnfinished, "<plaintext>": WhyUnfinished, "<template>": WhyPlace, "<select><option>": WhyPlace, "<svg><g>": WhyPlace,
		"<svg><desc>": WhyPlace, "<frameset></frameset>": WhyPlace, "<noscript>": WhyUnfinished, "<template></template>": 0, "<svg/>": 0, "<svg></svg>": 0, "<!x": WhyUnfinished, "<!-- x -->": 0, "<select></select>": 0,
		"<" + strings.Repeat("a", 70): WhyStopped, "<select><xmp>": WhyStopped,
	} {
		opt := Options{Tail: []byte("<i>tail</i>"), MaxTag: 64}
		out, rep := rewriteAt(t, compile(t, opt), page)
		if out != page+"<i>tail</i>" || rep.Tail != 0 {
			t.Errorf("%q with nothing to look for: %q, %v", page, out, rep.Tail)
		}
		out, rep = rewriteAt(t, compile(t, opt, edit(abi.OpText, "blink", "x")), page)
		want := page
		if why == 0 {
			want += "<i>tail</i>"
		}
		if out != want || rep.Tail != why {
			t.Errorf("%q: %q, %v; want %v", page, out, rep.Tail, why)
		}
	}
}

func TestCaps(t *testing.T) {
	items := strings.Repeat("<li n=2>two</li><li n=1>one</li>", 100)
	page := "<ul>" + items + "</ul><b>x</b><ul><li n=2>2</li><li n=1>1</li></ul>"
	order := edit(abi.OpOrder, "ul", "by=attr\nattr=n")
	out, rep := rewriteAt(t, compile(t, Options{MaxBuffer: 500}, order, edit(abi.OpText, "b", "y")), page, everyByte(page)...)
	want := strings.Replace(strings.Replace(page, "<li n=2>2</li><li n=1>1</li>", "<li n=1>1</li><li n=2>2</li>", 1), "<b>x", "<b>y", 1)
	if out != want || rep.Buffered > 500 || fmt.Sprint(rep.NotApplied) != fmt.Sprint([]NotApplied{{0, WhyBuffer}}) || rep.Applied[0] != 1 {
		t.Errorf("%s\n%+v", out, rep)
	}

	many := "<ul>" + strings.Repeat("<b>", maxChildren+1)
	many = strings.ReplaceAll(many, "<b>", "<br>") + "</ul>"
	out, rep = rewriteAt(t, compile(t, Options{}, edit(abi.OpKeep, "ul", "first=1")), many)
	if out != many || len(rep.NotApplied) != 1 || rep.NotApplied[0].Why != WhyBuffer {
		t.Errorf("too many children: %d bytes, %+v", len(out), rep)
	}

	long := "<b>1</b><a " + strings.Repeat("x", 100) + "><b>2</b>"
	out, rep = rewriteAt(t, compile(t, Options{MaxTag: 90}, edit(abi.OpText, "b", "!")), long, everyByte(long)...)
	if out != "<b>!</b>"+long[8:] || rep.Stopped != WhyTag {
		t.Errorf("long tag: %s, %v", out, rep.Stopped)
	}

	deep := strings.Repeat("<div>", 20) + "<b>x</b>"
	out, rep = rewriteAt(t, compile(t, Options{MaxDepth: 10}, edit(abi.OpText, "b", "!"), edit(abi.OpAppend, "div", "?")), deep)
	if out != deep || rep.Stopped != WhyDepth || len(rep.NotApplied) != 1 || rep.NotApplied[0] != (NotApplied{1, WhyStopped}) {
		t.Errorf("deep: %s, %+v", out, rep)
	}

	page = "<p>a<b>" + strings.Repeat("<i>", 9) + "</p>z"
	out, rep = rewriteAt(t, compile(t, Options{MaxDepth: 5}, edit(abi.OpRemove, "p"), edit(abi.OpText, "b", "!")), page)
	if out != "" || rep.Stopped != WhyDepth || len(rep.NotApplied) != 0 {
		t.Errorf("stopped in what is removed: %s, %+v", out, rep)
	}

	attrs := "<b" + strings.Repeat(" a", maxAttrs+1) + ">x</b>"
	if out, _ = rewriteAt(t, compile(t, Options{}, edit(abi.OpText, "b", "!")), attrs); out != attrs {
		t.Error("a tag with too many attributes was matched")
	}
}

// A rewriter holds no more than its limits allow, whatever the page.
func TestMemoryBounded(t *testing.T) {
	opt := Options{MaxBuffer: 4096, MaxTag: 1024, MaxDepth: 64}
	for _, piece := range []string{"<ul>", "<ul><li>", "<!--", "<script>", "<b a='", "<i>", "<ul></ul>", "</", "<![CDATA[", "<svg>", "<!doctype ", "<li n=x>", "<p><b>"} {
		p := compile(t, opt, edit(abi.OpOrder, "ul", "by=attr\nattr=n"), edit(abi.OpAppend, "*", "x"), edit(abi.OpAfter, "b", "y"))
		r := New(p, discard{})
		b := []byte(strings.Repeat(piece, 100))
		for range 1000 {
			r.Write(b)
		}
		held := cap(r.carry) + cap(r.buf) + cap(r.scratch) + cap(r.values) + cap(r.names) + cap(r.held)*4 + cap(r.pend)*48 + cap(r.children)*160 + cap(r.out)
		if held > 200<<10 {
			t.Errorf("%q: holds %d bytes", piece, held)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriterFails(t *testing.T) {
	err := fmt.Errorf("gone")
	r := New(compile(t, Options{Tail: []byte("x")}, edit(abi.OpText, "b", "!")), failing{err})
	if _, got := r.Write([]byte("<b>x</b>")); got != err {
		t.Errorf("Write: %v", got)
	}
	if got := r.Close(); got != err {
		t.Errorf("Close: %v", got)
	}
}

func FuzzIdentity(f *testing.F) {
	for _, page := range awkward {
		f.Add(page)
	}
	plans := identityPlans(f)
	f.Fuzz(func(t *testing.T, page string) {
		for _, p := range plans {
			if got, _ := rewriteAt(t, p, page, len(page)/2); got != page {
				t.Fatalf("got %q", got)
			}
		}
	})
}

func FuzzCut(f *testing.F) {
	for i, page := range awkward {
		f.Add(page, uint64(i), i)
	}
	f.Fuzz(func(t *testing.T, page string, seed uint64, cut int) {
		edits := randomEdits(rand.New(rand.NewPCG(seed, 5)), 4)
		if seed%4 == 0 {
			edits = soupEdits[int(seed/4)%len(soupEdits)]
		}
		p := compile(t, Options{Tail: []byte("x"), MaxBuffer: 100, MaxTag: 200, MaxDepth: 20}, edits...)
		if len(page) > 0 {
			sameWhenCut(t, p, page, int(uint(cut)%uint(len(page))))
		}
		sameWhenCut(t, p, page, everyByte(page)...)
	})
}

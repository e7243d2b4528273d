package rewrite

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
)

// A hostilePage is all depth, all siblings, or all one token: it begins with
// pre, and goes on with n bytes of rep.
type hostilePage struct{ pre, rep, post string }

func (p hostilePage) of(n int) []byte {
	return []byte(p.pre + strings.Repeat(p.rep, max(1, n/len(p.rep))) + p.post)
}

func (p hostilePage) String() string { return fmt.Sprintf("%.12s... %.24q", p.pre, p.rep) }

var (
	deepDivs   = strings.Repeat("<div>", 500)
	deepLists  = strings.Repeat("<ul><li>", 200) + "{{v}}" + strings.Repeat("</ul>", 200)
	manyTypes  = manyElements(1000)
	hostileOne = []string{
		"<li>", "<li></li>", "<li class=c n=1>x", "<ul></ul>", "<li n=x>", "<ul><li>", "<ul><li class=c><b n=2></b></ul>", "<li><b></b></li>", "<li id=a>",
		"<b>", "<p><b>", "<a>", "<a><div>", "<a><div></a>", "<nobr><p>", "<br>", "<h1>", "<button>", "<form></form>", "<x-a></x-a><x-b></x-b>", "<svg><g/></svg>", "<select><option>", "<table><tr><td>",
		"<template><li>{{v}}</template>", "<!-- -->", "</b>", "</p>", "<", "aaaa", "{{v}}", "<script>", "<b a=1 b=2 c=3 d=4>", "<b " + strings.Repeat("a ", 500) + ">", "<b class='&amp; c &amp;'></b>", deepLists, manyTypes,
	}
	hostilePages = []hostilePage{
		{deepDivs, "<br>", ""}, {deepDivs, "</b>", ""}, {deepDivs, "<b></b>", ""}, {deepDivs, "<li>", ""}, {deepDivs, "<a><div></a>", ""}, {deepDivs, "<ul><li></ul>", ""},
		{"<table>", "<tr class=c><td>", ""}, {"<svg>", "<g/>", ""}, {"<svg>" + strings.Repeat("<g>", 400), "</q>", ""}, {"<b>", "<!--x-->", "</b>"},
		{"<p class='" + strings.Repeat("x ", 16<<10), "c ", "'>"}, {"<p class='", "c ", "'>"}, {"<p class='&amp; ", "c ", "'>"}, {"<ul><li>", "{{v}}", "</ul>"}, {"<b " + strings.Repeat("a=1 ", 4000) + ">", "<i></i>", "</b>"},
	}
)

func manyElements(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<x%d></x%d>", i, i)
	}
	return b.String()
}

// hostileEdits look as far ahead, back and around as edits can.
var hostileEdits = [][]abi.Edit{
	{edit(abi.OpText, "never", "x")},
	{edit(abi.OpAddClass, "*:last-child, :nth-last-child(2n+1)", "x"), edit(abi.OpRemove, "b:nth-last-of-type(3)")},
	{edit(abi.OpAddClass, ":nth-child(2n+1 of .c), :nth-of-type(3n)", "x"), edit(abi.OpAttr, "* + * ~ * > *", "x", "y")},
	{edit(abi.OpAddClass, ":has(u)", "x")},
	{edit(abi.OpAddClass, ":has(> u), :has(+ u), :empty", "x")},
	{edit(abi.OpAddClass, ":has(~ u)", "x")},
	{edit(abi.OpAddClass, ":has(b u)", "x"), edit(abi.OpAddClass, ":has(~ * u)", "y")},
	{edit(abi.OpAddClass, ":has(~ li ~ li ~ u), :has(li:last-child > u)", "x")},
	{edit(abi.OpAddClass, ":has(> * ~ * > u):not(:has(~ i))", "x")},
	{edit(abi.OpReplace, ":not(:has(u))", "<b>x</b>", "html")},
	{edit(abi.OpOrder, "ul", "by=attr\nattr=n"), edit(abi.OpAppend, "*", "x"), edit(abi.OpAfter, "b", "y")},
	{edit(abi.OpOrder, "*", "by=attr\nfrom=b")},
	{edit(abi.OpKeep, "*", "first=3\nfrom=b@n\nin=a")},
	{edit(abi.OpKeep, "*", "first=2\nlat=a\nlon=b\nat=1,2", "show=b")},
	{edit(abi.OpFill, "*", "v=1\n\nv="+strings.Repeat("2", 1000))},
	{edit(abi.OpUnwrap, "*"), edit(abi.OpBefore, ".c", "x")},
	{edit(abi.OpHTML, ".c", "<i>x</i>"), edit(abi.OpBefore, "*", "<i>x</i>", "html"), edit(abi.OpAppend, "*", "<i>x</i>", "html")},
	{edit(abi.OpRemoveClass, "*", "c"), edit(abi.OpAddClass, "*", "d"), edit(abi.OpAttr, ".c.d, .a .b", "x", "y"), edit(abi.OpBefore, ".x + .c", "z")},
}

// timeOf tells how long the processor works on a page that comes in pieces.
func timeOf(r *Rewriter, p *Plan, page []byte, piece int) time.Duration {
	from := cpuTime()
	r.Reset(p, discard{})
	for len(page) > 0 {
		n := min(piece, len(page))
		_, _ = r.Write(page[:n])
		page = page[n:]
	}
	_ = r.Close()
	return cpuTime() - from
}

// Four times the page takes about four times the work, whatever the page and
// the plan: 16 times would be quadratic. And no page takes very much of it. What
// counts is the processor's time.
func TestTime(t *testing.T) {
	const (
		small  = 16 << 10
		large  = 4 * small
		little = 8 * time.Millisecond // of so short a time nothing can be told
		much   = 1500 * time.Millisecond
	)
	r := new(Rewriter)
	if timeOf(r, compile(t, Options{}, hostileEdits[3]...), hostilePage{rep: "<b>"}.of(1<<20), 4096) <= 0 {
		t.Skip("counts the processor's time, which is not known on this system: Linux has it run")
	}
	pages := append([]hostilePage(nil), hostilePages...)
	for _, one := range hostileOne {
		pages = append(pages, hostilePage{rep: one})
	}
	for k, edits := range hostileEdits {
		p := compile(t, Options{}, edits...)
		for i, page := range pages {
			piece := 4096
			if (i+k)%3 == 0 {
				piece = 64
			}
			suspect := true
			var before, d, after time.Duration
			for try := 0; suspect && try < 4 && d < 3*much; try++ {
				if d = timeOf(r, p, page.of(large), piece); d < little {
					suspect = false
					break
				}
				before = timeOf(r, p, page.of(small), piece)
				if suspect = d >= much; !suspect && d >= 9*before {
					// Or the longer page has something that the shorter one has not.
					after = timeOf(r, p, page.of(4*large), piece)
					suspect = after >= 8*d
				}
			}
			if suspect {
				// One is enough: what takes this long takes it on many pages.
				t.Fatalf("edits %d, %s in pieces of %d: %v, 4 times as much %v, and again %v", k, page, piece, before, d, after)
			}
		}
	}
}

// What waits for an answer is held, with an outline of it, and nothing else of
// the page; nor does what has ended leave anything behind.
func TestHeldBounded(t *testing.T) {
	opt := Options{MaxBuffer: 128 << 10, MaxTag: 1024, MaxDepth: 64}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what finalizers and pools held
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for k, edits := range hostileEdits {
		p := compile(t, opt, edits...)
		for _, one := range []string{"<b>", "<li></li>", "<ul><li>", "<li class=c n=1>x", "<b class='&amp; c &amp;'></b>", "<a><div></a></div>"} {
			page := hostilePage{rep: one}.of(400 << 10)
			before := heap()
			r := New(p, discard{})
			_, _ = r.Write(page)
			if n := heap() - before; n > 32*opt.MaxBuffer {
				t.Errorf("edits %d, %q: holds %d bytes", k, one, n)
			}
			if n := len(r.held) + len(r.pend); n > 8*opt.MaxDepth {
				t.Errorf("edits %d, %q: %d edits wait for ends of elements", k, one, n)
			}
			if n := r.Report().Buffered; n > opt.MaxBuffer {
				t.Errorf("edits %d, %q: says that it held back %d bytes", k, one, n)
			}
			runtime.KeepAlive(page)
		}
	}
}

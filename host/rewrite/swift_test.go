package rewrite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"bespoke/modules/abi"
)

// bothWays rewrites the page with the short ways of the scanner and without
// them, and compares outputs and reports. Somebody who watches the tags has to hear of
// all of them, so watching shuts the short ways off.
func bothWays(t testing.TB, p *Plan, page string) {
	t.Helper()
	var short, long bytes.Buffer
	a, b := New(p, &short), New(p, &long)
	b.watch = func([]byte, int, int, int, *tag, verdict) {}
	for _, r := range []*Rewriter{a, b} {
		if _, err := r.Write([]byte(page)); err != nil {
			t.Fatal(err)
		}
		if r == b && r.swift {
			t.Fatal("the short ways are not shut off")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if short.String() != long.String() || !reflect.DeepEqual(a.Report(), b.Report()) {
		t.Fatalf("the short way of\n%s\nleads to\n%s\nthe long way to\n%s\n%+v\n%+v", page, &short, &long, a.Report(), b.Report())
	}
}

// denseSoup is soup in which nearly every element is edited, of tags that end one another.
func denseSoup(rnd *rand.Rand) string {
	g := &pageWriter{Rand: rnd}
	g.put(g.one("x", "<html><div>", "<head>x", "<!doctype html><html><body>x"))
	names := []string{"a", "a", "p", "p", "li", "dd", "dt", "div", "span", "b", "section", "nobr", "h1", "h2", "ul", "hr", "br", "form", "button",
		"select", "option", "table", "colgroup", "col", "tr", "td", "svg", "g", "desc", "template", "body", "custom-element", "h1x", "b2b"}
	var open []string
	for range 3 + g.IntN(25) {
		switch n := len(open); {
		case g.IntN(4) == 0:
			g.put("t")
		case n > 0 && g.IntN(2) == 0:
			g.put("</", open[n-1], ">")
			open = open[:n-1]
		case g.IntN(5) == 0:
			g.put("</", g.one(names...), ">")
		default:
			name := g.one(names...)
			g.put("<", name, g.one("", "", " class=c1", " class='c2 c1'", " class=\"c3\"", " class=c&amp;d", " id=n1", " id=a&amp;b", " lat=1 lon=2", " class=c1 lat=1 lon=3"), ">")
			open = append(open, name)
		}
	}
	return g.b.String()
}

func shortWayPlans(t testing.TB) []*Plan {
	var plans []*Plan
	for _, target := range []string{".c1", "body > .c1", ".c1 > .c3", ".c1 .c2", "#n1", "#a\\&b, .c\\&d", "a, p", ".c3:nth-child(2)", ".c1 + .c3", ".c3:is(.c1 .c3, div .c3)", ".c3:is(:not(.c1))", "[class]"} {
		plans = append(plans, compile(t, Options{}, edit(abi.OpAppend, target, "x"), edit(abi.OpAfter, target, "y")))
	}
	for _, show := range []string{".c1", ".c3.c1", "#n1", "b", "h2", "[class]", "*"} {
		plans = append(plans, compile(t, Options{}, edit(abi.OpKeep, "ul, div, .c2", "within=40\nlat=lat\nlon=lon\nat=1,2", "show="+show), edit(abi.OpAppend, ".c3", "x")))
	}
	return append(plans,
		compile(t, Options{Tail: []byte("<!---->")}, edit(abi.OpRemove, ".c2"), edit(abi.OpBefore, ".c3", "z")),
		compile(t, Options{MaxTag: 8}, edit(abi.OpAppend, ".c1", "x")),
		compile(t, Options{MaxTag: 17}, edit(abi.OpAppend, "#n1", "x")),
		compile(t, Options{MaxDepth: 5}, edit(abi.OpAppend, ".c1", "x")))
}

func TestShortWays(t *testing.T) {
	plans := shortWayPlans(t)
	for seed := range uint64(5000) {
		rnd := rand.New(rand.NewPCG(seed, 99))
		page := denseSoup(rnd)
		switch seed % 25 {
		case 0:
			page = randomPage(rnd, 1+rnd.IntN(4000))
		case 1:
			page = "x" + randomSoup(rnd, 1+rnd.IntN(3000))
		}
		for _, p := range plans {
			bothWays(t, p, page)
		}
		if p, err := Compile(randomEdits(rnd, 3), Options{}); err == nil {
			bothWays(t, p, page)
		}
	}
}

// The key of a long name is a hash of it; an end tag of which the name is the
// hash's bytes is another.
func TestShortWaysHash(t *testing.T) {
	p := compile(t, Options{}, edit(abi.OpAfter, ".c1", "y"), edit(abi.OpAppend, ".c2 > b", "x"))
	for i := range 1000 {
		name := fmt.Sprintf("element-%d", i)
		var key [8]byte
		binary.LittleEndian.PutUint64(key[:], nameKeyOf(name))
		if byteClass[key[0]]&cAlpha != 0 && !bytes.ContainsAny(key[:], "\t\n\f\r />") {
			bothWays(t, p, fmt.Sprintf("x<div><%s class=c2></%s><b>y</b></%s></div>", name, key[:], name))
			return
		}
	}
	t.Fatal("no such name found")
}

func FuzzShortWays(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(denseSoup(rand.New(rand.NewPCG(seed, 1))))
	}
	plans := shortWayPlans(f)
	f.Fuzz(func(t *testing.T, page string) {
		for _, p := range plans {
			bothWays(t, p, page)
		}
	})
}

package rewrite

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"bespoke/modules/abi"
)

// A plan made with drafts is the plan made without, whichever edits were
// dropped in between, and whatever the page's charset.
func TestDrafts(t *testing.T) {
	c := NewCompiler(1 << 20)
	used := 0
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var d Drafts
		var edits []abi.Edit
		s := Syntax(seed % 2)
		for _, e := range append(randomEdits(rnd, 6), edit(abi.OpText, "p", "grün")) {
			if d.Check(c, e, s) == abi.Accepted && rnd.IntN(4) > 0 {
				edits = append(edits, e)
			}
		}
		opt := Options{Syntax: s, Charset: []Charset{UTF8, {}, Sniff(nil, "text/html; charset=iso-8859-1", false)}[rnd.IntN(3)]}
		want, err := c.Compile(edits, opt)
		if err != nil {
			t.Fatal(err)
		}
		opt.Drafts = &d
		got, err := c.Compile(edits, opt)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, edits %v: with drafts\n%+v, %v\nwithout\n%+v", seed, edits, got, err, want)
		}
		for i := range got.edits {
			for j := range d.all {
				if got.edits[i] == d.all[j].markup {
					used++
				}
			}
		}
		d.Reset()
		if all := d.all[:cap(d.all)]; len(d.all) != 0 || len(all) > 0 && all[0] != (draft{}) {
			t.Fatal("something is left")
		}
	}
	if used < 1000 {
		t.Errorf("only %d drafts were of use", used)
	}
}

func TestDraftsJSON(t *testing.T) {
	var d Drafts
	var edits []abi.Edit
	for i, e := range []abi.Edit{
		edit(abi.OpText, "/a", "x"), edit(abi.OpAttr, "/b", "n", "1"), edit(abi.OpOrder, "/c", "by=attr\nattr=x"),
		edit(abi.OpKeep, "/c", "first=3"), edit(abi.OpAttr, "/d", "n", "2"), edit(abi.OpText, "/a", "x"), edit(abi.OpFill, "/e", "[1,2]"),
	} {
		if r := d.CheckJSON(e); r != abi.Accepted {
			t.Fatal(r)
		}
		if i != 1 {
			edits = append(edits, e)
		}
	}
	want := compileJSON(t, edits...)
	got, err := CompileJSON(edits, JSONOptions{Drafts: &d})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("with drafts\n%+v, %v\nwithout\n%+v", got, err, want)
	}
	if got.edits[1].list != d.all[2].json.list {
		t.Error("the draft was of no use")
	}
	if d.CheckJSON(edit(abi.OpText, "a", "x")) == abi.Accepted || len(d.all) != 7 {
		t.Error("a refused edit was kept")
	}
}

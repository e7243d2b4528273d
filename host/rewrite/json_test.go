package rewrite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

func compileJSON(t testing.TB, edits ...abi.Edit) *JSONPlan {
	t.Helper()
	p, err := CompileJSON(edits, JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rewriteJSON(t testing.TB, doc string, edits ...abi.Edit) (string, Report) {
	t.Helper()
	var r JSONRewriter
	out := r.Rewrite([]byte(nil), compileJSON(t, edits...), []byte(doc))
	return string(out), r.Report()
}

const indentedJSON = `{
  "name": "shop",
  "items": [
    {"id": 1, "tags": []},
    {"id": 2, "tags": ["x"]}
  ],
  "total": 2
}
`

func TestJSONCases(t *testing.T) {
	for _, c := range []struct {
		name, doc string
		edits     list1
		want      string
	}{
		{"text", `{"a" : 1.0}`, list1{edit(abi.OpText, "/a", "é \"\\</script>\u2028\u2029\x00\x1f\n\r\t\x7f")},
			`{"a" : "é \"\\\u003c/script>\u2028\u2029\u0000\u001f\n\r\t` + "\x7f" + `"}`},
		{"replace", `{"a":"x", "b":1e400}`, list1{edit(abi.OpReplace, "/a", " { \"a\" : [ 1 , 1E+5 ], \"b\" : \" \\\"<\u2029\\ud800 \"\n}")},
			`{"a":{"a":[1,1E+5],"b":" \"\u003c\u2029\ud800 "}, "b":1e400}`},
		{"root", " [1] \n", list1{edit(abi.OpReplace, "", "2")}, " 2 \n"},
		{"scalar root", "\ufeff 1", list1{edit(abi.OpText, "", "x")}, "\ufeff \"x\""},
		{"no such place", `{"a":[1]}`, list1{edit(abi.OpText, "/b", "x"), edit(abi.OpText, "/a/1", "x"), edit(abi.OpText, "/a/00", "x"),
			edit(abi.OpText, "/a/-", "x"), edit(abi.OpText, "/a/0/0", "x"), edit(abi.OpText, "/a/", "x")}, `{"a":[1]}`},
		{"names", `{"a/b":1,"m~n":2,"":3,"\u0061\u002f":4,"😀":5,"\ud83d\ude00!":6,"__proto__":7,"constructor":8,"0":9}`,
			list1{edit(abi.OpRemove, "/a~1b"), edit(abi.OpRemove, "/m~0n"), edit(abi.OpRemove, "/"), edit(abi.OpText, "/a~1", "x"), edit(abi.OpRemove, "/😀"),
				edit(abi.OpText, "/😀!", "y"), edit(abi.OpRemove, "/__proto__"), edit(abi.OpRemove, "/constructor"), edit(abi.OpText, "/0", "z")},
			`{"\u0061\u002f":"x","\ud83d\ude00!":"y","0":"z"}`},
		{"~01", `{"~1":1,"/":2}`, list1{edit(abi.OpText, "/~01", "x")}, `{"~1":"x","/":2}`},
		{"a name with a lone surrogate", `{"�":2,"\ud800":1}`, list1{edit(abi.OpText, "/�", "x")}, `{"�":"x","\ud800":1}`},
		{"*", `{"a":[{"b":1},{"b":2},3,{"c":4}],"d":{"b":5}}`, list1{edit(abi.OpText, "/a/*/b", "x"), edit(abi.OpText, "/*/b", "y")},
			`{"a":[{"b":"x"},{"b":"x"},3,{"c":4}],"d":{"b":"y"}}`},

		{"remove the first", indentedJSON, list1{edit(abi.OpRemove, "/name")}, strings.Replace(indentedJSON, "\"name\": \"shop\",\n  ", "", 1)},
		{"remove the last", indentedJSON, list1{edit(abi.OpRemove, "/total")}, strings.Replace(indentedJSON, ",\n  \"total\": 2", "", 1)},
		{"remove within", indentedJSON, list1{edit(abi.OpRemove, "/items")}, "{\n  \"name\": \"shop\",\n  \"total\": 2\n}\n"},
		{"remove all", indentedJSON, list1{edit(abi.OpRemove, "/*")}, "{}\n"},
		{"remove elements", `[1, 2 ,3,  4]`, list1{edit(abi.OpRemove, "/0"), edit(abi.OpRemove, "/2")}, `[2,  4]`},
		{"remove two at the front", `[ 1, 2 , 3 ]`, list1{edit(abi.OpRemove, "/0"), edit(abi.OpRemove, "/1")}, `[ 3 ]`},
		{"remove two at the end", `[ 1, 2 , 3 ]`, list1{edit(abi.OpRemove, "/2"), edit(abi.OpRemove, "/1")}, `[ 1 ]`},
		{"remove all elements", `[ 1, 2 , 3 ]`, list1{edit(abi.OpRemove, "/*")}, `[]`},

		{"attr in place", `{"o":{"a":1 , "b":2}}`, list1{edit(abi.OpAttr, "/o", "a", "[ 1 ]")}, `{"o":{"a":[1] , "b":2}}`},
		{"attr added", indentedJSON, list1{edit(abi.OpAttr, "", "new", "true"), edit(abi.OpAttr, "", "<b>", "1"), edit(abi.OpAttr, "/items/*", "hot", "false")},
			`{
  "name": "shop",
  "items": [
    {"id": 1, "tags": [], "hot": false},
    {"id": 2, "tags": ["x"], "hot": false}
  ],
  "total": 2,
  "new": true,
  "\u003cb>": 1
}
`},
		{"attr beside one member", `[{"a":1},{"a": 1},{"a" : 1 },{ "a":1},{},{ }]`, list1{edit(abi.OpAttr, "/*", "b", "2")},
			`[{"a":1,"b":2},{"a": 1, "b": 2},{"a" : 1, "b" : 2 },{ "a":1, "b":2},{"b":2},{"b":2 }]`},
		{"the last attr wins", `{"a":1}`, list1{edit(abi.OpAttr, "", "b", "2"), edit(abi.OpAttr, "", "a", "3"), edit(abi.OpAttr, "", "b", "4"), edit(abi.OpText, "/a", "x")},
			`{"a":"x","b":4}`},
		{"unset", `{"a":1,"b":2}`, list1{edit(abi.OpUnsetAttr, "", "a"), edit(abi.OpUnsetAttr, "", "c"), edit(abi.OpAttr, "", "c", "1"), edit(abi.OpUnsetAttr, "", "c")}, `{"b":2}`},
		{"unset and set again", `{"a":1}`, list1{edit(abi.OpUnsetAttr, "", "a"), edit(abi.OpAttr, "", "a", "2")}, `{"a":2}`},
		{"set in what becomes empty", "{\n \"a\": 1\n}", list1{edit(abi.OpRemove, "/a"), edit(abi.OpAttr, "", "b", "2")}, "{\n \"b\": 2\n}"},
		{"attr of an array", `[1]`, list1{edit(abi.OpAttr, "", "0", "2"), edit(abi.OpUnsetAttr, "", "0")}, `[1]`},

		{"before and after", "[\n  1,\n  2\n]", list1{edit(abi.OpBefore, "/0", `"a"`), edit(abi.OpBefore, "/0", `"b"`), edit(abi.OpAfter, "/1", `"c"`), edit(abi.OpAfter, "/1", `"d"`)},
			"[\n  \"a\",\n  \"b\",\n  1,\n  2,\n  \"d\",\n  \"c\"\n]"},
		{"prepend and append", `[1, 2]`, list1{edit(abi.OpPrepend, "", `"a"`), edit(abi.OpPrepend, "", `"b"`), edit(abi.OpAppend, "", `"c"`), edit(abi.OpAppend, "", `"d"`)},
			`["b", "a", 1, 2, "c", "d"]`},
		{"into an empty array", `[ ]`, list1{edit(abi.OpPrepend, "", `1`), edit(abi.OpAppend, "", `2`)}, `[1,2 ]`},
		{"into one that becomes empty", "[\n 1\n]", list1{edit(abi.OpRemove, "/0"), edit(abi.OpPrepend, "", `0`), edit(abi.OpAppend, "", `2`)}, "[\n 0,\n 2\n]"},
		{"prepend, the first goes", `[1, 2]`, list1{edit(abi.OpRemove, "/0"), edit(abi.OpPrepend, "", `0`)}, `[0, 2]`},
		{"beside what is replaced", `[1, 2]`, list1{edit(abi.OpText, "/0", "x"), edit(abi.OpBefore, "/0", "0")}, `[0, "x", 2]`},
		{"beside what goes", `[1, 2]`, list1{edit(abi.OpBefore, "/0", "0"), edit(abi.OpRemove, "/0")}, `[2]`},

		{"the last text wins", `[1]`, list1{edit(abi.OpText, "/0", "a"), edit(abi.OpReplace, "/0", "2")}, `[2]`},
		{"in what is replaced", `{"a":{"b":1}}`, list1{edit(abi.OpReplace, "/a", `{"b":2}`), edit(abi.OpText, "/a/b", "x"), edit(abi.OpAttr, "/a", "c", "1")}, `{"a":{"b":2}}`},
		{"in what goes", `{"a":{"b":1},"c":2}`, list1{edit(abi.OpText, "/a/b", "x"), edit(abi.OpRemove, "/a")}, `{"c":2}`},

		{"twins", `{"a":1,"b":{"x":1},"a":2,"b":{"x":3,"x":4},"\u0062":{"x":5}}`, list1{edit(abi.OpText, "/a", "A"), edit(abi.OpText, "/b/x", "X")},
			`{"a":1,"b":{"x":1},"a":"A","b":{"x":3,"x":4},"\u0062":{"x":"X"}}`},
		{"twins go together", `{"a":1,"b":2,"a":3}`, list1{edit(abi.OpRemove, "/a")}, `{"b":2}`},
		{"twins are unset together", `{"a":1,"b":2,"\u0061":3}`, list1{edit(abi.OpUnsetAttr, "", "a")}, `{"b":2}`},
		{"* means all twins", `{"a":{"x":1},"a":{"x":2}}`, list1{edit(abi.OpText, "/*/x", "y")}, `{"a":{"x":"y"},"a":{"x":"y"}}`},

		{"fill", "{\"a\": [\n  1,\n  2\n]}", list1{edit(abi.OpFill, "/a", ` [ {"b" : "<"} , [ ] , 3 ] `)}, "{\"a\": [\n  {\"b\":\"\\u003c\"},\n  [],\n  3\n]}"},
		{"fill with lines", `[]`, list1{edit(abi.OpFill, "", "a=1\nb=x=\"y\"\n\na=<b>\n")}, `[{"a":"1","b":"x=\"y\""},{"a":"\u003cb>"}]`},
		{"fill with nothing", `[ 1, 2 ]`, list1{edit(abi.OpFill, "", "[]")}, `[]`},
		{"fill and more", `[1, 2]`, list1{edit(abi.OpPrepend, "", "0"), edit(abi.OpFill, "", "[8,9]"), edit(abi.OpText, "/0", "x"), edit(abi.OpAppend, "", "10")}, `[0, 8, 9, 10]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rep := rewriteJSON(t, c.doc, c.edits...)
			if got != c.want || rep.Stopped != 0 {
				t.Errorf("got  %q\nwant %q\n%v", got, c.want, rep)
			}
		})
	}
}

const placesJSON = `[
  {"id": "far", "geo": {"lat": 40, "lon": -74}, "price": 3, "on": "2026-02-01", "tags": ["red", "new"]},
  {"id": "none", "price": "2.50"},
  {"id": 7, "geo": {"lat": "52.4", "lon": 13.1}, "price": 10, "on": "2025-12-31T23:00:00Z", "tags": "blue"},
  {"id": "near", "geo": {"lat": 52.52, "lon": 13.4}, "price": null, "on": "2026-01-01", "tags": []}
]`

// What order and keep do to placesJSON, told by the ids that are left.
func TestJSONLists(t *testing.T) {
	near := "lat=/geo/lat\nlon=/geo/lon\nat=52.5,13.4"
	for _, c := range []struct {
		name  string
		edits list1
		want  string
	}{
		{"distance", list1{edit(abi.OpOrder, "", "by=distance\n"+near)}, "near 7 far none"},
		{"number", list1{edit(abi.OpOrder, "", "by=attr\nattr=price\nas=number")}, "none far 7 near"},
		{"number, downwards", list1{edit(abi.OpOrder, "", "by=attr\nattr=price\nas=number\ndir=desc")}, "7 far none near"},
		{"text", list1{edit(abi.OpOrder, "", "by=attr\nattr=id")}, "7 far near none"},
		{"date", list1{edit(abi.OpOrder, "", "by=attr\nattr=/on\nas=date")}, "7 near far none"},
		{"ids", list1{edit(abi.OpOrder, "", "by=ids\nids=near 7 nobody")}, "near 7 far none"},
		{"affinity", list1{edit(abi.OpOrder, "", "by=affinity\nweight.tags=new:1|blue:1.25|red:0.75")}, "far 7 none near"},
		{"first", list1{edit(abi.OpKeep, "", "first=2")}, "far none"},
		{"within", list1{edit(abi.OpKeep, "", "within=40\n"+near)}, "7 near"},
		{"in", list1{edit(abi.OpKeep, "", "attr=tags\nin=red|blue")}, "far 7"},
		{"not", list1{edit(abi.OpKeep, "", "attr=tags\nnot=new")}, "none 7 near"},
		{"min and max", list1{edit(abi.OpKeep, "", "attr=price\nmin=2\nmax=5")}, "far none"},
		{"drop", list1{edit(abi.OpKeep, "", "drop=7 far")}, "none near"},
		{"ids kept", list1{edit(abi.OpKeep, "", "ids=7 none")}, "none 7"},
		{"order and keep", list1{edit(abi.OpKeep, "", "first=2"), edit(abi.OpOrder, "", "by=distance\n"+near)}, "near 7"},
		{"keeps together", list1{edit(abi.OpKeep, "", "first=3"), edit(abi.OpKeep, "", "drop=7 far"), edit(abi.OpKeep, "", "first=1"), edit(abi.OpOrder, "", "by=ids\nids=near none")}, "near"},
		{"what goes does not count", list1{edit(abi.OpRemove, "/0"), edit(abi.OpKeep, "", "first=2")}, "none 7"},
		{"by what goes", list1{edit(abi.OpRemove, "/*/geo"), edit(abi.OpOrder, "", "by=distance\n"+near)}, "near 7 far none"},
		{"by what is replaced", list1{edit(abi.OpText, "/*/price", "x"), edit(abi.OpOrder, "", "by=attr\nattr=price\nas=number")}, "none far 7 near"},
		{"null is no value", list1{edit(abi.OpOrder, "", "by=attr\nattr=price\ndir=desc")}, "far none 7 near"},
		{"from two places", list1{edit(abi.OpOrder, "", "by=distance\n"+near), edit(abi.OpKeep, "", "within=40\nlat=/geo/lat\nlon=/geo/lon\nat=40,-74")}, "far"},
		{"by two fields", list1{edit(abi.OpOrder, "", "by=distance\n"+near), edit(abi.OpKeep, "", "within=9000\nlat=/geo/lat\nlon=price\nat=52.5,13.4")}, "7 far"},
		{"the last order acts", list1{edit(abi.OpOrder, "", "by=ids\nids=near"), edit(abi.OpOrder, "", "by=ids\nids=7")}, "7 far none near"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, rep := rewriteJSON(t, placesJSON, c.edits...)
			ids, err := ExtractJSON([]byte(out), "/*/id")
			if err != nil || strings.Join(ids, " ") != c.want || rep.Stopped != 0 {
				t.Errorf("got %v, want %s\n%s\n%v %v", ids, c.want, out, rep, err)
			}
			if lines := strings.Count(out, "\n"); lines != len(ids)+1 {
				t.Errorf("%d lines:\n%s", lines, out)
			}
		})
	}
	out, _ := rewriteJSON(t, placesJSON, edit(abi.OpOrder, "", "by=distance\n"+near, "show=km"), edit(abi.OpKeep, "", "first=2"),
		edit(abi.OpBefore, "/2", `"before 7"`), edit(abi.OpBefore, "/0", `"before far"`), edit(abi.OpText, "/2/tags", "moved"))
	want := `[
  {"id": "near", "geo": {"lat": 52.52, "lon": 13.4}, "price": null, "on": "2026-01-01", "tags": [], "km": 2.2},
  "before 7",
  {"id": 7, "geo": {"lat": "52.4", "lon": 13.1}, "price": 10, "on": "2025-12-31T23:00:00Z", "tags": "moved", "km": 23.2}
]`
	if out != want {
		t.Errorf("got %s\nwant %s", out, want)
	}
	out, _ = rewriteJSON(t, placesJSON, edit(abi.OpKeep, "", "first=4\n"+near, "show=price\nunit=mi"))
	if want := strings.NewReplacer(`"price": 3,`, `"price": 4001.8,`, `"price": 10`, `"price": 14.4`, `null`, `1.4`).Replace(placesJSON); out != want {
		t.Errorf("got %s\nwant %s", out, want)
	}
	for _, c := range []struct {
		edits list1
		want  string
	}{
		{list1{edit(abi.OpAttr, "/*", "km", "0"), edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=km")}, `[{"a":1,"km":0.0},{"km":0}]`},
		{list1{edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=km"), edit(abi.OpAttr, "/*", "km", "true")}, `[{"a":1,"km":true},{"km":true}]`},
		{list1{edit(abi.OpUnsetAttr, "/*", "km"), edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=km")}, `[{"a":1,"km":0.0},{}]`},
		{list1{edit(abi.OpRemove, "/*/km"), edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=km")}, `[{"a":1},{}]`},
		{list1{edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=x"), edit(abi.OpOrder, "", "by=distance\nlat=a\nlon=a\nat=1,1", "show=y")},
			`[{"a":1,"km":7,"y":0.0},{"km":8}]`},
		{list1{edit(abi.OpAttr, "/*", "x", "1"), edit(abi.OpKeep, "", "first=2\nlat=a\nlon=a\nat=1,1", "show=y"), edit(abi.OpAttr, "/*", "z", "2"), edit(abi.OpUnsetAttr, "/1", "z")},
			`[{"a":1,"km":7,"x":1,"y":0.0,"z":2},{"km":8,"x":1}]`},
	} {
		if out, _ := rewriteJSON(t, `[{"a":1,"km":7},{"km":8}]`, c.edits...); out != c.want {
			t.Errorf("%v: got %s, want %s", c.edits, out, c.want)
		}
	}
	out, _ = rewriteJSON(t, `{"a":[[3,1],[2]],"b":[[1]]}`, edit(abi.OpKeep, "/*/*", "first=1"), edit(abi.OpKeep, "/a", "first=1"))
	if want := `{"a":[[3]],"b":[[1]]}`; out != want {
		t.Errorf("lists in lists: got %s, want %s", out, want)
	}
}

func TestJSONReport(t *testing.T) {
	for _, c := range []struct {
		doc     string
		edits   list1
		applied []int
		not     []NotApplied
	}{
		{`{"a":1,"b":[1,2]}`, list1{edit(abi.OpText, "/*", "x"), edit(abi.OpText, "/c", "x")}, []int{2, 0}, nil},
		{`{"a":1,"b":[1]}`, list1{edit(abi.OpBefore, "/a", "1"), edit(abi.OpAfter, "", "1"), edit(abi.OpAfter, "/b/0", "1")}, []int{0, 0, 1},
			[]NotApplied{{0, WhyPlace}, {1, WhyPlace}}},
		{`{"a":1,"b":[1]}`, list1{edit(abi.OpAttr, "/b", "x", "1"), edit(abi.OpUnsetAttr, "/a", "x"), edit(abi.OpPrepend, "", "1"), edit(abi.OpAppend, "/a", "1"),
			edit(abi.OpOrder, "", "by=ids\nids=a"), edit(abi.OpKeep, "/a", "first=1"), edit(abi.OpFill, "", "[]")}, make([]int, 7),
			[]NotApplied{{0, WhyPlace}, {1, WhyPlace}, {2, WhyPlace}, {3, WhyPlace}, {4, WhyPlace}, {5, WhyPlace}, {6, WhyPlace}}},
		{`[1]`, list1{edit(abi.OpText, "/0", "x"), edit(abi.OpReplace, "/0", "1"), edit(abi.OpKeep, "/0", "first=1"), edit(abi.OpBefore, "/0", "1")}, []int{0, 1, 0, 1},
			[]NotApplied{{0, WhyOverridden}, {2, WhyOverridden}}},
		{`[1]`, list1{edit(abi.OpText, "/0", "x"), edit(abi.OpAfter, "/0", "1"), edit(abi.OpRemove, "/0"), edit(abi.OpRemove, "/*")}, []int{0, 0, 1, 1},
			[]NotApplied{{0, WhyOverridden}, {1, WhyOverridden}}},
		{`{"a":1}`, list1{edit(abi.OpAttr, "", "a", "2"), edit(abi.OpAttr, "", "a", "3"), edit(abi.OpAttr, "", "b", "2"), edit(abi.OpAttr, "", "b", "3"), edit(abi.OpUnsetAttr, "", "c")},
			[]int{0, 1, 0, 1, 0}, []NotApplied{{0, WhyOverridden}, {2, WhyOverridden}}},
		{`[3,1]`, list1{edit(abi.OpOrder, "", "by=ids\nids=a"), edit(abi.OpOrder, "", "by=ids\nids=b"), edit(abi.OpKeep, "", "first=1"), edit(abi.OpText, "/1", "dropped")}, []int{0, 1, 1, 0},
			[]NotApplied{{0, WhyOverridden}}},
		{`[1]`, list1{edit(abi.OpFill, "", "[2]"), edit(abi.OpFill, "", "[3]"), edit(abi.OpOrder, "", "by=ids\nids=b"), edit(abi.OpAppend, "", "4")}, []int{0, 1, 0, 1},
			[]NotApplied{{0, WhyOverridden}, {2, WhyOverridden}}},
		{`{"a":{"b":1},"a":{"b":2}}`, list1{edit(abi.OpText, "/a/b", "x"), edit(abi.OpText, "/*/b", "y"), edit(abi.OpText, "/c", "y")}, []int{0, 2, 0},
			[]NotApplied{{0, WhyOverridden}, {0, WhyAmbiguous}}},
		{`[{"p":1}]`, list1{edit(abi.OpText, "/0", "x"), edit(abi.OpOrder, "", "by=attr\nattr=p"), edit(abi.OpText, "/0/p", "x"), edit(abi.OpRemove, "/0/p")}, []int{1, 1, 0, 0}, nil},
		{`[[1]]`, list1{edit(abi.OpFill, "", "[2]"), edit(abi.OpText, "/0/0", "x"), edit(abi.OpReplace, "/0/0", "2")}, []int{1, 0, 0}, nil},
		{`[{"p":1,"k":2}]`, list1{edit(abi.OpText, "/0/k", "x"), edit(abi.OpOrder, "", "by=distance\nlat=p\nlon=p\nat=1,1", "show=k")}, []int{0, 1}, []NotApplied{{0, WhyOverridden}}},
		{`[{"lat":1,"lat":2,"lon":3}]`, list1{edit(abi.OpOrder, "", "by=distance\nlat=lat\nlon=lon\nat=1,1")}, []int{1}, []NotApplied{{0, WhyAmbiguous}}},
	} {
		_, rep := rewriteJSON(t, c.doc, c.edits...)
		if !slices.Equal(rep.Applied, c.applied) || !slices.Equal(rep.NotApplied, c.not) || rep.Stopped != 0 || rep.Buffered != len(c.doc) {
			t.Errorf("%s %v\ngot  %v\nwant %v %v", c.doc, c.edits, rep, c.applied, c.not)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		want abi.Refusal
		edit abi.Edit
	}{
		{abi.Accepted, edit(abi.OpText, "", "x\x00")},
		{abi.Accepted, edit(abi.OpText, "/*/~0~1/a b", "")},
		{abi.Accepted, edit(abi.OpText, strings.Repeat("/a", 64), "")},
		{abi.Accepted, edit(abi.OpReplace, "/a", deep(64))},
		{abi.Accepted, edit(abi.OpAttr, "/a", "", "1")},
		{abi.Accepted, edit(abi.OpFill, "/a", "")},
		{abi.Accepted, edit(abi.OpOrder, "/a", "by=attr\nattr=/a~1b/*")},
		{abi.RefusedUnknownOp, abi.Edit{Op: 99}},
		{abi.RefusedUnsupported, edit(abi.OpHTML, "/a", "x")},
		{abi.RefusedUnsupported, edit(abi.OpUnwrap, "/a")},
		{abi.RefusedUnsupported, edit(abi.OpAddClass, "/a", "x")},
		{abi.RefusedUnsupported, edit(abi.OpRemoveClass, "/a", "x")},
		{abi.RefusedUnsupported, edit(abi.OpSetHeader, "a", "x")},
		{abi.RefusedTarget, edit(abi.OpText, "a", "x")},
		{abi.RefusedTarget, edit(abi.OpText, "#/a", "x")},
		{abi.RefusedTarget, edit(abi.OpText, "/~", "x")},
		{abi.RefusedTarget, edit(abi.OpText, "/a~2", "x")},
		{abi.RefusedTarget, edit(abi.OpText, "/\xff", "x")},
		{abi.RefusedTarget, edit(abi.OpText, strings.Repeat("/a", 65), "")},
		{abi.RefusedTarget, edit(abi.OpRemove, "")},
		{abi.RefusedArgument, edit(abi.OpRemove, "/a", "x")},
		{abi.RefusedArgument, edit(abi.OpText, "/a", "\xff")},
		{abi.RefusedArgument, edit(abi.OpText, "/a", "x", "html")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "1", "html")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "x")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "1 2")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "\"\xff\"")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", "\ufeff1")},
		{abi.RefusedArgument, edit(abi.OpReplace, "/a", deep(65))},
		{abi.RefusedArgument, edit(abi.OpBefore, "/a/0", "[1,]")},
		{abi.RefusedArgument, edit(abi.OpAfter, "/a/0", "{'a':1}")},
		{abi.RefusedArgument, edit(abi.OpPrepend, "/a", "01")},
		{abi.RefusedArgument, edit(abi.OpAppend, "/a", "NaN")},
		{abi.RefusedArgument, edit(abi.OpAttr, "/a", "\xff", "1")},
		{abi.RefusedArgument, edit(abi.OpAttr, "/a", "b", "c")},
		{abi.RefusedArgument, edit(abi.OpUnsetAttr, "/a", "b", "1")},
		{abi.RefusedArgument, edit(abi.OpFill, "/a", "[1")},
		{abi.RefusedArgument, edit(abi.OpFill, "/a", "[1] []")},
		{abi.RefusedArgument, edit(abi.OpFill, "/a", "x")},
		{abi.RefusedArgument, edit(abi.OpOrder, "/a", "by=attr\nattr=/a~")},
		{abi.RefusedArgument, edit(abi.OpOrder, "/a", "by=attr\nattr=a", "items=b")},
		{abi.RefusedArgument, edit(abi.OpKeep, "/a", "first=0")},
		{abi.RefusedArgument, edit(abi.OpKeep, "/a", "first=1", "show=km")},
	} {
		if got := CheckJSON(c.edit); got != c.want {
			t.Errorf("%v %.40q %.40q %q: %v, want %v", c.edit.Op, c.edit.Target, c.edit.A, c.edit.B, got, c.want)
		}
		if _, err := CompileJSON(list1{c.edit}, JSONOptions{}); (err == nil) != (c.want == abi.Accepted) {
			t.Errorf("%v: compiled: %v", c.edit, err)
		}
	}
	for _, opt := range []JSONOptions{{MaxBytes: -1}, {MaxDepth: -1}, {MaxBytes: 1<<30 + 1}, {MaxDepth: 1 << 20}} {
		if _, err := CompileJSON(nil, opt); err == nil {
			t.Errorf("%v was taken", opt)
		}
	}
}

func TestExtractJSON(t *testing.T) {
	const doc = "\ufeff" + `{"a":["x\n\u00e9\ud800",1.50,true,null,{"b": 1},[ ]],"b":1,"b":"two","o":{"x":"1","y":"2"},"n":[["a"],["b","c"]]}`
	for pointer, want := range map[string][]string{
		"/a/0": {"x\né\ufffd"}, "/a/*": {"x\né\ufffd", "1.50", "true", "null", `{"b": 1}`, "[ ]"}, "/b": {"two"},
		"/o/*": {"1", "2"}, "/n/*/*": {"a", "b", "c"}, "/n/*/1": {"c"}, "/nothing": nil, "/a/*/b": {"1"}, "/n": {`[["a"],["b","c"]]`},
	} {
		if got, err := ExtractJSON([]byte(doc), pointer); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", pointer, got, err, want)
		}
	}
	if _, err := ExtractJSON([]byte(doc), "a"); err == nil {
		t.Error("a bad pointer was taken")
	}
	if got, err := ExtractJSON([]byte(doc+"x"), "/b"); got != nil || err != nil {
		t.Errorf("of a wrong document: %q, %v", got, err)
	}
	many := "[" + strings.Repeat(`1,`, 5000) + "1]"
	if got, _ := ExtractJSON([]byte(many), "/*"); len(got) != 1000 {
		t.Errorf("%d values", len(got))
	}
	long := `["` + strings.Repeat("é", 20000) + `","` + strings.Repeat("é", 20000) + `","c"]`
	got, _ := ExtractJSON([]byte(long), "/*")
	if len(got) < 2 || len(got[0]) != 40000 || got[1] != strings.Repeat("é", (64<<10-40000)/2) || len(strings.Join(got, "")) > 64<<10 {
		t.Errorf("%d long values", len(got))
	}
	if got, _ := ExtractJSON([]byte(long), ""); got != nil {
		t.Error("a value beyond 64 KiB was taken")
	}
}

// In the steady state nothing is allocated, whatever the edits.
func TestJSONNoAllocations(t *testing.T) {
	near := "lat=/geo/lat\nlon=/geo/lon\nat=52.5,13.4"
	doc := benchJSON(60)
	edits, _ := benchEdits(20, 60)
	edits = append(edits, edit(abi.OpAttr, "/items/*", "seen", "true"), edit(abi.OpRemove, "/items/3"), edit(abi.OpRemove, "/items/*/stock"),
		edit(abi.OpAttr, "", "new", "1"), edit(abi.OpBefore, "/items/9", "0"), edit(abi.OpAppend, "/items/8/tags", "0"), edit(abi.OpFill, "/items/7/tags", "[1,2]"),
		edit(abi.OpOrder, "/items", "by=distance\n"+near, "show=km"), edit(abi.OpKeep, "/items", "attr=tags\nnot=green\nwithin=9000\n"+near),
		edit(abi.OpOrder, "/items/*/tags", "by=attr\nattr=x"))
	p := compileJSON(t, edits...)
	var r JSONRewriter
	var out []byte
	if n := testing.AllocsPerRun(50, func() { out = r.Rewrite(out[:0], p, doc); r.Report() }); n != 0 {
		t.Errorf("%v allocations a document", n)
	}
	if rep := r.Report(); rep.Stopped != 0 || slices.Contains(rep.Applied[20:len(edits)-1], 0) {
		t.Errorf("the document was not edited as meant: %v", rep)
	}
}

// A rewriter carries nothing over from one document and plan to the next.
func TestJSONReuse(t *testing.T) {
	var r JSONRewriter
	plans := []*JSONPlan{compileJSON(t), compileJSON(t, edit(abi.OpText, "/a", "x")),
		compileJSON(t, edit(abi.OpKeep, "/*", "first=1\nlat=a\nlon=a\nat=1,1", "show=b"), edit(abi.OpRemove, "/a/a"), edit(abi.OpAttr, "", "c", "1"))}
	docs := []string{`{"a":[{"a":1},{"a":2}]}`, `{"a":{"a":1},"a":{"a":2}}`, `{"a":`, `[1]`, `{}`, "\xff", `{"b":[{"a":[]}],"a":"\ud800"}`}
	for i := range 200 {
		p, doc := plans[i/2*7%3], docs[i*5%7]
		var fresh JSONRewriter
		want, got := fresh.Rewrite(nil, p, []byte(doc)), r.Rewrite(nil, p, []byte(doc))
		if a, b := fmt.Sprint(fresh.Report()), fmt.Sprint(r.Report()); string(want) != string(got) || a != b {
			t.Fatalf("%s: %q, %s; fresh: %q, %s", doc, got, b, want, a)
		}
	}
}

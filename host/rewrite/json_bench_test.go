package rewrite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"testing"

	"bespoke/modules/abi"

	"github.com/tidwall/sjson"
)

// benchJSON is a document of n items, as an API sends it.
func benchJSON(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"query":"coffee","total":` + strconv.Itoa(n) + `,"items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"p%d","name":"Item number %d","price":%d.99,"stock":%d,"active":%t,"tags":["red","new","caf\u00e9"],"geo":{"lat":%d.%03d,"lon":%d.%03d},"text":"A few words, \"quoted\" once."}`,
			i, i, i*7%90, i*13%50, i%3 == 0, i*7%120-60, i*13%1000, i*17%300-150, i*29%1000)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// benchEdits are n edits, spread over the document, and the same as paths of sjson.
func benchEdits(n, items int) (edits []abi.Edit, paths []string) {
	for i := range n {
		at := i * items / n
		name := []string{"name", "text", "id"}[i%3]
		edits = append(edits, edit(abi.OpText, fmt.Sprintf("/items/%d/%s", at, name), "edited"))
		paths = append(paths, fmt.Sprintf("items.%d.%s", at, name))
	}
	return edits, paths
}

// BenchmarkJSON edits 100 strings of a document of 100 KB in one pass, and
// with sjson one after another. They take turns. Its figures are x_sjson, how
// many times as long sjson.SetBytes takes, and x_sjson_hinted, the same with sjson's hint that
// the values are there. It fails if the outputs differ, or if a document costs an allocation of ours.
func BenchmarkJSON(b *testing.B) {
	const items = 550
	doc := benchJSON(items)
	edits, paths := benchEdits(100, items)
	p := compileJSON(b, edits...)
	var r JSONRewriter
	var out, set []byte
	sjsonAll := func(opt *sjson.Options) {
		set = doc
		for _, path := range paths {
			var err error
			if set, err = sjson.SetBytesOptions(set, path, "edited", opt); err != nil {
				b.Fatal(err)
			}
		}
	}
	out = r.Rewrite(out[:0], p, doc)
	if sjsonAll(nil); !bytes.Equal(out, set) {
		b.Fatal("the outputs differ")
	}
	if n := testing.AllocsPerRun(10, func() { out = r.Rewrite(out[:0], p, doc) }); n > 0 {
		b.Errorf("%v allocations a document, want none", n)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ours, theirs, hinted := math.Inf(1), math.Inf(1), math.Inf(1)
	for b.Loop() {
		ours = min(ours, perRun(func() { out = r.Rewrite(out[:0], p, doc) }))
		theirs = min(theirs, perRun(func() { sjsonAll(nil) }))
		hinted = min(hinted, perRun(func() { sjsonAll(&sjson.Options{Optimistic: true}) }))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours/1e3, "µs/document")
	b.ReportMetric(float64(len(doc))/ours*1e3, "MB/s")
	b.ReportMetric(theirs/ours, "x_sjson")
	b.ReportMetric(hinted/ours, "x_sjson_hinted")
}

// BenchmarkJSONKinds shows what kinds of edits cost, beside json.Valid.
func BenchmarkJSONKinds(b *testing.B) {
	doc := benchJSON(50)
	var indented bytes.Buffer
	json.Indent(&indented, doc, "", "  ")
	run := func(name string, doc []byte, edits ...abi.Edit) {
		b.Run(name, func(b *testing.B) {
			p := compileJSON(b, edits...)
			var r JSONRewriter
			var out []byte
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				out = r.Rewrite(out[:0], p, doc)
			}
			if rep := r.Report(); rep.Stopped != 0 || rep.Applied[0] == 0 {
				b.Fatal(rep)
			}
		})
	}
	run("one", doc, edit(abi.OpText, "/query", "x"))
	run("indented", indented.Bytes(), edit(abi.OpText, "/query", "x"))
	run("each", doc, edit(abi.OpText, "/items/*/name", "x"))
	run("attr", doc, edit(abi.OpAttr, "/items/*", "seen", "true"))
	run("remove", doc, edit(abi.OpRemove, "/items/*/text"))
	near := "lat=/geo/lat\nlon=/geo/lon\nat=52.5,13.4"
	run("nearest", doc, edit(abi.OpOrder, "/items", "by=distance\n"+near, "show=km"), edit(abi.OpKeep, "/items", "first=10"))
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			json.Valid(doc)
		}
	})
}

// BenchmarkJSONCompile compiles the plans of BenchmarkJSON and of "nearest".
func BenchmarkJSONCompile(b *testing.B) {
	many, _ := benchEdits(100, 550)
	near := "lat=/geo/lat\nlon=/geo/lon\nat=52.5,13.4"
	for name, edits := range map[string][]abi.Edit{
		"100":     many,
		"nearest": {edit(abi.OpOrder, "/items", "by=distance\n"+near, "show=km"), edit(abi.OpKeep, "/items", "first=10")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CompileJSON(edits, JSONOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

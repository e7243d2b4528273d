//go:build wasip1

// Command bands uses what the SDK has for bands and for what is liked; the test
// compares what it emits.
package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

func init() { bespoke.OnResponse(run) }

func run(v bespoke.Visitor, page *bespoke.Page) {
	page.Why(strings.Repeat("é", 150))
	page.Why(strings.Repeat("\x80", 250))
	wide, _ := v.Recommend("trending", "").Blocks(5, "", "")
	page.Fill("#wide", wide[strings.LastIndex(string(wide), "a62"):])
	page.Event("view", "7", bespoke.Join(bespoke.Line("colour", "red\nid=8"), bespoke.Line("size", "L")))
	items, n := v.Recommend("for-you", "n=3").Blocks(2, "1", "")
	page.Fill("#band", items)
	if n != 2 {
		bespoke.Log(bespoke.Error, "items are counted wrongly")
	}
	none, _ := v.Recommend("deals", "").Blocks(5, "", "tea")
	page.Fill("#none", none)
	page.Order("#j", bespoke.Likes("data-c", v.Affinity("colour")), bespoke.Likes("data-none", ""), bespoke.Likes("data-s", "L\t1"), bespoke.Items("li"))
	page.Order("#k", bespoke.Likes("data-none", "no weights\nx\t\n"))
	page.Order("#l", bespoke.ByDate("from:pubDate"))
	page.Keep("#m", bespoke.In("brand", "A\nB"))
	page.Keep("#m", bespoke.AtLeast("price", "1"))
	page.Keep("#n", bespoke.NotIn("from:source@url", "x"))
	page.Keep("#o", bespoke.AtMost("price", " 9.5"))
	page.Keep("#p", bespoke.In("brand", "\n"), bespoke.AtMost("price", "cheap"))
}

func main() {}

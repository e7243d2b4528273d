//go:build wasip1

package main

import (
	"strconv"
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// shelf fills a slot with the items of a band, by the page's own pattern. Where
// the band is empty it shows another one, or leaves what the site sent.
func shelf(r *run) {
	slot, ok := r.need("slot")
	band, ok2 := r.need("band")
	first, ok3 := r.count("first", 8)
	least, ok4 := r.count("least", 1)
	if !ok || !ok2 || !ok3 || !ok4 {
		return
	}
	hidden, _ := r.Preference("hidden")
	muted, _ := r.Preference("muted")
	ask := first + room(hidden, muted)
	item, known := about(r)
	if known || !aboutItem(band) {
		items, n := r.Recommend(band, parameters(item, ask)).Blocks(first, hidden, muted)
		if n >= least {
			r.why(reasons(band))
			r.check("fill", r.Fill(slot, items))
			return
		}
	}
	instead := r.option("instead", "best-sellers")
	if instead == "none" || instead == band || aboutItem(instead) && !known {
		return
	}
	items, n := r.Recommend(instead, parameters(item, ask)).Blocks(first, hidden, muted)
	if n < least {
		return
	}
	r.why(reasons(instead))
	if !r.check("fill", r.Fill(slot, items)) {
		return
	}
	// The heading must not promise what is not shown.
	heading, ok := r.Config("heading")
	title, ok2 := r.Config("instead-title")
	if ok && ok2 {
		r.check("heading", r.Text(heading, title))
	}
}

// room is for how many items to ask beyond those to show, as what the visitor
// does not want to see is left out of them.
func room(hidden, muted string) int {
	n := 0
	if hidden != "" {
		n = 1 + strings.Count(hidden, "\n")
	}
	if muted != "" {
		n += 8 * (1 + strings.Count(muted, "\n"))
	}
	return min(n, 24)
}

// aboutItem reports whether a band is of what goes with one item. So is next, but
// without one it is of what goes with the item that was looked at last.
func aboutItem(band string) bool { return band == "bought-together" || band == "similar" }

func parameters(item string, n int) string {
	if item == "" {
		return bespoke.Join("n=", strconv.Itoa(n))
	}
	return bespoke.Join("item=", escape(item), "&n=", strconv.Itoa(n))
}

// escape writes an id for a query: what could end it is written in percents.
func escape(id string) string {
	if !strings.ContainsAny(id, "%&+#; \n") {
		return id
	}
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; strings.IndexByte("%&+#; \n", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// about returns the item that the page is about: from the path, the query, or
// what the visitor looked at last.
func about(r *run) (item string, ok bool) {
	if pattern, ok := r.Config("item-path"); ok {
		before, after, _ := strings.Cut(pattern, "*")
		rest, ok := strings.CutPrefix(r.Path(), before)
		if rest, ok2 := strings.CutSuffix(rest, after); ok && ok2 && rest != "" && strings.IndexByte(rest, '/') < 0 {
			return rest, true
		}
	}
	if name, ok := r.Config("item-query"); ok {
		if item, ok := r.Query(name); ok && item != "" {
			return item, true
		}
	}
	if recent, _ := r.Config("item-recent"); recent == "true" {
		if items, ok := r.Read("profile.recent"); ok && items != "" {
			item, _ = next(items)
			return item, item != ""
		}
	}
	return "", false
}

func reasons(band string) string {
	switch band {
	case "recently-viewed":
		return "What you looked at lately."
	case "for-you":
		return "Chosen by what you looked at lately."
	case "next":
		return "What others looked at next, after what you looked at."
	case "trending":
		return "What many look at these days."
	case "deals":
		return "The best deals of this site, for everybody."
	case "bought-together":
		return "What others bought together with this."
	case "similar":
		return "Similar to this, by what others looked at."
	}
	return "The best sellers of this site, for everybody."
}

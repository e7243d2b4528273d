package examples

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A list is a page of a department, as the query narrows and sorts it.
type list struct {
	Name, Line  string
	Path        string // of its first page, as the form asks it
	All         string // where all of it is on one page; "" if it is too much for one
	Facets      []facet
	Sorts       []facetValue
	Items       []item
	Total       int // of which Items are a page
	Page, Pages int
	Prev, Next  string
}

// pageSize is how many items a page has: those of a department, and a part of everything.
const pageSize = 72

// list answers ?color=…&sort=price&page=2; what it does not know it leaves out.
func (s *shop) list(g group, q url.Values) list {
	l := list{Name: g.Name, Line: g.Line, Path: "/d/" + g.ID, All: "/d/" + g.ID + "/all"}
	if g.ID == "all" {
		l.All = ""
	}
	items := only(s.Items, func(it item) bool { return g.ID == "all" || it.At("department") == g.ID })
	for _, f := range s.Facets {
		values := valuesOf(items, f.Name)
		if len(values) < 2 {
			continue
		}
		chosen := q.Get(f.Name)
		for i := range values {
			values[i].On = values[i].Value == chosen
		}
		l.Facets = append(l.Facets, facet{f.Name, f.Label, values})
	}
	for _, f := range l.Facets {
		if chosen := q.Get(f.Name); chosen != "" {
			items = only(items, func(it item) bool { return it.Has(f.Name, chosen) })
		}
	}
	items = l.sort(items, q.Get("sort"))
	l.cut(items, q)
	return l
}

// valuesOf returns the different values of an attribute, in order.
func valuesOf(items []item, name string) []facetValue {
	var out []facetValue
	for _, it := range items {
		for _, v := range it.Attributes[name] {
			if !slices.ContainsFunc(out, func(f facetValue) bool { return f.Value == v }) {
				out = append(out, facetValue{Value: v})
			}
		}
	}
	slices.SortFunc(out, func(a, b facetValue) int { return cmp.Compare(a.Value, b.Value) })
	return out
}

func (l *list) sort(items []item, by string) []item {
	l.Sorts = []facetValue{{Value: "featured", Label: "Our choice"}, {Value: "price", Label: "Price, low first"},
		{Value: "price-desc", Label: "Price, high first"}, {Value: "title", Label: "Name"}}
	for i := range l.Sorts {
		l.Sorts[i].On = l.Sorts[i].Value == by
	}
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int {
		switch by {
		case "price":
			return cmp.Compare(a.Price, b.Price)
		case "price-desc":
			return cmp.Compare(b.Price, a.Price)
		case "title":
			return strings.Compare(a.Title, b.Title)
		}
		return 0
	})
	return items
}

// cut keeps one page, and finds the ways to those beside it.
func (l *list) cut(items []item, q url.Values) {
	l.Total = len(items)
	l.Pages = max(1, (len(items)+pageSize-1)/pageSize)
	n, _ := strconv.Atoi(q.Get("page"))
	l.Page = min(max(n, 1), l.Pages)
	from := (l.Page - 1) * pageSize
	l.Items = items[from:min(from+pageSize, len(items))]
	way := func(page int) string {
		if page < 1 || page > l.Pages {
			return ""
		}
		to := url.Values{"page": {strconv.Itoa(page)}}
		for _, f := range l.Facets {
			if v := q.Get(f.Name); v != "" {
				to.Set(f.Name, v)
			}
		}
		if v := q.Get("sort"); v != "" {
			to.Set("sort", v)
		}
		return l.Path + "?" + to.Encode()
	}
	l.Prev, l.Next = way(l.Page-1), way(l.Page+1)
}

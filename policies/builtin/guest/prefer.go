//go:build wasip1

package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// prefer applies what the visitor saved to a list: filters, the sort order, how
// many on a page, and what they hid. What the address asks for just now beats it.
func prefer(r *run) {
	list, ok := r.need("list")
	first, ok2 := r.count("first", 0)
	if !ok || !ok2 {
		return
	}
	r.leaveOut(list)
	saved, _ := r.Preference("filters")
	filters, _ := r.Config("filters")
	for saved != "" && filters != "" {
		var line string
		line, filters = next(filters)
		name, how := pair(line)
		value, ok := find(saved, name)
		if !ok || name == "" {
			continue
		}
		if _, now := r.Query(name); now {
			continue
		}
		r.filter(list, name, how, value)
	}
	r.sorted(list)
	if r.option("pages", "true") == "true" {
		r.pageful(list, first)
	}
}

// filter keeps the items that a saved filter lets through. how is an attribute,
// then in, not, min or max.
func (r *run) filter(list, name, how, value string) {
	attr, kind := word(how)
	var keep bespoke.Option
	switch kind {
	case "", "in":
		keep = bespoke.In(attr, commas(value))
	case "not":
		keep = bespoke.NotIn(attr, commas(value))
	case "min":
		keep = bespoke.AtLeast(attr, value)
	case "max":
		keep = bespoke.AtMost(attr, value)
	default:
		r.wrong("the option filters: expected NAME=ATTRIBUTE, then in, not, min or max")
		return
	}
	r.why("Filtered as you saved it: ", name, " ", strings.TrimSpace(value), ".")
	r.check("keep", r.Keep(list, keep, r.taking()))
}

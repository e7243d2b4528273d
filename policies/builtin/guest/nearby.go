//go:build wasip1

package main

import (
	"strconv"

	bespoke "bespoke/policies/sdk/go"
)

// nearby orders a list by distance from the visitor, and keeps the first ones
// or those close by. With a bad configuration or no place it emits nothing.
func nearby(v bespoke.Visitor, page *bespoke.Page) {
	list, ok := v.Config("list")
	if !ok {
		bespoke.Log(bespoke.Error, "nearby: the option list is missing")
		return
	}
	first, ok := first(v)
	if !ok {
		bespoke.Log(bespoke.Error, "nearby: the option first is no whole number above zero")
		return
	}
	km, ok := within(v)
	if !ok {
		bespoke.Log(bespoke.Error, "nearby: the option within is no number of kilometres above zero")
		return
	}
	here := v.Place()
	if !here.Known() {
		return
	}
	var both, one [6]bespoke.Option // on the stack
	items := append(both[:0], bespoke.Coordinates(option(v, "lat", "data-lat"), option(v, "lon", "data-lon")))
	if selector, ok := v.Config("items"); ok {
		items = append(items, bespoke.Items(selector))
	}
	order := append(append(one[:0], items...), bespoke.Nearest(here))
	if selector, ok := v.Config("show"); ok {
		order = append(order, bespoke.Show(selector), bespoke.Unit(option(v, "unit", "km")))
	}
	if err := page.Order(list, order...); err != nil {
		bespoke.Log(bespoke.Error, "nearby: order: "+err.Error())
		return
	}
	if first > 0 {
		items = append(items, bespoke.First(first))
	}
	if km > 0 {
		items = append(items, bespoke.Within(km, here))
	}
	if err := page.Keep(list, items...); err != nil {
		bespoke.Log(bespoke.Error, "nearby: keep: "+err.Error())
	}
}

// option returns what is configured under the name, or else what is usual.
func option(v bespoke.Visitor, name, usual string) string {
	if value, ok := v.Config(name); ok {
		return value
	}
	return usual
}

// first returns the option of that name, 0 if it is not set.
func first(v bespoke.Visitor) (n int, ok bool) {
	text, set := v.Config("first")
	if !set {
		return 0, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

// within returns the option of that name in kilometres, 0 if it is not set.
func within(v bespoke.Visitor) (km float64, ok bool) {
	text, set := v.Config("within")
	if !set {
		return 0, true
	}
	km, err := strconv.ParseFloat(text, 64)
	return km, err == nil && km > 0 && km <= 1e6
}

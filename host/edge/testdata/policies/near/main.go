//go:build wasip1

// A policy that greets visitors by name and city, writes how far each store is
// from them, and drops those that are too far to go to.
package main

import bespoke "bespoke/policies/sdk/go"

const farthest = 40 // kilometres

func init() { bespoke.OnResponse(near) }

func main() {}

func near(v bespoke.Visitor, page *bespoke.Page) {
	greeting := "Welcome"
	if name := v.Name(); name != "" {
		greeting += " back, " + name
	}
	if city := v.City(); city != "" {
		greeting += ": stores near " + city
	}
	check(page.Text("#greeting", greeting))
	check(page.Keep("#results", bespoke.Within(farthest, v.Place()),
		bespoke.Coordinates("data-lat", "data-lon"), bespoke.Show(".distance")))
}

func check(err error) {
	if err != nil {
		bespoke.Log(bespoke.Error, "near: "+err.Error())
	}
}

//go:build wasip1

// A policy that greets visitors by the name that they gave, and names their city.
package main

import bespoke "bespoke/policies/sdk/go"

func init() { bespoke.OnResponse(greet) }

func main() {}

func greet(v bespoke.Visitor, page *bespoke.Page) {
	greeting := "Welcome"
	if name := v.Name(); name != "" {
		greeting += " back, " + name
	}
	if city := v.City(); city != "" {
		greeting += ": stores near " + city
	}
	if err := page.Text("#greeting", greeting); err != nil {
		bespoke.Log(bespoke.Error, "greet: "+err.Error())
	}
}

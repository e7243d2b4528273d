//go:build wasip1

// A policy that leaves the ten stores of a JSON document that are nearest.
package main

import bespoke "bespoke/policies/sdk/go"

const most = 10

func init() { bespoke.OnResponse(nearest) }

func main() {}

func nearest(v bespoke.Visitor, page *bespoke.Page) {
	here := v.Place()
	if !here.Known() {
		return
	}
	check(page.Order("/stores", bespoke.Nearest(here), bespoke.Coordinates("lat", "lon")))
	check(page.Keep("/stores", bespoke.First(most)))
}

func check(err error) {
	if err != nil {
		bespoke.Log(bespoke.Error, "json: "+err.Error())
	}
}

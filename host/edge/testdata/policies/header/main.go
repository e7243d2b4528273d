//go:build wasip1

// A policy that marks every answer with the site's release.
package main

import bespoke "bespoke/policies/sdk/go"

func init() { bespoke.OnResponse(release) }

func main() {}

func release(_ bespoke.Visitor, page *bespoke.Page) {
	if err := page.SetHeader("X-Release", "2026-07"); err != nil {
		bespoke.Log(bespoke.Error, "header: "+err.Error())
	}
}

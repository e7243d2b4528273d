//go:build wasip1

// Command guest is the module of the policies that ship with Bespoke. It
// carries several; the key config.policy says which one the route uses.
// manifest.json beside this folder declares what each reads.
package main

import bespoke "bespoke/policies/sdk/go"

func init() {
	bespoke.OnResponse(func(v bespoke.Visitor, page *bespoke.Page) {
		name := v.Policy()
		r := &run{v, page, name}
		switch name {
		case "nearby":
			nearby(v, page)
		case "greet":
			greet(v, page)
		case "shelf":
			shelf(r)
		case "rank":
			rank(r)
		case "prefer":
			prefer(r)
		case "fence":
			fence(r)
		case "persona":
			persona(r)
		case "ads":
			ads(r)
		case "feed":
			feed(r)
		case "theme":
			theme(r)
		case "card":
			card(r)
		case "cadence":
			cadence(r)
		case "summary":
			summary(r)
		case "lesson":
			lesson(r)
		default:
			bespoke.Log(bespoke.Error, "there is no built-in policy of the name "+name)
		}
	})
}

func main() {}

//go:build wasip1

// Command guest is the module of the policies that ship with Bespoke. It
// carries several; the key config.policy says which one the route uses.
// manifest.json beside this folder declares what each reads.
package main

import bespoke "bespoke/policies/sdk/go"

func init() {
	bespoke.OnResponse(func(v bespoke.Visitor, page *bespoke.Page) {
		switch name := v.Policy(); name {
		case "nearby":
			nearby(v, page)
		case "greet":
			greet(v, page)
		default:
			bespoke.Log(bespoke.Error, "there is no built-in policy of the name "+name)
		}
	})
}

func main() {}

//go:build wasip1

package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// ads chooses what an ad slot shows by the visitor's interests, and labels it.
// The first child of the slot is the ad that is for everybody.
func ads(r *run) {
	slot, ok := r.need("slot")
	first, ok2 := r.count("first", 1)
	if !ok || !ok2 {
		return
	}
	attr := r.option("attribute", "data-interest")
	interests, _ := r.Read("profile.interests")
	likes := bespoke.Likes(attr, interests)
	chosen := likes != (bespoke.Option{})
	if chosen {
		most, _, _ := strings.Cut(interests, "\t")
		r.why("Advertising, chosen by what you seem to be interested in: ", most, ".")
	} else {
		r.why("Advertising that is not chosen by what you did.")
	}
	label := r.option("label", "Advertisement")
	r.check("label", r.Attr(slot, "aria-label", label))
	if where, ok := r.Config("label-slot"); ok {
		r.check("label", r.Text(where, label))
	} else {
		r.check("label", r.Before(slot, label))
	}
	if chosen {
		r.check("order", r.Order(slot, likes, r.taking()))
	}
	if muted, ok := r.Preference("muted"); ok {
		r.check("muted", r.Keep(slot, bespoke.NotIn(attr, muted), r.taking()))
	}
	r.check("keep", r.Keep(slot, bespoke.First(first), r.taking()))
}

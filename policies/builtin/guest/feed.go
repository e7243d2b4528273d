//go:build wasip1

package main

import bespoke "bespoke/policies/sdk/go"

// feed is a river of posts, in HTML, RSS, Atom or JSON: of the sources that the
// visitor chose, without what they hid or muted, in the order that they saved,
// else by what they seem to like.
func feed(r *run) {
	list, ok := r.need("list")
	first, ok2 := r.count("first", 0)
	if !ok || !ok2 {
		return
	}
	r.leaveOut(list)
	if source, ok := r.Config("source"); ok {
		if chosen, ok := r.Preference(bespoke.Join("filter.", r.option("sources", "sources"))); ok {
			r.why("Only of the sources that you chose.")
			r.check("source", r.Keep(list, bespoke.In(source, commas(chosen)), r.taking()))
		}
	}
	if !r.sorted(list) {
		if attributes, ok := r.Config("attributes"); ok {
			r.liked(list, attributes)
		}
	}
	r.pageful(list, first)
	if alerts, ok := r.Config("alerts"); ok {
		if wish, _ := r.Preference("filter.alerts"); bespoke.HasLine("off\nno\nnone", wish) {
			r.why("Without alerts, as you chose.")
			r.check("alerts", r.Remove(alerts))
		}
	}
}

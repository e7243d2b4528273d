//go:build wasip1

package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// lesson puts exercises in the order of what the learner needs, and keeps the
// next ones. What the learner chose to work on comes first, whatever they seem to need.
func lesson(r *run) {
	list, ok := r.need("list")
	first, ok2 := r.count("first", 5)
	if !ok || !ok2 {
		return
	}
	usual := "data-skill"
	if pointer(list) {
		usual = "skill"
	}
	skill := r.option("skill", usual)
	r.leaveOut(list)
	if level, ok := r.Config("level"); ok {
		if chosen, ok := r.Preference("filter.level"); ok {
			r.why("At the level that you chose: ", chosen, ".")
			r.check("level", r.Keep(list, bespoke.In(level, commas(chosen)), r.taking()))
		}
	}
	chosen, chose := r.Preference(bespoke.Join("filter.", r.option("choice", "topic")))
	switch {
	case chose:
		r.why("First what you chose to work on: ", chosen, ".")
		r.check("order", r.Order(list, bespoke.Likes(skill, r.needs(chosen)), r.taking()))
	case r.sorted(list):
	default:
		needs := r.needs("")
		most, _, some := strings.Cut(needs, "\t")
		if !some {
			break
		}
		r.why("First what you seem to need: ", most, ".")
		r.check("order", r.Order(list, bespoke.Likes(skill, needs), r.taking()))
	}
	r.pageful(list, first)
}

// needs returns weights: of what was chosen, with commas in between, more than
// any other can have, and then of what the learner seems to need.
func (r *run) needs(chosen string) string {
	needs := r.Affinity(r.option("needs", "needs"))
	for rest := chosen; rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ",")
		if one = strings.TrimSpace(one); one != "" {
			needs = bespoke.Join(one, "\t1000000\n", needs)
		}
	}
	return needs
}

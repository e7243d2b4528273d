//go:build wasip1

package main

import (
	"strconv"
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// persona shows one of several variants of a part of the page: that of what the
// visitor said that they are, else of what they seem to be, else the usual one.
func persona(r *run) {
	variants, _ := r.Config("variants")
	list, lists := r.Config("list")
	if variants == "" && !lists {
		r.wrong("one of the options variants and list is needed")
		return
	}
	if lists {
		r.leaveOut(list)
	}
	name, chosen := r.who(variants)
	switch {
	case chosen:
		r.why("For ", name, ", as you chose.")
	case name != "":
		r.why("You seem to be interested in what is for: ", name, ".")
	default:
		r.why("The same for everybody.")
	}
	for lines := variants; lines != ""; {
		var line string
		line, lines = next(lines)
		switch one, selector := pair(line); {
		case selector == "":
		case bespoke.HasLine(one, name):
			r.check("variant", r.UnsetAttr(selector, "hidden"))
		default:
			r.check("variant", r.Remove(selector))
		}
	}
	if name == "" {
		return
	}
	if usual, ok := r.Config("usual"); ok {
		if _, has := find(variants, name); has {
			r.check("usual", r.Remove(usual))
		}
	}
	if lists && !r.sorted(list) {
		attr := r.option("attribute", "data-persona")
		r.check("order", r.Order(list, bespoke.Likes(attr, bespoke.Join(name, "\t1")), r.taking()))
	}
}

// who returns the persona, and whether the visitor said so. What they said and
// no variant has is that they want none.
func (r *run) who(variants string) (name string, chosen bool) {
	known := func(name string) bool {
		_, ok := find(variants, name)
		return ok || variants == ""
	}
	if said, ok := r.Preference(bespoke.Join("filter.", r.option("choice", "persona"))); ok {
		if !known(said) {
			return "", false
		}
		return said, true
	}
	least, err := strconv.ParseFloat(r.option("least", "1"), 64)
	if err != nil {
		r.wrong("the option least is no number")
		return "", false
	}
	scores, _ := r.Read("profile.persona")
	for scores != "" {
		var line string
		line, scores = next(scores)
		name, score, _ := strings.Cut(line, "\t")
		if n, err := strconv.ParseFloat(score, 64); err != nil || !(n >= least) {
			return "", false // they are the largest first
		}
		if known(name) {
			return name, false
		}
	}
	return "", false
}

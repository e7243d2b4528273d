//go:build wasip1

package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// fence shows, hides or changes something for visitors who are in certain places.
func fence(r *run) {
	inside, ok := r.need("inside")
	if !ok {
		return
	}
	show, shows := r.Config("show")
	hide, hides := r.Config("hide")
	slot, slots := r.Config("slot")
	if !shows && !hides && !slots {
		r.wrong("one of the options show, hide and slot is needed")
		return
	}
	name := r.in(inside)
	if name != "" {
		if topic, ok := r.Config("topic"); ok {
			if muted, _ := r.Preference("muted"); bespoke.HasLine(muted, topic) {
				name = "" // they do not want it, wherever they are
			}
		}
	}
	if name == "" {
		if shows {
			r.why("Without what is only for certain places.")
			r.check("show", r.Remove(show))
		}
		return
	}
	r.why("You seem to be in this area: ", name, ".")
	if shows {
		r.check("show", r.UnsetAttr(show, "hidden"))
	}
	if hides {
		r.check("hide", r.Remove(hide))
	}
	if slots {
		text := r.option("text", "{fence}")
		r.check("slot", r.Text(slot, strings.ReplaceAll(text, "{fence}", name)))
	}
}

// in returns the first of the fences that the visitor is in, "" if there is none.
func (r *run) in(fences string) string {
	where, ok := r.Read("geo.fences")
	for ok && fences != "" {
		var fence string
		fence, fences = next(fences)
		if fence != "" && bespoke.HasLine(where, fence) {
			return fence
		}
	}
	return ""
}

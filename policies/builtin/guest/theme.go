//go:build wasip1

package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// theme dresses the page as the visitor chose: classes, of which the site's
// style sheet makes colours and fonts, and the heading, tagline and logo. What
// becomes a class or an address is one of the values that the site allows.
func theme(r *run) {
	on := r.option("on", "html")
	longest, ok := r.count("longest", 80)
	if !ok {
		return
	}
	if allowed, ok := r.Config("themes"); ok {
		chosen, has := r.Preference("theme")
		if named, ok := r.Preference("filter.theme"); ok { // one beyond light and dark
			chosen, has = named, true
		}
		if has {
			r.dress(on, "theme", allowed, chosen)
		}
	}
	choices, _ := r.Config("choices")
	for choices != "" {
		var line string
		line, choices = next(choices)
		name, allowed := pair(line)
		if chosen, ok := r.Preference(bespoke.Join("filter.", name)); ok && name != "" {
			r.dress(on, name, strings.ReplaceAll(allowed, "|", "\n"), chosen)
		}
	}
	for _, name := range [...]string{"heading", "tagline"} {
		selector, ok := r.Config(name)
		if !ok {
			continue
		}
		text, ok := r.Preference(bespoke.Join("filter.", name))
		if text = presentable(text, longest); ok && text != "" {
			r.why("The ", name, " that you wrote.")
			r.check(name, r.Text(selector, text))
		}
	}
	r.logo()
}

// dress adds the class NAME-VALUE if the value is allowed, in place of those of
// the other values.
func (r *run) dress(on, name, allowed, chosen string) {
	if !bespoke.HasLine(allowed, chosen) {
		return
	}
	r.why("The ", name, " that you chose: ", chosen, ".")
	for allowed != "" {
		var one string
		one, allowed = next(allowed)
		switch {
		case one == "":
		case bespoke.HasLine(one, chosen): // as the site writes it
			r.check(name, r.AddClass(on, bespoke.Join(name, "-", one)))
		default:
			r.check(name, r.RemoveClass(on, bespoke.Join(name, "-", one)))
		}
	}
}

func (r *run) logo() {
	selector, ok := r.Config("logo")
	logos, _ := r.Config("logos")
	chosen, ok2 := r.Preference("filter.logo")
	if !ok || !ok2 {
		return
	}
	if address, ok := find(logos, chosen); ok {
		r.why("The logo that you chose: ", chosen, ".")
		r.check("logo", r.Attr(selector, "src", address))
	}
}

//go:build wasip1

package main

import (
	"strconv"
	"strings"
	"unicode/utf8"

	bespoke "bespoke/policies/sdk/go"
)

// card puts the visitor's slogan, colour and font on a product or a card, in
// HTML or SVG. What is in the address just now beats what was saved.
func card(r *run) {
	longest, ok := r.count("longest", 40)
	if !ok {
		return
	}
	if target, ok := r.Config("slogan"); ok {
		if text, ok := r.wish("slogan"); ok {
			r.slogan(target, text, longest)
		}
	}
	r.paint("colour", "colours", "fill")
	r.paint("font", "fonts", "font-family")
}

// wish returns what the visitor wants: from the address, else as saved.
func (r *run) wish(name string) (string, bool) {
	if value, ok := r.Query(name); ok {
		return value, value != ""
	}
	return r.Preference(bespoke.Join("filter.", name))
}

func (r *run) slogan(target, text string, longest int) {
	problem := ""
	switch text = strings.TrimSpace(text); {
	case runes(text) > longest:
		problem = bespoke.Join("At most ", strconv.Itoa(longest), " characters have room.")
	case !printable(text):
		problem = "Some of these characters cannot be printed."
	case r.option("characters", "any") == "latin" && !latin(text):
		problem = "Only Latin letters, digits and usual punctuation can be printed."
	case text != "":
		r.why("The slogan that you wrote.")
		r.check("slogan", r.Text(target, presentable(text, longest)))
	}
	if note, ok := r.Config("note"); ok && problem != "" {
		r.why("What you wrote could not be used.")
		r.check("note", r.Text(note, problem))
	}
}

// paint gives an element one of the values that the site allows: as an
// attribute, as SVG has them, or as the class NAME-VALUE.
func (r *run) paint(name, list, attr string) {
	target, ok := r.Config(name)
	allowed, _ := r.Config(list)
	chosen, ok2 := r.wish(name)
	if !ok || !ok2 {
		return
	}
	value, ok := find(allowed, chosen)
	if !ok {
		return
	}
	r.why("The ", name, " that you chose: ", chosen, ".")
	if value == "" { // a name alone: the style sheet knows what it is
		for allowed != "" {
			var one string
			if one, allowed = next(allowed); bespoke.HasLine(one, chosen) {
				r.check(name, r.AddClass(target, bespoke.Join(name, "-", one)))
			}
		}
		return
	}
	r.check(name, r.Attr(target, r.option(bespoke.Join(name, "-attribute"), attr), value))
}

// printable reports whether nothing in the text is a control character, turns its
// direction, or has no agreed shape.
func printable(s string) bool {
	for _, c := range s {
		if c < ' ' || turns(c) || c >= 0x7f && c < 0xa0 || c == utf8.RuneError || c >= 0xe000 && c <= 0xf8ff || c == 0x2028 || c == 0x2029 {
			return false
		}
	}
	return true
}

func runes(s string) int {
	n := 0
	for range s {
		n++
	}
	return n
}

// latin reports whether all of it is of the Latin script (as far as U+024F), a
// digit, a space or usual punctuation.
func latin(s string) bool {
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0xc0 && c <= 0x24f && c != 0xd7 && c != 0xf7:
		case c < 0x80 && strings.IndexByte(" .,;:!?'\"&()+-/*#%@", byte(c)) >= 0:
		case c == '’', c == '–', c == '“', c == '”', c == '€', c == '£':
		default:
			return false
		}
	}
	return true
}

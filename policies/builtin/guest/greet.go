//go:build wasip1

package main

import (
	"strings"
	"unicode/utf8"

	bespoke "bespoke/policies/sdk/go"
)

const (
	greeting = "Welcome back, {name}"
	longest  = 80 // characters of a name
)

// greet fills a slot with a greeting by the name that the visitor gave.
func greet(v bespoke.Visitor, page *bespoke.Page) {
	slot, ok := v.Config("slot")
	if !ok {
		bespoke.Log(bespoke.Error, "greet: the option slot is missing")
		return
	}
	text, ok := v.Config("text")
	if !ok {
		text = greeting
	}
	name := presentable(v.Name(), longest)
	if name == "" {
		return
	}
	if err := page.Text(slot, strings.ReplaceAll(text, "{name}", name)); err != nil {
		bespoke.Log(bespoke.Error, "greet: "+err.Error())
	}
}

// presentable makes one line of a text, of a length, in characters, that a page can bear.
// Characters that turn the direction of the text after them are left out.
// Markup is not this policy's concern: the host escapes text.
func presentable(text string, longest int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range text {
		switch {
		case r <= ' ', r == 0x7f, r >= 0x80 && r <= 0xa0, r == 0x2028, r == 0x2029:
			space = b.Len() > 0
			continue
		case turns(r), r == utf8.RuneError:
			continue
		}
		if n >= longest {
			return b.String() + "…"
		}
		if space {
			b.WriteByte(' ')
			space = false
			n++
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// turns reports whether a character turns the direction of the text after it.
func turns(r rune) bool {
	return r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

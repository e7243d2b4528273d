//go:build wasip1

// A policy that makes texts of several lengths, and a few values.
package main

import (
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

func init() { bespoke.OnResponse(joins) }

func main() {}

type entry struct {
	text string
	next *entry
}

var many = make([][]*entry, 0, 4)

var last *entry // so that the entries are not on the stack

func joins(v bespoke.Visitor, page *bespoke.Page) {
	path := v.Path()
	for n := 1; n <= 16; n++ {
		many = append(many[:0], make([]*entry, n))
	}
	for _, s := range []string{"a", "some words", "a whole sentence, as greetings are", strings.Repeat("long ", 40)} {
		last = &entry{s + path, last}
	}
	for e := last; e != nil; e = e.next {
		page.Text("p", e.text)
	}
}

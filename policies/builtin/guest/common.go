//go:build wasip1

package main

import (
	"strconv"
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// A run is one run of a policy, with what all of them do.
type run struct {
	bespoke.Visitor
	*bespoke.Page
	name string // of the policy
}

// need returns an option without which the policy can do nothing.
func (r *run) need(name string) (string, bool) {
	value, ok := r.Config(name)
	if !ok || value == "" {
		r.wrong("the option " + name + " is missing")
		return "", false
	}
	return value, true
}

// option returns what is configured under the name, or else what is usual.
func (r *run) option(name, usual string) string {
	if value, ok := r.Config(name); ok {
		return value
	}
	return usual
}

// count returns an option that is a whole number above zero; the usual one if it is not set.
func (r *run) count(name string, usual int) (int, bool) {
	text, set := r.Config(name)
	if !set {
		return usual, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		r.wrong("the option " + name + " is no whole number above zero")
		return 0, false
	}
	return n, true
}

// wrong tells the operator of a wrong configuration.
func (r *run) wrong(what string) { bespoke.Log(bespoke.Error, r.name+": "+what) }

// check tells the operator of an edit that was refused, and reports whether it was taken.
func (r *run) check(what string, err error) bool {
	if err != nil {
		r.wrong(what + ": " + err.Error())
	}
	return err == nil
}

// why gives the reason for the edits that follow. One that the host does not
// take, such as a name with odd characters in it, is no reason to leave them out.
func (r *run) why(parts ...string) { _ = r.Why(bespoke.Join(parts...)) }

// next cuts the first line off; a line is without blanks around it.
func next(lines string) (line, rest string) {
	line, rest, _ = strings.Cut(lines, "\n")
	return strings.TrimSpace(line), rest
}

// pair cuts a line at its first "=".
func pair(line string) (name, value string) {
	name, value, _ = strings.Cut(line, "=")
	return strings.TrimSpace(name), strings.TrimSpace(value)
}

// find returns the value of the line name=value, whatever the case of the name.
func find(lines, name string) (string, bool) {
	for lines != "" {
		var line string
		line, lines = next(lines)
		if n, value := pair(line); bespoke.HasLine(n, name) {
			return value, true
		}
	}
	return "", false
}

// word cuts the first word off.
func word(s string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimSpace(s), " ")
	return first, strings.TrimSpace(rest)
}

// pointer reports whether a target is one in JSON.
func pointer(target string) bool { return strings.HasPrefix(target, "/") }

// taking returns which children of the list take part, if that is configured.
func (r *run) taking() bespoke.Option {
	if selector, ok := r.Config("items"); ok {
		return bespoke.Items(selector)
	}
	return bespoke.Option{}
}

// leaveOut takes the items out of a list that the visitor hid, and those of
// topics that they muted. It is for every policy that has a list: whatever was
// inferred, these are gone.
func (r *run) leaveOut(list string) {
	id, topics := "data-bespoke-item", "data-topic"
	if pointer(list) {
		id, topics = "id", "topic"
	}
	if hidden, ok := r.Preference("hidden"); ok {
		r.why("Without what you hid.")
		r.check("hidden", r.Keep(list, bespoke.NotIn(r.option("id", id), hidden), r.taking()))
	}
	muted, ok := r.Preference("muted")
	if !ok {
		return
	}
	r.why("Without the topics that you muted.")
	for topics = r.option("topic", topics); topics != ""; {
		var topic string
		if topic, topics = next(topics); topic != "" {
			r.check("muted", r.Keep(list, bespoke.NotIn(topic, muted), r.taking()))
		}
	}
}

// sorted puts a list in the order that the visitor saved or asks for in the
// address just now. It reports whether they said how they want it: then
// nothing that was inferred may order it.
func (r *run) sorted(list string) bool {
	if _, ok := r.Query(r.option("sort-query", "sort")); ok {
		return true // the site did it
	}
	wanted, ok := r.Preference("sort")
	if !ok {
		return false
	}
	if own, ok := r.Config("own-sort"); ok && bespoke.HasLine(own, wanted) {
		return false // they chose what this policy does
	}
	sorts, _ := r.Config("sorts")
	how, ok := find(sorts, wanted)
	if !ok {
		return true // in the order of the site, which may have heard of it
	}
	attr, how := word(how)
	var by bespoke.Option
	as, dir := word(how)
	switch as {
	case "number":
		by = bespoke.ByNumber(attr)
	case "date":
		by = bespoke.ByDate(attr)
	case "text":
		by = bespoke.ByText(attr)
	default:
		by, dir = bespoke.ByText(attr), how
	}
	options := [3]bespoke.Option{by, r.taking()}
	switch dir {
	case "desc":
		options[2] = bespoke.Descending()
	case "", "asc":
	default:
		r.wrong("the option sorts: expected WORD=ATTRIBUTE, then number, date or text, then asc or desc")
		return true
	}
	r.why("Sorted by ", wanted, ", as you chose.")
	r.check("order", r.Order(list, options[:]...))
	return true
}

// liked puts a list in the order of what the visitor seems to like. attributes
// are lines NAME or NAME=ATTRIBUTE: an attribute of the catalogue, and where the items have it.
func (r *run) liked(list, attributes string) {
	var buf [9]bespoke.Option // on the stack
	options := append(buf[:0], r.taking())
	var names [3]string // what is liked most, of the first attributes
	n := 0
	for attributes != "" && len(options) < len(buf) {
		var line string
		line, attributes = next(attributes)
		name, attr := pair(line)
		if name == "" {
			continue
		}
		if attr == "" {
			attr = bespoke.Join("data-", name)
		}
		weights := r.Affinity(name)
		if weights == "" {
			continue
		}
		options = append(options, bespoke.Likes(attr, weights))
		if most, _, _ := strings.Cut(weights, "\t"); n < len(names) {
			names[n] = most
			n++
		}
	}
	if len(options) == 1 {
		return
	}
	switch n {
	case 1:
		r.why("Ordered by what you looked at: ", names[0], " first.")
	case 2:
		r.why("Ordered by what you looked at: ", names[0], " and ", names[1], " first.")
	default:
		r.why("Ordered by what you looked at: ", names[0], ", ", names[1], " and ", names[2], " first.")
	}
	r.check("order", r.Order(list, options...))
}

// pageful keeps as many items as the visitor wants on a page; as many as the
// site does if they did not say.
func (r *run) pageful(list string, usual int) {
	n, err := 0, error(nil)
	if text, ok := r.Preference("page-size"); ok {
		if n, err = strconv.Atoi(text); err != nil {
			n = 0
		}
	}
	switch {
	case n > 0:
		r.why("As many on a page as you chose.")
	case usual > 0:
		n = usual
		r.why("The first ones of the list.")
	default:
		return
	}
	r.check("keep", r.Keep(list, bespoke.First(n), r.taking()))
}

// commas turns values with commas between them into lines.
func commas(s string) string { return strings.ReplaceAll(s, ",", "\n") }

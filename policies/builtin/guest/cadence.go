//go:build wasip1

package main

import (
	"strconv"
	"strings"

	bespoke "bespoke/policies/sdk/go"
)

// cadence answers a mailer that asks how often to write to a subscriber: as
// often as they said, else by how they take notice, else as the site does.
func cadence(r *run) {
	target, ok := r.need("frequency")
	if !ok {
		return
	}
	often, reason, ok := r.howOften()
	if !ok {
		return
	}
	r.why(reason)
	if r.set(target, often) {
		if where, ok := r.Config("reason"); ok {
			r.set(where, reason)
		}
	}
}

func (r *run) howOften() (frequency, reason string, ok bool) {
	if said, _ := r.Preference("contact"); bespoke.HasLine("never\nmonthly\nweekly\ndaily", said) {
		return said, "As often as the subscriber chose.", true
	}
	usual := r.option("usual", "weekly")
	high, err := strconv.ParseFloat(r.option("often", "0.5"), 64)
	low, err2 := strconv.ParseFloat(r.option("seldom", "0.1"), 64)
	if err != nil || err2 != nil || !(low <= high) {
		r.wrong("the options often and seldom are no numbers, or seldom is above often")
		return "", "", false
	}
	scores, _ := r.Read("profile.engagement")
	for channel := r.option("channel", "mail"); scores != ""; {
		var line string
		line, scores = next(scores)
		name, score, _ := strings.Cut(line, "\t")
		n, err := strconv.ParseFloat(score, 64)
		switch {
		case name != channel || err != nil:
		case n >= high:
			return "daily", "Most of what is sent is looked at.", true
		case n < low:
			return "monthly", "Little of what is sent is looked at.", true
		default:
			return "weekly", "Some of what is sent is looked at.", true
		}
	}
	return usual, "As often as the site writes to everybody.", true
}

// set writes a text to an element; in JSON to a member, which need not be there
// yet. The text must need no escapes in JSON.
func (r *run) set(target, text string) bool {
	if at := strings.LastIndexByte(target, '/'); pointer(target) && strings.IndexByte(target, '~') < 0 {
		return r.check(target, r.Attr(target[:at], target[at+1:], bespoke.Join(`"`, text, `"`)))
	}
	return r.check(target, r.Text(target, text))
}

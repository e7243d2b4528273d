package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"bespoke/host/control"
	"bespoke/host/ledger"
)

// words are what templates write numbers and times with.
var words = template.FuncMap{
	"num":    num,
	"bytes":  byteCount,
	"time":   clock,
	"since":  since,
	"plural": plural,
	"dict":   dict,
	"span":   span3,
	"len64":  func(list []ledger.Noted) int64 { return int64(len(list)) },
	"query":  func(q string) template.URL { return template.URL(q) }, // of url.Values.Encode alone
	"fault":  func(id string) string { return faultWords[id] },
	"perrun": func(r *control.RunStatus) uint64 { return perRun(*r) },
}

// num writes a count with its thousands apart: 1,234,567.
func num(n any) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// plural writes a count and what is counted: "1 line", "2 lines". many is the
// plural where it is not one with an s.
func plural(n any, one string, many ...string) string {
	s := num(n)
	switch {
	case s == "1":
		return s + " " + one
	case len(many) > 0:
		return s + " " + many[0]
	}
	return s + " " + one + "s"
}

// byteCount writes a size with three digits: 1.21 MB.
func byteCount(n int64) string {
	units := [...]string{"bytes", "kB", "MB", "GB", "TB"}
	f, u := float64(n), 0
	for f >= 999.5 && u < len(units)-1 {
		f /= 1000
		u++
	}
	if u == 0 {
		return plural(n, "byte")
	}
	digits := 2
	if f >= 9.995 {
		digits = 1
	}
	if f >= 99.95 {
		digits = 0
	}
	return strconv.FormatFloat(f, 'f', digits, 64) + " " + units[u]
}

// clock writes a time for people: 22 Nov 2026, 05:10:11 UTC.
func clock(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
}

// since writes how long ago something was, in the one unit that says most.
func since(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < 0:
		return "in " + span(-d)
	case d < 2*time.Second:
		return "just now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}

// share writes part of a whole in percent. It never says 0% of what is there, nor
// 100% of what is not all.
func share(part, whole uint64) string {
	switch {
	case whole == 0:
		return "–"
	case part == 0:
		return "0%"
	case part == whole:
		return "100%"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case p < 0.1:
		return "under 0.1%"
	case p > 99.9:
		return "over 99.9%"
	case p < 10 || p > 99:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}

// dict makes a map of names and values, so that a part of a page takes several.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict takes names and values, found %d", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

//go:build wasip1

package bespoke

import (
	"strconv"
	"strings"
)

// An Option says how [Page.Order] and [Page.Keep] treat a list.
type Option struct {
	a, b   string // lines of the two arguments
	kind   optionKind
	placed bool // measures distances
}

type optionKind uint8

const (
	detail   optionKind = iota // says how
	rule                       // says what to do
	where                      // says where the items are: for rules that measure
	distance                   // says how distances look: for rules that measure
)

// Nearest orders a list by distance from a place, the nearest first. The items
// say where they are in the attributes data-lat and data-lon, or see
// [Coordinates]. With an unknown place it does nothing.
func Nearest(p Place) Option {
	if !p.Known {
		return Option{}
	}
	return Option{a: "by=distance\n" + at(p), kind: rule, placed: true}
}

// ByText orders a list by the text of an attribute of its items.
func ByText(attr string) Option { return Option{a: "by=attr\n" + line("attr", attr), kind: rule} }

// ByNumber orders a list by an attribute of its items that is a number.
func ByNumber(attr string) Option {
	return Option{a: "by=attr\nas=number\n" + line("attr", attr), kind: rule}
}

// Descending turns [ByText] or [ByNumber] round.
func Descending() Option { return Option{a: "dir=desc\n"} }

// ByIDs puts the items with these ids first, in this order.
func ByIDs(ids ...string) Option {
	return Option{a: "by=ids\n" + line("ids", strings.Join(ids, " ")), kind: rule}
}

// First keeps the first n items.
func First(n int) Option { return Option{a: line("first", itoa(n)), kind: rule} }

// Within keeps the items within so many kilometres from a place. With an
// unknown place it does nothing.
func Within(km float64, p Place) Option {
	if !p.Known {
		return Option{}
	}
	return Option{a: line("within", ftoa(km)) + at(p), kind: rule, placed: true}
}

// Coordinates names the attributes in which items say where they are, in degrees.
func Coordinates(lat, lon string) Option {
	return Option{a: line("lat", lat) + line("lon", lon), kind: where}
}

// Items says which children take part, by a compound selector; the others stay
// where they are.
func Items(selector string) Option { return Option{b: line("items", selector)} }

// Show writes the distance as text into an element of each item. Without a
// rule that measures distances it does nothing.
func Show(selector string) Option { return Option{b: line("show", selector), kind: distance} }

// Unit is in which the distance is shown: "km" or "mi".
func Unit(unit string) Option { return Option{b: line("unit", unit), kind: distance} }

func emitList(op uint32, list string, options []Option) error {
	var rules, placed, located bool
	for _, o := range options {
		rules = rules || o.kind == rule
		placed = placed || o.placed
		located = located || o.kind == where
	}
	if !rules {
		return nil
	}
	var a, b strings.Builder
	for _, o := range options {
		if placed || o.kind <= rule {
			a.WriteString(o.a)
			b.WriteString(o.b)
		}
	}
	if placed && !located {
		a.WriteString("lat=data-lat\nlon=data-lon\n")
	}
	return emit(op, list, strings.TrimSuffix(a.String(), "\n"), strings.TrimSuffix(b.String(), "\n"))
}

// line is one line of an argument. A value cannot begin another line.
func line(name, value string) string {
	b := make([]byte, 0, len(name)+len(value)+2)
	b = append(b, name...)
	b = append(b, '=')
	for i := range len(value) {
		if c := value[i]; c == '\n' || c == '\r' {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return string(append(b, '\n'))
}

func at(p Place) string { return "at=" + ftoa(p.Lat) + "," + ftoa(p.Lon) + "\n" }

func ftoa(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func itoa(n int) string { return strconv.Itoa(n) }

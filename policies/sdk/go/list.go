//go:build wasip1

package bespoke

import "strings"

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
	if !p.Known() {
		return Option{}
	}
	return Option{a: join("by=distance\n", at(p)), kind: rule, placed: true}
}

// ByText orders a list by the text of an attribute of its items.
func ByText(attr string) Option { return Option{a: join("by=attr\n", line("attr", attr)), kind: rule} }

// ByNumber orders a list by an attribute of its items that is a number.
func ByNumber(attr string) Option {
	return Option{a: join("by=attr\nas=number\n", line("attr", attr)), kind: rule}
}

// Descending turns [ByText] or [ByNumber] round.
func Descending() Option { return Option{a: "dir=desc\n"} }

// ByIDs puts the items with these ids first, in this order.
func ByIDs(ids ...string) Option {
	return Option{a: join("by=ids\n", line("ids", strings.Join(ids, " "))), kind: rule}
}

// First keeps the first n items.
func First(n int) Option { return Option{a: line("first", itoa(n)), kind: rule} }

// Within keeps the items within so many kilometres from a place. With an
// unknown place it does nothing.
func Within(km float64, p Place) Option {
	if !p.Known() {
		return Option{}
	}
	return Option{a: join(line("within", ftoa(km)), at(p)), kind: rule, placed: true}
}

// Coordinates names the attributes in which items say where they are, in degrees.
func Coordinates(lat, lon string) Option {
	return Option{a: join(line("lat", lat), line("lon", lon)), kind: where}
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
	for i := range options {
		o := &options[i]
		rules = rules || o.kind == rule
		placed = placed || o.placed
		located = located || o.kind == where
	}
	if !rules {
		return nil
	}
	size := len(nearby)
	for i := range options {
		size += len(options[i].a) + len(options[i].b)
	}
	room(size) // so that neither argument is torn
	from := len(arena)
	for i := range options {
		if o := &options[i]; placed || o.kind <= rule {
			arena = append(arena, o.a...)
		}
	}
	if placed && !located {
		arena = append(arena, nearby...)
	}
	a := since(from)
	from = len(arena)
	for i := range options {
		if o := &options[i]; placed || o.kind <= rule {
			arena = append(arena, o.b...)
		}
	}
	return emit(op, list, strings.TrimSuffix(a, "\n"), strings.TrimSuffix(since(from), "\n"))
}

// nearby says where items are that say so in the usual attributes.
const nearby = "lat=data-lat\nlon=data-lon\n"

func at(p Place) string { return join("at=", p.lat, ",", p.lon, "\n") }

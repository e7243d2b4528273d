//go:build wasip1

package bespoke

import "strings"

// An Option says how [Page.Order] and [Page.Keep] treat a list.
type Option struct {
	a, b   string // lines of the two arguments
	kind   optionKind
	placed bool // measures distances
	liked  bool // is a part of the order by what is liked
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

// ByText orders a list by the text of an attribute of its items. Here and below
// an attribute may also be a member or a pointer (in JSON), or From and a
// selector: "from:SELECTOR@ATTR", or "from:SELECTOR" for the text, is what the first
// element has that matches.
func ByText(attr string) Option { return Option{a: join("by=attr\n", source(attr)), kind: rule} }

// ByNumber orders a list by an attribute of its items that is a number.
func ByNumber(attr string) Option {
	return Option{a: join("by=attr\nas=number\n", source(attr)), kind: rule}
}

// ByDate orders a list by an attribute of its items that is a date.
func ByDate(attr string) Option {
	return Option{a: join("by=attr\nas=date\n", source(attr)), kind: rule}
}

// Descending turns [ByText], [ByNumber] or [ByDate] round.
func Descending() Option { return Option{a: "dir=desc\n"} }

// ByIDs puts the items with these ids first, in this order.
func ByIDs(ids ...string) Option {
	return Option{a: join("by=ids\n", line("ids", strings.Join(ids, " "))), kind: rule}
}

// maxLikes is how many values of an attribute are passed on: those after them
// weigh next to nothing.
const maxLikes = 64

// Likes orders a list by what is liked of an attribute: weights are lines of a
// value, a tab and its weight, as [Visitor.Affinity] returns them. Several Likes
// make one order. Here an attribute is one of the items themselves. Without
// weights it does nothing.
func Likes(attr, weights string) Option {
	room(len("weight.") + len(attr) + len(weights) + 2)
	from := len(arena)
	b := append(append(append(arena[from:], "weight."...), attr...), '=')
	n := 0
	for weights != "" && n < maxLikes {
		var one string
		one, weights, _ = strings.Cut(weights, "\n")
		value, weight, ok := strings.Cut(one, "\t")
		if !ok || value == "" || !decimal(weight) || strings.IndexByte(value, '|') >= 0 {
			continue
		}
		if n > 0 {
			b = append(b, '|')
		}
		b = append(append(append(b, value...), ':'), weight...)
		n++
	}
	if n == 0 {
		return Option{}
	}
	arena = arena[:from+len(append(b, '\n'))]
	return Option{a: since(from), kind: rule, liked: true}
}

// decimal reports whether s is a number without exponent, as weights are written.
func decimal(s string) bool {
	digits, point := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && !point:
			point = true
		case c == '-' && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && digits <= 30
}

// In keeps the items whose attribute is one of the values, or has one of them
// between commas; values are lines. Case does not matter. A [Page.Keep] takes one
// of In, NotIn, AtLeast and AtMost, as several Keeps of a list all count. Without
// values it does nothing.
func In(attr, values string) Option { return among("in", attr, values) }

// NotIn keeps those for which In would not.
func NotIn(attr, values string) Option { return among("not", attr, values) }

// among joins the lines with bars between them.
func among(name, attr, values string) Option {
	if values = strings.Trim(values, "\n"); values == "" {
		return Option{}
	}
	attr = source(attr)
	room(len(attr) + len(name) + len(values) + 2)
	from := len(arena)
	b := append(append(append(append(arena[from:], attr...), name...), '='), values...)
	for i := len(b) - len(values); i < len(b); i++ {
		if b[i] == '\n' {
			b[i] = '|'
		}
	}
	arena = arena[:from+len(append(b, '\n'))]
	return Option{a: since(from), kind: rule}
}

// AtLeast keeps the items whose attribute is a number not below n, which is a
// decimal number; without one it does nothing.
func AtLeast(attr, n string) Option { return bound("min", attr, n) }

// AtMost keeps those whose attribute is a number not above n.
func AtMost(attr, n string) Option { return bound("max", attr, n) }

func bound(name, attr, n string) Option {
	if n = strings.TrimSpace(n); !decimal(n) {
		return Option{}
	}
	return Option{a: join(source(attr), line(name, n)), kind: rule}
}

func source(attr string) string {
	if from, ok := strings.CutPrefix(attr, "from:"); ok {
		return line("from", from)
	}
	return line("attr", attr)
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
	var rules, placed, located, liked bool
	for i := range options {
		o := &options[i]
		rules = rules || o.kind == rule
		placed = placed || o.placed
		located = located || o.kind == where
		liked = liked || o.liked
	}
	if !rules {
		return nil
	}
	size := len(nearby) + len(byLikes)
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
	if liked {
		arena = append(arena, byLikes...)
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

const byLikes = "by=affinity\n"

// nearby says where items are that say so in the usual attributes.
const nearby = "lat=data-lat\nlon=data-lon\n"

func at(p Place) string { return join("at=", p.lat, ",", p.lon, "\n") }

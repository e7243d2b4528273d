package rewrite

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"

	"bespoke/modules/abi"
)

// What order goes by.
const (
	byNothing = iota
	byDistance
	byAttr
	byIDs
	byAffinity
)

// How order compares the values of an attribute.
const (
	asText = iota // by bytes
	asNumber
	asDate
)

// A kind is what a document is made of, which decides how the parts of its items are named.
type kind uint8

const (
	ofHTML kind = iota // attributes, in any case
	ofXML              // attributes, in their case
	ofJSON             // members: a name, or a JSON Pointer from the item on
)

// A source is where the value of an item is found: in its attribute, or in
// the first element within it that meets from: in that one's attribute, or, with attr empty, in its text.
type source struct {
	attr string
	from *Plan // what finds that element
}

func (s *source) none() bool { return s.attr == "" && s.from == nil }

// An affinity is what a visitor likes of an attribute's values.
type affinity struct {
	attr   string
	values []string // lower case
	weight []float64
}

// A list is what order or keep wants of the items of a list.
type list struct {
	lat, lon string // attributes; "" if there is no place
	at       abi.Center

	by     int
	key    source
	as     int
	desc   bool
	ids    map[string]int
	likes  []affinity
	decay  float64 // what each further weight of an item counts of the one before
	first  int     // 0: all
	within float64 // kilometres; negative: any
	filter source
	in     []string // lower case; the value is one of them; empty: any
	not    []string // lower case; it is none of them
	least  float64  // -Inf: any
	most   float64  // +Inf: any
	only   map[string]int
	drop   map[string]int

	items, show *test  // nil: every child; nothing
	showName    string // of JSON: the member that the distance is written to
	miles       bool
}

// Bounds of order and keep.
const (
	maxIDs        = 4096 // ids, or values, of one argument
	maxAffinities = 64   // attributes
	defaultDecay  = 0.5
)

func newList() *list {
	return &list{within: -1, least: math.Inf(-1), most: math.Inf(1), decay: defaultDecay}
}

// ranked reads v as what order compares: a number, or false if v is none. As text it is 0 and true.
func (l *list) ranked(v []byte) (float64, bool) {
	switch l.as {
	case asNumber:
		return number(v)
	case asDate:
		return date(v)
	}
	return 0, true
}

// compare orders two items by number and then by text; those without a value come last.
func (l *list) compare(a, b float64, okA, okB bool, textA, textB []byte) int {
	if !okA || !okB {
		switch {
		case okA:
			return -1
		case okB:
			return 1
		}
		return 0
	}
	c := cmp.Compare(a, b)
	if l.by == byAttr && l.as == asText {
		c = bytes.Compare(textA, textB)
	}
	if l.desc {
		return -c
	}
	return c
}

// liked gathers in ws the weights that value v of attribute likes[i] has.
func (l *list) liked(i int, v []byte, ws []float64) []float64 {
	x := &l.likes[i]
	for j, want := range x.values {
		if hasPart(v, want) {
			ws = append(ws, x.weight[j])
		}
	}
	return ws
}

// score is the decayed sum: the largest weight in whole, of each further one decay times what the one before counted.
func (l *list) score(ws []float64) float64 {
	slices.SortFunc(ws, func(a, b float64) int { return cmp.Compare(math.Abs(b), math.Abs(a)) })
	sum, share := 0.0, 1.0
	for _, w := range ws {
		sum += w * share
		share *= l.decay
	}
	return sum
}

// passes tells whether the filter lets the value through; ok says that there is one.
func (l *list) passes(v []byte, ok bool) bool {
	if !ok {
		return l.in == nil && math.IsInf(l.least, -1) && math.IsInf(l.most, 1)
	}
	if l.in != nil && !hasAny(v, l.in) || l.not != nil && hasAny(v, l.not) {
		return false
	}
	if math.IsInf(l.least, -1) && math.IsInf(l.most, 1) {
		return true
	}
	n, isNumber := number(v)
	return isNumber && n >= l.least && n <= l.most
}

const kmPerMile = 1.609344

// appendDistance appends km kilometres as text: whole units, "&lt; 1" below one.
func (l *list) appendDistance(dst []byte, km float64) []byte {
	unit := " km"
	if l.miles {
		km /= kmPerMile
		unit = " mi"
	}
	if km < 1 {
		dst = append(dst, "&lt; 1"...)
	} else {
		dst = strconv.AppendInt(dst, int64(math.Round(km)), 10)
	}
	return append(dst, unit...)
}

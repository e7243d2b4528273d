package recommend

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what one item may say, in bytes if not said otherwise.
const (
	maxID         = 128
	maxTitle      = 512
	maxURL        = 2048
	maxCurrency   = 16
	maxAttributes = 64 // values of one item
	maxName       = 64 // of an attribute
	maxValue      = 256
	maxPrice      = 1e12
	maxLine       = 64 << 10
	maxText       = 1 << 30 // of all items together
	maxProblems   = 20      // then reading ends
)

// A Problem is something wrong in an uploaded catalogue.
type Problem struct {
	Line int // from 1; 0 if it is of no one line
	What string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.What
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.What)
}

// Problems is why a catalogue was refused: the first of them, in order of lines.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// A raw item is what a line said, before it is checked.
type rawItem struct {
	id, title, url, image, currency string
	price, was                      float64
	stock                           bool
	lat, lon                        *float64
	attributes                      []attribute
}

type attribute struct{ name, value string }

// A builder makes a catalogue, one checked item after the other.
type builder struct {
	cat      *Catalogue
	most     int // items
	day      uint32
	lines    []uint32 // by number: the line that it was on
	currency map[string]uint16
	problems Problems
}

func newBuilder(n *numbers, day uint32) *builder {
	return &builder{cat: &Catalogue{nums: n}, most: maxItems, day: day, currency: map[string]uint16{}}
}

// refuse notes a problem. It returns false when enough are known.
func (b *builder) refuse(line int, err error) bool {
	b.problems = append(b.problems, Problem{line, err.Error()})
	return len(b.problems) < maxProblems
}

// add checks an item and takes it. It returns false when reading may end.
func (b *builder) add(line int, it *rawItem) bool {
	if err := it.check(); err != nil {
		return b.refuse(line, err)
	}
	if len(b.cat.items) == b.most {
		b.refuse(line, fmt.Errorf("more than %d items", b.most))
		return false
	}
	if b.cat.sizes > maxText {
		b.refuse(line, fmt.Errorf("more than %d bytes of text in all", maxText))
		return false
	}
	number, err := b.cat.nums.items.give(it.id, b.day)
	if err != nil {
		b.refuse(line, fmt.Errorf("id: %w: %d ids were in use within a year", err, maxItemNumber))
		return false
	}
	if grow := int(number) + 1 - len(b.lines); grow > 0 {
		b.lines = slices.Grow(b.lines, grow)[:number+1]
	}
	if first := b.lines[number]; first != 0 {
		return b.refuse(line, fmt.Errorf("id: %q is on line %d already", it.id, first))
	}
	b.lines[number] = uint32(line)
	r := record{
		text:  it.id + it.title + it.url + it.image,
		price: it.price, was: it.was, number: number, stock: it.stock,
		values: uint32(len(b.cat.values)),
	}
	r.cut[0] = uint16(len(it.id))
	r.cut[1] = r.cut[0] + uint16(len(it.title))
	r.cut[2] = r.cut[1] + uint16(len(it.url))
	if it.lat != nil {
		r.lat, r.lon, r.placed = float32(*it.lat), float32(*it.lon), true
	}
	if r.currency, err = b.currencyOf(it.currency); err != nil {
		return b.refuse(line, err)
	}
	for _, a := range it.attributes {
		v, err := b.cat.nums.vals.give(a.name+"\x00"+a.value, b.day)
		if err != nil {
			b.refuse(line, fmt.Errorf("attributes: %w: %d values were in use within a year", err, maxValues))
			return false
		}
		if !slices.Contains(b.cat.values[r.values:], v) {
			b.cat.values = append(b.cat.values, v)
		}
	}
	r.n = uint8(len(b.cat.values) - int(r.values))
	b.cat.sizes += len(r.text)
	b.cat.items = append(b.cat.items, r)
	return true
}

func (b *builder) currencyOf(name string) (uint16, error) {
	i, ok := b.currency[name]
	if !ok {
		if len(b.cat.currency) == 1000 {
			return 0, errors.New("currency: more than 1000 different ones")
		}
		i = uint16(len(b.cat.currency))
		name = strings.Clone(name)
		b.cat.currency = append(b.cat.currency, name)
		b.currency[name] = i
	}
	return i, nil
}

// done gives the catalogue, or all that was wrong.
func (b *builder) done() (*Catalogue, error) {
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	b.cat.index()
	return b.cat, nil
}

func (it *rawItem) check() error {
	if err := text("id", it.id, 1, maxID); err != nil {
		return err
	}
	if err := text("title", it.title, 0, maxTitle); err != nil {
		return err
	}
	if err := text("currency", it.currency, 0, maxCurrency); err != nil {
		return err
	}
	if err := address("url", it.url); err != nil {
		return err
	}
	if err := address("image", it.image); err != nil {
		return err
	}
	if err := amount("price", it.price); err != nil {
		return err
	}
	if err := amount("was", it.was); err != nil {
		return err
	}
	if (it.lat == nil) != (it.lon == nil) {
		return errors.New("lat, lon: one is there without the other")
	}
	if it.lat != nil && !(math.Abs(*it.lat) <= 90 && math.Abs(*it.lon) <= 180) {
		return fmt.Errorf("lat, lon: %v, %v is no place; degrees of -90 to 90 and -180 to 180 are", *it.lat, *it.lon)
	}
	if len(it.attributes) > maxAttributes {
		return fmt.Errorf("attributes: %d values, at most %d may be", len(it.attributes), maxAttributes)
	}
	for _, a := range it.attributes {
		if err := text("attributes: name", a.name, 1, maxName); err != nil {
			return err
		}
		if err := text("attributes: "+a.name, a.value, 0, maxValue); err != nil {
			return err
		}
	}
	return nil
}

// text refuses what is too long or short, is no UTF-8, or has control characters:
// those end lines where lists are one item a line.
func text(what, s string, least, most int) error {
	switch {
	case len(s) < least:
		return fmt.Errorf("%s: missing", what)
	case len(s) > most:
		return fmt.Errorf("%s: %d bytes, at most %d may be", what, len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: not UTF-8", what)
	}
	for _, c := range s {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return fmt.Errorf("%s: control character %U", what, c)
		}
	}
	return nil
}

// address lets relative addresses and http(s) pass: others run code.
func address(what, s string) error {
	if err := text(what, s, 0, maxURL); err != nil {
		return err
	}
	if strings.TrimSpace(s) != s {
		return fmt.Errorf("%s: %.60q has space around it", what, s)
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 || strings.ContainsAny(s[:colon], "/?#") {
		return nil
	}
	if scheme := strings.ToLower(s[:colon]); scheme != "http" && scheme != "https" {
		return fmt.Errorf("%s: %.60q is neither relative nor http nor https", what, s)
	}
	return nil
}

func amount(what string, v float64) error {
	if !(v >= 0 && v <= maxPrice) {
		return fmt.Errorf("%s: %v is not from 0 to %g", what, v, maxPrice)
	}
	return nil
}

package recommend

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of the numbers of one catalogue.
const (
	maxItems      = 1_000_000 // in one catalogue
	maxItemNumber = 2_000_000 // with those that are gone
	maxValues     = 65_535    // attribute values, with those that are gone
	keepGone      = 365       // days for which a name that is gone keeps its number
)

// names gives each name a number from 1 on, for good: cookies refer to it. A name
// that is gone keeps its number for a year, then somebody else may have it.
type names struct {
	number map[string]uint32
	name   []string // by number; "" for a free one
	seen   []uint32 // day at which it was last in a catalogue, by number
	free   []uint32
	max    int
}

func newNames(max int) *names {
	return &names{number: map[string]uint32{}, name: []string{""}, seen: []uint32{0}, max: max}
}

// clone gives a copy that may change while the first is read.
func (n *names) clone() *names {
	return &names{maps.Clone(n.number), slices.Clone(n.name), slices.Clone(n.seen), slices.Clone(n.free), n.max}
}

// reclaim frees the numbers of names that were last seen more than a year ago. It
// returns those numbers: whoever kept something under them must forget it.
func (n *names) reclaim(day uint32) []uint32 {
	var gone []uint32
	for i := 1; i < len(n.name); i++ {
		if n.name[i] != "" && n.seen[i]+keepGone < day {
			delete(n.number, n.name[i])
			n.name[i] = ""
			n.free = append(n.free, uint32(i))
			gone = append(gone, uint32(i))
		}
	}
	return gone
}

var errNoNumbers = errors.New("no number is left")

// give returns the name's number, a new one if it has none. The name is copied.
func (n *names) give(name string, day uint32) (uint32, error) {
	if i, ok := n.number[name]; ok {
		n.seen[i] = max(n.seen[i], day)
		return i, nil
	}
	name = strings.Clone(name)
	if k := len(n.free); k > 0 {
		i := n.free[k-1]
		n.free = n.free[:k-1]
		n.name[i], n.seen[i], n.number[name] = name, day, i
		return i, nil
	}
	if len(n.name) > n.max {
		return 0, errNoNumbers
	}
	i := uint32(len(n.name))
	n.name, n.seen = append(n.name, name), append(n.seen, day)
	n.number[name] = i
	return i, nil
}

func (n *names) encode(e *encoder) {
	e.count(len(n.name) - 1)
	for i := 1; i < len(n.name); i++ {
		e.text(n.name[i])
		e.uint32(n.seen[i])
	}
}

func decodeNames(d *decoder, max int) *names {
	n := newNames(max)
	k := d.count(5)
	if k > max {
		d.fail("more names than there may be")
		return n
	}
	for i := 1; i <= k && d.err == nil; i++ {
		name, seen := d.text(), d.uint32()
		n.name, n.seen = append(n.name, name), append(n.seen, seen)
		if name == "" {
			n.free = append(n.free, uint32(i))
			continue
		}
		if _, ok := n.number[name]; ok {
			d.fail("a name is there twice")
		}
		n.number[name] = uint32(i)
	}
	return n
}

// numbers is what is kept of all catalogues that were: who has which number.
// Epoch tells one such book from another: if the book is lost, numbers begin
// anew, and what was kept under the old ones means nothing.
type numbers struct {
	epoch uint32
	items *names
	vals  *names // attribute "name\x00value"
}

func newNumbers() *numbers {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return &numbers{epoch: binary.LittleEndian.Uint32(b[:]) | 1, items: newNames(maxItemNumber), vals: newNames(maxValues)}
}

func (n *numbers) save(file string) error {
	return writeFile(file, magicNumbers, func(e *encoder) error {
		e.uint32(n.epoch)
		n.items.encode(e)
		n.vals.encode(e)
		return nil
	})
}

// loadNumbers reads the book.
func loadNumbers(file string) (*numbers, error) {
	d, err := readFile(file, magicNumbers, 1<<30)
	if err != nil {
		return nil, err
	}
	return decodeNumbers(d)
}

func decodeNumbers(d *decoder) (*numbers, error) {
	n := &numbers{epoch: d.uint32()}
	n.items = decodeNames(d, maxItemNumber)
	n.vals = decodeNames(d, maxValues)
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("numbers: %w", err)
	}
	return n, nil
}

package recommend

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// encode writes a catalogue. It names attributes in words, not in numbers, so that
// it can be read if the book of numbers is lost.
func (c *Catalogue) encode(e *encoder) error {
	e.count(len(c.currency))
	for _, s := range c.currency {
		e.text(s)
	}
	place := map[uint32]int{} // of a value in the list that follows
	var order []uint32
	for _, v := range c.values {
		if _, ok := place[v]; !ok {
			place[v] = len(order)
			order = append(order, v)
		}
	}
	e.count(len(order))
	for _, v := range order {
		name, value, _ := c.Attribute(v)
		e.text(name)
		e.text(value)
	}
	e.count(len(c.items))
	for i := range c.items {
		r := &c.items[i]
		e.text(r.text[:r.cut[0]])
		e.text(r.text[r.cut[0]:r.cut[1]])
		e.text(r.text[r.cut[1]:r.cut[2]])
		e.text(r.text[r.cut[2]:])
		e.uint64(math.Float64bits(r.price))
		e.uint64(math.Float64bits(r.was))
		e.count(int(r.currency))
		flags := 0
		if r.stock {
			flags |= 1
		}
		if r.placed {
			flags |= 2
		}
		e.count(flags)
		if r.placed {
			e.float32(r.lat)
			e.float32(r.lon)
		}
		e.count(int(r.n))
		for _, v := range c.valuesOf(r) {
			e.count(place[v])
		}
	}
	return nil
}

// decodeCatalogue reads a catalogue through the same checks as an upload.
func decodeCatalogue(d *decoder, nums *numbers, day uint32) (*Catalogue, error) {
	b := newBuilder(nums, day)
	currency := make([]string, d.count(1))
	for i := range currency {
		currency[i] = d.text()
	}
	values := make([]attribute, d.count(2))
	for i := range values {
		values[i] = attribute{d.text(), d.text()}
	}
	var it rawItem
	for i := d.count(20); i > 0 && d.err == nil; i-- {
		it = rawItem{id: d.text(), title: d.text(), url: d.text(), image: d.text(), attributes: it.attributes[:0]}
		it.price, it.was = math.Float64frombits(d.uint64()), math.Float64frombits(d.uint64())
		if k := d.index(len(currency)); k >= 0 {
			it.currency = currency[k]
		}
		flags := d.index(4)
		it.stock = flags&1 != 0
		if flags > 1 {
			lat, lon := float64(math.Float32frombits(d.uint32())), float64(math.Float32frombits(d.uint32()))
			it.lat, it.lon = &lat, &lon
		}
		for n := d.index(maxAttributes + 1); n > 0; n-- {
			if k := d.index(len(values)); k >= 0 {
				it.attributes = append(it.attributes, values[k])
			}
		}
		if d.err == nil && !b.add(len(b.cat.items)+1, &it) {
			break
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	c, err := b.done()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c, nil
}

// index reads a number that is below n; -1 if it is not, and then the text is damaged.
func (d *decoder) index(n int) int {
	v := d.uvarint()
	if v >= uint64(n) {
		d.fail("a number is larger than it may be")
		return -1
	}
	return int(v)
}

// restoreCatalogue reads the catalogue that was kept. The numbers that it needs were
// written before it.
func (r *Recommender) restoreCatalogue(nums *numbers) {
	d, err := readFile(r.path(catalogueFile), magicCatalogue, maxText*2)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var c *Catalogue
	if err == nil {
		c, err = decodeCatalogue(d, nums, 0)
	}
	if err != nil {
		r.putAside(catalogueFile, err)
		return
	}
	r.cat.Store(c)
}

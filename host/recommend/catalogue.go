package recommend

import (
	"iter"
	"slices"
	"strings"
)

// An Item is one thing of the catalogue. Its strings and its Values belong to the
// catalogue and are not to be changed.
type Item struct {
	Number   uint32 // small, stable, never 0; what a profile keeps
	ID       string // the tenant's
	Title    string
	URL      string // relative, or http or https
	Image    string // the same
	Price    float64
	Was      float64 // the price before; 0 if there was none
	Currency string
	InStock  bool
	Placed   bool // Lat and Lon mean something
	Lat, Lon float64
	Values   []uint32 // numbers of its attribute values; see Catalogue.Attribute
}

// Discount is the part of the price before that is saved, 0 to 1.
func (i *Item) Discount() float64 {
	if i.Was <= i.Price || i.Was <= 0 {
		return 0
	}
	return 1 - i.Price/i.Was
}

// A Catalogue is what a tenant offers, at one time. It never changes; a new upload
// makes a new one. All its methods may be called at once.
type Catalogue struct {
	nums     *numbers // a copy of its own
	place    []int32  // by number: index into items, -1 if it is not offered now
	items    []record // in the order of the upload
	values   []uint32 // the attribute values of all items, one after the other
	currency []string
	carriers map[uint32][]uint32 // value -> numbers of the items that have it, in order
	deals    []uint32            // numbers of items with a discount
	sizes    int                 // bytes of text
}

// A record is an item without pointers but one: a million of them are one object
// for the garbage collector.
type record struct {
	text       string // id, title, url, image
	price, was float64
	lat, lon   float32
	number     uint32
	values     uint32    // where its values begin
	cut        [3]uint16 // where title, url and image begin
	currency   uint16
	n          uint8 // how many values
	stock      bool
	placed     bool
}

func emptyCatalogue(n *numbers) *Catalogue { return &Catalogue{nums: n} }

// Len is how many items it has.
func (c *Catalogue) Len() int { return len(c.items) }

// Epoch names the numbering. Numbers kept under another epoch mean nothing here.
func (c *Catalogue) Epoch() uint32 { return c.nums.epoch }

// Number gives the number of an item by the tenant's id, false if it is not in
// the catalogue now.
func (c *Catalogue) Number(id string) (uint32, bool) {
	n, ok := c.nums.items.number[id]
	return n, ok && c.at(n) != nil
}

func (c *Catalogue) at(number uint32) *record {
	if int(number) >= len(c.place) || c.place[number] < 0 {
		return nil
	}
	return &c.items[c.place[number]]
}

// Item gives an item by its number, false if it is not in the catalogue now.
func (c *Catalogue) Item(number uint32) (Item, bool) {
	r := c.at(number)
	if r == nil {
		return Item{}, false
	}
	return Item{
		Number: number,
		ID:     r.text[:r.cut[0]], Title: r.text[r.cut[0]:r.cut[1]], URL: r.text[r.cut[1]:r.cut[2]], Image: r.text[r.cut[2]:],
		Price: r.price, Was: r.was, Currency: c.currency[r.currency],
		InStock: r.stock, Placed: r.placed, Lat: float64(r.lat), Lon: float64(r.lon),
		Values: c.valuesOf(r),
	}, true
}

func (c *Catalogue) valuesOf(r *record) []uint32 {
	end := r.values + uint32(r.n)
	return c.values[r.values:end:end]
}

// All goes through the items in the order of the upload.
func (c *Catalogue) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for i := range c.items {
			it, _ := c.Item(c.items[i].number)
			if !yield(it) {
				return
			}
		}
	}
}

// Value gives the number of an attribute's value, false if no item ever had it.
func (c *Catalogue) Value(name, value string) (uint32, bool) {
	n, ok := c.nums.vals.number[name+"\x00"+value]
	return n, ok
}

// Attribute gives name and value of an attribute value's number.
func (c *Catalogue) Attribute(number uint32) (name, value string, ok bool) {
	if number == 0 || int(number) >= len(c.nums.vals.name) {
		return "", "", false
	}
	return strings.Cut(c.nums.vals.name[number], "\x00")
}

// With gives the numbers of the items that have an attribute value, in the order
// of the upload. The slice is not to be changed.
func (c *Catalogue) With(value uint32) []uint32 { return c.carriers[value] }

// index builds what follows from the items.
func (c *Catalogue) index() {
	c.carriers = map[uint32][]uint32{}
	sizes := map[uint32]int{}
	for _, v := range c.values {
		sizes[v]++
	}
	for i := range c.items {
		r := &c.items[i]
		for _, v := range c.valuesOf(r) {
			if c.carriers[v] == nil {
				c.carriers[v] = make([]uint32, 0, sizes[v])
			}
			c.carriers[v] = append(c.carriers[v], r.number)
		}
		if r.was > r.price {
			c.deals = append(c.deals, r.number)
		}
	}
	c.place = slices.Repeat([]int32{-1}, len(c.nums.items.name))
	for i := range c.items {
		c.place[c.items[i].number] = int32(i)
	}
}

package profile

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Inferred is what a site worked out about a visitor from what they did there:
// the inferred profile. It is used only as far as the visitor agreed. The zero
// value knows nothing.
//
// Items and attribute values are numbers of the tenant's catalogue. Everything is
// bounded, fades (see [Memory]), and is kept to the minute. An Inferred holds no
// pointers: assignment copies it, and == compares it. It is not safe for
// concurrent use.
type Inferred struct {
	born      minute // of the first event: which profiles come from one (see Merge)
	last      minute // of the latest event, or decay
	recent    items
	purchases items
	interests interests // and personas
	channels  channels
}

// Bounds of what is kept.
const (
	MaxRecent     = 20
	MaxPurchases  = 20
	MaxAffinities = 64
	MaxPersonas   = 8
	MaxPersona    = 24 // bytes of a persona's name
)

// What an event adds to the affinity for each attribute value of an item.
const (
	WeightView     = 1
	WeightClick    = 0.5
	WeightSearch   = 1
	WeightPurchase = 4
)

// maxAttributes is how many attribute values of one item or search count.
const maxAttributes = 64

// again is how long, in minutes, an item counts as the same look at it: to load a
// page again and again is not to like it more.
const again = 30

// Memory says how long is remembered. The zero value of a field is its default.
type Memory struct {
	Interests time.Duration // half-life of affinities and personas; 14 days
	Channels  time.Duration // half-life of engagement; 60 days
	Items     time.Duration // after which an item looked at or bought is forgotten; 180 days
}

// Bounds of the fields of a Memory. No cookie lives longer than the upper one.
const (
	MinMemory = time.Hour
	MaxMemory = 400 * 24 * time.Hour
)

// Check reports a field that is out of bounds.
func (m Memory) Check() error {
	for _, f := range [...]struct {
		name string
		d    time.Duration
	}{{"interests", m.Interests}, {"channels", m.Channels}, {"items", m.Items}} {
		if f.d != 0 && (f.d < MinMemory || f.d > MaxMemory) {
			return fmt.Errorf("memory of %s: %v, want from %v to %v", f.name, f.d, MinMemory, MaxMemory)
		}
	}
	return nil
}

// A Moment is a time, and how things fade until then. Make it with [Memory.At].
type Moment struct {
	now                        minute
	interests, channels, items minute // minutes a level, minutes a level, minutes
}

// At returns the moment t. Durations out of bounds are brought into them. Half-lives
// are kept to 24 minutes.
func (m Memory) At(t time.Time) Moment {
	minutes := func(d, standard time.Duration) minute {
		if d == 0 {
			d = standard
		}
		return minute(max(MinMemory, min(d, MaxMemory)) / time.Minute)
	}
	const day = 24 * time.Hour
	step := func(half minute) minute { return max(1, (half+perHalving/2)/perHalving) }
	return Moment{
		now:       minuteOf(t),
		interests: step(minutes(m.Interests, 14*day)),
		channels:  step(minutes(m.Channels, 60*day)),
		items:     minutes(m.Items, 180*day),
	}
}

// A minute since 1970, UTC.
type minute uint32

const (
	minuteBits        = 28 // until the year 2480
	maxMinute  minute = 1<<minuteBits - 1
)

func minuteOf(t time.Time) minute { return minute(max(0, min(t.Unix()/60, int64(maxMinute)))) }

func (m minute) time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Empty reports whether nothing is known.
func (p *Inferred) Empty() bool { return *p == Inferred{} }

// Last returns the minute to which the profile is up to date.
func (p *Inferred) Last() time.Time { return p.last.time() }

// Decay lets fade what has faded until m. To do it often or seldom is the same.
// A time before that of the last event counts as that.
func (p *Inferred) Decay(m Moment) {
	p.advance(m)
	p.settle()
}

func (p *Inferred) advance(m Moment) {
	p.last = max(p.last, m.now)
	if p.born == 0 {
		p.born = p.last
	}
	p.interests.decay(p.last, m.interests)
	p.channels.decay(p.last, m.channels)
	if p.last > m.items {
		p.recent.expire(p.last - m.items)
		p.purchases.expire(p.last - m.items)
	}
}

// settle brings a profile that knows nothing any more to the zero value.
func (p *Inferred) settle() {
	if p.recent.n == 0 && p.purchases.n == 0 && p.interests.empty() && p.channels.empty() {
		*p = Inferred{}
	}
}

// View records that the visitor looked at an item that has these attribute values.
func (p *Inferred) View(item uint32, attributes []uint32, m Moment) {
	p.advance(m)
	if !p.recent.since(item, p.last) {
		p.like(attributes, WeightView)
	}
	p.recent.put(Item{item, uint32(p.last)})
}

// Click records that the visitor followed a link to an item, wherever it led. One
// to an item that they looked at a moment ago says nothing new.
func (p *Inferred) Click(item uint32, attributes []uint32, m Moment) {
	p.advance(m)
	if !p.recent.since(item, p.last) {
		p.like(attributes, WeightClick)
	}
	p.settle()
}

// Search records that the visitor searched for, or filtered by, these attribute
// values. What they typed is not kept.
func (p *Inferred) Search(attributes []uint32, m Moment) {
	p.advance(m)
	p.like(attributes, WeightSearch)
	p.settle()
}

// Purchase records that the visitor bought an item that has these attribute values.
func (p *Inferred) Purchase(item uint32, attributes []uint32, m Moment) {
	p.advance(m)
	if !p.purchases.since(item, p.last) {
		p.like(attributes, WeightPurchase)
	}
	p.purchases.put(Item{item, uint32(p.last)})
}

// Forget drops an item, as when the visitor hides it. What it has told about
// attributes stays: of that nobody can say any more which item told it.
func (p *Inferred) Forget(item uint32) {
	p.recent.drop(item)
	p.purchases.drop(item)
	p.settle()
}

// ForgetValue drops the affinity for an attribute value, as when the visitor
// says that it is wrong.
func (p *Inferred) ForgetValue(value uint32) {
	if i, ok := p.interests.find(value); ok {
		p.interests.remove(i)
	}
	p.settle()
}

func (p *Inferred) like(attributes []uint32, weight float64) {
	for _, value := range attributes[:min(len(attributes), maxAttributes)] {
		p.interests.like(value, weight, p.last)
	}
}

// Persona adds weight, above 0 and at most 10, to the score of a persona. Its name
// is of a to z, 0 to 9, "-" and "_", at most MaxPersona bytes.
func (p *Inferred) Persona(name string, weight float64, m Moment) error {
	if !personaName(name) {
		return fmt.Errorf("a persona's name is of a to z, 0 to 9, - and _, at most %d of them, not %.40q", MaxPersona, name)
	}
	if !(weight > 0 && weight <= 10) {
		return errors.New("a persona's weight is above 0 and at most 10")
	}
	p.advance(m)
	p.interests.score(name, weight, p.last)
	p.settle()
	return nil
}

// Personas returns the names and scores of personas, by name.
func (p *Inferred) Personas() iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for i := range p.interests.who() {
			if a := &p.interests.personas[i]; !yield(string(a.text()), a.level.weight()) {
				return
			}
		}
	}
}

// TopPersona returns the persona with the highest score, and "" if there is none.
// Of equal ones it is the first by name.
func (p *Inferred) TopPersona() (name string, score float64) {
	for n, s := range p.Personas() {
		if s > score {
			name, score = n, s
		}
	}
	return name, score
}

// Recent returns the items that the visitor looked at, the newest first, each
// once. The slice is valid until the profile changes.
func (p *Inferred) Recent() []Item { return p.recent.all() }

// Purchases returns the items that the visitor bought, as Recent does.
func (p *Inferred) Purchases() []Item { return p.purchases.all() }

// Affinity returns the weight of an attribute value as of [Inferred.Last]; 0 if
// there is none. One view of an item counts 1, and half of that a half-life later.
func (p *Inferred) Affinity(value uint32) float64 {
	if i, ok := p.interests.find(value); ok {
		return p.interests.values[i].level.weight()
	}
	return 0
}

// An Affinity is how much the visitor likes an attribute value.
type Affinity struct {
	Value  uint32
	Weight float64
}

// AppendAffinities appends all affinities to dst, the strongest first.
func (p *Inferred) AppendAffinities(dst []Affinity) []Affinity {
	var order [MaxAffinities]affinity
	all := order[:copy(order[:], p.interests.all())]
	slices.SortFunc(all, func(a, b affinity) int {
		if a.level != b.level {
			return int(b.level) - int(a.level)
		}
		return int(a.value) - int(b.value)
	})
	for _, a := range all {
		dst = append(dst, Affinity{a.value, a.level.weight()})
	}
	return dst
}

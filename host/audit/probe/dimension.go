package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// A dimension is one kind of data in which the visitors of a pair differ.
type dimension struct {
	name  string
	about string
	// declared data is what visitors set for themselves: it may show, whatever they
	// refused.
	declared bool
	// before says that the visitor gathers the data while they agree, and refuses then.
	before  bool
	secret  bool
	missing string // why it cannot be tried; "": it can
	draw    func(r *rand.Rand) (a, b Side)
}

// Names of the dimensions that need no file.
const (
	History     = "history"
	Past        = "past"
	Profile     = "profile"
	Place       = "place"
	Identifiers = "identifiers"
	Name        = "name"
	Account     = "account"
	Declared    = "declared"
)

// Known lists them, in the order of reports.
func Known() []string {
	return []string{History, Past, Profile, Place, Identifiers, Name, Account, Declared}
}

// DefaultPlaces are addresses that belong to nobody (RFC 5737), which the demo's
// database has places for. A real database knows none: give addresses of your own.
func DefaultPlaces() []string { return []string{"192.0.2.7", "198.51.100.7", "203.0.113.7"} }

// dimensions returns those of a configuration, for a site.
func (c *Config) dimensions(s *site) []dimension {
	list := []dimension{
		c.history(s), c.past(s), profiles(s), c.places(), identifiers(), seenName(),
		{name: Account, about: "cookies and headers of two accounts", missing: "no accounts are given (a file names them, under dimensions: account)"},
		declares(s),
	}
	if c.File == nil {
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(c.File.Dimensions)) {
		of := c.File.Dimensions[name]
		d := dimension{name: name, about: "as the file says", declared: of.Declared, secret: of.Secret || name == Account, draw: func(r *rand.Rand) (Side, Side) {
			return either(r, of.A, of.B)
		}}
		if i := slices.IndexFunc(list, func(x dimension) bool { return x.name == name }); i >= 0 {
			d.before, d.declared = list[i].before, d.declared || list[i].declared
			list[i] = d
		} else {
			list = append(list, d)
		}
	}
	return list
}

// either returns two sides in a random order.
func either(r *rand.Rand, a, b Side) (Side, Side) {
	if r.IntN(2) == 0 {
		return b, a
	}
	return a, b
}

// pages is how many pages a history has.
const pages = 3

// histories draws two lists of pages without a page in common; where there are few,
// one of them is empty.
func histories(r *rand.Rand, list []string) (a, b Side) {
	order := r.Perm(len(list))
	n := min(pages, len(list)/2)
	if n == 0 {
		n = len(list)
	}
	for i, at := range order[:min(2*n, len(list))] {
		to := &a
		if i >= n {
			to = &b
		}
		to.Requests = append(to.Requests, Step{Path: list[at]})
	}
	return either(r, a, b)
}

func (c *Config) history(s *site) dimension {
	d := dimension{name: History, about: "pages opened before, after the refusal"}
	list := c.History
	if len(list) == 0 {
		list = s.links
	}
	if len(list) == 0 {
		d.missing = "the page leads to no other page of the site; name some (--history)"
	}
	d.draw = func(r *rand.Rand) (Side, Side) { return histories(r, list) }
	return d
}

func (c *Config) past(s *site) dimension {
	d := c.history(s)
	pages, events := d.draw, profiles(s).draw
	d.name, d.about, d.before = Past, "pages opened, and what was done there, before the refusal", true
	d.draw = func(r *rand.Rand) (Side, Side) {
		a, b := pages(r)
		if len(s.items) > 0 && s.api != "" {
			x, y := events(r)
			a.Requests, b.Requests = append(a.Requests, x.Requests...), append(b.Requests, y.Requests...)
		}
		return a, b
	}
	return d
}

// profiles are of what a script of the page would tell of the visitor.
func profiles(s *site) dimension {
	d := dimension{name: Profile, about: "what scripts of the page tell that the visitor viewed, clicked and bought"}
	switch {
	case s.api == "":
		d.missing = "how this site is told of what visitors do is not known (a file says it, under dimensions: profile)"
	case len(s.items) < 2:
		d.missing = "the page shows fewer than two items of a catalogue (data-bespoke-item)"
	}
	d.draw = func(r *rand.Rand) (a, b Side) {
		order := r.Perm(len(s.items))
		n := min(pages, len(order)/2)
		if n == 0 {
			return a, b
		}
		tell := func(at []int) Side {
			var events []map[string]string
			for _, i := range at {
				for _, kind := range []string{"view", "click", "purchase"} {
					events = append(events, map[string]string{"kind": kind, "item": s.items[i]})
				}
			}
			body, _ := json.Marshal(events)
			return Side{Requests: []Step{{Method: "POST", Path: s.api + "events", ContentType: "application/json", Body: string(body)}}}
		}
		return tell(order[:n]), tell(order[n : 2*n])
	}
	return d
}

func (c *Config) places() dimension {
	d := dimension{name: Place, about: "the address that the visitor comes from"}
	list, header := c.Places, c.PlaceHeader
	if header == "" && c.Transport == nil {
		d.missing = "no header names the visitor's address (--place-header)"
	} else if header != "" {
		d.about = "the address that " + header + " tells, which the site must believe of the probe"
	}
	if len(list) == 0 && header != "" {
		list = DefaultPlaces()
	}
	if len(list) < 2 && d.missing == "" {
		d.missing = "fewer than two addresses are known"
	}
	side := func(address string) Side {
		if header == "" {
			return Side{place: address}
		}
		return Side{Headers: map[string]string{header: address}}
	}
	d.draw = func(r *rand.Rand) (Side, Side) {
		i, j := two(r, len(list))
		return side(list[i]), side(list[j])
	}
	return d
}

// two draws two different numbers below n, at least 2.
func two(r *rand.Rand, n int) (i, j int) {
	i, j = r.IntN(n), r.IntN(n-1)
	if j >= i {
		j++
	}
	return i, j
}

// identifiers are cookies by which others recognise a browser: names that are in wide
// use for it, with random values.
func identifiers() dimension {
	one := func(r *rand.Rand) Side {
		return Side{Cookies: map[string]string{
			"_ga":        fmt.Sprintf("GA1.1.%d.%d", r.Uint32(), 1_600_000_000+r.Uint32N(100_000_000)),
			"_fbp":       fmt.Sprintf("fb.1.%d.%d", 1_600_000_000_000+r.Uint64N(100_000_000_000), r.Uint32()),
			"visitor_id": fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
		}}
	}
	return dimension{name: Identifiers, about: "cookies by which others recognise a browser", draw: func(r *rand.Rand) (Side, Side) { return one(r), one(r) }}
}

// seenName is a name that a site keeps about somebody in its own cookie; a name that
// the visitor gave to our privacy centre is declared.
func seenName() dimension {
	list := []string{"Jane", "Amara", "Chen", "Mateo", "Ingrid", "Yusuf"}
	one := func(name string) Side {
		return Side{Cookies: map[string]string{"name": name, "user_name": strings.ToLower(name)}}
	}
	return dimension{name: Name, about: "a name in cookies of the site's own (name, user_name)", draw: func(r *rand.Rand) (Side, Side) {
		i, j := two(r, len(list))
		return one(list[i]), one(list[j])
	}}
}

// declares are preferences that visitors set for themselves.
func declares(s *site) dimension {
	d := dimension{name: Declared, declared: true, about: "name, theme and page size, set in the privacy centre: customization, honoured whatever is refused"}
	if s.api == "" {
		d.missing = "the page leads to no privacy centre of ours (a file may say how, under dimensions: declared)"
	}
	one := func(name, theme string, size int) Side {
		return Side{Requests: []Step{{Method: "PUT", Path: s.api + "preferences", ContentType: "application/json",
			Body: fmt.Sprintf(`{"name":%q,"theme":%q,"page-size":%d}`, name, theme, size)}}}
	}
	d.draw = func(r *rand.Rand) (Side, Side) { return either(r, one("Jane", "dark", 5), one("Amara", "light", 10)) }
	return d
}

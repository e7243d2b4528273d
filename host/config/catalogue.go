package config

import (
	"io"
	"os"
	"time"

	"bespoke/geo"
)

// A Catalogue says that a site has a catalogue of items, and how what visitors do
// with them is learned. A zero field stands for the default.
type Catalogue struct {
	File     string // that it is read from, resolved; "": it is uploaded
	MaxItems int
	Support  int // visitors who must stand behind what is shown

	SessionIdle  time.Duration // after which a session closes
	OpenSessions int           // held in memory at most
	KeptSessions int           // closed ones that "for you" looks at
	SaveEvery    time.Duration // how often what was learned goes to disk

	// Half-lives.
	BestSellers, Trending, Neighbours time.Duration
}

// Bounds of a catalogue. Those of sessions and support are host/recommend's.
const (
	maxItems     = 1_000_000
	maxSupport   = 16
	maxSessions  = 1 << 22
	longHalfLife = 10 * 365 * 24 * time.Hour
)

func (d *decoder) catalogue(n *node) *Catalogue {
	c := &Catalogue{}
	count := func(name string, v *int, most int) field {
		return field{name, false, func(n *node) { *v, _ = d.count(n, name, most) }}
	}
	wait := func(name string, v *time.Duration, least, most time.Duration) field {
		return field{name, false, func(n *node) {
			t, ok := d.duration(n, name, most)
			if ok && t < least {
				d.errorf(n.pos, "%s: found %s, expected at least %s", name, n.describe(), showTime(least))
			} else if ok {
				*v = t
			}
		}}
	}
	d.mapping(n, "catalogue", []field{
		{"file", false, func(n *node) { c.File = d.dataFile(n, "file", "a file of JSON Lines or CSV") }},
		count("max_items", &c.MaxItems, maxItems),
		count("support", &c.Support, maxSupport),
		wait("session_idle", &c.SessionIdle, time.Second, 24*time.Hour),
		count("open_sessions", &c.OpenSessions, maxSessions),
		count("kept_sessions", &c.KeptSessions, maxSessions),
		wait("save_every", &c.SaveEvery, time.Second, 24*time.Hour),
		{"half_lives", false, func(n *node) {
			d.mapping(n, "half_lives", []field{
				wait("best_sellers", &c.BestSellers, time.Minute, longHalfLife),
				wait("trending", &c.Trending, time.Minute, longHalfLife),
				wait("neighbours", &c.Neighbours, time.Minute, longHalfLife),
			})
		}},
	})
	return c
}

// dataFile checks that a path leads to a file, and resolves it. "" is none.
func (d *decoder) dataFile(n *node, what, want string) string {
	s, ok := d.text(n, what, want)
	if !ok {
		return ""
	}
	p := d.path(s)
	if i, err := os.Stat(p); err != nil {
		d.errorf(n.pos, "%s: %s: %s", what, quote(p), reason(err))
	} else if !i.Mode().IsRegular() {
		d.errorf(n.pos, "%s: %s is not a file", what, quote(p))
	} else {
		return p
	}
	return ""
}

// fences reads a tenant's fences. They are part of the configuration: what is
// wrong in them is wrong in it, and both are read again together.
func (d *decoder) fences(n *node) *geo.Fences {
	p := d.dataFile(n, "fences", "a file of GeoJSON")
	if p == "" {
		return nil
	}
	f, err := os.Open(p)
	if err != nil {
		d.errorf(n.pos, "fences: %s: %s", quote(p), reason(err))
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, geo.MaxFenceBytes+1))
	if err != nil {
		d.errorf(n.pos, "fences: %s: %s", quote(p), reason(err))
		return nil
	}
	fences, err := geo.ParseFences(data)
	if err != nil {
		d.errorf(n.pos, "fences: %s: %v", quote(p), err)
		return nil
	}
	return fences
}

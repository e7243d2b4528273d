package config

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Ledger says how the edge records what it does. Load fills every field; see
// [DefaultLedger].
type Ledger struct {
	Off        bool          // record: false
	Origin     string        // the name in checkpoints; "": what the ledger has, and a random one for a new ledger
	Window     time.Duration // how often records are sealed
	Keep       time.Duration // how long records are kept; 0: for ever
	Pseudonyms time.Duration // how long a key of pseudonyms exists after its day
	Sample     int           // of how many exchanges one has the digests of its bodies recorded; 0: none
	Exhibits   Exhibits
	Witnesses  []Witness
}

// Exhibits says of how many exchanges without personal data everything is kept, so that
// they can be run again.
type Exhibits struct {
	Count int           // the most that are kept; 0: none
	Keep  time.Duration // how long
}

// A Witness is a second place for checkpoints: Dir or URL is set.
type Witness struct {
	Dir string // resolved against the file's folder
	URL string // http or https, that takes PUT and GET; or nats or tls, whose path is BUCKET or BUCKET/KEY
	// TokenFile has the token that the address in URL, http or https, is shown; "": none. It is resolved, and it was there.
	TokenFile string
}

// DefaultLedger returns what holds where the file says nothing.
func DefaultLedger() Ledger {
	return Ledger{Window: time.Second, Pseudonyms: 30 * day, Sample: 64, Exhibits: Exhibits{Count: 1000, Keep: day}}
}

const (
	day          = 24 * time.Hour
	maxKeep      = 3660 * day
	maxWitnesses = 8
	maxExhibits  = 100_000
)

func (d *decoder) ledger(n *node, l *Ledger) {
	d.mapping(n, "ledger", []field{
		{"record", false, func(n *node) { l.Off = !d.boolean(n, "record") }},
		{"origin", false, func(n *node) {
			const want = "a name such as bespoke/shop.example, without spaces and plus signs"
			s, ok := d.text(n, "origin", want)
			if ok && (len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '+' })) {
				d.errorf(n.pos, "origin: found %s, expected %s", n.describe(), want)
				return
			}
			l.Origin = s
		}},
		{"window", false, func(n *node) {
			if t, ok := d.duration(n, "window", time.Minute); ok {
				l.Window = t
			}
		}},
		{"keep", false, func(n *node) {
			if n.kind == scalar && n.text == "forever" {
				l.Keep = 0
			} else if t, ok := d.days(n, "keep", "; or forever"); ok {
				l.Keep = t
			}
		}},
		{"pseudonyms", false, func(n *node) {
			if t, ok := d.days(n, "pseudonyms", ""); ok {
				l.Pseudonyms = t
			}
		}},
		{"sample", false, func(n *node) {
			if n.kind == scalar && !n.quoted && n.text == "0" {
				l.Sample = 0
			} else if v, ok := d.count(n, "sample", 1_000_000); ok {
				l.Sample = v
			}
		}},
		{"exhibits", false, func(n *node) { d.exhibits(n, &l.Exhibits) }},
		{"witnesses", false, func(n *node) {
			d.each(n, "witnesses", func(n *node) {
				if w, ok := d.witness(n); ok {
					l.Witnesses = append(l.Witnesses, w)
				}
			})
			if len(l.Witnesses) > maxWitnesses {
				d.errorf(n.pos, "witnesses: found %d, expected at most %d", len(l.Witnesses), maxWitnesses)
			}
		}},
	})
}

func (d *decoder) exhibits(n *node, x *Exhibits) {
	d.mapping(n, "exhibits", []field{
		{"count", false, func(n *node) {
			if n.kind == scalar && !n.quoted && n.text == "0" {
				x.Count = 0
			} else if v, ok := d.count(n, "count", maxExhibits); ok {
				x.Count = v
			}
		}},
		{"keep", false, func(n *node) {
			if t, ok := d.duration(n, "keep", 366*day); ok {
				x.Keep = t
			}
		}},
	})
}

// days checks a time in days: 30d.
func (d *decoder) days(n *node, what, or string) (time.Duration, bool) {
	s, ok := strings.CutSuffix(n.text, "d")
	v, err := strconv.Atoi(s)
	if n.kind != scalar || !ok || err != nil || !number(s) || v < 1 || v > int(maxKeep/day) {
		hint := ""
		if n.kind == scalar && number(n.text) && len(n.text) < 5 {
			hint = "; did you mean " + n.text + "d?"
		}
		d.errorf(n.pos, "%s: found %s, expected days from 1d to %dd%s%s", what, n.describe(), int(maxKeep/day), or, hint)
		return 0, false
	}
	return time.Duration(v) * day, true
}

func (d *decoder) witness(n *node) (w Witness, ok bool) {
	if n.kind != mapping {
		return d.witnessAt(n)
	}
	d.mapping(n, "witnesses", []field{
		{"http", true, func(n *node) {
			u, err := url.Parse(n.text)
			if ok = n.kind == scalar && err == nil && (u.Scheme == "http" || u.Scheme == "https"); !ok {
				d.errorf(n.pos, "http: found %s, expected a URL such as https://witness.example/checkpoint", n.describe())
				return
			}
			var at Witness
			at, ok = d.witnessAt(n)
			w.URL = at.URL
		}},
		{"token_file", true, func(n *node) { w.TokenFile = d.dataFile(n, "token_file", "a file that holds a token") }},
	})
	return w, ok
}

// witnessAt reads a witness that is a folder or a URL alone.
func (d *decoder) witnessAt(n *node) (w Witness, ok bool) {
	const want = "a folder, or a URL such as https://witness.example/checkpoint or nats://nats.example:4222/witness"
	s, ok := d.text(n, "witnesses", want)
	if !ok {
		return w, false
	}
	if !strings.Contains(s, "://") {
		return Witness{Dir: d.path(s)}, true
	}
	u, err := url.Parse(s)
	ok = err == nil && u.Hostname() != "" && u.Fragment == ""
	if ok {
		switch u.Scheme {
		case "http", "https":
		case "nats", "tls":
			ok = u.RawQuery == "" && slotPath(u.Path)
		default:
			ok = false
		}
	}
	if !ok {
		d.errorf(n.pos, "witnesses: found %s, expected %s", n.describe(), want)
		return w, false
	}
	return Witness{URL: s}, true
}

// slotPath reports whether a path names a bucket of NATS, or a bucket and a key.
func slotPath(path string) bool {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, name := range parts {
		if len(name) < 1 || len(name) > 32 || strings.ContainsFunc(name, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return len(parts) <= 2
}

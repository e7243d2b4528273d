package config

import (
	"strings"
	"time"
)

// Canaries are the experiments that the edge does on a tenant's site by itself:
// visitors of its own, of whom no page may tell what they differ in. See
// host/audit/probe.
type Canaries struct {
	Every time.Duration // from the start of a round to that of the next
	Paths []string      // of the pages that are compared; at least one
	Pairs int           // of visitors who differ, for each kind of data and way to refuse
}

// Defaults and bounds of canaries. A round of 4 pairs is some 1,000 requests.
const (
	canariesEvery  = 10 * time.Minute
	canariesPairs  = 4
	soonestCanary  = 10 * time.Second
	longestCanary  = 24 * time.Hour
	maxCanaryPaths = 16
	maxCanaryPairs = 200
	maxCanaryPath  = 1024 // bytes
)

// audit reads a tenant's audit; nil: the edge does no experiments on its site.
func (d *decoder) audit(n *node) (c *Canaries) {
	d.mapping(n, "audit", []field{
		{"canaries", true, func(n *node) { c = d.canaries(n) }},
	})
	return c
}

func (d *decoder) canaries(n *node) *Canaries {
	c := &Canaries{Every: canariesEvery, Pairs: canariesPairs}
	d.mapping(n, "canaries", []field{
		{"every", false, func(n *node) {
			t, ok := d.duration(n, "every", longestCanary)
			if ok && t < soonestCanary {
				d.errorf(n.pos, "every: found %s, expected at least %s", n.describe(), showTime(soonestCanary))
			} else if ok {
				c.Every = t
			}
		}},
		{"paths", false, func(n *node) {
			d.each(n, "paths", func(n *node) {
				if p, ok := d.pagePath(n); ok {
					c.Paths = append(c.Paths, p)
				}
			})
			switch {
			case n.kind != sequence:
			case len(n.items) == 0:
				d.errorf(n.pos, "paths: found an empty list, expected at least one path")
			case len(n.items) > maxCanaryPaths:
				d.errorf(n.pos, "paths: found %d, expected at most %d", len(n.items), maxCanaryPaths)
			}
		}},
		{"pairs", false, func(n *node) {
			if v, ok := d.count(n, "pairs", maxCanaryPairs); ok {
				c.Pairs = v
			}
		}},
	})
	if c.Paths == nil {
		c.Paths = []string{"/"}
	}
	return c
}

// pagePath checks the path of a page, with or without a query.
func (d *decoder) pagePath(n *node) (string, bool) {
	const want = "the path of a page, such as /news"
	s, ok := d.text(n, "paths", want)
	if !ok {
		return "", false
	}
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }
	if s[0] != '/' || strings.HasPrefix(s, "//") || len(s) > maxCanaryPath || strings.ContainsFunc(s, bad) {
		d.errorf(n.pos, "paths: found %s, expected %s", n.describe(), want)
		return "", false
	}
	return s, true
}

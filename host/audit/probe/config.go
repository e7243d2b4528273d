package probe

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Config is one experiment. Only URL is required; a zero field is its default.
type Config struct {
	URL   string   // http or https, of a page
	Paths []string // more pages of the site to measure, from their first /

	Pairs      int      // that differ, for each dimension and each way to refuse; 10
	Seed       uint64   // of every random choice
	Dimensions []string // to try; nil: all
	Require    []string // those that must have power
	Ways       []string // to refuse: "choice", "gpc", or both, which is the default
	File       *File    // nil: none

	PlaceHeader string   // that tells the visitor's address
	Places      []string // addresses
	History     []string // paths of the site that a history is made of; nil: what the page links to

	IgnoreHeaders []string          // besides DefaultIgnored
	Headers       map[string]string // that every visitor sends
	UserAgent     string
	// Steady says that the site gives everybody who refused the same. Then nothing is
	// taken for its own variation: where identical visitors who refused get different
	// answers, one got something of another. Somebody who agrees asks between them.
	Steady      bool
	Alpha       float64       // level of all permutation tests together; 0.01
	Rate        float64       // requests a second; 0: as many as go
	Concurrency int           // pairs at the same time; 1
	Timeout     time.Duration // of one request; DefaultTimeout
	MaxBody     int64         // bytes of a body that are read; DefaultBody

	// Transport sends the requests of a visitor who comes from a place of Places; nil:
	// an ordinary one. Where PlaceHeader is set, that tells the place, and Transport is
	// asked for none.
	Transport func(place string) http.RoundTripper
	// Settle is how far apart in time some identical visitors ask, so that a clock of
	// the site shows; 1.1 s, negative for none.
	Settle time.Duration
	// Progress is told from time to time how many of how many pairs are done.
	Progress func(done, total int)
}

// UserAgent is what the probe calls itself, in the form by which figures of visitors
// leave out programs.
const UserAgent = "Mozilla/5.0 (compatible; bespoke-audit/1)"

// Ways to refuse.
const (
	ByChoice = "choice" // in the site's own way
	ByGPC    = "gpc"    // by the browser's signal (W3C Global Privacy Control)
)

// Bounds of a configuration.
const (
	maxPairs       = 1000
	maxConcurrency = 64
	maxPages       = 64
)

// filled returns the configuration with its defaults, and the site's address.
func (c Config) filled() (Config, *url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return c, nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return c, nil, fmt.Errorf("%q: expected the address of a page, as https://shop.example/", c.URL)
	case c.Pairs < 0 || c.Pairs > maxPairs:
		return c, nil, fmt.Errorf("%d pairs: expected 1 to %d", c.Pairs, maxPairs)
	case c.Concurrency < 0 || c.Concurrency > maxConcurrency:
		return c, nil, fmt.Errorf("concurrency %d: expected 1 to %d", c.Concurrency, maxConcurrency)
	case c.Rate < 0 || math.IsNaN(c.Rate) || c.Alpha < 0 || c.Alpha >= 0.5 || math.IsNaN(c.Alpha):
		return c, nil, errors.New("rate: expected requests a second; alpha: expected more than 0 and less than 0.5")
	case len(c.Paths)+1 > maxPages || len(c.History) > 4*maxPages:
		return c, nil, fmt.Errorf("at most %d pages can be measured, and %d be a history", maxPages, 4*maxPages)
	}
	for _, p := range slices.Concat(c.Paths, c.History) {
		if !strings.HasPrefix(p, "/") {
			return c, nil, fmt.Errorf("path %q: expected one of the site, from its first /", p)
		}
	}
	for _, w := range c.Ways {
		if w != ByChoice && w != ByGPC {
			return c, nil, fmt.Errorf("way to refuse %q: expected %s or %s", w, ByChoice, ByGPC)
		}
	}
	known := Known()
	if c.File != nil {
		for name := range c.File.Dimensions {
			known = append(known, name)
		}
	}
	for _, d := range slices.Concat(c.Dimensions, c.Require) {
		if !slices.Contains(known, d) {
			return c, nil, fmt.Errorf("dimension %q: expected one of %s", d, strings.Join(known, ", "))
		}
	}
	u.Fragment = ""
	set(&c.Pairs, 10)
	set(&c.Concurrency, 1)
	set(&c.Alpha, 0.01)
	set(&c.Timeout, DefaultTimeout)
	set(&c.MaxBody, DefaultBody)
	set(&c.Settle, 1100*time.Millisecond)
	set(&c.UserAgent, UserAgent)
	if c.File != nil {
		c.IgnoreHeaders = slices.Concat(c.IgnoreHeaders, c.File.IgnoreHeaders)
	}
	return c, u, nil
}

func set[T comparable](v *T, to T) {
	if *v == *new(T) {
		*v = to
	}
}

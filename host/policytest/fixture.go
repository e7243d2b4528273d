package policytest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"bespoke/geo"
	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// MaxFixture is the largest fixture, in bytes.
const MaxFixture = 1 << 20

// A Fixture is one exchange, and what is expected of it.
type Fixture struct {
	Name string // of the file, for errors
	Exchange

	archive *txtar.Archive
	zone    string
	with    string
	lines   map[string]int // of the sections' markers, from 1
}

// An Exchange is what is tried.
type Exchange struct {
	Method, Target string
	Header         [][2]string
	GPC            bool
	Address        netip.Addr // of the demo's database, where Place comes from; invalid: it is Place
	Place          geo.Place
	Choice         *consent.Choice
	Preferences    profile.Preferences
	Now            time.Time
	Page           []byte
	ContentType    string // of Page; "": HTML in UTF-8
}

// Names of sections.
const (
	sectionEdits = "edits"
	sectionWant  = "want"
	sectionWith  = "with"
	sectionPage  = "page"
)

// Parse reads a fixture. name stands in errors, which have a line each.
func Parse(name string, data []byte) (*Fixture, error) {
	if len(data) > MaxFixture {
		return nil, fmt.Errorf("%s: it has %d bytes, at most %d are allowed", name, len(data), MaxFixture)
	}
	f := &Fixture{Name: name, archive: txtar.Parse(data), lines: markers(data)}
	f.Exchange = Exchange{Method: "GET", Target: "/", Now: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)}
	read := map[string]func(section) error{
		"request": f.request, "place": f.place, "decision": f.decision, "preferences": f.preferences,
		"time": f.time, sectionWith: f.options, sectionPage: f.page,
		sectionEdits: ignore, sectionWant: ignore,
	}
	seen := map[string]bool{}
	var decision *section
	for _, file := range f.archive.Files {
		s := section{name: file.Name, line: f.lines[file.Name], text: string(file.Data)}
		if contentType, typed := strings.CutPrefix(s.name, sectionPage+" "); typed {
			if _, _, err := mime.ParseMediaType(contentType); err != nil {
				return nil, f.errorf(s.line, "page: %q is no type: %w", contentType, err)
			}
			s.name, f.ContentType = sectionPage, contentType
		}
		do, ok := read[s.name]
		if !ok {
			return nil, f.errorf(s.line, "there is no section %q; there are request, place, decision, preferences, with, time, page, edits and want", s.name)
		}
		if seen[s.name] {
			return nil, f.errorf(s.line, "the section %q stands twice", s.name)
		}
		seen[s.name] = true
		if s.name == "decision" {
			decision = &s // needs the time
			continue
		}
		if err := do(s); err != nil {
			return nil, f.at(err)
		}
	}
	if decision != nil {
		if err := f.decision(*decision); err != nil {
			return nil, f.at(err)
		}
	}
	return f, nil
}

func ignore(section) error { return nil }

// markers returns the lines of the markers, of each name the last.
func markers(data []byte) map[string]int {
	lines := map[string]int{}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := bytes.TrimRight(line, "\r\n")
		if len(text) >= 7 && bytes.HasPrefix(text, []byte("-- ")) && bytes.HasSuffix(text, []byte(" --")) {
			lines[strings.TrimSpace(string(text[3:len(text)-3]))] = n
		}
	}
	return lines
}

// A section is a part of a fixture; line is its marker's.
type section struct {
	name, text string
	line       int
}

// A lineError is an error with its line in the fixture.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

func lineErrorf(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

func (f *Fixture) at(err error) error {
	var l *lineError
	if errors.As(err, &l) {
		return f.errorf(l.line, "%w", l.err)
	}
	return fmt.Errorf("%s: %w", f.Name, err)
}

func (f *Fixture) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", f.Name, line, fmt.Errorf(format, args...))
}

// each hands the lines that are not blank to do, with their numbers.
func (s section) each(do func(n int, line string) error) error {
	n := s.line
	for line := range strings.Lines(s.text) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := do(n, line); err != nil {
			return err
		}
	}
	return nil
}

// pairs hands the lines "name: value" to the functions of their names.
func (s section) pairs(set map[string]func(value string) error) error {
	seen := map[string]bool{}
	return s.each(func(n int, line string) error {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		do := set[name]
		switch {
		case !ok || do == nil:
			known := make([]string, 0, len(set))
			for k := range set {
				known = append(known, k)
			}
			slices.Sort(known)
			return lineErrorf(n, "%s: found %.60q, expected a line such as \"name: value\", with one of the names %s", s.name, line, strings.Join(known, ", "))
		case seen[name]:
			return lineErrorf(n, "%s: %q stands twice", s.name, name)
		}
		seen[name] = true
		if err := do(value); err != nil {
			return lineErrorf(n, "%s: %s: %w", s.name, name, err)
		}
		return nil
	})
}

// Headers that a fixture says otherwise, or not at all.
var notHeaders = map[string]string{
	"cookie":            "see the sections decision and preferences",
	"host":              "there is one site",
	"sec-gpc":           "see the section decision",
	"x-forwarded-for":   "see the section place",
	"content-length":    "requests have no body",
	"transfer-encoding": "requests have no body",
}

func (f *Fixture) request(s section) error {
	first := true
	return s.each(func(n int, line string) error {
		if first {
			first = false
			method, target, ok := strings.Cut(line, " ")
			if target = strings.TrimSpace(target); !ok || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \x00") || strings.ToUpper(method) != method {
				return lineErrorf(n, "request: found %.60q, expected a method and a target, such as GET /shops?q=tea", line)
			}
			f.Method, f.Target = method, target
			return nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return lineErrorf(n, "request: found %.60q, expected a header, such as Accept-Language: de", line)
		}
		if why := notHeaders[strings.ToLower(name)]; why != "" {
			return lineErrorf(n, "request: the header %s is not set here: %s", name, why)
		}
		f.Header = append(f.Header, [2]string{name, strings.TrimSpace(value)})
		return nil
	})
}

func (f *Fixture) place(s section) error {
	if a, err := netip.ParseAddr(strings.TrimSpace(s.text)); err == nil {
		f.Address = a
		return nil
	}
	p := &f.Place
	lines := 0
	number := func(to *float64, most float64) func(string) error {
		return func(v string) error {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n >= -most && n <= most) {
				return fmt.Errorf("found %.40q, expected degrees from -%g to %g", v, most, most)
			}
			*to = n
			lines++
			return nil
		}
	}
	text := func(to *string) func(string) error {
		return func(v string) error { *to = v; return nil }
	}
	err := s.pairs(map[string]func(string) error{
		"continent": text(&p.Continent), "country": text(&p.Country), "region": text(&p.Region), "city": text(&p.City),
		"timezone": func(v string) error {
			p.TimeZone = v
			return zoneKnown(v)
		},
		"lat": number(&p.Lat, 90), "lon": number(&p.Lon, 180),
	})
	if err != nil {
		return err
	}
	if lines == 1 {
		return lineErrorf(s.line, "place: it has one of lat and lon, and needs both or none")
	}
	p.Located, p.Precision = lines == 2, geo.Exact
	return nil
}

func zoneKnown(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return fmt.Errorf("found %.40q, expected a name of the IANA time zone database such as Europe/Berlin", name)
	}
	return nil
}

func (f *Fixture) decision(s section) error {
	var granted *consent.Set
	err := s.pairs(map[string]func(string) error{
		"granted": func(v string) error {
			set, err := purposes(v)
			granted = &set
			return err
		},
		"gpc": func(v string) error {
			if v != "yes" && v != "no" {
				return fmt.Errorf("found %.40q, expected yes or no", v)
			}
			f.GPC = v == "yes"
			return nil
		},
	})
	if err == nil && granted != nil {
		f.Choice = &consent.Choice{Granted: *granted, At: f.Now.Truncate(time.Second), UnderGPC: f.GPC}
	}
	return err
}

func purposes(v string) (set consent.Set, err error) {
	switch v {
	case "all":
		return consent.All, nil
	case "none":
		return 0, nil
	}
	for name := range strings.SplitSeq(v, ",") {
		p, ok := abi.ParsePurpose(strings.TrimSpace(name))
		if !ok {
			return 0, fmt.Errorf("found %.40q, expected all, none, or purposes: localize, locate, personalize, advertise, measure", strings.TrimSpace(name))
		}
		set = set.With(p)
	}
	return set, nil
}

func (f *Fixture) preferences(s section) error {
	return s.pairs(map[string]func(string) error{
		"name": func(v string) (err error) {
			f.Preferences.Name, err = profile.ParseName(v)
			return err
		},
	})
}

func (f *Fixture) time(s section) error {
	return s.each(func(n int, line string) error {
		if zone, ok := strings.CutPrefix(line, "zone:"); ok {
			f.zone = strings.TrimSpace(zone)
			if err := zoneKnown(f.zone); err != nil {
				return lineErrorf(n, "time: zone: %w", err)
			}
			return nil
		}
		t, err := time.Parse(time.RFC3339, line)
		if err != nil || t.Year() < 1970 || t.Year() > 9999 {
			return lineErrorf(n, "time: found %.60q, expected a time such as 2026-01-05T08:30:00Z, or zone: Europe/Berlin", line)
		}
		f.Now = t
		return nil
	})
}

func (f *Fixture) options(s section) error {
	f.with = s.text
	return nil
}

func (f *Fixture) page(s section) error {
	f.Page = []byte(s.text)
	return nil
}

// Host is the host of the site that a fixture's exchange is with.
const Host = "fixture.localhost"

// Site returns the configuration of a site on which every path has the policy
// of the module in file, with the fixture's options. Errors of options have
// their lines in the fixture.
func (f *Fixture) Site(file string, policies config.Policies) (*config.Config, error) {
	var y strings.Builder
	y.WriteString("tenants:\n- name: fixture\n  hosts: [" + Host + "]\n  origin: http://127.0.0.1\n")
	if f.zone != "" {
		y.WriteString("  zone: " + strconv.Quote(f.zone) + "\n")
	}
	y.WriteString("  routes:\n  - path: /**\n    policies:\n    - use: " + strconv.Quote("file:"+file) + "\n")
	const indent = "        "
	before := 0
	if strings.TrimSpace(f.with) != "" {
		y.WriteString("      with:\n")
		before = strings.Count(y.String(), "\n")
		for line := range strings.Lines(f.with) {
			y.WriteString(indent + line)
		}
	}
	site, err := config.Parse(f.Name, []byte(y.String()), policies)
	var wrong config.Errors
	if errors.As(err, &wrong) {
		for i := range wrong {
			e := &wrong[i]
			e.Msg = strings.ReplaceAll(e.Msg, strconv.Quote("file:"+file), "the policy")
			if before > 0 && e.Line > before {
				e.Line += f.lines[sectionWith] - before
				e.Col = max(1, e.Col-len(indent))
			} else {
				e.Line, e.Col = max(1, f.lines[sectionWith]), 1
			}
		}
	}
	return site, err
}

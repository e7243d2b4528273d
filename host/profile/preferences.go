package profile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Preferences are what the visitor declared about themselves. They are used
// because the visitor asked for it, and need no further consent. The zero value
// declares nothing. [Preferences.Check] brings them into the one form in which
// they are kept; Encode takes nothing else.
type Preferences struct {
	Name     string // what to call the visitor
	Theme    Theme
	PageSize int       // items on a page, 1 to MaxPageSize; 0: as the site does
	Sort     string    // how lists are sorted, in the site's own words
	Filters  []Filter  // kept filters, by name
	Muted    []string  // topics not to be shown, sorted
	Contact  Frequency // how often the site may write
	Place    Place
}

// A Filter is a filter of the site's lists that the visitor keeps.
type Filter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Theme is how pages look; "" follows the browser.
type Theme string

var themes = [...]Theme{"light", "dark"}

// A Frequency is how often a site may write; "" leaves it to the site.
type Frequency string

var frequencies = [...]Frequency{"never", "monthly", "weekly", "daily"}

// Themes returns the themes that a visitor can choose.
func Themes() []Theme { return themes[:] }

// Frequencies returns the frequencies that a visitor can choose, the rarest first.
func Frequencies() []Frequency { return frequencies[:] }

// A PlaceMode is where the visitor's place comes from.
type PlaceMode uint8

const (
	PlaceAutomatic PlaceMode = iota // from the address, as far as the decision grants
	PlaceChosen                     // the visitor said it
	PlaceExact                      // the browser said it; to be used only where locate is granted
)

var placeModes = [...]string{PlaceAutomatic: "automatic", PlaceChosen: "chosen", PlaceExact: "exact"}

func (m PlaceMode) String() string { return placeModes[m] }

// ParsePlaceMode returns the mode of that name.
func ParsePlaceMode(s string) (PlaceMode, error) {
	for m, name := range placeModes {
		if s == name {
			return PlaceMode(m), nil
		}
	}
	return 0, fmt.Errorf("a place is automatic, chosen or exact, not %.20q", s)
}

// A Place is where the visitor says they are.
type Place struct {
	Mode     PlaceMode
	Name     string  // of a chosen place; may be ""
	Located  bool    // Lat and Lon are known
	Lat, Lon float64 // degrees, WGS 84, to four decimals (about 11 m)
}

// Bounds of what is kept. Lengths are in runes.
const (
	MaxSort      = 40
	MaxPageSize  = 500
	MaxFilters   = 16
	MaxFilter    = 40 // of a filter's name, and of its value
	MaxMuted     = 32
	MaxTopic     = 40
	MaxPlace     = 60
	MaxPreferred = 1000 // bytes of all of it, encoded: sealed, 1,372 characters of a cookie
)

// ErrTooMuch is the reason why preferences that are each in order are refused together.
var ErrTooMuch = errors.New("this is more than your browser can keep for a site: shorten or remove something")

// Empty reports whether nothing is declared.
func (p *Preferences) Empty() bool { return p.Equal(&Preferences{}) }

// Equal reports whether both declare the same.
func (p *Preferences) Equal(q *Preferences) bool {
	return p.Name == q.Name && p.Theme == q.Theme && p.PageSize == q.PageSize && p.Sort == q.Sort && p.Contact == q.Contact &&
		p.Place == q.Place && slices.Equal(p.Filters, q.Filters) && slices.Equal(p.Muted, q.Muted)
}

// A FieldError is a reason why a preference was refused.
type FieldError struct {
	Field  string // "name", "theme", "page-size", "sort", "filters", "muted", "contact", "place"; "" for all together
	Reason error
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Reason.Error()
	}
	return e.Field + ": " + e.Reason.Error()
}

func (e *FieldError) Unwrap() error { return e.Reason }

// Check cleans p in place: white space is folded, filters and topics are
// sorted and each kept once, degrees are rounded. The first thing that cannot be
// kept is refused with a [FieldError].
func (p *Preferences) Check() error {
	if err := p.checkFields(); err != nil {
		return err
	}
	if len(p.Encode()) > MaxPreferred {
		return &FieldError{"", ErrTooMuch}
	}
	return nil
}

func (p *Preferences) checkFields() error {
	for _, f := range [...]struct {
		name  string
		check func() error
	}{
		{"name", p.checkName}, {"theme", p.checkTheme}, {"page-size", p.checkPageSize}, {"sort", p.checkSort},
		{"filters", p.checkFilters}, {"muted", p.checkMuted}, {"contact", p.checkContact}, {"place", p.Place.check},
	} {
		if err := f.check(); err != nil {
			return &FieldError{f.name, err}
		}
	}
	return nil
}

func (p *Preferences) checkName() (err error) {
	p.Name, err = ParseName(p.Name)
	return err
}

func (p *Preferences) checkSort() (err error) {
	p.Sort, err = clean("a sort order", p.Sort, MaxSort)
	return err
}

func (p *Preferences) checkTheme() error {
	if p.Theme != "" && !slices.Contains(themes[:], p.Theme) {
		return fmt.Errorf("a theme is light or dark, not %.20q", string(p.Theme))
	}
	return nil
}

func (p *Preferences) checkContact() error {
	if p.Contact != "" && !slices.Contains(frequencies[:], p.Contact) {
		return fmt.Errorf("contact is never, monthly, weekly or daily, not %.20q", string(p.Contact))
	}
	return nil
}

func (p *Preferences) checkPageSize() error {
	if p.PageSize < 0 || p.PageSize > MaxPageSize {
		return fmt.Errorf("a page has 1 to %d items", MaxPageSize)
	}
	return nil
}

func (p *Preferences) checkFilters() error {
	if len(p.Filters) > MaxFilters {
		return fmt.Errorf("at most %d filters are kept", MaxFilters)
	}
	out := make([]Filter, 0, len(p.Filters))
	for _, f := range p.Filters {
		name, err := clean("a filter's name", f.Name, MaxFilter)
		if err != nil {
			return err
		}
		value, err := clean("a filter's value", f.Value, MaxFilter)
		if err != nil {
			return err
		}
		if name == "" && value == "" {
			continue
		}
		if name == "" || strings.ContainsAny(name, "=:") {
			return errors.New("a filter is written as name: value")
		}
		out = append(out, Filter{name, value})
	}
	slices.SortStableFunc(out, func(a, b Filter) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			return fmt.Errorf("the filter %q is there twice", out[i].Name)
		}
	}
	p.Filters = none(out)
	return nil
}

func (p *Preferences) checkMuted() error {
	if len(p.Muted) > MaxMuted {
		return fmt.Errorf("at most %d topics are muted", MaxMuted)
	}
	out := make([]string, 0, len(p.Muted))
	for _, s := range p.Muted {
		s, err := clean("a topic", s, MaxTopic)
		if err != nil {
			return err
		}
		if s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	p.Muted = none(slices.Compact(out))
	return nil
}

// none returns nil for what is empty, so that there is one form of it.
func none[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func (p *Place) check() (err error) {
	switch p.Mode {
	case PlaceAutomatic:
		*p = Place{}
		return nil
	case PlaceChosen:
		if p.Name, err = clean("a place's name", p.Name, MaxPlace); err != nil {
			return err
		}
		if p.Name == "" && !p.Located {
			return errors.New("say which place: a name, or latitude and longitude")
		}
	case PlaceExact:
		p.Name = ""
		if !p.Located {
			return errors.New("an exact place has latitude and longitude")
		}
	default:
		return errors.New("a place is automatic, chosen or exact")
	}
	if !p.Located {
		p.Lat, p.Lon = 0, 0
		return nil
	}
	if !(p.Lat >= -90 && p.Lat <= 90) || !(p.Lon >= -180 && p.Lon <= 180) { // so that NaN is refused
		return errors.New("latitude is from -90 to 90 degrees, longitude from -180 to 180")
	}
	p.Lat, p.Lon = degrees(units(p.Lat)), degrees(units(p.Lon))
	return nil
}

// Coordinates are kept in units of a ten-thousandth of a degree.
func units(deg float64) int64      { return int64(math.Round(deg * 1e4)) }
func degrees(n int64) float64      { return float64(n) / 1e4 }
func degreesText(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }

// Coordinates returns the place as "lat, lon" in degrees, "" if it has none.
func (p *Place) Coordinates() string {
	if !p.Located {
		return ""
	}
	return degreesText(p.Lat) + ", " + degreesText(p.Lon)
}

// ParsePlace reads a place that a visitor typed: two numbers are latitude and
// longitude in degrees, anything else is a name.
func ParsePlace(s string) (Place, error) {
	p := Place{Mode: PlaceChosen, Name: s}
	if lat, lon, ok := strings.Cut(s, ","); ok {
		x, err1 := strconv.ParseFloat(strings.TrimSpace(lat), 64)
		y, err2 := strconv.ParseFloat(strings.TrimSpace(lon), 64)
		if err1 == nil && err2 == nil {
			p = Place{Mode: PlaceChosen, Located: true, Lat: x, Lon: y}
		}
	}
	err := p.check()
	return p, err
}

// Value returns a preference by the name that policies read it by
// (preference.NAME), and whether it is declared: name, theme, page-size, sort,
// filters (a line "name=value" each), filter.NAME, muted (a line each), contact,
// and of a chosen place place, lat and lon. An exact place is none: it was given
// for a purpose, and is read where that is checked.
func (p *Preferences) Value(name string) (string, bool) {
	var v string
	switch name {
	case "name":
		v = p.Name
	case "theme":
		v = string(p.Theme)
	case "page-size":
		if p.PageSize > 0 {
			v = strconv.Itoa(p.PageSize)
		}
	case "sort":
		v = p.Sort
	case "filters":
		for i, f := range p.Filters {
			if i > 0 {
				v += "\n"
			}
			v += f.Name + "=" + f.Value
		}
	case "muted":
		v = strings.Join(p.Muted, "\n")
	case "contact":
		v = string(p.Contact)
	case "place", "lat", "lon":
		v = p.Place.value(name)
	default:
		if key, ok := strings.CutPrefix(name, "filter."); ok {
			for _, f := range p.Filters {
				if f.Name == key {
					v = f.Value
				}
			}
		}
	}
	return v, v != ""
}

func (p *Place) value(name string) string {
	switch {
	case p.Mode != PlaceChosen:
		return ""
	case name == "place":
		return p.Name
	case !p.Located:
		return ""
	case name == "lat":
		return degreesText(p.Lat)
	}
	return degreesText(p.Lon)
}

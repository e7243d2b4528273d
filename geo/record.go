package geo

import (
	"strings"
	"unicode/utf8"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// A record is what both schemas are read into. Its two wrappers decode only the
// fields that a Place has. That is why geoip2-golang, whose City decodes some
// forty fields and eight languages, is the tests' oracle here and not the
// reader: see BenchmarkLookup and BenchmarkGeoIP2.
type record struct {
	continent, country, region, regionName, city, zone string
	lat, lon                                           float64
	places                                             bool // a field of the schema was there
}

// Bounds of one record. A file beyond them is damaged or hostile.
const (
	maxFields   = 128
	maxRegions  = 32
	maxText     = 256 // bytes of one string
	maxZoneName = 64
)

// maxmindRecord decodes the schema of MaxMind's City, Country and Enterprise
// (https://dev.maxmind.com/geoip/docs/databases/city-and-country).
type maxmindRecord struct{ record }

// flatRecord decodes the schema of the ip-location-db packages: country_code,
// state1, state2, city, postcode, latitude, longitude, timezone.
type flatRecord struct{ record }

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (r *maxmindRecord) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return fields(c, func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch string(key) {
		case "continent":
			r.places = true
			return textField(v, "code", &r.continent)
		case "country":
			r.places = true
			return textField(v, "iso_code", &r.country)
		case "subdivisions":
			return r.regions(v)
		case "city":
			return named(v, nil, &r.city)
		case "location":
			return r.location(v)
		}
		return v.Skip()
	})
}

// regions reads the first subdivision, which is the largest.
func (r *maxmindRecord) regions(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	list, err := c.SliceMaxSize(maxRegions)
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	var next mmdbdata.Cursor
	for {
		i, v, ok := list.Next(next)
		if !ok {
			return list.End()
		}
		if i == 0 {
			next, err = named(v, &r.region, &r.regionName)
		} else {
			next, err = v.Skip()
		}
		if err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
}

func (r *maxmindRecord) location(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return fields(c, func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch string(key) {
		case "latitude":
			return number(v, &r.lat)
		case "longitude":
			return number(v, &r.lon)
		case "time_zone":
			return text(v, &r.zone)
		}
		return v.Skip()
	})
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (r *flatRecord) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	return fields(c, func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch string(key) {
		case "country_code":
			r.places = true
			return text(v, &r.country)
		case "state1":
			return text(v, &r.regionName)
		case "city":
			return text(v, &r.city)
		case "latitude":
			return number(v, &r.lat)
		case "longitude":
			return number(v, &r.lon)
		case "timezone":
			return text(v, &r.zone)
		}
		return v.Skip()
	})
}

// fields calls f for each field of the map at c.
func fields(c mmdbdata.Cursor, f func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	m, err := c.Map()
	if err != nil {
		return mmdbdata.Cursor{}, err
	}
	if m.Size() > maxFields {
		return mmdbdata.Cursor{}, mmdbdata.NewInvalidDatabaseError("a map of %d fields, at most %d are allowed", m.Size(), maxFields)
	}
	var next mmdbdata.Cursor
	for {
		key, v, ok := m.Next(next)
		if !ok {
			return m.End()
		}
		if next, err = f(key, v); err != nil {
			return mmdbdata.Cursor{}, err
		}
	}
}

// named reads iso_code and the English name of a thing; code may be nil.
func named(c mmdbdata.Cursor, code, name *string) (mmdbdata.Cursor, error) {
	return fields(c, func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch {
		case string(key) == "iso_code" && code != nil:
			return text(v, code)
		case string(key) == "names":
			return textField(v, "en", name)
		}
		return v.Skip()
	})
}

// textField reads one string field of the map at c.
func textField(c mmdbdata.Cursor, field string, to *string) (mmdbdata.Cursor, error) {
	return fields(c, func(key []byte, v mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		if string(key) == field {
			return text(v, to)
		}
		return v.Skip()
	})
}

func text(c mmdbdata.Cursor, to *string) (next mmdbdata.Cursor, err error) {
	*to, next, err = c.ReadStringMaxSize(maxText)
	return next, err
}

func number(c mmdbdata.Cursor, to *float64) (next mmdbdata.Cursor, err error) {
	*to, next, err = c.ReadFloat()
	return next, err
}

// place turns a record into a Place, leaving out whatever is malformed.
func (r *record) place() Place {
	p := Place{
		Continent:  code(r.continent, 2, 2),
		Country:    code(r.country, 2, 2),
		RegionName: clean(r.regionName),
		City:       cityName(clean(r.city)),
		TimeZone:   zoneName(r.zone),
	}
	if p.Country != "" {
		if p.Continent == "" {
			p.Continent = continents[p.Country]
		}
		p.Region = code(r.region, 1, 3)
		if p.Region == "" && p.RegionName != "" {
			p.Region = regionCodes[regionKey{p.Country, p.RegionName}]
		}
	}
	// Databases write 0, 0 for "not known"; the point itself is open sea.
	if onEarth(r.lat, r.lon) && (r.lat != 0 || r.lon != 0) {
		p.Lat, p.Lon, p.Located = r.lat, r.lon, true
	}
	p.Precision = p.finest()
	return p
}

// code returns s in upper case if it is least to most ASCII letters and digits,
// else "". Two-letter codes are letters only.
func code(s string, least, most int) string {
	if len(s) < least || len(s) > most {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (most == 2 || c < '0' || c > '9') {
			return ""
		}
	}
	return strings.ToUpper(s) // returns s itself if nothing changes
}

// clean returns s, or "" if it is not plain text.
func clean(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return ""
		}
	}
	return s
}

// cityName drops the district that some databases append in parentheses, as in
// "Berlin (Bezirk Mitte)": a district may be smaller than a cell.
func cityName(s string) string {
	if i := strings.IndexByte(s, '('); i > 0 {
		return strings.TrimRight(s[:i], " ")
	}
	return s
}

// zoneName returns s if it is shaped like an IANA time zone name, else "".
func zoneName(s string) string {
	if len(s) > maxZoneName || strings.HasPrefix(s, "/") || strings.Contains(s, "..") {
		return ""
	}
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '/' && c != '_' && c != '-' && c != '+' {
			return ""
		}
	}
	return s
}

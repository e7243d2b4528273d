package geo

import (
	"strings"
	"unicode/utf8"

	"github.com/oschwald/geoip2-golang/v2"
)

// A flatRecord is a record of the ip-location-db packages, city and country
// alike: https://github.com/sapics/ip-location-db. The bounds are bytes; a
// record beyond them is damaged or hostile.
type flatRecord struct {
	Country    string  `maxminddb:"country_code,maxsize:16"`
	RegionName string  `maxminddb:"state1,maxsize:256"`
	City       string  `maxminddb:"city,maxsize:256"`
	TimeZone   string  `maxminddb:"timezone,maxsize:256"`
	Lat        float64 `maxminddb:"latitude"`
	Lon        float64 `maxminddb:"longitude"`
}

const (
	maxText     = 256 // bytes of a name
	maxZoneName = 64
)

// flatPlace turns a record into a Place, leaving out whatever is malformed.
func flatPlace(r *flatRecord) Place {
	return place(Place{
		Country: r.Country, RegionName: r.RegionName, City: r.City, TimeZone: r.TimeZone, Lat: r.Lat, Lon: r.Lon,
	})
}

// cityPlace does the same for a record in MaxMind's schema, of a City, Country
// or Enterprise database. The first subdivision is the largest. The country
// where an address is registered says nothing about where it is used.
func cityPlace(r *geoip2.City) Place {
	p := Place{
		Continent: r.Continent.Code,
		Country:   r.Country.ISOCode,
		City:      r.City.Names.English,
		TimeZone:  r.Location.TimeZone,
	}
	if len(r.Subdivisions) > 0 {
		p.Region, p.RegionName = r.Subdivisions[0].ISOCode, r.Subdivisions[0].Names.English
	}
	if r.Location.HasCoordinates() {
		p.Lat, p.Lon = *r.Location.Latitude, *r.Location.Longitude
	}
	return place(p)
}

// place leaves out whatever of a raw place is malformed and completes the rest.
func place(raw Place) Place {
	p := Place{
		Continent:  code(raw.Continent, 2, 2),
		Country:    code(raw.Country, 2, 2),
		RegionName: clean(raw.RegionName),
		City:       cityName(clean(raw.City)),
		TimeZone:   zoneName(raw.TimeZone),
	}
	if p.Country != "" {
		if p.Continent == "" {
			p.Continent = continents[p.Country]
		}
		p.Region = code(raw.Region, 1, 3)
		if p.Region == "" && p.RegionName != "" {
			p.Region = regionCodes[regionKey{p.Country, p.RegionName}]
		}
	}
	// Databases write 0, 0 for "not known"; the point itself is open sea.
	if onEarth(raw.Lat, raw.Lon) && (raw.Lat != 0 || raw.Lon != 0) {
		p.Lat, p.Lon, p.Located = raw.Lat, raw.Lon, true
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

// clean returns s, or "" if it is not plain text of a bearable length.
func clean(s string) string {
	if len(s) > maxText || !utf8.ValidString(s) {
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

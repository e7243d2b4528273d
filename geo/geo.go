// Package geo turns a client address into a place, no more precisely than it
// is asked to, and a place into the jurisdiction whose default applies there.
//
// Call [Open] first, then [DB.Lookup] per request and [Place.At] before the
// place goes anywhere. [JurisdictionOf] needs no database. The package reads
// files that the operator names; it never opens a connection, never keeps an
// address, and never guesses: what the database does not say stays unknown.
package geo

import (
	"math"

	"bespoke/modules/abi"
)

// A Precision says how much a place still tells. The zero value tells nothing.
type Precision uint8

const (
	None    Precision = iota // nothing
	Country                  // continent and country
	Region                   // and region and time zone
	Cell                     // and city, and the centre of a cell of at least 5 km radius
	Exact                    // and the coordinates as they were found
)

func (p Precision) String() string {
	switch p {
	case None:
		return "none"
	case Country:
		return "country"
	case Region:
		return "region"
	case Cell:
		return "cell"
	case Exact:
		return "exact"
	}
	return "unknown"
}

// A Place is where a visitor seems to be. It is a value: copies share nothing
// that can change. The zero Place is the unknown place.
type Place struct {
	Continent  string // "EU"; one of AF AN AS EU NA OC SA
	Country    string // ISO 3166-1 alpha-2, "DE"; XK for Kosovo
	Region     string // ISO 3166-2 without the country, "CA"
	RegionName string // "California"
	City       string
	TimeZone   string  // IANA, "Europe/Berlin"; "" unknown
	Lat, Lon   float64 // degrees, WGS 84; meaningful if Located
	Located    bool

	// Precision is what this value still holds at most. Whoever makes a Place
	// by hand sets it too: At drops what lies beyond it.
	Precision Precision
}

// At returns p with everything finer than max taken away. It never raises
// precision, and At(max).At(max) equals At(max).
func (p Place) At(max Precision) Place {
	limit := min(p.Precision, max)
	if limit < Exact {
		p.Lat, p.Lon, p.Located = snap(p.Lat, p.Lon, p.Located && limit == Cell)
	}
	if limit < Cell {
		p.City = ""
	}
	if limit < Region {
		p.Region, p.RegionName, p.TimeZone = "", "", ""
	}
	if limit < Country {
		return Place{}
	}
	p.Precision = limit
	return p
}

// finest returns the precision that p's fields amount to.
func (p *Place) finest() Precision {
	switch {
	case p.Located:
		return Exact
	case p.City != "":
		return Cell
	case p.Region != "" || p.RegionName != "" || p.TimeZone != "":
		return Region
	case p.Country != "" || p.Continent != "":
		return Country
	}
	return None
}

// Distance returns the great-circle distance in kilometres between two points
// in degrees, as the policy contract defines it.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	return abi.Distance(lat1, lon1, lat2, lon2)
}

// onEarth reports whether the coordinates are finite and within their ranges.
func onEarth(lat, lon float64) bool {
	return math.Abs(lat) <= 90 && math.Abs(lon) <= 180 // false for NaN
}

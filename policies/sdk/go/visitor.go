//go:build wasip1

package bespoke

import (
	"strconv"
	"strings"
)

// A Visitor answers what the policy may know in this exchange. Each method
// reads no more than its doc says, so that a result can be reused for every
// visitor for whom the same was read.
type Visitor struct{}

// Read returns the value of a key of ABI.md; ok is false if it is absent,
// which is also how a key looks that the visitor did not grant or that the
// manifest does not declare.
func (Visitor) Read(key string) (value string, ok bool) { return read(key) }

// read returns the value of a key, "" if it is absent.
func (Visitor) read(key string) string {
	value, _ := read(key)
	return value
}

// Policy returns the name under which the route uses this policy (config.policy).
func (v Visitor) Policy() string { return v.read("config.policy") }

// Config returns what the route's configuration gives this policy under the name.
// A list has one item a line.
func (v Visitor) Config(name string) (string, bool) { return read(join("config.", name)) }

// Granted reports whether the visitor granted the purpose: "localize",
// "locate", "personalize", "advertise" or "measure".
func (v Visitor) Granted(purpose string) bool { return v.read(join("consent.", purpose)) == "granted" }

// Method returns the request's method, "GET" for instance (request.method).
func (v Visitor) Method() string { return v.read("request.method") }

// Path returns the path of the request's URL (request.path).
func (v Visitor) Path() string { return v.read("request.path") }

// Query returns a parameter of the request's URL (request.query.NAME).
func (v Visitor) Query(name string) (string, bool) { return read(join("request.query.", name)) }

// Header returns a header of the request; ABI.md lists which there are
// (request.header.NAME, in lower case).
func (v Visitor) Header(name string) (string, bool) { return read(join("request.header.", name)) }

// Name returns the name that the visitor gave, "" if none (preference.name).
func (v Visitor) Name() string { return v.read("preference.name") }

// Preference returns what the visitor set (preference.NAME).
func (v Visitor) Preference(name string) (string, bool) { return read(join("preference.", name)) }

// Affinity returns what the visitor seems to like of an attribute of the
// catalogue: lines of a value, a tab and its weight, the largest first
// (profile.affinity.ATTR). It is for [Likes].
func (v Visitor) Affinity(attr string) string { return v.read(join("profile.affinity.", attr)) }

// Recommend returns the items of a band, with parameters such as "n=8" or
// "item=7&n=8" (recommend.BAND?PARAMETERS).
func (v Visitor) Recommend(band, parameters string) Band {
	if parameters == "" {
		return Band(v.read(join("recommend.", band)))
	}
	return Band(v.read(join("recommend.", band, "?", parameters)))
}

// Country returns the country's ISO 3166-1 code, "" if unknown (geo.country).
func (v Visitor) Country() string { return v.read("geo.country") }

// City returns the city's name, "" if unknown (geo.city).
func (v Visitor) City() string { return v.read("geo.city") }

// Hour returns the hour, 0 to 23, in the site's zone, or in the visitor's where
// they granted their place; -1 if the manifest does not declare it (time.hour).
func (v Visitor) Hour() int {
	hour, err := strconv.Atoi(v.read("time.hour"))
	if err != nil {
		return -1
	}
	return hour
}

// Find returns the text of each element of the origin's page that matches
// (page.SELECTOR).
func (v Visitor) Find(selector string) []string {
	var found []string
	for text := range strings.Lines(v.read(join("page.", selector))) {
		found = append(found, strings.TrimSuffix(text, "\n"))
	}
	return found
}

// A Place is a point on the Earth. The zero Place is nowhere, and rules about
// it do nothing.
type Place struct{ lat, lon string } // as the host writes them; "" both or none

// At returns the place of these degrees, nowhere if there are no such.
func At(lat, lon float64) Place {
	if !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
		return Place{}
	}
	return Place{ftoa(lat), ftoa(lon)}
}

// Known reports whether it is a place at all.
func (p Place) Known() bool { return p.lat != "" }

// Degrees returns the place's latitude and longitude, zeros if it is nowhere.
func (p Place) Degrees() (lat, lon float64) {
	lat, _ = strconv.ParseFloat(p.lat, 64)
	lon, _ = strconv.ParseFloat(p.lon, 64)
	return lat, lon
}

// Place returns where the visitor is, as exactly as granted (geo.lat, geo.lon).
func (v Visitor) Place() Place {
	lat, lon := v.read("geo.lat"), v.read("geo.lon")
	if !degrees(lat, 90) || !degrees(lon, 180) {
		return Place{}
	}
	return Place{lat, lon}
}

// degrees reports whether s is a decimal number from -limit to limit. Parsing
// it would cost more than a run has otherwise.
func degrees(s string, limit int) bool {
	s = strings.TrimPrefix(s, "-")
	whole, part := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && !part && i > 0:
			part = true
		case c < '0' || c > '9' || whole > limit:
			return false
		case !part:
			whole = 10*whole + int(c-'0')
		case whole == limit && c != '0':
			return false
		}
	}
	return s != "" && whole <= limit
}

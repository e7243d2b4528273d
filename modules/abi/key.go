package abi

import "strings"

// A Purpose is something that a visitor can grant or deny. The host grants
// data by purpose; see [Class.Needs].
type Purpose uint8

const (
	Localize    Purpose = iota // coarse and cell place
	Locate                     // exact place, from the browser
	Personalize                // the inferred profile
	Advertise                  // interests, in an ad slot
	Measure                    // aggregates

	// Purposes is how many purposes there are.
	Purposes = 5
)

var purposeNames = [Purposes]string{"localize", "locate", "personalize", "advertise", "measure"}

func (p Purpose) String() string {
	if p < Purposes {
		return purposeNames[p]
	}
	return ""
}

// ParsePurpose returns the purpose of that name.
func ParsePurpose(name string) (Purpose, bool) {
	for p, n := range purposeNames {
		if n == name {
			return Purpose(p), true
		}
	}
	return 0, false
}

// A Class says what kind of datum a key names, and so what reading it needs.
type Class uint8

const (
	Unknown     Class = iota // no key of this version
	Public                   // about the request or the site, not the person
	Declared                 // the visitor set it for this
	PlaceCoarse              // continent, country, region, time zone
	PlaceCell                // city, a cell of at least 5 km radius, and what is told from it
	Inferred                 // from behaviour
	Interests                // from behaviour, in an ad slot
)

func (c Class) String() string {
	switch c {
	case Public:
		return "public"
	case Declared:
		return "declared"
	case PlaceCoarse:
		return "place-coarse"
	case PlaceCell:
		return "place-cell"
	case Inferred:
		return "inferred"
	case Interests:
		return "interests"
	}
	return "unknown"
}

// Needs returns the purpose that reading a key of class c needs; ok is false
// if it needs none. With Locate granted, PlaceCell keys hold the exact place.
func (c Class) Needs() (p Purpose, ok bool) {
	switch c {
	case PlaceCoarse, PlaceCell:
		return Localize, true
	case Inferred:
		return Personalize, true
	case Interests:
		return Advertise, true
	}
	return 0, false
}

// Families of keys: a prefix, then a name that the key's user chooses.
const (
	KeyRequestQuery  = "request.query."
	KeyRequestHeader = "request.header."
	KeyConfig        = "config."
	KeyConsent       = "consent."
	KeyPage          = "page."
	KeyPreference    = "preference."
	KeyRecommend     = "recommend."
	KeyExperiment    = "experiment."
	keyAffinity      = "profile.affinity."
)

// KeyConfigPolicy holds the name under which a route uses the policy, so that
// one module may carry several.
const KeyConfigPolicy = "config.policy"

// ReadableHeaders are the request headers that request.header.NAME may name.
// None of them identifies a visitor by itself; a cookie or an address never will be here.
var ReadableHeaders = []string{"accept", "accept-language", "content-type", "sec-gpc"}

// Classify returns the class of a key, Unknown if there is no such key.
func Classify(key string) Class {
	switch key {
	case "request.method", "request.path",
		"time.hour", "time.weekday", "time.date", "time.now":
		return Public
	case "geo.continent", "geo.country", "geo.region", "geo.timezone":
		return PlaceCoarse
	case "geo.city", "geo.lat", "geo.lon", "geo.fences":
		return PlaceCell
	case "profile.recent", "profile.purchases", "profile.persona", "profile.engagement":
		return Inferred
	case "profile.interests":
		return Interests
	}
	switch {
	case named(key, KeyRequestQuery), named(key, KeyConfig), named(key, KeyPage):
		return Public
	case named(key, KeyRequestHeader):
		for _, h := range ReadableHeaders {
			if key[len(KeyRequestHeader):] == h {
				return Public
			}
		}
	case named(key, KeyConsent):
		if _, ok := ParsePurpose(key[len(KeyConsent):]); ok {
			return Public
		}
	case named(key, KeyPreference):
		return Declared
	case named(key, keyAffinity), named(key, KeyExperiment):
		return Inferred
	case named(key, KeyRecommend):
		name, _, _ := strings.Cut(key[len(KeyRecommend):], "?")
		switch name {
		case "best-sellers", "trending", "deals", "bought-together", "similar":
			return Public
		case "recently-viewed", "for-you", "next":
			return Inferred
		}
	}
	return Unknown
}

func named(key, prefix string) bool {
	return len(key) > len(prefix) && key[:len(prefix)] == prefix
}

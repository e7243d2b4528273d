package abi

import "math"

// EarthRadius is the mean radius of the Earth in kilometres (IUGG, R1), on
// which every distance of this ABI is reckoned.
const EarthRadius = 6371.0088

// Distance returns the great-circle distance in kilometres between two points
// given in degrees, by the haversine formula. It is part of the contract, so
// that order and keep give the same result under every host.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	return From(lat1, lon1).Distance(lat2, lon2)
}

// A Center is a point from which the distances of many others are asked.
type Center struct{ lat, lon, cos float64 }

// From returns the center at a point given in degrees.
func From(lat, lon float64) Center { return Center{lat, lon, math.Cos(lat * rad)} }

const rad = math.Pi / 180

// Distance is the function [Distance], to a point given in degrees.
func (c Center) Distance(lat, lon float64) float64 {
	s := math.Sin((lat - c.lat) * rad / 2)
	t := math.Sin((lon - c.lon) * rad / 2)
	h := s*s + c.cos*math.Cos(lat*rad)*t*t
	return 2 * EarthRadius * math.Asin(math.Sqrt(min(1, h)))
}

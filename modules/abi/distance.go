package abi

import "math"

// EarthRadius is the mean radius of the Earth in kilometres (IUGG, R1), on
// which every distance of this ABI is reckoned.
const EarthRadius = 6371.0088

// Distance returns the great-circle distance in kilometres between two points
// given in degrees, by the haversine formula. It is part of the contract, so
// that order and keep give the same result under every host.
func Distance(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	s := math.Sin((lat2 - lat1) * rad / 2)
	t := math.Sin((lon2 - lon1) * rad / 2)
	h := s*s + math.Cos(lat1*rad)*math.Cos(lat2*rad)*t*t
	return 2 * EarthRadius * math.Asin(math.Sqrt(min(1, h)))
}

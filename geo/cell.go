package geo

import (
	"math"

	"bespoke/modules/abi"
)

// The Earth is cut into bands of a tenth of a degree of latitude (11.1 km), and
// each band into cells of equal width, as many as leave every cell an in-radius
// of at least cellRadius. The two bands that touch a pole are one cell each,
// a cap centred on the pole. Bands and cells are counted from 90° S and 180° W,
// so no cell lies across the date line; 180° E is 180° W.
//
// In-radius is the distance from the cell's centre to the nearest point of its
// border. To the parallels above and below, that is half a band: 5.56 km. To
// the meridians left and right, seen from latitude φ at half a width w, it is
// asin(cos φ · sin w) on the unit sphere; cells solves that for w.
const (
	bandsPerDegree = 10
	bands          = 180 * bandsPerDegree
	cellRadius     = 5.5 // km; the promise is 5, the rest is margin for rounding
)

// cells returns how many cells the band has; band counts from the south pole.
func cells(band int) int {
	if band == 0 || band == bands-1 {
		return 1
	}
	lat := bandCentre(band) * math.Pi / 180
	w := math.Asin(math.Sin(cellRadius/abi.EarthRadius) / math.Cos(lat))
	return int(math.Pi / w)
}

// bandCentre returns the latitude of the band's middle parallel, in degrees.
func bandCentre(band int) float64 {
	// One division of whole numbers, so that 37.75 is exactly 37.75.
	return float64(2*band+1-bands) / (2 * bandsPerDegree)
}

// cellOf returns the band and the number of the cell that holds a point on Earth.
func cellOf(lat, lon float64) (band, cell int) {
	band = min(bands-1, int((lat+90)*bandsPerDegree))
	n := cells(band)
	if lon >= 180 {
		lon -= 360
	}
	return band, min(n-1, int((lon+180)/360*float64(n)))
}

// centre returns the centre of a cell, in degrees.
func centre(band, cell int) (lat, lon float64) {
	switch band {
	case 0:
		return -90, 0
	case bands - 1:
		return 90, 0
	}
	return bandCentre(band), -180 + 360*(float64(cell)+0.5)/float64(cells(band))
}

// snap returns the centre of the cell that holds the point, or nothing if the
// point is not located or lies nowhere on Earth.
func snap(lat, lon float64, located bool) (float64, float64, bool) {
	if !located || !onEarth(lat, lon) {
		return 0, 0, false
	}
	lat, lon = centre(cellOf(lat, lon))
	return lat, lon, true
}

package geo

import "slices"

// A ring is a closed line of straight edges in the plane of longitude and
// latitude, as RFC 7946, section 3.1.1, reads them. Where it crosses itself, what
// it holds is what a ray out of it crosses an odd number of times.
type ring struct {
	bounds box
	// The corners' latitudes apart from their longitudes, which are seldom wanted.
	// The last corner is the first.
	lats, lons []float64
	// spans[0] are the latitudes of each fan edges, the ones above of each fan
	// spans: edges that follow each other are near each other, so that a point
	// meets few of them however many there are. Short rings have none.
	spans [][]span
}

type span struct{ south, north float64 }

// shortRing is how many edges are looked at one after the other in less time than
// it takes to fetch what tells which of them matter.
const shortRing = 8 * fan

func newRing(corners []position) ring {
	r := ring{bounds: nowhere, lats: make([]float64, len(corners)), lons: make([]float64, len(corners))}
	edges := make([]span, 0, len(corners)-1)
	for i, p := range corners {
		r.bounds.join(box{p.lat, p.lon, p.lat, p.lon})
		r.lats[i], r.lons[i] = p.lat, p.lon
		if i > 0 {
			q := corners[i-1]
			edges = append(edges, span{min(p.lat, q.lat), max(p.lat, q.lat)})
		}
	}
	for len(edges) > fan && len(corners) > shortRing {
		var up []span
		for part := range slices.Chunk(edges, fan) {
			s := part[0]
			for _, e := range part[1:] {
				s.south, s.north = min(s.south, e.south), max(s.north, e.north)
			}
			up = append(up, s)
		}
		r.spans = append(r.spans, up)
		edges = up
	}
	return r
}

// holds reports whether a point of the ring's box is in the ring.
func (r *ring) holds(lat, lon float64) bool {
	if len(r.spans) == 0 {
		return r.crossings(0, len(r.lats)-1, lat, lon)
	}
	return r.below(len(r.spans)-1, 0, len(r.spans[len(r.spans)-1]), lat, lon)
}

// below reports whether a ray from the point to the east crosses an odd number
// of the edges under the spans from i to end of a level.
func (r *ring) below(level, i, end int, lat, lon float64) (odd bool) {
	for ; i < end; i++ {
		s := r.spans[level][i]
		if lat < s.south || lat >= s.north {
			continue
		}
		if level > 0 {
			odd = odd != r.below(level-1, i*fan, min((i+1)*fan, len(r.spans[level-1])), lat, lon)
		} else {
			odd = odd != r.crossings(i*fan, min((i+1)*fan, len(r.lats)-1), lat, lon)
		}
	}
	return odd
}

// crossings does the same for the edges from i to end. An edge has its southern
// end and not its northern one, so that a ray through a corner crosses once.
func (r *ring) crossings(i, end int, lat, lon float64) (odd bool) {
	above := r.lats[i] > lat
	for j := i + 1; j <= end; j++ {
		now := r.lats[j] > lat
		if now == above {
			continue
		}
		above = now
		a, b := j-1, j
		if lon < r.lons[a]+(lat-r.lats[a])/(r.lats[b]-r.lats[a])*(r.lons[b]-r.lons[a]) {
			odd = !odd
		}
	}
	return odd
}

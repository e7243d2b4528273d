package geo

import (
	"math"
	"slices"

	"bespoke/modules/abi"
)

// Fences are areas that a site has named: circles and polygons. [ParseFences]
// reads them. They never change, and may be asked by many at once.
type Fences struct {
	names  []string
	shapes []shape
	tree   boxes
}

// A shape is one circle or one polygon of a fence.
type shape struct {
	fence int32 // number of its name

	outline ring // of a polygon; a circle has none
	holes   []ring

	lat, lon, radius float64 // of a circle: degrees, degrees, kilometres
}

// Names returns the names of all fences, in the order of their first areas. The
// slice is not to be changed.
func (f *Fences) Names() []string { return f.names }

// Append appends to dst the names of the fences that hold a point, in the order
// of Names, each once. A point that is nowhere on Earth is in none. It takes no
// memory but dst's, unless the point is in more than 32 areas.
//
// An outline belongs to its fence to the south and to the west, so that of two
// fences that touch a point is in one. Nil Fences hold nothing.
func (f *Fences) Append(dst []string, lat, lon float64) []string {
	if f == nil || !onEarth(lat, lon) {
		return dst
	}
	// 180° E is 180° W; and the north pole is just below itself, or no polygon
	// that reaches it would have it.
	if lon >= 180 {
		lon -= 360
	}
	lat = min(lat, math.Nextafter(90, 0))
	var buf [32]int32
	found := f.search(buf[:0], len(f.tree.levels)-1, 0, lat, lon)
	slices.Sort(found)
	for i, n := range found {
		if i == 0 || n != found[i-1] {
			dst = append(dst, f.names[n])
		}
	}
	return dst
}

// search appends the fences below a node of the tree. Its depth is that of the
// tree: at most 5 for the boxes that there can be.
func (f *Fences) search(found []int32, level, node int, lat, lon float64) []int32 {
	if level < 0 {
		return found
	}
	all := f.tree.levels[level]
	for i := node * fan; i < min((node+1)*fan, len(all)); i++ {
		if !all[i].holds(lat, lon) {
			continue
		}
		if level > 0 {
			found = f.search(found, level-1, i, lat, lon)
			continue
		}
		e := &f.tree.entries[i]
		s := &f.shapes[e.shape]
		if s.holds(lat, lon-e.shift) {
			found = append(found, s.fence)
		}
	}
	return found
}

// holds reports whether a point of the shape's box is in the shape.
func (s *shape) holds(lat, lon float64) bool {
	if s.outline.lats == nil {
		return abi.Distance(lat, lon, s.lat, s.lon) <= s.radius
	}
	if !s.outline.holds(lat, lon) {
		return false
	}
	for i := range s.holes {
		if h := &s.holes[i]; h.bounds.holds(lat, lon) && h.holds(lat, lon) {
			return false
		}
	}
	return true
}

// A box is bounds in degrees: from south and west on, up to north and east.
type box struct{ south, west, north, east float64 }

func (b *box) holds(lat, lon float64) bool {
	return lat >= b.south && lat <= b.north && lon >= b.west && lon <= b.east
}

func (b *box) join(o box) {
	b.south, b.west = min(b.south, o.south), min(b.west, o.west)
	b.north, b.east = max(b.north, o.north), max(b.east, o.east)
}

// nowhere is the box that any box enlarges.
var nowhere = box{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}

// bounds returns the box of a shape. Its longitudes may lie beyond 180°.
func (s *shape) bounds() box {
	if s.outline.lats != nil {
		return s.outline.bounds
	}
	// The farthest east and west that a circle on a sphere reaches is where
	// meridians touch it; one that holds a pole reaches all of them. What
	// rounding may do is far below the margin, a hundred-millionth of a degree.
	const margin = 1e-8
	angle := s.radius / abi.EarthRadius
	up := angle*180/math.Pi + margin
	b := box{s.lat - up, -180, s.lat + up, 180}
	if b.south > -90 && b.north < 90 {
		side := math.Asin(min(1, math.Sin(angle)/math.Cos(s.lat*math.Pi/180)))*180/math.Pi + margin
		b.west, b.east = s.lon-side, s.lon+side
	}
	return b
}

// fan is how many boxes a node of the tree has.
const fan = 16

// boxes is a packed R-tree, made once: levels[0] are the boxes of the entries,
// and each box of a level above is the bounds of fan boxes of the one below.
// Entries are put in order by "sort, tile, recursive" (Leutenegger, Lopez and
// Edgington, ICDE 1997), so that what is near is in one node.
type boxes struct {
	entries []entry
	levels  [][]box
}

// An entry is a shape, moved east by shift degrees: one that lies across the
// antimeridian has two.
type entry struct {
	shape int32
	shift float64
}

func newBoxes(shapes []shape) boxes {
	type placed struct {
		entry
		box
	}
	var all []placed
	for i := range shapes {
		b := shapes[i].bounds()
		for _, shift := range [...]float64{0, 360, -360} {
			moved := box{b.south, b.west + shift, b.north, b.east + shift}
			if moved.west < 180 && moved.east >= -180 {
				all = append(all, placed{entry{int32(i), shift}, moved})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return order(a.west+a.east, b.west+b.east) })
	nodes := (len(all) + fan - 1) / fan
	strip := fan * max(1, int(math.Ceil(math.Sqrt(float64(nodes)))))
	for part := range slices.Chunk(all, strip) {
		slices.SortStableFunc(part, func(a, b placed) int { return order(a.south+a.north, b.south+b.north) })
	}
	t := boxes{entries: make([]entry, len(all))}
	level := make([]box, len(all))
	for i, p := range all {
		t.entries[i], level[i] = p.entry, p.box
	}
	t.levels = append(t.levels, level)
	for len(level) > fan {
		level = above(level)
		t.levels = append(t.levels, level)
	}
	return t
}

// above returns the bounds of each fan boxes.
func above(level []box) []box {
	var up []box
	for part := range slices.Chunk(level, fan) {
		b := nowhere
		for _, o := range part {
			b.join(o)
		}
		up = append(up, b)
	}
	return up
}

func order(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

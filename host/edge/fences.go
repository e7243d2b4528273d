package edge

import "bespoke/geo"

// fences answers geo.fences: the names of the tenant's fences that hold the place.
// With the purpose localize alone that is the middle of a cell, so that a fence
// smaller than a cell tells no more of the visitor than their cell does.
func (v *view) fences(p *geo.Place) ([]byte, bool) {
	var buf [8]string
	b := v.buf[:0]
	for i, name := range v.x.tenant.fences.Append(buf[:0], p.Lat, p.Lon) {
		if i > 0 {
			b = append(b, '\n')
		}
		b = append(b, name...)
	}
	return b, len(b) > 0
}

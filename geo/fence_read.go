package geo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a file of fences.
const (
	MaxFenceBytes    = 32 << 20 // of the file
	MaxFences        = 10_000   // features
	MaxFenceVertices = 1_000_000
	maxFenceName     = 128 // bytes
	// maxFenceRadius is less than half the way around the Earth, in kilometres.
	maxFenceRadius = 20_000
)

// ParseFences reads a GeoJSON FeatureCollection (RFC 7946). Each feature has the
// property name, and is a Point with the property radius_km, a Polygon or a
// MultiPolygon. Features of one name are one fence. Other properties and members
// are ignored.
//
// An area across the antimeridian is cut in two there, as section 3.1.9 asks, or
// goes on beyond it, to 190°. What jumps from one side to the other (179 to -179)
// is refused: it may mean either of two areas.
//
// An error names the feature, by number from 1 and by name, and what is wrong.
func ParseFences(data []byte) (*Fences, error) {
	if len(data) > MaxFenceBytes {
		return nil, fmt.Errorf("more than %d bytes", MaxFenceBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // RFC 8259, 8.1: parsers may ignore it
	var doc struct {
		Type     string   `json:"type"`
		Features features `json:"features"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, notJSON(data, err)
	}
	switch {
	case doc.Type != "FeatureCollection":
		return nil, fmt.Errorf("found the type %.40q, expected a GeoJSON FeatureCollection", doc.Type)
	case len(doc.Features) == 0:
		return nil, errors.New("found no features, expected at least one")
	case len(doc.Features) > MaxFences:
		return nil, fmt.Errorf("more than %d features", MaxFences)
	}
	p := fenceParser{numbers: map[string]int32{}}
	for i, raw := range doc.Features {
		if name, err := p.feature(raw); err != nil {
			if name != "" {
				return nil, fmt.Errorf("feature %d (%.140q): %w", i+1, name, err)
			}
			return nil, fmt.Errorf("feature %d: %w", i+1, err)
		}
	}
	return &Fences{names: p.names, shapes: p.shapes, tree: newBoxes(p.shapes)}, nil
}

// features are those of a collection, up to the one too many: a list of nothing
// takes a multiple of its bytes in memory.
type features []json.RawMessage

func (f *features) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if b[0] != '[' {
		return &json.UnmarshalTypeError{Value: "something else than a list", Field: "features"}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.Token() // the bracket; b is JSON, or this would not be called
	for d.More() && len(*f) <= MaxFences {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		*f = append(*f, raw)
	}
	return nil
}

// notJSON says where a text stops being what it should be.
func notJSON(data []byte, err error) error {
	var s *json.SyntaxError
	var t *json.UnmarshalTypeError
	switch {
	case errors.As(err, &s):
		at := data[:min(int(s.Offset), len(data))]
		return fmt.Errorf("line %d: not JSON: %w", bytes.Count(at, []byte("\n"))+1, err)
	case errors.As(err, &t) && t.Field != "":
		return fmt.Errorf("%s: found %s, which it cannot be", t.Field, t.Value)
	case errors.As(err, &t):
		return fmt.Errorf("found %s, expected a JSON object", t.Value)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

type fenceParser struct {
	names    []string
	numbers  map[string]int32
	shapes   []shape
	vertices int
}

// feature reads one feature. It returns its name as soon as that is known.
func (p *fenceParser) feature(raw []byte) (name string, err error) {
	var f struct {
		Type       string `json:"type"`
		Properties struct {
			Name   *string          `json:"name"`
			Radius *json.RawMessage `json:"radius_km"`
		} `json:"properties"`
		Geometry *struct {
			Type        string          `json:"type"`
			Coordinates json.RawMessage `json:"coordinates"`
		} `json:"geometry"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return "", notJSON(raw, err)
	}
	if f.Type != "Feature" {
		return "", fmt.Errorf("found the type %.40q, expected Feature", f.Type)
	}
	if f.Properties.Name == nil {
		return "", errors.New("properties.name: missing")
	}
	name = *f.Properties.Name
	if err := checkFenceName(name); err != nil {
		return "", fmt.Errorf("properties.name: %w", err)
	}
	n, ok := p.numbers[name]
	if !ok {
		n = int32(len(p.names))
		p.names, p.numbers[name] = append(p.names, name), n
	}
	const want = "expected a Point with the property radius_km, a Polygon or a MultiPolygon"
	if f.Geometry == nil {
		return name, errors.New("geometry: missing, " + want)
	}
	g := f.Geometry
	if f.Properties.Radius != nil && g.Type != "Point" {
		return name, fmt.Errorf("properties.radius_km: found for a %.40q, expected for a Point alone", g.Type)
	}
	switch g.Type {
	case "Point":
		return name, p.circle(n, g.Coordinates, f.Properties.Radius)
	case "Polygon":
		var rings [][]position
		if err := coordinates(g.Coordinates, &rings, "a Polygon: a list of rings, which are lists of positions"); err != nil {
			return name, err
		}
		return name, p.polygon(n, rings)
	case "MultiPolygon":
		var polygons [][][]position
		if err := coordinates(g.Coordinates, &polygons, "a MultiPolygon: a list of polygons, which are lists of rings, which are lists of positions"); err != nil {
			return name, err
		}
		if len(polygons) == 0 {
			return name, errors.New("geometry: no polygons")
		}
		for i, rings := range polygons {
			if err := p.polygon(n, rings); err != nil {
				return name, fmt.Errorf("polygon %d: %w", i+1, err)
			}
		}
		return name, nil
	}
	return name, fmt.Errorf("geometry: found %.40q, %s", g.Type, want)
}

// checkFenceName refuses what cannot be a line of a list.
func checkFenceName(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("empty")
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("%.140q has space around it", s)
	case len(s) > maxFenceName:
		return fmt.Errorf("%d bytes, at most %d may be", len(s), maxFenceName)
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError):
		return errors.New("not UTF-8")
	}
	for _, c := range s {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return fmt.Errorf("control character %U", c)
		}
	}
	return nil
}

func coordinates(raw json.RawMessage, to any, want string) error {
	if len(raw) == 0 || string(raw) == "null" {
		return errors.New("geometry.coordinates: missing")
	}
	err := json.Unmarshal(raw, to)
	var bad *badPosition
	switch {
	case errors.As(err, &bad):
		return fmt.Errorf("geometry.coordinates: %w", bad)
	case err != nil:
		return fmt.Errorf("geometry.coordinates: not those of %s", want)
	}
	return nil
}

// A position is [longitude, latitude], and perhaps a height, which is ignored.
type position struct{ lon, lat float64 }

type badPosition struct{ text string }

func (b *badPosition) Error() string {
	return fmt.Sprintf("found %.60q, expected a position: [longitude, latitude]", b.text)
}

// UnmarshalJSON is given a whole JSON value.
func (p *position) UnmarshalJSON(b []byte) error {
	bad := &badPosition{string(b[:min(len(b), 60)])}
	if len(b) < 2 || b[0] != '[' {
		return bad
	}
	rest := string(b[1 : len(b)-1])
	var v [4]float64
	n := 0
	for more := true; more; n++ {
		var part string
		if part, rest, more = strings.Cut(rest, ","); n == len(v) {
			return bad
		}
		var err error
		if v[n], err = strconv.ParseFloat(strings.TrimSpace(part), 64); err != nil {
			return bad
		}
	}
	if n < 2 {
		return bad
	}
	p.lon, p.lat = v[0], v[1]
	return nil
}

func (p *fenceParser) circle(fence int32, raw json.RawMessage, radius *json.RawMessage) error {
	var at *position
	if err := coordinates(raw, &at, "a Point: a position, [longitude, latitude]"); err != nil {
		return err
	}
	if !onEarth(at.lat, at.lon) {
		return offEarth(*at)
	}
	if radius == nil {
		return errors.New("properties.radius_km: missing; a Point needs it")
	}
	km, err := strconv.ParseFloat(string(*radius), 64)
	if err != nil || !(km > 0 && km <= maxFenceRadius) {
		return fmt.Errorf("properties.radius_km: found %.40s, expected kilometres above 0, up to %d", *radius, maxFenceRadius)
	}
	if p.vertices++; p.vertices > MaxFenceVertices {
		return errTooManyVertices
	}
	p.shapes = append(p.shapes, shape{fence: fence, lat: at.lat, lon: at.lon, radius: km})
	return nil
}

var errTooManyVertices = fmt.Errorf("with it the file has more than %d positions", MaxFenceVertices)

func offEarth(p position) error {
	hint := ""
	if math.Abs(p.lat) <= 180 && math.Abs(p.lon) <= 90 {
		hint = "; the longitude comes first"
	}
	return fmt.Errorf("[%v, %v] is no place on Earth%s", p.lon, p.lat, hint)
}

func (p *fenceParser) polygon(fence int32, rings [][]position) error {
	if len(rings) == 0 {
		return errors.New("geometry: no rings")
	}
	s := shape{fence: fence}
	for i, r := range rings {
		if p.vertices += len(r); p.vertices > MaxFenceVertices {
			return errTooManyVertices
		}
		if err := checkRing(r); err != nil {
			return fmt.Errorf("ring %d: %w", i+1, err)
		}
		if i == 0 {
			s.outline = newRing(r)
		} else {
			s.holes = append(s.holes, newRing(r))
		}
	}
	p.shapes = append(p.shapes, s)
	return nil
}

// checkRing checks a ring as RFC 7946, section 3.1.6, wants it, but for the
// direction in which it runs: section 3.1.6 itself asks readers not to mind.
func checkRing(r []position) error {
	if len(r) < 4 {
		return fmt.Errorf("%d positions, expected at least 4", len(r))
	}
	if r[0] != r[len(r)-1] {
		return errors.New("not closed: its last position is not its first")
	}
	west, east := math.Inf(1), math.Inf(-1)
	for i, q := range r {
		if !(math.Abs(q.lat) <= 90 && math.Abs(q.lon) <= 360) {
			return fmt.Errorf("position %d: %w", i+1, offEarth(q))
		}
		west, east = min(west, q.lon), max(east, q.lon)
		// Along the antimeridian itself a ring may go all the way round: so do
		// those around a pole.
		if i > 0 && math.Abs(q.lon-r[i-1].lon) > 180 && (math.Abs(q.lon) != 180 || math.Abs(r[i-1].lon) != 180) {
			return fmt.Errorf("position %d: from longitude %v to %v is more than half around the Earth; "+
				"cut the area in two at the antimeridian (RFC 7946, 3.1.9), write what lies beyond as more than 180, or put a position between", i+1, r[i-1].lon, q.lon)
		}
	}
	if east-west > 360 {
		return errors.New("wider than the Earth")
	}
	return nil
}

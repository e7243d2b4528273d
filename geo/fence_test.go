package geo

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// collection makes a file of features.
func collection(features ...string) []byte {
	return []byte(`{"type":"FeatureCollection","features":[` + strings.Join(features, ",\n") + `]}`)
}

func feature(name, geometry, more string) string {
	return fmt.Sprintf(`{"type":"Feature","properties":{"name":%q%s},"geometry":%s}`, name, more, geometry)
}

func circleAt(name string, lat, lon, km float64) string {
	return feature(name, fmt.Sprintf(`{"type":"Point","coordinates":[%v,%v]}`, lon, lat), fmt.Sprintf(`,"radius_km":%v`, km))
}

func polygonOf(name, coordinates string) string {
	return feature(name, `{"type":"Polygon","coordinates":`+coordinates+`}`, "")
}

func parsed(t testing.TB, data []byte) *Fences {
	t.Helper()
	f, err := ParseFences(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFences(t *testing.T) {
	const (
		square = `[[[10,50],[12,50],[12,52],[10,52],[10,50]]]`
		holed  = `[[[10,50],[12,50],[12,52],[10,52],[10,50]],[[10.5,50.5],[10.5,51.5],[11.5,51.5],[11.5,50.5],[10.5,50.5]]]`
		beyond = `[[[170,-20],[190,-20],[190,-10],[170,-10],[170,-20]]]`
		before = `[[[-190,-20],[-170,-20],[-170,-10],[-190,-10],[-190,-20]]]`
		arctic = `[[[-180,80],[-60,80],[60,80],[180,80],[180,90],[-180,90],[-180,80]]]`
		world  = `[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]`
	)
	cut := feature("cut", `{"type":"MultiPolygon","coordinates":[[[[170,-20],[180,-20],[180,-10],[170,-10],[170,-20]]],[[[-180,-20],[-170,-20],[-170,-10],[-180,-10],[-180,-20]]]]}`, "")
	for _, c := range []struct {
		what, feature string
		in, out       [][2]float64 // lat, lon
	}{
		{"a circle", circleAt("x", 52.52, 13.405, 10), [][2]float64{{52.52, 13.405}, {52.6, 13.405}, {52.52, 13.54}}, [][2]float64{{52.62, 13.405}, {52.52, 13.56}, {-52.52, 13.405}}},
		{"a circle over the antimeridian", circleAt("x", 0, 179.9, 100), [][2]float64{{0, 179.5}, {0, -179.5}, {0, 180}, {0, -180}}, [][2]float64{{0, -179}, {0, 179}, {0, 0}}},
		{"a circle over a pole", circleAt("x", 89, 0, 300), [][2]float64{{89, 180}, {90, 0}, {90, 77}, {89, -90}}, [][2]float64{{87, 180}, {86, 0}}},
		{"half the Earth", circleAt("x", 0, 0, 10_000), [][2]float64{{0, 89}, {89, 80}, {-89, -80}}, [][2]float64{{0, 90.5}, {0, 180}}},
		{"a polygon", polygonOf("x", square), [][2]float64{{51, 11}, {50.001, 10.001}, {50, 10}}, [][2]float64{{49.99, 11}, {52.01, 11}, {51, 12.01}, {51, 9.99}, {51, -169}, {52, 12}}},
		{"a polygon, clockwise", polygonOf("x", `[[[10,50],[10,52],[12,52],[12,50],[10,50]]]`), [][2]float64{{51, 11}}, [][2]float64{{51, 13}}},
		{"with heights", polygonOf("x", `[[[10,50,1],[12,50,2],[12,52,3],[10,52,4],[10,50,1]]]`), [][2]float64{{51, 11}}, [][2]float64{{51, 13}}},
		{"a hole", polygonOf("x", holed), [][2]float64{{50.2, 11}, {51, 10.2}}, [][2]float64{{51, 11}}},
		{"cut at the antimeridian", cut, [][2]float64{{-15, 175}, {-15, -175}, {-15, 180}, {-15, -180}}, [][2]float64{{-15, 165}, {-15, -165}, {-15, 0}, {-5, 180}}},
		{"beyond the antimeridian", polygonOf("x", beyond), [][2]float64{{-15, 175}, {-15, -175}, {-15, 180}, {-15, -180}}, [][2]float64{{-15, 165}, {-15, -165}, {-15, 0}}},
		{"and to the west", polygonOf("x", before), [][2]float64{{-15, 175}, {-15, -175}, {-15, 180}, {-15, -180}}, [][2]float64{{-15, 165}, {-15, -165}, {-15, 0}}},
		{"around a pole", polygonOf("x", arctic), [][2]float64{{85, 0}, {85, 179}, {85, -179}, {90, 0}, {85, 180}}, [][2]float64{{79, 0}, {-85, 0}}},
		{"everywhere", polygonOf("x", world), [][2]float64{{0, 0}, {90, 0}, {-90, 0}, {0, 180}, {0, -180}}, [][2]float64{{91, 0}, {math.NaN(), 0}, {0, math.Inf(1)}}},
	} {
		f := parsed(t, collection(c.feature))
		for _, p := range c.in {
			if got := f.Append(nil, p[0], p[1]); len(got) != 1 {
				t.Errorf("%s: %v is in %q", c.what, p, got)
			}
		}
		for _, p := range c.out {
			if got := f.Append(nil, p[0], p[1]); got != nil {
				t.Errorf("%s: %v is in %q", c.what, p, got)
			}
		}
	}
}

func TestFencesTogether(t *testing.T) {
	f := parsed(t, append([]byte("\ufeff"), collection(
		circleAt("near", 52.5, 13.4, 10), circleAt("wide", 52.5, 13.4, 1000), circleAt("far", -33, 151, 50),
		circleAt("near", 52.5, 13.5, 10), polygonOf("Ost & West", `[[[13,52],[14,52],[14,53],[13,53],[13,52]]]`))...))
	if got, want := f.Append(nil, 52.5, 13.45), []string{"near", "wide", "Ost & West"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: in the order of the file, and each once", got, want)
	}
	if got, want := f.Append([]string{"kept"}, 48, 13.4), []string{"kept", "wide"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var none *Fences
	if got := none.Append(nil, 0, 0); got != nil {
		t.Errorf("no fences hold %q", got)
	}
}

func TestFencesRefused(t *testing.T) {
	var rows []string
	for range MaxFences + 1 {
		rows = append(rows, "0")
	}
	for _, c := range []struct{ what, file, want string }{
		{"nothing", ``, "not JSON"},
		{"no JSON", "{\n\"type\":\n;}", "line 3: not JSON"},
		{"cut", `{"type":"FeatureCollection","features":[{`, "not JSON"},
		{"a list", `[]`, "found array, expected a JSON object"},
		{"a feature", feature("x", `{"type":"Point","coordinates":[1,2]}`, ""), `found the type "Feature", expected a GeoJSON FeatureCollection`},
		{"features no list", `{"type":"FeatureCollection","features":7}`, "features: found something else than a list"},
		{"no features", `{"type":"FeatureCollection","features":null}`, "expected at least one"},
		{"too many", string(collection(rows...)), "more than 10000 features"},
		{"a number", string(collection("7")), "feature 1: found number, expected a JSON object"},
		{"no name", string(collection(circleAt("a", 1, 2, 3), `{"type":"Feature","properties":{},"geometry":null}`)), "feature 2: properties.name: missing"},
		{"null properties", string(collection(`{"type":"Feature","properties":null,"geometry":null}`)), "properties.name: missing"},
		{"a name that is a number", string(collection(`{"type":"Feature","properties":{"name":7},"geometry":null}`)), "feature 1: properties.name: found number"},
		{"a name of two lines", string(collection(`{"type":"Feature","properties":{"name":"a\nb"},"geometry":null}`)), "control character U+000A"},
		{"a name with space", string(collection(circleAt(" a", 1, 2, 3))), "space around it"},
		{"an empty name", string(collection(circleAt("", 1, 2, 3))), "properties.name: empty"},
		{"a long name", string(collection(circleAt(strings.Repeat("x", 129), 1, 2, 3))), "129 bytes, at most 128"},
		{"no geometry", string(collection(`{"type":"Feature","properties":{"name":"a"},"geometry":null}`)), `feature 1 ("a"): geometry: missing`},
		{"a line", string(collection(feature("a", `{"type":"LineString","coordinates":[[1,2],[3,4]]}`, ""))), `geometry: found "LineString", expected a Point`},
		{"no coordinates", string(collection(feature("a", `{"type":"Polygon"}`, ""))), "geometry.coordinates: missing"},
		{"no radius", string(collection(feature("a", `{"type":"Point","coordinates":[1,2]}`, ""))), "properties.radius_km: missing"},
		{"a radius of text", string(collection(feature("a", `{"type":"Point","coordinates":[1,2]}`, `,"radius_km":"5"`))), `radius_km: found "5", expected kilometres`},
		{"no way around", string(collection(circleAt("a", 1, 2, 0))), "expected kilometres above 0"},
		{"too far around", string(collection(circleAt("a", 1, 2, 20001))), "up to 20000"},
		{"a radius of a polygon", string(collection(feature("a", `{"type":"Polygon","coordinates":[]}`, `,"radius_km":5`))), "expected for a Point alone"},
		{"latitude first", string(collection(circleAt("a", 151, -33, 3))), "the longitude comes first"},
		{"nowhere", string(collection(circleAt("a", 300, 300, 3))), "no place on Earth"},
		{"a null", string(collection(feature("a", `{"type":"Point","coordinates":[null,2]}`, `,"radius_km":5`))), `found "[null,2]", expected a position`},
		{"text", string(collection(feature("a", `{"type":"Point","coordinates":["1",2]}`, `,"radius_km":5`))), "expected a position"},
		{"one number", string(collection(feature("a", `{"type":"Point","coordinates":[1]}`, `,"radius_km":5`))), "expected a position"},
		{"five numbers", string(collection(feature("a", `{"type":"Point","coordinates":[1,2,3,4,5]}`, `,"radius_km":5`))), "expected a position"},
		{"a position too deep", string(collection(polygonOf("a", `[[[[1,2],[3,4]]]]`))), "expected a position"},
		{"a position too high", string(collection(polygonOf("a", `[[1,2],[3,4]]`))), "expected a position"},
		{"not even that", string(collection(polygonOf("a", `7`))), "not those of a Polygon"},
		{"no rings", string(collection(polygonOf("a", `[]`))), "no rings"},
		{"no polygons", string(collection(feature("a", `{"type":"MultiPolygon","coordinates":[]}`, ""))), "no polygons"},
		{"short", string(collection(polygonOf("a", `[[[1,2],[3,4],[1,2]]]`))), "ring 1: 3 positions, expected at least 4"},
		{"open", string(collection(polygonOf("a", `[[[1,2],[3,4],[5,6],[7,8]]]`))), "ring 1: not closed"},
		{"a hole that is open", string(collection(polygonOf("a", `[[[10,50],[12,50],[12,52],[10,50]],[[1,2],[3,4],[5,6],[7,8]]]`))), "ring 2: not closed"},
		{"a polygon of several", string(collection(feature("a", `{"type":"MultiPolygon","coordinates":[[[[10,50],[12,50],[12,52],[10,50]]],[[[1,2]]]]}`, ""))), "polygon 2: ring 1: 1 positions"},
		{"uncut", string(collection(polygonOf("a", `[[[179,1],[-179,1],[-179,2],[179,2],[179,1]]]`))), "position 2: from longitude 179 to -179 is more than half around the Earth"},
		{"off the Earth", string(collection(polygonOf("a", `[[[1,91],[3,4],[5,6],[1,91]]]`))), "position 1: [1, 91] is no place"},
		{"wide", string(collection(polygonOf("a", `[[[-300,1],[-150,1],[0,1],[150,1],[300,1],[300,2],[150,2],[0,2],[-150,2],[-300,1]]]`))), "wider than the Earth"},
		{"huge", string(collection(polygonOf("a", `[[[1e400,1],[3,4],[5,6],[1e400,1]]]`))), "expected a position"},
	} {
		f, err := ParseFences([]byte(c.file))
		if err == nil || f != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestFencesBounded(t *testing.T) {
	ring := strings.Repeat("[1,2],", 1000) + "[1,2]"
	var all []string
	for i := range MaxFenceVertices/1001 + 1 {
		all = append(all, polygonOf(fmt.Sprint("f", i), "[["+ring+"]]"))
	}
	if _, err := ParseFences(collection(all...)); err == nil || !strings.Contains(err.Error(), "more than 1000000 positions") {
		t.Errorf("a million and some positions: %v", err)
	}
	if _, err := ParseFences(make([]byte, MaxFenceBytes+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too many bytes: %v", err)
	}
}

// star makes a ring around a point whose corners are at random distances.
func star(r *rand.Rand, lat, lon, size float64, n int) string {
	var b strings.Builder
	b.WriteByte('[')
	var first string
	for i := range n {
		a := 2 * math.Pi * float64(i) / float64(n)
		d := size * (0.3 + 0.7*r.Float64())
		at := fmt.Sprintf("[%.6f,%.6f]", lon+d*math.Cos(a), max(-90, min(90, lat+d*math.Sin(a))))
		if i == 0 {
			first = at
		}
		b.WriteString(at + ",")
	}
	return b.String() + first + "]"
}

// outline makes a ring around a point as borders are: corner after corner, near
// each other.
func outline(r *rand.Rand, lat, lon, size float64, n int) string {
	var b strings.Builder
	var first string
	d := 0.7
	for i := range n {
		a := 2 * math.Pi * float64(i) / float64(n)
		d = max(0.4, min(1, d+r.NormFloat64()*math.Sqrt(1/float64(n))))
		at := fmt.Sprintf("[%.7f,%.7f]", lon+size*d*math.Cos(a), lat+size*d*math.Sin(a))
		if i == 0 {
			first = at
		}
		b.WriteString(at + ",")
	}
	return "[" + b.String() + first + "]"
}

// some makes n fences of all kinds, many of them near each other.
func some(r *rand.Rand, n int) []byte {
	var all []string
	for i := range n {
		lat, lon := r.Float64()*180-90, r.Float64()*360-180
		if i%2 == 0 {
			lat, lon = 50+r.NormFloat64(), 10+r.NormFloat64()
		}
		name := fmt.Sprint("fence ", i)
		switch i % 4 {
		case 0, 1:
			all = append(all, circleAt(name, lat, lon, 0.1+math.Exp(r.Float64()*7)))
		case 2:
			all = append(all, polygonOf(name, "["+star(r, lat, lon, 0.01+r.Float64(), 4+r.IntN(60))+"]"))
		case 3:
			size := 0.1 + 5*r.Float64()
			all = append(all, polygonOf(name, "["+star(r, lat, lon, size, 3+r.IntN(300))+","+star(r, lat, lon, size/4, 8)+"]"))
		}
	}
	return collection(all...)
}

// oracle decides as the definitions read: no index, no boxes, no spans, and
// angles summed up in place of crossings counted.
func oracle(t testing.TB, data []byte, lat, lon float64) (in []string, sure bool) {
	var doc struct {
		Features []struct {
			Properties struct {
				Name   string
				Radius float64 `json:"radius_km"`
			}
			Geometry struct {
				Type        string
				Coordinates json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	sure = true
	for _, f := range doc.Features {
		hold := false
		if f.Geometry.Type == "Point" {
			var at [2]float64
			json.Unmarshal(f.Geometry.Coordinates, &at)
			d := Distance(lat, lon, at[1], at[0])
			hold = d <= f.Properties.Radius
			sure = sure && math.Abs(d-f.Properties.Radius) > 1e-6
		} else {
			var rings [][][2]float64
			json.Unmarshal(f.Geometry.Coordinates, &rings)
			for _, shift := range []float64{-360, 0, 360} {
				inRing := func(ring [][2]float64) bool {
					sum := 0.0
					for i := range ring[1:] {
						ax, ay := ring[i][0]-lon-shift, ring[i][1]-lat
						bx, by := ring[i+1][0]-lon-shift, ring[i+1][1]-lat
						turn := math.Atan2(ax*by-ay*bx, ax*bx+ay*by)
						sure = sure && math.Abs(math.Abs(turn)-math.Pi) > 1e-6
						sum += turn
					}
					return math.Abs(sum) > math.Pi
				}
				if inRing(rings[0]) && !slices.ContainsFunc(rings[1:], inRing) {
					hold = true
				}
			}
		}
		if hold {
			in = append(in, f.Properties.Name)
		}
	}
	return in, sure
}

func TestFencesOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7946))
	points, held := 0, 0
	for _, n := range []int{1, 3, 16, 17, 40, 200} {
		data := some(r, n)
		f := parsed(t, data)
		for range 150 {
			lat, lon := r.Float64()*180-90, r.Float64()*360-180
			if r.IntN(2) == 0 {
				lat, lon = 50+r.NormFloat64(), 10+r.NormFloat64()
			}
			want, sure := oracle(t, data, lat, lon)
			if !sure {
				continue
			}
			points++
			held += len(want)
			if got := f.Append(nil, lat, lon); !slices.Equal(got, want) {
				t.Fatalf("%d fences, %v %v: got %q, want %q", n, lat, lon, got, want)
			}
		}
	}
	if points < 700 || held < 1500 {
		t.Errorf("%d points in %d fences show little", points, held)
	}
}

func TestFencesNoAllocation(t *testing.T) {
	f := parsed(t, some(rand.New(rand.NewPCG(1, 2)), 1000))
	dst := make([]string, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { dst = f.Append(dst[:0], 40, -100) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseFences(f *testing.F) {
	f.Add(collection(polygonOf("b", `[[[10,50],[12,50],[12,52],[10,50]],[[11,50.5],[11.5,50.5],[11.5,51],[11,50.5]]]`), circleAt("b", 50, 10, 5)), 50.5, 11.0)
	f.Add(collection(circleAt("x", 0, 179.9, 100)), 0.0, 180.0)
	f.Add(collection(polygonOf("a", `[[[179,1],[190,1],[190,2],[179,2],[179,1]]]`)), 1.5, -179.0)
	f.Fuzz(func(t *testing.T, data []byte, lat, lon float64) {
		fences, err := ParseFences(data)
		if err != nil {
			if fences != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			return
		}
		names := fences.Append(nil, lat, lon)
		last := -1
		for _, n := range names {
			i := slices.Index(fences.Names(), n)
			if i <= last || checkFenceName(n) != nil {
				t.Errorf("%q in %q", n, names)
			}
			last = i
		}
	})
}

func BenchmarkFences(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		name string
		make func() []byte
		lat  func() (float64, float64)
	}{
		{"10000 stores", func() []byte {
			var all []string
			for i := range MaxFences {
				all = append(all, circleAt(fmt.Sprint("s", i), r.Float64()*140-70, r.Float64()*360-180, 25))
			}
			return collection(all...)
		}, func() (float64, float64) { return r.Float64()*140 - 70, r.Float64()*360 - 180 }},
		{"10000 quarters of a city", func() []byte {
			var all []string
			for i := range MaxFences {
				all = append(all, polygonOf(fmt.Sprint("q", i), "["+outline(r, 52.5+r.NormFloat64()/10, 13.4+r.NormFloat64()/10, 0.005, 80)+"]"))
			}
			return collection(all...)
		}, func() (float64, float64) { return 52.5 + r.NormFloat64()/10, 13.4 + r.NormFloat64()/10 }},
		{"a coast of 200000 corners", func() []byte {
			return collection(polygonOf("coast", "["+outline(r, 50, 10, 20, 200_000)+"]"))
		}, func() (float64, float64) { return 50 + r.NormFloat64()*5, 10 + r.NormFloat64()*5 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := parsed(b, c.make())
			points := make([][2]float64, 1024)
			for i := range points {
				points[i][0], points[i][1] = c.lat()
			}
			dst := make([]string, 0, 100)
			b.ReportAllocs()
			held := 0
			for i := 0; b.Loop(); i++ {
				p := &points[i%len(points)]
				dst = f.Append(dst[:0], p[0], p[1])
				held += len(dst)
			}
			b.ReportMetric(float64(held)/float64(b.N), "held/op")
		})
	}
}

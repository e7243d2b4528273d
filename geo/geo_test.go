package geo

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var full = Place{Continent: "NA", Country: "US", Region: "CA", RegionName: "California", City: "San Francisco",
	TimeZone: "America/Los_Angeles", Lat: 37.7749, Lon: -122.4194, Located: true, Precision: Exact}

func TestAt(t *testing.T) {
	cell := full
	cell.Lat, cell.Lon, cell.Located = snap(full.Lat, full.Lon, true)
	cell.Precision = Cell
	if cell.Lat == full.Lat || cell.Lon == full.Lon || !cell.Located {
		t.Errorf("not snapped: %+v", cell)
	}
	want := []Place{
		None:    {},
		Country: {Continent: "NA", Country: "US", Precision: Country},
		Region:  {Continent: "NA", Country: "US", Region: "CA", RegionName: "California", TimeZone: "America/Los_Angeles", Precision: Region},
		Cell:    cell,
		Exact:   full,
	}
	for p := None; p <= Exact; p++ {
		if got := full.At(p); got != want[p] {
			t.Errorf("%v: got %+v, want %+v", p, got, want[p])
		}
		for q := None; q <= Exact; q++ {
			if got := full.At(p).At(q); got != want[min(p, q)] {
				t.Errorf("%v then %v: got %+v, want %+v", p, q, got, want[min(p, q)])
			}
		}
	}
}

// A place that says it is coarse is coarse, whatever else stands in it.
func TestAtBelievesPrecision(t *testing.T) {
	p := full
	p.Precision = Country
	if got := p.At(Exact); got != full.At(Country) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []Place{
		{Country: "DE", Lat: math.NaN(), Lon: 1, Located: true, Precision: Exact},
		{Country: "DE", Lat: 1, Lon: math.Inf(1), Located: true, Precision: Exact},
		{Country: "DE", Lat: 90.1, Lon: 1, Located: true, Precision: Exact},
		{Country: "DE", Lat: 1, Lon: -180.1, Located: true, Precision: Exact},
	} {
		if got := bad.At(Cell); got.Located || got.Lat != 0 || got.Lon != 0 {
			t.Errorf("%+v: got %+v", bad, got)
		}
	}
}

// border returns the least distance in km from a cell's centre to points along
// its border, found by walking it, and whether the point lies within the cell.
func border(t *testing.T, lat, lon float64) (least float64, within bool) {
	t.Helper()
	band, cell := cellOf(lat, lon)
	n := cells(band)
	if cell < 0 || cell >= n || band < 0 || band >= bands {
		t.Fatalf("%v, %v: cell %d of %d in band %d", lat, lon, cell, n, band)
	}
	south, north := float64(band)/bandsPerDegree-90, float64(band+1)/bandsPerDegree-90
	west, east := -180+360*float64(cell)/float64(n), -180+360*float64(cell+1)/float64(n)
	cLat, cLon := centre(band, cell)
	least = math.Inf(1)
	const steps = 64
	for i := range steps + 1 {
		f := float64(i) / steps
		x, y := west+(east-west)*f, south+(north-south)*f
		edge := [][2]float64{}
		if north < 90 {
			edge = append(edge, [2]float64{north, x})
		}
		if south > -90 {
			edge = append(edge, [2]float64{south, x})
		}
		if n > 1 {
			edge = append(edge, [2]float64{y, west}, [2]float64{y, east})
		}
		for _, e := range edge {
			least = min(least, Distance(cLat, cLon, e[0], e[1]))
		}
	}
	const slack = 1e-9
	if lon >= 180 {
		lon -= 360
	}
	return least, lat >= south-slack && lat <= north+slack && lon >= west-slack && lon <= east+slack
}

func TestCells(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	points := [][2]float64{{90, 0}, {-90, 0}, {90, 180}, {89.95, -77}, {89.9, 10}, {89.899, 10}, {89.81, -180}, {-89.85, 179.999},
		{0, 0}, {0, 180}, {0, -180}, {0, 179.9999999}, {0, -179.9999999}, {51.5, -1e-12}, {-1e-300, 1e-300}, {78.2, 15.6}, {math.Copysign(0, -1), 0}}
	for range 20000 {
		// Half of them even over the sphere, half even over latitude, so that the poles are hit.
		lat := math.Asin(2*r.Float64()-1) * 180 / math.Pi
		if r.IntN(2) == 0 {
			lat = 180*r.Float64() - 90
		}
		points = append(points, [2]float64{lat, 360*r.Float64() - 180})
	}
	for _, p := range points {
		lat, lon, ok := snap(p[0], p[1], true)
		if !ok || !onEarth(lat, lon) {
			t.Fatalf("%v: got %v, %v, %v", p, lat, lon, ok)
		}
		if lat2, lon2, _ := snap(lat, lon, true); lat2 != lat || lon2 != lon {
			t.Fatalf("%v: %v, %v snaps to %v, %v", p, lat, lon, lat2, lon2)
		}
		least, within := border(t, p[0], p[1])
		if least < 5 {
			t.Fatalf("%v: in-radius %v km", p, least)
		}
		if !within {
			t.Fatalf("%v lies outside the cell of %v, %v", p, lat, lon)
		}
		if d := Distance(p[0], p[1], lat, lon); d > 13 {
			t.Fatalf("%v: centre %v km away", p, d)
		}
	}
}

// Every band, not only those that chance hits.
func TestEveryBand(t *testing.T) {
	for band := range bands {
		lat := bandCentre(band)
		if b, _ := cellOf(lat, 0); b != band {
			t.Fatalf("band %d: centre %v lies in band %d", band, lat, b)
		}
		for cell := range []int{0, cells(band) / 2, cells(band) - 1} {
			cell = min(cell, cells(band)-1)
			cLat, cLon := centre(band, cell)
			if b, c := cellOf(cLat, cLon); b != band || c != cell {
				t.Fatalf("band %d cell %d: centre lies in %d, %d", band, cell, b, c)
			}
		}
		if least, _ := border(t, lat, 0); least < 5 {
			t.Fatalf("band %d: in-radius %v km", band, least)
		}
	}
}

// Both sides of the date line, and 180 itself, fall where they should.
func TestDateLine(t *testing.T) {
	_, east, _ := snap(-17, 180, true)
	_, west, _ := snap(-17, -180, true)
	if east != west || east > 0 {
		t.Errorf("180 E snaps to %v, 180 W to %v", east, west)
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		name                   string
		lat1, lon1, lat2, lon2 float64
		want, within           float64 // km
	}{
		{"Berlin - San Francisco", 52.52, 13.405, 37.7749, -122.4194, 9104, 10},
		{"Berlin - Tokyo", 52.52, 13.405, 35.6762, 139.6503, 8918, 10},
		{"London - Paris", 51.5074, -0.1278, 48.8566, 2.3522, 343.6, 1},
		{"Suva - Apia, over the date line", -18.1248, 178.4501, -13.8507, -171.7514, 1144, 10},
		{"pole to pole", 90, 0, -90, 0, math.Pi * 6371.0088, 0.001},
		{"nowhere to go", 1, 2, 1, 2, 0, 0},
		{"a quarter round", 0, 0, 0, 90, math.Pi / 2 * 6371.0088, 0.001},
	} {
		if got := Distance(test.lat1, test.lon1, test.lat2, test.lon2); math.Abs(got-test.want) > test.within {
			t.Errorf("%s: %v km, want %v", test.name, got, test.want)
		}
	}
}

// Every country of the system's own ISO 3166 list has a continent.
func TestContinents(t *testing.T) {
	in, err := os.Open("/usr/share/zoneinfo/iso3166.tab")
	if err != nil {
		t.Skip("compares with the system's list of countries, and this one has none (Debian: apt-get install tzdata):", err)
	}
	defer in.Close()
	seen := 0
	for s := bufio.NewScanner(in); s.Scan(); {
		country, _, ok := strings.Cut(s.Text(), "\t")
		if !ok || strings.HasPrefix(country, "#") {
			continue
		}
		seen++
		if continents[country] == "" {
			t.Errorf("%s has no continent", country)
		}
	}
	if seen != len(continents)-1 { // Kosovo has no ISO code
		t.Errorf("the list has %d countries, the table %d", seen, len(continents)-1)
	}
}

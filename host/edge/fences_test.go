package edge

import (
	"os"
	"path/filepath"
	"testing"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

const someFences = `{"type":"FeatureCollection","features":[
{"type":"Feature","properties":{"name":"Bay","radius_km":60},"geometry":{"type":"Point","coordinates":[-122.27,37.80]}},
{"type":"Feature","properties":{"name":"Far & away"},"geometry":{"type":"Polygon","coordinates":[[[8,53],[9,53],[9,54],[8,54],[8,53]]]}},
{"type":"Feature","properties":{"name":"California"},"geometry":{"type":"Polygon","coordinates":[[[-124,33],[-115,33],[-120,39],[-120,42],[-124,42],[-124,33]]]}}
]}`

// The fences that hold a visitor's place read like the place: by localize, or
// because the visitor chose it.
func TestFences(t *testing.T) {
	keys := []string{"geo.fences", "geo.city"}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"fences.geojson": []byte(someFences), "teller.wasm": teller(keys, declareAll(keys)), "quiet.wasm": teller(keys, declareAll(keys[1:]))} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	routed := routes(`[{path: /quiet, policies: [{use: "file:` + dir + `/quiet.wasm"}]}, {path: /**, policies: [{use: "file:` + dir + `/teller.wasm"}]}]`)
	r := newRig(t, html(slots(keys)), ofTenant(`fences: "`+dir+`/fences.geojson"`), routed)
	bremen := &profile.Preferences{Place: profile.Place{Mode: profile.PlaceChosen, Name: "Bremen", Located: true, Lat: 53.0793, Lon: 8.8017}}
	named := &profile.Preferences{Place: profile.Place{Mode: profile.PlaceChosen, Name: "Bremen"}}
	exact := &profile.Preferences{Place: profile.Place{Mode: profile.PlaceExact, Located: true, Lat: 53.0793, Lon: 8.8017}}
	const both = "Bay\nCalifornia"
	for _, c := range []struct {
		what, from, path string
		prefs            *profile.Preferences
		choice           *consent.Choice
		want             string
	}{
		{"allowed", sanFrancisco, "/", nil, r.allows(abi.Localize), both},
		{"refused", sanFrancisco, "/", nil, r.allows(), "absent"},
		{"other purposes", sanFrancisco, "/", nil, r.allows(abi.Locate, abi.Personalize, abi.Advertise, abi.Measure), "absent"},
		{"in none", berlin, "/", nil, r.allows(abi.Localize), "absent"},
		{"nowhere", nowhere, "/", nil, r.allows(abi.Localize), "absent"},
		{"not declared", sanFrancisco, "/quiet", nil, r.allows(abi.Localize), "absent"},
		{"chosen, and refused", sanFrancisco, "/", bremen, r.allows(), "Far &amp; away"},
		{"chosen, and allowed", sanFrancisco, "/", bremen, r.allows(abi.Localize), "Far &amp; away"},
		{"chosen by name alone", sanFrancisco, "/", named, r.allows(abi.Localize), "absent"},
		{"from the browser", sanFrancisco, "/", exact, r.allows(abi.Localize, abi.Locate), "Far &amp; away"},
		{"from the browser, not granted", sanFrancisco, "/", exact, r.allows(abi.Localize), both},
	} {
		_, page := r.visitor(c.from).get(c.path, "Cookie", r.sealed(c.choice, c.prefs))
		if got := told(t, keys, page)["geo.fences"]; got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	// A tenant without fences.
	r = newRig(t, html(slots(keys)), routed)
	_, page := r.visitor(sanFrancisco).get("/", "Cookie", r.sealed(r.allows(abi.Localize), nil))
	if got := told(t, keys, page)["geo.fences"]; got != "absent" {
		t.Errorf("without fences: %q", got)
	}
}

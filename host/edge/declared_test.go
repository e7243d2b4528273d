package edge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// slots is a page for a teller of keys.
func slots(keys []string) string {
	var b strings.Builder
	for i := range keys {
		fmt.Fprintf(&b, "<p id=k%d></p>", i)
	}
	return b.String()
}

// told returns what a teller put into the page's slots.
func told(t *testing.T, keys []string, page string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for i, k := range keys {
		_, rest, ok := strings.Cut(page, fmt.Sprintf("<p id=k%d>", i))
		if !ok {
			t.Fatalf("%s: no slot in\n%s", k, page)
		}
		got[k], _, _ = strings.Cut(rest, "</p>")
	}
	return got
}

// Every preference reads by its name, whatever was granted, and what is not
// declared is absent.
func TestPreferencesRead(t *testing.T) {
	keys := []string{
		"preference.name", "preference.theme", "preference.page-size", "preference.sort", "preference.filters", "preference.filter.colour",
		"preference.filter.size", "preference.filter.none", "preference.muted", "preference.contact", "preference.place", "preference.lat", "preference.lon",
		"preference.filter.", "preference.Name", "preference.nonsense",
	}
	r := withPolicy(t, html(slots(keys)), teller(keys, map[string]string{"preference.*": "to test"}))
	all := &profile.Preferences{
		Name: "Jane", Theme: "dark", PageSize: 50, Sort: "price", Filters: []profile.Filter{{Name: "colour", Value: "blue & <green>"}, {Name: "size", Value: "M"}},
		Muted: []string{"golf", "news"}, Contact: "weekly", Place: profile.Place{Mode: profile.PlaceChosen, Name: "Bremen", Located: true, Lat: 53.0793, Lon: 8.8017},
	}
	if err := all.Check(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"preference.name": "Jane", "preference.theme": "dark", "preference.page-size": "50", "preference.sort": "price",
		"preference.filters": "colour=blue &amp; &lt;green&gt;\nsize=M", "preference.filter.colour": "blue &amp; &lt;green&gt;", "preference.filter.size": "M",
		"preference.muted": "golf\nnews", "preference.contact": "weekly", "preference.place": "Bremen", "preference.lat": "53.0793", "preference.lon": "8.8017",
	}
	exact := *all
	exact.Place = profile.Place{Mode: profile.PlaceExact, Located: true, Lat: 53.0793, Lon: 8.8017}
	for name, tt := range map[string]struct {
		prefs   *profile.Preferences
		choice  *consent.Choice
		without []string
	}{
		"refused":       {all, r.allows(), nil},
		"allowed":       {all, r.allows(abi.Localize, abi.Locate, abi.Personalize), nil},
		"none":          {nil, r.allows(), keys},
		"exact, locate": {&exact, r.allows(abi.Localize, abi.Locate), []string{"preference.place", "preference.lat", "preference.lon"}},
	} {
		_, page := r.visitor(sanFrancisco).get("/", "Cookie", r.sealed(tt.choice, tt.prefs))
		got := told(t, keys, page)
		for _, k := range keys {
			w := want[k]
			for _, gone := range tt.without {
				if k == gone {
					w = ""
				}
			}
			if w == "" {
				w = "absent"
			}
			if got[k] != w {
				t.Errorf("%s: %s is %q, want %q", name, k, got[k], w)
			}
		}
	}
	t.Run("undeclared", func(t *testing.T) {
		r := withPolicy(t, html(slots(keys)), teller(keys, map[string]string{"preference.name": "to test"}))
		_, page := r.visitor(sanFrancisco).get("/", "Cookie", r.sealed(nil, all))
		for k, v := range told(t, keys, page) {
			if (v != "absent") != (k == "preference.name") {
				t.Errorf("%s is %q", k, v)
			}
		}
	})
}

// Where the visitor is, by who says so. What they chose holds without any purpose
// and beats their address; what their browser said exactly needs locate, and is
// else as if it were not there.
func TestDeclaredPlaces(t *testing.T) {
	keys := []string{"geo.continent", "geo.country", "geo.region", "geo.timezone", "geo.city", "geo.lat", "geo.lon", "time.now"}
	r := withPolicy(t, html(slots(keys)), teller(keys, map[string]string{"geo.*": "to test", "time.now": "to test"}))
	chosen := func(name string, located bool, lat, lon float64) *profile.Preferences {
		return &profile.Preferences{Place: profile.Place{Mode: profile.PlaceChosen, Name: name, Located: located, Lat: lat, Lon: lon}}
	}
	exactly := func(lat, lon float64) *profile.Preferences {
		return &profile.Preferences{Place: profile.Place{Mode: profile.PlaceExact, Located: true, Lat: lat, Lon: lon}}
	}
	la, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	utc, pacific := "Z", time.Now().In(la).Format("Z07:00")
	// The cell of 37.7749, -122.4194, whose middle is not that.
	inferred := []string{"NA", "US", "US-CA", "America/Los_Angeles", "San Francisco", "37.7500", "-122.3775", pacific}
	nothing := []string{"", "", "", "", "", "", "", utc}
	both := []abi.Purpose{abi.Localize, abi.Locate}
	for name, tt := range map[string]struct {
		prefs *profile.Preferences
		allow []abi.Purpose
		gpc   bool
		from  string
		want  []string
	}{
		"nothing declared, localize": {nil, []abi.Purpose{abi.Localize}, false, sanFrancisco, inferred},
		"nothing declared, refused":  {nil, []abi.Purpose{}, false, sanFrancisco, nothing},
		"nothing declared, locate":   {nil, both, false, sanFrancisco, inferred}, // an address never tells an exact place

		"chosen, refused":  {chosen("Bremen", true, 53.0793, 8.8017), []abi.Purpose{}, false, sanFrancisco, []string{"", "", "", "", "Bremen", "53.0793", "8.8017", utc}},
		"chosen, GPC":      {chosen("Bremen", true, 53.0793, 8.8017), nil, true, sanFrancisco, []string{"", "", "", "", "Bremen", "53.0793", "8.8017", utc}},
		"chosen, localize": {chosen("Bremen", true, 53.0793, 8.8017), []abi.Purpose{abi.Localize}, false, sanFrancisco, []string{"", "", "", "", "Bremen", "53.0793", "8.8017", pacific}},
		"chosen, opt-in":   {chosen("Bremen", true, 53.0793, 8.8017), nil, false, berlin, []string{"", "", "", "", "Bremen", "53.0793", "8.8017", utc}},
		"a name, localize": {chosen("Bremen", false, 0, 0), []abi.Purpose{abi.Localize}, false, sanFrancisco, []string{"", "", "", "", "Bremen", "", "", pacific}},
		"a point, refused": {chosen("", true, -33.5, 151), []abi.Purpose{}, false, nowhere, []string{"", "", "", "", "", "-33.5000", "151.0000", utc}},

		"exact, locate":                {exactly(37.8044, -122.2712), both, false, sanFrancisco, []string{"NA", "US", "US-CA", "America/Los_Angeles", "San Francisco", "37.8044", "-122.2712", pacific}},
		"exact, far from the address":  {exactly(48.8566, 2.3522), both, false, sanFrancisco, []string{"", "", "", "", "", "48.8566", "2.3522", pacific}},
		"exact, unknown address":       {exactly(48.8566, 2.3522), both, false, nowhere, []string{"", "", "", "", "", "48.8566", "2.3522", utc}},
		"exact, localize alone":        {exactly(48.8566, 2.3522), []abi.Purpose{abi.Localize}, false, sanFrancisco, inferred},
		"exact, locate alone":          {exactly(48.8566, 2.3522), []abi.Purpose{abi.Locate}, false, sanFrancisco, nothing},
		"exact, refused":               {exactly(48.8566, 2.3522), []abi.Purpose{}, false, sanFrancisco, nothing},
		"exact, nothing chosen":        {exactly(48.8566, 2.3522), nil, false, sanFrancisco, inferred},
		"exact, GPC against a default": {exactly(48.8566, 2.3522), nil, true, sanFrancisco, nothing},
		"exact, a choice without GPC":  {exactly(48.8566, 2.3522), both, true, sanFrancisco, nothing},
	} {
		t.Run(name, func(t *testing.T) {
			var choice *consent.Choice
			if tt.allow != nil {
				choice = r.allows(tt.allow...)
			}
			header := []string{"Cookie", r.sealed(choice, tt.prefs)}
			if tt.gpc {
				header = append(header, "Sec-GPC", "1")
			}
			_, page := r.visitor(tt.from).get("/", header...)
			got := told(t, keys, page)
			for i, k := range keys {
				want := tt.want[i]
				if want == "" {
					want = "absent"
				}
				if k == "time.now" && len(got[k]) > 19 { // the zone alone
					got[k] = got[k][19:]
				}
				if got[k] != want {
					t.Errorf("%s is %q, want %q", k, got[k], want)
				}
			}
		})
	}
}

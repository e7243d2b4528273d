package abi

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for key, want := range map[string]Class{
		"request.method": Public, "request.path": Public, "request.query.q": Public, "request.query.": Unknown,
		"request.header.accept-language": Public, "request.header.cookie": Unknown, "request.header.authorization": Unknown,
		"request.header.x-forwarded-for": Unknown, "request.body": Unknown,
		"config.list": Public, "consent.localize": Public, "consent.everything": Unknown,
		"time.hour": Public, "time.minute": Unknown, "page.h1@class": Public, "page.": Unknown,
		"recommend.best-sellers": Public, "recommend.similar?item=7": Public, "recommend.for-you": Inferred, "recommend.secrets": Unknown,
		"recommend.for-you?n=8": Inferred, "recommend.recently-viewed": Inferred, "recommend.next?item=7": Inferred,
		"recommend.trending?n=8": Public, "recommend.?n=8": Unknown, "recommend.secrets?best-sellers": Unknown, "geo.fences": PlaceCell, "geo.fences?n=1": Unknown,
		"preference.name": Declared, "preference.theme": Declared,
		"geo.country": PlaceCoarse, "geo.timezone": PlaceCoarse, "geo.city": PlaceCell, "geo.lat": PlaceCell, "geo.address": Unknown,
		"profile.recent": Inferred, "profile.affinity.colour": Inferred, "profile.interests": Interests, "profile.name": Unknown,
		"experiment.a": Inferred, "": Unknown, "Geo.country": Unknown, "geo.country ": Unknown,
	} {
		if got := Classify(key); got != want {
			t.Errorf("Classify(%q) = %v, want %v", key, got, want)
		}
	}
}

// Every class that is about a person needs a purpose, and none other does.
func TestNeeds(t *testing.T) {
	for class, want := range map[Class]Purpose{PlaceCoarse: Localize, PlaceCell: Localize, Inferred: Personalize, Interests: Advertise} {
		if p, ok := class.Needs(); !ok || p != want {
			t.Errorf("%v needs %v, %v; want %v", class, p, ok, want)
		}
	}
	for _, class := range []Class{Unknown, Public, Declared} {
		if p, ok := class.Needs(); ok {
			t.Errorf("%v needs %v", class, p)
		}
	}
	for p := range Purpose(Purposes) {
		if got, ok := ParsePurpose(p.String()); !ok || got != p {
			t.Errorf("%v came back as %v", p, got)
		}
	}
}

func TestDeclares(t *testing.T) {
	m := Manifest{Reads: map[string]string{"geo.country": "", "request.query.*": "", "profile.affinity.col*": "", "recommend.deals": ""}}
	for key, want := range map[string]bool{
		"geo.country": true, "geo.city": false, "geo.countryside": false, "request.query.q": true, "request.path": false,
		"profile.affinity.colour": true, "profile.affinity.size": false, "config.any": true, "consent.localize": true,
		"recommend.deals": true, "recommend.deals?n=8": true, "recommend.dealsx": false, "recommend.similar?item=recommend.deals": false, "geo.country?n=8": false,
	} {
		if m.Declares(key) != want {
			t.Errorf("Declares(%q) = %v", key, !want)
		}
	}
	if (&Manifest{}).Declares("request.path") {
		t.Error("an empty manifest declares something")
	}
}

func TestParseManifests(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"welcome","version":"1.0.0","reads":{"geo.country":"to greet"},"rights":["html"],"on":["response"]}`: "",
		`[{"name":"a","version":"1"},{"name":"b","version":"1"}]`:                                                     "",
		`{"name":"a"} `:            "",
		``:                         "EOF",
		`[]`:                       "an empty list",
		`{"name":"a"}{"name":"b"}`: "text after the value",
		`{"name":"Welcome"}`:       "want a lower-case letter",
		`{"name":"a","reads":{"request.body":"x"}}`:                                                "no such key",
		`{"name":"a","reads":{"*":"x"}}`:                                                           "no such key",
		`{"name":"a","reads":{"profile.*":"x"}}`:                                                   "no such key",
		`{"name":"a","rights":["root"]}`:                                                           "the only right",
		`{"name":"a","on":["sometimes"]}`:                                                          "want \"request\" or \"response\"",
		`{"name":"a","with":{"x":{"type":"colour"}}}`:                                              "unknown type",
		`{"name":"a","with":{"x":{"type":"one-of"}}}`:                                              "without values",
		`{"name":"a","with":{"x":{"type":"target"}}}`:                                              "",
		`{"name":"a","READS":{"geo.country":"x"}}`:                                                 "unknown field \"READS\"",
		`{"name":"a","with":{"x":{"Type":"text"}}}`:                                                "unknown field \"Type\"",
		"{\"name\":\"a\",\"about\":\"\xff\"}":                                                      "not UTF-8",
		`{"name":"a","surprise":1}`:                                                                "unknown field",
		`[{"name":"a"},{"name":"a"}]`:                                                              "stands twice",
		`{"name":"` + strings.Repeat("a", 70<<10) + `"}`:                                           "at most",
		`{"name":"a","reads":{"page.` + strings.Repeat("p", 4<<10-5) + `":"x"}}`:                   "",
		`{"name":"a","reads":{"page.` + strings.Repeat("p", 4<<10-5) + `":"x","geo.country":"x"}}`: "have 4107 bytes, at most 4096",
		`{"name":"a","reads":{"page.\u0001":"x"}}`:                                                 "a control character",
	} {
		_, err := ParseManifests([]byte(text))
		if want == "" && err != nil {
			t.Errorf("%.60s: %v", text, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestAppendManifest(t *testing.T) {
	module := []byte("\x00asm\x01\x00\x00\x00")
	text := []byte(`{"name":"a","version":"1"}`)
	got, err := AppendManifest(module, text)
	want := string(module) + "\x00\x2b\x10bespoke.manifest" + string(text)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := AppendManifest(module, []byte(`{}`)); err == nil {
		t.Error("a bad manifest was appended")
	}
}

func TestDistance(t *testing.T) {
	// A quarter of a meridian, and no distance at all.
	if d := Distance(0, 0, 90, 0); math.Abs(d-EarthRadius*math.Pi/2) > 1e-6 {
		t.Errorf("to the pole: %v", d)
	}
	if d := Distance(52.5, 13.4, 52.5, 13.4); d != 0 {
		t.Errorf("to the same point: %v", d)
	}
	if a, b := Distance(10, 179.9, 10, -179.9), Distance(10, 0.1, 10, -0.1); math.Abs(a-b) > 1e-6 {
		t.Errorf("over the date line %v, elsewhere %v", a, b)
	}
	if d := Distance(0, 0, 0, 180); math.Abs(d-EarthRadius*math.Pi) > 1e-6 {
		t.Errorf("to the other side: %v", d)
	}
}

func FuzzParseManifests(f *testing.F) {
	f.Add([]byte(`[{"name":"a","version":"1","reads":{"geo.*":"why"},"with":{"x":{"type":"text"}}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseManifests(b)
		if err != nil {
			return
		}
		for i := range list {
			list[i].Declares("geo.country")
		}
		if !bytes.ContainsRune(b, '{') {
			t.Errorf("%q is a manifest", b)
		}
	})
}

package control

import (
	"encoding/json"
	"strings"
	"testing"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

func TestAPI(t *testing.T) {
	p := newCentre(t)
	granted := &consent.Choice{Granted: consent.Set(0).With(abi.Localize).With(abi.Locate), At: someday, Epoch: 4}
	const choice, preferences, place = "choice", "preferences", "place"
	tests := []struct {
		method, what, body string
		status             int
		want               string // in the answer
		granted            int    // -1: no choice is kept
		prefs              string // "": none are kept
	}{
		{"GET", choice, "", 200, `"signal": "choice"`, -1, ""},
		{"PUT", choice, `{"measure":true}`, 200, `"measure": true`, 16, ""},
		{"PATCH", choice, `{"measure":true,"locate":false}`, 200, `"under_gpc": false`, 17, ""},
		{"PUT", choice, `{}`, 200, ``, 0, ""},
		{"PUT", choice, `{"measure":"yes"}`, 400, `true or false`, -1, ""},
		{"PUT", choice, `{"all":true}`, 400, `expected localize`, -1, ""},
		{"PUT", choice, `{"measure":false,"measure":true}`, 400, `there twice`, -1, ""},
		{"PUT", choice, `[]`, 400, `JSON object`, -1, ""},
		{"PUT", choice, `null`, 400, `JSON object`, -1, ""},
		{"PUT", choice, `{"measure":true`, 400, `cannot be read`, -1, ""},
		{"PUT", choice, `{"measure":true}{}`, 400, `more after`, -1, ""},
		{"PUT", choice, ``, 400, `JSON object`, -1, ""},
		{"DELETE", choice, "", 405, `GET, HEAD, PUT, PATCH`, -1, ""},
		{"GET", preferences, "", 200, `"name": "Jane"`, -1, ""},
		{"PATCH", preferences, `{"theme":"dark","filters":{"b":"1","a":"2"}}`, 200, ``, -1, `{"name":"Jane","theme":"dark","filters":{"a":"2","b":"1"}}`},
		{"PATCH", preferences, `{"name":null,"muted":["x"]}`, 200, ``, -1, `{"muted":["x"]}`},
		{"PUT", preferences, `{"page-size":20}`, 200, ``, -1, `{"page-size":20}`},
		{"PUT", preferences, `{"page-size":0}`, 400, `page-size`, -1, ""},
		{"PUT", preferences, `{"page-size":"x"}`, 400, `page-size`, -1, ""},
		{"PUT", preferences, `{"colour":"x"}`, 400, `name, theme`, -1, ""},
		{"PUT", preferences, `{"name":"a\u202e"}`, 400, `U+202E`, -1, ""},
		{"DELETE", preferences, "", 200, `{}`, -1, `{}`},
		{"GET", place, "", 200, `"mode": "automatic"`, -1, ""},
		{"PUT", place, `{"mode":"chosen","name":"Bremen"}`, 200, `Bremen`, -1, `{"name":"Jane","place":{"mode":"chosen","name":"Bremen"}}`},
		{"PUT", place, `{"mode":"exact","lat":1,"lon":2}`, 200, `exact`, -1, `{"name":"Jane","place":{"mode":"exact","lat":1,"lon":2}}`},
		{"PUT", place, `{"mode":"exact","lat":1}`, 400, `go together`, -1, ""},
		{"PUT", place, `{"mode":"exact","lat":91,"lon":0}`, 400, `-90 to 90`, -1, ""},
		{"PUT", place, `{"mode":"here"}`, 400, `automatic, chosen or exact`, -1, ""},
		{"PUT", place, `{"mode":"chosen","where":"x"}`, 400, `expected`, -1, ""},
		{"DELETE", place, "", 200, `automatic`, -1, `{"name":"Jane"}`},
		{"GET", "profile", "", 200, `"site": "Shop"`, -1, ""},
		{"DELETE", "profile", "", 200, `erased`, 0, `{}`},
		{"POST", "profile", `{}`, 405, ``, -1, ""},
		{"GET", "nothing", "", 404, `choice, events, hidden, place, preferences, profile`, -1, ""},
	}
	for _, tt := range tests {
		v := visit(consent.Signals{Choice: granted})
		v.Preferences = profile.Preferences{Name: "Jane"}
		r := Request{Method: tt.method, Path: PathAPI + tt.what, ContentType: "application/json; charset=utf-8", Body: []byte(tt.body)}
		a := p.Answer(r, v)
		name := tt.method + " " + tt.what + " " + tt.body
		if a.Status != tt.status || !strings.Contains(string(a.Body), tt.want) || !json.Valid(a.Body) {
			t.Errorf("%s: %d %s, want %d and %s", name, a.Status, a.Body, tt.status, tt.want)
		}
		if got := "application/problem+json"; (a.ContentType == got) != (tt.status >= 400) {
			t.Errorf("%s: %s", name, a.ContentType)
		}
		if (a.Choice != nil) != (tt.granted >= 0) || a.Choice != nil && (a.Choice.Granted != consent.Set(tt.granted) || a.Choice.Epoch != 5) {
			t.Errorf("%s: choice %+v, want %d", name, a.Choice, tt.granted)
		}
		if got := ""; a.Preferences != nil || tt.prefs != "" {
			if a.Preferences != nil {
				b, _ := json.Marshal(preferencesOut(a.Preferences))
				got = string(b)
			}
			if got != tt.prefs {
				t.Errorf("%s: preferences %s, want %s", name, got, tt.prefs)
			}
		}
		// The same from another site does nothing; nor does what is no JSON, or too long.
		r.CrossOrigin = true
		if a := p.Answer(r, v); tt.status != 404 && a.Status != 403 || a.Choice != nil || a.Preferences != nil || a.EraseAll {
			t.Errorf("%s, from another site: %+v", name, a)
		}
		if r.CrossOrigin = false; tt.body == "" || tt.status == 405 {
			continue
		}
		r.ContentType = "text/plain"
		if a := p.Answer(r, v); a.Status != 415 || a.Choice != nil || a.Preferences != nil {
			t.Errorf("%s, as text: %+v", name, a)
		}
		r.ContentType, r.Body = "application/json", append([]byte(tt.body), make([]byte, 1<<20)...)
		if a := p.Answer(r, v); a.Status != 413 || a.Choice != nil || a.Preferences != nil {
			t.Errorf("%s, 1 MB: %+v", name, a)
		}
	}
	// An exact place is not kept where its purpose is not granted.
	r := Request{Method: "PUT", Path: PathAPI + "place", ContentType: "application/json", Body: []byte(`{"mode":"exact","lat":1,"lon":2}`)}
	if a := p.Answer(r, visit(consent.Signals{})); a.Status != 403 || a.Preferences != nil {
		t.Errorf("an exact place without locate: %d %s", a.Status, a.Body)
	}
}

func FuzzAnswer(f *testing.F) {
	p := newCentre(f)
	f.Add("POST", PathPrivacy, "action=save&localize=on&name=x&place-mode=chosen&place=1,2&back=/x")
	f.Add("PUT", PathAPI+"choice", `{"localize":true}`)
	f.Add("PATCH", PathAPI+"preferences", `{"filters":{"a":"b"},"place":{"mode":"chosen","name":"x"}}`)
	f.Add("PUT", PathAPI+"place", `{"mode":"exact","lat":1e400}`)
	f.Add("POST", PathAPI+"events", `[{"kind":"hide","item":"lamp-7"},{"kind":"search","q":"x","attributes":{"a":"b"}}]`)
	f.Add("PATCH", PathAPI+"hidden", `{"hide":["lamp-7"],"show":["lamp-2"]}`)
	f.Add("POST", PathPrivacy, "action=show-item&number=2")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		v := visit(consent.Signals{})
		v.Catalogue, v.Hidden = shelf{}, hidingItems(t, 2)
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
			a := p.Answer(Request{Method: method, Path: path, Query: body, ContentType: contentType, Body: []byte(body)}, v)
			if a.Status >= 500 || a.Status >= 400 && (a.Preferences != nil || a.EraseAll || a.Hidden != nil || a.Events != nil) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if a.Preferences != nil {
				if _, err := profile.ParsePreferences(a.Preferences.Encode()); err != nil {
					t.Errorf("what is kept cannot be read: %v", err)
				}
			}
		}
	})
}

package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bespoke/host/consent"
	"bespoke/host/profile"
)

// A shelf is a catalogue of lamps: "lamp-7" has the number 7, up to 500. Those from
// 400 on are not offered any more. Their value 3 is black.
type shelf struct{}

func (shelf) Item(n uint32) string {
	if n == 0 || n >= 400 {
		return ""
	}
	return fmt.Sprintf("Lamp <b>%d</b>", n)
}

func (shelf) ID(n uint32) string {
	if n == 0 || n >= 400 {
		return ""
	}
	return fmt.Sprintf("lamp-%d", n)
}

func (shelf) Value(n uint32) (attribute, value string) {
	if n != 3 {
		return "", ""
	}
	return "colour", "black"
}

func (shelf) Number(id string) (n uint32, ok bool) {
	_, err := fmt.Sscanf(id, "lamp-%d", &n)
	return n, err == nil && shelf{}.ID(n) == id
}

// followed is the profile of somebody who looked at, bought and was written to.
func followed(t testing.TB) *profile.Inferred {
	p, at := new(profile.Inferred), profile.Memory{}.At(someday)
	p.View(7, []uint32{3}, at)
	p.Purchase(8, []uint32{3}, at)
	p.MailSent(at)
	p.MailOpened(at)
	if err := p.Persona("teacher", 1, at); err != nil {
		t.Fatal(err)
	}
	return p
}

func hidingItems(t testing.TB, items ...uint32) (h profile.Hidden) {
	for _, n := range items {
		if err := h.Hide(n); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// What pages tell of: what is taken, and what of it is refused as a whole.
func TestEvents(t *testing.T) {
	p := newCentre(t)
	long := strings.Repeat("x", 257)
	for body, want := range map[string]struct {
		status int
		events []Event
		hidden []uint32
	}{
		`{"kind":"view","item":"lamp-7"}`:                                      {204, []Event{{"view", "lamp-7", ""}}, nil},
		` [{"kind":"view","item":"a"},{"kind":"purchase","item":"b"}]`:         {204, []Event{{"view", "a", ""}, {"purchase", "b", ""}}, nil},
		`{"kind":"search","q":"lamps","attributes":{"size":"L","colour":"x"}}`: {204, []Event{{"search", "", "colour=x\nsize=L"}}, nil},
		`{"kind":"hide","item":"lamp-7"}`:                                      {204, []Event{{"hide", "lamp-7", ""}}, []uint32{2, 7}},
		`{"kind":"hide","item":"nothing"}`:                                     {204, nil, nil},
		`{"kind":"mail-open"}`:                                                 {204, []Event{{"mail-open", "", ""}}, nil},
		`[]`:                                                                   {204, nil, nil},
		``:                                                                     {400, nil, nil},
		`null`:                                                                 {400, nil, nil},
		`{"kind":"view"}`:                                                      {400, nil, nil},
		`{"kind":"love","item":"lamp-7"}`:                                      {400, nil, nil},
		`{"kind":"mail-sent"}`:                                                 {400, nil, nil},
		`{"kind":"view","item":7}`:                                             {400, nil, nil},
		`{"kind":"view","item":"a"}x`:                                          {400, nil, nil},
		`{"kind":"view","item":"a","visitor":"jane"}`:                          {400, nil, nil},
		`{"kind":"view","item":"` + long + `"}`:                                {400, nil, nil},
		`{"kind":"search","q":"` + long + `"}`:                                 {400, nil, nil},
		`{"kind":"search","attributes":{"a\nb":"x"}}`:                          {400, nil, nil},
		`{"kind":"search","attributes":{"a=b":"x"}}`:                           {400, nil, nil},
		`{"kind":"search","attributes":{"a":"x\ny"}}`:                          {400, nil, nil},
		`[{"kind":"view","item":"a"},{"kind":"hide","item":"lamp-7"},{"kind":"x"}]`:                    {400, nil, nil},
		`[` + strings.Repeat(`{"kind":"view","item":"a"},`, MaxEvents) + `{"kind":"view","item":"a"}]`: {400, nil, nil},
		strings.Repeat("[", 10000):     {400, nil, nil},
		strings.Repeat(" ", MaxForm+1): {413, nil, nil},
	} {
		v := visit(consent.Signals{})
		v.Catalogue, v.Hidden = shelf{}, hidingItems(t, 2)
		for _, contentType := range []string{"application/json", "text/plain;charset=UTF-8"} {
			r := Request{Method: "POST", Path: PathAPI + "events", ContentType: contentType, Body: []byte(body)}
			a := p.Answer(r, v)
			var hidden []uint32
			if a.Hidden != nil {
				hidden = a.Hidden.Items()
			}
			if a.Status != want.status || !slices.Equal(a.Events, want.events) || !slices.Equal(hidden, want.hidden) || a.Status != 204 && a.ContentType != "application/problem+json" {
				t.Errorf("%.80s: %d %s %v %v, want %+v", body, a.Status, a.Body, a.Events, hidden, want)
			}
			r.CrossOrigin = true
			if a := p.Answer(r, v); a.Status != 403 || a.Events != nil || a.Hidden != nil {
				t.Errorf("%.80s from another site: %+v", body, a)
			}
		}
		if got := v.Hidden.Items(); !slices.Equal(got, []uint32{2}) {
			t.Errorf("%.80s: what was hidden is now %v", body, got)
		}
		r := Request{Method: "POST", Path: PathAPI + "events", ContentType: "application/x-www-form-urlencoded", Body: []byte(body)}
		if a := p.Answer(r, v); a.Status != 415 || a.Events != nil || a.Hidden != nil {
			t.Errorf("%.80s as a form: %+v", body, a)
		}
	}
}

// What the visitor hides, by the API and by forms, and how they see it again.
func TestHiding(t *testing.T) {
	p := newCentre(t)
	full := make([]uint32, profile.MaxHidden)
	for i := range full {
		full[i] = uint32(i + 100)
	}
	for i, tt := range []struct {
		method, body string
		before       []uint32
		newer        bool
		status       int
		after        string // "": not changed
	}{
		{"GET", "", []uint32{2, 450}, false, 200, ""},
		{"PATCH", `{"hide":["lamp-7"],"show":["lamp-2"]}`, []uint32{2, 450}, false, 200, "[7 450]"},
		{"PATCH", `{"hide":["lamp-7","nothing"]}`, []uint32{2}, false, 404, ""},
		{"PATCH", `{"hide":["lamp-450"]}`, nil, false, 404, ""},
		{"PATCH", `{"hide":"lamp-7"}`, nil, false, 400, ""},
		{"PATCH", `{"more":["lamp-7"]}`, nil, false, 400, ""},
		{"PATCH", `{"hide":["lamp-7"]}`, full, false, 409, ""},
		{"PATCH", `{"hide":["lamp-100"]}`, full, false, 200, fmt.Sprint(full)},
		{"PATCH", `{"hide":["lamp-7"]}`, nil, true, 409, ""},
		{"DELETE", "", []uint32{2}, false, 200, "[]"},
		{"DELETE", "", nil, true, 409, ""},
		{"form", "action=hide-item&item=lamp-7", []uint32{2}, false, 303, "[2 7]"},
		{"form", "action=hide-item&item=nothing", []uint32{2}, false, 404, ""},
		{"form", "action=hide-item&item=lamp-7", full, false, 409, ""},
		{"form", "action=show-item&number=450", []uint32{2, 450}, false, 303, "[2]"},
		{"form", "action=show-item&item=lamp-2", []uint32{2, 450}, false, 303, "[450]"},
		{"form", "action=show-item&number=-1", []uint32{2}, false, 400, ""},
		{"form", "action=show-item&number=2", []uint32{2}, true, 409, ""},
		{"form", "action=erase", []uint32{2}, true, 303, "[]"},
	} {
		v := visit(consent.Signals{})
		v.Catalogue, v.Hidden, v.HiddenNewer = shelf{}, hidingItems(t, tt.before...), tt.newer
		r := Request{Method: tt.method, Path: PathAPI + "hidden", ContentType: "application/json", Body: []byte(tt.body)}
		if tt.method == "form" {
			r.Method, r.Path, r.ContentType = "POST", PathPrivacy, "application/x-www-form-urlencoded"
		}
		a := p.Answer(r, v)
		after := ""
		if a.Hidden != nil {
			after = fmt.Sprint(a.Hidden.Items())
		}
		if a.Status != tt.status || after != tt.after || a.Choice != nil && tt.body != "action=erase" {
			t.Errorf("%d: %s %s: %d %s, hidden %s, want %d %s", i, tt.method, tt.body, a.Status, a.Body, after, tt.status, tt.after)
		}
		if got := v.Hidden.Items(); !slices.Equal(got, tt.before) {
			t.Errorf("%d: what was hidden is now %v", i, got)
		}
		r.CrossOrigin = true
		if a := p.Answer(r, v); a.Status != 403 || a.Hidden != nil {
			t.Errorf("%d, from another site: %+v", i, a)
		}
	}
}

// All that is known is shown with the catalogue's names, escaped, and downloaded.
func TestKnown(t *testing.T) {
	p := newCentre(t)
	v := visit(consent.Signals{})
	v.Inferred, v.Catalogue, v.Hidden = followed(t), shelf{}, hidingItems(t, 9, 450)
	page := string(p.Answer(Request{Method: "GET", Path: PathPrivacy, AcceptLanguage: "en"}, v).Body)
	for _, want := range []string{
		"What you looked at</dt><dd>Lamp &lt;b&gt;7&lt;/b&gt;</dd>", "What you bought</dt><dd>Lamp &lt;b&gt;8&lt;/b&gt;</dd>", "What you seem to like</dt><dd>colour: black</dd>",
		"<dd>teacher</dd>", "<dd>mail: 1 · 0 / 1</dd>", "Lamp &lt;b&gt;9&lt;/b&gt;</span>", `name="number" value="9"`, `<span>#450</span>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s\n%s", want, page)
		}
	}
	var got struct {
		Inferred *profile.Known
		Hidden   []hiddenJSON
	}
	body := p.Answer(Request{Method: "GET", Path: PathDownload}, v).Body
	if err := json.Unmarshal(body, &got); err != nil || got.Inferred == nil || len(got.Inferred.Recent) != 1 || got.Inferred.Recent[0].Title != "Lamp <b>7</b>" || len(got.Hidden) != 2 || got.Hidden[0].ID != "lamp-9" {
		t.Errorf("the download: %v\n%s", err, body)
	}
	// Where nothing may be known, nothing is; and it looks as where there never was.
	v.Inferred, v.Hidden = nil, profile.Hidden{}
	none := p.Answer(Request{Method: "GET", Path: PathPrivacy}, v).Body
	v.Inferred, v.Catalogue = new(profile.Inferred), nil
	if other := p.Answer(Request{Method: "GET", Path: PathPrivacy}, v).Body; string(other) != string(none) || strings.Contains(string(none), "looked at<") {
		t.Errorf("nothing known:\n%s", none)
	}
}

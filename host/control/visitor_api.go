package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// The JSON API for sites that build their own page: docs/visitor.md.

// apiMethods are the methods of each resource.
var apiMethods = map[string]string{
	"choice":      "GET, HEAD, PUT, PATCH",
	"preferences": "GET, HEAD, PUT, PATCH, DELETE",
	"profile":     "GET, HEAD, DELETE",
	"place":       "GET, HEAD, PUT, DELETE",
	"events":      "POST",
	"hidden":      "GET, HEAD, PATCH, DELETE",
}

func refused(status int, code, detail string) Answer {
	a := jsonAnswer(status, problem{Title: http.StatusText(status), Status: status, Code: code, Detail: clip(detail, 1<<10)})
	a.ContentType = "application/problem+json"
	return a
}

func (p *Privacy) api(r Request, v Visit) Answer {
	name := strings.TrimPrefix(r.Path, PathAPI)
	methods, ok := apiMethods[name]
	switch {
	case !ok:
		return refused(404, "", "the API has "+strings.Join(slices.Sorted(maps.Keys(apiMethods)), ", "))
	case r.CrossOrigin:
		return refused(403, "cross-origin", "the API answers pages of this site alone; nothing was changed")
	case !slices.Contains(strings.Split(methods, ", "), r.Method):
		a := refused(405, "", name+" takes "+methods)
		a.Allow = methods
		return a
	}
	var body map[string]json.RawMessage
	if r.Method == "PUT" || r.Method == "PATCH" {
		var bad *Answer
		if body, bad = object(r); bad != nil {
			return *bad
		}
	}
	switch name {
	case "choice":
		return apiChoice(r, v, body)
	case "preferences":
		return apiPreferences(r, v, body)
	case "place":
		return apiPlace(r, v, body)
	case "events":
		return apiEvents(r, v)
	case "hidden":
		return apiHidden(r, v, body)
	}
	if r.Method == "DELETE" {
		return erase(v, keptOn(v, 200, map[string]any{"erased": true}))
	}
	return jsonAnswer(200, profileOut(&v))
}

// object reads a body that is one JSON object whose names differ.
func object(r Request) (map[string]json.RawMessage, *Answer) {
	bad := func(status int, code, detail string) (map[string]json.RawMessage, *Answer) {
		a := refused(status, code, detail+"; nothing was changed")
		return nil, &a
	}
	// A form of another site cannot be sent with this type unasked (Fetch, "CORS-safelisted request-header").
	if mt, _, err := mime.ParseMediaType(r.ContentType); err != nil || mt != "application/json" {
		return bad(415, "", "send application/json")
	}
	if len(r.Body) > MaxForm {
		return bad(413, "", fmt.Sprintf("a body here has at most %d bytes", MaxForm))
	}
	d := json.NewDecoder(bytes.NewReader(r.Body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return bad(400, "json", "expected a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return bad(400, "json", "the JSON cannot be read")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return bad(400, "json", "the JSON cannot be read")
		}
		if _, twice := out[name]; twice {
			return bad(400, "json", fmt.Sprintf("%.40q is there twice", name))
		}
		out[name] = value
	}
	if _, err := d.Token(); err != nil {
		return bad(400, "json", "the JSON cannot be read")
	}
	if _, err := d.Token(); err != io.EOF {
		return bad(400, "json", "there is more after the JSON object")
	}
	return out, nil
}

// apiChoice: PUT refuses what is not named, PATCH leaves it as it holds now.
func apiChoice(r Request, v Visit, body map[string]json.RawMessage) Answer {
	if body == nil {
		return jsonAnswer(200, choiceOut(&v))
	}
	var granted consent.Set
	if r.Method == "PATCH" {
		granted = v.stands()
	}
	for name, value := range body {
		p, ok := abi.ParsePurpose(name)
		var yes bool
		switch string(bytes.TrimSpace(value)) {
		case "true":
			yes = true
		case "false":
		default:
			ok = false
		}
		if !ok {
			return refused(400, "choice", fmt.Sprintf("%.40q: expected localize, locate, personalize, advertise or measure, each true or false; nothing was changed", name))
		}
		granted &^= consent.Set(0).With(p)
		if yes {
			granted = granted.With(p)
		}
	}
	c := choiceOf(&v, granted)
	saved := map[string]bool{}
	for p := range abi.Purpose(abi.Purposes) {
		saved[p.String()] = granted.Has(p)
	}
	said := map[string]any{"chosen": saved, "chosen_at": c.At, "under_gpc": c.UnderGPC}
	a := keptOn(v, 200, said)
	a.Choice, a.Preferences = c, withoutExact(c, v.Preferences)
	return a
}

// keptOn answers with what was said. Where the site knows the visitor as a
// subject, it tells whether it holds on all of their devices: if it does not yet,
// with 202, as it will when the store can (RFC 9110, 15.3.3).
func keptOn(v Visit, status int, said map[string]any) Answer {
	if v.Devices == ThisDevice {
		return jsonAnswer(status, said)
	}
	said["all_devices"] = false
	here := jsonAnswer(202, said)
	said["all_devices"] = true
	a := jsonAnswer(status, said)
	a.HereOnly = &here
	return a
}

// apiPreferences: PUT sets all, PATCH what is named; null takes one away.
func apiPreferences(r Request, v Visit, body map[string]json.RawMessage) Answer {
	prefs := v.Preferences
	switch r.Method {
	case "GET", "HEAD":
		return jsonAnswer(200, preferencesOut(&prefs))
	case "PUT", "DELETE":
		prefs = profile.Preferences{}
	}
	for name, value := range body {
		if err := setPreference(&prefs, name, value); err != nil {
			return refused(400, "preferences", err.Error()+"; nothing was changed")
		}
	}
	return keep(v, prefs, func(p *profile.Preferences) any { return preferencesOut(p) })
}

// keep answers with preferences that are to be kept, or why they cannot be.
func keep(v Visit, prefs profile.Preferences, out func(*profile.Preferences) any) Answer {
	if prefs.Place.Mode == profile.PlaceExact && !v.stands().Has(abi.Locate) {
		return refused(403, "not-granted", "an exact place needs the purpose locate, which is not granted; nothing was changed")
	}
	if err := prefs.Check(); err != nil {
		return refused(400, "preferences", err.Error()+"; nothing was changed")
	}
	a := jsonAnswer(200, out(&prefs))
	a.Preferences = &prefs
	return a
}

var errNoPreference = errors.New("the preferences are name, theme, page-size, sort, filters, muted, contact and place")

func setPreference(p *profile.Preferences, name string, value json.RawMessage) (err error) {
	null := string(bytes.TrimSpace(value)) == "null"
	switch name {
	case "name":
		err = set(&p.Name, value)
	case "theme":
		err = set(&p.Theme, value)
	case "page-size":
		if err = set(&p.PageSize, value); err == nil && p.PageSize == 0 && !null {
			err = fmt.Errorf("a page has 1 to %d items", profile.MaxPageSize)
		}
	case "sort":
		err = set(&p.Sort, value)
	case "muted":
		err = set(&p.Muted, value)
	case "contact":
		err = set(&p.Contact, value)
	case "filters":
		var m map[string]string
		err = set(&m, value)
		p.Filters = nil
		for _, name := range slices.Sorted(maps.Keys(m)) {
			p.Filters = append(p.Filters, profile.Filter{Name: name, Value: m[name]})
		}
	case "place":
		p.Place = profile.Place{}
		if !null {
			p.Place, err = placeIn(value)
		}
	default:
		return fmt.Errorf("found %.40q: %w", name, errNoPreference)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// set decodes into a fresh value; null is the zero value.
func set[T any](to *T, value json.RawMessage) error {
	var fresh T
	err := json.Unmarshal(value, &fresh)
	*to = fresh
	if err != nil {
		return fmt.Errorf("a value of another kind was expected")
	}
	return nil
}

func placeIn(value json.RawMessage) (profile.Place, error) {
	var in placeJSON
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return profile.Place{}, errors.New(`expected {"mode": "chosen", "name": "..."} or {"mode": ..., "lat": 0, "lon": 0}`)
	}
	mode, err := profile.ParsePlaceMode(in.Mode)
	if err != nil {
		return profile.Place{}, err
	}
	p := profile.Place{Mode: mode, Name: in.Name}
	if (in.Lat == nil) != (in.Lon == nil) {
		return p, errors.New("latitude and longitude go together")
	}
	if in.Lat != nil {
		p.Located, p.Lat, p.Lon = true, *in.Lat, *in.Lon
	}
	return p, nil
}

func apiPlace(r Request, v Visit, body map[string]json.RawMessage) Answer {
	prefs := v.Preferences
	out := func(p *profile.Preferences) any { return placeOut(&p.Place) }
	switch r.Method {
	case "GET", "HEAD":
		return jsonAnswer(200, out(&prefs))
	case "DELETE":
		prefs.Place = profile.Place{}
	default:
		raw, err := json.Marshal(body)
		if err == nil {
			prefs.Place, err = placeIn(raw)
		}
		if err != nil {
			return refused(400, "place", err.Error()+"; nothing was changed")
		}
	}
	return keep(v, prefs, out)
}

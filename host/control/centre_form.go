package control

import (
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Nothing but the browser's word (Request.CrossOrigin) keeps other sites from
// posting these forms. A token in the form would add nothing: visitors have no
// session here that it could be bound to, so that any site could fetch one of
// its own; and it would make pages differ that are equal for all who refused.

func (p *Privacy) post(r Request, v Visit) Answer {
	if r.CrossOrigin {
		return plain(403, "This form was sent from another site. Nothing was changed. Open "+PathPrivacy+" and choose there.")
	}
	if mt, _, err := mime.ParseMediaType(r.ContentType); err != nil || mt != "application/x-www-form-urlencoded" {
		return plain(415, "Send a form (application/x-www-form-urlencoded). Nothing was changed.")
	}
	if len(r.Body) > MaxForm {
		return plain(413, fmt.Sprintf("A form here has at most %d bytes. Nothing was changed.", MaxForm))
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return plain(400, "The form cannot be read. Nothing was changed.")
	}
	return p.act(r, v, form)
}

// act does what a form asks for.
func (p *Privacy) act(r Request, v Visit, form url.Values) Answer {
	action := last(form, "action")
	switch action {
	case "choose", "keep": // of the notice, and of the page that asks before erasing
		return Answer{Status: 303, Location: centre("", last(form, "return"))}
	case "erase":
		return erase(v, Answer{Status: 303, Location: PathPrivacy + "?saved=erased"})
	case "place-exact":
		return p.exact(r, v, form)
	case "hide-item", "show-item":
		return itemForm(v, form, action == "hide-item")
	}
	choice, err := chosen(form, v)
	if err != nil {
		return plain(400, "The form cannot be used: "+err.Error()+". Nothing was changed.")
	}
	back := last(form, "back")
	a := Answer{Status: 303, Choice: choice}
	if choice != nil {
		a.Location = centre("choice", back)
		if v.Devices != ThisDevice {
			a.HereOnly = &Answer{Status: 303, Location: centre("here", back)}
		}
		if path := localPath(last(form, "return")); path != "" {
			a.Location, a.Noticed = path, true // from the notice on a page, back to that page
		}
		a.Preferences = withoutExact(choice, v.Preferences)
	}
	if preferring(form) {
		prefs := v.Preferences
		if a.Preferences != nil {
			prefs = *a.Preferences
		}
		f := fieldsOf(&prefs)
		if bad := declared(form, &f, &prefs); bad != "" {
			r.Query = url.Values{"back": {back}}.Encode()
			w := p.view(r, v)
			w.Form, w.Bad, w.Failed = f, bad, w.texts.of["bad."+bad]
			if choice != nil {
				w.Saved = w.texts.of["saved.choice"] // a refusal never depends on a name
			}
			shown := p.render("privacy", 400, w)
			shown.Choice, shown.Preferences, shown.Noticed = a.Choice, a.Preferences, a.Noticed
			if a.HereOnly != nil {
				w.Saved = w.texts.of["saved.here"]
				shown.HereOnly = new(p.render("privacy", 400, w))
			}
			return shown
		}
		a.Preferences = &prefs
		if choice == nil {
			a.Location = centre("preferences", back)
			if path := localPath(last(form, "return")); path != "" {
				a.Location = path // from a form of the site's own, back to its page
			}
		}
	} else if choice == nil {
		return plain(400, "The form holds neither a choice (action=allow-all, refuse-all or save) nor a preference. Nothing was changed.")
	}
	return a
}

// centre returns where a saved form leads.
func centre(saved, back string) string {
	q := url.Values{}
	if saved != "" {
		q.Set("saved", saved)
	}
	if back = localPath(back); back != "" && back != "/" {
		q.Set("back", back)
	}
	if len(q) == 0 {
		return PathPrivacy
	}
	return PathPrivacy + "?" + q.Encode()
}

func last(form url.Values, name string) string {
	if v := form[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// maxAhead is how far the time of a choice may be ahead of the clock, so that it
// is after the one before.
const maxAhead = time.Minute

// choiceOf returns a choice of what is granted, newer than every one before.
func choiceOf(v *Visit, granted consent.Set) *consent.Choice {
	c := &consent.Choice{Granted: granted, At: v.Now.UTC().Truncate(time.Second), UnderGPC: v.Decision.GPC, Epoch: 1, TextVersion: v.TextVersion}
	if v.Choice != nil {
		c.Epoch = max(v.Choice.Epoch+1, v.Choice.Epoch) // stays at the highest
		// Two within a second are told apart, where a store compares them.
		if next := v.Choice.At.Add(time.Second); c.At.Before(next) && next.Sub(v.Now) < maxAhead {
			c.At = next
		}
	}
	return c
}

// withoutExact returns the preferences without the exact place, if the choice
// takes back what it was given for; nil if nothing is to change.
func withoutExact(c *consent.Choice, p profile.Preferences) *profile.Preferences {
	if p.Place.Mode != profile.PlaceExact || c.Granted.Has(abi.Locate) {
		return nil
	}
	p.Place = profile.Place{}
	return &p
}

// erase drops all, and refuses all: else what was erased would be gathered anew.
func erase(v Visit, a Answer) Answer {
	a.EraseAll, a.Choice, a.Preferences, a.Hidden = true, choiceOf(&v, 0), &profile.Preferences{}, &profile.Hidden{}
	if v.Devices != ThisDevice && a.HereOnly == nil {
		a.HereOnly = &Answer{Status: 303, Location: PathPrivacy + "?saved=here"}
	}
	return a
}

// exact takes the place that the browser told. To send it from the button that
// says so is the choice for both purposes that it needs.
func (p *Privacy) exact(r Request, v Visit, form url.Values) Answer {
	back := last(form, "back")
	lat, err1 := strconv.ParseFloat(last(form, "lat"), 64)
	lon, err2 := strconv.ParseFloat(last(form, "lon"), 64)
	prefs := v.Preferences
	prefs.Place = profile.Place{Mode: profile.PlaceExact, Located: true, Lat: lat, Lon: lon}
	if err1 != nil || err2 != nil || prefs.Check() != nil {
		r.Query = url.Values{"back": {back}}.Encode()
		w := p.view(r, v)
		w.Failed = w.texts.of["place.failed"]
		return p.render("privacy", 400, w)
	}
	granted := v.stands().With(abi.Localize).With(abi.Locate)
	a := Answer{Status: 303, Location: centre("choice", back), Choice: choiceOf(&v, granted), Preferences: &prefs}
	if v.Devices != ThisDevice {
		a.HereOnly = &Answer{Status: 303, Location: centre("here", back)}
	}
	return a
}

// chosen returns the choice that a form makes, nil if it makes none. A purpose
// that is not named in a saved form is refused, as an unticked box is.
func chosen(form url.Values, v Visit) (*consent.Choice, error) {
	var granted consent.Set
	named := false
	for p := range abi.Purpose(abi.Purposes) {
		vals, ok := form[p.String()]
		if !ok {
			continue
		}
		named = true
		switch strings.ToLower(vals[len(vals)-1]) {
		case "on", "1", "true", "yes":
			granted = granted.With(p)
		case "", "off", "0", "false", "no":
		default:
			return nil, fmt.Errorf("%s takes on or off", p)
		}
	}
	actions, acted := form["action"]
	if !acted {
		if !named {
			return nil, nil
		}
		return choiceOf(&v, granted), nil
	}
	switch actions[len(actions)-1] {
	case "allow-all":
		granted = consent.All
	case "refuse-all":
		granted = 0
	case "save":
	case "prefer", "name": // the form of the preferences alone
		if named {
			return nil, errors.New("action=prefer saves no choice")
		}
		return nil, nil
	default:
		return nil, errors.New("action is allow-all, refuse-all, save, prefer or erase")
	}
	return choiceOf(&v, granted), nil
}

var preferenceFields = [...]string{"name", "theme", "page-size", "sort", "filters", "muted", "contact", "place-mode", "place"}

// preferring reports whether a form holds preferences.
func preferring(form url.Values) bool {
	for name := range form {
		if slices.Contains(preferenceFields[:], name) || name == "mute" || name == "unmute" || strings.HasPrefix(name, fieldFilter) {
			return true
		}
	}
	return false
}

// fieldFilter begins the name of a field that sets one filter, so that a site's
// own form can, which knows nothing of the others. Several values, as of boxes
// that are ticked, become one with commas; an empty one takes the filter away.
const fieldFilter = "filter."

// oneByOne puts what a form sets one at a time into p: filter.NAME, mute and
// unmute, which name topics. The rest of both lists stays.
func oneByOne(form url.Values, p *profile.Preferences) {
	for field, values := range form {
		name, ok := strings.CutPrefix(field, fieldFilter)
		if !ok {
			continue
		}
		p.Filters = slices.DeleteFunc(p.Filters, func(f profile.Filter) bool { return strings.TrimSpace(f.Name) == name })
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return strings.TrimSpace(v) == "" })
		if len(values) > 0 {
			p.Filters = append(p.Filters, profile.Filter{Name: name, Value: strings.Join(values, ",")})
		}
	}
	p.Muted = slices.DeleteFunc(append(p.Muted, form["mute"]...), func(s string) bool {
		return strings.TrimSpace(s) == "" || slices.Contains(form["unmute"], strings.TrimSpace(s))
	})
}

// declared puts a form's preferences into p; what it does not name stays. It
// returns the field that cannot be kept, "" for none, and leaves in f what was
// typed.
func declared(form url.Values, f *fields, p *profile.Preferences) (bad string) {
	for name, to := range map[string]*string{
		"name": &f.Name, "page-size": &f.PageSize, "sort": &f.Sort, "filters": &f.Filters, "muted": &f.Muted,
		"place-mode": &f.PlaceMode, "place": &f.Place, "theme": (*string)(&f.Theme), "contact": (*string)(&f.Contact),
	} {
		if _, ok := form[name]; ok {
			*to = last(form, name)
		}
	}
	old := p.Place
	*p = profile.Preferences{Name: f.Name, Theme: f.Theme, Sort: f.Sort, Contact: f.Contact}
	if s := strings.TrimSpace(f.PageSize); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n == 0 {
			return "page-size"
		}
		p.PageSize = n
	}
	var ok bool
	if p.Filters, ok = filtersOf(f.Filters); !ok {
		return "filters"
	}
	p.Muted = strings.Split(f.Muted, "\n")
	if len(p.Muted) > 2*profile.MaxMuted {
		return "muted"
	}
	oneByOne(form, p)
	if p.Place, ok = placeOf(f, &old); !ok {
		return "place"
	}
	var fe *profile.FieldError
	if err := p.Check(); errors.As(err, &fe) {
		if fe.Field == "" {
			return "all"
		}
		return fe.Field
	}
	return ""
}

// filtersOf reads lines "name: value".
func filtersOf(s string) (out []profile.Filter, ok bool) {
	for line := range strings.Lines(s) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		i := strings.IndexAny(line, ":：=")
		if i < 0 || len(out) == profile.MaxFilters {
			return nil, false
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		out = append(out, profile.Filter{Name: line[:i], Value: line[i+size:]})
	}
	return out, true
}

// placeOf reads the place of the form. An exact one can be kept, and given up,
// but not typed.
func placeOf(f *fields, old *profile.Place) (profile.Place, bool) {
	mode, err := profile.ParsePlaceMode(f.PlaceMode)
	switch {
	case err != nil:
		return profile.Place{}, false
	case mode == profile.PlaceChosen:
		p, err := profile.ParsePlace(f.Place)
		return p, err == nil
	case mode == profile.PlaceExact:
		return *old, old.Mode == profile.PlaceExact
	}
	return profile.Place{}, true
}

package control

import (
	"encoding/json"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// What the JSON API answers, and what is in the download.

type choiceJSON struct {
	Purposes     map[string]purposeJSON `json:"purposes"`
	ChosenAt     *time.Time             `json:"chosen_at"` // null: nothing chosen
	Ask          bool                   `json:"ask"`
	GPC          bool                   `json:"gpc"`
	Jurisdiction string                 `json:"jurisdiction"`
	TextVersion  uint16                 `json:"text_version"`
	AllDevices   *bool                  `json:"all_devices,omitempty"` // it holds on all of the subject's; left out: none is known
}

type purposeJSON struct {
	Granted bool   `json:"granted"`
	Rule    string `json:"rule"`
	Signal  string `json:"signal"`
	DPV     string `json:"dpv"`
	TCF     string `json:"tcf"`
}

func choiceOut(v *Visit) choiceJSON {
	d := &v.Decision
	out := choiceJSON{Purposes: map[string]purposeJSON{}, Ask: d.Ask, GPC: d.GPC, Jurisdiction: d.Jurisdiction.ID, TextVersion: v.TextVersion}
	if v.Devices != ThisDevice {
		out.AllDevices = new(v.Devices == AllDevices)
	}
	if at := d.ChosenAt; !at.IsZero() {
		out.ChosenAt = &at
	}
	for p := range abi.Purpose(abi.Purposes) {
		f := consent.TermsOf(p)
		out.Purposes[p.String()] = purposeJSON{d.Grants(p), d.Rule(p).String(), d.Signal(p).String(), f.DPV, f.TCF}
	}
	return out
}

type preferencesJSON struct {
	Name     string            `json:"name,omitempty"`
	Theme    profile.Theme     `json:"theme,omitempty"`
	PageSize int               `json:"page-size,omitempty"`
	Sort     string            `json:"sort,omitempty"`
	Filters  map[string]string `json:"filters,omitempty"`
	Muted    []string          `json:"muted,omitempty"`
	Contact  profile.Frequency `json:"contact,omitempty"`
	Place    *placeJSON        `json:"place,omitempty"`
}

type placeJSON struct {
	Mode string   `json:"mode"`
	Name string   `json:"name,omitempty"`
	Lat  *float64 `json:"lat,omitempty"`
	Lon  *float64 `json:"lon,omitempty"`
}

func preferencesOut(p *profile.Preferences) preferencesJSON {
	out := preferencesJSON{Name: p.Name, Theme: p.Theme, PageSize: p.PageSize, Sort: p.Sort, Muted: p.Muted, Contact: p.Contact}
	for _, f := range p.Filters {
		if out.Filters == nil {
			out.Filters = map[string]string{}
		}
		out.Filters[f.Name] = f.Value
	}
	if p.Place.Mode != profile.PlaceAutomatic {
		place := placeOut(&p.Place)
		out.Place = &place
	}
	return out
}

func placeOut(p *profile.Place) placeJSON {
	out := placeJSON{Mode: p.Mode.String(), Name: p.Name}
	if p.Located {
		lat, lon := p.Lat, p.Lon
		out.Lat, out.Lon = &lat, &lon
	}
	return out
}

// profileJSON is all that is known of the visitor.
type profileJSON struct {
	Site        string          `json:"site"`
	Choice      choiceJSON      `json:"choice"`
	Preferences preferencesJSON `json:"preferences"`
	Inferred    *profile.Known  `json:"inferred,omitempty"`
	Hidden      []hiddenJSON    `json:"hidden,omitempty"`
	Why         []string        `json:"why,omitempty"`
}

func profileOut(v *Visit) profileJSON {
	return profileJSON{v.Site, choiceOut(v), preferencesOut(&v.Preferences), v.inferred(), v.hidden(), v.Why}
}

// inferred returns what was worked out about the visitor, nil for nothing.
func (v *Visit) inferred() *profile.Known {
	if v.Inferred == nil || v.Inferred.Empty() {
		return nil
	}
	k := profile.Know(v.Inferred, nil, v.named())
	return &k
}

// hidden returns the items that the visitor hid.
func (v *Visit) hidden() (list []hiddenJSON) {
	for _, n := range v.Hidden.Items() {
		h := hiddenJSON{Number: n, Title: v.named().Item(n)}
		if v.Catalogue != nil {
			h.ID = v.Catalogue.ID(n)
		}
		list = append(list, h)
	}
	return list
}

// named returns what tells names of numbers.
func (v *Visit) named() profile.Names {
	if v.Catalogue == nil {
		return nameless{}
	}
	return v.Catalogue
}

// nameless knows no names.
type nameless struct{}

func (nameless) Item(uint32) string            { return "" }
func (nameless) Value(uint32) (string, string) { return "", "" }

func jsonAnswer(status int, v any) Answer {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil { // maps, strings and finite numbers always can be
		return plain(500, "The answer could not be made.")
	}
	return Answer{Status: status, ContentType: "application/json", Body: append(body, '\n')}
}

func download(v Visit) Answer {
	a := jsonAnswer(200, profileOut(&v))
	a.Filename = "privacy-data.json"
	return a
}

// receipt answers with the receipt of the visitor's choice.
func (p *Privacy) receipt(r Request, v Visit) Answer {
	if v.Choice == nil {
		return plain(404, "You have not chosen yet, so there is no receipt. Choose at "+PathPrivacy+".")
	}
	t := p.texts[Language(r.AcceptLanguage)]
	a := jsonAnswer(200, consent.NewReceipt(v.Choice, consent.ReceiptAbout{
		Controller: v.Site, Site: v.Origin, Centre: PathPrivacy, Language: t.lang, Jurisdiction: v.Decision.Jurisdiction.ID,
		Words: func(p abi.Purpose) string { return t.of[p.String()+".title"] + ". " + t.of[p.String()+".about"] },
	}))
	a.Filename = "consent-receipt.json"
	return a
}

package edge

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// Read answers a policy's read.
func (v *view) Read(key []byte) ([]byte, bool) {
	value, ok := v.answer(key)
	if w := v.x.witness; w != nil {
		return w.read(key, value, ok)
	}
	return value, ok
}

// answer finds what a read is answered. This is where consent is enforced: a key whose
// class needs a purpose is answered only if the decision grants it. Withheld,
// undeclared, absent and unknown look the same from inside.
func (v *view) answer(key []byte) ([]byte, bool) {
	k := string(key)
	class := abi.Classify(k)
	number, declared := v.pick.reads.find(k)
	if class == abi.Unknown || !declared {
		v.took(class, 0, readUndeclared)
		return nil, false
	}
	if p, needs := class.Needs(); needs && !v.x.decision.Grants(p) && !(p == abi.Localize && v.x.chosePlace()) {
		v.took(class, number, readWithheld)
		return nil, false
	}
	value, ok := v.held(k, class)
	if !ok {
		v.took(class, number, readAbsent)
		return nil, false
	}
	v.took(class, number, readGiven)
	if class != abi.Public {
		v.personal()
	}
	return value, true
}

// held returns what there is for a key that the policy may have.
func (v *view) held(k string, class abi.Class) ([]byte, bool) {
	switch class {
	case abi.Public:
		return v.public(k)
	case abi.Declared:
		if k == keyHidden {
			return v.hiddenIDs()
		}
		s, ok := v.x.preferences().Value(k[len(abi.KeyPreference):])
		b, _ := v.text(s)
		return b, ok
	case abi.PlaceCoarse, abi.PlaceCell:
		return v.place(k)
	case abi.Inferred, abi.Interests:
		if band, ok := strings.CutPrefix(k, abi.KeyRecommend); ok {
			return v.recommended(band)
		}
		p, _ := class.Needs()
		return v.inferred(k, p)
	}
	return nil, false // of this version, but nothing here has it
}

// keyHidden is the preference that is not among profile.Preferences.
const keyHidden = "preference.hidden"

// text returns a value; it is good until the next read.
func (v *view) text(s string) ([]byte, bool) {
	return append(v.buf[:0], s...), s != ""
}

func (v *view) public(k string) ([]byte, bool) {
	x := v.x
	switch k {
	case "request.method":
		return x.ctx.Request.Header.Method(), true
	case "request.path":
		return v.text(x.path)
	case abi.KeyConfigPolicy:
		return v.text(v.pick.manifest.Name)
	}
	if name, ok := strings.CutPrefix(k, abi.KeyRequestQuery); ok {
		if !x.ctx.QueryArgs().Has(name) {
			return nil, false
		}
		return x.ctx.QueryArgs().Peek(name), true
	}
	if name, ok := strings.CutPrefix(k, abi.KeyRequestHeader); ok {
		s, ok := x.seen.header(name)
		b, _ := v.text(s)
		return b, ok
	}
	if name, ok := strings.CutPrefix(k, abi.KeyConfig); ok {
		for i := range v.policy.with {
			if v.policy.with[i].Name == name {
				b, _ := v.text(v.policy.with[i].Value)
				return b, true
			}
		}
		return nil, false
	}
	if name, ok := strings.CutPrefix(k, abi.KeyConsent); ok {
		p, _ := abi.ParsePurpose(name)
		// A default tells where the visitor is; it is told only to those who
		// may know that.
		byPlace := x.decision.Rule(p) == consent.ByJurisdiction && !x.decision.Grants(abi.Localize)
		if x.decision.Grants(p) && !byPlace {
			return v.text("granted")
		}
		return v.text("denied")
	}
	if strings.HasPrefix(k, "time.") {
		return v.time(k)
	}
	if what, ok := strings.CutPrefix(k, abi.KeyPage); ok {
		return v.page(what)
	}
	if band, ok := strings.CutPrefix(k, abi.KeyRecommend); ok {
		return v.recommended(band)
	}
	return nil, false
}

// page answers page.SELECTOR, page.SELECTOR@ATTR and, in JSON, page.POINTER from
// the origin's body: one line for each element, or value, that matches.
func (v *view) page(what string) ([]byte, bool) {
	if v.phase != abi.OnResponse || v.x.body == nil {
		return nil, false
	}
	body, ok := v.x.body.page()
	if !ok {
		return nil, false
	}
	found, err := v.x.kind.extract(body, what)
	if err != nil || len(found) == 0 {
		return nil, false
	}
	for i, s := range found {
		found[i] = strings.ReplaceAll(s, "\n", " ") // a list is one item a line
	}
	return []byte(strings.Join(found, "\n")), true
}

// time answers in the tenant's zone, or in the visitor's where their place may be
// used. A place that they chose does not set their clock: they may look for
// results where they are not.
func (v *view) time(k string) ([]byte, bool) {
	x := v.x
	zone := x.tenant.zone
	if z := x.edge.zones.load(x.place.TimeZone); z != nil {
		zone = z
		v.personal()
	}
	t := x.began.In(zone)
	b := v.buf[:0]
	switch k {
	case "time.hour":
		return strconv.AppendInt(b, int64(t.Hour()), 10), true
	case "time.weekday":
		return append(b, strings.ToLower(t.Weekday().String())...), true
	case "time.date":
		return t.AppendFormat(b, time.DateOnly), true
	case "time.now":
		return t.AppendFormat(b, time.RFC3339), true
	}
	return nil, false
}

// place answers from where the visitor says that they are, else from what the
// decision left of the place that their address tells.
func (v *view) place(k string) ([]byte, bool) {
	if k == "geo.fences" && v.x.tenant.fences == nil {
		return nil, false
	}
	p, from := v.x.where()
	if from == fromAddress || from == fromBrowser && k != "geo.lat" && k != "geo.lon" && k != "geo.fences" {
		v.x.located = true // the database's results show
	}
	switch k {
	case "geo.continent":
		return v.text(p.Continent)
	case "geo.country":
		return v.text(p.Country)
	case "geo.region": // ISO 3166-2 in whole
		if p.Country == "" || p.Region == "" {
			return nil, false
		}
		return v.text(p.Country + "-" + p.Region)
	case "geo.timezone":
		return v.text(p.TimeZone)
	case "geo.city":
		return v.text(p.City)
	}
	if !p.Located {
		return nil, false
	}
	switch k {
	case "geo.lat":
		return strconv.AppendFloat(v.buf[:0], p.Lat, 'f', 4, 64), true
	case "geo.lon":
		return strconv.AppendFloat(v.buf[:0], p.Lon, 'f', 4, 64), true
	case "geo.fences":
		return v.fences(&p)
	}
	return nil, false
}

// zones remembers time zones by name; a lookup reads a file otherwise.
type zones struct{ m sync.Map } // string -> *time.Location; nil: there is none

func (z *zones) load(name string) *time.Location {
	if name == "" {
		return nil
	}
	if l, ok := z.m.Load(name); ok {
		return l.(*time.Location)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		l = nil
	}
	z.m.Store(name, l)
	return l
}

package control

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
)

// Every answer to a choice has, for a known subject, another one that says that
// the choice holds here alone; and none for who is not known.
func TestHereOnly(t *testing.T) {
	p, err := NewPrivacy()
	if err != nil {
		t.Fatal(err)
	}
	api := func(method, path, body string) Request {
		return Request{Method: method, Path: PathAPI + path, ContentType: "application/json", Body: []byte(body)}
	}
	for name, r := range map[string]Request{
		"the centre":     post("action=refuse-all"),
		"a notice":       post("action=refuse-all&return=%2Fshop"),
		"a bad name":     post("action=refuse-all&name=%00"),
		"an exact place": post("action=place-exact&lat=1&lon=2"),
		"erasing":        post("action=erase"),
		"the API":        api("PUT", "choice", "{}"),
		"erasing, API":   api("DELETE", "profile", ""),
	} {
		v := visit(consent.Signals{})
		if a := p.Answer(r, v); a.Choice == nil || a.HereOnly != nil {
			t.Errorf("%s, not known: %v, %v", name, a.Choice, a.HereOnly)
		}
		v.Devices = AllDevices
		a := p.Answer(r, v)
		if a.Choice == nil || a.HereOnly == nil {
			t.Errorf("%s, known: %v, %v", name, a.Choice, a.HereOnly)
			continue
		}
		h := a.HereOnly
		switch {
		case h.Location != "":
			if !strings.HasPrefix(h.Location, PathPrivacy+"?") || !strings.Contains(h.Location, "saved=here") || h.Status != 303 {
				t.Errorf("%s leads to %d %s", name, h.Status, h.Location)
			}
		case h.Status == 400:
			if !strings.Contains(string(h.Body), "not be saved for your other devices") || strings.Contains(string(a.Body), "not be saved for your other devices") {
				t.Errorf("%s: %s", name, h.Body)
			}
		default:
			var yes, no struct {
				AllDevices *bool `json:"all_devices"`
			}
			if json.Unmarshal(a.Body, &yes) != nil || json.Unmarshal(h.Body, &no) != nil || yes.AllDevices == nil || no.AllDevices == nil ||
				!*yes.AllDevices || *no.AllDevices || a.Status != 200 || h.Status != 202 {
				t.Errorf("%s: %d %s, or %d %s", name, a.Status, a.Body, h.Status, h.Body)
			}
		}
	}
}

// Of two choices within one second the second is the newer one, also to a store.
func TestChoiceAfterChoice(t *testing.T) {
	v := visit(consent.Signals{})
	v.Preferences = profile.Preferences{}
	for i := range 200 {
		c := choiceOf(&v, consent.All*consent.Set(i%2))
		if v.Choice != nil {
			if both := consent.Merge(v.Choice, c); i < 60 && both.Granted != c.Granted {
				t.Fatalf("choice %d within a second does not beat the one before", i)
			}
			if both := consent.Merge(v.Choice, c); both.Granted&^c.Granted != 0 {
				t.Fatalf("refusal %d does not hold", i)
			}
		}
		if c.At.Sub(v.Now) > maxAhead {
			t.Fatalf("choice %d is of %v, now is %v", i, c.At, v.Now)
		}
		v.Choice = c
	}
	v.Now = v.Now.Add(time.Hour)
	if c := choiceOf(&v, 0); !c.At.Equal(v.Now.Truncate(time.Second)) {
		t.Errorf("an hour later: %v, want %v", c.At, v.Now)
	}
}

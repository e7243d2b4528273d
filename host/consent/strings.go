package consent

import (
	"time"

	"bespoke/modules/abi"
)

// A verdict is what the consent strings say of a purpose. Of several the
// strictest counts: the lowest rule. 0 is silence.
type verdict struct {
	rule Rule // ByUnreadableString, ByStaleString, ByStringRefusal or ByString
	from Signal
}

type verdicts struct {
	on  [abi.Purposes]verdict
	gpc bool // a GPP string says that the browser sent the signal, or may have
}

func (v *verdicts) say(p abi.Purpose, r Rule, from Signal) {
	if one := &v.on[p]; one.rule == 0 || r < one.rule {
		*one = verdict{r, from}
	}
}

func (v *verdicts) sayAll(r Rule, from Signal) {
	for p := range abi.Purpose(abi.Purposes) {
		v.say(p, r, from)
	}
}

// readStrings reads the consent strings. What cannot be read denies everything
// that it could have spoken about.
func readStrings(s *Signals, d *Decision) (v verdicts) {
	switch {
	case s.TCFCount > 1:
		d.TCFFault = "there are several, and they differ"
		v.sayAll(ByUnreadableString, FromTCF)
	case s.TCFCount == 1:
		var t tcf
		if err := parseTCF(s.TCF, &t); err != nil {
			d.TCFFault = err.Error()
			v.sayAll(ByUnreadableString, FromTCF)
		} else {
			v.tcf(&t, s.Now, false)
		}
	}
	switch {
	case s.GPPCount > 1:
		d.GPPFault = "there are several, and they differ"
		v.unreadableGPP()
	case s.GPPCount == 1:
		d.GPPFault = v.gpp(s.GPP, s.Now)
	}
	switch {
	case s.USPrivacyCount > 1:
		d.USPrivacyFault = "there are several, and they differ"
		v.say(abi.Advertise, ByUnreadableString, FromUSPrivacy)
	case s.USPrivacyCount == 1:
		u, err := parseUSPrivacy(s.USPrivacy)
		if err != nil {
			d.USPrivacyFault = err.Error()
			v.say(abi.Advertise, ByUnreadableString, FromUSPrivacy)
		} else if u.saleOptOut == 'Y' {
			v.say(abi.Advertise, ByStringRefusal, FromUSPrivacy)
		}
	}
	return v
}

// What of the TCF each purpose of ours stands on, read as the site's own
// (IAB TCF 2.2, appendix A). Bit i-1 is purpose i. Of consents all are needed.
const (
	tcfPersonalize = 1<<0 | 1<<4 | 1<<5
	tcfAdvertise   = 1<<0 | 1<<2 | 1<<3
	tcfLocalize    = 1 << 10
	tcfMeasure     = 1 << 7
)

const featureExactPlace = 1 << 0 // special feature 1: use precise geolocation data

// tcf adds what a TC string says: it speaks about every purpose. What was said
// to the publisher itself may refuse what is said to vendors, never more.
func (v *verdicts) tcf(t *tcf, now time.Time, canada bool) {
	const from = FromTCF
	consents, interests := t.consents, t.interests
	if t.hasPublisher && t.publisherConsents|t.publisherInterests != 0 { // some encoders always write it, with nothing in it
		consents &= t.publisherConsents
		interests &= t.publisherInterests
	}
	if canada {
		consents |= 1 // "Purpose 1 bit is not used in TCF Canada"
	}
	granted := ByString
	updated := time.Unix(t.updated, 0)
	if age := now.Sub(updated); age > StringLife || age < -24*time.Hour {
		granted = ByStaleString
	}
	say := func(p abi.Purpose, ok bool) {
		if ok {
			v.say(p, granted, from)
		} else {
			v.say(p, ByStringRefusal, from)
		}
	}
	localize := (consents|interests)&tcfLocalize != 0
	say(abi.Localize, localize)
	say(abi.Locate, localize && t.features&featureExactPlace != 0)
	say(abi.Personalize, consents&tcfPersonalize == tcfPersonalize)
	say(abi.Advertise, consents&tcfAdvertise == tcfAdvertise)
	say(abi.Measure, (consents|interests)&tcfMeasure != 0)
}

// unreadableGPP takes a GPP string that cannot be read for all that it could
// have said, the browser's GPC signal included.
func (v *verdicts) unreadableGPP() {
	v.sayAll(ByUnreadableString, FromGPP)
	v.gpc = true
}

// gpp adds what a GPP string says, and returns what could not be read of it.
func (v *verdicts) gpp(s []byte, now time.Time) (fault string) {
	var g gpp
	if err := parseGPP(s, &g); err != nil {
		v.unreadableGPP()
		return err.Error()
	}
	v.gpc = g.us.gpc != 0
	for id := range len(g.faults) {
		if !g.unreadable.has(id) {
			continue
		}
		fault = g.faults[id].Error()
		if id == sectionEU || id == sectionCanada {
			v.sayAll(ByUnreadableString, FromGPP)
		} else {
			v.say(abi.Advertise, ByUnreadableString, FromGPP)
			v.gpc = v.gpc || usSections.has(id)
		}
	}
	if g.unknown { // newer than this build: it may speak of what the known ones do
		v.say(abi.Advertise, ByUnreadableString, FromGPP)
	}
	readable := g.sections &^ g.unreadable
	if readable.has(sectionEU) {
		v.tcf(&g.eu, now, false)
	}
	if readable.has(sectionCanada) {
		v.tcf(&g.canada, now, true)
	}
	if readable.has(sectionUSPrivacy) && g.usPrivacy.saleOptOut == 'Y' {
		v.say(abi.Advertise, ByStringRefusal, FromGPP)
	}
	if us := &g.us; us.sale|us.sharing|us.targeted|us.unoffered != 0 {
		v.say(abi.Advertise, ByStringRefusal, FromGPP)
	}
	if g.us.child != 0 { // a known child: nothing that builds on what they do
		v.say(abi.Advertise, ByStringRefusal, FromGPP)
		v.say(abi.Personalize, ByStringRefusal, FromGPP)
	}
	return fault
}

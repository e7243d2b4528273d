package edge

import (
	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// decide gathers the request's signals and settles what is granted. Of the
// place only what the decision grants stays in the exchange, so that nothing
// after this phase could use more. The jurisdiction is the host's own business:
// no policy reads it.
func (x *exchange) decide(whole geo.Place) {
	if x.script != nil {
		x.decision, x.tally.decided = x.script.decision, true
		return
	}
	j := geo.JurisdictionOf(whole.Country, whole.Region)
	t := x.tenant
	s := consent.Signals{
		Jurisdiction: consent.Jurisdiction{ID: j.ID, OptIn: j.Regime != geo.OptOut || t.optIn},
		HonorDNT:     t.dnt,
		TextVersion:  t.textVersion,
		Now:          x.began,
	}
	x.stricter = t.optIn && j.Regime == geo.OptOut
	h := &x.ctx.Request.Header
	for _, name := range [...]string{"Sec-GPC", "DNT", "Cookie"} {
		for _, line := range h.PeekAll(name) {
			s.Header([]byte(name), line, &t.signalCookies)
		}
	}
	x.openChoice()
	x.lookUpSubject()
	s.Choice, s.ChoiceUnreadable = x.comparable(), x.kept.unreadable
	s.Subject, s.SubjectUnknown = x.subject.choice, x.subject.standing == subjectUnknown
	if x.unrecorded {
		would := consent.Decide(s)
		x.stands, s.NoRecord = would.Granted(), true
	}
	x.decision = consent.Decide(s)
	if x.tally.decided = true; !x.unrecorded {
		x.stands = x.decision.Granted()
	}
	x.place = whole.At(precision(&x.decision))
}

// precision is how exactly a decision lets the visitor's place be known. The
// address never tells an exact place, whatever is granted.
func precision(d *consent.Decision) geo.Precision {
	if d.Grants(abi.Localize) {
		return geo.Cell
	}
	return geo.None
}

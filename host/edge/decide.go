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
	j := geo.JurisdictionOf(whole.Country, whole.Region)
	s := consent.Signals{
		Jurisdiction: consent.Jurisdiction{ID: j.ID, OptIn: j.Regime != geo.OptOut},
		HonorDNT:     x.tenant.dnt,
		Now:          x.began,
	}
	h := &x.ctx.Request.Header
	for _, name := range [...]string{"Sec-GPC", "DNT", "Cookie"} {
		for _, line := range h.PeekAll(name) {
			s.Header([]byte(name), line, &signalCookies)
		}
	}
	s.Choice, s.ChoiceUnreadable = x.openChoice()
	x.decision = consent.Decide(s)
	x.place = whole.At(precision(&x.decision))
}

// signalCookies are the cookies in which consent strings come.
var signalCookies = consent.DefaultCookieNames()

// precision is how exactly a decision lets the visitor's place be known. The
// address never tells an exact place, whatever is granted.
func precision(d *consent.Decision) geo.Precision {
	if d.Grants(abi.Localize) {
		return geo.Cell
	}
	return geo.None
}

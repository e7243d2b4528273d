package edge

import (
	"bytes"

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
		GPC:          x.hasLine(nameGPC, "1"),
		DNT:          x.tenant.dnt && x.hasLine(nameDNT, "1"),
		Now:          x.began,
	}
	s.Choice, s.ChoiceUnreadable = x.openChoice()
	x.decision = consent.Decide(s)
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

// hasLine reports whether a request header has a value, on a line of its own or
// in a line that a proxy joined of several (RFC 9110, 5.3).
func (x *exchange) hasLine(name []byte, value string) bool {
	for _, line := range x.ctx.Request.Header.PeekAll(string(name)) {
		for v := range bytes.SplitSeq(line, []byte(",")) {
			if string(bytes.TrimSpace(v)) == value {
				return true
			}
		}
	}
	return false
}

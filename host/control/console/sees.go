package console

import (
	"bespoke/host/control"
	"bespoke/host/ledger"
)

// sees reports whether who asks may see what is of a tenant; "" is the whole process.
func (v *visit) sees(tenant string) bool {
	return v.token.Role != control.RoleTenant || tenant != "" && tenant == v.token.Tenant
}

// asker names who shares what the edge does at a time: a tenant with all of its
// tokens, and of others each token.
func (v *visit) asker() string {
	if v.token.Role == control.RoleTenant {
		return "tenant " + v.token.Tenant
	}
	return "token " + v.token.Name
}

// verified returns how the last verification of the whole ledger went. A tenant is
// told whether it can be relied on, and not who had it done, what others' records say,
// or where on the disk it is damaged.
func (v *visit) verified() *verification {
	y := v.verifying.now()
	if v.sees("") {
		return y
	}
	y.By, y.For = "", ""
	if d := y.Done; d != nil {
		y.Done = &ledger.Verified{Checked: d.Checked, Removed: d.Removed, DamageCount: d.DamageCount}
	}
	return y
}

// summaryFor returns of a summary, which others are shown too, what who asks may see.
func (v *visit) summaryFor(s *ledger.Summary) *ledger.Summary {
	if s == nil || v.sees("") {
		return s
	}
	own := *s
	own.Gaps = gapsForTenant(s.Gaps)
	return &own
}

// gapsForTenant returns gaps without what their records tell of them: that counts the
// exchanges of all tenants, and may name the disk's error and the folder.
func gapsForTenant(gaps []ledger.Gap) []ledger.Gap {
	own := make([]ledger.Gap, len(gaps))
	for i, g := range gaps {
		own[i] = ledger.Gap{Record: g.Record, From: g.From, To: g.To, Kind: g.Kind, Text: gapWords[g.Kind]}
	}
	return own
}

// gapWords say what a gap is, by kind.
var gapWords = map[string]string{
	"crash":      "recording ended without a close; what was not sealed is lost",
	"unrecorded": "exchanges of the edge have no record; they were not personalized",
}

// ofTenant takes out of a report what is of other tenants, or of the machine: the
// findings of the whole ledger name records, files and errors of the disk.
func ofTenant(r *ledger.Report) {
	v := r.Verified
	v.Violations, v.ViolationCount = []ledger.Finding{}, r.Summary.Total.Violations
	v.Damage, v.Notes = []ledger.Finding{}, []ledger.Finding{}
	v.Gaps, r.Summary.Gaps = gapsForTenant(v.Gaps), gapsForTenant(r.Summary.Gaps)
}

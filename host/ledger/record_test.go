package ledger

import (
	"encoding/json"
	"testing"
	"time"
)

func TestExchangeJSON(t *testing.T) {
	x := &Exchange{
		Time: time.Date(2026, 3, 1, 12, 30, 5, 7_000_000, time.FixedZone("", 3600)), Tenant: "stores", Route: "/**", Served: "origin", Status: 200,
		Decision: &Decision{Facts: "optin choice", Purposes: []PurposeDecision{
			{"localize", true, "choice", "choice"}, {"locate", false, "withdrawal", "choice"}, {"personalize", true, "choice", "choice"},
		}},
		Policies: []Policy{
			{Name: "nearby", Digest: [16]byte{1}, Outcome: "ran", Edits: 2, Given: []string{"geo.lat", "config.*"}, Withheld: []string{"profile.recent"}},
			{Name: "mine\n\"\xff", Outcome: "failed fuel", Undeclared: []string{"inferred"}},
		},
		Edits: 2, Applied: 3, Pseudonym: [8]byte{0xab}, Sealed: true,
	}
	const want = `{"kind":"exchange","time":"2026-03-01T11:30:05.007Z","tenant":"stores","route":"/**","served":"origin","status":200,` +
		`"decision":{"facts":"optin choice","granted":["localize","personalize"],"by":{"localize":"choice/choice","locate":"withdrawal/choice","personalize":"choice/choice"}},` +
		`"policies":[{"policy":"nearby","digest":"01000000000000000000000000000000","outcome":"ran","edits":2,"given":["geo.lat","config.*"],"withheld":["profile.recent"]},` +
		`{"policy":"mine\u000a\"` + "\ufffd" + `","outcome":"failed fuel","undeclared":["inferred"]}],` +
		`"edits":2,"applied":3,"pseudonym":"ab00000000000000","sealed":true}`
	got := string(x.AppendJSON(nil))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { x.AppendJSON(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package geo

import (
	"strings"
	"testing"
)

func TestJurisdictionOf(t *testing.T) {
	for _, test := range []struct {
		country, region string
		id              string
		regime          Regime
		gpc             bool
	}{
		{"DE", "BE", "DE", OptIn, false},
		{"DE", "", "DE", OptIn, false},
		{"de", "be", "DE", OptIn, false},
		{"DE", "CA", "DE", OptIn, false},
		{"NO", "", "NO", OptIn, false},
		{"GB", "ENG", "GB", OptIn, false},
		{"CH", "", "CH", OptIn, false},
		{"BR", "SP", "BR", OptIn, false},
		{"KR", "", "KR", OptIn, false},
		{"CA", "QC", "CA-QC", OptIn, false},
		{"CA", "ON", "other", OptIn, false},
		{"CA", "", "other", OptIn, false},
		{"US", "CA", "US-CA", OptOut, true},
		{"us", "ca", "US-CA", OptOut, true},
		{"US", "TX", "US-TX", OptOut, true},
		{"US", "FL", "US", OptOut, false},
		{"US", "", "US", OptOut, true},
		{"JP", "13", "other", OptIn, false},
		{"XX", "", "other", OptIn, false},
		{"", "", "unknown", OptIn, true},
		{"", "CA", "unknown", OptIn, true},
		{"U", "S", "unknown", OptIn, true},
		{"US-CA", "", "unknown", OptIn, true},
		{"\x00\xff", "", "unknown", OptIn, true},
	} {
		j := JurisdictionOf(test.country, test.region)
		if j.ID != test.id || j.Regime != test.regime || j.GPC != test.gpc || j.Name == "" {
			t.Errorf("%q %q: got %+v", test.country, test.region, j)
		}
	}
}

// The shipped rows are exactly these.
func TestJurisdictionData(t *testing.T) {
	optIn := strings.Fields(`AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE
		IS LI NO GB CH BR KR CA-QC`)
	gpc := strings.Fields(`US-CA US-CO US-CT US-DE US-MD US-MN US-MT US-NE US-NH US-NJ US-OR US-TX`)
	want := map[string]Jurisdiction{"US": {Regime: OptOut}}
	for _, id := range optIn {
		want[id] = Jurisdiction{Regime: OptIn}
	}
	for _, id := range gpc {
		want[id] = Jurisdiction{Regime: OptOut, GPC: true}
	}
	if len(optIn) != 35 || len(gpc) != 12 || len(jurisdictions.rows) != len(want) {
		t.Errorf("%d rows, want %d", len(jurisdictions.rows), len(want))
	}
	for key, j := range jurisdictions.rows {
		w, ok := want[j.ID]
		if !ok || w.Regime != j.Regime || w.GPC != j.GPC {
			t.Errorf("%+v: want %+v", j, w)
		}
		if !strings.Contains(j.Source, "https://") || len(j.Date) != len("2006-01-02") || continents[key.country] == "" {
			t.Errorf("%+v: source, date or country", j)
		}
		if j.Date > JurisdictionVersion() {
			t.Errorf("%s: binds only from %s, after the data's version", j.ID, j.Date)
		}
	}
	if !strings.Contains(JurisdictionNotice(), "not legal advice") {
		t.Errorf("notice: %q", JurisdictionNotice())
	}
}

func TestJurisdictionDataErrors(t *testing.T) {
	const head = "# This is not legal advice.\n# version: 2026-01-01\nid,regime,gpc,name,law,url,since\n"
	const row = "DE,opt-in,no,Germany,Act,https://example.org,2018-05-25\n"
	if _, err := parseJurisdictions(head + row); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":               "version",
		head:             "no rows",
		row:              "version",
		head + row + row: "twice",
		strings.Replace(head, "not legal", "good", 1) + row:         "not legal advice",
		strings.Replace(head, "2026-01-01", "soon", 1) + row:        "version",
		strings.Replace(head, "gpc,", "", 1) + row:                  "fields",
		strings.Replace(head, "gpc", "GPC", 1) + row:                "header",
		head + strings.Replace(row, "DE", "de", 1):                  "id",
		head + strings.Replace(row, "DE", "DEU", 1):                 "id",
		head + strings.Replace(row, "DE", "DE-", 1):                 "id",
		head + strings.Replace(row, "opt-in", "optin", 1):           "regime",
		head + strings.Replace(row, "no,", "maybe,", 1):             "gpc",
		head + strings.Replace(row, "https", "http", 1):             "URL",
		head + strings.Replace(row, "2018-05-25", "25 May 2018", 1): "since",
	} {
		if _, err := parseJurisdictions(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

package geo

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
	"time"
)

// A Regime says whether silence counts as no or as yes.
type Regime string

const (
	OptIn  Regime = "opt-in"  // nothing without the visitor's yes
	OptOut Regime = "opt-out" // allowed until the visitor's no
)

// A Jurisdiction is the default of a place: what holds for a visitor who has
// sent no signal and made no choice. It is not legal advice.
type Jurisdiction struct {
	ID     string // "DE", "US-CA", "CA-QC"; "other": no row for the country; "unknown": no country
	Regime Regime
	GPC    bool   // a duty to honour Sec-GPC
	Name   string // "California, United States"
	Source string // law, article and official URL; "" for other and unknown
	Date   string // since when, YYYY-MM-DD; "" for other and unknown
}

//go:embed jurisdictions.csv
var jurisdictionData string

// A placeKey is a country and a region, "" for the whole country.
type placeKey struct{ country, region string }

type jurisdictionTable struct {
	version string
	notice  string
	rows    map[placeKey]Jurisdiction
}

// Filled once, here, and only read after that. The data is part of the program,
// so a mistake in it stops every test and cannot ship.
var jurisdictions = mustParseJurisdictions(jurisdictionData)

// JurisdictionOf returns the default of a place: ISO 3166-1 alpha-2 country and
// ISO 3166-2 region without the country, in any case, either of them "" if
// unknown. A country without a row gets the strictest regime and the ID
// "other", an unknown one the same with "unknown".
//
// In the United States a state without a row gets the country's, and so does an
// unknown state, with GPC set, since it may be a state with that duty.
func JurisdictionOf(country, region string) Jurisdiction {
	country, region = strings.ToUpper(country), strings.ToUpper(region) // no copy if they are already
	if j, ok := jurisdictions.rows[placeKey{country, region}]; ok && region != "" {
		return j
	}
	if j, ok := jurisdictions.rows[placeKey{country, ""}]; ok {
		if country == "US" && region == "" {
			j.GPC = true
		}
		return j
	}
	if code(country, 2, 2) == "" {
		return Jurisdiction{ID: "unknown", Regime: OptIn, GPC: true, Name: "Unknown place"}
	}
	return Jurisdiction{ID: "other", Regime: OptIn, Name: "Other country"}
}

// JurisdictionVersion returns the version of the data behind JurisdictionOf, a
// date as YYYY-MM-DD.
func JurisdictionVersion() string { return jurisdictions.version }

// JurisdictionNotice returns what must be shown with that data: that it is not
// legal advice.
func JurisdictionNotice() string { return jurisdictions.notice }

func mustParseJurisdictions(text string) jurisdictionTable {
	t, err := parseJurisdictions(text)
	if err != nil {
		panic(err)
	}
	return t
}

// parseJurisdictions reads the data file, whose own first lines say what its
// columns are. It fails on anything it does not expect.
func parseJurisdictions(text string) (jurisdictionTable, error) {
	t := jurisdictionTable{rows: map[placeKey]Jurisdiction{}}
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !ok {
			continue
		}
		if v, ok := strings.CutPrefix(comment, "version: "); ok {
			t.version = v
		}
		if strings.Contains(comment, "not legal advice") {
			t.notice = comment
		}
	}
	if _, err := time.Parse(time.DateOnly, t.version); err != nil {
		return t, fmt.Errorf("jurisdictions: version: %w", err)
	}
	if t.notice == "" {
		return t, fmt.Errorf("jurisdictions: no line says that this is not legal advice")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comment = '#'
	r.FieldsPerRecord = 7
	rows, err := r.ReadAll()
	if err != nil {
		return t, fmt.Errorf("jurisdictions: %w", err)
	}
	if len(rows) < 2 || strings.Join(rows[0], ",") != "id,regime,gpc,name,law,url,since" {
		return t, fmt.Errorf("jurisdictions: no header, or no rows")
	}
	for _, row := range rows[1:] {
		key, j, err := parseJurisdiction(row)
		if err != nil {
			return t, fmt.Errorf("jurisdictions: row %q: %w", row[0], err)
		}
		if _, twice := t.rows[key]; twice {
			return t, fmt.Errorf("jurisdictions: row %q stands twice", row[0])
		}
		t.rows[key] = j
	}
	return t, nil
}

func parseJurisdiction(row []string) (placeKey, Jurisdiction, error) {
	id, regime, gpc, name, law, url, since := row[0], Regime(row[1]), row[2], row[3], row[4], row[5], row[6]
	country, region, part := strings.Cut(id, "-")
	key := placeKey{country, region}
	switch {
	case country == "" || code(country, 2, 2) != country || part && (region == "" || code(region, 1, 3) != region):
		return key, Jurisdiction{}, fmt.Errorf("id: want a country or country-region of ISO 3166, in upper case")
	case regime != OptIn && regime != OptOut:
		return key, Jurisdiction{}, fmt.Errorf("regime %q: want opt-in or opt-out", regime)
	case gpc != "yes" && gpc != "no":
		return key, Jurisdiction{}, fmt.Errorf("gpc %q: want yes or no", gpc)
	case name == "" || law == "" || !strings.HasPrefix(url, "https://"):
		return key, Jurisdiction{}, fmt.Errorf("want a name, a law and an https URL")
	}
	if _, err := time.Parse(time.DateOnly, since); err != nil {
		return key, Jurisdiction{}, fmt.Errorf("since: %w", err)
	}
	return key, Jurisdiction{ID: id, Regime: regime, GPC: gpc == "yes", Name: name, Source: law + ", " + url, Date: since}, nil
}

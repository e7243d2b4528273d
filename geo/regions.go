package geo

import "strings"

// Some databases give a region by its English name only. Where the law turns on
// the region, the name is turned back into its ISO 3166-2 code; elsewhere the
// code stays unknown and the name is kept.
const regionNames = `
US AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware
US DC District of Columbia|DC Washington, D.C.|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois
US IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts
US MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada
US NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota
US OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota
US TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming
CA AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador|NT Northwest Territories
CA NS Nova Scotia|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|QC Québec|SK Saskatchewan|YT Yukon
`

// continentCountries follows GeoNames (countryInfo.txt), as MaxMind does.
const continentCountries = `
AF AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW
AN AQ BV GS HM TF
AS AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE
EU AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK
NA AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI
OC AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS
SA AR BO BR CL CO EC FK GF GY PE PY SR UY VE
`

// A regionKey is a country and the English name of a region in it.
type regionKey struct{ country, name string }

// Both tables are filled once, here, and only read after that.
var (
	regionCodes = parseRegions(regionNames)
	continents  = parseContinents(continentCountries)
)

func parseRegions(text string) map[regionKey]string {
	codes := make(map[regionKey]string, 70)
	for line := range strings.Lines(text) {
		country, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		for region := range strings.SplitSeq(rest, "|") {
			code, name, _ := strings.Cut(region, " ")
			codes[regionKey{country, name}] = code
		}
	}
	return codes
}

func parseContinents(text string) map[string]string {
	of := make(map[string]string, 260)
	for line := range strings.Lines(text) {
		continent, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		for country := range strings.FieldsSeq(rest) {
			of[country] = continent
		}
	}
	return of
}

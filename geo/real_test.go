//go:build real

package geo

import (
	"net/netip"
	"os"
	"testing"
)

// geodata returns the path of the database that geodata.sh fetched.
func geodata() string {
	if path := os.Getenv("BESPOKE_GEODATA"); path != "" {
		return path
	}
	return "../geodata"
}

// Real addresses of networks that have stood where they stand for decades:
// universities and registries. Only the country is checked.
func TestRealAddresses(t *testing.T) {
	db := open(t, geodata())
	info := db.Info()
	t.Logf("%s: %s, %d networks, built %v; %s (%s)", info.Path, info.Type, info.Records, info.Built, info.Attribution, info.AttributionURL)
	if info.Records < 100_000 || info.Attribution == "" {
		t.Errorf("info: %+v", info)
	}
	for _, test := range []struct{ address, country, who string }{
		{"141.20.1.1", "DE", "Humboldt-Universität zu Berlin"},
		{"2a00:1398::1", "DE", "Karlsruhe Institute of Technology"},
		{"18.9.22.169", "US", "Massachusetts Institute of Technology"},
		{"2607:f140::1", "US", "University of California, Berkeley"},
		{"133.11.0.1", "JP", "University of Tokyo"},
		{"2001:200::1", "JP", "WIDE project"},
		{"129.132.1.1", "CH", "ETH Zürich"},
		{"2001:67c:10ec::1", "CH", "ETH Zürich"},
		{"131.111.8.1", "GB", "University of Cambridge"},
		{"2001:630:212::1", "GB", "University of Cambridge"},
		{"143.107.1.1", "BR", "Universidade de São Paulo"},
		{"147.46.1.1", "KR", "Seoul National University"},
		{"130.237.1.1", "SE", "Stockholm University"},
		{"132.216.1.1", "CA", "McGill University"},
		{"130.79.1.1", "FR", "Université de Strasbourg"},
		{"130.89.1.1", "NL", "Universiteit Twente"},
		{"150.203.1.1", "AU", "Australian National University"},
		{"137.158.1.1", "ZA", "University of Cape Town"},
	} {
		p := db.Lookup(addr(test.address))
		if p.Country != test.country || !p.Located || p.Continent == "" {
			t.Errorf("%s, %s: got %+v, want %s", test.address, test.who, p, test.country)
		}
	}
	p := db.Lookup(addr("132.216.1.1"))
	if j := JurisdictionOf(p.Country, p.Region); j.ID != "CA-QC" {
		t.Errorf("McGill University: jurisdiction %+v", j)
	}
	if p := db.Lookup(addr("192.168.1.1")); p != (Place{}) {
		t.Errorf("a private address: %+v", p)
	}
}

func BenchmarkRealLookup(b *testing.B) {
	db := open(b, geodata())
	a := addr("11.0.0.0")
	b.ReportAllocs()
	for b.Loop() {
		// A step that meets a new network nearly every time: the worst case.
		x := a.As4()
		x[0], x[1], x[2] = x[0]%200+1, x[1]+37, x[2]+101
		a = netip.AddrFrom4(x)
		db.Lookup(a)
	}
}

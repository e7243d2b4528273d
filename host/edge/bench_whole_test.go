package edge

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// BenchmarkWhole measures what whole exchanges cost the edge, with a policy
// written in Go that runs every time, isolated and metered, as multiples of what it
// costs a bare fasthttp reverse proxy to pass the page through. One processor
// is the edge's or the bare proxy's; the load (wrk, 64 kept connections)
// and the origin have the other. Each takes its turn of a second in each of the
// rounds, and the lowest figure of each counts: what else the machine does can only
// add. BESPOKE_BENCH_ROUNDS has other than 8.
//
// BESPOKE_BENCH_ROW=greet measures one row only, and with it
// BESPOKE_BENCH_PROFILE=DIR has each process write its CPU profile there.
func BenchmarkWhole(b *testing.B) {
	needWhole(b)
	rows := wholeRowsWanted()
	origin := start(b, pinned("0", os.Args[0]), "origin")
	bare := start(b, pinned("1", os.Args[0]), "bare", "BESPOKE_BENCH_ORIGIN="+origin.addr)
	edge := start(b, pinned("1", os.Args[0]), "edge", "BESPOKE_BENCH_DIR="+benchSite(b, origin.addr, wholeRoutes(b, rows)))
	learns := start(b, pinned("1", os.Args[0]), "edge", "BESPOKE_BENCH_DIR="+benchSite(b, origin.addr, followRoutes, "    catalogue: {file: items.jsonl, support: 1}\n"), "BESPOKE_BENCH_NAME=follow")
	header := wholeHeader(b)
	followed := maps.Clone(header)
	followed["Cookie"] = followCookies(b, learns.addr)
	send := func(r wholeRow) float64 {
		if r.name == "follow" {
			return learns.wrk(b, "/follow", followed)
		}
		return edge.wrk(b, "/"+r.name, header)
	}
	for _, r := range rows {
		if r.name == "follow" {
			r.verify(b, learns.addr, followed)
		} else {
			r.verify(b, edge.addr, header)
		}
		send(r) // warm up
	}
	bare.wrk(b, "/plain", header)
	rounds := wholeRounds(b)
	for b.Loop() {
		plain := math.Inf(1)
		took := make([]float64, len(rows))
		for i := range took {
			took[i] = math.Inf(1)
		}
		for range rounds {
			plain = min(plain, bare.wrk(b, "/plain", header))
			for i, r := range rows {
				took[i] = min(took[i], send(r))
			}
		}
		fmt.Printf("\nCPU milliseconds per 1,000 requests; multiples of the bare proxy's %.1f\n", plain)
		for i, r := range rows {
			fmt.Printf("  %-8s %6.1f  %5.2fx  (goal %.1fx)\n", r.name, took[i], took[i]/plain, r.goal)
			b.ReportMetric(took[i]/plain, r.name+"/bare")
		}
		b.ReportMetric(plain, "bare-cpu-µs/req")
		b.ReportMetric(0, "ns/op")
	}
}

func needWhole(b *testing.B) {
	for _, tool := range []string{"wrk", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skip("loads the edge with wrk, on a processor of its own (taskset); on Debian, apt-get install wrk util-linux (make bench-edge does the first):", err)
		}
	}
	if runtime.NumCPU() < 2 {
		b.Skip("the load and the edge need a processor each, and here is one: two have it run")
	}
}

func wholeRowsWanted() []wholeRow {
	rows := slices.Clone(wholeRows)
	if only := os.Getenv("BESPOKE_BENCH_ROW"); only != "" {
		rows = slices.DeleteFunc(rows, func(r wholeRow) bool { return r.name != only })
	}
	return rows
}

func wholeRounds(b *testing.B) int {
	s := os.Getenv("BESPOKE_BENCH_ROUNDS")
	if s == "" {
		return 8
	}
	rounds, err := strconv.Atoi(s)
	if err != nil || rounds < 1 {
		b.Fatalf("BESPOKE_BENCH_ROUNDS: expected a number, found %q", s)
	}
	return rounds
}

// A wholeRow is one kind of exchange: path /NAME, with the policy in
// testdata/policies/NAME if there is one. follow has followRoutes.
type wholeRow struct {
	name string
	goal float64
	want []string // in the answer, its header included
	not  string   // not in it
}

var wholeRows = []wholeRow{
	{"plain", 1.1, []string{"<p id=greeting></p>", "Store 49<"}, "X-Release"},
	{"header", 1.2, []string{"X-Release: 2026-07", "<p id=greeting></p>", "Store 49<"}, "Welcome"},
	{"greet", 1.6, []string{"<p id=greeting>Welcome back, Jane: stores near San Francisco</p>", "Store 49<"}, " km</span>"},
	{"near", 1.9, []string{"<p id=greeting>Welcome back, Jane: stores near San Francisco</p>", " km</span>", "Store 1<"}, "Store 49<"},
	{"json", 2.2, []string{`"id":"s0"`, `"id":"s9"`}, `"id":"s10"`},
	{"follow", 2, []string{"<p id=greeting>Welcome back, Jane</p>", "<ul id=results>\n" + `<li class="card" data-colour="black"`, "<ul id=shelf><li>Thing 22 "}, "{{title}}"},
}

// followRoutes are three built-in policies on one page, for a visitor of whom
// the edge knows what they looked at.
const followRoutes = `
      - path: /item/*
        items: /item/{item}
      - path: /**
        policies:
          - use: shelf
            with: {slot: "#shelf", band: recently-viewed}
          - use: rank
            with: {list: "#results", attributes: [colour]}
          - use: greet
            with: {slot: "#greeting", text: "Welcome back, {name}"}
`

// followCookies are those of a visitor who allowed everything, gave a name, and
// looked at eight black things.
func followCookies(b *testing.B, addr string) string {
	b.Helper()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path, body string) {
		req, err := http.NewRequest(method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Host = "shop.localhost"
		for k, v := range browserHeader {
			req.Header.Set(k, v)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode >= 400 {
			b.Fatalf("%s %s: %v %v", method, path, resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ask("POST", "/_bespoke/privacy", "action=allow-all")
	ask("POST", "/_bespoke/privacy", "action=prefer&name=Jane")
	for i := range 8 {
		ask("GET", fmt.Sprintf("/item/t%d", 1+3*i), "")
	}
	ask("GET", "/follow", "") // and have been told why
	at := &url.URL{Scheme: "http", Host: "shop.localhost", Path: "/"}
	var all []string
	for _, c := range jar.Cookies(at) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// benchCatalogue is a catalogue of 20,000 things in three colours.
func benchCatalogue() string {
	var b strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&b, `{"id":"t%d","title":"Thing %d","url":"/item/t%d","price":12.90,"attributes":{"colour":"%s"}}`+"\n", i, i, i, [...]string{"red", "black", "green"}[i%3])
	}
	return b.String()
}

// benchShelves is benchPage with a shelf, and colours in the list.
func benchShelves() string {
	page, n := strings.Replace(benchPage(), "<ul id=results>", "<ul id=shelf><li>{{title}} <a href={{url}}>{{price}}</a></li></ul><ul id=results>", 1), 0
	return regexp.MustCompile(`<li class="card"`).ReplaceAllStringFunc(page, func(li string) string {
		n++
		return li + ` data-colour="` + [...]string{"red", "black", "green"}[n%3] + `"`
	})
}

// wholeRoutes compiles the policies and returns the routes that use them.
func wholeRoutes(b *testing.B, rows []wholeRow) string {
	b.Helper()
	var routes strings.Builder
	for _, r := range rows {
		if r.name != "plain" && r.name != "follow" {
			fmt.Fprintf(&routes, "\n      - path: /%s\n        policies: [{use: %q}]", r.name, "file:"+compilePolicy(b, r.name))
		}
	}
	if routes.Len() == 0 {
		return "[]"
	}
	return routes.String()
}

// compilePolicy compiles the policy in testdata/policies/NAME, as tenants do.
func compilePolicy(tb testing.TB, name string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), name+".wasm")
	dir := filepath.Join("testdata", "policies", name)
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", file, "./"+dir)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("compile %s: %v\n%s", dir, err, text)
	}
	module, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		tb.Fatal(err)
	}
	if module, err = abi.AppendManifest(module, manifest); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, module, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// wholeHeader is the header of every request: a browser's, with the cookie in
// which the visitor holds their name.
func wholeHeader(b *testing.B) map[string]string {
	b.Helper()
	sealer, err := profile.NewSealer(profile.Key{1}) // that of serveEdge
	if err != nil {
		b.Fatal(err)
	}
	cookie := sealer.Seal((&profile.Preferences{Name: "Jane"}).Encode(),
		profile.Binding{Use: string(usePreferences), Tenant: "shop", Host: "shop.localhost"})
	header := map[string]string{"Host": "shop.localhost", "Cookie": "bespoke-preferences=" + string(cookie)}
	for k, v := range browserHeader {
		header[k] = v
	}
	return header
}

// verify sees that the edge does what the row says, before that is measured.
func (r wholeRow) verify(b *testing.B, addr string, header map[string]string) {
	b.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+"/"+r.name, nil)
	if err != nil {
		b.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.Host = header["Host"]
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	resp.Header.Write(&text)
	if _, err := io.Copy(&text, resp.Body); err != nil || resp.StatusCode != 200 {
		b.Fatalf("%s: status %d, %v", r.name, resp.StatusCode, err)
	}
	for _, s := range r.want {
		if !strings.Contains(text.String(), s) {
			b.Fatalf("%s: no %q in\n%s", r.name, s, text.String())
		}
	}
	if strings.Contains(text.String(), r.not) {
		b.Fatalf("%s: %q in\n%s", r.name, r.not, text.String())
	}
}

// pinned is a command that runs on one processor.
func pinned(cpu, name string, args ...string) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", cpu, name}, args...)...)
}

const wrkTime = time.Second // the least that wrk knows

var wrkSaid = regexp.MustCompile(`(\d+) requests in`)

// wrk has wrk send requests for a path, and returns the CPU time in
// microseconds that one cost the process.
func (p *player) wrk(b *testing.B, path string, header map[string]string) float64 {
	b.Helper()
	send := func(d time.Duration) (requests int) {
		args := []string{"-t1", "-c64", "--timeout", "30s", "-d" + d.String()}
		for k, v := range header {
			args = append(args, "-H", k+": "+v)
		}
		said, err := pinned("0", "wrk", append(args, "http://"+p.addr+path)...).CombinedOutput()
		m := wrkSaid.FindSubmatch(said)
		if err != nil || m == nil || strings.Contains(string(said), "Non-2xx") || strings.Contains(string(said), "Socket errors") {
			b.Fatalf("wrk %s: %v\n%s", path, err, said)
		}
		if requests, err = strconv.Atoi(string(m[1])); err != nil {
			b.Fatal(err)
		}
		return requests
	}
	before := p.cpu(b)
	n := send(wrkTime)
	return float64((p.cpu(b) - before).Microseconds()) / float64(n)
}

// benchPage is the 30 KB page with 50 items that edges are compared on. The
// items are stores around San Francisco, half of them within 40 km.
func benchPage() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><html><head><meta charset=utf-8><title>Stores</title></head><body><p id=greeting></p><ul id=results>\n")
	for i := range 50 {
		lat, lon := benchPlace(i)
		fmt.Fprintf(&b, `<li class="card" data-lat="%.4f" data-lon="%.4f"><h3>Store %d</h3><p class="address">Street %d, a city</p><p>%s</p><span class="distance"></span></li>`+"\n",
			lat, lon, i, i, strings.Repeat("Some text about this store. ", 16))
	}
	b.WriteString("</ul></body></html>\n")
	return b.String()
}

// benchJSON is the 10 KB document with the same stores.
func benchJSON() string {
	var b strings.Builder
	b.WriteString(`{"stores":[`)
	for i := range 50 {
		if i > 0 {
			b.WriteString(",")
		}
		lat, lon := benchPlace(i)
		fmt.Fprintf(&b, "\n"+`{"id":"s%d","name":"Store %d","address":"Street %d, a city","lat":%.4f,"lon":%.4f,"phone":"+1 555 %04d","open":["09:00","18:00"],"about":"Some text about this store. Some text about this store."}`, i, i, i, lat, lon, i)
	}
	b.WriteString("\n]}\n")
	return b.String()
}

// benchPlace puts a store at some distance from the middle of San Francisco:
// from none for the first to 80 km for the last, all around.
func benchPlace(i int) (lat, lon float64) {
	sin, cos := math.Sincos(float64(i) * 2.4)
	degrees := float64(i) * 80 / 50 / 111.2
	return 37.7749 + degrees*cos, -122.4194 + degrees*sin/math.Cos(37.7749*math.Pi/180)
}

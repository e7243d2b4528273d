//go:build real && linux

package edge

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/andybalholm/cascadia"
	xhtml "golang.org/x/net/html"

	"bespoke/geo"
	"bespoke/host/profile"
)

// The edge stands before a site that nobody here wrote: nginx of Debian, which
// serves the manual of Python as Debian packs it, with the real database of
// places. What must come out is worked out without the edge and the rewriter:
// from what nginx answers when it is asked itself, and from the offsets that
// the tokenizer of x/net/html gives.

const (
	keptItems   = 2
	visitorName = `Zoë & <b>"Co"</b>`

	linkAndSource = `<p class="bespoke-privacy"><a href="/_bespoke/privacy">Privacy choices</a> <a href="https://db-ip.com">IP Geolocation by DB-IP</a></p>`

	asBrowser = "gzip, deflate, br, zstd"
	uncoded   = "identity"

	massachusetts = "18.9.22.169" // of a university; opt-out, so place is granted by default
)

// A realSite is nginx, and the edge before it.
type realSite struct {
	t       *testing.T
	root    string // the folder that nginx serves
	origin  string // URL of nginx
	edge    *Edge
	addr    string       // of the edge
	direct  *http.Client // to nginx
	visitor *http.Client // to the edge, who says nothing
	records *recordCounts
	tally   tally
}

// A tally is what was looked at.
type tally struct {
	mu              sync.Mutex
	pages, requests int
	bytes           int64             // of bodies, as they came
	edits           int               // worked out, on elements
	items           int               // of lists, worked out to be cut, per page once
	want            map[string]counts // what the edge must have recorded, by tenant
	bad             int
}

func TestRealSite(t *testing.T) {
	s := newRealSite(t)
	began := time.Now()
	t.Run("addresses", s.testAddresses)
	t.Run("pages", s.testPages)
	t.Run("assets", s.testAssets)
	t.Logf("%d pages, %d requests, %d MB of bodies, %d edits on elements (%d items cut from lists), in %v",
		s.tally.pages, s.tally.requests, s.tally.bytes>>20, s.tally.edits, s.tally.items, time.Since(began).Round(time.Millisecond))

	s.stop() // now all is recorded
	for tenant, want := range s.tally.want {
		got := s.records.of[tenant]
		t.Logf("%s: recorded %d pages, %d edits emitted, on %d elements", tenant, got.pages, got.edits, got.applied)
		if got != want {
			t.Errorf("%s: recorded %+v, want %+v", tenant, got, want)
		}
	}
	for _, line := range s.records.complaints {
		t.Errorf("the edge complained: %s", line)
	}
}

func newRealSite(t *testing.T) *realSite {
	s := &realSite{t: t, root: manual(t), records: &recordCounts{of: map[string]counts{}, places: map[string]int{}}}
	s.tally.want = map[string]counts{}
	database := os.Getenv("BESPOKE_GEODATA")
	if database == "" {
		database = "../../geodata"
	}
	database, err := filepath.Abs(database)
	if err != nil {
		t.Fatal(err)
	}
	places, err := geo.Open(database)
	if err != nil {
		t.Fatalf("%v; `make geodata` fetches the database, or BESPOKE_GEODATA says where it is", err)
	}
	t.Cleanup(func() { places.Close() })
	s.origin = startNginx(t, s.root)
	s.direct = realClient(t, "")

	path := filepath.Join(t.TempDir(), "bespoke.yaml")
	fill(t, path, "STATE", cache(), "GEO", database, "ORIGIN", s.origin)
	log := slog.New(s.records)
	site, modules, err := Load(context.Background(), path, log)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := profile.NewSealer(profile.Key{2})
	if err != nil {
		t.Fatal(err)
	}
	if s.edge, err = New(Config{Site: site, Modules: modules, Geo: places, Sealer: sealer, Log: log}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	go s.edge.Serve(ln)
	t.Cleanup(s.stop)
	s.visitor = realClient(t, s.addr)
	return s
}

func (s *realSite) stop() {
	if s.edge == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.edge.Shutdown(ctx); err != nil {
		s.t.Errorf("shutdown: %v", err)
	}
	s.edge = nil
}

// manual returns the folder of the pages.
func manual(t *testing.T) string {
	for _, pattern := range []string{"/usr/share/doc/python3-doc/html", "/usr/share/doc/python3/html", "/usr/share/doc/python3*/html"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range found {
			if _, err := os.Stat(filepath.Join(folder, "library", "index.html")); err != nil {
				continue // that of another package
			}
			if folder, err = filepath.EvalSymlinks(folder); err != nil {
				t.Fatal(err)
			}
			return folder
		}
	}
	t.Fatal("Debian's python3-doc is not installed; `sh tools/need.sh nginx python3-doc` installs it")
	return ""
}

// startNginx serves a folder and returns its URL. nginx inherits the
// listening socket, as it does when it replaces its own binary: so the port is
// surely free, and connections wait in the backlog until it is up.
func startNginx(t *testing.T, root string) string {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Fatalf("nginx is not installed; `sh tools/need.sh nginx python3-doc` installs it: %v", err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr, dir := ln.Addr().String(), t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root root;" // the temporary folder is its maker's alone
	}
	config := filepath.Join(dir, "nginx.conf")
	fill(t, config, "USER", user, "DIR", dir, "ADDR", addr, "ROOT", root)
	var complaints syncBuffer
	cmd := exec.Command(binary, "-p", dir, "-c", config, "-e", "stderr")
	cmd.Env = append(os.Environ(), "NGINX=3;")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // should the tests be killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stop nginx: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("nginx: %v", err)
		}
		if t.Failed() {
			t.Logf("nginx said:\n%s", complaints.String())
		}
	})
	return "http://" + addr
}

// fill writes the file of that name in testdata/real with words replaced.
func fill(t *testing.T, path string, words ...string) {
	text, err := os.ReadFile(filepath.Join("testdata", "real", filepath.Base(path)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(words...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// realClient returns a client with cookies that shows answers as they are. If
// edge is not "", it finds every host there.
func realClient(t *testing.T, edge string) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}
	if edge != "" {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, edge)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// An answer is a response, whole and as it came.
type answer struct {
	status int
	header http.Header // without Date and what is for one connection
	length int64       // -1: unknown
	coding string      // how the message was framed
	body   []byte
}

func ask(c *http.Client, method, target string, header ...string) (*answer, error) {
	return send(c, method, target, "", header...)
}

func send(c *http.Client, method, target, body string, header ...string) (*answer, error) {
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength, coding: strings.Join(resp.TransferEncoding, ",")}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, fmt.Errorf("%s %s: read the body: %w", method, target, err)
	}
	for _, name := range []string{"Date", "Connection", "Keep-Alive"} {
		a.header.Del(name)
	}
	return a, nil
}

// decoded returns the body without its content coding.
func (a *answer) decoded() ([]byte, error) {
	switch c := a.header.Get("Content-Encoding"); c {
	case "":
		return a.body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(z) // to the end of the input: nothing may follow
	default:
		return nil, fmt.Errorf("coded as %q", c)
	}
}

// same says how got differs from want in status, header and raw body; "" if it does not.
func same(got, want *answer) string {
	if got.status != want.status {
		return fmt.Sprintf("status %d, want %d", got.status, want.status)
	}
	if d := sameHeader(got.header, want.header); d != "" {
		return d
	}
	if got.length != want.length || got.coding != want.coding {
		return fmt.Sprintf("length %d, framed as %q; want %d, %q", got.length, got.coding, want.length, want.coding)
	}
	return sameBytes(got.body, want.body)
}

func sameHeader(got, want http.Header) string {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w { // maps print in order of their keys
		return fmt.Sprintf("header\n%s, want\n%s", g, w)
	}
	return ""
}

func sameBytes(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, at-60):min(len(b), at+60)] }
	return fmt.Sprintf("%d bytes, want %d; from byte %d on they differ:\n%q, want\n%q", len(got), len(want), at, around(got), around(want))
}

// What the edge recorded, at debug level.
type counts struct{ pages, edits, applied, failed int }

func (c counts) plus(d counts) counts {
	return counts{c.pages + d.pages, c.edits + d.edits, c.applied + d.applied, c.failed + d.failed}
}

type recordCounts struct {
	mu         sync.Mutex
	of         map[string]counts // by tenant
	places     map[string]int    // by jurisdiction
	complaints []string
}

func (r *recordCounts) Enabled(context.Context, slog.Level) bool { return true }
func (r *recordCounts) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recordCounts) WithGroup(string) slog.Handler            { return r }

func (r *recordCounts) Handle(_ context.Context, line slog.Record) error {
	var tenant, text string
	var c counts
	r.mu.Lock()
	defer r.mu.Unlock()
	line.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "tenant":
			tenant = a.Value.String()
		case "jurisdiction":
			r.places[a.Value.String()]++
		case "edits":
			c.edits, c.pages = int(a.Value.Int64()), 1
		case "applied":
			c.applied = int(a.Value.Int64())
		case "failed":
			c.failed = int(a.Value.Int64())
		}
		text += " " + a.String()
		return true
	})
	if line.Level >= slog.LevelWarn || line.Message == "policy" {
		r.complaints = append(r.complaints, line.Message+text)
	}
	if line.Message == "exchange" {
		r.of[tenant] = r.of[tenant].plus(c)
	}
	return nil
}

// bad reports a difference. After the first twenty they are only counted.
func (s *realSite) bad(t *testing.T, format string, args ...any) {
	s.tally.mu.Lock()
	s.tally.bad++
	n := s.tally.bad
	s.tally.mu.Unlock()
	switch {
	case n <= 20:
		t.Errorf(format, args...)
	case n == 21:
		t.Error("and more")
	}
}

// each calls f for every name, a few at a time.
func each(names []string, f func(name string)) {
	queue := make(chan string)
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for name := range queue {
				f(name)
			}
		})
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	wg.Wait()
}

// files lists what is served, in order, as pages and the rest.
func (s *realSite) files() (pages, rest []string) {
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil // a folder, or a link to nothing
		}
		name := (&url.URL{Path: strings.TrimPrefix(path, s.root)}).EscapedPath()
		if filepath.Ext(path) == ".html" {
			pages = append(pages, name)
		} else {
			rest = append(rest, name)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return pages, rest
}

// testPages takes every page, or of very many a seeded sample, through each tenant.
func (s *realSite) testPages(t *testing.T) {
	pages, _ := s.files()
	if len(pages) < 200 {
		t.Fatalf("%s holds %d pages, at least 200 are needed", s.root, len(pages))
	}
	if len(pages) >= 600 {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
		pages = pages[:400]
	}
	named := realClient(t, s.addr)
	for _, site := range []string{"greeted", "refused"} {
		form := url.Values{"name": {visitorName}, "action": {"name"}}
		s.post(t, named, site, form.Encode())
	}
	s.tally.pages = len(pages)
	each(pages, func(page string) { s.testPage(t, page, named) })
}

func (s *realSite) post(t *testing.T, c *http.Client, site, form string, header ...string) {
	a, err := send(c, "POST", "http://"+site+".localhost/_bespoke/privacy", form,
		append(header, "Content-Type", "application/x-www-form-urlencoded")...)
	if err != nil || a.status != 303 {
		t.Fatalf("post %s to %s: %+v, %v", form, site, a, err)
	}
}

func (s *realSite) testPage(t *testing.T, page string, named *http.Client) {
	own := map[string]*answer{} // nginx's, by what is accepted
	for _, accept := range []string{uncoded, asBrowser} {
		a := s.passes(t, "plain", "GET", page, 200, "Accept-Encoding", accept)
		if a == nil {
			return
		}
		own[accept] = a
		s.passes(t, "plain", "HEAD", page, 200, "Accept-Encoding", accept)
		s.passes(t, "plain", "GET", page, 304, "Accept-Encoding", accept, "If-None-Match", a.header.Get("Etag"))
	}
	html := own[uncoded].body
	s.passes(t, "plain", "GET", page, 206, "Range", "bytes=100-4999")
	s.passes(t, "plain", "GET", page, 206, "Range", "bytes=-3000", "If-Range", own[uncoded].header.Get("Etag"))

	m, err := mark(html)
	if err != nil {
		s.bad(t, "%s: cannot work out what must come: %v", page, err)
		return
	}
	utf8 := strings.Contains(own[uncoded].header.Get("Content-Type"), "utf-8")
	var greeted []splice
	for _, h := range m.headings {
		greeted = append(greeted, splice{h, inText("Welcome back, "+visitorName, utf8)})
	}
	for _, h := range m.titles {
		greeted = append(greeted, splice{h, inText("The manual of "+visitorName, utf8)})
	}
	bare, placed := apply(html, nil, privacyLink), apply(html, nil, linkAndSource)
	edited, cut := apply(html, greeted, privacyLink), apply(html, m.cuts, linkAndSource)
	for _, accept := range []string{uncoded, asBrowser} {
		v := visit{page: page, accept: accept, origin: own[accept]}
		s.tailored(t, s.visitor, v.at("unmatched", ""), bare, counts{pages: 1})
		s.tailored(t, s.visitor, v.at("unmatched", massachusetts), placed, counts{pages: 1, edits: 1})
		s.tailored(t, s.visitor, v.at("greeted", ""), bare, counts{pages: 1})
		s.tailored(t, named, v.at("greeted", ""), edited, counts{1, 2, len(greeted), 0})
		s.tailored(t, s.visitor, v.at("listed", massachusetts), cut, counts{1, 2, 2 * m.lists, 0})
		s.tailored(t, named, v.at("refused", ""), bare, counts{pages: 1, edits: 2})
	}
	s.tally.mu.Lock()
	s.tally.items += len(m.cuts)
	s.tally.mu.Unlock()
}

// passes checks that an answer is nginx's own, to the byte, and returns that;
// nil if it is not of the status that it must have.
func (s *realSite) passes(t *testing.T, site, method, path string, status int, header ...string) *answer {
	want, err := ask(s.direct, method, s.origin+path, header...)
	if err != nil || want.status != status {
		s.bad(t, "nginx: %s %s %q: %+v, %v", method, path, header, want, err)
		return nil
	}
	got, err := ask(s.visitor, method, "http://"+site+".localhost"+path, header...)
	if err != nil {
		s.bad(t, "%s: %s %s %q: %v", site, method, path, header, err)
		return want
	}
	if d := same(got, want); d != "" {
		s.bad(t, "%s: %s %s %q: %s", site, method, path, header, d)
	}
	s.count(len(got.body), 0)
	return want
}

func (s *realSite) count(bytes, edits int) {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	s.tally.requests++
	s.tally.bytes += int64(bytes)
	s.tally.edits += edits
}

// A visit is to a page of a site, and what the origin itself answers there.
type visit struct {
	site, page, accept, from string
	origin                   *answer
}

func (v visit) at(site, from string) visit {
	v.site, v.from = site, from
	return v
}

// tailored checks that a page is nginx's own apart from what is said, in body
// and header, and notes what must be recorded of it.
func (s *realSite) tailored(t *testing.T, c *http.Client, v visit, body []byte, recorded counts) {
	what := fmt.Sprintf("%s: GET %s, %s, from %q", v.site, v.page, v.accept, v.from)
	header := []string{"Accept-Encoding", v.accept}
	if v.from != "" {
		header = append(header, "X-Forwarded-For", v.from)
	}
	got, err := ask(c, "GET", "http://"+v.site+".localhost"+v.page, header...)
	if err != nil {
		s.bad(t, "%s: %v", what, err)
		return
	}
	decoded, err := got.decoded()
	if err != nil {
		s.bad(t, "%s: %v", what, err)
		return
	}
	if d := sameBytes(decoded, body); d != "" {
		s.bad(t, "%s: %s", what, d)
	}
	plain := v.accept == uncoded
	if got.status != 200 || plain != (got.header.Get("Content-Encoding") == "") {
		s.bad(t, "%s: status %d, header %v", what, got.status, got.header)
	}
	if known := plain && len(v.origin.body) <= wholeBody; known != (got.length >= 0) {
		s.bad(t, "%s: length %d, of %d bytes", what, got.length, len(got.body))
	}
	want := v.origin.header.Clone()
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Length"} {
		want.Del(name)
	}
	want.Set("Cache-Control", "private, no-store")
	got.header.Del("Content-Length") // the client has checked it
	if d := sameHeader(got.header, want); d != "" {
		s.bad(t, "%s: %s", what, d)
	}
	s.count(len(got.body), recorded.applied)
	s.expect(v.site, recorded)
}

// expect adds to what must have been recorded in the end.
func (s *realSite) expect(site string, c counts) {
	s.tally.mu.Lock()
	defer s.tally.mu.Unlock()
	s.tally.want[site] = s.tally.want[site].plus(c)
}

// inText writes text as it stands between tags. A page that does not say UTF-8
// where the edge can know it gets references, which mean the same in any charset.
func inText(text string, utf8 bool) string {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	if utf8 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// A span is a range of a page's bytes; a splice puts text in its place.
type span struct{ from, to int }

type splice struct {
	span
	text string
}

// apply returns page with splices, which may lie within one another if they
// remove, and the tail.
func apply(page []byte, splices []splice, tail string) []byte {
	splices = slices.Clone(splices)
	slices.SortFunc(splices, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	out, at := make([]byte, 0, len(page)+len(tail)), 0
	for _, c := range splices {
		if c.to <= at {
			continue // within one that was removed
		}
		out = append(append(out, page[at:c.from]...), c.text...)
		at = c.to
	}
	return append(append(out, page[at:]...), tail...)
}

// Marks are what the edits of these sites are about on a page.
type marks struct {
	headings, titles []span // what is within div.body h1, and within title
	lists            int    // how many ul.simple there are in div.body
	cuts             []splice
}

// An element that is open while mark goes through a page.
type realElement struct {
	name       string
	at         int    // where its content begins
	body, list bool   // div.body or in one; a ul.simple in one
	children   []span // if it is such a list
}

// mark finds elements by the tokenizer's offsets. It takes end tags at their
// word, as these pages write every one; check proves that against a real parse.
func mark(page []byte) (m marks, err error) {
	var open []realElement
	z := xhtml.NewTokenizer(bytes.NewReader(page))
	end := 0
	for {
		kind := z.Next()
		start := end
		end += len(z.Raw())
		if kind == xhtml.ErrorToken {
			break
		}
		switch kind {
		case xhtml.StartTagToken:
			open = openElement(open, z.Token(), start, end)
		case xhtml.EndTagToken:
			name, _ := z.TagName()
			n := len(open) - 1
			if n < 0 || open[n].name != string(name) {
				return m, fmt.Errorf("at byte %d: </%s> ends nothing", start, name)
			}
			e := open[n]
			open = open[:n]
			m.closed(page, e, start)
			if n > 0 && open[n-1].list {
				open[n-1].children[len(open[n-1].children)-1].to = end
			}
		}
	}
	if z.Err() != io.EOF || end != len(page) || len(open) > 0 {
		return m, fmt.Errorf("the tokenizer ends at %d of %d with %d open elements: %w", end, len(page), len(open), z.Err())
	}
	return m, m.check(page)
}

// openElement returns open with the element of a start tag, unless it is void.
func openElement(open []realElement, tag xhtml.Token, start, end int) []realElement {
	switch tag.Data {
	case "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr":
		return open
	}
	e := realElement{name: tag.Data, at: end}
	classes := ""
	for _, a := range tag.Attr {
		if a.Key == "class" {
			classes = a.Val
		}
	}
	has := func(class string) bool { return slices.Contains(strings.Fields(classes), class) }
	if n := len(open); n > 0 {
		up := &open[n-1]
		e.body = up.body
		if up.list {
			up.children = append(up.children, span{from: start})
		}
	}
	e.list = e.body && e.name == "ul" && has("simple")
	e.body = e.body || e.name == "div" && has("body")
	return append(open, e)
}

// closed notes what an element is to the edits; its end tag begins at end.
func (m *marks) closed(page []byte, e realElement, end int) {
	switch {
	case e.name == "h1" && e.body:
		m.headings = append(m.headings, span{e.at, end})
	case e.name == "title":
		m.titles = append(m.titles, span{e.at, end})
	case e.list:
		m.lists++
		for i := keptItems; i < len(e.children); i++ {
			cut := e.children[i]
			if before := e.children[i-1].to; len(bytes.TrimSpace(page[before:cut.from])) == 0 {
				cut.from = before // the space before an item goes with it
			}
			m.cuts = append(m.cuts, splice{span: cut})
		}
	}
}

// check compares what was marked with what selectors find in the parsed page.
func (m *marks) check(page []byte) error {
	doc, err := xhtml.Parse(bytes.NewReader(page))
	if err != nil {
		return err
	}
	for _, c := range []struct {
		selector string
		n        int
		spans    []span
	}{
		{"div.body h1", len(m.headings), m.headings}, {"title", len(m.titles), m.titles}, {"div.body ul.simple", m.lists, nil},
	} {
		nodes := cascadia.QueryAll(doc, cascadia.MustCompile(c.selector))
		if len(nodes) != c.n {
			return fmt.Errorf("%d elements marked, the parser has %d of %s", c.n, len(nodes), c.selector)
		}
		for i, at := range c.spans {
			inner, err := xhtml.ParseFragment(bytes.NewReader(page[at.from:at.to]), nodes[i])
			if err != nil {
				return err
			}
			text := ""
			for _, n := range inner {
				text += textOf(n)
			}
			if want := textOf(nodes[i]); text != want {
				return fmt.Errorf("%q marked, the parser has %q in %s", text, want, c.selector)
			}
		}
	}
	return nil
}

func textOf(n *xhtml.Node) (text string) {
	if n.Type == xhtml.TextNode {
		return n.Data
	}
	for c := range n.ChildNodes() {
		text += textOf(c)
	}
	return text
}

// testAssets takes everything that is no page through a site with policies,
// and what nginx says when there is nothing to show.
func (s *realSite) testAssets(t *testing.T) {
	_, rest := s.files()
	kinds := map[string]int{}
	each(rest, func(path string) {
		for _, coding := range []string{uncoded, asBrowser} {
			s.passes(t, "unmatched", "GET", path, 200, "Accept-Encoding", coding, "X-Forwarded-For", massachusetts)
		}
	})
	for _, path := range rest {
		kinds[filepath.Ext(path)]++
	}
	for _, kind := range []string{".css", ".js", ".png", ".svg", ".inv", ".txt"} {
		if kinds[kind] == 0 {
			t.Errorf("%s holds no %s", s.root, kind)
		}
	}
	t.Logf("%d files: %v", len(rest), kinds)
	for _, site := range []string{"plain", "unmatched"} {
		s.passes(t, site, "GET", "/no-such-page.html", 404, "Accept-Encoding", uncoded)
		s.passes(t, site, "GET", "/no-such-page.html", 404, "Accept-Encoding", asBrowser)
		s.passes(t, site, "GET", "/library", 301)
		s.passes(t, site, "POST", "/library/", 405)
		s.passes(t, site, "HEAD", "/library/re.html", 200, "Accept-Encoding", asBrowser)
		s.passes(t, site, "GET", "/library/re.html", 206, "Range", "bytes=5-99")
	}
}

// testAddresses has visitors come from real networks that have stood where
// they stand for decades. Each is told the rule of their region, and once they
// allow it, the page says where their place comes from.
func (s *realSite) testAddresses(t *testing.T) {
	countries := map[string]bool{}
	for _, v := range []struct {
		address, country, region, who string
		granted                       bool // without a choice
	}{
		{"141.20.1.1", "DE", "DE", "Humboldt-Universität zu Berlin", false},
		{"2a00:1398::1", "DE", "DE", "Karlsruhe Institute of Technology", false},
		{"129.132.1.1", "CH", "CH", "ETH Zürich", false},
		{"131.111.8.1", "GB", "GB", "University of Cambridge", false},
		{"143.107.1.1", "BR", "BR", "Universidade de São Paulo", false},
		{"147.46.1.1", "KR", "KR", "Seoul National University", false},
		{"130.237.1.1", "SE", "SE", "Stockholm University", false},
		{"130.79.1.1", "FR", "FR", "Université de Strasbourg", false},
		{"130.89.1.1", "NL", "NL", "Universiteit Twente", false},
		{"132.216.1.1", "CA", "CA-QC", "McGill University", false},
		{"133.11.0.1", "JP", "other", "University of Tokyo", false},
		{"150.203.1.1", "AU", "other", "Australian National University", false},
		{"137.158.1.1", "ZA", "other", "University of Cape Town", false},
		{massachusetts, "US", "US", "Massachusetts Institute of Technology", true},
		{"2607:f140::1", "US", "US-CA", "University of California, Berkeley", true},
	} {
		countries[v.country] = true
		c := realClient(t, s.addr)
		get := func(path string) string {
			a, err := ask(c, "GET", "http://unmatched.localhost"+path, "X-Forwarded-For", v.address)
			if err != nil || a.status != 200 {
				t.Fatalf("%s, %s: %s: %+v, %v", v.address, v.who, path, a, err)
			}
			return string(a.body)
		}
		s.records.mu.Lock()
		before := s.records.places[v.region]
		s.records.mu.Unlock()
		privacy := get("/_bespoke/privacy")
		if !strings.Contains(privacy, "The rule for your region ("+v.region+").") || !strings.Contains(privacy, `<a href="https://db-ip.com">IP Geolocation by DB-IP</a>`) {
			t.Errorf("%s, %s: want the region %s and the source of places in\n%s", v.address, v.who, v.region, privacy)
		}
		tail := func(place bool) {
			t.Helper()
			want, edits := "</html>"+privacyLink, 0
			if place {
				want, edits = "</html>"+linkAndSource, 1
			}
			if got := get("/about.html"); !strings.HasSuffix(got, want) {
				t.Errorf("%s, %s: the page ends %q, want %q", v.address, v.who, got[len(got)-len(want):], want)
			}
			s.expect("unmatched", counts{pages: 1, edits: edits})
		}
		tail(v.granted)
		s.post(t, c, "unmatched", "localize=on", "X-Forwarded-For", v.address)
		tail(true)
		s.post(t, c, "unmatched", "action=refuse-all", "X-Forwarded-For", v.address)
		tail(false)
		s.records.mu.Lock()
		if n := s.records.places[v.region] - before; n < 5 {
			t.Errorf("%s, %s: %d records of %s", v.address, v.who, n, v.region)
		}
		s.records.mu.Unlock()
	}
	if len(countries) < 10 {
		t.Errorf("%d countries", len(countries))
	}
}

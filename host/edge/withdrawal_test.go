package edge

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/host/consent"
	"bespoke/host/recommend"
	"bespoke/modules/abi"
)

// Withdrawal under load: visitors toggle their choices at random while they
// browse, each with a jar of cookies and connections of their own. No request that
// is sent after the answer to a refusal may be answered with anything that needed
// what was refused: in the page, in its header, or in what the origin was sent,
// which it shows in the page. A request that was under way while the visitor chose
// carried the cookie of before, or the new one; it may be answered by either.

// shownKeys are what the policy of these visitors shows, to them and to the origin.
var shownKeys = []string{
	"geo.country", "geo.region", "geo.timezone", "geo.city", "geo.lat", "geo.lon", "time.now",
	"profile.affinity.colour", "profile.recent", "profile.interests", "recommend.for-you", "consent.localize",
}

// shower is a policy that shows the value of each key that it gets: in the element
// with the id kN, and upstream in the header X-KN. Each edit is refused in one phase.
func shower(keys []string) []byte {
	const buffer, room = 8192, 4000
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	declare := map[string]string{}
	value := join(i32(buffer), []byte{0x20, 0})
	for i, key := range keys {
		declare[key] = "to test"
		code = append(code, join(at(key), i32(buffer), i32(room), []byte{0x10, callRead, 0xa7, 0x21, 0}, // local = i32(read(...))
			[]byte{0x20, 0, 0x41, 0, 0x4e, 0x04, 0x40}, // if local >= 0
			i32(int(abi.OpText)), at(fmt.Sprintf("#k%d", i)), value, i32(0), i32(0), []byte{0x10, callEmit, 0x1a},
			i32(int(abi.OpUpstreamHeader)), at(fmt.Sprintf("X-K%d", i)), value, i32(0), i32(0), []byte{0x10, callEmit, 0x1a},
			[]byte{0x0b})...)
	}
	return moduleOf([]abi.Phase{abi.OnRequest, abi.OnResponse}, code, data, &abi.Manifest{Name: "shower", Version: "1.0.0", Reads: declare})
}

// mirror is an origin whose page shows the header of the request, and has slots for a shower.
func mirror(keys []string) http.Handler {
	page := slots(keys)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var b strings.Builder
		b.WriteString("<pre>")
		for name, lines := range req.Header {
			for _, v := range lines {
				b.WriteString(name + ": " + template.HTMLEscapeString(v) + "\n")
			}
		}
		b.WriteString("</pre>" + page)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
		io.WriteString(w, b.String())
	})
}

// A traces is what would give away that a purpose was used for a visitor.
type traces [abi.Purposes][]string

// A toggler is a visitor who changes their mind.
type toggler struct {
	load   *load
	client http.Client
	rng    *rand.Rand
	header http.Header
	traces traces
	item   string    // of the catalogue, that nobody else looks at
	exact  [2]string // the place that their browser tells: latitude and longitude

	mu     sync.Mutex
	states []consent.Set // what they granted, one after the other; guarded by mu
	acked  int           // the state of the last answer; guarded by mu
}

// A load is a number of visitors and what came of them.
type load struct {
	url   string
	want  int64 // exchanges
	gate  bool  // the gate is there: what was granted must show, too
	seed  uint64
	count atomic.Int64
	shown [abi.Purposes]atomic.Int64 // times that a trace was seen, and might be
	known atomic.Int64               // times that the profile told of the visitor's item

	mu         sync.Mutex
	violations map[abi.Purpose][]string // guarded by mu
	broken     []string                 // guarded by mu
}

func (l *load) violation(p abi.Purpose, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations[p] = append(l.violations[p], s)
}

func (l *load) breaks(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.broken) < 20 {
		l.broken = append(l.broken, fmt.Sprintf(format, args...))
	}
}

func (l *load) over() bool { return l.count.Load() >= l.want }

// home is a place that the demo's database knows.
type home struct {
	address   string // pattern
	localized []string
	lat, lon  float64
	byDefault consent.Set
}

func homes() []home {
	optOut := consent.All &^ (1 << abi.Locate)
	return []home{
		{"198.51.100.%d", []string{"San Francisco", "US-CA", "America/Los_Angeles", "-122.3775", "-08:00", "-07:00"}, 37.7, -122.4, optOut},
		{"192.0.2.%d", []string{"Berlin", "DE-BE", "Europe/Berlin", "+01:00", "+02:00"}, 52.5, 13.4, 0},
		{"203.0.113.%d", []string{"Tokyo", "JP-13", "Asia/Tokyo", "+09:00"}, 35.6, 139.6, 0},
		{"2001:db8:7::5:%d", []string{"São Paulo", "BR-SP", "America/Sao_Paulo", "-03:00"}, -23.5, -46.6, 0},
	}
}

func (l *load) toggler(i int) *toggler {
	h := homes()[i%len(homes())]
	n := 100 + i // three digits, so that no address is a part of another
	v := &toggler{load: l, rng: rand.New(rand.NewPCG(l.seed, uint64(i))), states: []consent.Set{h.byDefault}}
	jar, _ := cookiejar.New(nil)
	v.client = http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableCompression: true, MaxConnsPerHost: 2, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, l.url)
		}},
	}
	address := fmt.Sprintf(h.address, n)
	v.exact = [2]string{fmt.Sprintf("%.4f", h.lat+float64(n)/1e4), fmt.Sprintf("%.4f", h.lon+float64(n)/1e4)}
	v.item = fmt.Sprintf("seen-by-%d", n)
	diary, track := fmt.Sprintf("diary-of-%d", n), fmt.Sprintf("followed-as-%d", n)
	v.header = http.Header{"X-Forwarded-For": {address}, "Referer": {"http://shop.localhost/" + diary}, "Cookie": {"session=kept; _track=" + track}}
	v.traces[abi.Localize] = h.localized
	v.traces[abi.Locate] = v.exact[:]
	v.traces[abi.Personalize] = []string{address, diary, track, v.item}
	return v
}

// send sends a request and returns the answer as one text.
func (v *toggler) send(method, path, contentType, body string, gpc bool) (status int, all string, ok bool) {
	req, err := http.NewRequest(method, "http://shop.localhost"+path, strings.NewReader(body))
	if err != nil {
		v.load.breaks("%s %s: %v", method, path, err)
		return 0, "", false
	}
	req.Header = v.header.Clone()
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if gpc {
		req.Header.Set("Sec-GPC", "1")
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.load.breaks("%s %s: %v", method, path, err)
		return 0, "", false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.load.breaks("%s %s: read the body: %v", method, path, err)
		return 0, "", false
	}
	v.load.count.Add(1)
	var h strings.Builder
	resp.Header.Write(&h)
	return resp.StatusCode, h.String() + "\n" + string(b), true
}

// browse opens a page, and looks for what should not be there. alone says that
// the visitor does nothing else meanwhile; what they granted must then show.
func (v *toggler) browse(rng *rand.Rand, alone bool) {
	v.mu.Lock()
	from := v.acked
	v.mu.Unlock()
	gpc := rng.IntN(10) == 0
	status, all, ok := v.send("GET", "/shop?item="+v.item, "", "", gpc)
	if !ok {
		return
	}
	if status != 200 {
		v.load.breaks("GET: %d %s", status, all)
		return
	}
	v.mu.Lock()
	var granted consent.Set
	for _, s := range v.states[from:] {
		granted |= s
	}
	v.mu.Unlock()
	if gpc { // none of their choices was made in the face of the signal
		granted &= 1 << abi.Measure
	}
	v.look(all, granted, alone)
}

// look judges an answer to a visitor who granted this.
func (v *toggler) look(all string, granted consent.Set, alone bool) {
	for p, needles := range v.traces {
		p := abi.Purpose(p)
		found := slices.ContainsFunc(needles, func(s string) bool { return strings.Contains(all, s) })
		switch {
		case found && !granted.Has(p):
			v.load.violation(p, all)
		case found:
			v.load.shown[p].Add(1)
		case alone && v.load.gate && granted.Has(p) && p != abi.Locate && len(needles) > 0: // an exact place is there only once told
			v.load.breaks("%s is granted, and nothing shows it:\n%s", p, all)
		}
	}
	if strings.Contains(all, v.item) {
		v.load.known.Add(1)
	}
	for i, key := range shownKeys {
		p, needs := abi.Classify(key).Needs()
		if !needs || granted.Has(p) {
			continue
		}
		if !strings.Contains(all, fmt.Sprintf("<p id=k%d></p>", i)) || strings.Contains(all, fmt.Sprintf("X-K%d: ", i)) {
			v.load.violation(p, all)
		}
	}
}

const formType = "application/x-www-form-urlencoded"

// choose makes a choice at random, by one of the ways that there are.
func (v *toggler) choose() {
	v.mu.Lock()
	now := v.states[v.acked]
	v.mu.Unlock()
	some := consent.Set(v.rng.IntN(1<<abi.Purposes)) & consent.All
	if !some.Has(abi.Localize) {
		some &^= 1 << abi.Locate // which needs a place
	}
	method, path, kind, body, want := "POST", "/_bespoke/privacy", formType, "", 303
	next := some
	switch v.rng.IntN(8) {
	case 0, 1:
		body, next = "action=allow-all", consent.All
	case 2, 3:
		body, next = "action=refuse-all", 0
	case 4:
		body = "action=save"
		for p := range abi.Purpose(abi.Purposes) {
			if some.Has(p) {
				body += "&" + p.String() + "=on"
			}
		}
	case 5:
		method, path, kind, want = "PUT", "/_bespoke/api/choice", "application/json", 200
		var pairs []string
		for p := range abi.Purpose(abi.Purposes) {
			pairs = append(pairs, fmt.Sprintf("%q:%v", p.String(), some.Has(p)))
		}
		body = "{" + strings.Join(pairs, ",") + "}"
	case 6:
		body = url.Values{"action": {"place-exact"}, "lat": {v.exact[0]}, "lon": {v.exact[1]}}.Encode()
		next = now.With(abi.Localize).With(abi.Locate)
	case 7:
		method, path, kind, body, want, next = "DELETE", "/_bespoke/api/profile", "", "", 200, 0
	}
	v.mu.Lock()
	v.states = append(v.states, next)
	v.mu.Unlock()
	status, all, ok := v.send(method, path, kind, body, false)
	if !ok || status != want {
		v.load.breaks("%s %s %s: %d, want %d: %s", method, path, body, status, want, all)
		return
	}
	v.mu.Lock()
	v.acked = len(v.states) - 1
	v.mu.Unlock()
}

// run lets visitors browse and choose until there were enough exchanges. Every
// fourth of them has a second tab, which browses whatever the first one does.
func (l *load) run(visitors int) {
	var all sync.WaitGroup
	for i := range visitors {
		v := l.toggler(i)
		defer v.client.CloseIdleConnections()
		if i%4 == 3 {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(l.seed, uint64(1000+i)))
				for !l.over() {
					v.browse(rng, false)
				}
			})
		}
		all.Go(func() {
			for !l.over() {
				if v.rng.IntN(3) == 0 {
					v.choose()
				} else {
					v.browse(v.rng, true)
				}
			}
		})
	}
	all.Wait()
}

func TestWithdrawalUnderLoad(t *testing.T) {
	want := int64(10_000)
	if os.Getenv("BESPOKE_SOAK") != "" {
		want = 100_000
	}
	r := newTogglers(t)
	l := &load{url: r.addr, want: want, gate: true, seed: rand.Uint64(), violations: map[abi.Purpose][]string{}}
	began := time.Now()
	l.run(64)
	took := time.Since(began)
	l.report(t)
	violations := 0
	for p, found := range l.violations {
		violations += len(found)
		t.Errorf("%s: %d violations in %d exchanges; seed %d. The first:\n%s", p, len(found), l.count.Load(), l.seed, found[0])
	}
	for _, p := range []abi.Purpose{abi.Localize, abi.Locate, abi.Personalize} {
		if l.shown[p].Load() == 0 {
			t.Errorf("%s was never shown; the test tests nothing", p)
		}
	}
	if l.known.Load() == 0 {
		t.Error("no profile was ever shown; the test tests less than it says")
	}
	t.Logf("%d exchanges in %v, %d violations; shown where granted: localize %d, locate %d, personalize %d, the profile %d",
		l.count.Load(), took.Round(time.Millisecond), violations, l.shown[abi.Localize].Load(), l.shown[abi.Locate].Load(), l.shown[abi.Personalize].Load(), l.known.Load())
}

// With the gate switched off, the same visitors find what they should not.
func TestWithdrawalIsNoticed(t *testing.T) {
	r := newTogglers(t)
	allow := r.sealed(&consent.Choice{Granted: consent.All, At: r.clock.now(), Epoch: 1}, nil)
	// Before the edge, a server that has every page asked for by who allowed all.
	open := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) == "/shop" {
			h := &ctx.Request.Header
			h.Del("Sec-GPC")
			h.SetCookie("bespoke-choice", strings.TrimPrefix(allow, "bespoke-choice="))
		}
		r.edge.handle(ctx)
	}, StreamRequestBody: true}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- open.Serve(ln) }()
	defer func() {
		if err := open.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	l := &load{url: ln.Addr().String(), want: 1000, seed: rand.Uint64(), violations: map[abi.Purpose][]string{}}
	l.run(64)
	l.report(t)
	for _, p := range []abi.Purpose{abi.Localize, abi.Personalize} {
		if len(l.violations[p]) < 50 {
			t.Errorf("%s: %d violations found in %d exchanges without a gate", p, len(l.violations[p]), l.count.Load())
		}
	}
}

func (l *load) report(t *testing.T) {
	t.Helper()
	for _, s := range l.broken {
		t.Error(s)
	}
}

func newTogglers(t *testing.T) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shower.wasm")
	if err := os.WriteFile(file, shower(shownKeys), 0o600); err != nil {
		t.Fatal(err)
	}
	rec, err := recommend.Open("", recommend.Options{Support: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close() })
	var items strings.Builder
	for n := range 200 {
		fmt.Fprintf(&items, `{"id":"seen-by-%d","title":"Thing","attributes":{"colour":"of-%d"}}`+"\n", n, n)
	}
	if err := rec.Load(strings.NewReader(items.String()), nil); err != nil {
		t.Fatal(err)
	}
	return newRig(t, mirror(shownKeys), offering(rec), routes(`[{path: /**, items: "/shop?item={item}", policies: [{use: "file:`+file+`"}]}]`), ofTenant(`consent: {strip: personal, strip_cookies: ["_track*"]}`), logging(slog.LevelWarn))
}

package probe

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server that serves the pipe sees visitors where they say that they are.
func TestPipe(t *testing.T) {
	p := NewPipe()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })}
	done := make(chan error)
	go func() { done <- s.Serve(p) }()
	for _, url := range []string{"http://shop.example/", "https://shop.example/"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Transport(netip.MustParseAddr("2001:db8::7")).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if string(b) != "[2001:db8::7]:49152" {
			t.Errorf("%s: %s", url, b)
		}
	}
	s.Close()
	if err := <-done; err != http.ErrServerClosed {
		t.Error(err)
	}
	if _, err := p.dial(t.Context(), netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("a closed pipe was dialled")
	}
}

// Rounds run one at a time, end when they are taken away, and do not keep Close waiting.
func TestCanariesEnd(t *testing.T) {
	pipe := NewPipe()
	var asked, open, most atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		most.Store(max(most.Load(), open.Add(1)))
		defer open.Add(-1)
		if strings.HasPrefix(r.Host, "slow") {
			<-r.Context().Done()
			return
		}
		planted{}.ServeHTTP(w, r)
	})}
	go s.Serve(pipe)
	defer s.Close()
	site := func(name string) Canary {
		return Canary{Tenant: name, Every: 20 * time.Millisecond, Config: Config{
			URL: "http://" + name + ".example/", Pairs: 1, PlaceHeader: "X-Forwarded-For", Settle: -1,
			Transport: func(string) http.RoundTripper { return pipe.Transport(netip.MustParseAddr("192.0.2.1")) },
		}}
	}
	told := make(chan *Round, 100)
	c := NewCanaries(slog.New(slog.DiscardHandler), func(r *Round) {
		select {
		case told <- r:
		default:
		}
	})
	c.Set([]Canary{site("b"), site("a")})
	seen := map[string]uint64{}
	for len(seen) < 2 {
		r := <-told
		seen[r.Tenant]++
		if r.Verdict != Equal || r.Requests == 0 || r.Report != nil {
			t.Fatalf("%+v", r)
		}
	}
	list := c.Status()
	if len(list) != 2 || list[0].Tenant != "a" || list[1].Last == nil || list[0].Rounds[Equal] == 0 {
		t.Errorf("%+v", list)
	}
	if most.Load() > 1 {
		t.Errorf("%d requests at the same time", most.Load())
	}

	// What a slow site holds up is let go.
	c.Set([]Canary{site("slow")})
	for n := asked.Load(); asked.Load() == n; time.Sleep(time.Millisecond) {
	}
	began := time.Now()
	c.Set([]Canary{site("a")})
	for r := range told {
		if r.Tenant == "slow" {
			t.Errorf("a round that was taken away has a result: %+v", r)
		}
		if r.Started.After(began) {
			break
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	c.Set([]Canary{site("slow")})
	for n := asked.Load(); asked.Load() == n; time.Sleep(time.Millisecond) {
	}
	began = time.Now()
	c.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}

// A site that cannot be reached is a round that failed, and no alarm.
func TestCanaryFails(t *testing.T) {
	pipe := NewPipe()
	pipe.Close()
	told := make(chan *Round, 1)
	c := NewCanaries(slog.New(slog.DiscardHandler), func(r *Round) {
		select {
		case told <- r:
		default:
		}
	})
	defer c.Close()
	c.Set([]Canary{{Tenant: "a", Every: time.Millisecond, Config: Config{
		URL: "http://a.example/", Transport: func(string) http.RoundTripper { return pipe.Transport(netip.MustParseAddr("192.0.2.1")) },
	}}})
	if r := <-told; r.Verdict != Failed || r.Because == "" {
		t.Errorf("%+v", r)
	}
	if s := c.Status(); s[0].Alarm != nil {
		t.Errorf("%+v", s[0])
	}
}

// The file that the documentation shows is one.
func TestDocumentedFile(t *testing.T) {
	data, err := os.ReadFile("../../../docs/audit-probe.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin = "{\n  \"refuse\""
	_, rest, ok := strings.Cut(string(data), "```json\n"+begin)
	text, _, _ := strings.Cut(begin+rest, "```")
	f, err := ReadFile(strings.NewReader(text))
	if !ok || err != nil || len(f.Dimensions) != 2 || f.Refuse == nil {
		t.Errorf("%v: %s", err, text)
	}
}

func TestJar(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var j jar
	j.take(http.Header{"Set-Cookie": {"a=1; Path=/; Secure", "b=2; Path=/shop", "c=3", "bad cookie", "d=" + strings.Repeat("x", 5000)}}, "/shop/list", now)
	for path, want := range map[string]string{"/": "a=1", "/shop": "a=1; b=2; c=3", "/shop/x": "a=1; b=2; c=3", "/shopping": "a=1"} {
		if got := j.header(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	j.take(http.Header{"Set-Cookie": {"a=; Path=/; Max-Age=0", "b=; Path=/shop; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "c=4; Path=/shop"}}, "/", now)
	if got := j.header("/shop"); got != "c=4" {
		t.Errorf("%q", got)
	}
	for i := range 500 {
		j.set("n"+string(rune('a'+i%26))+strings.Repeat("x", i/26), "1", "/")
	}
	if len(j.cookies) > maxCookies {
		t.Errorf("%d cookies", len(j.cookies))
	}
}

// Whatever bytes two answers are, comparing them neither breaks nor says that equal ones
// differ; and what was learned as varying is not told as a difference.
func FuzzCompare(f *testing.F) {
	f.Add([]byte("<p>12:30</p>"), []byte("<p>12:31</p>"), "Etag", "1", "2")
	f.Add([]byte{0x1f, 0x8b, 8, 0}, []byte("\xff\xfe"), "Set-Cookie", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=2;")
	f.Fuzz(func(t *testing.T, a, b []byte, name, x, y string) {
		one := &Response{Status: 200, Header: http.Header{http.CanonicalHeaderKey(name): {x}, "Content-Encoding": {"gzip"}}, Body: a}
		two := &Response{Status: 200, Header: http.Header{http.CanonicalHeaderKey(name): {y}}, Body: b}
		var none mask
		if c := none.compare(one, one, nil); !c.equal() || c.distance != 0 || c.a != c.b {
			t.Errorf("an answer differs from itself: %+v", c)
		}
		c, back := none.compare(one, two, nil), none.compare(two, one, nil)
		if c.equal() != back.equal() || c.distance != back.distance {
			t.Errorf("%+v, but the other way %+v", c, back)
		}
		two.Header.Set("Content-Encoding", "gzip")
		var m mask
		m.learn(one, two, nil)
		if c := m.compare(one, two, nil); !m.shapeless && !c.equal() {
			t.Errorf("learned, and yet told: %+v", c.differs)
		}
		s := &site{path: "/"}
		s.read(&fetcher{base: mustParse("http://a.example/")}, two)
	})
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

const stripping1 = `consent: {strip: personal, strip_cookies: [uid, "_track*"]}`

// An ear is an origin that keeps the bytes of each request's header.
type ear struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
}

func newEar(t *testing.T) *ear {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{Server: &httptest.Server{Listener: ln}}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { e.listen(c) })
		}
	})
	return e
}

func (e *ear) listen(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		head.WriteString(line)
		if line == "\r\n" {
			e.mu.Lock()
			e.heard = append(e.heard, head.String())
			e.mu.Unlock()
			head.Reset()
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\npage")
		}
	}
}

// last returns the header that came last.
func (e *ear) last() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) == 0 {
		return ""
	}
	return e.heard[len(e.heard)-1]
}

// values returns the values of a field, in order.
func values(head, name string) (all []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, v, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			all = append(all, v)
		}
	}
	return all
}

// say sends a request whose header has these lines, and returns what the origin got.
func (e *ear) say(t *testing.T, r *rig, lines ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n")
	for _, l := range lines {
		fmt.Fprintf(c, "%s\r\n", l)
	}
	fmt.Fprint(c, "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%q: %s %s", lines, resp.Status, b)
	}
	return e.last()
}

// sealed returns a line with cookies of ours, as a browser would send them.
func (r *rig) sealed(c *consent.Choice, p *profile.Preferences) string {
	seal := func(u use, plain []byte) string {
		return r.edge.sealer.Seal(plain, profile.Binding{Use: string(u), Tenant: "shop", Host: "shop.localhost"})
	}
	var pairs []string
	if c != nil {
		pairs = append(pairs, "bespoke-choice="+seal(useChoice, c.Encode()))
	}
	if p != nil {
		pairs = append(pairs, "bespoke-preferences="+seal(usePreferences, p.Encode()))
	}
	return strings.Join(pairs, "; ")
}

func (r *rig) allows(purposes ...abi.Purpose) *consent.Choice {
	c := &consent.Choice{At: r.edge.now(), Epoch: 1}
	for _, p := range purposes {
		c.Granted = c.Granted.With(p)
	}
	return c
}

// Every field that strip: personal is about, with and without the grant, on routes
// with policies and without any; and for a tenant that does not ask for it.
func TestStrip(t *testing.T) {
	sent := []string{
		"X-Forwarded-For: " + sanFrancisco,
		"X-Real-IP: 2001:db8:1:2:3::4",
		`Forwarded: for="[2001:db8:1:2:3::4]:4711";proto=https;host="shop.localhost";secret=7f3a, for=10.9.8.7;by=127.0.0.1`,
		"Referer: https://user:pw@elsewhere.example:8443/diary?of=jane#x",
		"Cookie: session=1; uid=jane; _track=2; _tracking.x=3; _Track=kept; uid2=kept; flag",
		"CF-Connecting-IP: 198.51.100.7", "True-Client-IP: 198.51.100.7", "X-Client-IP: 198.51.100.7",
		`Sec-CH-UA: "Chromium";v="140"`, "Sec-CH-UA-Mobile: ?0", `Sec-CH-UA-Platform: "Linux"`,
		`Sec-CH-UA-Model: "P7"`, `Sec-CH-UA-Full-Version-List: "Chromium";v="140.0.1.2"`, `Sec-CH-UA-WoW64: ?0`,
		`Sec-CH-UA-Arch: "x86"`, `Sec-CH-UA-Bitness: "64"`, `Sec-CH-UA-Form-Factors: "Desktop"`, `Sec-CH-UA-Full-Version: "140.0.1.2"`,
		`Sec-CH-UA-Platform-Version: "6.1"`,
	}
	whole := map[string]string{
		"X-Forwarded-For": sanFrancisco + ", 127.0.0.1", "X-Real-IP": "2001:db8:1:2:3::4",
		"Forwarded": strings.TrimPrefix(sent[2], "Forwarded: "), "Referer": strings.TrimPrefix(sent[3], "Referer: "),
		"Cookie":           "session=1; uid=jane; _track=2; _tracking.x=3; _Track=kept; uid2=kept; flag",
		"CF-Connecting-IP": "198.51.100.7", "True-Client-IP": "198.51.100.7", "X-Client-IP": "198.51.100.7",
		"Sec-CH-UA": `"Chromium";v="140"`, "Sec-CH-UA-Mobile": "?0", "Sec-CH-UA-Platform": `"Linux"`,
		"Sec-CH-UA-Model": `"P7"`, "Sec-CH-UA-Full-Version-List": `"Chromium";v="140.0.1.2"`, "Sec-CH-UA-WoW64": "?0",
		"Sec-CH-UA-Arch": `"x86"`, "Sec-CH-UA-Bitness": `"64"`, "Sec-CH-UA-Form-Factors": `"Desktop"`, "Sec-CH-UA-Full-Version": `"140.0.1.2"`,
		"Sec-CH-UA-Platform-Version": `"6.1"`,
	}
	stripped := map[string]string{
		"X-Forwarded-For": "198.51.100.0, 127.0.0.1", "X-Real-IP": "2001:db8:1::",
		"Forwarded": `for="[2001:db8:1::]";proto=https;host="shop.localhost", for=10.9.8.0;by=127.0.0.1`,
		"Referer":   "https://elsewhere.example:8443/",
		"Cookie":    "session=1; _Track=kept; uid2=kept; flag",
		"Sec-CH-UA": `"Chromium";v="140"`, "Sec-CH-UA-Mobile": "?0", "Sec-CH-UA-Platform": `"Linux"`,
	}
	e := newEar(t)
	for _, on := range []struct{ name, routes string }{{"with policies", nearbyAndGreet}, {"without", "[]"}} {
		rigs := map[string]*rig{}
		for _, tenant := range []string{stripping1, ""} {
			rigs[tenant] = newRig(t, nil, originAt(e.Listener.Addr().String()), routes(on.routes), ofTenant(tenant))
		}
		for _, tt := range []struct {
			name   string
			tenant string
			choice []abi.Purpose // nil: none
			gpc    bool
			want   map[string]string
		}{
			{"default of an opt-out place", stripping1, nil, false, whole},
			{"refused", stripping1, []abi.Purpose{}, false, stripped},
			{"all but personalize", stripping1, []abi.Purpose{abi.Localize, abi.Locate, abi.Advertise, abi.Measure}, false, stripped},
			{"personalize alone", stripping1, []abi.Purpose{abi.Personalize}, false, whole},
			{"GPC", stripping1, nil, true, stripped},
			{"refused, a tenant that does not strip", "", []abi.Purpose{}, false, whole},
		} {
			t.Run(on.name+"/"+tt.name, func(t *testing.T) {
				r := rigs[tt.tenant]
				lines := slices.Clone(sent)
				if tt.choice != nil {
					lines[4] += "; " + r.sealed(r.allows(tt.choice...), &profile.Preferences{Name: "Jane"})
				}
				if tt.gpc {
					lines = append(lines, "Sec-GPC: 1")
				}
				head := e.say(t, r, lines...)
				for name := range whole {
					got := values(head, name)
					if want := tt.want[name]; want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
				if strings.Contains(head, "bespoke-") {
					t.Errorf("our own cookies reach the origin:\n%s", head)
				}
			})
		}
	}
}

// fields returns a header without its order, which fasthttp changes when it takes
// a field out (RFC 9110, 5.3: that of fields of different names means nothing).
func fields(head string) string {
	lines := strings.Split(head, "\r\n")
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// What the origin gets of a visitor who has not granted personalize is, to the
// byte, the same for all who differ only in what is stripped, but for the order of fields.
func TestStripNonInterference(t *testing.T) {
	e := newEar(t)
	r := newRig(t, nil, originAt(e.Listener.Addr().String()), ofTenant(stripping1))
	refused := r.allows()
	first := ""
	for i, lines := range [][]string{
		{"X-Forwarded-For: 192.0.2.7", "Cookie: a=1; " + r.sealed(refused, nil)},
		{"X-Forwarded-For: 192.0.2.250", "Cookie: " + r.sealed(refused, nil) + "; a=1"},
		{"X-Forwarded-For: 192.0.2.7:4711", "Cookie: a=1; " + r.sealed(refused, &profile.Preferences{Name: "Jane"})},
		{"X-Forwarded-For: 192.0.2.7", "Cookie: uid=" + strings.Repeat("x", 300) + "; a=1; _track=1; " + r.sealed(refused, nil), "True-Client-IP: 192.0.2.7", `Sec-CH-UA-Model: "P7"`},
		{"X-Forwarded-For: ::ffff:192.0.2.9", "Cookie:  uid=1 ;a=1;uid =2", "Sec-CH-UA-Arch: x", "Cookie: " + r.sealed(refused, nil)},
		{"X-Forwarded-For: 192.0.2.7", "Cookie: " + r.sealed(refused, nil), "Cookie: a=1"},
		{"X-Forwarded-For: 192.0.2.7", "Cookie:", "Cookie: a=1; " + r.sealed(refused, nil)},
	} {
		head := fields(e.say(t, r, lines...))
		if i == 0 {
			first = head
		}
		if head != first {
			t.Errorf("%q:\n%s\nwant\n%s", lines, head, first)
		}
	}
	if n := len(e.heard); n != 7 {
		t.Errorf("%d requests, want 7", n)
	}
}

// Without strip too our own cookies leave no trace, not even their length, and
// whatever way they came.
func TestOwnCookiesLeaveNoTrace(t *testing.T) {
	e := newEar(t)
	r := newRig(t, nil, originAt(e.Listener.Addr().String()))
	first := fields(e.say(t, r, "Cookie: a=1; b=2"))
	for _, cookies := range []string{
		"a=1; b=2; bespoke-choice=x", "bespoke-choice=; a=1; b=2", "a=1; bespoke-preferences=" + strings.Repeat("x", 2000) + "; b=2",
		"a=1; b=2; __Host-bespoke-choice=x; __Host-bespoke-preferences=y; bespoke-subject=z; __Host-bespoke-subject=z",
		"a=1; b=2; bespoke-choice", "\t bespoke-choice =x;  a=1; b=2",
	} {
		if head := fields(e.say(t, r, "Cookie: "+cookies)); head != first {
			t.Errorf("%q: the origin got\n%s\nwant\n%s", cookies, head, first)
		}
	}
	for _, lines := range [][]string{
		{"Cookie: a=1", "Cookie: bespoke-choice=x", "Cookie: b=2"}, {"Cookie:", "Cookie: bespoke-choice=x", "Cookie: a=1; b=2"},
	} {
		if head := fields(e.say(t, r, lines...)); head != first {
			t.Errorf("%q: the origin got\n%s\nwant\n%s", lines, head, first)
		}
	}
	if head := e.say(t, r, "Cookie: bespoke-choice=x"); strings.Contains(head, "Cookie") {
		t.Errorf("a line of nothing is left:\n%s", head)
	}
}

// The signal goes on as the specification writes it: W3C Global Privacy Control,
// "The Sec-GPC Header Field": its only value is "1".
func TestGPCGoesUpstream(t *testing.T) {
	e := newEar(t)
	for _, on := range []string{nearbyAndGreet, "[]"} {
		r := newRig(t, nil, originAt(e.Listener.Addr().String()), routes(on))
		for _, tt := range []struct {
			lines []string
			want  string
		}{
			{nil, ""},
			{[]string{"Sec-GPC: 1"}, "1"},
			{[]string{"sec-gpc: 1"}, "1"},
			{[]string{"Sec-GPC: 0", "Sec-GPC: 1"}, "1"},
			{[]string{"Sec-GPC: 1", "X-A: 1", "Sec-GPC: 1"}, "1"},
			{[]string{"Sec-GPC:", "Sec-GPC: 1"}, "1"},
			{[]string{"Sec-GPC: 1, 1"}, "1"},
			{[]string{"Sec-GPC: 1", "Connection: Sec-GPC"}, "1"},
			{[]string{"Connection: keep-alive", "X-A: 1", "Sec-GPC: 0", "Sec-GPC:  1 "}, "1"},
			{[]string{"Sec-GPC: 0"}, ""},
			{[]string{"Sec-GPC: true"}, ""},
			{[]string{"Sec-GPC: 11"}, ""},
			{[]string{"DNT: 1"}, ""},
			{[]string{"Cookie: __gpp=DBABBg~BVoYYYg4.YA"}, ""}, // of another kind: the header is not invented
		} {
			got := values(e.say(t, r, tt.lines...), "Sec-GPC")
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || got[0] != tt.want) {
				t.Errorf("%q: the origin got %q, want %q", tt.lines, got, tt.want)
			}
		}
	}
}

// An empty line of a field hides none of those after it.
func TestEmptyFirstLines(t *testing.T) {
	e := newEar(t)
	for trust, want := range map[string]string{"10.0.0.0/8": "127.0.0.1", "127.0.0.0/8": "9.9.9.9, 127.0.0.1"} {
		r := newRig(t, nil, originAt(e.Listener.Addr().String()), trusting(trust))
		head := e.say(t, r, "X-Forwarded-For:", "X-Forwarded-For: 9.9.9.9", "Connection:", "Connection: X-Mine", "X-Mine: 1",
			"Upgrade:", "Upgrade: h2c", "X-Forwarded-Proto:", "X-Forwarded-Proto: https", "Expect:", "Expect: 100-continue")
		if got := values(head, "X-Forwarded-For"); len(got) != 1 || got[0] != want {
			t.Errorf("X-Forwarded-For: %q, want %q", got, want)
		}
		if got := values(head, "X-Forwarded-Proto"); len(got) != 1 || got[0] != "http" {
			t.Errorf("X-Forwarded-Proto: %q", got)
		}
		for _, name := range []string{"Connection", "X-Mine", "Upgrade", "Expect"} {
			if got := values(head, name); len(got) > 0 {
				t.Errorf("%s: %q went on", name, got)
			}
		}
	}
}

// The way that a request came keeps its order, whatever fields are taken out around it.
func TestForwardedOrder(t *testing.T) {
	e := newEar(t)
	r := newRig(t, nil, originAt(e.Listener.Addr().String()))
	head := e.say(t, r, "Connection: keep-alive", "X-Forwarded-For: 9.9.9.9", "Te: trailers", "X-Forwarded-For: 198.51.100.7", "Cookie: a=1", "Cookie: b=2")
	if got := values(head, "X-Forwarded-For"); len(got) != 1 || got[0] != "9.9.9.9, 198.51.100.7, 127.0.0.1" {
		t.Errorf("X-Forwarded-For: %q", got)
	}
	if got := values(head, "Cookie"); len(got) != 1 || got[0] != "a=1; b=2" {
		t.Errorf("Cookie: %q", got)
	}
}

func TestCoarseAddresses(t *testing.T) {
	x := &exchange{snap: &snapshot{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	for _, tt := range []struct{ in, first, later string }{
		{"198.51.100.7", "198.51.100.0", "198.51.100.0"},
		{"198.51.100.7:80", "198.51.100.0", "198.51.100.0"},
		{"::ffff:198.51.100.7", "198.51.100.0", "198.51.100.0"},
		{"2001:db8:a:b:c:d:e:f", "2001:db8:a::", "2001:db8:a::"},
		{"[2001:db8:a:b:c:d:e:f]:443", "2001:db8:a::", "2001:db8:a::"},
		{"fe80::1%eth0", "fe80::", "fe80::"},
		{"10.1.2.3", "10.1.2.0", "10.1.2.3"},
		{"fd00::1:2", "fd00::", "fd00::1:2"},
		{"unknown", "unknown", "unknown"},
		{"_jane", "unknown", "unknown"},
		{"", "unknown", "unknown"},
		{"198.51.100.7 jane", "unknown", "unknown"},
		{strings.Repeat("1", 5000), "unknown", "unknown"},
	} {
		if got := string(x.appendHop(nil, []byte(tt.in), true)); got != tt.first {
			t.Errorf("%.40q as the first: %q, want %q", tt.in, got, tt.first)
		}
		if got := string(x.appendHop(nil, []byte(tt.in), false)); got != tt.later {
			t.Errorf("%.40q after the first: %q, want %q", tt.in, got, tt.later)
		}
	}
	if a := coarse(netip.Addr{}); a.IsValid() {
		t.Errorf("no address became %v", a)
	}
}

// The examples of RFC 7239, 4 and 7, and what is not of that form.
func TestForwardedField(t *testing.T) {
	x := &exchange{snap: &snapshot{trusted: []netip.Prefix{netip.MustParsePrefix("203.0.113.43/32")}}}
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{`for="_gazonk"`}, `for=unknown`},
		{[]string{`For="[2001:db8:cafe::17]:4711"`}, `for="[2001:db8:cafe::]"`},
		{[]string{`for=192.0.2.60;proto=http;by=203.0.113.43`}, `for=192.0.2.0;proto=http;by=203.0.113.43`},
		{[]string{`for=192.0.2.43, for=198.51.100.17`}, `for=192.0.2.0, for=198.51.100.0`},
		{[]string{`for=192.0.2.43, for="[2001:db8:cafe::17]"`, `for=unknown`}, `for=192.0.2.0, for="[2001:db8:cafe::]", for=unknown`},
		{[]string{`for=203.0.113.43, for=203.0.113.43`}, `for=203.0.113.0, for=203.0.113.43`},
		{[]string{`by=203.0.113.43;for=203.0.113.43`}, `by=203.0.113.43;for=203.0.113.0`},
		{[]string{` for = 1.2.3.4`}, ``},
		{[]string{`for=1.2.3.4;;proto=https , ,for=5.6.7.8;`}, `for=1.2.3.0;proto=https, for=5.6.7.0`},
		{[]string{`secret=jane;for=1.2.3.4`, `secret=jane`}, `for=1.2.3.0`},
		{[]string{`host="shop.example:80"`}, `host="shop.example:80"`},
		{[]string{`host="jane@shop.example/x"`}, ``},
		{[]string{`proto=jane`}, ``},
		{[]string{`for="1.2.3.4\"`}, ``},
		{[]string{`for="1.2.3.4" x`}, ``},
		{[]string{`for="1.2.3.\4"`}, `for=1.2.3.0`},
		{[]string{`for=1.2.3.4`, `jane`}, ``},
		{[]string{``}, ``},
		{[]string{`=`}, ``},
		{[]string{`for=`}, `for=unknown`},
	} {
		var lines [][]byte
		for _, l := range tt.lines {
			lines = append(lines, []byte(l))
		}
		if got := string(x.coarseForwarded(lines)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.lines, got, tt.want)
		}
	}
}

func TestReferrerOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://shop.example/a?b#c": "https://shop.example/", "http://u:p@shop.example:81/a": "http://shop.example:81/", "http://[2001:db8::1]:80/x": "http://[2001:db8::1]:80/",
		"android-app://com.example.app/": "", "about:blank": "", "data:text/html,x": "", "/path": "", "": "", "https:///x": "", "https://a b/": "",
		"https://shop.example\\@evil/": "", "http://": "", "mailto:jane@shop.example": "", "https://j%C3%A4ne.example/": "",
	} {
		if got := originOf([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// No list of cookies to strip is a list of none, and a name is matched as it is.
func TestStrippedCookies(t *testing.T) {
	if newStripping(&config.Consent{StripCookies: []string{"a"}}) != nil {
		t.Error("stripped without strip: personal")
	}
	s := newStripping(&config.Consent{StripPersonal: true, StripCookies: []string{"a", "p_*", "b*c"}})
	for name, want := range map[string]bool{"a": true, "A": false, "ab": false, "": false, "p_": true, "p_x": true, "P_x": false, "xp_": false, "b*c": true, "bxc": false} {
		if s.cookie([]byte(name)) != want {
			t.Errorf("%q: %v, want %v", name, !want, want)
		}
	}
	if (*stripping)(nil).cookie([]byte("a")) {
		t.Error("nothing to strip, and a cookie is stripped")
	}
}

func FuzzForwardedField(f *testing.F) {
	f.Add(`for=192.0.2.60;proto=http;by=203.0.113.43, for="[2001:db8::1]:47"`)
	f.Add(`for="a\"b";x=y`)
	x := &exchange{snap: &snapshot{}}
	f.Fuzz(func(t *testing.T, s string) {
		out := x.coarseForwarded([][]byte{[]byte(s)})
		if again := x.coarseForwarded([][]byte{out}); string(again) != string(out) {
			t.Errorf("%q became %q, and that %q", s, out, again)
		}
		for _, c := range out {
			if c < ' ' || c > '~' {
				t.Errorf("%q became %q", s, out)
			}
		}
	})
}

// Every cookie of ours stays between the visitor and the edge, under both names.
func TestOwnCookiesAreAllOwn(t *testing.T) {
	for _, n := range []cookieNames{hostNames, plainNames} {
		for _, name := range []string{n.choice, n.preferences, n.subject, n.why, n.inferred, n.hidden} {
			if !isOwn([]byte(name)) {
				t.Errorf("%s goes on to the origin", name)
			}
		}
	}
}

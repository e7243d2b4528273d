package edge

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"bespoke/modules/abi"
)

// Whatever is not a page to edit passes as the origin sent it.
func TestPassesUntouched(t *testing.T) {
	binary := bytes.Repeat([]byte("\x00\xff<li>\r\n"), 60000)
	mux := http.NewServeMux()
	answer := func(path string, status int, contentType, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Cache-Control", "public, max-age=600")
			w.Header().Add("X-Twice", "one")
			w.Header().Add("X-Twice", "two")
			w.Header().Add("Set-Cookie", "a=1; Path=/")
			w.Header().Add("Set-Cookie", "b=2; Path=/")
			if status != 204 && status != 304 {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			w.WriteHeader(status)
			if req.Method != "HEAD" {
				io.WriteString(w, body)
			}
		})
	}
	answer("/style.css", 200, "text/css", "li { color: red }")
	answer("/data.txt", 200, "text/plain", `{"a":"<li>"}`)
	answer("/big.bin", 200, "application/octet-stream", string(binary))
	answer("/missing", 404, "text/html; charset=utf-8", page)
	answer("/broken", 500, "text/html; charset=utf-8", page)
	answer("/moved", 301, "text/html; charset=utf-8", page)
	answer("/partial", 206, "text/html; charset=utf-8", page)
	answer("/none", 204, "text/html; charset=utf-8", "")
	answer("/same", 304, "text/html; charset=utf-8", "")
	answer("/page", 200, "text/html; charset=utf-8", page) // with HEAD
	answer("/empty", 200, "text/css", "")
	mux.HandleFunc("/chunked.txt", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := range 100 {
			fmt.Fprintf(w, "line %d\n", i)
			w.(http.Flusher).Flush()
		}
	})
	r := newRig(t, mux)
	v := r.visitor(sanFrancisco)
	direct := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableCompression: true},
	}
	for _, tt := range []struct{ method, path string }{
		{"GET", "/style.css"}, {"GET", "/data.txt"}, {"GET", "/big.bin"}, {"GET", "/missing"}, {"GET", "/broken"},
		{"GET", "/moved"}, {"GET", "/partial"}, {"GET", "/none"}, {"GET", "/same"}, {"HEAD", "/page"}, {"HEAD", "/big.bin"},
		{"GET", "/empty"}, {"GET", "/chunked.txt"}, {"POST", "/data.txt"}, {"DELETE", "/none"},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			got, body := v.do(tt.method, tt.path, nil)
			req, _ := http.NewRequest(tt.method, r.origin.URL+tt.path, nil)
			want, err := direct.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			wantBody, _ := io.ReadAll(want.Body)
			want.Body.Close()
			if got.StatusCode != want.StatusCode || body != string(wantBody) || got.ContentLength != want.ContentLength {
				t.Errorf("%s, %d bytes (%d said); the origin gave %s, %d bytes (%d said)", got.Status, len(body), got.ContentLength, want.Status, len(wantBody), want.ContentLength)
			}
			got.Header.Del("Date")
			want.Header.Del("Date")
			if g, w := fmt.Sprint(got.Header), fmt.Sprint(want.Header); g != w {
				t.Errorf("header\n%s\nthe origin gave\n%s", g, w)
			}
		})
	}
}

// A tailored page belongs to its visitor, and says so.
func TestTailoredHeaders(t *testing.T) {
	r := newRig(t, html(page))
	for _, from := range []string{sanFrancisco, berlin} {
		resp, body := r.visitor(from).get("/")
		if got := resp.Header["Cache-Control"]; len(got) != 1 || got[0] != "private, no-store" {
			t.Errorf("Cache-Control: %q", got)
		}
		for _, name := range []string{"ETag", "Last-Modified", "Expires", "Accept-Ranges"} {
			if v := resp.Header.Get(name); v != "" {
				t.Errorf("%s: %s", name, v)
			}
		}
		if resp.ContentLength != int64(len(body)) {
			t.Errorf("Content-Length %d, body %d", resp.ContentLength, len(body))
		}
	}
}

// None of what an origin says about its bytes, or their storing, is left, however
// often and in whatever order it says it.
func TestOriginStatements(t *testing.T) {
	names := []string{
		"ETag", "Last-Modified", "Expires", "Pragma", "Age", "Accept-Ranges", "Content-MD5", "Digest",
		"Content-Digest", "Repr-Digest", "Surrogate-Control", "CDN-Cache-Control", "Cache-Control",
	}
	for _, times := range []int{1, 2, 30} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			for _, name := range names {
				for i := range times {
					w.Header().Add(name, fmt.Sprint(i))
				}
			}
			w.Header().Set("X-Kept", "yes")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, page)
		}))
		resp, _ := r.visitor(berlin).get("/")
		if got := resp.Header["Cache-Control"]; len(got) != 1 || got[0] != "private, no-store" || resp.Header.Get("X-Kept") == "" {
			t.Errorf("%d times: %v", times, resp.Header)
		}
		for _, name := range names[:len(names)-1] {
			if resp.Header.Get(name) != "" {
				t.Errorf("%d times: %s is left", times, name)
			}
		}
	}
}

// A header that a policy sets is there once, whatever the origin sent.
func TestSetHeaderReplaces(t *testing.T) {
	r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header()["X-Twice"] = []string{"one", "two", "three"}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, page)
	}), emitter([]abi.Edit{{Op: abi.OpSetHeader, Target: "x-twice", A: "ours"}, {Op: abi.OpAddHeader, Target: "x-twice", A: "more"}}))
	if resp, _ := r.visitor(berlin).get("/"); fmt.Sprint(resp.Header["X-Twice"]) != "[ours more]" {
		t.Errorf("%q", resp.Header["X-Twice"])
	}
}

// A browser that holds the page from before is sent it anew, not "not modified".
func TestConditions(t *testing.T) {
	var got http.Header
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got = req.Header.Clone()
		html(page).ServeHTTP(w, req)
	}))
	conditions := []string{"If-None-Match", `"v1"`, "If-Modified-Since", "Sat, 03 Jan 2026 00:00:00 GMT", "Range", "bytes=0-3", "If-Range", `"v1"`}
	for dest, kept := range map[string]bool{
		"": false, "document": false, "empty": false, "iframe": false, "object": false, "json": false, "xslt": false, "manifest": false,
		"image": true, "script": true, "style": true, "font": true, "audio": true, "video": true, "track": true, "worker": true, "serviceworker": true,
	} {
		header := conditions
		if dest != "" {
			header = append([]string{"Sec-Fetch-Dest", dest}, conditions...)
		}
		r.visitor(berlin).get("/", header...)
		for i := 0; i < len(conditions); i += 2 {
			if (got.Get(conditions[i]) != "") != kept {
				t.Errorf("%s: %s is %q, kept should be %v", dest, conditions[i], got.Get(conditions[i]), kept)
			}
		}
	}
}

// A redirect to the origin's own address would lead the visitor away.
func TestRedirects(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Location", strings.ReplaceAll(req.URL.Query().Get("to"), "ORIGIN", req.Host))
		w.WriteHeader(302)
	}))
	for to, want := range map[string]string{
		"http://ORIGIN/library/?a=b#c": "http://shop.localhost/library/?a=b#c",
		"http://ORIGIN":                "http://shop.localhost",
		"HTTP://ORIGIN?q":              "http://shop.localhost?q",
		"http://ORIGIN//evil.example/": "http://shop.localhost//evil.example/",
		"http://ORIGIN/\\evil.example": "http://shop.localhost/%5Cevil.example",
		"https://ORIGIN/x":             "https://ORIGIN/x", // the site's way to TLS
		"/library/":                    "/library/",
		"https://elsewhere.example/x":  "https://elsewhere.example/x",
		"http://ORIGIN@evil.example/":  "http://ORIGIN@evil.example/",
		"http://ORIGIN0/":              "http://ORIGIN0/",
	} {
		want = strings.ReplaceAll(want, "ORIGIN", r.origin.Listener.Addr().String())
		resp, _ := r.visitor(berlin).get("/?to=" + url.QueryEscape(to))
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("Location %q became %q, want %q", to, got, want)
		}
	}
}

func TestMethodsAndBodies(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s %d %x", req.Method, req.URL.RequestURI(), len(b), b[:min(len(b), 8)])
	}))
	v := r.visitor(berlin)
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		body := "\x00\x01some body"
		if m == "GET" || m == "OPTIONS" {
			body = ""
		}
		_, got := v.do(m, "/a%2Fb//c/../d?x=1&y=%20", strings.NewReader(body))
		want := fmt.Sprintf("%s /a%%2Fb//c/../d?x=1&y=%%20 %d %x", m, len(body), body[:min(len(body), 8)])
		if got != want {
			t.Errorf("the origin got %q, want %q", got, want)
		}
	}
	// Of unknown length.
	_, got := v.do("POST", "/up", io.MultiReader(strings.NewReader("abc"), strings.NewReader("defgh")))
	if want := "POST /up 8 6162636465666768"; got != want {
		t.Errorf("chunked: the origin got %q, want %q", got, want)
	}
	if resp, _ := v.do("TRACE", "/", nil); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
		t.Errorf("TRACE: %s", resp.Status)
	}
}

func TestHopByHop(t *testing.T) {
	var got http.Header
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		got = req.Header.Clone()
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("X-Kept", "1")
	}))
	resp, _ := r.visitor(berlin).get("/", "Connection", "X-Mine, close", "X-Mine", "1", "Te", "trailers", "Keep-Alive", "x",
		"Proxy-Authorization", "Basic x", "Proxy-Connection", "keep-alive", "Upgrade", "h2c", "X-Kept", "1")
	for _, h := range []http.Header{got, resp.Header} {
		for _, name := range []string{"X-Mine", "X-Private", "Te", "Keep-Alive", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection", "Upgrade"} {
			if h.Get(name) != "" {
				t.Errorf("%s: %s passed", name, h.Get(name))
			}
		}
		if h.Get("X-Kept") != "1" {
			t.Errorf("X-Kept is gone from %v", h)
		}
	}
}

func TestForwarded(t *testing.T) {
	var got http.Header
	var host string
	origin := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { got, host = req.Header.Clone(), req.Host })
	t.Run("from a trusted proxy", func(t *testing.T) {
		r := newRig(t, origin)
		r.visitor(berlin).get("/", "X-Forwarded-Proto", "https", "Sec-GPC", "1")
		if f := got.Get("X-Forwarded-For"); f != berlin+", 127.0.0.1" {
			t.Errorf("X-Forwarded-For: %s", f)
		}
		if got.Get("X-Forwarded-Proto") != "https" || got.Get("X-Forwarded-Host") != "shop.localhost" || got.Get("Sec-Gpc") != "1" {
			t.Errorf("header %v", got)
		}
		if host != r.origin.Listener.Addr().String() {
			t.Errorf("Host: %s", host)
		}
	})
	t.Run("from anybody", func(t *testing.T) {
		r := newRig(t, origin, trusting("10.0.0.0/8"))
		r.visitor(berlin).get("/", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example", "Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4")
		if f := got["X-Forwarded-For"]; len(f) != 1 || f[0] != "127.0.0.1" {
			t.Errorf("X-Forwarded-For: %v", f)
		}
		if got.Get("X-Forwarded-Proto") != "http" || got.Get("X-Forwarded-Host") != "shop.localhost" || got.Get("Forwarded") != "" || got.Get("X-Real-Ip") != "" {
			t.Errorf("header %v", got)
		}
	})
}

// X-Forwarded-For is believed only as far as trusted proxies wrote it.
func TestForwardedPlace(t *testing.T) {
	trusted := newRig(t, html(page), trusting("127.0.0.0/8, 10.0.0.0/8"))
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{sanFrancisco}, fromSF},
		{[]string{sanFrancisco + ", 10.0.0.3"}, fromSF},
		{[]string{berlin + ", " + sanFrancisco}, fromSF},
		{[]string{berlin, sanFrancisco}, fromSF},
		{[]string{sanFrancisco + ":4711"}, fromSF},
		{[]string{"::ffff:" + sanFrancisco}, fromSF},
		{[]string{sanFrancisco + ", " + berlin}, originOrder}, // Berlin is opt-in
		{[]string{sanFrancisco + ", garbage"}, originOrder},
		{[]string{sanFrancisco + ","}, originOrder},
		{[]string{"unknown"}, originOrder},
	} {
		req, _ := http.NewRequest("GET", trusted.url, nil)
		req.Host = "shop.localhost"
		req.Header["X-Forwarded-For"] = tt.lines
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := cities(string(body)); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.lines, got, tt.want)
		}
	}
	open := newRig(t, html(page), trusting("10.0.0.0/8"))
	if _, body := open.visitor(sanFrancisco).get("/"); cities(body) != originOrder {
		t.Error("X-Forwarded-For is believed from anybody")
	}
}

func TestVirtualHosts(t *testing.T) {
	r := newRig(t, html(page))
	for host, want := range map[string]int{
		"shop.localhost": 200, "SHOP.localhost": 200, "shop.localhost:8080": 200, "shop.localhost.": 200, "shop.example": 200,
		"other.localhost": 421, "localhost": 421, "shop.localhost.evil.example": 421, "": 400,
	} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		resp.Body.Close()
		c.Close()
		if resp.StatusCode != want && !(host == "" && resp.StatusCode == 421) {
			t.Errorf("Host %q: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func encode(t testing.TB, coding, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	default:
		return s
	}
	io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func decode(t testing.TB, coding, s string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(s)
	var err error
	switch coding {
	case "gzip":
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	case "br":
		r = brotli.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("decode %s: %v", coding, err)
	}
	return string(b)
}

func TestContentCodings(t *testing.T) {
	big := strings.Replace(page, "<p>the end", strings.Repeat("<p>more and more text\n", 50000)+"<p>the end", 1)
	for _, body := range []string{page, big} {
		r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			coding := "identity"
			for _, c := range []string{"br", "gzip"} { // as the edge asks for them, whatever the visitor said
				if strings.Contains(req.Header.Get("Accept-Encoding"), c) {
					coding = c
				}
			}
			if f := req.URL.Query().Get("force"); f != "" {
				coding = f
			}
			if coding != "identity" {
				w.Header().Set("Content-Encoding", coding)
			}
			io.WriteString(w, encode(t, coding, body))
		}))
		_, want := r.visitor(sanFrancisco).get("/")
		for _, tt := range []struct{ accept, force, want string }{
			{"gzip", "", "gzip"}, {"br", "", "br"}, {"gzip, br", "", "gzip"}, {"gzip;q=0, br;q=0.5", "", "br"},
			{"zstd", "", ""}, {"", "", ""}, {"identity", "gzip", ""}, {"identity", "br", ""}, {"gzip", "br", ""},
		} {
			resp, got := r.visitor(sanFrancisco).get("/?force="+tt.force, "Accept-Encoding", tt.accept)
			coding := resp.Header.Get("Content-Encoding")
			if coding != tt.want {
				t.Errorf("Accept-Encoding %q, origin's %q: got %q, want %q", tt.accept, tt.force, coding, tt.want)
			}
			if plain := decode(t, coding, got); plain != want {
				t.Errorf("Accept-Encoding %q, origin's %q: %d bytes, want %d", tt.accept, tt.force, len(plain), len(want))
			}
		}
		// A coding that the edge does not know passes.
		if _, got := r.visitor(sanFrancisco).get("/?force=zstd"); got != body {
			t.Error("a body in an unknown coding was touched")
		}
	}
}

// Large and chunked pages stream through, with the same edits.
func TestStreams(t *testing.T) {
	big := strings.Replace(page, "<p>the end", strings.Repeat("<p>more and more text\n", 50000)+"<p>the end", 1)
	for name, origin := range map[string]http.Handler{
		"large": html(big),
		"chunked": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			for i := 0; i < len(big); i += 1000 {
				io.WriteString(w, big[i:min(i+1000, len(big))])
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, origin)
			if _, body := r.visitor(berlin).get("/"); body != big+privacyLink {
				t.Errorf("%d bytes, want %d", len(body), len(big+privacyLink))
			}
			_, body := r.visitor(sanFrancisco).get("/")
			if cities(body) != fromSF || !strings.HasSuffix(body, big[len(big)-100:]+privacyLink) {
				t.Errorf("%d bytes, order %q", len(body), cities(body))
			}
		})
	}
}

// A visitor of HTTP/1.0 knows no chunks.
func TestHTTP10(t *testing.T) {
	big := page + strings.Repeat("<p>more\n", 100000)
	for _, body := range []string{page, big} {
		r := newRig(t, html(body))
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: shop.localhost\r\n\r\n")
		all, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		head, got, _ := strings.Cut(string(all), "\r\n\r\n")
		if strings.Contains(strings.ToLower(head), "chunked") || got != body+privacyLink {
			t.Errorf("%s\n%d bytes, want %d", head, len(got), len(body+privacyLink))
		}
	}
}

// The site's own cookies pass byte for byte, whatever they hold, with ours taken
// out from between them.
func TestCookiesPass(t *testing.T) {
	var got []string
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { got = req.Header["Cookie"] }))
	for sent, want := range map[string]string{
		`s={"k":1}; q="x y"; e=a\b; t=1`:                                  `s={"k":1}; q="x y"; e=a\b; t=1`,
		`bespoke-choice=abc; s={"k":1}; q="x y"; e=a\b; t=1`:              `s={"k":1}; q="x y"; e=a\b; t=1`,
		`s={"k":1}; bespoke-choice=abc; q="x y"; bespoke-preferences=d;t`: `s={"k":1}; q="x y";t`,
		`a=1;b=2; bespoke-choice=abc`:                                     `a=1;b=2`,
		`bespoke-choices=1; xbespoke-choice=2; a=bespoke-choice`:          `bespoke-choices=1; xbespoke-choice=2; a=bespoke-choice`,
		`bespoke-choice=abc`:                                              ``,
	} {
		req, _ := http.NewRequest("GET", r.url+"/", nil)
		req.Host = "shop.localhost"
		req.Header.Set("Cookie", sent)
		resp, err := r.visitor("").client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if strings.Join(got, "|") != want || want == "" && len(got) > 0 {
			t.Errorf("%s\nreached the origin as %q\nwant %q", sent, got, want)
		}
	}
}

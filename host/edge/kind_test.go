package edge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
)

const (
	feed = `<?xml version="1.0"?>
<rss version="2.0"><channel><title>News</title>
<item><title>One</title><pubDate>Mon, 05 Jan 2026 08:00:00 GMT</pubDate><link>http://a.example/</link></item>
<item><title>Two</title><PUBDATE>no date</PUBDATE></item>
</channel></rss>
`
	drawing = `<svg xmlns="http://www.w3.org/2000/svg"><text id="slogan">yours</text><image href="a.png"/></svg>`
	stores  = `{ "stores": [
  {"id": 1, "name": "Far", "at": {"lat": 52.52, "lon": 13.4}},
  {"id": 2, "name": "Near", "at": {"lat": 37.77, "lon": -122.4}}
], "n": 1.50e1 }
`
	nearestStore = `{ "stores": [
  {"id": 2, "name": "Near", "at": {"lat": 37.77, "lon": -122.4}}
], "n": 1.50e1 }
`
)

// Every kind of body, in every way in which it may come: what becomes of it is
// the same, and what is of no kind, or wrong, passes as it is.
func TestKinds(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 4<<20) + `"}`
	for name, tt := range map[string]struct {
		contentType, body string
		edits             []abi.Edit
		want              string
		logged            string
	}{
		"HTML": {"text/html; charset=utf-8", page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "a<b"}},
			strings.Replace(page, `"greeting">`, `"greeting">a&lt;b`, 1) + privacyLink, "applied=1"},
		"XHTML": {"application/xhtml+xml", `<html xmlns="http://www.w3.org/1999/xhtml"><body><p></p></body></html>`, []abi.Edit{{Op: abi.OpText, Target: "p", A: "é"}},
			`<html xmlns="http://www.w3.org/1999/xhtml"><body><p>é</p></body></html>`, "applied=1"},
		"RSS": {"application/rss+xml; charset=utf-8", feed, []abi.Edit{{Op: abi.OpText, Target: "pubDate", A: "now"}, {Op: abi.OpRemove, Target: "item:first-child"}},
			strings.Replace(feed, "Mon, 05 Jan 2026 08:00:00 GMT", "now", 1), "applied=1"},
		"XML": {"text/xml", feed, []abi.Edit{{Op: abi.OpKeep, Target: "channel", A: "first=1", B: "items=item"}},
			strings.Replace(feed, "\n<item><title>Two</title><PUBDATE>no date</PUBDATE></item>", "", 1), "applied=1"},
		"SVG": {"image/svg+xml", drawing, []abi.Edit{{Op: abi.OpText, Target: "#slogan", A: "mine & ours"}},
			strings.Replace(drawing, "yours", "mine &amp; ours", 1), "applied=1"},
		"JSON": {"application/json", stores, []abi.Edit{
			{Op: abi.OpOrder, Target: "/stores", A: "by=distance\nat=37.77,-122.4\nlat=/at/lat\nlon=/at/lon"},
			{Op: abi.OpKeep, Target: "/stores", A: "first=1"}}, nearestStore, "applied=2"},
		"+json":                {"application/vnd.api+json; charset=utf-8", `{"a":1}`, []abi.Edit{{Op: abi.OpText, Target: "/a", A: "<"}}, `{"a":"\u003c"}`, "applied=1"},
		"refused":              {"application/json", `{"a":1}`, []abi.Edit{{Op: abi.OpText, Target: "#a", A: "x"}, {Op: abi.OpAddClass, Target: "/a", A: "x"}}, `{"a":1}`, "edits=0"},
		"no JSON":              {"application/json", `{"a":1,}`, []abi.Edit{{Op: abi.OpText, Target: "/a", A: "x"}}, `{"a":1,}`, "stopped="},
		"no edits":             {"application/json", `{"a":1,}`, nil, `{"a":1,}`, "applied=0"},
		"too much JSON":        {"application/json", long, []abi.Edit{{Op: abi.OpText, Target: "/a", A: "x"}}, long, `untouched="too large"`},
		"plain text":           {"text/plain", page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}, page, ""},
		"UTF-16":               {"text/html; charset=utf-16", page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}, page, "untouched=charset"},
		"a label that is none": {"text/html; charset=none", page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}, page, "untouched=charset"},
		"ISO-2022-JP":          {"text/html; charset=iso-2022-jp", page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}, page, "untouched=charset"},
		"UTF-16, its mark":     {"text/html; charset=utf-8", "\xff\xfe" + page, []abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}, "\xff\xfe" + page, "untouched=charset"},
	} {
		t.Run(name, func(t *testing.T) {
			r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body := encode(t, req.URL.Query().Get("coding"), tt.body)
				w.Header().Set("Content-Type", tt.contentType)
				if c := req.URL.Query().Get("coding"); c != "" {
					w.Header().Set("Content-Encoding", c)
				}
				if req.URL.Query().Has("length") {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				io.WriteString(w, body[:len(body)/2])
				w.(http.Flusher).Flush()
				io.WriteString(w, body[len(body)/2:])
			}), emitter(tt.edits))
			for _, coding := range []string{"", "gzip", "br"} {
				for _, length := range []string{"", "&length"} {
					for _, takes := range []bool{true, false} {
						way := fmt.Sprintf("coding %q%s, taken %v", coding, length, takes)
						v := r.visitor(berlin)
						if takes {
							v.header.Set("Accept-Encoding", coding)
						}
						resp, body := v.get("/?coding=" + coding + length)
						if resp.Header.Get("Content-Encoding") != "" {
							body = decode(t, coding, body)
						} else if coding != "" && takes && tt.logged != "" {
							t.Errorf("%s: it came decoded", way)
						}
						if body != tt.want {
							t.Errorf("%s:\n%.1000s\nwant\n%.1000s", way, body, tt.want)
						}
						if private := resp.Header.Get("Cache-Control") == "private, no-store"; private != (tt.logged != "") {
							t.Errorf("%s: Cache-Control %q", way, resp.Header.Get("Cache-Control"))
						}
					}
				}
			}
			// HTTP/1.0 knows neither chunks nor codings, and its visitors do not get more than oldBody.
			if got := old(t, r, "/?coding="); got != tt.want && (len(tt.want) <= oldBody || !strings.HasPrefix(tt.want, got)) {
				t.Errorf("HTTP/1.0:\n%.1000s\nwant\n%.1000s", got, tt.want)
			}
			r.stop()
			if log := r.log.String(); !strings.Contains(log, tt.logged) {
				t.Errorf("no %s in the log\n%.2000s", tt.logged, log)
			}
		})
	}
}

// old returns the body that a visitor of HTTP/1.0 gets.
func old(t *testing.T, r *rig, target string) string {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: shop.localhost\r\n\r\n", target)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	return string(body)
}

// What is inserted is in the charset of the page, wherever that says it.
func TestCharsets(t *testing.T) {
	bare := strings.Replace(page, `<meta charset="utf-8">`, "", 1)
	for name, tt := range map[string]struct{ contentType, body, want string }{
		"UTF-8 in the header":        {"text/html; charset=utf-8", bare, "é→"},
		"UTF-8 in the page":          {"text/html", page, "é→"},
		"windows-1252 in the header": {"text/html; charset=windows-1252", bare, "\xe9&#8594;"},
		"the header wins":            {"text/html; charset=iso-8859-1", page, "\xe9&#8594;"},
		"windows-1252 in the page":   {"text/html", strings.Replace(page, "utf-8", "windows-1252", 1), "\xe9&#8594;"},
		"the mark wins":              {"text/html; charset=iso-8859-1", "\xef\xbb\xbf" + bare, "é→"},
		"nothing says":               {"text/html", bare, "&#233;&#8594;"},
		"too late":                   {"text/html", strings.Repeat(" ", 1024) + page, "&#233;&#8594;"},
		"XML, by default":            {"application/xml", `<a><p id="greeting"></p></a>`, "é→"},
		"XML, declared":              {"application/xml", `<?xml version="1.0" encoding="iso-8859-1"?><a><p id="greeting"></p></a>`, "&#233;&#8594;"},
	} {
		for _, length := range []bool{true, false} {
			r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				if length {
					w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
				}
				io.WriteString(w, tt.body[:20])
				w.(http.Flusher).Flush()
				io.WriteString(w, tt.body[20:])
			}), emitter([]abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "é→"}}))
			if _, body := r.visitor(berlin).get("/"); !strings.Contains(body, `id="greeting">`+tt.want+"</p>") {
				t.Errorf("%s, length told %v: no %q in\n%s", name, length, tt.want, body)
			}
		}
	}
}

// A page shows as it comes, once it is known in which charset it is.
func TestShowsAsItComes(t *testing.T) {
	for name, tt := range map[string]struct{ contentType, begin, link string }{
		"header": {"text/html; charset=utf-8", "<p>hello</p>", privacyLink},
		"page":   {"text/html", "<meta charset=utf-8><p>hello</p>", privacyLink},
		"long":   {"text/html", "<p>hello</p>" + strings.Repeat(" ", 1024), privacyLink},
		"XML":    {"text/xml; charset=utf-8", "<a><b>hello</b>", ""},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan bool)
			r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				io.WriteString(w, tt.begin)
				w.(http.Flusher).Flush()
				select {
				case <-seen:
				case <-time.After(10 * time.Second):
				}
				io.WriteString(w, "<p>the end</p>")
			}), emitter([]abi.Edit{{Op: abi.OpText, Target: "#greeting", A: "x"}}))
			req, _ := http.NewRequest("GET", "http://shop.localhost/", nil)
			begin := time.Now()
			resp, err := r.visitor(berlin).client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b := make([]byte, len(tt.begin))
			if _, err := io.ReadFull(resp.Body, b); err != nil || time.Since(begin) > 5*time.Second {
				t.Fatalf("%v after %v: %q", err, time.Since(begin), b)
			}
			close(seen)
			if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "<p>the end</p>"+tt.link {
				t.Errorf("%v, %q", err, rest)
			}
		})
	}
}

// What a page's own policy guards is told apart from what is never changed.
func TestContentSecurityPolicy(t *testing.T) {
	const hashed = "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
	for _, csp := range [][]string{nil, {"default-src 'self'"}, {hashed}, {"default-src 'self'", hashed}, {"default-src 'self', " + hashed}} {
		r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header()["Content-Security-Policy"] = csp
			io.WriteString(w, "<style>p { color: red }</style><p id=greeting></p>")
		}), emitter([]abi.Edit{{Op: abi.OpText, Target: "style", A: "p {}"}, {Op: abi.OpText, Target: "#greeting", A: "x"}}))
		if _, got := r.visitor(berlin).get("/"); got != "<style>p { color: red }</style><p id=greeting>x</p>"+privacyLink {
			t.Errorf("%q: %s", csp, got)
		}
		r.stop()
		want := "0: the element's content is not markup"
		if strings.Contains(fmt.Sprint(csp), "sha256") {
			want = "0: a hash or the integrity attribute covers what it would change"
		}
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("%q: no %s in\n%s", csp, want, r.log)
		}
	}
}

// Markup needs the right to it.
func TestMarkupNeedsTheRight(t *testing.T) {
	edits := []abi.Edit{{Op: abi.OpHTML, Target: "#greeting", A: "<b>1</b>"}}
	for op := abi.OpBefore; op <= abi.OpReplace; op++ {
		edits = append(edits, abi.Edit{Op: op, Target: "h1", A: fmt.Sprintf("<i>%d</i>", op), B: "html"})
	}
	edits = append(edits, abi.Edit{Op: abi.OpAppend, Target: "#greeting", A: "<u>"})
	body := "<h1>title</h1><p id=greeting></p>"
	for _, rights := range [][]string{nil, {abi.RightHTML}} {
		r := withPolicy(t, html(body), emitter(edits, rights...))
		want := "<h1>title</h1><p id=greeting>&lt;u&gt;</p>"
		if rights != nil {
			want = "<i>7</i><i>11</i><i>8</i><p id=greeting><b>1</b></p>"
		}
		if _, got := r.visitor(berlin).get("/"); got != want+privacyLink {
			t.Errorf("rights %v: %s\nwant %s", rights, got, want)
		}
	}
}

// Policies read values of JSON and of XML.
func TestReadsOfKinds(t *testing.T) {
	for name, tt := range map[string]struct {
		contentType, body string
		reads             [][2]string // key, value
	}{
		"JSON": {"application/json", stores, [][2]string{
			{"page./stores/*/name", "Far\nNear"}, {"page./stores/1/id", "2"}, {"page./n", "1.50e1"},
			{"page./none", "absent"}, {"page.stores", "absent"}, {"page.*", "absent"},
		}},
		"XML": {"application/rss+xml", feed, [][2]string{
			{"page.item > title", "One\nTwo"}, {"page.pubDate", "Mon, 05 Jan 2026 08:00:00 GMT"}, {"page.PUBDATE", "no date"},
			{"page.pubdate", "absent"}, {"page.rss@version", "2.0"}, {"page./channel", "absent"},
		}},
	} {
		var keys, want []string
		for _, read := range tt.reads {
			keys = append(keys, read[0])
			want = append(want, strings.Split(read[1], "\n")...)
		}
		r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", tt.contentType)
			io.WriteString(w, tt.body)
		}), reader(keys))
		if _, body := r.visitor(berlin).get("/"); body != tt.body {
			t.Errorf("%s: body %q", name, body)
		}
		r.stop()
		var got []string
		for line := range strings.Lines(r.log.String()) {
			if _, value, ok := strings.Cut(line, " line="); ok {
				got = append(got, strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: read %q\nwant %q", name, got, want)
		}
	}
}

// A dry exchange is of the type that it says.
func TestDryKinds(t *testing.T) {
	r := withPolicy(t, html(page), emitter([]abi.Edit{{Op: abi.OpText, Target: "/a", A: "x"}, {Op: abi.OpText, Target: "a", A: "y"}}))
	for contentType, want := range map[string]string{
		"application/json": `{"a":"x"}`, "text/xml": `{"a":1}`, "text/plain": `{"a":1}`, "": `{"a":1}` + privacyLink,
	} {
		got, err := r.edge.Dry(DryInput{Host: "shop.localhost", Page: []byte(`{"a":1}`), ContentType: contentType})
		if err != nil || string(got.Body) != want {
			t.Errorf("%q: %v, %s, want %s", contentType, err, got.Body, want)
		}
	}
}

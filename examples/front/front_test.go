package front

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// edge answers as the edge would, as far as the front can tell: it repeats what came.
func edge(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_bespoke/api/choice" {
		w.Header().Set("Content-Type", "application/json")
		chosen := "null"
		if _, err := r.Cookie("bespoke-choice"); err == nil {
			chosen = `"2026-05-03T00:00:00Z"`
		}
		io.WriteString(w, `{"purposes":{"localize":{"granted":true},"measure":{"granted":false}},"chosen_at":`+chosen+`}`)
		return
	}
	if r.Method == http.MethodPost {
		http.SetCookie(w, &http.Cookie{Name: "bespoke-choice", Value: r.PostFormValue("action"), Path: "/", HttpOnly: true})
	}
	c, _ := r.Cookie("bespoke-choice")
	if c == nil {
		c = &http.Cookie{}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!DOCTYPE html><title>x</title><BODY class=a><p>from="+r.Header.Get("X-Forwarded-For")+" gpc="+r.Header.Get("Sec-GPC")+" choice="+c.Value+"</p>")
}

type browser struct {
	*testing.T
	client *http.Client
	url    string
}

func newBrowser(t *testing.T) *browser {
	origin := httptest.NewServer(http.HandlerFunc(edge))
	t.Cleanup(origin.Close)
	f := httptest.NewServer(New(Config{Edge: strings.TrimPrefix(origin.URL, "http://"), Sites: []Site{{"stores", "Meridian <&>", "Cafés."}},
		Places: []Place{{"Berlin", "192.0.2.1"}, {"Tokyo", "203.0.113.1"}}}))
	t.Cleanup(f.Close)
	return &browser{t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, f.URL}
}

func (b *browser) do(method, path, body string, headers ...string) (*http.Response, string) {
	b.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Host = "stores.localhost:80"
	req.Header.Set("Sec-Fetch-Dest", "document")
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return res, string(all)
}

func (b *browser) set(visitor, place, gpc string) {
	b.Helper()
	res, _ := b.do("POST", pathSet, url.Values{"visitor": {visitor}, "place": {place}, "gpc": {gpc}, "back": {"/x?y=1"}}.Encode())
	if res.StatusCode != 303 || res.Header.Get("Location") != "/x?y=1" {
		b.Fatalf("%s to %q", res.Status, res.Header.Get("Location"))
	}
}

func TestBar(t *testing.T) {
	b := newBrowser(t)
	see := func(want string) {
		t.Helper()
		if _, page := b.do("GET", "/x?y=1", ""); !strings.Contains(page, want) {
			t.Errorf("want %s in\n%s", want, page)
		}
	}
	see("<BODY class=a><link rel=\"stylesheet\" href=\"/_demo/demo.css\">")
	see("from= gpc= choice=")
	see("By default: localize")
	b.set("this browser", "Tokyo", "on")
	see("from=203.0.113.1 gpc=1")
	b.set("visitor 1", "Berlin", "")
	see("from= gpc= choice=<")
	if res, _ := b.do("POST", "/_bespoke/privacy", "action=allow-all"); len(res.Cookies()) > 0 {
		t.Error("the browser got the cookie of a visitor whom the bar plays")
	}
	see("choice=allow-all")
	see("Chose: localize")
	b.set("visitor 2", "Berlin", "")
	see("choice=<")
	b.set("visitor 1", "Berlin", "")
	see("choice=allow-all")
	b.do("POST", pathSet, "visitor=visitor+1&forget=on")
	see("choice=<")
}

// What a program asks is as if the front were not there.
func TestPrograms(t *testing.T) {
	b := newBrowser(t)
	b.set("visitor 1", "Tokyo", "on")
	_, page := b.do("GET", "/", "", "Sec-Fetch-Dest", "", "X-Forwarded-For", "192.0.2.7", "Cookie", "bespoke-choice=mine")
	if want := "<!DOCTYPE html><title>x</title><BODY class=a><p>from=192.0.2.7 gpc= choice=mine</p>"; page != want {
		t.Errorf("have %s\nwant %s", page, want)
	}
}

func TestStart(t *testing.T) {
	b := newBrowser(t)
	_, page := b.do("GET", "/_demo/", "")
	if !strings.Contains(page, `href="http://stores.localhost:80/"`) || !strings.Contains(page, "Meridian &lt;&amp;&gt;") {
		t.Errorf("the start page:\n%s", page)
	}
	for path, want := range map[string]int{pathStyle: 200, "/_demo/set": 403} {
		if res, _ := b.do("GET", path, ""); res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	for _, back := range []string{"//elsewhere.example/", `/\elsewhere.example`, "http://elsewhere.example/", ""} {
		res, _ := b.do("POST", pathSet, url.Values{"back": {back}}.Encode())
		if res.Header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", back, res.Header.Get("Location"))
		}
	}
	if res, _ := b.do("POST", pathSet, "gpc=on", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("another site sets the bar: %s", res.Status)
	}
}

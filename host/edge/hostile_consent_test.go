package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// Whatever is wrong with the cookie of a choice, it counts as a refusal: here of a
// visitor in San Francisco, where silence would not.
func TestHostileChoiceCookies(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(sanFrancisco)
	allowed := strings.TrimPrefix(r.sealed(r.allows(abi.Localize, abi.Personalize), nil), "bespoke-choice=")
	refusal := strings.TrimPrefix(r.sealed(&consent.Choice{At: r.clock.now(), Epoch: 2}, nil), "bespoke-choice=")
	seal := func(b profile.Binding, plain []byte) string { return r.edge.sealer.Seal(plain, b) }
	mine := profile.Binding{Use: "choice", Tenant: "shop", Host: "shop.localhost"}
	all := (&consent.Choice{Granted: consent.All, At: r.clock.now(), Epoch: 1}).Encode()
	other, err := profile.NewSealer(profile.Key{9})
	if err != nil {
		t.Fatal(err)
	}
	if _, body := v.get("/", "Cookie", "bespoke-choice="+allowed); cities(body) != fromSF {
		t.Fatalf("a good cookie does not count: %s", cities(body))
	}
	lines := map[string][]string{
		"forged":              {"bespoke-choice=" + other.Seal(all, mine)},
		"of another host":     {"bespoke-choice=" + seal(profile.Binding{Use: "choice", Tenant: "shop", Host: "shop.example"}, all)},
		"of another tenant":   {"bespoke-choice=" + seal(profile.Binding{Use: "choice", Tenant: "shoe", Host: "shop.localhost"}, all)},
		"of another use":      {"bespoke-choice=" + seal(profile.Binding{Use: "preferences", Tenant: "shop", Host: "shop.localhost"}, all)},
		"of a future version": {"bespoke-choice=" + seal(mine, append([]byte{77}, all[1:]...))},
		"longer":              {"bespoke-choice=" + seal(mine, append(slices.Clone(all), 0))},
		"empty plain":         {"bespoke-choice=" + seal(mine, nil)},
		"unknown purposes":    {"bespoke-choice=" + seal(mine, append([]byte{all[0], 0xff}, all[2:]...))},
		"from the future":     {"bespoke-choice=" + seal(mine, (&consent.Choice{Granted: consent.All, At: r.clock.now().Add(48 * time.Hour), Epoch: 1}).Encode())},
		"stale":               {"bespoke-choice=" + seal(mine, (&consent.Choice{Granted: consent.All, At: r.clock.now().Add(-366 * 24 * time.Hour), Epoch: 1}).Encode())},
		"padded":              {"bespoke-choice=" + allowed + "=="},
		"quoted":              {`bespoke-choice="` + allowed + `"`},
		"in standard base64":  {"bespoke-choice=" + strings.NewReplacer("-", "+", "_", "/").Replace(allowed) + "+/"},
		"no value":            {"bespoke-choice"},
		"oversized":           {"bespoke-choice=" + strings.Repeat("A", 8000)},
		"doubled":             {"bespoke-choice=" + allowed + "; bespoke-choice=" + allowed},
		"doubled, two lines":  {"bespoke-choice=" + allowed, "a=1; bespoke-choice=" + allowed},
		// The older one may not revive what was withdrawn, wherever it stands.
		"refusal, then an older yes":   {"bespoke-choice=" + refusal + "; bespoke-choice=" + allowed},
		"an older yes, then refusal":   {"bespoke-choice=" + allowed + "; bespoke-choice=" + refusal},
		"refusal after an empty line":  {"", "bespoke-choice=" + refusal},
		"refusal between blank pairs":  {" ; ;\t; bespoke-choice = " + refusal + " ;; =x;"},
		"refusal, and 300 of the site": {strings.Repeat("c=1; ", 300) + "bespoke-choice=" + refusal},
	}
	for n := 0; n < len(allowed); n += 5 {
		lines[fmt.Sprintf("cut at %d", n)] = []string{"bespoke-choice=" + allowed[:n]}
		changed := []byte(allowed)
		changed[n] ^= 1
		lines[fmt.Sprintf("changed at %d", n)] = []string{"bespoke-choice=" + string(changed)}
	}
	for name, cookies := range lines {
		var header []string
		for _, c := range cookies {
			header = append(header, "Cookie", c)
		}
		resp, body := v.get("/", header...)
		if body != page+privacyLink {
			t.Errorf("%s: the place is used:\n%s", name, body)
		}
		if c := resp.Cookies(); len(c) > 0 && name != "stale" { // which is kept for another while, and not relied on
			t.Errorf("%s: a page sets %v", name, c)
		}
	}
}

// What cannot be read of preferences is as if it were not there; it takes nothing else down.
func TestHostilePreferenceCookies(t *testing.T) {
	r := newRig(t, html(page))
	good := strings.TrimPrefix(r.sealed(nil, &profile.Preferences{Name: "Jane"}), "bespoke-preferences=")
	mine := profile.Binding{Use: "preferences", Tenant: "shop", Host: "shop.localhost"}
	seal := func(plain []byte) string { return r.edge.sealer.Seal(plain, mine) }
	if _, body := r.visitor(berlin).get("/", "Cookie", "bespoke-preferences="+good); !strings.Contains(body, "Welcome back, Jane") {
		t.Fatal("a good cookie does not count")
	}
	lines := map[string]string{
		"doubled": "bespoke-preferences=" + good + "; bespoke-preferences=" + good, "no value": "bespoke-preferences", "empty": "bespoke-preferences=",
		"oversized": "bespoke-preferences=" + strings.Repeat("A", 8000), "of the choice": "bespoke-preferences=" + strings.TrimPrefix(r.sealed(r.allows(), nil), "bespoke-choice="),
		"noise": "bespoke-preferences=" + seal([]byte("noise\x00\xff")), "one that nothing may hold": "bespoke-preferences=" + seal(make([]byte, 2500)),
	}
	for n := 0; n < len(good); n += 3 {
		lines[fmt.Sprintf("cut at %d", n)] = "bespoke-preferences=" + good[:n]
	}
	for name, cookie := range lines {
		if resp, body := r.visitor(berlin).get("/", "Cookie", cookie); resp.StatusCode != 200 || body != page+privacyLink {
			t.Errorf("%s: %d\n%s", name, resp.StatusCode, body)
		}
		if resp, _ := r.visitor(berlin).get("/_bespoke/privacy", "Cookie", cookie); resp.StatusCode != 200 {
			t.Errorf("%s: the privacy centre answers %d", name, resp.StatusCode)
		}
	}
}

// A problem is an error of the API (RFC 9457, 3.1).
type problem struct {
	Title, Detail string
	Status        int
}

// refusedClearly checks an answer that refused: its status, words, nothing stored.
func refusedClearly(t *testing.T, what string, resp *http.Response, body string, status int, api bool) {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("%s: %d, want %d: %.200s", what, resp.StatusCode, status, body)
	}
	if c := resp.Header["Set-Cookie"]; len(c) > 0 {
		t.Errorf("%s: sets %q", what, c)
	}
	if !api {
		if len(body) < 10 || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no clear words: %v %q", what, resp.Header, body)
		}
		return
	}
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" ||
		p.Status != status || p.Title != http.StatusText(status) || p.Detail == "" {
		t.Errorf("%s: no problem of RFC 9457: %v %.300s", what, resp.Header, body)
	}
}

// writes are all the ways to change something for a visitor.
var writes = []struct{ method, path, kind, body string }{
	{"POST", "/_bespoke/privacy", formType, "action=allow-all"},
	{"POST", "/_bespoke/privacy", formType, "action=erase"},
	{"POST", "/_bespoke/privacy", formType, "action=place-exact&lat=1&lon=1"},
	{"POST", "/_bespoke/privacy", formType, "name=Mallory"},
	{"PUT", "/_bespoke/api/choice", "application/json", `{"personalize":true}`},
	{"PATCH", "/_bespoke/api/choice", "application/json", `{"localize":true}`},
	{"PUT", "/_bespoke/api/preferences", "application/json", `{"name":"Mallory"}`},
	{"PATCH", "/_bespoke/api/preferences", "application/json", `{"name":"Mallory"}`},
	{"DELETE", "/_bespoke/api/preferences", "", ""},
	{"PUT", "/_bespoke/api/place", "application/json", `{"mode":"chosen","name":"Nowhere"}`},
	{"DELETE", "/_bespoke/api/place", "", ""},
	{"DELETE", "/_bespoke/api/profile", "", ""},
}

// No other site changes anything, by whatever it can make a browser send.
func TestForeignSitesChangeNothing(t *testing.T) {
	r := newRig(t, html(page))
	foreign := [][]string{
		{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Origin", "http://shop.localhost.evil.example"}, {"Origin", "http://evil.shop.localhost"},
		{"Origin", "http://shop.localhost:81"}, {"Origin", "http://shop.localhost@evil.example"}, {"Origin", "shop.localhost"}, {"Origin", "%"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "anything"}, {"Sec-Fetch-Site", "cross-site", "Origin", "http://shop.localhost"},
		{"Sec-Fetch-Site", "cross-site", "Referer", "http://shop.localhost/"}, {"Referer", "http://evil.example/shop.localhost"}, {"Referer", "http://evil.example/?http://shop.localhost/"},
		{"Origin", "null", "Referer", "http://shop.localhost/"}, {"Origin", "http://evil.example", "Referer", "http://shop.localhost/"},
		{"X-Forwarded-Proto", "https", "Origin", "http://shop.localhost"}, // who can write into http writes there
	}
	own := [][]string{{"Origin", "http://shop.localhost"}, {"Sec-Fetch-Site", "same-origin"}, {"Referer", "http://shop.localhost/x"}, nil, {"X-Forwarded-Proto", "https", "Origin", "https://shop.localhost"}}
	v := r.visitor(sanFrancisco)
	v.choose("action=refuse-all&name=Jane")
	jar := v.client.Jar.Cookies(jarURL())
	for _, w := range writes {
		api := strings.HasPrefix(w.path, "/_bespoke/api/")
		for _, from := range foreign {
			header := from
			if w.kind != "" {
				header = append([]string{"Content-Type", w.kind}, from...)
			}
			resp, body := v.do(w.method, w.path, strings.NewReader(w.body), header...)
			refusedClearly(t, fmt.Sprintf("%s %s from %q", w.method, w.path, from), resp, body, 403, api)
		}
		for _, from := range own {
			header := from
			if w.kind != "" {
				header = append([]string{"Content-Type", w.kind}, from...)
			}
			if resp, body := r.visitor(sanFrancisco).do(w.method, w.path, strings.NewReader(w.body), header...); resp.StatusCode == 403 {
				t.Errorf("%s %s from the site itself, %q: %s", w.method, w.path, from, body)
			}
		}
	}
	// A form of another site cannot be JSON, and is none whatever it is called.
	for _, kind := range []string{formType, "text/plain", "multipart/form-data; boundary=x", "", "application/jsonp", "text/plain;application/json"} {
		resp, body := v.do("PUT", "/_bespoke/api/choice", strings.NewReader(`{"personalize":true}`), "Content-Type", kind)
		refusedClearly(t, "as "+kind, resp, body, 415, true)
	}
	for _, method := range []string{"POST", "DELETE", "OPTIONS"} {
		resp, _ := v.do(method, "/_bespoke/api/choice", nil)
		if resp.StatusCode != 405 || resp.Header.Get("Access-Control-Allow-Origin") != "" || len(resp.Cookies()) > 0 {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
	if after := v.client.Jar.Cookies(jarURL()); fmt.Sprint(after) != fmt.Sprint(jar) {
		t.Error("the visitor's cookies changed")
	}
	if _, body := v.get("/"); cities(body) != originOrder || !strings.Contains(body, "Welcome back, Jane") {
		t.Errorf("something changed:\n%s", body)
	}
}

// Too much, and what is of the wrong kind, is refused as a whole.
func TestOversizedAndMalformedPreferences(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(berlin)
	v.choose("action=refuse-all&name=Jane")
	const mega = 1 << 20
	huge := strings.Repeat("a", mega)
	type row struct {
		method, path, kind, body string
		status                   int
	}
	const centre, prefs, place = "/_bespoke/privacy", "/_bespoke/api/preferences", "/_bespoke/api/place"
	rows := []row{
		{"POST", centre, formType, "name=" + huge, 413},
		{"POST", centre, formType, strings.Repeat("muted=x&", mega/8), 413},
		{"PUT", prefs, "application/json", `{"name":"` + huge + `"}`, 413},
		{"PATCH", prefs, "application/json", `{"muted":["` + huge + `"]}`, 413},
		{"PUT", place, "application/json", `{"mode":"chosen","name":"` + huge + `"}`, 413},
		{"PUT", prefs, "application/json", strings.Repeat("[", 16000), 400},
		{"PUT", prefs, "application/json", `{"filters":` + strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000) + `}`, 400},
		{"PUT", prefs, "application/json", `{"name":"` + strings.Repeat("ä", 61) + `"}`, 400},
		{"PUT", prefs, "application/json", `{"muted":[` + strings.Repeat(`"x",`, 40) + `"y"],"filters":{` + manyFilters(17) + `}}`, 400},
		{"PUT", prefs, "application/json", `{"muted":[` + manyTopics(32) + `],"filters":{` + manyFilters(16) + `}}`, 400}, // each in order, together too much
		{"PUT", prefs, "application/json", `{"name":"a","name":"b"}`, 400},
		{"PUT", prefs, "application/json", `{"name":"a"} {"name":"b"}`, 400},
		{"PUT", prefs, "application/json", `{"name":1}`, 400},
		{"PUT", prefs, "application/json", `{"name":"\u0000"}`, 400},
		{"PUT", prefs, "application/json", `{"name":"\u202egnp"}`, 400},
		{"PUT", prefs, "application/json", `{"theme":"<script>"}`, 400},
		{"PUT", prefs, "application/json", `{"contact":"hourly"}`, 400},
		{"PUT", prefs, "application/json", `{"page-size":-1}`, 400},
		{"PUT", prefs, "application/json", `{"page-size":1e99}`, 400},
		{"PUT", prefs, "application/json", `{"__proto__":{}}`, 400},
		{"PUT", prefs, "application/json", `null`, 400},
		{"PUT", prefs, "application/json", ``, 400},
		{"PUT", place, "application/json", `{"mode":"exact","lat":52,"lon":13}`, 403},
		{"PUT", place, "application/json", `{"mode":"chosen","lat":1e999,"lon":0}`, 400},
		{"PUT", place, "application/json", `{"mode":"chosen","lat":91,"lon":0}`, 400},
		{"PUT", place, "application/json", `{"mode":"chosen","lat":1}`, 400},
		{"PUT", place, "application/json", `{"mode":"elsewhere"}`, 400},
		{"POST", centre, formType, "theme=" + url.QueryEscape("<script>"), 400},
		{"POST", centre, formType, "page-size=99999999999999999999", 400},
		{"POST", centre, formType, "place-mode=exact", 400},
		{"POST", centre, formType, "place-mode=chosen&place=91,0", 400},
		{"POST", centre, formType, "filters=" + url.QueryEscape(strings.Repeat("a: b\n", 2)), 400},
		{"POST", centre, formType, "name=%ff", 400},
		{"POST", centre, formType, "name=a;name=b", 400},
	}
	for _, w := range rows {
		resp, body := v.do(w.method, w.path, strings.NewReader(w.body), "Content-Type", w.kind)
		refusedClearly(t, fmt.Sprintf("%s %s %.60s", w.method, w.path, w.body), resp, body, w.status, w.path != centre)
	}
	// Of a length that is not announced.
	resp, body := v.do("PUT", prefs, struct{ *strings.Reader }{strings.NewReader(`{"name":"` + huge + `"}`)}, "Content-Type", "application/json")
	refusedClearly(t, "in chunks", resp, body, 413, true)
	// The edge answers and hangs up before it has read all that, so that the
	// answer may be lost where the client is still writing.
	req, _ := http.NewRequest("GET", "http://shop.localhost/", nil)
	req.Header.Set("Cookie", "a="+huge)
	if resp, err := v.client.Do(req); err == nil {
		if resp.Body.Close(); resp.StatusCode != 431 {
			t.Errorf("1 MB of cookies: %d", resp.StatusCode)
		}
	} else if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("1 MB of cookies: %v", err)
	}
	if _, body := v.get(prefs); strings.TrimSpace(body) != "{\n  \"name\": \"Jane\"\n}" {
		t.Errorf("something was stored: %s", body)
	}
	// A refusal never depends on the rest of the form.
	resp, _ = v.do("POST", centre, strings.NewReader("action=refuse-all&theme=pink"), "Content-Type", formType)
	if c := resp.Cookies(); resp.StatusCode != 400 || len(c) != 1 || c[0].Name != "bespoke-choice" {
		t.Errorf("a refusal with a bad theme: %d, %v", resp.StatusCode, c)
	}
}

func manyFilters(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"filter-of-the-name-%d":"%s"`, i, strings.Repeat("v", 38)))
	}
	return strings.Join(all, ",")
}

func manyTopics(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"%s%d"`, strings.Repeat("topic", 7), i))
	}
	return strings.Join(all, ",")
}

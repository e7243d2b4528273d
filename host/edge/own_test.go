package edge

import (
	"strings"
	"testing"

	"bespoke/host/control"
)

// privacyLink is what English pages end with.
const privacyLink = `<p class="bespoke-privacy"><a href="` + control.PathPrivacy + `">Privacy choices</a></p>`

// asks returns what pages end with where the visitor is to be asked.
func asks(path string) string {
	p, err := control.NewPrivacy()
	if err != nil {
		panic(err)
	}
	return string(p.Notice("en", path))
}

// Who is to be asked is asked at the end of the page that they open, and only there.
func TestNotice(t *testing.T) {
	r := newRig(t, html(page))
	document := []string{"Sec-Fetch-Dest", "document"}
	v := r.visitor(berlin)
	if _, body := v.get("/a%20b?x=%22&y=<", document...); body != page+asks("/a%20b?x=%22&y=<") && body != page+asks("/a%20b?x=%22&y=%3C") {
		t.Errorf("not asked:\n%s", body)
	}
	for what, header := range map[string][]string{
		"a program": nil, "a frame": {"Sec-Fetch-Dest", "iframe"}, "GPC": append([]string{"Sec-GPC", "1"}, document...),
	} {
		if _, body := v.get("/", header...); body != page+privacyLink {
			t.Errorf("%s: asked:\n%s", what, body)
		}
	}
	if _, body := r.visitor(sanFrancisco).get("/", document...); strings.Contains(body, "bespoke-notice") {
		t.Error("asked where nobody has to be")
	}
	if _, body := v.get("/", append([]string{"Accept-Language", "ja, en;q=0.5"}, document...)...); !strings.Contains(body, `lang="ja"`) {
		t.Errorf("not in Japanese:\n%s", body)
	}
	resp, _ := v.do("POST", "/_bespoke/privacy", strings.NewReader("action=refuse-all&return=%2Fshop%3Fq%3D1"), "Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/shop?q=1" {
		t.Errorf("refusing leads to %d %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, body := v.get("/", document...); body != page+privacyLink {
		t.Errorf("asked again after a refusal:\n%s", body)
	}
}

// Choices and preferences through the JSON API and the files that go with the centre.
func TestOwnPages(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(berlin)
	if resp, _ := v.get("/_bespoke/privacy/receipt"); resp.StatusCode != 404 {
		t.Errorf("a receipt of no choice: %d", resp.StatusCode)
	}
	resp, body := v.do("PATCH", "/_bespoke/api/choice", strings.NewReader(`{"localize":true}`), "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin")
	if resp.StatusCode != 200 {
		t.Fatalf("choose: %d %s", resp.StatusCode, body)
	}
	if _, body := v.get("/"); cities(body) != fromBerlin {
		t.Error("what was granted through the API does not hold")
	}
	v.do("PATCH", "/_bespoke/api/preferences", strings.NewReader(`{"name":"Jane","theme":"dark"}`), "Content-Type", "application/json")
	if _, body := v.get("/"); !strings.Contains(body, "Welcome back, Jane") {
		t.Error("what was preferred through the API does not hold")
	}
	resp, body = v.get("/_bespoke/privacy/receipt")
	if resp.StatusCode != 200 || !strings.Contains(body, `"privacy_notice": "http://shop.localhost/_bespoke/privacy"`) ||
		!strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("receipt: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	for path, caching := range map[string]string{
		"/_bespoke/privacy": "no-store", "/_bespoke/privacy/download": "no-store", "/_bespoke/api/profile": "no-store",
		"/_bespoke/privacy.css": "public, max-age=3600", "/_bespoke/notice.css": "public, max-age=3600", "/_bespoke/bespoke.js": "public, max-age=3600",
	} {
		if resp, _ := v.get(path); resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != caching {
			t.Errorf("%s: %d, %q", path, resp.StatusCode, resp.Header.Get("Cache-Control"))
		}
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}, {"Referer", "https://evil.example/x"}} {
		resp, body := v.do("DELETE", "/_bespoke/api/profile", nil, header...)
		if resp.StatusCode != 403 || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %d %s", header, resp.StatusCode, body)
		}
	}
	v.do("DELETE", "/_bespoke/api/profile", nil, "Referer", "http://shop.localhost/x")
	if _, body := v.get("/"); body != page+privacyLink {
		t.Errorf("after erasing all:\n%s", body)
	}
}

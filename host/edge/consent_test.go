package edge

import (
	"net/http"
	"strings"
	"testing"
)

// The promise in one piece: place only as granted, the name always, and a
// refusal on the next request.
func TestVisitorDecides(t *testing.T) {
	r := newRig(t, html(page))
	t.Run("opt-out regime, nothing chosen", func(t *testing.T) {
		_, body := r.visitor(sanFrancisco).get("/")
		if got := cities(body); got != fromSF {
			t.Errorf("order %q, want %q", got, fromSF)
		}
		if !strings.Contains(body, "San Francisco <span class=\"distance\">") || !strings.Contains(body, " km</span>") {
			t.Errorf("no distances in\n%s", body)
		}
	})
	t.Run("opt-in regime, nothing chosen", func(t *testing.T) {
		_, body := r.visitor(berlin).get("/")
		if body != page+privacyLink {
			t.Errorf("not the origin's bytes and the link:\n%s", body)
		}
	})
	t.Run("unknown place", func(t *testing.T) {
		_, body := r.visitor(nowhere).get("/")
		if body != page+privacyLink {
			t.Errorf("not the origin's bytes and the link:\n%s", body)
		}
	})
	t.Run("allow, name, refuse", func(t *testing.T) {
		v := r.visitor(berlin)
		v.choose("localize=on")
		if _, body := v.get("/"); cities(body) != fromBerlin {
			t.Errorf("after allowing: %q, want %q", cities(body), fromBerlin)
		}
		v.choose("name=Jane")
		_, body := v.get("/")
		if cities(body) != fromBerlin || !strings.Contains(body, `<p id="greeting">Welcome back, Jane</p>`) {
			t.Errorf("after the name:\n%s", body)
		}
		v.choose("action=refuse-all")
		_, body = v.get("/")
		if got := cities(body); got != originOrder || strings.Contains(body, " km") {
			t.Errorf("after refusing: %q, want %q\n%s", got, originOrder, body)
		}
		if !strings.Contains(body, "Welcome back, Jane") {
			t.Error("refusing inference took what the visitor chose")
		}
		v.choose("name=")
		if _, body = v.get("/"); body != page+privacyLink {
			t.Errorf("after erasing the name:\n%s", body)
		}
	})
	t.Run("refuse in an opt-out regime", func(t *testing.T) {
		v := r.visitor(sanFrancisco)
		v.choose("action=refuse-all")
		if _, body := v.get("/"); body != page+privacyLink {
			t.Errorf("not the origin's bytes and the link:\n%s", body)
		}
	})
	t.Run("GPC", func(t *testing.T) {
		v := r.visitor(sanFrancisco)
		v.choose("name=Jane")
		_, body := v.get("/", "Sec-GPC", "1")
		if cities(body) != originOrder || strings.Contains(body, " km") {
			t.Errorf("inferred data used in the face of GPC:\n%s", body)
		}
		if !strings.Contains(body, "Welcome back, Jane") {
			t.Error("the greeting is gone")
		}
		if _, body = v.get("/", "Sec-GPC", "0"); cities(body) != fromSF {
			t.Error("Sec-GPC: 0 counts as the signal")
		}
		// Not the first line: any line that is exactly "1".
		if _, body = v.get("/", "Sec-GPC", "0", "Sec-GPC", "1"); cities(body) != originOrder {
			t.Error("the second line of Sec-GPC was not seen")
		}
	})
	t.Run("a choice in the face of GPC", func(t *testing.T) {
		v := r.visitor(sanFrancisco, "Sec-GPC", "1")
		v.choose("action=allow-all")
		if _, body := v.get("/"); cities(body) != fromSF {
			t.Error("the later, explicit choice does not count")
		}
	})
}

// What a visitor without the grant gets does not depend on where they are.
func TestSameAnswerForAllWhoRefused(t *testing.T) {
	r := newRig(t, html(page))
	var first string
	for _, from := range []string{berlin, sanFrancisco, "203.0.113.9", "2001:db8::9", nowhere, "garbage"} {
		v := r.visitor(from)
		v.choose("action=refuse-all")
		resp, body := v.get("/")
		resp.Header.Del("Date")
		all := resp.Status + body
		for _, k := range []string{"Content-Type", "Cache-Control", "Content-Length", "Set-Cookie", "Etag"} {
			all += k + resp.Header.Get(k)
		}
		if first == "" {
			first = all
		}
		if all != first {
			t.Errorf("from %s:\n%s\nwant\n%s", from, all, first)
		}
	}
}

// Whatever is wrong with the choice's cookie, it counts as a refusal.
func TestUnreadableChoice(t *testing.T) {
	r := newRig(t, html(page))
	for name, cookie := range map[string]string{
		"garbage":   "bespoke-choice=xyz",
		"empty":     "bespoke-choice=",
		"two":       "bespoke-choice=a; bespoke-choice=b",
		"oversized": "bespoke-choice=" + strings.Repeat("A", 5000),
	} {
		if _, body := r.visitor(sanFrancisco).get("/", "Cookie", cookie); body != page+privacyLink {
			t.Errorf("%s: place used:\n%s", name, body)
		}
	}
	// A good one, doubled by somebody else's.
	v := r.visitor(sanFrancisco)
	v.choose("action=allow-all")
	good := v.client.Jar.Cookies(jarURL())[0]
	for name, cookie := range map[string]string{
		"before":           "bespoke-choice=evil; bespoke-choice=" + good.Value,
		"after":            "bespoke-choice=" + good.Value + "; bespoke-choice=evil",
		"another's":        "bespoke-choice=" + good.Value[:len(good.Value)-2],
		"as another's use": "bespoke-preferences=" + good.Value + "; bespoke-choice=" + good.Value + "x",
	} {
		if _, body := r.visitor(sanFrancisco).get("/", "Cookie", cookie); body != page+privacyLink {
			t.Errorf("%s: place used:\n%s", name, body)
		}
	}
}

func TestCookies(t *testing.T) {
	r := newRig(t, html(page))
	form := "action=allow-all&name=Jane"
	post := func(host string, header ...string) []*http.Cookie {
		t.Helper()
		req, _ := http.NewRequest("POST", r.url+"/_bespoke/privacy", strings.NewReader(form))
		req.Host = host
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		v := r.visitor("")
		resp, err := v.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.Cookies()
	}
	check := func(cs []*http.Cookie, prefix string, secure bool) {
		t.Helper()
		if len(cs) != 2 {
			t.Fatalf("%d cookies, want 2: %v", len(cs), cs)
		}
		for _, c := range cs {
			if !strings.HasPrefix(c.Name, prefix) || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %v", c)
			}
			if strings.Contains(c.Value, "Jane") {
				t.Errorf("the cookie is not sealed: %v", c)
			}
		}
	}
	check(post("shop.localhost"), "bespoke-", false)
	check(post("shop.localhost", "X-Forwarded-Proto", "https"), "__Host-bespoke-", true)
	check(post("shop.example"), "__Host-bespoke-", true)
}

// The origin is not sent what is between the visitor and the edge.
func TestOwnCookiesStayHere(t *testing.T) {
	var got string
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { got = req.Header.Get("Cookie") }))
	v := r.visitor(berlin)
	v.choose("action=allow-all&name=Jane")
	v.get("/", "Cookie", "session=abc")
	if got != "session=abc" {
		t.Errorf("the origin got Cookie: %q", got)
	}
}

func TestForeignOriginCannotChoose(t *testing.T) {
	r := newRig(t, html(page))
	for _, h := range [][]string{
		{"Origin", "http://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://shop.localhost.evil.example"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "cross-site", "Origin", "http://shop.localhost"},
	} {
		v := r.visitor(berlin)
		resp, _ := v.do("POST", "/_bespoke/privacy", strings.NewReader("action=allow-all"), append(h, "Content-Type", "application/x-www-form-urlencoded")...)
		if resp.StatusCode != 403 || len(resp.Cookies()) > 0 {
			t.Errorf("%v: %d, %v", h, resp.StatusCode, resp.Cookies())
		}
	}
	for _, h := range [][]string{
		{"Origin", "http://shop.localhost"},
		{"Sec-Fetch-Site", "same-origin", "Origin", "http://shop.localhost"},
	} {
		resp, _ := r.visitor(berlin).do("POST", "/_bespoke/privacy", strings.NewReader("action=allow-all"), append(h, "Content-Type", "application/x-www-form-urlencoded")...)
		if resp.StatusCode != 303 {
			t.Errorf("%v: %d", h, resp.StatusCode)
		}
	}
}

func TestBadForms(t *testing.T) {
	r := newRig(t, html(page))
	const urlencoded = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		body, ct string
		status   int
	}{
		{"", urlencoded, 400},
		{"action=allow-everything", urlencoded, 400},
		{"localize=perhaps", urlencoded, 400},
		{"%zz=1", urlencoded, 400},
		{"name=%ff", urlencoded, 400},
		{"name=" + strings.Repeat("a", 100), urlencoded, 400},
		{"name=" + strings.Repeat("a", 20000), urlencoded, 413},
		{`{"action":"allow-all"}`, "application/json", 415},
		{"action=allow-all", "", 415},
	} {
		resp, body := r.visitor(berlin).do("POST", "/_bespoke/privacy", strings.NewReader(tt.body), "Content-Type", tt.ct)
		if resp.StatusCode != tt.status || len(resp.Cookies()) > 0 {
			t.Errorf("%.40q as %q: %d %v, want %d and no cookie: %.80s", tt.body, tt.ct, resp.StatusCode, resp.Cookies(), tt.status, body)
		}
	}
}

// A name is text, wherever it shows up.
func TestHostileName(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(berlin)
	v.choose("name=%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%26")
	const want = `Welcome back, &lt;script&gt;alert(1)&lt;/script&gt;"'&amp;`
	if _, body := v.get("/"); !strings.Contains(body, want) || strings.Contains(body, "<script") {
		t.Errorf("not escaped:\n%s", body)
	}
	if _, body := v.get("/_bespoke/privacy"); strings.Contains(body, "<script>") {
		t.Errorf("not escaped in the privacy centre:\n%s", body)
	}
}

func TestStatement(t *testing.T) {
	r := newRig(t, html(page))
	resp, body := r.visitor(berlin).get("/.well-known/gpc.json")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(body, `{"gpc":true,`) {
		t.Errorf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}

// The log says what was decided and done, and nothing about whom it was for.
func TestNothingPersonalInLogs(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(berlin, "User-Agent", "ua-needle")
	v.choose("action=allow-all&name=Needleworth")
	v.get("/path-needle?q=query-needle", "Cookie", "id=cookie-needle")
	v.get("/", "Sec-GPC", "1")
	for _, needle := range []string{"Needleworth", "needle", berlin, "Berlin", "bespoke-choice"} {
		if strings.Contains(r.log.String(), needle) {
			t.Errorf("%q is in the log:\n%s", needle, r.log)
		}
	}
	if !strings.Contains(r.log.String(), "localize=\"granted by choice\"") {
		t.Errorf("the record lacks the decision:\n%s", r.log)
	}
}

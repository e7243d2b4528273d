package edge

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

var document = []string{"Sec-Fetch-Dest", "document"}

// asked reports whether a page asks.
func asked(body string) bool { return strings.Contains(body, "bespoke-notice") }

// A site may ask where the rules of the place would not, and says that it is it who asks.
func TestStricterRegime(t *testing.T) {
	r := newRig(t, html(page), ofTenant("consent: {regime: opt-in}"))
	v := r.visitor(sanFrancisco)
	if _, body := v.get("/", document...); granted(body) || !asked(body) {
		t.Errorf("not asked first:\n%s", body)
	}
	if _, body := v.get("/_bespoke/privacy"); !strings.Contains(body, "This site asks everybody") || strings.Contains(body, "rule for your region") {
		t.Errorf("the centre gives another reason:\n%s", body)
	}
	if _, body := r.visitor(berlin).get("/_bespoke/privacy"); strings.Contains(body, "This site asks everybody") {
		t.Error("where the place's rules ask, the site takes the credit")
	}
	v.choose("localize=on")
	if _, body := v.get("/", document...); !granted(body) || asked(body) {
		t.Error("what was allowed does not hold")
	}
}

// The other things that the block says reach the decision and the pages.
func TestConsentBlock(t *testing.T) {
	r := newRig(t, html(page), ofTenant(`consent: {dnt: honour, cookies: {usprivacy: us, tcf: tc}, brand: {accent: "#0b5cad", title: Your data}}`))
	us := func(header ...string) bool {
		_, body := r.visitor(sanFrancisco).get("/", header...)
		return granted(body)
	}
	if !us() || us("DNT", "1") || us("Cookie", "tc=garbage") || !us("Cookie", "euconsent-v2=garbage") {
		t.Errorf("nothing %v, DNT %v, tc %v, euconsent-v2 %v", us(), us("DNT", "1"), us("Cookie", "tc=garbage"), us("Cookie", "euconsent-v2=garbage"))
	}
	v := r.visitor(berlin)
	if _, body := v.get("/_bespoke/privacy"); !strings.Contains(body, "<h1>Your data</h1>") {
		t.Errorf("not the brand's title:\n%s", body)
	}
	if _, css := v.get("/_bespoke/privacy.css"); !strings.Contains(css, "--accent: #0b5cad") {
		t.Error("not the brand's colour")
	}
}

// A brand that nobody could read is refused with its place in the file.
func TestBadBrand(t *testing.T) {
	for brand, want := range map[string]string{
		`{accent: "#ffffff"}`:         "brand: accent: #ffffff on #f6f5f1 has a contrast of",
		`{accent: blue}`:              "brand: accent: a colour is written as",
		`{logo: "//evil.example/x"}`:  "brand: logo: found",
		`{title: {tlh: nuqneH}}`:      "brand: title: there is no language",
		`{intro: {en: "a", xx: "b"}}`: "brand: intro: there is no language",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "bespoke.yaml")
		text := "state: " + cache() + "\ntenants:\n  - name: shop\n    hosts: [shop.example]\n    origin: http://127.0.0.1:1\n    consent:\n      brand: " + brand + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load(context.Background(), file, nil)
		var wrong config.Errors
		if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), file+":7:14: "+want) {
			t.Errorf("%s: %v", brand, err)
		}
		site, err := config.Parse(file, []byte(text), Unchecked{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newSnapshot(site, nil, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "tenant shop, "+want) {
			t.Errorf("%s, not loaded: %v", brand, err)
		}
	}
}

// sent returns a choice's cookie as it was issued some time ago.
func (r *rig) sent(c *consent.Choice, issued time.Time) string {
	k := keptChoice{choice: c, issued: issued}
	return "bespoke-choice=" + r.edge.sealer.Seal(k.encode(), profile.Binding{Use: string(useChoice), Tenant: "shop", Host: "shop.localhost"})
}

const day = 24 * time.Hour

// Browsers drop every cookie after 400 days (RFC 6265bis, 5.5). A refusal is
// renewed before; what grants something is not, as it could come after a
// withdrawal that is under way.
func TestRenewal(t *testing.T) {
	r := newRig(t, html(page))
	some := consent.Set(0).With(abi.Localize)
	for _, tt := range []struct {
		name        string
		granted     consent.Set
		age, issued time.Duration
		renewed     bool
	}{
		{"a refusal of today", 0, 0, 0, false},
		{"of 29 days", 0, 29 * day, 29 * day, false},
		{"of 31 days", 0, 31 * day, 31 * day, true},
		{"of 300 days, renewed yesterday", 0, 300 * day, day, false},
		{"of 399 days", 0, 399 * day, 399 * day, true},
		{"of 3 years, renewed 40 days ago", 0, 3 * 365 * day, 40 * day, true},
		{"a mixed one of 300 days", some, 300 * day, 300 * day, false},
		{"a mixed one of 370 days", some, 370 * day, 370 * day, true},
		{"all allowed, of 100 days", consent.All, 100 * day, 100 * day, false},
	} {
		now := time.Now()
		c := &consent.Choice{Granted: tt.granted, At: now.Add(-tt.age).UTC().Truncate(time.Second), Epoch: 7}
		resp, body := r.visitor(berlin).get("/", append([]string{"Cookie", r.sent(c, now.Add(-tt.issued))}, document...)...)
		cs := resp.Cookies()
		if tt.renewed != (len(cs) == 1) {
			t.Errorf("%s: cookies %v", tt.name, cs)
			continue
		}
		if tt.granted == 0 && (granted(body) || asked(body) != (tt.age > consent.ChoiceLife)) {
			t.Errorf("%s: asked %v, place used %v", tt.name, asked(body), granted(body))
		}
		if len(cs) == 0 {
			continue
		}
		k := r.opened(t, cs[0])
		if *k.choice != *c || now.Sub(k.issued).Abs() > time.Minute || cs[0].MaxAge != 400*24*3600 {
			t.Errorf("%s: renewed as %+v %v %d, want %+v", tt.name, k.choice, k.issued, cs[0].MaxAge, c)
		}
		if resp.Header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s: an answer with the cookie may be stored: %v", tt.name, resp.Header)
		}
	}
}

func (r *rig) opened(t *testing.T, c *http.Cookie) (k keptChoice) {
	t.Helper()
	plain, err := r.edge.sealer.Open([]byte(c.Value), profile.Binding{Use: string(useChoice), Tenant: "shop", Host: "shop.localhost"})
	if err == nil {
		err = k.parse(plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A refusal holds for as long as its visitor comes back now and then: eight
// years, a visit every eleven months, with the browser's own rule on cookies.
func TestRefusalOutlivesItsCookie(t *testing.T) {
	r := newRig(t, html(page))
	v := r.visitor(sanFrancisco)
	resp, _ := v.do("POST", "/_bespoke/privacy", strings.NewReader("action=refuse-all"), "Content-Type", "application/x-www-form-urlencoded")
	cookie, kept := resp.Cookies()[0], r.clock.now()
	for range 9 {
		r.clock.advance(330 * day)
		if r.clock.now().Sub(kept) > min(time.Duration(cookie.MaxAge)*time.Second, 400*day) {
			t.Fatal("the browser has dropped it")
		}
		resp, body := r.visitor(sanFrancisco).get("/", "Cookie", cookie.Name+"="+cookie.Value)
		if granted(body) {
			t.Fatalf("forgotten after %v", r.clock.now())
		}
		for _, c := range resp.Cookies() {
			cookie, kept = c, r.clock.now()
		}
	}
}

// Asked again: when the text changes, or after 12 months; after a refusal for
// no change of the text, and not sooner than 12 months.
func TestAskedAgain(t *testing.T) {
	r := newRig(t, html(page), ofTenant("consent: {text_version: 2}"))
	for _, tt := range []struct {
		name    string
		granted consent.Set
		text    uint16
		age     time.Duration
		ask     bool
	}{
		{"allowed today", consent.All, 2, 0, false},
		{"allowed to an older text", consent.All, 1, day, true},
		{"allowed 364 days ago", consent.All, 2, 364 * day, false},
		{"allowed 366 days ago", consent.All, 2, 366 * day, true},
		{"refused to an older text", 0, 1, day, false},
		{"refused 364 days ago, an older text", 0, 1, 364 * day, false},
		{"refused 366 days ago", 0, 2, 366 * day, true},
	} {
		c := &consent.Choice{Granted: tt.granted, At: time.Now().Add(-tt.age).UTC().Truncate(time.Second), Epoch: 1, TextVersion: tt.text}
		_, body := r.visitor(berlin).get("/", append([]string{"Cookie", r.sent(c, time.Now())}, document...)...)
		if asked(body) != tt.ask {
			t.Errorf("%s: asked %v, want %v", tt.name, asked(body), tt.ask)
		}
		if relied := tt.granted != 0 && !tt.ask; granted(body) != relied {
			t.Errorf("%s: place used %v, want %v", tt.name, granted(body), relied)
		}
	}
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	if k := r.opened(t, v.cookie("bespoke-choice")); k.choice.TextVersion != 2 || k.choice.Epoch != 1 {
		t.Errorf("chosen: %+v", k.choice)
	}
	if _, body := v.get("/_bespoke/privacy/receipt"); !strings.Contains(body, `"privacy_notice_version": 2`) {
		t.Errorf("the receipt has another text: %s", body)
	}
}

// The cookies of a build before this one are read, and mean what they meant.
func TestEarlierChoiceCookie(t *testing.T) {
	r := newRig(t, html(page))
	for _, plain := range [][]byte{
		(&consent.Choice{Granted: consent.All, At: time.Now()}).Encode(),
		append([]byte{1, byte(consent.All), 0, 0, 0, 0, 0}, 0x69, 0x60, 0, 0), // version 1, of 2026-01-08
	} {
		token := r.edge.sealer.Seal(plain, profile.Binding{Use: "choice", Tenant: "shop", Host: "shop.localhost"})
		if _, body := r.visitor(berlin).get("/", "Cookie", "bespoke-choice="+token); !granted(body) {
			t.Errorf("%x does not count", plain)
		}
	}
	for name, plain := range map[string][]byte{
		"cut short":      (&keptChoice{choice: &consent.Choice{Granted: consent.All, At: time.Now()}, issued: time.Now()}).encode()[:30],
		"the head alone": (&keptChoice{choice: &consent.Choice{Granted: consent.All, At: time.Now()}, issued: time.Now()}).encode()[:choiceCookieHead],
		"empty":          {},
	} {
		token := r.edge.sealer.Seal(plain, profile.Binding{Use: "choice", Tenant: "shop", Host: "shop.localhost"})
		if _, body := r.visitor(sanFrancisco).get("/", "Cookie", "bespoke-choice="+token); granted(body) {
			t.Errorf("%s: place used", name)
		}
	}
}

// Open and seal of what a request and its answer may have: under 5 µs.
func BenchmarkCookies(b *testing.B) {
	sealer, err := profile.NewSealer(profile.Key{1})
	if err != nil {
		b.Fatal(err)
	}
	bind := profile.Binding{Use: "choice", Tenant: "shop", Host: "shop.localhost"}
	k := keptChoice{choice: &consent.Choice{Granted: consent.All, At: time.Now(), Epoch: 3}, issued: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		token := sealer.Seal(k.encode(), bind)
		plain, err := sealer.Open([]byte(token), bind)
		if err != nil {
			b.Fatal(err)
		}
		var back keptChoice
		if err := back.parse(plain); err != nil {
			b.Fatal(err)
		}
	}
}

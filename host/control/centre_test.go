package control

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

func newCentre(t testing.TB) *Privacy {
	t.Helper()
	p, err := NewPrivacy()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var someday = time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)

// visit is that of somebody in an opt-in place, after the signals were decided.
func visit(s consent.Signals) Visit {
	s.Jurisdiction = consent.Jurisdiction{ID: "DE", OptIn: true}
	s.Now = someday.Add(time.Hour)
	return Visit{Site: "Shop", Origin: "https://shop.example", Decision: consent.Decide(s), Choice: s.Choice, Used: consent.All, Now: s.Now}
}

func post(form string) Request {
	return Request{Method: "POST", Path: PathPrivacy, ContentType: "application/x-www-form-urlencoded", Body: []byte(form)}
}

func TestTextsAgree(t *testing.T) {
	all, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for r := range 14 {
		used["why."+consent.Rule(r).String()] = true
	}
	for key := range used {
		if all["en"].of[key] == "" {
			t.Errorf("no text %s", key)
		}
	}
	for _, tt := range []struct{ data, err string }{
		{"a = b\nc", "2: found"}, {"a = b\na = c", "2: a is there twice"}, {"a = ", "expected key"}, {" = b", "expected key"},
	} {
		if _, err := parseTexts("xx", tt.data); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want %q", tt.data, err, tt.err)
		}
	}
	first := &texts{"en", map[string]string{"a": "x {day}", "b": "y"}}
	for want, of := range map[string]map[string]string{
		"a is missing": {"b": "y"}, "placeholders": {"a": "x", "b": "y"}, "c is not": {"a": "{day}", "b": "y", "c": "z"},
	} {
		if err := (&texts{"de", of}).matches(first); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", of, err, want)
		}
	}
}

// Every text of every language shows somewhere, and no page shows a key or an
// unfilled placeholder.
func TestEveryTextShows(t *testing.T) {
	p := newCentre(t)
	unseen := map[string]map[string]bool{}
	for lang, x := range p.texts {
		unseen[lang] = map[string]bool{}
		for key := range x.of {
			unseen[lang][key] = true
		}
		for _, key := range []string{"language", "date"} { // parts of others
			delete(unseen[lang], key)
		}
	}
	unescape := strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">")
	see := func(lang, page string) {
		page = unescape.Replace(page)
		if m := placeholder.FindString(page); m != "" {
			t.Errorf("%s: a page shows %s", lang, m)
		}
		for key := range unseen[lang] {
			pieces := placeholder.Split(p.texts[lang].of[key], -1)
			found := true
			for _, piece := range pieces {
				found = found && strings.Contains(page, piece)
			}
			if found {
				delete(unseen[lang], key)
			}
		}
	}
	for lang := range p.texts {
		show := func(query string, v Visit) {
			a := p.Answer(Request{Method: "GET", Path: PathPrivacy, Query: query, AcceptLanguage: lang}, v)
			if a.Status != 200 || a.Language != lang {
				t.Fatalf("%s: %d %s %s", lang, a.Status, a.Language, a.Body)
			}
			see(lang, string(a.Body))
		}
		all := &consent.Choice{Granted: consent.All, At: someday}
		none := &consent.Choice{At: someday}
		old := &consent.Choice{Granted: consent.All, At: someday.AddDate(-2, 0, 0)}
		for _, s := range []consent.Signals{
			{}, {Choice: all}, {Choice: none}, {Choice: old}, {Choice: all, TextVersion: 2}, {ChoiceUnreadable: true}, {SubjectUnknown: true}, {NoRecord: true},
			{GPC: true}, {DNT: true, HonorDNT: true}, {TCF: []byte("x"), TCFCount: 1}, {USPrivacy: []byte("1YYN"), USPrivacyCount: 1},
		} {
			show("", visit(s))
		}
		v := visit(consent.Signals{Choice: all})
		v.Preferences = profile.Preferences{Name: "J", Place: profile.Place{Mode: profile.PlaceExact, Located: true}}
		v.Used, v.Why = 0, []string{"because"}
		v.Inferred, v.Catalogue, v.Hidden = followed(t), shelf{}, hidingItems(t, 7)
		v.Decision.Jurisdiction.ID = "unknown"
		for _, saved := range []string{"choice", "preferences", "erased"} {
			show("saved="+saved, v)
		}
		for _, s := range []string{"unknown", "DE"} {
			u := visit(consent.Signals{})
			u.Decision.Jurisdiction.ID = s
			show("saved=choice", u)
			u.SiteAsks = true
			show("", u)
		}
		for _, d := range []Devices{AllDevices, NotYetAllDevices} {
			v.Devices = d
			show("saved=choice", v)
		}
		v.Devices = ThisDevice
		for m := range 12 {
			c := *none
			c.At = time.Date(2026, time.Month(m+1), 1, 0, 0, 0, 0, time.UTC)
			u := visit(consent.Signals{Choice: &c})
			show("", u)
		}
		see(lang, string(p.Answer(Request{Method: "GET", Path: PathErase, AcceptLanguage: lang}, v).Body))
		for _, form := range []string{
			"name=%00", "theme=x", "page-size=x", "sort=%00", "filters=x", "muted=%00", "contact=x", "place-mode=chosen&place=91,0",
			"filters=" + url.QueryEscape(strings.Repeat("\n", 3)+many(16)), "action=place-exact&lat=x",
		} {
			r := post(form)
			r.AcceptLanguage = lang
			a := p.Answer(r, v)
			if a.Status != 400 || a.Preferences != nil || a.Choice != nil {
				t.Errorf("%s: %.30s: %d, %v", lang, form, a.Status, a.Preferences)
			}
			see(lang, string(a.Body))
		}
		for _, r := range string(p.Notice(lang, "/")) + string(p.Link(lang)) {
			if r >= 0x80 {
				t.Errorf("%s: %c in the notice is not ASCII", lang, r)
			}
		}
		for _, key := range []string{"link", "notice.title", "notice.text", "notice.allow", "notice.refuse", "notice.choose"} {
			if strings.Contains(string(p.Notice(lang, "/"))+string(p.Link(lang)), ascii(p.texts[lang].of[key])) {
				delete(unseen[lang], key)
			}
		}
		for key := range unseen[lang] {
			// Only strings of other tools with a good form lead to these.
			if key == "why.stale-string" || key == "why.string" || key == "why.string-refusal" {
				continue
			}
			t.Errorf("%s: %s shows nowhere", lang, key)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%c%s: %s\n", 'a'+i, strings.Repeat("n", 39), strings.Repeat("v", 40))
	}
	return b.String()
}

func TestLanguage(t *testing.T) {
	for accept, want := range map[string]string{
		"": "en", "*": "en", "de": "de", "de-AT, en;q=0.5": "de", "en;q=0.5, ja": "ja", "EN-us": "en", "sv, fr;q=0.3": "fr",
		"pt-BR;q=0.9, es;q=0.95": "es", "de;q=0, fr;q=0.1": "fr", "de;q=x, fr": "fr", "de;q=NaN,fr;q=2": "en", ",,;;q=": "en",
		strings.Repeat("xx,", 40) + "de": "en", "zh-Hant; q=1, ja ;q=0.8": "ja",
	} {
		if got := Language(accept); got != want {
			t.Errorf("%.40q: %s, want %s", accept, got, want)
		}
	}
}

func TestWhatSettledIt(t *testing.T) {
	p := newCentre(t)
	why := func(s consent.Signals, lang string, purpose abi.Purpose) string {
		return p.view(Request{AcceptLanguage: lang}, visit(s)).Purposes[purpose].Why
	}
	c := &consent.Choice{Granted: consent.Set(0).With(abi.Localize), At: someday}
	for i, tt := range []struct{ got, want string }{
		{why(consent.Signals{Choice: c}, "en", abi.Localize), "Your choice on 3 May 2026."},
		{why(consent.Signals{Choice: c}, "de", abi.Measure), "Ihre Wahl vom 3. Mai 2026."},
		{why(consent.Signals{Choice: c}, "ja", abi.Measure), "2026年5月3日のあなたの選択。"},
		{why(consent.Signals{GPC: true}, "en", abi.Advertise), "Your browser’s Global Privacy Control signal."},
		{why(consent.Signals{}, "en", abi.Measure), "The rule for your region (DE). You have not chosen yet."},
		{why(consent.Signals{TCF: []byte("?"), TCFCount: 1}, "en", abi.Personalize), "The choice that this site’s consent tool (TCF) keeps cannot be read."},
	} {
		if tt.got != tt.want {
			t.Errorf("%d: %q, want %q", i, tt.got, tt.want)
		}
	}
}

func TestForms(t *testing.T) {
	p := newCentre(t)
	exact := profile.Preferences{Place: profile.Place{Mode: profile.PlaceExact, Located: true, Lat: 1, Lon: 2}}
	located := &consent.Choice{Granted: consent.All, At: someday, Epoch: 6}
	tests := []struct {
		form, location string
		granted        int // -1: no choice
		prefs          string
	}{
		{"action=allow-all", PathPrivacy + "?saved=choice", 31, ""},
		{"action=refuse-all&localize=on", PathPrivacy + "?saved=choice", 0, "empty"},
		{"action=save&localize=on&locate=on", PathPrivacy + "?saved=choice", 3, ""},
		{"action=save&localize=on&back=%2Fx%3Fy", PathPrivacy + "?back=%2Fx%3Fy&saved=choice", 1, "empty"},
		{"action=allow-all&return=%2Fa%3Fb%3Dc", "/a?b=c", 31, ""},
		{"action=choose&return=%2Fa%3Fb%3Dc", PathPrivacy + "?back=%2Fa%3Fb%3Dc", -1, ""},
		{"action=keep", PathPrivacy, -1, ""},
		{"action=erase", PathPrivacy + "?saved=erased", 0, "empty"},
		{"action=place-exact&lat=53.07931&lon=8.8", PathPrivacy + "?saved=choice", 31, `{"place":{"mode":"exact","lat":53.0793,"lon":8.8}}`},
		{"action=prefer&name=+Jane+&theme=dark&page-size=20&sort=price&filters=a%3A+1%0D%0Ab%3D2%0D%0A&muted=x%0D%0A%0D%0Ay&contact=weekly&place-mode=chosen&place=Bremen",
			PathPrivacy + "?saved=preferences", -1,
			`{"name":"Jane","theme":"dark","page-size":20,"sort":"price","filters":{"a":"1","b":"2"},"muted":["x","y"],"contact":"weekly","place":{"mode":"chosen","name":"Bremen"}}`},
		{"name=Jane", PathPrivacy + "?saved=preferences", -1, `{"name":"Jane","place":{"mode":"exact","lat":1,"lon":2}}`},
		{"name=Jane&action=refuse-all", PathPrivacy + "?saved=choice", 0, `{"name":"Jane"}`},
		{"place-mode=automatic", PathPrivacy + "?saved=preferences", -1, "empty"},
		{"action=prefer&name=Jane&return=%2Fa%3Fb%3Dc", "/a?b=c", -1, `{"name":"Jane","place":{"mode":"exact","lat":1,"lon":2}}`},
		{"action=prefer&name=Jane&return=%2F%2Fevil.example", PathPrivacy + "?saved=preferences", -1, `{"name":"Jane","place":{"mode":"exact","lat":1,"lon":2}}`},
		{"place-mode=automatic&filters=a%3A+1%0Ab%3A+2&filter.b=3&filter.c=x&filter.c=&filter.c=y&filter.a=", PathPrivacy + "?saved=preferences", -1, `{"filters":{"b":"3","c":"x,y"}}`},
		{"place-mode=automatic&muted=x%0Ay&mute=z&mute=&unmute=x", PathPrivacy + "?saved=preferences", -1, `{"muted":["y","z"]}`},
		{"filter.a=1", PathPrivacy + "?saved=preferences", -1, `{"filters":{"a":"1"},"place":{"mode":"exact","lat":1,"lon":2}}`},
	}
	for _, tt := range tests {
		v := visit(consent.Signals{Choice: located})
		v.Preferences, v.TextVersion = exact, 7
		a := p.Answer(post(tt.form), v)
		if a.Status != 303 || a.Location != tt.location {
			t.Errorf("%s: %d to %s, want %s: %s", tt.form, a.Status, a.Location, tt.location, a.Body)
		}
		if (a.Choice != nil) != (tt.granted >= 0) || a.Choice != nil && (a.Choice.Granted != consent.Set(tt.granted) || a.Choice.Epoch != 7 || a.Choice.TextVersion != 7) {
			t.Errorf("%s: choice %+v, want %d", tt.form, a.Choice, tt.granted)
		}
		switch {
		case tt.prefs == "" && a.Preferences != nil, tt.prefs != "" && a.Preferences == nil:
			t.Errorf("%s: preferences %+v, want %s", tt.form, a.Preferences, tt.prefs)
		case tt.prefs == "empty" && !a.Preferences.Empty():
			t.Errorf("%s: preferences %+v are left", tt.form, a.Preferences)
		case tt.prefs != "" && tt.prefs != "empty":
			if got, _ := json.Marshal(preferencesOut(a.Preferences)); string(got) != tt.prefs {
				t.Errorf("%s: %s, want %s", tt.form, got, tt.prefs)
			}
		}
		if a.EraseAll != (tt.form == "action=erase") {
			t.Errorf("%s: EraseAll = %v", tt.form, a.EraseAll)
		}
	}
}

func TestLocalPath(t *testing.T) {
	p := newCentre(t)
	for _, s := range []string{"/", "/a", "/a?b=c&d=%22", "/a//b", "/%E3%81%82", "/a?u=https://x.example/"} {
		if localPath(s) != s {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{
		"", "a", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "/\t/evil.example", "/\n/evil", " //evil", "javascript:alert(1)",
		"/a\\b", "/\x00", "/é", "/a b", "/%zz", "/%2f/evil.example/%2f..", "/" + strings.Repeat("a", 1024), "/%2Fevil.example",
	} {
		if got := localPath(s); got != "" {
			t.Errorf("%q is taken as %q", s, got)
		}
		for _, form := range []string{"action=allow-all&return=", "action=choose&return=", "action=allow-all&back="} {
			a := p.Answer(post(form+url.QueryEscape(s)), visit(consent.Signals{}))
			if l := a.Location; !strings.HasPrefix(l, "/") || len(l) > 1 && (l[1] == '/' || l[1] == '\\') || strings.ContainsAny(l, "\t\n\\") {
				t.Errorf("%q leads to %q", s, l)
			}
		}
	}
}

// What is typed shows as text, wherever it shows.
func TestHostileText(t *testing.T) {
	p := newCentre(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	v := visit(consent.Signals{Choice: &consent.Choice{At: someday}})
	v.Site, v.Why = evil, []string{evil}
	v.Preferences = profile.Preferences{
		Name: evil, Sort: evil[:30], Filters: []profile.Filter{{Name: evil[:20], Value: evil[:40]}}, Muted: []string{evil[:40]},
		Place: profile.Place{Mode: profile.PlaceChosen, Name: evil},
	}
	v.Attribution = evil
	v.Brand = &Brand{Title: map[string]string{"": evil}, Intro: map[string]string{"": evil}}
	bare := p.Answer(Request{Method: "GET", Path: PathPrivacy}, visit(consent.Signals{}))
	elements := regexp.MustCompile(`<(script|img|svg|iframe|object)[ >]`)
	want := len(elements.FindAll(bare.Body, -1))
	forms := url.Values{"action": {"prefer"}}
	for _, name := range preferenceFields {
		forms.Set(name, evil+evil)
	}
	for what, r := range map[string]Request{
		"page": {Method: "GET", Path: PathPrivacy, Query: "back=" + url.QueryEscape(evil) + "&saved=" + url.QueryEscape(evil)}, "form": post(forms.Encode()),
	} {
		a := p.Answer(r, v)
		if got := len(elements.FindAll(a.Body, -1)); got != want || want != 1 || strings.Contains(string(a.Body), "<script>") {
			t.Errorf("%s: %d elements that could run something, want %d\n%s", what, got, want, a.Body)
		}
	}
	if n := string(p.Notice("en", "/?"+evil)); strings.Contains(n, "<script") {
		t.Errorf("notice: %s", n)
	}
}

func TestNoticeIsSmall(t *testing.T) {
	p := newCentre(t)
	for lang := range p.texts {
		n := len(p.Notice(lang, "/"+strings.Repeat("a", 511))) + len(p.Link(lang))
		if n > 3<<10 {
			t.Errorf("%s: %d bytes, at most %d", lang, n, 3<<10)
		}
		if long := string(p.Notice(lang, "/"+strings.Repeat("a", 512))); !strings.Contains(long, `value="/"`) {
			t.Errorf("%s: a long path is kept", lang)
		}
	}
	if b, err := os.ReadFile("script/bespoke.js"); err != nil || len(b) > 2<<10 {
		t.Errorf("bespoke.js: %d bytes, at most %d, %v", len(b), 2<<10, err)
	}
}

func TestBrand(t *testing.T) {
	for _, b := range []Brand{{}, {Accent: "#14506e", AccentDark: "#8cc8e6", Logo: "/logo.svg", Title: map[string]string{"de": "Hallo"}}} {
		if err := b.Check(); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
	for want, b := range map[string]Brand{
		"contrast of 2": {Accent: "#ff6600"}, "#rrggbb": {Accent: "red;}"}, "accent_dark": {AccentDark: "#14506e"},
		"path on the site": {Logo: "https://cdn.example/x.svg"}, "no language": {Title: map[string]string{"xx": "a"}}, "1 to 1000": {Intro: map[string]string{"": " "}},
	} {
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", b, err, want)
		}
	}
	if c := contrast("#000000", "#ffffff"); c < 20.99 || c > 21.01 { // WCAG 2.2, contrast ratio
		t.Errorf("black on white: %v", c)
	}
	if c := contrast("#767676", "#ffffff"); c < 4.54 || c > 4.55 {
		t.Errorf("#767676 on white: %v", c)
	}
	for n := range 256 { // whatever the accent, its text can be read
		a := fmt.Sprintf("#%02x%02x%02x", n, 255-n, n*7%256)
		if contrast(a, onAccent(a)) < minContrast {
			t.Errorf("%s on %s: %.2f", onAccent(a), a, contrast(a, onAccent(a)))
		}
	}
	v := visit(consent.Signals{})
	v.Brand = &Brand{Accent: "#5b2a86"}
	for _, path := range []string{PathStyle, PathNotice} {
		if a := newCentre(t).Answer(Request{Method: "GET", Path: path}, v); !a.Static || !strings.Contains(string(a.Body), "--accent: #5b2a86") {
			t.Errorf("%s lacks the brand's colour", path)
		}
	}
}

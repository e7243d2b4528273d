package control

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"bespoke/host/consent"
	"bespoke/host/control/browsertest"
	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// A site answers one visitor, with the centre and a page that asks, as the edge
// does; what the edge keeps in cookies it keeps in fields.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	choice *consent.Choice
	prefs  profile.Preferences
	gpc    bool
}

func newSite(t *testing.T) *site {
	p, s := newCentre(t), &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		v := visit(consent.Signals{Choice: s.choice, GPC: s.gpc})
		v.Site, v.Preferences = "Stores", s.prefs
		v.Used = consent.All &^ consent.Set(0).With(abi.Measure)
		if s.prefs.Name != "" {
			v.Why = []string{"Shops are ordered by distance from Bremen, the place that you wrote."}
		}
		accept := r.Header.Get("Accept-Language")
		if !strings.HasPrefix(r.URL.Path, Prefix) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			io.WriteString(w, "<!DOCTYPE html><html lang=en><meta name=viewport content='width=device-width'><title>Stores</title><main><h1>Stores</h1>"+
				strings.Repeat("<p>One of <a href=/shop>our shops</a>, and what it has.</p>", 60)+"</main>")
			if v.Decision.Ask {
				w.Write(p.Notice(Language(accept), r.URL.RequestURI()))
			} else {
				w.Write(p.Link(Language(accept)))
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		a := p.Answer(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"),
			AcceptLanguage: accept, Body: body, CrossOrigin: r.Header.Get("Sec-Fetch-Site") == "cross-site"}, v)
		if a.Choice != nil {
			s.choice = a.Choice
		}
		if a.Preferences != nil {
			s.prefs = *a.Preferences
		}
		w.Header().Set("Content-Type", a.ContentType)
		w.Header().Set("Content-Security-Policy", CSP)
		if a.Location != "" {
			w.Header().Set("Location", a.Location)
		}
		w.WriteHeader(a.Status)
		w.Write(a.Body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// axe finds no violation on any page, in any language, light or dark.
func TestAccessible(t *testing.T) {
	axe, err := os.ReadFile("browser/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run npm ci in host/control/browser (make test does)", err)
	}
	s := newSite(t)
	b := browsertest.Start(t, 1280, 900)
	check := func(what string) {
		t.Helper()
		browsertest.Eval[bool](b, string(axe)+";true")
		found := browsertest.Eval[[]string](b, `axe.run({resultTypes: ["violations"]}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160)).join(' | ')))`)
		for _, v := range found {
			t.Errorf("%s: %s", what, v)
		}
	}
	for _, lang := range languages {
		b.Header("Accept-Language", lang)
		for _, dark := range []bool{false, true} {
			b.Dark(dark)
			what := fmt.Sprintf("%s, dark %v", lang, dark)
			s.set(func() { s.choice, s.prefs = nil, profile.Preferences{} })
			b.Open(s.URL + "/")
			check(what + ", notice")
			b.Open(s.URL + PathPrivacy)
			check(what + ", nothing chosen")
			b.Open(s.URL + PathErase)
			check(what + ", erase")
			s.set(func() {
				s.choice = &consent.Choice{Granted: consent.All, At: someday}
				s.prefs, s.gpc = profile.Preferences{Name: "Jane", Muted: []string{"a"}}, true
			})
			b.Open(s.URL + PathPrivacy + "?saved=choice")
			check(what + ", chosen")
			s.set(func() { s.gpc = false })
		}
	}
	// The test can fail: a page with a fault is found out.
	b.Open(s.URL + PathPrivacy)
	browsertest.Eval[bool](b, `document.querySelector('label[for=name]').remove(), true`)
	browsertest.Eval[bool](b, string(axe)+";true")
	if n := browsertest.Eval[int](b, `axe.run().then(r => r.violations.length)`); n == 0 {
		t.Error("a field without a label is not noticed")
	}
}

// Every flow, with scripts and without.
func TestFlows(t *testing.T) {
	b := browsertest.Start(t, 1280, 900)
	b.Header("Accept-Language", "en")
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %v", scripts), func(t *testing.T) {
			s := newSite(t)
			b := browsertest.Tab{T: t, Ctx: b.Ctx}
			b.Scripts(scripts)
			granted := func() consent.Set {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.choice == nil {
					t.Fatal("nothing is chosen")
				}
				return s.choice.Granted
			}
			for action, want := range map[string]consent.Set{"allow-all": consent.All, "refuse-all": 0} {
				s.set(func() { s.choice = nil })
				b.Open(s.URL + "/shop?a=b")
				b.Press(`.bespoke-notice button[value=` + action + `]`)
				if url := browsertest.Eval[string](b, "location.pathname + location.search"); url != "/shop?a=b" || granted() != want {
					t.Errorf("%s in the notice: %v, at %s", action, granted(), url)
				}
				b.Open(s.URL + PathPrivacy)
				b.Press(`main button[value=` + action + `]`)
				if granted() != want {
					t.Errorf("%s in the centre: %v", action, granted())
				}
			}
			s.set(func() { s.choice = nil })
			b.Open(s.URL + "/")
			b.Press(`.bespoke-notice button[value=choose]`)
			b.Do(chromedp.Click(chromedp.ID("measure")))
			b.Press(`button[value=save]`)
			if granted() != consent.Set(0).With(abi.Measure) {
				t.Errorf("one switch: %v", granted())
			}
			b.Do(chromedp.SendKeys(chromedp.ID("name"), "Jane"), chromedp.SendKeys(chromedp.ID("muted"), "football"), chromedp.SendKeys(chromedp.ID("filters"), "size: 42"))
			b.Press(`button[value=prefer]`)
			if s.prefs.Name != "Jane" || len(s.prefs.Muted) != 1 || len(s.prefs.Filters) != 1 {
				t.Errorf("preferences: %+v", s.prefs)
			}
			if hidden := browsertest.Eval[bool](b, `document.getElementById('exact').hidden`); hidden == scripts {
				t.Errorf("the button that needs a script is hidden: %v", hidden)
			}
			b.Press(`a[href="` + PathErase + `"]`)
			b.Press(`button[value=erase]`)
			if !s.prefs.Empty() || granted() != 0 {
				t.Errorf("after erasing: %+v, %v", s.prefs, granted())
			}
		})
	}
	b.Scripts(true)
}

// By keyboard alone: tab to each step of the notice, and refuse.
func TestKeyboard(t *testing.T) {
	s := newSite(t)
	b := browsertest.Start(t, 1280, 900)
	b.Open(s.URL + "/")
	browsertest.Eval[bool](b, `[...document.querySelectorAll('main a')].at(-1).focus(), true`)
	var seen []string
	for range 4 {
		b.Do(chromedp.KeyEvent("\t"))
		seen = append(seen, browsertest.Eval[string](b, `document.activeElement.value || document.activeElement.textContent`))
	}
	if got := strings.Join(seen[:3], ","); got != "allow-all,refuse-all,choose" {
		t.Errorf("tab leads to %s", got)
	}
	if trapped := seen[3]; trapped == "choose" || trapped == "allow-all" {
		t.Errorf("the notice keeps the focus: %s", trapped)
	}
	b.Open(s.URL + "/")
	browsertest.Eval[bool](b, `document.querySelector('.bespoke-notice [value=refuse-all]').focus(), true`)
	if _, err := chromedp.RunResponse(b.Ctx, chromedp.KeyEvent("\r")); err != nil {
		t.Fatal(err)
	}
	if s.choice == nil || s.choice.Granted != 0 {
		t.Errorf("Enter on refuse: %+v", s.choice)
	}
}

// Allow and refuse are alike in the notice and in the centre; the notice shifts
// nothing, and hides nothing of the page's end.
func TestNoticeInPage(t *testing.T) {
	s := newSite(t)
	b := browsertest.Start(t, 1280, 900)
	for _, lang := range languages {
		b.Header("Accept-Language", lang)
		for _, width := range []int64{1280, 390} {
			b.Do(chromedp.EmulateViewport(width, 800))
			for _, path := range []string{"/", PathPrivacy} {
				b.Open(s.URL + path)
				looks := browsertest.Eval[[]string](b, `[...document.querySelectorAll('[value=allow-all],[value=refuse-all],.bespoke-notice [value=choose]')].map(e => {
					const r = e.getBoundingClientRect(), s = getComputedStyle(e);
					return [r.width, r.height, r.top, s.color, s.backgroundColor, s.borderColor, s.fontWeight, s.fontSize].join() })`)
				if len(looks) < 2 {
					t.Fatalf("%s: %d buttons", path, len(looks))
				}
				for _, l := range looks[1:] {
					if l != looks[0] {
						t.Errorf("%s, %s, %d px: buttons differ: %q", lang, path, width, looks)
					}
				}
			}
			b.Open(s.URL + "/")
			shift := browsertest.Eval[float64](b, `new Promise(done => { let sum = 0;
				new PerformanceObserver(l => { for (const e of l.getEntries()) sum += e.value }).observe({ type: 'layout-shift', buffered: true });
				scrollTo(0, 1e6); setTimeout(() => done(sum), 150) })`)
			if shift != 0 {
				t.Errorf("%s, %d px: layout shift %v", lang, width, shift)
			}
			if ok := browsertest.Eval[bool](b, `(() => { const n = document.querySelector('.bespoke-notice').getBoundingClientRect(),
				l = document.querySelector('main').lastElementChild.getBoundingClientRect(); return l.bottom <= n.top && n.height < innerHeight / 2 })()`); !ok {
				t.Errorf("%s, %d px: the notice hides the page's end, or is large", lang, width)
			}
			if seen := browsertest.Eval[bool](b, `(scrollTo(0, 0), document.querySelector('.bespoke-notice').getBoundingClientRect().bottom <= innerHeight + 1)`); !seen {
				t.Errorf("%s, %d px: the notice is not seen", lang, width)
			}
		}
	}
}

// The script for sites: its promises, in a page of the site.
func TestSiteScript(t *testing.T) {
	s := newSite(t)
	b := browsertest.Start(t, 1280, 900)
	b.Open(s.URL + "/")
	got := browsertest.Eval[string](b, `(async () => {
		const e = document.createElement('script'); e.src = '`+PathSiteScript+`';
		await new Promise(done => { e.onload = done; document.head.append(e) });
		const out = [(await bespoke.choice()).ask];
		out.push((await bespoke.choose({ localize: true })).chosen.localize);
		out.push((await bespoke.choice()).purposes.localize.granted);
		out.push((await bespoke.prefer({ name: 'Jane' })).name, (await bespoke.preferences()).name);
		out.push((await bespoke.place('Bremen')).name, (await bespoke.place()).mode, (await bespoke.place(null)).mode);
		out.push((await bespoke.profile()).preferences.name);
		try { await bespoke.prefer({ theme: 'x' }) } catch (e) { out.push(e.status, e.message.includes('light or dark')) }
		out.push((await bespoke.erase()).erased);
		return out.join();
	})()`)
	if want := "true,true,true,Jane,Jane,Bremen,chosen,automatic,Jane,400,true,true"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestScreenshots writes pictures to the folder that BESPOKE_SHOTS names.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("BESPOKE_SHOTS")
	if dir == "" {
		t.Skip("checks nothing: it takes the pictures of the documentation, where BESPOKE_SHOTS names a folder")
	}
	s := newSite(t)
	b := browsertest.Start(t, 1280, 900)
	for _, lang := range []string{"en", "ja"} {
		b.Header("Accept-Language", lang)
		for _, width := range []int64{1280, 390} {
			for _, dark := range []bool{false, true} {
				if lang != "en" && dark {
					continue
				}
				b.Dark(dark)
				name := fmt.Sprintf("-%d-%s", width, map[bool]string{false: "light", true: "dark"}[dark])
				if lang != "en" {
					name += "-" + lang
				}
				shoot := func(kind string, height int64) {
					b.Do(chromedp.EmulateViewport(width, height))
					png, err := chromedp.Run(b.Ctx, chromedp.CaptureScreenshot())
					if err == nil {
						err = os.WriteFile(filepath.Join(dir, kind+name+".png"), png, 0o644)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				s.set(func() { s.choice, s.prefs = nil, profile.Preferences{} })
				b.Open(s.URL + "/")
				shoot("notice", 700)
				s.set(func() {
					s.choice = &consent.Choice{Granted: consent.Set(0).With(abi.Localize).With(abi.Personalize), At: someday}
					s.prefs = profile.Preferences{Name: "Jane", PageSize: 48, Muted: []string{"football"}, Place: profile.Place{Mode: profile.PlaceChosen, Name: "Bremen"}}
				})
				b.Open(s.URL + PathPrivacy)
				shoot("privacy", 1000)
				if lang == "en" && !dark {
					shoot("whole", browsertest.Eval[int64](b, "document.documentElement.scrollHeight"))
				}
			}
		}
	}
}

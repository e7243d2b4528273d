package console

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"bespoke/host/audit/probe"
	"bespoke/host/control/browsertest"
	"bespoke/host/ledger"
)

// signIn uses the form, by keyboard alone: the page begins with its one field.
func signIn(b browsertest.Tab, h *house, secret string) {
	b.Helper()
	b.Open(h.url + "/console/sign-in")
	b.Do(chromedp.SendKeys(chromedp.ID("token"), secret))
	b.Load(chromedp.KeyEvent("\r"))
}

// sample is where one page of every kind is.
var samples = []struct{ name, path string }{
	{"privacy", "/console/privacy?period=30d"},
	{"records", "/console/privacy/records"},
	{"record", "/console/privacy/records/150"},
	{"violation", "/console/privacy/records/204"},
	{"operation", "/console/operation"},
	{"sites", "/console/tenants/"},
	{"site", "/console/tenants/stores"},
	{"policy", "/console/tenants/stores/policies/ranking"},
	{"fault", "/console/nowhere"},
}

// axe finds no violation on any page, light or dark, wide or narrow; and no page is
// wider than the screen.
func TestAccessible(t *testing.T) {
	axe, err := os.ReadFile("../browser/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run npm ci in host/control/browser (make test does)", err)
	}
	b := browsertest.Start(t, 1280, 900)
	violations := func() []string {
		if !browsertest.Eval[bool](b, `"axe" in window`) {
			browsertest.Eval[bool](b, string(axe)+";true")
		}
		// Of what is in order it need not tell where, which takes it longer than to look.
		return browsertest.Eval[[]string](b, `axe.run({resultTypes: ["violations"]}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160)).join(' | ')))`)
	}
	check := func(what string) {
		t.Helper()
		for _, v := range violations() {
			t.Errorf("%s: %s", what, v)
		}
		if wide := browsertest.Eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("%s: the page is %d px wider than the screen", what, wide)
		}
	}
	for i, h := range []*house{full(t), alarmed(t), start(t, nil)} {
		b.Open(h.url + "/console/sign-in")
		b.Do(chromedp.SendKeys(chromedp.ID("token"), "bsp_wrong"))
		b.Load(chromedp.KeyEvent("\r"))
		check("sign-in, refused")
		signIn(b, h, h.operator)
		for _, s := range samples {
			b.Open(h.url + s.path)
			browsertest.Eval[bool](b, `document.querySelectorAll('details').forEach(d => d.open = true), true`)
			for _, width := range []int64{1280, 390} {
				b.Do(chromedp.EmulateViewport(width, 900))
				for _, dark := range []bool{false, true} {
					if i > 0 && dark != (width == 390) {
						continue // the whole product once
					}
					b.Dark(dark)
					check(fmt.Sprintf("%s of house %d, %d px, dark %v", s.name, i, width, dark))
				}
			}
		}
	}
	// The test can fail: pages with a fault are found out.
	browsertest.Eval[bool](b, `document.querySelector('main').insertAdjacentHTML('beforeend', '<input><svg width="3000" height="1"></svg>'), true`)
	if found := violations(); len(found) == 0 {
		t.Error("a field without a label is not noticed")
	}
	if wide := browsertest.Eval[int](b, `document.documentElement.scrollWidth`); wide < 1000 {
		t.Errorf("a page that is too wide is not noticed: %d px", wide)
	}
}

// Without scripts, and by keyboard: sign in, go through the pages, sign out.
func TestKeyboard(t *testing.T) {
	h := full(t)
	b := browsertest.Start(t, 1280, 900)
	b.Scripts(false)
	signIn(b, h, h.operator)
	at := func() string {
		return strings.TrimPrefix(browsertest.Eval[string](b, `location.pathname + location.search`), "")
	}
	first := at()
	b.Do(chromedp.KeyEvent("\t"))
	if got := browsertest.Eval[string](b, `document.activeElement.textContent`); got != "Skip to the content" {
		t.Errorf("Tab leads to %q first", got)
	}
	b.Load(chromedp.KeyEvent("\r"))
	// From there Tab goes through all that can be used, each is seen to have the focus, and nothing keeps it.
	seen := map[string]bool{}
	for range 300 {
		b.Do(chromedp.KeyEvent("\t"))
		name := browsertest.Eval[string](b, `(e => e === document.body ? '' : (e.outerHTML.slice(0, 300) + [...document.querySelectorAll(e.tagName)].indexOf(e)))(document.activeElement)`)
		if name == "" || seen[name] {
			break
		}
		seen[name] = true
		if !browsertest.Eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			t.Errorf("it is not seen that this has the focus: %s", name)
		}
	}
	all := browsertest.Eval[int](b, `document.querySelectorAll('main a, main button, main select, main input:not([type=hidden]), main summary').length`)
	if len(seen) < all {
		t.Errorf("Tab goes through %d places, there are %d to use", len(seen), all)
	}
	browsertest.Eval[bool](b, `document.querySelector('nav a:not([aria-current])').focus(), true`)
	b.Load(chromedp.KeyEvent("\r"))
	if at() == first {
		t.Error("Enter on a link goes nowhere")
	}
	browsertest.Eval[bool](b, `document.querySelector('.who button').focus(), true`)
	b.Load(chromedp.KeyEvent("\r"))
	if at() != "/console/sign-in" {
		t.Errorf("signed out, at %s", at())
	}
	b.Open(h.url + first)
	if !strings.HasPrefix(at(), "/console/sign-in?next=") {
		t.Errorf("after signing out: %s", at())
	}
	b.Scripts(true)
}

// TestScreenshots writes pictures to the folder that BESPOKE_SHOTS names.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("BESPOKE_SHOTS")
	if dir == "" {
		t.Skip("checks nothing: it takes the pictures of the documentation, where BESPOKE_SHOTS names a folder")
	}
	h := full(t)
	b := browsertest.Start(t, 1280, 900)
	b.Open(h.url + "/console/sign-in")
	write := func(name string, height int64, width int64) {
		b.Do(chromedp.EmulateViewport(width, height))
		png, err := chromedp.Run(b.Ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shoot := func(kind string) {
		for _, width := range []int64{1280, 390} {
			for _, dark := range []bool{false, true} {
				b.Dark(dark)
				name := fmt.Sprintf("console-%s-%d-%s", kind, width, map[bool]string{false: "light", true: "dark"}[dark])
				write(name, 1000, width)
				write("whole-"+name, min(browsertest.Eval[int64](b, "document.documentElement.scrollHeight"), 4000), width)
			}
		}
	}
	shoot("sign-in")
	signIn(b, h, h.operator)
	for _, s := range samples {
		b.Open(h.url + s.path)
		if s.name == "privacy" {
			b.Load(chromedp.Click(chromedp.CSS(`form[action$=verify] button`)))
			b.Open(h.url + s.path)
		}
		shoot(s.name)
	}
	h = alarmed(t)
	signIn(b, h, h.operator)
	b.Open(h.url + "/console/privacy")
	shoot("alarm")
}

// full is a house that has something to show on every page.
func full(t *testing.T) *house {
	d := newDiary(t, showing.Add(-40*24*time.Hour))
	d.month(showing, 480)
	return recorded(t, d, nil)
}

// alarmed is one at which everything went wrong that pages can show.
func alarmed(t *testing.T) *house {
	d := newDiary(t, showing.Add(-2*time.Hour))
	for range 200 {
		d.exchange("stores", d.random.IntN(10))
	}
	for range 3 {
		d.broken("stores")
	}
	d.Event(ledger.Event{Kind: ledger.KindUnrecorded, Time: d.now(), Data: map[string]any{"exchanges": 17, "events": 0, "from": d.now().Add(-time.Minute), "to": d.now(), "why": "the disk is full"}})
	d.sealed()
	return recorded(t, d, func(c *Config) {
		c.Recording = func() ledger.Status {
			s := d.Status()
			s.Blocked, s.Unrecorded, s.Failures, s.Err, s.WitnessFailures = "the disk is full", 17, 3, errors.New("no space"), 2
			return s
		}
		c.Canaries = func() []probe.Standing {
			round := &probe.Round{Started: showing.Add(-time.Hour), Verdict: probe.Differs, Because: "visitors who refused by choice got different answers when they differed in: place"}
			return []probe.Standing{{Tenant: "stores", Every: time.Hour, Rounds: map[string]uint64{probe.Differs: 1}, Last: round, Alarm: round}}
		}
	})
}

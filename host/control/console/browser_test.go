package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// tab is a tab of Chromium; what fails ends the test.
type tab struct {
	*testing.T
	ctx context.Context
}

func chromium(t *testing.T) tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	return tab{t, ctx}
}

func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

func (b tab) open(url string) { b.Helper(); b.do(chromedp.Navigate(url)) }

// load does what has the browser load a page.
func (b tab) load(step chromedp.Action[chromedp.Void]) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.ctx, step); err != nil {
		b.Fatal(err)
	}
}

func eval[T any](b tab, js string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%.80s: %v", js, err)
	}
	return v
}

func (b tab) dark(on bool) {
	value := "light"
	if on {
		value = "dark"
	}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}}); err != nil {
		b.Fatal(err)
	}
}

func (b tab) scripts(on bool) {
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.Fatal(err)
	}
}

// signIn uses the form, by keyboard alone: the page begins with its one field.
func (b tab) signIn(h *house, secret string) {
	b.Helper()
	b.open(h.url + "/console/sign-in")
	b.do(chromedp.SendKeys(chromedp.ID("token"), secret))
	b.load(chromedp.KeyEvent("\r"))
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
	b := chromium(t)
	violations := func() []string {
		eval[bool](b, string(axe)+";true")
		return eval[[]string](b, `axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160)).join(' | ')))`)
	}
	check := func(what string) {
		t.Helper()
		for _, v := range violations() {
			t.Errorf("%s: %s", what, v)
		}
		if wide := eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("%s: the page is %d px wider than the screen", what, wide)
		}
	}
	for i, h := range []*house{full(t), alarmed(t), start(t, nil)} {
		b.open(h.url + "/console/sign-in")
		b.do(chromedp.SendKeys(chromedp.ID("token"), "bsp_wrong"))
		b.load(chromedp.KeyEvent("\r"))
		check("sign-in, refused")
		b.signIn(h, h.operator)
		for _, s := range samples {
			b.open(h.url + s.path)
			eval[bool](b, `document.querySelectorAll('details').forEach(d => d.open = true), true`)
			for _, width := range []int64{1280, 390} {
				b.do(chromedp.EmulateViewport(width, 900))
				for _, dark := range []bool{false, true} {
					if i > 0 && dark != (width == 390) {
						continue // the whole product once
					}
					b.dark(dark)
					check(fmt.Sprintf("%s of house %d, %d px, dark %v", s.name, i, width, dark))
				}
			}
		}
	}
	// The test can fail: pages with a fault are found out.
	eval[bool](b, `document.querySelector('main').insertAdjacentHTML('beforeend', '<input><svg width="3000" height="1"></svg>'), true`)
	if found := violations(); len(found) == 0 {
		t.Error("a field without a label is not noticed")
	}
	if wide := eval[int](b, `document.documentElement.scrollWidth`); wide < 1000 {
		t.Errorf("a page that is too wide is not noticed: %d px", wide)
	}
}

// Without scripts, and by keyboard: sign in, go through the pages, sign out.
func TestKeyboard(t *testing.T) {
	h := full(t)
	b := chromium(t)
	b.scripts(false)
	b.signIn(h, h.operator)
	at := func() string { return strings.TrimPrefix(eval[string](b, `location.pathname + location.search`), "") }
	first := at()
	b.do(chromedp.KeyEvent("\t"))
	if got := eval[string](b, `document.activeElement.textContent`); got != "Skip to the content" {
		t.Errorf("Tab leads to %q first", got)
	}
	b.load(chromedp.KeyEvent("\r"))
	// From there Tab goes through all that can be used, each is seen to have the focus, and nothing keeps it.
	seen := map[string]bool{}
	for range 300 {
		b.do(chromedp.KeyEvent("\t"))
		name := eval[string](b, `(e => e === document.body ? '' : (e.outerHTML.slice(0, 300) + [...document.querySelectorAll(e.tagName)].indexOf(e)))(document.activeElement)`)
		if name == "" || seen[name] {
			break
		}
		seen[name] = true
		if !eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			t.Errorf("it is not seen that this has the focus: %s", name)
		}
	}
	all := eval[int](b, `document.querySelectorAll('main a, main button, main select, main input:not([type=hidden]), main summary').length`)
	if len(seen) < all {
		t.Errorf("Tab goes through %d places, there are %d to use", len(seen), all)
	}
	eval[bool](b, `document.querySelector('nav a:not([aria-current])').focus(), true`)
	b.load(chromedp.KeyEvent("\r"))
	if at() == first {
		t.Error("Enter on a link goes nowhere")
	}
	eval[bool](b, `document.querySelector('.who button').focus(), true`)
	b.load(chromedp.KeyEvent("\r"))
	if at() != "/console/sign-in" {
		t.Errorf("signed out, at %s", at())
	}
	b.open(h.url + first)
	if !strings.HasPrefix(at(), "/console/sign-in?next=") {
		t.Errorf("after signing out: %s", at())
	}
	b.scripts(true)
}

// TestScreenshots writes pictures to the folder that BESPOKE_SHOTS names.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("BESPOKE_SHOTS")
	if dir == "" {
		t.Skip("checks nothing: it takes the pictures of the documentation, where BESPOKE_SHOTS names a folder")
	}
	h := full(t)
	b := chromium(t)
	b.open(h.url + "/console/sign-in")
	write := func(name string, height int64, width int64) {
		b.do(chromedp.EmulateViewport(width, height))
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
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
				b.dark(dark)
				name := fmt.Sprintf("console-%s-%d-%s", kind, width, map[bool]string{false: "light", true: "dark"}[dark])
				write(name, 1000, width)
				write("whole-"+name, min(eval[int64](b, "document.documentElement.scrollHeight"), 4000), width)
			}
		}
	}
	shoot("sign-in")
	b.signIn(h, h.operator)
	for _, s := range samples {
		b.open(h.url + s.path)
		if s.name == "privacy" {
			b.load(chromedp.Click(chromedp.CSS(`form[action$=verify] button`)))
			b.open(h.url + s.path)
		}
		shoot(s.name)
	}
	h = alarmed(t)
	b.signIn(h, h.operator)
	b.open(h.url + "/console/privacy")
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

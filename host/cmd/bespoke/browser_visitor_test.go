package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A keyboard presses keys on the page that is open, and nothing else.
type keyboard struct {
	*testing.T
	ctx context.Context
}

func (k keyboard) open(url string) {
	k.Helper()
	if err := chromedp.Do(k.ctx, chromedp.Navigate(url)); err != nil {
		k.Fatalf("%s: %v", url, err)
	}
}

func (k keyboard) at() string {
	k.Helper()
	s, err := chromedp.Run(k.ctx, chromedp.Evaluate[string](`(e => [e.tagName.toLowerCase(), e.id, e.name, e.value || e.getAttribute('href')].join(' '))(document.activeElement)`))
	if err != nil {
		k.Fatal(err)
	}
	return s
}

// reach presses Tab until what has the focus is as wanted, and checks that it is seen to have it.
func (k keyboard) reach(want string) {
	k.Helper()
	var way []string
	for range 80 {
		if err := chromedp.Do(k.ctx, chromedp.KeyEvent("\t")); err != nil {
			k.Fatal(err)
		}
		at := k.at()
		if strings.Contains(at, want) {
			seen, err := chromedp.Run(k.ctx, chromedp.Evaluate[bool](`(e => {
				const s = getComputedStyle(e), r = e.getBoundingClientRect();
				return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1 && r.bottom > 0 && r.top < innerHeight;
			})(document.activeElement)`))
			if err != nil || !seen {
				k.Errorf("%s has the focus, and it cannot be seen: %v", at, err)
			}
			return
		}
		way = append(way, at)
	}
	k.Fatalf("Tab never comes to %q:\n%s", want, strings.Join(way, "\n"))
}

func (k keyboard) press(keys string) {
	k.Helper()
	if err := chromedp.Do(k.ctx, chromedp.KeyEvent(keys)); err != nil {
		k.Fatal(err)
	}
}

// enter presses Enter, and waits for the page that it leads to.
func (k keyboard) enter() {
	k.Helper()
	resp, err := chromedp.RunResponse(k.ctx, chromedp.KeyEvent("\r"))
	if err != nil || resp.Status != 200 {
		k.Fatalf("Enter on %s: %+v, %v", k.at(), resp, err)
	}
}

func (k keyboard) eval(js string) string {
	k.Helper()
	s, err := chromedp.Run(k.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		k.Fatal(err)
	}
	return s
}

// The visitor's whole way, through the real edge, by keyboard alone: from the
// notice to one switch, a name, a theme, everything allowed, everything refused, everything
// erased. With scripts and without, on a light and a dark screen.
func TestByKeyboard(t *testing.T) {
	port := demo(t)
	for _, x := range []struct{ scripts, dark bool }{{true, false}, {false, true}} {
		t.Run(fmt.Sprintf("scripts %v, dark %v", x.scripts, x.dark), func(t *testing.T) {
			k := keyboard{t, browser(t)}
			scheme := map[bool]string{false: "light", true: "dark"}[x.dark]
			must(t)(chromedp.Call(k.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
			must(t)(chromedp.Call(k.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !x.scripts}))
			site := "http://stores.localhost:" + port + "/"
			first := func() string { return k.eval(`document.querySelector('#results > li .city').textContent.trim()`) }

			k.open(site)
			origin := first()
			k.reach("choose")
			k.enter()
			k.reach(" localize")
			k.press(" ")
			k.reach("save")
			k.enter()
			k.open(site)
			if got := first(); got == origin {
				t.Error("one switch, and the list is as it was")
			}

			k.open(site + "_bespoke/privacy")
			k.reach("input name")
			k.press("Jane")
			k.reach("prefer")
			k.enter()
			k.open(site)
			if got := k.eval(`document.querySelector('#greeting').textContent.trim()`); got != "Welcome back, Jane" {
				t.Errorf("greeting: %q", got)
			}

			k.open(site + "_bespoke/privacy")
			k.reach("refuse-all")
			k.enter()
			if on := k.eval(`String(document.querySelectorAll('input[type=checkbox]:checked').length)`); on != "0" {
				t.Errorf("%s switches are on after refusing", on)
			}
			k.reach("allow-all")
			k.enter()
			if off := k.eval(`String(document.querySelectorAll('input[type=checkbox]:not(:checked)').length)`); off != "0" {
				t.Errorf("%s switches are off after allowing", off)
			}

			k.reach("/_bespoke/privacy/erase")
			k.enter()
			k.reach("erase")
			k.enter()
			k.open(site)
			if got := first() + k.eval(`document.querySelector('#greeting').textContent.trim()`); got != origin {
				t.Errorf("after erasing everything: %q", got)
			}
		})
	}
}

// The theme that a visitor chose beats that of their screen.
func TestChosenTheme(t *testing.T) {
	k := keyboard{t, browser(t)}
	privacy := "http://stores.localhost:" + demo(t) + "/_bespoke/privacy"
	ground := func() string { return k.eval(`getComputedStyle(document.documentElement).backgroundColor`) }
	screen := func(scheme string) {
		must(t)(chromedp.Call(k.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
		k.open(privacy)
	}
	screen("light")
	light := ground()
	screen("dark")
	dark := ground()
	if light == dark {
		t.Fatalf("both are %s", light)
	}
	if err := chromedp.Do(k.ctx, chromedp.SetValue(chromedp.ID("theme"), "light")); err != nil {
		t.Fatal(err)
	}
	if resp, err := chromedp.RunResponse(k.ctx, chromedp.Click(chromedp.CSS(`button[value=prefer]`))); err != nil || resp.Status != 200 {
		t.Fatalf("%+v, %v", resp, err)
	}
	if got := ground(); got != light {
		t.Errorf("light on a dark screen: %s, want %s", got, light)
	}
}

// The exact place comes from the browser, after the browser asked the visitor;
// then what is near is near to that. Where the visitor says no, nothing is kept.
func TestExactPlace(t *testing.T) {
	k := keyboard{t, browser(t)}
	site := "http://stores.localhost:" + demo(t) + "/"
	press := func() {
		t.Helper()
		if resp, err := chromedp.RunResponse(k.ctx, chromedp.Click(chromedp.CSS(`#exact button`))); err != nil || resp.Status != 200 {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
	allow := func(what cdpbrowser.PermissionSetting) {
		must(t)(chromedp.CallBrowser(k.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
			Permission: &cdpbrowser.PermissionDescriptor{Name: "geolocation"}, Setting: what, Origin: strings.TrimSuffix(site, "/")}))
	}
	at := 35.68
	tokyo := 139.69
	must(t)(chromedp.Call(k.ctx, emulation.SetGeolocationOverride, emulation.SetGeolocationOverrideParams{Latitude: &at, Longitude: &tokyo, Accuracy: new(float64)}))

	allow("denied")
	k.open(site + "_bespoke/privacy")
	if err := chromedp.Do(k.ctx, chromedp.Click(chromedp.CSS(`#exact button`)), chromedp.WaitVisible(chromedp.CSS(`#exact [role=alert]`))); err != nil {
		t.Fatalf("the page does not say that the browser refused: %v", err)
	}

	allow("granted")
	k.open(site + "_bespoke/privacy")
	press()
	k.open(site)
	if got := k.eval(`document.querySelector('#results > li .city').textContent.trim()`); !strings.HasPrefix(got, "Tokyo") {
		t.Errorf("in Tokyo, the first is %s", got)
	}
}

// must ends the test where a call to the browser fails.
func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

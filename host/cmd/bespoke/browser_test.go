package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"bespoke/host/control/browsertest"
)

// demo starts the demo on a free port and returns the port.
func demo(t *testing.T) string {
	t.Helper()
	state := t.TempDir()
	shareCompiled(t, state)
	return demoWith(t, "--state", state)
}

// demoWith is demo with these arguments.
func demoWith(t *testing.T, a ...string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		cmd := root()
		cmd.SetArgs(append([]string{"demo", "--listen", "127.0.0.1:" + port}, a...))
		cmd.SetOut(in)
		cmd.SetErr(os.Stderr)
		err := cmd.ExecuteContext(ctx)
		in.CloseWithError(io.EOF)
		ended <- err
	}()
	said := make([]byte, 1<<12)
	n, _ := io.ReadAtLeast(out, said, len("The demo is running"))
	if !strings.HasPrefix(string(said[:n]), "The demo is running") {
		t.Fatalf("the demo did not start: %s %v", said[:n], <-ended)
	}
	go io.Copy(io.Discard, out)
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("demo: %v", err)
		}
	})
	return port
}

// browser starts Chromium with a profile of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	return browsertest.Start(t, 1200, 900).Ctx
}

// shot writes a screenshot to the folder that BESPOKE_SHOTS names, if it names one.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("BESPOKE_SHOTS")
	if dir == "" {
		return
	}
	take := chromedp.FullScreenshot(100)
	if strings.HasSuffix(name, "-window") {
		take = chromedp.CaptureScreenshot()
	}
	png, err := chromedp.Run(ctx, take)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What a stranger sees: the list in the site's order; allow, and it is ordered
// for them; a name, and it greets them; refuse, and what was inferred is gone.
func TestBrowser(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Cleanup(func() {
		if left, err := filepath.Glob(filepath.Join(temporary, "bespoke-demo-*")); err != nil || left != nil {
			t.Errorf("the demo ended, and left %v, %v", left, err)
		}
	})
	port := demoWith(t)
	ctx := browser(t)
	site := "http://stores.localhost:" + port + "/"

	type step = chromedp.Action[chromedp.Void]
	do := func(what string, steps ...step) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	type list struct {
		Cities    []string `json:"cities"`
		Distances int      `json:"distances"`
		Greeting  string   `json:"greeting"`
	}
	look := func(what string) list {
		t.Helper()
		do(what, chromedp.Navigate(site))
		l, err := chromedp.Run(ctx, chromedp.Evaluate[list](`({
			cities: [...document.querySelectorAll('#results > li .city')].map(e => e.textContent.trim()),
			distances: [...document.querySelectorAll('#results .distance')].filter(e => e.textContent.trim()).length,
			greeting: document.querySelector('#greeting').textContent.trim(),
		})`))
		if err != nil || len(l.Cities) < 40 {
			t.Fatalf("%s: %d cities, %v", what, len(l.Cities), err)
		}
		return l
	}
	// press clicks what leads to another page, and waits for that.
	press := func(what, selector string) {
		t.Helper()
		resp, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err != nil || resp.Status != 200 {
			t.Fatalf("%s: %+v, %v", what, resp, err)
		}
	}

	origin := look("first visit")
	if origin.Distances != 0 || origin.Greeting != "" {
		t.Fatalf("before any choice: %+v", origin)
	}
	shot(t, ctx, "1-first-visit")
	shot(t, ctx, "1-first-visit-window")

	press("choose, in the notice", `.bespoke-notice button[value="choose"]`)
	shot(t, ctx, "2-privacy")
	press("allow all", `button[value="allow-all"]`)
	shot(t, ctx, "3-allowed")

	near := look("after allowing")
	if !strings.HasPrefix(near.Cities[0], "Berlin") || near.Distances != len(near.Cities) {
		t.Errorf("after allowing: %+v", near)
	}
	shot(t, ctx, "4-near")

	do("type a name", chromedp.Navigate(site+"_bespoke/privacy"), chromedp.SendKeys(chromedp.ID("name"), "Jane"))
	press("save the name", `button[value="prefer"]`)
	if l := look("after the name"); l.Greeting != "Welcome back, Jane" {
		t.Errorf("greeting: %q", l.Greeting)
	}
	shot(t, ctx, "5-greeting")

	do("privacy again", chromedp.Navigate(site+"_bespoke/privacy"))
	press("refuse all", `button[value="refuse-all"]`)
	shot(t, ctx, "6-refused")
	refused := look("after refusing")
	if refused.Distances != 0 || strings.Join(refused.Cities, "|") != strings.Join(origin.Cities, "|") {
		t.Errorf("after refusing, the origin's order is not back: %+v", refused)
	}
	if refused.Greeting != "Welcome back, Jane" {
		t.Errorf("the name that the visitor chose is gone: %q", refused.Greeting)
	}

	do("clear the name", chromedp.Navigate(site+"_bespoke/privacy"), chromedp.Clear(chromedp.ID("name")))
	press("save no name", `button[value="prefer"]`)
	if l := look("after clearing the name"); l.Greeting != "" {
		t.Errorf("greeting: %q", l.Greeting)
	}

	// One purpose by its switch, as a visitor who allows just that.
	do("privacy again", chromedp.Navigate(site+"_bespoke/privacy"), chromedp.Click(chromedp.ID("localize")))
	press("save", `button[value="save"]`)
	if l := look("after one switch"); !strings.HasPrefix(l.Cities[0], "Berlin") {
		t.Errorf("after one switch: %+v", l)
	}

	// The same with the browser's Global Privacy Control signal.
	_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Sec-GPC": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if l := look("with GPC"); l.Distances != 0 {
		t.Errorf("with GPC: %+v", l)
	}
	do("privacy with GPC", chromedp.Navigate(site+"_bespoke/privacy"))
	shot(t, ctx, "7-gpc")
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("main")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "Your browser asked not to be tracked: honoured.") {
		t.Errorf("no badge in:\n%s", text)
	}
}

// Refusing takes as many steps as allowing, and its button is as large.
func TestButtonsOfEqualWeight(t *testing.T) {
	port := demo(t)
	ctx := browser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate("http://stores.localhost:"+port+"/_bespoke/privacy")); err != nil {
		t.Fatal(err)
	}
	same, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => {
		const look = v => {
			const e = document.querySelector('button[value="' + v + '"]'), r = e.getBoundingClientRect(), s = getComputedStyle(e);
			return [r.width, r.height, r.top, s.color, s.backgroundColor, s.borderColor, s.fontWeight, s.fontSize, e.form === document.querySelector('form')].join();
		};
		return look('refuse-all') === look('allow-all');
	})()`))
	if err != nil {
		t.Fatal(err)
	}
	if !same {
		t.Error("the buttons differ")
	}

	// In the notice, too, whatever the site's own style sheet says of what stands in its body.
	if err := chromedp.Do(ctx, chromedp.Navigate("http://stores.localhost:"+port+"/")); err != nil {
		t.Fatal(err)
	}
	same, err = chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => {
		document.adoptedStyleSheets.push(Object.assign(new CSSStyleSheet(), {}));
		document.adoptedStyleSheets[0].replaceSync('body > div, div, p { padding: 0 2em 5em; margin: 9px } button { color: red; opacity: .2 } button[value=refuse-all] { font-size: 8px }');
		const n = document.querySelector('.bespoke-notice'), box = e => e.getBoundingClientRect();
		const look = v => {
			const e = n.querySelector('button[value="' + v + '"]'), s = getComputedStyle(e);
			return [box(e).width, box(e).height, s.color, s.backgroundColor, s.borderColor, s.fontWeight, s.fontSize, s.opacity].join();
		};
		const above = box(n.querySelector('form')).top - box(n).top, below = box(n).bottom - box(n.querySelector('form')).bottom;
		return look('refuse-all') === look('allow-all') && look('choose') === look('allow-all') && above > 10 && Math.abs(above - below) < 2;
	})()`))
	if err != nil {
		t.Fatal(err)
	}
	if !same {
		t.Error("the site's style sheet reaches into the notice")
	}
}

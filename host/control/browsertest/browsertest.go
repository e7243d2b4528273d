// Package browsertest drives Chromium for tests of pages. Call [Start] for a tab;
// what fails in it ends the test.
package browsertest

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A Step is something that is done in a tab.
type Step = chromedp.Action[chromedp.Void]

// lifetime is above what the longest test takes.
const lifetime = 5 * time.Minute

// A Tab is a tab of Chromium. It may be copied, with another T for a part of a test.
type Tab struct {
	*testing.T
	Ctx context.Context // of chromedp
}

// Start starts Chromium with a profile of its own and a window of that size, in
// pixels. It ends with the test.
func Start(t *testing.T, width, height int) Tab {
	t.Helper()
	path := ""
	for _, name := range [...]string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("this test needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.WindowSize(width, height))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, lifetime)
	t.Cleanup(cancel)
	return Tab{t, ctx}
}

// Do does steps that load no page.
func (b Tab) Do(steps ...Step) {
	b.Helper()
	if err := chromedp.Do(b.Ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// Open loads a page by its address.
func (b Tab) Open(url string) { b.Helper(); b.Do(chromedp.Navigate(url)) }

// Load does a step that has the browser load a page, and waits for it.
func (b Tab) Load(step Step) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.Ctx, step); err != nil {
		b.Fatal(err)
	}
}

// Press clicks on what loads a page.
func (b Tab) Press(selector string) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.Ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.Fatalf("%s: %v", selector, err)
	}
}

// Eval returns the value of a script, or of its promise.
func Eval[T any](b Tab, js string) T {
	b.Helper()
	v, err := chromedp.Run(b.Ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%.80s: %v", js, err)
	}
	return v
}

// Header has every request carry a field.
func (b Tab) Header(name, value string) {
	b.Helper()
	if _, err := chromedp.Call(b.Ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{name: value}}); err != nil {
		b.Fatal(err)
	}
}

// Dark says whether the visitor prefers dark pages.
func (b Tab) Dark(on bool) {
	b.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	if _, err := chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}}); err != nil {
		b.Fatal(err)
	}
}

// Scripts says whether pages may run scripts; [Eval] always works.
func (b Tab) Scripts(on bool) {
	b.Helper()
	if _, err := chromedp.Call(b.Ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.Fatal(err)
	}
}

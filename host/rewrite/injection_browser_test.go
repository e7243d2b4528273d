package rewrite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"

	"github.com/chromedp/chromedp"
)

// A case is pages that should have the structure of Base, which has a harmless value in it.
type browserCase struct {
	What, Base string
	Pages      []string
}

// A chromium is a browser that reads pages.
type chromium struct {
	ctx     context.Context
	batches [][]byte
	pages   []servedPage
	url     string
}

type servedPage struct{ contentType, body string }

func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("this test needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium")
	}
	c := new(chromium)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>pages</title><script src=/injection.js></script>")
	})
	mux.HandleFunc("/injection.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/injection.js") })
	mux.HandleFunc("/batch/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		w.Header().Set("Content-Type", "application/json")
		w.Write(c.batches[n])
	})
	mux.HandleFunc("/page/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		w.Header().Set("Content-Type", c.pages[n].contentType)
		fmt.Fprint(w, c.pages[n].body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 20*time.Minute)
	t.Cleanup(cancel)
	c.ctx, c.url = ctx, server.URL
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	return c
}

// A wrong is a page that has not the structure it should have, or that ran something.
type wrong struct {
	What, Page, Have, Want string
	Hits                   int
}

// check has the browser read the cases: by "parse", "write" (scripts run) or "xml".
func (c *chromium) check(t *testing.T, how string, cases []browserCase) (all []wrong) {
	t.Helper()
	for len(cases) > 0 {
		n, size := 0, 0
		for n < len(cases) && size < 500 {
			size += len(cases[n].Pages)
			n++
		}
		c.batches = append(c.batches, must(json.Marshal(cases[:n])))
		cases = cases[n:]
		bad, err := chromedp.Run(c.ctx, chromedp.Evaluate[[]wrong](fmt.Sprintf("check(%d, %q)", len(c.batches)-1, how)))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bad...)
	}
	return all
}

// seesWhatRuns checks the check.
func seesWhatRuns(t *testing.T, c *chromium) {
	t.Helper()
	for how, pages := range map[string][]string{
		"parse": {"<p><b>T</b>", "<p title=a>T", "<p><!--T-->", "<a href=javascript:x>", "<a href=java&Tab;script:x>", "<template><b></b></template><p>T"},
		"write": {"<p>T<script>__hit()</script>", "<p>T<svg><script>__hit()<g></g></script></svg>", "<p>T<svg onload=__hit()>", "<p>T<noscript><b></b></noscript>", "<p>T<img src=data:, onerror=__hit()>"},
	} {
		for _, page := range pages {
			base := strings.Replace(page, "__hit()", "T", 1) // what runs, in the very same structure
			if base == page {
				base = "<p>T"
			}
			if got := c.check(t, how, []browserCase{{"", base, []string{page}}}); len(got) != 1 && !strings.Contains(page, "onerror") {
				t.Errorf("%s does not see what is wrong with %s", how, page)
			}
		}
	}
}

// In Chromium too, and there nothing runs either. It reads one page in 13, so
// that each place has some values of each family, or all if BESPOKE_INJECTION
// is "all" (some minutes).
func TestInjectionChromium(t *testing.T) {
	c := startChromium(t)
	seesWhatRuns(t, c)
	values := injectionValues(t)
	var cases []browserCase
	n := 0
	step := 13
	if os.Getenv("BESPOKE_INJECTION") == "all" {
		step = 1
	}
	for i, m := range moulds() {
		base, _ := m.pour(t, "T")
		one := browserCase{What: m.in.name + " on " + m.page, Base: base}
		seen := map[string]bool{}
		for j, v := range values {
			if (i+j)%step != 0 {
				continue
			}
			out, ok := m.pour(t, v)
			if !ok || seen[out] || strings.HasSuffix(m.in.name, "named") || m.in.name == "fill" && strings.Contains(v, "\n") || strings.Trim(v, " \t\n\f\r") == "" {
				continue
			}
			seen[out] = true
			one.Pages = append(one.Pages, out)
		}
		n += len(one.Pages)
		if len(one.Pages) > 0 {
			cases = append(cases, one)
		}
	}
	t.Logf("%d pages", n)
	for _, how := range []string{"parse", "write"} {
		at := time.Now()
		for _, w := range c.check(t, how, cases) {
			t.Errorf("%s: %s\ngives %s\nhave %s\nwant %s\n%d hits", how, w.What, w.Page, w.Have, w.Want, w.Hits)
		}
		t.Log(how, time.Since(at))
	}
}

// The attacks, too: in the browser the page runs nothing, and neither does it after the edit.
func TestAttacksChromium(t *testing.T) {
	c := startChromium(t)
	for _, a := range attacks() {
		p, err := Compile([]abi.Edit{a.edit}, Options{})
		if err != nil {
			continue
		}
		out, _ := rewriteAt(t, p, a.page)
		if out == a.page {
			continue
		}
		got, err := chromedp.Run(c.ctx, chromedp.Evaluate[[][]string](fmt.Sprintf("[dangers(%q), dangers(%q)]", a.page, out)))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range got[1] {
			if !slices.Contains(got[0], d) {
				t.Errorf("%v on %s\ngives %s\nwhich has %s", a.edit, a.page, out, d)
			}
		}
	}
}

// A visited is what the browser made of a page that it went to.
type visited struct {
	Shape, Charset string
	Texts          []string
	Hits           int
}

func (c *chromium) visit(t *testing.T, contentType, body string) visited {
	t.Helper()
	c.pages = append(c.pages, servedPage{contentType, body})
	v, err := chromedp.Run(c.ctx, chromedp.Evaluate[visited](fmt.Sprintf("visit('/page/%d')", len(c.pages)-1), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Pages that come over the network, in their charsets and syntaxes, with every
// value in one of them: its text is the value, and nothing else comes of it.
func TestInjectionVisited(t *testing.T) {
	c := startChromium(t)
	for _, x := range []struct {
		contentType, head, item, foot string
		syntax                        Syntax
	}{
		{"text/html; charset=utf-8", "<!doctype html><title>a</title>", `<p id=t%d title=a>b</p>`, "", HTML},
		{"text/html; charset=windows-1252", "<!doctype html><title>a</title>", `<p id=t%d title=a>b</p>`, "", HTML},
		{"text/html; charset=shift_jis", "<!doctype html><title>a</title>", `<p id=t%d title=a>b`, "", HTML},
		{"text/html; charset=gbk", "<!doctype html><title>a</title><ul>", `<li id=t%d title='a'>b`, "</ul>", HTML},
		{"text/html; charset=big5", "<!doctype html><title>a</title>", `<textarea id=t%d title='a'>b</textarea>`, "", HTML},
		{"text/html; charset=euc-kr", "<!doctype html><title>a</title>", `<a id=t%d title=a href=/>b</a>`, "", HTML},
		{"text/html", "<meta charset=koi8-r><title>a</title><svg>", `<text id=t%d title=a>b</text>`, "</svg>", HTML},
		{"text/html", "<title>a</title><select>", `<option id=t%d title=a>b`, "</select>", HTML},
		{"application/xhtml+xml", `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>a</title></head><body>`, `<p id="t%d" title="a">b</p>`, "</body></html>", XML},
		{"image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg">`, `<text id="t%d" title="a">b</text>`, "</svg>", XML},
	} {
		page := x.head
		var edits, harmless []abi.Edit
		var values []string
		for _, v := range injectionValues(t) {
			i := len(values)
			target := fmt.Sprintf("#t%d", i)
			if Check(edit(abi.OpText, target, v)) != abi.Accepted {
				continue
			}
			page += fmt.Sprintf(x.item, i)
			values = append(values, v)
			edits = append(edits, edit(abi.OpText, target, v), edit(abi.OpAttr, target, "title", v))
			harmless = append(harmless, edit(abi.OpText, target, "T"), edit(abi.OpAttr, target, "title", "T"))
			if strings.Trim(v, " \t\r\n\f") != "" { // beside the root of XML there may be space only
				edits, harmless = append(edits, edit(abi.OpAfter, target, v)), append(harmless, edit(abi.OpAfter, target, "T"))
			}
		}
		page += x.foot
		opt := Options{Syntax: x.syntax, Charset: Sniff([]byte(page), x.contentType, x.syntax == XML)}
		base, _ := rewriteAt(t, compile(t, opt, harmless...), page)
		out, rep := rewriteAt(t, compile(t, opt, edits...), page)
		if len(rep.NotApplied) > 0 || rep.Stopped != 0 {
			t.Fatalf("%s: %+v", x.contentType, rep)
		}
		want, have := c.visit(t, x.contentType, base), c.visit(t, x.contentType, out)
		if have.Shape != want.Shape || have.Hits != 0 || len(have.Texts) != len(values) {
			at := 0
			for at < len(have.Shape) && at < len(want.Shape) && have.Shape[at] == want.Shape[at] {
				at++
			}
			t.Errorf("%s: %d hits, %d texts of %d\nhave ...%.200s\nwant ...%.200s", x.contentType, have.Hits, len(have.Texts), len(values), have.Shape[at:], want.Shape[at:])
			continue
		}
		for i, v := range values {
			if x.syntax == XML {
				v = xmlText(v)
			}
			if have.Texts[i] != v && (opt.Charset == UTF8 || !controls(v)) {
				t.Errorf("%s (read as %s): the text %q became %q", x.contentType, have.Charset, v, have.Texts[i])
			}
		}
	}
}

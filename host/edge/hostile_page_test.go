package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	dom "golang.org/x/net/html"

	"bespoke/host/profile"
	"bespoke/modules/abi"
)

// attacks are what somebody may write, or have a visitor write, where text is
// asked for. At most 40 characters, so that every field takes it.
var attacks = []string{
	`<script>pwned=1</script>`,
	`"><script>pwned=1</script>`,
	`"><img src=x onerror=pwned=1>`,
	`' autofocus onfocus='pwned=1' x='`,
	`</textarea><script>pwned=1</script>`,
	`</title><script>pwned=1</script>`,
	`--><svg onload=pwned=1>`,
	`javascript:pwned=1`,
	`{{.}}{{define "top"}}`,
	`&lt;script&gt;pwned=1&lt;/script&gt;`,
	`\"};pwned=1;//`,
	"`${pwned=1}`",
	`]]><script>pwned=1</script>`,
	`<base href=//evil.example>`,
	`<!--<script>`,
	`{name}`,
}

// declaring returns preferences with a text in every field that takes one.
func declaring(s string) *profile.Preferences {
	filter := strings.NewReplacer(":", "", "=", "").Replace(s) // what parts a filter's name from its value
	return &profile.Preferences{
		Name: s, Theme: "dark", PageSize: 20, Sort: s, Filters: []profile.Filter{{Name: filter, Value: s}}, Muted: []string{s}, Contact: "weekly",
		Place: profile.Place{Mode: profile.PlaceChosen, Name: s},
	}
}

// painter is a policy that puts preferences into a page in every way that text can be put there.
func painter() []byte {
	keys := []string{"preference.name", "preference.sort", "preference.filters", "preference.muted", "preference.place", "geo.city"}
	const buffer, room = 8192, 4000
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	value, none := join(i32(buffer), []byte{0x20, 0}), join(i32(0), i32(0))
	declare := map[string]string{}
	for i, key := range keys {
		declare[key] = "to test"
		slot := fmt.Sprintf("#k%d", i)
		code = append(code, join(at(key), i32(buffer), i32(room), []byte{0x10, callRead, 0xa7, 0x21, 0}, []byte{0x20, 0, 0x41, 0, 0x4e, 0x04, 0x40})...)
		for _, edit := range [][]byte{
			join(i32(int(abi.OpText)), at(slot), value, none),
			join(i32(int(abi.OpAttr)), at(slot), at("title"), value),
			join(i32(int(abi.OpAttr)), at(slot), at("data-x"), value),
			join(i32(int(abi.OpBefore)), at(slot), value, none),
			join(i32(int(abi.OpAfter)), at(slot), value, none),
			join(i32(int(abi.OpAppend)), at("#all"), value, none),
			join(i32(int(abi.OpText)), at("title"), value, none),
			join(i32(int(abi.OpText)), at("textarea"), value, none),
		} {
			code = append(code, join(edit, []byte{0x10, callEmit, 0x1a})...)
		}
		// Where it would be run: each of these is to be refused, or left out.
		for _, edit := range [][]byte{
			join(i32(int(abi.OpAttr)), at("#link"), at("href"), value),
			join(i32(int(abi.OpAttr)), at(slot), at("onclick"), value),
			join(i32(int(abi.OpAttr)), at(slot), at("style"), value),
			join(i32(int(abi.OpText)), at("script"), value, none),
			join(i32(int(abi.OpText)), at("style"), value, none),
			join(i32(int(abi.OpHTML)), at(slot), value, none),
		} {
			code = append(code, join(edit, []byte{0x10, callEmit, 0x1a})...)
		}
		code = append(code, 0x0b)
	}
	return module(code, data, &abi.Manifest{Name: "painter", Version: "1.0.0", Reads: declare})
}

const painted = `<!DOCTYPE html><html><head><meta charset=utf-8><title>A</title><style>p{}</style><script>window.site=1</script></head><body>
<div id=all></div><p id=k0></p><p id=k1></p><p id=k2></p><p id=k3></p><p id=k4></p><p id=k5></p><textarea></textarea><a id=link href="/">x</a></body></html>`

func paintedRig(t *testing.T) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "painter.wasm")
	if err := os.WriteFile(file, painter(), 0o600); err != nil {
		t.Fatal(err)
	}
	return newRig(t, html(painted), routes(`[{path: /**, policies: [{use: "file:`+file+`"}]}]`))
}

// shape is a page as a browser parses it: its elements with their attributes, and
// its texts, in which MARK stands for each of the marks.
func shape(t *testing.T, page string, marks ...string) (out []string) {
	t.Helper()
	root, err := dom.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	name := func(s string) string {
		for _, m := range marks {
			s = strings.ReplaceAll(s, m, "MARK")
		}
		return s
	}
	for n := range root.Descendants() {
		switch n.Type {
		case dom.ElementNode:
			s := "<" + n.Data
			for _, a := range n.Attr {
				if n.Data == "a" && a.Key == "href" && n.Parent.Data == "body" {
					if u := strings.ToLower(strings.TrimSpace(a.Val)); strings.HasPrefix(u, "javascript:") || strings.HasPrefix(u, "data:") {
						t.Errorf("a link runs: %q", a.Val)
					}
					continue
				}
				s += " " + a.Key + "=" + name(a.Val)
			}
			out = append(out, s)
		case dom.TextNode:
			out = append(out, "T "+name(n.Data))
		default:
			out = append(out, fmt.Sprintf("%d %s", n.Type, n.Data))
		}
	}
	return out
}

// A script in a preference is text wherever it is shown again: the centre, its
// pages, and the site's page are, parsed, the pages of a visitor who wrote a word.
func TestScriptsInEveryField(t *testing.T) {
	r := paintedRig(t)
	const benign = "plainword"
	pages := []string{"/_bespoke/privacy", "/_bespoke/privacy?saved=preferences", "/_bespoke/privacy/erase", "/"}
	visit := func(word string) (shapes map[string][]string, v *visitor) {
		v = r.visitor(berlin)
		p := declaring(word)
		filters, _ := json.Marshal(map[string]string{p.Filters[0].Name: p.Filters[0].Value})
		quoted, _ := json.Marshal(word)
		body := fmt.Sprintf(`{"name":%s,"theme":"dark","page-size":20,"sort":%s,"filters":%s,"muted":[%s],"contact":"weekly","place":{"mode":"chosen","name":%s}}`,
			quoted, quoted, filters, quoted, quoted)
		if resp, answer := v.do("PUT", "/_bespoke/api/preferences", strings.NewReader(body), "Content-Type", "application/json"); resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", word, resp.StatusCode, answer)
		}
		shapes = map[string][]string{}
		for _, path := range pages {
			resp, answer := v.get(path)
			if resp.StatusCode != 200 {
				t.Fatalf("%s: %d", path, resp.StatusCode)
			}
			shapes[path] = shape(t, answer, word, p.Filters[0].Name)
		}
		return shapes, v
	}
	want, _ := visit(benign)
	if n := strings.Count(strings.Join(want["/"], "\n"), "MARK"); n < 20 {
		t.Fatalf("the word shows %d times on the site's page", n)
	}
	if n := strings.Count(strings.Join(want[pages[0]], "\n"), "MARK"); n < 5 {
		t.Fatalf("the word shows %d times in the centre", n)
	}
	for _, attack := range attacks {
		got, v := visit(attack)
		for _, path := range pages {
			if !slices.Equal(got[path], want[path]) {
				t.Errorf("%s on %s:\n%s", attack, path, difference(got[path], want[path]))
			}
		}
		for _, path := range []string{"/_bespoke/api/preferences", "/_bespoke/api/profile", "/_bespoke/privacy/download"} {
			resp, body := v.get(path)
			if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" || strings.ContainsAny(body, "<>") {
				t.Errorf("%s: %s: %v %s", attack, path, resp.Header, body)
			}
			var in struct {
				Name        string
				Preferences struct{ Name string }
			}
			if err := json.Unmarshal([]byte(body), &in); err != nil || in.Name+in.Preferences.Name != attack {
				t.Errorf("%s: %s says %q, %v", attack, path, in.Name+in.Preferences.Name, err)
			}
		}
	}
}

// A form that is refused shows what was typed again, and that is text, too; so is
// what stands in an address.
func TestScriptsInRefusedForms(t *testing.T) {
	r := newRig(t, html(page))
	const benign = "plainword"
	visit := func(word string) map[string][]string {
		shapes := map[string][]string{}
		v := r.visitor(berlin)
		form := url.Values{}
		for _, field := range []string{"name", "sort", "filters", "muted", "place", "page-size"} {
			form.Set(field, word)
		}
		form.Set("back", "/"+word)
		form.Set("place-mode", "chosen")
		resp, body := v.do("POST", "/_bespoke/privacy", strings.NewReader(form.Encode()), "Content-Type", formType)
		refusedClearly(t, word, resp, body, 400, false)
		shapes["form"] = without(shape(t, body, word), "/")
		_, body = v.get("/_bespoke/privacy?saved=" + url.QueryEscape(word) + "&back=" + url.QueryEscape(word) + "&x=" + url.QueryEscape(word))
		shapes["address"] = shape(t, body, word)
		return shapes
	}
	want := visit(benign)
	if n := strings.Count(strings.Join(want["form"], "\n"), "MARK"); n < 4 {
		t.Fatalf("the word shows %d times in the form:\n%s", n, strings.Join(want["form"], "\n"))
	}
	for _, attack := range attacks {
		got := visit(attack)
		for _, at := range []string{"form", "address"} {
			if !slices.Equal(got[at], want[at]) {
				t.Errorf("%s in the %s:\n%s", attack, at, difference(got[at], want[at]))
			}
		}
	}
}

// without leaves out the way back, which only a path that can be one shows.
func without(shape []string, prefix string) (out []string) {
	for _, s := range shape {
		if !strings.Contains(s, "name=back") && !strings.HasPrefix(s, "<a href="+prefix) {
			out = append(out, s)
		}
	}
	return out
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("node %d is %.300q, want %.300q", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d nodes, want %d", len(got), len(want))
}

// And a browser runs none of it: each preference is set through the site's own API
// from a page of the site, as a visitor's browser would.
func TestScriptsInChromium(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium")
	}
	r := paintedRig(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	_, port, _ := net.SplitHostPort(r.addr)
	site := "http://shop.localhost:" + port
	open := func(path string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(site+path)); err != nil {
			t.Fatalf("open %s: %v", path, err)
		}
	}
	ask := func(js string) string {
		t.Helper()
		v, err := chromedp.Run(ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%.200s: %v", js, err)
		}
		return v
	}
	for i := 0; i < len(attacks); i += 4 { // each attack muted every time, and four in other fields
		attack := attacks[i]
		p := declaring(attacks[i+2])
		body, _ := json.Marshal(map[string]any{"name": attack, "sort": attacks[i+1], "filters": map[string]string{p.Filters[0].Name: p.Filters[0].Value},
			"muted": attacks, "place": map[string]string{"mode": "chosen", "name": attacks[i+3]}})
		script, _ := json.Marshal(string(body))
		open("/")
		if got := ask(fmt.Sprintf(`fetch("/_bespoke/api/preferences", {method: "PUT", headers: {"Content-Type": "application/json"}, body: %s}).then(r => String(r.status))`, script)); got != "200" {
			t.Fatalf("%s: keeping it answers %s", attack, got)
		}
		for _, path := range []string{"/", "/_bespoke/privacy", "/_bespoke/privacy/erase", "/_bespoke/api/preferences", "/_bespoke/privacy?saved=" + url.QueryEscape(attack)} {
			open(path)
			// What hovers and takes the focus runs, too.
			ask(`for (const e of document.querySelectorAll("*")) { e.focus?.(); e.dispatchEvent(new MouseEvent("mouseover", {bubbles: true})) } ""`)
			if path == "/" {
				if got := ask(`document.querySelector("#k0").textContent`); got != attack {
					t.Errorf("%s: the page shows %q", attack, got)
				}
				if got := ask(`document.querySelector("#link").protocol`); got != "http:" {
					t.Errorf("%s: a link leads to %s", attack, got)
				}
			}
			if got := ask(`new Promise(done => setTimeout(done, 30)).then(() => String(window.pwned))`); got != "undefined" {
				t.Errorf("%s on %s was run", attack, path)
			}
		}
	}
	// The test can fail.
	open("/")
	if got := ask(`document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=pwned=1>"), new Promise(done => setTimeout(done, 500)).then(() => String(window.pwned))`); got != "1" {
		t.Errorf("what is run is not noticed: %s", got)
	}
}

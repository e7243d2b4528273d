package rewrite

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// charsetBrowser starts Chromium.
func charsetBrowser(t *testing.T) context.Context {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		t.Cleanup(cancel)
		opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU)
		ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
		t.Cleanup(cancel)
		ctx, cancel = chromedp.NewContext(ctx)
		t.Cleanup(cancel)
		return ctx
	}
	t.Fatal("this test needs Chromium: on Debian or Ubuntu, sudo apt-get install chromium")
	return nil
}

// charsetPage is a page with every character that c has a code for, and some
// that go as references, a line each: the character's number, what Append
// writes for it.
func charsetPage(c Charset) []byte {
	page := []byte("<!DOCTYPE html><title id=all>")
	to := codings[c.code]
	eachRune(func(r rune) {
		if to.single != nil && r > 0xffff {
			return
		}
		code := c.Append(nil, string(r))
		if code[0] != '&' || r%97 == 0 || r < 0x100 {
			page = fmt.Appendf(page, "%x:%s\n", r, code)
		}
	})
	return page
}

// A browser reads every character that Append writes as that character, in
// every charset. Decoding it with x/text would not tell: its tables are older
// than the standard's.
func TestCharsetInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of -short: it reads 35 large pages in a browser")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := charsetOf(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Content-Type", "text/html; charset="+c.Name())
		w.Write(charsetPage(c))
	}))
	defer server.Close()
	ctx := charsetBrowser(t)
	for _, to := range codings {
		if to.name == "" || to.closed {
			continue
		}
		if _, err := chromedp.Run(ctx, chromedp.Navigate(server.URL+"/"+to.name)); err != nil {
			t.Fatal(err)
		}
		said, err := chromedp.Run(ctx, chromedp.Evaluate[[2]string](`(() => {
			const bad = [];
			let n = 0;
			for (const line of document.getElementById("all").textContent.split("\n")) {
				const i = line.indexOf(":");
				if (i < 0) continue;
				n++;
				const want = parseInt(line.slice(0, i), 16), got = line.slice(i + 1);
				if (got === String.fromCodePoint(want) || want < 0xa0 && got === "\ufffd") continue;
				bad.push(line.slice(0, i) + " " + [...got].map(c => c.codePointAt(0).toString(16)));
			}
			if (n < 700) bad.push("only " + n + " lines");
			return [document.characterSet, bad.length == 0 ? "" : bad.length + ": " + bad.slice(0, 500).join("; ")];
		})()`))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.EqualFold(said[0], to.name) {
			t.Errorf("%s: the browser reads it as %s", to.name, said[0])
		}
		if said[1] != "" {
			t.Errorf("%s: read otherwise: %s", to.name, said[1])
		}
	}
}

// A browser takes pages to be in the charset that Sniff tells, apart from the
// cases that say what it takes them for.
func TestSniffInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of -short: it reads 100 pages in a browser")
	}
	cases := sniffCases()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var i int
		if n, err := fmt.Sscanf(r.URL.Path, "/%d", &i); n != 1 || err != nil {
			http.NotFound(w, r)
			return
		}
		header := cases[i].header
		if header == "" {
			header = "text/html"
		}
		w.Header()["Content-Type"] = []string{header}
		w.Write([]byte(cases[i].head))
	}))
	defer server.Close()
	ctx := charsetBrowser(t)
	for i, tt := range cases {
		want := tt.want
		if tt.chromium != "" {
			want = tt.chromium
		}
		if tt.header != "" && !strings.HasPrefix(tt.header, "text/html") {
			continue // no page
		}
		if _, err := chromedp.Run(ctx, chromedp.Navigate(fmt.Sprint(server.URL, "/", i))); err != nil {
			t.Fatal(err)
		}
		said, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.characterSet`))
		if err != nil {
			t.Fatal(err)
		}
		if want == "" || want == guess {
			want = "windows-1252"
		}
		if !strings.EqualFold(said, want) {
			t.Errorf("%q, %q: the browser takes it for %s, want %s", tt.head, tt.header, said, want)
		}
	}
}

package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The demo's consoles, as the demo says how to reach them: what a visitor was refused
// is in the record, seconds later.
func TestConsoles(t *testing.T) {
	port, said := ownDemoAt(t, t.TempDir())
	ask := func(fields ...string) {
		t.Helper()
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+port+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "stores.localhost"
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for range 3 {
		ask("X-Forwarded-For: 198.51.100.7")
		ask("X-Forwarded-For: 198.51.100.7", "Sec-GPC: 1")
	}
	base := regexp.MustCompile(`http://\S+/console/`).FindString(said)
	for role, want := range map[string]string{
		"auditor": "Was every refusal honoured?", "operator": "Operation", "tenant": "What policies did",
	} {
		token := regexp.MustCompile(`(?m)^  ` + role + ` +(bsp_\S+) `).FindStringSubmatch(said)
		if base == "" || token == nil {
			t.Fatalf("the demo does not say how a %s signs in:\n%s", role, said)
		}
		jar, _ := cookiejar.New(nil)
		c := &http.Client{Jar: jar}
		resp, err := c.PostForm(base+"sign-in", url.Values{"token": {token[1]}})
		if err != nil {
			t.Fatal(err)
		}
		if page := body(t, resp); resp.StatusCode != 200 || !strings.Contains(page, want) {
			t.Errorf("%s: %d %s", role, resp.StatusCode, page)
		}
		if role != "auditor" {
			continue
		}
		if resp, err = c.PostForm(base+"privacy/verify", nil); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		// Records are sealed every second, and counted every few.
		var page string
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && !strings.Contains(page, "Yes: no exchange"); time.Sleep(200 * time.Millisecond) {
			if resp, err = c.Get(base + "privacy"); err != nil {
				t.Fatal(err)
			}
			page = body(t, resp)
		}
		for _, want := range []string{"None was changed, left out or put in", "<strong>0</strong> violations", "Global Privacy Control", "Yes: no exchange broke the promise"} {
			if !strings.Contains(page, want) {
				t.Errorf("the auditor's page lacks %q:\n%s", want, page)
			}
		}
	}
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

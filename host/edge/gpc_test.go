package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What the Global Privacy Control specification (W3C Working Draft, and editor's
// draft w3c.github.io/gpc) demands of a server and of an intermediary. Each test
// is one MUST of it; what it demands of user agents is not ours.

type gpcRig struct {
	*rig
	upstream []string // the lines that the origin got last
}

func newGPCRig(t *testing.T) *gpcRig {
	g := new(gpcRig)
	g.rig = newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		g.upstream = req.Header["Sec-Gpc"]
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}))
	return g
}

// seen says what the edge made of a request's header lines: whether it is
// treated as one with the signal, and the lines that the origin got.
func (g *gpcRig) seen(method string, lines ...string) (honoured bool, upstream []string) {
	g.t.Helper()
	var headers []string
	for _, l := range lines {
		headers = append(headers, "Sec-GPC", l)
	}
	// In California what is near is shown unless somebody objects.
	resp, body := g.visitor(sanFrancisco).do(method, "/", nil, headers...)
	if resp.StatusCode != 200 {
		g.t.Fatalf("%s with %q: %s", method, lines, resp.Status)
	}
	switch cities(body) {
	case originOrder:
		return true, g.upstream
	case fromSF:
		return false, g.upstream
	}
	g.t.Fatalf("neither the origin's order nor that of San Francisco:\n%s", body)
	return
}

// Section "The Sec-GPC Header Field": "A server processing an HTTP request that
// contains a Sec-GPC header MUST ignore it and process the request as if that header had not
// been specified unless the field value is exactly the character "1"."
func TestGPCMustIgnoreOtherValues(t *testing.T) {
	g := newGPCRig(t)
	for _, v := range []string{"", "0", "2", "01", "10", "11", "1.0", "+1", "-1", "true", "True", "yes", "on", "?1", `"1"`, "1;q=1", "1 0", "1=1", "one", "１", "\u00b9", "null"} {
		if honoured, upstream := g.seen("GET", v); honoured || len(upstream) > 0 {
			t.Errorf("%q: honoured %v, upstream %q", v, honoured, upstream)
		}
	}
	if honoured, upstream := g.seen("GET"); honoured || len(upstream) > 0 {
		t.Errorf("without the header: honoured %v, upstream %q", honoured, upstream)
	}
	// Space around a field's value is not part of it (RFC 9110, 5.5).
	for _, v := range []string{"1", " 1", "1 ", "\t1\t"} {
		if honoured, upstream := g.seen("GET", v); !honoured || len(upstream) != 1 || upstream[0] != "1" {
			t.Errorf("%q: honoured %v, upstream %q", v, honoured, upstream)
		}
	}
}

// The same section: "If there are multiple Sec-GPC headers and at least one has a field
// value of exactly "1" then the server MUST treat the request as if there were only one Sec-GPC
// header with a field value of "1"; and as if there were none otherwise."
func TestGPCMustCountSeveralHeadersAsOne(t *testing.T) {
	g := newGPCRig(t)
	for _, x := range []struct {
		lines []string
		want  bool
	}{
		{[]string{"1", "1"}, true},
		{[]string{"0", "1"}, true},
		{[]string{"1", "0"}, true},
		{[]string{"", "x", "1", "0"}, true},
		{[]string{"0", "0"}, false},
		{[]string{"true", "01", ""}, false},
	} {
		honoured, upstream := g.seen("GET", x.lines...)
		if honoured != x.want || x.want && fmt.Sprint(upstream) != "[1]" || !x.want && len(upstream) > 0 {
			t.Errorf("%q: honoured %v, upstream %q", x.lines, honoured, upstream)
		}
	}
}

// The same section: "HTTP intermediaries MUST NOT remove a Sec-GPC header set to
// "1"", and the header is "for any request method".
func TestGPCMustNotBeRemoved(t *testing.T) {
	g := newGPCRig(t)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		if honoured, upstream := g.seen(method, "1"); !honoured || fmt.Sprint(upstream) != "[1]" {
			t.Errorf("%s: honoured %v, upstream %q", method, honoured, upstream)
		}
	}
	// Nor because the visitor's own Connection header names it: a signal that
	// one hop can strike out would not reach who has to honour it.
	g.visitor(sanFrancisco).get("/", "Sec-GPC", "1", "Connection", "Sec-GPC")
	if fmt.Sprint(g.upstream) != "[1]" {
		t.Errorf("named by Connection: upstream %q", g.upstream)
	}
}

// Section "GPC Support Representation": "The origin server MUST return the GPC
// support resource as a valid representation using the application/json media type", it
// "MUST be a JSON object", "the value of the gpc member MUST be either true […] or
// false", and "the value of the lastUpdate member MUST be an RFC3339 full-date
// […] or date-time".
func TestGPCSupportResource(t *testing.T) {
	r := newRig(t, html(page))
	resp, body := r.visitor(berlin).get("/.well-known/gpc.json")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" || len(resp.Cookies()) > 0 {
		t.Errorf("%s, %q, cookies %v", resp.Status, resp.Header.Get("Content-Type"), resp.Cookies())
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("no JSON object: %v in %s", err, body)
	}
	if members["gpc"] != true {
		t.Errorf("gpc is %v", members["gpc"])
	}
	day, ok := members["lastUpdate"].(string)
	if _, err := time.Parse(time.DateOnly, day); !ok || err != nil || !regexp.MustCompile(`^\d{4}-\d\d-\d\d$`).MatchString(day) {
		t.Errorf("lastUpdate is %v", members["lastUpdate"])
	}
	if strings.Contains(body, "\x00") || len(members) != 2 {
		t.Errorf("members of no meaning: %v", members)
	}
}

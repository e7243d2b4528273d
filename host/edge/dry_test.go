package edge

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// A dry exchange comes to what the served one came to, byte by byte.
func TestDryIsServed(t *testing.T) {
	keys := []string{"request.path", "request.query.q", "request.header.accept-language", "geo.country", "geo.city", "geo.lat",
		"preference.name", "consent.localize", "page.h1", "config.colour", "geo.region"}
	declare := map[string]string{"request.*": ""}
	for _, k := range keys[:len(keys)-1] { // the last is not declared
		if abi.Classify(k) != abi.Public || strings.HasPrefix(k, "page.") || strings.HasPrefix(k, "request.") {
			declare[k] = "to test"
		}
	}
	delete(declare, "request.*")
	body := strings.Replace(page, "<p id=\"greeting\">", "<h1>Where?</h1><p id=\"greeting\">", 1)
	for i := range keys {
		body += "<i id=k" + string(rune('0'+i%10)) + strings.Repeat("x", i/10) + "></i>\n"
	}
	rigs := map[string]*rig{
		"built in": newRig(t, html(body)),
		"a file":   withPolicy(t, html(body), teller(keys, declare)),
	}
	for _, tt := range []struct {
		name   string
		from   string
		form   string // what the visitor chose
		choice *consent.Choice
		named  string
		header [][2]string
		gpc    bool
	}{
		{"opt-out by default", sanFrancisco, "", nil, "", nil, false},
		{"opt-in by default", berlin, "", nil, "", nil, false},
		{"nowhere", nowhere, "", nil, "", nil, false},
		{"allowed", berlin, "action=allow-all&name=Jane", &consent.Choice{Granted: consent.All}, "Jane", nil, false},
		{"refused", sanFrancisco, "action=refuse-all&name=J%C3%B6rg", &consent.Choice{}, "Jörg", nil, false},
		{"GPC", sanFrancisco, "", nil, "", nil, true},
		{"a piece of a page", sanFrancisco, "", nil, "", [][2]string{{"Sec-Fetch-Dest", "empty"}, {"Accept-Language", "de"}}, false},
	} {
		for kind, r := range rigs {
			t.Run(tt.name+", "+kind, func(t *testing.T) {
				v := r.visitor(tt.from)
				for _, h := range tt.header {
					v.header.Set(h[0], h[1])
				}
				if tt.gpc {
					v.header.Set("Sec-GPC", "1")
				}
				if tt.form != "" {
					v.choose(tt.form)
				}
				resp, served := v.get("/a%20b?q=x+%26+y")
				in := DryInput{Host: "shop.localhost", Target: "/a%20b?q=x+%26+y", Header: tt.header, GPC: tt.gpc,
					Page: []byte(body), Preferences: profile.Preferences{Name: tt.named}}
				in.Place = r.edge.current.Load().geo.Lookup(netip.MustParseAddr(tt.from))
				if c := tt.choice; c != nil {
					in.Choice = &consent.Choice{Granted: c.Granted, At: time.Now().Truncate(time.Second)}
				}
				got, err := r.edge.Dry(in)
				if err != nil {
					t.Fatal(err)
				}
				if string(got.Body) != served || got.Status != resp.StatusCode {
					t.Errorf("dry %d\n%s\nserved %d\n%s", got.Status, got.Body, resp.StatusCode, served)
				}
				if c := resp.Header.Get("Cache-Control"); c != headerOf(got, "Cache-Control") {
					t.Errorf("Cache-Control %q, served with %q", headerOf(got, "Cache-Control"), c)
				}
				if kind == "a file" {
					run := got.Runs[0]
					if last := run.Reads[len(run.Reads)-1]; last.Key != "geo.region" || last.Declared || last.Present {
						t.Errorf("last read %+v", last)
					}
					if len(run.Edits) != len(keys) || run.Fault != nil {
						t.Errorf("%d edits, fault %v", len(run.Edits), run.Fault)
					}
				}
			})
		}
	}
}

func headerOf(r DryResult, name string) string {
	for _, h := range r.Header {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

func TestDryFault(t *testing.T) {
	// It edits, then traps.
	code := join(i32(int(abi.OpText)), i32(0), i32(9), i32(0), i32(0), i32(0), i32(0), []byte{0x10, callEmit, 0x1a, 0x00})
	r := withPolicy(t, html(page), module(code, []byte("#greeting"), &abi.Manifest{Name: "trap"}))
	got, err := r.edge.Dry(DryInput{Host: "shop.localhost", Page: []byte(page), Header: [][2]string{{"Sec-Fetch-Dest", "empty"}}})
	if err != nil {
		t.Fatal(err)
	}
	f, ok := got.Runs[0].Fault.(*engine.Fault)
	if !ok || f.Kind != engine.FaultTrap || string(got.Body) != page || len(got.Runs[0].Edits) != 1 {
		t.Errorf("fault %v, %d edits, page\n%s", got.Runs[0].Fault, len(got.Runs[0].Edits), got.Body)
	}
}

// Hostile input is an error, or harmless.
func TestDryHostile(t *testing.T) {
	r := newRig(t, html(page))
	for name, in := range map[string]DryInput{
		"a page too long": {Host: "shop.localhost", Page: make([]byte, MaxDryPage+1)},
		"another host":    {Host: "else.example"},
		"no host":         {},
		"CONNECT":         {Host: "shop.localhost", Method: "CONNECT"},
		"two lines":       {Host: "shop.localhost\r\nX: y"},
		"a NUL":           {Host: "shop.localhost", Target: "/\x00"},
	} {
		if _, err := r.edge.Dry(in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	got, err := r.edge.Dry(DryInput{
		Host: "shop.localhost", Target: "/%ff?%zz=\xff", Method: "GET", Page: []byte("<ul id=results><li>\xff"),
		Header: [][2]string{{"Accept-Language", "de\r\nSec-GPC: 1"}}, Place: geo.Place{Country: "US", Lat: 1e300, Located: true, Precision: geo.Exact},
	})
	if err != nil || got.Decision.GPC || !strings.HasPrefix(string(got.Body), "<ul id=results><li>\xff") {
		t.Errorf("%v, %+v", err, got)
	}
	if err := r.edge.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.edge.Dry(DryInput{Host: "shop.localhost"}); err == nil {
		t.Error("a stopped edge answers")
	}
}

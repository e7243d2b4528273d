package edge

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// eventful is a policy that emits events, each of kind, item and lines.
func eventful(phase abi.Phase, events [][3]string) []byte {
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	for _, e := range events {
		code = append(code, join(i32(int(abi.OpEvent)), at(e[0]), at(e[1]), at(e[2]), []byte{0x10, callEmit, 0x1a})...)
	}
	return moduleOf([]abi.Phase{phase}, code, data, &abi.Manifest{Name: "emitter", Version: "1.0.0"})
}

// What policies say that the visitor did counts as if the page had said it, but for
// what they hide: that is not the visitor's own wish, and stays with the profile.
func TestPolicyEvents(t *testing.T) {
	events := [][3]string{
		{"view", "lamp-white", "colour=red"}, {"view", "tray-black", ""}, {"purchase", "kettle-black", ""}, {"search", "a lamp", "kind=lamp\ncolour=pink"},
		{"mail-click", "", ""}, {"mail-click", "", ""}, {"view", "nothing", ""}, {"hide", "tray-black", ""}, {"love", "lamp-white", ""},
	}
	for _, phase := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
		dir := t.TempDir()
		emits, tells := filepath.Join(dir, "emitter.wasm"), filepath.Join(dir, "teller.wasm")
		for file, code := range map[string][]byte{emits: eventful(phase, events), tells: teller(followKeys, declareAll(followKeys))} {
			if err := os.WriteFile(file, code, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		rec := house(t)
		r := newRig(t, html(slots(followKeys)), offering(rec), routes(`[{path: /act, policies: [{use: "file:`+emits+`"}]}, {path: /**, policies: [{use: "file:`+tells+`"}]}]`))
		v := r.visitor(berlin)
		v.setCookies(r.sealed(r.allows(abi.Personalize, abi.Measure), nil))
		v.get("/act")
		shown(t, phase.String(), v.tells(t, "/"),
			"profile.recent", "lamp-white", "profile.purchases", "kettle-black", "profile.affinity.colour", "black\t5.04\nwhite\t1\nred\t1",
			"profile.engagement", "mail\t1", "preference.hidden", "absent")
		if s := rec.Stats(); s.Open != 1 || s.Events != 5 || s.Unknown != 0 {
			t.Errorf("%s: aggregates: %+v", phase, s)
		}
		for name, purposes := range map[string][]abi.Purpose{"refused": nil, "measure alone": {abi.Measure}} {
			v := r.visitor(berlin)
			v.setCookies(r.sealed(r.allows(purposes...), nil))
			if resp, _ := v.get("/act"); len(resp.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s, %s: the answer sets %q", phase, name, resp.Header["Set-Cookie"])
			}
		}
		if s := rec.Stats(); s.Open != 1 || s.Events != 5 {
			t.Errorf("%s: aggregates of who did not grant it: %+v", phase, s)
		}
	}
}

// A policy is told the same whatever was granted; what is no event is refused.
func TestEventRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		edit abi.Edit
		want abi.Refusal
	}{
		"view":         {abi.Edit{Op: abi.OpEvent, Target: "view", A: "x"}, abi.Accepted},
		"unknown item": {abi.Edit{Op: abi.OpEvent, Target: "purchase", A: "no such"}, abi.Accepted},
		"no kind":      {abi.Edit{Op: abi.OpEvent}, abi.RefusedTarget},
		"other kind":   {abi.Edit{Op: abi.OpEvent, Target: "View", A: "x"}, abi.RefusedTarget},
		"a long item":  {abi.Edit{Op: abi.OpEvent, Target: "view", A: strings.Repeat("x", maxEventItem+1)}, abi.RefusedArgument},
		"long lines":   {abi.Edit{Op: abi.OpEvent, Target: "view", A: "x", B: strings.Repeat("x", maxEventLines+1)}, abi.RefusedArgument},
	} {
		for _, ph := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			v := &view{x: new(exchange), phase: ph}
			if got := v.Emit(tt.edit); got != tt.want {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
		}
	}
	v := &view{x: new(exchange)}
	for i := range maxEvents + 1 {
		want := abi.Accepted
		if i == maxEvents {
			want = abi.RefusedLimit
		}
		if got := v.Emit(abi.Edit{Op: abi.OpEvent, Target: "view", A: "x"}); got != want {
			t.Errorf("event %d: %v", i, got)
		}
	}
}

// A redirect that a policy asks for does not lose the event that goes with it.
func TestEventWithRedirect(t *testing.T) {
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	for _, e := range []abi.Edit{{Op: abi.OpEvent, Target: "click", A: "lamp-black"}, {Op: abi.OpRedirect, Target: "/product/lamp-black"}} {
		code = append(code, join(i32(int(e.Op)), at(e.Target), at(e.A), at(""), []byte{0x10, callEmit, 0x1a})...)
	}
	r := withPolicy(t, html("x"), moduleOf([]abi.Phase{abi.OnRequest}, code, data, &abi.Manifest{Name: "go", Version: "1"}), offering(house(t)))
	v := r.visitor(berlin)
	v.setCookies(r.sealed(r.allows(abi.Personalize), nil))
	resp, _ := v.get("/")
	if resp.StatusCode != http.StatusFound || v.valueOf("bespoke-profile") == "" || resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func FuzzItemOf(f *testing.F) {
	f.Add([]byte("<!-- data-bespoke-item='a'><p --><b data-bespoke-item='R &amp; D'>"))
	f.Add([]byte("<script>data-bespoke-item=</script><b data-bespoke-item"))
	f.Fuzz(func(t *testing.T, page []byte) {
		if id := itemOf(page); len(id) > maxEventItem || id != "" && !strings.Contains(string(page), "data-bespoke-item") {
			t.Errorf("%q", id)
		}
	})
}

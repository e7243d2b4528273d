package edge

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// Guests written by hand: small enough to see what they do.

// Indices of the functions that module imports.
const (
	callRead = 0
	callEmit = 1
	callLog  = 2
)

// module is a policy with one page of memory, data at its address 0, and code
// as its on_response; the code has one local of type i32. A nil manifest is none.
func module(code, data []byte, manifest *abi.Manifest) []byte {
	return moduleOf([]abi.Phase{abi.OnResponse}, code, data, manifest)
}

// moduleOf is module for these phases, with the same code in each.
func moduleOf(phases []abi.Phase, code, data []byte, manifest *abi.Manifest) []byte {
	section := func(id byte, body []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(body))), body...)
	}
	vec := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	b := []byte("\x00asm\x01\x00\x00\x00")
	const i32, i64 = 0x7f, 0x7e
	b = append(b, section(1, []byte{4,
		0x60, 0, 0,
		0x60, 4, i32, i32, i32, i32, 1, i64,
		0x60, 7, i32, i32, i32, i32, i32, i32, i32, 1, i32,
		0x60, 3, i32, i32, i32, 0})...)
	imports := []byte{3}
	for i, name := range []string{"read", "emit", "log"} {
		imports = append(imports, vec("bespoke_1")...)
		imports = append(append(imports, vec(name)...), 0, byte(i+1))
	}
	b = append(b, section(2, imports)...)
	b = append(b, section(3, []byte{1, 0})...)
	b = append(b, section(5, []byte{1, 0, 1})...)
	exports := append(append([]byte{byte(1 + len(phases))}, vec("memory")...), 2, 0)
	for _, ph := range phases {
		exports = append(append(exports, vec(ph.Export())...), 0, 3)
	}
	b = append(b, section(7, exports)...)
	body := append(append([]byte{1, 1, i32}, code...), 0x0b)
	b = append(b, section(10, append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...))...)
	b = append(b, section(11, append(append([]byte{1, 0, 0x41, 0, 0x0b}, binary.AppendUvarint(nil, uint64(len(data)))...), data...))...)
	if manifest != nil {
		text, err := json.Marshal(manifest)
		if err != nil {
			panic(err)
		}
		if b, err = abi.AppendManifest(b, text); err != nil {
			panic(err)
		}
	}
	return b
}

// i32 is the instruction i32.const n.
func i32(n int) []byte {
	b := []byte{0x41}
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 && c&0x40 == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// teller is a policy that reads keys and puts the value of each, or "absent",
// into the element whose id is k0, k1, ... It declares what declare holds.
func teller(keys []string, declare map[string]string) []byte {
	const absent, buffer, room = 0, 4096, 4000
	data := []byte("absent")
	at := func(s string) (ptr, n []byte) {
		p := len(data)
		data = append(data, s...)
		return i32(p), i32(len(s))
	}
	var code []byte
	for i, key := range keys {
		kp, kn := at(key)
		tp, tn := at(fmt.Sprintf("#k%d", i))
		code = append(code, join(
			kp, kn, i32(buffer), i32(room), []byte{0x10, callRead, 0xa7, 0x21, 0}, // local = i32(read(...))
			i32(int(abi.OpText)), tp, tn,
			[]byte{0x20, 0, 0x41, 0, 0x48, 0x04, 0x7f}, i32(absent), []byte{0x05}, i32(buffer), []byte{0x0b}, // local < 0 ? "absent" : buffer
			[]byte{0x20, 0, 0x41, 0, 0x48, 0x04, 0x7f}, i32(len("absent")), []byte{0x05, 0x20, 0, 0x0b},
			i32(0), i32(0), []byte{0x10, callEmit, 0x1a},
		)...)
	}
	return module(code, data, &abi.Manifest{Name: "teller", Version: "1.0.0", Reads: declare})
}

// rig with a policy from a file.
func withPolicy(t *testing.T, origin http.Handler, code []byte, opts ...rigOption) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mine.wasm")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	return newRig(t, origin, append([]rigOption{routes(`[{path: /**, policies: [{use: "file:` + file + `", with: {colour: blue}}]}]`)}, opts...)...)
}

// Every key there is, for visitors who granted this or that: what a policy gets
// is what its class needs, and nothing that it did not declare.
func TestReads(t *testing.T) {
	keys := []string{
		"request.method", "request.path", "request.query.q", "request.query.none", "request.header.accept-language", "request.header.cookie",
		"config.colour", "config.policy", "config.none", "consent.localize", "consent.personalize", "consent.everything",
		"preference.name", "preference.theme",
		"geo.continent", "geo.country", "geo.region", "geo.timezone", "geo.city", "geo.lat", "geo.lon",
		"profile.recent", "profile.interests", "recommend.best-sellers", "recommend.for-you", "experiment.a",
		"page.h1", "page.h1@class", "page.li", "page.none", "page.[",
		"time.hour", "nonsense", "", "geo.",
	}
	declare := map[string]string{}
	for _, k := range []string{
		"request.method", "request.path", "request.query.*", "request.header.accept-language", "preference.*", "geo.*",
		"profile.recent", "profile.interests", "recommend.best-sellers", "recommend.for-you", "experiment.*", "page.*", "time.hour",
	} {
		declare[k] = "to test"
	}
	body := "<h1 class=big>The  <b>title</b></h1><ul><li>one<li>two</ul>"
	for i := range keys {
		body += fmt.Sprintf("<p id=k%d></p>", i)
	}
	tell := func(t *testing.T, page string, coding string) map[string]string {
		t.Helper()
		got := map[string]string{}
		for i, k := range keys {
			_, rest, ok := strings.Cut(page, fmt.Sprintf("<p id=k%d>", i))
			if !ok {
				t.Fatalf("%s: no slot in\n%s", k, page)
			}
			got[k], _, _ = strings.Cut(rest, "</p>")
		}
		return got
	}
	public := map[string]string{
		"request.method": "GET", "request.path": "/a b", "request.query.q": "x &amp; y", "request.header.accept-language": "de",
		"config.colour": "blue", "config.policy": "teller",
		"page.h1": "The title", "page.h1@class": "big", "page.li": "one\ntwo",
	}
	place := map[string]string{
		"geo.continent": "NA", "geo.country": "US", "geo.region": "US-CA", "geo.timezone": "America/Los_Angeles", "geo.city": "San Francisco",
	}
	for _, coding := range []string{"", "gzip"} {
		r := withPolicy(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			w.Write([]byte(encode(t, coding, body)))
		}), teller(keys, declare))
		for name, tt := range map[string]struct {
			choose string
			place  bool
			name   string
		}{
			"by default":  {"", true, ""},
			"all allowed": {"action=allow-all&name=Jane", true, "Jane"},
			"all refused": {"action=refuse-all&name=Jane", false, "Jane"},
		} {
			t.Run(name+coding, func(t *testing.T) {
				v := r.visitor(sanFrancisco, "Accept-Language", "de")
				if tt.choose != "" {
					v.choose(tt.choose)
				}
				_, page := v.get("/a%20b?q=x+%26+y")
				got := tell(t, page, coding)
				want := map[string]string{"preference.name": tt.name, "consent.localize": "denied", "consent.personalize": "denied"}
				for k, v := range public {
					want[k] = v
				}
				if tt.place {
					for k, v := range place {
						want[k] = v
					}
					want["consent.localize"], want["consent.personalize"] = "granted", "granted"
				}
				for _, k := range keys {
					switch {
					case k == "time.hour" && got[k] != "absent":
					case (k == "geo.lat" || k == "geo.lon") && tt.place:
						// In the cell, and not the point itself.
						if exact := map[string]string{"geo.lat": "37.7749", "geo.lon": "-122.4194"}[k]; got[k] == exact || got[k][:3] != exact[:3] && got[k][:3] != "-12" {
							t.Errorf("%s: %q", k, got[k])
						}
					default:
						w := want[k]
						if w == "" {
							w = "absent"
						}
						if got[k] != w {
							t.Errorf("%s: %q, want %q", k, got[k], w)
						}
					}
				}
			})
		}
	}
	t.Run("undeclared", func(t *testing.T) {
		r := withPolicy(t, html(body), teller(keys, nil))
		_, page := r.visitor(sanFrancisco).get("/?q=1")
		for k, v := range tell(t, page, "") {
			if v != "absent" && !strings.HasPrefix(k, "config.") && !strings.HasPrefix(k, "consent.") {
				t.Errorf("%s was not declared, and is %q", k, v)
			}
		}
	})
	t.Run("a page too long to hold", func(t *testing.T) {
		long := body + strings.Repeat("<p>more</p>", pageLimit/8)
		r := withPolicy(t, html(long), teller(keys, declare))
		_, page := r.visitor(berlin).get("/")
		if got := tell(t, page, ""); got["page.h1"] != "absent" || got["request.method"] != "GET" {
			t.Errorf("page.h1 is %q", got["page.h1"])
		}
		if !strings.HasSuffix(page, long[len(long)-1000:]+privacyLink) {
			t.Error("the rest of the page is not the origin's")
		}
	})
}

// emitter is a policy that emits these edits, with a manifest that declares the
// rights and keys of the page.
func emitter(edits []abi.Edit, rights ...string) []byte {
	var data, code []byte
	at := func(s string) []byte {
		p := len(data)
		data = append(data, s...)
		return join(i32(p), i32(len(s)))
	}
	for _, e := range edits {
		code = append(code, join(i32(int(e.Op)), at(e.Target), at(e.A), at(e.B), []byte{0x10, callEmit, 0x1a})...)
	}
	return module(code, data, &abi.Manifest{Name: "emitter", Version: "1.0.0", Rights: rights})
}

// reader is a policy that logs the value of each key, or "absent".
func reader(keys []string) []byte {
	const absent, buffer, room = 0, 4096, 4000
	data := []byte("absent")
	declare := map[string]string{}
	var code []byte
	for _, key := range keys {
		p := len(data)
		data = append(data, key...)
		declare[key] = "to test"
		code = append(code, join(
			i32(p), i32(len(key)), i32(buffer), i32(room), []byte{0x10, callRead, 0xa7, 0x21, 0}, // local = i32(read(...))
			i32(int(abi.Info)),
			[]byte{0x20, 0, 0x41, 0, 0x48, 0x04, 0x7f}, i32(absent), []byte{0x05}, i32(buffer), []byte{0x0b}, // local < 0 ? "absent" : buffer
			[]byte{0x20, 0, 0x41, 0, 0x48, 0x04, 0x7f}, i32(len("absent")), []byte{0x05, 0x20, 0, 0x0b},
			[]byte{0x10, callLog},
		)...)
	}
	return module(code, data, &abi.Manifest{Name: "reader", Version: "1.0.0", Reads: declare})
}

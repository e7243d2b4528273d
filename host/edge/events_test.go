package edge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

// told returns the data of the events of a kind, as JSON.
func (n *notebook) told(t testing.TB, kind string) (all []string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind != kind {
			continue
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSpace(e.Tenant+" "+string(data)))
	}
	return all
}

func TestChoicesAreRecorded(t *testing.T) {
	book := new(notebook)
	r := newRig(t, html(page), recordedBy(book))
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	v.choose("action=refuse-all&return=/shop")
	v.header.Set("Sec-GPC", "1")
	v.do("PATCH", "/_bespoke/api/choice", strings.NewReader(`{"localize":true}`), "Content-Type", "application/json")
	v.choose("action=prefer&name=Jane") // no choice
	v.choose("action=erase")
	v.do("POST", "/_bespoke/privacy", strings.NewReader("action=allow-all"), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site") // refused
	want := []string{
		`shop {"from":"centre","granted":["localize","locate","personalize","advertise","measure"],"jurisdiction":"DE"}`,
		`shop {"from":"notice","granted":[]}`,
		`shop {"from":"api","granted":["localize"],"under_gpc":true}`,
		`shop {"from":"centre","granted":[],"under_gpc":true}`,
	}
	if got := book.told(t, ledger.KindChoice); !slices.Equal(got, want) {
		t.Errorf("choices\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := book.told(t, ledger.KindErasure); !slices.Equal(got, []string{`shop {"from":"centre"}`}) {
		t.Errorf("erasures %s", got)
	}
}

// What changes what runs is recorded, and runs in the shadow are no reads.
func TestChangesAreRecorded(t *testing.T) {
	book := new(notebook)
	r := newRig(t, html(page), recordedBy(book), routes(sayRoutes))
	reg := r.store.Registry()
	r.upload("one")
	curious := teller([]string{"geo.city", "preference.name", "no.such-key"}, map[string]string{"geo.city": "to test", "preference.name": "to test"})
	if _, err := reg.Upload("shop", "say", curious, ""); err != nil {
		t.Fatal(err)
	}
	must := func(_ registry.Version, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(reg.Activate("shop", "say", 1))
	must(reg.Stage("shop", "say", 2, registry.Shadow, 1000))
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	v.get("/")
	x, line := book.last(t, 2)
	if p := x.Policies; len(p) != 1 || p[0].Version != 1 || p[0].Outcome != "ran" || p[0].Edits != 1 || len(p[0].Given)+len(p[0].Absent)+len(p[0].Undeclared) != 0 || x.Sealed {
		t.Errorf("with a version in its shadow: %s", line)
	}
	must(reg.Activate("shop", "say", 2))
	v.get("/")
	x, line = book.last(t, 3)
	if p := x.Policies; len(p) != 1 || p[0].Version != 2 || !slices.Equal(p[0].Given, []string{"geo.city"}) || !slices.Equal(p[0].Absent, []string{"preference.name"}) || !slices.Equal(p[0].Undeclared, []string{"unknown"}) || !x.Sealed {
		t.Errorf("after its activation: %s", line)
	}
	must(reg.Rollback("shop", "say"))
	must(reg.Retire("shop", "say", 1))
	v.get("/")
	if x, line = book.last(t, 4); x.Policies[0].Outcome != "missing" {
		t.Errorf("without a version: %s", line)
	}

	var got []string
	for _, s := range book.told(t, ledger.KindActivation) {
		var e activationEvent
		if err := json.Unmarshal([]byte(strings.TrimPrefix(s, "shop ")), &e); err != nil || len(e.Digest) != 32 || e.Policy != "say" {
			t.Fatal(s, err)
		}
		got = append(got, string(e.Change)+" "+string(rune('0'+e.Version))+" of "+string(rune('0'+e.Active))+" "+string(e.Mode))
	}
	want := []string{"activate 1 of 1 ", "stage 2 of 1 shadow", "activate 2 of 2 ", "rollback 1 of 1 ", "retire 1 of 0 "}
	if !slices.Equal(got, want) {
		t.Errorf("activations %q, want %q", got, want)
	}
	config := book.told(t, ledger.KindConfig)
	if len(config) != 1 || !strings.Contains(config[0], `"why":"start"`) || !strings.Contains(config[0], `{"name":"shop","policies":[{"use":"say@1"},{"use":"say@active"}]}`) {
		t.Errorf("configurations %s", config)
	}
}

func TestSuspensionIsRecorded(t *testing.T) {
	book := new(notebook)
	r := withPolicy(t, html(page), module([]byte{0x00}, nil, &abi.Manifest{Name: "bad", Version: "1.0.0"}), recordedBy(book))
	v := r.visitor(nowhere)
	n := 0
	last := ""
	for deadline := time.Now().Add(10 * time.Second); last != "suspended" && time.Now().Before(deadline); n++ {
		v.get("/")
		x, _ := book.last(t, n+1)
		if last = x.Policies[0].Outcome; last != "failed trap" && last != "suspended" {
			t.Fatal(last)
		}
	}
	if last != "suspended" {
		t.Fatalf("not suspended after %d failures", n)
	}
	got := book.told(t, ledger.KindSuspension)
	if len(got) != 1 || !strings.Contains(got[0], `"module":"mine.wasm"`) || !strings.Contains(got[0], `"action":"suspended","until":"`) {
		t.Errorf("suspensions %s", got)
	}
}

// With no room for records nothing is learned of the visitor.
func TestNothingIsLearnedUnrecorded(t *testing.T) {
	book := new(notebook)
	r := newRig(t, html(page), recordedBy(book), offering(house(t)), routes(`[{path: /product/*, items: "/product/{item}"}]`))
	v := r.visitor(berlin)
	v.choose("action=allow-all")
	book.full.Store(true)
	v.get("/product/lamp-black")
	if v.valueOf("bespoke-profile") != "" {
		t.Error("a profile was written")
	}
	book.full.Store(false)
	v.get("/product/lamp-black")
	if v.valueOf("bespoke-profile") == "" {
		t.Error("nothing is learned again")
	}
	if x, line := book.last(t, 3); x.Pseudonym == "" {
		t.Errorf("no pseudonym, though there is a session: %s", line)
	}
}

// What is read is numbered as the manifest declares it, and by nothing else.
func TestReadable(t *testing.T) {
	keys := []string{
		"geo.country", "geo.city", "geo.", "preference.name", "preference.theme", "profile.affinity.colour", "profile.recent", "request.path", "request.query.q", "request.query.",
		"recommend.similar", "recommend.similar?item=1", "recommend.similar?", "recommend.deals?n=3", "recommend.for-you", "config.colour", "config.policy", "config.", "consent.localize", "consent.x",
		"page.h1", "time.hour", "", "x", "nonsense.key",
	}
	for _, reads := range [][]string{
		nil, {"geo.*"}, {"geo.country", "preference.*"}, {"recommend.*"}, {"recommend.similar"}, {"recommend.deals", "profile.affinity.*"}, {"config.colour", "consent.localize"},
		{"request.query.*", "request.path", "page.*", "time.*"}, {"consent.*", "config.*"}, keys[:1],
	} {
		m := &abi.Manifest{Reads: map[string]string{}}
		for _, k := range reads {
			m.Reads[k] = "to test"
		}
		r := newReadable(m)
		for _, k := range keys {
			n, ok := r.find(k)
			if ok != m.Declares(k) {
				t.Errorf("%q of %q: %v, the manifest says %v", k, reads, ok, m.Declares(k))
			}
			if !ok || n == siteOwn {
				continue
			}
			prefix, family := strings.CutSuffix(r.names[n], "*")
			if band, _, _ := strings.Cut(k, "?"); r.names[n] != k && r.names[n] != band && !(family && strings.HasPrefix(k, prefix)) {
				t.Errorf("%q of %q is told as %q", k, reads, r.names[n])
			}
		}
	}
}

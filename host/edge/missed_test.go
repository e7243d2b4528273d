package edge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bespoke/host/control"
	"bespoke/host/control/console"
	"bespoke/host/rewrite"
	"bespoke/modules/abi"
)

// missingEdits are edits of which all but the first miss, each for another reason.
var missingEdits = []abi.Edit{
	{Op: abi.OpText, Target: "#a", A: "new"},
	{Op: abi.OpText, Target: "#a", A: "newer"}, // overridden, or what overrides
	{Op: abi.OpText, Target: "#nowhere", A: "x"},
	{Op: abi.OpText, Target: "#nowhere-too", A: "x"},
	{Op: abi.OpAppend, Target: "#void", A: "x"},
	{Op: abi.OpFill, Target: "#empty", A: "title=one"},
	{Op: abi.OpAttr, Target: "#sum", A: "src", B: "/other.js"},
	{Op: 77, Target: "#a"},
	{Op: abi.OpText, Target: "#\xff", A: "x"},
	{Op: abi.OpText, Target: "[", A: "x"},
	{Op: abi.OpHTML, Target: "#a", A: "<b>x</b>"},
	{Op: abi.OpUpstreamPath, A: "/x"},
}

// missing is a site whose pages give edits every occasion to miss.
func missing(w http.ResponseWriter, r *http.Request) {
	const body = `<!doctype html><p id=a>old</p><img id=void src=a.png><ul id=empty></ul><script id=sum src=/s.js integrity=sha256-x></script>`
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/page":
		io.WriteString(w, body)
	case "/utf-16":
		w.Header().Set("Content-Type", "text/html; charset=utf-16")
		io.WriteString(w, body)
	case "/deep":
		io.WriteString(w, strings.Repeat("<div>", rewrite.DefaultMaxDepth+1)+body)
	case "/short":
		w.Header().Set("Content-Length", "1000000")
		io.WriteString(w, body)
	case "/data/broken":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"a":1,}`)
	case "/data/long":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"a":"`+strings.Repeat("x", rewrite.DefaultMaxJSON)+`"}`)
	}
}

// missedOf returns the reasons of a policy, once their number is as wanted; what a
// visitor was sent may be a moment ahead of what is counted of it.
func missedOf(r *rig, route, policy string, want map[string]float64) map[string]float64 {
	var got map[string]float64
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(5 * time.Millisecond) {
		got = map[string]float64{}
		for key, n := range figuresOf(r.edge) {
			if why, ok := strings.CutPrefix(key, "bespoke_policy_edit_reasons_total{shop,"+route+","+policy+","); ok {
				got[strings.TrimSuffix(why, "}")] = n
			}
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			break
		}
	}
	return got
}

// Each edit that misses is told by its reason, in the figures and on the tenant's page.
func TestMissed(t *testing.T) {
	r := newRig(t, http.HandlerFunc(missing), routes(`[{path: /data/**, policies: [{use: data@1}]}, {path: /**, policies: [{use: say@1}, {use: misses@active}]}]`))
	reg := r.store.Registry()
	for name, code := range map[string][]byte{
		"misses": emitter(missingEdits), "say": saying("x"), // say's edits come first in the plan
		"data": emitter([]abi.Edit{{Op: abi.OpText, Target: "/a", A: "x"}, {Op: abi.OpAddClass, Target: "/a", A: "x"}}),
	} {
		if _, err := reg.Upload("shop", name, code, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reg.Activate("shop", "misses", 1); err != nil {
		t.Fatal(err)
	}
	v := r.visitor(berlin)
	want := map[string]map[string]float64{"misses@active": {}, "data@1": {}}
	refused := map[string]float64{"refused-operation": 1, "refused-argument": 1, "refused-target": 1, "refused-right": 1, "refused-phase": 1}
	for _, step := range []struct {
		path, route, policy string
		adds                map[string]float64
	}{
		{"/page", "/**", "misses@active", map[string]float64{"unmatched": 2, "overridden": 1, "void-element": 1, "nothing-to-repeat": 1, "integrity": 1}},
		{"/utf-16", "/**", "misses@active", map[string]float64{"charset": 7}},
		{"/deep", "/**", "misses@active", map[string]float64{"stopped-too-deep": 7}},
		{"/short", "/**", "misses@active", map[string]float64{"cut-off": 2, "overridden": 1, "void-element": 1, "nothing-to-repeat": 1, "integrity": 1}},
		{"/data/broken", "/data/**", "data@1", map[string]float64{"stopped-ambiguous": 1}},
		{"/data/long", "/data/**", "data@1", map[string]float64{"too-large": 1}},
	} {
		sum := want[step.policy]
		for why, n := range step.adds {
			sum[why] += n
		}
		if step.policy == "data@1" {
			sum["refused-unsupported"]++
		} else {
			for why, n := range refused {
				sum[why] += n
			}
		}
		req, err := http.NewRequest("GET", "http://shop.localhost"+step.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := v.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body) // that of /short ends with an error
		resp.Body.Close()
		if got := missedOf(r, step.route, step.policy, sum); fmt.Sprint(got) != fmt.Sprint(sum) {
			t.Fatalf("%s: %v, want %v", step.path, got, sum)
		}
	}
	if got := missedOf(r, "/**", "say@1", map[string]float64{"charset": 1, "cut-off": 1, "stopped-too-deep": 1, "unmatched": 1}); fmt.Sprint(got) != "map[charset:1 cut-off:1 stopped-too-deep:1 unmatched:1]" {
		t.Errorf("say: %v", got)
	}
	onPage(t, r, "/console/tenants/shop/policies/misses", want["misses@active"])
	onPage(t, r, "/console/tenants/shop/policies/data", want["data@1"])

	// Every reason that there is has words.
	all, each := map[string]float64{}, [missedReasons]uint16{}
	m := r.edge.meters.Tenant("shop")
	for i := range each {
		each[i], all[missedNames[i]] = uint16(1001+i), float64(1001+i)
	}
	m.Missed(0, m.Policy("/all", "say@all"), 0, each[:])
	for why, n := range missedOf(r, "/**", "say@1", map[string]float64{"charset": 1, "cut-off": 1, "stopped-too-deep": 1, "unmatched": 1}) {
		all[why] += n
	}
	onPage(t, r, "/console/tenants/shop/policies/say", all)
}

// onPage looks at a policy's page as its tenant does: each reason stands there, in words, with its number.
func onPage(t *testing.T, r *rig, path string, want map[string]float64) {
	t.Helper()
	tokens := control.NewTokens(r.dir)
	secret, _, err := tokens.Add(control.Token{Role: control.RoleTenant, Tenant: "shop", Name: path[strings.LastIndexByte(path, '/')+1:]}, r.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := console.New(console.Config{Tokens: tokens, Tenants: func() []string { return []string{"shop"} }, Policies: r.store.Registry(), Runtime: r.store, Figures: r.edge.Families, Now: r.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("GET", path, nil)
	req.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, req)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	rows := regexp.MustCompile(`<th scope="row" class="text">([^<]*)</th><td class="n">([0-9,]+)</td><td class="text">([^<]*) <span class="soft">\(([a-z-]+)\)</span>`).FindAllStringSubmatch(w.Body.String(), -1)
	got := map[string]float64{}
	for _, row := range rows {
		if len(strings.Fields(row[1])) < 4 || len(strings.Fields(row[3])) < 3 {
			t.Errorf("%s: not in words: %q", path, row)
		}
		if got[row[4]], err = strconv.ParseFloat(strings.ReplaceAll(row[2], ",", ""), 64); err != nil {
			t.Error(err)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s shows %v, want %v", path, got, want)
	}
}

// Every reason of the rewriter, and every refusal, has a figure of its own.
func TestEveryReasonIsCounted(t *testing.T) {
	seen := map[string]bool{}
	for i, name := range missedNames {
		if name == "" || seen[name] {
			t.Errorf("reason %d is named %q", i, name)
		}
		seen[name] = true
	}
	by := map[missed]bool{}
	for y := rewrite.Reason(1); y.String() != ""; y++ {
		if int(y) >= len(missedBy) || missedBy[y] == missedNowhere || by[missedBy[y]] {
			t.Errorf("%q has no figure of its own", y)
			continue
		}
		by[missedBy[y]] = true
	}
	if n := missedReasons - refusedOp; n != missed(abi.RefusedUnsupported) || (abi.RefusedUnsupported+1).String() != "refused" {
		t.Errorf("%d refusals have figures", n)
	}
	var r refusals
	for why := abi.Refusal(-1); why < 20; why++ {
		for range 1 << 17 / 10 {
			r.add(why) // whatever a host answers
		}
	}
	for range 1 << 17 {
		r.add(abi.RefusedTarget)
	}
	if r.times[0] != 1<<17/10 || r.times[1] != 1<<16-1 {
		t.Errorf("%v", r.times)
	}
}

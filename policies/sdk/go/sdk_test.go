package bespoke_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

type exchange struct {
	values map[string]string
	edits  []abi.Edit
	log    []string
}

func (x *exchange) Read(key []byte) ([]byte, bool) {
	v, ok := x.values[string(key)]
	return []byte(v), ok
}

func (x *exchange) Emit(e abi.Edit) abi.Refusal {
	if strings.HasPrefix(e.Target, "refuse") {
		return abi.RefusedTarget
	}
	x.edits = append(x.edits, e)
	return abi.Accepted
}

func (x *exchange) Log(_ abi.Level, line []byte) { x.log = append(x.log, string(line)) }

// touch opens the sources that a build reads, so that the cache of test
// results knows that the test depends on them.
func touch(t *testing.T, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files match %s", p)
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// load compiles the policy in testdata and loads it.
func load(t *testing.T, name string) *engine.Module {
	t.Helper()
	dir := "testdata/" + name
	touch(t, "*.go", dir+"/*.go")
	out := filepath.Join(t.TempDir(), "policy.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-trimpath", "-o", out, "./"+dir)
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	e, err := engine.New(ctx, engine.Config{Limits: abi.Limits{RunMillis: 5000, InitMillis: 20_000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(ctx) })
	m, err := e.Load(ctx, name, module)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A run that makes a few texts and values finds the memory for them at hand.
func TestAllocationIsWarm(t *testing.T) {
	m := load(t, "joins")
	x := &exchange{values: map[string]string{"request.path": "/a/path"}}
	if err := m.Run(t.Context(), abi.OnResponse, x); err != nil || len(x.edits) != 4 {
		t.Fatalf("%v, %d edits", err, len(x.edits))
	}
	// 93,000 as measured; each size that is not at hand adds some 15,000.
	if fuel := m.State().Fuel; fuel > 110_000 {
		t.Errorf("the run took %d instructions", fuel)
	} else {
		t.Logf("%d instructions", fuel)
	}
}

// TestSDK runs every call of the SDK on the engine.
func TestSDK(t *testing.T) {
	ctx := t.Context()
	m := load(t, "policy")
	values := map[string]string{
		"config.policy": "p", "config.greeting": "hé", "request.query.q": "tea", "request.header.accept-language": "de",
		"preference.name": "Jane", "request.method": "GET", "request.path": "/shops", "geo.country": "DE", "geo.city": "Berlin",
		"geo.lat": "52.52", "geo.lon": "13.405", "consent.localize": "granted", "consent.personalize": "denied",
		"page.body": strings.Repeat("x", 5000),
	}
	for _, c := range []struct {
		phase abi.Phase
		edits []abi.Edit
		log   []string
	}{
		{abi.OnRequest, []abi.Edit{
			{Op: abi.OpRedirect, Target: "/de", A: "303"},
			{Op: abi.OpUpstreamHeader, Target: "X-Variant", A: "b"},
			{Op: abi.OpUpstreamPath, A: "/b/shops"},
			{Op: abi.OpSetHeader, Target: "Vary", A: "Accept-Language"},
		}, nil},
		{abi.OnResponse, []abi.Edit{
			{Op: abi.OpText, Target: "#values", A: "p|hé|tea|de||Jane|GET|/shops|DE|Berlin|localize only"},
			{Op: abi.OpAttr, Target: "a", A: "href", B: "/x"},
			{Op: abi.OpUnsetAttr, Target: "a", A: "rel"},
			{Op: abi.OpAddClass, Target: "a", A: "c"},
			{Op: abi.OpRemoveClass, Target: "a", A: "d"},
			{Op: abi.OpBefore, Target: "a", A: "1"},
			{Op: abi.OpAfter, Target: "a", A: "2"},
			{Op: abi.OpPrepend, Target: "a", A: "3"},
			{Op: abi.OpAppend, Target: "a", A: "4"},
			{Op: abi.OpRemove, Target: "i"},
			{Op: abi.OpSetHeader, Target: "X-A", A: "1"},
			{Op: abi.OpAddHeader, Target: "X-B", A: "2"},
			{Op: abi.OpRemoveHeader, Target: "X-C"},
			{Op: abi.OpOrder, Target: "#a", A: "by=distance\nat=52.52,13.405\nlat=data-lat\nlon=data-lon"},
			{Op: abi.OpOrder, Target: "#b", A: "by=distance\nat=52.52,13.405\nlat=lat\nlon=lon", B: "items=li .shop\nshow=.km\nunit=mi"},
			{Op: abi.OpOrder, Target: "#d", A: "by=attr\nas=number\nattr=data-price\ndir=desc"},
			{Op: abi.OpOrder, Target: "#e", A: "by=attr\nattr=title first=1"},
			{Op: abi.OpOrder, Target: "#f", A: "by=ids\nids=x y"},
			{Op: abi.OpKeep, Target: "#g", A: "first=3\nwithin=12.5\nat=52.52,13.405\nlat=data-lat\nlon=data-lon"},
			{Op: abi.OpKeep, Target: "#h", A: "first=3", B: "items=li"},
			{Op: abi.OpWhy, A: "because"},
			{Op: abi.OpEvent, Target: "view", A: "7", B: "colour=red\nsize=L"},
			{Op: abi.OpFill, Target: "#band", A: "id=2\ntitle=a=b"},
		}, []string{"refused: edit refused: bad target"}},
	} {
		x := &exchange{values: values}
		if err := m.Run(ctx, c.phase, x); err != nil {
			t.Fatal(err)
		}
		for i := range max(len(x.edits), len(c.edits)) {
			if i >= len(x.edits) || i >= len(c.edits) || x.edits[i] != c.edits[i] {
				t.Errorf("%v: edit %d:\ngot  %q\nwant %q", c.phase, i, x.edits[i:], c.edits[i:])
				break
			}
		}
		if !slices.Equal(x.log, c.log) {
			t.Errorf("%v: log %q, want %q", c.phase, x.log, c.log)
		}
	}
}

// TestBands runs what is for bands, lists of what is liked, and filters.
func TestBands(t *testing.T) {
	m := load(t, "bands")
	wide := "id=1"
	for i := range 70 {
		wide += "\ta" + strconv.Itoa(i) + "=x"
	}
	x := &exchange{values: map[string]string{"profile.affinity.colour": "black\t3\nred\t0.5",
		"recommend.for-you?n=3": "id=1\nid=2\ttitle=a=b\t=x\n\nid=3\tattr.c=red\nid=4", "recommend.deals": "id=1\tattr.t=coffee, Tea\nid=2\ttitle=tea", "recommend.trending": wide}}
	if err := m.Run(t.Context(), abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	want := []abi.Edit{
		{Op: abi.OpWhy, A: strings.Repeat("é", 98) + "…"},
		{Op: abi.OpWhy, A: "…"},
		{Op: abi.OpFill, Target: "#wide", A: "a62=x\n"},
		{Op: abi.OpEvent, Target: "view", A: "7", B: "colour=red id=8\nsize=L\n"},
		{Op: abi.OpFill, Target: "#band", A: "id=2\ntitle=a=b\n\nid=3\nattr.c=red\n"},
		{Op: abi.OpFill, Target: "#none"},
		{Op: abi.OpOrder, Target: "#j", A: "weight.data-c=black:3|red:0.5\nweight.data-s=L:1\nby=affinity", B: "items=li"},
		{Op: abi.OpOrder, Target: "#l", A: "by=attr\nas=date\nfrom=pubDate"},
		{Op: abi.OpKeep, Target: "#m", A: "attr=brand\nin=A|B"},
		{Op: abi.OpKeep, Target: "#m", A: "attr=price\nmin=1"},
		{Op: abi.OpKeep, Target: "#n", A: "from=source@url\nnot=x"},
		{Op: abi.OpKeep, Target: "#o", A: "attr=price\nmax=9.5"},
	}
	if !slices.Equal(x.edits, want) || len(x.log) != 0 {
		t.Errorf("got  %q\nwant %q\nlog %q", x.edits, want, x.log)
	}
}

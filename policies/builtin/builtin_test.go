package builtin_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/policies/builtin"
)

// exchange answers only the keys that the policy's manifest declares, as a
// host does, and takes the edits that the rewriter takes.
type exchange struct {
	manifest *abi.Manifest
	values   map[string]string
	reads    []string
	edits    []abi.Edit
	log      []string
}

func (x *exchange) Read(key []byte) ([]byte, bool) {
	k := string(key)
	x.reads = append(x.reads, k)
	if !x.manifest.Declares(k) {
		return nil, false
	}
	v, ok := x.values[k]
	return []byte(v), ok
}

func (x *exchange) Emit(e abi.Edit) abi.Refusal {
	r := rewrite.Check(e)
	if r == abi.Accepted {
		x.edits = append(x.edits, e)
	}
	return r
}

func (x *exchange) Log(_ abi.Level, line []byte) { x.log = append(x.log, string(line)) }

// compiled is the module on an engine that lives as long as the tests:
// compiling it takes longer than all the runs.
var compiled = sync.OnceValues(func() (*engine.Module, error) {
	ctx := context.Background()
	e, err := engine.New(ctx, engine.Config{Limits: abi.Limits{RunMillis: 5000, InitMillis: 20_000}})
	if err != nil {
		return nil, err
	}
	return e.Load(ctx, "built-in", builtin.Module())
})

func loaded(t testing.TB) *engine.Module {
	t.Helper()
	m, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// keys builds the values of a run: the policy's name, then pairs.
func keys(policy string, pairs ...string) map[string]string {
	m := map[string]string{abi.KeyConfigPolicy: policy}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

const (
	order = "by=distance\nat=52.52,13.4\n"
	usual = "lat=data-lat\nlon=data-lon\n"
)

func TestPolicies(t *testing.T) {
	m := loaded(t)
	with := func(policy string, pairs ...string) func(...string) map[string]string {
		return func(more ...string) map[string]string { return keys(policy, append(slices.Clone(pairs), more...)...) }
	}
	berlin := with("nearby", "geo.lat", "52.52", "geo.lon", "13.4", "config.list", "#r")
	jane := with("greet", "preference.name", "Jane", "config.slot", "#hello")
	for _, c := range []struct {
		name   string
		values map[string]string
		edits  []abi.Edit
		log    string
	}{
		{"nearby, least", berlin(), []abi.Edit{
			{Op: abi.OpOrder, Target: "#r", A: usual + strings.TrimSuffix(order, "\n")},
		}, ""},
		{"nearby, everything", berlin("config.items", "li", "config.lat", "la", "config.lon", "lo", "config.show", ".km",
			"config.first", "5", "config.within", "12.5", "config.unit", "mi"), []abi.Edit{
			{Op: abi.OpOrder, Target: "#r", A: "lat=la\nlon=lo\n" + strings.TrimSuffix(order, "\n"), B: "items=li\nshow=.km\nunit=mi"},
			{Op: abi.OpKeep, Target: "#r", A: "lat=la\nlon=lo\nfirst=5\nwithin=12.5\nat=52.52,13.4", B: "items=li"},
		}, ""},
		{"nearby, first only", berlin("config.first", "5"), []abi.Edit{
			{Op: abi.OpOrder, Target: "#r", A: usual + strings.TrimSuffix(order, "\n")},
			{Op: abi.OpKeep, Target: "#r", A: "first=5"},
		}, ""},
		{"nearby, no place", keys("nearby", "config.list", "#r", "config.first", "5"), nil, ""},
		{"nearby, half a place", keys("nearby", "config.list", "#r", "geo.lat", "52.52"), nil, ""},
		{"nearby, a place off the Earth", keys("nearby", "config.list", "#r", "geo.lat", "95", "geo.lon", "1"), nil, ""},
		{"nearby, a place that is no number", keys("nearby", "config.list", "#r", "geo.lat", "NaN", "geo.lon", "1"), nil, ""},
		{"nearby, no list", keys("nearby", "geo.lat", "52.52", "geo.lon", "13.4"), nil, "the option list is missing"},
		{"nearby, bad first", berlin("config.first", "many"), nil, "first is no whole number"},
		{"nearby, first of nothing", berlin("config.first", "0"), nil, "first is no whole number"},
		{"nearby, bad within", berlin("config.within", "-1"), nil, "within is no number"},
		{"nearby, within not a number", berlin("config.within", "NaN"), nil, "within is no number"},

		{"greet", jane(), []abi.Edit{{Op: abi.OpText, Target: "#hello", A: "Welcome back, Jane"}}, ""},
		{"greet, own text", jane("config.text", "{name}, hello {name}!"), []abi.Edit{{Op: abi.OpText, Target: "#hello", A: "Jane, hello Jane!"}}, ""},
		{"greet, no name", keys("greet", "config.slot", "#hello"), nil, ""},
		{"greet, a name of blanks", jane("preference.name", " \t\u00a0\n"), nil, ""},
		{"greet, no slot", keys("greet", "preference.name", "Jane"), nil, "the option slot is missing"},
		{"greet, markup", jane("preference.name", `<script>alert("x")</script>`), []abi.Edit{
			{Op: abi.OpText, Target: "#hello", A: `Welcome back, <script>alert("x")</script>`}}, ""},
		{"greet, a name that names itself", jane("preference.name", "{name}"), []abi.Edit{{Op: abi.OpText, Target: "#hello", A: "Welcome back, {name}"}}, ""},
		{"greet, 10 KB", jane("preference.name", strings.Repeat("ü", 5000)), []abi.Edit{
			{Op: abi.OpText, Target: "#hello", A: "Welcome back, " + strings.Repeat("ü", 80) + "…"}}, ""},
		{"greet, as long as allowed", jane("preference.name", strings.Repeat("ü", 80)), []abi.Edit{
			{Op: abi.OpText, Target: "#hello", A: "Welcome back, " + strings.Repeat("ü", 80)}}, ""},
		{"greet, lines and turned text", jane("preference.name", " Ja\r\nne \u202egnp\u2069\x00 "), []abi.Edit{
			{Op: abi.OpText, Target: "#hello", A: "Welcome back, Ja ne gnp"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := c.values[abi.KeyConfigPolicy]
			manifest, ok := m.Manifest(policy)
			if !ok {
				t.Fatalf("no manifest of %s", policy)
			}
			x := &exchange{manifest: manifest, values: c.values}
			if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(x.edits, c.edits) {
				t.Errorf("edits\ngot  %+v\nwant %+v", x.edits, c.edits)
			}
			if log := strings.Join(x.log, "\n"); (log == "") != (c.log == "") || !strings.Contains(log, c.log) {
				t.Errorf("log %q, want %q", log, c.log)
			}
			for _, k := range x.reads {
				if !manifest.Declares(k) {
					t.Errorf("reads %q, which the manifest does not declare", k)
				}
			}
			for k := range c.values {
				name, option := strings.CutPrefix(k, abi.KeyConfig)
				if _, ok := manifest.With[name]; option && !ok && k != abi.KeyConfigPolicy {
					t.Errorf("the manifest does not have the option %s", name)
				}
			}
		})
	}
}

// TestPage carries the edits out on a page.
func TestPage(t *testing.T) {
	const page = `<p id=hello>Hello</p>
<ul id=r>
<li data-lat=48.86 data-lon=2.35>Paris <i></i></li>
<li data-lat=52.51 data-lon=13.39>Berlin <i></i></li>
<li data-lat=53.55 data-lon=9.99>Hamburg <i></i></li>
</ul>`
	const want = `<p id=hello>Welcome back, &lt;b&gt;Jane</p>
<ul id=r>
<li data-lat=52.51 data-lon=13.39>Berlin <i>1 km</i></li>
<li data-lat=53.55 data-lon=9.99>Hamburg <i>255 km</i></li>
</ul>`
	m := loaded(t)
	var edits []abi.Edit
	for _, values := range []map[string]string{
		keys("nearby", "geo.lat", "52.52", "geo.lon", "13.4", "config.list", "#r", "config.show", "i", "config.first", "2"),
		keys("greet", "preference.name", "<b>Jane", "config.slot", "#hello"),
	} {
		manifest, _ := m.Manifest(values[abi.KeyConfigPolicy])
		x := &exchange{manifest: manifest, values: values}
		if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
			t.Fatal(err)
		}
		edits = append(edits, x.edits...)
	}
	plan, err := rewrite.Compile(edits, rewrite.Options{Charset: rewrite.UTF8})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := rewrite.New(plan, &out)
	if _, err := r.Write([]byte(page)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestRefused has a selector that does not parse: the list must not be cut then.
func TestRefused(t *testing.T) {
	m := loaded(t)
	manifest, _ := m.Manifest("nearby")
	x := &exchange{manifest: manifest, values: keys("nearby",
		"geo.lat", "52.52", "geo.lon", "13.4", "config.list", "#r", "config.items", "li(", "config.first", "3")}
	if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	if len(x.edits) != 0 || len(x.log) != 1 || !strings.Contains(x.log[0], "bad argument") {
		t.Errorf("edits %v, log %q", x.edits, x.log)
	}
}

func TestUnknownPolicy(t *testing.T) {
	x := &exchange{manifest: &abi.Manifest{}, values: keys("nearly")}
	if err := loaded(t).Run(context.Background(), abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	if len(x.edits) != 0 || len(x.log) != 1 || !strings.Contains(x.log[0], "nearly") {
		t.Errorf("edits %v, log %q", x.edits, x.log)
	}
}

func TestManifest(t *testing.T) {
	m := loaded(t)
	var names []string
	for _, f := range m.Manifests() {
		names = append(names, f.Name)
		if f.Runs(abi.OnRequest) || !f.Runs(abi.OnResponse) {
			t.Errorf("%s runs in the wrong phase", f.Name)
		}
	}
	if !slices.Equal(names, []string{"nearby", "greet", "shelf", "rank", "prefer", "fence", "persona", "ads", "feed", "theme", "card", "cadence", "summary", "lesson"}) {
		t.Errorf("policies %q", names)
	}
}

func BenchmarkNearby(b *testing.B) {
	m := loaded(b)
	manifest, _ := m.Manifest("nearby")
	values := keys("nearby", "geo.lat", "52.52", "geo.lon", "13.4", "config.list", "#r", "config.first", "5")
	for b.Loop() {
		x := &exchange{manifest: manifest, values: values}
		if err := m.Run(context.Background(), abi.OnResponse, x); err != nil || len(x.edits) != 2 {
			b.Fatal(err, x.edits)
		}
	}
}

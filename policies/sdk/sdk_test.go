package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/policies/scaffold"
)

// exchange answers from a table and takes every edit whose target does not
// begin with "refuse".
type exchange struct {
	values map[string]string
	edits  []abi.Edit
	log    []string
	reads  int
}

func (x *exchange) Read(key []byte) ([]byte, bool) {
	x.reads++
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

// small is what modules in AssemblyScript and C stay below: no library comes with them.
const small = 32 << 10

// build scaffolds a policy, lets change have its folder, and loads what it
// compiles to.
func build(t testing.TB, e *engine.Engine, l scaffold.Language, change func(dir string)) *engine.Module {
	t.Helper()
	dir := t.TempDir()
	if _, err := scaffold.New(dir, "welcome", l); err != nil {
		t.Fatal(err)
	}
	if l == scaffold.AssemblyScript {
		modules, err := filepath.Abs("assemblyscript/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(dir)
	}
	b, err := scaffold.Build(context.Background(), dir)
	var missing *scaffold.MissingTool
	if errors.As(err, &missing) {
		t.Fatalf("this test needs clang, lld, Node.js and AssemblyScript (make sdk installs them): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.Output != "" {
		t.Errorf("%s: the compiler says: %s", l, b.Output)
	}
	module, err := os.ReadFile(b.File)
	if err != nil {
		t.Fatal(err)
	}
	if l != scaffold.Go && len(module) > small {
		t.Errorf("%s: the module has %d bytes, more than %d", l, len(module), small)
	}
	m, err := e.Load(context.Background(), string(l), module)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newEngine(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.New(context.Background(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

func run(t *testing.T, m *engine.Module, p abi.Phase, values map[string]string) *exchange {
	t.Helper()
	x := &exchange{values: values}
	if err := m.Run(context.Background(), p, x); err != nil {
		t.Fatalf("%v with %.300q", err, fmt.Sprint(values))
	}
	return x
}

// inputs are what the example may read, ordinary and odd.
func inputs() []map[string]string {
	keys := map[string][]string{
		"geo.country":     {"-", "DE", "AT", "BR", "JP", "US", "", "de", "DE\n", "\U0001F1E9"},
		"time.hour":       {"-", "0", "4", "5", "11", "12", "17", "18", "23", "", "x", "-1", "24"},
		"preference.name": {"-", "Jane", "", "<b>&\"'", "Jörg 🦊 \u200d", strings.Repeat("ü", 700), "a\nb", "\x00"},
		"geo.lat":         {"-", "52.5500", "-33.0000", "0.0000", "90.0000", "90.0001", "12.3456", "-0.5000", "x", "", "1.", ".5", "--1", "90.", "90.000001", "089.9", "+1", "1e1", "1.2.3"},
		"geo.lon":         {"-", "13.4268", "-122.4194", "0.0500", "180.0000", "-180", "-180.5", "100", "7.1000", "-", "0180", "999999999999999999999"},
		"config.show":     {"-", ".distance", "", ".a\n.b"},
		"config.slot":     {"#greeting", "refuse", "-", "#\U0001F98A"},
		"config.list":     {"#results", "#results", "#results", "-"},
		"config.notices":  {"-", "DE one\nUS two\nDE three <&>", "DE\nDE \nDE a b c\n", "\n\n", "DE x\n\nDE y\n", "JP \U0001F98A\u00e4"},
	}
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	r := rand.New(rand.NewPCG(1, 2))
	var all []map[string]string
	for range 2000 {
		values := map[string]string{}
		for _, k := range names {
			if v := keys[k][r.IntN(len(keys[k]))]; v != "-" {
				values[k] = v
			}
		}
		all = append(all, values)
	}
	return all
}

// The example policy is the same in the three languages: equal inputs give
// equal edits, byte by byte.
func TestExampleIsOnePolicy(t *testing.T) {
	e := newEngine(t)
	of := map[scaffold.Language]*engine.Module{}
	for _, l := range scaffold.Languages() {
		of[l] = build(t, e, l, nil)
	}
	seen := map[string]bool{}
	for _, values := range inputs() {
		want := run(t, of[scaffold.Go], abi.OnResponse, values)
		for _, e := range want.edits {
			seen[e.Op.String()+e.A] = true
		}
		for _, l := range scaffold.Languages()[1:] {
			got := run(t, of[l], abi.OnResponse, values)
			if !slices.Equal(got.edits, want.edits) || !slices.Equal(got.log, want.log) {
				t.Fatalf("%q\n%s: %q %q\ngo: %q %q", values, l, got.edits, got.log, want.edits, want.log)
			}
		}
	}
	// That the inputs reach everything.
	for _, e := range []string{"textGuten Morgen, Jane", "textBom dia", "textこんばんは", "textGood afternoon", "attrlang",
		"beforethree <&>\n", "before\n", "orderby=distance\nat=52.5500,13.4268\nlat=data-lat\nlon=data-lon",
		"orderby=distance\nat=-0.5000,-180\nlat=data-lat\nlon=data-lon"} {
		if !seen[e] {
			t.Errorf("no input leads to %q", e)
		}
	}
}

// Everything in the SDKs does the same: policies that use all of it emit what
// the one in Go does, which go/sdk_test.go compares with the contract.
func TestSDKsAreAlike(t *testing.T) {
	e := newEngine(t)
	source := map[scaffold.Language][2]string{
		scaffold.Go:             {"go/testdata/policy/main.go", "main.go"},
		scaffold.AssemblyScript: {"assemblyscript/testdata/policy.ts", "assembly/policy.ts"},
		scaffold.C:              {"c/testdata/policy.c", "policy.c"},
	}
	values := map[string]string{
		"config.policy": "p", "config.greeting": "hé", "request.query.q": "tea", "request.header.accept-language": "de",
		"preference.name": "Jane", "request.method": "GET", "request.path": "/shops", "geo.country": "DE", "geo.city": "Berlin",
		"geo.lat": "52.5200", "geo.lon": "13.4050", "consent.localize": "granted", "consent.personalize": "denied",
		"page.body": strings.Repeat("x", 5000),
	}
	want := map[abi.Phase]*exchange{}
	for _, l := range scaffold.Languages() {
		m := build(t, e, l, func(dir string) {
			text, err := os.ReadFile(source[l][0])
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(strings.ReplaceAll(string(text), `bespoke "bespoke/policies/sdk/go"`, `"policy/bespoke"`))
			if err := os.WriteFile(filepath.Join(dir, source[l][1]), text, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		for p, edits := range map[abi.Phase]int{abi.OnRequest: 4, abi.OnResponse: 23} {
			got := run(t, m, p, values)
			if l == scaffold.Go {
				want[p] = got
			}
			if len(got.edits) != edits || !slices.Equal(got.edits, want[p].edits) {
				t.Errorf("%s, %s:\ngot  %q\nwant %q", l, p, got.edits, want[p].edits)
			}
			if logged := strings.Join(got.log, "; "); logged != "" && !strings.HasPrefix(logged, "refused: ") {
				t.Errorf("%s, %s: log %q", l, p, logged)
			}
			if p == abi.OnResponse && len(got.log) != 1 {
				t.Errorf("%s: log %q, want that one edit was refused", l, got.log)
			}
		}
	}
}

// Numbers are read and written alike, whatever they are.
func TestNumbers(t *testing.T) {
	e := newEngine(t)
	change := func(l scaffold.Language) func(string) {
		text := map[scaffold.Language][2]string{
			scaffold.AssemblyScript: {"assembly/policy.ts", `import { decimal, lines, number, page, Place, read } from "./bespoke";
export function on_response(): void {
  const all = lines(read("config.numbers"));
  for (let i = 0; i < all.length; i++) page.text("p", isNaN(number(all[i])) ? "none" : decimal(number(all[i])));
  page.text("at", Place.at(12.5, -7.25).toString() + (Place.at(91, 0).known ? "!" : ""));
}`},
			scaffold.C: {"policy.c", `#include "bespoke.h"
BSP_ON_RESPONSE {
	bsp_str all = bsp_config(BSP("numbers")), one;
	double v;
	while (bsp_line(&all, &one)) bsp_text(BSP("p"), bsp_parse(one, &v) ? bsp_number(v) : BSP("none"));
	bsp_place at = bsp_there(12.5, -7.25);
	bsp_text(BSP("at"), bsp_concat(at.lat, BSP(","), at.lon, bsp_known(bsp_there(91, 0)) ? BSP("!") : BSP("")));
}`},
		}[l]
		return func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, text[0]), []byte(text[1]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	numbers := []string{"0", "-0", "1", "-1", "999999999", "0.000001", "-0.000001", "123456789.123456", "0.1", "0.30", "007.50", "100",
		"", "-", ".", "1.", ".1", "+1", "1e3", "NaN", "1234567890", "1.2.3", " 1", "1 ", "0x1", "1.9999999"}
	none := map[string]bool{"": true, "-": true, ".": true, "1.": true, ".1": true, "+1": true, "1e3": true, "NaN": true,
		"1234567890": true, "1.2.3": true, " 1": true, "1 ": true, "0x1": true}
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		numbers = append(numbers, strconv.FormatFloat(float64(r.Int64N(2e12)-1e12)/1e6/float64(1+r.IntN(1000)), 'f', r.IntN(7), 64))
	}
	for _, l := range []scaffold.Language{scaffold.AssemblyScript, scaffold.C} {
		m := build(t, e, l, change(l))
		var edits []abi.Edit
		for some := range slices.Chunk(numbers, 100) {
			got := run(t, m, abi.OnResponse, map[string]string{"config.numbers": strings.Join(some, "\n") + "\n"}).edits
			last := len(got) - 1
			edits = append(edits, got[:last]...)
			if want := (abi.Edit{Op: abi.OpText, Target: "at", A: "12.5,-7.25"}); got[last] != want {
				t.Fatalf("%s: %q, want %q", l, got[last], want)
			}
		}
		if len(edits) != len(numbers) {
			t.Fatalf("%s: %d answers to %d numbers", l, len(edits), len(numbers))
		}
		for i, n := range numbers {
			want := "none"
			if !none[n] {
				f, err := strconv.ParseFloat(n, 64)
				if err != nil {
					t.Fatal(err)
				}
				want = strconv.FormatFloat(f, 'f', -1, 64)
				if n == "1.9999999" {
					want = "1.999999" // six decimals count
				}
			}
			if edits[i].A != want {
				t.Errorf("%s: %q became %q, want %q", l, n, edits[i].A, want)
			}
		}
	}
}

// A run of the example in each language: nine reads, five edits, and all of
// the policy's memory put back.
func BenchmarkExample(b *testing.B) {
	e := newEngine(b)
	values := map[string]string{"config.slot": "#greeting", "config.list": "#results", "config.show": ".distance",
		"config.notices": "DE one\nUS two\nDE three", "geo.country": "DE", "time.hour": "9", "preference.name": "Jane",
		"geo.lat": "52.5500", "geo.lon": "13.4268"}
	for _, l := range scaffold.Languages() {
		m := build(b, e, l, nil)
		b.Run(string(l), func(b *testing.B) {
			b.ReportAllocs()
			x := &exchange{values: values}
			for b.Loop() {
				x.edits = x.edits[:0]
				if err := m.Run(context.Background(), abi.OnResponse, x); err != nil || len(x.edits) != 5 {
					b.Fatal(err, x.edits)
				}
			}
		})
	}
}

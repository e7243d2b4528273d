package prepare_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

func must(t testing.TB, binary []byte, o prepare.Options) *prepare.Module {
	t.Helper()
	m, err := prepare.Prepare(binary, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRuntime(t testing.TB) wazero.Runtime {
	r := wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func instantiate(t testing.TB, code []byte) api.Module {
	t.Helper()
	m, err := newRuntime(t).InstantiateWithConfig(context.Background(), code, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fuelOf(m api.Module) api.MutableGlobal {
	return m.ExportedGlobal(prepare.FuelExport).(api.MutableGlobal)
}

// spent runs a function with much fuel and tells how much of it is gone.
func spent(t testing.TB, m api.Module, name string, params ...uint64) int64 {
	t.Helper()
	const much = 1 << 40
	fuelOf(m).Set(much)
	if _, err := m.ExportedFunction(name).Call(context.Background(), params...); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return much - int64(fuelOf(m).Get())
}

// TestFuelMeansInstructions checks exact charges.
func TestFuelMeansInstructions(t *testing.T) {
	passive := func(code ...[]byte) *builder {
		b := one("", code...)
		b.data = [][]byte{append([]byte{1}, str(strings.Repeat("x", 1000))...)}
		b.dataCount = true
		return b
	}
	tabled := func(code ...[]byte) *builder {
		b := one("", code...)
		b.tables = [][]byte{{0x70, 0, 100}}
		b.elements = [][]byte{cat([]byte{1, 0, 3, 0, 0, 0})}
		return b
	}
	for _, c := range []struct {
		name string
		b    *builder
		want int64
	}{
		{"empty", one(""), 1},
		{"straight line", one("", i32(1), drop, i32(1), drop), 4},
		{"nops and blocks are free", one("", block, []byte{0x01}, end, i32(1), drop), 2},
		{"both branches of if", one("", i32(0), []byte{0x04, 0x40}, i32(1), drop, []byte{0x05}, i32(1), drop, i32(1), drop, end), 8},
		// i32 set | 10 x (get i32 sub tee br_if) | nothing
		{"a loop of ten", one("i", i32(10), set(0), loop, get(0), i32(1), sub, tee(0), brIf(0), end), 2 + 10*5},
		// after the loop belongs to before it
		{"after a loop", one("i", i32(10), set(0), loop, get(0), i32(1), sub, tee(0), brIf(0), end, i32(1), drop), 4 + 10*5},
		{"a loop with a parameter", one("", i32(10), []byte{0x03, 1}, i32(1), sub, tee(0), get(0), brIf(0), end, drop), 0},
		{"fill", one("", args(0, 7, 1600), fill), 4 + 100},
		{"fill of nothing", one("", args(0, 7, 0), fill), 4},
		{"copy", one("", args(0, 100, 1600), copyMemory), 4 + 100},
		{"init", passive(args(0, 0, 960), []byte{0xfc, 8, 0, 0}), 4 + 60},
		{"grow by three", one("", i32(3), grow, drop), 3 + 64 + 3*4096},
		{"grow beyond all bounds", one("", i32(-1), grow, drop), 3 + 64},
		{"table.fill", tabled(i32(5), []byte{0xd0, 0x70}, i32(50), []byte{0xfc, 17, 0}), 4 + 50},
		{"table.copy", tabled(args(5, 0, 50), []byte{0xfc, 14, 0, 0}), 4 + 50},
		{"table.init", tabled(args(5, 0, 3), []byte{0xfc, 12, 0, 0}), 4 + 3},
		{"table.grow", tabled([]byte{0xd0, 0x70}, i32(50), []byte{0xfc, 15, 0}, drop), 4 + 64 + 50},
		{"table.grow beyond all bounds", tabled([]byte{0xd0, 0x70}, i32(-1), []byte{0xfc, 15, 0}, drop), 4 + 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "a loop with a parameter" {
				c.b = newBuilder()
				c.b.typ("i", "i")
				c.b.export("run", 0, c.b.fn("", "", "i", i32(10), []byte{0x03, 0}, i32(1), sub, tee(0), get(0), brIf(0), end, drop))
				c.want = 2 + 10*5
			}
			m := instantiate(t, must(t, c.b.bytes(), prepare.Options{}).Code)
			if got := spent(t, m, "run"); got != c.want {
				t.Errorf("%d units, want %d", got, c.want)
			}
		})
	}
}

// TestFuelOfCalls counts fib, whose work is known: fib(n) calls itself 2*fib(n+1)-1 times in all.
func TestFuelOfCalls(t *testing.T) {
	m := instantiate(t, must(t, fib().bytes(), prepare.Options{}).Code)
	const perCall = 4 + 1 + 4 + 4 + 1 // condition and if, then, two calls, add
	if got, want := spent(t, m, "fib", 20), int64((2*10946-1)*perCall); got != want {
		t.Errorf("%d units, want %d", got, want)
	}
}

func fib() *builder {
	b := newBuilder()
	b.export("fib", 0, b.fn("i", "i", "", get(0), i32(2), []byte{0x48, 0x04, 0x7f}, get(0), []byte{0x05},
		get(0), i32(1), sub, call(0), get(0), i32(2), sub, call(0), add, end))
	return b
}

// TestFuelIsExact gives a run just enough, and then one less.
func TestFuelIsExact(t *testing.T) {
	m := instantiate(t, must(t, fib().bytes(), prepare.Options{}).Code)
	need := spent(t, m, "fib", 10)
	ctx := context.Background()
	fuelOf(m).Set(uint64(need))
	if _, err := m.ExportedFunction("fib").Call(ctx, 10); err != nil || fuelOf(m).Get() != 0 {
		t.Errorf("with all it needs: %v, %d left", err, fuelOf(m).Get())
	}
	fuelOf(m).Set(uint64(need - 1))
	if _, err := m.ExportedFunction("fib").Call(ctx, 10); err == nil || int64(fuelOf(m).Get()) >= 0 {
		t.Errorf("with one unit less: %v, %d left", err, int64(fuelOf(m).Get()))
	}
}

// TestTermination runs what would not end, in each place where code can run.
func TestTermination(t *testing.T) {
	for name, build := range map[string]func(b *builder) byte{
		"infinite loop": func(b *builder) byte { return b.fn("", "", "", forever) },
		"infinite loop, nested": func(b *builder) byte {
			return b.fn("", "", "", loop, loop, i32(1), brIf(1), end, end)
		},
		"infinite loop by br_table": func(b *builder) byte {
			return b.fn("", "", "", loop, block, i32(7), []byte{0x0e, 2, 0, 1, 1}, end, br(0), end)
		},
		"huge memory.fill": func(b *builder) byte {
			return b.fn("", "", "", loop, args(0, 1, 65536), fill, br(0), end)
		},
		"huge memory.copy": func(b *builder) byte {
			return b.fn("", "", "", loop, args(0, 1, 65535), copyMemory, br(0), end)
		},
		"memory.fill beyond the memory": func(b *builder) byte { return b.fn("", "", "", args(0, 1, -1), fill) },
		"growing":                       func(b *builder) byte { return b.fn("", "", "", loop, i32(1), grow, drop, br(0), end) },
		"growing by nothing":            func(b *builder) byte { return b.fn("", "", "", loop, i32(0), grow, drop, br(0), end) },
		"exponential blow-up": func(b *builder) byte {
			// f0 does nothing; each of the next fifty calls the one before it twice.
			f := b.fn("", "", "")
			for range 50 {
				f = b.fn("", "", "", call(f), call(f))
			}
			return f
		},
		"indirect mutual recursion without depth": func(b *builder) byte {
			// Two functions call one another by turns from a loop.
			b.tables = [][]byte{{0x70, 0, 2}}
			f := b.fn("", "", "")
			b.elements = [][]byte{{0, 0x41, 0, 0x0b, 2, f, f}}
			return b.fn("", "", "", loop, i32(0), []byte{0x11, b.typ("", ""), 0}, i32(1), []byte{0x11, b.typ("", ""), 0}, br(0), end)
		},
	} {
		for _, place := range []string{"start", "_initialize", "run"} {
			t.Run(name+"/"+place, func(t *testing.T) {
				b := newBuilder()
				f := build(b)
				if place == "start" {
					b.start = int(f)
				} else {
					b.export(place, 0, f)
				}
				fuel, err := runOut(t, b.bytes(), place)
				if err == nil {
					t.Fatal("it ended without an error")
				}
				if place != "start" && fuel >= 0 {
					t.Errorf("%d units left after: %v", fuel, err)
				}
				if !strings.Contains(err.Error(), "unreachable") {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// runOut runs one place of a module with fuel for a second at most.
func runOut(t *testing.T, binary []byte, place string) (int64, error) {
	t.Helper()
	const fuel = 100_000_000
	code := must(t, binary, prepare.Options{InitFuel: fuel}).Code
	ctx := context.Background()
	m, err := newRuntime(t).InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithStartFunctions())
	if place == "start" {
		return 0, err
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := int64(fuelOf(m).Get()); got != fuel {
		t.Errorf("%d units at the start, want %d", got, fuel)
	}
	_, err = m.ExportedFunction(place).Call(ctx)
	return int64(fuelOf(m).Get()), err
}

// TestDeepRecursion ends by the end of the stack, or of the fuel, and the
// instance can be called again.
func TestDeepRecursion(t *testing.T) {
	b := newBuilder()
	b.export("alone", 0, b.fn("", "", "", call(0)))
	b.export("ping", 0, b.fn("", "", "", call(2)))
	b.fn("", "", "", call(1))
	b.export("fine", 0, b.fn("", "", ""))
	m := instantiate(t, must(t, b.bytes(), prepare.Options{}).Code)
	ctx := context.Background()
	for _, f := range []string{"alone", "ping"} {
		fuelOf(m).Set(1 << 40)
		if _, err := m.ExportedFunction(f).Call(ctx); err == nil || !strings.Contains(err.Error(), "stack overflow") {
			t.Errorf("%s with much fuel: %v, want a stack overflow", f, err)
		}
		fuelOf(m).Set(1000)
		if _, err := m.ExportedFunction(f).Call(ctx); err == nil || int64(fuelOf(m).Get()) >= 0 {
			t.Errorf("%s with little fuel: %v, %d units left", f, err, int64(fuelOf(m).Get()))
		}
		spent(t, m, "fine")
	}
}

// TestMovesAreCharged passes by a loop that sets many locals: a compiler moves
// them all where the paths meet, at each turn of the loop around it.
func TestMovesAreCharged(t *testing.T) {
	const locals, turns = 1000, 1000
	local := func(op byte, l int) []byte { return append([]byte{op}, uleb(uint64(l))...) }
	var sets []byte
	for l := 1; l < locals; l++ {
		sets = append(sets, cat(local(0x20, l), i32(3), add, local(0x21, l))...)
	}
	b := one(strings.Repeat("i", locals), i32(turns), set(0),
		loop, i32(0), []byte{0x04, 0x40}, loop, sets, end, end, get(0), i32(1), sub, tee(0), brIf(0), end)
	m := instantiate(t, must(t, b.bytes(), prepare.Options{}).Code)
	const turn = 2 + 5 + (locals - 1 - 32)
	if got, want := spent(t, m, "run"), int64(2+turns*turn+(locals-32)); got != want {
		t.Errorf("%d units, want %d", got, want)
	}
}

// TestGuestCannotReachFuel refuses code that names what is added: it would be
// valid only after it.
func TestGuestCannotReachFuel(t *testing.T) {
	for name, b := range map[string]*builder{
		"get":            one("", getGlobal(0), drop),
		"set":            one("", i64(1), setGlobal(0)),
		"local":          one("", get(0), drop),
		"second local":   one("", args(0, 0, 0), fill, get(1), drop),
		"export":         func() *builder { b := one(""); b.export("mine", 3, 0); return b }(),
		"in dead code":   one("", unreachable, i64(1), setGlobal(0)),
		"by initializer": func() *builder { b := one(""); b.globals = [][]byte{{0x7e, 1, 0x23, 1, 0x0b}}; return b }(),
	} {
		_, err := prepare.Prepare(b.bytes(), prepare.Options{})
		var r *prepare.Refusal
		if !errors.As(err, &r) || r.Rule != prepare.RuleIndex && r.Rule != prepare.RuleOpcode {
			t.Errorf("%s: %v", name, err)
		}
	}
}

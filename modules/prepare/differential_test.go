package prepare_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// An outcome is all that a module shows of itself.
type outcome struct {
	calls   []string // results, or the trap
	memory  []byte
	globals []uint64
	count   []int64 // instructions that each call executed, by the last global
	fuel    []int64 // spent by each call; nil if it is not counted
}

// plenty of fuel for what the step counter of a generated module allows.
const plenty = 1 << 50

// observe instantiates a generated module and calls each function twice.
func observe(t testing.TB, r wazero.Runtime, code []byte) *outcome {
	t.Helper()
	ctx := context.Background()
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	defer m.Close(ctx)
	o := &outcome{}
	counter := m.ExportedGlobal("count").(api.MutableGlobal)
	fuel, _ := m.ExportedGlobal(prepare.FuelExport).(api.MutableGlobal)
	for i := range 2 * funcs {
		f := m.ExportedFunction(fmt.Sprintf("f%d", i%funcs))
		args := make([]uint64, len(f.Definition().ParamTypes()))
		for j := range args {
			args[j] = uint64(i*3 + j)
			if f.Definition().ParamTypes()[j] == api.ValueTypeF64 {
				args[j] <<= 52
			}
		}
		counter.Set(0)
		if fuel != nil {
			fuel.Set(plenty)
		}
		res, err := f.Call(ctx, args...)
		o.count = append(o.count, int64(counter.Get()))
		if fuel != nil {
			o.fuel = append(o.fuel, plenty-int64(fuel.Get()))
		}
		said := fmt.Sprint(res)
		if err != nil {
			said, _, _ = strings.Cut(err.Error(), "\n")
		}
		o.calls = append(o.calls, said)
		steps := m.ExportedGlobal("g0").(api.MutableGlobal)
		o.globals = append(o.globals, steps.Get())
		steps.Set(300)
	}
	o.memory, _ = m.Memory().Read(0, m.Memory().Size())
	o.memory = bytes.Clone(o.memory)
	for i := range 6 {
		if g := m.ExportedGlobal(fmt.Sprintf("g%d", i)); g != nil {
			o.globals = append(o.globals, g.Get())
		}
	}
	return o
}

// differ says how a prepared module behaves otherwise than the original; "" for not at all.
func differ(plain, prepared *outcome) string {
	for i := range plain.calls {
		if plain.calls[i] != prepared.calls[i] {
			return fmt.Sprintf("call %d: %s, prepared: %s", i, plain.calls[i], prepared.calls[i])
		}
	}
	if !bytes.Equal(plain.memory, prepared.memory) {
		return fmt.Sprintf("memory differs (%d and %d bytes)", len(plain.memory), len(prepared.memory))
	}
	if fmt.Sprint(plain.globals) != fmt.Sprint(prepared.globals) {
		return fmt.Sprintf("globals %v, prepared: %v", plain.globals, prepared.globals)
	}
	return ""
}

// differential checks one generated module: it behaves the same prepared or
// not, and no instruction is executed that was not paid.
func differential(t testing.TB, r wazero.Runtime, data []byte) (count, fuel int64, trapped bool) {
	t.Helper()
	original := generate(data, false)
	if err := compiles(r, original); err != nil {
		t.Fatalf("the generator wrote an invalid module: %v\n%x", err, original)
	}
	m, err := prepare.Prepare(original, prepare.Options{InitFuel: plenty})
	if err != nil {
		t.Fatalf("a valid module is refused: %v\n%x", err, original)
	}
	plain, prepared, counted := observe(t, r, original), observe(t, r, m.Code), observe(t, r, generate(data, true))
	if d := differ(plain, prepared); d != "" {
		t.Fatalf("%s\n%x", d, original)
	}
	if d := differ(plain, counted); d != "" {
		t.Fatalf("counting changes the module: %s\n%x", d, original)
	}
	for i, n := range counted.count {
		if n > prepared.fuel[i] {
			t.Fatalf("call %d: %d instructions for %d units of fuel\n%x", i, n, prepared.fuel[i], original)
		}
		count, fuel = count+n, fuel+prepared.fuel[i]
	}
	return count, fuel, strings.Contains(strings.Join(plain.calls, " "), "wasm error")
}

func random(seed uint64, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(data) // it never fails
	return data
}

func TestDifferential(t *testing.T) {
	r := newRuntime(t)
	n := uint64(400)
	if testing.Short() {
		n = 50
	}
	var count, fuel int64
	traps := 0
	for seed := range n {
		c, f, trapped := differential(t, r, random(seed, 2000))
		count, fuel = count+c, fuel+f
		if trapped {
			traps++
		}
	}
	t.Logf("%d instructions, %d units of fuel, traps in %d of %d modules", count, fuel, traps, n)
	if count < 1000*int64(n) || traps == 0 || traps == int(n) {
		t.Errorf("the test shows little: %d instructions, traps in %d of %d modules", count, traps, n)
	}
}

func FuzzDifferential(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(random(seed, 500))
	}
	r := newRuntime(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 8<<10 {
			return
		}
		differential(t, r, data)
	})
}

// FuzzPrepare gives it anything. What it accepts is valid after if and only if
// it was before.
func FuzzPrepare(f *testing.F) {
	f.Add(rich().bytes())
	f.Add(fib().bytes())
	for seed := range uint64(4) {
		f.Add(generate(random(seed, 300), false))
	}
	r := newRuntime(f)
	o := policy()
	o.Exports = prepare.Exports{}
	f.Fuzz(func(t *testing.T, binary []byte) {
		if len(binary) > 16<<10 {
			return
		}
		both(t, r, binary, o)
	})
}

// both prepares a binary and compares its validity before and after.
func both(t testing.TB, r wazero.Runtime, binary []byte, o prepare.Options) (accepted bool) {
	t.Helper()
	m, err := prepare.Prepare(binary, o)
	if err != nil {
		return false
	}
	before, after := compiles(r, withoutCustom(binary)), compiles(r, m.Code)
	if (before == nil) != (after == nil) {
		t.Fatalf("before: %v, after: %v\n%x", before, after, binary)
	}
	return before == nil
}

// withoutCustom leaves out the custom sections of a binary that was accepted.
// What is wrong in them makes no module invalid (core 2.0, section 5.5.3), but
// the runtime refuses it, or runs out of memory over a count in the names.
func withoutCustom(module []byte) []byte {
	out := bytes.Clone(module[:8])
	for rest := module[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		whole := 1 + n + int(size)
		if rest[0] != 0 {
			out = append(out, rest[:whole]...)
		}
		rest = rest[whole:]
	}
	return out
}

// TestMutated changes bytes of real modules.
func TestMutated(t *testing.T) {
	r := newRuntime(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	o := policy()
	o.Exports = prepare.Exports{}
	for seed := range uint64(20) {
		original := generate(random(seed, 400), false)
		for range 100 {
			changed := bytes.Clone(original)
			for range rnd.IntN(3) + 1 {
				changed[8+rnd.IntN(len(changed)-8)] = byte(rnd.IntN(256))
			}
			if both(t, r, changed, o) {
				accepted++
			}
		}
	}
	if accepted < 100 {
		t.Errorf("%d are accepted; the test shows little", accepted)
	}
	// A change in the Go module is read through to where it is, not compiled.
	shipped := builtin(t)
	for range 200 {
		changed := bytes.Clone(shipped)
		changed[rnd.IntN(len(changed))] ^= byte(1 + rnd.IntN(255))
		_, _ = prepare.Prepare(changed, o) // it must not panic
	}
}

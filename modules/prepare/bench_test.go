package prepare_test

import (
	"context"
	"testing"
	"time"

	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
)

// wasi is the part of WASI that Go programs import.
var wasi = map[string]prepare.Signature{
	"args_get": {Params: "ii", Results: "i"}, "args_sizes_get": {Params: "ii", Results: "i"},
	"environ_get": {Params: "ii", Results: "i"}, "environ_sizes_get": {Params: "ii", Results: "i"},
	"clock_time_get": {Params: "iIi", Results: "i"}, "random_get": {Params: "ii", Results: "i"},
	"poll_oneoff": {Params: "iiii", Results: "i"}, "sched_yield": {Results: "i"}, "proc_exit": {Params: "i"},
	"fd_write": {Params: "iiii", Results: "i"}, "fd_read": {Params: "iiii", Results: "i"}, "fd_close": {Params: "i", Results: "i"},
	"fd_fdstat_get": {Params: "ii", Results: "i"}, "fd_fdstat_set_flags": {Params: "ii", Results: "i"},
	"fd_prestat_get": {Params: "ii", Results: "i"}, "fd_prestat_dir_name": {Params: "iii", Results: "i"},
}

// guestOptions accept the module that ships and guests that tests build.
func guestOptions() prepare.Options {
	return prepare.Options{Imports: prepare.Imports{
		"wasi_snapshot_preview1": wasi,
		"bespoke_1": {
			"read": {Params: "iiii", Results: "I"}, "emit": {Params: "iiiiiii", Results: "i"}, "log": {Params: "iii"},
		},
	}}
}

func BenchmarkPrepare(b *testing.B) {
	binary := builtin(b)
	b.SetBytes(int64(len(binary)))
	b.ReportAllocs()
	for b.Loop() {
		m := must(b, binary, guestOptions())
		b.ReportMetric(float64(m.Stats.CodeAfter)/float64(m.Stats.CodeBefore), "code-growth")
	}
}

// spin is a loop with little in it; fib does nothing but call.
func overheads() *builder {
	b := fib()
	b.export("spin", 0, b.fn("i", "i", "i",
		loop, get(1), i32(1664525), []byte{0x6c}, i32(1013904223), add, set(1), get(0), i32(1), sub, tee(0), brIf(0), end, get(1)))
	return b
}

// BenchmarkFuel compares, in one run, code that counts fuel, and code under the
// runtime's own deadline check, with code that does neither.
func BenchmarkFuel(b *testing.B) {
	ctx := context.Background()
	plain := overheads().bytes()
	prepared := must(b, plain, prepare.Options{}).Code
	for _, c := range []struct {
		function string
		n        uint64
	}{{"spin", 1_000_000}, {"fib", 22}} {
		b.Run(c.function, func(b *testing.B) {
			var calls [3]func() time.Duration
			for i, code := range [][]byte{plain, prepared, plain} {
				r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(i == 2))
				defer r.Close(ctx)
				m, err := r.Instantiate(ctx, code)
				if err != nil {
					b.Fatal(err)
				}
				f := m.ExportedFunction(c.function)
				calls[i] = func() time.Duration {
					if i == 1 {
						fuelOf(m).Set(prepare.MaxFuel)
					}
					start := time.Now()
					if _, err := f.Call(ctx, c.n); err != nil {
						b.Fatal(err)
					}
					return time.Since(start)
				}
			}
			best := [3]time.Duration{time.Hour, time.Hour, time.Hour}
			for b.Loop() {
				for i, call := range calls {
					best[i] = min(best[i], call())
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "fuel/plain")
			b.ReportMetric(float64(best[2])/float64(best[0]), "deadline/plain")
		})
	}
}

// BenchmarkHostile compiles functions made to be slow, as large as the limits
// let them be.
func BenchmarkHostile(b *testing.B) {
	ctx := context.Background()
	rep := func(n int, parts ...[]byte) []byte {
		var out []byte
		for range n {
			out = append(out, cat(parts...)...)
		}
		return out
	}
	for name, code := range map[string]func(n int) []byte{
		"loops":        func(n int) []byte { return rep(n, loop, get(0), i32(1), add, set(0), get(0), brIf(0), end) },
		"nested-loops": func(n int) []byte { return cat(rep(n, loop), get(0), brIf(0), rep(n, end)) },
		"fills":        func(n int) []byte { return rep(n, args(0, 0, 0), fill) },
		"returns":      func(n int) []byte { return rep(n, get(0), []byte{0x04, 0x40, 0x0f}, end) },
		"br-table": func(n int) []byte {
			out := cat(loop, rep(n, block), get(0), []byte{0x0e}, uleb(uint64(n)))
			for i := range n + 1 {
				out = append(out, uleb(uint64(i))...)
			}
			for i := range n {
				out = append(out, cat(end, get(byte(i%20)), set(byte(i*7%20)), get(0), brIf(0))...)
			}
			return append(out, end...)
		},
	} {
		b.Run(name, func(b *testing.B) {
			least, most := 1, 1<<16 // turns that are accepted, and that are not
			binary := func(n int) []byte { return one("iiiiiiiiiiiiiiiiiiii", code(n)).bytes() }
			for least < most-1 {
				n := (least + most) / 2
				if _, err := prepare.Prepare(binary(n), prepare.Options{}); err == nil {
					least = n
				} else {
					most = n
				}
			}
			m := must(b, binary(least), prepare.Options{})
			for b.Loop() {
				r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
				if err := compiles(r, m.Code); err != nil {
					b.Fatal(err)
				}
				if err := r.Close(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(least), "turns")
		})
	}
}

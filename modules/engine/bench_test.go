package engine_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// quiet is a Host that allocates nothing.
type quiet struct{ value []byte }

func (q *quiet) Read([]byte) ([]byte, bool) { return q.value, q.value != nil }

func (q *quiet) Emit(abi.Edit) abi.Refusal { return abi.Accepted }

func (q *quiet) Log(abi.Level, []byte) {}

// median returns what f takes, in nanoseconds.
func median(b *testing.B, n int, f func() error) float64 {
	b.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begin := time.Now()
		err := f()
		took[i] = time.Since(begin)
		if err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	return float64(took[n/2].Nanoseconds())
}

// BenchmarkReset compares, in one run, a run of an empty export with what is
// put back after it, and the same in an instance made for it.
func BenchmarkReset(b *testing.B) {
	for _, c := range []struct {
		name string
		load func() *engine.Module
	}{
		{"Go-2.4MiB", func() *engine.Module { return loadGo(b, engine.Config{}) }},
		{"small-64KiB", func() *engine.Module {
			g := guest(0)
			g.export("on_request", 0, g.fn("", "", 0))
			return load(b, start(b, engine.Config{}), g.bytes())
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := c.load()
			h := &quiet{}
			ctx := context.Background()
			run := func() error { return m.Run(ctx, abi.OnRequest, h) }
			var reset, fresh, copied []float64
			for b.Loop() {
				reset = append(reset, median(b, 2000, run))
				fresh = append(fresh, median(b, 20, func() error { return m.RunFresh(abi.OnRequest, h) }))
				copied = append(copied, median(b, 20, m.Copy))
			}
			best := slices.Min[[]float64]
			b.ReportMetric(best(reset), "ns-reset")
			b.ReportMetric(best(fresh), "ns-fresh")
			b.ReportMetric(best(copied), "ns-copy")
			b.ReportMetric(best(fresh)/best(reset), "fresh/reset")
		})
	}
}

// BenchmarkNearby is a whole run of the built-in policy: reads, edits, reset.
func BenchmarkNearby(b *testing.B) {
	m := load(b, start(b, engine.Config{}), builtin(b))
	h := nearby()
	ctx := context.Background()
	var fuel uint64
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Run(ctx, abi.OnResponse, h); err != nil {
			b.Fatal(err)
		}
	}
	s := m.State()
	if s.Runs > 0 {
		fuel = s.Fuel / s.Runs
	}
	if h.edits == 0 || h.edits%2 != 0 {
		b.Fatalf("%d edits", h.edits)
	}
	b.ReportMetric(float64(fuel), "instructions/op")
	b.ReportMetric(float64(h.reads)/float64(s.Runs), "reads/op")
}

// fixed is a Host of fixed values that allocates nothing.
type fixed struct {
	values       map[string][]byte
	reads, edits int
}

func (f *fixed) Read(key []byte) ([]byte, bool) {
	f.reads++
	v, ok := f.values[string(key)]
	return v, ok
}

func (f *fixed) Emit(abi.Edit) abi.Refusal { f.edits++; return abi.Accepted }

func (f *fixed) Log(abi.Level, []byte) {}

func nearby() *fixed {
	f := &fixed{values: map[string][]byte{}}
	for k, v := range map[string]string{
		"config.policy": "nearby", "config.list": "#results", "config.lat": "data-lat", "config.lon": "data-lon",
		"config.first": "10", "config.within": "40", "geo.lat": "52.52", "geo.lon": "13.4",
	} {
		f.values[k] = []byte(v)
	}
	return f
}

func builtin(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join("..", "..", "policies", "builtin", "builtin.wasm")
	if _, err := os.Stat(path); err != nil {
		build := exec.Command("go", "run", "./policies/builtin/build")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

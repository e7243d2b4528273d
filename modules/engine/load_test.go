package engine_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// only returns a module of one empty on_response with a memory, changed by f.
func only(f func(b *builder)) []byte {
	b := newBuilder()
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 0))
	if f != nil {
		f(b)
	}
	return b.bytes()
}

// imports returns a module that imports one function.
func imports(module, name, params, results string) []byte {
	b := newBuilder()
	b.fimport(module, name, params, results)
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 0))
	return b.bytes()
}

func TestLoadRefuses(t *testing.T) {
	hundred := make([]byte, 100<<20)
	copy(hundred, only(nil))
	for _, c := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"empty", nil, `does not begin with \0asm`},
		{"garbage", []byte("<!doctype html><title>not found</title>"), `does not begin with \0asm`},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "a component is not a module"},
		{"100 MB", hundred, "has 104857600 bytes, at most 16777216 are allowed"},
		{"code that is none", only(func(b *builder) { b.fn("", "", 0, []byte{0xff}) }), "function 1, offset"},
		{"code of the wrong type", only(func(b *builder) { b.fn("", "i", 0) }), "compile: "},

		{"import of nothing known", imports("env", "abort", "", ""), "import env.abort: nothing is offered by a module of that name"},
		{"import of another version", imports("bespoke_2", "read", "iiii", "I"), "nothing is offered by a module of that name"},
		{"import of no such function", imports("bespoke_1", "write", "", ""), "import bespoke_1.write: no such function"},
		{"import with the wrong signature", imports("bespoke_1", "read", "iiii", "i"), "(iiii) -> (i): want (iiii) -> (I)"},
		{"import of sockets", imports("wasi_snapshot_preview1", "sock_accept", "iii", "i"), "sock_accept: no such function"},
		{"import of WASI with the wrong signature", imports("wasi_snapshot_preview1", "fd_write", "iii", "i"), "want (iiii) -> (i)"},

		{"no memory", only(func(b *builder) { b.memory = nil }), `export "memory"`},
		{"memory exported as a function", only(func(b *builder) { b.exports[0] = slices.Concat(str("memory"), []byte{0, 0}) }), "no memory is exported"},
		{"memory too large at the start", only(func(b *builder) { b.memory = append([]byte{0}, uleb(513)...) }), "memory of 513 pages"},
		{"memory too large at last", only(func(b *builder) { b.memory = append([]byte{1, 1}, uleb(513)...) }), "memory of up to 513 pages"},
		{"no phase", only(func(b *builder) { b.exports = b.exports[:1] }), "none of on_request, on_response is exported"},
		{"phase with a parameter", only(func(b *builder) { b.export("on_request", 0, b.fn("i", "", 0)) }), "on_request has the signature (i) -> ()"},
		{"phase with a result", only(func(b *builder) { b.export("on_request", 0, b.fn("", "i", 0, i32(0))) }), "on_request has the signature () -> (i)"},
		{"phase that is a memory", only(func(b *builder) { b.export("on_request", 2, 0) }), "export on_request is no function"},
		{"_initialize with a parameter", only(func(b *builder) { b.export("_initialize", 0, b.fn("i", "", 0)) }), "_initialize has the signature"},
		{"a command", only(func(b *builder) { b.export("_start", 0, 0) }), "this is a command"},

		{"_initialize that traps", only(func(b *builder) { b.export("_initialize", 0, b.fn("", "", 0, unreachable)) }), "init: _initialize: wasm error: unreachable"},
		{"_initialize that loops", only(func(b *builder) { b.export("_initialize", 0, b.fn("", "", 0, forever)) }), "fuel: _initialize used up its fuel of 20000000 instructions"},
		{"start function that traps", only(func(b *builder) { b.start = int(b.fn("", "", 0, unreachable)) }), "init: instantiate: "},
		{"start function that loops", only(func(b *builder) { b.start = int(b.fn("", "", 0, forever)) }), "init: instantiate: "},
		{"data outside the memory", only(func(b *builder) { b.text(65530, "seven bytes") }), "init: instantiate: "},

		{"manifest that is no JSON", only(func(b *builder) { b.manifest = "name: x" }), "manifest: invalid character"},
		{"manifest with an unknown field", only(func(b *builder) { b.manifest = `{"name":"x","version":"1","secret":1}` }), "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, engine.Config{Limits: abi.Limits{InitMillis: 200}})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := e.Load(context.Background(), "mine", c.module)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("loaded, want an error with %q", c.want)
			}
			if !strings.HasPrefix(err.Error(), "policy module mine: ") && !strings.HasPrefix(err.Error(), "policy module mine has") {
				t.Errorf("the error does not say which module: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("refusing it took %d bytes", used)
			}
		})
	}
}

func TestManifestIsOptional(t *testing.T) {
	m := load(t, start(t, engine.Config{}), only(nil))
	if m.Manifests() != nil {
		t.Errorf("manifests of a module without one: %+v", m.Manifests())
	}
}

// TestTableIsBounded grows a table declared without a maximum: it must fail
// long before it fills the machine's memory.
func TestTableIsBounded(t *testing.T) {
	tableGrow := func(n int32) []byte {
		return slices.Concat([]byte{0xd0, 0x70}, i32(n), []byte{0xfc, 15, 0}) // ref.null func, n, table.grow 0
	}
	for _, c := range []struct {
		name string
		n    int32
		want bool
	}{{"little", 1000, true}, {"much", 1 << 30, false}} {
		b := guest(0, tableGrow(c.n), i32(-1), []byte{0x46}, // grown == -1
			[]byte{0x04, 0x40}, args(1, 0, 0, 0, 0, 0, 0), call(1), drop, []byte{0x0b})
		b.tables = [][]byte{{0x70, 0, 1}}
		x := &exchange{}
		if err := run(t, abi.Limits{}, b.bytes(), x); err != nil {
			t.Fatal(err)
		}
		if grown := len(x.edits) == 0; grown != c.want {
			t.Errorf("growing a table %s: %v", c.name, grown)
		}
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for _, l := range []abi.Limits{{MemoryPages: 1 << 17}, {RunMillis: -1}, {Concurrent: 1 << 20}} {
		if e, err := engine.New(context.Background(), engine.Config{Limits: l}); err == nil {
			t.Errorf("%+v: accepted", l)
			_ = e.Close(context.Background())
		}
	}
}

func TestCacheDir(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		e := start(t, engine.Config{CacheDir: dir})
		if err := load(t, e, only(nil)).Run(context.Background(), abi.OnResponse, &exchange{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := engine.New(context.Background(), engine.Config{CacheDir: "load_test.go"}); err == nil {
		t.Error("a file serves as the folder of the cache")
	}
}

// TestClose checks that a closed module runs no more, that closing waits for
// runs, and that two loads of the same bytes live apart.
func TestClose(t *testing.T) {
	ctx := context.Background()
	e := start(t, engine.Config{})
	a, b := load(t, e, echo().bytes()), load(t, e, echo().bytes())
	if a.Digest() != b.Digest() {
		t.Error("the same bytes have different digests")
	}
	x := &exchange{answer: func(abi.Edit) abi.Refusal {
		end, cancel := context.WithCancel(ctx)
		cancel()
		if err := b.Close(end); !errors.Is(err, context.Canceled) {
			t.Errorf("closing during a run: %v", err)
		}
		return abi.Accepted
	}, values: map[string]string{"k": "v"}}
	if err := b.Run(ctx, abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	wantFault(t, b.Run(ctx, abi.OnResponse, x), engine.FaultClosed, "closed")
	for range 2 {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := a.Run(ctx, abi.OnResponse, &exchange{values: x.values}); err != nil {
		t.Errorf("its twin: %v", err)
	}
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
	wantFault(t, a.Run(ctx, abi.OnResponse, x), engine.FaultClosed, "closed")
}

// FuzzLoad loads, and if that works runs, whatever it is given.
func FuzzLoad(f *testing.F) {
	f.Add(only(nil))
	f.Add(echo().bytes())
	b := guest(0)
	b.tables = [][]byte{{0x70, 0, 1}}
	b.manifest = `{"name":"x","version":"1"}`
	f.Add(b.bytes())
	ctx := context.Background()
	e, err := engine.New(ctx, engine.Config{Limits: abi.Limits{MemoryPages: 16, InitMillis: 50, RunMillis: 50}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		if len(module) > 4<<10 {
			return
		}
		m, err := e.Load(ctx, "fuzz", module)
		if err != nil {
			if strings.Contains(err.Error(), "the compiler failed") {
				t.Error(err)
			}
			return
		}
		for _, p := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			var fault *engine.Fault
			if err := m.Run(ctx, p, &exchange{}); err != nil && !errors.As(err, &fault) {
				t.Errorf("%v is no fault", err)
			} else if err != nil && fault.Kind == engine.FaultHost {
				t.Error(err)
			}
		}
		if err := m.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

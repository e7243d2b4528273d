package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

func TestFaults(t *testing.T) {
	recursive := func() *builder {
		b := guest(0, call(4))
		b.fn("", "", 0, call(4))
		return b
	}
	for _, c := range []struct {
		name   string
		module *builder
		kind   engine.FaultKind
		text   string
	}{
		{"trap", guest(0, unreachable), engine.FaultTrap, "wasm error: unreachable"},
		{"division by zero", guest(0, args(1, 0), []byte{0x6d}, drop), engine.FaultTrap, "integer divide by zero"},
		{"outside the memory", guest(0, load32(1<<20), drop), engine.FaultTrap, "out of bounds memory access"},
		{"loop", guest(0, forever), engine.FaultFuel, fmt.Sprintf("on_response used up its fuel of %d instructions", abi.DefaultLimits.RunFuel())},
		{"recursion", recursive(), engine.FaultStack, "stack overflow"},
		{"exit", exits(0), engine.FaultExit, "status 0"},
		{"read a key outside", guest(0, args(65530, 10, 0, 0), call(0), drop), engine.FaultTrap, "the key of read at 65530, 10 bytes long, is outside the memory of 65536 bytes"},
		{"read into a buffer outside", guest(0, args(0, 1, 65536, 1), call(0), drop), engine.FaultTrap, "the buffer of read at 65536"},
		{"read a length below zero", guest(0, args(0, -1, 0, 0), call(0), drop), engine.FaultTrap, "4294967295 bytes long"},
		{"emit a target outside", guest(0, args(1, -5, 10, 0, 0, 0, 0), call(1), drop), engine.FaultTrap, "the target of emit at 4294967291"},
		{"emit an argument outside", guest(0, args(1, 0, 0, 0, 0, 1, 65536), call(1), drop), engine.FaultTrap, "the second argument of emit"},
		{"log outside", guest(0, args(1, 0, 65537), call(2)), engine.FaultTrap, "the text of log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantFault(t, run(t, abi.Limits{}, c.module.bytes(), &exchange{values: map[string]string{"\x00": "v"}}), c.kind, c.text)
		})
	}
}

func exits(code int32) *builder {
	b := newBuilder()
	exit := b.fimport("wasi_snapshot_preview1", "proc_exit", "i", "")
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 0, i32(code), call(exit)))
	return b
}

// TestEmptyRange passes a pointer outside the memory with the length 0.
func TestEmptyRange(t *testing.T) {
	x := &exchange{}
	b := guest(0, args(12, -1, 0, -1, 0, -1, 0), call(1), drop, args(0, -1, 0), call(2))
	if err := run(t, abi.Limits{}, b.bytes(), x); err != nil || len(x.edits) != 1 {
		t.Errorf("error %v, edits %v", err, x.edits)
	}
}

// TestRefusals logs "ok" if emit returned what was expected.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		emit  []byte
		text  string
		host  abi.Refusal
		want  abi.Refusal
		asked bool
	}{
		{"accepted", args(1, 100, 2, 102, 1, 103, 1), "#txy", abi.Accepted, abi.Accepted, true},
		{"refused by the host", args(1, 100, 2, 102, 1, 103, 1), "#txy", abi.RefusedTarget, abi.RefusedTarget, true},
		{"operation 0", args(0, 0, 0, 0, 0, 0, 0), "", 0, abi.RefusedUnknownOp, false},
		{"operation 17", args(17, 0, 0, 0, 0, 0, 0), "", 0, abi.RefusedUnknownOp, false},
		{"operation 257, which is 1 in a byte", args(257, 0, 0, 0, 0, 0, 0), "", 0, abi.RefusedUnknownOp, false},
		{"operation -255", args(-255, 0, 0, 0, 0, 0, 0), "", 0, abi.RefusedUnknownOp, false},
		{"target not UTF-8", args(1, 100, 1, 101, 1, 0, 0), "\xffa", 0, abi.RefusedArgument, false},
		{"argument not UTF-8", args(1, 101, 1, 100, 1, 0, 0), "\xffa", 0, abi.RefusedArgument, false},
		{"second argument not UTF-8", args(1, 101, 1, 101, 1, 100, 1), "\xffa", 0, abi.RefusedArgument, false},
		{"too many bytes", args(1, 100, 10, 100, 10, 100, 13), "", 0, abi.RefusedLimit, false},
		{"just enough bytes", args(1, 100, 10, 100, 10, 100, 12), strings.Repeat("x", 12), 0, abi.Accepted, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := guest(0, c.emit, call(1), i32(int32(c.want)), []byte{0x46, 0x04, 0x40}, args(1, 90, 2), call(2), []byte{0x0b})
			b.text(90, "ok")
			if c.text != "" {
				b.text(100, c.text)
			}
			x := &exchange{answer: func(abi.Edit) abi.Refusal { return c.host }}
			err := run(t, abi.Limits{EditBytes: 32}, b.bytes(), x)
			if c.want == abi.RefusedLimit {
				wantFault(t, err, engine.FaultLimit, "on_response emitted more than 2048 edits or 32 bytes")
			} else if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(x.log, []string{"1 ok"}) {
				t.Errorf("emit did not return %d", c.want)
			}
			if asked := len(x.edits) > 0; asked != c.asked {
				t.Errorf("the host was asked: %v, want %v", asked, c.asked)
			}
		})
	}
}

// repeat runs code n times; local 0 counts.
func repeat(n int32, code ...[]byte) []byte {
	return slices.Concat([]byte{0x03, 0x40}, slices.Concat(code...),
		get(0), i32(1), add, []byte{0x22, 0}, i32(n), []byte{0x48, 0x0d, 0, 0x0b}) // tee 0, n, lt_s, br_if 0, end
}

func TestTooManyEdits(t *testing.T) {
	x := &exchange{}
	err := run(t, abi.Limits{}, guest(1, repeat(5_000, args(12, 0, 0, 0, 0, 0, 0), call(1), drop)).bytes(), x)
	wantFault(t, err, engine.FaultLimit, "on_response emitted more than 2048 edits")
	if len(x.edits) != abi.DefaultLimits.Edits {
		t.Errorf("%d edits, want %d", len(x.edits), abi.DefaultLimits.Edits)
	}
}

func TestLog(t *testing.T) {
	for _, c := range []struct {
		name, text string
		times      int32
		want       []string
	}{
		{"lines", "a\n\nb\r\nc\xffd", 1, []string{"9 a", "9 b", "9 c\uFFFDd"}},
		{"one that fits", strings.Repeat("x", 99), 1, []string{"9 " + strings.Repeat("x", 99)}},
		{"one too long", strings.Repeat("x", 100), 1, []string{"9 " + strings.Repeat("x", 99), "2 the log of this run is longer than 100 bytes: the rest is dropped"}},
		{"many", "12345678", 1000, append(slices.Repeat([]string{"9 12345678"}, 11), "2 the log of this run is longer than 100 bytes: the rest is dropped")},
		{"many empty ones", "\n", 1000, []string{"2 the log of this run is longer than 100 bytes: the rest is dropped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := guest(1, repeat(c.times, args(9, 100, int32(len(c.text))), call(2)))
			b.text(100, c.text)
			x := &exchange{}
			if err := run(t, abi.Limits{LogBytes: 100}, b.bytes(), x); err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				c.want[i] = strings.Replace(c.want[i], "9 ", "3 ", 1) // a level beyond the last is the last
			}
			if !slices.Equal(x.log, c.want) {
				t.Errorf("got  %q\nwant %q", x.log, c.want)
			}
		})
	}
}

// TestStdoutIsBounded writes 64 KiB without a line's end again and again.
func TestStdoutIsBounded(t *testing.T) {
	b := newBuilder()
	write := b.fimport("wasi_snapshot_preview1", "fd_write", "iiii", "i")
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 1, store(0, i32(64)), store(4, i32(60_000)),
		repeat(1000, args(1, 0, 1, 8), call(write), drop)))
	x := &exchange{}
	if err := run(t, abi.Limits{}, b.bytes(), x); err != nil {
		t.Fatal(err)
	}
	if len(x.log) != 2 || len(x.log[0]) > abi.DefaultLimits.LogBytes+2 {
		t.Errorf("%d lines, the first of %d bytes", len(x.log), len(x.log[0]))
	}
}

// TestMemory grows the memory page by page: to the limit, and no further.
func TestMemory(t *testing.T) {
	b := guest(1, repeat(1000, i32(1), grow, i32(-1), []byte{0x47, 0x04, 0x40}, // grown != -1
		args(12, 0, 0, 0, 0, 0, 0), call(1), drop, []byte{0x0b}))
	x := &exchange{}
	if err := run(t, abi.Limits{MemoryPages: 20}, b.bytes(), x); err != nil {
		t.Fatal(err)
	}
	if len(x.edits) != 19 {
		t.Errorf("the memory of 1 page grew %d times, want 19", len(x.edits))
	}
}

// TestInitializeSeesNothing reads, emits and logs before a run.
func TestInitializeSeesNothing(t *testing.T) {
	b := guest(0)
	b.export("_initialize", 0, b.fn("", "", 0,
		args(0, 1, 100, 10), call(0), i64(-1), []byte{0x52, 0x04, 0x40}, unreachable, []byte{0x0b}, // -1, or trap
		args(1, 0, 1, 0, 0, 0, 0), call(1), i32(int32(abi.RefusedPhase)), []byte{0x47, 0x04, 0x40}, unreachable, []byte{0x0b},
		args(1, 0, 1), call(2)))
	b.text(0, "k")
	x := &exchange{values: map[string]string{"k": "v"}}
	if err := run(t, abi.Limits{}, b.bytes(), x); err != nil {
		t.Fatal(err)
	}
	if len(x.reads)+len(x.edits)+len(x.log) != 0 {
		t.Errorf("the host of a run was asked before the run: %+v", x)
	}
}

// TestHostPanic shows that a fault of the host's is not put down to the policy.
func TestHostPanic(t *testing.T) {
	x := &exchange{answer: func(abi.Edit) abi.Refusal { panic("the host is broken") }, values: map[string]string{"k": "v"}}
	wantFault(t, run(t, abi.Limits{}, echo().bytes(), x), engine.FaultHost, "the host is broken")
}

func TestCanceled(t *testing.T) {
	m := load(t, start(t, engine.Config{}), guest(0).bytes())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantFault(t, m.Run(ctx, abi.OnResponse, &exchange{}), engine.FaultCanceled, "context canceled")
}

// TestBusy starts a run within a run.
func TestBusy(t *testing.T) {
	m := load(t, start(t, engine.Config{Limits: abi.Limits{Concurrent: 2}}), echo().bytes())
	values := map[string]string{"k": "v"}
	var nested []error
	var again func(depth int) func(abi.Edit) abi.Refusal
	again = func(depth int) func(abi.Edit) abi.Refusal {
		return func(abi.Edit) abi.Refusal {
			if depth < 3 {
				nested = append(nested, m.Run(context.Background(), abi.OnResponse, &exchange{answer: again(depth + 1), values: values}))
			}
			return abi.Accepted
		}
	}
	if err := m.Run(context.Background(), abi.OnResponse, &exchange{answer: again(1), values: values}); err != nil {
		t.Fatal(err)
	}
	// The innermost one ends first.
	wantFault(t, nested[0], engine.FaultBusy, "2 runs are under way")
	if nested[1] != nil {
		t.Error(nested[1])
	}
}

// TestConcurrent runs one module on many goroutines; each must get its own value back.
func TestConcurrent(t *testing.T) {
	m := load(t, start(t, engine.Config{Limits: abi.Limits{}}), echo().bytes())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 100 {
				want := fmt.Sprint(i, "/", j)
				x := &exchange{values: map[string]string{"k": want}}
				if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
					t.Error(err)
				} else if x.edits[0].A != want {
					t.Errorf("got %q, want %q", x.edits[0].A, want)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRun(b *testing.B) {
	m := load(b, start(b, engine.Config{}), echo().bytes())
	x := &exchange{values: map[string]string{"k": "v"}}
	for b.Loop() {
		x.edits, x.reads = x.edits[:0], x.reads[:0]
		if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoLeak runs thousands of times, half of them with a fault, and compares
// the memory and the goroutines that are left.
func TestNoLeak(t *testing.T) {
	e := start(t, engine.Config{Suspension: engine.Suspension{Failures: 1 << 30}})
	good, bad := load(t, e, echo().bytes()), load(t, e, guest(0, unreachable).bytes())
	x := &exchange{values: map[string]string{"k": "v"}}
	measure := func() (heap uint64, goroutines int) {
		for range 1500 {
			x.edits, x.reads = x.edits[:0], x.reads[:0]
			if err := good.Run(context.Background(), abi.OnResponse, x); err != nil {
				t.Fatal(err)
			}
			if err := bad.Run(context.Background(), abi.OnResponse, x); err == nil {
				t.Fatal("no fault")
			}
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	heap, goroutines := measure()
	heapAfter, goroutinesAfter := measure()
	if heapAfter > heap+1<<20 || goroutinesAfter > goroutines+3 {
		t.Errorf("heap %d, then %d bytes; %d, then %d goroutines", heap, heapAfter, goroutines, goroutinesAfter)
	}
}

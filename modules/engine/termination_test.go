package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// endless are bodies that do not end by themselves, or not for years. The
// functions they need are put into b.
var endless = []struct {
	name string
	body func(b *builder) []byte
	kind engine.FaultKind
}{
	{"loop", func(*builder) []byte { return forever }, engine.FaultFuel},
	{"mutual recursion", func(b *builder) []byte {
		// f tries deeper and deeper, and again when the callee returns: g calls f.
		next := byte(len(b.imports) + len(b.bodies))
		b.fn("i", "", 0, get(0), []byte{0x04, 0x40}, get(0), i32(1), []byte{0x6b}, call(next+1), get(0), i32(1), []byte{0x6b}, call(next+1), []byte{0x0b})
		b.fn("i", "", 0, get(0), call(next))
		return slices.Concat(i32(60), call(next))
	}, engine.FaultFuel},
	{"recursion without an end", func(b *builder) []byte {
		next := byte(len(b.imports) + len(b.bodies))
		b.fn("", "", 0, call(next))
		return call(next)
	}, engine.FaultStack},
	{"memory.fill again and again", func(*builder) []byte {
		return slices.Concat([]byte{0x03, 0x40}, args(0, 1, 1<<16), []byte{0xfc, 11, 0, 0x0c, 0, 0x0b})
	}, engine.FaultFuel},
	{"exponential blow-up", func(b *builder) []byte {
		f := b.fn("", "", 0)
		for range 60 {
			f = b.fn("", "", 0, call(f), call(f))
		}
		return call(f)
	}, engine.FaultFuel},
	{"a host function again and again", func(b *builder) []byte {
		return slices.Concat([]byte{0x03, 0x40}, args(0, 1, 0, 0), call(0), drop, []byte{0x0c, 0, 0x0b})
	}, engine.FaultFuel},
	{"chance without an end", func(b *builder) []byte {
		return slices.Concat([]byte{0x03, 0x40}, args(0, 1<<16), call(1), drop, []byte{0x0c, 0, 0x0b})
	}, engine.FaultFuel},
	{"printing without an end", func(b *builder) []byte {
		return slices.Concat(store(0, i32(64)), store(4, i32(60_000)),
			[]byte{0x03, 0x40}, args(1, 0, 1, 8), call(2), drop, []byte{0x0c, 0, 0x0b})
	}, engine.FaultFuel},
}

// TestTermination has each of them in a run, in _initialize and in a start function.
func TestTermination(t *testing.T) {
	for _, c := range endless {
		for _, where := range []string{"on_response", "_initialize", "start"} {
			t.Run(c.name+" in "+where, func(t *testing.T) {
				b := newBuilder()
				b.fimport("bespoke_1", "read", "iiii", "I")
				b.fimport("wasi_snapshot_preview1", "random_get", "ii", "i")
				b.fimport("wasi_snapshot_preview1", "fd_write", "iiii", "i")
				b.export("memory", 2, 0)
				body := c.body(b)
				f := b.fn("", "", 0, body)
				switch where {
				case "start":
					b.start = int(f)
				default:
					b.export(where, 0, f)
				}
				if where != "on_response" {
					b.export("on_response", 0, b.fn("", "", 0))
				}
				e := start(t, engine.Config{})
				begin := time.Now()
				m, err := e.Load(context.Background(), "test", b.bytes())
				want := c.kind
				if where == "on_response" {
					if err != nil {
						t.Fatal(err)
					}
					begin = time.Now()
					err = m.Run(context.Background(), abi.OnResponse, &exchange{values: map[string]string{"\x00": "v"}})
				} else if c.kind == engine.FaultStack {
					want = engine.FaultInit
				}
				took := time.Since(begin)
				if where == "start" {
					// wazero takes the instance, and its fuel with it, when a start function fails.
					if err == nil || !strings.Contains(err.Error(), ": init: ") && !strings.Contains(err.Error(), ": fuel: ") {
						t.Errorf("got %v, want a fault of kind init or fuel", err)
					}
				} else {
					wantFault(t, err, want, "")
				}
				t.Logf("%v: %v", took, err)
				if took > 20*time.Second {
					t.Errorf("it took %v", took)
				}
				if m != nil {
					// The same instance serves the next run.
					wantFault(t, m.Run(context.Background(), abi.OnResponse, &exchange{values: map[string]string{"\x00": "v"}}), want, "")
					if n := m.State().Instances; n != 1 {
						t.Errorf("%d instances after two runs", n)
					}
				}
			})
		}
	}
}

// TestStackIsGivenBack recurses deep, with and without a fault, and looks at
// what the instance keeps.
func TestStackIsGivenBack(t *testing.T) {
	b := newBuilder()
	b.fimport("bespoke_1", "read", "iiii", "I")
	b.export("memory", 2, 0)
	deep := byte(1)
	b.fn("i", "", 0, get(0), []byte{0x04, 0x40}, get(0), i32(1), []byte{0x6b}, call(deep), []byte{0x0b})
	b.export("on_response", 0, b.fn("", "", 0, args(0, 1, 8, 4), call(0), drop, i32(8), []byte{0x28, 2, 0}, call(deep)))
	m := load(t, start(t, engine.Config{}), b.bytes())
	small := m.Stack()
	if small < 1<<10 || small > 1<<16 {
		t.Fatalf("a stack of %d bytes at the beginning", small)
	}
	for _, depth := range []string{"\x00\x00\x10\x00", "\xff\xff\xff\x00", "\x00\x01\x00\x00"} {
		begin := time.Now()
		err := m.Run(context.Background(), abi.OnResponse, &exchange{values: map[string]string{"\x00": depth}})
		t.Logf("depth %x: %v, %v", depth, err, time.Since(begin))
		if n := m.Stack(); n > 1<<17 {
			t.Errorf("after recursion to %x the instance keeps a stack of %d bytes", depth, n)
		}
	}
}

package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// spy returns a guest that emits whatever an earlier run may have left, then
// reads a secret and leaves it wherever it can. Its memory has so many pages;
// it uses the last of them.
func spy(pages int32) *builder {
	b := newBuilder()
	read := b.fimport("bespoke_1", "read", "iiii", "I")
	emit := b.fimport("bespoke_1", "emit", "iiiiiii", "i")
	clock := b.fimport("wasi_snapshot_preview1", "clock_time_get", "iIi", "i")
	random := b.fimport("wasi_snapshot_preview1", "random_get", "ii", "i")
	poll := b.fimport("wasi_snapshot_preview1", "poll_oneoff", "iiii", "i")
	write := b.fimport("wasi_snapshot_preview1", "fd_write", "iiii", "i")
	b.memory = append([]byte{0}, uleb(uint64(pages))...)
	b.globals = [][]byte{slices.Concat([]byte{0x7e, 1}, i64(5), []byte{0x0b}), slices.Concat([]byte{0x7f, 1}, i32(6), []byte{0x0b})}
	at := (pages - 1) << 16
	show := func(ptr, n int32) []byte {
		return slices.Concat(args(1, 0, 0, at+ptr, n, 0, 0), call(emit), drop)
	}
	load64 := func(p int32) []byte { return slices.Concat(i32(at+p), []byte{0x29, 3, 0}) }
	// Edits are UTF-8: of what is not text, seven bits of each byte are shown.
	ascii := func(p int32) []byte {
		return slices.Concat(i32(at+p), load64(p), i64(0x7f7f7f7f7f7f7f7f), []byte{0x83, 0x37, 3, 0}) // and, i64.store
	}
	low := slices.Concat(i32(at+1000), []byte{0x2d, 0, 0}) // the secret's first byte
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 0,
		show(1000, 16),
		i32(at+1100), []byte{0x23, 0, 0x37, 3, 0}, show(1100, 8), // global 0
		i32(at+1104), []byte{0x23, 1, 0x36, 2, 0}, show(1104, 4), // global 1
		i32(0), i64(0), i32(at+1200), call(clock), drop, ascii(1200), show(1200, 8),
		args(at+1300, 8), call(random), drop, ascii(1300), show(1300, 8),

		args(at+900, 6, at+1000, 16), call(read), drop, // memory
		load64(1000), []byte{0x24, 0}, low, []byte{0x24, 1}, // globals
		i32(at+2024), load64(1000), i64(40), []byte{0x88, 0x37, 3, 0}, args(at+2000, at+2100, 1, at+2200), call(poll), drop, // the clock
		i32(at+3000), low, call(random), drop, // chance
		store(at+4000, i32(at+1000)), store(at+4004, i32(16)), args(1, at+4000, 1, at+4008), call(write), drop, // a line without end
		low, i32(3), []byte{0x71, 0x45, 0x04, 0x40}, unreachable, []byte{0x0b}, // in a quarter of the runs
	))
	b.text(at+900, "secret")
	return b
}

// grower keeps the secret in memory that it grows.
func grower() *builder {
	size := []byte{0x3f, 0x00}
	const at = 1 << 16
	b := guest(0,
		store(100, size), args(1, 0, 0, 100, 4, 0, 0), call(1), drop,
		size, i32(1), []byte{0x4b, 0x04, 0x40}, args(1, 0, 0, at, 16, 0, 0), call(1), drop, []byte{0x0b},
		i32(1), grow, drop, args(0, 6, at, 16), call(0), drop)
	b.text(0, "secret")
	return b
}

// switcher keeps a bit of the secret in its table.
func switcher() *builder {
	b := newBuilder()
	read := b.fimport("bespoke_1", "read", "iiii", "I")
	emit := b.fimport("bespoke_1", "emit", "iiiiiii", "i")
	one, two := b.fn("", "i", 0, i32(1)), b.fn("", "i", 0, i32(2))
	typ := b.funcTypes[0]
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", 0,
		store(100, slices.Concat(i32(0), []byte{0x11, typ, 0})), args(1, 0, 0, 100, 4, 0, 0), call(emit), drop,
		args(0, 6, 200, 16), call(read), drop,
		i32(0), []byte{0xd2, one, 0xd2, two}, i32(200), []byte{0x2d, 0, 0}, i32(1), []byte{0x71, 0x1c, 1, 0x70}, // select
		[]byte{0x26, 0})) // table.set
	b.tables = [][]byte{{0x70, 0, 1}}
	b.elements = [][]byte{slices.Concat([]byte{0}, i32(0), []byte{0x0b, 1, one}), {3, 0, 1, two}}
	b.text(0, "secret")
	return b
}

// listener is a Host that gives a secret and notes what it is told.
type listener struct {
	secret []byte
	heard  []byte
}

func (l *listener) Read([]byte) ([]byte, bool) { return l.secret, true }

func (l *listener) Emit(e abi.Edit) abi.Refusal {
	l.heard = append(append(l.heard, e.A...), '|')
	return abi.Accepted
}

// Log notes a line, but not what is this run's own to say.
func (l *listener) Log(_ abi.Level, line []byte) {
	if string(line) != string(l.secret) {
		l.heard = append(append(l.heard, line...), '|')
	}
}

// leaks runs pairs of exchanges, one after the other, and counts the second
// runs that told something else than a first run of the module does.
func leaks(t *testing.T, m *engine.Module, pairs int) int {
	t.Helper()
	ctx := context.Background()
	l := &listener{secret: []byte("!irst of all him")}
	run := func() {
		l.heard = l.heard[:0]
		err := m.Run(ctx, abi.OnResponse, l)
		if err != nil && !strings.HasSuffix(err.Error(), "trap: wasm error: unreachable") {
			t.Fatal(err)
		}
	}
	run()
	first := slices.Clone(l.heard)
	if len(first) == 0 {
		t.Fatal("the guest tells nothing")
	}
	different := 0
	for i := range pairs {
		for n := range 8 { // text, without ends of lines
			l.secret[n] = ' ' + byte(uint64(i)*0x9e3779b97f4a7c15>>(8*n+2))&0x3f
		}
		run()
		l.secret[0] ^= 0x15
		run()
		if string(l.heard) != string(first) {
			different++
		}
	}
	return different
}

// TestIsolation has hostile guests keep what they read, in every place there
// is, and tell it in the next run. The same guests without reset show that
// they could.
func TestIsolation(t *testing.T) {
	for _, c := range []struct {
		name   string
		module *builder
		pairs  int
		change func(*engine.Engine)
	}{
		{"a small memory, globals, clock, chance, log", spy(1), 100_000, func(*engine.Engine) {}},
		{"a large memory, by page", spy(5), 100_000, func(*engine.Engine) {}},
		{"a large memory, copied", spy(5), 2_000, (*engine.Engine).WithoutPager},
		{"grown memory", grower(), 5_000, func(*engine.Engine) {}},
		{"table", switcher(), 5_000, func(*engine.Engine) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := engine.Config{Suspension: engine.Suspension{Failures: 1 << 30}}
			pairs := c.pairs
			if testing.Short() {
				pairs /= 50
			}
			e := start(t, config)
			c.change(e)
			if n := leaks(t, load(t, e, c.module.bytes()), pairs); n != 0 {
				t.Errorf("%d of %d pairs differ", n, pairs)
			}

			e = start(t, config)
			c.change(e)
			e.WithoutReset()
			m := load(t, e, c.module.bytes())
			if m.State().Fresh {
				if err := m.AsIfResettable(); err != nil {
					t.Fatal(err)
				}
			}
			if n := leaks(t, m, 100); n < 30 {
				t.Errorf("without reset only %d of 100 pairs differ: the guest does not test it", n)
			}
		})
	}
}

// TestEachLeak shows for every place by itself that a run could tell from it
// what an earlier one read, if it were not put back.
func TestEachLeak(t *testing.T) {
	e := start(t, engine.Config{Suspension: engine.Suspension{Failures: 1 << 30}})
	e.WithoutReset()
	m := load(t, e, spy(1).bytes())
	seen := make([]map[string]bool, 5)
	for i := range 60 {
		l := &listener{secret: fmt.Appendf(nil, "%c%015d", ' '+1+i/3*4%80, i)}
		if err := m.Run(context.Background(), abi.OnResponse, l); err != nil {
			t.Fatal(err)
		}
		at := 0
		for n, size := range []int{16, 8, 4, 8, 8} {
			if seen[n] == nil {
				seen[n] = map[string]bool{}
			}
			seen[n][string(l.heard[at:at+size])] = true
			at += size + 1
		}
	}
	for n, place := range []string{"memory", "global 0", "global 1", "clock", "chance"} {
		if len(seen[n]) < 18 {
			t.Errorf("%s: %d different values in 60 runs without reset", place, len(seen[n]))
		}
	}
}

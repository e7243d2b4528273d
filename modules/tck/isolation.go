package tck

import (
	"fmt"
	"slices"
	"sync"

	"bespoke/modules/abi"
)

// modeKey tells an isolation guest how a dirtying run is to end.
const modeKey = "config.mode"

// An isolated guest dirties some state in on_request and says in on_response
// what it finds there.
type isolated struct {
	name  string
	clean string // what a clean state says, if that is known; "": what the first run says
	make  func(g *guest) (dirty, tell code)
}

func isolationCases(Config) []Case {
	all := []isolated{
		{"memory", "0", func(g *guest) (code, code) {
			g.pages = 3
			return seq(store32(buffer, i32(99)), store32(70_000, i32(99)), fill(130_000, 99, 60_000)),
				g.say32(load32(buffer), load32(70_000), add, load32(130_000), add, load32(189_996), add)
		}},
		{"data in memory", "115", func(g *guest) (code, code) {
			at := g.at("start")
			return fill(at, 99, 5), g.say32(load8(at))
		}},
		{"last byte of memory", "0", func(g *guest) (code, code) {
			g.pages = 2
			return store8(131071, i32(99)), g.say32(load8(131071))
		}},
		{"a large memory", "0", func(g *guest) (code, code) {
			g.pages = 12
			sum := seq(i32(0), setLocal(0), i64(0), setLocal(1), code{0x03, 0x40},
				local(1), local(0), code{0x29, 0, 0x80, 0x40}, code{0x7c}, setLocal(1), // i64.load offset 8192
				local(0), i32(64), add, teeLocal(0), i32(12<<16-8192), code{0x49, 0x0d, 0, 0x0b})
			return fill(8192, 99, 12<<16-8192), seq(sum, g.say(local(1)))
		}},
		{"a read value left in memory", "0", func(g *guest) (code, code) {
			return seq(g.reads("config.secret", buffer, 16), drop), g.say32(load32(buffer))
		}},
		{"size of memory", "1", func(g *guest) (code, code) {
			return seq(grow(2), drop, store32(131_072, i32(99))), g.say32(memorySize)
		}},
		{"grown memory", "0", func(g *guest) (code, code) {
			return seq(grow(2), drop, fill(65_536, 99, 131_072)),
				seq(grow(2), drop, g.say32(load32(65_536), load32(131_072), add, load32(196_604), add))
		}},
		{"global i32", "5", oneGlobal('i', i32(5), i32(99), nil)},
		{"global i64", "5", oneGlobal('I', i64(5), i64(-99), code{})},
		{"global f32", "5", oneGlobal('f', f32(5), f32(99), code{0xa8})},
		{"global f64", "5", oneGlobal('F', f64(5), f64(99), code{0xaa})},
		{"global v128", "5", oneGlobal('v', v128(5), v128(99), code{0xfd, 27, 0})},
		{"global funcref", "1", oneGlobal('r', code{0xd0, 0x70}, code{0xd2, 0}, code{0xd1})},
		{"exported global", "5", func(g *guest) (code, code) {
			n := g.global('i', i32(5))
			g.export("counter", kindGlobal, n)
			return seq(i32(99), setGlobal(n)), g.say32(global(n))
		}},
	}
	var cases []Case
	for _, i := range append(append(all, tableIsolation()...), wasiIsolation()...) {
		cases = append(cases, Case{secModule, "isolation/" + i.name, i.try})
	}
	return append(cases,
		Case{secModule, "isolation/budget of edits and log", budgetsAreFresh},
		Case{secModule, "isolation/many runs at once", manyAtOnce})
}

// oneGlobal is a guest that changes a global; test turns its value into an i32
// (nil: it is one, empty: it is an i64).
func oneGlobal(letter rune, value, other, test code) func(g *guest) (code, code) {
	return func(g *guest) (code, code) {
		n := g.global(letter, value)
		if letter == 'r' { // ref.func needs its function to be declared
			g.elements = append(g.elements, []byte{3, 0, 1, 0})
		}
		dirty := seq(other, setGlobal(n))
		if letter == 'I' {
			return dirty, g.say(global(n))
		}
		return dirty, g.say32(global(n), test)
	}
}

func tableIsolation() []isolated {
	isNull := func(t byte, at int32) code { return seq(i32(at), code{0x25, t, 0xd1}) }
	return []isolated{
		{"table", "1", func(g *guest) (code, code) {
			t := g.table(4, -1)
			g.elements = append(g.elements, []byte{3, 0, 1, 0})
			return seq(i32(2), code{0xd2, 0, 0x26, t}), g.say32(isNull(t, 2)) // table.set t 2 (ref.func 0)
		}},
		{"size of a table", "4", func(g *guest) (code, code) {
			t := g.table(4, -1)
			return seq(code{0xd0, 0x70}, i32(3), code{0xfc, 15, t}, drop), // table.grow
				g.say32(code{0xfc, 16, t}) // table.size
		}},
		{"table.fill", "1", func(g *guest) (code, code) {
			t := g.table(4, -1)
			g.elements = append(g.elements, []byte{3, 0, 1, 0})
			return seq(i32(0), code{0xd2, 0}, i32(4), code{0xfc, 17, t}), g.say32(isNull(t, 3))
		}},
		{"dropped element segment", "0", func(g *guest) (code, code) {
			t := g.table(4, -1)
			g.elements = append(g.elements, []byte{1, 0, 1, 0}) // passive: function 0
			// table.init of a dropped segment traps, so the second run would fail.
			return code{0xfc, 13, 0}, seq(numbers(1, 0, 1), code{0xfc, 12, 0, t}, g.say32(isNull(t, 1)))
		}},
		{"dropped data segment", "115", func(g *guest) (code, code) {
			d := byte(g.passiveDatum([]byte("s")))
			return code{0xfc, 9, d}, seq(numbers(buffer, 0, 1), code{0xfc, 8, d, 0}, g.say32(load8(buffer)))
		}},
	}
}

func wasiIsolation() []isolated {
	return []isolated{
		{"WASI clock", fmt.Sprint(epoch), func(g *guest) (code, code) {
			return seq(g.sleeps(1e9), drop), seq(numbers(0), i64(0), i32(buffer), call(g.wasi["clock_time_get"]), drop, g.say(load64(buffer)))
		}},
		{"WASI random", "", func(g *guest) (code, code) {
			draw := seq(numbers(buffer, 8), call(g.wasi["random_get"]), drop)
			return seq(draw, draw, draw), seq(draw, g.say(load64(buffer)))
		}},
		{"WASI standard output without a line's end", "", func(g *guest) (code, code) {
			return seq(g.writes(1, "secret"), drop), seq(g.writes(1, "clean\n"), drop)
		}},
	}
}

// try runs the guest clean and dirty by turns, the dirty run ending in each of
// the ways that there are, and wants every clean run to say the same.
func (i isolated) try(t *trial) error {
	g := newGuest("clock_time_get", "poll_oneoff", "random_get", "fd_write", "proc_exit")
	dirty, tell := i.make(g)
	g.on(abi.OnRequest, dirty,
		g.reads(modeKey, buffer+512, 8), wrap, teeLocal(0),
		i32(4), equal, when(unreachable),
		local(0), i32(5), equal, when(i32(0), call(g.wasi["proc_exit"])),
		local(0), i32(6), equal, when(forever()))
	g.on(abi.OnResponse, tell)
	p, err := t.load(g.binary())
	if err != nil {
		return err
	}
	var want []string
	if i.clean != "" {
		want = []string{"1 " + i.clean}
	}
	for _, mode := range []string{"", "trap", "exits", "", "looped", "trap", "exits"} {
		for range 2 {
			o, failed, err := t.run(p, abi.OnResponse, Exchange{})
			switch {
			case err != nil:
				return err
			case failed != nil:
				return fmt.Errorf("a run on a clean state failed: %w", failed)
			}
			if want == nil {
				want = lines(o)
			}
			if got := lines(o); !slices.Equal(got, want) {
				return fmt.Errorf("a run found %s, want %s: what another run left", show(got), show(want))
			}
		}
		x := Exchange{Values: map[string]string{"config.secret": "secret", modeKey: mode}}
		_, failed, err := t.run(p, abi.OnRequest, x)
		if err == nil && failed != nil && mode == "" {
			err = fmt.Errorf("a run that does not fail by itself failed: %w", failed)
		}
		if err != nil {
			return err
		}
	}
	return t.do(p, step{phase: abi.OnResponse, log: want})
}

// budgetsAreFresh uses much of a run's budgets, run after run. The edits are
// of an operation that is unknown, so that no host has to carry them out.
func budgetsAreFresh(t *trial) error {
	g := newGuest()
	g.on(abi.OnResponse,
		repeat(0, 12, g.emits(0, "", "", ""), i32(1), code{0x47}, when(g.logs(3, "not refused as unknown"))), // ne
		g.logs(1, string(slices.Repeat([]byte("x"), 700))))
	s := step{phase: abi.OnResponse, log: []string{"1 " + string(slices.Repeat([]byte("x"), 700))}}
	return plays(g.binary(), slices.Repeat([]step{s}, 40*16)...)(t)
}

// manyAtOnce has several goroutines run the policy, each of which must get its
// own value back.
func manyAtOnce(t *trial) error {
	g := newGuest()
	g.on(abi.OnResponse, g.reads("config.mine", buffer, 64), wrap, setLocal(0),
		numbers(int32(abi.Info), buffer), local(0), call(g.log))
	p, err := t.load(g.binary())
	if err != nil {
		return err
	}
	const workers, runs = 8, 25
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		own := &trial{host: t.host, patience: t.patience}
		wg.Go(func() {
			for n := range runs {
				v := fmt.Sprintf("value %d of worker %d", n, w)
				s := step{phase: abi.OnResponse, in: Exchange{Values: map[string]string{"config.mine": v}}, log: []string{"1 " + v}}
				if errs[w] = own.do(p, s); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

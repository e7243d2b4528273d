package tck

import (
	"bespoke/modules/abi"
)

// terminationCases are policies that would not end, or not soon. Each must
// fail, and the policy's other phase must be well before and after.
func terminationCases(Config) []Case {
	ends := func(wasi []string, body func(g *guest) code) func(*trial) error {
		g := newGuest(wasi...)
		g.pages, g.most = 16, 16
		g.on(abi.OnResponse, body(g))
		g.on(abi.OnRequest, g.logs(1, "well"))
		g.declares(nil, valueKey)
		well := step{phase: abi.OnRequest, log: []string{"1 well"}}
		return plays(g.binary(), well, step{phase: abi.OnResponse, in: holding("value"), fails: true}, well, well)
	}
	start := func(f func(g *guest)) func(*trial) error {
		g := newGuest()
		f(g)
		g.on(abi.OnResponse)
		return never(g.binary())
	}
	const mebi = 1 << 20
	return []Case{
		{secLimits, "time/loop", ends(nil, func(g *guest) code { return forever() })},
		{secLimits, "time/loop that counts", ends(nil, func(g *guest) code {
			return forever(local(0), i32(1), add, setLocal(0))
		})},
		{secLimits, "time/loop after edits", ends(nil, func(g *guest) code {
			return seq(g.edits(abi.Edit{Op: abi.OpText, Target: "#t", A: "x"}), drop, forever())
		})},
		{secLimits, "time/loop of reads", ends(nil, func(g *guest) code { return forever(g.reads(valueKey, buffer, 8), drop) })},
		{secLimits, "time/loop of refused edits", ends(nil, func(g *guest) code { return forever(g.emits(0, "", "", ""), drop) })},
		{secLimits, "time/loop of logging", ends(nil, func(g *guest) code { return forever(g.logs(1, "again")) })},
		{secLimits, "time/loop of sleeping", ends([]string{"poll_oneoff"}, func(g *guest) code { return forever(g.sleeps(1e9), drop) })},
		{secLimits, "time/loop of drawing at random", ends([]string{"random_get"}, func(g *guest) code {
			return forever(g.calls("random_get", 0, mebi), drop)
		})},
		{secLimits, "time/memory.fill", ends(nil, func(g *guest) code { return forever(fill(0, 1, mebi)) })},
		{secLimits, "time/memory.copy", ends(nil, func(g *guest) code {
			return forever(numbers(0, 64, mebi-64), code{0xfc, 10, 0, 0})
		})},
		{secLimits, "time/table.fill", ends(nil, func(g *guest) code {
			t := g.table(100_000, 100_000)
			return forever(i32(0), code{0xd0, 0x70}, i32(100_000), code{0xfc, 17, t})
		})},
		{secLimits, "time/br_table", ends(nil, func(g *guest) code {
			return seq(code{0x03, 0x40}, local(0), code{0x0e, 2, 0, 0, 0, 0x0b}) // loop, br_table 0 0 0, end
		})},
		{secLimits, "time/calls without end, that grow exponentially", ends(nil, func(g *guest) code {
			self := uint32(g.functions)
			again := seq(local(0), i32(1), code{0x6b}, call(self))
			g.function("i", "", "", local(0), when(again, again))
			return seq(i32(60), call(self))
		})},
		{secLimits, "recursion/of one function", ends(nil, func(g *guest) code {
			self := uint32(g.functions)
			g.function("", "", "", call(self))
			return call(self)
		})},
		{secLimits, "recursion/of two functions", ends(nil, func(g *guest) code {
			one := uint32(g.functions)
			g.function("I", "I", "", local(0), call(one+1))
			g.function("I", "I", "", local(0), call(one), i64(1), code{0x7c})
			return seq(i64(1), call(one), code{0x1a})
		})},
		{secLimits, "time/loop in _initialize", start(func(g *guest) { g.initialize(forever()) })},
		{secLimits, "time/loop in the start function", start(func(g *guest) { g.starts(forever()) })},
		{secLimits, "recursion/in _initialize", start(func(g *guest) {
			g.initialize(call(uint32(g.functions)))
		})},
	}
}

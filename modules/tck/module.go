package tck

import (
	"slices"

	"bespoke/modules/abi"
)

// quiet is a policy that does nothing in on_response, changed by f.
func quiet(f func(g *guest)) []byte {
	g := newGuest()
	g.on(abi.OnResponse)
	if f != nil {
		f(g)
	}
	return g.binary()
}

// bare is a module of one empty on_response and a memory, without the imports
// of a guest; before comes first.
func bare(before, after func(m *module)) []byte {
	m := &module{}
	if before != nil {
		before(m)
	}
	f := m.function("", "", "")
	m.export(abi.ExportOnResponse, kindFunction, f)
	if after != nil {
		after(m)
	} else {
		m.memory(1, -1)
		m.export(abi.ExportMemory, kindMemory, 0)
	}
	return m.binary()
}

func importCases(Config) []Case {
	imports := func(from, as, params, results string) []byte {
		return bare(func(m *module) { m.importFunction(from, as, params, results) }, nil)
	}
	importsAny := func(kind byte, description []byte) []byte {
		return bare(func(m *module) { m.importAny("bespoke_1", "thing", kind, description) }, nil)
	}
	cases := []Case{
		{secModule, "imports/none", taken(bare(nil, nil))},
		{secModule, "imports/the three", taken(quiet(nil))},
		{secModule, "imports/one function twice", taken(bare(func(m *module) {
			m.importFunction("bespoke_1", "log", "iii", "")
			m.importFunction("bespoke_1", "log", "iii", "")
		}, nil))},
		{secModule, "imports/global", refused(importsAny(kindGlobal, []byte{0x7f, 0}))},
		{secModule, "imports/mutable global", refused(importsAny(kindGlobal, []byte{0x7f, 1}))},
		{secModule, "imports/table", refused(importsAny(kindTable, append([]byte{0x70}, limits(1, -1)...)))},
		{secModule, "imports/memory", refused(bare(
			func(m *module) { m.importAny("bespoke_1", "memory", kindMemory, limits(1, -1)) },
			func(m *module) { m.export(abi.ExportMemory, kindMemory, 0) }))},
	}
	for _, c := range []struct{ name, from, as, params, results string }{
		{"module without a name", "", "", "", ""},
		{"module env", "env", "abort", "iiii", ""},
		{"another version", "bespoke_2", "read", "iiii", "I"},
		{"version left out", "bespoke", "read", "iiii", "I"},
		{"WASI preview 0", "wasi_unstable", "fd_write", "iiii", "i"},
		{"threads", "wasi", "thread-spawn", "i", "i"},
		{"no such function", "bespoke_1", "write", "", ""},
		{"function without a name", "bespoke_1", "", "", ""},
		{"function in capitals", "bespoke_1", "READ", "iiii", "I"},
		{"read that returns an i32", "bespoke_1", "read", "iiii", "i"},
		{"read with too few parameters", "bespoke_1", "read", "iii", "I"},
		{"emit that returns nothing", "bespoke_1", "emit", "iiiiiii", ""},
		{"emit with too many parameters", "bespoke_1", "emit", "iiiiiiii", "i"},
		{"log that returns something", "bespoke_1", "log", "iii", "i"},
		{"log of 64 bits", "bespoke_1", "log", "iII", ""},
		{"no such function of WASI", wasiModule, "path_teleport", "", ""},
		{"WASI with another signature", wasiModule, "fd_write", "iii", "i"},
		{"WASI clock of 32 bits", wasiModule, "clock_time_get", "iii", "i"},
	} {
		cases = append(cases, Case{secModule, "imports/" + c.name, refused(imports(c.from, c.as, c.params, c.results))})
	}
	for _, c := range []struct{ name, params, results string }{
		{"sock_accept", "iii", "i"}, {"sock_recv", "iiiiii", "i"}, {"sock_send", "iiiii", "i"}, {"sock_shutdown", "ii", "i"},
	} {
		cases = append(cases, Case{secFixed, "imports/" + c.name, refused(imports(wasiModule, c.name, c.params, c.results))})
	}
	return cases
}

// phases is a module that logs the phase in each of those.
func phases(manifest string, all ...abi.Phase) []byte {
	g := newGuest()
	for _, p := range all {
		g.on(p, g.logs(1, p.String()))
	}
	if manifest != "" {
		g.manifest(manifest)
	}
	return g.binary()
}

// runsOnly wants the policy to be run in these phases, and not in the others.
func runsOnly(module []byte, name string, all ...abi.Phase) func(*trial) error {
	return func(t *trial) error {
		p, err := t.load(module)
		if err != nil {
			return err
		}
		for _, ph := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			if err := t.runsIn(p, name, ph, slices.Contains(all, ph)); err != nil {
				return err
			}
		}
		return nil
	}
}

func exportCases(Config) []Case {
	request, response := abi.OnRequest, abi.OnResponse
	function := func(as, params, results string, body ...code) []byte {
		return quiet(func(g *guest) {
			g.export(as, kindFunction, g.function(params, results, "", body...))
		})
	}
	other := func(as string, kind byte) []byte {
		return quiet(func(g *guest) {
			if kind == kindGlobal {
				g.global('i', i32(0))
			} else if kind == kindTable {
				g.table(1, -1)
			}
			g.export(as, kind, 0)
		})
	}
	noPhase := newGuest()
	noPhase.initialize()
	return []Case{
		{secModule, "exports/on_request alone", runsOnly(phases("", request), policyName, request)},
		{secModule, "exports/on_response alone", runsOnly(phases("", response), policyName, response)},
		{secModule, "exports/both phases", runsOnly(phases("", request, response), policyName, request, response)},
		{secModule, "exports/neither phase", refused(noPhase.binary())},
		{secModule, "exports/others too", taken(other("counter", kindGlobal))},
		{secModule, "exports/no memory", refused(bare(nil, func(m *module) { m.memory(1, -1) }))},
		{secModule, "exports/memory by another name", refused(bare(nil, func(m *module) {
			m.memory(1, -1)
			m.export("mem", kindMemory, 0)
		}))},
		{secModule, "exports/memory that is a function", refused(bare(nil, func(m *module) {
			m.memory(1, -1)
			m.export(abi.ExportMemory, kindFunction, 0)
		}))},
		{secModule, "exports/on_request with a parameter", refused(function("on_request", "i", ""))},
		{secModule, "exports/on_request with a result", refused(function("on_request", "", "i", i32(0)))},
		{secModule, "exports/on_request that is a global", refused(other("on_request", kindGlobal))},
		{secModule, "exports/on_request that is a table", refused(other("on_request", kindTable))},
		{secModule, "exports/on_request that is a memory", refused(other("on_request", kindMemory))},
		{secModule, "exports/_initialize with a parameter", refused(function("_initialize", "i", ""))},
		{secModule, "exports/_initialize with a result", refused(function("_initialize", "", "i", i32(0)))},
		{secModule, "exports/_initialize that is a memory", refused(other("_initialize", kindMemory))},
		{secModule, "exports/_start", refused(function("_start", "", ""))},
	}
}

// featureCases are the features that policies may use, each with its result,
// and those that they may not.
func featureCases(Config) []Case {
	body := func(c ...code) []byte { return bodyOf("", c...) }
	said := func(v string, make func(g *guest) code) func(*trial) error {
		return plays(guestOn(nil, make), step{phase: abi.OnResponse, log: []string{"1 " + v}})
	}
	cases := []Case{
		{secModule, "features/several results", said("-1", func(g *guest) code {
			two := g.function("", "ii", "", numbers(2, 3))
			return g.say32(call(two), code{0x6b}) // sub
		})},
		{secModule, "features/memory.fill and memory.copy", said("171", func(g *guest) code {
			return seq(fill(buffer, 0xab, 64), numbers(buffer+100, buffer, 64), code{0xfc, 10, 0, 0}, g.say32(load8(buffer+163)))
		})},
		{secModule, "features/memory.init", said("3", func(g *guest) code {
			d := g.passiveDatum([]byte{1, 2, 3})
			return seq(numbers(buffer, 2, 1), code{0xfc, 8}, uleb(uint64(d)), code{0}, g.say32(load8(buffer)))
		})},
		{secModule, "features/tables and references", said("1", func(g *guest) code {
			t := g.table(2, 4)
			return seq(
				i32(1), code{0xd0, 0x70, 0x26, t}, // table.set t 1 null
				code{0xd0, 0x70}, i32(1), code{0xfc, 15, t}, drop, // table.grow
				g.say32(i32(1), code{0x25, t, 0xd1})) // table.get, ref.is_null
		})},
		{secModule, "features/SIMD", said("12", func(g *guest) code {
			return g.say32(v128(5<<32|7), v128(2<<32|5), code{0xfd, 0xae, 1}, code{0xfd, 27, 0}) // i32x4.add, extract_lane 0
		})},
		{secModule, "features/sign extension", said("-128", func(g *guest) code { return g.say32(i32(0x80), code{0xc0}) })},
		{secModule, "features/conversion that does not trap", said("2147483647", func(g *guest) code {
			return g.say32(f64(1e300), code{0xfc, 2}) // i32.trunc_sat_f64_s
		})},
		{secModule, "features/blocks with parameters", said("9", func(g *guest) code {
			t := g.typ(signature{"ii", "i"})
			return g.say32(numbers(4, 5), code{0x02}, uleb(uint64(t)), add, code{0x0b})
		})},
	}
	for _, c := range []struct {
		name   string
		module []byte
	}{
		{"a component", append([]byte("\x00asm\x0d\x00\x01\x00"), quiet(nil)[8:]...)},
		{"nothing at all", nil},
		{"a page of HTML", []byte("<!doctype html><title>Not found</title>")},
		{"cut off", quiet(nil)[:60]},
		{"followed by garbage", append(quiet(nil), "garbage"...)},
		{"code of the wrong type", body(i32(1))},
		{"threads: an atomic instruction", body(i32(0), code{0xfe, 0x10, 2, 0}, drop)},
		{"tail calls", body(code{0x12, 0})},
		{"exceptions: try", body(code{0x06, 0x40, 0x0b})},
		{"exceptions: throw", body(code{0x08, 0})},
		{"exceptions: a tag section", append(bare(nil, nil), 13, 1, 0)},
		{"garbage collection: struct.new", body(code{0xfb, 0, 0}, drop)},
		{"garbage collection: a type of a struct", structType()},
	} {
		cases = append(cases, Case{secModule, "features/" + c.name, refused(c.module)})
	}
	return cases
}

// bodyOf is a module whose on_response is c.
func bodyOf(locals string, c ...code) []byte {
	m := &module{}
	m.export(abi.ExportOnResponse, kindFunction, m.function("", "", locals, c...))
	m.memory(1, -1)
	m.export(abi.ExportMemory, kindMemory, 0)
	return m.binary()
}

// structType is a good module but for a type section whose second type is a struct.
func structType() []byte {
	b := bodyOf("")
	// Section 1, 4 bytes: 1 type, a function without parameters and results.
	types := []byte{1, 4, 1, 0x60, 0, 0}
	rest := b[8+len(types):]
	return append(append(append([]byte{}, b[:8]...), 1, 6, 2, 0x60, 0, 0, 0x5f, 0), rest...)
}

func memoryCases(Config) []Case {
	with := func(memories ...[]byte) []byte {
		return bare(nil, func(m *module) {
			m.memories = memories
			m.export(abi.ExportMemory, kindMemory, 0)
		})
	}
	return []Case{
		{secModule, "memory/none", refused(bare(nil, func(*module) {}))},
		{secModule, "memory/one", taken(with(limits(1, -1)))},
		{secModule, "memory/of no pages", taken(with(limits(0, 0)))},
		{secModule, "memory/two", refused(with(limits(1, -1), limits(1, -1)))},
		{secModule, "memory/shared", refused(with([]byte{3, 1, 1}))},
		{secModule, "memory/shared, without a maximum", refused(with([]byte{2, 1}))},
		{secModule, "memory/of 64 bits", refused(with([]byte{4, 1}))},
		{secModule, "memory/maximum below the start", refused(with(limits(2, 1)))},
	}
}

// orderCases are about what happens before a run. The globals count what
// start, _initialize and the run did.
func orderCases(Config) []Case {
	const key = "request.path"
	x := Exchange{Values: map[string]string{key: "/"}, Granted: allPurposes()}
	g := newGuest()
	order := g.global('i', i32(0))
	got, refusal := g.global('I', i64(7)), g.global('i', i32(77))
	startGot, startRefusal := g.global('I', i64(7)), g.global('i', i32(77))
	digit := func(d int32) code { // appends a digit to what order says
		return seq(global(order), i32(10), code{0x6c}, i32(d), add, setGlobal(order))
	}
	text := abi.Edit{Op: abi.OpText, Target: "#t", A: "early"}
	g.starts(digit(1), g.reads(key, buffer, 8), setGlobal(startGot), g.edits(text), setGlobal(startRefusal), store32(buffer+64, i32(41)))
	g.initialize(digit(2), g.reads(key, buffer, 8), setGlobal(got), g.edits(text), setGlobal(refusal),
		store32(buffer+64, seq(load32(buffer+64), i32(1), add)))
	run := func(d int32) code {
		return seq(digit(d), g.say32(global(order)), g.say(global(startGot)), g.say32(global(startRefusal)),
			g.say(global(got)), g.say32(global(refusal)), g.say32(load32(buffer+64)), store32(buffer+64, i32(0)))
	}
	g.on(abi.OnRequest, run(3))
	g.on(abi.OnResponse, run(4))
	g.declares(nil, key)
	early := []string{"1 -1", "1 6", "1 -1", "1 6", "1 42"}
	request := step{phase: abi.OnRequest, in: x, log: append([]string{"1 123"}, early...)}
	response := step{phase: abi.OnResponse, in: x, log: append([]string{"1 124"}, early...)}
	return []Case{
		{secModule, "order/start, _initialize, then one phase", plays(g.binary(), request, response, response, request)},
		{secModule, "order/start function that traps", never(quiet(func(g *guest) { g.starts(unreachable) }))},
		{secModule, "order/_initialize that traps", never(quiet(func(g *guest) { g.initialize(unreachable) }))},
		{secModule, "order/data outside the memory", never(quiet(func(g *guest) {
			g.memory(1, 1)
			g.datum(65530, []byte("seven bytes"))
		}))},
		{secModule, "order/a failed run carries out nothing", plays(trapsLate(), step{phase: abi.OnResponse, fails: true},
			step{phase: abi.OnRequest, log: []string{"1 well"}})},
	}
}

// trapsLate emits, and then traps; its other phase is well.
func trapsLate() []byte {
	g := newGuest()
	g.on(abi.OnResponse,
		g.edits(abi.Edit{Op: abi.OpText, Target: "#t", A: "x"}), drop,
		g.edits(abi.Edit{Op: abi.OpSetHeader, Target: "x-t", A: "x"}), drop,
		unreachable)
	g.on(abi.OnRequest, g.logs(1, "well"))
	return g.binary()
}

func allPurposes() []abi.Purpose {
	var all []abi.Purpose
	for p := range abi.Purpose(abi.Purposes) {
		all = append(all, p)
	}
	return all
}

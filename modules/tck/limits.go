package tck

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"bespoke/modules/abi"
)

// Limits of ABI.md that cannot be configured.
const (
	maxTables   = 8
	maxElements = 131_072
	maxBody     = 256 << 10
	maxLocals   = 10_000
)

func limitCases(c Config) []Case {
	pages := c.Limits.MemoryPages
	memory := func(least, most int) []byte {
		return bare(nil, func(m *module) {
			m.memory(least, most)
			m.export(abi.ExportMemory, kindMemory, 0)
		})
	}
	tables := func(sizes ...int) []byte {
		return bare(func(m *module) {
			for _, n := range sizes {
				m.table(n, -1)
			}
		}, nil)
	}
	nop := code{0x01}
	body := func(n int) []byte { return bodyOf("", code(bytes.Repeat(nop, n))) }
	return []Case{
		{secLimits, "limits/module as large as allowed", taken(sized(c.Limits.BinaryBytes))},
		{secLimits, "limits/module too large", refused(sized(c.Limits.BinaryBytes + 1))},
		{secLimits, "limits/memory as large as allowed", taken(memory(pages, pages))},
		{secLimits, "limits/memory too large", refused(memory(pages+1, -1))},
		{secLimits, "limits/maximum of memory too large", refused(memory(1, pages+1))},
		{secLimits, "limits/memory of 4 GiB", refused(memory(65536, 65536))},
		{secLimits, "limits/memory grows up to the limit", growsTo(-1, pages)},
		{secLimits, "limits/memory grows up to its maximum", growsTo(3, 3)},
		{secLimits, "limits/as many tables as allowed", taken(tables(slices.Repeat([]int{1}, maxTables)...))},
		{secLimits, "limits/too many tables", refused(tables(slices.Repeat([]int{1}, maxTables+1)...))},
		{secLimits, "limits/tables as large as allowed", taken(tables(maxElements/2, maxElements/2))},
		{secLimits, "limits/table too large", refused(tables(maxElements + 1))},
		{secLimits, "limits/tables too large together", refused(tables(maxElements/2, maxElements/2+1))},
		{secLimits, "limits/table.grow beyond the limit", tableGrows()},
		{secLimits, "limits/a long function", taken(body(maxBody - 64))},
		{secLimits, "limits/function too long", refused(body(maxBody + 64))},
		{secLimits, "limits/as many locals as allowed", taken(locals(maxLocals))},
		{secLimits, "limits/too many locals", refused(locals(maxLocals + 1))},
		{secLimits, "limits/locals without end", refused(locals(math.MaxUint32))},
		{secLimits, "limits/as many edits as allowed", countsEdits(c.Limits.Edits, 0)},
		{secLimits, "limits/too many edits", countsEdits(c.Limits.Edits, 3)},
		{secLimits, "limits/refused edits count", refusedCount(c.Limits.Edits)},
		{secLimits, "limits/bytes of edits as many as allowed", editBytes(c.Limits.EditBytes, 0)},
		{secLimits, "limits/too many bytes of edits", editBytes(c.Limits.EditBytes, 1)},
		{secLimits, "limits/too many bytes of one edit", oneLargeEdit(c.Limits.EditBytes)},
	}
}

// sized is a good module of n bytes, most of which are data that is copied
// to no place.
func sized(n int) []byte {
	build := func(data int) []byte {
		return bare(nil, func(m *module) {
			m.memory(1, -1)
			m.export(abi.ExportMemory, kindMemory, 0)
			m.passiveDatum(make([]byte, data))
		})
	}
	data := n - 256
	data += n - len(build(data))
	for n > len(build(data)) { // a number became shorter
		data++
	}
	return build(data)
}

// locals is a module whose function has so many locals.
func locals(n uint64) []byte {
	m := &module{}
	m.typeOf = append(m.typeOf, m.typ(signature{}))
	m.rawBody(slices.Concat([]byte{1}, uleb(n), []byte{0x7f, 0x0b}))
	m.functions++
	m.export(abi.ExportOnResponse, kindFunction, 0)
	m.memory(1, -1)
	m.export(abi.ExportMemory, kindMemory, 0)
	return m.binary()
}

// growsTo has a memory of one page, with a maximum or none (-1), grow: by 0,
// by too much, up to its most, and beyond.
func growsTo(maximum, most int) func(*trial) error {
	g := newGuest()
	g.pages, g.most = 1, maximum
	g.on(abi.OnResponse,
		g.say32(grow(0)), g.say32(grow(int32(most))), g.say32(grow(-1)), g.say32(grow(int32(most-1))),
		g.say32(memorySize), g.say32(load8(int32(most<<16-1))), g.say32(grow(1)), g.say32(memorySize))
	n := fmt.Sprint("1 ", most)
	s := step{phase: abi.OnResponse, log: []string{"1 1", "1 -1", "1 -1", "1 1", n, "1 0", "1 -1", n}}
	return plays(g.binary(), s, s)
}

// tableGrows grows a table without a maximum.
func tableGrows() func(*trial) error {
	return plays(guestOn(nil, func(g *guest) code {
		t := g.table(1, -1)
		by := func(n int32) code { return g.say32(code{0xd0, 0x70}, i32(n), code{0xfc, 15, t}) }
		return seq(by(100), by(maxElements), by(1<<30), by(-1), g.say32(code{0xfc, 16, t}))
	}), step{phase: abi.OnResponse, log: []string{"1 1", "1 -1", "1 -1", "1 -1", "1 101"}})
}

// counted is a policy's account of what emit returned: how often 0, 5, 7, and
// something else.
type counted struct{ taken, over, lacking, other int }

func count(o Outcome) (c counted, err error) {
	if _, err := fmt.Sscanf(strings.Join(lines(o), "\n"), "1 %d\n1 %d\n1 %d\n1 %d", &c.taken, &c.over, &c.lacking, &c.other); err != nil {
		return c, fmt.Errorf("the log is %s, want four counts: the run is to go on when edits are refused", show(lines(o)))
	}
	return c, nil
}

// counting is a policy that emits some edits so many times each, then says how
// often emit returned what.
func counting(pages int, emit func(g *guest) (times []int, edits []code)) []byte {
	g := newGuest()
	g.pages = pages
	var counts [4]uint32
	for i := range counts {
		counts[i] = g.global('i', i32(0))
	}
	up := func(n uint32) code { return seq(global(n), i32(1), add, setGlobal(n)) }
	is := func(r abi.Refusal) code { return seq(local(1), i64(int64(r)), code{0x51, 0x04, 0x40}) } // i64.eq, if
	times, edits := emit(g)
	var body code
	for i := range edits {
		body = append(body, repeat(0, int32(times[i]), edits[i], extend, setLocal(1),
			is(abi.Accepted), up(counts[0]), code{0x05},
			is(abi.RefusedLimit), up(counts[1]), code{0x05},
			is(abi.RefusedUnsupported), up(counts[2]), code{0x05}, up(counts[3]), code{0x0b, 0x0b, 0x0b})...)
	}
	for _, n := range counts {
		body = append(body, g.say32(global(n))...)
	}
	g.on(abi.OnResponse, body)
	return g.binary()
}

// tally runs such a policy twice. A host may let a run that went over the
// limit fail: ABI.md does not say. Then it must carry out nothing, which run sees to.
func tally(module []byte, want func(c counted, o Outcome, failed error) error) func(*trial) error {
	return func(t *trial) error {
		p, err := t.load(module)
		if err != nil {
			return err
		}
		for range 2 {
			o, failed, err := t.run(p, abi.OnResponse, Exchange{})
			if err != nil {
				return err
			}
			c, err := count(o)
			if err == nil {
				err = want(c, o, failed)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// countsEdits emits as many edits as allowed, and more.
func countsEdits(most, more int) func(*trial) error {
	m := counting(0, func(g *guest) ([]int, []code) {
		return []int{most + more}, []code{g.edits(abi.Edit{Op: abi.OpText, Target: "#t"})}
	})
	return tally(m, func(c counted, o Outcome, failed error) error {
		if c == (counted{0, more, most, 0}) {
			return ErrLacking // texts are not carried out
		}
		if want := (counted{most, more, 0, 0}); c != want {
			return fmt.Errorf("%d edits: %+v, want %+v", most+more, c, want)
		}
		if failed == nil && len(o.Edits) != most {
			return fmt.Errorf("%d edits are carried out, want %d", len(o.Edits), most)
		}
		return notFailed(more == 0, failed)
	})
}

func notFailed(must bool, failed error) error {
	if must && failed != nil {
		return fmt.Errorf("the run kept within the limits and failed: %w", failed)
	}
	return nil
}

// refusedCount emits unknown operations, as many as allowed, then a good edit.
func refusedCount(most int) func(*trial) error {
	m := counting(0, func(g *guest) ([]int, []code) {
		return []int{most, 1}, []code{g.emits(0, "", "", ""), g.edits(abi.Edit{Op: abi.OpText, Target: "#t"})}
	})
	return tally(m, func(c counted, o Outcome, _ error) error {
		if want := (counted{0, 1, 0, most}); c != want {
			return fmt.Errorf("%d refused edits and a good one: %+v, want %+v", most, c, want)
		}
		return sameEdits(o, nil)
	})
}

// editBytes emits an unknown operation whose texts are as long as allowed, but
// for what a good edit after it takes, and more.
func editBytes(most, more int) func(*trial) error {
	good := abi.Edit{Op: abi.OpText, Target: "#t", A: "xyz"}
	first := most - len(good.Target) - len(good.A) + more
	m := counting(most>>16+2, func(g *guest) ([]int, []code) {
		return []int{1, 1}, []code{refusedBytes(int32(first), g.emit), g.edits(good)}
	})
	return tally(m, func(c counted, o Outcome, failed error) error {
		if c == (counted{0, 0, 1, 1}) {
			return ErrLacking // texts are not carried out
		}
		if want := (counted{1 - more, more, 0, 1}); c != want {
			return fmt.Errorf("an edit of %d bytes that is refused, then one of 5: %+v, want %+v", first, c, want)
		}
		return notFailed(more == 0, failed)
	})
}

// refusedBytes emits operation 0 with n bytes, spread over the three texts.
func refusedBytes(n int32, emit uint32) code {
	return seq(numbers(0, 0, n/3, 0, n/3, 0, n-n/3*2), call(emit))
}

// oneLargeEdit emits a good edit that is too large, by its argument.
func oneLargeEdit(most int) func(*trial) error {
	m := counting(most>>16+2, func(g *guest) ([]int, []code) {
		at := g.at("#t")
		return []int{1}, []code{seq(fill(8<<10, 'x', int32(most)), numbers(int32(abi.OpText), at, 2, 8<<10, int32(most), 0, 0), call(g.emit))}
	})
	return tally(m, func(c counted, o Outcome, _ error) error {
		if c == (counted{0, 0, 1, 0}) {
			return ErrLacking // texts are not carried out
		}
		if want := (counted{0, 1, 0, 0}); c != want {
			return fmt.Errorf("an edit of %d bytes: %+v, want %+v", most+2, c, want)
		}
		return sameEdits(o, nil)
	})
}

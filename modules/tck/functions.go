package tck

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bespoke/modules/abi"
)

// valueKey is a key that needs no purpose, and is declared by guests that read it.
const valueKey = "request.path"

func holding(v string) Exchange { return Exchange{Values: map[string]string{valueKey: v}} }

// trapping is a policy that emits an edit and does something that must trap in
// on_response; on_request is well.
func trapping(body func(g *guest) code) func(*trial) error {
	g := newGuest()
	g.on(abi.OnResponse, g.edits(abi.Edit{Op: abi.OpText, Target: "#t", A: "x"}), drop, body(g))
	g.on(abi.OnRequest, g.logs(1, "well"))
	g.declares(nil, valueKey)
	well := step{phase: abi.OnRequest, in: holding("v"), log: []string{"1 well"}}
	return plays(g.binary(), well, step{phase: abi.OnResponse, in: holding("v"), fails: true}, well)
}

// textCases are about ranges of memory and about UTF-8, for every parameter.
func textCases(Config) []Case {
	readAt := func(key, keyLen, buf, room int32) func(g *guest) code {
		return func(g *guest) code { return seq(numbers(key, keyLen, buf, room), call(g.read), drop) }
	}
	emitAt := func(n ...int32) func(g *guest) code {
		return func(g *guest) code {
			return seq(numbers(append([]int32{int32(abi.OpText)}, n...)...), call(g.emit), drop)
		}
	}
	logAt := func(at, n int32) func(g *guest) code {
		return func(g *guest) code { return seq(numbers(1, at, n), call(g.log)) }
	}
	const end = 65536 // of the one page that these guests have
	var cases []Case
	for _, c := range []struct {
		name string
		body func(g *guest) code
	}{
		{"key of read beyond the end", readAt(end, 1, buffer, 8)},
		{"key of read across the end", readAt(end-4, 5, buffer, 8)},
		{"key of read that wraps around", readAt(-4, 8, buffer, 8)},
		{"key of read with a length below zero", readAt(0, -1, buffer, 8)},
		{"buffer of read beyond the end", readAt(0, 1, end, 1)},
		{"buffer of read across the end, the key absent", readAt(0, 1, end-4, 5)},
		{"buffer of read with a length below zero", readAt(0, 1, buffer, -1)},
		{"buffer of read across the end, the value short", func(g *guest) code {
			return seq(g.reads(valueKey, end-4, 5), drop)
		}},
		{"target of emit beyond the end", emitAt(end, 1, 0, 0, 0, 0)},
		{"target of emit across the end", emitAt(end-1, 2, 0, 0, 0, 0)},
		{"first argument of emit beyond the end", emitAt(0, 0, end, 1, 0, 0)},
		{"first argument of emit that wraps around", emitAt(0, 0, -1, 2, 0, 0)},
		{"second argument of emit across the end", emitAt(0, 0, 0, 0, end-1, 2)},
		{"second argument of emit with a length below zero", emitAt(0, 0, 0, 0, 0, -1)},
		{"text of log beyond the end", logAt(end, 1)},
		{"text of log across the end", logAt(end-1, 2)},
		{"text of log with a length below zero", logAt(8, -8)},
	} {
		cases = append(cases, Case{secText, "range/" + c.name, trapping(c.body)})
	}
	g := newGuest()
	g.on(abi.OnResponse,
		g.say(numbers(-1, 0, -1, 0), call(g.read)),
		g.say(g.reads(valueKey, -1, 0)),
		numbers(0, -1, 0, -1, 0, -1, 0), call(g.emit), drop,
		numbers(1, -1, 0), call(g.log))
	g.declares(nil, valueKey)
	fits := newGuest()
	fits.on(abi.OnResponse,
		fits.say(fits.reads(valueKey, end-5, 5)),
		fits.logsMemory(end-5, 5),
		numbers(0, 0, 0, 0, 0, end, 0), call(fits.emit), drop)
	fits.declares(nil, valueKey)
	return append(cases,
		Case{secText, "range/length 0 with any pointer", plays(g.binary(),
			step{phase: abi.OnResponse, in: holding("value"), log: []string{"1 -1", "1 5"}})},
		Case{secText, "range/up to the last byte", plays(fits.binary(),
			step{phase: abi.OnResponse, in: holding("value"), log: []string{"1 5", "1 value"}})},
		Case{secText, "range/in memory that grew", grownMemory()},
		Case{secText, "range/beyond memory that grew", trapping(func(g *guest) code {
			return seq(grow(1), drop, g.reads(valueKey, 2*end-4, 5), drop)
		})})
}

// grownMemory has the guest use the page that it grew by: for a key, across
// the old end, and for the buffer, up to the new end.
func grownMemory() func(*trial) error {
	const end = 65536
	g := newGuest()
	at := g.at(valueKey)
	g.on(abi.OnResponse,
		g.say32(grow(1)),
		numbers(end-4, at, int32(len(valueKey))), code{0xfc, 10, 0, 0}, // memory.copy
		g.say(numbers(end-4, int32(len(valueKey)), 2*end-5, 5), call(g.read)),
		g.logsMemory(2*end-5, 5))
	g.declares(nil, valueKey)
	s := step{phase: abi.OnResponse, in: holding("value"), log: []string{"1 1", "1 5", "1 value"}}
	return plays(g.binary(), s, s)
}

// reading is a policy that fills 16 bytes with dots, reads the key into them
// with that room, and says what read returned and what is in them then.
func reading(key string, room int32) []byte {
	g := newGuest()
	g.on(abi.OnResponse, fill(buffer, '.', 16), g.say(g.reads(key, buffer, room)), g.logsMemory(buffer, 16))
	g.declares(nil, "request.path", "request.query.*")
	return g.binary()
}

func readCases(c Config) []Case {
	give := func(key, value string, room int32, returns int, left string) func(*trial) error {
		return plays(reading(key, room), step{
			phase: abi.OnResponse,
			in:    Exchange{Values: map[string]string{key: value}},
			log:   []string{fmt.Sprint("1 ", returns), "1 " + left},
		})
	}
	dots := strings.Repeat(".", 16)
	absent := func(key string, there bool) func(*trial) error {
		x := Exchange{Values: map[string]string{}}
		if there {
			x.Values[key] = "value"
		}
		return plays(reading(key, 16), step{phase: abi.OnResponse, in: x, log: []string{"1 -1", "1 " + dots}})
	}
	longest := "request.query." + strings.Repeat("k", c.Limits.ReadBytes-len("request.query."))
	huge := strings.Repeat("0123456789abcdef", 6*4096) // six pages, for a guest of one
	cases := []Case{
		{secFunctions, "read/value that fits", give(valueKey, "hello", 16, 5, "hello...........")},
		{secFunctions, "read/value as long as the room", give(valueKey, "hello", 5, 5, "hello...........")},
		{secFunctions, "read/value that is cut", give(valueKey, "hello", 3, 5, "hel.............")},
		{secFunctions, "read/length alone", give(valueKey, "hello", 0, 5, dots)},
		{secFunctions, "read/empty value", give(valueKey, "", 16, 0, dots)},
		{secFunctions, "read/value of several lines and NUL", give(valueKey, "a\x00é", 16, 4, "a\x00é............")},
		{secFunctions, "read/value longer than the memory", give(valueKey, huge, 16, len(huge), huge[:16])},
		{secFunctions, "read/absent", absent(valueKey, false)},
		{secFunctions, "read/empty key", absent("", true)},
		{secFunctions, "read/no such key", absent("weather", true)},
		{secFunctions, "read/key that is no UTF-8", absent("request.query.\xff", true)},
		{secFunctions, "read/key with half a character", absent("request.query.\xc3", true)},
		{secFunctions, "read/overlapping key and buffer", overlapping()},
		{secFunctions, "read/cut inside a character", plays(guestReads(valueKey, func(g *guest) code {
			return seq(g.say(g.reads(valueKey, buffer, 2)), g.say32(load8(buffer+1)), g.say32(load8(buffer+2)))
		}), step{phase: abi.OnResponse, in: holding("aé"), log: []string{"1 3", "1 195", "1 0"}})},
		{secFunctions, "read/one value throughout a run", plays(guestReads(valueKey, func(g *guest) code {
			one := seq(fill(buffer, 0, 16), g.say(g.reads(valueKey, buffer, 16)), g.logsMemory(buffer, 5))
			return seq(one, store32(buffer, i32(0)), one)
		}), step{phase: abi.OnResponse, in: holding("first"), log: []string{"1 5", "1 first", "1 5", "1 first"}},
			step{phase: abi.OnResponse, in: holding("other"), log: []string{"1 5", "1 other", "1 5", "1 other"}})},
		{secLimits, "read/key as long as allowed", give(longest, "value", 16, 5, "value...........")},
		{secLimits, "read/key too long", absent(longest+"k", true)},
	}
	return cases
}

// guestReads is a policy that declares a key.
func guestReads(key string, body func(g *guest) code) []byte {
	g := newGuest()
	g.on(abi.OnResponse, body(g))
	g.declares(nil, key)
	return g.binary()
}

// overlapping reads over the key itself.
func overlapping() func(*trial) error {
	return plays(guestReads(valueKey, func(g *guest) code {
		at := g.at(valueKey)
		n := int32(len(valueKey))
		return seq(g.say(numbers(at, n, at, n), call(g.read)), g.logsMemory(at, n),
			// The key is another one now, that is not declared.
			g.say(numbers(at, n, at, n), call(g.read)))
	}), step{phase: abi.OnResponse, in: holding("REQUEST"), log: []string{"1 7", "1 REQUEST.path", "1 -1"}})
}

func emitCases(Config) []Case {
	response := abi.OnResponse
	edits := []abi.Edit{
		{Op: abi.OpText, Target: "#a", A: "Grüße\n<b> & \"q\""},
		{Op: abi.OpText, Target: "#b"},
		{Op: abi.OpAttr, Target: "#c", A: "title", B: "é"},
		{Op: abi.OpText, Target: "#a", A: "again"},
		{Op: abi.OpSetHeader, Target: "x-tck", A: "v"},
	}
	number := func(op int32) func(*trial) error {
		return func(t *trial) error {
			m := guestOn(nil, func(g *guest) code { return g.say32(g.emits(op, "#t", "x", "")) })
			return plays(m, step{phase: response, log: []string{"1 1"}})(t)
		}
	}
	return []Case{
		{secFunctions, "emit/edits as they are, in order", accepts(response, edits)},
		{secFunctions, "emit/a refused edit changes nothing, and the run goes on", refusesAndGoesOn()},
		{secFunctions, "emit/text that is no UTF-8", notUTF8()},
		{secFunctions, "emit/operation 256", number(256)},
		{secFunctions, "emit/operation 257, which is 1 in a byte", number(257)},
		{secFunctions, "emit/operation 65537, which is 1 in two bytes", number(65537)},
		{secFunctions, "emit/operation -1", number(-1)},
		{secFunctions, "emit/the lowest operation", number(-1 << 31)},
		{secOperations, "emit/every number that is no operation", unknownNumbers()},
	}
}

// accepts has a policy emit edits that are good. It wants those that the host
// says it took, and at least one.
func accepts(p abi.Phase, edits []abi.Edit) func(*trial) error {
	g := newGuest()
	var body code
	for _, e := range edits {
		body = append(body, g.say32(g.edits(e))...)
	}
	g.on(p, body)
	return plays(g.binary(), step{phase: p, check: func(o Outcome) error {
		got := lines(o)
		if len(got) != len(edits) {
			return fmt.Errorf("the log is %s, want the outcomes of %d edits", show(got), len(edits))
		}
		var want []abi.Edit
		for i, e := range edits {
			switch got[i] {
			case "1 0":
				want = append(want, e)
			case "1 7":
			default:
				return fmt.Errorf("emit of %v returned %s, want 0, or 7 from a host that does not carry it out", e.Op, got[i][2:])
			}
		}
		if len(want) == 0 {
			return ErrLacking
		}
		return sameEdits(o, want)
	}})
}

func sameEdits(o Outcome, want []abi.Edit) error {
	if len(o.Edits) == len(want) {
		same := true
		for i := range want {
			same = same && o.Edits[i] == want[i]
		}
		if same {
			return nil
		}
	}
	return fmt.Errorf("the edits are %s, want %s", show(o.Edits), show(want))
}

// refusesAndGoesOn puts refused edits between good ones.
func refusesAndGoesOn() func(*trial) error {
	good := []abi.Edit{{Op: abi.OpText, Target: "#a", A: "one"}, {Op: abi.OpText, Target: "#b", A: "two"}}
	return plays(guestOn(nil, func(g *guest) code {
		return seq(g.edits(good[0]), drop, g.emits(99, "#a", "x", ""), drop,
			g.edits(abi.Edit{Op: abi.OpText, Target: "[", A: "x"}), drop, g.edits(good[1]), drop, g.logs(1, "goes on"))
	}), step{phase: abi.OnResponse, check: func(o Outcome) error {
		if got := lines(o); len(got) != 1 || got[0] != "1 goes on" {
			return fmt.Errorf("the log is %s, want that the run goes on", show(got))
		}
		if len(o.Edits) == 0 {
			return ErrLacking // texts are not carried out
		}
		return sameEdits(o, good)
	}})
}

// notUTF8 emits texts that are no UTF-8, after a good one. What is wrong with
// a target may be called a bad target or a bad argument.
func notUTF8() func(*trial) error {
	bad := []abi.Edit{
		{Op: abi.OpText, Target: "#\xff", A: "x"},
		{Op: abi.OpText, Target: "#t", A: "\xff"},
		{Op: abi.OpText, Target: "#t", A: "x\xc3"},
		{Op: abi.OpText, Target: "#t", A: "\xed\xa0\x80"}, // a surrogate
		{Op: abi.OpText, Target: "#t", A: "\xc0\xaf"},     // longer than need be
		{Op: abi.OpAttr, Target: "#t", A: "title", B: "\x80"},
	}
	good := abi.Edit{Op: abi.OpText, Target: "#t", A: "x"}
	var tries []attempt
	for _, e := range bad {
		tries = append(tries, attempt{e, abi.RefusedArgument, 0})
	}
	tries[0].or = abi.RefusedTarget
	return refuses(abi.OnResponse, nil, good, tries)
}

// unknownNumbers emits every number that is no operation, in both phases, few
// in a run so that no limit is reached.
func unknownNumbers() func(*trial) error {
	var parts []func(*trial) error
	var edits []abi.Edit
	for op := range 256 {
		if !abi.Op(op).Known() {
			edits = append(edits, abi.Edit{Op: abi.Op(op), Target: "#t"})
		}
	}
	for some := range slices.Chunk(edits, 16) {
		for _, p := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			parts = append(parts, func(t *trial) error {
				got, o, err := t.outcomes(p, nil, some...)
				for i, r := range got {
					if r != abi.RefusedUnknownOp {
						err = errors.Join(err, fmt.Errorf("emit of operation %d in phase %v returned %d, %v; want 1", some[i].Op, p, r, r))
					}
				}
				return errors.Join(err, sameEdits(o, nil))
			})
		}
	}
	return both(parts...)
}

func logCases(c Config) []Case {
	logs := func(want []string, body func(g *guest) code) func(*trial) error {
		s := step{phase: abi.OnResponse, log: want}
		return plays(guestOn(nil, body), s, s)
	}
	one := func(level int32, s string) func(g *guest) code {
		return func(g *guest) code { return g.logs(level, s) }
	}
	cases := []Case{
		{secFunctions, "log/lines", logs([]string{"1 one", "1 two", "1 three"}, one(1, "one\ntwo\nthree\n"))},
		{secFunctions, "log/without an end", logs([]string{"1 one", "1 two"}, one(1, "one\ntwo"))},
		{secFunctions, "log/a call is a line of its own", logs([]string{"1 one", "2 two"}, func(g *guest) code {
			return seq(g.logs(1, "one"), g.logs(2, "two"))
		})},
		{secFunctions, "log/empty lines", logs([]string{"1 a", "1 b"}, one(1, "\n\na\n\n\nb\n\n"))},
		{secFunctions, "log/nothing", logs(nil, one(1, ""))},
		{secFunctions, "log/bytes that are no UTF-8", logs([]string{"1 a\uFFFDb"}, one(1, "a\xffb"))},
		{secFunctions, "log/text beyond ASCII", logs([]string{"1 Grüße, 世界 \U0001F30D"}, one(1, "Grüße, 世界 \U0001F30D"))},
	}
	for _, l := range []struct{ level, want int32 }{{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {256, 3}, {257, 3}, {-1, 3}, {-1 << 31, 3}} {
		cases = append(cases, Case{secFunctions, fmt.Sprintf("log/level %d", l.level),
			logs([]string{fmt.Sprintf("%d text", l.want)}, one(l.level, "text"))})
	}
	n := c.Limits.LogBytes
	return append(cases,
		Case{secLimits, "log/as long as allowed", logs([]string{"1 " + strings.Repeat("x", n-1)}, one(1, strings.Repeat("x", n-1)))},
		Case{secLimits, "log/lines as many as allowed", fillsLog(n, 0)},
		Case{secLimits, "log/beyond the limit", fillsLog(n, 40)})
}

// fillsLog logs lines of 64 bytes, their end included, as many as fit and more.
// What does not fit may come in part; then one line must say so, once.
func fillsLog(size, more int) func(*trial) error {
	line := strings.Repeat("x", 63)
	fit := size / 64
	s := step{phase: abi.OnResponse, check: func(o Outcome) error {
		got := lines(o)
		for i := range fit {
			if i >= len(got) || got[i] != "1 "+line {
				return fmt.Errorf("the log is %s, want %d lines of 63 bytes to come first", show(got), fit)
			}
		}
		rest := got[fit:]
		if more > 0 && len(rest) > 0 && strings.Trim(rest[0][2:], "x") == "" {
			if len(rest[0])-2 >= 63 {
				return fmt.Errorf("the log has more than %d lines of 63 bytes: its limit is %d bytes", fit, size)
			}
			rest = rest[1:]
		}
		if want := min(more, 1); len(rest) != want {
			return fmt.Errorf("after the lines that fit come %s, want %d lines that say that the rest is dropped", show(rest), want)
		}
		if more > 0 && strings.Trim(rest[0][2:], "x") == "" {
			return fmt.Errorf("nothing says that the rest is dropped")
		}
		return nil
	}}
	return plays(guestOn(nil, func(g *guest) code {
		text := g.logs(1, line)
		return repeat(0, int32(fit+more), text)
	}), s, s)
}

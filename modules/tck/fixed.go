package tck

import (
	"encoding/binary"
	"fmt"
	"slices"

	"bespoke/modules/abi"
)

// epoch is what clocks show at the start of an instance: 2000-01-01T00:00:00Z,
// in nanoseconds.
const epoch = 946_684_800 * 1_000_000_000

const badf = 8 // of WASI: a bad file descriptor

// calls leaves what the function of WASI returns for these i32 parameters.
func (g *guest) calls(function string, parameters ...int32) code {
	return seq(numbers(parameters...), call(g.wasi[function]))
}

// writes leaves what fd_write returns for one text; how much was written comes to buffer+600.
func (g *guest) writes(fd int32, s string) code {
	v := binary.LittleEndian.AppendUint32(nil, uint32(g.at(s)))
	v = binary.LittleEndian.AppendUint32(v, uint32(len(s)))
	return g.calls("fd_write", fd, g.at(string(v)), 1, buffer+600)
}

// sleeps leaves what poll_oneoff returns for one clock that runs so many nanoseconds.
func (g *guest) sleeps(nanoseconds uint64) code {
	s := make([]byte, 48)
	s[0] = 42                                // userdata
	binary.LittleEndian.PutUint32(s[16:], 1) // monotonic
	binary.LittleEndian.PutUint64(s[24:], nanoseconds)
	return g.calls("poll_oneoff", g.at(string(s)), buffer+640, 1, buffer+632)
}

// clock says what a clock shows, or that it failed.
func (g *guest) clock(id int32) code {
	return seq(store64(buffer, i64(0)), i32(id), i64(1), i32(buffer), call(g.wasi["clock_time_get"]),
		when(g.logs(3, "the clock failed")), g.say(load64(buffer)))
}

func fixedCases(Config) []Case {
	run := func(want []string, wasi []string, body func(g *guest) code) func(*trial) error {
		s := step{phase: abi.OnResponse, log: want}
		return plays(guestOn(wasi, body), s, s, s)
	}
	start := fmt.Sprint("1 ", epoch)
	cases := []Case{
		{secFixed, "wasi/clocks", run([]string{start, start, start}, []string{"clock_time_get"}, func(g *guest) code {
			return seq(g.clock(0), g.clock(1), g.clock(0))
		})},
		{secFixed, "wasi/sleep takes no time and moves the clocks on", run(
			[]string{start, "1 0", "1 1", fmt.Sprint("1 ", epoch+3600*1_000_000_000), fmt.Sprint("1 ", epoch+3600*1_000_000_000)},
			[]string{"clock_time_get", "poll_oneoff"}, func(g *guest) code {
				return seq(g.clock(1), g.say32(g.sleeps(3600*1_000_000_000)), g.say32(load32(buffer+632)), g.clock(1), g.clock(0))
			})},
		{secFixed, "wasi/random is the same sequence everywhere", randomIsFixed},
		{secFixed, "wasi/arguments are empty", run([]string{"1 0", "1 0", "1 0"}, []string{"args_sizes_get"}, func(g *guest) code {
			return seq(store64(buffer, i64(-1)), g.say32(g.calls("args_sizes_get", buffer, buffer+4)), g.say32(load32(buffer)), g.say32(load32(buffer+4)))
		})},
		{secFixed, "wasi/environment is empty", run([]string{"1 0", "1 0", "1 0"}, []string{"environ_sizes_get"}, func(g *guest) code {
			return seq(store64(buffer, i64(-1)), g.say32(g.calls("environ_sizes_get", buffer, buffer+4)), g.say32(load32(buffer)), g.say32(load32(buffer+4)))
		})},
		{secFixed, "wasi/standard input is empty", run([]string{"1 0", "1 0"}, []string{"fd_read"}, func(g *guest) code {
			return seq(store32(buffer, i32(buffer+64)), store32(buffer+4, i32(16)), store32(buffer+32, i32(-1)),
				g.say32(g.calls("fd_read", 0, buffer, 1, buffer+32)), g.say32(load32(buffer+32)))
		})},
		{secFixed, "wasi/standard output", run([]string{"1 one", "1 two", "1 0", "1 8"}, []string{"fd_write"}, func(g *guest) code {
			return seq(g.writes(1, "one\ntwo\n"), setLocal(0), g.say32(local(0)), g.say32(load32(buffer+600)))
		})},
		{secFixed, "wasi/standard error", run([]string{"2 one", "1 0"}, []string{"fd_write"}, func(g *guest) code {
			return g.say32(g.writes(2, "one\n"))
		})},
		{secFixed, "wasi/a line written in pieces", run([]string{"1 one piece"}, []string{"fd_write"}, func(g *guest) code {
			return seq(g.writes(1, "one "), drop, g.writes(1, "piece\n"), drop)
		})},
		{secFixed, "wasi/several vectors", run([]string{"1 one piece", "1 0", "1 10"}, []string{"fd_write"}, vectors)},
		{secFixed, "wasi/a file to write to", run([]string{"1 8", "1 8"}, []string{"fd_write"}, func(g *guest) code {
			return seq(g.say32(g.writes(0, "x\n")), g.say32(g.writes(3, "x\n")))
		})},
	}
	for _, status := range []int32{0, 1, -1} {
		cases = append(cases, Case{secFixed, fmt.Sprintf("wasi/proc_exit with status %d is a failure", status), exits(status)})
	}
	for _, c := range []struct {
		name string
		args code
	}{
		{"path_open", seq(numbers(3, 0, buffer, 1, 0), i64(0), i64(0), numbers(0, buffer+8))},
		{"fd_prestat_get", numbers(3, buffer)},
		{"fd_readdir", seq(numbers(3, buffer, 64), i64(0), i32(buffer+64))},
		{"fd_pread", seq(numbers(3, buffer, 0), i64(0), i32(buffer+64))},
		{"fd_close", numbers(3)},
		{"path_unlink_file", numbers(3, buffer, 1)},
		{"path_create_directory", numbers(3, buffer, 1)},
		{"path_filestat_get", numbers(3, 0, buffer, 1, buffer+64)},
	} {
		cases = append(cases, Case{secFixed, "wasi/no files: " + c.name, run([]string{fmt.Sprint("1 ", badf)}, []string{c.name},
			func(g *guest) code { return g.say32(c.args, call(g.wasi[c.name])) })})
	}
	return append(cases, Case{secFixed, "runs/same reads, same outcome", sameOutcome})
}

// vectors writes a line that comes from two places of the memory.
func vectors(g *guest) code {
	var v []byte
	for _, s := range []string{"one ", "piece\n"} {
		v = binary.LittleEndian.AppendUint32(v, uint32(g.at(s)))
		v = binary.LittleEndian.AppendUint32(v, uint32(len(s)))
	}
	return seq(g.calls("fd_write", 1, g.at(string(v)), 2, buffer+600), setLocal(0), g.say32(local(0)), g.say32(load32(buffer+600)))
}

// exits is a policy that emits, and then ends itself.
func exits(status int32) func(*trial) error {
	g := newGuest("proc_exit")
	g.on(abi.OnResponse, g.edits(abi.Edit{Op: abi.OpText, Target: "#t", A: "x"}), drop, g.calls("proc_exit", status))
	g.on(abi.OnRequest, g.logs(1, "well"))
	return plays(g.binary(), step{phase: abi.OnResponse, fails: true}, step{phase: abi.OnRequest, log: []string{"1 well"}})
}

// randomIsFixed draws numbers in several runs of two instances of two modules.
func randomIsFixed(t *trial) error {
	draw := func(g *guest) code {
		one := seq(g.calls("random_get", buffer, 16), when(g.logs(3, "random failed")), g.say(load64(buffer)))
		return seq(one, one)
	}
	a := guestOn([]string{"random_get"}, draw)
	b := guestOn([]string{"random_get"}, func(g *guest) code { return seq(code{0x01}, draw(g)) }) // nop
	var first []string
	for _, m := range [][]byte{a, a, b} {
		p, err := t.load(m)
		if err != nil {
			return err
		}
		for range 3 {
			o, failed, err := t.run(p, abi.OnResponse, Exchange{})
			if err == nil {
				err = failed
			}
			if err != nil {
				return err
			}
			got := lines(o)
			if first == nil {
				first = got
			}
			switch {
			case !slices.Equal(got, first):
				return fmt.Errorf("a run drew %s, the first %s", show(got), show(first))
			case len(got) != 2 || got[0] == got[1]:
				return fmt.Errorf("a run drew %s, want two different numbers", show(got))
			}
		}
	}
	return nil
}

// sameOutcome runs a policy that looks at all that might differ, and reads and emits.
func sameOutcome(t *trial) error {
	g := newGuest("clock_time_get", "random_get")
	g.on(abi.OnResponse,
		g.clock(0), g.calls("random_get", buffer, 8), drop, g.say(load64(buffer)),
		g.say32(memorySize), g.say32(grow(1)), g.say32(load32(8<<10)),
		g.say(f64(0), f64(0), code{0xa3, 0xbd}), // 0/0: f64.div, i64.reinterpret_f64
		g.say(g.reads(valueKey, buffer, 64)), g.logsMemory(buffer, 5),
		g.emits(int32(abi.OpText), "#t", "x", ""), drop)
	g.declares(nil, valueKey)
	m := g.binary()
	var first Outcome
	for load := range 2 {
		p, err := t.load(m)
		if err != nil {
			return err
		}
		for run := range 3 {
			o, failed, err := t.run(p, abi.OnResponse, holding("value"))
			if err == nil {
				err = failed
			}
			if err != nil {
				return err
			}
			if load+run == 0 {
				first = o
			}
			if len(o.Log) == 0 || !slices.Equal(o.Log, first.Log) || !slices.Equal(o.Edits, first.Edits) {
				return fmt.Errorf("run %d after load %d: the log is %s, the edits %s; the first time %s, %s",
					run+1, load+1, show(lines(o)), show(o.Edits), show(lines(first)), show(first.Edits))
			}
		}
	}
	return nil
}

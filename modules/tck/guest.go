package tck

import (
	"encoding/json"

	"bespoke/modules/abi"
)

// Addresses in the memory of a guest.
const (
	digits = 32   // the 24 bytes before it are where numbers are written
	buffer = 1024 // of 1 KiB, for what is read
	texts  = 4096 // where the texts begin
)

// A guest is a policy in the making: a module with the three functions, a
// memory, and texts in it.
type guest struct {
	module
	read, emit, log uint32
	sayNumber       uint32 // a function of ours that logs an i64
	wasi            map[string]uint32
	next            int32 // where the next text goes
	pages           int   // of memory at the start; 0: what the texts take
	most            int   // pages of memory at most; below 0: not declared
}

// wasiSignature is that of a function of WASI preview 1 that guests call.
func wasiSignature(function string) signature {
	return map[string]signature{
		"args_sizes_get": {"ii", "i"}, "environ_sizes_get": {"ii", "i"},
		"clock_time_get": {"iIi", "i"}, "poll_oneoff": {"iiii", "i"}, "random_get": {"ii", "i"},
		"fd_write": {"iiii", "i"}, "fd_read": {"iiii", "i"}, "proc_exit": {"i", ""},
		"path_open": {"iiiiiIIii", "i"}, "fd_prestat_get": {"ii", "i"}, "fd_close": {"i", "i"},
		"fd_readdir": {"iiiIi", "i"}, "path_unlink_file": {"iii", "i"}, "path_create_directory": {"iii", "i"},
		"path_filestat_get": {"iiiii", "i"}, "fd_pread": {"iiiIi", "i"},
	}[function]
}

const wasiModule = "wasi_snapshot_preview1"

// newGuest begins a policy that imports the functions of bespoke_1 and those of WASI that are named.
func newGuest(wasi ...string) *guest {
	g := &guest{next: texts, most: -1, wasi: map[string]uint32{}}
	g.read = g.importFunction(abi.ImportModule, abi.ImportRead, "iiii", "I")
	g.emit = g.importFunction(abi.ImportModule, abi.ImportEmit, "iiiiiii", "i")
	g.log = g.importFunction(abi.ImportModule, abi.ImportLog, "iii", "")
	for _, f := range wasi {
		s := wasiSignature(f)
		g.wasi[f] = g.importFunction(wasiModule, f, s.params, s.results)
	}
	g.export(abi.ExportMemory, kindMemory, 0)
	g.sayNumber = g.function("I", "", "i", g.decimal())
	return g
}

// decimal logs the i64 in local 0, signed. Local 1 is the address of the
// leftmost digit.
func (g *guest) decimal() code {
	const n, at = 0, 1
	return seq(
		i32(digits), setLocal(at),
		local(n), i64(0), code{0x53}, // lt_s: local 0 := -local 0, and a sign at the far left
		code{0x04, 0x40}, i64(0), local(n), code{0x7d}, setLocal(n), store8(0, i32(1)), code{0x05}, store8(0, i32(0)), code{0x0b},
		code{0x03, 0x40},
		local(at), i32(-1), add, teeLocal(at),
		local(n), i64(10), code{0x82}, wrap, i32('0'), add, code{0x3a, 0, 0}, // rem_u, store8
		local(n), i64(10), code{0x80}, teeLocal(n), // div_u
		i64(0), code{0x52, 0x0d, 0, 0x0b}, // ne, br_if 0, end
		load8(0), when(local(at), i32(-1), add, teeLocal(at), i32('-'), code{0x3a, 0, 0}),
		i32(int32(abi.Info)), local(at), i32(digits), local(at), code{0x6b}, call(g.log), // sub
	)
}

// say logs, at level 1, the i64 that c leaves.
func (g *guest) say(c ...code) code { return seq(seq(c...), call(g.sayNumber)) }

// say32 logs, at level 1, the i32 that c leaves.
func (g *guest) say32(c ...code) code { return seq(seq(c...), extend, call(g.sayNumber)) }

// text puts s into the memory and leaves its address and length.
func (g *guest) text(s string) code {
	return numbers(g.at(s), int32(len(s)))
}

// at puts s into the memory and returns its address.
func (g *guest) at(s string) int32 {
	p := g.next
	if s != "" {
		g.datum(p, []byte(s))
		g.next += int32(len(s))
	}
	return p
}

// reads leaves what read returns for the key.
func (g *guest) reads(key string, buf, room int32) code {
	return seq(g.text(key), numbers(buf, room), call(g.read))
}

// emits leaves what emit returns for the edit; op is its number, which need not be one of an operation.
func (g *guest) emits(op int32, target, a, b string) code {
	return seq(i32(op), g.text(target), g.text(a), g.text(b), call(g.emit))
}

// edits leaves what emit returns for the edit.
func (g *guest) edits(e abi.Edit) code { return g.emits(int32(e.Op), e.Target, e.A, e.B) }

// logs logs text that may be several lines.
func (g *guest) logs(level int32, s string) code { return seq(i32(level), g.text(s), call(g.log)) }

// logsMemory logs what is in the memory.
func (g *guest) logsMemory(at, n int32) code {
	return seq(numbers(int32(abi.Info), at, n), call(g.log))
}

// on exports what a phase does. It has two locals: i32, i64.
func (g *guest) on(p abi.Phase, body ...code) {
	g.export(p.Export(), kindFunction, g.function("", "", "iI", body...))
}

// initialize exports what is done before any run.
func (g *guest) initialize(body ...code) {
	g.export(abi.ExportInitialize, kindFunction, g.function("", "", "iI", body...))
}

// starts makes the start function.
func (g *guest) starts(body ...code) {
	g.start = uleb(uint64(g.function("", "", "iI", body...)))
}

// declares adds a manifest that declares the keys, and rights.
func (g *guest) declares(rights []string, keys ...string) {
	reads := map[string]string{}
	for _, k := range keys {
		reads[k] = "to test"
	}
	text, err := json.Marshal(abi.Manifest{Name: policyName, Version: "1.0.0", Reads: reads, Rights: rights})
	if err != nil {
		panic(err) // strings only: cannot be
	}
	g.manifest(string(text))
}

// manifest adds a manifest as it stands, at the end.
func (g *guest) manifest(text string) { g.last = append(g.last, custom{abi.ManifestSection, text}) }

// binary writes the module, with a memory that has room for the texts.
func (g *guest) binary() []byte {
	if len(g.memories) == 0 {
		g.memory(max(g.pages, int(g.next>>16)+1), g.most)
	}
	return g.module.binary()
}

// guestOn is a policy that does one thing in on_response.
func guestOn(wasi []string, body func(g *guest) code) []byte {
	g := newGuest(wasi...)
	g.on(abi.OnResponse, body(g))
	return g.binary()
}

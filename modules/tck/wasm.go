package tck

import (
	"encoding/binary"
	"math"
	"slices"
)

// A module is a WebAssembly module in the making (core 2.0, chapter 5). It
// does not check anything: some of what it makes must be refused.
type module struct {
	types     []signature
	imports   [][]byte
	functions int // imported ones and those with a body
	typeOf    []uint32
	bodies    [][]byte
	tables    [][]byte
	memories  [][]byte
	globals   [][]byte
	exports   [][]byte
	start     []byte // nil: none
	elements  [][]byte
	passive   bool // data is passive, which asks for a data count section
	data      [][]byte
	first     []custom // at the beginning
	last      []custom // at the end
}

// A signature is the type of a function, a letter for each value: i is i32, I
// i64, f f32, F f64, v v128, r funcref, e externref.
type signature struct{ params, results string }

type custom struct{ name, text string }

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
)

func typeByte(letter rune) byte {
	return map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c, 'v': 0x7b, 'r': 0x70, 'e': 0x6f}[letter]
}

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func sleb(v int64) []byte {
	var out []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

func name(s string) []byte { return append(uleb(uint64(len(s))), s...) }

func vector(items [][]byte) []byte {
	return append(uleb(uint64(len(items))), slices.Concat(items...)...)
}

func (m *module) typ(s signature) uint32 {
	if i := slices.Index(m.types, s); i >= 0 {
		return uint32(i)
	}
	m.types = append(m.types, s)
	return uint32(len(m.types) - 1)
}

// importFunction must come before every function.
func (m *module) importFunction(from, as, params, results string) uint32 {
	t := m.typ(signature{params, results})
	m.importAny(from, as, kindFunction, uleb(uint64(t)))
	m.functions++
	return uint32(m.functions - 1)
}

func (m *module) importAny(from, as string, kind byte, description []byte) {
	m.imports = append(m.imports, slices.Concat(name(from), name(as), []byte{kind}, description))
}

// function adds a function whose locals are a letter each.
func (m *module) function(params, results, locals string, body ...code) uint32 {
	m.typeOf = append(m.typeOf, m.typ(signature{params, results}))
	b := uleb(uint64(len(locals)))
	for _, l := range locals {
		b = append(b, 1, typeByte(l))
	}
	m.rawBody(append(b, append(seq(body...), 0x0b)...))
	m.functions++
	return uint32(m.functions - 1)
}

func (m *module) rawBody(b []byte) { m.bodies = append(m.bodies, append(uleb(uint64(len(b))), b...)) }

func (m *module) export(as string, kind byte, index uint32) {
	m.exports = append(m.exports, slices.Concat(name(as), []byte{kind}, uleb(uint64(index))))
}

// limits of a memory or table; most below zero: none.
func limits(least, most int) []byte {
	if most < 0 {
		return append([]byte{0}, uleb(uint64(least))...)
	}
	return slices.Concat([]byte{1}, uleb(uint64(least)), uleb(uint64(most)))
}

func (m *module) memory(least, most int) { m.memories = append(m.memories, limits(least, most)) }

// table adds a table of functions and returns its index.
func (m *module) table(least, most int) byte {
	m.tables = append(m.tables, append([]byte{0x70}, limits(least, most)...))
	return byte(len(m.tables) - 1)
}

// global adds a mutable global.
func (m *module) global(letter rune, value code) uint32 {
	m.globals = append(m.globals, slices.Concat([]byte{typeByte(letter), 1}, value, []byte{0x0b}))
	return uint32(len(m.globals) - 1)
}

// datum adds data that is copied to the address at the start.
func (m *module) datum(at int32, b []byte) {
	m.data = append(m.data, slices.Concat([]byte{0}, i32(at), []byte{0x0b}, name(string(b))))
}

// passiveDatum adds data for memory.init and returns its index.
func (m *module) passiveDatum(b []byte) uint32 {
	m.passive = true
	m.data = append(m.data, append([]byte{1}, name(string(b))...))
	return uint32(len(m.data) - 1)
}

// binary writes the module in version 1 of the binary format.
func (m *module) binary() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	add := func(id byte, body []byte) {
		out = append(append(append(out, id), uleb(uint64(len(body)))...), body...)
	}
	some := func(id byte, items [][]byte) {
		if len(items) > 0 {
			add(id, vector(items))
		}
	}
	for _, c := range m.first {
		add(0, append(name(c.name), c.text...))
	}
	var types, functions [][]byte
	for _, t := range m.types {
		b := append([]byte{0x60}, uleb(uint64(len(t.params)))...)
		for _, l := range t.params {
			b = append(b, typeByte(l))
		}
		b = append(b, uleb(uint64(len(t.results)))...)
		for _, l := range t.results {
			b = append(b, typeByte(l))
		}
		types = append(types, b)
	}
	for _, t := range m.typeOf {
		functions = append(functions, uleb(uint64(t)))
	}
	some(1, types)
	some(2, m.imports)
	some(3, functions)
	some(4, m.tables)
	some(5, m.memories)
	some(6, m.globals)
	some(7, m.exports)
	if m.start != nil {
		add(8, m.start)
	}
	some(9, m.elements)
	if m.passive {
		add(12, uleb(uint64(len(m.data))))
	}
	some(10, m.bodies)
	some(11, m.data)
	for _, c := range m.last {
		add(0, append(name(c.name), c.text...))
	}
	return out
}

// code is a sequence of instructions.
type code []byte

func seq(parts ...code) code { return slices.Concat(parts...) }

func i32(v int32) code { return append(code{0x41}, sleb(int64(v))...) }
func i64(v int64) code { return append(code{0x42}, sleb(v)...) }

func f64(v float64) code { return binary.LittleEndian.AppendUint64(code{0x44}, math.Float64bits(v)) }
func f32(v float32) code { return binary.LittleEndian.AppendUint32(code{0x43}, math.Float32bits(v)) }

// v128 is the constant whose low 8 bytes are v, the others zero.
func v128(v uint64) code {
	return append(binary.LittleEndian.AppendUint64(code{0xfd, 12}, v), make([]byte, 8)...)
}

// numbers are constants of type i32, one after the other.
func numbers(v ...int32) code {
	var c code
	for _, n := range v {
		c = append(c, i32(n)...)
	}
	return c
}

func index(op byte, n uint32) code { return append(code{op}, uleb(uint64(n))...) }

func call(f uint32) code      { return index(0x10, f) }
func local(n uint32) code     { return index(0x20, n) }
func setLocal(n uint32) code  { return index(0x21, n) }
func teeLocal(n uint32) code  { return index(0x22, n) }
func global(n uint32) code    { return index(0x23, n) }
func setGlobal(n uint32) code { return index(0x24, n) }

func load8(at int32) code  { return append(i32(at), 0x2d, 0, 0) }
func load32(at int32) code { return append(i32(at), 0x28, 0, 0) }
func load64(at int32) code { return append(i32(at), 0x29, 0, 0) }

func store8(at int32, v code) code  { return seq(i32(at), v, code{0x3a, 0, 0}) }
func store32(at int32, v code) code { return seq(i32(at), v, code{0x36, 0, 0}) }
func store64(at int32, v code) code { return seq(i32(at), v, code{0x37, 0, 0}) }

// fill sets n bytes from at on to v.
func fill(at, v, n int32) code { return append(numbers(at, v, n), 0xfc, 11, 0) }

// grow grows the memory and leaves what memory.grow returned.
func grow(pages int32) code { return append(i32(pages), 0x40, 0) }

// when runs then if the i32 before it is not zero.
func when(then ...code) code { return seq(code{0x04, 0x40}, seq(then...), code{0x0b}) }

// repeat runs body n times, at least once; the i32 local counts from zero.
func repeat(counter uint32, n int32, body ...code) code {
	return seq(i32(0), setLocal(counter), code{0x03, 0x40}, seq(body...),
		local(counter), i32(1), add, teeLocal(counter), i32(n), code{0x49, 0x0d, 0, 0x0b}) // lt_u, br_if 0, end
}

// forever runs body again and again.
func forever(body ...code) code { return seq(code{0x03, 0x40}, seq(body...), code{0x0c, 0, 0x0b}) }

// Instructions without operands.
var (
	unreachable = code{0x00}
	drop        = code{0x1a}
	add         = code{0x6a}
	equal       = code{0x46}
	wrap        = code{0xa7} // i64 to i32
	extend      = code{0xac} // i32 to i64, signed
	memorySize  = code{0x3f, 0}
)

package prepare_test

import (
	"encoding/binary"
	"slices"
)

// builder puts a small module together, byte by byte.
type builder struct {
	types, imports, bodies, exports [][]byte
	funcTypes                       []byte
	memory                          []byte // limits; nil: none
	tables, globals, elements, data [][]byte
	start                           int  // function index; -1: none
	dataCount                       bool // write the section
	custom                          [][]byte
}

func newBuilder() *builder { return &builder{memory: []byte{0, 1}, start: -1} }

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

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func vec(items [][]byte) []byte { return append(uleb(uint64(len(items))), slices.Concat(items...)...) }

func str(s string) []byte { return append(uleb(uint64(len(s))), s...) }

func section(id byte, body []byte) []byte { return cat([]byte{id}, uleb(uint64(len(body))), body) }

func raw(sections ...[]byte) []byte { return cat([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...)) }

var codes = map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c, 'v': 0x7b, 'r': 0x70, 'e': 0x6f}

func valueTypes(letters string) []byte {
	out := uleb(uint64(len(letters)))
	for _, l := range letters {
		out = append(out, codes[l])
	}
	return out
}

func (b *builder) typ(params, results string) byte {
	t := cat([]byte{0x60}, valueTypes(params), valueTypes(results))
	for i := range b.types {
		if slices.Equal(b.types[i], t) {
			return byte(i)
		}
	}
	b.types = append(b.types, t)
	return byte(len(b.types) - 1)
}

// fimport adds an imported function; all of them must come before the first fn.
func (b *builder) fimport(module, name, params, results string) byte {
	b.imports = append(b.imports, cat(str(module), str(name), []byte{0, b.typ(params, results)}))
	return byte(len(b.imports) - 1)
}

// fn adds a function with locals of these types; code needs no final end.
func (b *builder) fn(params, results, locals string, code ...[]byte) byte {
	b.funcTypes = append(b.funcTypes, b.typ(params, results))
	body := uleb(uint64(len(locals)))
	for _, l := range locals {
		body = append(body, 1, codes[l])
	}
	b.bodies = append(b.bodies, cat(body, cat(code...), end))
	return byte(len(b.imports) + len(b.bodies) - 1)
}

func (b *builder) export(name string, kind, index byte) {
	b.exports = append(b.exports, cat(str(name), []byte{kind, index}))
}

func (b *builder) bytes() []byte {
	out := raw()
	add := func(id byte, body []byte) { out = append(out, section(id, body)...) }
	some := func(id byte, items [][]byte) {
		if len(items) > 0 {
			add(id, vec(items))
		}
	}
	for _, c := range b.custom {
		add(0, c)
	}
	some(1, b.types)
	some(2, b.imports)
	if len(b.funcTypes) > 0 {
		add(3, append(uleb(uint64(len(b.funcTypes))), b.funcTypes...))
	}
	some(4, b.tables)
	if b.memory != nil {
		add(5, append([]byte{1}, b.memory...))
	}
	some(6, b.globals)
	some(7, b.exports)
	if b.start >= 0 {
		add(8, []byte{byte(b.start)})
	}
	some(9, b.elements)
	if b.dataCount {
		add(12, uleb(uint64(len(b.data))))
	}
	if len(b.bodies) > 0 {
		sized := make([][]byte, len(b.bodies))
		for i, body := range b.bodies {
			sized[i] = append(uleb(uint64(len(body))), body...)
		}
		add(10, vec(sized))
	}
	some(11, b.data)
	return out
}

// Instructions.
var (
	end         = []byte{0x0b}
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
	add         = []byte{0x6a}
	sub         = []byte{0x6b}
	grow        = []byte{0x40, 0x00}
	loop        = []byte{0x03, 0x40}
	block       = []byte{0x02, 0x40}
	fill        = []byte{0xfc, 11, 0}
	copyMemory  = []byte{0xfc, 10, 0, 0}
	forever     = cat(loop, br(0), end)
)

func i32(v int32) []byte      { return append([]byte{0x41}, sleb(int64(v))...) }
func i64(v int64) []byte      { return append([]byte{0x42}, sleb(v)...) }
func call(f byte) []byte      { return []byte{0x10, f} }
func get(l byte) []byte       { return []byte{0x20, l} }
func set(l byte) []byte       { return []byte{0x21, l} }
func tee(l byte) []byte       { return []byte{0x22, l} }
func getGlobal(g byte) []byte { return []byte{0x23, g} }
func setGlobal(g byte) []byte { return []byte{0x24, g} }
func br(l byte) []byte        { return []byte{0x0c, l} }
func brIf(l byte) []byte      { return []byte{0x0d, l} }

func args(v ...int32) []byte {
	var out []byte
	for _, x := range v {
		out = append(out, i32(x)...)
	}
	return out
}

// one returns a module with a memory and one function, () -> (), exported as run.
func one(locals string, code ...[]byte) *builder {
	b := newBuilder()
	b.export("memory", 2, 0)
	b.export("run", 0, b.fn("", "", locals, code...))
	return b
}

package engine_test

import (
	"encoding/binary"
	"slices"
)

// builder puts a small module together, byte by byte.
type builder struct {
	types, imports, bodies, exports [][]byte
	funcTypes                       []byte
	memory                          []byte // limits; nil: none
	tables, globals, elements       [][]byte
	data                            [][]byte
	start                           int // function index; -1: none
	manifest                        string
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

func vec(items [][]byte) []byte { return append(uleb(uint64(len(items))), slices.Concat(items...)...) }

func str(s string) []byte { return append(uleb(uint64(len(s))), s...) }

func section(id byte, body []byte) []byte {
	return slices.Concat([]byte{id}, uleb(uint64(len(body))), body)
}

func valueTypes(letters string) []byte {
	out := uleb(uint64(len(letters)))
	for _, l := range letters {
		out = append(out, map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c}[l])
	}
	return out
}

func (b *builder) typ(params, results string) byte {
	b.types = append(b.types, slices.Concat([]byte{0x60}, valueTypes(params), valueTypes(results)))
	return byte(len(b.types) - 1)
}

// fimport adds an imported function; all of them must come before the first fn.
func (b *builder) fimport(module, name, params, results string) byte {
	t := b.typ(params, results)
	b.imports = append(b.imports, slices.Concat(str(module), str(name), []byte{0, t}))
	return byte(len(b.imports) - 1)
}

// fn adds a function with n i32 locals; code needs no final end.
func (b *builder) fn(params, results string, n int, code ...[]byte) byte {
	b.funcTypes = append(b.funcTypes, b.typ(params, results))
	locals := []byte{0}
	if n > 0 {
		locals = slices.Concat([]byte{1}, uleb(uint64(n)), []byte{0x7f})
	}
	body := slices.Concat(locals, slices.Concat(code...), []byte{0x0b})
	b.bodies = append(b.bodies, slices.Concat(uleb(uint64(len(body))), body))
	return byte(len(b.imports) + len(b.bodies) - 1)
}

func (b *builder) export(name string, kind, index byte) {
	b.exports = append(b.exports, slices.Concat(str(name), []byte{kind, index}))
}

func (b *builder) text(at int32, s string) {
	b.data = append(b.data, slices.Concat([]byte{0}, i32(at), []byte{0x0b}, str(s)))
}

func (b *builder) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	add := func(id byte, body []byte) { out = append(out, section(id, body)...) }
	if b.manifest != "" {
		add(0, append(str("bespoke.manifest"), b.manifest...))
	}
	add(1, vec(b.types))
	if len(b.imports) > 0 {
		add(2, vec(b.imports))
	}
	add(3, append(uleb(uint64(len(b.funcTypes))), b.funcTypes...))
	if len(b.tables) > 0 {
		add(4, vec(b.tables))
	}
	if b.memory != nil {
		add(5, append([]byte{1}, b.memory...))
	}
	if len(b.globals) > 0 {
		add(6, vec(b.globals))
	}
	add(7, vec(b.exports))
	if b.start >= 0 {
		add(8, []byte{byte(b.start)})
	}
	if len(b.elements) > 0 {
		add(9, vec(b.elements))
	}
	add(10, vec(b.bodies))
	if len(b.data) > 0 {
		add(11, vec(b.data))
	}
	return out
}

// Instructions.
func i32(v int32) []byte     { return append([]byte{0x41}, sleb(int64(v))...) }
func i64(v int64) []byte     { return append([]byte{0x42}, sleb(v)...) }
func call(f byte) []byte     { return []byte{0x10, f} }
func get(local byte) []byte  { return []byte{0x20, local} }
func set(local byte) []byte  { return []byte{0x21, local} }
func load32(at int32) []byte { return slices.Concat(i32(at), []byte{0x28, 2, 0}) }
func store(at int32, v []byte) []byte {
	return slices.Concat(i32(at), v, []byte{0x36, 2, 0})
}

var (
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
	wrap        = []byte{0xa7} // i32.wrap_i64
	add         = []byte{0x6a}
	forever     = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b} // loop br 0 end
	grow        = []byte{0x40, 0x00}
)

func args(v ...int32) []byte {
	var out []byte
	for _, x := range v {
		out = append(out, i32(x)...)
	}
	return out
}

// guest returns a module that exports memory and on_response with that body,
// and imports the three functions as 0 read, 1 emit, 2 log.
func guest(locals int, code ...[]byte) *builder {
	b := newBuilder()
	b.fimport("bespoke_1", "read", "iiii", "I")
	b.fimport("bespoke_1", "emit", "iiiiiii", "i")
	b.fimport("bespoke_1", "log", "iii", "")
	b.export("memory", 2, 0)
	b.export("on_response", 0, b.fn("", "", locals, code...))
	return b
}

package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// binaryModule is what a check needs to know of a module in the binary format
// (WebAssembly core 2.0, chapter 5). Function bodies are left to the compiler.
//
// The compiler's own decoder reserves memory for whatever counts a module
// declares, so a module of thirty bytes could ask for gigabytes. Every count
// outside function bodies is therefore checked here first.
type binaryModule struct {
	code     []byte // the module as it goes to the compiler: no custom sections, tables bounded
	manifest []byte // contents of the manifest section, nil if there is none

	types     []funcType
	imports   []moduleImport
	functions []uint32 // type of each function, imported ones first
	memory    *memoryLimits
	named     map[string]moduleExport
	tables    int
	elements  int
	locals    int
	bodies    int
}

type funcType struct{ params, results string } // letters: i, I, f, F, v, r, e

func (t funcType) String() string { return "(" + t.params + ") -> (" + t.results + ")" }

type moduleImport struct {
	module, name string
	typ          uint32
}

type moduleExport struct {
	kind  byte
	index uint32
}

type memoryLimits struct {
	min, max uint32
	hasMax   bool
}

// Counts beyond which a module is refused. The first ones are those of the
// WebAssembly JavaScript interface (section "Implementation-defined limits"),
// lowered where a policy has no use for so many.
const (
	maxTypes      = 10_000
	maxParams     = 1_000 // and results
	maxImports    = 1_000
	maxFunctions  = 100_000
	maxBody       = 256 << 10 // bytes of one function; the longest seen in a real Go program has 51 KB
	maxLocals     = 10_000    // of one function
	maxAllLocals  = 4 << 20
	maxGlobals    = 10_000
	maxExports    = 10_000
	maxData       = 100_000
	maxTables     = 8
	maxElements   = 1 << 17 // of all tables; also of all element segments
	maxNameLength = 1 << 10
)

// Section numbers (core 2.0, section 5.5.2).
const (
	customSection    = 0
	typeSection      = 1
	importSection    = 2
	functionSection  = 3
	tableSection     = 4
	memorySection    = 5
	globalSection    = 6
	exportSection    = 7
	startSection     = 8
	elementSection   = 9
	codeSection      = 10
	dataSection      = 11
	dataCountSection = 12
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"}

// sectionOrder is the place of each section in a module; a custom one may stand anywhere.
var sectionOrder = [...]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10}

var preamble = []byte("\x00asm\x01\x00\x00\x00")

func decode(module []byte) (*binaryModule, error) {
	if !bytes.HasPrefix(module, preamble[:4]) {
		return nil, errors.New("this is no WebAssembly module: it does not begin with \\0asm")
	}
	if !bytes.HasPrefix(module, preamble) {
		return nil, errors.New("unknown version of the WebAssembly binary format: want 1 (a component is not a module)")
	}
	b := &binaryModule{named: map[string]moduleExport{}}
	b.code = append(make([]byte, 0, len(module)+maxTables*8), preamble...)
	r := &reader{data: module, pos: len(preamble)}
	last := 0
	for r.err == nil && r.pos < len(r.data) {
		start := r.pos
		id := r.byte()
		if r.err == nil && int(id) >= len(sectionNames) {
			return nil, fmt.Errorf("section %d at offset %d is not in WebAssembly 2.0", id, start)
		}
		body := r.sub(int(r.count("length of the section", 1<<30)))
		if r.err != nil {
			break
		}
		if id != customSection {
			if sectionOrder[id] <= last {
				return nil, fmt.Errorf("section %s at offset %d is out of order", sectionNames[id], start)
			}
			last = sectionOrder[id]
		}
		if err := b.section(id, body, module[start:r.pos]); err != nil {
			return nil, fmt.Errorf("section %s: %w", sectionNames[id], err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if declared := len(b.functions) - len(b.imports); declared != b.bodies {
		return nil, fmt.Errorf("%d functions are declared but %d have code", declared, b.bodies)
	}
	return b, nil
}

// section reads one section and appends what the compiler is to see of it.
// whole is the section with its number and length.
func (b *binaryModule) section(id byte, r *reader, whole []byte) error {
	switch id {
	case customSection:
		return b.custom(r)
	case tableSection:
		return b.tableSection(r)
	case typeSection:
		b.typeSection(r)
	case importSection:
		b.importSection(r)
	case functionSection:
		for range r.count("number of functions", maxFunctions) {
			b.functions = append(b.functions, r.u32())
		}
	case memorySection:
		if r.count("number of memories", 1) == 1 {
			b.memory = new(memoryLimits)
			b.memory.hasMax, b.memory.min, b.memory.max = r.limits()
		}
	case globalSection:
		for range r.count("number of globals", maxGlobals) {
			r.byte()
			r.byte()
			r.constant()
		}
	case exportSection:
		b.exportSection(r)
	case startSection, dataCountSection:
		r.u32()
	case elementSection:
		b.elementSection(r)
	case codeSection:
		b.codeSection(r)
	case dataSection:
		b.dataSection(r)
	}
	b.code = append(b.code, whole...)
	return r.end()
}

// custom keeps the manifest. The other custom sections (names, debugging) do
// nothing for a run, and are not shown to the compiler.
func (b *binaryModule) custom(r *reader) error {
	name := r.name()
	if r.err != nil || name != abi.ManifestSection {
		return r.err
	}
	if b.manifest != nil {
		return fmt.Errorf("%s stands twice", name)
	}
	b.manifest = r.data[r.pos:]
	return nil
}

func (b *binaryModule) typeSection(r *reader) {
	for range r.count("number of types", maxTypes) {
		if form := r.byte(); form != 0x60 {
			r.fail("type of form 0x%02x: want a function type, 0x60", form)
		}
		b.types = append(b.types, funcType{r.valueTypes("parameters"), r.valueTypes("results")})
		if r.err != nil {
			return
		}
	}
}

func (b *binaryModule) importSection(r *reader) {
	for range r.count("number of imports", maxImports) {
		module, name := r.name(), r.name()
		if kind := r.byte(); kind != 0 && r.err == nil {
			r.fail("import %s.%s is no function: only functions may be imported", module, name)
		}
		typ := r.u32()
		if r.err != nil {
			return
		}
		b.imports = append(b.imports, moduleImport{module, name, typ})
		b.functions = append(b.functions, typ)
	}
}

// tableSection gives every table a maximum: without one, a table may grow to
// 32 GiB. A program cannot tell, but that growing beyond it fails.
func (b *binaryModule) tableSection(r *reader) error {
	n := r.count("number of tables", maxTables)
	out := binary.AppendUvarint(nil, uint64(n))
	for range n {
		typ := r.byte()
		if typ != 0x70 && typ != 0x6f {
			r.fail("table of type 0x%02x: want 0x70 (funcref) or 0x6f (externref)", typ)
		}
		hasMax, low, high := r.limits()
		b.tables += int(low)
		if b.tables > maxElements {
			r.fail("tables of %d elements, at most %d are allowed", b.tables, maxElements)
		}
		if !hasMax || high > maxElements {
			high = maxElements
		}
		out = append(out, typ, 1)
		out = binary.AppendUvarint(out, uint64(low))
		out = binary.AppendUvarint(out, uint64(high))
	}
	b.code = append(b.code, tableSection)
	b.code = binary.AppendUvarint(b.code, uint64(len(out)))
	b.code = append(b.code, out...)
	return r.end()
}

func (b *binaryModule) exportSection(r *reader) {
	for range r.count("number of exports", maxExports) {
		name := r.name()
		e := moduleExport{kind: r.byte(), index: r.u32()}
		if _, twice := b.named[name]; twice {
			r.fail("the export %q stands twice", name)
		}
		if r.err != nil {
			return
		}
		b.named[name] = e
	}
}

// elementSection follows core 2.0, section 5.5.12: bit 0 of the flags says
// passive or declared, bit 1 an explicit table or kind, bit 2 expressions.
func (b *binaryModule) elementSection(r *reader) {
	for range r.count("number of element segments", maxElements) {
		flags := r.u32()
		if flags > 7 {
			r.fail("element segment of kind %d: want 0 to 7", flags)
		}
		if flags&1 == 0 {
			if flags&2 != 0 {
				r.u32()
			}
			r.constant()
		}
		if flags&3 != 0 {
			r.byte()
		}
		n := r.count("number of elements", maxElements)
		if b.elements += int(n); b.elements > maxElements {
			r.fail("segments of %d elements, at most %d are allowed", b.elements, maxElements)
		}
		for range n {
			if r.err != nil {
				return
			}
			if flags&4 != 0 {
				r.constant()
			} else {
				r.u32()
			}
		}
		if r.err != nil {
			return
		}
	}
}

func (b *binaryModule) codeSection(r *reader) {
	b.bodies = int(r.count("number of function bodies", maxFunctions))
	for i := range b.bodies {
		body := r.sub(int(r.count("bytes of a function", maxBody)))
		if r.err != nil {
			return
		}
		locals := 0
		for range body.count("number of groups of locals", maxLocals) {
			locals += int(body.count("number of locals", maxLocals))
			body.byte()
			if locals > maxLocals {
				body.fail("%d locals, at most %d are allowed", locals, maxLocals)
			}
			if body.err != nil {
				break
			}
		}
		if b.locals += locals; b.locals > maxAllLocals {
			body.fail("all functions together have more than %d locals", maxAllLocals)
		}
		if body.err != nil {
			r.err = fmt.Errorf("function %d: %w", i, body.err)
			return
		}
	}
}

func (b *binaryModule) dataSection(r *reader) {
	for range r.count("number of data segments", maxData) {
		flags := r.u32()
		if flags > 2 {
			r.fail("data segment of kind %d: want 0 to 2", flags)
		}
		if flags == 2 {
			r.u32()
		}
		if flags != 1 {
			r.constant()
		}
		r.sub(int(r.count("bytes of a data segment", 1<<30)))
		if r.err != nil {
			return
		}
	}
}

// reader reads the binary format. After an error every read gives zero.
type reader struct {
	data []byte
	base int // offset of data in the module, for errors
	pos  int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %w", r.base+r.pos, fmt.Errorf(format, args...))
	}
}

func (r *reader) end() error {
	if r.err == nil && r.pos != len(r.data) {
		r.fail("%d bytes too many", len(r.data)-r.pos)
	}
	return r.err
}

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.pos >= len(r.data) {
		r.fail("the module ends too early")
		return 0
	}
	r.pos++
	return r.data[r.pos-1]
}

// u32 reads an unsigned LEB128 of at most 32 bits (core 2.0, section 5.2.2).
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if v > 0xffffffff {
				break
			}
			return uint32(v)
		}
	}
	r.fail("a number is longer than 32 bits")
	return 0
}

// count reads a number of things, and fails if it is more than most.
func (r *reader) count(what string, most uint32) uint32 {
	n := r.u32()
	if r.err != nil {
		return 0
	}
	if n > most {
		r.fail("%s is %d, at most %d is allowed", what, n, most)
		return 0
	}
	return n
}

// sub returns a reader of the next n bytes.
func (r *reader) sub(n int) *reader {
	if r.err == nil && n > len(r.data)-r.pos {
		r.fail("%d bytes are announced, %d are left: the module ends too early", n, len(r.data)-r.pos)
	}
	if r.err != nil {
		return &reader{err: r.err}
	}
	s := &reader{data: r.data[r.pos : r.pos+n], base: r.base + r.pos}
	r.pos += n
	return s
}

func (r *reader) name() string {
	s := r.sub(int(r.count("length of a name", maxNameLength)))
	if r.err == nil && !utf8.Valid(s.data) {
		r.fail("a name is not UTF-8")
	}
	return string(s.data)
}

func (r *reader) limits() (hasMax bool, low, high uint32) {
	flags := r.byte()
	if flags > 1 {
		r.fail("limits of kind 0x%02x: want 0 or 1 (shared and 64-bit ones are not in WebAssembly 2.0)", flags)
	}
	low = r.u32()
	if flags == 1 {
		high = r.u32()
	}
	return flags == 1, low, high
}

// valueTypes reads a result type as letters.
func (r *reader) valueTypes(what string) string {
	var s strings.Builder
	for range r.count("number of "+what, maxParams) {
		c := r.byte()
		switch c {
		case 0x7f:
			s.WriteByte('i')
		case 0x7e:
			s.WriteByte('I')
		case 0x7d:
			s.WriteByte('f')
		case 0x7c:
			s.WriteByte('F')
		case 0x7b:
			s.WriteByte('v')
		case 0x70:
			s.WriteByte('r')
		case 0x6f:
			s.WriteByte('e')
		default:
			r.fail("value type 0x%02x is not in WebAssembly 2.0", c)
		}
		if r.err != nil {
			return ""
		}
	}
	return s.String()
}

// constant skips a constant expression (core 2.0, section 3.3.10): one instruction and end.
func (r *reader) constant() {
	switch op := r.byte(); op {
	case 0x41, 0x42: // i32.const, i64.const
		for n := 0; r.byte() >= 0x80; n++ {
			if n == 9 {
				r.fail("a number is longer than 64 bits")
			}
		}
	case 0x43: // f32.const
		r.sub(4)
	case 0x44: // f64.const
		r.sub(8)
	case 0x23, 0xd2: // global.get, ref.func
		r.u32()
	case 0xd0: // ref.null
		r.byte()
	case 0xfd: // v128.const
		if sub := r.u32(); sub != 12 {
			r.fail("vector instruction %d in a constant expression: want 12, v128.const", sub)
		}
		r.sub(16)
	default:
		r.fail("instruction 0x%02x in a constant expression", op)
	}
	if end := r.byte(); end != 0x0b {
		r.fail("a constant expression of more than one instruction")
	}
}

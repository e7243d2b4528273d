package prepare

import (
	"bytes"
	"math"
	"strings"

	"bespoke/modules/abi"
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

const preamble = "\x00asm\x01\x00\x00\x00"

// A decoder reads a binary from front to back, once, and checks all that it reads.
// It keeps the sections to be written anew; the code section it writes at once.
type decoder struct {
	reader
	limits   Limits
	options  Options
	module   *Module
	initFuel int64

	sections []section
	types    []Signature
	imported int      // functions
	funcs    []uint32 // type of each function, imported ones first

	hasMemory bool
	tables    []table
	elements  int
	globals   int
	exports   int
	bodies    int
	custom    int // bytes
	effort    int // of all functions so far
	manifest  bool
	named     map[string]struct{}

	body body // of the function that is read
	code []byte
}

// A section is where a section stands in the binary; start is that of its
// number, contents where its length ends.
type section struct {
	id                   byte
	start, contents, end int
}

type table struct {
	typ      byte
	min, max uint32
}

func newDecoder(binary []byte, o Options) *decoder {
	d := &decoder{options: o, module: &Module{}, named: map[string]struct{}{}}
	d.reader = reader{data: binary, end: len(binary), fn: -1}
	var err error
	if d.limits, err = o.Limits.or(); err != nil {
		d.refuse(RuleOptions, "%w", err)
	}
	d.initFuel = o.InitFuel
	if d.initFuel == 0 {
		d.initFuel = DefaultInitFuel
	}
	if d.initFuel < 0 || d.initFuel > MaxFuel {
		d.refuse(RuleOptions, "initial fuel is %d: want 1 to %d", d.initFuel, int64(MaxFuel))
	}
	return d
}

func (d *decoder) run() *Refusal {
	if len(d.data) > d.limits.BinaryBytes {
		d.refuse(RuleLimit, "the binary has %d bytes, at most %d are allowed", len(d.data), d.limits.BinaryBytes)
	}
	if !bytes.HasPrefix(d.data, []byte(preamble[:4])) {
		d.refuse(RuleFormat, "this is no WebAssembly module: it does not begin with \\0asm")
	}
	if !bytes.HasPrefix(d.data, []byte(preamble)) {
		d.refuse(RuleFormat, "unknown version of the WebAssembly binary format: want 1 (a component is not a module)")
	}
	d.skip(len(preamble))
	last := 0
	for d.more() {
		start := d.pos
		id := d.byte()
		if int(id) >= len(sectionNames) {
			d.refuseAt(start, RuleFormat, "section %d is not in WebAssembly 2.0", id)
		}
		size := d.items("bytes of a section", math.MaxInt32)
		contents := d.part(size)
		if !d.ok() {
			break
		}
		if id != customSection {
			if sectionOrder[id] <= last {
				d.refuseAt(start, RuleFormat, "section %s is out of order", sectionNames[id])
				break
			}
			last = sectionOrder[id]
		}
		s := section{id: id, start: start, contents: contents.pos, end: contents.end}
		if d.section(id, &contents) {
			d.sections = append(d.sections, s)
		}
		contents.close(&d.reader)
	}
	if declared := len(d.funcs) - d.imported; d.ok() && declared != d.bodies {
		d.refuse(RuleFormat, "%d functions are declared but %d have code", declared, d.bodies)
	}
	d.checkExports()
	return d.refused
}

// section reads one section and tells whether it is to be written again.
func (d *decoder) section(id byte, r *reader) bool {
	switch id {
	case customSection:
		return d.customSection(r)
	case typeSection:
		d.typeSection(r)
	case importSection:
		d.importSection(r)
	case functionSection:
		d.functionSection(r)
	case tableSection:
		d.tableSection(r)
	case memorySection:
		d.memorySection(r)
	case globalSection:
		d.globalSection(r)
	case exportSection:
		d.exportSection(r)
	case startSection:
		d.module.Start = true
		d.funcIndex(r)
	case dataCountSection:
		r.u32()
	case elementSection:
		d.elementSection(r)
	case codeSection:
		d.codeSection(r)
	case dataSection:
		d.dataSection(r)
	}
	return true
}

// customSection takes the manifest out. It also drops names and debugging
// information: they do nothing for a run, name functions and offsets that are
// no more, and are formats that a runtime would parse, reserving memory for
// whatever counts they declare.
func (d *decoder) customSection(r *reader) bool {
	at := r.pos
	if d.custom += r.end - r.pos; d.custom > d.limits.CustomBytes {
		r.refuse(RuleLimit, "custom sections have more than %d bytes", d.limits.CustomBytes)
	}
	name := r.name(d.limits.NameBytes)
	contents := r.pos
	r.skip(r.end - r.pos)
	switch {
	case !r.ok():
		return false
	case name == abi.ManifestSection:
		if d.manifest {
			r.refuseAt(at, RuleManifest, "the section %s stands twice", name)
			return false
		}
		d.manifest = true
		var err error
		if d.module.Manifests, err = abi.ParseManifests(r.data[contents:r.end]); err != nil {
			r.refuseAt(contents, RuleManifest, "%w", err)
		}
		return false
	case strings.HasPrefix(name, Reserved):
		r.refuseAt(at, RuleReserved, "custom section %q: names that begin with %q are reserved", name, Reserved)
	}
	return name != "name" && !strings.HasPrefix(name, ".debug_")
}

func (d *decoder) typeSection(r *reader) {
	for range r.items("types", d.limits.Types) {
		if form := r.byte(); r.ok() && form != 0x60 {
			r.refuseAt(r.pos-1, RuleFormat, "type of form 0x%02x: want a function type, 0x60", form)
		}
		s := Signature{d.valueTypes(r, "parameters"), d.valueTypes(r, "results")}
		if !r.ok() {
			return
		}
		d.types = append(d.types, s)
	}
}

func (d *decoder) valueTypes(r *reader, what string) string {
	n := r.items(what, d.limits.Params)
	if n == 0 {
		return ""
	}
	s := make([]byte, 0, n)
	for range n {
		s = append(s, r.valueType())
	}
	return string(s)
}

// typeIndex reads the index of a type; 0 is returned for none.
func (d *decoder) typeIndex(r *reader) uint32 {
	at := r.pos
	t := r.u32()
	if r.ok() && uint64(t) >= uint64(len(d.types)) {
		r.refuseAt(at, RuleIndex, "type %d: there are %d", t, len(d.types))
		return 0
	}
	return t
}

func (d *decoder) funcIndex(r *reader) uint32 {
	at := r.pos
	f := r.u32()
	if r.ok() && uint64(f) >= uint64(len(d.funcs)) {
		r.refuseAt(at, RuleIndex, "function %d: there are %d", f, len(d.funcs))
		return 0
	}
	return f
}

func (d *decoder) importSection(r *reader) {
	for range r.items("imports", d.limits.Imports) {
		at := r.pos
		module, name := r.name(d.limits.NameBytes), r.name(d.limits.NameBytes)
		if kind := r.byte(); r.ok() && kind != 0 {
			r.refuseAt(at, RuleImport, "import %s.%s is no function: only functions may be imported", module, name)
		}
		t := d.typeIndex(r)
		if r.ok() {
			d.checkImport(r, at, module, name, d.types[t])
		}
		if !r.ok() {
			return
		}
		d.funcs = append(d.funcs, t)
	}
	d.imported = len(d.funcs)
}

func (d *decoder) functionSection(r *reader) {
	n := r.items("functions", d.limits.Functions)
	d.funcs = append(make([]uint32, 0, len(d.funcs)+n), d.funcs...)
	for range n {
		d.funcs = append(d.funcs, d.typeIndex(r))
	}
}

func (d *decoder) tableSection(r *reader) {
	total := 0
	for range r.items("tables", d.limits.Tables) {
		at := r.pos
		typ := r.byte()
		if r.ok() && typ != 0x70 && typ != 0x6f {
			r.refuseAt(at, RuleFormat, "table of type 0x%02x: want 0x70 (funcref) or 0x6f (externref)", typ)
		}
		hasMax, low, high := r.limits()
		if uint64(low) > uint64(d.limits.Elements-total) {
			r.refuseAt(at, RuleLimit, "tables of more than %d elements", d.limits.Elements)
		}
		if !r.ok() {
			return
		}
		total += int(low)
		if !hasMax || high > uint32(d.limits.Elements) {
			high = uint32(d.limits.Elements)
		}
		d.tables = append(d.tables, table{typ, low, high})
	}
}

func (d *decoder) memorySection(r *reader) {
	if r.items("memories", 1) == 0 {
		return
	}
	at := r.pos
	hasMax, low, high := r.limits()
	pages := uint32(d.limits.MemoryPages)
	if r.ok() && low > pages {
		r.refuseAt(at, RuleLimit, "memory of %d pages of 64 KiB at the start, at most %d are allowed", low, pages)
	}
	if r.ok() && hasMax && high > pages {
		r.refuseAt(at, RuleLimit, "memory of up to %d pages of 64 KiB, at most %d are allowed: declare less, or no maximum", high, pages)
	}
	if !hasMax {
		high = pages
	}
	d.hasMemory = true
	d.module.Memory = Memory{low, high}
}

func (d *decoder) globalSection(r *reader) {
	n := r.items("globals", d.limits.Globals)
	for i := range n {
		at := r.pos
		typ := r.valueType()
		mutable := r.byte()
		if r.ok() && mutable > 1 {
			r.refuseAt(r.pos-1, RuleFormat, "mutability of a global is %d: want 0 or 1", mutable)
		}
		d.constant(r)
		if !r.ok() {
			return
		}
		switch {
		case mutable == 0:
		case typ == 'v':
			// Through a runtime's interface a global is 64 bits.
			d.module.find(Finding{Func: -1, Offset: at, What: "v128 global"})
		default:
			d.module.Globals = append(d.module.Globals, Global{Name: globalName(i), Index: uint32(i), Type: typ})
		}
	}
	d.globals = n
}

func (d *decoder) elementSection(r *reader) {
	// Bit 0 of the flags says passive or declared, bit 1 an explicit table or
	// kind, bit 2 expressions (core 2.0, section 5.5.12).
	for range r.items("element segments", d.limits.Segments) {
		at := r.pos
		flags := r.u32()
		if flags > 7 {
			r.refuseAt(at, RuleFormat, "element segment of kind %d: want 0 to 7", flags)
		}
		if flags&1 == 0 {
			if flags&2 != 0 {
				r.u32()
			}
			d.constant(r)
		}
		if flags&3 != 0 {
			r.byte()
		}
		n := r.items("elements of a segment", d.limits.Elements)
		if d.elements += n; d.elements > d.limits.Elements {
			r.refuseAt(at, RuleLimit, "element segments of more than %d elements", d.limits.Elements)
		}
		for range n {
			if flags&4 != 0 {
				d.constant(r)
			} else {
				d.funcIndex(r)
			}
		}
		if !r.ok() {
			return
		}
	}
}

func (d *decoder) dataSection(r *reader) {
	for range r.items("data segments", d.limits.Segments) {
		at := r.pos
		flags := r.u32()
		if flags > 2 {
			r.refuseAt(at, RuleFormat, "data segment of kind %d: want 0 to 2", flags)
		}
		if flags == 2 {
			r.u32()
		}
		if flags != 1 {
			d.constant(r)
		}
		n := r.items("bytes of a data segment", d.limits.BinaryBytes)
		r.skip(n)
		if !r.ok() {
			return
		}
		d.module.Stats.DataBytes += n
	}
}

// constant reads a constant expression (core 2.0, section 3.3.10): one
// instruction and end. global.get would need an imported global, and none may be.
func (d *decoder) constant(r *reader) {
	at := r.pos
	switch op := r.byte(); op {
	case 0x41: // i32.const
		r.signed(32)
	case 0x42: // i64.const
		r.signed(64)
	case 0x43: // f32.const
		r.skip(4)
	case 0x44: // f64.const
		r.skip(8)
	case 0xd2: // ref.func
		d.funcIndex(r)
	case 0xd0: // ref.null
		r.refType()
	case 0xfd:
		if sub := r.u32(); r.ok() && sub != 12 { // v128.const
			r.refuseAt(at, RuleOpcode, "vector instruction %d in a constant expression: want 12, v128.const", sub)
		}
		r.skip(16)
	default:
		if r.ok() {
			r.refuseAt(at, RuleOpcode, "instruction 0x%02x in a constant expression", op)
		}
	}
	if end := r.byte(); r.ok() && end != 0x0b {
		r.refuseAt(r.pos-1, RuleFormat, "a constant expression of more than one instruction")
	}
}

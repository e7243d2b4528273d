// Package prepare turns an uploaded WebAssembly module into one that is safe
// to run for a stranger: it decodes the binary, checks it, and writes it anew
// with fuel counted and with its globals in reach.
//
// Call [Prepare]. What it returns goes to the compiler; what it refuses comes
// with a [*Refusal] that names the function, the offset in the binary and the rule.
//
// The package reads WebAssembly core 2.0 (SIMD, bulk memory, reference types,
// multiple values included). It never runs or compiles code, knows no
// WebAssembly runtime and no meaning of an import or export: what may be
// imported and must be exported is the caller's to say. It does not check the
// types inside function bodies, which a runtime does on the module it is
// given: a body is valid before Prepare if and only if it is valid afterwards.
//
// # Fuel
//
// A mutable i64 global counts down. At each function's entry, at each loop's
// head and where a br_table or branch around one lands, what follows is paid:
// the count is lowered by its number of instructions, and if it falls below
// zero the code traps by unreachable. An instruction is paid before it runs, so
// fuel spent is an upper bound of the instructions executed; branches not taken
// are paid too. regions.go says exactly how. block, loop, else, end and nop do
// nothing by themselves and are free.
//
// What takes longer than an instruction costs more:
//
//   - memory.fill, memory.copy and memory.init: one unit more for each 16 bytes;
//   - memory.grow: 64, and 4,096 for each page of 64 KiB; nothing for pages
//     beyond what the memory may ever have, since it fails then;
//   - table.fill, table.copy, table.init: one for each element; table.grow: 64
//     and one for each element;
//   - moving more than 32 locals or values at once: one for each of the others.
//
// A call of an imported function counts as one instruction: what it does is
// its host's to charge, in the same global.
//
// After a trap the sign of the fuel global tells fuel that ran out (negative)
// from the module's own unreachable.
package prepare

import (
	"crypto/sha256"

	"bespoke/modules/abi"
)

// Reserved begins every name that Prepare adds. A module that uses such a name
// is refused, the manifest's section apart.
const Reserved = "bespoke."

// FuelExport is the export of the fuel global, a mutable i64.
const FuelExport = Reserved + "fuel"

// DefaultInitFuel is what an instance has to start with if Options do not say.
const DefaultInitFuel = 1 << 30

// A Signature is the type of a function, a letter for each value: i is i32,
// I i64, f f32, F f64, v v128, r funcref, e externref.
type Signature struct{ Params, Results string }

func (s Signature) String() string { return "(" + s.Params + ") -> (" + s.Results + ")" }

func (s *Signature) values() int { return len(s.Params) + len(s.Results) }

// Imports says what may be imported: module, then name, then signature.
type Imports map[string]map[string]Signature

// Exports says what a module's exports must be like.
type Exports struct {
	Memory    string               // the name that the memory must have; "": it need not be exported
	Functions map[string]Signature // what these are like, if they are there
	OneOf     []string             // of these functions at least one must be there
	Never     map[string]string    // what must not be there, and why
}

// Options say what Prepare accepts. The zero value allows no import and asks for no export.
type Options struct {
	Limits  Limits
	Imports Imports
	Exports Exports
	// InitFuel is the fuel that an instance is born with, from which its start
	// function draws, and _initialize if the host does not set it before.
	// 0: DefaultInitFuel.
	InitFuel int64
}

// A Module is the outcome of Prepare.
type Module struct {
	Code      []byte         // the instrumented binary; the same input and options give the same bytes
	Digest    [32]byte       // SHA-256 of the binary as uploaded
	Manifests []abi.Manifest // from the section abi.ManifestSection; nil if there is none

	Globals []Global // every mutable global of the module's own, by index
	Fuel    string   // FuelExport
	Exports []string // functions of Options.Exports.Functions that are there, in the order of the module
	Memory  Memory
	Start   bool // it has a start function, which runs at instantiation
	Grows   bool // it contains memory.grow

	// Unresettable lists what writing back memory and globals does not undo,
	// the first hundred places.
	Unresettable []Finding
	Stats        Stats
}

// A Global is a mutable global, exported so that its value can be kept and restored.
type Global struct {
	Name  string // of the added export
	Index uint32
	Type  byte // a letter, as in Signature; never v
}

// Memory is the size of the linear memory in pages of 64 KiB. Max is what the
// written binary declares: never more than the limit. All zero: no memory.
type Memory struct{ Min, Max uint32 }

// A Finding is a place that changes state which is neither memory nor a global that can be set.
type Finding struct {
	Func   int    // index of the function, imported ones counted; -1: a declaration
	Offset int    // in the binary as uploaded
	What   string // the instruction, or "v128 global"
}

// Stats are the sizes of a module.
type Stats struct {
	Functions   int // with code
	CodeBefore  int // bytes of the code section's contents, as uploaded
	CodeAfter   int // and as written
	Checks      int // places where fuel is taken
	DataBytes   int // of all data segments
	LargestFunc int // bytes
}

const maxFindings = 100

func (m *Module) find(f Finding) {
	if len(m.Unresettable) < maxFindings {
		m.Unresettable = append(m.Unresettable, f)
	}
}

// Has reports whether the function of that name, one of Options.Exports.Functions, is exported.
func (m *Module) Has(name string) bool {
	for _, e := range m.Exports {
		if e == name {
			return true
		}
	}
	return false
}

// Prepare checks binary and instruments it. The error is a *Refusal. binary is
// not changed, and nothing that is returned shares its bytes.
func Prepare(binary []byte, o Options) (*Module, error) {
	d := newDecoder(binary, o)
	if r := d.run(); r != nil {
		return nil, r
	}
	m := d.module
	m.Code = d.encode()
	m.Digest = sha256.Sum256(binary)
	m.Fuel = FuelExport
	return m, nil
}

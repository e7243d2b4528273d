package prepare

import "fmt"

// Limits bound a binary. The zero value of a field stands for its default.
type Limits struct {
	BinaryBytes int
	MemoryPages int // of 64 KiB, at the start and, once written, at most

	Types       int
	Params      int // and results, of one type
	Imports     int
	Functions   int // with code
	Globals     int
	Exports     int
	Segments    int // of data, and as many of elements
	Tables      int
	Elements    int // of all tables, and as many of all element segments
	NameBytes   int // of one import, export or section
	CustomBytes int // of all custom sections

	BodyBytes   int // of one function
	Locals      int // of one function, parameters included
	Nesting     int // of blocks in one function
	Blocks      int // block, loop and if in one function
	BranchTable int // targets of all br_table in one function

	// Effort bounds what a compiler may be made to do, in units of about 3
	// microseconds at worst: for one function this much; for all together this
	// and one for each byte.
	Effort int
}

// DefaultLimits returns the limits where Options do not say.
func DefaultLimits() Limits {
	return Limits{
		BinaryBytes: 16 << 20,
		MemoryPages: 512, // 32 MiB
		Types:       10_000,
		Params:      64,
		Imports:     1_000,
		Functions:   100_000,
		Globals:     10_000,
		Exports:     10_000,
		Segments:    100_000,
		Tables:      8,
		Elements:    1 << 17,
		NameBytes:   1 << 10,
		CustomBytes: 8 << 20,
		BodyBytes:   256 << 10,
		Locals:      10_000,
		Nesting:     5_000,
		Blocks:      10_000,
		BranchTable: 20_000,
		Effort:      250_000,
	}
}

// or returns l with every zero field taken from the defaults.
func (l Limits) or() (Limits, error) {
	d := DefaultLimits()
	for _, f := range []struct {
		name         string
		value, deflt *int
		most         int
	}{
		{"binary bytes", &l.BinaryBytes, &d.BinaryBytes, 1 << 30},
		{"memory pages", &l.MemoryPages, &d.MemoryPages, 1 << 16},
		{"types", &l.Types, &d.Types, 1 << 27},
		{"parameters", &l.Params, &d.Params, 1 << 27},
		{"imports", &l.Imports, &d.Imports, 1 << 27},
		{"functions", &l.Functions, &d.Functions, 1 << 27},
		{"globals", &l.Globals, &d.Globals, 1 << 27},
		{"exports", &l.Exports, &d.Exports, 1 << 27},
		{"segments", &l.Segments, &d.Segments, 1 << 27},
		{"tables", &l.Tables, &d.Tables, 1 << 27},
		{"elements", &l.Elements, &d.Elements, 1 << 27},
		{"bytes of a name", &l.NameBytes, &d.NameBytes, 1 << 27},
		{"bytes of custom sections", &l.CustomBytes, &d.CustomBytes, 1 << 30},
		{"bytes of a function", &l.BodyBytes, &d.BodyBytes, 1 << 27},
		{"locals", &l.Locals, &d.Locals, 50_000},
		{"nesting", &l.Nesting, &d.Nesting, 1 << 27},
		{"blocks", &l.Blocks, &d.Blocks, 1 << 27},
		{"branch table", &l.BranchTable, &d.BranchTable, 1 << 27},
		{"effort", &l.Effort, &d.Effort, 1 << 40},
	} {
		if *f.value == 0 {
			*f.value = *f.deflt
		}
		if *f.value < 0 || *f.value > f.most {
			return l, fmt.Errorf("limit of %s is %d: want 1 to %d", f.name, *f.value, f.most)
		}
	}
	return l, nil
}

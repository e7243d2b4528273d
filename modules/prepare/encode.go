package prepare

import (
	"encoding/binary"
	"strconv"
)

// MaxFuel is the most fuel that an instance may be given. A single charge is
// less than 1<<33, so the count cannot wrap around.
const MaxFuel = 1 << 62

// fuelPerPage of memory.grow: a page is 65,536 bytes to fill with zeros, at 16 a unit.
const fuelPerPage = 4096

func globalName(index int) string { return Reserved + "global." + strconv.Itoa(index) }

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// appendSigned appends a signed LEB128 (core 2.0, section 5.2.2).
func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// encode writes the module. Sections that it adds to go where they stand, or
// where they belong.
func (d *decoder) encode() []byte {
	out := make([]byte, 0, len(d.data)+len(d.code)/4+64*(len(d.module.Globals)+1))
	out = append(out, preamble...)
	written := 0 // in sectionOrder
	for _, s := range d.sections {
		if s.id != customSection {
			out = d.added(out, written, sectionOrder[s.id])
			written = sectionOrder[s.id]
		}
		out = d.rewrite(out, s)
	}
	return d.added(out, written, len(sectionOrder))
}

// added writes the global and the export section if they belong between the
// places after and before and are not in the binary.
func (d *decoder) added(out []byte, after, before int) []byte {
	for _, id := range [...]byte{globalSection, exportSection} {
		if place := sectionOrder[id]; after < place && place < before {
			out = d.rewrite(out, section{id: id})
		}
	}
	return out
}

// rewrite writes one section; s is empty but for its number if it was not in the binary.
func (d *decoder) rewrite(out []byte, s section) []byte {
	var contents []byte
	switch s.id {
	case tableSection:
		contents = d.writeTables()
	case memorySection:
		contents = d.writeMemory()
	case globalSection:
		contents = d.writeGlobals(d.itemsOf(s))
	case exportSection:
		contents = d.writeExports(d.itemsOf(s))
	case codeSection:
		contents = d.code
	default:
		return append(out, d.data[s.start:s.end]...)
	}
	out = append(out, s.id)
	out = appendU32(out, uint32(len(contents)))
	return append(out, contents...)
}

// itemsOf returns what a section holds after its count.
func (d *decoder) itemsOf(s section) []byte {
	if s.end == 0 {
		return nil
	}
	r := reader{data: d.data, pos: s.contents, end: s.end}
	r.u32()
	return d.data[r.pos:s.end]
}

// writeTables gives every table a maximum: without one, a table may grow to
// 32 GiB. A program cannot tell, but that growing beyond it fails.
func (d *decoder) writeTables() []byte {
	out := appendU32(nil, uint32(len(d.tables)))
	for _, t := range d.tables {
		out = append(out, t.typ, 1)
		out = appendU32(out, t.min)
		out = appendU32(out, t.max)
	}
	return out
}

// writeMemory does the same for the memory, so that what memory.grow costs is
// known not to depend on how the runtime is configured.
func (d *decoder) writeMemory() []byte {
	if !d.hasMemory {
		return []byte{0}
	}
	out := []byte{1, 1}
	out = appendU32(out, d.module.Memory.Min)
	return appendU32(out, d.module.Memory.Max)
}

// writeGlobals adds the fuel global after all others, whose numbers stay.
func (d *decoder) writeGlobals(items []byte) []byte {
	out := appendU32(make([]byte, 0, len(items)+32), uint32(d.globals)+1)
	out = append(out, items...)
	out = append(out, 0x7e, 1, 0x42) // i64, mutable, i64.const
	out = appendSigned(out, d.initFuel)
	return append(out, opEnd)
}

func (d *decoder) writeExports(items []byte) []byte {
	globals := d.module.Globals
	out := appendU32(make([]byte, 0, len(items)+32*(len(globals)+1)), uint32(d.exports+len(globals)+1))
	out = append(out, items...)
	add := func(name string, index uint32) {
		out = appendU32(out, uint32(len(name)))
		out = append(out, name...)
		out = append(out, exportGlobal)
		out = appendU32(out, index)
	}
	for _, g := range globals {
		add(g.Name, g.Index)
	}
	add(FuelExport, uint32(d.globals))
	return out
}

// write appends the body with fuel taken at its points. data ends where the
// body does; fuel is the index of the fuel global.
//
// Two locals are added after all others, whose numbers stay: an i64 for the
// count, so that it is not loaded twice, and, if needed, an i32 for an operand.
func (b *body) write(out, data []byte, g localGroups, fuel uint32) []byte {
	count := uint32(b.locals)
	operand := count + 1
	groups := g.count + 1
	if b.operands > 0 {
		groups++
	}
	out = appendU32(out, uint32(groups))
	out = append(out, data[g.first:g.end]...)
	out = append(out, 1, 0x7e)
	if b.operands > 0 {
		out = append(out, 1, 0x7f)
	}
	from := g.end
	for _, p := range b.points {
		out = append(out, data[from:p.at]...)
		from = p.at
		if p.fuel == 0 {
			out = appendU32(append(out, 0x22), operand) // local.tee
		}
		out = appendU32(append(out, 0x23), fuel) // global.get
		if p.fuel == 0 {
			out = p.appendSize(out, operand)
		} else {
			out = append(out, 0x42) // i64.const
			out = appendSigned(out, p.fuel)
		}
		out = append(out, 0x7d)                   // i64.sub
		out = appendU32(append(out, 0x22), count) // local.tee
		out = appendU32(append(out, 0x24), fuel)  // global.set
		out = appendU32(append(out, 0x20), count) // local.get
		// i64.const 0, i64.lt_s, if, unreachable, end
		out = append(out, 0x42, 0, 0x53, opIf, 0x40, 0x00, opEnd)
	}
	return append(out, data[from:]...)
}

// appendSize appends code that computes what the operand costs, as i64.
func (p point) appendSize(out []byte, operand uint32) []byte {
	out = appendU32(append(out, 0x20), operand) // local.get
	out = append(out, 0xad)                     // i64.extend_i32_u
	switch p.op {
	case opMemoryFill, opMemoryCopy, opMemoryInit:
		return append(out, 0x42, 4, 0x88) // i64.const 4, i64.shr_u
	case opTableFill, opTableCopy, opTableInit:
		return out
	case opMemoryGrow:
		out = append(out, 0x42) // i64.const
		out = appendSigned(out, fuelPerPage)
		out = append(out, 0x7e) // i64.mul
	}
	// What cannot grow that much does nothing: it is free, and fails as it would.
	out = append(out, 0x42, 0)                  // i64.const 0
	out = appendU32(append(out, 0x20), operand) // local.get
	out = append(out, 0x41)                     // i32.const
	out = appendSigned(out, int64(int32(p.max)))
	return append(out, 0x4d, 0x1b) // i32.le_u, select
}

package prepare

// What follows an opcode (core 2.0, section 5.4).
type immediate uint8

const (
	unknown    immediate = iota // no instruction of WebAssembly 2.0
	plain                       // nothing
	blockStart                  // block type
	blockElse
	blockEnd
	label
	labels // br_table
	function
	indirect // call_indirect: type, table
	oneType  // select with a type
	local
	global
	index      // of a table, element or data segment
	twoIndexes // table.init, table.copy
	memarg
	memargLane
	zero     // a memory's number
	twoZeros // memory.copy
	indexZero
	const32
	const64
	bytes4
	bytes8
	bytes16
	shuffle
	lane
	refType
	prefixFC
	prefixFD
)

// Opcodes that mean something here.
const (
	opNop        = 0x01
	opBlock      = 0x02
	opLoop       = 0x03
	opIf         = 0x04
	opElse       = 0x05
	opEnd        = 0x0b
	opReturn     = 0x0f
	opLocalGet   = 0x20
	opTableSet   = 0x26
	opMemoryGrow = 0x40

	// Those after the prefix 0xfc.
	opMemoryInit = 0xfc08
	opDataDrop   = 0xfc09
	opMemoryCopy = 0xfc0a
	opMemoryFill = 0xfc0b
	opTableInit  = 0xfc0c
	opElemDrop   = 0xfc0d
	opTableCopy  = 0xfc0e
	opTableGrow  = 0xfc0f
	opTableFill  = 0xfc11
)

// span gives one kind to the opcodes from first to last.
type span struct {
	first, last byte
	kind        immediate
}

func opcodes(spans ...span) (t [256]immediate) {
	for _, s := range spans {
		for op := int(s.first); op <= int(s.last); op++ {
			t[op] = s.kind
		}
	}
	return t
}

// immediates, by opcode (core 2.0, appendix "Index of Instructions"). The
// tables are never written to.
var (
	immediates = opcodes(
		span{0x00, 0x01, plain}, // unreachable, nop
		span{0x02, 0x04, blockStart},
		span{0x05, 0x05, blockElse},
		span{0x0b, 0x0b, blockEnd},
		span{0x0c, 0x0d, label},
		span{0x0e, 0x0e, labels},
		span{0x0f, 0x0f, plain}, // return
		span{0x10, 0x10, function},
		span{0x11, 0x11, indirect},
		span{0x1a, 0x1b, plain}, // drop, select
		span{0x1c, 0x1c, oneType},
		span{0x20, 0x22, local},
		span{0x23, 0x24, global},
		span{0x25, 0x26, index}, // table.get, table.set
		span{0x28, 0x3e, memarg},
		span{0x3f, 0x40, zero}, // memory.size, memory.grow
		span{0x41, 0x41, const32},
		span{0x42, 0x42, const64},
		span{0x43, 0x43, bytes4},
		span{0x44, 0x44, bytes8},
		span{0x45, 0xc4, plain}, // numeric, sign extension
		span{0xd0, 0xd0, refType},
		span{0xd1, 0xd1, plain}, // ref.is_null
		span{0xd2, 0xd2, function},
		span{0xfc, 0xfc, prefixFC},
		span{0xfd, 0xfd, prefixFD},
	)
	immediatesFC = opcodes(
		span{0, 7, plain}, // saturating conversions
		span{8, 8, indexZero},
		span{9, 9, index},
		span{10, 10, twoZeros},
		span{11, 11, zero},
		span{12, 12, twoIndexes},
		span{13, 13, index},
		span{14, 14, twoIndexes},
		span{15, 17, index},
	)
	immediatesFD = opcodes(
		span{0, 11, memarg},
		span{12, 12, bytes16},
		span{13, 13, shuffle},
		span{14, 20, plain},
		span{21, 34, lane},
		span{35, 83, plain},
		span{84, 91, memargLane},
		span{92, 93, memarg},
		span{94, 255, plain},
		span{0x9a, 0x9a, unknown},
		span{0xa2, 0xa2, unknown},
		span{0xa5, 0xa6, unknown},
		span{0xaf, 0xb0, unknown},
		span{0xb2, 0xb4, unknown},
		span{0xbb, 0xbb, unknown},
		span{0xc2, 0xc2, unknown},
		span{0xc5, 0xc6, unknown},
		span{0xcf, 0xd0, unknown},
		span{0xd2, 0xd4, unknown},
		span{0xe2, 0xe2, unknown},
		span{0xee, 0xee, unknown},
	)
)

// An instruction is what the walk needs to know of one.
type instruction struct {
	at   int    // offset of the opcode
	op   uint16 // with the prefix 0xfc or 0xfd as upper byte
	kind immediate
	x    uint32 // index of a label, function, local, global, table or type; of a block's type one more
}

// next reads one instruction of a function body. Indices that the rewritten
// module has more of than the binary (locals, globals) and labels are checked
// by the walk; types and functions here.
func (d *decoder) next(r *reader, i *instruction) {
	i.at = r.pos
	op := r.byte()
	i.op, i.kind = uint16(op), immediates[op]
	if i.kind >= prefixFC {
		d.prefixed(r, i)
	}
	switch i.kind {
	case plain, blockElse, blockEnd:
	case label, local, global, index:
		i.x = r.u32()
	case memarg:
		r.memarg()
	case const32:
		r.signed(32)
	case const64:
		r.signed(64)
	case function:
		i.x = d.funcIndex(r)
	case blockStart:
		i.x = d.blockType(r)
	default:
		d.rare(r, i)
	}
}

func (d *decoder) prefixed(r *reader, i *instruction) {
	sub := r.u32()
	t := &immediatesFC
	if i.kind == prefixFD {
		t = &immediatesFD
	}
	i.kind = unknown
	if sub < 256 {
		i.kind = t[sub]
	}
	if i.kind == unknown && r.ok() {
		r.refuseAt(i.at, RuleOpcode, "instruction 0x%02x %d is not in WebAssembly 2.0", i.op, sub)
	}
	i.op = i.op<<8 | uint16(sub&0xff)
}

// rare reads the immediates that few instructions have.
func (d *decoder) rare(r *reader, i *instruction) {
	switch i.kind {
	case labels:
		// The walk reads the labels themselves.
	case indirect:
		i.x = d.typeIndex(r)
		r.u32()
	case oneType:
		if n := r.u32(); r.ok() && n != 1 {
			r.refuseAt(i.at, RuleFormat, "select with %d types: want 1", n)
		}
		r.valueType()
	case twoIndexes:
		i.x = r.u32()
		r.u32()
	case indexZero:
		r.u32()
		r.zero()
	case zero:
		r.zero()
	case twoZeros:
		r.zero()
		r.zero()
	case bytes4:
		r.skip(4)
	case bytes8:
		r.skip(8)
	case bytes16:
		r.skip(16)
	case shuffle:
		for range 16 {
			r.lane(32)
		}
	case memargLane:
		r.memarg()
		r.lane(16)
	case lane:
		r.lane(16)
	case refType:
		r.refType()
	default:
		if r.ok() {
			r.refuseAt(i.at, RuleOpcode, "instruction 0x%02x is not in WebAssembly 2.0", i.op)
		}
	}
}

// memarg reads the alignment, a power of two of at most 16 bytes, and the
// offset. Larger numbers are flags of proposals that came later.
func (r *reader) memarg() {
	at := r.pos
	if align := r.u32(); align > 4 && r.ok() {
		r.refuseAt(at, RuleFormat, "alignment of a memory access is 2**%d: want at most 2**4", align)
	}
	r.u32()
}

func (r *reader) lane(most byte) {
	if l := r.byte(); l >= most && r.ok() {
		r.refuseAt(r.pos-1, RuleFormat, "lane %d: there are at most %d", l, most)
	}
}

func (r *reader) zero() {
	if z := r.byte(); z != 0 && r.ok() {
		r.refuseAt(r.pos-1, RuleFormat, "memory %d: there is one at most", z)
	}
}

func (r *reader) refType() {
	if t := r.byte(); t != 0x70 && t != 0x6f && r.ok() {
		r.refuseAt(r.pos-1, RuleFormat, "reference type 0x%02x: want 0x70 (func) or 0x6f (extern)", t)
	}
}

// blockType reads the type of a block (core 2.0, section 5.4.1): empty, a
// value type, or the index of a type as a signed number of 33 bits.
// It returns one more than the index, or 0.
func (d *decoder) blockType(r *reader) uint32 {
	if !r.more() {
		r.byte()
		return 0
	}
	at := r.pos
	if c := r.data[r.pos]; c == 0x40 || letter(c) != 0 {
		r.pos++
		return 0
	}
	t := r.signed(33)
	if r.ok() && (t < 0 || t >= int64(len(d.types))) {
		r.refuseAt(at, RuleIndex, "block of type %d: there are %d types", t, len(d.types))
	}
	if !r.ok() {
		return 0
	}
	return uint32(t) + 1
}

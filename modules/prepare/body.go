package prepare

// A body is what the walk through one function gathers. It is used again for
// the next.
type body struct {
	frames  []frame
	regions []int64 // fuel of each
	points  []point
	locals  int // parameters included
	blocks  int
	loops   int
	targets int  // of br_table
	scratch bool // an operand must be kept while it is charged
}

// A frame is a block that is open.
type frame struct {
	op     uint16 // opBlock, opLoop, opIf or, after else, opElse
	region int    // what is charged for when the block has ended
}

// A point is where fuel is taken. For an operand, the instruction that takes it follows.
type point struct {
	at     int
	region int    // index in regions; -1: for the operand of op
	op     uint16 // that takes the operand
	max    uint32 // for table.grow: what the table can have
}

// Fuel of instructions whose work is not one instruction's.
const (
	callOut = 64 // memory.grow and table.grow leave the compiled code
)

// codeSection reads the code and writes it anew.
func (d *decoder) codeSection(r *reader) {
	start := r.pos
	d.bodies = r.items("function bodies", d.limits.Functions)
	if declared := len(d.funcs) - d.imported; r.ok() && d.bodies != declared {
		r.refuseAt(start, RuleFormat, "%d functions are declared but %d have code", declared, d.bodies)
	}
	size := r.end - start
	d.code = appendU32(make([]byte, 0, size+size/4), uint32(d.bodies))
	var written []byte
	for i := range d.bodies {
		r.fn = d.imported + i
		n := r.items("bytes of a function", d.limits.BodyBytes)
		b := r.part(n)
		groups := d.function(&b)
		b.close(r)
		if !r.ok() {
			return
		}
		written = d.body.write(written[:0], r.data[:b.end], groups, uint32(d.globals))
		d.code = append(appendU32(d.code, uint32(len(written))), written...)
		d.module.Stats.Checks += len(d.body.points)
		d.module.Stats.LargestFunc = max(d.module.Stats.LargestFunc, n)
	}
	r.fn = -1
	d.module.Stats.Functions = d.bodies
	d.module.Stats.CodeBefore, d.module.Stats.CodeAfter = size, len(d.code)
}

// localGroups is where the declarations of locals stand.
type localGroups struct{ count, first, end int }

// function walks through one body and fills d.body.
func (d *decoder) function(r *reader) localGroups {
	b := &d.body
	*b = body{frames: b.frames[:0], regions: b.regions[:0], points: b.points[:0]}
	b.locals = len(d.types[d.funcs[r.fn]].Params)
	g := d.locals(r)
	b.regions = append(b.regions, 0)
	b.points = append(b.points, point{at: r.pos})
	b.frames = append(b.frames, frame{op: opBlock, region: 0})
	region := 0
	var i instruction
	for r.ok() && len(b.frames) > 0 {
		d.next(r, &i)
		if r.ok() {
			region = d.instruction(r, &i, region)
		}
	}
	return g
}

func (d *decoder) locals(r *reader) (g localGroups) {
	b := &d.body
	g.count = r.items("groups of locals", d.limits.Locals)
	g.first = r.pos
	for range g.count {
		at := r.pos
		n := r.count("locals", d.limits.Locals)
		r.valueType()
		if b.locals += n; b.locals > d.limits.Locals {
			r.refuseAt(at, RuleLimit, "more than %d locals and parameters", d.limits.Locals)
		}
		if !r.ok() {
			return g
		}
	}
	g.end = r.pos
	return g
}

// instruction accounts for i, read in the given region, and returns the region
// of what follows.
func (d *decoder) instruction(r *reader, i *instruction, region int) int {
	b := &d.body
	switch i.kind {
	case plain:
		if i.op == opNop {
			return region
		}
	case blockStart:
		return d.open(r, i, region)
	case blockElse:
		top := &b.frames[len(b.frames)-1]
		if top.op != opIf {
			r.refuseAt(i.at, RuleFormat, "else without if")
		}
		top.op = opElse
		return top.region
	case blockEnd:
		region = b.frames[len(b.frames)-1].region
		b.frames = b.frames[:len(b.frames)-1]
		return region
	case label:
		b.label(r, i.at, i.x)
	case labels:
		d.branchTable(r, i)
	case local:
		if uint64(i.x) >= uint64(b.locals) {
			r.refuseAt(i.at, RuleIndex, "local %d: there are %d", i.x, b.locals)
		}
	case global:
		if uint64(i.x) >= uint64(d.globals) {
			r.refuseAt(i.at, RuleIndex, "global %d: there are %d", i.x, d.globals)
		}
	case index, indexZero, twoIndexes, zero, twoZeros:
		d.sized(r, i, region)
	}
	b.regions[region]++
	return region
}

// open begins a block. A loop's head is a region of its own: whoever branches
// to the loop passes it again.
func (d *decoder) open(r *reader, i *instruction, region int) int {
	b := &d.body
	b.frames = append(b.frames, frame{op: i.op, region: region})
	if b.blocks++; b.blocks > d.limits.Blocks {
		r.refuseAt(i.at, RuleLimit, "more than %d blocks", d.limits.Blocks)
	}
	if len(b.frames) > d.limits.Nesting {
		r.refuseAt(i.at, RuleLimit, "blocks nested more than %d deep", d.limits.Nesting)
	}
	switch i.op {
	case opIf:
		b.regions[region]++
	case opLoop:
		if b.loops++; b.loops > d.limits.Loops {
			r.refuseAt(i.at, RuleLimit, "more than %d loops", d.limits.Loops)
		}
		region = len(b.regions)
		b.regions = append(b.regions, 0)
		b.points = append(b.points, point{at: r.pos, region: region})
	}
	return region
}

func (b *body) label(r *reader, at int, l uint32) {
	if uint64(l) >= uint64(len(b.frames)) {
		r.refuseAt(at, RuleIndex, "label %d: there are %d", l, len(b.frames))
	}
}

func (d *decoder) branchTable(r *reader, i *instruction) {
	b := &d.body
	n := r.items("targets of br_table", d.limits.BranchTable)
	if b.targets += n; b.targets > d.limits.BranchTable {
		r.refuseAt(i.at, RuleLimit, "more than %d targets of br_table", d.limits.BranchTable)
	}
	for range n + 1 {
		b.label(r, i.at, r.u32())
	}
}

// sized notes instructions whose work depends on an operand, and those that
// change what cannot be reset.
func (d *decoder) sized(r *reader, i *instruction, region int) {
	b := &d.body
	p := point{at: i.at, region: -1, op: i.op}
	changes := ""
	switch i.op {
	case opMemoryGrow:
		d.module.Grows = true
		p.max = d.module.Memory.Max
		b.regions[region] += callOut
	case opMemoryFill, opMemoryCopy, opMemoryInit:
	case opTableGrow:
		changes = "table.grow"
		if uint64(i.x) < uint64(len(d.tables)) {
			p.max = d.tables[i.x].max
		}
		b.regions[region] += callOut
	case opTableFill:
		changes = "table.fill"
	case opTableCopy:
		changes = "table.copy"
	case opTableInit:
		changes = "table.init"
	case opTableSet:
		changes, p.at = "table.set", -1
	case opElemDrop:
		changes, p.at = "elem.drop", -1
	case opDataDrop:
		changes, p.at = "data.drop", -1
	default:
		return
	}
	if changes != "" {
		d.module.Unresettable = append(d.module.Unresettable, Finding{Func: r.fn, Offset: i.at, What: changes})
	}
	if p.at >= 0 {
		b.points = append(b.points, p)
		b.scratch = true
	}
}

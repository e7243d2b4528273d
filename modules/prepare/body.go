package prepare

import (
	"cmp"
	"slices"
)

// A body is what the walk through one function gathers. It is used again for
// the next.
type body struct {
	regions
	points   []point
	blocks   int
	targets  int // of br_table
	arity    int // the most parameters and results of a block
	passed   int // parameters and results of all calls
	operands int // that are charged; if there are any, one local keeps them
	exits    int // returns and branches out of the function
}

// A point is where fuel is taken.
type point struct {
	at   int    // offset
	fuel int64  // how much; 0: what the operand of op costs, which stands at this offset
	op   uint16 // an instruction that takes a size
	max  uint32 // for table.grow and memory.grow: more than that cannot be
}

// callOut is what memory.grow and table.grow cost beside the growth: they
// leave the compiled code.
const callOut = 64

// codeSection reads the code and writes it anew.
func (d *decoder) codeSection(r *reader) {
	start := r.pos
	d.bodies = r.items("function bodies", d.limits.Functions)
	if declared := len(d.funcs) - d.imported; r.ok() && d.bodies != declared {
		r.refuseAt(start, RuleFormat, "%d functions are declared but %d have code", declared, d.bodies)
	}
	if !r.ok() {
		return
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
	*b = body{regions: b.regions, points: b.points[:0]}
	t := &d.types[d.funcs[r.fn]]
	b.locals, b.arity = len(t.Params), len(t.Results)
	g := d.locals(r)
	b.reset(r.pos, b.locals)
	b.charge(charged(t.values()))
	var i instruction
	for r.ok() && len(b.frames) > 0 {
		d.next(r, &i)
		if r.ok() {
			d.instruction(r, &i)
		}
	}
	if r.ok() {
		b.finish()
		b.place()
		d.checkEffort(r)
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

// instruction checks i and accounts for it.
func (d *decoder) instruction(r *reader, i *instruction) {
	b := &d.body
	switch i.kind {
	case plain:
		switch i.op {
		case opNop:
			return
		case opReturn:
			b.exits++
		}
	case blockStart:
		d.open(r, i)
		return
	case blockElse:
		if !b.other(r.pos) {
			r.refuseAt(i.at, RuleFormat, "else without if")
		}
		return
	case blockEnd:
		b.close(r.pos)
		return
	case label:
		if d.label(r, i.at, i.x) {
			b.branches++
			d.branch(i.x, false)
		}
	case labels:
		d.branchTable(r, i)
	case local:
		if uint64(i.x) >= uint64(b.locals) {
			r.refuseAt(i.at, RuleIndex, "local %d: there are %d", i.x, b.locals)
		}
		if i.op != opLocalGet {
			b.levels[b.level].sets++
		}
	case global:
		if uint64(i.x) >= uint64(d.globals) {
			r.refuseAt(i.at, RuleIndex, "global %d: there are %d", i.x, d.globals)
		}
	case function:
		b.passed += d.types[d.funcs[i.x]].values()
	case indirect:
		b.passed += d.types[i.x].values()
	case index, indexZero, twoIndexes, zero, twoZeros:
		d.sized(r, i)
	}
	b.charge(1)
}

func (d *decoder) open(r *reader, i *instruction) {
	b := &d.body
	if b.blocks++; b.blocks > d.limits.Blocks {
		r.refuseAt(i.at, RuleLimit, "more than %d blocks", d.limits.Blocks)
	}
	if len(b.frames) > d.limits.Nesting {
		r.refuseAt(i.at, RuleLimit, "blocks nested more than %d deep", d.limits.Nesting)
	}
	if i.op == opIf {
		b.charge(1)
	}
	if i.x > 0 {
		n := d.types[i.x-1].values()
		b.arity = max(b.arity, n)
		b.charge(charged(n))
	}
	b.regions.open(i.op, r.pos)
}

func (d *decoder) label(r *reader, at int, l uint32) bool {
	if n := len(d.body.frames); r.ok() && uint64(l) >= uint64(n) {
		r.refuseAt(at, RuleIndex, "label %d: there are %d", l, n)
	}
	return r.ok()
}

func (d *decoder) branch(l uint32, table bool) {
	b := &d.body
	b.charge(charged(b.arity))
	if int(l) == len(b.frames)-1 {
		b.exits++
	} else {
		b.branch(l, table)
	}
}

func (d *decoder) branchTable(r *reader, i *instruction) {
	b := &d.body
	n := r.items("targets of br_table", d.limits.BranchTable)
	if b.targets += n; b.targets > d.limits.BranchTable {
		r.refuseAt(i.at, RuleLimit, "more than %d targets of br_table", d.limits.BranchTable)
	}
	b.branches++
	for range n + 1 {
		l := r.u32()
		if !d.label(r, i.at, l) {
			return
		}
		d.branch(l, true)
	}
}

// sized notes instructions whose work depends on an operand, and those that
// change what cannot be reset.
func (d *decoder) sized(r *reader, i *instruction) {
	b := &d.body
	p := point{at: i.at, op: i.op}
	changes := ""
	switch i.op {
	case opMemoryGrow:
		d.module.Grows = true
		p.max = d.module.Memory.Max
		b.charge(callOut)
	case opMemoryFill, opMemoryCopy, opMemoryInit:
	case opTableGrow:
		changes = "table.grow"
		if uint64(i.x) < uint64(len(d.tables)) {
			p.max = d.tables[i.x].max
		}
		b.charge(callOut)
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
		d.module.find(Finding{Func: r.fn, Offset: i.at, What: changes})
	}
	if p.at >= 0 {
		b.points = append(b.points, p)
		b.operands++
	}
}

// effort estimates what a function costs an optimizing compiler. Each local,
// and each operand of a block, is carried through each merge of the control
// flow; some passes look at pairs of blocks, of exits or of calls out of the
// code. The weights are fitted to functions made to be slow, each of which
// took 1 to 4 microseconds for a unit. Real modules have 0.3 to 0.9 units a
// byte (Go, TinyGo, Rust), and 2 without optimization (Zig).
func (b *body) effort() int {
	checks := len(b.points)
	return (b.locals+b.arity)*(b.blocks+b.targets) +
		b.blocks*b.blocks/128 +
		b.exits*b.exits/32 +
		checks*4 + checks*(checks+b.blocks)/32 +
		b.operands*16 + b.operands*b.operands/16 +
		b.passed/4
}

func (d *decoder) checkEffort(r *reader) {
	effort := d.body.effort()
	d.effort += effort
	switch {
	case effort > d.limits.Effort:
		r.refuse(RuleLimit, "compiling the function would take %d units of effort (locals times branches), at most %d are allowed: optimize, or split it", effort, d.limits.Effort)
	case d.effort > d.limits.Effort+r.pos:
		r.refuse(RuleLimit, "compiling up to here would take %d units of effort (locals times branches), at most %d and one a byte are allowed: optimize", d.effort, d.limits.Effort)
	}
}

// place merges the points of segments into those of operands, which are there.
func (b *body) place() {
	operands := len(b.points)
	for i := range b.segments {
		if s := &b.segments[i]; s.point {
			b.points = append(b.points, point{at: s.at, fuel: max(s.rest, 1)})
		}
	}
	if operands > 0 {
		slices.SortStableFunc(b.points, func(x, y point) int {
			if x.at != y.at {
				return cmp.Compare(x.at, y.at)
			}
			return -cmp.Compare(x.fuel, y.fuel) // an operand's point stands right before its instruction
		})
	}
}

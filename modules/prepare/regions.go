package prepare

import "math"

// How fuel is charged.
//
// The code of a function is cut into segments: at its entry, at each loop's
// head, and wherever a branch may land. A level is the code of one loop without
// that of the loops inside it, or what is left of the function; each segment is
// of one level. A point, where fuel is taken, stands before the first segment
// of each level, and before some others. A point pays for its own segment and
// for all that follow in the level up to the next point: its group. So
//
//   - who goes on from one instruction to the next has always paid for it;
//   - who enters a loop keeps what was paid for the rest of the group outside,
//     and can use it once, since leaving the loop is what uses it;
//   - who branches backwards comes to a point;
//   - who branches forwards has paid if the target is in the group of where the
//     branch stands (in that level). If not, the branch is charged, taken or
//     not, with what is left of the group from the target on.
//
// Hence every instruction is paid before it runs. Points other than the first
// of a level are needed for precision only: without them a dispatch (a loop
// around br_table, as in an interpreter, and in all functions of a Go program)
// would pay for all cases at each turn. They are put where branches land in a
// level with such a table and as much as minGroup is to be paid.

// Where paths meet, a compiler moves the locals that one of them has set. What
// is set within the group has paid for that. Moves of what is set elsewhere (in
// a loop that was passed by, in the other cases of a dispatch) are charged
// where the paths meet, one unit each. freeMoves of them are not, nor as many
// values of a block or a function with parameters and results.
const freeMoves = 32

func charged(moves int) int64 { return int64(max(0, moves-freeMoves)) }

// minGroup is the least that a point within a level charges. Less is more
// precise and makes more code: a check is eight instructions.
const minGroup = 48

// A frame is a block that is open.
type frame struct {
	op    uint16 // opBlock, opLoop, opIf or, after else, opElse
	level int    // around the block
	jumps int    // the last in regions.jumps that lands behind the block; -1: none
	other int    // the jump of an if to its else; -1: none or landed
}

type level struct {
	segment int  // where its code goes on
	table   bool // a br_table lands here
	sets    int  // local.set and local.tee in it, and in the loops inside it
}

type segment struct {
	at     int // offset where it begins
	level  int
	next   int // in the level; -1: none
	jumps  int // the last in regions.jumps that starts here; -1: none
	first  bool
	point  bool
	cost   int64 // to be paid for the segment; finish adds what branches pay
	rest   int64 // from here to the end of the group
	before int   // the point at which the group ends
}

// A jump is one target of a branch forwards.
type jump struct {
	branch int // number of the branch, which pays for its dearest target
	anchor int // segment of the target's level from where it leaves
	to     int // segment
	inSeg  int // the one before in its segment
	inBlk  int // the one before with the same target
}

// regions are the segments of one function while they are found.
type regions struct {
	frames   []frame
	levels   []level
	segments []segment
	jumps    []jump
	level    int // of what comes next
	locals   int // of the function
	branches int
}

func (g *regions) reset(at, locals int) {
	*g = regions{frames: g.frames[:0], levels: g.levels[:0], segments: g.segments[:0], jumps: g.jumps[:0], locals: locals}
	g.enter(at)
	g.frames = append(g.frames, frame{op: opBlock, jumps: -1, other: -1})
}

// enter begins a level with its first segment.
func (g *regions) enter(at int) {
	g.level = len(g.levels)
	g.levels = append(g.levels, level{segment: len(g.segments)})
	g.segments = append(g.segments, segment{at: at, level: g.level, next: -1, jumps: -1, first: true})
}

// land begins a segment at which the jumps of a list arrive.
func (g *regions) land(at, jumps int) {
	if jumps < 0 {
		return
	}
	l, n := &g.levels[g.level], len(g.segments)
	g.segments[l.segment].next = n
	l.segment = n
	g.segments = append(g.segments, segment{at: at, level: g.level, next: -1, jumps: -1})
	for j := jumps; j >= 0; j = g.jumps[j].inBlk {
		g.jumps[j].to = n
	}
}

// charge adds to the cost of the instructions here.
func (g *regions) charge(fuel int64) { g.segments[g.levels[g.level].segment].cost += fuel }

// jump adds a jump to the end of a frame, and returns its number.
func (g *regions) jump(f *frame, list int) int {
	from := &g.segments[g.levels[g.level].segment]
	g.jumps = append(g.jumps, jump{branch: g.branches, anchor: g.levels[f.level].segment, to: -1, inSeg: from.jumps, inBlk: list})
	from.jumps = len(g.jumps) - 1
	return from.jumps
}

// branch notes a branch to a label, which exists and is not the function's.
// Branches to a loop need no note: they come to a point.
func (g *regions) branch(label uint32, table bool) {
	n := len(g.frames) - 1 - int(label)
	f := &g.frames[n]
	if f.op == opLoop {
		return
	}
	f.jumps = g.jump(f, f.jumps)
	if table {
		g.levels[f.level].table = true
	}
}

// open begins a block whose contents begin at that offset.
func (g *regions) open(op uint16, at int) {
	g.frames = append(g.frames, frame{op: op, level: g.level, jumps: -1, other: -1})
	switch op {
	case opIf:
		f := &g.frames[len(g.frames)-1]
		g.branches++
		f.other = g.jump(f, -1)
	case opLoop:
		g.enter(at)
	}
}

// other begins the second half of an if, and reports whether there is one.
func (g *regions) other(at int) bool {
	f := &g.frames[len(g.frames)-1]
	if f.op != opIf {
		return false
	}
	f.op = opElse
	g.branches++
	f.jumps = g.jump(f, f.jumps)
	g.land(at, f.other)
	f.other = -1
	return true
}

// close ends a block.
func (g *regions) close(at int) {
	f := g.frames[len(g.frames)-1]
	g.frames = g.frames[:len(g.frames)-1]
	if f.op == opLoop {
		sets := g.levels[g.level].sets
		g.levels[f.level].sets += sets
		g.level = f.level
		g.charge(charged(min(sets, g.locals)))
	}
	if f.other >= 0 {
		g.jumps[f.other].inBlk = f.jumps
		f.jumps = f.other
	}
	g.land(at, f.jumps)
}

// finish decides where the points are, from the last segment to the first: what
// a segment needs to know of those behind it is settled then.
func (g *regions) finish() {
	for i := len(g.segments) - 1; i >= 0; i-- {
		s := &g.segments[i]
		l := &g.levels[s.level]
		s.cost += g.paid(s)
		if l.table {
			s.cost += charged(min(l.sets, g.locals))
		}
		s.rest, s.before = s.cost, math.MaxInt
		if s.next >= 0 {
			n := &g.segments[s.next]
			s.before = s.next
			if !n.point {
				s.rest += n.rest
				s.before = n.before
			}
		}
		s.point = s.first || l.table && s.rest >= minGroup
	}
}

// paid returns what the branches of a segment pay for their targets.
func (g *regions) paid(s *segment) (sum int64) {
	branch, most := -1, int64(0)
	for j := s.jumps; j >= 0; j = g.jumps[j].inSeg {
		to := &g.jumps[j]
		if to.branch != branch {
			sum += most
			branch, most = to.branch, 0
		}
		if !g.together(to.anchor, to.to) {
			most = max(most, g.segments[to.to].rest)
		}
	}
	return sum + most
}

// together reports whether two segments of a level, the first before the
// second, are in one group, or the second is a point, where nothing is due.
func (g *regions) together(anchor, to int) bool {
	if g.segments[to].point {
		return true
	}
	// All behind the anchor is settled, the anchor itself may not be.
	n := g.segments[anchor].next
	return !g.segments[n].point && g.segments[n].before > to
}

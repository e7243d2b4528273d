package engine

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero/api"
)

// bespoke1 is version 1 of the policy ABI; modules/abi/ABI.md is its contract.
var bespoke1 = hostModule{
	name: abi.ImportModule,
	functions: []hostFunction{
		{abi.ImportRead, "iiii", "I", read},
		{abi.ImportEmit, "iiiiiii", "i", emit},
		{abi.ImportLog, "iii", "", log},
	},
}

// emitBudget counts what a run has emitted.
type emitBudget struct {
	edits, bytes int
	over         bool // more than the limit was tried
}

func read(g *guest, mem api.Memory, stack []uint64) {
	key := view(mem, "the key of read", stack[0], stack[1])
	buf := view(mem, "the buffer of read", stack[2], stack[3])
	g.charge(fuelPerRead)
	absent := abi.Absent
	stack[0] = uint64(absent)
	if len(key) == 0 || len(key) > g.limits.ReadBytes || !utf8.Valid(key) {
		return
	}
	value, ok := g.host.Read(key)
	if !ok {
		return
	}
	if !utf8.Valid(value) {
		value = bytes.ToValidUTF8(value, []byte("\uFFFD"))
	}
	g.charge(len(value)) // the Host made it, however little of it is asked for
	copy(buf, value)
	stack[0] = uint64(len(value))
}

func emit(g *guest, mem api.Memory, stack []uint64) {
	op := uint32(stack[0])
	target := view(mem, "the target of emit", stack[1], stack[2])
	a := view(mem, "the first argument of emit", stack[3], stack[4])
	b := view(mem, "the second argument of emit", stack[5], stack[6])
	stack[0] = uint64(g.emit(op, target, a, b))
}

// emit counts every attempt, refused ones too, since checking costs the host as much.
func (g *guest) emit(op uint32, target, a, b []byte) abi.Refusal {
	size := len(target) + len(a) + len(b)
	if g.emits.edits >= g.limits.Edits || size > g.limits.EditBytes-g.emits.bytes {
		g.emits.over = true
		return abi.RefusedLimit
	}
	g.charge(fuelPerEmit + size)
	g.emits.edits++
	g.emits.bytes += size
	if op > 0xff || !abi.Op(op).Known() {
		return g.refuse(abi.RefusedUnknownOp)
	}
	if !utf8.Valid(target) || !utf8.Valid(a) || !utf8.Valid(b) {
		return g.refuse(abi.RefusedArgument)
	}
	// One string for the three: one allocation for each edit.
	var text strings.Builder
	text.Grow(size)
	text.Write(target)
	text.Write(a)
	text.Write(b)
	s := text.String()
	return g.host.Emit(abi.Edit{
		Op:     abi.Op(op),
		Target: s[:len(target)],
		A:      s[len(target) : len(target)+len(a)],
		B:      s[len(target)+len(a):],
	})
}

// refuse tells the Host, if it wants to know.
func (g *guest) refuse(why abi.Refusal) abi.Refusal {
	if r, ok := g.host.(Refuser); ok {
		r.Refused(why)
	}
	return why
}

func log(g *guest, mem api.Memory, stack []uint64) {
	level := abi.Level(min(uint32(stack[0]), uint32(abi.Error)))
	g.lines(level, view(mem, "the text of log", stack[1], stack[2]))
}

package engine

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A hostModule is a set of functions that modules may import: one ABI, one hostModule.
type hostModule struct {
	name      string
	functions []hostFunction
}

// A hostFunction has its signature as letters: i for i32, I for i64.
type hostFunction struct {
	name            string
	params, results string
	call            func(g *guest, mem api.Memory, stack []uint64)
}

func (m hostModule) instantiate(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(m.name)
	for _, f := range m.functions {
		fn := api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			f.call(guestOf(ctx), mod.Memory(), stack)
		})
		b.NewFunctionBuilder().WithGoModuleFunction(fn, valueTypes(f.params), valueTypes(f.results)).Export(f.name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("offer the functions of %s: %w", m.name, err)
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	var t []api.ValueType
	for _, l := range letters {
		if l == 'I' {
			t = append(t, api.ValueTypeI64)
		} else {
			t = append(t, api.ValueTypeI32)
		}
	}
	return t
}

// view returns the guest's memory from ptr, or traps. An empty range is
// everywhere inside, so a guest may pass any pointer with the length 0.
func view(mem api.Memory, what string, ptr, length uint64) []byte {
	p, n := uint32(ptr), uint32(length)
	if n == 0 {
		return nil
	}
	b, ok := mem.Read(p, n)
	if !ok {
		panic(&badRange{what: what, ptr: p, len: n, size: mem.Size()})
	}
	return b
}

// logBudget passes lines on until a run's share of the log is used up.
type logBudget struct {
	to   func(abi.Level, []byte) // nil: drop everything
	left int
	size int
	over bool // something was dropped, and that was said
}

func newLogBudget(to func(abi.Level, []byte), size int) logBudget {
	return logBudget{to: to, left: size, size: size}
}

// lines passes on text line by line.
func (l *logBudget) lines(level abi.Level, text []byte) {
	for len(text) > 0 && !l.over {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		l.line(level, line)
	}
}

// line passes on one line. It costs its length and one byte, so that empty
// lines, which are left out, are not free.
func (l *logBudget) line(level abi.Level, line []byte) {
	if l.over || l.to == nil {
		return
	}
	if l.over = len(line) >= l.left; l.over {
		line = line[:max(0, l.left-1)]
	}
	l.left -= len(line) + 1
	line = bytes.TrimRight(line, "\r")
	if !utf8.Valid(line) {
		line = bytes.ToValidUTF8(line, []byte("\uFFFD"))
	}
	if len(line) > 0 {
		l.to(level, line)
	}
	if l.over {
		l.to(abi.Warn, fmt.Appendf(nil, "the log of this run is longer than %d bytes: the rest is dropped", l.size))
	}
}

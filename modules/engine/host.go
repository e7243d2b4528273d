package engine

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"

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

// offered are the functions that a module may import.
func offered() prepare.Imports {
	all := prepare.Imports{}
	for _, m := range []hostModule{bespoke1, wasiPreview1} {
		all[m.name] = map[string]prepare.Signature{}
		for _, f := range m.functions {
			all[m.name][f.name] = prepare.Signature{Params: f.params, Results: f.results}
		}
	}
	return all
}

func (m hostModule) instantiate(ctx context.Context, rt wazero.Runtime) error {
	b := rt.NewHostModuleBuilder(m.name)
	for _, f := range m.functions {
		fn := api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			g := guestOf(ctx)
			if g.fuel == nil { // a start function calls before there is an instance to hold
				g.fuel = fuelOf(mod)
			}
			g.charge(fuelPerCall)
			f.call(g, mod.Memory(), stack)
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

func fuelOf(m api.Module) api.MutableGlobal {
	return m.ExportedGlobal(prepare.FuelExport).(api.MutableGlobal)
}

// guest is the host's side of one instance: what host functions work on.
type guest struct {
	host   Host
	limits *abi.Limits
	fuel   api.MutableGlobal // below zero: used up
	log    logBudget
	emits  emitBudget
	wasi   wasiState
}

// Fuel of what the host does for a guest, so that a guest cannot have it do
// more than it could do itself. A unit is about a nanosecond of the host's.
const (
	fuelPerCall = 100
	fuelPerRead = 1000 // the Host may have to look for the value
	fuelPerEmit = 1000 // the Host checks selectors
	fuelPerLine = 500
)

// charge takes fuel for n units of work, before they are done, and traps if
// there is none left.
func (g *guest) charge(n int) {
	left := int64(g.fuel.Get()) - int64(n)
	g.fuel.Set(uint64(left))
	if left < 0 {
		panic(errFuel)
	}
}

// guestContext carries a guest to the host functions. wazero shares host
// functions among all instances and passes them nothing else of the caller's,
// so this is the one place where a context holds data.
type guestContext struct {
	context.Context
	guest *guest
}

type guestKey struct{}

func (c *guestContext) Value(key any) any {
	if key == (guestKey{}) {
		return c.guest
	}
	return c.Context.Value(key)
}

func guestOf(ctx context.Context) *guest { return ctx.Value(guestKey{}).(*guest) }

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
	to   Host
	left int
	size int
	over bool // something was dropped, and that was said
}

func newLogBudget(to Host, size int) logBudget { return logBudget{to: to, left: size, size: size} }

// lines passes on text line by line.
func (g *guest) lines(level abi.Level, text []byte) {
	for len(text) > 0 && !g.log.over {
		g.charge(fuelPerLine)
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		g.log.line(level, line)
	}
}

// line passes on one line. It costs its length and one byte, so that empty
// lines, which are left out, are not free.
func (l *logBudget) line(level abi.Level, line []byte) {
	if l.over {
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
		l.to.Log(level, line)
	}
	if l.over {
		l.to.Log(abi.Warn, fmt.Appendf(nil, "the log of this run is longer than %d bytes: the rest is dropped", l.size))
	}
}

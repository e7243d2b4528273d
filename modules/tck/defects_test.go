package tck_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"
	"bespoke/modules/tck"

	"github.com/tetratelabs/wazero/api"
)

// defects are what can be wrong with a host; each is planted alone.
type defects struct {
	// What policies may read and do.
	undeclared, withheld, withheldEmpty, headersOpen, firstManifest, everyPhase bool
	phaseOpen, rightOpen, attributesOpen, ownHeaders, eventsKept                bool

	// Functions.
	rangesOpen, wrapsAround, pointerOfNothing, anyBytes                              bool
	lengthCopied, allOrNothing, clearsRest, absentIsEmpty, emptyIsAbsent, readsEarly bool
	opIsByte, unknownUnsupported, refusedKept, refusalTraps, lastFirst               bool
	levelsRaw, emptyLines                                                            bool

	// Runs.
	noReset, keepsMemory, keepsGlobals, keepsTables, keepsSize bool
	clockRunsOn, noInitialize, realClock, realRandom           bool
	trapsSwallowed, editsOfFailed, neverAgain, hangs, panics   bool
	outputDropped, piecesAreLines, exitIsSuccess               bool

	// Limits.
	keysLong, editsUnlimited, bytesUnlimited, refusedFree, logUnlimited, logSilent bool
	binaryLarge, memoryLarge, tablesLarge, bodiesLarge, localsMany                 bool
	commands, noPhase, noMemory, anySignature                                      bool
	takesFormat, takesImport, takesExport, takesLimit, takesManifest               bool
}

// accept loosens the checks of a module.
func (w defects) accept(o *prepare.Options, l abi.Limits) {
	if w.binaryLarge {
		o.Limits.BinaryBytes = 2 * l.BinaryBytes
	}
	if w.memoryLarge {
		o.Limits.MemoryPages = 2 * l.MemoryPages
	}
	if w.tablesLarge {
		o.Limits.Tables, o.Limits.Elements = 100, 1<<20
	}
	if w.bodiesLarge {
		o.Limits.BodyBytes = 1 << 20
	}
	if w.localsMany {
		o.Limits.Locals = 20_000
	}
	if w.commands {
		o.Exports.Never = nil
	}
	if w.noPhase {
		o.Exports.OneOf = nil
	}
	if w.noMemory {
		o.Exports.Memory = ""
	}
	if w.anySignature {
		delete(o.Exports.Functions, abi.ExportInitialize)
	}
}

// takes reports whether modules that break a rule are taken.
func (w defects) takes(rule string) bool {
	switch rule {
	case prepare.RuleImport:
		return w.takesImport
	case prepare.RuleExport:
		return w.takesExport
	case prepare.RuleLimit:
		return w.takesLimit
	case prepare.RuleManifest:
		return w.takesManifest
	}
	return w.takesFormat
}

// A state is what an instance is put back to, as far as a defect lets it.
type state struct {
	memory  []byte
	globals []uint64
}

func stateOf(m api.Module, p *prepare.Module) state {
	b, _ := m.Memory().Read(0, m.Memory().Size())
	s := state{memory: slices.Clone(b)}
	for _, g := range p.Globals {
		s.globals = append(s.globals, m.ExportedGlobal(g.Name).Get())
	}
	return s
}

// restore puts m back to s. It reports whether m may serve again.
func (w defects) restore(m api.Module, p *prepare.Module, s state) bool {
	switch {
	case w.noReset:
		return true
	case !w.keepsTables && len(p.Unresettable) > 0:
		return false
	}
	for i, g := range p.Globals {
		if g.Type == 'r' || g.Type == 'e' {
			return false
		}
		if !w.keepsGlobals {
			m.ExportedGlobal(g.Name).(api.MutableGlobal).Set(s.globals[i])
		}
	}
	grown := int(m.Memory().Size()) != len(s.memory)
	if grown && !w.keepsSize && !w.keepsMemory {
		return false
	}
	if !w.keepsMemory {
		b, _ := m.Memory().Read(0, m.Memory().Size())
		clear(b[copy(b, s.memory):])
	}
	return true
}

// TestPlain tries the plain host without a defect.
func TestPlain(t *testing.T) {
	limits := quick()
	r, err := tck.Check(plainHost{limits: limits}, tck.Config{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range r {
		if _, known := departures[one.Case.Name]; known != (one.Err != nil) {
			t.Errorf("%s: %v", one.Case.Name, one.Err)
		}
	}
}

func TestDefects(t *testing.T) {
	limits := quick()
	fields := reflect.TypeFor[defects]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := plainHost{limits: limits}
			plant(&h.wrong, i)
			c := tck.Config{Limits: limits}
			if h.wrong.hangs {
				c.Patience = 3 * time.Second
			}
			r, err := tck.Check(h, c)
			if err != nil {
				t.Fatal(err)
			}
			expected := 0
			for _, one := range r {
				if _, known := departures[one.Case.Name]; known {
					continue
				}
				want := matches(caught()[name], one.Case.Name)
				if want {
					expected++
				}
				if one.Failed() != want {
					t.Errorf("fails is %v, want %v: %s: %v", one.Failed(), want, one.Case.Name, one.Err)
				}
			}
			if expected == 0 {
				t.Error("no case is about this defect")
			}
		})
	}
}

// plant sets field number i.
func plant(d *defects, i int) {
	f := reflect.ValueOf(d).Elem().Field(i)
	*(*bool)(f.Addr().UnsafePointer()) = true
}

// quick are small limits for an interpreter, which takes its time for a loop.
func quick() abi.Limits {
	l := small()
	l.RunMillis, l.InitMillis = 2, 2
	return l
}

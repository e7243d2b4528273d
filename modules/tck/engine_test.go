package tck_test

import (
	"context"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/modules/tck"
)

// engineHost is the real engine with a small honest host above it.
type engineHost struct {
	engine *engine.Engine
	all    bool // as in rules
}

func (h engineHost) Load(module []byte) (tck.Policy, error) {
	m, err := h.engine.Load(context.Background(), policy, module)
	if err != nil {
		return nil, err
	}
	return enginePolicy{m, h.all}, nil
}

const policy = "tck"

type enginePolicy struct {
	module *engine.Module
	all    bool
}

func (p enginePolicy) Runs(name string, ph abi.Phase) bool {
	m := chosen(p.module.Manifests(), name, defects{})
	return p.module.Exports(ph) && (m == nil || m.Runs(ph))
}

func (p enginePolicy) Run(ph abi.Phase, x tck.Exchange) (tck.Outcome, error) {
	v := &engineView{rules: rules{phase: ph, manifest: chosen(p.module.Manifests(), x.Policy, defects{}), exchange: x, all: p.all}}
	err := p.module.Run(context.Background(), ph, v)
	if err != nil {
		return tck.Outcome{Log: v.log}, err
	}
	return tck.Outcome{Edits: v.rules.carriedOut(v.edits), Log: v.log}, nil
}

func (p enginePolicy) Close() error { return p.module.Close(context.Background()) }

// engineView is what one run sees.
type engineView struct {
	rules rules
	edits []abi.Edit
	log   []tck.Line
}

func (v *engineView) Read(key []byte) ([]byte, bool) {
	if s, ok := v.rules.exchange.Values[string(key)]; ok {
		if _, ok := v.rules.read(string(key)); ok {
			return []byte(s), true // the engine sees to UTF-8
		}
	}
	s, ok := v.rules.read(string(key))
	return []byte(s), ok
}

func (v *engineView) Emit(e abi.Edit) abi.Refusal {
	r := v.rules.emit(e)
	if r == abi.Accepted {
		v.edits = append(v.edits, e)
	}
	return r
}

func (v *engineView) Log(l abi.Level, line []byte) {
	v.log = append(v.log, tck.Line{Level: l, Text: string(line)})
}

func newEngine(t testing.TB, limits abi.Limits) *engine.Engine {
	t.Helper()
	e, err := engine.New(context.Background(), engine.Config{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// small are limits that take less time to reach.
func small() abi.Limits {
	return abi.Limits{
		BinaryBytes: 1 << 20, MemoryPages: 16, ReadBytes: 100, Edits: 50, EditBytes: 5000, LogBytes: 1500,
		RunMillis: 8, InitMillis: 8, Concurrent: 8,
	}
}

func TestEngine(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits abi.Limits
		all    bool
	}{
		{"default limits, every operation", abi.Limits{}, true},
		{"small limits, operations of Bespoke", small(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := tck.Check(engineHost{newEngine(t, c.limits), c.all}, tck.Config{Limits: c.limits})
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range r {
				_, known := departures[one.Case.Name]
				switch {
				case known && !one.Failed():
					t.Errorf("%s: passes now; take it off the list", one.Case.Name)
				case !known && one.Failed():
					t.Errorf("%s (ABI.md, %s): %v", one.Case.Name, one.Case.Section, one.Err)
				case one.Lacking() && c.all:
					t.Errorf("%s: this host has everything, and is said to lack it", one.Case.Name)
				}
			}
			t.Logf("%v", r)
		})
	}
}

// departures are the cases in which the engine is known not to do as ABI.md
// says, and why. Each must fail, so that the list cannot outlive its reasons.
var departures = map[string]string{}

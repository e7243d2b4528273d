package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero"
)

// A resident is what a module has in memory while it is in use: compiled code,
// the snapshot and instances. A module that is not used for a while has none.
type resident struct {
	engine    *Engine
	module    *Module
	code      wazero.CompiledModule
	startFuel int64
	snapshot  *snapshot // nil: instances are used once
	slots     *slots
	live      atomic.Int32 // instances
}

// newResident brings the module's code to memory and starts it once. starting
// gets what the module says while it starts.
func (m *Module) newResident(starting Host) (r *resident, err error) {
	binary, err := m.kept.load()
	if err != nil {
		return nil, &failure{FaultInit, err}
	}
	r = &resident{engine: m.engine, module: m, startFuel: m.startFuel, slots: newSlots(m.engine.limits.Concurrent)}
	if r.code, err = m.engine.compile(binary); err != nil {
		return nil, &failure{FaultInit, fmt.Errorf("compile: %w", err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	i, err := r.start(starting)
	if err != nil {
		return r, err
	}
	if m.fresh {
		i.close()
		return r, nil
	}
	slot := r.slots.take()
	r.slots.held[slot] = i
	r.slots.give(slot)
	if r.snapshot, err = i.snapshot(m.engine.pager, m.engine.pagedFrom); err != nil {
		return r, &failure{FaultInit, fmt.Errorf("keep the state after starting: %w", err)}
	}
	return r, nil
}

// start makes an instance and has it start.
func (r *resident) start(starting Host) (*instance, error) {
	i, err := r.newInstance(starting)
	if err != nil {
		return nil, starts(err)
	}
	if err := i.initialize(r.startFuel); err != nil {
		i.close()
		return nil, starts(fmt.Errorf("%s: %w", abi.ExportInitialize, err))
	}
	return i, nil
}

// starts makes err the failure of a module that does not start. That the fuel
// is used up keeps its name.
func starts(err error) error {
	var f *failure
	if errors.As(err, &f) && f.kind == FaultFuel {
		return f
	}
	return &failure{FaultInit, err}
}

// instance returns an instance for the holder of a slot without one.
func (r *resident) instance() (*instance, error) {
	if r.snapshot == nil {
		return r.start(silent{})
	}
	i, err := r.newInstance(silent{})
	if err == nil {
		if err = i.become(r.snapshot); err == nil {
			return i, nil
		}
		i.close()
	}
	return nil, starts(err)
}

// close frees everything. No run may be under way.
func (r *resident) close() error {
	for _, i := range r.slots.held {
		if i != nil {
			i.close()
		}
	}
	return errors.Join(r.snapshot.close(), r.code.Close(context.Background()))
}

// compile compiles binary or takes the outcome from the cache.
func (e *Engine) compile(binary []byte) (code wazero.CompiledModule, err error) {
	// A fault of the compiler must not end the process.
	defer func() {
		if r := recover(); r != nil {
			code, err = nil, fmt.Errorf("the compiler failed: %v", r)
		}
	}()
	code, err = e.rt.CompileModule(context.Background(), binary)
	if err != nil && strings.HasPrefix(err.Error(), "compilationcache: ") {
		// A file of the cache is damaged. wazero does not say which.
		if err := e.emptyCache(); err != nil {
			return nil, fmt.Errorf("empty the cache of compiled code, which is damaged: %w", err)
		}
		code, err = e.rt.CompileModule(context.Background(), binary)
	}
	return code, err
}

// silent is the Host of an instance that starts: there is no exchange yet.
type silent struct{}

func (silent) Read([]byte) ([]byte, bool) { return nil, false }

func (silent) Emit(abi.Edit) abi.Refusal { return abi.RefusedPhase }

func (silent) Log(abi.Level, []byte) {}

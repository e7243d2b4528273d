package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"
)

// A Module is a checked and compiled policy module. It is safe for concurrent use.
type Module struct {
	name      string
	digest    [32]byte
	manifests []abi.Manifest
	exports   [2]bool // by abi.Phase
	globals   []prepare.Global
	fresh     bool // reset cannot undo what it does
	kept      kept
	startFuel int64
	runFuel   int64
	engine    *Engine

	resident atomic.Pointer[resident] // nil: released
	unused   atomic.Int32             // ticks since the last run
	changing sync.Mutex               // held to load and release

	slow     atomic.Int32 // runs that must go well until it is no longer taken for one that hogs a processor
	budget   budget
	fuel     atomic.Uint64
	edits    atomic.Uint64
	failures [FaultKinds]atomic.Uint64

	closed  atomic.Bool   // no run may begin any more
	ended   chan struct{} // tells a Close that waits that a run ended
	closing sync.Mutex    // held by Close
	freed   bool          // guarded by closing
}

// Manifests returns what the module's policies declare, in the order of the
// manifest; nil if it has no manifest. The caller must not change it.
func (m *Module) Manifests() []abi.Manifest { return m.manifests }

// Manifest returns what the policy of that name declares.
func (m *Module) Manifest(name string) (*abi.Manifest, bool) {
	for i := range m.manifests {
		if m.manifests[i].Name == name {
			return &m.manifests[i], true
		}
	}
	return nil, false
}

// Name returns the name that was given to Load.
func (m *Module) Name() string { return m.name }

// Digest returns the SHA-256 of the module as it was given to Load.
func (m *Module) Digest() [32]byte { return m.digest }

// Exports reports whether the module exports the function of phase p.
func (m *Module) Exports(p abi.Phase) bool { return int(p) < len(m.exports) && m.exports[p] }

// Host is what one run sees of the exchange. Its methods are called only
// during Run, from the goroutine that called Run.
//
// Two hosts that answer Read and Emit alike see the same calls in the same order.
type Host interface {
	// Read returns the value of key; ok is false if it is absent. key is valid
	// UTF-8, within the limit, and valid only during the call: it is the
	// guest's memory. value is copied at once. A key must have one value
	// throughout a run.
	Read(key []byte) (value []byte, ok bool)
	// Emit takes an edit or says why not. The operation is known, the texts
	// are valid UTF-8, the limits hold.
	Emit(e abi.Edit) abi.Refusal
	// Log takes one line, without its end, not empty, valid UTF-8, valid only
	// during the call.
	Log(level abi.Level, line []byte)
}

// A Refuser is a Host that wants to know which edits the engine refused by itself:
// unknown operations, and texts that are not UTF-8. It is told during the run. What is
// over the limit ends the run with a fault, and is not told.
type Refuser interface {
	Refused(why abi.Refusal)
}

// Run calls the module's function for phase p from a clean state. The error is
// a *Fault; the edits emitted before a fault must not be carried out. What
// ends a run is its fuel, not ctx, which is looked at before it begins.
func (m *Module) Run(ctx context.Context, p abi.Phase, h Host) error {
	_, err := m.RunFuel(ctx, p, h)
	return err
}

// RunFuel is Run, and tells how much fuel the run took, failed or not.
func (m *Module) RunFuel(ctx context.Context, p abi.Phase, h Host) (used int64, err error) {
	if !m.Exports(p) {
		return 0, m.refuse(FaultExport, fmt.Errorf("the module does not export %s", p.Export()))
	}
	if err := ctx.Err(); err != nil {
		return 0, m.refuse(FaultCanceled, err)
	}
	ok, trial := m.budget.admit()
	if !ok {
		return 0, m.refuse(FaultSuspended, errors.New("it failed too often and is suspended for a while"))
	}
	if m.slow.Load() > 0 {
		if !m.engine.lane.enter() {
			return 0, m.refuse(FaultBusy, errors.New("it used up its fuel lately, and others that did are under way"))
		}
		defer m.engine.lane.leave()
	}
	r, slot, err := m.take(trial)
	if err != nil {
		return 0, err
	}
	defer m.give(r, slot)
	if m.closed.Load() { // asked with the slot in hand: Close forbids runs, then waits for the slots
		return 0, m.refuse(FaultClosed, errClosed)
	}
	i := r.slots.held[slot]
	r.slots.held[slot] = nil // lost if the Host panics where that is not caught
	if i == nil {
		if i, err = r.instance(); err != nil {
			return 0, m.fail(err, trial)
		}
	}
	kept := false
	defer func() {
		if !kept {
			i.close()
		}
	}()
	used, err = i.run(p, h, m.runFuel)
	m.fuel.Add(uint64(used))
	if n := i.guest.emits.edits; n > 0 {
		m.edits.Add(uint64(n))
	}
	if r.snapshot != nil && m.engine.restore(i, r.snapshot) {
		r.slots.held[slot] = i
		kept = true
	}
	if err != nil {
		return used, m.fail(err, trial)
	}
	if m.slow.Load() > 0 {
		m.slow.Add(-1)
	}
	m.budget.succeeded(trial)
	return used, nil
}

var errClosed = errors.New("the module was closed")

// take returns a slot of the module's resident, which it loads if there is none.
func (m *Module) take(trial bool) (*resident, int, error) {
	if m.unused.Load() != 0 {
		m.unused.Store(0)
	}
	if r := m.resident.Load(); r != nil {
		if slot := r.slots.take(); slot >= 0 {
			return r, slot, nil
		}
	}
	if m.closed.Load() {
		return nil, 0, m.refuse(FaultClosed, errClosed)
	}
	// All slots are taken, or the module is being released, or it is not
	// there. One goroutine loads it; others who want it wait for that here.
	m.changing.Lock()
	defer m.changing.Unlock()
	r := m.resident.Load()
	if r == nil {
		if m.closed.Load() {
			return nil, 0, m.refuse(FaultClosed, errClosed)
		}
		var err error
		if r, err = m.newResident(silent{}); err != nil {
			return nil, 0, m.fail(err, trial)
		}
		m.resident.Store(r)
	}
	if slot := r.slots.take(); slot >= 0 {
		return r, slot, nil
	}
	return nil, 0, m.refuse(FaultBusy, fmt.Errorf("%d runs are under way", m.engine.limits.Concurrent))
}

func (m *Module) give(r *resident, slot int) {
	r.slots.give(slot)
	if m.closed.Load() {
		select {
		case m.ended <- struct{}{}:
		default: // one is enough
		}
	}
}

// refuse is the fault of a run that did not begin.
func (m *Module) refuse(kind FaultKind, err error) *Fault {
	m.failures[kind].Add(1)
	return &Fault{Kind: kind, Module: m.name, Err: err}
}

// fail is the fault of a run that failed with err.
func (m *Module) fail(err error, trial bool) *Fault {
	f := &Fault{Kind: FaultInit, Module: m.name, Err: err}
	var own *failure
	if errors.As(err, &own) {
		f.Kind, f.Err = own.kind, own.err
	}
	m.failures[f.Kind].Add(1)
	if f.Kind == FaultFuel || f.Kind == FaultStack {
		m.slow.Store(slowRuns)
	}
	if f.Kind.own() {
		m.budget.failed(trial)
	} else {
		m.budget.succeeded(false) // it says nothing of the policy
	}
	return f
}

// suspended tells the engine's listener, if there is one.
func (m *Module) suspended(until time.Time) {
	if call := m.engine.onSuspension.Load(); call != nil {
		(*call)(m, until)
	}
}

// State returns how the module fares. Its figures are not of one moment.
func (m *Module) State() State {
	s := State{Runs: m.budget.runs.Load(), Fuel: m.fuel.Load(), Edits: m.edits.Load(), Fresh: m.fresh}
	if until := m.budget.until.Load(); until != 0 {
		s.Suspended, s.Until = true, time.Unix(0, until)
	}
	for k := range s.Failures {
		s.Failures[k] = m.failures[k].Load()
	}
	if r := m.resident.Load(); r != nil {
		s.Loaded = true
		s.Instances = int(r.live.Load())
		s.Paged = r.snapshot != nil && r.snapshot.image != nil
	}
	return s
}

// release frees what the module has in memory, unless a run is under way.
func (m *Module) release() error {
	m.changing.Lock()
	defer m.changing.Unlock()
	r := m.resident.Load()
	if r == nil {
		return nil
	}
	got, all := r.slots.drain(nil)
	if !all {
		for _, slot := range got {
			r.slots.give(slot)
		}
		return nil
	}
	m.resident.Store(nil)
	if err := r.close(); err != nil {
		return fmt.Errorf("release policy module %s: %w", m.name, err)
	}
	return nil
}

// Close waits for the runs under way and frees the module. Later runs are
// refused. If ctx ends first the error says so, the module stays in memory,
// and Close may be called again.
func (m *Module) Close(ctx context.Context) error {
	m.closed.Store(true)
	m.closing.Lock()
	defer m.closing.Unlock()
	if m.freed {
		return nil
	}
	for {
		// A release gives up when a run is under way; so does this, and waits.
		err := m.release()
		if err != nil || m.resident.Load() == nil {
			m.freed = true
			m.engine.forget(m)
			return err
		}
		select {
		case <-m.ended:
		case <-ctx.Done():
			return fmt.Errorf("close policy module %s: runs are under way: %w", m.name, ctx.Err())
		}
	}
}

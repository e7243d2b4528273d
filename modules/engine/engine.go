// Package engine runs policies: it checks, compiles and instantiates
// WebAssembly modules, and calls them under limits of memory and time.
//
// Call [New] first, then [Engine.Load] for each module, then [Module.Run] for
// each phase of an exchange. What a policy sees of an exchange, and what
// becomes of its edits, is up to the [Host] given to Run.
//
// Every run starts from the same clean state. The package never gives a policy
// a clock, chance, a file, a socket or anything of an earlier run: what a
// policy emits depends on what it read, and on nothing else. It does not know
// what keys mean or who may read them; the Host decides that.
package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Config says how an Engine works. Its zero value is usable.
type Config struct {
	CacheDir string       // folder for compiled code, made if missing; "": memory only
	Limits   abi.Limits   // of each module; zero fields are taken from abi.DefaultLimits
	Log      *slog.Logger // what modules say while they are loaded; nil: discarded
}

// An Engine compiles and runs modules. It is safe for concurrent use.
type Engine struct {
	limits abi.Limits
	log    *slog.Logger
	cache  wazero.CompilationCache
	rt     wazero.Runtime

	mu      sync.Mutex
	modules map[*Module]struct{} // guarded by mu
	closed  bool                 // guarded by mu
}

// wasmPages is the most pages that a 32-bit memory can have.
const wasmPages = 1 << 16

// New starts an engine. It fails if a limit is out of range or the cache's
// folder cannot be used.
func New(ctx context.Context, c Config) (*Engine, error) {
	limits := c.Limits.Or(abi.DefaultLimits)
	if err := checkLimits(limits); err != nil {
		return nil, err
	}
	e := &Engine{limits: limits, log: c.Log, modules: map[*Module]struct{}{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.CacheDir == "" {
		e.cache = wazero.NewCompilationCache()
	} else if e.cache, err = wazero.NewCompilationCacheWithDir(c.CacheDir); err != nil {
		return nil, fmt.Errorf("open the cache of compiled modules in %s: %w", c.CacheDir, err)
	}
	e.rt = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(uint32(limits.MemoryPages)).
		WithCompilationCache(e.cache).
		WithDebugInfoEnabled(false).
		WithCloseOnContextDone(true))
	for _, m := range []hostModule{bespoke1, wasiPreview1} {
		if err := m.instantiate(ctx, e.rt); err != nil {
			return nil, errors.Join(err, e.Close(ctx))
		}
	}
	return e, nil
}

func checkLimits(l abi.Limits) error {
	for _, f := range []struct {
		name     string
		value    int
		most     int
		required bool
	}{
		{name: "binary bytes", value: l.BinaryBytes, most: 1 << 30},
		{name: "memory pages", value: l.MemoryPages, most: wasmPages},
		{name: "read bytes", value: l.ReadBytes, most: 1 << 20},
		{name: "edits", value: l.Edits, most: 1 << 24},
		{name: "edit bytes", value: l.EditBytes, most: 1 << 30},
		{name: "log bytes", value: l.LogBytes, most: 1 << 24},
		{name: "run milliseconds", value: l.RunMillis, most: 1 << 20},
		{name: "initialization milliseconds", value: l.InitMillis, most: 1 << 20},
		{name: "concurrent runs", value: l.Concurrent, most: 1 << 16},
	} {
		if f.value < 1 || f.value > f.most {
			return fmt.Errorf("limit of %s is %d: want 1 to %d", f.name, f.value, f.most)
		}
	}
	return nil
}

// Close closes every module, waiting for runs under way, and frees all that
// the engine holds. Modules cannot be loaded afterwards. If ctx ends first the
// error says so, and nothing that a run needs is freed.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	var open []*Module
	for m := range e.modules {
		open = append(open, m)
	}
	e.closed = true
	e.mu.Unlock()
	var errs []error
	for _, m := range open {
		errs = append(errs, m.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // code that still runs must stay in memory
	}
	return errors.Join(e.rt.Close(ctx), e.cache.Close(ctx))
}

// A Module is a checked and compiled policy module. It is safe for concurrent use.
type Module struct {
	name      string
	digest    [32]byte
	manifests []abi.Manifest
	exports   [2]bool // by abi.Phase
	limits    abi.Limits

	engine    *Engine
	instances *instances
	slots     chan struct{} // one token per run that may be under way
	closed    atomic.Bool   // no run may start any more

	closing sync.Mutex // held by Close
	freed   bool       // guarded by closing
}

// Load checks and compiles a module and tries whether it starts. name stands
// in errors and logs only. The size is checked before anything is read.
// module is not kept and not changed.
func (e *Engine) Load(ctx context.Context, name string, module []byte) (loaded *Module, err error) {
	// A fault of the compiler must not end the process; wazero recovers by
	// itself only what happens while guest code runs.
	defer func() {
		if r := recover(); r != nil {
			loaded, err = nil, fmt.Errorf("policy module %s: the compiler failed: %v", name, r)
		}
	}()
	if len(module) > e.limits.BinaryBytes {
		return nil, fmt.Errorf("policy module %s has %d bytes, at most %d are allowed", name, len(module), e.limits.BinaryBytes)
	}
	b, err := decode(module)
	if err == nil {
		err = b.check(e.limits)
	}
	if err != nil {
		return nil, fmt.Errorf("policy module %s: %w", name, err)
	}
	m := &Module{
		name:    name,
		digest:  sha256.Sum256(module),
		limits:  e.limits,
		engine:  e,
		slots:   make(chan struct{}, e.limits.Concurrent),
		exports: [2]bool{b.exports(abi.OnRequest.Export()), b.exports(abi.OnResponse.Export())},
	}
	if b.manifest != nil {
		if m.manifests, err = abi.ParseManifests(b.manifest); err != nil {
			return nil, fmt.Errorf("policy module %s: %w", name, err)
		}
	}
	if m.instances, err = newInstances(ctx, e.rt, b.code, e.limits); err != nil {
		return nil, fmt.Errorf("policy module %s: compile: %w", name, err)
	}
	if err := m.try(ctx); err != nil {
		return nil, errors.Join(err, m.instances.close(ctx))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.Join(fmt.Errorf("policy module %s: the engine is closed", name), m.instances.close(ctx))
	}
	e.modules[m] = struct{}{}
	return m, nil
}

// try instantiates the module once, so that a start function or _initialize
// that fails is an error of Load. Only this once is what they log passed on.
func (m *Module) try(ctx context.Context) error {
	inst, err := m.instances.take(ctx, func(l abi.Level, line []byte) {
		m.engine.log.Log(ctx, slogLevel(l), "policy module starts", "module", m.name, "line", string(line))
	})
	if err != nil {
		return m.fault(ctx, err, FaultInit)
	}
	m.instances.give(ctx, inst)
	return nil
}

func slogLevel(l abi.Level) slog.Level {
	return slog.LevelDebug + slog.Level(l)*(slog.LevelInfo-slog.LevelDebug)
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
	// UTF-8, within the limit, and valid only during the call. value is copied
	// at once. A key must have one value throughout a run.
	Read(key []byte) (value []byte, ok bool)
	// Emit takes an edit or says why not. The operation is known, the texts
	// are valid UTF-8, the limits hold.
	Emit(e abi.Edit) abi.Refusal
	// Log takes one line, without its end, not empty, valid UTF-8, valid only
	// during the call.
	Log(level abi.Level, line []byte)
}

// Run calls the module's function for phase p from a clean state. The error is
// a *Fault; the edits emitted before a fault must not be carried out.
func (m *Module) Run(ctx context.Context, p abi.Phase, h Host) error {
	if !m.Exports(p) {
		return &Fault{Kind: FaultExport, Module: m.name, Err: fmt.Errorf("the module does not export %s", p.Export())}
	}
	free := false
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
		free = true
	default:
	}
	// Asked with the slot in hand: Close first forbids runs, then waits for the slots.
	if m.closed.Load() {
		return &Fault{Kind: FaultClosed, Module: m.name, Err: errors.New("the module was closed")}
	}
	if !free {
		return &Fault{Kind: FaultBusy, Module: m.name, Err: fmt.Errorf("%d runs are under way", cap(m.slots))}
	}
	inst, err := m.instances.take(ctx, nil)
	if err != nil {
		return m.fault(ctx, err, FaultInit)
	}
	defer m.instances.give(ctx, inst)
	err = inst.run(ctx, p, h, time.Duration(m.limits.RunMillis)*time.Millisecond)
	if err != nil {
		return m.fault(ctx, err, FaultTrap)
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
	// Who holds every slot knows that no run is under way.
	for held := range cap(m.slots) {
		select {
		case m.slots <- struct{}{}:
		case <-ctx.Done():
			for range held {
				<-m.slots
			}
			return fmt.Errorf("close policy module %s: runs are under way: %w", m.name, ctx.Err())
		}
	}
	m.freed = true
	m.engine.mu.Lock()
	delete(m.engine.modules, m)
	m.engine.mu.Unlock()
	return m.instances.close(ctx)
}

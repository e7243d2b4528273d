// Package engine runs policies: it has WebAssembly modules checked and
// metered by modules/prepare, compiles them, and calls them under limits of
// memory and work.
//
// Call [New] first, then [Engine.Load] for each module, then [Module.Run] for
// each phase of an exchange. What a policy sees of an exchange, and what
// becomes of its edits, is up to the [Host] given to Run.
//
// Every run starts from the same clean state: what the module's start function
// and _initialize left. It is put back after each run, whether that ended well
// or not, so an instance serves one run after the other and none learns of
// another. A run ends when its fuel does; the package starts no goroutine for
// it and looks at no clock.
//
// The package never gives a policy a clock, chance, a file, a socket or
// anything of an earlier run: what a policy emits depends on what it read, and
// on nothing else. It does not know what keys mean or who may read them; the
// Host decides that.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Config says how an Engine works. Its zero value is usable.
type Config struct {
	// CacheDir is a folder for prepared and compiled code, made if missing. It
	// is trusted: who writes there runs code in this process. Files in it may
	// be removed while no engine uses it. "": everything is kept in memory.
	CacheDir string

	Limits     abi.Limits       // of each module; zero fields are taken from abi.DefaultLimits
	Log        *slog.Logger     // what modules say while they are loaded; nil: discarded
	Suspension Suspension       // of modules that keep failing
	Idle       time.Duration    // a module that was not run for so long leaves memory; 0: 5 minutes; below: never
	Now        func() time.Time // for suspensions; nil: time.Now
}

// An Engine compiles and runs modules. It is safe for concurrent use.
type Engine struct {
	limits     abi.Limits
	log        *slog.Logger
	suspension Suspension
	now        func() time.Time
	cacheDir   string
	imports    prepare.Imports
	cache      wazero.CompilationCache
	rt         wazero.Runtime
	pager      pager                           // nil: memories are restored by copying
	pagedFrom  int                             // size of memory from which pager is used
	restore    func(*instance, *snapshot) bool // a test without it shows that it is needed

	lane lane

	onSuspension atomic.Pointer[func(*Module, time.Time)]

	stop    chan struct{} // closed by Close: ends releaseIdle
	stopped chan struct{} // closed when it has ended; nil: never begun

	loading sync.RWMutex // held by Load, and by Close to wait for it
	mu      sync.Mutex
	modules map[*Module]struct{} // guarded by mu
	closed  bool                 // guarded by mu
}

// New starts an engine. It fails if a limit is out of range or the cache's
// folder cannot be used.
func New(ctx context.Context, c Config) (*Engine, error) {
	limits := c.Limits.Or(abi.DefaultLimits)
	if err := checkLimits(limits); err != nil {
		return nil, err
	}
	e := &Engine{
		limits: limits, log: c.Log, suspension: c.Suspension.or(), now: c.Now, cacheDir: c.CacheDir,
		imports: offered(), pagedFrom: pagedFrom, restore: (*instance).restore,
		stop: make(chan struct{}), modules: map[*Module]struct{}{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.lane.width = int32(max(1, runtime.GOMAXPROCS(0)-1))
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
		WithDebugInfoEnabled(false))
	e.pager = newPager()
	for _, m := range []hostModule{bespoke1, wasiPreview1} {
		if err := m.instantiate(ctx, e.rt); err != nil {
			return nil, errors.Join(err, e.Close(ctx))
		}
	}
	if idle := c.Idle; idle >= 0 {
		if idle == 0 {
			idle = 5 * time.Minute
		}
		e.stopped = make(chan struct{})
		go e.releaseIdle(max(idle/idleTicks, time.Millisecond))
	}
	return e, nil
}

func checkLimits(l abi.Limits) error {
	for _, f := range []struct {
		name  string
		value int
		most  int
	}{
		{"binary bytes", l.BinaryBytes, 1 << 30},
		{"memory pages", l.MemoryPages, 1 << 16},
		{"read bytes", l.ReadBytes, 1 << 20},
		{"edits", l.Edits, 1 << 24},
		{"edit bytes", l.EditBytes, 1 << 30},
		{"log bytes", l.LogBytes, 1 << 24},
		{"run milliseconds", l.RunMillis, 1 << 20},
		{"initialization milliseconds", l.InitMillis, 1 << 20},
		{"concurrent runs", l.Concurrent, 1 << 16},
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
	if !e.closed {
		close(e.stop)
	}
	e.closed = true
	e.mu.Unlock()
	if e.stopped != nil {
		<-e.stopped
	}
	e.loading.Lock()
	defer e.loading.Unlock()
	e.mu.Lock()
	open := e.loaded()
	e.mu.Unlock()
	var errs []error
	for _, m := range open {
		errs = append(errs, m.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // code that still runs must stay in memory
	}
	errs = append(errs, e.rt.Close(ctx), e.cache.Close(ctx))
	if e.pager != nil {
		errs = append(errs, e.pager.close())
		e.pager = nil
	}
	return errors.Join(errs...)
}

// loaded lists the modules. The caller holds mu.
func (e *Engine) loaded() []*Module {
	var all []*Module
	for m := range e.modules {
		all = append(all, m)
	}
	return all
}

func (e *Engine) forget(m *Module) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.modules, m)
}

// idleTicks is in how many ticks the time is counted after which a module is idle.
const idleTicks = 4

// releaseIdle ticks until Close.
func (e *Engine) releaseIdle(every time.Duration) {
	defer close(e.stopped)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.tick()
		case <-e.stop:
			return
		}
	}
}

// tick releases the modules that were not run for idleTicks ticks.
func (e *Engine) tick() {
	e.mu.Lock()
	all := e.loaded()
	e.mu.Unlock()
	for _, m := range all {
		if m.unused.Add(1) < idleTicks {
			continue
		}
		if err := m.release(); err != nil {
			e.log.Error("policy module not released", "module", m.name, "error", err)
		}
	}
}

// Load checks and compiles a module and tries whether it starts. name stands
// in errors and logs only. The size is checked before anything is read.
// module is not kept and not changed.
func (e *Engine) Load(ctx context.Context, name string, module []byte) (*Module, error) {
	e.loading.RLock()
	defer e.loading.RUnlock()
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("policy module %s: the engine is closed", name)
	}
	p, err := e.prepare(module)
	if err != nil {
		return nil, fmt.Errorf("policy module %s: %w", name, err)
	}
	m := &Module{
		name: name, digest: p.Digest, manifests: p.Manifests, globals: p.Globals, fresh: unresettable(p),
		exports:   [2]bool{p.Has(abi.OnRequest.Export()), p.Has(abi.OnResponse.Export())},
		startFuel: e.startFuel(p), runFuel: e.limits.RunFuel(), engine: e,
		budget: budget{rules: e.suspension, now: e.now}, ended: make(chan struct{}, 1),
	}
	m.budget.tell = m.suspended
	if m.kept, err = e.keep(p.Code); err != nil {
		return nil, fmt.Errorf("policy module %s: %w", name, err)
	}
	r, err := m.newResident(&starting{ctx: ctx, log: e.log, module: name})
	if err != nil {
		var f *failure
		if errors.As(err, &f) {
			return nil, &Fault{Kind: f.kind, Module: name, Err: f.err}
		}
		return nil, &Fault{Kind: FaultInit, Module: name, Err: err}
	}
	m.resident.Store(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.modules[m] = struct{}{} // Close waits for Load
	return m, nil
}

func (e *Engine) prepare(module []byte) (*prepare.Module, error) {
	void := prepare.Signature{}
	o := prepare.Options{
		Limits:  prepare.Limits{BinaryBytes: e.limits.BinaryBytes, MemoryPages: e.limits.MemoryPages},
		Imports: e.imports,
		Exports: prepare.Exports{
			Memory:    abi.ExportMemory,
			Functions: map[string]prepare.Signature{abi.ExportOnRequest: void, abi.ExportOnResponse: void, abi.ExportInitialize: void},
			OneOf:     []string{abi.ExportOnRequest, abi.ExportOnResponse},
			Never:     map[string]string{"_start": "this is a command; build a reactor (for Go: -buildmode=c-shared)"},
		},
		InitFuel: e.limits.InitFuel(),
	}
	p, err := prepare.Prepare(module, o)
	if err == nil && e.startFuel(p) != o.InitFuel {
		o.InitFuel = e.startFuel(p)
		p, err = prepare.Prepare(module, o)
	}
	return p, err
}

// startFuel is what the module gets to start. One that starts anew for each
// run gets no more than a run.
func (e *Engine) startFuel(p *prepare.Module) int64 {
	if unresettable(p) {
		return min(e.limits.InitFuel(), e.limits.RunFuel())
	}
	return e.limits.InitFuel()
}

// unresettable reports whether a run of the module may change what restoring
// memory and globals does not undo. A global that holds a reference is one of
// these: it means something in its own instance only.
func unresettable(p *prepare.Module) bool {
	for _, g := range p.Globals {
		if g.Type == 'r' || g.Type == 'e' {
			return true
		}
	}
	return len(p.Unresettable) > 0
}

// starting passes on what a module says while it is loaded. There is no
// exchange yet.
type starting struct {
	silent
	ctx    context.Context
	log    *slog.Logger
	module string
}

func (s *starting) Log(l abi.Level, line []byte) {
	level := slog.LevelDebug + slog.Level(l)*(slog.LevelInfo-slog.LevelDebug)
	s.log.Log(s.ctx, level, "policy module starts", "module", s.module, "line", string(line))
}

// OnSuspension has call called whenever a module is suspended, or a suspension is
// prolonged, until a time; and with the zero time when the module runs again. It
// must not wait. There is one listener; nil takes it away.
func (e *Engine) OnSuspension(call func(m *Module, until time.Time)) {
	if call == nil {
		e.onSuspension.Store(nil)
		return
	}
	e.onSuspension.Store(&call)
}

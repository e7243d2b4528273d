package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bespoke/modules/abi"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// instances is where the instances of one module come from and go to. An
// instance that was given back is never handed out with what a run left in it:
// here each is made for one run and thrown away.
type instances struct {
	rt     wazero.Runtime
	code   wazero.CompiledModule
	limits abi.Limits
}

// newInstances compiles code.
func newInstances(ctx context.Context, rt wazero.Runtime, code []byte, limits abi.Limits) (*instances, error) {
	compiled, err := rt.CompileModule(ctx, code)
	if err != nil {
		return nil, err
	}
	return &instances{rt: rt, code: compiled, limits: limits}, nil
}

// take returns an instance as its start function and _initialize left it.
// log gets what those two say; nil drops it.
func (s *instances) take(ctx context.Context, log func(abi.Level, []byte)) (*instance, error) {
	inst := &instance{guest: guest{limits: &s.limits, wasi: newWASIState()}}
	inst.guest.log = newLogBudget(log, s.limits.LogBytes)
	limit := time.Duration(s.limits.InitMillis) * time.Millisecond
	err := within(ctx, limit, "starting", &inst.guest, func(ctx context.Context) (err error) {
		inst.module, err = s.rt.InstantiateModule(ctx, s.code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			return fmt.Errorf("instantiate: %w", err)
		}
		if f := inst.module.ExportedFunction(abi.ExportInitialize); f != nil {
			if _, err = f.Call(ctx); err != nil {
				return fmt.Errorf("%s: %w", abi.ExportInitialize, err)
			}
		}
		return nil
	})
	inst.guest.wasi.flush(&inst.guest.log)
	if err != nil {
		s.give(ctx, inst)
		return nil, err
	}
	return inst, nil
}

// give takes an instance back, whatever state it is in.
func (s *instances) give(ctx context.Context, inst *instance) {
	if inst.module != nil {
		// Closing an instance frees memory; it has no files, so it cannot fail.
		_ = inst.module.Close(ctx)
	}
}

func (s *instances) close(ctx context.Context) error { return s.code.Close(ctx) }

// An instance is a module in memory, for one run at a time.
type instance struct {
	module api.Module // nil if it could not be instantiated
	guest  guest
}

// run calls the export of phase p.
func (i *instance) run(ctx context.Context, p abi.Phase, h Host, limit time.Duration) error {
	g := &i.guest
	g.host = h
	g.log = newLogBudget(h.Log, g.limits.LogBytes)
	err := within(ctx, limit, p.Export(), g, func(ctx context.Context) error {
		return i.module.ExportedFunction(p.Export()).CallWithStack(ctx, nil)
	})
	g.wasi.flush(&g.log)
	g.host = nil
	return err
}

// guest is the host's side of one instance: what host functions work on.
type guest struct {
	host   Host // nil while the instance starts: nothing is read or emitted then
	limits *abi.Limits
	log    logBudget
	emits  emitBudget
	wasi   wasiState
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

// within runs f with a context that ends after limit and carries g.
func within(ctx context.Context, limit time.Duration, what string, g *guest, f func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(&guestContext{Context: timed, guest: g})
	var closed *sys.ExitError
	if errors.As(err, &closed) && errors.Is(timed.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		return &overtime{what: what, millis: limit.Milliseconds()}
	}
	return err
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// An instance is a module in memory, for one run at a time.
type instance struct {
	of      *resident
	module  api.Module
	memory  api.Memory
	bytes   []byte      // of the memory, as long as it has not grown
	paged   pagedMemory // what is below memory; nil: wazero's own
	phases  [2]phase    // by abi.Phase
	globals []api.MutableGlobal
	guest   guest
	ctx     guestContext // for calls; carries the guest
}

// A phase is an export that can be called, with the stack that it runs on.
type phase struct {
	call  api.Function
	stack reflect.Value // the slice in call that is the stack; invalid: not found
}

// largeStack is what a stack may have grown to and still be kept for the next
// run. wazero lets a stack grow to 80 MiB and never takes it back.
const largeStack = 128 << 10

// stackOf finds the stack in one of wazero's functions, which keep it to
// themselves. There is no other way to tell that it has become large.
func stackOf(f api.Function) reflect.Value {
	v := reflect.Indirect(reflect.ValueOf(f))
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	if v = v.FieldByName("stack"); !v.IsValid() || v.Type() != reflect.TypeFor[[]byte]() {
		return reflect.Value{}
	}
	return v
}

// newInstance instantiates the module of r, which runs its start function.
// starting gets what that says.
func (r *resident) newInstance(starting Host) (i *instance, err error) {
	i = &instance{of: r}
	r.live.Add(1)
	i.guest = guest{limits: &r.engine.limits, host: starting, wasi: newWASIState()}
	i.guest.log = newLogBudget(starting, i.guest.limits.LogBytes)
	i.ctx = guestContext{Context: context.Background(), guest: &i.guest}
	ctx := context.Context(&i.ctx)
	if p := r.engine.pager; p != nil {
		ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(
			func(_, most uint64) experimental.LinearMemory {
				i.paged = p.reserve(most)
				return i.paged
			}))
	}
	defer func() {
		// wazero recovers by itself only what happens while guest code runs.
		if p := recover(); p != nil {
			err = fmt.Errorf("instantiate: %v", p)
			if i.paged != nil && i.paged.err() != nil {
				err = fmt.Errorf("instantiate: %w", i.paged.err())
			}
		}
		if err != nil {
			i.close()
			i = nil
		}
	}()
	i.module, err = r.engine.rt.InstantiateModule(ctx, r.code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	i.guest.wasi.flush(&i.guest.log)
	if err != nil {
		left := int64(0)
		if i.guest.fuel != nil {
			left = int64(i.guest.fuel.Get())
		}
		return i, fmt.Errorf("instantiate: %w", failed(err, "the start function", left, r.startFuel))
	}
	i.find(r.module.globals)
	return i, nil
}

// find looks up once what every run needs.
func (i *instance) find(globals []prepare.Global) {
	i.guest.fuel = fuelOf(i.module)
	i.memory = i.module.Memory()
	i.see()
	for _, g := range globals {
		i.globals = append(i.globals, i.module.ExportedGlobal(g.Name).(api.MutableGlobal))
	}
	for _, p := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
		i.renew(p)
	}
}

// see notes where the memory is now.
func (i *instance) see() { i.bytes, _ = i.memory.Read(0, i.memory.Size()) }

// renew looks up the export of phase p, with a stack of its own.
func (i *instance) renew(p abi.Phase) {
	if f := i.module.ExportedFunction(p.Export()); f != nil {
		i.phases[p] = phase{call: f, stack: stackOf(f)}
	}
}

// initialize calls _initialize, if there is one, on the fuel that the start function left.
func (i *instance) initialize(budget int64) error {
	f := i.module.ExportedFunction(abi.ExportInitialize)
	if f == nil {
		return nil
	}
	g := &i.guest
	err := f.CallWithStack(&i.ctx, nil)
	g.wasi.flush(&g.log)
	if err != nil {
		return failed(err, abi.ExportInitialize, int64(g.fuel.Get()), budget)
	}
	return nil
}

// run calls the export of phase p and returns the fuel that it took.
func (i *instance) run(p abi.Phase, h Host, fuel int64) (used int64, err error) {
	g := &i.guest
	g.host = h
	g.log = newLogBudget(h, g.limits.LogBytes)
	g.emits = emitBudget{}
	g.fuel.Set(uint64(fuel))
	e := i.phases[p].call.CallWithStack(&i.ctx, nil)
	left := int64(g.fuel.Get())
	g.wasi.flush(&g.log)
	g.host, g.log.to = nil, nil
	switch {
	case e != nil:
		err = failed(e, p.Export(), left, fuel)
	case g.emits.over:
		err = &failure{FaultLimit, fmt.Errorf("%s emitted more than %d edits or %d bytes", p.Export(), g.limits.Edits, g.limits.EditBytes)}
	}
	if s := i.phases[p].stack; !s.IsValid() && e != nil || s.IsValid() && s.Len() > largeStack {
		i.renew(p)
	}
	return fuel - max(left, 0), err
}

// restore puts back all that a run can have changed. It reports whether it
// could: a memory that grew cannot shrink.
func (i *instance) restore(s *snapshot) bool {
	if int(i.memory.Size()) != s.size {
		return false
	}
	if s.image != nil {
		i.paged.restore()
	} else {
		copy(i.bytes, s.content)
	}
	for n, g := range i.globals {
		g.Set(s.globals[n])
	}
	i.guest.wasi.restore(&s.wasi)
	return true
}

// close frees the instance, however far it came.
func (i *instance) close() {
	i.of.live.Add(-1)
	if i.module != nil {
		// Closing an instance frees memory; it has no files, so it cannot fail.
		_ = i.module.Close(context.Background())
	}
	if i.paged != nil {
		i.paged.Free() // wazero leaves it when a start function fails
	}
}

// A snapshot is the state from which every run of a module starts: what the
// start function and _initialize left. These read nothing of an exchange, the
// clock or chance, so they leave the same in every instance.
type snapshot struct {
	size    int    // of the memory
	content []byte // of the memory; nil if it is in image
	image   image  // nil if it is in content
	globals []uint64
	wasi    wasiState
}

// pagedFrom is the size of memory from which restoring page by page is cheaper
// than copying all. Medians of BenchmarkRestore on a shared machine with two
// cores (Linux 6.18), in microseconds, after a run that wrote to 2, 8 and 16 pages
// of 4 KiB:
//
//	memory    64 KiB       128 KiB      256 KiB      512 KiB      2.4 MiB
//	copied    2.0          3.9          7.6          16           230
//	by page   1.1 1.9 3.5  1.0 2.0 3.0  0.9 1.9 3.5  1.0 2.0 3.5  2.1 2.6 3.8
//
// At 64 KiB there is little to gain for a file descriptor and a mapping.
const pagedFrom = 128 << 10

// snapshot keeps the state of i, which must be as _initialize left it.
func (i *instance) snapshot(p pager, from int) (*snapshot, error) {
	i.see()
	i.guest.wasi.drawn = false
	s := &snapshot{size: len(i.bytes), wasi: i.guest.wasi}
	s.wasi.lines = [2][]byte{}
	for _, g := range i.globals {
		s.globals = append(s.globals, g.Get())
	}
	if p != nil && s.size >= from {
		if img, err := p.image(i.bytes); err == nil {
			s.image = img
			return s, i.paged.attach(img)
		}
		// The system has no file descriptor or mapping to spare: copying needs none.
	}
	s.content = append([]byte(nil), i.bytes...)
	return s, nil
}

func (s *snapshot) close() error {
	if s == nil || s.image == nil {
		return nil
	}
	return s.image.close()
}

// become gives a fresh instance the state of s, without running _initialize.
func (i *instance) become(s *snapshot) error {
	if more := s.size - int(i.memory.Size()); more > 0 {
		if _, ok := i.memory.Grow(uint32(more / pageBytes)); !ok {
			return errors.New("the memory cannot grow to what _initialize made of it")
		}
	}
	i.see()
	i.guest.wasi = s.wasi
	if s.image != nil {
		if err := i.paged.attach(s.image); err != nil {
			return err
		}
	}
	if !i.restore(s) {
		return errors.New("the memory is not what _initialize made of it")
	}
	return nil
}

const pageBytes = 64 << 10

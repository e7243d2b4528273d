package tck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"unicode/utf8"

	"bespoke/modules/abi"
	"bespoke/modules/prepare"
	"bespoke/modules/tck"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// plainHost is a second host of the ABI, as plain as can be: wazero's
// interpreter and its WASI, and all memory copied back after a run. It shares only the
// checker of binaries with the engine. Its defects are what the suite must find.
type plainHost struct {
	limits abi.Limits
	wrong  defects
}

// panicKey is a key at which a defect panics.
const panicKey = "experiment.button"

// fuelPerCall is what a call of the host costs a policy.
const fuelPerCall = 100

var errTrap = errors.New("out of range")

func (h plainHost) Load(module []byte) (tck.Policy, error) {
	void := prepare.Signature{}
	o := prepare.Options{
		Limits:  prepare.Limits{BinaryBytes: h.limits.BinaryBytes, MemoryPages: h.limits.MemoryPages},
		Imports: offered(),
		Exports: prepare.Exports{
			Memory:    abi.ExportMemory,
			Functions: map[string]prepare.Signature{abi.ExportOnRequest: void, abi.ExportOnResponse: void, abi.ExportInitialize: void},
			OneOf:     []string{abi.ExportOnRequest, abi.ExportOnResponse},
			Never:     map[string]string{"_start": "a command"},
		},
		InitFuel: h.limits.InitFuel(),
	}
	h.wrong.accept(&o, h.limits)
	m, err := prepare.Prepare(module, o)
	var refusal *prepare.Refusal
	if errors.As(err, &refusal) && h.wrong.takes(refusal.Rule) {
		return useless{}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	p := &plainPolicy{host: h, module: m}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().
		WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(65536))
	if err := p.offer(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if p.code, err = p.runtime.CompileModule(ctx, m.Code); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func offered() prepare.Imports {
	wasi := map[string]prepare.Signature{}
	for name, s := range map[string][2]string{
		"args_sizes_get": {"ii", "i"}, "environ_sizes_get": {"ii", "i"}, "clock_time_get": {"iIi", "i"},
		"poll_oneoff": {"iiii", "i"}, "random_get": {"ii", "i"}, "fd_write": {"iiii", "i"}, "fd_read": {"iiii", "i"},
		"proc_exit": {"i", ""}, "path_open": {"iiiiiIIii", "i"}, "fd_prestat_get": {"ii", "i"}, "fd_close": {"i", "i"},
		"fd_readdir": {"iiiIi", "i"}, "path_unlink_file": {"iii", "i"}, "path_create_directory": {"iii", "i"},
		"path_filestat_get": {"iiiii", "i"}, "fd_pread": {"iiiIi", "i"},
	} {
		wasi[name] = prepare.Signature{Params: s[0], Results: s[1]}
	}
	return prepare.Imports{
		abi.ImportModule: {
			"read": {Params: "iiii", Results: "I"}, "emit": {Params: "iiiiiii", Results: "i"}, "log": {Params: "iii"},
		},
		"wasi_snapshot_preview1": wasi,
	}
}

// useless is what a host with a defect makes of a module that it should refuse.
type useless struct{}

func (useless) Runs(string, abi.Phase) bool { return false }

func (useless) Run(abi.Phase, tck.Exchange) (tck.Outcome, error) { return tck.Outcome{}, nil }

func (useless) Close() error { return nil }

// plainPolicy runs one at a time.
type plainPolicy struct {
	host    plainHost
	module  *prepare.Module
	runtime wazero.Runtime
	code    wazero.CompiledModule
	mu      sync.Mutex
	now     *plainRun  // the one under way; guarded by mu
	kept    api.Module // of an earlier run, clean again; guarded by mu
	clean   state      // of a new instance; guarded by mu
	clock   int64      // where it starts, if a defect lets it run on
	spoiled bool       // a run failed, and a defect makes that matter; guarded by mu
}

func (p *plainPolicy) Close() error { return p.runtime.Close(context.Background()) }

func (p *plainPolicy) Runs(name string, ph abi.Phase) bool {
	m := chosen(p.module.Manifests, name, p.host.wrong)
	return p.module.Has(ph.Export()) && (m == nil || m.Runs(ph) || p.host.wrong.everyPhase)
}

// plainRun is one run.
type plainRun struct {
	rules    rules
	limits   abi.Limits
	started  bool
	edits    []abi.Edit
	emitted  int
	bytes    int
	log      []tck.Line
	left     int // of the log
	full     bool
	rest     [2][]byte // of a line of output, and of error, without its end
	clock    int64
	random   io.Reader
	instance api.Module
}

func (p *plainPolicy) Run(ph abi.Phase, x tck.Exchange) (o tck.Outcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.host.wrong
	if w.panics && x.Values[panicKey] != "" {
		panic("the host cannot do this")
	}
	if p.spoiled {
		return o, errors.New("an earlier run failed")
	}
	r := &plainRun{
		rules:  rules{phase: ph, manifest: chosen(p.module.Manifests, x.Policy, w), exchange: x, all: true, wrong: w},
		limits: p.host.limits, left: p.host.limits.LogBytes, clock: p.clock, random: rand.NewChaCha8([32]byte{1}),
	}
	if w.realRandom {
		r.random = rand.NewChaCha8([32]byte{byte(rand.Int()), byte(rand.Int()), byte(rand.Int())})
	}
	p.now = r
	err = p.call(ph, r)
	for i, rest := range r.rest {
		r.lines(abi.Info+abi.Level(i), string(rest))
	}
	p.clock = 0
	if w.clockRunsOn {
		p.clock = r.clock
	}
	if err != nil {
		p.spoiled = w.neverAgain
		if w.hangs && strings.Contains(err.Error(), "fuel") {
			if ph == abi.OnResponse {
				select {} // as a loop would that nothing ends
			}
		}
	}
	o = tck.Outcome{Edits: r.rules.carriedOut(r.edits), Log: r.log}
	switch {
	case err != nil && w.trapsSwallowed:
		err = nil
	case err != nil && !w.editsOfFailed:
		o.Edits = nil
	}
	return o, err
}

// call starts an instance and calls it.
func (p *plainPolicy) call(ph abi.Phase, r *plainRun) (err error) {
	ctx, w := context.Background(), p.host.wrong
	m := p.kept
	p.kept = nil
	if m == nil {
		config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
			WithStdout(stream{p, 0}).WithStderr(stream{p, 1}).WithRandSource(chargedRandom{p}).
			WithWalltime(func() (int64, int32) { t := p.now.time(); return t / 1e9, int32(t % 1e9) }, 1).
			WithNanotime(func() int64 { return p.now.time() }, 1).WithNanosleep(func(ns int64) { p.now.clock += ns })
		if m, err = p.runtime.InstantiateModule(ctx, p.code, config); err != nil {
			return err
		}
		if f := m.ExportedFunction(abi.ExportInitialize); f != nil && !w.noInitialize {
			if _, err = f.Call(ctx); err != nil {
				return errors.Join(err, m.Close(ctx))
			}
		}
	}
	if p.clean.memory == nil {
		p.clean = stateOf(m, p.module)
	}
	r.started, r.instance = true, m
	fuel := m.ExportedGlobal(prepare.FuelExport).(api.MutableGlobal)
	fuel.Set(uint64(r.limits.RunFuel()))
	_, err = m.ExportedFunction(ph.Export()).Call(ctx)
	if err != nil && int64(fuel.Get()) < 0 {
		err = fmt.Errorf("the fuel is used up: %w", err)
	}
	if err != nil && w.exitIsSuccess && strings.Contains(err.Error(), "exit_code(0)") {
		err = nil
	}
	if m.IsClosed() || !w.restore(m, p.module, p.clean) {
		return errors.Join(err, m.Close(ctx))
	}
	p.kept = m
	return err
}

func (r *plainRun) time() int64 {
	if r.rules.wrong.realClock {
		return 946_684_800*1e9 + int64(rand.Uint32()) // two looks at a clock that runs differ
	}
	return 946_684_800*1e9 + r.clock
}

// charge takes fuel, or ends the run.
func (r *plainRun) charge(m api.Module, n int) {
	fuel := m.ExportedGlobal(prepare.FuelExport).(api.MutableGlobal)
	left := int64(fuel.Get()) - int64(n)
	fuel.Set(uint64(left))
	if left < 0 {
		panic(errors.New("fuel"))
	}
}

type chargedRandom struct{ p *plainPolicy }

func (c chargedRandom) Read(b []byte) (int, error) {
	r := c.p.now
	if r.started {
		r.charge(r.instance, len(b)+fuelPerCall)
	}
	return r.random.Read(b)
}

// offer makes the functions of the ABI, and those of WASI.
func (p *plainPolicy) offer(ctx context.Context) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return err
	}
	w := p.host.wrong
	// Which run a call is of: there is one at a time.
	_, err := p.runtime.NewHostModuleBuilder(abi.ImportModule).
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, key, keyLen, buf, room uint32) int64 {
		p.now.charge(m, fuelPerCall)
		return p.now.read(view(m, key, keyLen, w), view(m, buf, room, w))
	}).Export("read").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, op, t, tLen, a, aLen, b, bLen uint32) uint32 {
		p.now.charge(m, fuelPerCall)
		return uint32(p.now.emit(op, string(view(m, t, tLen, w)), string(view(m, a, aLen, w)), string(view(m, b, bLen, w))))
	}).Export("emit").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, level, at, n uint32) {
		p.now.charge(m, fuelPerCall)
		if level > uint32(abi.Error) && !w.levelsRaw {
			level = uint32(abi.Error)
		}
		p.now.lines(abi.Level(level), string(view(m, at, n, w)))
	}).Export("log").Instantiate(ctx)
	return err
}

func view(m api.Module, at, n uint32, w defects) []byte {
	if n == 0 {
		if w.pointerOfNothing && at > m.Memory().Size() {
			panic(errTrap)
		}
		return nil
	}
	b, ok := m.Memory().Read(at, n)
	if !ok && w.wrapsAround && at > -n {
		return nil
	}
	if !ok && !w.rangesOpen {
		panic(errTrap)
	}
	return b
}

func (r *plainRun) read(key, buf []byte) int64 {
	w := r.rules.wrong
	if len(key) == 0 || len(key) > r.limits.ReadBytes && !w.keysLong || !utf8.Valid(key) && !w.anyBytes {
		return r.absent()
	}
	if !r.started && !w.readsEarly {
		return -1
	}
	v, ok := r.rules.read(string(key))
	if !ok {
		return r.absent()
	}
	if v == "" && w.emptyIsAbsent {
		return -1
	}
	if w.clearsRest {
		clear(buf)
	}
	if w.allOrNothing && len(v) > len(buf) {
		return int64(len(v))
	}
	n := copy(buf, v)
	if w.lengthCopied {
		return int64(n)
	}
	return int64(len(v))
}

func (r *plainRun) absent() int64 {
	if r.rules.wrong.absentIsEmpty {
		return 0
	}
	return -1
}

func (r *plainRun) emit(op uint32, target, a, b string) abi.Refusal {
	w := r.rules.wrong
	if !r.started {
		return abi.RefusedPhase
	}
	size := len(target) + len(a) + len(b)
	if r.emitted >= r.limits.Edits && !w.editsUnlimited || r.bytes+size > r.limits.EditBytes && !w.bytesUnlimited {
		return abi.RefusedLimit
	}
	if !w.refusedFree {
		r.emitted++
		r.bytes += size
	}
	if w.opIsByte {
		op &= 0xff
	}
	if op > 255 || !abi.Op(op).Known() {
		if w.unknownUnsupported {
			return abi.RefusedUnsupported
		}
		return abi.RefusedUnknownOp
	}
	if !w.anyBytes && (!utf8.ValidString(target) || !utf8.ValidString(a) || !utf8.ValidString(b)) {
		return abi.RefusedArgument
	}
	e := abi.Edit{Op: abi.Op(op), Target: target, A: a, B: b}
	refusal := r.rules.emit(e)
	if w.anyBytes && !utf8.ValidString(target+a+b) {
		refusal = abi.Accepted
	}
	switch {
	case refusal != abi.Accepted && w.refusedKept:
		r.edits = append(r.edits, e)
	case refusal != abi.Accepted && w.refusalTraps:
		panic(errTrap)
	case refusal == abi.Accepted && w.lastFirst:
		r.edits = append([]abi.Edit{e}, r.edits...)
	case refusal == abi.Accepted:
		r.edits = append(r.edits, e)
	}
	if refusal == abi.Accepted && w.refusedFree {
		r.emitted++
		r.bytes += size
	}
	return refusal
}

func (r *plainRun) lines(level abi.Level, text string) {
	for l := range strings.Lines(text) {
		r.line(level, strings.TrimSuffix(l, "\n"))
	}
}

func (r *plainRun) line(level abi.Level, l string) {
	w := r.rules.wrong
	if r.full && !w.logUnlimited {
		return
	}
	if len(l)+1 > r.left && !w.logUnlimited {
		r.full = true
		if !w.logSilent {
			r.log = append(r.log, tck.Line{Level: abi.Warn, Text: "the rest is dropped"})
		}
		return
	}
	r.left -= len(l) + 1
	if !w.anyBytes {
		l = strings.ToValidUTF8(l, "\uFFFD")
	}
	if l != "" || w.emptyLines {
		r.log = append(r.log, tck.Line{Level: level, Text: l})
	}
}

// stream makes lines of what is written to the standard output (0) or error (1).
type stream struct {
	p      *plainPolicy
	number int
}

func (s stream) Write(b []byte) (int, error) {
	r, level := s.p.now, abi.Info+abi.Level(s.number)
	switch w := r.rules.wrong; {
	case w.outputDropped:
		return len(b), nil
	case w.piecesAreLines:
		r.lines(level, string(b))
		return len(b), nil
	}
	rest := append(r.rest[s.number], b...)
	if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
		r.lines(level, string(rest[:i+1]))
		rest = rest[i+1:]
	}
	r.rest[s.number] = rest
	return len(b), nil
}

package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// TestIdle lets a module idle while another is used, with a cache's folder and without.
func TestIdle(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		e := start(t, engine.Config{CacheDir: dir, Idle: -1})
		idle, busy := load(t, e, echo().bytes()), load(t, e, guest(0).bytes())
		for range engine.IdleTicks {
			if !idle.State().Loaded {
				t.Fatal("released too early")
			}
			if err := busy.Run(context.Background(), abi.OnResponse, &exchange{}); err != nil {
				t.Fatal(err)
			}
			e.Tick()
		}
		if s := idle.State(); s.Loaded || s.Instances != 0 {
			t.Errorf("an idle module is still in memory: %+v", s)
		}
		if s := busy.State(); !s.Loaded || s.Instances != 1 {
			t.Errorf("a module in use: %+v", s)
		}
		// Many want it at once: it comes back once, and serves all.
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				x := &exchange{values: map[string]string{"k": "v"}}
				if err := idle.Run(context.Background(), abi.OnResponse, x); err != nil || len(x.edits) != 1 {
					t.Errorf("after it came back: %v, %v", err, x.edits)
				}
			})
		}
		wg.Wait()
		if s := idle.State(); !s.Loaded || s.Runs != 8 {
			t.Errorf("after it came back: %+v", s)
		}
	}
}

// TestIdleByTime has the engine tick by itself.
func TestIdleByTime(t *testing.T) {
	m := load(t, start(t, engine.Config{Idle: 20 * time.Millisecond}), echo().bytes())
	for begin := time.Now(); m.State().Loaded; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("an idle module stays in memory")
		}
	}
}

// TestReleaseUnderLoad releases a module again and again while it is run: no
// run may notice.
func TestReleaseUnderLoad(t *testing.T) {
	for _, b := range []*builder{echo(), large(echo())} {
		m := load(t, start(t, engine.Config{CacheDir: t.TempDir(), Limits: abi.Limits{Concurrent: 8}}), b.bytes())
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					x := &exchange{values: map[string]string{"k": "v"}}
					if err := m.Run(context.Background(), abi.OnResponse, x); err != nil || len(x.edits) != 1 {
						t.Errorf("%v, %v", err, x.edits)
						return
					}
				}
			})
		}
		released := 0
		for begin := time.Now(); released < 100 && time.Since(begin) < 2*time.Second || released == 0 && time.Since(begin) < time.Minute; {
			if !m.State().Loaded {
				runtime.Gosched()
				continue
			}
			if err := m.Release(); err != nil {
				t.Error(err)
			}
			if !m.State().Loaded {
				released++
			}
		}
		close(stop)
		wg.Wait()
		if released == 0 {
			t.Error("it was never released")
		}
		t.Logf("released %d times in %d runs", released, m.State().Runs)
	}
}

// large gives a module so much memory that it is restored by page.
func large(b *builder) *builder {
	b.memory = []byte{0, 8}
	return b
}

// TestDamagedFiles damages what the engine keeps on disk while a module is away.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	e := start(t, engine.Config{CacheDir: dir, Idle: -1})
	m := load(t, e, echo().bytes())
	run := func() error { return m.Run(ctx, abi.OnResponse, &exchange{values: map[string]string{"k": "v"}}) }
	damage := func(file string, change func([]byte) []byte) (mend func()) {
		t.Helper()
		if err := m.Release(); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, change(slices.Clone(whole)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(file, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	for _, change := range []func([]byte) []byte{flip, cut} {
		mend := damage(m.File(), change)
		wantFault(t, run(), engine.FaultInit, "is damaged")
		mend()
		if err := run(); err != nil {
			t.Fatal(err)
		}
		// Loading it again mends the file.
		damage(m.File(), change)
		load(t, e, echo().bytes())
		if err := run(); err != nil {
			t.Fatal(err)
		}
		// Compiled code that is damaged is made anew.
		compiled, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
		if err != nil || len(compiled) != 1 {
			t.Fatalf("compiled: %q, %v", compiled, err)
		}
		e2 := start(t, engine.Config{CacheDir: dir})
		damage(compiled[0], change)
		if err := load(t, e2, echo().bytes()).Run(ctx, abi.OnResponse, &exchange{values: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Release(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.File()); err != nil {
		t.Fatal(err)
	}
	wantFault(t, run(), engine.FaultInit, "read the prepared module")
}

// TestFresh runs a module that changes its table: each run gets an instance of its own.
func TestFresh(t *testing.T) {
	m := load(t, start(t, engine.Config{}), switcher().bytes())
	for range 3 {
		if err := m.Run(context.Background(), abi.OnResponse, &listener{secret: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.State(); !s.Fresh || s.Instances != 0 || s.Runs != 3 {
		t.Errorf("%+v", s)
	}
}

// TestCopies checks that an instance made after the first starts from the same
// state, though its _initialize is not run: memory that _initialize grew, globals, clock and chance.
func TestCopies(t *testing.T) {
	for _, pages := range []int32{1, 8} {
		b := newBuilder()
		read := b.fimport("bespoke_1", "read", "iiii", "I")
		emit := b.fimport("bespoke_1", "emit", "iiiiiii", "i")
		clock := b.fimport("wasi_snapshot_preview1", "clock_time_get", "iIi", "i")
		random := b.fimport("wasi_snapshot_preview1", "random_get", "ii", "i")
		b.globals = [][]byte{{0x7f, 1, 0x41, 5, 0x0b}}
		b.export("memory", 2, 0)
		b.export("_initialize", 0, b.fn("", "", 0, i32(pages), grow, drop, i32(77), []byte{0x24, 0},
			store(pages<<16, i32(99)), args(5000, 40), call(random), drop))
		b.export("on_response", 0, b.fn("", "", 0,
			store(100, []byte{0x3f, 0}), store(104, []byte{0x23, 0}), store(108, load32(pages<<16)),
			i32(0), i64(0), i32(112), call(clock), drop,
			args(120, 8), call(random), drop,
			// ASCII
			slices.Concat(i32(112), i32(112), []byte{0x29, 3, 0}, i64(0x7f7f7f7f7f7f7f7f), []byte{0x83, 0x37, 3, 0}),
			slices.Concat(i32(120), i32(120), []byte{0x29, 3, 0}, i64(0x7f7f7f7f7f7f7f7f), []byte{0x83, 0x37, 3, 0}),
			args(1, 0, 0, 100, 28, 0, 0), call(emit), drop,
			args(0, 1, 200, 1), call(read), drop))
		m := load(t, start(t, engine.Config{}), b.bytes())
		var told []string
		var nest func() abi.Refusal
		nest = func() abi.Refusal {
			if len(told) < 4 {
				x := &exchange{}
				x.answer = func(e abi.Edit) abi.Refusal { told = append(told, e.A); return nest() }
				if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
					t.Error(err)
				}
			}
			return abi.Accepted
		}
		nest()
		if n := m.State().Instances; n != 4 || len(told) != 4 {
			t.Fatalf("%d instances told %d times", n, len(told))
		}
		for i := range told {
			if told[i] != told[0] || told[i][4] != 77 || told[i][8] != 99 {
				t.Errorf("instance %d: %q, the first: %q", i, told[i], told[0])
			}
		}
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	b := guest(1, args(0, 1, 100, 50), call(0), wrap, set(0))
	b.text(0, "k")
	for name, module := range map[string]*builder{"small": b, "large": large(b)} {
		m := load(t, start(t, engine.Config{}), module.bytes())
		h := &quiet{value: []byte("value")}
		if n := testing.AllocsPerRun(1000, func() {
			if err := m.Run(context.Background(), abi.OnResponse, h); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a run", name, n)
		}
	}
	m := load(t, start(t, engine.Config{}), echo().bytes())
	h := &quiet{value: []byte("value")}
	if n := testing.AllocsPerRun(1000, func() {
		if err := m.Run(context.Background(), abi.OnResponse, h); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations for a run of one edit, want 1: its text", n)
	}
}

package engine_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// TestTenants loads 1,000 policies of the size that C programs have and 50 Go
// programs, all different, and prints what they take in memory and how long
// the first run takes after they were idle. Set BESPOKE_SOAK to run it.
func TestTenants(t *testing.T) {
	if os.Getenv("BESPOKE_SOAK") == "" {
		t.Skip("measures 1,000 policies, which takes minutes: BESPOKE_SOAK=1 has it run (make soak does)")
	}
	goBinary, err := goGuest()
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, engine.Config{CacheDir: t.TempDir(), Idle: -1})
	for _, kind := range []struct {
		name   string
		n      int
		binary func(i int) []byte
	}{
		{"C size", 1000, cSize},
		{"Go", 50, func(i int) []byte {
			// A section that nobody reads makes it another program.
			return append(slices.Clone(goBinary), section(0, append(str("tenant"), strconv.Itoa(i)...))...)
		}},
	} {
		var modules []*engine.Module
		before := rss(t)
		begin := time.Now()
		for i := range kind.n {
			modules = append(modules, load(t, e, kind.binary(i)))
		}
		t.Logf("%s: %d loaded in %v, a binary of %d bytes", kind.name, kind.n, time.Since(begin), len(kind.binary(0)))
		each := func(what string) {
			t.Logf("%s: %s, %d KiB of memory each", kind.name, what, (rss(t)-before)/kind.n>>10)
		}
		each("loaded")
		for round := range 2 {
			for _, m := range modules {
				if err := m.Release(); err != nil || m.State().Loaded {
					t.Fatalf("not released: %v", err)
				}
			}
			each("idle")
			var took []time.Duration
			for _, m := range modules {
				begin := time.Now()
				if err := m.Run(context.Background(), abi.OnResponse, &quiet{value: []byte("nothing")}); err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			t.Logf("%s: first run after idling, round %d: median %v, p99 %v", kind.name, round, took[len(took)/2], took[len(took)*99/100])
			each("in use")
		}
	}
}

// rss is the memory of this process that is not Go's to give back, in bytes.
func rss(t *testing.T) int {
	t.Helper()
	runtime.GC() // runs the finalizers by which wazero frees code
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("measures the memory of this process in /proc/self/status, which only Linux has:", err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// cSize returns a module of about 10 KB of code in 100 functions and two pages
// of memory, unlike that of any other i.
func cSize(i int) []byte {
	b := guest(1, args(0, 1, 100, 50), call(0), wrap, set(0))
	b.memory = []byte{0, 2}
	for f := range 100 {
		b.fn("i", "i", 2, slices.Repeat(slices.Concat(get(0), i32(int32(i*1000+f)), add, []byte{0x22, 1}, get(1), []byte{0x6c}, set(2), load32(int32(f*4)), get(2), add, set(0)), 8), get(0))
	}
	b.text(0, "k")
	b.text(1024, fmt.Sprintf("tenant %d", i)+strings.Repeat("data ", 400))
	return b.bytes()
}

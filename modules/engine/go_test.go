package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// goGuest is testdata/guest, built once for all tests.
var goGuest = sync.OnceValues(func() ([]byte, error) {
	// Opened so that the cache of test results knows the source.
	if _, err := os.ReadFile("testdata/guest/main.go"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-trimpath", "-o", out, "./testdata/guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

// compiled is the folder of compiled code that the tests of the Go guest share.
var compiled = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "compiled") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := compiled(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func loadGo(t testing.TB, c engine.Config) *engine.Module {
	t.Helper()
	module, err := goGuest()
	if err == nil {
		c.CacheDir, err = compiled()
	}
	if err != nil {
		t.Fatal(err)
	}
	return load(t, start(t, c), module)
}

// runGo runs the guest with what it is to do, and perhaps a secret to read.
func runGo(m *engine.Module, do, secret string) (*exchange, error) {
	x := &exchange{values: map[string]string{"do": do, "secret": secret}}
	return x, m.Run(context.Background(), abi.OnResponse, x)
}

func TestGoLogsOnceAtLoad(t *testing.T) {
	var said bytes.Buffer
	m := loadGo(t, engine.Config{Log: slog.New(slog.NewTextHandler(&said, nil))})
	for range 2 {
		x, err := runGo(m, "nothing", "")
		if err != nil || len(x.log)+len(x.edits) > 0 {
			t.Errorf("error %v, log %q, edits %v", err, x.log, x.edits)
		}
	}
	if n := strings.Count(said.String(), "init says hello"); n != 1 {
		t.Errorf("init's line was logged %d times: %s", n, said.String())
	}
}

// TestGoFaults ends runs as Go programs end. What the runtime says is in the log.
func TestGoFaults(t *testing.T) {
	m := loadGo(t, engine.Config{Limits: abi.Limits{MemoryPages: 80, RunMillis: 20_000}})
	for _, c := range []struct {
		do   string
		kind engine.FaultKind
		text string
		log  string
	}{
		{"panic", engine.FaultTrap, "unreachable", "panic: no good"},
		{"exit", engine.FaultExit, "status 7", ""},
		{"hoard", engine.FaultTrap, "unreachable", "out of memory"},
		{"recurse", engine.FaultTrap, "unreachable", "out of memory"},
		{"deadlock", engine.FaultTrap, "unreachable", "all goroutines are asleep"},
	} {
		t.Run(c.do, func(t *testing.T) {
			x, err := runGo(m, c.do, "")
			wantFault(t, err, c.kind, c.text)
			if !strings.Contains(strings.Join(x.log, "\n"), c.log) {
				t.Errorf("log: %q, want %q", x.log, c.log)
			}
		})
	}
	if _, err := runGo(m, "nothing", ""); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}

func TestGoFuel(t *testing.T) {
	m := loadGo(t, engine.Config{Limits: abi.Limits{RunMillis: 150}})
	_, err := runGo(m, "loop", "")
	wantFault(t, err, engine.FaultFuel, "on_response used up its fuel of 15000000 instructions")
}

func TestGoPrints(t *testing.T) {
	x, err := runGo(loadGo(t, engine.Config{}), "print", "")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"1 one", "1 two", "2 beside", "1 three", "1 four"}; !slices.Equal(x.log, want) {
		t.Errorf("log %q, want %q", x.log, want)
	}
}

func TestGoHasNoFiles(t *testing.T) {
	x, err := runGo(loadGo(t, engine.Config{}), "files", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := x.edits[0].A; got != "true true 0 EOF" {
		t.Errorf("got %q", got)
	}
}

// TestGoIsDeterministic runs what would use chance and time if there were any.
func TestGoIsDeterministic(t *testing.T) {
	var first []abi.Edit
	for i := range 6 {
		x, err := runGo(loadGo(t, engine.Config{}), "chance", "")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = x.edits
			if !strings.Contains(first[0].A, "2000-01-01T00:00:00Z1h1m0s []") {
				t.Errorf("clock: %q", first[0].A)
			}
		}
		if !slices.Equal(x.edits, first) {
			t.Errorf("run %d: %v, the first: %v", i, x.edits, first)
		}
	}
}

// TestGoIsolation has a guest keep what it reads and emit what it kept.
func TestGoIsolation(t *testing.T) {
	m := loadGo(t, engine.Config{})
	runs := 1000
	if testing.Short() {
		runs = 100
	}
	for i := range runs {
		x, err := runGo(m, "remember", fmt.Sprintf("secret-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		want := []abi.Edit{{Op: abi.OpText, Target: "#kept"}, {Op: abi.OpText, Target: "#env", A: "1"}}
		if !slices.Equal(x.edits, want) {
			t.Fatalf("run %d leaked: %+v", i, x.edits)
		}
	}
}

func BenchmarkGoRun(b *testing.B) {
	m := loadGo(b, engine.Config{})
	for b.Loop() {
		if _, err := runGo(m, "nothing", ""); err != nil {
			b.Fatal(err)
		}
	}
}

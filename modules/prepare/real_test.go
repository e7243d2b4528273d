package prepare_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// goGuest builds testdata/guest.
func goGuest(t testing.TB) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "./testdata/guest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// started instantiates a reactor under WASI and returns what it prints.
func started(t testing.TB, code []byte) (api.Module, *bytes.Buffer) {
	t.Helper()
	ctx := context.Background()
	r := newRuntime(t)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	var out bytes.Buffer
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithStdout(&out).WithStderr(&out).WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return m, &out
}

// TestGoGuest runs a Go program, prepared and not: it prints the same and
// leaves the same memory; and an endless loop in it ends.
func TestGoGuest(t *testing.T) {
	ctx := context.Background()
	binary := goGuest(t)
	m := must(t, binary, guestOptions())
	if len(m.Unresettable) > 0 {
		t.Errorf("a Go program cannot be reset: %+v", m.Unresettable)
	}
	var said, memories [2][]byte
	for i, code := range [][]byte{binary, m.Code} {
		g, out := started(t, code)
		if _, err := g.ExportedFunction("run").Call(ctx, 200); err != nil {
			t.Fatal(err)
		}
		said[i] = out.Bytes()
		memory, _ := g.Memory().Read(0, g.Memory().Size())
		memories[i] = bytes.Clone(memory)
		if i == 1 {
			fuelOf(g).Set(10_000_000)
			if _, err := g.ExportedFunction("forever").Call(ctx); err == nil || int64(fuelOf(g).Get()) >= 0 {
				t.Errorf("the endless loop: %v, %d units left", err, int64(fuelOf(g).Get()))
			}
		}
	}
	if len(said[0]) == 0 || !bytes.Equal(said[0], said[1]) {
		t.Errorf("it prints %q, prepared %q", said[0], said[1])
	}
	if i := firstDifference(memories[0], memories[1]); i >= 0 {
		t.Errorf("memories of %d and %d bytes differ at %d", len(memories[0]), len(memories[1]), i)
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// TestBuiltin prepares the module that ships under the default limits.
func TestBuiltin(t *testing.T) {
	m := must(t, builtin(t), guestOptions())
	if err := compiles(newRuntime(t), m.Code); err != nil {
		t.Error(err)
	}
	if len(m.Manifests) == 0 || len(m.Globals) == 0 || !m.Grows || len(m.Unresettable) != 0 {
		t.Errorf("%d manifests, globals %v, grows %v, unresettable %v", len(m.Manifests), m.Globals, m.Grows, m.Unresettable)
	}
	if m.Stats.CodeAfter > m.Stats.CodeBefore*5/4 {
		t.Errorf("the code grows from %d to %d bytes", m.Stats.CodeBefore, m.Stats.CodeAfter)
	}
}

// TestOtherCompilers runs programs of TinyGo, Rust and Zig, which come with the
// runtime's own tests, prepared and not.
func TestOtherCompilers(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"tinygo", "cargo-wasi", "zig-cc"} {
		binary, err := os.ReadFile(filepath.Join(runtimeDir(t), "imports", "wasi_snapshot_preview1", "testdata", name, "wasi.wasm"))
		if err != nil {
			t.Fatal(err)
		}
		o := guestOptions()
		o.Imports["wasi_snapshot_preview1"] = wasiOf(t, binary)
		m := must(t, binary, o)
		dir := t.TempDir()
		for _, f := range []string{"one", "two"} {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(f), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var said [2]bytes.Buffer
		for i, code := range [][]byte{binary, m.Code} {
			r := newRuntime(t)
			wasi_snapshot_preview1.MustInstantiate(ctx, r)
			_, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithArgs("wasi", "ls", ".").
				WithStdout(&said[i]).WithFSConfig(wazero.NewFSConfig().WithReadOnlyDirMount(dir, "/")))
			if err != nil && !strings.Contains(err.Error(), "exit_code(0)") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if a, b := said[0].String(), said[1].String(); !strings.Contains(a, "two") || a != b {
			t.Errorf("%s prints %q, prepared %q", name, a, b)
		}
	}
}

// wasiOf returns the functions that a program imports of WASI, with the
// signatures that the runtime gives them.
func wasiOf(t testing.TB, binary []byte) map[string]prepare.Signature {
	t.Helper()
	m, err := newRuntime(t).CompileModule(context.Background(), binary)
	if err != nil {
		t.Fatal(err)
	}
	letters := func(types []api.ValueType) (s string) {
		for _, v := range types {
			s += map[api.ValueType]string{api.ValueTypeI32: "i", api.ValueTypeI64: "I"}[v]
		}
		return s
	}
	functions := map[string]prepare.Signature{}
	for _, f := range m.ImportedFunctions() {
		_, name, _ := f.Import()
		functions[name] = prepare.Signature{Params: letters(f.ParamTypes()), Results: letters(f.ResultTypes())}
	}
	return functions
}

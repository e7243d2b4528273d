package prepare_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bespoke/modules/prepare"

	"github.com/tetratelabs/wazero"
)

// compiles reports whether the runtime accepts a module.
func compiles(r wazero.Runtime, code []byte) error {
	m, err := r.CompileModule(context.Background(), code)
	if err == nil {
		err = m.Close(context.Background())
	}
	return err
}

// TestOpcodes tries every opcode, with immediates of every kind, and wants
// exactly those that the runtime knows.
func TestOpcodes(t *testing.T) {
	r := newRuntime(t)
	zeros := make([]byte, 17)
	// With these one instruction of each kind is valid; 0x7f is i32, 0x70 funcref.
	immediates := [][]byte{nil, zeros[:1], zeros[:2], zeros[:3], zeros[:4], zeros[:8], zeros[:16], {1, 0x7f}, {0x70}, {0x40}}
	known := 0
	try := func(op ...byte) {
		var accepted, valid bool
		var refused error
		for _, imm := range immediates {
			b := one("i", unreachable, op, imm, unreachable)
			b.tables = [][]byte{{0x70, 0, 1}}
			b.elements = [][]byte{{1, 0, 1, 0}}
			b.data = [][]byte{{1, 0}}
			b.dataCount = true
			b.globals = [][]byte{{0x7f, 1, 0x41, 0, 0x0b}}
			if op[0] == 0x02 || op[0] == 0x03 || op[0] == 0x04 {
				b = one("", unreachable, op, imm, end)
			}
			ok := compiles(r, b.bytes()) == nil
			valid = valid || ok
			m, err := prepare.Prepare(b.bytes(), prepare.Options{})
			if accepted = accepted || err == nil; err != nil {
				refused = err
			}
			if ok && err != nil {
				t.Errorf("% x % x: %v", op, imm, err)
			}
			if err == nil && (compiles(r, m.Code) == nil) != ok {
				t.Errorf("% x % x: valid %v before, %v after", op, imm, ok, !ok)
			}
		}
		var refusal *prepare.Refusal
		if !valid && accepted {
			t.Errorf("% x is accepted; the runtime does not know it", op)
		}
		if !accepted && (!errors.As(refused, &refusal) || refusal.Func != 0) {
			t.Errorf("% x: %v", op, refused)
		}
		if valid {
			known++
		}
	}
	for op := range 256 {
		// else and end, and those that need more around them, stand in other tests.
		if op != 0x05 && op != 0x0b && op < 0xfc {
			try(byte(op))
		}
	}
	for sub := range uint64(300) {
		for _, prefix := range []byte{0xfc, 0xfd} {
			try(append([]byte{prefix}, uleb(sub)...)...)
		}
	}
	if known != 181+18+236 {
		t.Errorf("%d instructions are known", known)
	}
}

// runtimeDir is where the source of the runtime is.
func runtimeDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// specTests are the modules of the WebAssembly test suite, version 2.0, which
// come with the runtime.
func specTests(t testing.TB) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	root := filepath.Join(runtimeDir(t), "internal", "integration_test", "spectest", "v2", "testdata")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".wasm") {
			return err
		}
		found[filepath.Base(path)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// spectest is what the test suite imports of its host.
var spectest = prepare.Imports{"spectest": {
	"print": {}, "print_i32": {Params: "i"}, "print_i64": {Params: "I"}, "print_f32": {Params: "f"}, "print_f64": {Params: "F"},
	"print_i32_f32": {Params: "if"}, "print_f64_f64": {Params: "FF"},
}}

// TestSpec prepares the test suite: what the runtime accepts is accepted and
// valid afterwards, what it refuses is refused, by us or afterwards.
func TestSpec(t *testing.T) {
	r := newRuntime(t)
	suite := specTests(t)
	if len(suite) < 1000 {
		t.Fatalf("%d modules; the test shows little", len(suite))
	}
	o := prepare.Options{Imports: spectest, Limits: prepare.Limits{MemoryPages: 1 << 16, Params: 1000, Effort: 1 << 40}}
	accepted, refused := 0, map[string]int{}
	for name, binary := range suite {
		before := compiles(r, binary)
		m, err := prepare.Prepare(binary, o)
		if err != nil {
			var refusal *prepare.Refusal
			if !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			refused[refusal.Rule]++
			if before == nil && !expected(refusal) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		accepted++
		if after := compiles(r, m.Code); (before == nil) != (after == nil) {
			t.Errorf("%s: before: %v; after: %v", name, before, after)
		}
	}
	t.Logf("%d accepted, refused by rule: %v", accepted, refused)
	if accepted < 1000 {
		t.Errorf("%d modules are accepted; the test shows little", accepted)
	}
}

// expected reports whether a valid module may be refused so: we take no
// imports but functions, no more than one memory, no huge table, and constants
// of one instruction.
func expected(r *prepare.Refusal) bool {
	return r.Rule == prepare.RuleImport || r.Rule == prepare.RuleLimit
}

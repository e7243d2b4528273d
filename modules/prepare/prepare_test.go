package prepare_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/prepare"
)

// policy is what an engine would ask of a policy.
func policy() prepare.Options {
	return prepare.Options{
		Imports: prepare.Imports{"bespoke_1": {"read": {Params: "iiii", Results: "I"}, "log": {Params: "iii"}}},
		Exports: prepare.Exports{
			Memory:    "memory",
			Functions: map[string]prepare.Signature{"_initialize": {}, "run": {}},
			OneOf:     []string{"run"},
			Never:     map[string]string{"_start": "this is a command"},
		},
	}
}

// with returns one() changed by f.
func with(f func(b *builder)) []byte {
	b := one("")
	f(b)
	return b.bytes()
}

// code returns a module with a function of that code.
func code(parts ...[]byte) []byte { return one("", parts...).bytes() }

func importing(module, name, params, results string) []byte {
	b := newBuilder()
	b.fimport(module, name, params, results)
	b.export("memory", 2, 0)
	b.export("run", 0, b.fn("", "", ""))
	return b.bytes()
}

func TestRefusals(t *testing.T) {
	ff := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 4,294,967,295
	huge := make([]byte, 17<<20)
	copy(huge, raw())
	rep := func(n int, parts ...[]byte) []byte { return bytes.Repeat(cat(parts...), n) }
	for _, c := range []struct {
		name   string
		module []byte
		fn     int
		rule   string
		want   string
	}{
		{"empty", nil, -1, prepare.RuleFormat, `does not begin with \0asm`},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), -1, prepare.RuleFormat, "a component is not a module"},
		{"too large", huge, -1, prepare.RuleLimit, "has 17825792 bytes, at most 16777216"},
		{"unknown section", raw(section(13, nil)), -1, prepare.RuleFormat, "section 13"},
		{"sections out of order", raw(section(3, []byte{0}), section(1, []byte{0})), -1, prepare.RuleFormat, "section type is out of order"},
		{"section twice", raw(section(1, []byte{0}), section(1, []byte{0})), -1, prepare.RuleFormat, "out of order"},
		{"bytes left over", raw(section(1, []byte{0, 0})), -1, prepare.RuleFormat, "1 bytes too many"},
		{"section beyond the end", raw([]byte{1, 100, 0}), -1, prepare.RuleFormat, "100, but 1 bytes are left"},
		{"number too long", raw([]byte{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0}), -1, prepare.RuleNumber, "longer than 32 bits"},
		{"number with unused bits", raw([]byte{1, 0x80, 0x80, 0x80, 0x80, 0x10}), -1, prepare.RuleNumber, "longer than 32 bits"},

		{"four billion types", raw(section(1, ff)), -1, prepare.RuleLimit, "types: 4294967295"},
		{"four billion parameters", raw(section(1, append([]byte{1, 0x60}, ff...))), -1, prepare.RuleLimit, "parameters: 4294967295"},
		{"four billion imports", raw(section(2, ff)), -1, prepare.RuleLimit, "imports"},
		{"four billion functions", raw(section(3, ff)), -1, prepare.RuleLimit, "functions"},
		{"a table of four billion", raw(section(4, append([]byte{1, 0x70, 0}, ff...))), -1, prepare.RuleLimit, "tables of more than"},
		{"two memories", raw(section(5, []byte{2, 0, 1, 0, 1})), -1, prepare.RuleLimit, "memories: 2"},
		{"shared memory", raw(section(5, []byte{1, 3, 1, 1})), -1, prepare.RuleFormat, "limits of kind 0x03"},
		{"memory of 64 bits", raw(section(5, []byte{1, 4, 1})), -1, prepare.RuleFormat, "limits of kind 0x04"},
		{"four billion globals", raw(section(6, ff)), -1, prepare.RuleLimit, "globals"},
		{"a global that computes", raw(section(6, []byte{1, 0x7f, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b})), -1, prepare.RuleFormat, "more than one instruction"},
		{"four billion exports", raw(section(7, ff)), -1, prepare.RuleLimit, "exports"},
		{"export twice", with(func(b *builder) { b.export("memory", 2, 0) }), -1, prepare.RuleExport, `"memory" stands twice`},
		{"four billion element segments", raw(section(9, ff)), -1, prepare.RuleLimit, "element segments"},
		{"four billion elements", raw(section(9, append([]byte{1, 1, 0}, ff...))), -1, prepare.RuleLimit, "elements of a segment"},
		{"four billion bodies", raw(section(10, ff)), -1, prepare.RuleLimit, "function bodies"},
		{"four billion bytes of data", raw(section(11, append([]byte{1, 1}, ff...))), -1, prepare.RuleLimit, "bytes of a data segment"},
		{"declared, no code", with(func(b *builder) { b.funcTypes = append(b.funcTypes, 0) }), -1, prepare.RuleFormat, "2 functions are declared but 1 have code"},

		{"import of nothing known", importing("env", "abort", "", ""), -1, prepare.RuleImport, "import env.abort"},
		{"import of no such function", importing("bespoke_1", "write", "", ""), -1, prepare.RuleImport, "bespoke_1.write: no such function"},
		{"import with the wrong signature", importing("bespoke_1", "read", "iiii", "i"), -1, prepare.RuleImport, "(iiii) -> (i): want (iiii) -> (I)"},
		{"import of a memory", raw(section(2, cat([]byte{1}, str("env"), str("memory"), []byte{2, 0, 1}))), -1, prepare.RuleImport, "env.memory is no function"},
		{"import of a global", raw(section(2, cat([]byte{1}, str("env"), str("g"), []byte{3, 0x7f, 1}))), -1, prepare.RuleImport, "env.g is no function"},

		{"no memory", with(func(b *builder) { b.exports = b.exports[1:] }), -1, prepare.RuleExport, "no memory is exported"},
		{"memory that is a function", with(func(b *builder) { b.exports[0] = cat(str("memory"), []byte{0, 0}) }), -1, prepare.RuleExport, "no memory is exported"},
		{"memory too large", with(func(b *builder) { b.memory = append([]byte{0}, uleb(513)...) }), -1, prepare.RuleLimit, "memory of 513 pages"},
		{"memory too large at last", with(func(b *builder) { b.memory = append([]byte{1, 1}, uleb(513)...) }), -1, prepare.RuleLimit, "memory of up to 513 pages"},
		{"none of the exports", with(func(b *builder) { b.exports = b.exports[:1] }), -1, prepare.RuleExport, "none of run is exported"},
		{"export with a parameter", with(func(b *builder) { b.export("_initialize", 0, b.fn("i", "", "")) }), -1, prepare.RuleExport, "_initialize has the signature (i) -> ()"},
		{"export that is a memory", with(func(b *builder) { b.export("_initialize", 2, 0) }), -1, prepare.RuleExport, "_initialize is no function"},
		{"export that is not there", with(func(b *builder) { b.export("f", 0, 99) }), -1, prepare.RuleIndex, `"f" is number 99 of 1`},
		{"a command", with(func(b *builder) { b.export("_start", 0, 0) }), -1, prepare.RuleExport, "_start is exported: this is a command"},
		{"our name exported", with(func(b *builder) { b.export("bespoke.fuel", 0, 0) }), -1, prepare.RuleReserved, `export "bespoke.fuel"`},
		{"our name as a section", with(func(b *builder) { b.custom = [][]byte{str("bespoke.other")} }), -1, prepare.RuleReserved, `"bespoke.other"`},
		{"manifest that is no JSON", with(func(b *builder) { b.custom = [][]byte{append(str("bespoke.manifest"), "x"...)} }), -1, prepare.RuleManifest, "invalid character"},
		{"manifest twice", with(func(b *builder) {
			m := append(str("bespoke.manifest"), `{"name":"x","version":"1"}`...)
			b.custom = [][]byte{m, m}
		}), -1, prepare.RuleManifest, "stands twice"},
		{"start that is not there", with(func(b *builder) { b.start = 7 }), -1, prepare.RuleIndex, "function 7"},

		{"unknown instruction", code([]byte{0xff}), 0, prepare.RuleOpcode, "0xff"},
		{"tail call", code([]byte{0x12, 0}), 0, prepare.RuleOpcode, "0x12"},
		{"atomics", code([]byte{0xfe, 0x10, 2, 0}), 0, prepare.RuleOpcode, "0xfe"},
		{"relaxed SIMD", code([]byte{0xfd, 0x80, 0x02}), 0, prepare.RuleOpcode, "0xfd 256"},
		{"unknown vector instruction", code([]byte{0xfd, 0x9a, 0x01}), 0, prepare.RuleOpcode, "0xfd 154"},
		{"second memory", code([]byte{0x28, 0x42, 0, 0}), 0, prepare.RuleFormat, "2**66"},
		{"else without if", code([]byte{0x05}), 0, prepare.RuleFormat, "else without if"},
		{"else after else", code([]byte{0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b}), 0, prepare.RuleFormat, "else without if"},
		{"end too early", code([]byte{0x0b}), 0, prepare.RuleFormat, "1 bytes too many"},
		{"no end", code(block), 0, prepare.RuleFormat, "it ends too early"},
		{"label that is not there", code(br(1)), 0, prepare.RuleIndex, "label 1: there are 1"},
		{"function that is not there", code(call(1)), 0, prepare.RuleIndex, "function 1: there are 1"},
		{"block of no type", code([]byte{0x02, 9, 0x0b}), 0, prepare.RuleIndex, "block of type 9"},
		{"block of a negative type", code([]byte{0x02, 0x41, 0x0b}), 0, prepare.RuleIndex, "block of type -63"},
		{"i32 with unused bits", code([]byte{0x41, 0xff, 0xff, 0xff, 0xff, 0x4f}), 0, prepare.RuleNumber, "32 bits"},
		{"i64 too long", code(append([]byte{0x42}, rep(10, []byte{0x80})...), []byte{0}), 0, prepare.RuleNumber, "64 bits"},
		{"four billion locals", with(func(b *builder) {
			b.funcTypes = append(b.funcTypes, 0)
			b.bodies = append(b.bodies, cat([]byte{1}, ff, []byte{0x7f, 0x0b}))
		}), 1, prepare.RuleLimit, "locals: 4294967295"},
		{"locals in many groups", one(strings.Repeat("i", 10_001)).bytes(), 0, prepare.RuleLimit, "groups of locals: 10001"},
		{"a long function", code(rep(300<<10, []byte{0x01})), 0, prepare.RuleLimit, "bytes of a function"},
		{"deep nesting", code(rep(5_001, block), rep(5_001, end)), 0, prepare.RuleLimit, "nested more than 5000"},
		{"a large br_table", code(i32(0), []byte{0x0e}, uleb(50_000), make([]byte, 50_001)), 0, prepare.RuleLimit, "targets of br_table: 50000"},

		// Without these limits, each of them compiles for seconds.
		{"many loops", code(rep(8000, loop, i32(0), brIf(0), end)), 0, prepare.RuleLimit, "units of effort"},
		{"nested loops", code(rep(4000, loop), rep(4000, end)), 0, prepare.RuleLimit, "units of effort"},
		{"locals times branches", one(strings.Repeat("i", 1000), rep(1000, get(0), brIf(0))).bytes(), -1, "", ""},
		{"locals times blocks", one(strings.Repeat("i", 1000), rep(1000, get(0), []byte{0x04, 0x40}, end)).bytes(), 0, prepare.RuleLimit, "units of effort"},
		{"many memory.fill", code(rep(9_000, args(0, 0, 0), fill)), 0, prepare.RuleLimit, "units of effort"},
		{"many returns", code(rep(9_000, i32(0), []byte{0x04, 0x40, 0x0f}, end)), 0, prepare.RuleLimit, "units of effort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := prepare.Prepare(c.module, policy())
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("it took %d bytes", used)
			}
			if c.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var r *prepare.Refusal
			if !errors.As(err, &r) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if r.Func != c.fn || r.Rule != c.rule || !strings.Contains(r.Error(), c.want) {
				t.Errorf("got  function %d, rule %s: %v\nwant function %d, rule %s: %s", r.Func, r.Rule, err, c.fn, c.rule, c.want)
			}
			if r.Offset < 0 || r.Offset > len(c.module) {
				t.Errorf("offset %d of %d", r.Offset, len(c.module))
			}
		})
	}
}

func TestOffset(t *testing.T) {
	m := code(i32(1), drop, []byte{0xff})
	_, err := prepare.Prepare(m, policy())
	var r *prepare.Refusal
	if !errors.As(err, &r) || m[r.Offset] != 0xff {
		t.Errorf("%v does not point to the instruction at %d", err, bytes.IndexByte(m, 0xff))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []prepare.Options{{InitFuel: -1}, {InitFuel: prepare.MaxFuel + 1}, {Limits: prepare.Limits{Types: -1}}, {Limits: prepare.Limits{MemoryPages: 65537}}} {
		_, err := prepare.Prepare(code(), o)
		var r *prepare.Refusal
		if !errors.As(err, &r) || r.Rule != prepare.RuleOptions {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// rich returns a module with something in every section.
func rich() *builder {
	b := newBuilder()
	b.custom = [][]byte{append(str("name"), 1, 0xff), append(str("producers"), 1, 2, 3), append(str("bespoke.manifest"), `{"name":"rich","version":"1.0.0"}`...)}
	b.fimport("bespoke_1", "log", "iii", "")
	b.tables = [][]byte{{0x70, 0, 10}, {0x6f, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}}
	b.globals = [][]byte{{0x7f, 1, 0x41, 7, 0x0b}, {0x7e, 0, 0x42, 9, 0x0b}, cat([]byte{0x7b, 1, 0xfd, 12}, make([]byte, 16), end), {0x70, 1, 0xd0, 0x70, 0x0b}}
	f := b.fn("", "", "", args(0, 0, 0), call(0), i32(1), grow, drop)
	b.fn("", "", "", i32(0), []byte{0xd0, 0x70, 0x26, 0, 0xfc, 9, 0, 0xfc, 13, 0})
	b.start = int(f)
	b.export("memory", 2, 0)
	b.export("run", 0, f)
	b.export("seven", 3, 0)
	b.elements = [][]byte{{0, 0x41, 0, 0x0b, 1, f}}
	b.data = [][]byte{cat([]byte{0, 0x41, 0, 0x0b}, str("hello"))}
	b.dataCount = true
	return b
}

func TestModule(t *testing.T) {
	binary := rich().bytes()
	m := must(t, binary, policy())
	if m.Digest != sha256.Sum256(binary) {
		t.Error("the digest is another's")
	}
	if len(m.Manifests) != 1 || m.Manifests[0].Name != "rich" {
		t.Errorf("manifests: %+v", m.Manifests)
	}
	wantGlobals := []prepare.Global{{Name: "bespoke.global.0", Index: 0, Type: 'i'}, {Name: "bespoke.global.3", Index: 3, Type: 'r'}}
	if !reflect.DeepEqual(m.Globals, wantGlobals) || m.Fuel != "bespoke.fuel" {
		t.Errorf("globals: %+v, fuel %s", m.Globals, m.Fuel)
	}
	if !reflect.DeepEqual(m.Exports, []string{"run"}) || !m.Has("run") || m.Has("_initialize") || !m.Start || !m.Grows {
		t.Errorf("exports %v, start %v, grows %v", m.Exports, m.Start, m.Grows)
	}
	if m.Memory != (prepare.Memory{Min: 1, Max: 512}) {
		t.Errorf("memory: %+v", m.Memory)
	}
	var found []string
	for _, f := range m.Unresettable {
		found = append(found, f.What)
		if f.Func == 2 && !slices.Contains([]byte{0x26, 0xfc}, binary[f.Offset]) {
			t.Errorf("%s is not at offset %d", f.What, f.Offset)
		}
	}
	if want := []string{"v128 global", "table.set", "data.drop", "elem.drop"}; !reflect.DeepEqual(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	for text, want := range map[string]bool{"producers": true, "bespoke.manifest": false, "\x00\x07\x04name": false, "hello": true} {
		if bytes.Contains(m.Code, []byte(text)) != want {
			t.Errorf("the output contains %q: %v", text, !want)
		}
	}
	if err := compiles(newRuntime(t), m.Code); err != nil {
		t.Error(err)
	}
	if again := must(t, binary, policy()); !bytes.Equal(again.Code, m.Code) {
		t.Error("the same input gives another output")
	}
	_, err := prepare.Prepare(m.Code, policy())
	var r *prepare.Refusal
	if !errors.As(err, &r) || r.Rule != prepare.RuleReserved {
		t.Errorf("prepared twice: %v", err)
	}
}

// TestTruncated cuts a module at every length, and changes every byte of it.
func TestTruncated(t *testing.T) {
	binary := rich().bytes()
	for n := range binary {
		if m, err := prepare.Prepare(binary[:n], policy()); err == nil && m.Stats.DataBytes != 0 {
			t.Errorf("%d of %d bytes are accepted", n, len(binary))
		}
		for _, x := range []byte{0x00, 0x01, 0x0b, 0x7f, 0x80, 0xff} {
			changed := bytes.Clone(binary)
			changed[n] ^= x
			_, _ = prepare.Prepare(changed, policy()) // it must not panic
		}
	}
}

// builtin returns the module that ships.
func builtin(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join("..", "..", "policies", "builtin", "builtin.wasm")
	if _, err := os.Stat(path); err != nil {
		build := exec.Command("go", "run", "./policies/builtin/build")
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

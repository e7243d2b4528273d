package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// exchange is a Host with fixed values, which remembers what it was told.
type exchange struct {
	values map[string]string
	answer func(abi.Edit) abi.Refusal
	reads  []string
	edits  []abi.Edit
	log    []string
}

func (x *exchange) Read(key []byte) ([]byte, bool) {
	x.reads = append(x.reads, string(key))
	v, ok := x.values[string(key)]
	return []byte(v), ok
}

func (x *exchange) Emit(e abi.Edit) abi.Refusal {
	x.edits = append(x.edits, e)
	if x.answer != nil {
		return x.answer(e)
	}
	return abi.Accepted
}

func (x *exchange) Log(l abi.Level, line []byte) {
	x.log = append(x.log, fmt.Sprintf("%d %s", l, line))
}

func start(t testing.TB, c engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func load(t testing.TB, e *engine.Engine, module []byte) *engine.Module {
	t.Helper()
	m, err := e.Load(context.Background(), "test", module)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run loads and runs a module once, in the response phase.
func run(t testing.TB, limits abi.Limits, module []byte, x *exchange) error {
	t.Helper()
	return load(t, start(t, engine.Config{Limits: limits}), module).Run(context.Background(), abi.OnResponse, x)
}

func wantFault(t *testing.T, err error, kind engine.FaultKind, text string) {
	t.Helper()
	var f *engine.Fault
	if !errors.As(err, &f) {
		t.Fatalf("got error %v, want a fault of kind %v", err, kind)
	}
	if f.Kind != kind || !strings.Contains(f.Error(), text) {
		t.Errorf("got fault of kind %v: %v\nwant kind %v, with %q", f.Kind, f, kind, text)
	}
	if strings.Contains(f.Error(), "\n") {
		t.Errorf("the fault's text has several lines: %q", f.Error())
	}
}

// echo reads "k" and emits text on "#t" with the value as argument.
func echo() *builder {
	b := guest(1,
		args(0, 1, 100, 50), call(0), wrap, set(0),
		args(1, 8, 2, 100), get(0), args(0, 0), call(1), drop)
	b.text(0, "k")
	b.text(8, "#t")
	return b
}

func TestRun(t *testing.T) {
	b := echo()
	b.manifest = `{"name":"echo","version":"1.0.0","reads":{"geo.city":"to say it"}}`
	module := b.bytes()
	m := load(t, start(t, engine.Config{}), module)
	x := &exchange{values: map[string]string{"k": "grün"}}
	if err := m.Run(context.Background(), abi.OnResponse, x); err != nil {
		t.Fatal(err)
	}
	want := []abi.Edit{{Op: abi.OpText, Target: "#t", A: "grün"}}
	if !slices.Equal(x.edits, want) || !slices.Equal(x.reads, []string{"k"}) {
		t.Errorf("reads %q, edits %+v, want %+v", x.reads, x.edits, want)
	}
	if mf, ok := m.Manifest("echo"); !ok || !mf.Declares("geo.city") || len(m.Manifests()) != 1 {
		t.Errorf("manifest: %+v", m.Manifests())
	}
	if _, ok := m.Manifest("other"); ok {
		t.Error("a manifest of a policy that the module does not have")
	}
	if m.Exports(abi.OnRequest) || !m.Exports(abi.OnResponse) || m.Exports(abi.Phase(9)) {
		t.Error("wrong exports")
	}
	wantFault(t, m.Run(context.Background(), abi.OnRequest, x), engine.FaultExport, "on_request")
}

// TestRead checks what read returns and copies.
func TestRead(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, c := range []struct {
		name  string
		value string
		cap   int32
		want  int32  // returned
		got   string // copied, up to cap
	}{
		{"fits", "abc", 10, 3, "abc"},
		{"empty", "", 10, 0, ""},
		{"cut", long, 10, 60, long[:10]},
		{"length only", long, 0, 60, ""},
		{"not UTF-8", "a\xffb", 10, 5, "a\uFFFDb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := guest(0,
				store(200, slices.Concat(args(0, 1, 300, c.cap), call(0), wrap)),
				args(1, 200, 4, 300), i32(c.cap), args(0, 0), call(1), drop)
			b.text(0, "k")
			x := &exchange{values: map[string]string{"k": c.value}}
			if err := run(t, abi.Limits{}, b.bytes(), x); err != nil {
				t.Fatal(err)
			}
			e := x.edits[0]
			if n := int32(binary.LittleEndian.Uint32([]byte(e.Target))); n != c.want {
				t.Errorf("read returned %d, want %d", n, c.want)
			}
			if got := strings.TrimRight(e.A, "\x00"); got != c.got {
				t.Errorf("read copied %q, want %q", got, c.got)
			}
		})
	}
}

// TestReadAbsent checks the keys that never reach the host, and one that is absent.
func TestReadAbsent(t *testing.T) {
	for _, c := range []struct {
		name, key string
		asked     bool
	}{
		{"absent", "k", true},
		{"empty", "", false},
		{"not UTF-8", "a\xff", false},
		{"too long", strings.Repeat("k", 65), false},
		{"as long as allowed", strings.Repeat("k", 64), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The returned length, minus 1 if absent, is emitted as bytes.
			b := guest(0,
				store(200, slices.Concat(args(0, int32(len(c.key)), 300, 10), call(0), wrap)),
				args(1, 0, 0, 300, 0, 0, 0), call(1), drop,
				load32AndLog(200))
			if c.key != "" {
				b.text(0, c.key)
			}
			x := &exchange{}
			if err := run(t, abi.Limits{ReadBytes: 64}, b.bytes(), x); err != nil {
				t.Fatal(err)
			}
			if len(x.log) != 1 || x.log[0] != "3 negative" {
				t.Errorf("read did not return -1: %q", x.log)
			}
			if asked := len(x.reads) == 1; asked != c.asked {
				t.Errorf("the host was asked: %v, want %v", asked, c.asked)
			}
		})
	}
}

// load32AndLog logs "negative" if the word at that address is -1.
func load32AndLog(at int32) []byte {
	const text = 400
	code := store(text, i32(int32(binary.LittleEndian.Uint32([]byte("nega")))))
	code = append(code, store(text+4, i32(int32(binary.LittleEndian.Uint32([]byte("tive")))))...)
	code = append(code, load32(at)...)
	code = append(code, i32(-1)...)
	code = append(code, 0x46, 0x04, 0x40) // i32.eq if
	code = append(code, slices.Concat(i32(3), i32(text), i32(8), call(2))...)
	return append(code, 0x0b)
}

package config

import (
	"errors"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: no input panics or takes long, an error is a sorted Errors with
// positions inside the file and one line each, and what is accepted keeps the
// promises of Config.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	policies := testPolicies(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		policies.asked = nil
		start := time.Now()
		c, err := Parse("c.yaml", data, policies)
		if d := time.Since(start); d > time.Minute { // a hostile file would take hours; a busy machine takes its time
			t.Errorf("%d bytes took %v", len(data), d)
		}
		if err != nil {
			checkErrors(t, data, err)
			return
		}
		if len(c.Tenants) == 0 || c.Listen == "" || c.State == "" {
			t.Errorf("accepted without the least: %+v", c)
		}
		for _, x := range c.Tenants {
			if x.Name == "" || len(x.Hosts) == 0 || x.Origin == nil || x.Origin.Host == "" || x.Zone == nil {
				t.Errorf("accepted tenant %+v", x)
			}
			for _, r := range x.Routes {
				if r.Path == "" || r.Path[0] != '/' {
					t.Errorf("accepted route %+v", r)
				}
				r.Match("/a/b")
			}
		}
	})
}

func checkErrors(t *testing.T, data []byte, err error) {
	t.Helper()
	var e Errors
	if !errors.As(err, &e) || len(e) == 0 || len(e) > MaxErrors {
		t.Fatalf("error is %T of %d", err, len(e))
	}
	if !slices.IsSortedFunc(e, func(a, b Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	}) {
		t.Errorf("not sorted:\n%v", e)
	}
	lines := strings.Split(string(data), "\n")
	for _, x := range e {
		if x.Line < 1 || x.Line > len(lines) || x.Col < 1 || x.Col > len(lines[x.Line-1])+2 {
			t.Errorf("outside the file: %v", x)
		}
		if strings.ContainsAny(x.Msg, "\n\r\x00") || x.Msg == "" {
			t.Errorf("message %q", x.Msg)
		}
	}
}

// TestHostile: a file made of what is worst for parsers ends in an error, soon.
// What the bounds of this package keep from the parser, which would need more
// than linear time, is tried at the largest size.
func TestHostile(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a quarter less work
	heads := []string{"", "tenants:\n", "tenants: [", "a: \"", "a: |\n  "}
	for _, unit := range []string{
		"[", "{", "]", "- ", "- a\n", "- - a\n", "? ", "a: ", "a:\n", "- {a: }\n",
		"- [a,]\n", "[a,", "{a: ", "{a: {b}},", ",", ":", "&a ", "*a ", "- *a\n", "!a ", "%", "---\n", "...\n", "'", "\"", "|\n", "- |\n", "#", "#\n",
		"a", "a\n", " ", "é", "\\", "- 'a'\n", "- a: |2\n    b\n", "a: b\n", "- a: b\n  c: d\n", "- {a: b, c: [d]}\n", "\"a\": ", "a: 'b' ",
	} {
		for _, head := range heads {
			hostile(t, head, unit, 32<<10)
		}
	}
	for _, unit := range []string{"[", "- ", "-\n", "- a:\n", "- {a}\n", "- {a: }\n", "- {a,b}\n", "\n", "  \n", "]"} {
		for _, head := range heads[:2] {
			hostile(t, head, unit, MaxBytes)
		}
	}
	hostile(t, "a: |\n  b", "\n", MaxBytes)
}

func hostile(t *testing.T, head, unit string, size int) {
	t.Helper()
	data := []byte(head + strings.Repeat(unit, (size-len(head))/len(unit)))
	start := time.Now()
	_, err := Parse("c.yaml", data, testPolicies(t))
	if d := time.Since(start); d > time.Minute { // a hostile file would take hours; a busy machine takes its time
		t.Errorf("%q and many %q took %v", head, unit, d)
	}
	if err == nil {
		t.Errorf("%q and many %q is accepted", head, unit)
		return
	}
	checkErrors(t, data, err)
}

// TestHostileKeys: as many keys as fit, in one mapping and in many.
func TestHostileKeys(t *testing.T) {
	for name, at := range map[string]func(b *strings.Builder, i int){
		"one mapping":   func(b *strings.Builder, i int) { b.WriteString("k" + strings.Repeat("x", i%40) + ": v\n") },
		"wide mappings": func(b *strings.Builder, i int) { b.WriteString([]string{"- ", "  "}[min(1, i%250)] + "k: v\n") },
		"long keys": func(b *strings.Builder, i int) {
			if i < 14 {
				b.WriteString(strings.Repeat("  ", i) + strings.Repeat("k", maxKey) + ":\n")
				return
			}
			b.WriteString(strings.Repeat("  ", 14) + []string{"- ", "  "}[min(1, (i-14)%250)] + "k: v\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for i := 0; b.Len() < MaxBytes-100; i++ {
				at(&b, i)
			}
			start := time.Now()
			_, err := Parse("c.yaml", []byte(b.String()), testPolicies(t))
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			} else {
				t.Logf("took %v", d)
			}
			checkErrors(t, []byte(b.String()), err)
		})
	}
}

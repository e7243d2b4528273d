package tck_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/tck"
)

// TestSections checks that cases name sections that ABI.md has, and that every
// section that says how a host is to behave has a case.
func TestSections(t *testing.T) {
	text, err := os.ReadFile("../abi/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if marks, heading, ok := strings.Cut(strings.TrimSpace(line), " "); ok && (marks == "##" || marks == "###") {
			headings[strings.ReplaceAll(heading, "`", "")] = false
		}
	}
	cases, err := tck.Cases(tck.Config{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range cases {
		if _, ok := headings[c.Section]; !ok {
			t.Errorf("%s: ABI.md has no section %q", c.Name, c.Section)
		}
		headings[c.Section] = true
		if names[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		names[c.Name] = true
		if area, _, ok := strings.Cut(c.Name, "/"); !ok || area == "" {
			t.Errorf("%s: want an area and a slash", c.Name)
		}
	}
	// What one host carries out is no demand on others.
	headings["What Bespoke carries out now"] = true
	for h, tested := range headings {
		if !tested {
			t.Errorf("no case is about the section %q", h)
		}
	}
}

// recorder keeps the modules that it is given.
type recorder struct {
	host    tck.Host
	modules *[][]byte
}

func (r recorder) Load(module []byte) (tck.Policy, error) {
	*r.modules = append(*r.modules, bytes.Clone(module))
	return r.host.Load(module)
}

// TestDeterministic checks that the modules are the same each time.
func TestDeterministic(t *testing.T) {
	limits := quick()
	var all [2][][]byte
	for i := range all {
		if _, err := tck.Check(recorder{plainHost{limits: limits}, &all[i]}, tck.Config{Limits: limits}); err != nil {
			t.Fatal(err)
		}
	}
	if len(all[0]) < 400 || len(all[0]) != len(all[1]) {
		t.Fatalf("%d, then %d modules", len(all[0]), len(all[1]))
	}
	for i := range all[0] {
		if !bytes.Equal(all[0][i], all[1][i]) {
			t.Errorf("module %d differs", i)
		}
	}
}

// odd is a host that goes wrong in a way that has nothing to do with policies.
type odd struct{ how string }

func (o odd) Load(module []byte) (tck.Policy, error) {
	switch {
	case o.how == "panics":
		panic("no")
	case o.how == "refuses":
		return nil, errors.New("no")
	case o.how == "changes" && len(module) > 0:
		module[0]++
	case o.how == "hangs":
		select {}
	}
	return useless{}, nil
}

// TestOddHosts checks that whatever a host does, a case ends with an error.
func TestOddHosts(t *testing.T) {
	cases, err := tck.Cases(tck.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"panics":  "load: the host panicked: no",
		"refuses": "load: refused, and should not be: no",
		"changes": "load: the host changed the module",
		"hangs":   "load: did not end within 10ms",
		"runs it": "run in phase response: the host does not run it in this phase",
	} {
		for _, c := range cases {
			if c.Name != "imports/the three" {
				continue
			}
			if err := c.Check(odd{how}, 10*time.Millisecond); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v, want %s", how, err, want)
			}
		}
	}
}

// told is what Run tells a test.
type told struct {
	errors, logs []string
	fatal        string
}

func (t *told) Helper() {}

func (t *told) Logf(format string, args ...any) {
	t.logs = append(t.logs, fmt.Sprintf(format, args...))
}

func (t *told) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}

func (t *told) Fatalf(format string, args ...any) { t.fatal = fmt.Sprintf(format, args...) }

// TestRun checks what is reported of a host that has a defect and lacks operations.
func TestRun(t *testing.T) {
	limits := quick()
	h := plainHost{limits: limits, wrong: defects{emptyIsAbsent: true}}
	var got told
	tck.Run(&got, h, tck.Config{Limits: limits})
	want := "read/empty value (ABI.md, Functions of bespoke_1): run 1 of 1, in phase response: " +
		`the log is 2: "1 -1" "1 ................", want 2: "1 0" "1 ................"`
	if n := len(departures) + 1; len(got.errors) != n || got.errors[0] != want {
		t.Errorf("%d errors, want %d: %s", len(got.errors), n, got.errors)
	}
	if len(got.logs) != 1 || !strings.Contains(got.logs[0], "section of ABI.md") ||
		!strings.Contains(got.logs[0], "\nread/empty value (Functions of bespoke_1)\n    run 1") {
		t.Errorf("the report is\n%s", got.logs)
	}
}

// TestConfig checks that limits outside what the suite can test are refused.
func TestConfig(t *testing.T) {
	for _, l := range []abi.Limits{
		{MemoryPages: 1000}, {LogBytes: 10}, {Edits: 5}, {ReadBytes: 8}, {BinaryBytes: 1000}, {EditBytes: 64 << 20},
	} {
		if _, err := tck.Cases(tck.Config{Limits: l}); err == nil {
			t.Errorf("%+v: accepted", l)
		}
		var got told
		if tck.Run(&got, odd{"refuses"}, tck.Config{Limits: l}); !strings.HasPrefix(got.fatal, "limit of ") {
			t.Errorf("%+v: Run says %q", l, got.fatal)
		}
	}
}

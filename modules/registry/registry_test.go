package registry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleSwitch); dir != "" {
		switchForever(dir)
	}
	os.Exit(m.Run())
}

// binary returns a module as far as the check below looks: the magic, a
// manifest's name and version, and what makes it different from others.
func binary(content string) []byte { return []byte("\x00asm" + content) }

func check(b []byte) (*Info, error) {
	rest, ok := bytes.CutPrefix(b, []byte("\x00asm"))
	if !ok {
		return nil, errors.New("no magic")
	}
	return &Info{Name: "welcome", Version: string(rest)}, nil
}

func clock() time.Time { return time.Date(2025, 6, 1, 12, 0, 0, 1234, time.UTC) }

func config() Config { return Config{Check: check, Now: clock} }

func mustOpen(t *testing.T, dir string, c Config) *Registry {
	t.Helper()
	r, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// must fails the test if a step of its preparation does.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// states tells a policy in one line: "1 retired, 2 active; previous 1".
func states(r *Registry, tenant, policy string) string {
	p := r.policy(tenant, policy)
	if p == nil {
		return "none"
	}
	var parts []string
	for _, v := range p.Versions {
		parts = append(parts, fmt.Sprintf("%d %s", v.Number, v.State))
	}
	s := strings.Join(parts, ", ")
	if p.Staging.Version != 0 {
		s += fmt.Sprintf("; %s %d", p.Staging.Mode, p.Staging.Permille)
	}
	if p.Previous != 0 {
		s += fmt.Sprintf("; previous %d", p.Previous)
	}
	return s
}

func TestLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	r := mustOpen(t, dir, config())
	drop := func(_ any, err error) error { return err }
	for _, step := range []struct {
		name string
		do   func() error
		err  error // nil: it succeeds
		want string
	}{
		{"activate nothing", func() error { return drop(r.Activate("stores", "welcome", 1)) }, ErrNotFound, "none"},
		{"first upload", func() error { return drop(r.Upload("stores", "welcome", binary("1.0"), "first")) }, nil, "1 checked"},
		{"same again", func() error { return drop(r.Upload("stores", "welcome", binary("1.0"), "other note")) }, nil, "1 checked"},
		{"refused", func() error { return drop(r.Upload("stores", "welcome", []byte("no"), "")) }, ErrRefused, "1 checked"},
		{"second upload", func() error { return drop(r.Upload("stores", "welcome", binary("1.1"), "")) }, nil, "1 checked, 3 checked"},
		{"nothing to go back to", func() error { return drop(r.Rollback("stores", "welcome")) }, ErrState, "1 checked, 3 checked"},
		{"activate", func() error { return drop(r.Activate("stores", "welcome", 1)) }, nil, "1 active, 3 checked"},
		{"activate again", func() error { return drop(r.Activate("stores", "welcome", 1)) }, nil, "1 active, 3 checked"},
		{"stage the active", func() error { return drop(r.Stage("stores", "welcome", 1, Canary, 5)) }, ErrState, "1 active, 3 checked"},
		{"stage nobody", func() error { return drop(r.Stage("stores", "welcome", 3, Canary, 0)) }, ErrInvalid, "1 active, 3 checked"},
		{"stage too many", func() error { return drop(r.Stage("stores", "welcome", 3, Canary, 1001)) }, ErrInvalid, "1 active, 3 checked"},
		{"stage somehow", func() error { return drop(r.Stage("stores", "welcome", 3, "loud", 10)) }, ErrInvalid, "1 active, 3 checked"},
		{"unstage nothing", func() error { return drop(r.Unstage("stores", "welcome")) }, ErrState, "1 active, 3 checked"},
		{"shadow", func() error { return drop(r.Stage("stores", "welcome", 3, Shadow, 1000)) }, nil, "1 active, 3 staged; shadow 1000"},
		{"canary", func() error { return drop(r.Stage("stores", "welcome", 3, Canary, 50)) }, nil, "1 active, 3 staged; canary 50"},
		{"unstage", func() error { return drop(r.Unstage("stores", "welcome")) }, nil, "1 active, 3 checked"},
		{"canary again", func() error { return drop(r.Stage("stores", "welcome", 3, Canary, 50)) }, nil, "1 active, 3 staged; canary 50"},
		{"delete the staged", func() error { return r.Delete("stores", "welcome", 3) }, ErrState, "1 active, 3 staged; canary 50"},
		{"activate the staged", func() error { return drop(r.Activate("stores", "welcome", 3)) }, nil, "1 retired, 3 active; previous 1"},
		{"delete the way back", func() error { return r.Delete("stores", "welcome", 1) }, ErrState, "1 retired, 3 active; previous 1"},
		{"stage the way back", func() error { return drop(r.Stage("stores", "welcome", 1, Canary, 1)) }, nil, "1 staged, 3 active; canary 1; previous 1"},
		{"roll back", func() error { return drop(r.Rollback("stores", "welcome")) }, nil, "1 active, 3 retired"},
		{"roll back twice", func() error { return drop(r.Rollback("stores", "welcome")) }, ErrState, "1 active, 3 retired"},
		{"third upload", func() error { return drop(r.Upload("stores", "welcome", binary("1.2"), "")) }, nil, "1 active, 3 retired, 4 checked"},
		{"stage the third", func() error { return drop(r.Stage("stores", "welcome", 4, Canary, 7)) }, nil, "1 active, 3 retired, 4 staged; canary 7"},
		{"stage the second instead", func() error { return drop(r.Stage("stores", "welcome", 3, Shadow, 7)) }, nil, "1 active, 3 staged, 4 checked; shadow 7"},
		{"retire the staged", func() error { return drop(r.Retire("stores", "welcome", 3)) }, nil, "1 active, 3 retired, 4 checked"},
		{"activate the third", func() error { return drop(r.Activate("stores", "welcome", 4)) }, nil, "1 retired, 3 retired, 4 active; previous 1"},
		{"retire the active", func() error { return drop(r.Retire("stores", "welcome", 4)) }, nil, "1 retired, 3 retired, 4 retired; previous 4"},
		{"retire it again", func() error { return drop(r.Retire("stores", "welcome", 4)) }, nil, "1 retired, 3 retired, 4 retired; previous 4"},
		{"roll back to it", func() error { return drop(r.Rollback("stores", "welcome")) }, nil, "1 retired, 3 retired, 4 active"},
		{"delete", func() error { return r.Delete("stores", "welcome", 3) }, nil, "1 retired, 4 active"},
		{"delete it again", func() error { return r.Delete("stores", "welcome", 3) }, ErrNotFound, "1 retired, 4 active"},
		{"delete the active", func() error { return r.Delete("stores", "welcome", 4) }, ErrState, "1 retired, 4 active"},
		{"upload the deleted", func() error { return drop(r.Upload("stores", "welcome", binary("1.1"), "")) }, nil, "1 retired, 4 active, 5 checked"},
		{"no such policy", func() error { return drop(r.Activate("stores", "wellcome", 1)) }, ErrNotFound, "1 retired, 4 active, 5 checked"},
		{"no such version", func() error { return drop(r.Activate("stores", "welcome", 2)) }, ErrNotFound, "1 retired, 4 active, 5 checked"},
		{"odd version", func() error { return drop(r.Activate("stores", "welcome", -1)) }, ErrNotFound, "1 retired, 4 active, 5 checked"},
	} {
		err := step.do()
		if !errors.Is(err, step.err) {
			t.Fatalf("%s: error %v, want %v", step.name, err, step.err)
		}
		if got := states(r, "stores", "welcome"); got != step.want {
			t.Fatalf("%s: %s, want %s", step.name, got, step.want)
		}
		// What a process that starts now would see.
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = mustOpen(t, dir, config())
		if got := states(r, "stores", "welcome"); got != step.want || len(r.Faults()) > 0 {
			t.Fatalf("%s: after opening again: %s, want %s; faults %v", step.name, got, step.want, r.Faults())
		}
	}
	v, ok := r.Active("stores", "welcome")
	want := Version{Number: 4, Digest: v.Digest, Size: 7, Manifest: "welcome", ManifestVersion: "1.2", Uploaded: clock().Truncate(time.Second), State: Active}
	if !ok || !reflect.DeepEqual(v, want) {
		t.Errorf("active: %+v, %v, want %+v", v, ok, want)
	}
	if b, err := r.Binary(v.Digest); err != nil || !bytes.Equal(b, binary("1.2")) {
		t.Errorf("binary: %q, %v", b, err)
	}
	if v, _ := r.Version("stores", "welcome", 1); v.Note != "first" {
		t.Errorf("note %q: uploading it again changed it", v.Note)
	}
}

func TestForgetting(t *testing.T) {
	dir := t.TempDir()
	r := mustOpen(t, dir, config())
	up := must[Version](t)
	a := up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Upload("other", "greet", binary("1"), ""))
	path := filepath.Join(dir, "policies", "sha256", a.Digest.String())
	up(r.Retire("stores", "welcome", 1))
	if err := r.Delete("stores", "welcome", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the other tenant's binary went: %v", err)
	}
	if all, _, err := r.List("stores"); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v, want nothing", all, err)
	}
	up(r.Retire("other", "greet", 1))
	if err := r.Delete("other", "greet", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing refers to the binary, and it is there: %v", err)
	}
	if _, err := r.Binary(a.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("binary: %v", err)
	}
}

func TestArguments(t *testing.T) {
	dir := t.TempDir()
	r := mustOpen(t, dir, config())
	long := "a" + strings.Repeat("b", 62)
	for _, name := range []string{"", "A", "1a", "-a", "a_b", "a/b", "..", "a.json", "ä", "a\n", long + "c"} {
		if _, err := r.Upload(name, "welcome", binary(""), ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("tenant %q: %v", name, err)
		}
		if _, err := r.Upload("stores", name, binary(""), ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("policy %q: %v", name, err)
		}
		if _, err := r.Activate(name, name, 1); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("activate %q: %v", name, err)
		}
	}
	for _, note := range []string{strings.Repeat("a", 257), "\x1b[2J", "two\nlines", "\xff"} {
		if _, err := r.Upload("stores", "welcome", binary("1"), note); !errors.Is(err, ErrInvalid) {
			t.Errorf("note %q: %v", note, err)
		}
	}
	if _, err := r.Upload("stores", "welcome", nil, ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty binary: %v", err)
	}
	// A manifest may say anything; what would not fit a list is refused.
	if _, err := r.Upload("stores", "welcome", binary("\x1b[2J"), ""); !errors.Is(err, ErrRefused) {
		t.Errorf("a manifest that speaks to the terminal: %v", err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, "policies", "sha256")); err != nil || len(files) > 0 {
		t.Errorf("refused uploads left %v, %v", files, err)
	}
	if _, err := r.Upload(long, long, binary("1"), "für später"); err != nil {
		t.Errorf("the longest names: %v", err)
	}
	if _, err := Open(t.TempDir(), Config{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("open without a check: %v", err)
	}
	if _, err := Open(t.TempDir(), Config{Check: check, Limits: Limits{Versions: -1}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("open with a limit below zero: %v", err)
	}
}

func TestLimits(t *testing.T) {
	c := config()
	c.Limits = Limits{BinaryBytes: 20, Policies: 2, Versions: 3, TenantBytes: 40}
	r := mustOpen(t, t.TempDir(), c)
	up := func(tenant, policy, content string, want error) {
		t.Helper()
		before, _, _ := r.List(tenant)
		_, err := r.Upload(tenant, policy, binary(content), "")
		if !errors.Is(err, want) {
			t.Fatalf("upload %s/%s %q: %v, want %v", tenant, policy, content, err, want)
		}
		if after, _, _ := r.List(tenant); want != nil && !reflect.DeepEqual(before, after) {
			t.Errorf("upload %s/%s %q failed, and changed %+v to %+v", tenant, policy, content, before, after)
		}
	}
	up("a", "one", strings.Repeat("x", 17), ErrLimit) // 21 bytes
	up("a", "one", "1", nil)                          // 5 of 40
	up("a", "one", "2", nil)                          // 10
	up("a", "one", "3", nil)                          // 15
	up("a", "one", "4", ErrLimit)                     // four versions
	up("a", "one", "3", nil)                          // there already
	up("a", "two", strings.Repeat("x", 16), nil)      // 35
	up("a", "two", "4x", ErrLimit)                    // 41
	up("a", "two", "1", nil)                          // stored already: counted once
	up("a", "two", "4", nil)                          // 40
	up("a", "three", "1", ErrLimit)                   // three policies
	up("b", "three", "1", nil)                        // another tenant has its own
	if _, err := r.Retire("a", "one", 1); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete("a", "one", 1); err != nil {
		t.Fatal(err)
	}
	up("a", "one", "2", nil)
	up("a", "one", "4", nil) // room again, for bytes that count once
}

// TestChanges also shows that a subscriber never hears of what is not visible yet.
func TestChanges(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config())
	var told []string
	cancel := r.Subscribe(func(c Change) {
		told = append(told, fmt.Sprintf("%s %s/%s@%d %s", c.Kind, c.Tenant, c.Policy.Name, c.Version.Number, c.Version.State))
		if p, ok := r.Version(c.Tenant, c.Policy.Name, c.Version.Number); c.Kind != Delete && c.Kind != Refuse && (!ok || p != c.Version) {
			t.Errorf("%s: told %+v, visible is %+v", c.Kind, c.Version, p)
		}
		if _, epoch, _ := r.List(c.Tenant); epoch != c.Epoch {
			t.Errorf("%s: told epoch %d, visible is %d", c.Kind, c.Epoch, epoch)
		}
		if c.Policy.Active != 0 {
			if v, _ := r.Active(c.Tenant, c.Policy.Name); v.Number != c.Policy.Active {
				t.Errorf("%s: told that %d is active, visible is %d", c.Kind, c.Policy.Active, v.Number)
			}
		}
	})
	r.Upload("stores", "welcome", binary("1"), "")
	r.Upload("stores", "welcome", []byte("bad"), "")
	r.Upload("stores", "welcome", binary("2"), "")
	r.Upload("stores", "welcome", binary("2"), "")
	r.Activate("stores", "welcome", 1)
	r.Stage("stores", "welcome", 3, Canary, 10)
	r.Unstage("stores", "welcome")
	r.Activate("stores", "welcome", 3)
	r.Activate("stores", "welcome", 3)
	r.Rollback("stores", "welcome")
	r.Retire("stores", "welcome", 1)
	r.Delete("stores", "welcome", 1)
	cancel()
	r.Delete("stores", "welcome", 3)
	want := []string{
		"upload stores/welcome@1 uploaded", "check stores/welcome@1 checked",
		"upload stores/welcome@2 uploaded", "refuse stores/welcome@2 uploaded",
		"upload stores/welcome@3 uploaded", "check stores/welcome@3 checked",
		"activate stores/welcome@1 active",
		"stage stores/welcome@3 staged", "unstage stores/welcome@3 checked",
		"activate stores/welcome@3 active", "rollback stores/welcome@1 active",
		"retire stores/welcome@1 retired", "delete stores/welcome@1 retired",
	}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestTakes(t *testing.T) {
	for _, permille := range []int{-5, 0, 1, 50, 500, 999, 1000} {
		s := Staging{Version: 2, Mode: Canary, Permille: permille}
		wider := Staging{Version: 2, Mode: Canary, Permille: permille + 1}
		const n = 200_000
		taken := 0
		for i := range uint64(n) {
			if s.Takes(i) {
				taken++
				if !wider.Takes(i) {
					t.Fatalf("%d is taken at %d per mille and not at %d", i, permille, permille+1)
				}
			}
		}
		want := float64(n) * float64(max(0, permille)) / 1000
		if d := float64(taken) - want; d*d > 25*(want+1) { // five deviations
			t.Errorf("%d per mille took %d of %d", permille, taken, n)
		}
	}
	if !(Staging{Permille: 1000}).Takes(1<<64 - 1) {
		t.Error("1000 per mille leaves one out")
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config())
	up := must[Version](t)
	up(r.Upload("stores", "welcome", binary("1"), ""))
	up(r.Upload("stores", "welcome", binary("2"), ""))
	up(r.Activate("stores", "welcome", 1))
	up(r.Stage("stores", "welcome", 2, Canary, 500))
	if n := testing.AllocsPerRun(1000, func() {
		a, ok := r.Active("stores", "welcome")
		b, s, also := r.Staged("stores", "welcome")
		c, third := r.Version("stores", "welcome", 1)
		if !ok || !also || !third || a.Number != 1 || b.Number != 2 || c.Number != 1 || s.Takes(1) && s.Mode != Canary {
			t.Fatal("wrong answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkActive(b *testing.B) {
	r, err := Open(b.TempDir(), config())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	r.Upload("stores", "welcome", binary("1"), "")
	r.Activate("stores", "welcome", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Active("stores", "welcome"); !ok {
			b.Fatal("none")
		}
	}
}

func BenchmarkActivate(b *testing.B) {
	r, err := Open(b.TempDir(), config())
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	r.Upload("stores", "welcome", binary("1"), "")
	r.Upload("stores", "welcome", binary("2"), "")
	n := 0
	for b.Loop() {
		n++
		if _, err := r.Activate("stores", "welcome", 1+n%2); err != nil {
			b.Fatal(err)
		}
	}
}

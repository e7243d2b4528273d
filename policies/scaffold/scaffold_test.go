package scaffold

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/policies/sdk"
)

// What New writes is what is needed, and nothing of this repository's layout.
func TestNew(t *testing.T) {
	want := map[Language]string{
		Go:             ".gitignore README.md bespoke/abi.go fixtures/berlin.txtar fixtures/gpc.txtar fixtures/refused.txtar go.mod main.go manifest.json",
		AssemblyScript: ".gitignore .npmrc README.md asconfig.json assembly/bespoke.ts assembly/policy.ts fixtures/berlin.txtar fixtures/gpc.txtar fixtures/refused.txtar manifest.json package-lock.json package.json",
		C:              ".gitignore README.md bespoke.h fixtures/berlin.txtar fixtures/gpc.txtar fixtures/refused.txtar manifest.json policy.c",
	}
	for _, l := range Languages() {
		dir := filepath.Join(t.TempDir(), "a", "b")
		names, err := New(dir, "mine", l)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if s := string(text); strings.Contains(s, "policies/sdk") || strings.Contains(s, "../") {
				t.Errorf("%s: %s refers to this repository", l, name)
			}
			if !strings.HasPrefix(name, "bespoke/") || name == "bespoke/abi.go" {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		if got := strings.Join(found, " "); got != want[l] {
			t.Errorf("%s:\ngot  %s\nwant %s", l, got, want[l])
		}
		if _, name, err := Manifest(dir); err != nil || name != "mine" {
			t.Errorf("%s: the manifest is of %q, %v", l, name, err)
		}
		if got, err := detect(dir); err != nil || got != l {
			t.Errorf("%s: taken for %s, %v", l, got, err)
		}
	}
}

// The scaffold of Go has every file of the SDK that is compiled.
func TestWholeSDK(t *testing.T) {
	sources, err := fs.Glob(sdk.Files(), "go/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := compose("mine", Go)
	if err != nil {
		t.Fatal(err)
	}
	copied := 0
	for _, f := range files {
		if strings.HasPrefix(f.name, "bespoke/") {
			copied++
			if !strings.Contains(f.text, "\npackage bespoke\n") {
				t.Errorf("%s is no file of the package", f.name)
			}
		}
	}
	tests := 0
	for _, s := range sources {
		if strings.HasSuffix(s, "_test.go") {
			tests++
		}
	}
	if copied != len(sources)-tests || copied < 5 {
		t.Errorf("%d files of %d", copied, len(sources)-tests)
	}
}

// Without the compilers it says which is missing, and what to do.
func TestMissingTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for l, want := range map[Language]string{Go: "go is not installed: install Go", AssemblyScript: "node is not installed: install Node.js", C: "clang is not installed: install clang and lld"} {
		dir := filepath.Join(t.TempDir(), "mine")
		if _, err := New(dir, "mine", l); err != nil {
			t.Fatal(err)
		}
		_, err := Build(context.Background(), dir)
		var missing *MissingTool
		if !errors.As(err, &missing) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", l, err, want)
		}
	}
}

// A folder may have a name that means something in a pattern.
func TestOddFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a*?] \\ b")
	if _, err := New(dir, "mine", C); err != nil {
		t.Fatal(err)
	}
	if l, err := detect(dir); err != nil || l != C {
		t.Errorf("%s, %v", l, err)
	}
	if newer, err := NewerThan(dir, time.Now().Add(-time.Hour)); err != nil || newer == "" {
		t.Errorf("newer: %q, %v", newer, err)
	}
	if newer, err := NewerThan(dir, time.Now().Add(time.Hour)); err != nil || newer != "" {
		t.Errorf("newer: %q, %v", newer, err)
	}
}

// Names that are no policy's make no folder.
func TestBadNames(t *testing.T) {
	for _, name := range []string{"", "Mine", "../mine", "a/b", "1a", "a b", `a"`, "a\n", strings.Repeat("a", 65), `a","reads":{"geo.city":""},"about":"`} {
		dir := filepath.Join(t.TempDir(), "x")
		if _, err := New(dir, name, C); err == nil {
			t.Errorf("%q is taken", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: the folder was made", name)
		}
	}
}

// A module is replaced as a whole; when it cannot be, the old one stays.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.wasm")
	for _, text := range []string{"one", "two", "two"} {
		if err := replace(file, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := replace(filepath.Join(dir, "none", "a.wasm"), nil); err == nil {
		t.Error("written into a folder that is not there")
	}
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "full"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := replace(blocked, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v left, %v", left, err)
	}
}

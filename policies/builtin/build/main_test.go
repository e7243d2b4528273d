package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate builds the module again: what is embedded must be that.
func TestUpToDate(t *testing.T) {
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	// Opened so that the cache of test results knows the sources.
	sources, err := filepath.Glob(filepath.Join(dir, "guest", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Glob(filepath.Join(dir, "..", "sdk", "go", "*.go"))
	if err != nil || len(sources) == 0 || len(sdk) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, f := range append(sources, sdk...) {
		if _, err := os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	want, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "builtin.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("builtin.wasm is not what its sources give: run go run ./policies/builtin/build")
	}
}

func TestReplace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	for _, data := range []string{"one", "one", "two"} {
		before, _ := os.Stat(file)
		old, _ := os.ReadFile(file)
		if err := replace(file, []byte(data)); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if now, _ := os.ReadFile(file); string(now) != data {
			t.Errorf("the file holds %q, want %q", now, data)
		}
		if same := before != nil && os.SameFile(before, after); same != (string(old) == data) {
			t.Errorf("%q to %q: written %v", old, data, !same)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Command build compiles the module of the built-in policies and writes it,
// with its manifest, to builtin.wasm. It takes no arguments and runs anywhere
// in the repository:
//
//	go run ./policies/builtin/build
//
// It needs the Go toolchain and nothing from the network. Equal sources give
// equal bytes, and the file is written only if it changes.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"bespoke/modules/abi"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the built-in policies:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := folder()
	if err != nil {
		return err
	}
	module, err := build(dir)
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, "builtin.wasm"), module)
}

// folder returns policies/builtin in the repository that holds the working directory.
func folder() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("no go.mod here or above: run this in the repository")
	}
	return filepath.Join(filepath.Dir(mod), "policies", "builtin"), nil
}

// build compiles the guest and appends the manifest.
func build(dir string) ([]byte, error) {
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "builtin")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./guest")
	cmd.Dir = dir
	cmd.Env = environment(os.Environ())
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build ./guest: %w\n%s", err, bytes.TrimSpace(text))
	}
	module, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return abi.AppendManifest(module, manifest)
}

// environment is env without what would change the code that is built.
func environment(env []string) []string {
	var clean []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "GOOS", "GOARCH", "GOFLAGS", "GOWASM", "GOEXPERIMENT", "GODEBUG", "CGO_ENABLED":
		default:
			clean = append(clean, e)
		}
	}
	return append(clean, "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
}

// replace writes a file as a whole or not at all.
func replace(file string, data []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		return nil
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", file, err), os.Remove(temp.Name()))
	}
	return nil
}

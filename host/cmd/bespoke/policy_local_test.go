package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Policies as their authors make them: each file in testdata/local is a
// session, with the compilers that are installed. $NODE_MODULES is what
// `npm ci` left in policies/sdk/assemblyscript.
func TestLocalPolicyScript(t *testing.T) {
	modules, err := filepath.Abs("../../../policies/sdk/assemblyscript/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"go", "clang", "wasm-ld", "node", filepath.Join(modules, "assemblyscript", "bin", "asc.js")} {
		if filepath.IsAbs(tool) {
			_, err = os.Stat(tool)
		} else {
			_, err = exec.LookPath(tool)
		}
		if err != nil {
			t.Fatalf("this test needs clang, lld, Node.js and AssemblyScript (make sdk installs them): %v", err)
		}
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/local",
		Setup: func(e *testscript.Env) error {
			e.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
			e.Setenv("NODE_MODULES", modules)
			return nil
		},
	})
}

// Package builtin holds the policies that ship with Bespoke, in one module.
// README.md beside this file says what each does.
//
// [Module] returns the module; load it with modules/engine. The module is
// built from the folder guest by `go run ./policies/builtin/build`, which has
// to run before this package compiles. The package never runs a policy itself.
package builtin

import _ "embed"

//go:embed builtin.wasm
var module []byte

// Module returns the module, with its manifests. The caller must not change it.
func Module() []byte { return module }

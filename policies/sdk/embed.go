// Package sdk carries the SDKs for policies, and an example in each language,
// so that `bespoke policy new` can copy them out of the binary. The folders go,
// c and assemblyscript are the SDKs themselves; example is one policy written
// three times.
//
// Call [Files]. The package never compiles or runs anything.
package sdk

import (
	"embed"
	"io/fs"
)

//go:embed go/*.go c/bespoke.h
//go:embed assemblyscript/assembly/bespoke.ts assemblyscript/asconfig.json assemblyscript/.npmrc
//go:embed assemblyscript/package.json assemblyscript/package-lock.json
//go:embed example/manifest.json example/fixtures/*.txtar
//go:embed example/go/main.go example/c/policy.c example/assemblyscript/policy.ts
var files embed.FS

// Files returns the sources, in folders as in the repository.
func Files() fs.FS { return files }

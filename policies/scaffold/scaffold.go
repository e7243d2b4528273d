// Package scaffold begins policies and compiles them. [New] writes a folder
// that builds where it stands, with the SDK of its language copied in; [Build]
// compiles such a folder and writes the manifest into the module.
//
// The package runs the compilers that are installed and nothing else: it never
// fetches anything, and never runs what it compiled.
package scaffold

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"bespoke/modules/abi"
	"bespoke/policies/sdk"
)

// A Language is one that policies are written in.
type Language string

const (
	Go             Language = "go"
	AssemblyScript Language = "assemblyscript"
	C              Language = "c"
)

// Languages lists them all.
func Languages() []Language { return []Language{Go, AssemblyScript, C} }

// ParseLanguage returns the language of that name.
func ParseLanguage(name string) (Language, error) {
	for _, l := range Languages() {
		if string(l) == name {
			return l, nil
		}
	}
	return "", fmt.Errorf("there is no SDK for %q; there are go, assemblyscript and c", name)
}

// A piece is a file of the scaffold: from the SDKs' files to its place in the
// folder, and what is replaced in it.
type piece struct {
	from, to string
	old, new string
}

const (
	manifestFile  = "manifest.json"
	fixtureFolder = "fixtures"
)

func pieces(l Language) []piece {
	switch l {
	case Go:
		return []piece{
			{from: "go/*.go", to: "bespoke"},
			{from: "example/go/main.go", to: ".", old: `bespoke "bespoke/policies/sdk/go"`, new: `"policy/bespoke"`},
		}
	case AssemblyScript:
		return []piece{
			{from: "assemblyscript/assembly/bespoke.ts", to: "assembly"},
			{from: "assemblyscript/*.json", to: "."},
			{from: "assemblyscript/.npmrc", to: "."},
			{from: "example/assemblyscript/policy.ts", to: "assembly", old: `"../../assemblyscript/assembly/bespoke"`, new: `"./bespoke"`},
		}
	case C:
		return []piece{
			{from: "c/bespoke.h", to: "."},
			{from: "example/c/policy.c", to: ".", old: `"../../c/bespoke.h"`, new: `"bespoke.h"`},
		}
	}
	return nil
}

// A file of the scaffold is written as a whole.
type file struct {
	name string // slashes
	text string
}

// New writes a policy of that name into the folder dir, which is made if it is
// missing and must else be empty. It returns the names of the files, relative
// to dir. The name is one that a manifest allows.
func New(dir, name string, l Language) ([]string, error) {
	files, err := compose(name, l)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the folder of the policy: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("the folder %s is not empty: it holds %s", dir, there[0].Name())
	}
	var names []string
	for _, f := range files {
		to := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, []byte(f.text), 0o666); err != nil {
			return nil, err
		}
		names = append(names, f.name)
	}
	return names, nil
}

// compose makes the files of a scaffold.
func compose(name string, l Language) ([]file, error) {
	manifest, err := fs.ReadFile(sdk.Files(), "example/"+manifestFile)
	if err != nil {
		return nil, err
	}
	text := strings.Replace(string(manifest), `"welcome"`, `"`+name+`"`, 1)
	list, err := abi.ParseManifests([]byte(text))
	if err != nil {
		return nil, err // the name is the only thing that is not ours
	}
	if list[0].Name != name { // it was more than a name
		return nil, fmt.Errorf("name %q: want a lower-case letter, then up to 63 letters, digits or hyphens", name)
	}
	readme, err := readme(name, l)
	if err != nil {
		return nil, err
	}
	files := []file{{manifestFile, text}, {"README.md", readme}, {".gitignore", "*.wasm\nnode_modules/\n"}}
	if l == Go {
		files = append(files, file{"go.mod", "module policy\n\ngo 1.24\n"})
	}
	all := append(pieces(l), piece{from: "example/fixtures/*.txtar", to: fixtureFolder})
	for _, p := range all {
		list, err := p.files()
		if err != nil {
			return nil, err
		}
		files = append(files, list...)
	}
	return files, nil
}

func (p piece) files() ([]file, error) {
	from, err := fs.Glob(sdk.Files(), p.from)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range from {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(sdk.Files(), name)
		if err != nil {
			return nil, err
		}
		s := string(text)
		if p.old != "" {
			if !strings.Contains(s, p.old) {
				return nil, fmt.Errorf("%s does not contain %s", name, p.old)
			}
			s = strings.ReplaceAll(s, p.old, p.new)
		}
		files = append(files, file{path.Join(p.to, path.Base(name)), s})
	}
	if len(files) == 0 {
		return nil, errors.New("the SDK lacks " + p.from)
	}
	return files, nil
}

//go:embed readme.md
var readmeText string

func readme(name string, l Language) (string, error) {
	t, err := template.New("README.md").Parse(readmeText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		Name, Source, SDK, Needs string
	}{name, sources[l], kits[l], needs[l]})
	return b.String(), err
}

var (
	sources = map[Language]string{Go: "main.go", AssemblyScript: "assembly/policy.ts", C: "policy.c"}
	kits    = map[Language]string{Go: "bespoke/", AssemblyScript: "assembly/bespoke.ts", C: "bespoke.h"}
	needs   = map[Language]string{
		Go:             "Go 1.24 or later",
		AssemblyScript: "Node.js 20 or later; run `npm ci` once",
		C:              "clang and wasm-ld (Debian: `apt-get install clang lld`)",
	}
)

package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// Built is what Build made.
type Built struct {
	File     string // NAME.wasm in the folder
	Language Language
	Bytes    int
	Output   string // what the compiler said, warnings for instance
}

// A MissingTool is the error of Build when a compiler is not installed.
type MissingTool struct {
	Tool    string
	Install string // what to do
}

func (m *MissingTool) Error() string { return m.Tool + " is not installed: " + m.Install }

// Build compiles the policy in the folder dir, writes the manifest into the
// module and the module to NAME.wasm in the folder, as a whole or not at all.
func Build(ctx context.Context, dir string) (Built, error) {
	l, err := detect(dir)
	if err != nil {
		return Built{}, err
	}
	manifest, name, err := Manifest(dir)
	if err != nil {
		return Built{}, err
	}
	temp, err := os.MkdirTemp("", "bespoke-policy-")
	if err != nil {
		return Built{}, fmt.Errorf("make a folder to build in: %w", err)
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, "policy.wasm")
	cmd, err := compiler(ctx, l, dir, out)
	if err != nil {
		return Built{}, err
	}
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(said[:min(len(said), maxOutput)]))
	if err != nil {
		return Built{}, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, text)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		return Built{}, fmt.Errorf("%s wrote no module: %w", filepath.Base(cmd.Path), err)
	}
	if module, err = abi.AppendManifest(module, manifest); err != nil {
		return Built{}, err
	}
	b := Built{File: filepath.Join(dir, name+".wasm"), Language: l, Bytes: len(module), Output: text}
	return b, replace(b.File, module)
}

const (
	maxOutput   = 64 << 10 // of a compiler, shown
	maxManifest = 64 << 10
)

// Manifest returns the manifest of the policy in a folder, and its name.
func Manifest(dir string) (manifest []byte, name string, err error) {
	file := filepath.Join(dir, manifestFile)
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("%s is no folder of a policy: it has no %s; begin one with bespoke policy new", dir, manifestFile)
	}
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	manifest, err = io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", file, err)
	}
	list, err := abi.ParseManifests(manifest)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	if len(list) != 1 {
		return nil, "", fmt.Errorf("%s declares %d policies; a folder holds one", file, len(list))
	}
	return manifest, list[0].Name, nil
}

// detect tells the language by the files that New writes.
func detect(dir string) (Language, error) {
	var found []Language
	for _, c := range []struct {
		pattern string
		l       Language
	}{{"go.mod", Go}, {"asconfig.json", AssemblyScript}, {"*.c", C}} {
		if m, err := filepath.Glob(filepath.Join(quoteMeta(dir), c.pattern)); err == nil && len(m) > 0 {
			found = append(found, c.l)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%s holds no policy: neither go.mod nor asconfig.json nor a .c file", dir)
	}
	return "", fmt.Errorf("%s holds a policy in %s and one in %s: keep each in a folder of its own", dir, found[0], found[1])
}

// quoteMeta makes a folder's name stand for itself in a pattern.
func quoteMeta(s string) string {
	if filepath.Separator == '\\' {
		return s // has no escapes
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// compiler returns the command that compiles the policy in dir, run there, to out.
func compiler(ctx context.Context, l Language, dir, out string) (*exec.Cmd, error) {
	switch l {
	case Go:
		return goCompiler(ctx, out)
	case C:
		return cCompiler(ctx, dir, out)
	}
	return asCompiler(ctx, dir, out)
}

func goCompiler(ctx context.Context, out string) (*exec.Cmd, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, &MissingTool{"go", "install Go 1.24 or later, from go.dev/dl"}
	}
	cmd := exec.CommandContext(ctx, tool, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	cmd.Env = goEnvironment(os.Environ())
	return cmd, nil
}

// goEnvironment is env without what would change the code that is built.
func goEnvironment(env []string) []string {
	var clean []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "GOOS", "GOARCH", "GOFLAGS", "GOWASM", "GOEXPERIMENT", "GODEBUG", "GOWORK", "CGO_ENABLED":
		default:
			clean = append(clean, e)
		}
	}
	return append(clean, "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
}

func cCompiler(ctx context.Context, dir, out string) (*exec.Cmd, error) {
	const install = "install clang and lld (Debian: apt-get install clang lld; macOS: brew install llvm lld)"
	tool, err := exec.LookPath("clang")
	if err != nil {
		return nil, &MissingTool{"clang", install}
	}
	linker, err := exec.CommandContext(ctx, tool, "-print-prog-name=wasm-ld").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -print-prog-name=wasm-ld: %w", tool, err)
	}
	if _, err := exec.LookPath(strings.TrimSpace(string(linker))); err != nil {
		return nil, &MissingTool{"wasm-ld", install}
	}
	args := []string{
		"--target=wasm32", "-std=c11", "-Os", "-ffreestanding", "-nostdlib", "-mbulk-memory", "-Wall", "-Wextra", "-I.",
		// The stack stands before the data, so that what overflows it traps.
		"-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--stack-first", "-Wl,-z,stack-size=16384", "-o", out,
	}
	sources, err := filepath.Glob(filepath.Join(quoteMeta(dir), "*.c"))
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		args = append(args, "./"+filepath.Base(s))
	}
	return exec.CommandContext(ctx, tool, args...), nil
}

func asCompiler(ctx context.Context, dir, out string) (*exec.Cmd, error) {
	tool, err := exec.LookPath("node")
	if err != nil {
		return nil, &MissingTool{"node", "install Node.js 20 or later, with npm"}
	}
	asc, err := findASC(dir)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, tool, asc, "assembly/policy.ts", "--config", "asconfig.json", "--outFile", out), nil
}

// findASC looks for the compiler where Node.js looks for modules: in the folder
// and those above it.
func findASC(dir string) (string, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		asc := filepath.Join(at, "node_modules", "assemblyscript", "bin", "asc.js")
		if _, err := os.Stat(asc); err == nil {
			return asc, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", &MissingTool{"the AssemblyScript compiler", "run npm ci in " + dir}
		}
		at = up
	}
}

// replace writes a file as a whole or not at all.
func replace(file string, data []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		now := time.Now()
		return os.Chtimes(file, now, now) // it is newer than its sources, for whoever asks
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

// NewerThan returns a source of the policy in dir that changed after a moment,
// "" if there is none.
func NewerThan(dir string, moment time.Time) (string, error) {
	for _, pattern := range []string{"*.go", "*.c", "*.h", "*.json", filepath.Join("assembly", "*.ts"), filepath.Join("bespoke", "*.go")} {
		files, err := filepath.Glob(filepath.Join(quoteMeta(dir), pattern))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.ModTime().After(moment) {
				return f, nil
			}
		}
	}
	return "", nil
}

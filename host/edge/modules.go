package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"bespoke/host/config"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/policies/builtin"
)

// Modules are the compiled modules of one configuration, each compiled once.
// It is what a configuration is checked against while it is read
// ([config.Policies]), and what an Edge then runs.
type Modules struct {
	engine *engine.Engine
	limit  int

	mu     sync.Mutex // guards loaded
	loaded map[string]*engine.Module
}

// Load reads a configuration and compiles the modules that it names. The
// modules belong to the caller, until an Edge is given them.
//
// It reads the file twice: the limits and the state folder, which compiling
// needs, are in it, and so are the policies, which are checked by compiling.
func Load(ctx context.Context, file string, log *slog.Logger) (*config.Config, *Modules, error) {
	var wrong config.Errors
	site, err := config.Load(file, Unchecked{})
	if errors.As(err, &wrong) {
		// All that is wrong is told at once, with what is wrong in policies.
		site = &config.Config{Limits: config.DefaultLimits()}
	} else if err != nil {
		return nil, nil, err
	}
	cache := ""
	if err == nil {
		cache = filepath.Join(site.State, "cache")
		if err := os.MkdirAll(cache, 0o700); err != nil {
			return nil, nil, fmt.Errorf("make the state folder: %w", err)
		}
	}
	eng, err := engine.New(ctx, engine.Config{CacheDir: cache, Limits: site.Limits.Policy, Log: log})
	if err != nil {
		return nil, nil, err
	}
	m := &Modules{engine: eng, limit: site.Limits.Policy.BinaryBytes, loaded: map[string]*engine.Module{}}
	if site, err = config.Load(file, m); err != nil {
		m.Close()
		return nil, nil, err
	}
	if err := checkBrands(site); err != nil {
		m.Close()
		return nil, nil, err
	}
	return site, m, nil
}

// Unchecked reads a configuration without compiling what it names: it knows no
// policy's manifest, and so allows any option.
type Unchecked struct{}

func (Unchecked) Manifest(config.Ref) (*abi.Manifest, error) { return nil, nil }

// Manifest returns what the policy that r names declares.
// What a tenant uploads is not known here, and may change at any time: it allows
// any option.
func (m *Modules) Manifest(r config.Ref) (*abi.Manifest, error) {
	if r.Kind == config.Uploaded {
		return nil, nil
	}
	_, manifest, err := m.module(r)
	return manifest, err
}

func (m *Modules) module(r config.Ref) (*engine.Module, *abi.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Kind == config.Builtin {
		mod, err := m.load("builtin", func() ([]byte, error) { return builtin.Module(), nil })
		if err != nil {
			return nil, nil, err
		}
		manifest, ok := mod.Manifest(r.Name)
		if !ok {
			return nil, nil, fmt.Errorf("there is no built-in policy %q; there are %s", r.Name, names(mod))
		}
		return mod, manifest, nil
	}
	mod, err := m.load(r.File, func() ([]byte, error) { return readModule(r.File, m.limit) })
	if err != nil {
		return nil, nil, err
	}
	manifests := mod.Manifests()
	switch len(manifests) {
	case 0: // runs, and reads nothing
		return mod, &abi.Manifest{Name: "unnamed"}, nil
	case 1:
		return mod, &manifests[0], nil
	}
	return nil, nil, fmt.Errorf("%s carries %d policies (%s); a file in use carries one", r.File, len(manifests), names(mod))
}

// each hands every module to do, with what it was loaded as.
func (m *Modules) each(do func(name string, m *engine.Module)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, mod := range m.loaded {
		do(name, mod)
	}
}

func (m *Modules) load(key string, read func() ([]byte, error)) (*engine.Module, error) {
	if mod := m.loaded[key]; mod != nil {
		return mod, nil
	}
	code, err := read()
	if err != nil {
		return nil, err
	}
	mod, err := m.engine.Load(context.Background(), key, code)
	if err != nil {
		return nil, err
	}
	m.loaded[key] = mod
	return mod, nil
}

// Close releases every module.
func (m *Modules) Close() error { return m.engine.Close(context.Background()) }

// readModule reads a file up to a limit, so that a file of any size is an
// error and not memory.
func readModule(file string, limit int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if n > int64(limit) {
		return nil, fmt.Errorf("%s has more than %d bytes, the limit for a module", file, limit)
	}
	return b.Bytes(), nil
}

func names(m *engine.Module) string {
	var list []string
	for _, x := range m.Manifests() {
		list = append(list, x.Name)
	}
	return strings.Join(list, ", ")
}

package policytest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/modules/prepare"
)

// A Report is what is in a module that an edge takes.
type Report struct {
	Digest    string         `json:"sha256"`
	Bytes     int            `json:"bytes"`
	Manifests []abi.Manifest `json:"manifests"`
	Imports   []string       `json:"imports"` // MODULE.NAME
	Exports   []string       `json:"exports"` // of functions
	Pages     int            `json:"memory_pages"`
	MaxPages  int            `json:"memory_pages_max"`
	Functions int            `json:"functions"`
	CodeBytes int            `json:"code_bytes"`
	DataBytes int            `json:"data_bytes"`
	Metered   int            `json:"metered_code_bytes"` // with the counting of fuel
	Warnings  []string       `json:"warnings"`
}

// Check has an engine with the limits of a new edge check, compile and start a
// module, and reports what is in it. The error is why an edge would refuse it.
// name stands in errors.
func Check(ctx context.Context, name string, module []byte) (*Report, error) {
	e, err := engine.New(ctx, engine.Config{})
	if err != nil {
		return nil, err
	}
	defer e.Close(ctx)
	m, err := e.Load(ctx, name, module)
	if err != nil {
		return nil, err
	}
	// It is a good module now, so what it imports is offered.
	s, err := survey(module)
	if err != nil {
		return nil, err
	}
	void := prepare.Signature{}
	p, err := prepare.Prepare(module, prepare.Options{Imports: s.imports, Exports: prepare.Exports{
		Functions: map[string]prepare.Signature{abi.ExportOnRequest: void, abi.ExportOnResponse: void, abi.ExportInitialize: void},
	}})
	if err != nil {
		return nil, err
	}
	digest := m.Digest()
	r := &Report{
		Digest: hex.EncodeToString(digest[:]), Bytes: len(module), Manifests: m.Manifests(),
		Imports: s.names(), Exports: s.exports,
		Pages: int(p.Memory.Min), MaxPages: int(p.Memory.Max), Functions: p.Stats.Functions,
		CodeBytes: p.Stats.CodeBefore, DataBytes: p.Stats.DataBytes, Metered: p.Stats.CodeAfter,
	}
	r.Warnings = warnings(m, p)
	return r, nil
}

func warnings(m *engine.Module, p *prepare.Module) []string {
	w := []string{}
	if n := len(p.Unresettable); n > 0 {
		f := p.Unresettable[0]
		where := ""
		if f.Func >= 0 {
			where = fmt.Sprintf(" in function %d, offset %d", f.Func, f.Offset)
		}
		w = append(w, fmt.Sprintf("it changes state that cannot be put back (%s%s; %d in all), so every run starts a new instance: correct, but a hundred times slower", f.What, where, n))
	} else if slices.ContainsFunc(p.Globals, func(g prepare.Global) bool { return g.Type == 'r' || g.Type == 'e' }) {
		w = append(w, "it has a mutable global that holds a reference, which cannot be put back, so every run starts a new instance: correct, but a hundred times slower")
	}
	switch n := len(m.Manifests()); {
	case n == 0:
		w = append(w, "it has no manifest, and so reads nothing but config and consent")
	case n > 1:
		w = append(w, fmt.Sprintf("it carries %d policies; a file or upload that a route uses carries one", n))
	}
	for _, f := range m.Manifests() {
		runs := false
		for _, ph := range []abi.Phase{abi.OnRequest, abi.OnResponse} {
			runs = runs || f.Runs(ph) && m.Exports(ph)
			if len(f.On) > 0 && f.Runs(ph) && !m.Exports(ph) {
				w = append(w, fmt.Sprintf("%s: the manifest says that it runs on the %s, but there is no export %s", f.Name, ph, ph.Export()))
			}
		}
		if !runs {
			w = append(w, f.Name+": it never runs")
		}
		for _, key := range slices.Sorted(maps.Keys(f.Reads)) {
			if f.Reads[key] == "" {
				w = append(w, fmt.Sprintf("%s: the manifest gives no reason for reading %s; visitors are shown it", f.Name, key))
			}
		}
		if f.About == "" {
			w = append(w, f.Name+": the manifest does not say what the policy is about")
		}
		if f.Version == "" {
			w = append(w, f.Name+": the manifest has no version")
		}
	}
	return w
}

// surveyed is what a module imports and exports.
type surveyed struct {
	imports prepare.Imports
	exports []string
}

func (s *surveyed) names() []string {
	names := []string{}
	for module, list := range s.imports {
		for name := range list {
			names = append(names, module+"."+name)
		}
	}
	slices.Sort(names)
	return names
}

var errCut = errors.New("the module ends too early")

// A cursor reads the binary format (WebAssembly core 2.0, chapter 5) of a
// module that was checked before. After an error it reads zeros.
type cursor struct {
	data []byte
	err  error
}

func (c *cursor) take(n uint32) []byte {
	if uint64(n) > uint64(len(c.data)) {
		c.data, c.err = nil, errCut
		return nil
	}
	b := c.data[:n]
	c.data = c.data[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u32() (v uint32) {
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		if v |= uint32(b&0x7f) << shift; b < 0x80 {
			return v
		}
	}
	c.err = errCut
	return 0
}

func (c *cursor) text() string { return string(c.take(c.u32())) }

// each calls do for each of the entries that are counted first.
func (c *cursor) each(do func()) {
	for n := c.u32(); n > 0 && c.err == nil; n-- {
		do()
	}
}

func (c *cursor) types() string {
	letters := map[byte]byte{0x7f: 'i', 0x7e: 'I', 0x7d: 'f', 0x7c: 'F', 0x7b: 'v', 0x70: 'r', 0x6f: 'e'}
	var s []byte
	c.each(func() { s = append(s, letters[c.byte()]) })
	return string(s)
}

// survey reads the sections of types (1), imports (2) and exports (7).
func survey(module []byte) (*surveyed, error) {
	const functions = 0 // the kind of an import and export
	c := &cursor{data: module}
	c.take(8)
	s := &surveyed{imports: prepare.Imports{}}
	var types []prepare.Signature
	for len(c.data) > 0 && c.err == nil {
		id := c.byte()
		b := &cursor{data: c.take(c.u32())}
		switch id {
		case 1:
			b.each(func() {
				b.byte() // 0x60
				params := b.types()
				types = append(types, prepare.Signature{Params: params, Results: b.types()})
			})
		case 2:
			b.each(func() {
				from, name, kind, index := b.text(), b.text(), b.byte(), b.u32()
				if kind != functions || index >= uint32(len(types)) {
					b.err = errors.New("it imports what is no function")
					return
				}
				if s.imports[from] == nil {
					s.imports[from] = map[string]prepare.Signature{}
				}
				s.imports[from][name] = types[index]
			})
		case 7:
			b.each(func() {
				name, kind := b.text(), b.byte()
				if b.u32(); kind == functions {
					s.exports = append(s.exports, name)
				}
			})
		}
		if b.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, b.err)
		}
	}
	return s, c.err
}

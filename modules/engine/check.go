package engine

import (
	"fmt"

	"bespoke/modules/abi"
)

const (
	exportFunction = 0
	exportMemory   = 2
)

// check tells whether the module keeps the contract: what it imports and
// exports, and how much memory it asks for.
func (b *binaryModule) check(limits abi.Limits) error {
	for _, i := range b.imports {
		if err := b.checkImport(i); err != nil {
			return err
		}
	}
	if err := b.checkMemory(limits.MemoryPages); err != nil {
		return err
	}
	phases := 0
	for _, name := range []string{abi.ExportOnRequest, abi.ExportOnResponse, abi.ExportInitialize} {
		e, ok := b.named[name]
		if !ok {
			continue
		}
		t, ok := b.functionType(e)
		if !ok {
			return fmt.Errorf("export %s is no function", name)
		}
		if t != (funcType{}) {
			return fmt.Errorf("export %s has the signature %v: want () -> ()", name, t)
		}
		if name != abi.ExportInitialize {
			phases++
		}
	}
	if phases == 0 {
		return fmt.Errorf("neither %s nor %s is exported: a policy has at least one", abi.ExportOnRequest, abi.ExportOnResponse)
	}
	if _, ok := b.named["_start"]; ok {
		return fmt.Errorf("_start is exported: this is a command; build a reactor (for Go: -buildmode=c-shared)")
	}
	return nil
}

func (b *binaryModule) checkImport(i moduleImport) error {
	for _, m := range []hostModule{bespoke1, wasiPreview1} {
		if m.name != i.module {
			continue
		}
		for _, f := range m.functions {
			if f.name != i.name {
				continue
			}
			want := funcType{f.params, f.results}
			if int(i.typ) >= len(b.types) {
				return fmt.Errorf("import %s.%s has type %d, but there are %d types", i.module, i.name, i.typ, len(b.types))
			}
			if got := b.types[i.typ]; got != want {
				return fmt.Errorf("import %s.%s has the signature %v: want %v (i is i32, I is i64)", i.module, i.name, got, want)
			}
			return nil
		}
		return fmt.Errorf("import %s.%s: no such function is offered to policies", i.module, i.name)
	}
	return fmt.Errorf("import %s.%s: only %s and %s may be imported", i.module, i.name, bespoke1.name, wasiPreview1.name)
}

func (b *binaryModule) checkMemory(pages int) error {
	e, ok := b.named[abi.ExportMemory]
	if !ok || e.kind != exportMemory || b.memory == nil {
		return fmt.Errorf("no memory is exported as %q", abi.ExportMemory)
	}
	if int64(b.memory.min) > int64(pages) {
		return fmt.Errorf("memory of %d pages of 64 KiB at the start, at most %d are allowed", b.memory.min, pages)
	}
	if b.memory.hasMax && int64(b.memory.max) > int64(pages) {
		return fmt.Errorf("memory of up to %d pages of 64 KiB, at most %d are allowed: declare less, or no maximum", b.memory.max, pages)
	}
	return nil
}

func (b *binaryModule) functionType(e moduleExport) (funcType, bool) {
	if e.kind != exportFunction || int64(e.index) >= int64(len(b.functions)) {
		return funcType{}, false
	}
	t := b.functions[e.index]
	if int64(t) >= int64(len(b.types)) {
		return funcType{}, false
	}
	return b.types[t], true
}

// exports reports whether a function of that name is exported.
func (b *binaryModule) exports(name string) bool {
	_, ok := b.named[name]
	return ok
}

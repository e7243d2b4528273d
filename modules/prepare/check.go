package prepare

import (
	"strings"
)

// Kinds of exports (core 2.0, section 5.5.10).
const (
	exportFunction = 0
	exportTable    = 1
	exportMemory   = 2
	exportGlobal   = 3
)

func (d *decoder) checkImport(r *reader, at int, module, name string, got Signature) {
	functions, ok := d.options.Imports[module]
	if !ok {
		r.refuseAt(at, RuleImport, "import %s.%s: nothing is offered by a module of that name", module, name)
		return
	}
	want, ok := functions[name]
	switch {
	case !ok:
		r.refuseAt(at, RuleImport, "import %s.%s: no such function is offered", module, name)
	case got != want:
		r.refuseAt(at, RuleImport, "import %s.%s has the signature %v: want %v (i is i32, I is i64)", module, name, got, want)
	}
}

func (d *decoder) exportSection(r *reader) {
	n := r.items("exports", d.limits.Exports)
	for range n {
		at := r.pos
		name := r.name(d.limits.NameBytes)
		kind := r.byte()
		index := r.u32()
		if !r.ok() {
			return
		}
		if _, twice := d.named[name]; twice {
			r.refuseAt(at, RuleExport, "the export %q stands twice", name)
			return
		}
		d.named[name] = struct{}{}
		d.checkExport(r, at, name, kind, index)
	}
	d.exports = n
}

func (d *decoder) checkExport(r *reader, at int, name string, kind byte, index uint32) {
	rules := &d.options.Exports
	if strings.HasPrefix(name, Reserved) {
		r.refuseAt(at, RuleReserved, "export %q: names that begin with %q are reserved", name, Reserved)
		return
	}
	var there int
	switch kind {
	case exportFunction:
		there = len(d.funcs)
	case exportTable:
		there = len(d.tables)
	case exportMemory:
		if d.hasMemory {
			there = 1
		}
	case exportGlobal:
		there = d.globals
	default:
		r.refuseAt(at, RuleFormat, "export %q of kind %d: want 0 to 3", name, kind)
		return
	}
	if uint64(index) >= uint64(there) {
		r.refuseAt(at, RuleIndex, "export %q is number %d of %d", name, index, there)
		return
	}
	if why, never := rules.Never[name]; never {
		r.refuseAt(at, RuleExport, "%s is exported: %s", name, why)
	}
	if rules.Memory != "" && name == rules.Memory && kind != exportMemory {
		r.refuseAt(at, RuleExport, "no memory is exported as %q: it is something else", name)
	}
	want, ok := rules.Functions[name]
	if !ok {
		return
	}
	if kind != exportFunction {
		r.refuseAt(at, RuleExport, "export %s is no function", name)
		return
	}
	if got := d.types[d.funcs[index]]; got != want {
		r.refuseAt(at, RuleExport, "export %s has the signature %v: want %v", name, got, want)
		return
	}
	d.module.Exports = append(d.module.Exports, name)
}

// checkExports tells what is missing once all is read.
func (d *decoder) checkExports() {
	rules := &d.options.Exports
	if _, ok := d.named[rules.Memory]; !ok && rules.Memory != "" {
		d.refuse(RuleExport, "no memory is exported as %q", rules.Memory)
	}
	if len(rules.OneOf) == 0 {
		return
	}
	for _, name := range rules.OneOf {
		if d.module.Has(name) {
			return
		}
	}
	d.refuse(RuleExport, "none of %s is exported: at least one must be", strings.Join(rules.OneOf, ", "))
}

package prepare

import "fmt"

// A Refusal says why a binary is not accepted.
type Refusal struct {
	Func   int    // index of the function, imported ones counted; -1: not in a function
	Offset int    // in the binary
	Rule   string // one of the Rule constants
	Err    error  // what is wrong
}

// Rules that a binary can break.
const (
	RuleFormat   = "format"   // it is no binary of WebAssembly 2.0: cut off, garbled, out of order
	RuleNumber   = "number"   // a LEB128 number is too long or has bits beyond its size
	RuleOpcode   = "opcode"   // an instruction that WebAssembly 2.0 does not have
	RuleIndex    = "index"    // of a type, function, local, global or label that is not there
	RuleLimit    = "limit"    // more of something than Options.Limits allow
	RuleImport   = "import"   // an import that is not offered, or has another signature
	RuleExport   = "export"   // an export that is missing, not allowed, or has another signature
	RuleReserved = "reserved" // a name that begins with Reserved
	RuleManifest = "manifest" // see abi.ParseManifests
	RuleOptions  = "options"  // the caller's options make no sense
)

func (r *Refusal) Error() string {
	if r.Func >= 0 {
		return fmt.Sprintf("function %d, offset %d: %s: %v", r.Func, r.Offset, r.Rule, r.Err)
	}
	return fmt.Sprintf("offset %d: %s: %v", r.Offset, r.Rule, r.Err)
}

func (r *Refusal) Unwrap() error { return r.Err }

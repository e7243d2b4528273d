// Package abi is the contract between a policy (a WebAssembly module) and any
// host that runs it: names, keys and their classes, operations, refusals,
// limits and the manifest. ABI.md beside this file says the same in prose.
//
// Start with [Classify], which tells what a key needs, and [Edit], which is
// what a policy emits. The package holds no state, does no I/O and imports
// nothing of this project.
package abi

// Names that a module imports and exports.
const (
	// ImportModule is the import module name of version 1 of this ABI.
	ImportModule = "bespoke_1"

	ImportRead = "read" // (key_ptr, key_len, buf_ptr, buf_cap i32) -> i64
	ImportEmit = "emit" // (op, target_ptr, target_len, a_ptr, a_len, b_ptr, b_len i32) -> i32
	ImportLog  = "log"  // (level, ptr, len i32)

	ExportMemory     = "memory"
	ExportInitialize = "_initialize"
	ExportOnRequest  = "on_request"
	ExportOnResponse = "on_response"
)

// Absent is what read returns for a key that has no value here. Absent,
// withheld and unknown look the same to a policy.
const Absent int64 = -1

// A Phase is the moment of an exchange at which a policy runs.
type Phase uint8

const (
	OnRequest  Phase = iota // before the origin is asked
	OnResponse              // when the origin has answered, before the body is sent
)

// Export returns the name of the function that a module exports for the phase.
func (p Phase) Export() string {
	if p == OnRequest {
		return ExportOnRequest
	}
	return ExportOnResponse
}

func (p Phase) String() string {
	if p == OnRequest {
		return "request"
	}
	return "response"
}

// A Level is the severity of a line that a policy logs.
type Level uint8

const (
	Debug Level = iota
	Info
	Warn
	Error
)

var levelNames = [...]string{"debug", "info", "warn", "error"}

func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return ""
}

// An Edit is one operation that a policy emitted. Target is a CSS selector in
// HTML and XML, a JSON Pointer in JSON, a name for a header; A and B are the
// operation's arguments as ABI.md lists them. All three are UTF-8.
type Edit struct {
	Op     Op
	Target string
	A, B   string
}

// An Op is the number of an operation, as passed to emit.
type Op uint8

const (
	// Edits of the body.
	OpText        Op = 1
	OpHTML        Op = 2
	OpAttr        Op = 3
	OpUnsetAttr   Op = 4
	OpAddClass    Op = 5
	OpRemoveClass Op = 6
	OpBefore      Op = 7
	OpAfter       Op = 8
	OpPrepend     Op = 9
	OpAppend      Op = 10
	OpReplace     Op = 11
	OpRemove      Op = 12
	OpUnwrap      Op = 13
	OpOrder       Op = 14
	OpKeep        Op = 15
	OpFill        Op = 16

	// Edits of the exchange.
	OpSetHeader      Op = 32
	OpAddHeader      Op = 33
	OpRemoveHeader   Op = 34
	OpRedirect       Op = 35
	OpUpstreamHeader Op = 36
	OpUpstreamPath   Op = 37

	// For the visitor.
	OpEvent Op = 48
	OpWhy   Op = 49
)

var opNames = [...]string{
	OpText: "text", OpHTML: "html", OpAttr: "attr", OpUnsetAttr: "unset-attr",
	OpAddClass: "add-class", OpRemoveClass: "remove-class",
	OpBefore: "before", OpAfter: "after", OpPrepend: "prepend", OpAppend: "append",
	OpReplace: "replace", OpRemove: "remove", OpUnwrap: "unwrap",
	OpOrder: "order", OpKeep: "keep", OpFill: "fill",
	OpSetHeader: "set-header", OpAddHeader: "add-header", OpRemoveHeader: "remove-header",
	OpRedirect: "redirect", OpUpstreamHeader: "upstream-header", OpUpstreamPath: "upstream-path",
	OpEvent: "event", OpWhy: "why",
}

// String returns the operation's name, or "" for a number that is no operation.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return ""
}

// Known reports whether o is an operation of this version.
func (o Op) Known() bool { return o.String() != "" }

// Body reports whether o edits the body of the response.
func (o Op) Body() bool { return o >= OpText && o <= OpFill }

// A Refusal is what emit returns: zero when the edit was taken, else why not.
type Refusal int32

const (
	Accepted           Refusal = 0
	RefusedUnknownOp   Refusal = 1 // no such operation in this version
	RefusedTarget      Refusal = 2 // the target does not parse, or may not be touched
	RefusedArgument    Refusal = 3 // an argument is malformed or not allowed
	RefusedRight       Refusal = 4 // the manifest lacks the right that this needs
	RefusedLimit       Refusal = 5 // too many edits, or too many bytes, in this run
	RefusedPhase       Refusal = 6 // not in this phase
	RefusedUnsupported Refusal = 7 // known, but this host does not carry it out
)

func (r Refusal) String() string {
	switch r {
	case Accepted:
		return "accepted"
	case RefusedUnknownOp:
		return "unknown operation"
	case RefusedTarget:
		return "bad target"
	case RefusedArgument:
		return "bad argument"
	case RefusedRight:
		return "right missing from the manifest"
	case RefusedLimit:
		return "over the limit"
	case RefusedPhase:
		return "not in this phase"
	case RefusedUnsupported:
		return "not supported by this host"
	}
	return "refused"
}

// FuelPerMilli is how many instructions a millisecond of RunMillis or
// InitMillis stands for. It is a tenth of what a slow processor does, so that a
// run that keeps within its fuel keeps within the time, on a busy machine too.
const FuelPerMilli = 100_000

// Limits bound one policy. The zero value of a field stands for its default.
//
// Work is bounded by fuel, which counts instructions, and not by the clock: so
// a run ends at the same instruction on every machine.
type Limits struct {
	BinaryBytes int // size of the uploaded module
	MemoryPages int // linear memory, in pages of 64 KiB
	ReadBytes   int // length of one key
	Edits       int // edits emitted in one run
	EditBytes   int // bytes of targets and arguments emitted in one run
	LogBytes    int // bytes logged in one run
	RunMillis   int // work of one run; see RunFuel
	Concurrent  int // runs of one policy at the same time
	InitMillis  int // work of the start function and _initialize together; see InitFuel
}

// RunFuel is the instructions that one run may take.
func (l Limits) RunFuel() int64 { return int64(l.RunMillis) * FuelPerMilli }

// InitFuel is the instructions that the start function and _initialize may take together.
func (l Limits) InitFuel() int64 { return int64(l.InitMillis) * FuelPerMilli }

// DefaultLimits are the limits of a policy for which nothing else is configured.
var DefaultLimits = Limits{
	BinaryBytes: 16 << 20,
	MemoryPages: 512, // 32 MiB
	ReadBytes:   1 << 10,
	Edits:       2048,
	EditBytes:   1 << 20,
	LogBytes:    8 << 10,
	RunMillis:   100,
	InitMillis:  2000,
	Concurrent:  64,
}

// Or returns l with every zero field taken from d.
func (l Limits) Or(d Limits) Limits {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&l.BinaryBytes, d.BinaryBytes)
	or(&l.MemoryPages, d.MemoryPages)
	or(&l.ReadBytes, d.ReadBytes)
	or(&l.Edits, d.Edits)
	or(&l.EditBytes, d.EditBytes)
	or(&l.LogBytes, d.LogBytes)
	or(&l.RunMillis, d.RunMillis)
	or(&l.InitMillis, d.InitMillis)
	or(&l.Concurrent, d.Concurrent)
	return l
}

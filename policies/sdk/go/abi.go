//go:build wasip1

package bespoke

import "unsafe"

//go:wasmimport bespoke_1 read
func hostRead(key string, buf unsafe.Pointer, size uint32) int64

//go:wasmimport bespoke_1 emit
func hostEmit(op uint32, target, a, b string) int32

//go:wasmimport bespoke_1 log
func hostLog(level uint32, text string)

var (
	onRequest  []func(Visitor, *Exchange)
	onResponse []func(Visitor, *Page)
)

// OnRequest registers f to run before the origin is asked. Several run in the
// order of registration. Call it in func init.
func OnRequest(f func(Visitor, *Exchange)) { onRequest = append(onRequest, f) }

// OnResponse registers f to run when the origin has answered, before the body
// is sent. Several run in the order of registration. Call it in func init.
func OnResponse(f func(Visitor, *Page)) { onResponse = append(onResponse, f) }

//go:wasmexport on_request
func runRequest() {
	for _, f := range onRequest {
		f(Visitor{}, &Exchange{})
	}
}

//go:wasmexport on_response
func runResponse() {
	for _, f := range onResponse {
		f(Visitor{}, &Page{})
	}
}

// A Level is the severity of a line in the log.
type Level uint32

const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes lines to the policy's log. Operators read it: never log what was
// read about the visitor.
func Log(level Level, text string) { hostLog(uint32(level), text) }

// A Refusal is the error of an edit that the host did not take; ABI.md lists
// the numbers.
type Refusal int32

const (
	RefusedUnknownOp   Refusal = 1
	RefusedTarget      Refusal = 2
	RefusedArgument    Refusal = 3
	RefusedRight       Refusal = 4
	RefusedLimit       Refusal = 5
	RefusedPhase       Refusal = 6
	RefusedUnsupported Refusal = 7
)

var refusals = [...]string{
	RefusedUnknownOp:   "unknown operation",
	RefusedTarget:      "bad target",
	RefusedArgument:    "bad argument",
	RefusedRight:       "right missing from the manifest",
	RefusedLimit:       "over the limit",
	RefusedPhase:       "not in this phase",
	RefusedUnsupported: "not supported by this host",
}

func (r Refusal) Error() string {
	if r > 0 && int(r) < len(refusals) {
		return "edit refused: " + refusals[r]
	}
	return "edit refused"
}

func emit(op uint32, target, a, b string) error {
	if r := hostEmit(op, target, a, b); r != 0 {
		return Refusal(r)
	}
	return nil
}

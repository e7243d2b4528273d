package engine

import (
	"errors"
	"fmt"
	"strings"
)

// A FaultKind says why a run failed.
type FaultKind uint8

const (
	FaultTrap      FaultKind = iota + 1 // the code trapped, or passed a range outside its memory
	FaultFuel                           // more work than abi.Limits allow
	FaultStack                          // recursion beyond the stack
	FaultExit                           // the code called proc_exit, with whatever status
	FaultLimit                          // it emitted more than abi.Limits allow
	FaultInit                           // the start function or _initialize failed, or the code could not be brought back
	FaultBusy                           // as many runs as allowed are under way
	FaultSuspended                      // it failed too often: see State
	FaultExport                         // the module has no function for the phase
	FaultClosed                         // the module was closed
	FaultCanceled                       // the caller's context ended before the run began
	FaultHost                           // the Host panicked

	// FaultKinds is one more than the last kind, for arrays by kind.
	FaultKinds
)

var faultNames = [FaultKinds]string{
	FaultTrap: "trap", FaultFuel: "fuel", FaultStack: "stack", FaultExit: "exit", FaultLimit: "limit", FaultInit: "init",
	FaultBusy: "busy", FaultSuspended: "suspended", FaultExport: "export", FaultClosed: "closed",
	FaultCanceled: "canceled", FaultHost: "host",
}

func (k FaultKind) String() string {
	if k < FaultKinds {
		return faultNames[k]
	}
	return ""
}

// own reports whether a fault of this kind is the policy's own failure, which
// counts towards its suspension.
func (k FaultKind) own() bool { return k <= FaultInit }

// A Fault is why a run has no result. Its text is for operators, never for visitors.
type Fault struct {
	Kind   FaultKind
	Module string // the name given to Load
	Err    error
}

func (f *Fault) Error() string {
	return fmt.Sprintf("policy module %s: %s: %v", f.Module, f.Kind, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Plain describes the fault without what the policy chose, such as the status
// that it ended itself with: a policy could say there what it read of a visitor.
// So this may be logged where that may not.
func (f *Fault) Plain() string {
	var ex *exit
	var bad *badRange
	switch {
	case f.Kind == FaultHost: // the text of a panic may quote anything
		return "the host failed during the run"
	case errors.As(f.Err, &ex):
		return "the policy ended itself"
	case errors.As(f.Err, &bad):
		return bad.what + " is outside the memory"
	}
	return f.Err.Error()
}

// errFuel is how a host function leaves a guest that cannot pay for it.
var errFuel = errors.New("the fuel is used up")

// exit is how proc_exit leaves the guest.
type exit struct{ code uint32 }

func (e *exit) Error() string { return fmt.Sprintf("the policy ended itself with status %d", e.code) }

// badRange is a pointer and length, passed by the guest, outside its memory.
type badRange struct {
	what     string
	ptr, len uint32
	size     uint32
}

func (e *badRange) Error() string {
	return fmt.Sprintf("%s at %d, %d bytes long, is outside the memory of %d bytes", e.what, e.ptr, e.len, e.size)
}

// A failure is a call into a guest that did not return.
type failure struct {
	kind FaultKind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

// failed tells apart the ways in which a call into a guest fails. what was
// called stands in the text; left is the fuel that was left of budget.
func failed(err error, what string, left, budget int64) *failure {
	var ex *exit
	var bad *badRange
	switch {
	case errors.As(err, &ex):
		return &failure{FaultExit, ex}
	case errors.As(err, &bad):
		return &failure{FaultTrap, bad}
	case left < 0:
		return &failure{FaultFuel, fmt.Errorf("%s used up its fuel of %d instructions", what, budget)}
	}
	text := firstLine(err.Error())
	// wazero keeps its errors to itself, so their text is what there is to go by.
	switch {
	case strings.Contains(text, "stack overflow"):
		return &failure{FaultStack, errors.New(text)}
	case strings.HasPrefix(text, "wasm error: "):
		return &failure{FaultTrap, errors.New(text)}
	}
	return &failure{FaultHost, errors.New(text)}
}

// firstLine leaves out the stack trace, which names functions by number only.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(s, " (recovered by wazero)")
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"
)

// A FaultKind says why a run failed.
type FaultKind uint8

const (
	FaultTrap     FaultKind = iota + 1 // the code trapped, or passed a range outside its memory
	FaultStack                         // recursion beyond the stack
	FaultExit                          // the code called proc_exit, with whatever status
	FaultDeadline                      // longer than abi.Limits allows
	FaultInit                          // the start function or _initialize failed
	FaultBusy                          // as many runs as allowed are under way
	FaultExport                        // the module has no function for the phase
	FaultClosed                        // the module was closed
	FaultCanceled                      // the caller's context ended
	FaultHost                          // the Host panicked
)

var faultNames = [...]string{
	FaultTrap: "trap", FaultStack: "stack", FaultExit: "exit", FaultDeadline: "deadline", FaultInit: "init",
	FaultBusy: "busy", FaultExport: "export", FaultClosed: "closed", FaultCanceled: "canceled", FaultHost: "host",
}

func (k FaultKind) String() string {
	if int(k) < len(faultNames) {
		return faultNames[k]
	}
	return ""
}

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

// overtime is the end of a guest's time.
type overtime struct {
	what   string
	millis int64
}

func (e *overtime) Error() string { return fmt.Sprintf("%s took more than %d ms", e.what, e.millis) }

// fault tells apart the ways in which a call into a guest fails. own is the
// kind of a failure of the guest's own making that is no other.
func (m *Module) fault(ctx context.Context, err error, own FaultKind) *Fault {
	f := &Fault{Kind: own, Module: m.name, Err: err}
	var ex *exit
	var bad *badRange
	var over *overtime
	var closed *sys.ExitError
	switch {
	case ctx.Err() != nil:
		f.Kind, f.Err = FaultCanceled, ctx.Err()
	case errors.As(err, &over):
		f.Kind, f.Err = FaultDeadline, over
	case errors.As(err, &ex):
		f.Err = ex
		if own == FaultTrap {
			f.Kind = FaultExit
		}
	case errors.As(err, &bad):
		f.Err = bad
	case errors.As(err, &closed):
	default:
		f.Err = errors.New(firstLine(err.Error()))
		if own != FaultTrap {
			break
		}
		// wazero keeps its errors to itself, so their text is what there is to go by.
		switch {
		case strings.Contains(f.Err.Error(), "stack overflow"):
			f.Kind = FaultStack
		case !strings.HasPrefix(f.Err.Error(), "wasm error: "):
			f.Kind = FaultHost
		}
	}
	return f
}

// firstLine leaves out the stack trace, which names functions by number only.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(s, " (recovered by wazero)")
}

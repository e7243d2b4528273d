// Package tck is a conformance suite for hosts of the policy ABI: any program
// that loads policies as modules/abi/ABI.md has them and runs them.
//
// Make the host a [Host], which takes three small methods, and call [Run] from
// a test, or [Check] from anywhere else. [Cases] lists what is tested. Each
// case names the section of ABI.md that it holds the host to. The policies are
// built by this package, byte by byte: no toolchain is needed, and the same
// Config gives the same modules.
//
// The package runs no WebAssembly itself and knows no host. It tests what a
// policy can see and what becomes of its edits, not how fast, and not what an
// edit does to a page.
package tck

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// A Host is what is tested. It must be configured with the limits of Config.
type Host interface {
	// Load checks a module and readies it to run. An error means that the host
	// refuses it. The host must not change module.
	Load(module []byte) (Policy, error)
}

// A Policy is a module that a Host loaded. Run is called from several
// goroutines at once.
type Policy interface {
	// Runs reports whether the host runs that policy of the module in a phase.
	// name is the one in the manifest; any, if the module has none.
	Runs(name string, p abi.Phase) bool
	// Run runs the policy once, on that exchange. The error says why the run
	// failed; the Outcome is then what is left of it.
	Run(p abi.Phase, x Exchange) (Outcome, error)
	// Close frees it. No run is under way.
	Close() error
}

// An Exchange is what a run may be told about.
type Exchange struct {
	// Policy is the name under which the route uses the policy: config.policy,
	// and which manifest holds if the module has several.
	Policy string
	// Values are by key what there is to know, granted, declared and fit to be
	// read or not; the host says which of it the policy gets. consent.* and
	// config.policy are not among them: they follow from the other fields.
	Values map[string]string
	// Granted are the purposes that the visitor granted.
	Granted []abi.Purpose
}

// An Outcome is what a run left.
type Outcome struct {
	// Edits are what is carried out, in the order of emission. An event that is
	// dropped for want of consent is not.
	Edits []abi.Edit
	// Log is what the policy logged, also in a run that failed.
	Log []Line
}

// A Line is one line of a policy's log, without its end.
type Line struct {
	Level abi.Level
	Text  string
}

// Config says what the host under test is like. The zero value is a host with
// the limits that ABI.md has where nothing else is configured.
type Config struct {
	// Limits of the host; zero fields are taken from abi.DefaultLimits. The
	// suite needs at least 1 KiB of log, 16 pages of memory, 64 bytes of a key,
	// 32 edits of 1 KiB in all, and at most 512 pages of memory.
	Limits abi.Limits
	// Patience is how long a call of the host may take before it counts as one
	// that does not end; 0: a minute. Such a call is left behind running.
	Patience time.Duration
}

// or returns c with its zero fields filled in.
func (c Config) or() (Config, error) {
	c.Limits = c.Limits.Or(abi.DefaultLimits)
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	l := c.Limits
	for _, f := range []struct {
		name               string
		value, least, most int
	}{
		{"binary bytes", l.BinaryBytes, 512 << 10, 1 << 30},
		{"memory pages", l.MemoryPages, 16, 512},
		{"bytes of a key", l.ReadBytes, 64, 32 << 10},
		{"edits", l.Edits, 32, 1 << 20},
		{"edit bytes", l.EditBytes, 1 << 10, (l.MemoryPages - 1) << 16},
		{"log bytes", l.LogBytes, 1 << 10, 32 << 10},
	} {
		if f.value < f.least || f.value > f.most {
			return c, fmt.Errorf("limit of %s is %d: the suite wants %d to %d", f.name, f.value, f.least, f.most)
		}
	}
	return c, nil
}

// A Case is one thing that ABI.md says.
type Case struct {
	Section string // a heading of ABI.md, without marks
	Name    string // unique: the area, a slash, and what is tested

	try func(*trial) error
}

// ErrLacking is what Case.Check returns if the case is about something that a
// host may lack, and this one does.
var ErrLacking = errors.New("the host does not have it, and need not")

// Check tries the case on a host. Every call of the host may take as long as
// patience, and may panic.
func (c Case) Check(h Host, patience time.Duration) error {
	t := &trial{host: h, patience: patience}
	err := c.try(t)
	if e := t.close(); err == nil {
		err = e
	}
	return err
}

// Cases returns all cases for a host with the Config, section by section. It
// fails if the limits are outside what the suite can test.
func Cases(c Config) ([]Case, error) {
	c, err := c.or()
	if err != nil {
		return nil, err
	}
	var all []Case
	for _, part := range []func(Config) []Case{
		importCases, exportCases, featureCases, memoryCases, orderCases, isolationCases,
		textCases, readCases, emitCases, logCases,
		keyCases, operationCases, manifestCases, fixedCases, limitCases, terminationCases,
	} {
		all = append(all, part(c)...)
	}
	return all, nil
}

// A Result is how one case went. Err is nil if the host does as ABI.md says.
type Result struct {
	Case Case
	Err  error
}

// Lacking reports whether the case is about something that the host may lack, and does.
func (r Result) Lacking() bool { return errors.Is(r.Err, ErrLacking) }

// Failed reports whether the host does not conform.
func (r Result) Failed() bool { return r.Err != nil && !r.Lacking() }

// A Report is the results of all cases, in the order of Cases.
type Report []Result

// Check tries all cases on a host. It fails if the Config is outside what the
// suite can test.
func Check(h Host, c Config) (Report, error) {
	c, err := c.or()
	if err != nil {
		return nil, err
	}
	cases, err := Cases(c)
	if err != nil {
		return nil, err
	}
	var r Report
	for _, one := range cases {
		r = append(r, Result{one, one.Check(h, c.Patience)})
	}
	return r, nil
}

// String is a table of the sections, then every case that failed, and why.
func (r Report) String() string {
	type count struct{ passed, lacking, failed int }
	counts := map[string]*count{}
	var sections []string
	var failures strings.Builder
	for _, one := range r {
		c := counts[one.Case.Section]
		if c == nil {
			c = &count{}
			counts[one.Case.Section] = c
			sections = append(sections, one.Case.Section)
		}
		switch {
		case one.Failed():
			c.failed++
			fmt.Fprintf(&failures, "\n%s (%s)\n    %v\n", one.Case.Name, one.Case.Section, one.Err)
		case one.Lacking():
			c.lacking++
		default:
			c.passed++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-40s %7s %7s %7s\n", "section of ABI.md", "passed", "lacking", "failed")
	for _, s := range sections {
		c := counts[s]
		fmt.Fprintf(&b, "%-40s %7d %7d %7d\n", s, c.passed, c.lacking, c.failed)
	}
	return b.String() + failures.String()
}

// T is the part of *testing.T that Run needs.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Run tries all cases on a host. Each that fails is an error of t.
func Run(t T, h Host, c Config) {
	t.Helper()
	r, err := Check(h, c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, one := range r {
		if one.Failed() {
			t.Errorf("%s (ABI.md, %s): %v", one.Case.Name, one.Case.Section, one.Err)
		}
	}
	t.Logf("%v", r)
}

// Headings of ABI.md.
const (
	secModule     = "The module"
	secText       = "Memory and text"
	secFunctions  = "Functions of bespoke_1"
	secKeys       = "Keys"
	secOperations = "Operations"
	secBody       = "Of the body (phase on_response)"
	secExchange   = "Of the exchange"
	secVisitor    = "For the visitor"
	secManifest   = "The manifest"
	secFixed      = "What is fixed"
	secLimits     = "Limits"
)

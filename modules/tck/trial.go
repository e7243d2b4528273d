package tck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// policyName is the policy of modules with one manifest, and the name for those without.
const policyName = "tck"

// A trial is one case on one host.
type trial struct {
	host     Host
	patience time.Duration
	loaded   []Policy
	hangs    bool // a call did not end: nothing is asked of the host any more
}

// within calls f and returns what it returns, or fails after the patience, or
// if f panics. The channel has room, so that a late f can end.
func within[V any](t *trial, what string, f func() (V, error)) (V, error, error) {
	type answer struct {
		v           V
		err, broken error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.broken = fmt.Errorf("%s: the host panicked: %v", what, p)
			}
			done <- a
		}()
		a.v, a.err = f()
	}()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.v, a.err, a.broken
	case <-timer.C:
		t.hangs = true
		var none V
		return none, nil, fmt.Errorf("%s: did not end within %v", what, t.patience)
	}
}

// try loads a module. refused is why the host does not take it; err is that it
// could not be tried.
func (t *trial) try(module []byte) (p Policy, refused, err error) {
	given := slices.Clone(module)
	p, refused, err = within(t, "load", func() (Policy, error) { return t.host.Load(given) })
	if err != nil {
		return nil, nil, err
	}
	if !slices.Equal(given, module) {
		return nil, nil, fmt.Errorf("load: the host changed the module")
	}
	if refused == nil {
		t.loaded = append(t.loaded, p)
	}
	return p, refused, nil
}

// load loads a module that a host must take.
func (t *trial) load(module []byte) (Policy, error) {
	p, refused, err := t.try(module)
	if err == nil && refused != nil {
		err = fmt.Errorf("load: refused, and should not be: %w", refused)
	}
	return p, err
}

// run runs a policy once. failed is why the run failed; err is that it could not be tried.
func (t *trial) run(p Policy, ph abi.Phase, x Exchange) (o Outcome, failed, err error) {
	if x.Policy == "" {
		x.Policy = policyName
	}
	what := "run in phase " + ph.String()
	runs, _, err := within(t, "runs", func() (bool, error) { return p.Runs(x.Policy, ph), nil })
	if err == nil && !runs {
		err = fmt.Errorf("%s: the host does not run it in this phase", what)
	}
	if err != nil {
		return o, nil, err
	}
	o, failed, err = within(t, what, func() (Outcome, error) { return p.Run(ph, x) })
	if err == nil && failed != nil && len(o.Edits) != 0 {
		err = fmt.Errorf("%s: it failed (%w), and %d of its edits are carried out", what, failed, len(o.Edits))
	}
	return o, failed, err
}

// runsIn wants the host to run the policy in a phase, or not to.
func (t *trial) runsIn(p Policy, name string, ph abi.Phase, want bool) error {
	runs, _, err := within(t, "runs", func() (bool, error) { return p.Runs(name, ph), nil })
	switch {
	case err != nil:
		return err
	case runs != want:
		return fmt.Errorf("whether the host runs %s in phase %v: %v, want %v", name, ph, runs, want)
	case runs:
		return t.do(p, step{phase: ph, in: Exchange{Policy: name}, log: []string{"1 " + ph.String()}})
	}
	return nil
}

func (t *trial) close() error {
	if t.hangs {
		return nil
	}
	for _, p := range t.loaded {
		_, failed, err := within(t, "close", func() (struct{}, error) { return struct{}{}, p.Close() })
		if err == nil {
			err = failed
		}
		if err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

// A step is one run and what it must leave.
type step struct {
	phase abi.Phase
	in    Exchange
	fails bool       // the run must fail; otherwise it must not
	log   []string   // level, space, text; not looked at if the run fails
	edits []abi.Edit // exactly
	check func(Outcome) error
}

// do runs the step.
func (t *trial) do(p Policy, s step) error {
	o, failed, err := t.run(p, s.phase, s.in)
	switch {
	case err != nil:
		return err
	case s.fails && failed == nil:
		return fmt.Errorf("the run succeeded, and must fail; its log is %q", lines(o))
	case s.fails:
		return nil
	case failed != nil:
		return fmt.Errorf("the run failed, and must not: %w", failed)
	case s.check != nil:
		return s.check(o)
	}
	if got := lines(o); !slices.Equal(got, s.log) {
		return fmt.Errorf("the log is %s, want %s", show(got), show(s.log))
	}
	if !slices.Equal(o.Edits, s.edits) {
		return fmt.Errorf("the edits are %s, want %s", show(o.Edits), show(s.edits))
	}
	return nil
}

// lines are the log as step has it.
func lines(o Outcome) []string {
	var out []string
	for _, l := range o.Log {
		out = append(out, fmt.Sprintf("%d %s", l.Level, l.Text))
	}
	return out
}

// show is a value in few words.
func show[V any](v []V) string {
	s := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%q", any(v)), "["), "]")
	if len(s) > 400 {
		s = s[:400] + "..."
	}
	return fmt.Sprintf("%d: %s", len(v), s)
}

// plays loads the module once and runs the steps on it.
func plays(module []byte, steps ...step) func(*trial) error {
	return func(t *trial) error {
		p, err := t.load(module)
		if err != nil {
			return err
		}
		for i, s := range steps {
			if err := t.do(p, s); err != nil {
				return fmt.Errorf("run %d of %d, in phase %v: %w", i+1, len(steps), s.phase, err)
			}
		}
		return nil
	}
}

// refused wants the host not to take the module.
func refused(module []byte) func(*trial) error {
	return func(t *trial) error {
		_, refused, err := t.try(module)
		if err == nil && refused == nil {
			err = fmt.Errorf("load: the host takes it, and must refuse it")
		}
		return err
	}
}

// taken wants the host to take the module and to run it without a word.
func taken(module []byte) func(*trial) error { return plays(module, step{phase: abi.OnResponse}) }

// never wants the module not to get as far as the end of a run: it may be
// refused, or its run fail.
func never(module []byte) func(*trial) error {
	return func(t *trial) error {
		p, refused, err := t.try(module)
		if err != nil || refused != nil {
			return err
		}
		return t.do(p, step{phase: abi.OnResponse, fails: true})
	}
}

// both tries one thing after the other.
func both(all ...func(*trial) error) func(*trial) error {
	return func(t *trial) error {
		for _, f := range all {
			if err := f(t); err != nil {
				return err
			}
		}
		return nil
	}
}

package engine_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// A clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// moody returns a module that traps if the key "k" has a value.
func moody() *builder {
	b := guest(0, args(0, 1, 100, 50), call(0), i64(0), []byte{0x55, 0x04, 0x40}, unreachable, []byte{0x0b}) // > 0
	b.text(0, "k")
	return b
}

func TestSuspension(t *testing.T) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	m := load(t, start(t, engine.Config{Now: c.Now}), moody().bytes())
	well, ill := &exchange{}, &exchange{values: map[string]string{"k": "v"}}
	run := func(x *exchange) error { return m.Run(context.Background(), abi.OnResponse, x) }
	suspended := func(want time.Duration) {
		t.Helper()
		wantFault(t, run(well), engine.FaultSuspended, "failed too often")
		s := m.State()
		if !s.Suspended || s.Until.Sub(c.Now()) != want {
			t.Fatalf("suspended %v for %v, want %v", s.Suspended, s.Until.Sub(c.Now()), want)
		}
	}
	// Failing every other time is not enough, nor is failing 19 times.
	for range 40 {
		if err := run(well); err != nil {
			t.Fatal(err)
		}
		wantFault(t, run(ill), engine.FaultTrap, "")
	}
	if s := m.State(); s.Suspended || s.Runs != 80 || s.Failures[engine.FaultTrap] != 40 || s.Fuel == 0 {
		t.Fatalf("after 40 failures in 80 runs: %+v", s)
	}
	wantFault(t, run(ill), engine.FaultTrap, "")
	suspended(time.Second)

	// Each trial that fails doubles the time, up to five minutes.
	for _, want := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		c.pass(m.State().Until.Sub(c.Now()) - 1)
		wantFault(t, run(ill), engine.FaultSuspended, "")
		c.pass(1)
		wantFault(t, run(ill), engine.FaultTrap, "")
		suspended(want * time.Second)
	}
	// One that goes well ends it, and failures are counted anew.
	c.pass(5 * time.Minute)
	for range 10 {
		if err := run(well); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.State(); s.Suspended || !s.Until.IsZero() {
		t.Fatalf("after a trial that went well: %+v", s)
	}
	// It falls ill again soon: the time goes on where it was. Much later, it begins anew.
	for _, pause := range []struct{ well, want time.Duration }{{time.Minute, 5 * time.Minute}, {time.Hour, time.Second}} {
		c.pass(pause.well)
		for range 19 {
			wantFault(t, run(ill), engine.FaultTrap, "")
		}
		for !m.State().Suspended {
			wantFault(t, run(ill), engine.FaultTrap, "")
		}
		suspended(pause.want)
		c.pass(pause.want)
		if err := run(well); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSuspensionLetsOneTry holds a trial up while others come.
func TestSuspensionLetsOneTry(t *testing.T) {
	c := &clock{now: time.Unix(1000, 0)}
	m := load(t, start(t, engine.Config{Now: c.Now, Suspension: engine.Suspension{Failures: 1}}), echo().bytes())
	values := map[string]string{"k": "v"}
	ctx := context.Background()
	bad := load(t, start(t, engine.Config{Now: c.Now, Suspension: engine.Suspension{Failures: 1}}), guest(0, forever).bytes())
	wantFault(t, bad.Run(ctx, abi.OnResponse, &exchange{}), engine.FaultFuel, "")
	wantFault(t, bad.Run(ctx, abi.OnResponse, &exchange{}), engine.FaultSuspended, "")

	// A host's fault does not count.
	broken := &exchange{answer: func(abi.Edit) abi.Refusal { panic("broken") }, values: values}
	for range 3 {
		wantFault(t, m.Run(ctx, abi.OnResponse, broken), engine.FaultHost, "broken")
	}
	if m.State().Suspended {
		t.Error("suspended for what the host did")
	}
	c.pass(time.Hour)
	var began, refused atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var f *engine.Fault
			err := bad.Run(ctx, abi.OnResponse, &exchange{})
			switch {
			case !errors.As(err, &f):
				t.Errorf("got %v", err)
			case f.Kind == engine.FaultFuel:
				began.Add(1)
			case f.Kind == engine.FaultSuspended:
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if began.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d runs tried it, %d were refused", began.Load(), refused.Load())
	}
}

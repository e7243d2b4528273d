package engine_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// latencies runs a good module now and then for a while, as visitors come, and
// returns how long each run took from the moment it was due.
func latencies(t *testing.T, m *engine.Module, for_ time.Duration) []time.Duration {
	t.Helper()
	var took []time.Duration
	h := &quiet{value: []byte("v")}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < for_; {
		due := <-tick.C
		if err := m.Run(context.Background(), abi.OnResponse, h); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(due))
	}
	slices.Sort(took)
	return took
}

// TestNeighbours has every processor busy with requests for policies that never
// end or always trap, and watches a good one beside them. The bad ones are
// suspended, so for most of the time there is nothing to be seen of them.
func TestNeighbours(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of -short: it watches a policy beside bad ones for seven seconds")
	}
	e := start(t, engine.Config{})
	good := load(t, e, large(echo()).bytes())
	alone := latencies(t, good, time.Second)

	bad := []*engine.Module{load(t, e, guest(0, forever).bytes()), load(t, e, guest(0, unreachable).bytes())}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, m := range bad {
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					var f *engine.Fault
					if err := m.Run(context.Background(), abi.OnResponse, &quiet{}); !errors.As(err, &f) {
						t.Errorf("a bad policy: %v", err)
						return
					}
					time.Sleep(time.Millisecond) // the next request
				}
			})
		}
	}
	onset := latencies(t, good, 3*time.Second)
	for begin := time.Now(); !bad[0].State().Suspended || !bad[1].State().Suspended; time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the bad ones are not suspended")
		}
	}
	beside := latencies(t, good, 3*time.Second)
	close(stop)
	wg.Wait()
	at := func(l []time.Duration, percent int) time.Duration { return l[len(l)*percent/100] }
	t.Logf("alone:  p50 %v p99 %v of %d", at(alone, 50), at(alone, 99), len(alone))
	t.Logf("onset:  p50 %v p99 %v of %d, until they are suspended", at(onset, 50), at(onset, 99), len(onset))
	t.Logf("beside: p50 %v p99 %v of %d", at(beside, 50), at(beside, 99), len(beside))
	for _, m := range bad {
		t.Logf("bad: %v", m.State().Failures)
	}
	most := 10*at(alone, 50) + 5*time.Millisecond
	if p := at(beside, 50); p > most {
		t.Errorf("the median run took %v beside bad policies, %v alone", p, at(alone, 50))
	}
	// With one processor there is none to leave to others.
	if p := at(onset, 50); p > most && runtime.GOMAXPROCS(0) > 1 {
		t.Errorf("the median run took %v before they were suspended, %v alone", p, at(alone, 50))
	}
}

package engine

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestSlots has goroutines take and give slots; no two may hold the same.
func TestSlots(t *testing.T) {
	s := newSlots(3)
	var holders [3]atomic.Int32
	var none atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 20_000 {
				i := s.take()
				if i < 0 {
					none.Add(1)
					continue
				}
				if holders[i].Add(1) != 1 {
					t.Error("two hold one slot")
				}
				if n%3 == 0 {
					s.held[i] = &instance{}
				} else {
					s.held[i] = nil
				}
				holders[i].Add(-1)
				s.give(i)
			}
		})
	}
	wg.Wait()
	if got, all := s.drain(nil); !all || len(got) != 3 {
		t.Errorf("in the end %v are free", got)
	}
	if i := s.take(); i != -1 {
		t.Errorf("took slot %d of none", i)
	}
}

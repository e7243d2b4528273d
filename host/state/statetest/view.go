package statetest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

func (s *suite) viewFollows() {
	s.set("b", "t.before", "1")
	v := s.view("b")
	s.wantView(v, "t.before", "1")
	s.wantView(v, "t.none", "")
	if s.store.View("b") != v {
		s.Error("a second view of one bucket")
	}
	s.set("b", "t.before", "2")
	s.wantView(v, "t.before", "2")
	s.ok(s.store.Delete(s.ctx(), "b", "t.before"))
	s.wantView(v, "t.before", "")
	s.set("b", "t.before", "3")
	s.wantView(v, "t.before", "3")
	s.reopen()
	s.wantView(s.view("b"), "t.before", "3")
}

// viewHasAcknowledged sees that whoever has an acknowledgement finds what was
// acknowledged, at once and from then on, also while the view is loading.
func (s *suite) viewHasAcknowledged() {
	for i := range 200 {
		s.set("b", fmt.Sprint("t.old.", i), "x")
	}
	s.reopen()
	v := s.store.View("b") // loading now
	for i := range 200 {
		key := fmt.Sprint("t.", i%10)
		if i%7 == 3 {
			s.ok(s.store.Delete(s.ctx(), "b", key))
			s.wantView(v, key, "")
			continue
		}
		value := fmt.Sprint("value ", i)
		s.set("b", key, value)
		s.wantView(v, key, value)
	}
	s.ok(v.Wait(s.ctx()))
	for i := 190; i < 200; i++ {
		want := fmt.Sprint("value ", i)
		if i%7 == 3 {
			want = ""
		}
		s.wantView(v, fmt.Sprint("t.", i%10), want)
	}
}

// viewUnderWriters sees that a view never goes back.
func (s *suite) viewUnderWriters() {
	v := s.view("b")
	ctx := s.ctx()
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			// A pace, as a reader that spins keeps a processor from the store.
			pace := time.NewTicker(50 * time.Microsecond)
			defer pace.Stop()
			for last := uint64(0); ; {
				b, _ := v.Get("t.sum")
				if n := number(b); n < last {
					s.Errorf("%d after %d", n, last)
					return
				} else {
					last = n
				}
				select {
				case <-done:
					return
				case <-pace.C:
				}
			}
		})
	}
	for range 4 {
		writers.Go(func() {
			for range 50 {
				var wrote uint64
				if err := s.store.Update(ctx, "b", "t.sum", func(old []byte) ([]byte, error) {
					wrote = number(old) + 1
					return binary.BigEndian.AppendUint64(nil, wrote), nil
				}); err != nil {
					s.Error(err)
				}
				if b, _ := v.Get("t.sum"); number(b) < wrote {
					s.Errorf("the view has %d after %d was acknowledged", number(b), wrote)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if b, _ := v.Get("t.sum"); number(b) != 200 {
		s.Errorf("%d after 200 additions", number(b))
	}
}

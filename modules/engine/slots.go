package engine

import "sync/atomic"

// slots holds the instances of one module. Who has a slot has its instance to
// itself, so there are never more runs than slots.
//
// Taking and giving are one compare-and-swap on a stack without a lock
// (R. K. Treiber, 1986). Last in is first out: the instance that is still in
// the processor's cache is used again, and those that only a burst needed stay
// untouched.
type slots struct {
	ready stack // slots with an instance
	empty stack // slots without
	next  []atomic.Uint32
	held  []*instance // by slot; the holder's of the slot
}

// A stack is the head of a list through next: the slot's number plus one in
// the low half, and in the high half a count of changes, so that a head that
// went and came back is seen to have changed.
type stack struct {
	head atomic.Uint64
	_    [56]byte // the two heads are not in one cache line
}

func newSlots(n int) *slots {
	s := &slots{next: make([]atomic.Uint32, n), held: make([]*instance, n)}
	for i := n - 1; i >= 0; i-- {
		s.push(&s.empty, i)
	}
	return s
}

// take returns a slot, one with an instance if there is any; -1: all are taken.
func (s *slots) take() int {
	if i := s.pop(&s.ready); i >= 0 {
		return i
	}
	return s.pop(&s.empty)
}

// give gives slot i back with what it now holds.
func (s *slots) give(i int) {
	if s.held[i] != nil {
		s.push(&s.ready, i)
	} else {
		s.push(&s.empty, i)
	}
}

func (s *slots) pop(from *stack) int {
	for {
		h := from.head.Load()
		if uint32(h) == 0 {
			return -1
		}
		i := int(uint32(h)) - 1
		if from.head.CompareAndSwap(h, (h>>32+1)<<32|uint64(s.next[i].Load())) {
			return i
		}
	}
}

func (s *slots) push(to *stack, i int) {
	for {
		h := to.head.Load()
		s.next[i].Store(uint32(h))
		if to.head.CompareAndSwap(h, (h>>32+1)<<32|uint64(i+1)) {
			return
		}
	}
}

// drain takes every slot that is free into got, and reports whether these are all.
func (s *slots) drain(got []int) ([]int, bool) {
	for {
		i := s.take()
		if i < 0 {
			return got, len(got) == len(s.held)
		}
		got = append(got, i)
	}
}

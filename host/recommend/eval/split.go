package eval

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A session is what is left of one: its items in order, without immediate repeats.
type session struct {
	items []uint32
	times []int64 // milliseconds, one for each item
}

func (s *session) end() int64 { return s.times[len(s.times)-1] }

// A Split is a log cut in two.
type Split struct {
	train, test []session // by the time at which they ended
	items       []string
	trainItems  int // how many items are in train
	trainEvents int
	predictions int
}

// Split cuts a log: sessions that ended in its last days are the test, the others
// are learned. Immediate repeats count once; items of the test that were not
// learned, and then sessions of one item, are left out.
func (l *Log) Split(days float64) (*Split, error) {
	if !(days > 0 && days <= 3650) {
		return nil, fmt.Errorf("%v days of test: more than 0, and at most 3650, may be", days)
	}
	events := slices.Clone(l.events)
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.ms, b.ms))
	})
	s := &Split{items: l.items}
	var all []session
	last := int64(0)
	for i := 0; i < len(events); {
		j := i
		for j < len(events) && events[j].session == events[i].session {
			j++
		}
		one := collapse(events[i:j], func(uint32) bool { return true })
		last = max(last, events[j-1].ms)
		if len(one.items) > 1 {
			all = append(all, one)
		}
		i = j
	}
	slices.SortStableFunc(all, func(a, b session) int { return cmp.Compare(a.end(), b.end()) })
	cut := last - int64(days*86400_000)
	first, _ := slices.BinarySearchFunc(all, cut, func(s session, at int64) int {
		if s.end() <= at {
			return -1
		}
		return 1
	})
	s.train = all[:first]
	known := map[uint32]bool{}
	for _, t := range s.train {
		s.trainEvents += len(t.items)
		for _, item := range t.items {
			known[item] = true
		}
	}
	s.trainItems = len(known)
	for _, t := range all[first:] {
		var left []event
		for i, item := range t.items {
			left = append(left, event{0, item, t.times[i]})
		}
		if one := collapse(left, func(i uint32) bool { return known[i] }); len(one.items) > 1 {
			s.test = append(s.test, one)
			s.predictions += len(one.items) - 1
		}
	}
	switch {
	case len(s.train) == 0:
		return nil, errors.New("all sessions with more than one item ended in the days of the test: nothing is left to learn")
	case s.predictions == 0:
		return nil, errors.New("in the days of the test no session has two items that were there before")
	}
	return s, nil
}

// collapse makes a session of events in order, of the items that are kept.
func collapse(events []event, keep func(uint32) bool) session {
	var s session
	for _, e := range events {
		if n := len(s.items); keep(e.item) && (n == 0 || s.items[n-1] != e.item) {
			s.items, s.times = append(s.items, e.item), append(s.times, e.ms)
		}
	}
	return s
}

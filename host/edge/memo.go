package edge

import (
	"hash/maphash"
	"sync/atomic"
)

// A memo keeps results of a function whose result depends on its key alone. Each key has one
// slot, which the next key of that slot takes over, so it is bounded whatever visitors
// send. It is safe for concurrent use; what it holds must not be changed.
type memo[K comparable, V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[remembered[K, V]] // a power of two
}

type remembered[K comparable, V any] struct {
	key   K
	value V
}

func newMemo[K comparable, V any](slots int) *memo[K, V] {
	return &memo[K, V]{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[remembered[K, V]], slots)}
}

// of returns what is remembered of key, or what f makes of it.
func (m *memo[K, V]) of(key K, f func() V) *V {
	slot := &m.slots[maphash.Comparable(m.seed, key)&uint64(len(m.slots)-1)]
	if r := slot.Load(); r != nil && r.key == key {
		return &r.value
	}
	r := &remembered[K, V]{key, f()}
	slot.Store(r)
	return &r.value
}

package state

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A View is a bucket in memory, fed by the store. It answers at once, whatever
// the store does, from what it knows.
type View struct {
	store  *Store
	bucket string

	mu      sync.RWMutex // owns what follows
	entries map[Key]entry
	next    map[Key]entry // what is being loaded, nil if nothing is
	ready   bool          // entries have been complete once
	err     error         // why entries may be behind, nil if they are not
	changed chan struct{} // closed when ready or err changes
}

// An entry is a value with its revision. A deleted one stays, without a value,
// until the store itself says that it is gone: what was written before the
// deletion may still be on its way here.
type entry struct {
	value []byte
	rev   uint64
	gone  bool
}

var errLoading = errors.New("the view is loading")

func newView(s *Store, bucket string) *View {
	return &View{
		store: s, bucket: bucket, entries: make(map[Key]entry),
		err: errLoading, changed: make(chan struct{}),
	}
}

// Get returns the value of a key. Nobody may change its bytes.
//
// An empty value, which cannot be written, stands for one that does not open
// (see [ErrUnreadable]): there is something, and nothing may be assumed of it.
// Until the view is ready, every key is absent.
func (v *View) Get(key Key) (value []byte, ok bool) {
	v.mu.RLock()
	e, ok := v.entries[key]
	v.mu.RUnlock()
	return e.value, ok && !e.gone
}

// Ready says whether the view has been complete once, so that an absent key means
// that there is no value.
func (v *View) Ready() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.ready
}

// Stale says why the view may not have the latest: it is loading, or the store
// cannot be reached. It is nil for a view that is fed. What this store's own
// Update and Delete acknowledged, the view has in either case.
func (v *View) Stale() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.err
}

// Wait waits until the view is ready and fed, or ctx or the store ends.
func (v *View) Wait(ctx context.Context) error {
	for {
		v.mu.RLock()
		err, changed := v.err, v.changed
		v.mu.RUnlock()
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-v.store.life.Done():
			return fmt.Errorf("wait for bucket %s: %w", v.bucket, ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("wait for bucket %s: %w (%w)", v.bucket, ctx.Err(), err)
		}
	}
}

// run feeds the view until the store is closed.
func (v *View) run() {
	for {
		err := v.follow(v.store.life)
		if v.store.life.Err() != nil {
			err = ErrClosed
		}
		v.fail(err)
		t := time.NewTimer(v.store.retry)
		select {
		case <-v.store.life.Done():
			t.Stop()
			v.fail(ErrClosed)
			return
		case <-t.C:
		}
	}
}

// fail notes why nothing feeds the view now.
func (v *View) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next = nil
	v.set(err)
}

// set has v.mu.
func (v *View) set(err error) {
	v.err = err
	close(v.changed)
	v.changed = make(chan struct{})
}

// follow loads everything and then takes what comes, until the link ends. It
// always loads everything: deletion marks expire, so what happened in between
// cannot be caught up with.
func (v *View) follow(ctx context.Context) error {
	l, err := v.store.live(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	in, done := l.during(ctx)
	b, err := l.bucket(in, v.store, v.bucket)
	done()
	if err != nil {
		return unavailable(err)
	}
	v.mu.Lock()
	v.next = make(map[Key]entry)
	v.mu.Unlock()
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer w.Stop()
	err = v.take(ctx, w)
	if l.ctx.Err() != nil {
		return unavailable(context.Cause(l.ctx))
	}
	// Without the watch this link is of no use to the view. A new one may be.
	l.fail(err)
	return unavailable(err)
}

// loadTime bounds the wait for the next entry while loading.
const loadTime = 10 * time.Second

// take reads a watch to its end.
func (v *View) take(ctx context.Context, w jetstream.KeyWatcher) error {
	idle := time.NewTimer(loadTime)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-idle.C:
			return fmt.Errorf("loading bucket %s: nothing came for %v", v.bucket, loadTime)
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("the watch ended")
			case e == nil:
				idle.Stop()
				v.loaded()
			default:
				v.feed(e)
				if v.loading() {
					idle.Reset(loadTime)
				}
			}
		}
	}
}

func (v *View) loading() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.next != nil
}

// loaded makes what was loaded what is answered.
func (v *View) loaded() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next != nil {
		v.entries, v.next = v.next, nil
	}
	v.ready = true
	v.set(nil)
}

// feed takes an entry that the store sent.
func (v *View) feed(e jetstream.KeyValueEntry) {
	n := entry{rev: e.Revision(), gone: e.Operation() != jetstream.KeyValuePut}
	if !n.gone {
		value, err := v.store.seal.open(v.bucket, e.Key(), e.Value())
		if err != nil {
			value = []byte{} // see Get
			v.store.log.Debug("state: a value does not open", "bucket", v.bucket)
		}
		n.value = value
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.entries
	if v.next != nil {
		m = v.next
	}
	if old, ok := m[e.Key()]; ok && old.rev > n.rev {
		return // told of something newer already
	}
	if n.gone {
		delete(m, e.Key()) // nothing older can follow
		return
	}
	m[e.Key()] = n
}

// told takes what this store itself wrote or read; nil means deleted.
func (v *View) told(key Key, value []byte, rev uint64) {
	if rev == 0 {
		return
	}
	n := entry{value: value, rev: rev, gone: value == nil}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range []map[Key]entry{v.entries, v.next} {
		if old, ok := m[key]; m != nil && (!ok || old.rev < rev) {
			m[key] = n
		}
	}
}

// Package state keeps what has to outlive the process: the choices of subjects
// that a tenant knows, and little else. A Store holds small values under keys,
// in buckets, on NATS JetStream: embedded in the process ([Open]), or a cluster
// elsewhere ([OpenURL]) with the same code behind it.
//
// Call [Open] when the first known subject appears, and not before: it takes
// tens of milliseconds and some ten megabytes. Then [Store.Subject] names a key,
// [Store.Update] changes what it holds, and [Store.View] is what a request reads.
// A [Slot] is apart from all this: one public value on a cluster elsewhere.
//
// Three promises, each under test:
//
//   - What Update and Delete acknowledged survives kill -9 and, as far as the
//     disk tells the truth about fsync, a loss of power. An error means that the
//     key holds the old value or the new one, never a part of either.
//   - The request path waits for nothing: a View answers from memory, also while
//     the store cannot be reached, and says that it is stale.
//   - The store sees neither names nor values: a subject is an HMAC, a value is
//     sealed with AES-256-GCM to its bucket and key.
//
// What it never does: list subjects, answer queries, expire values, or log keys
// and values. It does not defend against somebody who can write the store's
// files and puts back an older state of them.
package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// A Key names a value in a bucket: 1 to 256 letters, digits and -_=/ in
// parts divided by dots. [Store.Subject] makes keys that say nothing about whom
// they are for.
type Key = string

// Options of a Store. Only Key has no default.
type Options struct {
	// Key seals the values and hides the subjects' names. Another key cannot
	// read the store. It must not be zero.
	Key [32]byte
	// MaxBytes is how much a bucket holds, sealed values with their keys and
	// some 150 bytes each; 0 means 64 MiB. Views keep all of it in memory.
	MaxBytes int64
	// Replicas is how many servers of an external cluster keep a bucket that
	// is made there; 0 means 1.
	Replicas int
	// Log gets, at level debug, what the server says; nil for nowhere.
	Log *slog.Logger
}

// Limits, in bytes.
const (
	// MaxValue is the longest value.
	MaxValue = 64 << 10

	defaultMaxBytes = 64 << 20
	maxKey          = 256
	maxBucket       = 32
)

// Faults that a caller may want to tell apart.
var (
	// ErrUnavailable is returned when the store cannot do its work now: the
	// disk is full, the cluster is away. The error wraps the system's own
	// (syscall.ENOSPC) where there is one. Whether the write was kept is not
	// known; a later call finds out. The store heals when the cause is gone.
	ErrUnavailable = errors.New("the store is not available")
	// ErrFull is returned for a key that the bucket has no room for. Keys that
	// it has can still be changed and deleted.
	ErrFull = errors.New("the bucket is full")
	// ErrUnreadable is returned for a value that does not open: damaged, or
	// sealed under another key. Only Delete takes it away.
	ErrUnreadable = errors.New("the value does not open")
	// ErrConflict is returned by an Update that lost to others every time.
	ErrConflict = errors.New("others changed the value each time")
	// ErrInUse is returned by Open when another process, or another Store of
	// this one, has the folder.
	ErrInUse = errors.New("the state folder is in use")
	// ErrForeign is returned for a folder that is not a store of this kind.
	ErrForeign = errors.New("not a state folder of this program")
	// ErrOtherKey is returned for a store that was made with another key.
	ErrOtherKey = errors.New("the store was made with another key")
	// ErrCorrupt is returned by Open for a store that has lost something that
	// was acknowledged. Nothing is changed then, so that it can be looked at.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the store is closed")
)

// Times. All are far above what a healthy store needs.
const (
	opTime    = 5 * time.Second         // one exchange with the store
	dialTime  = 1500 * time.Millisecond // to one server of a cluster
	closeTime = 2 * time.Second
	// retryTime is how soon after a failure the store is tried again. Until
	// then calls fail at once, so that a full disk costs an attacker's requests
	// nothing.
	retryTime = time.Second
	// markerTime is how long the mark stays that tells other edges of a
	// deletion. Edges that were away for longer load everything again.
	markerTime = 24 * time.Hour
	maxTries   = 64 // of one Update against others
)

// A Store is open until Close. It is safe for concurrent use.
type Store struct {
	opt  Options
	seal *sealer
	log  *slog.Logger
	dial func(context.Context) (*link, error) // a new way to the data
	free func() error                         // gives up the folder

	retry  time.Duration
	marker time.Duration

	life context.Context // ends with Close
	end  context.CancelFunc

	turn   chan struct{} // holds one token: who has it owns link, failed and cause
	link   *link         // the last one; may be down
	failed time.Time     // when dial failed last
	cause  error         // why

	mu     sync.Mutex // owns views and closed
	views  map[string]*View
	closed bool
	work   sync.WaitGroup // goroutines of views
}

// Open opens the store in the folder dir, which it makes if there is none. The
// folder is the store's alone. It returns when everything in it has been checked.
func Open(dir string, opt Options) (*Store, error) {
	s, err := newStore(opt)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(dir, s.seal.fingerprint)
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", dir, err)
	}
	s.free = f.close
	s.dial = func(ctx context.Context) (*link, error) { return s.embed(ctx, f) }
	return s.start("open state in " + dir)
}

// OpenURL opens a store on an external cluster: one or more nats:// or tls://
// addresses, divided by commas, with the credentials in them. What Update
// acknowledged is as durable there as the cluster keeps it: set sync_interval to
// always on its servers.
func OpenURL(url string, opt Options) (*Store, error) {
	s, err := newStore(opt)
	if err != nil {
		return nil, err
	}
	s.free = func() error { return nil }
	s.dial = func(ctx context.Context) (*link, error) { return connect(ctx, url) }
	return s.start("open state on a NATS cluster")
}

func newStore(opt Options) (*Store, error) {
	if opt.MaxBytes == 0 {
		opt.MaxBytes = defaultMaxBytes
	}
	if opt.MaxBytes < MaxValue || opt.MaxBytes > 1<<40 {
		return nil, fmt.Errorf("open state: a bucket of %d bytes: want %d to %d", opt.MaxBytes, int64(MaxValue), int64(1<<40))
	}
	if opt.Replicas < 0 || opt.Replicas > 5 {
		return nil, fmt.Errorf("open state: %d replicas: want 1 to 5", opt.Replicas)
	}
	seal, err := newSealer(opt.Key)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Store{
		opt: opt, seal: seal, log: opt.Log, retry: retryTime, marker: markerTime,
		turn: make(chan struct{}, 1), views: make(map[string]*View),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.turn <- struct{}{}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// start makes the first link.
func (s *Store) start(what string) (*Store, error) {
	if _, err := s.live(s.life); err != nil {
		s.end()
		return nil, fmt.Errorf("%s: %w", what, errors.Join(err, s.free()))
	}
	return s, nil
}

// Subject returns the key of a tenant's subject: the tenant's name and an HMAC
// of both. The store never sees the subject's name, and the same person has
// unrelated keys with two tenants.
func (s *Store) Subject(tenant, subject string) Key { return s.seal.subject(tenant, subject) }

// Get returns the value of a key and its revision, which grows with every write
// to the bucket. The value is nil and ok false where there is none.
func (s *Store) Get(ctx context.Context, bucket string, key Key) (value []byte, rev uint64, ok bool, err error) {
	err = s.do(ctx, bucket, key, "get from", func(ctx context.Context, b *bucketLink) error {
		value, rev, err = s.get(ctx, b, key)
		return err
	})
	return value, rev, value != nil, err
}

// Update replaces the value of a key by what fn makes of it, durably and for all:
// when it returns, this store's views have it, and no crash takes it back. fn gets
// nil where there is no value. It is called again when somebody else changed the
// value meanwhile, so it must depend on nothing else. A nil or equal result
// changes nothing; an empty one is an error, as is one beyond [MaxValue]. After an
// error that is not fn's, nor of the value, nor [ErrFull], the write may have been
// kept or not; so it may after ctx ends.
func (s *Store) Update(ctx context.Context, bucket string, key Key, fn func(old []byte) (new []byte, err error)) error {
	return s.do(ctx, bucket, key, "update", func(ctx context.Context, b *bucketLink) error {
		for try := range maxTries {
			old, rev, err := s.get(ctx, b, key)
			if err != nil {
				return err
			}
			value, err := fn(bytes.Clone(old))
			switch {
			case err != nil:
				return final{err}
			case value == nil, old != nil && bytes.Equal(value, old):
				if old != nil {
					s.tell(bucket, key, old, rev)
				}
				return nil
			case len(value) == 0 || len(value) > MaxValue:
				return final{fmt.Errorf("a value of %d bytes: want 1 to %d", len(value), MaxValue)}
			}
			// A copy now: fn may go on to use what it returned.
			value = bytes.Clone(value)
			rev, err = s.put(ctx, b, key, value, old, rev)
			if err == nil {
				s.tell(bucket, key, value, rev)
				return nil
			}
			if !errors.Is(err, errLost) {
				return err
			}
			if err := pause(ctx, try); err != nil {
				return err
			}
		}
		return final{ErrConflict}
	})
}

// pause waits a random while, longer with each try up to 16 ms, so that writers
// of one key do not keep step.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 4)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Delete erases the value of a key, durably and for all, as Update changes it. No
// earlier value can be read through the store any more, by anybody. For a day a
// mark with the key, but no value, tells other edges.
//
// The files are another matter. JetStream appends, so that sealed bytes of
// deleted and of replaced values lie in the folder until the block that they are
// in has more waste than content and is written anew; a small store may never
// come to that. They are no use without Options.Key: whoever must destroy them
// destroys the key, or the folder.
func (s *Store) Delete(ctx context.Context, bucket string, key Key) error {
	return s.do(ctx, bucket, key, "delete from", func(ctx context.Context, b *bucketLink) error {
		rev, err := s.erase(ctx, b, key)
		if err != nil {
			return err
		}
		s.tell(bucket, key, nil, rev)
		return nil
	})
}

// tell passes what was written to the view of the bucket, if there is one, which
// would learn it from the store a little later: whoever has the acknowledgement
// must see what was acknowledged. A nil value means deleted.
func (s *Store) tell(bucket string, key Key, value []byte, rev uint64) {
	s.mu.Lock()
	v := s.views[bucket]
	s.mu.Unlock()
	if v != nil {
		v.told(key, value, rev)
	}
}

// View returns the view of a bucket, which begins to load when it is first asked
// for. There is one per bucket; it ends with the store.
func (s *Store) View(bucket string) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[bucket]
	if v != nil {
		return v
	}
	v = newView(s, bucket)
	s.views[bucket] = v
	switch {
	case s.closed:
		v.fail(ErrClosed)
	default:
		if err := checkBucket(bucket); err != nil {
			v.fail(err)
			break
		}
		s.work.Go(v.run)
	}
	return v
}

// Close ends the views, which go on answering from memory, and the connection or
// the embedded server. It returns within two seconds; after that it is an error
// and the folder stays locked until the process ends.
func (s *Store) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	s.end()
	done := make(chan error, 1)
	go func() {
		s.work.Wait()
		<-s.turn // and never given back: nobody makes a link any more
		if s.link != nil {
			<-s.link.close(ErrClosed)
		}
		done <- s.free()
	}()
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("close state: the store has not stopped within %v", closeTime)
	}
}

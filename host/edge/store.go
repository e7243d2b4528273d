package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/modules/registry"
)

// A Store holds the policies that tenants uploaded, ready to run. It outlives
// configurations: an Edge is given one and does not close it. Uploads are
// changed through [Store.Registry]; each change is seen by every exchange that
// begins after it.
type Store struct {
	registry *registry.Registry
	engine   *engine.Engine
	limits   abi.Limits
	log      *slog.Logger
	cancel   func() // of the subscription

	modules sync.Map // storeKey -> *stored
	logs    sync.Map // logKey -> *ring
}

// A storeKey names a binary under a policy of a tenant. Two that have the same
// binary share nothing: the failures of one must not suspend the other, nor its
// deletion end it.
type storeKey struct {
	tenant, policy string
	digest         registry.Digest
}

// A stored is one uploaded binary, compiled when it is first wanted.
type stored struct {
	once     sync.Once
	module   *engine.Module // nil if it failed
	manifest *abi.Manifest
	reads    *readable // of the manifest
	page     bool      // reads the page
	err      error
	number   int         // of the version
	loaded   atomic.Bool // module is there, and what is above is not changed any more

	// Of runs in the shadow of another version.
	shadowed  atomic.Uint64
	different atomic.Uint64
}

// OpenStore opens the uploads in the state folder dir, and checks them with an
// engine of its own under limits.
func OpenStore(ctx context.Context, dir string, limits abi.Limits, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	eng, err := engine.New(ctx, engine.Config{CacheDir: filepath.Join(dir, "cache"), Limits: limits, Log: log})
	if err != nil {
		return nil, err
	}
	s := &Store{engine: eng, limits: limits.Or(abi.DefaultLimits), log: log}
	s.registry, err = registry.Open(dir, registry.Config{
		Check:  s.check,
		Limits: registry.Limits{BinaryBytes: limits.Or(abi.DefaultLimits).BinaryBytes},
	})
	if err != nil {
		return nil, errors.Join(err, eng.Close(ctx))
	}
	for _, fault := range s.registry.Faults() {
		log.LogAttrs(ctx, slog.LevelError, "uploaded policies", slog.String("error", fault.Error()))
	}
	s.cancel = s.registry.Subscribe(s.changed)
	return s, nil
}

// Registry returns the registry of what was uploaded.
func (s *Store) Registry() *registry.Registry { return s.registry }

// Close ends the store. No Edge that was given it may run any more.
func (s *Store) Close() error {
	s.cancel()
	return errors.Join(s.registry.Close(), s.engine.Close(context.Background()))
}

// check tells whether a binary may be uploaded: it is compiled and started once.
func (s *Store) check(binary []byte) (*registry.Info, error) {
	m, err := s.engine.Load(context.Background(), "upload", binary)
	if err != nil {
		return nil, err
	}
	defer m.Close(context.Background())
	manifests := m.Manifests()
	switch len(manifests) {
	case 0:
		return nil, nil
	case 1:
		return &registry.Info{Name: manifests[0].Name, Version: manifests[0].Version}, nil
	}
	return nil, fmt.Errorf("it carries %d policies; an upload carries one", len(manifests))
}

// changed readies what the next exchanges will want, before the one who changed
// it is told, and forgets what nobody can want any more.
func (s *Store) changed(c registry.Change) {
	switch c.Kind {
	case registry.Stage, registry.Activate, registry.Rollback:
		s.stored(c.Tenant, c.Policy.Name, c.Version)
	case registry.Delete:
		if e, ok := s.modules.LoadAndDelete(storeKey{c.Tenant, c.Policy.Name, c.Version.Digest}); ok {
			go e.(*stored).close() // waits for runs that began
		}
	}
}

func (e *stored) close() {
	e.once.Do(func() { e.err = errors.New("deleted") })
	if e.module != nil {
		e.module.Close(context.Background())
	}
}

// stored returns the compiled binary of a version.
func (s *Store) stored(tenant, policy string, v registry.Version) *stored {
	key := storeKey{tenant, policy, v.Digest}
	got, ok := s.modules.Load(key)
	if !ok {
		got, _ = s.modules.LoadOrStore(key, &stored{})
	}
	e := got.(*stored)
	e.once.Do(func() {
		code, err := s.registry.Binary(v.Digest)
		if err == nil {
			e.module, err = s.engine.Load(context.Background(), fmt.Sprintf("%s/%s@%d", tenant, policy, v.Number), code)
		}
		if e.err = err; err != nil {
			s.log.LogAttrs(context.Background(), slog.LevelError, "uploaded policy cannot run", slog.String("tenant", tenant),
				slog.String("policy", policy), slog.Int("version", v.Number), slog.String("error", err.Error()))
			return
		}
		e.manifest = &abi.Manifest{Name: policy}
		if list := e.module.Manifests(); len(list) > 0 {
			e.manifest = &list[0]
		}
		e.reads = newReadable(e.manifest)
		e.page = readsFamily(e.manifest, abi.KeyPage)
		e.number = v.Number
		e.loaded.Store(true)
	})
	return e
}

// each hands every module that was wanted to do, as POLICY@VERSION.
func (s *Store) each(do func(tenant, name string, m *engine.Module)) {
	s.modules.Range(func(k, v any) bool {
		if e := v.(*stored); e.loaded.Load() {
			do(k.(storeKey).tenant, k.(storeKey).policy+"@"+strconv.Itoa(e.number), e.module)
		}
		return true
	})
}

// readsFamily reports whether a policy declares that it reads keys with a prefix.
func readsFamily(m *abi.Manifest, prefix string) bool {
	for key := range m.Reads {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// A pick is what runs for one use of a policy in one exchange.
type pick struct {
	module   *engine.Module // nil: nothing
	manifest *abi.Manifest
	reads    *readable // of the manifest
	digest   [16]byte  // of the module
	page     bool      // it reads the page
	version  int       // of an upload; 0 otherwise

	shadow        *stored // runs as well, and is only compared
	shadowVersion int
}

// pick chooses the version of an uploaded policy for the exchange that n stands
// for. version 0 is the active one, which a canary may stand in for.
func (s *Store) pick(tenant, policy string, version int, n uint64) (p pick) {
	var run registry.Version
	var ok bool
	if version != 0 {
		run, ok = s.registry.Version(tenant, policy, version)
		ok = ok && run.State != registry.Uploaded
	} else {
		run, ok = s.registry.Active(tenant, policy)
		if staged, how, is := s.registry.Staged(tenant, policy); is && how.Takes(n) {
			if how.Mode == registry.Canary {
				run, ok = staged, true
			} else if e := s.stored(tenant, policy, staged); e.module != nil {
				p.shadow, p.shadowVersion = e, staged.Number
			}
		}
	}
	if !ok {
		return p
	}
	e := s.stored(tenant, policy, run)
	p.module, p.manifest, p.reads, p.page, p.version = e.module, e.manifest, e.reads, e.page, run.Number
	p.digest = shortDigest(run.Digest)
	return p
}

// shortDigest is the first half of a module's digest, by which records name it.
func shortDigest(d [32]byte) (short [16]byte) {
	copy(short[:], d[:])
	return short
}

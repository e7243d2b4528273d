// Package registry keeps the policies that tenants uploaded: their binaries by
// SHA-256, and for each name of a tenant its versions 1, 2, 3 and which of them
// is active, staged or retired.
//
// Call [Open] on the state folder, then [Registry.Upload] and
// [Registry.Activate]. The request path calls [Registry.Active] and
// [Registry.Staged], which take no lock and allocate nothing; what must follow
// a switch (loading the module) goes to [Registry.Subscribe].
//
// A version is uploaded, then checked; from there it may be staged (run beside
// the active one) and active (run for all), and is retired when another takes
// its place or by [Registry.Retire]. Each change is one file replaced whole: a
// crash at any moment leaves the state before it or the state after it, and a
// change that was reported done is there afterwards.
//
// The package never compiles or runs a module (what checks one is given to
// it), never chooses exchanges, and never touches a file outside the folder
// "policies" of the state folder:
//
//	policies/lock                   held by the process that has it open
//	policies/sha256/<hex>           a binary, under its digest
//	policies/tenants/<tenant>.json  what a tenant has; format 1, see index.go
package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/modules/abi"
)

// What a caller may want to tell apart, with errors.Is. The full message says
// what was tried, on what, and what would help.
var (
	ErrInvalid  = errors.New("invalid argument")
	ErrNotFound = errors.New("not found")
	ErrState    = errors.New("not possible in this state")
	ErrLimit    = errors.New("over the limit")
	ErrRefused  = errors.New("refused by the check")
	ErrDamaged  = errors.New("damaged file")
	ErrInUse    = errors.New("in use by another process")
	ErrClosed   = errors.New("registry is closed")
)

// Info is what a check found in a module: name and version of its manifest, of
// the first one if it carries several. Both may be empty.
type Info struct{ Name, Version string }

// Limits bound what a tenant may keep. The zero value of a field stands for its default.
type Limits struct {
	BinaryBytes int   // size of one binary; 16 MiB
	Policies    int   // names of one tenant; 64
	Versions    int   // versions of one name, retired ones included; 64
	TenantBytes int64 // all binaries of one tenant, each counted once; 256 MiB
}

// DefaultLimits are the limits for which nothing else is configured.
var DefaultLimits = Limits{
	BinaryBytes: abi.DefaultLimits.BinaryBytes,
	Policies:    64,
	Versions:    64,
	TenantBytes: 256 << 20,
}

// Config is what Open needs.
type Config struct {
	// Check tells whether a binary may run, and what it is. It is called
	// without a lock, for several binaries at a time. An error refuses the
	// upload. A nil Info stands for an empty one. Required.
	Check func(binary []byte) (*Info, error)
	// Now is the clock; nil: time.Now.
	Now    func() time.Time
	Limits Limits
}

// A Registry is open until Close. All methods may be called at the same time.
type Registry struct {
	config  Config
	files   files
	folder  string // of the tenants' indexes
	blobs   *blobs
	unlock  func() error
	faults  []error // found by Open; not written afterwards
	closed  atomic.Bool
	mu      sync.Mutex                         // owns additions to tenants and listeners
	tenants atomic.Pointer[map[string]*tenant] // copied on write: readers take no lock
	calls   atomic.Pointer[[]*listener]        // copied on write
}

// A tenant is what the registry holds of one tenant.
type tenant struct {
	name   string
	damage error                 // found by Open: the index could not be read, no change is possible
	now    atomic.Pointer[index] // what readers see; each index is immutable

	mu      sync.Mutex // one change at a time; owns what follows, and writes to now
	tried   uint64     // the highest epoch ever written, with success or not
	doubt   bool       // a write failed so that the file may hold something else than now
	lingers []Digest   // binaries that the file may refer to while in doubt
}

// Open opens the registry in dir, the state folder, which it makes if need be.
// It fails with ErrInUse while another process has it open. A damaged file of
// one tenant does not keep Open from serving the others: see [Registry.Faults].
func Open(dir string, c Config) (*Registry, error) { return open(dir, c, disk{}) }

func open(dir string, c Config, f files) (_ *Registry, err error) {
	if c.Check == nil {
		return nil, fmt.Errorf("open registry %s: no check given: %w", dir, ErrInvalid)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Limits, err = c.Limits.orDefaults(); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	top := filepath.Join(dir, "policies")
	r := &Registry{
		config: c,
		files:  f,
		folder: filepath.Join(top, "tenants"),
		blobs:  &blobs{files: f, dir: filepath.Join(top, "sha256"), held: map[Digest]*blob{}},
	}
	r.calls.Store(&[]*listener{})
	r.tenants.Store(&map[string]*tenant{})
	if err := makeFolders(f, dir, top, r.blobs.dir, r.folder); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	if r.unlock, err = f.Lock(filepath.Join(top, "lock")); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	if err := r.load(); err != nil {
		r.unlock()
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	return r, nil
}

func (l Limits) orDefaults() (Limits, error) {
	if l.BinaryBytes < 0 || l.Policies < 0 || l.Versions < 0 || l.TenantBytes < 0 {
		return l, fmt.Errorf("limits %+v: below zero: %w", l, ErrInvalid)
	}
	if l.BinaryBytes == 0 {
		l.BinaryBytes = DefaultLimits.BinaryBytes
	}
	if l.Policies == 0 {
		l.Policies = DefaultLimits.Policies
	}
	if l.Versions == 0 {
		l.Versions = DefaultLimits.Versions
	}
	if l.TenantBytes == 0 {
		l.TenantBytes = DefaultLimits.TenantBytes
	}
	return l, nil
}

// makeFolders makes the state folder and ours in it, so that a crash later on
// cannot take them away together with what was reported done inside.
func makeFolders(f files, dir string, ours ...string) error {
	if err := makeFolder(f, dir); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	// One further up may have been made by a process that died before its sync
	// too; if it is somebody else's, a failure is none of ours.
	for d := filepath.Dir(dir); d != filepath.Dir(d); d = filepath.Dir(d) {
		_ = f.SyncDir(filepath.Dir(d))
	}
	for _, d := range ours {
		if err := makeFolder(f, d); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}

func makeFolder(f files, dir string) error {
	above := filepath.Dir(dir)
	err := f.MakeDir(dir)
	if errors.Is(err, fs.ErrNotExist) && above != dir {
		if err := makeFolder(f, above); err != nil {
			return err
		}
		err = f.MakeDir(dir)
	}
	there := errors.Is(err, fs.ErrExist)
	if err != nil && !there {
		return err
	}
	// A folder that was there may have been made by a process that died before
	// this sync, so it is done each time. A folder above the state folder may
	// not be ours to open; then its owner made the state folder, and answers for it.
	if err := f.SyncDir(above); err != nil && !(there && errors.Is(err, fs.ErrPermission)) {
		return fmt.Errorf("sync the folder above %s: %w", dir, err)
	}
	return nil
}

// load reads every index, counts what refers to which binary, and removes what
// an interrupted change left behind.
func (r *Registry) load() error {
	// What stands here may come from a process that died between its rename
	// and its sync. From now on we build on it, so it has to last.
	for _, dir := range []string{r.blobs.dir, r.folder} {
		if err := r.files.SyncDir(dir); err != nil {
			return fmt.Errorf("sync folder: %w", err)
		}
	}
	there, err := r.files.List(r.folder)
	if err != nil {
		return fmt.Errorf("list tenants: %w", err)
	}
	tenants := map[string]*tenant{}
	for _, e := range there {
		name, ok := strings.CutSuffix(e.name, ".json")
		if !ok {
			continue
		}
		path := filepath.Join(r.folder, e.name)
		if !validName(name) {
			r.faults = append(r.faults, fmt.Errorf("index %s: the file's name is not a tenant's: %w", path, ErrDamaged))
			continue
		}
		t := &tenant{name: name}
		ix, err := readIndex(r.files, path, name)
		if err != nil {
			t.damage = err
			r.faults = append(r.faults, err)
			ix = newIndex(name, nil)
		}
		t.tried = ix.Epoch
		t.now.Store(ix)
		tenants[name] = t
	}
	r.tenants.Store(&tenants)
	whole := len(r.faults) == 0
	blobs, err := r.files.List(r.blobs.dir)
	if err != nil {
		return fmt.Errorf("list binaries: %w", err)
	}
	r.count(blobs)
	r.sweep(r.folder, there, func(string) bool { return false })
	r.sweep(r.blobs.dir, blobs, func(name string) bool {
		// A damaged index may refer to any binary: then none is removed.
		d, err := ParseDigest(name)
		return whole && err == nil && !r.blobs.has(d)
	})
	return nil
}

// count takes hold of every binary that an index refers to, and notes those
// that are not there. Their contents are verified when they are read.
func (r *Registry) count(there []listed) {
	sizes := make(map[string]int64, len(there))
	for _, e := range there {
		sizes[e.name] = e.size
	}
	for _, name := range r.Tenants() {
		for _, p := range r.tenant(name).now.Load().Policies {
			for _, v := range p.Versions {
				r.blobs.hold(v.Digest, v.Size)
				size, ok := sizes[v.Digest.String()]
				switch {
				case !ok:
					r.faults = append(r.faults, fmt.Errorf("binary %s of %s/%s@%d is missing: %w", r.blobs.path(v.Digest), name, p.Name, v.Number, ErrDamaged))
				case size != v.Size:
					r.faults = append(r.faults, fmt.Errorf("binary %s of %s/%s@%d has %d bytes, want %d: %w", r.blobs.path(v.Digest), name, p.Name, v.Number, size, v.Size, ErrDamaged))
				default:
					r.blobs.settle(v.Digest)
				}
			}
		}
	}
}

// sweep removes temporary files and what garbage says. What cannot be removed
// harms nothing but space, and is tried again at the next Open.
func (r *Registry) sweep(dir string, there []listed, garbage func(name string) bool) {
	for _, e := range there {
		if strings.HasPrefix(e.name, temporary) || garbage(e.name) {
			_ = r.files.Remove(filepath.Join(dir, e.name))
		}
	}
}

// Faults returns what Open found damaged or missing; each error names the file.
// A tenant whose index is damaged has no policies, and every change to it fails
// with the same error, until the file is restored or removed and the registry
// is opened again. Meanwhile no binary is removed.
func (r *Registry) Faults() []error { return slices.Clone(r.faults) }

// Close waits for changes under way and lets go of the folder. Changes fail
// with ErrClosed from then on; what is in memory can still be read.
func (r *Registry) Close() error {
	r.mu.Lock()
	again := r.closed.Swap(true)
	r.mu.Unlock()
	if again {
		return nil
	}
	for _, t := range *r.tenants.Load() {
		t.mu.Lock() // a change that is under way ends first
		defer t.mu.Unlock()
	}
	return r.unlock()
}

// Tenants returns the names of the tenants that uploaded something, sorted.
func (r *Registry) Tenants() []string { return slices.Sorted(maps.Keys(*r.tenants.Load())) }

func (r *Registry) tenant(name string) *tenant { return (*r.tenants.Load())[name] }

// add returns the tenant of that name, made if need be.
func (r *Registry) add(name string) *tenant {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.tenants.Load()
	if t := old[name]; t != nil {
		return t
	}
	t := &tenant{name: name}
	t.now.Store(newIndex(name, nil))
	tenants := maps.Clone(old)
	tenants[name] = t
	r.tenants.Store(&tenants)
	return t
}

// enter begins a change: afterwards t.mu is held, unless it failed.
func (r *Registry) enter(t *tenant) error {
	t.mu.Lock()
	err := t.damage
	if r.closed.Load() {
		err = ErrClosed
	}
	if err != nil {
		t.mu.Unlock()
	}
	return err
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func validName(s string) bool { return namePattern.MatchString(s) }

func checkNames(tenant, policy string) error {
	const want = "want a lower-case letter, then up to 62 letters, digits or hyphens"
	if !validName(tenant) {
		return fmt.Errorf("tenant %.80q: %s: %w", tenant, want, ErrInvalid)
	}
	if !validName(policy) {
		return fmt.Errorf("policy %.80q: %s: %w", policy, want, ErrInvalid)
	}
	return nil
}

package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// A model is a file system that keeps apart what a program sees and what would
// survive a loss of power, as POSIX lets them differ: contents last from the
// sync of the file, names from the sync of their folder. It fails where it is told to.
type model struct {
	mu     sync.Mutex
	live   map[string]*inode // by path; what a program sees
	safe   map[string]*inode // by path; the names that last
	given  map[string]bool   // names whose sync failed: a later sync has nothing to do for them
	locked bool
	temps  int

	steps int                 // operations that write, so far
	fails int                 // how many of them failed
	fault func(step int) mood // nil: none fails
	room  int                 // bytes that all files together may have; 0: any

	deafFile, deafDir bool // a sync reports success and does nothing

	renamed func(to string, data []byte) // told of each; may be nil
}

type inode struct {
	dir  bool
	data []byte // what a program sees
	safe []byte // what lasts
}

// A mood is how an operation goes.
type mood int

const (
	fine mood = iota
	lost      // it fails, and did nothing
	kept      // it fails, and yet was done, and lasts
	torn      // it fails halfway: half of a write, else as lost
)

var errFault = errors.New("fault of the model")

func newModel() *model {
	root := &inode{dir: true}
	return &model{
		live:  map[string]*inode{"/": root},
		safe:  map[string]*inode{"/": root},
		given: map[string]bool{},
	}
}

// mood counts an operation and says how it goes. m.mu is held.
func (m *model) mood() mood {
	m.steps++
	if m.fault == nil {
		return fine
	}
	g := m.fault(m.steps)
	if g != fine {
		m.fails++
	}
	return g
}

func (g mood) err(op, path string) error {
	if g == fine {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: errFault}
}

// A view says what of that which was not synced survives a loss of power.
type view int64 // a seed for some of it, at random; or

const (
	nothing    view = -1
	everything view = -2
)

// crash returns what a machine finds that lost its power now.
func (m *model) crash(v view) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	rng := rand.New(rand.NewPCG(uint64(v), 1))
	coin := func() bool { return v == everything || v != nothing && rng.IntN(2) == 0 }
	after := newModel()
	paths := map[string]bool{}
	for p := range m.live {
		paths[p] = true
	}
	for p := range m.safe {
		paths[p] = true
	}
	sorted := make([]string, 0, len(paths))
	for p := range paths {
		sorted = append(sorted, p)
	}
	slices.Sort(sorted) // a folder before what is in it
	for _, p := range sorted {
		node := m.safe[p]
		if live := m.live[p]; live != node && coin() {
			node = live
		}
		if node == nil || after.live[filepath.Dir(p)] == nil {
			continue
		}
		data := node.safe
		if coin() {
			data = node.data
			if v != everything && len(data) > 0 {
				data = data[:rng.IntN(len(data)+1)]
				if string(node.safe) == string(node.data) {
					data = node.data
				}
			}
		}
		n := &inode{dir: node.dir, data: data, safe: data}
		after.live[p], after.safe[p] = n, n
	}
	return after
}

func (m *model) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = nil
	m.room = 0
}

func (m *model) Lock(name string) (func() error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, ErrInUse
	}
	m.locked = true
	return func() error { m.locked = false; return nil }, nil
}

func (m *model) MakeDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[filepath.Dir(dir)] == nil {
		return fs.ErrNotExist
	}
	if m.live[dir] != nil {
		return fs.ErrExist
	}
	g := m.mood()
	if g == fine || g == kept {
		m.live[dir] = &inode{dir: true}
	}
	if g == kept {
		m.safe[dir] = m.live[dir]
	}
	return g.err("mkdir", dir)
}

func (m *model) Create(dir string) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[dir] == nil {
		return nil, fs.ErrNotExist
	}
	m.temps++
	path := filepath.Join(dir, fmt.Sprintf("%s%d", temporary, m.temps))
	g := m.mood()
	if g == fine || g == kept {
		m.live[path] = &inode{}
	}
	if g == kept {
		m.safe[path] = m.live[path]
	}
	if g != fine {
		return nil, g.err("create", path)
	}
	return &modelFile{m, path, m.live[path]}, nil
}

type modelFile struct {
	m    *model
	path string
	node *inode
}

func (f *modelFile) Name() string { return f.path }

func (f *modelFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	g := f.m.mood()
	n := len(p)
	switch g {
	case lost:
		n = 0
	case torn:
		n /= 2
	}
	err := g.err("write", f.path)
	if f.m.room > 0 {
		used := 0
		for _, i := range f.m.live {
			used += len(i.data)
		}
		if free := max(0, f.m.room-used); n > free {
			n, err = free, &fs.PathError{Op: "write", Path: f.path, Err: syscall.ENOSPC}
		}
	}
	f.node.data = append(f.node.data[:len(f.node.data):len(f.node.data)], p[:n]...)
	if g == kept {
		f.node.safe = f.node.data
	}
	return n, err
}

func (f *modelFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	g := f.m.mood()
	if (g == fine || g == kept) && !f.m.deafFile {
		f.node.safe = f.node.data
	}
	return g.err("sync", f.path)
}

func (f *modelFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.m.mood().err("close", f.path)
}

func (m *model) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.mood()
	if g == fine || g == kept {
		if m.live[from] == nil {
			return fs.ErrNotExist
		}
		m.live[to] = m.live[from]
		if m.renamed != nil {
			m.renamed(to, m.live[to].data)
		}
		delete(m.live, from)
		delete(m.given, to)
		delete(m.given, from)
	}
	if g == kept {
		m.safe[to] = m.live[to]
		delete(m.safe, from)
	}
	return g.err("rename", to)
}

// SyncDir that fails gives up: as on Linux, the next one reports success
// although what this one should have written was never written.
func (m *model) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.mood()
	for _, paths := range []map[string]*inode{m.live, m.safe} {
		for p := range paths {
			if filepath.Dir(p) != dir || p == dir || m.live[p] == m.safe[p] {
				continue
			}
			switch {
			case g == lost || g == torn:
				m.given[p] = true
			case m.given[p] || m.deafDir:
			case m.live[p] == nil:
				delete(m.safe, p)
			default:
				m.safe[p] = m.live[p]
			}
		}
	}
	return g.err("sync", dir)
}

func (m *model) Read(name string, limit int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.live[name]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if int64(len(n.data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, ErrDamaged)
	}
	return slices.Clone(n.data), nil
}

func (m *model) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.mood()
	if m.live[name] == nil {
		return fs.ErrNotExist
	}
	if g == fine || g == kept {
		delete(m.live, name)
		delete(m.given, name)
	}
	if g == kept {
		delete(m.safe, name)
	}
	return g.err("remove", name)
}

func (m *model) List(dir string) ([]listed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[dir] == nil {
		return nil, fs.ErrNotExist
	}
	var all []listed
	for p, n := range m.live {
		if filepath.Dir(p) == dir && p != dir && !n.dir {
			all = append(all, listed{filepath.Base(p), int64(len(n.data))})
		}
	}
	slices.SortFunc(all, func(a, b listed) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all, nil
}

package ledger

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A memFS is a file system in memory that knows what is durable: of a file, the
// ranges that were synced since they were written; of a folder, the names
// that were synced. It can fail, fill up and lose its power.
type memFS struct {
	mu     sync.Mutex
	root   *inode
	ops    int // that change something, so far
	room   int // bytes that may still be written, if limited
	limit  bool
	fault  func(op int, what string) faultKind
	dead   bool   // every operation fails: the process has crashed
	watch  func() // after each operation
	latest string // what the last operation was
}

type faultKind int

const (
	faultNone    faultKind = iota
	faultLost              // an error, and nothing happened
	faultKept              // an error, but it happened, and is durable
	faultPartial           // an error, and half of it happened (a write), or as lost
	faultCrash             // the process ends before
)

var errFault = errors.New("injected fault")

// An inode is a file or a folder.
type inode struct {
	data   []byte
	synced []byte
	dirty  [][2]int // ranges that were written and not synced
	size   bool     // the size was changed and not synced

	names   map[string]*inode // nil: a file
	durable map[string]*inode
	log     []func(map[string]*inode) // changes of names that are not durable, in order
}

func newDir() *inode { return &inode{names: map[string]*inode{}, durable: map[string]*inode{}} }

func newMemFS() *memFS { return &memFS{root: newDir()} }

// do runs one operation that changes something, or fails.
func (m *memFS) do(what string, op func(), kept func(), partial func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errFault
	}
	kind := faultNone
	if m.fault != nil {
		kind = m.fault(m.ops, what)
	}
	m.ops++
	m.latest = what
	if m.watch != nil {
		defer m.watch()
	}
	switch kind {
	case faultLost:
	case faultKept:
		op()
		kept()
	case faultPartial:
		partial()
	case faultCrash:
		m.dead = true
	default:
		op()
		return nil
	}
	return errFault
}

// walk finds a name: its folder, and itself if it is there.
func (m *memFS) walk(name string) (dir, node *inode, base string, err error) {
	name = filepath.ToSlash(filepath.Clean(name))
	node = m.root
	for _, base = range strings.Split(strings.Trim(name, "/"), "/") {
		if dir = node; dir == nil || dir.names == nil {
			return nil, nil, "", &fs.PathError{Op: "walk", Path: name, Err: fs.ErrNotExist}
		}
		node = dir.names[base]
	}
	return dir, node, base, nil
}

func (m *memFS) get(name string) (*inode, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, node, _, err := m.walk(name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return node, err
}

// change changes names of a folder; fn is applied now, and again when the folder's names become durable.
func (dir *inode) change(fn func(map[string]*inode)) {
	fn(dir.names)
	dir.log = append(dir.log, fn)
}

func (dir *inode) syncNames() {
	for _, fn := range dir.log {
		fn(dir.durable)
	}
	dir.log = nil
}

func (n *inode) sync() {
	if n.size || len(n.data) > len(n.synced) {
		n.synced = append(n.synced[:min(len(n.synced), len(n.data)):min(len(n.synced), len(n.data))], make([]byte, max(0, len(n.data)-len(n.synced)))...)
	}
	for _, r := range n.dirty {
		if hi := min(r[1], len(n.data)); hi > r[0] {
			copy(n.synced[r[0]:], n.data[r[0]:hi])
		}
	}
	n.dirty, n.size = nil, false
}

func (m *memFS) Open(name string, flag int, _ fs.FileMode) (file, error) {
	m.mu.Lock()
	dir, node, base, err := m.walk(name)
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if node == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		make := func() {
			node = &inode{}
			made := node
			dir.change(func(names map[string]*inode) { names[base] = made })
		}
		if err := m.do("create "+name, make, func() { dir.syncNames() }, func() {}); err != nil {
			return nil, err
		}
	} else if flag&os.O_TRUNC != 0 {
		truncate := func() { node.data, node.size, node.dirty = nil, true, nil }
		if err := m.do("truncate "+name, truncate, node.sync, func() {}); err != nil {
			return nil, err
		}
	}
	return &memFile{m, node, name}, nil
}

func (m *memFS) Mkdir(name string, _ fs.FileMode) error {
	m.mu.Lock()
	dir, node, base, err := m.walk(name)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if node != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	made := newDir()
	return m.do("mkdir "+name, func() { dir.change(func(n map[string]*inode) { n[base] = made }) }, dir.syncNames, func() {})
}

func (m *memFS) ReadFile(name string) ([]byte, error) {
	node, err := m.get(name)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(node.data), nil
}

func (m *memFS) ReadDir(name string) ([]string, error) {
	node, err := m.get(name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(node.names)), nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	dir, node, base, err := m.walk(from)
	dir2, _, base2, err2 := m.walk(to)
	m.mu.Unlock()
	if err != nil || err2 != nil || node == nil || dir != dir2 {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return m.do("rename "+from, func() {
		dir.change(func(n map[string]*inode) { delete(n, base); n[base2] = node })
	}, dir.syncNames, func() {})
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	dir, node, base, err := m.walk(name)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if node == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if len(node.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("not empty")}
	}
	return m.do("remove "+name, func() { dir.change(func(n map[string]*inode) { delete(n, base) }) }, dir.syncNames, func() {})
}

func (m *memFS) SyncDir(name string) error {
	dir, err := m.get(name)
	if err != nil {
		return err
	}
	// A failed sync of names leaves them to the next one: that is how journals do it.
	return m.do("syncdir "+name, dir.syncNames, func() {}, func() {})
}

type memFile struct {
	m    *memFS
	n    *inode
	name string
}

func (f *memFile) Close() error { return nil }

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if n := copy(p, f.n.data[min(int(off), len(f.n.data)):]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

var errFull = errors.New("no space left")

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	put := func(p []byte) {
		end := int(off) + len(p)
		if end > len(f.n.data) {
			f.n.data = append(f.n.data, make([]byte, end-len(f.n.data))...)
		}
		copy(f.n.data[off:], p)
		f.n.dirty = append(f.n.dirty, [2]int{int(off), end})
	}
	full := false
	err := f.m.do("write "+f.name, func() {
		n := len(p)
		if grow := int(off) + n - len(f.n.data); f.m.limit && grow > f.m.room {
			full, n = true, max(0, n-grow+f.m.room)
		}
		before := len(f.n.data)
		put(p[:n])
		f.m.room -= len(f.n.data) - before
	}, f.n.sync, func() { put(p[:len(p)/2]) })
	if err == nil && full {
		err = errFull
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	return f.m.do("truncate "+f.name, func() {
		f.m.room += max(0, len(f.n.data)-int(size))
		f.n.data = f.n.data[:size:size]
		f.n.size = true
	}, f.n.sync, func() {})
}

func (f *memFile) Sync() error {
	return f.m.do("sync "+f.name, f.n.sync, func() {}, func() {
		f.n.dirty = nil // pages of a failed sync count as written afterwards
	})
}

// crash is the file system after the process ended (power false) or the power
// went. What was not synced is then lost, kept, or of each a part, as r says (nil: lost).
func (m *memFS) crash(power bool, r *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memFS{root: m.root.after(power, r, make(map[*inode]*inode))}
}

func (n *inode) after(power bool, r *rand.Rand, seen map[*inode]*inode) *inode {
	if c := seen[n]; c != nil {
		return c
	}
	c := &inode{}
	seen[n] = c
	if n.names == nil {
		c.data = bytes.Clone(n.data)
		if power {
			c.data = n.torn(r)
		}
		c.synced = bytes.Clone(c.data)
		return c
	}
	names := n.names
	if power {
		names = maps.Clone(n.durable)
		if r != nil { // the journal got some way
			for _, fn := range n.log[:r.IntN(len(n.log)+1)] {
				fn(names)
			}
		}
	}
	c.names, c.durable = make(map[string]*inode), make(map[string]*inode)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c.names[name] = names[name].after(power, r, seen)
		c.durable[name] = c.names[name]
	}
	return c
}

// torn is a file after the power went: some of what was not synced is there, in sectors.
func (n *inode) torn(r *rand.Rand) []byte {
	data := bytes.Clone(n.synced)
	if r == nil || r.IntN(3) == 0 {
		return data
	}
	if r.IntN(2) == 0 { // the new size
		data = append(data[:min(len(data), len(n.data))], make([]byte, max(0, len(n.data)-len(data)))...)
	}
	for _, d := range n.dirty {
		for i := d[0]; i < min(d[1], len(data), len(n.data)); i++ {
			if end := min((i/512+1)*512, d[1], len(data), len(n.data)); r.IntN(2) == 0 {
				copy(data[i:end], n.data[i:end])
				i = end - 1
			} else {
				i = end - 1
			}
		}
	}
	return data
}

// folder reads all files below a name.
func (m *memFS) folder(name string) folder {
	f := make(folder)
	node, err := m.get(name)
	if err != nil {
		return f
	}
	var walk func(prefix string, n *inode)
	walk = func(prefix string, n *inode) {
		for name, c := range n.names {
			if c.names != nil {
				walk(prefix+name+"/", c)
			} else {
				f[prefix+name] = bytes.Clone(c.data)
			}
		}
	}
	walk("", node)
	return f
}

package geo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A DB looks up addresses in one or more databases. All methods are safe for
// concurrent use.
type DB struct {
	path    string
	current atomic.Pointer[snapshot] // nil once closed; replaced under mu

	mu      sync.Mutex
	failed  []seen // files of the last reload, if it failed; guarded by mu
	failure error  // and how it failed; guarded by mu
}

// A snapshot is the state of all files at one moment, immutable.
type snapshot struct {
	files []*file
	info  Info
}

// Info describes what a DB holds.
type Info struct {
	Path      string    // as given to Open
	Type      string    // database_type of the files, joined with ", "
	Built     time.Time // build time of the oldest file
	IPVersion int       // highest of the files: 4 or 6
	Records   int       // networks with data, in all files
	Files     []FileInfo

	// Attribution is what the data's licence asks to be shown where its results
	// show, and the page to link it to; both "" if no source is recognised.
	Attribution, AttributionURL string
}

// FileInfo describes one file of a DB.
type FileInfo struct {
	Path      string
	Type      string // database_type
	Schema    string // "maxmind" or "flat"
	Built     time.Time
	IPVersion int // 4: IPv4 only
	Records   int // networks with data
}

// ErrClosed is what Reload returns once the DB is closed.
var ErrClosed = errors.New("geo database is closed")

// Open opens the database at path: a file in the MaxMind DB format, a folder
// whose *.mmdb files are all opened (in order of name), or several files
// separated by commas. An address is looked up in each file in turn until one
// knows it, so a database that comes as one file for IPv4 and one for IPv6 is
// opened by naming its folder.
//
// The schema is MaxMind's (City, Country, Enterprise) or the flat one of the
// ip-location-db packages, told apart by the records. Any other is an error
// that names the type found.
func Open(path string) (*DB, error) {
	db := &DB{path: path}
	list, err := look(path)
	if err != nil {
		return nil, err
	}
	s, err := load(path, list)
	if err != nil {
		return nil, err
	}
	db.current.Store(s)
	return db, nil
}

// Lookup returns the place of a. It is the zero Place if a is invalid, if no
// file knows it (private addresses, unless the operator's own file places
// them), or if its record is damaged. IPv4-mapped IPv6 counts as IPv4; a zone
// is ignored.
func (db *DB) Lookup(a netip.Addr) Place {
	s := db.current.Load()
	if s == nil || !a.IsValid() {
		return Place{}
	}
	a = a.Unmap()
	for _, f := range s.files {
		if p, ok := f.lookup(a); ok {
			return p
		}
	}
	return Place{}
}

// Info describes what is loaded now; after Close it is the zero Info.
func (db *DB) Info() Info {
	s := db.current.Load()
	if s == nil {
		return Info{}
	}
	info := s.info
	info.Files = slices.Clone(info.Files)
	return info
}

// Reload reads the files again if any of them was replaced, rewritten, added or
// removed. On an error the DB goes on with what it has.
func (db *DB) Reload() (changed bool, err error) {
	return db.reload(false)
}

// Watch calls Reload every so often until ctx is done or the DB is closed, and
// hands each new error to report, which may be nil. Lookups never wait: a new
// database is read beside the old one and swapped in. To replace a file, rename
// a complete one over it. It panics if every is not positive.
func (db *DB) Watch(ctx context.Context, every time.Duration, report func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := db.reload(true)
		switch {
		case errors.Is(err, ErrClosed):
			return
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			if report != nil {
				report(err)
			}
		}
	}
}

// Close drops the databases. Lookups that have begun finish; later ones know
// no place.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.current.Store(nil)
	return nil
}

// reload is Reload; with onlyNew it does not read files again that failed already.
func (db *DB) reload(onlyNew bool) (bool, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.current.Load()
	if s == nil {
		return false, ErrClosed
	}
	list, err := look(db.path)
	if err != nil {
		return false, err
	}
	if same(list, s.seen()) {
		db.failed, db.failure = nil, nil
		return false, nil
	}
	if onlyNew && same(list, db.failed) {
		return false, db.failure
	}
	next, err := load(db.path, list)
	if err != nil {
		db.failed, db.failure = list, err
		return false, err
	}
	db.failed, db.failure = nil, nil
	db.current.Store(next)
	return true, nil
}

// A seen is a file as it was found at some moment.
type seen struct {
	path string
	stat fs.FileInfo
}

func (s *snapshot) seen() []seen {
	list := make([]seen, len(s.files))
	for i, f := range s.files {
		list[i] = seen{f.path, f.stat}
	}
	return list
}

func same(a, b []seen) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].path != b[i].path || !unchanged(a[i].stat, b[i].stat) {
			return false
		}
	}
	return true
}

// look finds the files that path names.
func look(path string) ([]seen, error) {
	stat, err := os.Stat(path)
	switch {
	case err == nil && stat.IsDir():
		return lookFolder(path)
	case err == nil:
		return []seen{{path, stat}}, nil
	case !strings.Contains(path, ",") || !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("geo database: %w", err)
	}
	parts := strings.Split(path, ",")
	if len(parts) > maxFiles {
		return nil, fmt.Errorf("geo database: %d files, at most %d are allowed", len(parts), maxFiles)
	}
	list := make([]seen, len(parts))
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if stat, err = os.Stat(p); err != nil {
			return nil, fmt.Errorf("geo database: %w", err)
		}
		list[i] = seen{p, stat}
	}
	return list, nil
}

func lookFolder(path string) ([]seen, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("geo database: %w", err)
	}
	var list []seen
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if !strings.EqualFold(filepath.Ext(name), ".mmdb") {
			continue
		}
		stat, err := os.Stat(name) // through a link
		if err != nil {
			return nil, fmt.Errorf("geo database: %w", err)
		}
		list = append(list, seen{name, stat})
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("geo database: folder %s holds no .mmdb file", path)
	case len(list) > maxFiles:
		return nil, fmt.Errorf("geo database: folder %s holds %d files, at most %d are allowed", path, len(list), maxFiles)
	}
	return list, nil
}

func load(path string, list []seen) (*snapshot, error) {
	s := &snapshot{info: Info{Path: path}}
	var types []string
	for _, l := range list {
		f, err := openFile(l.path)
		if err != nil {
			return nil, err
		}
		i := f.info()
		types = append(types, i.Type)
		if s.info.Built.IsZero() || i.Built.Before(s.info.Built) {
			s.info.Built = i.Built
		}
		s.info.IPVersion = max(s.info.IPVersion, i.IPVersion)
		s.info.Records += i.Records
		s.info.Files = append(s.info.Files, i)
		if s.info.Attribution == "" {
			s.info.Attribution, s.info.AttributionURL = f.attribution()
		}
		s.files = append(s.files, f)
	}
	s.info.Type = strings.Join(types, ", ")
	return s, nil
}

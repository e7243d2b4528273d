package exhibit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Config is what a [Store] needs; zero fields but Dir are the defaults.
type Config struct {
	Dir   string        // made when there is something to keep
	Count int           // exhibits that are kept; 1000
	Keep  time.Duration // how long; 24 h
	Bytes int64         // of exhibits on disk, and of modules; 64 MiB each
	// Every is the least time between two exhibits of one route. With 0, each of n
	// routes gets its share of Count over Keep.
	Every time.Duration
	Log   *slog.Logger     // nil: nothing is logged
	Now   func() time.Time // nil: the system's clock
}

// A Store keeps exhibits in a folder, in the background: nobody waits for the disk.
// It is safe for concurrent use.
type Store struct {
	c     Config
	room  chan struct{} // a token for each exhibit that is being made or waits
	queue chan item
	ended chan struct{}

	closing sync.RWMutex // held to write closed, and by Put
	closed  bool
	warned  time.Time // the writer's: when a failure was logged last
}

// An item is an exhibit that waits to be written.
type item struct {
	name    string
	text    []byte
	modules []Code
}

// Code is a module that an exhibit needs: its digest, and how to get its bytes.
type Code struct {
	Digest [32]byte
	Bytes  func() ([]byte, error)
}

// waiting is how many exhibits may wait for the disk. More are not made.
const waiting = 8

// Open returns a Store. A folder that cannot be used is no error: exchanges go on,
// and each failure to write is logged.
func Open(c Config) *Store {
	if c.Count <= 0 {
		c.Count = 1000
	}
	if c.Keep <= 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Bytes <= 0 {
		c.Bytes = 64 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{c: c, room: make(chan struct{}, waiting), queue: make(chan item, waiting), ended: make(chan struct{})}
	go s.write()
	return s
}

// Every returns the least time between two exhibits of one of n routes.
func (s *Store) Every(n int) time.Duration {
	if s.c.Every != 0 {
		return s.c.Every
	}
	return s.c.Keep / time.Duration(s.c.Count) * time.Duration(max(n, 1))
}

// Reserve takes room for one exhibit, and reports whether there is any. Who has it
// calls Put or Unreserve.
func (s *Store) Reserve() bool {
	select {
	case s.room <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unreserve gives room back.
func (s *Store) Unreserve() { <-s.room }

// Waiting returns how many exhibits are being made or written.
func (s *Store) Waiting() int { return len(s.room) }

// Put has an exhibit written, for which room was reserved, and returns at once. It
// keeps text.
func (s *Store) Put(name string, text []byte, modules []Code) {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		s.Unreserve()
		return
	}
	s.queue <- item{name, text, modules} // there is room: at most as many as tokens
}

// Close writes what waits and ends the Store.
func (s *Store) Close() error {
	s.closing.Lock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	s.closing.Unlock()
	<-s.ended
	return nil
}

// write is the one goroutine that touches the folder. It ends with Close.
func (s *Store) write() {
	defer close(s.ended)
	s.prune()
	tick := time.NewTicker(max(min(s.c.Keep/24, time.Hour), time.Second)) // what is old goes without traffic, too
	defer tick.Stop()
	for {
		select {
		case it, ok := <-s.queue:
			if !ok {
				return
			}
			if err := s.keep(it); err != nil {
				s.failed(err)
			}
			s.prune()
			s.Unreserve()
		case <-tick.C:
			s.prune()
		}
	}
}

// failed logs that an exhibit was not kept, once a minute: a disk stays full.
func (s *Store) failed(err error) {
	if now := s.c.Now(); now.Sub(s.warned) >= time.Minute {
		s.warned = now
		s.c.Log.LogAttrs(context.Background(), slog.LevelWarn, "an exhibit was not kept", slog.String("error", err.Error()))
	}
}

// keep writes an exhibit after what it needs: at no moment is there one that cannot
// be run.
func (s *Store) keep(it item) error {
	for _, m := range it.modules {
		if err := s.keepModule(m); err != nil {
			return err
		}
	}
	return s.put(filepath.Join(s.c.Dir, it.name+suffix), it.text)
}

// keepModule writes a module, or marks it as used now.
func (s *Store) keepModule(m Code) error {
	name := filepath.Join(s.c.Dir, modules, hex.EncodeToString(m.Digest[:])+moduleSuffix)
	now := s.c.Now()
	if err := os.Chtimes(name, now, now); err == nil {
		return nil
	}
	code, err := m.Bytes()
	if err != nil {
		return fmt.Errorf("module %x: %w", m.Digest, err)
	}
	held := int64(0)
	for _, e := range s.entries(modules, moduleSuffix) {
		held += e.size
	}
	if held+int64(len(code)) > s.c.Bytes {
		return fmt.Errorf("module %x: %d bytes of modules are kept, and it has %d: at most %d are allowed", m.Digest, held, len(code), s.c.Bytes)
	}
	if err := s.put(name, code); err != nil {
		return err
	}
	return os.Chtimes(name, now, now)
}

// temporary is how names of files begin that are being written.
const temporary = ".tmp-"

// put writes a compressed file that is whole or not there, whatever happens.
func (s *Store) put(name string, content []byte) error {
	dir, base := filepath.Split(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // if it is still there
	enc, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		f.Close()
		return err
	}
	_, err = enc.Write(content)
	if err = errors.Join(err, enc.Close()); err == nil {
		err = f.Sync() // else a power loss may leave the name and not the bytes
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", base, err)
	}
	return os.Rename(f.Name(), name)
}

// An entry is a file that is kept.
type entry struct {
	path string
	size int64
	at   time.Time // of an exhibit, or when a module was used last
}

// entries lists the files of a kind, by name, and removes what a crash left.
func (s *Store) entries(sub, end string) (all []entry) {
	dir := filepath.Join(s.c.Dir, sub)
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.failed(err)
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), temporary) { // none is being written: this goroutine is the writer
			os.Remove(path)
			continue
		}
		info, err := e.Info()
		base, ok := strings.CutSuffix(e.Name(), end)
		if err != nil || !ok || !info.Mode().IsRegular() {
			continue
		}
		at := info.ModTime()
		if sub == "" {
			if at, ok = parseName(base); !ok {
				continue
			}
		}
		all = append(all, entry{path, info.Size(), at})
	}
	return all
}

// prune removes what is too old or too much, the oldest first, and modules that no
// exhibit needs any more.
func (s *Store) prune() {
	oldest := s.c.Now().Add(-s.c.Keep)
	all := s.entries("", suffix)
	size := int64(0)
	for _, e := range all {
		size += e.size
	}
	for i, e := range all {
		if !e.at.Before(oldest) && len(all)-i <= s.c.Count && size <= s.c.Bytes {
			break
		}
		if os.Remove(e.path) == nil {
			size -= e.size
		}
	}
	for _, e := range s.entries(modules, moduleSuffix) {
		if e.at.Before(oldest) { // the last exhibit that used it is gone
			os.Remove(e.path)
		}
	}
}

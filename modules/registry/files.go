package registry

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// files is what the registry asks of a file system. Tests give it one that
// fails and forgets; [disk] is the real one.
type files interface {
	// Lock holds name against other processes until unlock, or the process's end.
	Lock(name string) (unlock func() error, err error)
	// MakeDir makes dir, in a folder that is there.
	MakeDir(dir string) error
	// Create makes a new file in dir, with a name that begins with temporary.
	Create(dir string) (file, error)
	// Rename puts from in the place of to, at once.
	Rename(from, to string) error
	// SyncDir returns when the names in dir would survive a loss of power.
	SyncDir(dir string) error
	// Read returns the contents of name, an error if it has more than limit bytes.
	Read(name string, limit int64) ([]byte, error)
	Remove(name string) error
	List(dir string) ([]listed, error)
}

// file is a new file that is being written.
type file interface {
	io.Writer
	Name() string
	// Sync returns when the contents would survive a loss of power.
	Sync() error
	Close() error
}

// listed is a file in a folder.
type listed struct {
	name string
	size int64
}

// temporary begins the name of a file that is not whole yet. No digest and no
// tenant's name begins so.
const temporary = ".new-"

// replace puts data under name in dir: whole and for good, or not at all.
// If it fails, placed tells whether name may hold data all the same.
func replace(f files, dir, name string, data []byte) (placed bool, err error) {
	temp, err := f.Create(dir)
	if err != nil {
		return false, fmt.Errorf("create a file in %s: %w", dir, err)
	}
	// A crash from here on leaves a temporary file, cut short perhaps. Nothing
	// refers to it, and the next Open removes it.
	_, err = temp.Write(data)
	if err == nil {
		// Without this sync, a crash after the rename could leave the new
		// name on an empty file.
		err = temp.Sync()
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = f.Remove(temp.Name()) // else the next Open does it
		return false, fmt.Errorf("write %s for %s: %w", temp.Name(), name, err)
	}
	// A crash here still leaves what stood under name before.
	to := filepath.Join(dir, name)
	if err := f.Rename(temp.Name(), to); err != nil {
		_ = f.Remove(temp.Name())
		return true, fmt.Errorf("rename %s to %s: %w", temp.Name(), to, err)
	}
	// A crash here leaves the old or the new, as the file system likes. Nobody
	// has been told yet, so both are right.
	if err := f.SyncDir(dir); err != nil {
		return true, fmt.Errorf("sync folder %s after writing %s: %w", dir, name, err)
	}
	// A crash here leaves the new.
	return true, nil
}

// disk is the file system of this machine. Folders and files are for the
// process's user alone.
type disk struct{}

func (disk) MakeDir(dir string) error { return os.Mkdir(dir, 0o700) }

func (disk) Create(dir string) (file, error) {
	f, err := os.CreateTemp(dir, temporary+"*") // mode 0600
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }

func (disk) Read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, limit, ErrDamaged)
	}
	return data, nil
}

func (disk) Remove(name string) error { return os.Remove(name) }

func (disk) List(dir string) ([]listed, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []listed
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		// A link to a file is read through; a change puts a file in its place.
		if m := info.Mode(); m.IsRegular() || m&fs.ModeSymlink != 0 {
			all = append(all, listed{e.Name(), info.Size()})
		}
	}
	return all, nil
}

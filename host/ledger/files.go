package ledger

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// files is the file system, as far as writing needs it. Tests put one in its
// place that fails, fills up and loses what was not synced.
type files interface {
	Open(name string, flag int, perm fs.FileMode) (file, error) // flags of package os
	Mkdir(name string, perm fs.FileMode) error                  // fs.ErrExist where it is there
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]string, error) // names, sorted
	Rename(from, to string) error
	Remove(name string) error // a file or an empty folder
	// SyncDir makes names in a folder durable: a file's own Sync does not.
	SyncDir(name string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
}

// disk is the real file system.
type disk struct{}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

func (disk) Open(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }
func (disk) ReadFile(name string) ([]byte, error)      { return os.ReadFile(name) }
func (disk) Rename(from, to string) error              { return os.Rename(from, to) }
func (disk) Remove(name string) error                  { return os.Remove(name) }

func (disk) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (disk) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes a folder and those above it, durably.
func makeDir(fsys files, name string, perm fs.FileMode) error {
	err := fsys.Mkdir(name, perm)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(fsys, filepath.Dir(name), perm); err != nil {
			return err
		}
		err = fsys.Mkdir(name, perm)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil // made by a run that may have crashed before its parent was synced
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// writeFile writes and syncs a file of its own. The name in its folder is
// durable only after SyncDir.
func writeFile(fsys files, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.Open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// replaceFile writes a file so that after a crash it has its old content or the new one, nothing between.
// The content goes through the file next beside it.
func replaceFile(fsys files, name, next string, data []byte, perm fs.FileMode) error {
	if err := writeFile(fsys, next, data, perm); err != nil {
		return err
	}
	if err := fsys.Rename(next, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// overwriteFile puts data of the same length over a file's content.
func overwriteFile(fsys files, name string, data []byte) error {
	f, err := fsys.Open(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// removeFile removes a file, or an empty folder, that need not be there.
func removeFile(fsys files, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// hasName says whether a folder has a name; a folder that is not there has none.
func hasName(fsys files, dir, name string) (bool, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.Contains(names, name), nil
}

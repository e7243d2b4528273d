package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names in the folder.
const (
	lockName   = "lock"
	formatName = "format"
	roomName   = "room"
	// serverName is what NATS calls its part.
	serverName = "jetstream"

	formatText = "bespoke state 1\nkey "
)

// A folder is a store's folder, locked for this process.
type folder struct {
	dir  string
	lock *os.File
}

// openFolder makes or opens a folder. A crash at any point leaves one that the
// next call takes: first there is only the lock, then the format, then the rest.
func openFolder(dir, fingerprint string) (_ *folder, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	// Nothing is made in a folder that is somebody else's, not even a lock.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ours := false
	other := ""
	for _, e := range entries {
		switch e.Name() {
		case formatName:
			ours = true
		case lockName, formatName + ".new":
		default:
			other = e.Name()
		}
	}
	if !ours && other != "" {
		return nil, fmt.Errorf("%w: it has %q and no file %q; name a folder that is empty or does not exist", ErrForeign, other, formatName)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &folder{dir: dir}
	if f.lock, err = lock(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if err := f.format(fingerprint); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) close() error { return f.lock.Close() }

// format reads or writes the file that says what the folder is.
func (f *folder) format(fingerprint string) error {
	name := filepath.Join(f.dir, formatName)
	want := formatText + fingerprint + "\n"
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(name, want)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, 256))
	if err != nil {
		return err
	}
	have := string(b)
	switch {
	case have == want:
		return nil
	case strings.HasPrefix(have, formatText) && len(have) == len(want):
		return ErrOtherKey
	}
	return fmt.Errorf("%w: file %q is not as this version writes it", ErrForeign, formatName)
}

// writeFile writes a file as a whole: after a crash it is there with all of its
// text or not at all.
func writeFile(name, text string) (err error) {
	tmp := name + ".new"
	file, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// room sees that there is room for a bucket's first files. When there is not, the
// server says no more than that it failed, and leaves a file and a timer behind
// each time.
func (f *folder) room() error {
	name := filepath.Join(f.dir, roomName)
	defer os.Remove(name)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 64<<10))
	return errors.Join(err, file.Close())
}

// account is where NATS keeps the streams of its global account.
func (f *folder) account() string { return filepath.Join(f.dir, serverName, "$G", "streams") }

// streams names the streams in the folder.
func (f *folder) streams() ([]string, error) {
	entries, err := os.ReadDir(f.account())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		// With a dot before it, NATS is about to remove it.
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// records is where NATS keeps the records of a stream.
func (f *folder) records(stream string) string { return filepath.Join(f.account(), stream, "msgs") }

// check reads every record of the store and sees that none that was acknowledged
// is gone, as far as that can be known: see checkBlock and checkIndex.
func (f *folder) check() error {
	streams, err := f.streams()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for _, stream := range streams {
		if err := checkStream(stream, f.records(stream)); err != nil {
			return fmt.Errorf("%w: %w; restore it from a backup, or remove it to begin without", ErrCorrupt, err)
		}
	}
	return nil
}

func blockName(index int) string { return strconv.Itoa(index) + ".blk" }

func checkStream(stream, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var blocks []int
	for _, e := range entries {
		var index int
		if _, err := fmt.Sscanf(e.Name(), "%d.blk", &index); err == nil && e.Name() == blockName(index) {
			blocks = append(blocks, index)
		}
	}
	slices.Sort(blocks)
	last := uint64(0)
	for i, index := range blocks {
		file := filepath.Join(dir, blockName(index))
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		seq, err := checkBlock(stream, index, i == len(blocks)-1, b)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		last = max(last, seq)
	}
	file := filepath.Join(dir, "index.db")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if want, ok := checkIndex(stream, b); ok && last < want {
		return fmt.Errorf("%s: the records end with %d, and %d had been written", dir, last, want)
	}
	return nil
}

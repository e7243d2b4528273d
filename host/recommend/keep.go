package recommend

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A keeper writes an upload beside the catalogue that is kept, in our form of a
// file, while it is read; done puts it in the other's place.
type keeper struct {
	file string
	f    *os.File
	w    *bufio.Writer
	hash hash.Hash
	size int64
}

// maxUpload bounds the bytes of a catalogue.
const maxUpload = 2 << 30

func newKeeper(file string) (*keeper, error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new*")
	if err != nil {
		return nil, err
	}
	k := &keeper{file: file, f: f, hash: sha256.New()}
	k.w = bufio.NewWriterSize(io.MultiWriter(f, k.hash), 256<<10)
	k.w.WriteString(magicCatalogue)
	k.w.Write([]byte{fileVersion, 0, 0, 0})
	return k, nil
}

// Write is what the reader of the upload reads. A disk that is full ends the upload.
func (k *keeper) Write(p []byte) (int, error) {
	if k.size += int64(len(p)); k.size > maxUpload {
		return 0, fmt.Errorf("more than %d bytes", maxUpload)
	}
	return k.w.Write(p)
}

func (k *keeper) done() error {
	err := k.w.Flush()
	if err == nil {
		_, err = k.f.Write(k.hash.Sum(nil))
	}
	if err == nil {
		err = k.f.Sync()
	}
	if err == nil {
		err = os.Rename(k.f.Name(), k.file) // the old until here, the new from here
	}
	if err == nil {
		err = syncFolder(filepath.Dir(k.file))
	}
	return err
}

// drop ends the keeper. If done was not called, or failed, nothing is left.
func (k *keeper) drop() {
	k.f.Close()
	os.Remove(k.f.Name()) // after done there is none
}

// restoreCatalogue reads the catalogue that was kept. The numbers that it needs were
// written before it.
func (r *Recommender) restoreCatalogue(nums *numbers) {
	d, err := readFile(r.path(catalogueFile), magicCatalogue, maxUpload+1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var c *Catalogue
	if err == nil {
		b := newBuilder(nums, 0)
		if err = b.read(bytes.NewReader(d.b), nil); err == nil {
			c, err = b.done()
		}
	}
	if err != nil {
		r.putAside(catalogueFile, err)
		return
	}
	r.cat.Store(c)
}

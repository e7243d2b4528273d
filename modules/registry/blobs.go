package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
)

// blobs are the binaries of all tenants, each stored once under its digest.
// One is held once for each version that refers to it; when nothing holds it
// any more, its file goes.
type blobs struct {
	files files
	dir   string

	mu   sync.Mutex // owns held, and that a file goes only while nothing holds it
	held map[Digest]*blob
}

type blob struct {
	refs    int
	size    int64
	settled bool // the file is there for good: a sync of its folder has succeeded
}

func (b *blobs) path(d Digest) string { return filepath.Join(b.dir, d.String()) }

func (b *blobs) has(d Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held[d] != nil
}

// hold keeps the file of d, there already or not, from being removed.
func (b *blobs) hold(d Digest, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[d]
	if h == nil {
		h = &blob{size: size}
		b.held[d] = h
	}
	h.refs++
}

// drop undoes one hold; the last one removes the file.
func (b *blobs) drop(d Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.held[d]
	if h.refs--; h.refs > 0 {
		return
	}
	delete(b.held, d)
	// If this fails, or a crash undoes it, the file is garbage that the next
	// Open removes. No index refers to it: that was settled before.
	_ = b.files.Remove(b.path(d))
}

// settle notes that the file of d is there for good.
func (b *blobs) settle(d Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[d].settled = true
}

// put stores a binary that is held. A file that is there and whole is left
// alone; a damaged one is replaced by what it should have been.
func (b *blobs) put(d Digest, binary []byte) error {
	b.mu.Lock()
	settled := b.held[d].settled
	b.mu.Unlock()
	// A file that is not settled may be there now and gone after a crash, even
	// if a later sync of the folder succeeds: it is written again. Two tenants
	// that do so at once write the same bytes.
	if settled {
		if _, err := b.read(d); err == nil {
			return nil
		}
	}
	if _, err := replace(b.files, b.dir, d.String(), binary); err != nil {
		return fmt.Errorf("store binary: %w", err)
	}
	b.settle(d)
	return nil
}

// read returns the binary that is held under d, verified.
func (b *blobs) read(d Digest) ([]byte, error) {
	b.mu.Lock()
	h := b.held[d]
	if h == nil {
		b.mu.Unlock()
		return nil, fmt.Errorf("binary %s: %w", d, ErrNotFound)
	}
	size := h.size
	b.mu.Unlock()
	binary, err := b.files.Read(b.path(d), size)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read binary: %w: %w", ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("read binary: %w", err)
	case Digest(sha256.Sum256(binary)) != d:
		return nil, fmt.Errorf("read binary %s: its contents do not have the digest that is its name: %w", b.path(d), ErrDamaged)
	}
	return binary, nil
}

package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// kept is where a module's prepared binary waits while it is not compiled: a
// file of the cache's folder that is named after its contents, or memory if
// there is no folder.
type kept struct {
	digest [32]byte
	file   string // "": in binary
	binary []byte
}

// keep writes binary to its file, unless it is there. The file may be lost or
// damaged at any time: load finds out.
func (e *Engine) keep(binary []byte) (kept, error) {
	k := kept{digest: sha256.Sum256(binary)}
	if e.cacheDir == "" {
		k.binary = binary
		return k, nil
	}
	dir := filepath.Join(e.cacheDir, "prepared")
	k.file = filepath.Join(dir, fmt.Sprintf("%x.wasm", k.digest))
	if _, err := k.load(); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, fmt.Errorf("make the folder of prepared modules: %w", err)
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return k, fmt.Errorf("keep the prepared module: %w", err)
	}
	_, err = f.Write(binary)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), k.file)
	}
	if err != nil {
		return k, errors.Join(fmt.Errorf("keep the prepared module: %w", err), os.Remove(f.Name()))
	}
	return k, nil
}

func (k *kept) load() ([]byte, error) {
	if k.file == "" {
		return k.binary, nil
	}
	b, err := os.ReadFile(k.file)
	if err != nil {
		return nil, fmt.Errorf("read the prepared module: %w", err)
	}
	if sha256.Sum256(b) != k.digest {
		return nil, fmt.Errorf("read the prepared module: %s is damaged", k.file)
	}
	return b, nil
}

// emptyCache removes what wazero has stored: every module is compiled again
// when it is loaded next.
func (e *Engine) emptyCache() error {
	files, err := filepath.Glob(filepath.Join(e.cacheDir, "wazero-*", "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

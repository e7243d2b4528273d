package exhibit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Folder is where exhibits are, in the state folder.
const Folder = "exhibits"

const (
	modules      = "modules"
	suffix       = ".zst"
	moduleSuffix = ".wasm.zst"
	maxModule    = 64 << 20 // bytes of a module
)

// List returns the names of the exhibits in dir, the oldest first. A folder that is
// not there has none.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list exhibits: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if _, is := parseName(name); ok && is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// ErrName says that an exhibit is not the one of its name: it was changed, or put in
// another's place.
var ErrName = errors.New("its hash is not the one in its name")

// Load reads the exhibit of a name in dir, and checks it against the name. An error
// is [fs.ErrNotExist] if there is none, [ErrName] if it was changed.
func Load(dir, name string) (*Exhibit, error) {
	at, ok := parseName(name)
	if !ok {
		return nil, fmt.Errorf("exhibit %.100q: want a name of a time, a minus sign and 64 hexadecimal digits", name)
	}
	text, err := readFile(filepath.Join(dir, name+suffix), MaxFile)
	if err != nil {
		return nil, fmt.Errorf("exhibit %s: %w", name, err)
	}
	if Name(text, at) != name {
		return nil, fmt.Errorf("exhibit %s: %w", name, ErrName)
	}
	e, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if e.Time.UTC().Format(nameTime) != name[:len(nameTime)] {
		return nil, fmt.Errorf("exhibit %s is of %s: %w", name, e.Time.UTC().Format(nameTime), ErrName)
	}
	return e, nil
}

// Module reads the module of a digest (SHA-256, hexadecimal) in dir, and checks it.
func Module(dir, digest string) ([]byte, error) {
	if sum, err := hex.DecodeString(digest); err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("module %.80q: want 64 hexadecimal digits", digest)
	}
	code, err := readFile(filepath.Join(dir, modules, digest+moduleSuffix), maxModule)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", digest, err)
	}
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("module %s: its hash is %x: %w", digest, sum, ErrName)
	}
	return code, nil
}

// readFile reads a compressed file of at most limit bytes of content.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return decompress(io.LimitReader(f, limit), limit)
}

func decompress(r io.Reader, limit int64) ([]byte, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(d, limit+1)); err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if int64(b.Len()) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return b.Bytes(), nil
}

package control

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// tokenFormat is the format that is written, and the only one that is read.
const tokenFormat = 1

const maxTokenFile = 1 << 20 // bytes

// tokensOnDisk is the file: {"format":1,"tokens":[{"name":...,"sha256":...}]}
type tokensOnDisk struct {
	Format int      `json:"format"`
	Tokens []stored `json:"tokens"`
}

// stored is a token as it stands in the file.
type stored struct {
	Token
	SHA256 string   `json:"sha256"` // of the secret, in hex
	hash   [32]byte // the same
}

// readTokens reads the file. That there is none means that there are no tokens.
func readTokens(dir string) ([]stored, error) {
	name := filepath.Join(dir, tokenFile)
	data, err := readOwn(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	list, err := decodeTokens(data)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %s: %w", name, err)
	}
	return list, nil
}

// readOwn reads a file that nobody else may write: who can write it can give
// themselves access.
func readOwn(name string) ([]byte, error) {
	info, err := os.Stat(name) // before it is opened: to open a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if err := ownOnly(info); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxTokenFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxTokenFile)
	}
	return data, nil
}

// decodeTokens reads the text of the file, and refuses it whole if any of it is
// wrong: a token that cannot be read may be one that was to be limited.
func decodeTokens(data []byte) ([]stored, error) {
	var f tokensOnDisk
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text after the value")
	}
	if f.Format != tokenFormat {
		return nil, fmt.Errorf("format %d, this program reads format %d", f.Format, tokenFormat)
	}
	if len(f.Tokens) > maxTokens {
		return nil, fmt.Errorf("%d tokens, at most %d are possible", len(f.Tokens), maxTokens)
	}
	names, hashes := map[string]bool{}, map[[32]byte]bool{}
	for i := range f.Tokens {
		t := &f.Tokens[i]
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("token %d: %w", i+1, err)
		}
		sum, err := hex.DecodeString(t.SHA256)
		if err != nil || len(sum) != len(t.hash) {
			return nil, fmt.Errorf("token %s: sha256 is not %d hex digits", t.Name, 2*len(t.hash))
		}
		copy(t.hash[:], sum)
		if names[t.Name] || hashes[t.hash] {
			return nil, fmt.Errorf("token %s stands twice", t.Name)
		}
		names[t.Name], hashes[t.hash] = true, true
	}
	return f.Tokens, nil
}

// change replaces the list by what do makes of it. Processes take turns.
func (t *Tokens) change(do func([]stored) ([]stored, error)) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	unlock, err := lock(filepath.Join(t.dir, "tokens.lock"))
	if err != nil {
		return fmt.Errorf("wait for a turn: %w", err)
	}
	defer unlock()
	list, err := readTokens(t.dir)
	if err != nil {
		return err
	}
	if list, err = do(list); err != nil {
		return err
	}
	for i := range list {
		list[i].SHA256 = hex.EncodeToString(list[i].hash[:])
	}
	if list == nil {
		list = []stored{}
	}
	data, err := json.MarshalIndent(tokensOnDisk{tokenFormat, list}, "", "  ")
	if err != nil {
		return err
	}
	return replace(t.dir, tokenFile, append(data, '\n'))
}

// replace puts data under name in dir: whole and for good, or, as far as it can
// be seen from here, not at all.
func replace(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	// A crash from here on leaves a file that nothing reads.
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(data)
	if err == nil {
		// Without this, a crash after the rename could leave the name on an
		// empty file, and nobody would have access.
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	// A crash here leaves the old list.
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	// A crash here leaves the old list or the new; nobody was told yet.
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("%s is written, but may not last: %w", name, err)
	}
	return nil
}

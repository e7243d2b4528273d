package profile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Key seals what visitors' browsers keep. It never leaves the operator.
type Key [32]byte

// Keys are the keys of visitors' cookies. The last of Named seals, or Original
// if there is none; each opens what it sealed, until the operator removes it.
type Keys struct {
	Original Key           // cookie.key; zero: removed
	Named    []NumberedKey // the newest last
}

// A NumberedKey is a key and its number, which stands in its tokens.
type NumberedKey struct {
	ID  uint8 // N of cookie-N.key, from 1 to 255
	Key Key
}

const (
	originalKey = "cookie.key"
	maxKeyID    = 255 // one a year
)

// LoadKeys reads the keys of visitors' cookies in dir: cookie.key, and every
// cookie-N.key, where N is from 1 to 255; the greatest is the newest. Numbers and not
// dates of files say it, as copies lose those. If there is no key at all,
// cookie.key is made, readable by its owner only. Where a key is lost, the
// cookies that it sealed are void: their visitors count as having refused until
// they choose again.
func LoadKeys(dir string) (Keys, error) {
	numbers, original, err := listKeys(dir)
	if err != nil {
		return Keys{}, err
	}
	var keys Keys
	if original || len(numbers) == 0 {
		if keys.Original, err = LoadKey(dir); err != nil {
			return Keys{}, err
		}
	}
	for _, n := range numbers {
		name := filepath.Join(dir, keyName(n))
		b, err := os.ReadFile(name)
		if err != nil {
			return Keys{}, fmt.Errorf("read the key %s: %w", name, err)
		}
		if len(b) != len(Key{}) {
			return Keys{}, fmt.Errorf("key file %s has %d bytes, want %d: restore it from a backup, or remove it to void all that was sealed with it", name, len(b), len(Key{}))
		}
		keys.Named = append(keys.Named, NumberedKey{n, Key(b)})
	}
	return keys, nil
}

// Rotate makes a key that is newer than all in dir, and returns the name of its
// file. Processes that load the keys from then on seal with it. Where several
// processes open each other's cookies, each needs the file before one of them
// seals with it: copy it to all, then restart them.
func Rotate(dir string) (name string, err error) {
	numbers, original, err := listKeys(dir)
	if err != nil {
		return "", err
	}
	if !original && len(numbers) == 0 {
		return "", fmt.Errorf("there is no key in %s to take over from", dir)
	}
	next := uint8(1)
	if len(numbers) > 0 {
		if next = numbers[len(numbers)-1]; next == maxKeyID {
			return "", fmt.Errorf("%s is the last key that can be: make them anew, which voids all that was sealed with them", filepath.Join(dir, keyName(next)))
		}
		next++
	}
	var key Key
	rand.Read(key[:])
	name = filepath.Join(dir, keyName(next))
	if err := writeKey(dir, name, key[:]); err != nil {
		return "", fmt.Errorf("write the key %s: %w", name, err)
	}
	return name, nil
}

func keyName(n uint8) string { return "cookie-" + strconv.Itoa(int(n)) + ".key" }

// listKeys returns the numbers of the keys in dir, ascending, and whether
// cookie.key is there. A file whose name only looks like that of a key is
// refused: an operator who misnamed a key would find out when it is too late.
func listKeys(dir string) (numbers []uint8, original bool, err error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("read the folder of keys: %w", err)
	}
	for _, f := range files {
		if f.Name() == originalKey {
			original = true
			continue
		}
		number, ok := strings.CutPrefix(f.Name(), "cookie-")
		if !ok || !strings.HasSuffix(number, ".key") {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, ".key"), 10, 8)
		if err != nil || n == 0 || keyName(uint8(n)) != f.Name() {
			return nil, false, fmt.Errorf("key file %s: its name is cookie-N.key, where N is from 1 to %d, without leading zeros", filepath.Join(dir, f.Name()), maxKeyID)
		}
		numbers = append(numbers, uint8(n))
	}
	slices.Sort(numbers)
	return numbers, original, nil
}

// LoadKey reads the key of visitors' cookies, cookie.key in dir, as LoadKeyFile
// does. Without its key every visitor's cookie is void: they count as having
// refused until they choose again.
func LoadKey(dir string) (Key, error) { return LoadKeyFile(dir, originalKey) }

// LoadKeyFile reads the key in the file name of dir, and makes one, readable by
// its owner only, if there is none.
func LoadKeyFile(dir, name string) (Key, error) {
	var key Key
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return key, fmt.Errorf("make the folder for keys: %w", err)
	}
	name = filepath.Join(dir, name)
	b, err := os.ReadFile(name)
	if err == nil {
		if len(b) != len(key) {
			return key, fmt.Errorf("key file %s has %d bytes, want %d: restore it from a backup, or remove it to void all that was sealed with it", name, len(b), len(key))
		}
		return Key(b), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("read the key %s: %w", name, err)
	}
	rand.Read(key[:])
	if err := writeKey(dir, name, key[:]); err != nil {
		return key, fmt.Errorf("write the key %s: %w", name, err)
	}
	// Another process may have been first; its key is the one that counts.
	b, err = os.ReadFile(name)
	if err != nil {
		return key, fmt.Errorf("read back the key %s: %w", name, err)
	}
	if len(b) != len(key) {
		return key, fmt.Errorf("read back the key %s: %d bytes, want %d", name, len(b), len(key))
	}
	return Key(b), nil
}

// writeKey puts a whole key under name, or nothing: a crash before the link
// leaves a stray temporary file, a crash after it leaves the key.
func writeKey(dir, name string, key []byte) (err error) {
	f, err := os.CreateTemp(dir, "key-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// Link, unlike rename, never replaces a key that another process just made.
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

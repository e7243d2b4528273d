package profile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Key seals what visitors' browsers keep. It never leaves the operator.
type Key [32]byte

// A Binding says what a token is and where it belongs. A token sealed under
// one binding does not open under another, so that a cookie cannot be carried
// from one site, or from one use, to another.
type Binding struct {
	Use    string // "choice", "preferences"
	Tenant string
	Host   string
}

func (b Binding) data() []byte {
	d := make([]byte, 0, 96)
	for _, s := range []string{b.Use, b.Tenant, b.Host} {
		d = append(d, s...)
		d = append(d, 0) // no part can contain it: host and tenant are names
	}
	return d
}

// A Sealer turns bytes into tokens and back: AES-256-GCM (NIST SP 800-38D)
// with a random 96-bit nonce, base64url without padding. It is safe for
// concurrent use.
type Sealer struct{ aead cipher.AEAD }

const (
	tokenVersion = 1
	// maxToken bounds what Open looks at; browsers keep cookies up to 4096 bytes.
	maxToken = 4096
)

// NewSealer returns a Sealer that uses key.
func NewSealer(key Key) (*Sealer, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead}, nil
}

// Seal returns a token that only Open with the same binding opens.
func (s *Sealer) Seal(plain []byte, b Binding) string {
	n := s.aead.NonceSize()
	buf := make([]byte, 1+n, 1+n+len(plain)+s.aead.Overhead())
	buf[0] = tokenVersion
	rand.Read(buf[1:]) // never fails (crypto/rand, since Go 1.24)
	buf = s.aead.Seal(buf, buf[1:], plain, b.data())
	return base64.RawURLEncoding.EncodeToString(buf)
}

// ErrToken is returned for a token that this sealer did not make, or made for
// something else. It does not tell which, as the sender may be an attacker.
var ErrToken = errors.New("not a token of this site")

// Open returns what was sealed into the token.
func (s *Sealer) Open(token []byte, b Binding) ([]byte, error) {
	if len(token) == 0 || len(token) > maxToken {
		return nil, ErrToken
	}
	raw := make([]byte, base64.RawURLEncoding.DecodedLen(len(token)))
	n, err := base64.RawURLEncoding.Strict().Decode(raw, token)
	if err != nil {
		return nil, ErrToken
	}
	raw = raw[:n]
	nonce := s.aead.NonceSize()
	if len(raw) < 1+nonce+s.aead.Overhead() || raw[0] != tokenVersion {
		return nil, ErrToken
	}
	sealed := raw[1+nonce:]
	plain, err := s.aead.Open(sealed[:0], raw[1:1+nonce], sealed, b.data()) // in place: raw is nobody else's
	if err != nil {
		return nil, ErrToken
	}
	return plain, nil
}

// LoadKey reads the key of visitors' cookies, cookie.key in dir, as LoadKeyFile
// does. Without its key every visitor's cookie is void: they count as having
// refused until they choose again.
func LoadKey(dir string) (Key, error) { return LoadKeyFile(dir, "cookie.key") }

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

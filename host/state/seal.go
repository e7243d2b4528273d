package state

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

const (
	sealVersion = 1
	nonceSize   = 12
	// sealExtra is how much longer a sealed value is: version, nonce, tag.
	sealExtra = 1 + nonceSize + 16
)

// A sealer hides values and subjects. Each use has a key of its own, derived
// with HKDF-SHA256 (RFC 5869) from the operator's. It is safe for concurrent use.
type sealer struct {
	aead cipher.AEAD
	macs sync.Pool // of *subjectMAC
	// fingerprint tells keys apart and says nothing else about them.
	fingerprint string
}

func newSealer(key [32]byte) (*sealer, error) {
	if key == [32]byte{} {
		return nil, errors.New("the key is zero: want 32 random bytes")
	}
	derive := func(use string, n int) ([]byte, error) {
		return hkdf.Key(sha256.New, key[:], nil, "bespoke state "+use, n)
	}
	seal, err := derive("values", 32)
	if err != nil {
		return nil, err
	}
	subjects, err := derive("subjects", 32)
	if err != nil {
		return nil, err
	}
	print, err := derive("fingerprint", 8)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(seal)
	if err != nil {
		return nil, err
	}
	s := &sealer{fingerprint: hex.EncodeToString(print)}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return nil, err
	}
	s.macs.New = func() any { return &subjectMAC{mac: hmac.New(sha256.New, subjects)} }
	return s, nil
}

// A Namer makes the keys of subjects without a store: those that [Store.Subject]
// of a Store with the same Options.Key makes. It is safe for concurrent use.
type Namer struct{ seal *sealer }

// NewNamer returns a Namer. The key must not be zero.
func NewNamer(key [32]byte) (*Namer, error) {
	s, err := newSealer(key)
	if err != nil {
		return nil, fmt.Errorf("name subjects: %w", err)
	}
	return &Namer{s}, nil
}

// Subject returns the key of a tenant's subject, as [Store.Subject] does.
func (n *Namer) Subject(tenant, subject string) Key { return n.seal.subject(tenant, subject) }

// A subjectMAC is kept for the next subject, as a request makes one on its way.
type subjectMAC struct {
	mac hash.Hash
	buf []byte
}

// bound is what a sealed value is bound to: under another bucket or key it does
// not open, so that whoever can write the store cannot hand one subject's choice
// to another.
func bound(bucket string, key Key) []byte {
	b := make([]byte, 0, len(bucket)+len(key)+1)
	b = append(b, bucket...)
	b = append(b, 0) // neither part can contain it
	return append(b, key...)
}

// seal returns version, random nonce, and the value under AES-256-GCM (NIST SP
// 800-38D).
func (s *sealer) seal(bucket string, key Key, value []byte) []byte {
	b := make([]byte, 1+nonceSize, len(value)+sealExtra)
	b[0] = sealVersion
	rand.Read(b[1:]) // never fails (crypto/rand, since Go 1.24)
	return s.aead.Seal(b, b[1:], value, bound(bucket, key))
}

// open returns a value of at least one byte, or ErrUnreadable.
func (s *sealer) open(bucket string, key Key, sealed []byte) ([]byte, error) {
	if len(sealed) <= sealExtra || sealed[0] != sealVersion {
		return nil, ErrUnreadable
	}
	value, err := s.aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], bound(bucket, key))
	if err != nil {
		return nil, ErrUnreadable
	}
	return value, nil
}

// subject returns "tenant.HMAC". The HMAC covers the tenant too, with its length
// before it, so that no two pairs have the same input.
func (s *sealer) subject(tenant, subject string) Key {
	m := s.macs.Get().(*subjectMAC)
	b := binary.LittleEndian.AppendUint64(m.buf[:0], uint64(len(tenant)))
	b = append(b, tenant...)
	b = append(b, subject...)
	m.mac.Reset()
	m.mac.Write(b)
	named := len(b)
	b = m.mac.Sum(b)
	sum := b[named:]
	b = appendToken(b, tenant)
	b = append(b, '.')
	b = base64.RawURLEncoding.AppendEncode(b, sum)
	key := string(b[named+sha256.Size:])
	clear(b) // the name stays nowhere
	if cap(b) > 1<<10 {
		b = nil
	}
	m.buf = b[:0]
	s.macs.Put(m)
	return key
}

// appendToken appends a tenant's name as one part of a key. What may not stand
// in a key is written "=xx", and a name that gets too long is hashed; both begin
// with or contain "=", which no name of its own right contains.
func appendToken(b []byte, name string) []byte {
	if len(name) > 64 {
		sum := sha256.Sum256([]byte(name))
		b = append(b, "=="...)
		return hex.AppendEncode(b, sum[:16])
	}
	if name == "" {
		return append(b, '=')
	}
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '=')
			b = hex.AppendEncode(b, []byte{c})
		}
	}
	return b
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// checkKey says what is wrong with a key. It does not repeat it, as errors are
// logged.
func checkKey(key Key) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("a key of %d bytes: want 1 to %d", len(key), maxKey)
	}
	if key[0] == '.' || key[len(key)-1] == '.' || strings.Contains(key, "..") {
		return errors.New("a key with an empty part: want parts divided by single dots")
	}
	for i := range len(key) {
		if c := key[i]; !plain(c) && c != '.' && c != '=' && c != '/' {
			return fmt.Errorf("a key with byte %#02x at %d: want letters, digits, dots and -_=/", c, i)
		}
	}
	return nil
}

func checkBucket(name string) error {
	ok := len(name) > 0 && len(name) <= maxBucket
	for i := range len(name) {
		ok = ok && plain(name[i])
	}
	if !ok {
		return fmt.Errorf("bucket %q: want 1 to %d letters, digits, - and _", name, maxBucket)
	}
	return nil
}

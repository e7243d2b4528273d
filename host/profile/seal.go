package profile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// A Binding says what a token is and where it belongs. A token sealed under
// one binding does not open under another, so that a cookie cannot be carried
// from one site, or from one use, to another.
type Binding struct {
	Use    string // "choice", "preferences", "profile", "hidden"
	Tenant string
	Host   string
}

// appendTo appends the associated data of the binding.
func (b *Binding) appendTo(d []byte) []byte {
	d = append(append(d, b.Use...), 0) // no part can contain a zero: host and tenant are names
	d = append(append(d, b.Tenant...), 0)
	return append(append(d, b.Host...), 0)
}

// A Sealer turns bytes into tokens and back: AES-256-GCM (NIST SP 800-38D)
// with a random 96-bit nonce, base64url without padding. It is safe for
// concurrent use.
//
// Nonces are random, so no key may seal without end: somebody who has seen n
// tokens of one key finds two with the same nonce with a chance of n²/2^97, for
// 2^32 of them 2^-33, and could forge tokens then (8.3 there). A visitor sees
// only their own; a key a year ([Rotate]) keeps far from that.
type Sealer struct {
	original cipher.AEAD // nil: removed
	named    []namedKey  // the newest first
	spare    sync.Pool   // of *scratch
}

type namedKey struct {
	id   uint8
	aead cipher.AEAD
}

// scratch is what a token is taken apart in.
type scratch struct{ raw, data []byte }

// A token is, before base64: a version, in version 2 the id of the key, the
// nonce, the sealed bytes, the tag. A token of the original key has version 1 and
// no id, as all had before keys could be renewed: until the first renewal
// operators may go back to a build that knows no other, and no choice is lost.
const (
	tokenOriginal = 1
	tokenNamed    = 2

	nonceSize = 12
	tagSize   = 16
	// maxToken bounds what Open looks at; browsers keep cookies up to 4096 bytes.
	maxToken = 4096
)

// SealedLen returns the most characters that a token of n bytes has.
func SealedLen(n int) int {
	return base64.RawURLEncoding.EncodedLen(1 + 1 + nonceSize + n + tagSize)
}

// sealedFit returns how many bytes a token of that many characters can seal.
func sealedFit(chars int) int {
	return max(0, base64.RawURLEncoding.DecodedLen(chars)-(1+1+nonceSize+tagSize))
}

// NewSealer returns a Sealer that uses one key, as cookie.key is used.
func NewSealer(key Key) (*Sealer, error) { return NewRing(Keys{Original: key}) }

// NewRing returns a Sealer that seals with the newest of keys, and opens what
// any of them sealed.
func NewRing(keys Keys) (*Sealer, error) {
	s := &Sealer{spare: sync.Pool{New: func() any { return &scratch{data: make([]byte, 0, 96), raw: make([]byte, 0, 768)} }}}
	var err error
	if keys.Original != (Key{}) {
		if s.original, err = newAEAD(keys.Original); err != nil {
			return nil, err
		}
	}
	for i, k := range slices.Backward(keys.Named) {
		if i > 0 && keys.Named[i-1].ID >= k.ID {
			return nil, fmt.Errorf("keys of visitors' cookies: number %d before number %d, want them to ascend", keys.Named[i-1].ID, k.ID)
		}
		aead, err := newAEAD(k.Key)
		if err != nil {
			return nil, err
		}
		s.named = append(s.named, namedKey{k.ID, aead})
	}
	if s.original == nil && len(s.named) == 0 {
		return nil, errors.New("there is no key for visitors' cookies")
	}
	return s, nil
}

func newAEAD(key Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal returns a token that only Open with the same binding opens.
func (s *Sealer) Seal(plain []byte, b Binding) string {
	return string(s.AppendSeal(make([]byte, 0, SealedLen(len(plain))), plain, b))
}

// AppendSeal appends a token of plain to dst, and returns the longer slice.
func (s *Sealer) AppendSeal(dst, plain []byte, b Binding) []byte {
	t := s.spare.Get().(*scratch)
	t.data = b.appendTo(t.data[:0])
	aead := s.original
	if len(s.named) > 0 {
		aead = s.named[0].aead
		t.raw = append(t.raw[:0], tokenNamed, s.named[0].id)
	} else {
		t.raw = append(t.raw[:0], tokenOriginal)
	}
	head := len(t.raw)
	var zero [nonceSize]byte
	t.raw = append(t.raw, zero[:]...)
	rand.Read(t.raw[head:]) // never fails (crypto/rand, since Go 1.24)
	t.raw = aead.Seal(t.raw, t.raw[head:], plain, t.data)
	dst = base64.RawURLEncoding.AppendEncode(dst, t.raw)
	s.spare.Put(t)
	return dst
}

// ErrToken is returned for a token that this sealer did not make, or made for
// something else. It does not tell which, as the sender may be an attacker.
var ErrToken = errors.New("not a token of this site")

// ErrNewer is returned for what looks like the work of a later build. Who gets
// it uses nothing of it and leaves the cookie as it is, so that what the visitor
// keeps is still there when the later build is back.
var ErrNewer = errors.New("made by a later build")

// Open returns what was sealed into the token.
func (s *Sealer) Open(token []byte, b Binding) ([]byte, error) { return s.AppendOpen(nil, token, b) }

// AppendOpen appends what was sealed into the token to dst, and returns the
// longer slice; with an error, dst. Errors are [ErrToken] and [ErrNewer].
func (s *Sealer) AppendOpen(dst, token []byte, b Binding) ([]byte, error) {
	if len(token) == 0 || len(token) > maxToken {
		return dst, ErrToken
	}
	t := s.spare.Get().(*scratch)
	defer s.spare.Put(t)
	t.raw = slices.Grow(t.raw[:0], base64.RawURLEncoding.DecodedLen(len(token)))
	raw := t.raw[:cap(t.raw)]
	n, err := strict.Decode(raw, token)
	if err != nil {
		return dst, ErrToken
	}
	aead, sealed, err := s.opener(raw[:n])
	if err != nil {
		return dst, err
	}
	t.data = b.appendTo(t.data[:0])
	plain, err := aead.Open(dst, sealed[:nonceSize], sealed[nonceSize:], t.data)
	if err != nil {
		return dst, ErrToken
	}
	return plain, nil
}

// strict refuses the second spelling of a token: bits beyond its end.
var strict = base64.RawURLEncoding.Strict()

// opener returns the key that a token was sealed with, and what follows its name.
func (s *Sealer) opener(raw []byte) (cipher.AEAD, []byte, error) {
	const least = nonceSize + tagSize
	switch {
	case len(raw) < 1+least:
	case raw[0] == tokenOriginal && s.original != nil:
		return s.original, raw[1:], nil
	case raw[0] == tokenNamed && len(raw) >= 1+1+least:
		for i := range s.named {
			if s.named[i].id == raw[1] {
				return s.named[i].aead, raw[2:], nil
			}
		}
	case raw[0] > tokenNamed:
		return nil, nil, ErrNewer
	}
	return nil, nil, ErrToken
}

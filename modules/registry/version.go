package registry

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// A Digest is the SHA-256 of a binary. Its text is 64 lower-case hex digits.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads the text of a digest.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("digest %.80q: want %d hex digits: %w", s, hex.EncodedLen(len(d)), ErrInvalid)
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil || d.String() != s {
		return Digest{}, fmt.Errorf("digest %q: want lower-case hex digits: %w", s, ErrInvalid)
	}
	return d, nil
}

// MarshalText returns the digest's text.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the digest's text.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

// A State is where a version stands.
type State string

const (
	Uploaded State = "uploaded" // stored; the check has not ended, or a crash cut it short
	Checked  State = "checked"  // may be staged and activated
	Staged   State = "staged"   // runs beside the active one, see [Staging]
	Active   State = "active"   // runs for all
	Retired  State = "retired"  // runs no more; may be activated again, or deleted
)

// A Version is one binary under a name. It is a value: nothing changes it.
type Version struct {
	Number          int       `json:"number"` // from 1
	Digest          Digest    `json:"digest"`
	Size            int64     `json:"size"`                       // bytes
	Manifest        string    `json:"manifest,omitempty"`         // the name in its manifest
	ManifestVersion string    `json:"manifest_version,omitempty"` // the version in its manifest
	Uploaded        time.Time `json:"uploaded"`                   // UTC, whole seconds
	State           State     `json:"state"`
	Note            string    `json:"note,omitempty"` // from the uploader
}

// A Policy is a name of a tenant with all its versions.
type Policy struct {
	Name     string    `json:"name"`
	Next     int       `json:"next"`               // the number of the next new version
	Active   int       `json:"active,omitempty"`   // 0: none
	Previous int       `json:"previous,omitempty"` // what Rollback brings back; 0: nothing
	Staging  Staging   `json:"staging,omitzero"`
	Versions []Version `json:"versions"` // by number, ascending
}

// Version returns the version of that number.
func (p *Policy) Version(number int) (Version, bool) {
	if v := p.at(number); v != nil {
		return *v, true
	}
	return Version{}, false
}

// at returns the version of that number for writing, nil if there is none.
func (p *Policy) at(number int) *Version {
	i, ok := slices.BinarySearchFunc(p.Versions, number, func(v Version, n int) int { return cmp.Compare(v.Number, n) })
	if !ok {
		return nil
	}
	return &p.Versions[i]
}

func (p *Policy) clone() *Policy {
	c := *p
	c.Versions = slices.Clone(p.Versions)
	return &c
}

// A Mode is how a staged version runs.
type Mode string

const (
	Shadow Mode = "shadow" // after the active one; its edits are compared and dropped
	Canary Mode = "canary" // in place of the active one
)

// Staging says which version is staged, and on which exchanges it runs.
// The zero value stands for none.
type Staging struct {
	Version  int  `json:"version"`
	Mode     Mode `json:"mode"`
	Permille int  `json:"permille"` // the share of exchanges, 1 to 1000
}

// Takes reports whether the staged version runs on the exchange that n stands
// for: a hash, an id or a counter, it is mixed here. Equal n get equal answers,
// and those taken at one share are taken at every larger one.
func (s Staging) Takes(n uint64) bool {
	// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) spreads any n
	// evenly; the product maps it to 0..999 without the bias of a remainder.
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	n ^= n >> 31
	share, _ := bits.Mul64(n, 1000)
	return share < uint64(max(0, s.Permille))
}

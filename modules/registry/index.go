package registry

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// An index is all that a tenant has, and one file. It is immutable once it is
// in use.
type index struct {
	Tenant   string    `json:"tenant"`
	Epoch    uint64    `json:"epoch"`    // grows with every change; may skip
	Policies []*Policy `json:"policies"` // by name, ascending

	byName map[string]*Policy
}

// indexFormat is the format that is written, and the only one that is read:
//
//	{"format":1,"sha256":"<of the bytes of index>","index":{...}}
const indexFormat = 1

// Bounds on an index that hold whatever the limits are.
const (
	maxIndex  = 16 << 20 // bytes of the file
	maxText   = 256      // bytes of a note, a manifest's name or version
	maxNumber = 1 << 30  // of a version
	maxEpoch  = 1 << 62
	maxShare  = 1000
)

type envelope struct {
	Format int             `json:"format"`
	SHA256 Digest          `json:"sha256"`
	Index  json.RawMessage `json:"index"`
}

// newIndex returns an index of these policies, which it sorts.
func newIndex(tenant string, policies []*Policy) *index {
	ix := &index{Tenant: tenant, Policies: policies, byName: make(map[string]*Policy, len(policies))}
	slices.SortFunc(ix.Policies, func(a, b *Policy) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range policies {
		ix.byName[p.Name] = p
	}
	return ix
}

// with returns an index that has p in the place of the policy of that name,
// or, if p has no versions, no such policy.
func (ix *index) with(p *Policy) *index {
	policies := make([]*Policy, 0, len(ix.Policies)+1)
	for _, old := range ix.Policies {
		if old.Name != p.Name {
			policies = append(policies, old)
		}
	}
	if len(p.Versions) > 0 {
		policies = append(policies, p)
	}
	return newIndex(ix.Tenant, policies)
}

// bytes returns the size of all binaries, each counted once, and whether d is among them.
func (ix *index) bytes(d Digest) (sum int64, has bool) {
	seen := map[Digest]bool{}
	for _, p := range ix.Policies {
		for _, v := range p.Versions {
			if !seen[v.Digest] {
				seen[v.Digest] = true
				sum += v.Size
			}
		}
	}
	return sum, seen[d]
}

func readIndex(f files, path, tenant string) (*index, error) {
	data, err := f.Read(path, maxIndex)
	if err != nil {
		return nil, fmt.Errorf("read index %s: %w", path, err)
	}
	ix, err := decodeIndex(data, tenant)
	if err != nil {
		return nil, fmt.Errorf("read index %s: %w: %w", path, ErrDamaged, err)
	}
	return ix, nil
}

// encode returns the file of an index.
func (ix *index) encode() ([]byte, error) {
	if err := ix.check(); err != nil {
		return nil, fmt.Errorf("index of %s would not be sound: %w", ix.Tenant, err)
	}
	body, err := json.Marshal(ix)
	if err != nil {
		return nil, fmt.Errorf("index of %s: %w", ix.Tenant, err)
	}
	data := append([]byte(`{"format":`), strconv.Itoa(indexFormat)...)
	data = append(data, `,"sha256":"`...)
	data = append(data, Digest(sha256.Sum256(body)).String()...)
	data = append(data, `","index":`...)
	data = append(data, body...)
	data = append(data, '}', '\n')
	if len(data) > maxIndex {
		return nil, fmt.Errorf("index of %s would have %d bytes, at most %d are possible: %w", ix.Tenant, len(data), maxIndex, ErrLimit)
	}
	return data, nil
}

// decodeIndex reads the file of a tenant's index.
func decodeIndex(data []byte, tenant string) (*index, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &format); err != nil {
		return nil, err
	}
	if format.Format != indexFormat {
		return nil, fmt.Errorf("format %d, this program reads format %d", format.Format, indexFormat)
	}
	var e envelope
	if err := strict(data, &e); err != nil {
		return nil, err
	}
	if Digest(sha256.Sum256(e.Index)) != e.SHA256 {
		return nil, errors.New("its contents do not have the digest that it names")
	}
	return decodeBody(e.Index, tenant)
}

func decodeBody(body []byte, tenant string) (*index, error) {
	var raw index
	if err := strict(body, &raw); err != nil {
		return nil, err
	}
	if err := raw.check(); err != nil {
		return nil, err
	}
	if raw.Tenant != tenant {
		return nil, fmt.Errorf("it is of tenant %q", raw.Tenant)
	}
	ix := newIndex(raw.Tenant, raw.Policies)
	ix.Epoch = raw.Epoch
	return ix, nil
}

func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("text after the value")
	}
	return nil
}

// check tells what contradicts itself in an index. It is applied to what is
// read and to what is about to be written.
func (ix *index) check() error {
	if !validName(ix.Tenant) {
		return fmt.Errorf("tenant %.80q is no name", ix.Tenant)
	}
	if ix.Epoch > maxEpoch {
		return fmt.Errorf("epoch %d, at most %d are possible", ix.Epoch, uint64(maxEpoch))
	}
	for i, p := range ix.Policies {
		if p == nil || !validName(p.Name) {
			return fmt.Errorf("policy %d has no proper name", i)
		}
		if i > 0 && ix.Policies[i-1].Name >= p.Name {
			return fmt.Errorf("policy %s is out of order", p.Name)
		}
		if err := p.check(); err != nil {
			return fmt.Errorf("policy %s: %w", p.Name, err)
		}
	}
	return nil
}

func (p *Policy) check() error {
	if len(p.Versions) == 0 {
		return errors.New("no versions")
	}
	if p.Next > maxNumber {
		return fmt.Errorf("next version %d: at most %d are possible", p.Next, maxNumber)
	}
	last := 0
	digests := make(map[Digest]int, len(p.Versions))
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Number <= last || v.Number >= p.Next {
			return fmt.Errorf("version %d stands after %d, and the next is %d", v.Number, last, p.Next)
		}
		last = v.Number
		if err := p.checkVersion(v); err != nil {
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
		if n := digests[v.Digest]; n != 0 {
			return fmt.Errorf("versions %d and %d have the same digest", n, v.Number)
		}
		digests[v.Digest] = v.Number
	}
	if p.Active != 0 && p.at(p.Active) == nil {
		return fmt.Errorf("version %d is active and not there", p.Active)
	}
	if p.Previous != 0 {
		v := p.at(p.Previous)
		if v == nil || v.State == Active || v.State == Uploaded {
			return fmt.Errorf("version %d cannot be the one to go back to", p.Previous)
		}
	}
	return p.checkStaging()
}

// checkVersion holds a version's state against what the policy says of it, so
// that the two never tell different stories.
func (p *Policy) checkVersion(v *Version) error {
	switch v.State {
	case Uploaded, Checked, Staged, Active, Retired:
	default:
		return fmt.Errorf("state %.80q is unknown", v.State)
	}
	if (v.State == Active) != (v.Number == p.Active) {
		return fmt.Errorf("it is %s, and version %d is active", v.State, p.Active)
	}
	if (v.State == Staged) != (v.Number == p.Staging.Version) {
		return fmt.Errorf("it is %s, and version %d is staged", v.State, p.Staging.Version)
	}
	if v.Size <= 0 {
		return fmt.Errorf("size %d", v.Size)
	}
	for _, s := range []string{v.Manifest, v.ManifestVersion, v.Note} {
		if err := checkText(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policy) checkStaging() error {
	s := p.Staging
	if s == (Staging{}) {
		return nil
	}
	if p.at(s.Version) == nil {
		return fmt.Errorf("version %d is staged and not there", s.Version)
	}
	return s.check()
}

func (s Staging) check() error {
	if s.Mode != Shadow && s.Mode != Canary {
		return fmt.Errorf("mode %.80q: want %q or %q", s.Mode, Shadow, Canary)
	}
	if s.Permille < 1 || s.Permille > maxShare {
		return fmt.Errorf("share of %d per mille: want 1 to %d", s.Permille, maxShare)
	}
	return nil
}

// checkText refuses what would not fit on a line of a list, or would speak to
// a terminal.
func checkText(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("text of %d bytes, at most %d are allowed", len(s), maxText)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("text %q is not UTF-8", s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("text %q has a character that does not print", s)
		}
	}
	return nil
}

package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Upload stores a binary as the next version of a policy and has it checked.
// A binary that the policy has already gives the version that it is, in
// whatever state; its file is written again if it was damaged. A refused one is
// forgotten and reported with ErrRefused; its number is not given again while
// the policy has other versions. The note is printable text of at most 256 bytes.
//
// If the process ends during the check, the version stays uploaded. To upload
// it again resumes.
func (r *Registry) Upload(tenant, policy string, binary []byte, note string) (Version, error) {
	if err := checkNames(tenant, policy); err != nil {
		return Version{}, fmt.Errorf("%s: %w", Upload, err)
	}
	v, err := r.upload(tenant, policy, binary, note)
	if err != nil {
		return Version{}, fmt.Errorf("%s %s/%s: %w", Upload, tenant, policy, err)
	}
	return v, nil
}

func (r *Registry) upload(tenant, policy string, binary []byte, note string) (Version, error) {
	if err := checkText(note); err != nil {
		return Version{}, fmt.Errorf("note: %w: %w", err, ErrInvalid)
	}
	if len(binary) == 0 {
		return Version{}, fmt.Errorf("the binary is empty: %w", ErrInvalid)
	}
	if limit := r.config.Limits.BinaryBytes; len(binary) > limit {
		return Version{}, fmt.Errorf("the binary has %d bytes, at most %d are allowed: %w", len(binary), limit, ErrLimit)
	}
	d := Digest(sha256.Sum256(binary))
	t := r.add(tenant)
	v, err := r.store(t, policy, d, binary, note)
	if err != nil || v.State != Uploaded {
		return v, err
	}
	// A crash here, by the check itself perhaps, leaves a version that is
	// uploaded: it shows which binary it was, and cannot be activated. The
	// check may take seconds, so no lock is held: a rollback does not wait for it.
	info, refusal := r.config.Check(binary)
	if info == nil {
		info = &Info{}
	}
	if refusal == nil {
		refusal = errors.Join(checkText(info.Name), checkText(info.Version))
	}
	return r.conclude(t, policy, v, *info, refusal)
}

// store keeps the binary and enters its version, unless they are there.
func (r *Registry) store(t *tenant, policy string, d Digest, binary []byte, note string) (Version, error) {
	if err := r.enter(t); err != nil {
		return Version{}, err
	}
	defer t.mu.Unlock()
	now := t.now.Load()
	p := now.byName[policy]
	if p == nil {
		p = &Policy{Name: policy, Next: 1}
	}
	p = p.clone()
	for _, v := range p.Versions {
		if v.Digest == d {
			return r.repeat(t, p, v, binary)
		}
	}
	if err := r.room(now, p, d, int64(len(binary))); err != nil {
		return Version{}, err
	}
	// The binary first, then what refers to it. A crash between the two leaves
	// a file that nothing refers to; the next Open removes it.
	r.blobs.hold(d, int64(len(binary)))
	if err := r.blobs.put(d, binary); err != nil {
		r.blobs.drop(d)
		return Version{}, err
	}
	v := Version{
		Number:   p.Next,
		Digest:   d,
		Size:     int64(len(binary)),
		Uploaded: r.config.Now().UTC().Truncate(time.Second),
		State:    Uploaded,
		Note:     note,
	}
	p.Next++
	p.Versions = append(p.Versions, v)
	if err := r.commit(t, now.with(p), Change{Kind: Upload, Policy: *p.clone(), Version: v}); err != nil {
		r.release(t, d)
		return Version{}, err
	}
	return v, nil
}

// repeat answers for a binary that is there already. t.mu is held.
func (r *Registry) repeat(t *tenant, p *Policy, v Version, binary []byte) (Version, error) {
	if err := r.blobs.put(v.Digest, binary); err != nil {
		return Version{}, err
	}
	if t.doubt { // the file may not have it
		if err := r.commit(t, t.now.Load().with(p), Change{Kind: Upload, Policy: *p.clone(), Version: v}); err != nil {
			return Version{}, err
		}
	}
	return v, nil
}

// room tells whether one more version fits. p is a copy with its versions.
func (r *Registry) room(now *index, p *Policy, d Digest, size int64) error {
	l := r.config.Limits
	switch {
	case len(p.Versions) == 0 && len(now.Policies) >= l.Policies:
		return fmt.Errorf("the tenant has %d policies, at most %d are allowed: %w", len(now.Policies), l.Policies, ErrLimit)
	case len(p.Versions) >= l.Versions:
		return fmt.Errorf("the policy has %d versions, at most %d are allowed; delete retired ones: %w", len(p.Versions), l.Versions, ErrLimit)
	case p.Next >= maxNumber:
		return fmt.Errorf("the policy has had %d versions, no more are possible: %w", p.Next-1, ErrLimit)
	}
	if used, has := now.bytes(d); !has && used+size > l.TenantBytes {
		return fmt.Errorf("the tenant's binaries have %d bytes, with this one of %d they would exceed the %d allowed; delete retired versions: %w", used, size, l.TenantBytes, ErrLimit)
	}
	return nil
}

// conclude enters what the check found.
func (r *Registry) conclude(t *tenant, policy string, v Version, info Info, refusal error) (Version, error) {
	if refusal != nil {
		refusal = fmt.Errorf("%w: %w", ErrRefused, refusal)
	}
	if err := r.enter(t); err != nil {
		return Version{}, errors.Join(refusal, err)
	}
	defer t.mu.Unlock()
	now := t.now.Load()
	var at *Version
	p := now.byName[policy]
	if p != nil {
		p = p.clone()
		at = p.at(v.Number)
	}
	// Meanwhile the same binary may have been uploaded again and concluded
	// first, or the version deleted, or the whole policy made anew.
	switch {
	case at == nil || at.Digest != v.Digest:
		if refusal == nil {
			refusal = fmt.Errorf("version %d was deleted during its check: %w", v.Number, ErrNotFound)
		}
		return Version{}, refusal
	case at.State != Uploaded:
		return *at, nil
	}
	c := Change{Kind: Check}
	if refusal != nil {
		c.Kind, c.Version = Refuse, *at
		p.remove(v.Number)
	} else {
		at.State, at.Manifest, at.ManifestVersion = Checked, info.Name, info.Version
		c.Version = *at
	}
	c.Policy = *p.clone()
	// A crash before this is durable leaves it uploaded.
	if err := r.commit(t, now.with(p), c); err != nil {
		return Version{}, errors.Join(refusal, err)
	}
	if refusal != nil {
		r.blobs.drop(v.Digest)
		return Version{}, refusal
	}
	return c.Version, nil
}

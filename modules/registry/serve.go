package registry

import "fmt"

// Active returns the version that runs for all. It takes no lock, allocates
// nothing, and sees each change from the moment it is durable.
func (r *Registry) Active(tenant, policy string) (Version, bool) {
	p := r.policy(tenant, policy)
	if p == nil || p.Active == 0 {
		return Version{}, false
	}
	return *p.at(p.Active), true
}

// Staged returns the version that is staged, and how. Like Active it is for the
// request path. The two are read one after the other: between them a staged
// version may become the active one, and then both are that version.
func (r *Registry) Staged(tenant, policy string) (Version, Staging, bool) {
	p := r.policy(tenant, policy)
	if p == nil || p.Staging.Version == 0 {
		return Version{}, Staging{}, false
	}
	return *p.at(p.Staging.Version), p.Staging, true
}

// Version returns a version by its number, in whatever state. Like Active it is
// for the request path; the caller minds that one that is Uploaded must not run.
func (r *Registry) Version(tenant, policy string, number int) (Version, bool) {
	p := r.policy(tenant, policy)
	if p == nil {
		return Version{}, false
	}
	return p.Version(number)
}

func (r *Registry) policy(tenant, policy string) *Policy {
	t := r.tenant(tenant)
	if t == nil {
		return nil
	}
	return t.now.Load().byName[policy]
}

// List returns the policies of a tenant by name, as they were at one moment,
// and the epoch of that moment. A tenant that never uploaded has none; one whose
// index is damaged gives the error that names the file.
func (r *Registry) List(tenant string) ([]Policy, uint64, error) {
	t := r.tenant(tenant)
	if t == nil {
		return nil, 0, nil
	}
	if t.damage != nil { // written by Open alone
		return nil, 0, fmt.Errorf("list policies of %s: %w", tenant, t.damage)
	}
	ix := t.now.Load()
	all := make([]Policy, 0, len(ix.Policies))
	for _, p := range ix.Policies {
		all = append(all, *p.clone())
	}
	return all, ix.Epoch, nil
}

// Binary returns the bytes of a version's module, verified against the digest.
// The error names the file if it is missing or damaged (ErrDamaged); a digest
// that no version has is ErrNotFound. Whose it is, the caller knows.
func (r *Registry) Binary(d Digest) ([]byte, error) { return r.blobs.read(d) }

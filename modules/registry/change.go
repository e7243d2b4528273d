package registry

import "fmt"

// Stage has a version that passed its check run beside the active one, on a
// share of exchanges in per mille, 1 to 1000. Another version that is staged
// goes back to checked; the same one changes its mode or share.
func (r *Registry) Stage(tenant, policy string, version int, m Mode, permille int) (Version, error) {
	s := Staging{Version: version, Mode: m, Permille: permille}
	if err := s.check(); err != nil {
		return Version{}, fmt.Errorf("%s: %w: %w", Stage, err, ErrInvalid)
	}
	return r.change(Stage, tenant, policy, number(version), func(p *Policy, v *Version) (bool, error) {
		if v.State == Active {
			return false, fmt.Errorf("it is active: %w", ErrState)
		}
		if p.Staging == s {
			return false, nil
		}
		if err := r.runnable(v); err != nil {
			return false, err
		}
		p.unstage()
		v.State, p.Staging = Staged, s
		return true, nil
	})
}

// Unstage ends what Stage began; the version is checked again.
func (r *Registry) Unstage(tenant, policy string) (Version, error) {
	return r.change(Unstage, tenant, policy, staged, func(p *Policy, _ *Version) (bool, error) {
		p.unstage()
		return true, nil
	})
}

// Activate has a version run for all from now on, one that is checked, staged
// or retired. The one that was active is retired, and is what Rollback brings back.
func (r *Registry) Activate(tenant, policy string, version int) (Version, error) {
	return r.change(Activate, tenant, policy, number(version), func(p *Policy, v *Version) (bool, error) {
		if v.State == Active {
			return false, nil
		}
		if err := r.runnable(v); err != nil {
			return false, err
		}
		p.activate(v)
		return true, nil
	})
}

// Rollback has the version run again that was active before the last
// activation, or before the active one was retired. It goes back one step: a
// second one in a row fails with ErrState, so that a command sent twice does
// no harm. Any version can be had back with Activate.
func (r *Registry) Rollback(tenant, policy string) (Version, error) {
	return r.change(Rollback, tenant, policy, previous, func(p *Policy, v *Version) (bool, error) {
		if err := r.runnable(v); err != nil {
			return false, err
		}
		p.activate(v)
		p.Previous = 0
		return true, nil
	})
}

// Retire takes a version out of use. If it was active, none is, and Rollback
// brings it back.
func (r *Registry) Retire(tenant, policy string, version int) (Version, error) {
	return r.change(Retire, tenant, policy, number(version), func(p *Policy, v *Version) (bool, error) {
		switch v.State {
		case Retired:
			return false, nil
		case Uploaded:
			return false, fmt.Errorf("its check did not end; delete it instead: %w", ErrState)
		case Staged:
			p.unstage()
		case Active:
			p.Active, p.Previous = 0, v.Number
		}
		v.State = Retired
		return true, nil
	})
}

// Delete forgets a version that is retired, or whose check did not end, and
// removes its binary unless another version has the same. While a version is
// active, the one that Rollback would bring back is kept. With its last version
// the policy is forgotten: the next upload under its name is version 1.
func (r *Registry) Delete(tenant, policy string, version int) error {
	v, err := r.change(Delete, tenant, policy, number(version), func(p *Policy, v *Version) (bool, error) {
		switch {
		case v.State != Retired && v.State != Uploaded:
			return false, fmt.Errorf("it is %s, only a retired version can be deleted: %w", v.State, ErrState)
		case p.Active != 0 && p.Previous == v.Number:
			return false, fmt.Errorf("it is what a rollback brings back while version %d is active: %w", p.Active, ErrState)
		}
		p.remove(v.Number)
		return true, nil
	})
	if err != nil {
		return err
	}
	// The index that does not refer to it is there for good. A crash here
	// leaves a file that nothing refers to; the next Open removes it.
	r.blobs.drop(v.Digest)
	return nil
}

// A target says which version of a policy a change is about.
type target func(*Policy) (number int, err error)

func number(n int) target { return func(*Policy) (int, error) { return n, nil } }

func staged(p *Policy) (int, error) {
	if p.Staging.Version == 0 {
		return 0, fmt.Errorf("no version is staged: %w", ErrState)
	}
	return p.Staging.Version, nil
}

func previous(p *Policy) (int, error) {
	if p.Previous == 0 {
		return 0, fmt.Errorf("no version to go back to; activate one by its number: %w", ErrState)
	}
	return p.Previous, nil
}

// An edit gets a copy of the policy and its version, and tells whether it
// wrote to them.
type edit func(*Policy, *Version) (changed bool, err error)

// change is the way of every change to a version that exists.
func (r *Registry) change(k Kind, tenant, policy string, which target, do edit) (Version, error) {
	if err := checkNames(tenant, policy); err != nil {
		return Version{}, fmt.Errorf("%s: %w", k, err)
	}
	v, err := r.try(k, tenant, policy, which, do)
	if err != nil {
		return Version{}, fmt.Errorf("%s %s/%s: %w", k, tenant, policy, err)
	}
	return v, nil
}

func (r *Registry) try(k Kind, tenant, policy string, which target, do edit) (Version, error) {
	t := r.tenant(tenant)
	if t == nil {
		return Version{}, fmt.Errorf("the tenant has no policies: %w", ErrNotFound)
	}
	if err := r.enter(t); err != nil {
		return Version{}, err
	}
	defer t.mu.Unlock()
	now := t.now.Load()
	old := now.byName[policy]
	if old == nil {
		return Version{}, fmt.Errorf("the tenant has no such policy: %w", ErrNotFound)
	}
	p := old.clone()
	n, err := which(p)
	if err != nil {
		return Version{}, err
	}
	v := p.at(n)
	if v == nil {
		return Version{}, fmt.Errorf("version %d: the policy has no such version: %w", n, ErrNotFound)
	}
	was := *v
	changed, err := do(p, v)
	if err != nil {
		return Version{}, fmt.Errorf("version %d: %w", n, err)
	}
	// In doubt, the file may not say what we are about to report.
	if !changed && !t.doubt {
		return was, nil
	}
	is, ok := p.Version(n)
	if !ok {
		is = was
	}
	if err := r.commit(t, now.with(p), Change{Kind: k, Policy: *p.clone(), Version: is}); err != nil {
		return Version{}, err
	}
	return is, nil
}

// runnable refuses a version that would fail as soon as it should run.
func (r *Registry) runnable(v *Version) error {
	if v.State == Uploaded {
		return fmt.Errorf("its check did not end; upload it again: %w", ErrState)
	}
	_, err := r.blobs.read(v.Digest)
	return err
}

func (p *Policy) unstage() {
	if v := p.at(p.Staging.Version); v != nil {
		v.State = Checked
	}
	p.Staging = Staging{}
}

func (p *Policy) activate(v *Version) {
	if v.State == Staged {
		p.unstage()
	}
	if was := p.at(p.Active); was != nil {
		was.State = Retired
		p.Previous = p.Active
	}
	v.State, p.Active = Active, v.Number
	if p.Previous == v.Number {
		p.Previous = 0
	}
}

// remove forgets a version that is neither active nor staged.
func (p *Policy) remove(number int) {
	kept := p.Versions[:0]
	for _, v := range p.Versions {
		if v.Number != number {
			kept = append(kept, v)
		}
	}
	p.Versions = kept
	if p.Previous == number {
		p.Previous = 0
	}
}

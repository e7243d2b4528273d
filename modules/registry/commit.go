package registry

import (
	"fmt"
	"slices"
)

// commit makes next the tenant's index: first on disk, then for readers, then
// for those who asked to be told. If it fails, readers see what they saw, and
// the file says so too as far as that was possible. t.mu is held.
func (r *Registry) commit(t *tenant, next *index, c Change) error {
	if err := r.write(t, next); err != nil {
		return err
	}
	// The change is there for good. A crash here loses nothing; Active answers
	// from it at once:
	t.now.Store(next)
	// Binaries that only a doubtful file referred to are garbage now. A crash
	// before this leaves them to the next Open.
	for _, d := range t.lingers {
		r.blobs.drop(d)
	}
	t.lingers = nil
	c.Tenant, c.Epoch = t.name, next.Epoch
	for _, l := range *r.calls.Load() {
		l.call(c)
	}
	return nil
}

// write puts an index on disk. If that fails halfway, it puts the former one
// back; if that fails too, the tenant is in doubt until a write succeeds.
func (r *Registry) write(t *tenant, next *index) error {
	placed, err := r.place(t, next)
	if err == nil {
		t.doubt = false
		return nil
	}
	if !placed {
		return err // the file is as it was
	}
	// After a failed rename or sync the file may be the new one, now or after a
	// crash. We are about to report a failure, so the former one goes back. A
	// crash before this is done leaves one of the two.
	t.doubt = true
	back := *t.now.Load()
	if _, again := r.place(t, &back); again != nil {
		return fmt.Errorf("%w; the former index could not be put back either: %w", err, again)
	}
	t.doubt = false
	t.now.Store(&back) // the same but for its epoch
	return err
}

// place gives an index an epoch that no file ever had, and writes it.
func (r *Registry) place(t *tenant, ix *index) (placed bool, err error) {
	ix.Epoch = t.tried + 1
	data, err := ix.encode()
	if err != nil {
		return false, err
	}
	t.tried = ix.Epoch
	return replace(r.files, r.folder, t.name+".json", data)
}

// release undoes the hold on a binary whose version could not be committed.
// t.mu is held.
func (r *Registry) release(t *tenant, d Digest) {
	if t.doubt {
		// The file may refer to it after a crash: it stays until a write
		// succeeds, or else until the next Open.
		t.lingers = append(t.lingers, d)
		return
	}
	r.blobs.drop(d)
}

// A Kind says what a change did.
type Kind string

const (
	Upload   Kind = "upload"
	Check    Kind = "check"  // the check passed
	Refuse   Kind = "refuse" // the check refused it; the version is gone
	Stage    Kind = "stage"
	Unstage  Kind = "unstage"
	Activate Kind = "activate"
	Rollback Kind = "rollback"
	Retire   Kind = "retire"
	Delete   Kind = "delete"
)

// A Change is one step that is durable and visible.
type Change struct {
	Kind    Kind
	Tenant  string
	Policy  Policy  // as it now is; without versions: gone
	Version Version // the one that it is about, as it now is, or as it was before it went
	Epoch   uint64  // of the tenant; grows with every change
}

// A listener is one subscription.
type listener struct{ call func(Change) }

// Subscribe has call called after every change, before the method that made it
// returns: when Activate has returned, call has run. Calls for one tenant come
// one at a time and in order, those for several at the same time. call may read
// from the registry but must not change it. To start from a complete picture,
// subscribe first, then List, and skip what is older by its Epoch. After cancel
// no new call begins; one may still be under way.
func (r *Registry) Subscribe(call func(Change)) (cancel func()) {
	l := &listener{call}
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := append(slices.Clone(*r.calls.Load()), l)
	r.calls.Store(&calls)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		calls := slices.DeleteFunc(slices.Clone(*r.calls.Load()), func(o *listener) bool { return o == l })
		r.calls.Store(&calls)
	}
}

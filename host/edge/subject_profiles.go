package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/profile"
	"bespoke/host/recommend"
	"bespoke/host/state"
	"bespoke/modules/abi"
)

// The profiles of subjects are in the store, too, so that a subject finds theirs on
// each of their devices: the cookie's bytes, without the session, under the subject's
// key. They are read and written where personalize is granted, and nowhere else.
//
// A request reads memory. What it changes is written within profileEvery, all changes
// of a subject at once: a crash loses a few seconds of what was inferred, which the
// browser still has. What is to be erased is written at once, and counts from before.
type subjectProfiles struct {
	view atomic.Pointer[state.View] // nil until the store is open

	mu      sync.Mutex // owns changes
	changes map[state.Key][]byte
	count   atomic.Int64 // len(changes), for a look without the lock
}

const (
	profilesBucket = "profiles"
	profileEvery   = 5 * time.Second
	// maxChanged bounds what is held for a store that is away.
	maxChanged = 20_000
)

// profile returns what is kept of a subject, nil for nothing.
func (s *Subjects) profile(key state.Key) []byte {
	p := &s.profiles
	if p.count.Load() > 0 {
		p.mu.Lock()
		b, ok := p.changes[key]
		p.mu.Unlock()
		if ok {
			return b
		}
	}
	if v := p.view.Load(); v != nil {
		b, _ := v.Get(key)
		return b
	}
	return nil
}

// keepProfile has a subject's profile kept: what is waiting already becomes one with it.
func (s *Subjects) keepProfile(key state.Key, b []byte) {
	p := &s.profiles
	b = slices.Clone(b)
	p.mu.Lock()
	if old, ok := p.changes[key]; ok && old != nil {
		b = joinProfiles(old, b)
	} else if !ok && len(p.changes) >= maxChanged {
		p.mu.Unlock()
		return // the browser has it
	}
	p.changes[key] = b
	p.count.Store(int64(len(p.changes)))
	p.mu.Unlock()
	s.start()
}

// dropProfile erases what is kept of a subject.
func (s *Subjects) dropProfile(key state.Key) {
	p := &s.profiles
	if v := p.view.Load(); v != nil && v.Ready() && s.profile(key) == nil {
		return
	}
	p.mu.Lock()
	p.changes[key] = nil
	p.count.Store(int64(len(p.changes)))
	p.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// flushProfiles has the store take what waits: only what is to be erased, unless all.
func (s *Subjects) flushProfiles(ctx context.Context, all bool) {
	p := &s.profiles
	st := s.store.Load()
	if p.count.Load() == 0 || st == nil {
		return
	}
	p.mu.Lock()
	changes := maps.Clone(p.changes)
	p.mu.Unlock()
	for key, b := range changes {
		if b != nil && !all {
			continue
		}
		choice, standing := s.choice(key)
		if b != nil && standing == subjectUnknown {
			continue // whether it may be kept
		}
		if c := choice; c != nil && b != nil && (!c.Granted.Has(abi.Personalize) || writtenAt(b) < uint32(c.At.Unix())) {
			b = nil // they refused while it waited
		}
		var err error
		if b == nil {
			err = st.Delete(ctx, profilesBucket, key)
		} else {
			err = st.Update(ctx, profilesBucket, key, func(old []byte) ([]byte, error) { return joinProfiles(old, b), nil })
		}
		if errors.Is(err, state.ErrUnreadable) {
			err = st.Delete(ctx, profilesBucket, key) // what nobody can read is of use to nobody
		}
		if err != nil && !errors.Is(err, state.ErrFull) { // full: the browser has it
			if ctx.Err() == nil {
				s.log.LogAttrs(s.life, slog.LevelWarn, "profiles of subjects could not be kept; tried again", slog.String("error", err.Error()))
			}
			return
		}
		p.mu.Lock()
		if now, ok := p.changes[key]; ok && slices.Equal(now, changes[key]) && (now == nil) == (changes[key] == nil) { // else there is something newer
			delete(p.changes, key)
			p.count.Store(int64(len(p.changes)))
		}
		p.mu.Unlock()
	}
}

// writtenAt returns the second in which a profile's bytes were written.
func writtenAt(b []byte) uint32 {
	if len(b) < inferredCookieHead {
		return 0
	}
	return binary.BigEndian.Uint32(b[5:])
}

// joinProfiles makes one of two of a subject: b, and what is in old as well. What
// cannot be read, or is of another catalogue, does not count; but what a later
// build wrote is left as it is.
func joinProfiles(old, b []byte) []byte {
	var o, in inferred
	switch {
	case len(old) > 0 && old[0] > inferredCookie:
		return old
	case len(old) < inferredCookieHead, len(b) < inferredCookieHead, old[0] != inferredCookie, string(old[1:5]) != string(b[1:5]):
		return b
	}
	if err := o.Parse(old[inferredCookieHead:]); errors.Is(err, profile.ErrNewer) {
		return old
	} else if err != nil || in.Parse(b[inferredCookieHead:]) != nil {
		return b
	}
	in.Merge(&o.Inferred, profile.Memory{}.At(time.Unix(int64(writtenAt(b)), 0)))
	return in.encode(binary.BigEndian.Uint32(b[1:]), max(writtenAt(old), writtenAt(b)), ownerTag{})
}

// joinStored adds what is kept of the subject to what their browser brought, as of
// the choice that stands.
func (x *exchange) joinStored(in *inferred) {
	if x.subject.key == "" || x.edge.subjects == nil || in.newer {
		return
	}
	b := x.edge.subjects.profile(x.subject.key)
	if len(b) < inferredCookieHead || b[0] != inferredCookie || writtenAt(b) < x.standsSince() || binary.BigEndian.Uint32(b[1:]) != x.tenant.epoch() {
		return
	}
	var o profile.Inferred
	if o.Parse(b[inferredCookieHead:]) != nil {
		return
	}
	o.Merge(&in.Inferred, profile.Memory{}.At(x.began)) // of one minute, what is kept is later
	in.Inferred = o
	for _, n := range x.hiddenItems().Items() {
		in.Forget(n) // another device may have kept it from before it was hidden
	}
}

// keepForSubject has the store keep the profile, if the visitor is known.
func (x *exchange) keepForSubject(in *inferred, written uint32) {
	if x.subject.key == "" || x.edge.subjects == nil {
		return
	}
	session := in.session
	in.session = 0
	x.edge.subjects.keepProfile(x.subject.key, in.encode(x.tenant.epoch(), written, ownerTag{}))
	in.session = session
}

// learnOfSubject has the profile that is kept of a subject learn what the tenant's
// server tells. The caller has seen to it that personalize is granted.
func (e *Edge) learnOfSubject(t *tenant, key state.Key, choice *consent.Choice, events []control.SubjectEvent) {
	in := inferreds.Get().(*inferred)
	defer in.close()
	now, since := e.now(), uint32(0)
	if choice != nil {
		since = uint32(choice.At.Unix())
	}
	b := e.subjects.profile(key)
	if len(b) >= inferredCookieHead && b[0] > inferredCookie {
		return // a later build's
	}
	if len(b) >= inferredCookieHead && writtenAt(b) >= since && binary.BigEndian.Uint32(b[1:]) == t.epoch() {
		if errors.Is(in.Parse(b[inferredCookieHead:]), profile.ErrNewer) {
			return
		}
	}
	cat := t.recommender.Catalogue()
	for i := range events {
		ev := &events[i]
		at := profile.Memory{}.At(now)
		if !ev.Time.IsZero() && ev.Time.Before(now) {
			at = profile.Memory{}.At(ev.Time)
		}
		var it recommend.Item
		if ev.Item != "" {
			n, ok := cat.Number(ev.Item)
			if !ok {
				continue
			}
			it, _ = cat.Item(n)
		}
		in.learn(ev.Kind, it.Number, it.Values, at)
		in.seems(cat, it.Values, ev.Kind, at)
	}
	e.subjects.keepProfile(key, in.encode(t.epoch(), max(uint32(now.Unix()), since), ownerTag{}))
}

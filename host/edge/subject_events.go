package edge

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/recommend"
	"bespoke/host/state"
	"bespoke/modules/abi"
)

// countedKinds are the kinds of events of subjects that aggregates learn from.
var countedKinds = map[string]recommend.Kind{"view": recommend.View, "click": recommend.Click, "purchase": recommend.Purchase}

// SubjectEvents takes what the tenant's server says that a subject did. It enters
// aggregates, and the subject's profile, only if the subject chose to allow that; nobody is asked in a mail, so
// that no default of a place counts. It returns how many events are of items that
// the catalogue does not have, whatever was allowed.
func (e *Edge) SubjectEvents(tenant, name string, events []control.SubjectEvent) (unknown int, err error) {
	s := e.acquire()
	if s == nil {
		return 0, control.ErrSubjectsAway
	}
	defer s.release()
	t := s.tenantNamed(tenant)
	switch {
	case t == nil:
		return 0, fmt.Errorf("the configuration has no tenant %q", tenant)
	case t.recommender == nil:
		return 0, control.ErrNoCatalogue
	case e.subjects == nil:
		return 0, control.ErrSubjectsAway
	}
	key := e.subjects.namer.Subject(tenant, name)
	granted, ok := e.grantedBy(t, key)
	if !ok {
		return 0, control.ErrSubjectsAway
	}
	cat := t.recommender.Catalogue()
	session := subjectSession(key)
	for i := range events {
		ev := &events[i]
		kind := countedKinds[ev.Kind]
		if kind == 0 {
			continue
		}
		n, ok := cat.Number(ev.Item)
		if !ok {
			unknown++
		} else if granted.Has(abi.Measure) {
			t.recommender.Event(recommend.Event{Kind: kind, Item: n, Session: session, Visitor: session, Time: ev.Time})
		}
	}
	if granted.Has(abi.Personalize) {
		choice, _ := e.subjects.choice(key)
		e.learnOfSubject(t, key, choice, events)
	}
	return unknown, nil
}

// grantedBy returns what a subject chose to allow; false if that cannot be told now.
func (e *Edge) grantedBy(t *tenant, key state.Key) (consent.Set, bool) {
	choice, standing := e.subjects.choice(key)
	if standing == subjectUnknown {
		return 0, false
	}
	d := consent.Decide(consent.Signals{
		Jurisdiction: consent.Jurisdiction{OptIn: true}, // of a place that nobody knows
		TextVersion:  t.textVersion, Subject: choice, Now: e.now(),
	})
	return d.Granted(), true
}

// subjectSession is the key of a subject's session: nobody can guess it who does
// not know the key that hides subjects. Never 0.
func subjectSession(key state.Key) uint64 {
	sum := sha256.Sum256([]byte(key))
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// forgetSubject drops what the subject's server told lately, and is not learned yet,
// when the subject refuses that.
func (x *exchange) forgetSubject(c *consent.Choice) {
	if rec := x.tenant.recommender; rec != nil && x.subject.key != "" && !c.Granted.Has(abi.Measure) {
		rec.CloseSession(subjectSession(x.subject.key), true)
	}
}

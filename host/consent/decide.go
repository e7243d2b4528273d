package consent

import (
	"time"

	"bespoke/modules/abi"
)

// A Decision says what is granted, and by which rule and signal each purpose
// was settled. The zero value grants nothing.
type Decision struct {
	granted Set
	rules   [abi.Purposes]Rule
	signals [abi.Purposes]Signal
	facts   Facts

	// Jurisdiction is the one that was decided under.
	Jurisdiction Jurisdiction
	// ChosenAt is when the visitor chose; zero if there is no readable choice.
	ChosenAt time.Time
	// GPC reports whether the exchange carried the signal, in its header or in a GPP string.
	GPC bool
	// Ask says that the visitor is to be asked: nothing is granted here until
	// they choose, and they have not, or too long ago.
	Ask bool
	// Why a consent string could not be read; "" where that is not so.
	TCFFault, GPPFault, USPrivacyFault string
}

// Grants reports whether purpose p is granted.
func (d *Decision) Grants(p abi.Purpose) bool { return d.granted.Has(p) }

// Granted returns everything that is granted.
func (d *Decision) Granted() Set { return d.granted }

// Rule returns what settled purpose p.
func (d *Decision) Rule(p abi.Purpose) Rule { return d.rules[p] }

// Signal returns where that came from.
func (d *Decision) Signal(p abi.Purpose) Signal { return d.signals[p] }

// Facts returns what the decision stands on.
func (d *Decision) Facts() *Facts { return &d.facts }

// A Settled is all that was settled, and what it stands on, as a key of maps: it is equal
// for two decisions if their Grants, Rule, Signal, Facts and Jurisdiction are. The first three follow
// from the facts; a record must say what was decided, and not what should have been.
type Settled struct {
	granted      Set
	rules        [abi.Purposes]Rule
	signals      [abi.Purposes]Signal
	facts        Facts
	jurisdiction Jurisdiction
}

// Settled returns what was settled.
func (d *Decision) Settled() Settled {
	return Settled{d.granted, d.rules, d.signals, d.facts, d.Jurisdiction}
}

const (
	// ChoiceLife is how long a choice is relied on, and how long nobody is asked again.
	ChoiceLife = 365 * 24 * time.Hour
	// StringLife is how long a consent string is relied on: 13 months, the
	// longest that the IAB Europe TCF Policies let pass before the visitor is
	// reminded of their choices.
	StringLife = 396 * 24 * time.Hour
	// clockSkew is how far ahead of ours the clock of who wrote a time may be.
	clockSkew = time.Hour
)

// Decide settles every purpose. Adding a refusal to the signals never grants more.
func Decide(s Signals) Decision {
	d := Decision{Jurisdiction: s.Jurisdiction}
	f := reduce(&s, &d)
	f.decide(&d)
	d.ChosenAt = chosenAt(&s)
	d.Ask = asks(&s, &d)
	return d
}

// counts returns the choice that counts for p, of the visitor's browser and of
// the subject that they are. A refusal counts unless the other is newer in both
// its epoch and its time: of two that know nothing of each other, it wins.
func counts(s *Signals, p abi.Purpose) (*Choice, Signal) {
	a, b := s.Choice, s.Subject
	switch {
	case a == nil && b == nil:
		return nil, FromNothing
	case b == nil:
		return a, FromChoice
	case a == nil:
		return b, FromSubject
	case a.Granted.Has(p) && !b.Granted.Has(p):
		if a.newer(b) {
			return a, FromChoice
		}
		return b, FromSubject
	case b.Granted.Has(p) && !a.Granted.Has(p):
		if b.newer(a) {
			return b, FromSubject
		}
		return a, FromChoice
	case a.Granted.Has(p) && b.newer(a): // both allow: the newest is the one that is relied on
		return b, FromSubject
	}
	return a, FromChoice
}

// gpcDenies reports whether the signal speaks against p: against everything
// that uses what was inferred about the visitor, their place included. Counting
// (measure) shows nothing to anyone about them, so the signal leaves it alone.
func gpcDenies(p abi.Purpose) bool { return p != abi.Measure }

func chosenAt(s *Signals) (at time.Time) {
	if s.Choice != nil && !s.ChoiceUnreadable {
		at = s.Choice.At
	}
	if s.Subject != nil && s.Subject.At.After(at) {
		at = s.Subject.At
	}
	return at
}

// asks tells whether the visitor is to be asked. Who refused everything is
// left alone for as long as a choice is relied on, whatever the text says now.
func asks(s *Signals, d *Decision) bool {
	if !s.Jurisdiction.OptIn || d.GPC || s.DNT && s.HonorDNT || s.SubjectUnknown || s.NoRecord {
		return false
	}
	if s.ChoiceUnreadable {
		return true
	}
	if d.ChosenAt.IsZero() {
		return s.TCFCount == 0 && s.GPPCount == 0 // else somebody else asks here
	}
	if age := s.Now.Sub(d.ChosenAt); age > ChoiceLife || age < -clockSkew {
		return true
	}
	for p := range abi.Purpose(abi.Purposes) {
		if d.rules[p] == ByOldText {
			return true
		}
	}
	return false
}

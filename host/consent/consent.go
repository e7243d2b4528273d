// Package consent decides what a visitor has granted, from the signals that
// their request carries, and says why.
//
// Call [Decide] with the [Signals] of one exchange. It is a pure function: no
// I/O, no clock, no state, no allocation. Its result is a value that names, for
// each purpose, the rule that settled it. Nothing here is legal advice.
package consent

import (
	"time"

	"bespoke/modules/abi"
)

// A Set is a set of purposes.
type Set uint8

// All holds every purpose.
const All Set = 1<<abi.Purposes - 1

// Has reports whether p is in s.
func (s Set) Has(p abi.Purpose) bool { return s&(1<<p) != 0 }

// With returns s with p added.
func (s Set) With(p abi.Purpose) Set { return s | 1<<p }

// A Jurisdiction is what a place's rules ask for where the visitor said nothing.
type Jurisdiction struct {
	ID    string // "DE", "US-CA", "unknown"
	OptIn bool   // nothing is granted until the visitor grants it
}

// Signals are what an exchange tells about the visitor's will.
// The zero value is a visitor who said nothing, in a place without opt-in.
type Signals struct {
	Jurisdiction Jurisdiction

	// Choice is the visitor's own on this site; nil if there is none.
	Choice *Choice
	// ChoiceUnreadable says that there was a choice, but forged, damaged, of a
	// future version, or more than one. It is read as a refusal of everything.
	ChoiceUnreadable bool

	// GPC is the Global Privacy Control signal: a Sec-GPC header line that is
	// exactly "1" (W3C Global Privacy Control, "The Sec-GPC Header Field").
	GPC bool
	// DNT is "DNT: 1", set only where the tenant honours it.
	DNT bool

	// Now is the time of the exchange; a choice grows stale against it.
	Now time.Time
}

// A Rule is what settled a purpose, strongest first.
type Rule uint8

const (
	ByUnreadable   Rule = iota // a choice that cannot be read refuses everything
	ByWithdrawal               // the visitor refused it here
	ByGPC                      // the browser's Global Privacy Control signal
	ByStaleChoice              // the visitor allowed it here, too long ago to rely on
	ByChoice                   // the visitor allowed it here
	ByDNT                      // the browser's Do Not Track signal, where honoured
	ByExplicitOnly             // the purpose is never granted without a choice
	ByJurisdiction             // the default of the visitor's jurisdiction
)

var ruleNames = [...]string{
	ByUnreadable:   "unreadable-choice",
	ByWithdrawal:   "withdrawal",
	ByGPC:          "gpc",
	ByStaleChoice:  "stale-choice",
	ByChoice:       "choice",
	ByDNT:          "dnt",
	ByExplicitOnly: "explicit-only",
	ByJurisdiction: "jurisdiction",
}

func (r Rule) String() string { return ruleNames[r] }

// A Decision says what is granted, and by which rule each purpose was settled.
// The zero value grants nothing.
type Decision struct {
	granted Set
	rules   [abi.Purposes]Rule

	// Jurisdiction is the one that was decided under.
	Jurisdiction Jurisdiction
	// ChosenAt is when the visitor chose; zero if there is no readable choice.
	ChosenAt time.Time
	// GPC reports whether the exchange carried the signal.
	GPC bool
}

// Grants reports whether purpose p is granted.
func (d *Decision) Grants(p abi.Purpose) bool { return d.granted.Has(p) }

// Granted returns everything that is granted.
func (d *Decision) Granted() Set { return d.granted }

// Rule returns what settled purpose p.
func (d *Decision) Rule(p abi.Purpose) Rule { return d.rules[p] }

// ChoiceLife is how long a choice to allow is relied on.
const ChoiceLife = 365 * 24 * time.Hour

// Decide settles every purpose. Adding a refusal to the signals never grants more.
func Decide(s Signals) Decision {
	d := Decision{Jurisdiction: s.Jurisdiction, GPC: s.GPC}
	if s.Choice != nil && !s.ChoiceUnreadable {
		d.ChosenAt = s.Choice.At
	}
	for p := range abi.Purpose(abi.Purposes) {
		granted, rule := settle(&s, p)
		d.rules[p] = rule
		if granted {
			d.granted = d.granted.With(p)
		}
	}
	// An exact place is a place: it is never granted where localize is not.
	if d.granted.Has(abi.Locate) && !d.granted.Has(abi.Localize) {
		d.granted &^= 1 << abi.Locate
		d.rules[abi.Locate] = d.rules[abi.Localize]
	}
	return d
}

func settle(s *Signals, p abi.Purpose) (granted bool, by Rule) {
	if s.ChoiceUnreadable {
		return false, ByUnreadable
	}
	c := s.Choice
	if c != nil && !c.Granted.Has(p) {
		return false, ByWithdrawal
	}
	if s.GPC && gpcDenies(p) {
		// Only a choice made in the face of the signal outweighs it, and no
		// choice outweighs it for advertising.
		if p == abi.Advertise || c == nil || !c.UnderGPC {
			return false, ByGPC
		}
	}
	if c != nil {
		if age := s.Now.Sub(c.At); age > ChoiceLife || age < -time.Hour {
			return false, ByStaleChoice
		}
		return true, ByChoice
	}
	if s.DNT {
		return false, ByDNT
	}
	if p == abi.Locate {
		return false, ByExplicitOnly
	}
	return !s.Jurisdiction.OptIn, ByJurisdiction
}

// gpcDenies reports whether the signal speaks against p: against everything
// that uses what was inferred about the visitor, their place included. Counting
// (measure) shows nothing to anyone about them, so the signal leaves it alone.
func gpcDenies(p abi.Purpose) bool { return p != abi.Measure }

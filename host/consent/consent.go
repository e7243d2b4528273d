// Package consent decides what a visitor has granted, from the signals that
// their request carries, and says why.
//
// Gather the [Signals] of one exchange with [Signals.Header], and call [Decide].
// It is a pure function: no I/O, no clock, no state, no allocation. Its result
// is a value that names, for each purpose, the rule and the signal that settled
// it; [Decision.Facts] is what it stands on, to be kept and decided again. Nothing here is legal advice.
package consent

import "bespoke/modules/abi"

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

// A Signal is where a decision on a purpose came from.
type Signal uint8

const (
	FromNothing      Signal = iota // nothing was said: the jurisdiction's default
	FromChoice                     // the visitor's choice on this site, in their browser
	FromSubject                    // the choice kept for a subject that the site knows
	FromGPC                        // the Sec-GPC header
	FromTCF                        // a TC string of the IAB, alone or in a GPP string
	FromGPP                        // a GPP string of the IAB
	FromUSPrivacy                  // a US Privacy string of the IAB
	FromDNT                        // the DNT header, where the site honours it
	FromJurisdiction               // the rules of the visitor's place
)

var signalNames = [...]string{
	FromNothing: "none", FromChoice: "choice", FromSubject: "subject", FromGPC: "sec-gpc", FromTCF: "tcf", FromGPP: "gpp",
	FromUSPrivacy: "usprivacy", FromDNT: "dnt", FromJurisdiction: "jurisdiction",
}

func (s Signal) String() string { return signalNames[s] }

// A Rule is what settled a purpose. Those further up beat those further down.
type Rule uint8

const (
	ByNoRecord         Rule = iota // what would be done cannot be recorded, so it is not done
	ByUnreadable                   // a choice that cannot be read refuses everything
	ByUnknownSubject               // what the subject chose cannot be looked up now
	ByWithdrawal                   // the visitor refused it here
	ByGPC                          // the browser's Global Privacy Control signal, or a GPP string that repeats it
	ByStaleChoice                  // the visitor allowed it here, too long ago to rely on
	ByOldText                      // the visitor allowed it here, to a text that has changed since
	ByChoice                       // the visitor allowed it here
	ByUnreadableString             // a consent string cannot be read, or there are several
	ByStaleString                  // a consent string grants it, too long ago to rely on
	ByStringRefusal                // a consent string refuses it
	ByString                       // a consent string grants it
	ByDNT                          // the browser's Do Not Track signal, where honoured
	ByExplicitOnly                 // the purpose is never granted without a choice
	ByJurisdiction                 // the default of the visitor's jurisdiction
)

var ruleNames = [...]string{
	ByNoRecord:         "no-record",
	ByUnreadable:       "unreadable-choice",
	ByUnknownSubject:   "unknown-subject",
	ByWithdrawal:       "withdrawal",
	ByGPC:              "gpc",
	ByStaleChoice:      "stale-choice",
	ByOldText:          "old-text",
	ByChoice:           "choice",
	ByUnreadableString: "unreadable-string",
	ByStaleString:      "stale-string",
	ByStringRefusal:    "string-refusal",
	ByString:           "string",
	ByDNT:              "dnt",
	ByExplicitOnly:     "explicit-only",
	ByJurisdiction:     "jurisdiction",
}

func (r Rule) String() string { return ruleNames[r] }

// Rules returns the name of every rule, in the order of their values.
func Rules() []string { return append([]string(nil), ruleNames[:]...) }

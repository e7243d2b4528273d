package console

import (
	"cmp"
	"slices"

	"bespoke/host/ledger"
)

// A rule says in words what settled a purpose.
type rule struct {
	name    string // as host/consent has it
	text    string
	refusal bool // somebody refused, or what was said has to count as that
}

// rules are those of host/consent, the strongest first.
var rules = [...]rule{
	{"no-record", "no record of the exchange could be kept, so nothing was used", false},
	{"unreadable-choice", "the visitor's choice could not be read, so it counts as a refusal", true},
	{"unknown-subject", "what the account chose could not be looked up, so it counts as a refusal", true},
	{"withdrawal", "the visitor refused it on the site", true},
	{"gpc", "the browser's Global Privacy Control signal refused it", true},
	{"stale-choice", "the visitor allowed it more than a year ago: too long to rely on", false},
	{"old-text", "the visitor allowed it to an older text", false},
	{"choice", "the visitor allowed it on the site", false},
	{"unreadable-string", "a consent string could not be read, so it counts as a refusal", true},
	{"stale-string", "a consent string allowed it too long ago", false},
	{"string-refusal", "a consent string (TCF, GPP, US Privacy) refused it", true},
	{"string", "a consent string (TCF, GPP, US Privacy) allowed it", false},
	{"dnt", "the browser's Do Not Track signal refused it", true},
	{"explicit-only", "nobody chose, and it is never allowed without a choice", false},
	{"jurisdiction", "nobody chose: the rule of the visitor's region", false},
}

func ruleOf(name string) rule {
	for _, r := range rules {
		if r.name == name {
			return r
		}
	}
	return rule{name: name, text: "a rule that this version does not know"}
}

// signals say where a decision came from, in the words of host/consent.
var signals = map[string]string{
	"none": "nothing was said", "choice": "the choice in the visitor's browser", "subject": "the choice kept for the visitor's account",
	"sec-gpc": "the Sec-GPC header", "tcf": "a TCF string", "gpp": "a GPP string", "usprivacy": "a US Privacy string",
	"dnt": "the DNT header", "jurisdiction": "the rules of the visitor's region",
}

// A purposeWord says what a purpose is for.
type purposeWord struct{ Name, Text string }

var purposes = [...]purposeWord{
	{"localize", "use the place that the address tells, coarsely"},
	{"locate", "use an exact place from the browser"},
	{"personalize", "use what the visitor did here before"},
	{"advertise", "use interests in an ad slot"},
	{"measure", "count, in aggregates"},
}

func purposeText(name string) string {
	for _, p := range purposes {
		if p.Name == name {
			return p.Text
		}
	}
	return "a purpose that this version does not know"
}

// A ruleRow is one rule in the table of decisions.
type ruleRow struct {
	Purpose, Rule, Text string
	Granted, First      bool // First of its purpose
	N                   int64
	Share               string // of the decisions on the purpose
	Spark               string
	Width               int // of the spark's drawing
}

// ruleRows returns the decisions by purpose and rule, with their course over time.
func ruleRows(s *ledger.Summary) (rows []ruleRow) {
	for purpose, of := range s.Total.Purposes {
		all := uint64(of.Granted + of.Denied)
		for name, signals := range of.By {
			granted, denied := settled(signals)
			for _, side := range [...]struct {
				granted bool
				n       int64
			}{{true, granted}, {false, denied}} {
				if side.n == 0 {
					continue
				}
				r := ruleRow{Purpose: purpose, Rule: name, Text: ruleOf(name).text, Granted: side.granted, N: side.n, Share: share(uint64(side.n), all), Width: 4 * len(s.Series)}
				course := make([]uint64, len(s.Series))
				for i, point := range s.Series {
					if p := point.Tally.Purposes[purpose]; p != nil {
						yes, no := settled(p.By[name])
						course[i] = uint64(no)
						if side.granted {
							course[i] = uint64(yes)
						}
					}
				}
				r.Spark = spark(course)
				rows = append(rows, r)
			}
		}
	}
	slices.SortFunc(rows, func(a, b ruleRow) int {
		return cmp.Or(cmp.Compare(purposePlace(a.Purpose), purposePlace(b.Purpose)), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(b.N, a.N), cmp.Compare(a.Rule, b.Rule))
	})
	for i := range rows {
		rows[i].First = i == 0 || rows[i].Purpose != rows[i-1].Purpose
	}
	return rows
}

func purposePlace(name string) int {
	for i, p := range purposes {
		if p.Name == name {
			return i
		}
	}
	return len(purposes)
}

func settled(signals map[string]*ledger.Settled) (granted, denied int64) {
	for _, s := range signals {
		granted += s.Granted
		denied += s.Denied
	}
	return granted, denied
}

// A classRow is what came of reading the keys of one class.
type classRow struct {
	Class, About string
	ledger.ReadTally
}

// classes are those of modules/abi, in words.
var classes = [...][2]string{
	{"public", "the request, the page, the time, best sellers: nothing about the visitor"},
	{"declared", "what the visitor set themselves, for this"},
	{"place-coarse", "country, region, time zone: needs localize"},
	{"place-cell", "city, and a cell of 5 km or more: needs localize, or locate where exact"},
	{"inferred", "what the visitor did here before: needs personalize"},
	{"interests", "interests, in an ad slot: needs advertise"},
	{"mixed", "declared by a prefix that stands for several classes"},
	{"unknown", "no such key exists, and none can be given"},
}

func classRows(s *ledger.Summary) (rows []classRow) {
	for class, t := range s.Total.Reads {
		row := classRow{Class: class, ReadTally: *t}
		for _, c := range classes {
			if c[0] == class {
				row.About = c[1]
			}
		}
		rows = append(rows, row)
	}
	place := func(class string) int {
		for i, c := range classes {
			if c[0] == class {
				return i
			}
		}
		return len(classes)
	}
	slices.SortFunc(rows, func(a, b classRow) int {
		return cmp.Or(cmp.Compare(place(a.Class), place(b.Class)), cmp.Compare(a.Class, b.Class))
	})
	return rows
}

// eventWords say what an event is.
var eventWords = map[string]string{
	ledger.KindOpen: "recording began", ledger.KindClose: "recording ended in order", ledger.KindUnrecorded: "exchanges went out without a record",
	ledger.KindRetention: "old records were removed on schedule", ledger.KindKey: "a key was made, used or destroyed",
	ledger.KindConfig: "a configuration took effect", ledger.KindActivation: "another version of a policy counts",
	ledger.KindSuspension: "a policy was suspended, or runs again", ledger.KindChoice: "a visitor chose",
	ledger.KindErasure: "a visitor had erased what is known of them", ledger.KindCanary: "a canary ran",
	ledger.KindExchange: "a request and its response",
}

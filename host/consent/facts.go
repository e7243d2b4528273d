package consent

import (
	"errors"
	"fmt"
	"strings"

	"bespoke/modules/abi"
)

// Facts are signals, reduced to what a decision depends on: no time, no string
// of the IAB, nothing that identifies anybody. They can be written down with
// [Facts.AppendText], read with [ParseFacts], and decided again with
// [Facts.Decide]. They are comparable.
type Facts struct {
	NoRecord       bool // what is done cannot be recorded now
	Unreadable     bool // the choice cannot be read
	UnknownSubject bool // what the subject chose cannot be looked up
	GPCHeader      bool // the signal came in the header,
	GPCString      bool // in a GPP string, or in one that cannot be read
	DNT            bool // came, and is honoured
	// OptIn is the jurisdiction's. In the facts of a decision it is told only where
	// some purpose was settled by it: else nothing depends on where the visitor is.
	OptIn bool

	said    [abi.Purposes]saying
	strings [abi.Purposes]verdict
}

// A saying is what a choice says of a purpose.
type saying struct {
	what     said
	from     Signal // FromChoice or FromSubject
	underGPC bool   // made in the face of the signal; of what is allowed
}

type said uint8

const (
	saidNothing said = iota
	saidNo
	saidYes
	saidYesLongAgo
	saidYesToOldText
)

// reduce reads the signals. It leaves in d what else is told of a decision.
func reduce(s *Signals, d *Decision) (f Facts) {
	f = Facts{NoRecord: s.NoRecord, Unreadable: s.ChoiceUnreadable, UnknownSubject: s.SubjectUnknown, GPCHeader: s.GPC, DNT: s.DNT && s.HonorDNT, OptIn: s.Jurisdiction.OptIn}
	v := readStrings(s, d)
	f.GPCString, f.strings = v.gpc, v.on
	if s.ChoiceUnreadable {
		return f // whatever else was chosen, it may have been taken back
	}
	for p := range abi.Purpose(abi.Purposes) {
		f.said[p] = saidOf(s, p)
	}
	return f
}

func saidOf(s *Signals, p abi.Purpose) saying {
	c, from := counts(s, p)
	switch {
	case c == nil:
		return saying{}
	case !c.Granted.Has(p):
		return saying{saidNo, from, false}
	}
	what := saidYes
	if age := s.Now.Sub(c.At); age > ChoiceLife || age < -clockSkew {
		what = saidYesLongAgo
	} else if c.TextVersion != s.TextVersion {
		what = saidYesToOldText
	}
	return saying{what, from, c.UnderGPC}
}

// Decide settles every purpose, as Decide did that was given the signals. What
// it returns has no jurisdiction's name, no time, and nothing of what is asked.
func (f *Facts) Decide() Decision {
	d := Decision{Jurisdiction: Jurisdiction{OptIn: f.OptIn}}
	f.decide(&d)
	return d
}

func (f *Facts) decide(d *Decision) {
	d.GPC = f.GPCHeader || f.GPCString
	byPlace := false
	for p := range abi.Purpose(abi.Purposes) {
		granted, rule, signal := f.settle(p)
		d.rules[p], d.signals[p] = rule, signal
		if granted {
			d.granted = d.granted.With(p)
		}
		byPlace = byPlace || rule == ByJurisdiction
	}
	// An exact place is a place: it is never granted where localize is not.
	if d.granted.Has(abi.Locate) && !d.granted.Has(abi.Localize) {
		d.granted &^= 1 << abi.Locate
		d.rules[abi.Locate], d.signals[abi.Locate] = d.rules[abi.Localize], d.signals[abi.Localize]
	}
	d.facts = *f
	d.facts.OptIn = f.OptIn && byPlace
}

func (f *Facts) settle(p abi.Purpose) (granted bool, by Rule, from Signal) {
	switch {
	case f.NoRecord:
		return false, ByNoRecord, FromNothing
	case f.Unreadable:
		return false, ByUnreadable, FromChoice
	case f.UnknownSubject:
		return false, ByUnknownSubject, FromSubject
	}
	c := f.said[p]
	if c.what == saidNo {
		return false, ByWithdrawal, c.from
	}
	if (f.GPCHeader || f.GPCString) && gpcDenies(p) {
		// Only a choice made in the face of the signal outweighs it, and no
		// choice outweighs it for advertising.
		if p == abi.Advertise || c.what == saidNothing || !c.underGPC {
			if f.GPCHeader {
				return false, ByGPC, FromGPC
			}
			return false, ByGPC, FromGPP
		}
	}
	switch c.what {
	case saidYesLongAgo:
		return false, ByStaleChoice, c.from
	case saidYesToOldText:
		return false, ByOldText, c.from
	case saidYes:
		return true, ByChoice, c.from
	}
	if one := f.strings[p]; one.rule != 0 {
		return one.rule == ByString, one.rule, one.from
	}
	if f.DNT {
		return false, ByDNT, FromDNT
	}
	if p == abi.Locate {
		return false, ByExplicitOnly, FromNothing
	}
	return !f.OptIn, ByJurisdiction, FromJurisdiction
}

// The text of facts is words with a space between, in this order, those that
// hold; nothing at all is the empty text. After "said=" stands for each purpose,
// in the order of the contract with policies (localize, locate, personalize,
// advertise, measure), a letter of saidLetters, a capital where a subject said
// it, and then a plus where it was said in the face of GPC. After "strings="
// stands a letter of verdictLetters and one of stringLetters, or a hyphen.
var factWords = [...]string{"no-record", "unreadable-choice", "unknown-subject", "gpc", "gpp-gpc", "dnt", "opt-in"}

func (f *Facts) flags() [len(factWords)]*bool {
	return [...]*bool{&f.NoRecord, &f.Unreadable, &f.UnknownSubject, &f.GPCHeader, &f.GPCString, &f.DNT, &f.OptIn}
}

const (
	saidLetters = "-ngso" // nothing, no, granted, granted too long ago (stale), granted to an old text

	// In the order of the rules from ByUnreadableString, and of the signals from FromTCF.
	verdictLetters = "usng" // unreadable, granted too long ago (stale), no, granted
	stringLetters  = "tpu"  // TCF, GPP, US Privacy

	saidWord, stringsWord = "said=", "strings="
	maxFacts              = 128 // bytes; more than any facts have
)

// AppendText appends the facts as text.
func (f *Facts) AppendText(b []byte) []byte {
	mark := len(b)
	word := func(w string) {
		if len(b) > mark {
			b = append(b, ' ')
		}
		b = append(b, w...)
	}
	for i, is := range f.flags() {
		if *is {
			word(factWords[i])
		}
	}
	if f.said != ([abi.Purposes]saying{}) {
		word(saidWord)
		for _, s := range f.said {
			b = s.append(b)
		}
	}
	if f.strings != ([abi.Purposes]verdict{}) {
		word(stringsWord)
		for _, v := range f.strings {
			if v.rule == 0 {
				b = append(b, '-')
			} else {
				b = append(b, verdictLetters[v.rule-ByUnreadableString], stringLetters[v.from-FromTCF])
			}
		}
	}
	return b
}

func (s saying) append(b []byte) []byte {
	c := saidLetters[s.what]
	if s.from == FromSubject {
		c -= 'a' - 'A'
	}
	b = append(b, c)
	if s.underGPC {
		b = append(b, '+')
	}
	return b
}

// ParseFacts reads what AppendText wrote, and nothing else.
func ParseFacts(text string) (f Facts, err error) {
	if len(text) > maxFacts {
		return Facts{}, fmt.Errorf("facts: %d bytes, at most %d are expected", len(text), maxFacts)
	}
	flags := f.flags()
	for rest := text; rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		known := false
		for i, name := range factWords {
			if word == name {
				*flags[i], known = true, true
			}
		}
		if known {
			continue
		}
		if letters, ok := strings.CutPrefix(word, saidWord); ok {
			err = f.parseSaid(letters)
		} else if letters, ok := strings.CutPrefix(word, stringsWord); ok {
			err = f.parseStrings(letters)
		} else {
			err = fmt.Errorf("unknown word %.40q", word)
		}
		if err != nil {
			return Facts{}, fmt.Errorf("facts: %w", err)
		}
	}
	// One text for each: no word twice, or in another place.
	if again := f.AppendText(make([]byte, 0, maxFacts)); string(again) != text {
		return Facts{}, fmt.Errorf("facts: found %q, expected it as %q", text, again)
	}
	return f, nil
}

var errPurposes = errors.New("expected what is said of each of the five purposes")

func (f *Facts) parseSaid(s string) error {
	for p := range f.said {
		if s == "" {
			return errPurposes
		}
		one, c := &f.said[p], s[0]
		s = s[1:]
		one.from = FromChoice
		if 'A' <= c && c <= 'Z' {
			c, one.from = c+'a'-'A', FromSubject
		}
		i := strings.IndexByte(saidLetters, c)
		if i < 0 {
			return fmt.Errorf("%q says nothing about a choice", c)
		}
		if one.what = said(i); one.what == saidNothing {
			one.from = FromNothing
		}
		if strings.HasPrefix(s, "+") {
			if s = s[1:]; one.what <= saidNo {
				return errors.New("only what is allowed is allowed in the face of a signal")
			}
			one.underGPC = true
		}
	}
	if s != "" {
		return errPurposes
	}
	return nil
}

func (f *Facts) parseStrings(s string) error {
	for p := range f.strings {
		if s == "" {
			return errPurposes
		}
		if s[0] == '-' {
			s = s[1:]
			continue
		}
		if len(s) < 2 {
			return errPurposes
		}
		rule, from := strings.IndexByte(verdictLetters, s[0]), strings.IndexByte(stringLetters, s[1])
		if rule < 0 || from < 0 {
			return fmt.Errorf("%q says nothing about a consent string", s[:2])
		}
		f.strings[p] = verdict{ByUnreadableString + Rule(rule), FromTCF + Signal(from)}
		s = s[2:]
	}
	if s != "" {
		return errPurposes
	}
	return nil
}

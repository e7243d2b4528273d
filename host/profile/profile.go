// Package profile holds what a visitor keeps in their own browser, sealed into
// first-party cookies: the [Preferences] that they declared, the items that they
// hid ([Hidden]), and what was [Inferred] from what they did.
//
// Make one [Sealer] for the process with [NewRing] from [LoadKeys]; call Seal and
// Open with a [Binding] that says what the token is for and where it belongs. To
// follow a visitor, open and parse their Inferred, tell it what happened (View,
// Purchase, Search, ...) at a [Moment], encode and seal it; [Know] shows them what
// it holds. What a later build made ([ErrNewer]) is not used and left as it is.
//
// The package knows no HTTP and no consent: its caller opens only what a decision
// grants. It never reads a clock, and knows items and attribute values only as
// numbers of a catalogue.
package profile

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name, in runes.
const MaxName = 60

// ParseName cleans a name that a visitor typed: white space is folded, and
// what is too long, not UTF-8 or not printable is refused with a reason.
func ParseName(s string) (string, error) { return clean("a name", s, MaxName) }

// clean folds white space, and refuses what is longer than max runes, not
// UTF-8, or not printable. what is how the text is called in the reason.
func clean(what, s string, max int) (string, error) {
	if len(s) > max*utf8.UTFMax*2 {
		return "", fmt.Errorf("%s has at most %d characters", what, max)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%s is text in UTF-8", what)
	}
	s = strings.Join(strings.Fields(s), " ")
	for _, r := range s {
		if r == ' ' || unicode.IsGraphic(r) {
			continue
		}
		// Joiners are needed to write some names (Persian, Sinhala, emoji);
		// other invisible characters could only mislead.
		if r != '\u200c' && r != '\u200d' {
			return "", fmt.Errorf("%s cannot contain the character %U", what, r)
		}
	}
	if n := utf8.RuneCountInString(s); n > max {
		return "", fmt.Errorf("%s has at most %d characters, this one has %d", what, max, n)
	}
	return s, nil
}

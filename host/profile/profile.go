// Package profile holds what a visitor keeps in their own browser: the
// preferences that they declared, sealed into a first-party cookie.
//
// Make one [Sealer] for the process from [LoadKey]; call Seal and Open with a
// [Binding] that says what the token is for and where it belongs. The package
// knows no HTTP and no consent: its caller opens only what a decision grants.
package profile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Preferences are what the visitor declared about themselves. They are used
// because the visitor asked for it, and need no further consent.
type Preferences struct {
	Name string // what to call the visitor; "" for nothing
}

// MaxName is the longest name, in runes.
const MaxName = 60

// ParseName cleans a name that a visitor typed: white space is folded, and
// what is too long, not UTF-8 or not printable is refused with a reason.
func ParseName(s string) (string, error) {
	if len(s) > MaxName*utf8.UTFMax*2 {
		return "", fmt.Errorf("a name has at most %d characters", MaxName)
	}
	if !utf8.ValidString(s) {
		return "", errors.New("a name is text in UTF-8")
	}
	s = strings.Join(strings.Fields(s), " ")
	for _, r := range s {
		if r == ' ' || unicode.IsGraphic(r) {
			continue
		}
		// Joiners are needed to write some names (Persian, Sinhala, emoji);
		// other invisible characters could only mislead.
		if r != '\u200c' && r != '\u200d' {
			return "", fmt.Errorf("a name cannot contain the character %U", r)
		}
	}
	if n := utf8.RuneCountInString(s); n > MaxName {
		return "", fmt.Errorf("a name has at most %d characters, this one has %d", MaxName, n)
	}
	return s, nil
}

const preferencesVersion = 1

// Encode returns the preferences as bytes, to be sealed.
func (p *Preferences) Encode() []byte {
	return append([]byte{preferencesVersion}, p.Name...)
}

// ParsePreferences reads what Encode wrote.
func ParsePreferences(b []byte) (Preferences, error) {
	if len(b) == 0 {
		return Preferences{}, errors.New("preferences: empty")
	}
	if b[0] != preferencesVersion {
		return Preferences{}, fmt.Errorf("preferences: version %d, this build reads %d", b[0], preferencesVersion)
	}
	name, err := ParseName(string(b[1:]))
	if err != nil {
		return Preferences{}, fmt.Errorf("preferences: %w", err)
	}
	return Preferences{Name: name}, nil
}

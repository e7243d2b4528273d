package consent

import (
	"bytes"
	"time"
)

// Signals are what an exchange tells about the visitor's will.
// The zero value is a visitor who said nothing, in a place without opt-in.
type Signals struct {
	Jurisdiction Jurisdiction

	// Choice is the visitor's own on this site; nil if there is none.
	Choice *Choice
	// ChoiceUnreadable says that there was a choice, but forged, damaged, of a
	// future version, or more than one. It is read as a refusal of everything.
	ChoiceUnreadable bool

	// Subject is the choice kept for a subject that the site knows, who is this
	// visitor; nil if there is none.
	Subject *Choice
	// SubjectUnknown says that it cannot be told now whether there is one, or
	// which. It is read as a refusal of everything.
	SubjectUnknown bool

	// TextVersion is that of the text that visitors are shown now. What was
	// allowed to an older one is not relied on.
	TextVersion uint16

	// GPC is the Global Privacy Control signal: a Sec-GPC header line that is
	// exactly "1" (W3C Global Privacy Control, "The Sec-GPC Header Field").
	GPC bool
	// DNT is "DNT: 1". It counts only with HonorDNT.
	DNT, HonorDNT bool

	// The consent strings of the IAB, as they came, and how many there were
	// of each. Several that differ contradict each other.
	TCF, GPP, USPrivacy                []byte
	TCFCount, GPPCount, USPrivacyCount int

	// NoRecord says that what is done in the exchange could not be recorded. It is
	// read as a refusal of everything.
	NoRecord bool

	// Now is the time of the exchange; choices and strings grow stale against it.
	Now time.Time
}

// CookieNames are the names of the cookies that hold consent strings.
type CookieNames struct{ TCF, GPP, USPrivacy string }

// DefaultCookieNames are those that the IAB's frameworks name.
func DefaultCookieNames() CookieNames {
	return CookieNames{TCF: "euconsent-v2", GPP: "__gpp", USPrivacy: "usprivacy"}
}

// Header takes one line of a request's header. Call it for each line, in
// order. It keeps references to value.
func (s *Signals) Header(name, value []byte, names *CookieNames) {
	switch {
	case equalFold(name, "sec-gpc"):
		s.GPC = s.GPC || hasValue(value, "1")
	case equalFold(name, "dnt"):
		s.DNT = s.DNT || hasValue(value, "1")
	case equalFold(name, "cookie"):
		s.cookies(value, names)
	}
}

// hasValue tells whether a line holds the value, by itself or in a line that a
// proxy joined of several (RFC 9110, 5.3).
func hasValue(line []byte, want string) bool {
	for len(line) > 0 {
		var v []byte
		v, line, _ = bytes.Cut(line, comma)
		if string(bytes.Trim(v, " \t")) == want {
			return true
		}
	}
	return false
}

var (
	comma     = []byte(",")
	semicolon = []byte(";")
	equals    = []byte("=")
)

// cookies looks for consent strings (RFC 6265, 4.2.1).
func (s *Signals) cookies(line []byte, names *CookieNames) {
	for len(line) > 0 {
		var pair []byte
		pair, line, _ = bytes.Cut(line, semicolon)
		name, value, ok := bytes.Cut(pair, equals)
		if !ok {
			continue
		}
		switch name = bytes.Trim(name, " \t"); {
		case len(name) == 0:
		case string(name) == names.TCF:
			count(&s.TCF, &s.TCFCount, value)
		case string(name) == names.GPP:
			count(&s.GPP, &s.GPPCount, value)
		case string(name) == names.USPrivacy:
			count(&s.USPrivacy, &s.USPrivacyCount, value)
		}
	}
}

// count keeps the value. The same value twice is no contradiction.
func count(at *[]byte, n *int, value []byte) {
	value = bytes.Trim(value, " \t")
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if *n > 0 && bytes.Equal(*at, value) {
		return
	}
	*at = value
	*n++
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

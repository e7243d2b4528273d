package consent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"bespoke/modules/abi"
)

// A Choice is what a visitor explicitly chose on this site: what is not in
// Granted was refused.
type Choice struct {
	Granted     Set
	At          time.Time // to the second
	UnderGPC    bool      // made on a request that carried the GPC signal
	Epoch       uint32    // grows with every choice of the visitor
	TextVersion uint16    // of the text that they were shown
}

const (
	choiceVersion = 2
	choiceLen     = 1 + 1 + 1 + 8 + 4 + 2
	flagUnderGPC  = 1

	choiceVersion1 = 1 // had neither epoch nor version of the text
	choiceLen1     = 1 + 1 + 1 + 8
)

// newer reports whether c was made after d, knowing of it.
func (c *Choice) newer(d *Choice) bool { return c.Epoch > d.Epoch && c.At.After(d.At) }

// Merge returns the choice that stands for both: what either refuses is
// refused, unless the one that allows it is newer. Nil is no choice.
func Merge(a, b *Choice) *Choice {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	if b.newer(a) {
		a, b = b, a
	}
	out := *a
	if !a.newer(b) {
		out.Granted = a.Granted & b.Granted
		out.UnderGPC = a.UnderGPC && b.UnderGPC
		out.Epoch = max(a.Epoch, b.Epoch)
		out.TextVersion = min(a.TextVersion, b.TextVersion)
		if b.At.After(out.At) {
			out.At = b.At
		}
	}
	return &out
}

// Encode returns the choice as bytes, to be sealed into a cookie.
func (c *Choice) Encode() []byte {
	b := make([]byte, 0, choiceLen)
	var flags byte
	if c.UnderGPC {
		flags |= flagUnderGPC
	}
	b = append(b, choiceVersion, byte(c.Granted), flags)
	b = binary.BigEndian.AppendUint64(b, uint64(c.At.Unix()))
	b = binary.BigEndian.AppendUint32(b, c.Epoch)
	return binary.BigEndian.AppendUint16(b, c.TextVersion)
}

// ParseChoice reads what Encode wrote, this build's or an earlier one's.
func ParseChoice(b []byte) (*Choice, error) {
	if len(b) == 0 {
		return nil, errors.New("choice: empty")
	}
	want := choiceLen
	switch b[0] {
	case choiceVersion:
	case choiceVersion1:
		want = choiceLen1
	default:
		return nil, fmt.Errorf("choice: version %d, this build reads up to %d", b[0], choiceVersion)
	}
	if len(b) != want {
		return nil, fmt.Errorf("choice: %d bytes, want %d", len(b), want)
	}
	c := &Choice{Granted: Set(b[1]), UnderGPC: b[2]&flagUnderGPC != 0}
	if c.Granted&^All != 0 || b[2]&^flagUnderGPC != 0 {
		return nil, errors.New("choice: unknown purposes or flags")
	}
	at := int64(binary.BigEndian.Uint64(b[3:]))
	if at < 0 || at > 1<<40 {
		return nil, errors.New("choice: time out of range")
	}
	c.At = time.Unix(at, 0).UTC()
	if b[0] == choiceVersion {
		c.Epoch = binary.BigEndian.Uint32(b[11:])
		c.TextVersion = binary.BigEndian.Uint16(b[15:])
	}
	return c, nil
}

// Terms of a purpose, the same for every site.
type Terms struct {
	DPV string // term of the W3C Data Privacy Vocabulary
	TCF string // number in the IAB Transparency and Consent Framework
}

// TermsOf returns the terms of p (W3C DPV 2.0, purposes; IAB TCF 2.2,
// appendix A).
func TermsOf(p abi.Purpose) Terms {
	switch p {
	case abi.Localize:
		return Terms{DPV: "dpv:ServicePersonalisation", TCF: "11"}
	case abi.Locate:
		return Terms{DPV: "dpv:ServicePersonalisation", TCF: "special feature 1"}
	case abi.Personalize:
		return Terms{DPV: "dpv:ProvidePersonalisedRecommendations", TCF: "5, 6"}
	case abi.Advertise:
		return Terms{DPV: "dpv:PersonalisedAdvertising", TCF: "3, 4"}
	case abi.Measure:
		return Terms{DPV: "dpv:ServiceUsageAnalytics", TCF: "8"}
	}
	return Terms{}
}

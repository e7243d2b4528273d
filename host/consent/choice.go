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
	Granted  Set
	At       time.Time // to the second
	UnderGPC bool      // made on a request that carried the GPC signal
}

const (
	choiceVersion = 1
	choiceLen     = 1 + 1 + 1 + 8
	flagUnderGPC  = 1
)

// Encode returns the choice as bytes, to be sealed into a cookie.
func (c *Choice) Encode() []byte {
	b := make([]byte, 0, choiceLen)
	var flags byte
	if c.UnderGPC {
		flags |= flagUnderGPC
	}
	b = append(b, choiceVersion, byte(c.Granted), flags)
	return binary.BigEndian.AppendUint64(b, uint64(c.At.Unix()))
}

// ParseChoice reads what Encode wrote.
func ParseChoice(b []byte) (*Choice, error) {
	if len(b) == 0 {
		return nil, errors.New("choice: empty")
	}
	if b[0] != choiceVersion {
		return nil, fmt.Errorf("choice: version %d, this build reads %d", b[0], choiceVersion)
	}
	if len(b) != choiceLen {
		return nil, fmt.Errorf("choice: %d bytes, want %d", len(b), choiceLen)
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
	return c, nil
}

// Facts about a purpose that are the same for every site.
type Facts struct {
	DPV string // term of the W3C Data Privacy Vocabulary
	TCF string // number in the IAB Transparency and Consent Framework
}

// FactsOf returns the facts about p (W3C DPV 2.0, purposes; IAB TCF 2.2,
// appendix A).
func FactsOf(p abi.Purpose) Facts {
	switch p {
	case abi.Localize:
		return Facts{DPV: "dpv:ServicePersonalisation", TCF: "11"}
	case abi.Locate:
		return Facts{DPV: "dpv:ServicePersonalisation", TCF: "special feature 1"}
	case abi.Personalize:
		return Facts{DPV: "dpv:ProvidePersonalisedRecommendations", TCF: "5, 6"}
	case abi.Advertise:
		return Facts{DPV: "dpv:PersonalisedAdvertising", TCF: "3, 4"}
	case abi.Measure:
		return Facts{DPV: "dpv:ServiceUsageAnalytics", TCF: "8"}
	}
	return Facts{}
}

package edge

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// What visitors granted and refused, and by which signal they said so.

// A will is one of the ways to grant and refuse.
type will struct {
	name string
	// granted is what may be used, where the rules of the place are opt-out or are not.
	// It is written down here by hand, so that a wrong decision is noticed.
	granted func(w *willed) consent.Set
	// byPlace: nothing else settled some purpose, so the default of the place did. That
	// is what the law asks for, and not done for the visitor's sake. Both of such a
	// pair are granted the same by it, but for measure, which shows nowhere. Records, logs
	// and figures say which rules those were, and are compared where they are the same.
	byPlace bool
	// asks: whether such a visitor is asked, or asked again, follows the rules of the
	// place: both of a pair are under such rules, or neither, if they open a page.
	asks bool
	only string // the tenant that understands it; "": all
}

// A willed is the will of one pair.
type willed struct {
	will   *will
	some   consent.Set // chosen at random; locate only with localize
	optOut bool        // of the place, and of the tenant
	at     time.Time   // of the choice
	text   uint16      // of the tenant
}

func nothing(*willed) consent.Set { return 0 }

const justMeasure = consent.Set(1 << abi.Measure)

// byDefault is what is granted to who said nothing.
func byDefault(w *willed) consent.Set {
	if w.optOut {
		return consent.All &^ (1 << abi.Locate)
	}
	return 0
}

var wills = []will{
	{name: "withdrawal", granted: nothing},
	{name: "some granted", granted: func(w *willed) consent.Set { return w.some }},
	// What is learned of a subject is kept, and the second visitor of a pair would be
	// known better than the first.
	{name: "some granted, subject", granted: func(w *willed) consent.Set { return w.some &^ (1 << abi.Personalize) }, only: shopHost},
	{name: "GPC", granted: func(w *willed) consent.Set { return byDefault(w) & justMeasure }, byPlace: true},
	{name: "GPC after allowing all", granted: func(w *willed) consent.Set { return justMeasure }},
	{name: "GPC, then some", granted: func(w *willed) consent.Set { return w.some &^ (1 << abi.Advertise) }},
	{name: "default", granted: byDefault, byPlace: true, asks: true},
	{name: "TCF", granted: nothing},
	{name: "TCF, withdrawal", granted: nothing},
	{name: "TCF, some", granted: tcfGrants},
	{name: "unreadable TCF", granted: nothing},
	{name: "two TCF", granted: nothing},
	{name: "GPP", granted: func(w *willed) consent.Set { return byDefault(w) & justMeasure }, byPlace: true},
	{name: "usprivacy", granted: func(w *willed) consent.Set { return byDefault(w) &^ (1 << abi.Advertise) }, byPlace: true, asks: true},
	{name: "unreadable choice", granted: nothing, asks: true},
	{name: "two choices", granted: nothing, asks: true},
	{name: "stale choice", granted: nothing, asks: true},
	{name: "choice of the future", granted: nothing, asks: true},
	{name: "old text", granted: nothing, asks: true},
	{name: "unknown subject", granted: nothing},
	{name: "subject who refused", granted: nothing, only: shopHost},
	{name: "subject who refused, allowed here before", granted: nothing, only: shopHost},
	{name: "DNT", granted: nothing, only: strictHost},
}

// tcfBits are purposes with consent: 1, and the last three bits of some.
func tcfBits(w *willed) (consents uint32) {
	consents = 1
	if w.some.Has(abi.Personalize) {
		consents |= 1<<4 | 1<<5
	}
	if w.some.Has(abi.Advertise) {
		consents |= 1<<2 | 1<<3
	}
	if w.some.Has(abi.Measure) {
		consents |= 1 << 7
	}
	return consents
}

func tcfGrants(w *willed) consent.Set {
	return w.some & (1<<abi.Personalize | 1<<abi.Advertise | 1<<abi.Measure)
}

// tcString is a TC string of version 2 (IAB TCF, "Consent string and vendor list
// formats", core string) that grants these purposes, bit 0 being the first.
func tcString(at time.Time, consents uint32) string {
	var bits strings.Builder
	write := func(v uint64, n int) { fmt.Fprintf(&bits, "%0*b", n, v) }
	flags := func(v uint32, n int) {
		for i := range n {
			write(uint64(v>>i&1), 1)
		}
	}
	day := uint64(at.Truncate(24*time.Hour).Unix() * 10)
	write(2, 6)
	write(day, 36)
	write(day, 36)
	write(880, 12)
	write(7, 12)
	write(2, 6)
	write('E'-'A', 6)
	write('N'-'A', 6)
	write(174, 12)
	write(4, 6)
	write(1, 1)
	write(1, 1)
	flags(0, 12)
	flags(consents, 24)
	flags(0, 24)
	write(0, 1)
	write(0, 6)
	write('T'-'A', 6)
	for range 2 { // vendors: none
		write(0, 16)
		write(0, 1)
	}
	write(0, 12)
	core := asBase64(bits.String())
	bits.Reset()
	write(1, 3) // the segment of disclosed vendors: none
	write(0, 16)
	write(0, 1)
	return core + "." + asBase64(bits.String())
}

// asBase64 encodes a text of zeros and ones.
func asBase64(bits string) string {
	bits += strings.Repeat("0", (24-len(bits)%24)%24)
	raw := make([]byte, len(bits)/8)
	for i := range bits {
		raw[i/8] |= (bits[i] - '0') << (7 - i%8)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

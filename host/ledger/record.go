package ledger

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kinds of records. An exchange has fields of its own, see [Exchange]; the
// others are [Event]s.
const (
	KindExchange   = "exchange"   // one request and its response
	KindOpen       = "open"       // recording begins; says how the last one ended
	KindClose      = "close"      // recording ended in order
	KindUnrecorded = "unrecorded" // exchanges that went out without a record, unpersonalized
	KindRetention  = "retention"  // segments whose content was removed on schedule
	KindKey        = "key"        // a key was made, used or destroyed
	KindConfig     = "config"     // a configuration took effect
	KindActivation = "activation" // another version of an uploaded policy counts
	KindSuspension = "suspension" // a policy that keeps failing was suspended, or runs again
	KindChoice     = "choice"     // a visitor or subject chose
	KindErasure    = "erasure"    // a visitor or subject had what is known of them erased
	KindCanary     = "canary"     // a scheduled experiment of the audit, and its result
)

// An Exchange is the record of one request and its response. It holds no value
// that was read of a visitor: keys, classes, outcomes and digests.
type Exchange struct {
	Time   time.Time // when the request arrived; recorded in UTC, to the millisecond
	Tenant string
	Route  string // the pattern of the route; "": no route, everything passes
	Served string // who answered: origin, policy (a redirect), centre (the privacy centre), edge (a fault)
	Status int    // HTTP
	Fault  string // source and name of what went wrong, "origin/slow"; "": nothing did

	// Decision is nil where nothing about the visitor was asked.
	Decision *Decision
	Policies []Policy // in the order of the route

	// Plan is the digest of all edits in order, the first 16 bytes of SHA-256; with
	// personal data given to a policy it is keyed (see Sealed).
	Plan       [16]byte
	Edits      int    // emitted
	Applied    int    // places in the body that were changed
	NotApplied int    // edits that changed nothing
	Stopped    string // why editing ended before the body did; "": it did not
	Untouched  string // why edits of the body were not tried; "": they were

	// Pseudonym is of the visitor, under a key that is destroyed on schedule. It
	// is zero unless personalize is granted.
	Pseudonym [8]byte

	// In and Out are the SHA-256 of the origin's body and of the sent one, for a
	// sample; both zero otherwise. Keyed as Plan is.
	In, Out [32]byte
	// Sealed says that Plan, In and Out are HMAC-SHA-256 under the key of the period
	// that Pseudonym uses too: some policy was given personal data, and who has only the
	// record cannot try out which.
	Sealed  bool
	Exhibit string // name of the kept exhibit, "": none
}

// A Decision is what was granted, and by what. Its strings are those of host/consent.
type Decision struct {
	Jurisdiction string // "" unless some purpose was settled by its default
	Facts        string // the signals, reduced to what the decision depends on
	Purposes     []PurposeDecision

	text string // see Encode
}

// Encode has the decision encoded once for all records that it is part of. It must not be
// changed after.
func (d *Decision) Encode() { d.text = string(d.appendJSON(nil)) }

// A PurposeDecision says what settled one purpose.
type PurposeDecision struct {
	Purpose      string
	Granted      bool
	Rule, Signal string
}

// Ran is the outcome of a policy that ran and did not fail.
const Ran = "ran"

// A Policy is what one policy of the route did in both phases.
type Policy struct {
	Name    string // as the configuration writes it
	Digest  [16]byte
	Version int    // of an uploaded policy; 0 otherwise
	Outcome string // Ran, failed and why ("failed fuel"), suspended, missing, idle (nothing to do in this exchange)
	Edits   int
	Reads
}

// Reads is what a policy read, each key once. Declared keys are written as the manifest declares
// them ("profile.affinity.*"), others by their class only, and all in the manifest's
// order, not in that of the reads: a policy chooses names and order, and could hide
// data in them. config.*, which is the site's own, is left out.
type Reads struct {
	Given, Withheld, Absent, Undeclared []string

	text string // see Encode
}

// Encode has the lists encoded once for all records that r is copied into. They must
// not be changed after.
func (r *Reads) Encode() { r.text = string(r.appendJSON(nil)) }

func (r *Reads) appendJSON(b []byte) []byte {
	if r.text != "" {
		return append(b, r.text...)
	}
	b = appendList(b, `,"given":[`, r.Given)
	b = appendList(b, `,"withheld":[`, r.Withheld)
	b = appendList(b, `,"absent":[`, r.Absent)
	return appendList(b, `,"undeclared":[`, r.Undeclared)
}

// AppendJSON appends the record as one line of JSON, without the line's end.
// The order of fields is fixed, and a field whose value is zero is left out.
func (x *Exchange) AppendJSON(b []byte) []byte {
	b = append(b, `{"kind":"exchange","time":"`...)
	b = appendTime(b, x.Time)
	b = append(b, '"')
	b = appendString(b, `,"tenant":`, x.Tenant)
	b = appendString(b, `,"route":`, x.Route)
	b = appendString(b, `,"served":`, x.Served)
	b = appendInt(b, `,"status":`, x.Status)
	b = appendString(b, `,"fault":`, x.Fault)
	if x.Decision != nil {
		b = x.Decision.appendJSON(append(b, `,"decision":{`...))
	}
	before := &noDigest
	for i := range x.Policies {
		if i == 0 {
			b = append(b, `,"policies":[`...)
		} else {
			b = append(b, ',')
		}
		b = x.Policies[i].appendJSON(b, before)
		before = &x.Policies[i].Digest
	}
	if len(x.Policies) > 0 {
		b = append(b, ']')
	}
	b = appendHex(b, `,"plan":"`, x.Plan[:])
	b = appendInt(b, `,"edits":`, x.Edits)
	b = appendInt(b, `,"applied":`, x.Applied)
	b = appendInt(b, `,"not_applied":`, x.NotApplied)
	b = appendString(b, `,"stopped":`, x.Stopped)
	b = appendString(b, `,"untouched":`, x.Untouched)
	b = appendHex(b, `,"pseudonym":"`, x.Pseudonym[:])
	b = appendHex(b, `,"in":"`, x.In[:])
	b = appendHex(b, `,"out":"`, x.Out[:])
	if x.Sealed {
		b = append(b, `,"sealed":true`...)
	}
	b = appendString(b, `,"exhibit":`, x.Exhibit)
	return append(b, '}')
}

func (d *Decision) appendJSON(b []byte) []byte {
	if d.text != "" {
		return append(b, d.text...)
	}
	mark := len(b)
	b = appendString(b, `,"jurisdiction":`, d.Jurisdiction)
	b = appendString(b, `,"facts":`, d.Facts)
	b = append(b, `,"granted":[`...)
	n := 0
	for i := range d.Purposes {
		if d.Purposes[i].Granted {
			if n++; n > 1 {
				b = append(b, ',')
			}
			b = appendQuoted(b, d.Purposes[i].Purpose)
		}
	}
	b = append(b, `],"by":{`...)
	for i := range d.Purposes {
		p := &d.Purposes[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, p.Purpose)
		b = append(b, ':', '"')
		b = appendEscaped(b, p.Rule)
		b = append(b, '/')
		b = appendEscaped(b, p.Signal)
		b = append(b, '"')
	}
	b = append(b, '}', '}')
	return append(b[:mark], b[mark+1:]...) // the first comma
}

// noDigest is what the digest of the first policy of a record is compared with.
var noDigest [16]byte

// appendJSON leaves out what most policies share: the digest, if it is that of the
// policy before, and the outcome "ran".
func (p *Policy) appendJSON(b []byte, before *[16]byte) []byte {
	b = append(b, `{"policy":`...)
	b = appendQuoted(b, p.Name)
	switch p.Digest {
	case *before:
	case noDigest:
		b = append(b, `,"digest":""`...)
	default:
		b = appendHex(b, `,"digest":"`, p.Digest[:])
	}
	b = appendInt(b, `,"version":`, p.Version)
	if p.Outcome != Ran {
		b = appendString(b, `,"outcome":`, p.Outcome)
	}
	b = appendInt(b, `,"edits":`, p.Edits)
	return append(p.Reads.appendJSON(b), '}')
}

// appendTime appends RFC 3339 with milliseconds, UTC. Years are 0 to 9999.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / 1e6
	if year < 0 || year > 9999 {
		year = 0 // no clock says that
	}
	return append(b,
		'0'+byte(year/1000), '0'+byte(year/100%10), '0'+byte(year/10%10), '0'+byte(year%10), '-',
		'0'+byte(month/10), '0'+byte(month%10), '-', '0'+byte(day/10), '0'+byte(day%10), 'T',
		'0'+byte(hour/10), '0'+byte(hour%10), ':', '0'+byte(minute/10), '0'+byte(minute%10), ':',
		'0'+byte(second/10), '0'+byte(second%10), '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}

func appendString(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendQuoted(append(b, name...), s)
}

func appendInt(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), int64(n), 10)
}

func appendHex(b []byte, name string, raw []byte) []byte {
	var any byte
	for _, c := range raw {
		any |= c
	}
	if any == 0 {
		return b
	}
	b = append(b, name...)
	for ; len(raw) >= 4; raw = raw[4:] { // lengths are multiples of it
		// Four bytes become eight, each with four bits, and those above 9 become letters.
		v := uint64(binary.BigEndian.Uint32(raw))
		v = (v<<16 | v) & 0x0000ffff0000ffff
		v = (v<<8 | v) & 0x00ff00ff00ff00ff
		v = (v<<4 | v) & 0x0f0f0f0f0f0f0f0f
		letters := (v + 0x0606060606060606) >> 4 & 0x0101010101010101
		b = binary.BigEndian.AppendUint64(b, v+0x3030303030303030+letters*('a'-'9'-1))
	}
	return append(b, '"')
}

func appendList(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, name...)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, s)
	}
	return append(b, ']')
}

func appendQuoted(b []byte, s string) []byte {
	return append(appendEscaped(append(b, '"'), s), '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends the inside of a JSON string (RFC 8259, 7). What is no
// UTF-8 becomes U+FFFD, so that every reader takes the line.
func appendEscaped(b []byte, s string) []byte {
	// Nearly every string is plain (ASCII, nothing to escape), so it is copied first and looked at
	// where it lies, eight bytes at a time.
	from := len(b)
	b = append(b, s...)
	i := from
	for ; i+8 <= len(b); i += 8 {
		if hard(binary.LittleEndian.Uint64(b[i:])) {
			return appendHard(b[:from], s)
		}
	}
	if i == len(b) {
		return b
	}
	if i+8 > cap(b) { // at the buffer's end, which is rare
		if len(appendHard(nil, s[i-from:])) != len(b)-i {
			return appendHard(b[:from], s)
		}
		return b
	}
	// The rest, with spaces in the place of what is behind it in the buffer.
	rest := uint64(1)<<(8*(len(b)-i)) - 1
	if hard(binary.LittleEndian.Uint64(b[i:i+8])&rest | 0x2020202020202020&^rest) {
		return appendHard(b[:from], s)
	}
	return b
}

// hard reports whether one of eight bytes does not stand for itself in a JSON string. It may be wrong
// about bytes above one that is, never about all of them.
func hard(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^ones*'"', x^ones*'\\'
	return (x|(x-ones*0x20)|(quote-ones)&^quote|(slash-ones)&^slash)&high != 0
}

func appendHard(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, "\ufffd"...)
		}
		i++
		from = i
	}
	return append(b, s[from:]...)
}

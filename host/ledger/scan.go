package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxRecord is the most bytes of one record. The edge's are below 64 KiB.
const maxRecord = 1 << 20

// A Record is one line of the ledger: an exchange or an event.
type Record struct {
	Number   int64     // in the whole ledger, from 0
	Segment  int64     // index of the segment that holds it
	Line     []byte    // the JSON, without the line's end
	Exchange *Exchange // nil: it is an event
	Event    *Event    // nil: it is an exchange; Data is a json.RawMessage or nil

	window time.Time // when its segment's window began; zero: unknown
}

// Kind is one of the Kind constants, or that of a later version.
func (r *Record) Kind() string {
	if r.Exchange != nil {
		return KindExchange
	}
	return r.Event.Kind
}

// Time is when the request arrived, or the event was.
func (r *Record) Time() time.Time {
	if r.Exchange != nil {
		return r.Exchange.Time
	}
	return r.Event.Time
}

// Tenant is whom the record is about; "": the whole process.
func (r *Record) Tenant() string {
	if r.Exchange != nil {
		return r.Exchange.Tenant
	}
	return r.Event.Tenant
}

// ParseRecord reads one line, without its end. It takes only the form that
// [Exchange.AppendJSON] and [Event.AppendJSON] write, so that no two readers
// can take one line for different things. The record's strings share the
// memory of line.
func ParseRecord(line []byte) (Record, error) {
	s := scanner{}
	r, err := s.record(line)
	if err != nil {
		return Record{}, err
	}
	return *r, nil
}

// A scanner reads records of one form, without allocations: strings are views
// into the line, slices are used again, so what it returns is valid until
// its next call.
type scanner struct {
	b    []byte
	i    int
	want string // what was expected at i, once something failed

	rec      Record
	exchange Exchange
	decision Decision
	event    Event
	granted  []string
	policies []Policy
	reads    []Reads // of those, all that were ever needed, with their slices
	day      string  // the last date, and what it means
	midnight time.Time

	line          int64 // counts
	seenDecisions seen[Decision]
	seenReads     seen[Reads]
}

func (s *scanner) record(line []byte) (*Record, error) {
	s.b, s.i, s.want = line, 0, ""
	s.line++
	s.rec = Record{Line: line}
	if len(line) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes: expected at most %d", len(line), maxRecord)
	}
	ok := false
	if s.lit(`{"kind":"exchange","time":`) {
		s.rec.Exchange = &s.exchange
		ok = s.parseExchange(&s.exchange)
	} else if s.must(`{"kind":`) {
		s.rec.Event = &s.event
		ok = s.parseEvent(&s.event)
	}
	if !ok {
		return nil, s.failure()
	}
	return &s.rec, nil
}

func (s *scanner) failure() error {
	got := s.b[min(s.i, len(s.b)):]
	if len(got) > 24 {
		got = got[:24]
	}
	return fmt.Errorf("byte %d: expected %s, got %q", s.i, s.want, got)
}

// fail notes what was expected; the first one counts.
func (s *scanner) fail(want string) bool {
	if s.want == "" {
		s.want = want
	}
	return false
}

// lit takes x if it is next.
func (s *scanner) lit(x string) bool {
	// The last byte tells most names from others.
	if len(s.b)-s.i >= len(x) && s.b[s.i+len(x)-1] == x[len(x)-1] && string(s.b[s.i:s.i+len(x)]) == x {
		s.i += len(x)
		return true
	}
	return false
}

func (s *scanner) must(x string) bool { return s.lit(x) || s.fail(x) }

// end is what every record and statement ends with.
func (s *scanner) end() bool {
	return s.must("}") && (s.i == len(s.b) || s.fail("the end of the line"))
}

func (s *scanner) parseExchange(x *Exchange) bool {
	*x = Exchange{}
	if !s.time(&x.Time) ||
		!s.optString(`,"tenant":`, &x.Tenant) || !s.optString(`,"route":`, &x.Route) ||
		!s.optString(`,"served":`, &x.Served) || !s.optInt(`,"status":`, &x.Status) || !s.optString(`,"fault":`, &x.Fault) {
		return false
	}
	if s.lit(`,"decision":{`) {
		if x.Decision = s.sameDecision(); x.Decision == nil {
			return false
		}
	}
	if s.lit(`,"policies":[`) {
		if !s.parsePolicies(x) {
			return false
		}
	}
	if !s.optHex(`,"plan":"`, x.Plan[:]) || !s.optInt(`,"edits":`, &x.Edits) || !s.optInt(`,"applied":`, &x.Applied) ||
		!s.optInt(`,"not_applied":`, &x.NotApplied) || !s.optString(`,"stopped":`, &x.Stopped) ||
		!s.optString(`,"untouched":`, &x.Untouched) || !s.optHex(`,"pseudonym":"`, x.Pseudonym[:]) ||
		!s.optHex(`,"in":"`, x.In[:]) || !s.optHex(`,"out":"`, x.Out[:]) {
		return false
	}
	x.Sealed = s.lit(`,"sealed":true`)
	return s.optString(`,"exhibit":`, &x.Exhibit) && s.end()
}

// sameDecision is the decision that was seen in the same words, or parses it; nil: it has a fault.
func (s *scanner) sameDecision() *Decision {
	if p := s.seenDecisions.find(s.b[s.i:], s.line); p != nil {
		s.i += len(p.text)
		return &p.value
	}
	from := s.i
	if !s.parseDecision(&s.decision) {
		return nil
	}
	if p := s.seenDecisions.keep(s.b[from:s.i], s.line); p != nil {
		again := scanner{b: p.text, granted: s.granted}
		again.parseDecision(&p.value)
	}
	return &s.decision
}

func (s *scanner) parseDecision(d *Decision) bool {
	*d = Decision{Purposes: d.Purposes[:0]}
	if s.lit(`"jurisdiction":`) && (!s.nonEmpty(&d.Jurisdiction) || !s.must(",")) {
		return false
	}
	if s.lit(`"facts":`) && (!s.nonEmpty(&d.Facts) || !s.must(",")) {
		return false
	}
	if !s.must(`"granted":[`) {
		return false
	}
	s.granted = s.granted[:0]
	if !s.lit("]") && !s.list(&s.granted) {
		return false
	}
	if !s.must(`,"by":{`) {
		return false
	}
	granted := s.granted
	for !s.lit("}") {
		var p PurposeDecision
		var by string
		if len(d.Purposes) > 0 && !s.must(",") {
			return false
		}
		if !s.text(&p.Purpose) || !s.must(":") || !s.text(&by) {
			return false
		}
		slash := strings.IndexByte(by, '/')
		if slash < 0 {
			return s.fail("rule/signal")
		}
		p.Rule, p.Signal = by[:slash], by[slash+1:]
		if len(granted) > 0 && granted[0] == p.Purpose {
			p.Granted, granted = true, granted[1:]
		}
		for i := range d.Purposes {
			if d.Purposes[i].Purpose == p.Purpose {
				return s.fail("each purpose once")
			}
		}
		d.Purposes = append(d.Purposes, p)
	}
	if len(granted) > 0 {
		return s.fail("a reason for each granted purpose, in the same order")
	}
	return s.must("}")
}

func (s *scanner) parsePolicies(x *Exchange) bool {
	for n := 0; ; n++ {
		if n == len(s.policies) {
			s.policies, s.reads = append(s.policies, Policy{}), append(s.reads, Reads{})
		}
		before := &noDigest
		if n > 0 {
			before = &s.policies[n-1].Digest
		}
		if !s.parsePolicy(&s.policies[n], &s.reads[n], before) {
			return false
		}
		if s.lit("]") {
			x.Policies = s.policies[:n+1]
			return true
		}
		if !s.must(",") {
			return false
		}
	}
}

// parsePolicy reads one policy. The slices of room are for what it read.
func (s *scanner) parsePolicy(p *Policy, room *Reads, before *[16]byte) bool {
	*p = Policy{Outcome: Ran}
	if !s.must(`{"policy":`) || !s.text(&p.Name) {
		return false
	}
	if s.lit(`,"digest":""`) {
		if *before == noDigest {
			return s.fail("no digest, as there was none before")
		}
	} else if mark := s.i; !s.optHex(`,"digest":"`, p.Digest[:]) {
		return false
	} else if s.i == mark {
		p.Digest = *before
	} else if p.Digest == *before {
		return s.fail("a digest other than that of the policy before, which is left out")
	}
	if !s.optInt(`,"version":`, &p.Version) {
		return false
	}
	if mark := s.i; !s.optString(`,"outcome":`, &p.Outcome) {
		return false
	} else if s.i > mark && p.Outcome == Ran {
		return s.fail("another outcome than ran, which is left out")
	}
	if !s.optInt(`,"edits":`, &p.Edits) {
		return false
	}
	if same := s.seenReads.find(s.b[s.i:], s.line); same != nil {
		s.i += len(same.text)
		p.Reads = same.value
		return true
	}
	from := s.i
	if !s.parseReads(room) {
		return false
	}
	if kept := s.seenReads.keep(s.b[from:s.i], s.line); kept != nil {
		again := scanner{b: kept.text}
		again.parseReads(&kept.value)
	}
	p.Reads = *room
	return true
}

// parseReads reads the lists and the end of a policy.
func (s *scanner) parseReads(r *Reads) bool {
	*r = Reads{Given: r.Given[:0], Withheld: r.Withheld[:0], Absent: r.Absent[:0], Undeclared: r.Undeclared[:0]}
	return (!s.lit(`,"given":[`) || s.list(&r.Given)) && (!s.lit(`,"withheld":[`) || s.list(&r.Withheld)) &&
		(!s.lit(`,"absent":[`) || s.list(&r.Absent)) && (!s.lit(`,"undeclared":[`) || s.list(&r.Undeclared)) &&
		s.must("}")
}

// parseEvent reads what follows `{"kind":`.
func (s *scanner) parseEvent(e *Event) bool {
	*e = Event{}
	if !s.nonEmpty(&e.Kind) {
		return false
	}
	if e.Kind == KindExchange {
		return s.fail("the time of an exchange")
	}
	if !s.must(`,"time":`) || !s.time(&e.Time) || !s.optString(`,"tenant":`, &e.Tenant) {
		return false
	}
	if s.lit(`,"data":`) {
		if len(s.b) < s.i+3 {
			return s.fail("an object")
		}
		data := s.b[s.i : len(s.b)-1]
		if err := checkObject(data); err != nil {
			return s.fail(err.Error())
		}
		e.Data = json.RawMessage(data)
		s.i = len(s.b) - 1
	}
	return s.end()
}

// checkObject refuses what two readers of JSON could take differently: spaces,
// names that come twice. Events are rare, so this may allocate.
func checkObject(data []byte) error {
	if data[0] != '{' || !json.Valid(data) {
		return errors.New("an object")
	}
	if !utf8.Valid(data) {
		return errors.New("UTF-8")
	}
	var tight bytes.Buffer
	if err := json.Compact(&tight, data); err != nil || !bytes.Equal(tight.Bytes(), data) {
		return errors.New("an object without spaces")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return eachOnce(dec)
}

// maxDepth of an event's data: what the edge writes has at most four.
const maxDepth = 16

func eachOnce(dec *json.Decoder) error {
	type level struct {
		names map[string]bool // nil: an array
		value bool            // the next token is a value
	}
	var stack []level
	for {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				if stack = stack[:len(stack)-1]; len(stack) == 0 {
					return nil
				}
				continue
			}
			if len(stack) > 0 {
				stack[len(stack)-1].value = false
			}
			if len(stack) == maxDepth {
				return fmt.Errorf("at most %d levels", maxDepth)
			}
			next := level{}
			if t == '{' {
				next.names = map[string]bool{}
			}
			stack = append(stack, next)
		default:
			top := &stack[len(stack)-1]
			if name, ok := t.(string); ok && top.names != nil && !top.value {
				if top.names[name] {
					return fmt.Errorf("the name %q once", name)
				}
				top.names[name], top.value = true, true
				continue
			}
			top.value = false
		}
	}
}

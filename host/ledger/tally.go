package ledger

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bespoke/modules/abi"
)

// A Tally counts records. Tallies of two periods, or of two tenants, can be
// merged into that of both. The keys of its maps are the words of the records.
type Tally struct {
	Records   int64 `json:"records"`
	Exchanges int64 `json:"exchanges"`
	Decided   int64 `json:"decided"`  // exchanges with a decision; at the others nothing about the visitor was asked
	Refused   int64 `json:"refused"`  // of those: personalize is denied
	Honoured  int64 `json:"honoured"` // of those: the record keeps the promise
	Personal  int64 `json:"personal"` // exchanges at which a policy was given personal data
	Edits     int64 `json:"edits"`
	Applied   int64 `json:"applied"`
	// Violations of the promise are counted all; Broken has the first of them.
	Violations int64   `json:"violations"`
	Broken     []Noted `json:"broken,omitempty"`

	Purposes map[string]*PurposeTally `json:"purposes,omitempty"`
	Reads    map[string]*ReadTally    `json:"reads,omitempty"`  // by class of the key; "mixed": a declared prefix of several
	Served   map[string]int64         `json:"served,omitempty"` // exchanges by who answered
	Status   map[string]int64         `json:"status,omitempty"` // exchanges by class of status: 2xx
	Faults   map[string]int64         `json:"faults,omitempty"` // exchanges
	Policies []*PolicyTally           `json:"policies,omitempty"`

	Choices ChoiceTally      `json:"choices"`
	Events  map[string]int64 `json:"events,omitempty"` // by kind
	// Canaries are rounds of scheduled experiments, by verdict; "differs" is an alarm.
	Canaries   map[string]int64 `json:"canaries,omitempty"`
	Unrecorded int64            `json:"unrecorded"` // exchanges without a record, which were not personalized
	// Noted are the first events, with their data, but for choices, erasures, and
	// canaries that raise no alarm.
	Noted []Noted `json:"noted,omitempty"`
}

// A PurposeTally counts the decisions on one purpose.
type PurposeTally struct {
	Granted int64 `json:"granted"`
	Denied  int64 `json:"denied"`
	// By is rule, then signal.
	By map[string]map[string]*Settled `json:"by"`
}

// Settled counts how often one rule and signal granted and denied.
type Settled struct {
	Granted int64 `json:"granted"`
	Denied  int64 `json:"denied"`
}

// A ReadTally counts keys of one class that policies asked for, once a policy and exchange.
type ReadTally struct {
	Given      int64 `json:"given"`
	Withheld   int64 `json:"withheld"`
	Absent     int64 `json:"absent"`
	Undeclared int64 `json:"undeclared"`
}

// A PolicyTally says when one version of a policy was used.
type PolicyTally struct {
	Policy    string           `json:"policy"`
	Digest    Digest           `json:"digest"`
	Version   int              `json:"version,omitempty"`
	First     time.Time        `json:"first"` // exchange with it
	Last      time.Time        `json:"last"`
	Exchanges int64            `json:"exchanges"`
	Edits     int64            `json:"edits"`
	Outcomes  map[string]int64 `json:"outcomes,omitempty"`
}

// A Digest is what identifies a policy's code; its text is hexadecimal.
type Digest [16]byte

func (d Digest) String() string               { return hex.EncodeToString(d[:]) }
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 32 hexadecimal digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("digest of %d digits: expected %d", len(text), 2*len(d))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// verdictDiffers is that of a canary that found a difference between visitors who refuse.
const verdictDiffers = "differs"

// A ChoiceTally counts visitors' and subjects' choices.
type ChoiceTally struct {
	All     int64            `json:"all"`
	Refused int64            `json:"refused"`           // everything
	From    map[string]int64 `json:"from,omitempty"`    // where they were made
	Granted map[string]int64 `json:"granted,omitempty"` // by purpose
}

// A Noted record is worth a line of its own.
type Noted struct {
	Record int64           `json:"record"`
	Time   time.Time       `json:"time"`
	Tenant string          `json:"tenant,omitempty"`
	Kind   string          `json:"kind"`
	Text   string          `json:"text,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Most that a tally of one hour keeps of each, and a merged one of all.
const (
	maxNoted       = 64
	maxNotedMerged = 1000
	maxWords       = 1000 // different words of one kind, as a tenant names its policies
)

// exchange counts one.
func (t *Tally) exchange(r *Record, m *needs) {
	x := r.Exchange
	t.Exchanges++
	count(&t.Served, m.word(x.Served), 1)
	count(&t.Status, statusClass(x.Status), 1)
	if x.Fault != "" {
		count(&t.Faults, m.word(x.Fault), 1)
	}
	t.Edits += int64(x.Edits)
	t.Applied += int64(x.Applied)
	broken := m.broken(x)
	if broken != "" {
		t.Violations++
		if len(t.Broken) < maxNoted {
			t.Broken = append(t.Broken, Noted{Record: r.Number, Time: x.Time, Tenant: strings.Clone(x.Tenant), Kind: KindExchange, Text: broken})
		}
	}
	if x.Decision != nil {
		t.decision(x.Decision, broken == "")
	}
	personal := false
	for i := range x.Policies {
		p := &x.Policies[i]
		personal = t.reads(p, m) || personal
		t.policy(p, x.Time, m)
	}
	if personal {
		t.Personal++
	}
}

func (t *Tally) decision(d *Decision, kept bool) {
	t.Decided++
	if t.Purposes == nil {
		t.Purposes = map[string]*PurposeTally{}
	}
	for i := range d.Purposes {
		p := &d.Purposes[i]
		if !p.Granted && p.Purpose == abi.Personalize.String() {
			t.Refused++
			if kept {
				t.Honoured++
			}
		}
		of := entry(t.Purposes, p.Purpose)
		if of.By == nil {
			of.By = map[string]map[string]*Settled{}
		}
		signals := of.By[p.Rule]
		if signals == nil {
			signals = map[string]*Settled{}
			if len(of.By) < maxWords {
				of.By[strings.Clone(p.Rule)] = signals
			}
		}
		by := entry(signals, p.Signal)
		if p.Granted {
			of.Granted++
			by.Granted++
		} else {
			of.Denied++
			by.Denied++
		}
	}
}

// entry is m[key]; what the map has no more room for is counted nowhere else.
func entry[V any](m map[string]*V, key string) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		if len(m) < maxWords {
			m[strings.Clone(key)] = v
		}
	}
	return v
}

// count adds to one word, which has memory of its own; those beyond maxWords
// are counted together.
func count(m *map[string]int64, key string, n int64) {
	if _, ok := (*m)[key]; ok {
		(*m)[key] += n
		return
	}
	if *m == nil {
		*m = map[string]int64{}
	}
	if len(*m) >= maxWords {
		key = "others"
	}
	(*m)[key] += n
}

func statusClass(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "none"
}

func (t *Tally) reads(p *Policy, m *needs) (personal bool) {
	if len(p.Given)+len(p.Withheld)+len(p.Absent)+len(p.Undeclared) > 0 && t.Reads == nil {
		t.Reads = map[string]*ReadTally{}
	}
	for _, key := range p.Given {
		n := m.of(key)
		entry(t.Reads, n.class).Given++
		personal = personal || n.personal
	}
	for _, key := range p.Withheld {
		n := m.of(key)
		entry(t.Reads, n.class).Withheld++
	}
	for _, key := range p.Absent {
		n := m.of(key)
		entry(t.Reads, n.class).Absent++
	}
	for _, class := range p.Undeclared {
		entry(t.Reads, class).Undeclared++
	}
	return personal
}

func (t *Tally) policy(p *Policy, at time.Time, m *needs) {
	of := t.policyOf(p.Name, Digest(p.Digest), p.Version, at)
	of.First, of.Last = earlier(of.First, at), later(of.Last, at)
	of.Exchanges++
	of.Edits += int64(p.Edits)
	count(&of.Outcomes, m.word(p.Outcome), 1)
}

// policyOf finds the tally of one version of a policy, or makes it.
func (t *Tally) policyOf(name string, d Digest, version int, at time.Time) *PolicyTally {
	for _, p := range t.Policies {
		if p.Digest == d && p.Policy == name && p.Version == version {
			return p
		}
	}
	p := &PolicyTally{Policy: strings.Clone(name), Digest: d, Version: version, First: at, Last: at}
	if len(t.Policies) < maxWords {
		t.Policies = append(t.Policies, p)
	}
	return p
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// event counts one.
func (t *Tally) event(r *Record) {
	e := r.Event
	count(&t.Events, strings.Clone(e.Kind), 1)
	data, _ := e.Data.(json.RawMessage)
	var told struct {
		Granted []string
		From    string
		Verdict string
	}
	switch e.Kind {
	case KindChoice:
		_ = json.Unmarshal(data, &told) // what cannot be read is counted as it is
		t.Choices.All++
		if told.From != "" {
			count(&t.Choices.From, told.From, 1)
		}
		for _, p := range told.Granted {
			count(&t.Choices.Granted, p, 1)
		}
		if len(told.Granted) == 0 {
			t.Choices.Refused++
		}
		return
	case KindErasure:
		return
	case KindCanary:
		_ = json.Unmarshal(data, &told)
		count(&t.Canaries, cmp.Or(told.Verdict, "unreadable"), 1)
		if told.Verdict != verdictDiffers {
			return
		}
	case KindUnrecorded:
		var lost struct{ Exchanges int64 } // its from is a time
		_ = json.Unmarshal(data, &lost)
		t.Unrecorded += lost.Exchanges
	}
	if len(t.Noted) < maxNoted {
		t.Noted = append(t.Noted, Noted{Record: r.Number, Time: e.Time, Tenant: strings.Clone(e.Tenant), Kind: strings.Clone(e.Kind), Data: append(json.RawMessage(nil), data...)})
	}
}

// Merge adds what o counted.
func (t *Tally) Merge(o *Tally) {
	t.Records += o.Records
	t.Exchanges += o.Exchanges
	t.Decided += o.Decided
	t.Refused += o.Refused
	t.Honoured += o.Honoured
	t.Personal += o.Personal
	t.Edits += o.Edits
	t.Applied += o.Applied
	t.Violations += o.Violations
	t.Unrecorded += o.Unrecorded
	t.Choices.All += o.Choices.All
	t.Choices.Refused += o.Choices.Refused
	for _, m := range []struct {
		to   *map[string]int64
		from map[string]int64
	}{
		{&t.Served, o.Served}, {&t.Status, o.Status}, {&t.Faults, o.Faults}, {&t.Events, o.Events},
		{&t.Canaries, o.Canaries}, {&t.Choices.From, o.Choices.From}, {&t.Choices.Granted, o.Choices.Granted},
	} {
		for key, n := range m.from {
			count(m.to, key, n)
		}
	}
	t.Broken = appendNoted(t.Broken, o.Broken)
	t.Noted = appendNoted(t.Noted, o.Noted)
	t.mergePurposes(o)
	for _, p := range o.Policies {
		of := t.policyOf(p.Policy, p.Digest, p.Version, p.First)
		of.First, of.Last = earlier(of.First, p.First), later(of.Last, p.Last)
		of.Exchanges += p.Exchanges
		of.Edits += p.Edits
		for key, n := range p.Outcomes {
			count(&of.Outcomes, key, n)
		}
	}
}

func appendNoted(to, from []Noted) []Noted {
	return append(to, from[:min(len(from), max(0, maxNotedMerged-len(to)))]...)
}

func (t *Tally) mergePurposes(o *Tally) {
	if t.Purposes == nil && o.Purposes != nil {
		t.Purposes = map[string]*PurposeTally{}
	}
	for name, p := range o.Purposes {
		of := entry(t.Purposes, name)
		of.Granted += p.Granted
		of.Denied += p.Denied
		if of.By == nil {
			of.By = map[string]map[string]*Settled{}
		}
		for rule, signals := range p.By {
			if of.By[rule] == nil {
				of.By[rule] = map[string]*Settled{}
			}
			for signal, s := range signals {
				by := entry(of.By[rule], signal)
				by.Granted += s.Granted
				by.Denied += s.Denied
			}
		}
	}
	if t.Reads == nil && o.Reads != nil {
		t.Reads = map[string]*ReadTally{}
	}
	for class, r := range o.Reads {
		of := entry(t.Reads, class)
		of.Given += r.Given
		of.Withheld += r.Withheld
		of.Absent += r.Absent
		of.Undeclared += r.Undeclared
	}
}

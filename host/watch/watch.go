// Package watch is what an operator sees of the edge from outside: figures,
// and where time went. It counts; it never sees a visitor.
//
// Make [Meters] once for a process, resolve [Meters.Tenant], [Tenant.Route] and
// [Tenant.Policy] when a configuration is loaded, and count with [Tenant.Count]
// and [Tenant.Ran] while it serves, which look nothing up and allocate nothing.
// [Meters.Families] tells the figures; the package prom shows families to
// Prometheus.
//
// Every label is a word of the configuration or of [Names]. Nothing that a
// visitor sends becomes one: there is no way to pass it.
package watch

import "time"

// Names are the words that figures are told by, where the configuration has none.
// What is counted says them by their index. Index 0 of Faults and of Failures
// stands for none.
type Names struct {
	Served   []string // who answered
	Purposes []string
	Rules    []string // by which purposes are settled; "" is left out
	Classes  []string // of keys that policies read
	Outcomes []string // of reads
	Failures []string // kinds of failed runs
	Reasons  []string // why edits were refused, or not carried out
	Faults   []Fault
}

// A Fault is a way in which an exchange goes wrong.
type Fault struct{ Source, Name string }

// A Kind says how a family's values move.
type Kind uint8

const (
	Counter   Kind = iota // only grows, but for a restart
	Gauge                 // goes up and down
	Durations             // a histogram of seconds
)

// A Family is one figure, for every combination of its labels that occurred.
type Family struct {
	Name   string // by the conventions of Prometheus
	Help   string // one sentence
	Kind   Kind
	Labels []string
	// Samples yields the values of now. It may be called at any time.
	Samples func(yield func(Sample))
}

// A Sample is one value of a family.
type Sample struct {
	Labels    []string   // values, as many as the family has labels; not changed afterwards
	Value     float64    // of a Counter or a Gauge
	Histogram *Histogram // of Durations
}

// A Histogram counts durations by how long they are at most.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets []Bucket // in the order of their bounds; what is beyond the last is in Count alone
}

// A Bucket is how many durations were at most a bound.
type Bucket struct {
	UpTo  time.Duration
	Count uint64 // those of the buckets before it among them
}

// One returns a family without labels, of one value.
func One(name, help string, kind Kind, value func() float64) Family {
	return Family{Name: name, Help: help, Kind: kind, Samples: func(yield func(Sample)) { yield(Sample{Value: value()}) }}
}

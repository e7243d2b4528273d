package edge

import (
	"errors"
	"math/bits"
	"slices"
	"strings"

	"bespoke/host/ledger"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// A readable is what a manifest declares that a policy reads, by number, so that
// what was read is kept in a bit a key. It answers as [abi.Manifest.Declares] does.
type readable struct {
	names    []string       // by number, as the manifest writes them, sorted; then consent.*, which needs no declaration
	exact    map[string]int // number by key
	families []family       // those that end in "*"
	lists    *memo[readSet, ledger.Reads]
}

// A readSet is what a policy read, where 64 keys are declared at most: a bit a key of each
// outcome, and a bit a class.
type readSet struct {
	given, withheld, absent uint64
	undeclared              [readClasses]bool
}

type family struct {
	prefix string
	number int
}

// siteOwn stands for config.*, which needs no declaration. It is the site's own, and
// the same for every visitor: reads of it are not noted.
const siteOwn = -1

func newReadable(m *abi.Manifest) *readable {
	r := &readable{exact: map[string]int{}, lists: newMemo[readSet, ledger.Reads](64)}
	for key := range m.Reads {
		if !strings.HasPrefix(key, abi.KeyConfig) {
			r.names = append(r.names, key)
		}
	}
	slices.Sort(r.names)
	if decisions := abi.KeyConsent + "*"; !slices.Contains(r.names, decisions) {
		r.names = append(r.names, decisions)
	}
	r.families = []family{{abi.KeyConfig, siteOwn}}
	for i, name := range r.names {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			r.families = append(r.families, family{prefix, i})
		} else {
			r.exact[name] = i
		}
	}
	return r
}

// find returns the number of what declares a key.
func (r *readable) find(key string) (number int, ok bool) {
	if n, ok := r.exact[key]; ok {
		return n, true
	}
	if strings.HasPrefix(key, abi.KeyRecommend) {
		// How much of a band is asked for does not change whose it is.
		band, _, _ := strings.Cut(key, "?")
		if n, ok := r.exact[band]; ok {
			return n, true
		}
	}
	for i := range r.families {
		if f := &r.families[i]; strings.HasPrefix(key, f.prefix) {
			return f.number, true
		}
	}
	return 0, false
}

// words is how many words of 64 bits hold a bit for each key.
func (r *readable) words() int {
	if r == nil {
		return 0
	}
	return (len(r.names) + 63) / 64
}

// list writes down what a policy read: set has the bits of its keys, of each outcome in turn.
// What visitors' exchanges come to differs little, so it is kept; where more than 64 keys are declared it is
// written anew each time.
func (r *readable) list(set []uint64, d *done) ledger.Reads {
	if r.words() != 1 {
		return r.write(set, d)
	}
	key := readSet{set[readGiven], set[readWithheld], set[readAbsent], d.undeclared}
	return *r.lists.of(key, func() ledger.Reads {
		w := r.write(set, d)
		w.Encode()
		return w
	})
}

func (r *readable) write(set []uint64, d *done) (w ledger.Reads) {
	of := func(outcome int) []uint64 { return set[outcome*d.words:][:d.words] }
	w.Given, w.Withheld, w.Absent = r.named(of(readGiven)), r.named(of(readWithheld)), r.named(of(readAbsent))
	for class, read := range d.undeclared {
		if read {
			w.Undeclared = append(w.Undeclared, abi.Class(class).String())
		}
	}
	return w
}

// named lists the keys whose bits are set.
func (r *readable) named(set []uint64) (names []string) {
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			names = append(names, r.names[w<<6+bits.TrailingZeros64(word)])
		}
	}
	return names
}

// A done is what a policy did in an exchange, in both phases.
type done struct {
	ran        bool
	failed     string // why a run failed; "": none did
	edits      int
	reads      int               // where its bits begin in recording.bits, those of each outcome in turn
	words      int               // of each
	undeclared [readClasses]bool // by class: read without a declaration
}

// ended notes that a run ended, with a fault or so many edits.
func (d *done) ended(err error, edits int) {
	if d == nil {
		return
	}
	var f *engine.Fault
	switch {
	case err == nil:
		d.ran = true
		d.edits += edits
	case d.failed != "":
	case errors.As(err, &f):
		d.failed = failedAs[f.Kind]
	default:
		d.failed = outcomeFailed
	}
}

// Outcomes of a policy in an exchange.
const (
	outcomeRan       = ledger.Ran
	outcomeIdle      = "idle"    // it had nothing to do in the phases that there were
	outcomeMissing   = "missing" // no version of it can run
	outcomeSuspended = "suspended"
	outcomeFailed    = "failed" // and why
)

var failedAs = func() (names [engine.FaultKinds]string) {
	for k := range engine.FaultKinds {
		names[k] = outcomeFailed + " " + k.String()
	}
	names[engine.FaultSuspended] = outcomeSuspended
	return names
}()

// took notes what a read came to, of a key that the manifest declares under a number.
// A run that counts for nothing is not noted.
func (v *view) took(class abi.Class, number, outcome int) {
	d := v.did
	if d == nil {
		return
	}
	v.x.tally.read(class, outcome)
	switch {
	case outcome == readUndeclared:
		d.undeclared[class] = true
		return
	case number == siteOwn:
		return
	}
	v.x.rec.bits[d.reads+outcome*d.words+number>>6] |= 1 << (number & 63)
}

// personal notes that the policy was given something that the visitor set, or
// that is known of them.
func (v *view) personal() {
	if v.did != nil {
		v.x.rec.personal = true
	}
}

package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"bespoke/host/audit/exhibit"
	"bespoke/host/consent"
	"bespoke/host/ledger"
	"bespoke/modules/abi"
)

// A ReplayConfig says what is replayed.
type ReplayConfig struct {
	State   string // the state folder, with the ledger and the exhibits
	Key     []byte // public key of the ledger that was got elsewhere; nil: the folder's
	Exhibit string // only this one; "": every exhibit, and every decision
	cache   string // of the Replayer
}

// A ReplayReport is what a replay of a ledger came to.
type ReplayReport struct {
	Records   int64 `json:"records"`   // that were read
	Decisions int64 `json:"decisions"` // that were decided again
	Exhibits  int   `json:"exhibits"`  // that were run again
	Gone      int   `json:"gone"`      // exhibits that records name and that are not there: too old, or never written
	Unnamed   int   `json:"unnamed"`   // exhibits that no record names
	Damage    int64 `json:"damage"`    // findings of the ledger's own check: see ledger verify
	// Differences has the first thousand; Different counts all.
	Differences []Difference `json:"differences"`
	Different   int64        `json:"different"`
}

// OK reports whether everything came out as it was.
func (r *ReplayReport) OK() bool { return r.Different == 0 && r.Damage == 0 }

// A Difference is one thing that came out otherwise than the ledger has it.
type Difference struct {
	Record  int64  `json:"record"` // its number; -1: none
	Exhibit string `json:"exhibit,omitempty"`
	Text    string `json:"text"`
}

func (r *ReplayReport) add(d Difference) {
	if r.Different++; len(r.Differences) < 1000 {
		r.Differences = append(r.Differences, d)
	}
}

// LedgerFolder is where the ledger is, in the state folder.
const LedgerFolder = "ledger"

// ReplayLedger decides again every exchange of a ledger, from its recorded facts, and
// runs again every exhibit that it names. What differs is in the report; an error says
// that nothing could be replayed.
func ReplayLedger(ctx context.Context, c ReplayConfig) (*ReplayReport, error) {
	report := &ReplayReport{Differences: []Difference{}}
	dir := filepath.Join(c.State, exhibit.Folder)
	list, err := exhibit.List(dir)
	if err != nil {
		return nil, err
	}
	named := make(map[string][]ledger.Record, len(list)) // by exhibit: the records that name it
	for _, name := range list {
		if c.Exhibit == "" || c.Exhibit == name {
			named[name] = nil
		}
	}
	if _, ok := named[c.Exhibit]; c.Exhibit != "" && !ok {
		return nil, fmt.Errorf("exhibit %q: %w in %s", c.Exhibit, fs.ErrNotExist, dir)
	}
	verified, err := ledger.Verify(filepath.Join(c.State, LedgerFolder), ledger.VerifyOptions{Key: c.Key, Each: func(rec *ledger.Record) {
		report.Records++
		if rec.Exchange == nil {
			return
		}
		if c.Exhibit == "" {
			report.decideAgain(rec)
		}
		name := rec.Exchange.Exhibit
		if name == "" {
			return
		}
		records, here := named[name]
		if !here {
			report.Gone++
			return
		}
		own, err := ledger.ParseRecord(bytes.Clone(rec.Line))
		if err == nil && len(records) < 2 {
			own.Number = rec.Number
			named[own.Exchange.Exhibit] = append(records, own) // a key that is not the scanner's
		}
	}})
	if err != nil {
		return nil, err
	}
	report.Damage = verified.DamageCount
	if c.Exhibit != "" {
		report.Gone = 0 // the others were not looked for
	}
	r, err := NewReplayer(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	r.cache = c.cache
	for _, name := range list {
		if records, ok := named[name]; ok && ctx.Err() == nil {
			report.runAgain(r, dir, name, records)
		}
	}
	return report, ctx.Err()
}

// decideAgain compares the decision that a record's facts lead to with the recorded one.
func (r *ReplayReport) decideAgain(rec *ledger.Record) {
	d := rec.Exchange.Decision
	if d == nil {
		return
	}
	r.Decisions++
	differ := func(format string, args ...any) {
		r.add(Difference{Record: rec.Number, Exhibit: rec.Exchange.Exhibit, Text: fmt.Sprintf(format, args...)})
	}
	facts, err := consent.ParseFacts(d.Facts)
	if err != nil {
		differ("%v", err)
		return
	}
	again := facts.Decide()
	if len(d.Purposes) != abi.Purposes {
		differ("%d purposes were decided, there are %d", len(d.Purposes), abi.Purposes)
		return
	}
	for p := range abi.Purpose(abi.Purposes) {
		got := ledger.PurposeDecision{Purpose: p.String(), Granted: again.Grants(p), Rule: again.Rule(p).String(), Signal: again.Signal(p).String()}
		if want := d.Purposes[p]; want != got {
			differ("the facts %q lead to %s, recorded is %s", d.Facts, sayPurpose(got), sayPurpose(want))
		}
	}
}

func sayPurpose(p ledger.PurposeDecision) string {
	granted := "denied"
	if p.Granted {
		granted = "granted"
	}
	return fmt.Sprintf("%s %s by %s (%s)", p.Purpose, granted, p.Rule, p.Signal)
}

// runAgain replays one exhibit, which those records name.
func (r *ReplayReport) runAgain(re *Replayer, dir, name string, records []ledger.Record) {
	if len(records) == 0 {
		r.Unnamed++
		return
	}
	differ := func(text string) { r.add(Difference{Record: records[0].Number, Exhibit: name, Text: text}) }
	if len(records) > 1 {
		differ(fmt.Sprintf("record %d names the same exhibit", records[1].Number))
	}
	e, err := exhibit.Load(dir, name)
	if errors.Is(err, fs.ErrNotExist) { // it grew too old meanwhile
		r.Gone++
		return
	}
	if err != nil {
		differ(err.Error())
		return
	}
	r.Exhibits++
	differences, err := re.Replay(e, records[0].Exchange)
	if err != nil {
		differ(err.Error())
	}
	for _, text := range differences {
		differ(text)
	}
}

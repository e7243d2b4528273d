package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/edge"
	"bespoke/host/ledger"
	"bespoke/host/state"
)

// openLedger begins to record, in the folder "ledger" of the state folder; nil if
// the configuration says that nothing is recorded.
func openLedger(site *config.Config, log *slog.Logger) (*ledger.Ledger, error) {
	c := &site.Ledger
	if c.Off {
		log.Warn("nothing is recorded: the configuration says \"record: false\"")
		return nil, nil
	}
	second, err := witnesses(c.Witnesses)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ledger.Config{
		Dir: filepath.Join(site.State, "ledger"), Keys: filepath.Join(site.State, "keys"), Origin: c.Origin,
		Window: c.Window, Keep: c.Keep, PseudonymLife: c.Pseudonyms, Witnesses: second, Log: log,
		Queue: queue(site.Limits.Connections),
	})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return l, nil
}

// queue is how many records may wait. Each connection may have one reserved for as long as a slow visitor
// takes an answer, and these alone must not keep everybody's pages from being tailored.
func queue(connections int) int { return max(1<<16, 2*connections) }

func witnesses(list []config.Witness) (all []ledger.Witness, err error) {
	for _, w := range list {
		scheme, _, _ := strings.Cut(w.URL, "://")
		switch scheme {
		case "":
			all = append(all, ledger.FileWitness{Dir: w.Dir})
		case "nats", "tls":
			slot, err := state.NewSlot(w.URL) // connects when it is asked
			if err != nil {
				return nil, fmt.Errorf("record: witness: %w", err)
			}
			all = append(all, slot)
		default:
			all = append(all, ledger.HTTPWitness{URL: w.URL, TokenFile: w.TokenFile})
		}
	}
	return all, nil
}

// openExhibits keeps exhibits beside the ledger; nil if nothing is recorded, or none
// are wanted.
func openExhibits(site *config.Config, log *slog.Logger) *exhibit.Store {
	x := site.Ledger.Exhibits
	if site.Ledger.Off || x.Count == 0 {
		return nil
	}
	return exhibit.Open(exhibit.Config{Dir: filepath.Join(site.State, exhibit.Folder), Count: x.Count, Keep: x.Keep, Log: log})
}

// record has an edge record in l, if it is not nil.
func record(c *edge.Config, l *ledger.Ledger) {
	if l == nil {
		return
	}
	c.Ledger = l
	c.Sample = cmp.Or(c.Site.Ledger.Sample, -1) // 0 in the file is none
}

// A keyEvent is the data of [ledger.KindKey], for the keys that are not the ledger's own.
type keyEvent struct {
	Key    string `json:"key"`    // name of its file
	Action string `json:"action"` // made; used: it was there when recording began
}

// keysIn names the keys of visitors' cookies and of subjects in a state folder.
func keysIn(state string) (names []string) {
	for _, pattern := range []string{"cookie*.key", "subjects.key"} {
		files, _ := filepath.Glob(filepath.Join(state, "keys", pattern)) // the pattern is right
		for _, f := range files {
			names = append(names, filepath.Base(f))
		}
	}
	return names
}

// tellKeys records which keys this process made, and which it found: one that an
// operator added or removed shows from one start to the next.
func (p *process) tellKeys(before, now []string) {
	if p.ledger == nil {
		return
	}
	for _, name := range now {
		action := "made"
		if slices.Contains(before, name) {
			action = "used"
		}
		p.ledger.Event(ledger.Event{Kind: ledger.KindKey, Data: keyEvent{name, action}})
	}
}

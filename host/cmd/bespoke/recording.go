package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"

	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/edge"
	"bespoke/host/ledger"
)

// openLedger begins to record, in the folder "ledger" of the state folder; nil if
// the configuration says that nothing is recorded.
func openLedger(site *config.Config, log *slog.Logger) (*ledger.Ledger, error) {
	c := &site.Ledger
	if c.Off {
		log.Warn("nothing is recorded: the configuration says \"record: false\"")
		return nil, nil
	}
	l, err := ledger.Open(ledger.Config{
		Dir: filepath.Join(site.State, "ledger"), Keys: filepath.Join(site.State, "keys"), Origin: c.Origin,
		Window: c.Window, Keep: c.Keep, PseudonymLife: c.Pseudonyms, Witnesses: witnesses(c.Witnesses), Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return l, nil
}

func witnesses(list []config.Witness) (all []ledger.Witness) {
	for _, w := range list {
		if w.URL != "" {
			all = append(all, ledger.HTTPWitness{URL: w.URL})
		} else {
			all = append(all, ledger.FileWitness{Dir: w.Dir})
		}
	}
	return all
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

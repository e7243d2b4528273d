package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bespoke/host/ledger"
)

// recordOctober records a ledger in DIR/ledger: an exchange an hour for the days of
// October and the first one of November 2026, every third one refused. With
// planted, one record breaks the promise.
func recordOctober(dir string, planted bool) error {
	start := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	now := start
	l, err := ledger.Open(ledger.Config{Dir: dir + "/ledger", Keys: dir + "/keys", Origin: "bespoke/shop.example", Window: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	for i := range 32 * 24 {
		now = start.Add(time.Duration(i) * time.Hour)
		l.Exchange(october(now, i, planted && i == 400), l.Reserve())
		if i%24 == 12 {
			l.Event(ledger.Event{Kind: ledger.KindChoice, Time: now, Tenant: "stores", Data: map[string]any{"granted": []string{}, "from": "notice"}})
		}
		if i%8 == 7 {
			if err := l.Flush(); err != nil {
				return err
			}
		}
	}
	return l.Close()
}

func october(at time.Time, i int, leak bool) *ledger.Exchange {
	refuses := i%3 == 0 || leak
	by := func(p string) ledger.PurposeDecision {
		if refuses {
			return ledger.PurposeDecision{Purpose: p, Rule: "gpc", Signal: "sec-gpc"}
		}
		return ledger.PurposeDecision{Purpose: p, Granted: true, Rule: "choice", Signal: "choice"}
	}
	x := &ledger.Exchange{
		Time: at, Tenant: "stores", Route: "/**", Served: "origin", Status: 200,
		Decision: &ledger.Decision{Facts: "test", Purposes: []ledger.PurposeDecision{by("localize"), by("personalize")}},
		Policies: []ledger.Policy{{Name: "nearby", Digest: [16]byte{0xaa, byte(i / 360)}, Outcome: "ran", Reads: ledger.Reads{Given: []string{"config.*"}}}},
	}
	p := &x.Policies[0]
	if refuses {
		p.Withheld = []string{"geo.lat", "profile.recent"}
	} else {
		p.Given, x.Sealed, x.Pseudonym = append(p.Given, "geo.lat", "profile.recent"), true, [8]byte{1, byte(i)}
	}
	if leak {
		p.Given, p.Withheld = append(p.Given, "profile.recent"), nil
	}
	return x
}

// recordLedger makes a ledger: record DIR [planted].
func recordLedger(ts *testscript.TestScript, neg bool, a []string) {
	if neg || len(a) < 1 {
		ts.Fatalf("usage: record DIR [planted]")
	}
	dir := ts.MkAbs(a[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(recordOctober(dir, len(a) > 1))
}

// What takes over a second tells how far it is, on standard error.
func TestProgress(t *testing.T) {
	var said lockedBuffer
	p := progress(&said)
	p(1, 10)
	if said.String() != "" {
		t.Errorf("at once: %q", said.String())
	}
}

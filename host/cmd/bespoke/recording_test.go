package main

import (
	"log/slog"
	"testing"

	"bespoke/host/config"
)

// However many connections may be open, visitors who take their answers slowly leave
// room for the records of others.
func TestRoomForSlowVisitors(t *testing.T) {
	const connections = 100_000
	site := &config.Config{State: t.TempDir(), Limits: config.Limits{Connections: connections}}
	l, err := openLedger(site, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range connections + 1000 {
		if !l.Reserve() {
			t.Fatalf("no room for record %d", i)
		}
		defer l.Unreserve()
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bespoke/host/audit/exhibit"
	"bespoke/host/edge"
)

// replayed checks what audit replay says, and its exit status, of the state folder of
// a demo that runs: as it is, with an exhibit that was changed, and without a ledger.
func replayed(t *testing.T, state string) {
	t.Helper()
	dir := filepath.Join(state, exhibit.Folder)
	names, err := exhibit.List(dir)
	if err != nil || len(names) == 0 {
		t.Fatalf("%d exhibits, %v", len(names), err)
	}
	var r edge.ReplayReport
	if err := json.Unmarshal([]byte(command(t, 0, "audit", "replay", state, "--json")), &r); err != nil || r.Exhibits == 0 || r.Decisions == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	name := names[0]
	if got := command(t, 0, "audit", "replay", state, "--exhibit", name); !strings.Contains(got, "1 exhibit run again: all equal") {
		t.Error(got)
	}
	file := filepath.Join(dir, name+".zst")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte{whole[0] ^ 1}, whole[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := command(t, exitNo, "audit", "replay", state); !strings.Contains(got, ", exhibit "+name+": ") || !strings.Contains(got, "1 difference") {
		t.Error(got)
	}
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, exitUsage, "audit", "replay", state, "--exhibit", "none")
	command(t, exitUsage, "audit", "replay", t.TempDir())
	command(t, exitUsage, "audit", "replay")
}

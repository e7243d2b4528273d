package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bespoke/host/ledger"
)

// blocks returns the code blocks of a page in one language.
func blocks(t *testing.T, file, language string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(b, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

// A privacy team's walk-through: the commands of the page, in order, on the ledger
// of a demo that had visitors, of whom one refused. Only what cannot be known before is
// replaced: the port, the month, the number of a record.
func TestAuditWalkThrough(t *testing.T) {
	const page = "../../../docs/audit.md"
	script, err := filepath.Abs(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	port, _ := ownDemoAt(t, "state")
	allows, refuses := visit(t, port, "stores", fromBerlin), visit(t, port, "stores", fromBerlin)
	allows.agree()
	refuses.say("action", "refuse-all")
	for range 3 {
		allows.page("/")
		refuses.page("/")
	}
	number := awaitRefused(t, "state/ledger")
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	fill := strings.NewReplacer("8080", port, "120034", number, "2026-11-01", month.AddDate(0, 1, 0).Format(time.DateOnly), "2026-10-01", month.Format(time.DateOnly))
	said := map[string]string{}
	for _, block := range blocks(t, script, "sh") {
		for line := range strings.Lines(fill.Replace(block)) {
			words := strings.Fields(line)
			switch words[0] {
			case "cp":
				if out, err := exec.Command("cp", words[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%s%s", line, out)
				}
			case "bespoke":
				said[strings.Join(words[1:3], " ")] += command(t, 0, words[1:]...)
			default:
				t.Fatalf("%q is run by nobody", line)
			}
		}
	}
	for command, want := range map[string]string{
		"ledger verify": "Intact. No record breaks the promise.",
		"ledger report": "Yes: at all ",
		"ledger show":   "personalize  denied   by rule withdrawal",
		"ledger prove":  "Record " + number + " is in the ledger",
		"audit probe":   "",
		"audit replay":  ": all equal",
	} {
		if got, ran := said[command]; !ran || !strings.Contains(got, want) {
			t.Errorf("%s, want %q:\n%s", command, want, got)
		}
	}
	if b, err := os.ReadFile("october.html"); err != nil || !strings.Contains(string(b), "Yes: at all ") {
		t.Errorf("october.html: %v", err)
	}
	exported(t, "october.jsonl", blocks(t, script, "sql"))
	replayed(t, "state")
}

// awaitRefused waits until a refused page is sealed, and returns its record's number.
func awaitRefused(t *testing.T, dir string) string {
	t.Helper()
	for range 100 {
		for r, err := range ledger.Read(dir, ledger.Filter{Denied: "personalize", Rule: "withdrawal", Outcome: "ran"}) {
			if err == nil {
				b, _ := json.Marshal(r.Number)
				return string(b)
			}
		}
		time.Sleep(50 * time.Millisecond) // sealed once a second, by a process's own clock
	}
	t.Fatal("no refused exchange was sealed in five seconds")
	return ""
}

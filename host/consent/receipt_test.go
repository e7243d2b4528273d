package consent

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"bespoke/modules/abi"
)

func TestReceipt(t *testing.T) {
	c := &Choice{Granted: Set(0).With(abi.Localize).With(abi.Measure), At: time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC), Epoch: 3, TextVersion: 2}
	about := ReceiptAbout{
		Controller: "Shop", Site: "https://shop.example", Centre: "/privacy", Language: "en", Jurisdiction: "DE",
		Words: func(p abi.Purpose) string { return "for " + p.String() },
	}
	r := NewReceipt(c, about)
	if !reflect.DeepEqual(r, NewReceipt(c, about)) {
		t.Error("two receipts of one choice differ")
	}
	if len(r.Processing.Purposes) != abi.Purposes || len(r.Events) != 2 {
		t.Fatalf("%+v", r)
	}
	given, refused := r.Events[0], r.Events[1]
	if !slices.Equal(given.Purposes, []string{"localize", "measure"}) || given.State != "https://w3id.org/dpv#ConsentGiven" ||
		given.Time != "2026-05-03T12:00:00Z" || given.Duration != "P365D" {
		t.Errorf("given: %+v", given)
	}
	if !slices.Equal(refused.Purposes, []string{"locate", "personalize", "advertise"}) || refused.State != "https://w3id.org/dpv#ConsentRefused" || refused.Duration != "" {
		t.Errorf("refused: %+v", refused)
	}
	if p := r.Processing.Purposes[0]; p.Type != "https://w3id.org/dpv#ServicePersonalisation" || p.Withdrawal != "https://shop.example/privacy" || p.Purpose != "for localize" {
		t.Errorf("purpose: %+v", p)
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	later := *c
	later.Epoch++
	ids := []string{r.Metadata.ReceiptID, r.Record.RecordID, NewReceipt(&later, about).Record.RecordID}
	about.Site = "https://other.example"
	ids = append(ids, NewReceipt(c, about).Record.RecordID)
	for i, id := range ids {
		if !uuid.MatchString(id) || slices.Contains(ids[:i], id) {
			t.Errorf("id %d of %q", i, ids)
		}
	}
	// The names that the structure has in JSON.
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"receipt_metadata", "record", "pii_processing", "party_identification", "event"} {
		if m[name] == nil {
			t.Errorf("no %s in %s", name, b)
		}
	}
	if all := NewReceipt(&Choice{Granted: All}, about); len(all.Events) != 1 {
		t.Errorf("everything granted: %+v", all.Events)
	}
}

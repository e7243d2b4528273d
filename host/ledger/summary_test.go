package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	dir := recorded(t)
	s, err := Summarize(dir, Period{Bucket: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	hour := plainStart.Truncate(time.Hour)
	if !s.From.Equal(hour) || !s.To.Equal(hour.Add(2*time.Hour)) || len(s.Series) != 2 {
		t.Errorf("from %v to %v, %d points", s.From, s.To, len(s.Series))
	}
	got := s.Total
	if got.Exchanges != 60 || got.Decided != 54 || got.Refused != 24 || got.Honoured != 24 || got.Personal != 54 || got.Violations != 0 {
		t.Errorf("%+v", got)
	}
	if p := got.Purposes["personalize"]; p.Granted != 30 || p.Denied != 24 || p.By["choice"]["site"].Granted != 30 {
		t.Errorf("%+v", p)
	}
	if r := got.Reads["inferred"]; r.Given != 27+3 || r.Withheld != 30 {
		t.Errorf("%+v", r)
	}
	if got.Reads["place-cell"].Given != 108 || got.Reads["public"].Given != 54 || got.Reads["declared"].Given != 54 {
		t.Errorf("%+v %+v %+v", got.Reads["place-cell"], got.Reads["public"], got.Reads["declared"])
	}
	if got.Faults["origin/slow"] != 6 || got.Status["5xx"] != 6 || got.Status["2xx"] != 54 || got.Served["edge"] != 6 {
		t.Errorf("%+v %+v %+v", got.Faults, got.Status, got.Served)
	}
	if got.Choices.All != 12 || got.Choices.Granted["localize"] != 12 || got.Choices.From["notice"] != 12 || got.Events[KindChoice] != 12 || got.Events[KindClose] != 1 {
		t.Errorf("%+v %+v", got.Choices, got.Events)
	}
	if len(got.Policies) != 2 || got.Policies[0].Policy != "nearby" || got.Policies[0].Outcomes["failed fuel"] != 6 || got.Policies[1].Version != 3 ||
		!got.Policies[1].First.Equal(plainStart) || !got.Policies[1].Last.Equal(plainStart.Add(59*time.Minute)) {
		t.Errorf("%+v %+v", got.Policies[0], got.Policies[1])
	}
	var all Tally
	for _, p := range s.Series {
		all.Merge(p.Tally)
	}
	if !sameJSON(t, all, got) {
		t.Errorf("the series is not the total: %+v", all)
	}
	if one, err := Summarize(dir, Period{Tenant: "shop"}); err != nil || one.Total.Exchanges != 6 || one.Total.Decided != 0 {
		t.Errorf("%+v %v", one, err)
	}
	if first, err := Summarize(dir, Period{From: plainStart, To: plainStart.Add(time.Minute)}); err != nil || first.Total.Exchanges != 50 {
		t.Errorf("%+v %v", first, err)
	}
	if _, err := Summarize(dir, Period{From: plainStart, To: plainStart.Add(-time.Hour)}); err == nil {
		t.Error("a period that ends before it begins")
	}
}

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

// What is kept of hours that are over gives the same counts, is used, and is
// not used for another ledger.
func TestSummaryCache(t *testing.T) {
	dir, cache := recorded(t), filepath.Join(t.TempDir(), "cache")
	p := Period{Bucket: time.Hour}
	plain, err := Summarize(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Cache = cache
	for range 2 {
		if s, err := Summarize(dir, p); err != nil || !sameJSON(t, s, plain) {
			t.Fatalf("with a cache: %v\n%+v\n%+v", err, s, plain)
		}
	}
	kept, err := filepath.Glob(filepath.Join(cache, "*"))
	if err != nil || len(kept) != 1 { // the last hour is not over
		t.Fatal(kept, err)
	}
	file := filepath.Join(dir, segmentsName, segmentFile(plainStart))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Summarize(dir, p); err != nil || !sameJSON(t, s, plain) {
		t.Errorf("the cache is not used: %v", err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	other := newPlain(t)
	other.fill(3, 1)
	other.seal(plainStart.Add(time.Hour), busyExchange(plainStart.Add(time.Hour), 1).AppendJSON(nil))
	s, err := Summarize(other.dir, p)
	if err != nil || s.Total.Exchanges != 4 {
		t.Errorf("counts of another ledger: %+v %v", s, err)
	}
	if err := os.WriteFile(kept[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Summarize(dir, p); err != nil || !sameJSON(t, s, plain) {
		t.Errorf("a broken cache: %v", err)
	}
}

func TestSummaryOfEvents(t *testing.T) {
	p := newPlain(t)
	at := plainStart
	refused := &Exchange{Time: at, Tenant: "a", Decision: &Decision{Purposes: []PurposeDecision{{"personalize", false, "gpc", "sec-gpc"}}},
		Policies: []Policy{{Name: "bad", Reads: Reads{Given: []string{"profile.recent"}}}}}
	p.seal(at, p.event(KindOpen, at, map[string]any{"ended": "crash", "last": at.Add(-time.Minute)}), refused.AppendJSON(nil),
		p.event(KindCanary, at, map[string]any{"verdict": "equal"}), p.event(KindCanary, at, map[string]any{"verdict": "differs"}),
		p.event(KindUnrecorded, at, map[string]any{"exchanges": 5, "from": at, "to": at}),
		p.event(KindSuspension, at, map[string]any{"policy": "bad"}), p.event(KindChoice, at, map[string]any{"granted": []string{}, "from": "centre"}))
	s, err := Summarize(p.dir, Period{})
	got := s.Total
	if err != nil || got.Refused != 1 || got.Honoured != 0 || got.Violations != 1 || len(got.Broken) != 1 || got.Broken[0].Record != 1 || got.Broken[0].Tenant != "a" ||
		got.Canaries["equal"] != 1 || got.Canaries["differs"] != 1 || got.Unrecorded != 5 || got.Choices.Refused != 1 || len(s.Gaps) != 2 {
		t.Errorf("%+v %v", s, err)
	}
	kinds := map[string]int{}
	for _, n := range got.Noted {
		kinds[n.Kind]++
	}
	if kinds[KindCanary] != 1 || kinds[KindSuspension] != 1 || kinds[KindChoice] != 0 {
		t.Errorf("%v", kinds)
	}
}

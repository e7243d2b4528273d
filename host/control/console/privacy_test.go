package console

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// A canary's alarm, and a damaged record, make the answer red whatever the number is,
// and where there is none yet.
func TestRedWhateverTheNumber(t *testing.T) {
	round := &probe.Round{Tenant: "stores", Started: showing.Add(-time.Hour), Verdict: probe.Differs}
	alarm := []canaryRow{{Standing: probe.Standing{Tenant: "stores", Alarm: round}}}
	quiet := []canaryRow{{Standing: probe.Standing{Tenant: "stores"}}}
	damaged := &verification{Done: &ledger.Verified{DamageCount: 1}}
	recorded, without := &visit{Console: &Console{config: Config{Ledger: "ledger"}}}, &visit{Console: &Console{}}
	for name, one := range map[string]struct {
		visit *visit
		sum   *ledger.Summary
		tone  string // without an alarm
	}{
		"good":          {recorded, &ledger.Summary{Total: ledger.Tally{Exchanges: 9, Refused: 3, Honoured: 3}}, "good"},
		"none refused":  {recorded, &ledger.Summary{Total: ledger.Tally{Exchanges: 9}}, "good"},
		"violated":      {recorded, &ledger.Summary{Total: ledger.Tally{Exchanges: 9, Refused: 3, Violations: 1}}, "bad"},
		"nothing":       {recorded, &ledger.Summary{}, "info"},
		"being counted": {recorded, nil, "info"},
		"no record":     {without, nil, "info"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(rows []canaryRow, v *verification) answer {
				return one.visit.answer(&privacyView{Summary: one.sum, Canaries: rows, Verified: v}, nil)
			}
			if a := ask(quiet, nil); a.Tone != one.tone || strings.Contains(a.Text, "canary") {
				t.Errorf("without an alarm: %+v", a)
			}
			if a := ask(alarm, nil); a.Tone != "bad" || !strings.Contains(a.Text, "But a canary found") || one.sum != nil && a.Number != num(one.sum.Total.Violations) {
				t.Errorf("with an alarm: %+v", a)
			}
			if a := ask(quiet, damaged); a.Tone != "bad" || !strings.Contains(a.Head, "damaged") {
				t.Errorf("damaged: %+v", a)
			}
			if a := ask(alarm, damaged); a.Tone != "bad" || !strings.Contains(a.Head, "damaged") || !strings.Contains(a.Text, "But a canary found") {
				t.Errorf("damaged, with an alarm: %+v", a)
			}
		})
	}
}

// Links from figures of a period lead to the records of that period.
func TestPeriodIsCarried(t *testing.T) {
	d := newDiary(t, noon.Add(-50*time.Hour))
	d.broken("stores") // not in the period
	d.exchange("stores", 5)
	d.sealed()
	d.at(noon)
	d.broken("stores")
	d.exchange("stores", 5)
	d.sealed()
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	link := regexp.MustCompile(`href="(/console/privacy/records\?[^"]+)"`)
	record := regexp.MustCompile(`href="/console/privacy/records/(\d+)"`)
	for _, query := range []string{"", "period=24h&tenant=stores", "from=2026-05-04&to=2026-05-04", "period=90d"} {
		want := map[bool]int{true: 2, false: 1}[query == "period=90d"]
		page := b.counted("/console/privacy?"+query).want(t, 200)
		followed := 0
		for _, m := range link.FindAllStringSubmatch(page.body, -1) {
			to := html.UnescapeString(m[1])
			if !strings.Contains(to, "violation=on") && !strings.Contains(to, "rule=gpc") {
				continue
			}
			followed++
			list := b.get(to).want(t, 200)
			if got := len(record.FindAllString(list.body, -1)); got != want {
				t.Errorf("%q: %s leads to %d records, want %d", query, to, got, want)
			}
			if strings.Contains(query, "tenant") != strings.Contains(to, "tenant=stores") {
				t.Errorf("%q leads to %s", query, to)
			}
		}
		if followed < 2 {
			t.Errorf("%q: %d links, want one to the violations and those of a rule", query, followed)
		}
	}
}

// What is of others, or of the machine: a tenant finds none of it, on the page or in the reports.
func TestTenantSeesItsOwn(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	for range 5 {
		d.exchange("stores", 3)
		d.exchange("books", 3)
	}
	for range 7 {
		d.broken("stores")
	}
	const secret = "write /srv/edge/state/ledger/segments/x: no space left on device"
	d.Event(ledger.Event{Kind: ledger.KindUnrecorded, Time: d.now(), Data: map[string]any{"exchanges": 4321, "events": 0, "from": d.now().Add(-time.Minute), "to": d.now(), "why": secret}})
	d.sealed()
	h := recorded(t, d, nil)
	operator, auditor, books := h.in(h.operator), h.in(h.auditor), h.in(h.books)
	operator.do("POST", "/console/privacy/verify", "x=y").want(t, 303)
	// One that is under way: it is said that it is, and for whom to those who may know.
	h.console.verifying.mu.Lock()
	h.console.verifying.last.Busy, h.console.verifying.last.By, h.console.verifying.last.Began = true, "auditor-1", showing
	h.console.verifying.mu.Unlock()
	hidden := []string{"for root", "auditor-1", "/srv/edge", "no space", "4321", "4,321", "7 of them break", "of them break"}
	auditor.counted("/console/privacy").want(t, 200, "for root", "for auditor-1", secret, "4321", "7 of them break")
	all := auditor.get("/console/privacy/report?format=json").want(t, 200, secret, "4321")
	got := []string{
		books.counted("/console/privacy").want(t, 200, "It is being verified", "None was changed, left out or put in", "have no record; they were not personalized").body,
		books.get("/console/privacy/report?format=json").want(t, 200, "have no record; they were not personalized").body,
		books.get("/console/privacy/report?format=html").want(t, 200, "have no record; they were not personalized").body,
	}
	for i, page := range got {
		for _, text := range hidden {
			if strings.Contains(page, text) {
				t.Errorf("%d: a tenant reads %q", i, text)
			}
		}
	}
	var mine, whole ledger.Report
	h.must(json.Unmarshal([]byte(got[1]), &mine))
	h.must(json.Unmarshal([]byte(all.body), &whole))
	if g, w := mine.Summary.Gaps, whole.Summary.Gaps; len(g) != 1 || len(w) != 1 || len(mine.Verified.Gaps) != 1 || !g[0].From.Equal(w[0].From) || !g[0].To.Equal(w[0].To) || g[0].Kind != "unrecorded" {
		t.Errorf("%+v and %+v", mine.Summary.Gaps, whole.Summary.Gaps)
	}
	// Its own violations are its own to know.
	h.in(h.stores).counted("/console/privacy").want(t, 200, "<strong>7</strong> violations")
	// A damaged record is told, and where on the disk to those who run it.
	h.console.verifying.mu.Lock()
	h.console.verifying.last.Busy = false
	h.console.verifying.last.Done = &ledger.Verified{DamageCount: 1, Damage: []ledger.Finding{{Class: ledger.Damage, File: "segments/x", Segment: 1, Record: -1, Text: secret}}}
	h.console.verifying.mu.Unlock()
	auditor.counted("/console/privacy").want(t, 200, secret)
	if r := books.counted("/console/privacy").want(t, 200, "1 place of the record is not what was sealed"); strings.Contains(r.body, "no space") {
		t.Error("a tenant reads the disk's error")
	}
}

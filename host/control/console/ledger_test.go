package console

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// A diary is a real ledger that a test writes, at times of its choice.
type diary struct {
	*testing.T
	*ledger.Ledger
	dir    string
	clock  atomic.Pointer[time.Time]
	random *rand.Rand
}

func newDiary(t *testing.T, begin time.Time) *diary {
	d := &diary{T: t, dir: filepath.Join(t.TempDir(), "ledger"), random: rand.New(rand.NewPCG(3, 4))}
	d.clock.Store(&begin)
	d.open()
	return d
}

func (d *diary) open() {
	d.Helper()
	var err error
	d.Ledger, err = ledger.Open(ledger.Config{Dir: d.dir, Keys: filepath.Join(filepath.Dir(d.dir), "keys"), Origin: "bespoke/test", Window: time.Hour, Now: func() time.Time { return *d.clock.Load() }})
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { d.Ledger.Close() })
}

func (d *diary) now() time.Time { return *d.clock.Load() }

func (d *diary) sealed() {
	d.Helper()
	if err := d.Flush(); err != nil {
		d.Fatal(err)
	}
}

func (d *diary) at(t time.Time) {
	d.Helper()
	if d.now().Truncate(12*time.Hour) != t.Truncate(12*time.Hour) {
		d.sealed() // not every hour: each seal waits for the disk
	}
	d.clock.Store(&t)
}

// decided returns a decision on all purposes, as the edge makes them.
func decided(rule, signal string, granted ...string) *ledger.Decision {
	x := &ledger.Decision{Facts: "opt-in"}
	for _, p := range purposes {
		one := ledger.PurposeDecision{Purpose: p.Name, Rule: rule, Signal: signal}
		for _, g := range granted {
			one.Granted = one.Granted || g == p.Name
		}
		if rule == "choice" && !one.Granted {
			one.Rule = "withdrawal"
		}
		if rule == "jurisdiction" {
			x.Jurisdiction = "DE"
			if p.Name == "locate" {
				one.Rule, one.Signal = "explicit-only", "none"
			}
		}
		x.Purposes = append(x.Purposes, one)
	}
	return x
}

// exchange records one, of a visitor of some kind.
func (d *diary) exchange(tenant string, kind int) {
	x := &ledger.Exchange{Time: d.now().Add(-3 * time.Millisecond), Tenant: tenant, Route: "/**", Served: "origin", Status: 200}
	p := ledger.Policy{Name: "nearby", Digest: [16]byte{0xab, 1}, Outcome: "ran", Reads: ledger.Reads{Given: []string{"config.*", "preference.name"}, Absent: []string{"geo.timezone"}}}
	x.Sealed, x.Plan = true, [16]byte{0x9c, 0x41, 0xe7, 0x0b, 0x52, 0xd8, 0x36, 0xaf, 0x13, 0x84, 0xfe, 0x29, 0x6d, 0xb0, 0x75, 0xc2}
	switch kind {
	case 0, 1, 2:
		x.Decision = decided("jurisdiction", "jurisdiction")
		p.Withheld = []string{"geo.lat", "geo.lon", "profile.affinity.*"}
	case 3, 4:
		x.Decision = decided("withdrawal", "choice")
		p.Withheld = []string{"geo.lat", "geo.lon"}
	case 5:
		x.Decision = decided("gpc", "sec-gpc")
		x.Decision.Jurisdiction = "US-CA"
		x.Decision.Purposes[4] = ledger.PurposeDecision{Purpose: "measure", Granted: true, Rule: "jurisdiction", Signal: "jurisdiction"}
		p.Withheld = []string{"geo.lat", "geo.lon", "profile.affinity.*"}
		p.Undeclared = []string{"inferred"}
	case 6, 7, 8:
		x.Decision = decided("choice", "choice", "localize", "personalize", "measure")
		p.Given = append(p.Given, "geo.lat", "geo.lon", "profile.affinity.*")
		p.Edits, x.Edits, x.Applied, x.Pseudonym = 3, 3, 12, [8]byte{0x5e, 0x91, 0x0c, byte(kind), 0xd3, 0x27, 0xaa, 0x48}
	case 9:
		x.Route, x.Served, x.Status, x.Fault = "", "edge", 502, "origin/down"
		d.Exchange(x, false)
		return
	}
	x.Policies = []ledger.Policy{p}
	d.Exchange(x, false)
}

// broken records an exchange that breaks the promise: a place, given to a policy
// though the visitor refused.
func (d *diary) broken(tenant string) {
	x := &ledger.Exchange{Time: d.now(), Tenant: tenant, Route: "/shop/" + markup, Served: "origin", Status: 200, Decision: decided("withdrawal", "choice"),
		Policies: []ledger.Policy{{Name: markup, Outcome: "failed " + markup, Version: 3, Reads: ledger.Reads{Given: []string{"geo.city"}}}}, Stopped: markup, Untouched: markup, Fault: markup, Exhibit: markup}
	d.Exchange(x, false)
}

// month records thirty days of two sites, until now.
func (d *diary) month(end time.Time, perDay int) {
	for day := 29; day >= 0; day-- {
		for hour := range 24 {
			d.at(end.Add(-time.Duration(day)*24*time.Hour - time.Duration(23-hour)*time.Hour))
			n := perDay / 24 * (8 + min(hour, 23-hour)) / 12
			if day == 12 && hour < 9 {
				continue // the edge stood still
			}
			for range n {
				tenant := "stores"
				if d.random.IntN(4) == 0 {
					tenant = "books"
				}
				kind := d.random.IntN(100) / 10
				if kind == 9 && d.random.IntN(8) > 0 {
					kind = 6
				}
				d.exchange(tenant, kind)
			}
		}
		d.Event(ledger.Event{Kind: ledger.KindChoice, Time: d.now(), Tenant: "stores", Data: map[string]any{"granted": []string{"localize"}, "from": "notice"}})
		d.Event(ledger.Event{Kind: ledger.KindActivation, Time: d.now(), Tenant: "stores", Data: map[string]any{"policy": "ranking", "version": 30 - day}})
	}
	d.sealed()
}

func canaries(c *Config) {
	c.Canaries = func() []probe.Standing {
		now := c.Now()
		return []probe.Standing{
			{Tenant: "books", Every: time.Hour, Rounds: map[string]uint64{}},
			{Tenant: "stores", Every: time.Hour, Rounds: map[string]uint64{probe.Equal: 719}, Last: &probe.Round{Tenant: "stores", Started: now.Add(-20 * time.Minute), Verdict: probe.Equal, Requests: 240}},
		}
	}
}

// recorded is a house whose sites have a ledger.
func recorded(t *testing.T, d *diary, more func(*Config)) *house {
	return startBusy(t, func(c *Config) {
		c.Ledger, c.Recording, c.Cache = d.dir, d.Status, filepath.Join(t.TempDir(), "counts")
		canaries(c)
		if more != nil {
			more(c)
		}
	})
}

// counted returns a page of figures once they are counted, however long that takes.
func (b browser) counted(path string) reply {
	b.Helper()
	b.get(path)
	b.console.counting.await(b.T)
	return b.get(path)
}

// showing is the end of what startBusy plays.
var showing = noon.Add(3 * time.Hour)

func TestPrivacy(t *testing.T) {
	d := newDiary(t, noon.Add(-40*24*time.Hour))
	d.month(showing, 480)
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	sum, err := ledger.Summarize(d.dir, ledger.Period{From: showing.Add(-23 * time.Hour), To: showing.Add(time.Hour)})
	h.must(err)
	if sum.Total.Refused == 0 || sum.Total.Exchanges < 200 {
		t.Fatalf("the test shows little: %+v", sum.Total)
	}
	b.counted("/console/privacy").want(t, 200, "<strong>0</strong> violations", "Yes: no exchange broke the promise", plural(sum.Total.Refused, "exchange"), "Nobody has verified",
		"Global Privacy Control", "byte for byte", "719", "What this does not cover")
	month := b.counted("/console/privacy?period=30d").want(t, 200, "the last 30 days", "<strong>0</strong> violations")
	all, err := ledger.Summarize(d.dir, ledger.Period{From: showing.Add(-29 * 24 * time.Hour).Truncate(24 * time.Hour)})
	h.must(err)
	month.want(t, 200, num(all.Total.Exchanges)+"</strong> exchanges")
	b.counted("/console/privacy?from=2026-04-22&to=2026-04-22").want(t, 200, "22 April 2026")
	b.counted("/console/privacy?from=2025-01-01&to=2025-01-02").want(t, 200, "Nothing happened")
	for _, bad := range []string{"period=x", "from=x", "from=2026-02-30", "from=2026-05-02&to=2026-05-01", "to=2026-05-01", "purpose=x", "from=0001-01-01"} {
		b.get("/console/privacy?"+bad).want(t, 400)
	}

	// One violation is red, and leads to the record that proves it.
	d.at(showing.Add(-time.Minute))
	d.broken("stores")
	d.sealed()
	h.later(time.Minute)
	red := b.counted("/console/privacy").want(t, 200, "<strong>1</strong> violation<", "No: 1 exchange broke the promise", `class="answer bad"`)
	number := d.Status().Records - 1
	red.want(t, 200, fmt.Sprintf(`href="/console/privacy/records/%d"`, number), "geo.city")
	// The other site has none.
	h.in(h.books).counted("/console/privacy").want(t, 200, "<strong>0</strong> violations")
	b.counted("/console/privacy?tenant=books").want(t, 200, "<strong>0</strong> violations")
	b.counted("/console/privacy?tenant=stores").want(t, 200, "<strong>1</strong> violation<")
}

// Filters and pages of the list: every record once, the newest first.
func TestRecords(t *testing.T) {
	d := newDiary(t, noon.Add(-50*time.Hour))
	for i := range 260 {
		d.at(noon.Add(-50*time.Hour + time.Duration(i)*11*time.Minute))
		d.exchange([]string{"stores", "books"}[i%2], i%9)
	}
	d.broken("stores")
	d.sealed()
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	link := regexp.MustCompile(`href="/console/privacy/records/(\d+)"`)
	older := regexp.MustCompile(`href="/console/privacy/records\?([^"]+)">(?:Older|Look)`)
	walk := func(b browser, query string) (numbers []int) {
		t.Helper()
		for range 20 {
			r := b.get("/console/privacy/records?"+query).want(t, 200)
			for _, m := range link.FindAllStringSubmatch(r.body, -1) {
				n, _ := strconv.Atoi(m[1])
				numbers = append(numbers, n)
			}
			next := older.FindStringSubmatch(r.body)
			if next == nil {
				return numbers
			}
			query = html.UnescapeString(next[1])
		}
		t.Fatalf("%s: the list has no end", query)
		return nil
	}
	count := func(f ledger.Filter) (n int) {
		for _, err := range ledger.Read(d.dir, f) {
			h.must(err)
			n++
		}
		return n
	}
	for query, f := range map[string]ledger.Filter{
		"":                                  {},
		"tenant=books":                      {Tenant: "books"},
		"denied=personalize":                {Denied: "personalize"},
		"rule=gpc&denied=localize":          {Rule: "gpc", Denied: "localize"},
		"granted=measure":                   {Granted: "measure"},
		"violation=on":                      {Violation: true},
		"kind=exchange&personal=on":         {Kind: "exchange", Personal: true},
		"key=geo.lat&policy=nearby":         {Key: "geo.lat", Policy: "nearby"},
		"policy=ab010000":                   {Policy: "ab010000"},
		"outcome=failed":                    {Outcome: "failed"},
		"route=%2F**":                       {Route: "/**"},
		"fault=on":                          {Fault: true},
		"kind=open":                         {Kind: "open"},
		"from=2026-05-03&to=2026-05-04":     {From: noon.Add(-36 * time.Hour), To: noon.Add(-12 * time.Hour)},
		"from=2026-05-03T10:30":             {From: noon.Add(-25*time.Hour - 30*time.Minute)},
		"policy=" + url.QueryEscape(markup): {Policy: markup},
	} {
		got, want := walk(b, query), count(f)
		if len(got) != want || want == 0 {
			t.Errorf("%s: %d records, want %d", query, len(got), want)
		}
		seen := map[int]bool{}
		for i, n := range got {
			// By time; a record's number says when its exchange ended.
			if seen[n] || i > 0 && n > got[i-1]+3 {
				t.Errorf("%s: record %d comes twice, or out of order: %v", query, n, got)
				break
			}
			seen[n] = true
		}
	}
	if got, want := walk(h.in(h.books), ""), count(ledger.Filter{Tenant: "books"}); len(got) != want {
		t.Errorf("books sees %d records, it has %d", len(got), want)
	}
	for _, bad := range []string{"from=x", "to=2026-13-01", "before=x", "before=1_", "before=-1_2", "denied=x", "from=2026-05-04&to=2026-05-03", "route=a&route=b", "route=" + strings.Repeat("x", 301)} {
		b.get("/console/privacy/records?"+bad).want(t, 400)
	}
	b.get("/console/privacy/records?kind=nothing").want(t, 200, "None found")
}

// One record, its proof, and who may see it.
func TestRecord(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	d.exchange("stores", 7)
	d.exchange("books", 5)
	d.broken("stores")
	d.sealed()
	first := d.Status().Records - 3
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	at := func(i int64) string { return fmt.Sprintf("/console/privacy/records/%d", first+i) }
	b.get(at(0)).want(t, 200, "stores", "the visitor allowed it on the site", "profile.affinity.*", "3 edits asked for, 12 places", "under a key that is destroyed")
	b.get(at(1)).want(t, 200, "Global Privacy Control signal refused it", "the Sec-GPC header", "withheld", "not declared, so not given", "US-CA")
	red := b.get(at(2)).want(t, 200, "It breaks the promise", "&lt;script&gt;")
	if strings.Contains(red.body, "<script") || strings.Contains(red.body, "<img") {
		t.Error("what a record says is part of the page")
	}
	b.get("/console/privacy/records/0").want(t, 200, "recording began")
	for _, bad := range []string{"99999", "-1", "01", "x", "1e3", "99999999999999999999"} {
		b.get("/console/privacy/records/"+bad).want(t, 404)
	}
	// The proof holds with the key alone, and is that of this record.
	key := b.get("/console/privacy/key").want(t, 200)
	proof := b.get(at(1)+"/proof").want(t, 200)
	if got := proof.header.Get("Content-Disposition"); got != fmt.Sprintf(`attachment; filename="record-%d.proof.json"`, first+1) {
		t.Error(got)
	}
	proven, err := ledger.VerifyProof([]byte(proof.body), []byte(key.body))
	if err != nil || proven.Record.Number != first+1 || proven.Record.Tenant() != "books" {
		t.Errorf("%+v %v", proven, err)
	}
	if _, err := ledger.VerifyProof([]byte(strings.Replace(proof.body, "withheld", "absent__", 1)), []byte(key.body)); err == nil {
		t.Error("a proof that was changed proves something")
	}
	b.get("/console/privacy/checkpoint").want(t, 200, "bespoke/test\n")
	// A tenant has its own, and learns nothing of others, not even whether there are any.
	books := h.in(h.books)
	books.get(at(1)).want(t, 200)
	books.get(at(1)+"/proof").want(t, 200)
	for _, n := range []string{"0", fmt.Sprint(first), fmt.Sprint(first + 2), "99999"} {
		for _, end := range []string{"", "/proof"} {
			r := books.get("/console/privacy/records/"+n+end).want(t, 403)
			if strings.Contains(r.body, "stores") {
				t.Error(r.body)
			}
		}
	}
}

// The report is the one of "bespoke ledger report", and a tenant's is of it alone.
func TestReport(t *testing.T) {
	d := newDiary(t, noon.Add(-2*time.Hour))
	for i := range 90 {
		d.exchange([]string{"stores", "books"}[i%2], i%9)
	}
	d.broken("stores")
	d.sealed()
	h := recorded(t, d, nil)
	read := func(secret, query string) (r ledger.Report) {
		t.Helper()
		got := h.in(secret).get("/console/privacy/report?format=json&"+query).want(t, 200)
		h.must(json.Unmarshal([]byte(got.body), &r))
		return r
	}
	want, err := ledger.MakeReport(d.dir, ledger.Period{From: showing.Add(-23 * time.Hour), To: showing.Add(time.Hour)}, ledger.VerifyOptions{}, showing)
	h.must(err)
	all := read(h.auditor, "")
	if all.Summary.Total.Violations != 1 || all.Answer != want.Answer || all.Summary.Total.Refused != want.Summary.Total.Refused || !all.Verified.Intact() || len(all.Verified.Violations) != 1 {
		t.Errorf("%+v, want %+v", all.Summary.Total, want.Summary.Total)
	}
	for _, secret := range []string{h.auditor, h.books} {
		books := read(secret, map[bool]string{true: "", false: "tenant=books"}[secret == h.books])
		if books.Summary.Total.Violations != 0 || books.Summary.Total.Exchanges != 45 || !strings.HasPrefix(books.Answer, "Yes") {
			t.Errorf("%+v", books.Summary.Total)
		}
		if secret == h.books && len(books.Verified.Violations) > 0 {
			t.Errorf("books reads of others: %+v", books.Verified.Violations)
		}
	}
	page := h.in(h.auditor).get("/console/privacy/report?format=html&period=7d").want(t, 200, "Were refusals honoured?", "No: 1 exchange")
	if got := page.header.Get("Content-Disposition"); got != `attachment; filename="bespoke-report-2026-04-28-2026-05-04.html"` || strings.Contains(page.body, "<script>alert") {
		t.Error(got)
	}
	h.in(h.auditor).get("/console/privacy/report?period=7d").want(t, 400)
}

// Verifying: who may, and that damage is told at once, and outweighs a zero.
func TestVerify(t *testing.T) {
	d := newDiary(t, noon.Add(-time.Hour))
	for range 50 {
		d.exchange("stores", 3)
	}
	d.sealed()
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	h.in(h.stores).do("POST", "/console/privacy/verify", "x=y").want(t, 403)
	if r := b.do("POST", "/console/privacy/verify", "x=y").want(t, 303); r.header.Get("Location") != "/console/privacy#verified" {
		t.Error(r.header)
	}
	b.counted("/console/privacy").want(t, 200, "None was changed, left out or put in", "for auditor-1", "<strong>0</strong> violations")
	h.in(h.stores).counted("/console/privacy").want(t, 200, "None was changed, left out or put in")
	files, err := filepath.Glob(filepath.Join(d.dir, "segments", "*"))
	h.must(err)
	data, err := os.ReadFile(files[0])
	h.must(err)
	data[len(data)/2] ^= 1
	h.must(os.WriteFile(files[0], data, 0o600))
	b.do("POST", "/console/privacy/verify", "x=y").want(t, 303)
	b.counted("/console/privacy").want(t, 200, "It cannot be relied on: the record is damaged", `class="answer bad"`, "segments/")
	if log := h.logged(); !strings.Contains(log, `msg="verify the ledger" by=auditor-1 role=auditor`) {
		t.Error(log)
	}
}

// A ledger with nothing in it, one that is not there, and one that cannot be read.
func TestNoLedger(t *testing.T) {
	h := start(t, nil)
	b := h.in(h.auditor)
	b.counted("/console/privacy").want(t, 200, "It cannot be said", "keeps no record")
	for _, path := range []string{"/records", "/records/0", "/records/0/proof", "/report?format=json", "/key", "/checkpoint"} {
		b.get("/console/privacy"+path).want(t, 404, "keeps no record")
	}
	d := newDiary(t, noon)
	h = recorded(t, d, nil)
	b = h.in(h.auditor)
	b.counted("/console/privacy").want(t, 200, "Nothing happened")
	b.get("/console/privacy/records").want(t, 200)
	d.exchange("stores", 3)
	d.sealed()
	h.must(os.WriteFile(filepath.Join(d.dir, "checkpoint"), []byte("x"), 0o600))
	h.later(20 * time.Minute)
	r := b.counted("/console/privacy?period=7d").want(t, 200, "It cannot be said", `class="answer bad"`)
	if strings.Contains(r.body, "<strong>0</strong>") {
		t.Error("a zero is shown of what cannot be read")
	}
	b.get("/console/privacy/records").want(t, 500)
}

package console

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"bespoke/host/audit/probe"
	"bespoke/host/ledger"
)

// A privacyView is the page that answers whether refusals were honoured.
type privacyView struct {
	Tenant  string
	Tenants []string
	Period  period
	Purpose string // that the chart is about
	Now     time.Time

	Answer   answer
	Summary  *ledger.Summary // nil: not counted yet
	At       time.Time       // when the summary was begun
	Chart    *chart
	Rules    []ruleRow
	Classes  []classRow
	Events   []eventRow
	Canaries []canaryRow
	State    *ledgerState
	Verified *verification
	Verify   bool // whoever asks may have it verified
}

// An answer is what is said to "was every refusal honoured?".
type answer struct {
	Tone    string // good, bad, or info: it cannot be said
	Number  string // violations, in large
	Head    string
	Text    string
	Caveats []string // what the answer does not cover
}

// An eventRow is something that happened besides exchanges.
type eventRow struct {
	ledger.Noted
	About string
}

// Said is what the record tells of it, in short.
func (e eventRow) Said() string { return clip(string(e.Data), 160) }

// A canaryRow is how the experiments on one site stand.
type canaryRow struct {
	probe.Standing
	Tone, Verdict, About string
	Done                 uint64 // rounds since the start
	Next                 time.Time
}

// choosable are the purposes of the chart.
func (p privacyView) Purposes() []purposeWord { return purposes[:] }

// Periods are those to choose from.
func (p privacyView) Periods() []struct{ Name, Text string } { return periods }

// Honoured writes the share of refusals that were honoured.
func (p privacyView) Honoured() string {
	return share(uint64(p.Summary.Total.Honoured), uint64(p.Summary.Total.Refused))
}

// Query asks for the same period and site on another page.
func (p privacyView) Query() string {
	q := p.Period.Query()
	if p.Tenant != "" {
		q += "&tenant=" + url.QueryEscape(p.Tenant)
	}
	return q
}

// Records asks for the records of the same period and site on their page.
func (p privacyView) Records() string {
	q := url.Values{"from": {p.Period.From.Format(formTime)}, "to": {p.Period.To.Format(formTime)}}
	if p.Tenant != "" {
		q.Set("tenant", p.Tenant)
	}
	return q.Encode()
}

func (v *visit) privacyPage() error {
	q := v.r.URL.Query()
	at, err := periodOf(q, v.now)
	if err != nil {
		return err
	}
	page := privacyView{Tenant: v.tenant, Tenants: v.tenantNames(), Period: at, Purpose: cmp.Or(q.Get("purpose"), "personalize"), Now: v.now,
		State: v.ledgerState(), Verified: v.verified(), Verify: v.sees("")}
	if !slices.ContainsFunc(purposes[:], func(p purposeWord) bool { return p.Name == page.Purpose }) {
		return &fault{http.StatusBadRequest, "There is no such purpose."}
	}
	var failed error
	if v.config.Ledger != "" {
		page.Summary, page.At, failed = v.counting.of(v.asker(), v.config.Ledger, ledger.Period{From: at.From, To: at.To, Tenant: v.tenant, Bucket: at.Bucket, Cache: v.config.Cache}, v.config.Now)
		if errors.Is(failed, errBusy) {
			v.w.Header().Set("Retry-After", "5")
			return &fault{http.StatusServiceUnavailable, "The edge counts as many periods as it does at a time, or as many as it does for you. Look again in a moment."}
		}
		if errors.Is(failed, fs.ErrNotExist) {
			failed = nil // nothing was sealed yet
			page.Summary, page.At = &ledger.Summary{}, v.now
		}
	}
	page.Summary = v.summaryFor(page.Summary)
	page.Canaries = v.canaries()
	page.Answer = v.answer(&page, failed)
	if s := page.Summary; s != nil {
		page.Chart = decisionChart(s, at, page.Purpose)
		page.Rules, page.Classes = ruleRows(s), classRows(s)
		for _, e := range slices.Backward(s.Total.Noted) {
			if len(page.Events) == 20 {
				break
			}
			page.Events = append(page.Events, eventRow{e, eventWords[e.Kind]})
		}
	}
	if failed != nil {
		v.config.Log.Error("the ledger cannot be counted for the consoles", "error", failed)
	}
	return v.show(http.StatusOK, "privacy", "Privacy", page)
}

// answer says what can be said, and never more: a zero is shown only for what
// was counted, and beside it stands what it does not cover. Damage and an alarm
// make it red whatever was counted, and before anything is.
func (v *visit) answer(page *privacyView, failed error) answer {
	a := v.counted(page, failed)
	alarm := slices.ContainsFunc(page.Canaries, func(c canaryRow) bool { return c.Alarm != nil })
	switch {
	case page.Verified.Damaged():
		a.Tone, a.Head = "bad", "It cannot be relied on: the record is damaged"
	case alarm && a.Tone != "bad":
		a.Tone, a.Head = "bad", "An experiment says no"
	}
	if alarm {
		a.Text += " But a canary found that visitors who refuse were answered differently: see below."
	}
	return a
}

// counted is what the record says.
func (v *visit) counted(page *privacyView, failed error) answer {
	s := page.Summary
	switch {
	case v.config.Ledger == "":
		return answer{Tone: "info", Number: "–", Head: "It cannot be said", Text: "This edge keeps no record of exchanges."}
	case failed != nil && s == nil:
		return answer{Tone: "bad", Number: "–", Head: "It cannot be said", Text: "The record cannot be read; the edge's log says why. Verify it, to see what is wrong."}
	case s == nil:
		return answer{Tone: "info", Number: "–", Head: "It is being counted", Text: "There are many records in this period. Look again in a moment."}
	}
	t := &s.Total
	a := answer{Number: num(t.Violations), Caveats: v.caveats(page, failed)}
	switch {
	case t.Violations > 0:
		a.Tone, a.Head = "bad", "No: "+plural(t.Violations, "exchange")+" broke the promise"
		a.Text = fmt.Sprintf("Of %s in which personalization was not allowed, %s kept it. Each one that broke it is below.", plural(t.Refused, "exchange"), num(t.Honoured))
	case t.Exchanges == 0:
		a.Tone, a.Head, a.Text = "info", "Nothing happened", "The record has no exchange in this period, so there is nothing to honour."
	case t.Refused == 0:
		a.Tone, a.Head, a.Text = "good", "No violation, and no refusal", fmt.Sprintf("In none of %s somebody refused personalization, or had not allowed it.", plural(t.Exchanges, "exchange"))
	default:
		a.Tone, a.Head = "good", "Yes: no exchange broke the promise"
		a.Text = fmt.Sprintf("In %s personalization was not allowed. In all of them, says the record, no policy was given anything that was not allowed. How to check that stands below.", plural(t.Refused, "exchange"))
	}
	return a
}

func (v *visit) caveats(page *privacyView, failed error) (all []string) {
	s := page.Summary
	tell := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if failed != nil {
		tell("The record cannot be read any more since %s; the edge's log says why.", clock(page.At))
	}
	if n := s.Total.Unrecorded; n > 0 {
		tell("%s went out without a record. Nothing was personalized in them, but no record shows it.", plural(n, "exchange"))
	}
	if n := len(s.Gaps); n > 0 {
		tell("The record has %s, listed below.", plural(n, "gap"))
	}
	if s.Removed > 0 {
		tell("%s of this period are no longer there, and are not counted. Old ones are removed on schedule; verifying says whether these were.", plural(s.Removed, "segment"))
	}
	if page.State != nil && page.State.Waiting > 0 {
		tell("%s of the last moment are not sealed yet.", plural(page.State.Waiting, "record"))
	}
	if page.Verified == nil || page.Verified.Done == nil {
		tell("Nobody has verified the record here since the edge started.")
	}
	return all
}

// canaries returns how the experiments on the sites that one may see stand.
func (v *visit) canaries() (rows []canaryRow) {
	if v.config.Canaries == nil {
		return nil
	}
	for _, s := range v.config.Canaries() {
		if v.tenant != "" && s.Tenant != v.tenant {
			continue
		}
		row := canaryRow{Standing: s, Tone: "info", Verdict: "not run yet"}
		for _, n := range s.Rounds {
			row.Done += n
		}
		if s.Last != nil {
			row.Verdict = s.Last.Verdict
			row.Next = s.Last.Started.Add(s.Every)
			switch s.Last.Verdict {
			case probe.Equal:
				row.Tone, row.About = "good", "visitors who refuse were answered alike, byte for byte; those who allow it were not, so the experiment can see something"
			case probe.Differs:
				row.Tone, row.About = "bad", s.Last.Because
			case probe.NoPower:
				row.Tone, row.About = "warn", "no difference; but those who allow it were answered alike, too, so it shows little"
			default:
				row.Tone, row.About = "warn", s.Last.Because
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// decisionChart draws the decisions on one purpose over time.
func decisionChart(s *ledger.Summary, at period, purpose string) *chart {
	c := &chart{ID: "decisions", Title: "Decisions on “" + purpose + "” over time", Unit: "exchanges"}
	refused, silent, allowed := series{Name: "refused", Class: "refused"}, series{Name: "not allowed: nobody chose, or too long ago", Class: "default"}, series{Name: "allowed", Class: "allowed"}
	var sums [3]int64
	for _, point := range s.Series {
		c.Columns = append(c.Columns, at.label(point.From))
		var n [3]int64
		if p := point.Tally.Purposes[purpose]; p != nil {
			for name, signals := range p.By {
				granted, denied := settled(signals)
				n[2] += granted
				if ruleOf(name).refusal {
					n[0] += denied
				} else {
					n[1] += denied
				}
			}
		}
		for i := range n {
			sums[i] += n[i]
		}
		refused.Values = append(refused.Values, float64(n[0]))
		silent.Values = append(silent.Values, float64(n[1]))
		allowed.Values = append(allowed.Values, float64(n[2]))
	}
	if len(c.Columns) == 0 || sums == [3]int64{} {
		return nil
	}
	c.Series = []series{refused, silent, allowed}
	c.Ends = [3]string{c.Columns[0], "", c.Columns[len(c.Columns)-1]}
	c.Summary = fmt.Sprintf("%s refused, %s not allowed without a refusal, %s allowed, in %s. The table below has every step.",
		num(sums[0]), num(sums[1]), num(sums[2]), at.Text())
	return c
}

// keyFile and checkpointFile hand out what verifies the ledger elsewhere.
func (v *visit) keyFile() error { return v.ledgerFile("key.pub", "ledger-key.pub") }

func (v *visit) checkpointFile() error {
	return v.ledgerFile("checkpoint", "checkpoint-"+v.now.UTC().Format("20060102T150405Z"))
}

func (v *visit) ledgerFile(file, as string) error {
	if v.config.Ledger == "" {
		return errNoLedger
	}
	data, err := os.ReadFile(filepath.Join(v.config.Ledger, file))
	if errors.Is(err, fs.ErrNotExist) {
		return &fault{http.StatusNotFound, "Nothing is sealed yet."}
	}
	if err != nil {
		return err
	}
	v.attach("text/plain; charset=utf-8", as)
	v.w.Write(data)
	return nil
}

var errNoLedger = &fault{http.StatusNotFound, "This edge keeps no record of exchanges."}

// attach makes the answer a download.
func (v *visit) attach(contentType, name string) {
	h := v.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename=`+strconv.Quote(name))
}

package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bespoke/host/ledger"
)

// A recordsView is a list of records.
type recordsView struct {
	Tenant  string
	Tenants []string
	Filter  recordFilter
	Rows    []recordRow // the newest first
	Older   string      // query of what comes next; "": nothing does
	From    time.Time   // how far back was looked
	Cut     bool        // it was looked no further back, to save time
	Now     time.Time
}

// A recordFilter is the form.
type recordFilter struct {
	From, To                          string // as a form writes times: 2026-03-01T12:30, UTC
	Kind, Route, Policy, Outcome, Key string
	Granted, Denied, Rule             string
	Fault, Violation, Personal        bool
	from, to                          time.Time
	last                              cursor // of the page before
}

// A cursor is the last record of a page; the next page has what is older.
type cursor struct {
	at     time.Time // zero: this is the first page
	number int64
}

func (c cursor) older(r *ledger.Record) bool {
	return c.at.IsZero() || r.Time().Before(c.at) || r.Time().Equal(c.at) && r.Number < c.number
}

// String is how the form's field "before" has it: in milliseconds, as records have times.
func (c cursor) String() string { return fmt.Sprintf("%d_%d", c.at.UnixMilli(), c.number) }

// after returns the cursor of the page that follows on records that were found, looking back to from.
func after(found []ledger.Record, from time.Time) cursor {
	if n := len(found); n == rowsPerPage {
		return cursor{found[n-1].Time(), found[n-1].Number}
	}
	return cursor{from, 0}
}

// Purposes are those of the form.
func (recordsView) Purposes() []purposeWord { return purposes[:] }

// RuleNames are those of the form.
func (recordsView) RuleNames() (names []string) {
	for _, r := range rules {
		names = append(names, r.name)
	}
	return names
}

// A kindChoice is one of the kinds of records.
type kindChoice struct{ Name, Text string }

// Kinds are those of the form.
func (recordsView) Kinds() (kinds []kindChoice) {
	for name, text := range eventWords {
		kinds = append(kinds, kindChoice{name, text})
	}
	slices.SortFunc(kinds, func(a, b kindChoice) int { return strings.Compare(a.Name, b.Name) })
	return kinds
}

// A recordRow is one record in a list.
type recordRow struct {
	Number              int64
	At                  time.Time
	Tenant, Route, Kind string
	Status              int
	Fault               string
	Granted             []string
	Refused             string // the rule that refused personalize, in short; "": it did not
	Broken              string
	Policies            int
	About               string
}

const (
	rowsPerPage = 100
	searchWait  = 4 * time.Second         // for the searches of others
	lookFor     = 1500 * time.Millisecond // of work, for one page
	formTime    = "2006-01-02T15:04"
	maxField    = 300 // bytes
)

// filterOf reads the form.
func filterOf(q url.Values, now time.Time) (f recordFilter, err error) {
	for name, values := range q {
		if len(values) != 1 || len(values[0]) > maxField {
			return f, &fault{http.StatusBadRequest, "The field " + strconv.Quote(clip(name, 40)) + " stands twice, or is too long."}
		}
	}
	f = recordFilter{From: q.Get("from"), To: q.Get("to"), Kind: q.Get("kind"), Route: q.Get("route"), Policy: q.Get("policy"), Outcome: q.Get("outcome"), Key: q.Get("key"),
		Granted: q.Get("granted"), Denied: q.Get("denied"), Rule: q.Get("rule"), Fault: q.Get("fault") != "", Violation: q.Get("violation") != "", Personal: q.Get("personal") != ""}
	if f.from, err = formTimeOf(f.From); err != nil {
		return f, err
	}
	if f.to, err = formTimeOf(f.To); err != nil {
		return f, err
	}
	if f.to.IsZero() {
		f.to = now.Add(time.Hour).Truncate(time.Millisecond) // clocks of records are the edge's own; none is later than that
	}
	if s := q.Get("before"); s != "" {
		at, number, _ := strings.Cut(s, "_")
		ms, err := strconv.ParseInt(at, 10, 64)
		n, err2 := strconv.ParseInt(number, 10, 64)
		if err != nil || err2 != nil || ms < 0 || ms > 1<<45 || n < 0 {
			return f, &fault{http.StatusBadRequest, "The field \"before\" is no place in the list."}
		}
		f.last = cursor{time.UnixMilli(ms).UTC(), n}
		if end := f.last.at.Add(time.Millisecond); end.Before(f.to) {
			f.to = end
		}
		if !f.from.IsZero() && !f.from.Before(f.to) {
			return f, &fault{http.StatusBadRequest, "The field \"before\" is before the first time of the list."}
		}
	}
	return f, nil
}

// clip shortens what somebody wrote.
func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// formTimeOf reads a time as forms write it; a day alone is its beginning.
func formTimeOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range [...]string{formTime, formTime + ":05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 2000 && t.Year() < 3000 {
			return t, nil
		}
	}
	return time.Time{}, &fault{http.StatusBadRequest, "A time is written as 2026-03-01T12:30, in UTC."}
}

func (f *recordFilter) ledger(tenant string) ledger.Filter {
	return ledger.Filter{From: f.from, To: f.to, Kind: f.Kind, Tenant: tenant, Route: f.Route, Policy: f.Policy, Outcome: f.Outcome, Key: f.Key,
		Granted: f.Granted, Denied: f.Denied, Rule: f.Rule, Fault: f.Fault, Violation: f.Violation, Personal: f.Personal}
}

func (v *visit) recordsPage() error {
	if v.config.Ledger == "" {
		return errNoLedger
	}
	f, err := filterOf(v.r.URL.Query(), v.now)
	if err != nil {
		return err
	}
	want := f.ledger(v.tenant)
	if err := want.Check(); err != nil {
		return &fault{http.StatusBadRequest, "No record can meet this: " + err.Error() + "."}
	}
	page := recordsView{Tenant: v.tenant, Tenants: v.tenantNames(), Filter: f, Now: v.now}
	wait := time.NewTimer(searchWait)
	defer wait.Stop()
	select {
	case v.searching <- struct{}{}:
	case <-wait.C:
		v.w.Header().Set("Retry-After", "10")
		return &fault{http.StatusServiceUnavailable, "Others are searching; ask again in a moment."}
	}
	// Given back before the page is sent: who takes it slowly keeps nobody waiting.
	records, from, all, err := func() ([]ledger.Record, time.Time, bool, error) {
		defer func() { <-v.searching }()
		return latest(v.config.Ledger, want, f.last, rowsPerPage, lookFor)
	}()
	if v.nothingSealed(err) {
		err, all = nil, true
	}
	if err != nil {
		return v.unreadable("a record of that time", err)
	}
	page.From, page.Cut = from, !all && len(records) < rowsPerPage
	for i := range records {
		page.Rows = append(page.Rows, rowOf(&records[i]))
	}
	if !all {
		q := v.r.URL.Query()
		q.Set("before", after(records, from).String())
		page.Older = q.Encode()
	}
	return v.show(http.StatusOK, "records", "Records", page)
}

// latest returns the newest records that meet the filter, the newest first, at
// most n of them, and how far back it looked. It looks at longer and longer times,
// so that the newest of a large ledger are found at once, and ends after some work.
func latest(dir string, want ledger.Filter, last cursor, n int, work time.Duration) (found []ledger.Record, from time.Time, all bool, err error) {
	began := time.Now()
	first, to := want.From, want.To
	if first.IsZero() {
		first = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // before there was any ledger
	}
	step := 10 * time.Minute
	for to.After(first) {
		at := time.Now()
		// Whole milliseconds, as the cursor of the next page has them: no record is between two pages.
		from = to.Add(-step).Truncate(time.Millisecond)
		if from.Before(first) || step > 10*365*24*time.Hour {
			from = first
		}
		var some []ledger.Record // of this time, the last n
		want.From, want.To = from, to
		for r, err := range ledger.Read(dir, want) {
			if err != nil {
				return nil, from, false, err
			}
			if !last.older(&r) {
				continue
			}
			if some = append(some, r); len(some) >= 8*n {
				some = newest(some, n)
			}
		}
		some = newest(some, n)
		found = append(found, some[:min(len(some), n-len(found))]...)
		if len(found) == n {
			return found, from, false, nil
		}
		to = from
		if took := time.Since(at); took < work/8 {
			step *= 2
		} else if took > work/4 {
			step = max(step/2, time.Millisecond)
		}
		if time.Since(began) > work {
			break
		}
	}
	return found, from, !to.After(first), nil
}

// newest sorts records, the newest first, and keeps n of them. They come in the
// order in which they were recorded, and some requests take longer than others.
func newest(list []ledger.Record, n int) []ledger.Record {
	slices.SortFunc(list, func(a, b ledger.Record) int {
		return cmp.Or(b.Time().Compare(a.Time()), cmp.Compare(b.Number, a.Number))
	})
	return list[:min(len(list), n)]
}

func rowOf(r *ledger.Record) recordRow {
	row := recordRow{Number: r.Number, At: r.Time(), Tenant: r.Tenant(), Kind: r.Kind(), About: eventWords[r.Kind()]}
	x := r.Exchange
	if x == nil {
		return row
	}
	row.Route, row.Status, row.Fault, row.Policies, row.Broken = x.Route, x.Status, x.Fault, len(x.Policies), r.Broken()
	if x.Decision != nil {
		for _, p := range x.Decision.Purposes {
			if p.Granted {
				row.Granted = append(row.Granted, p.Purpose)
			} else if p.Purpose == "personalize" {
				row.Refused = p.Rule
			}
		}
	}
	return row
}

// A recordView is one record.
type recordView struct {
	recordRow
	Segment int64
	X       *ledger.Exchange
	Why     []whyRow
	Pretty  string // the record as JSON
}

// A whyRow is the decision on one purpose, in words.
type whyRow struct {
	ledger.PurposeDecision
	About, RuleText, SignalText string
}

// A reading is a key that a policy asked for, and what it got.
type reading struct{ Key, Class, Outcome, Tone string }

// Reads lists what a policy asked for.
func (recordView) Reads(p ledger.Policy) (list []reading) {
	for _, one := range [...]struct {
		keys          []string
		outcome, tone string
	}{{p.Given, "given", "info"}, {p.Withheld, "withheld", "warn"}, {p.Absent, "not there", ""}, {p.Undeclared, "not declared, so not given", "warn"}} {
		for _, key := range one.keys {
			list = append(list, reading{key, ledger.ClassOf(key), one.outcome, one.tone})
		}
	}
	return list
}

// Digest writes one in hexadecimal; "" for one that is not there.
func (recordView) Digest(b any) string {
	s := fmt.Sprintf("%x", b)
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}

// recordOf returns the record that the path names, if who asks may see it.
func (v *visit) recordOf() (ledger.Record, error) {
	if v.config.Ledger == "" {
		return ledger.Record{}, errNoLedger
	}
	n, err := strconv.ParseInt(v.r.PathValue("number"), 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != v.r.PathValue("number") {
		return ledger.Record{}, &fault{http.StatusNotFound, "That is no number of a record."}
	}
	r, err := ledger.At(v.config.Ledger, n)
	none, removed := errors.Is(err, ledger.ErrNoRecord) || v.nothingSealed(err), errors.Is(err, ledger.ErrRemoved)
	switch {
	case err != nil && !none && !removed:
		return r, v.unreadable(fmt.Sprintf("record %d", n), err)
	case none && v.sees(""):
		return r, &fault{http.StatusNotFound, fmt.Sprintf("There is no record %d.", n)}
	case removed && v.sees(""):
		return r, &fault{http.StatusNotFound, fmt.Sprintf("Record %d is no longer there. Old ones are removed on schedule; verifying says whether this one was.", n)}
	case err != nil || !v.sees(r.Tenant()):
		// The same whether there is one or not.
		return r, &fault{http.StatusForbidden, "Your token is for the site " + v.token.Tenant + ", and record " + strconv.FormatInt(n, 10) + " is not of that site."}
	}
	return r, nil
}

// nothingSealed reports whether an error of reading the ledger is that there is none yet.
func (v *visit) nothingSealed(err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Stat(filepath.Join(v.config.Ledger, "checkpoint"))
	return errors.Is(err, fs.ErrNotExist)
}

// unreadable says why what should be there cannot be shown. A file that is
// gone, though no schedule removed it, is damage; other errors of files are the disk's.
func (v *visit) unreadable(what string, err error) error {
	disk := errors.As(err, new(*fs.PathError)) && !errors.Is(err, fs.ErrNotExist)
	v.config.Log.Error("a record cannot be read for the consoles", "what", what, "damaged", !disk, "error", err)
	first := strings.ToUpper(what[:1]) + what[1:]
	text := first + " is damaged: what is there is not what was sealed. Verify the ledger, to see all that is wrong; the edge's log says where it is here."
	if disk {
		text = "The disk does not give " + what + "; the edge's log says why."
	}
	if !v.sees("") {
		text = first + " cannot be read now, so whose it is cannot be told. Who runs the edge finds out why in its log."
	}
	return &fault{http.StatusInternalServerError, text}
}

func (v *visit) recordPage() error {
	r, err := v.recordOf()
	if err != nil {
		return err
	}
	page := recordView{recordRow: rowOf(&r), Segment: r.Segment, X: r.Exchange}
	var pretty bytes.Buffer
	if json.Indent(&pretty, r.Line, "", "  ") == nil {
		page.Pretty = pretty.String()
	}
	if r.Exchange != nil && r.Exchange.Decision != nil {
		for _, p := range r.Exchange.Decision.Purposes {
			page.Why = append(page.Why, whyRow{p, purposeText(p.Purpose), ruleOf(p.Rule).text, signals[p.Signal]})
		}
	}
	return v.show(http.StatusOK, "record", fmt.Sprintf("Record %d", r.Number), page)
}

package ledger

import (
	"sync/atomic"
	"testing"
	"time"
)

// A visitor who takes an answer for an hour, or a clock that was set back, puts no exchange
// where no report finds it: each is in exactly one period.
func TestLateRecordIsReported(t *testing.T) {
	hour := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { now.Store(&at) }
	set(hour)
	l, c := newLedger(t, func(c *Config) { c.Now = func() time.Time { return *now.Load() } })
	record := func(at, ended time.Time) {
		set(ended)
		l.Exchange(&Exchange{Time: at, Tenant: "shop", Status: 200}, false)
		mustFlush(t, l)
	}
	record(hour.Add(5*time.Minute), hour.Add(5*time.Minute))
	record(hour.Add(58*time.Minute), hour.Add(62*time.Minute)) // late, as many are
	record(hour.Add(10*time.Minute), hour.Add(90*time.Minute)) // very late
	record(hour.Add(20*time.Minute), hour.Add(20*time.Minute)) // the clock was set back
	set(hour.Add(2 * time.Hour))
	mustClose(t, l)
	cache := t.TempDir()
	for _, want := range []struct {
		from time.Time
		n    int64
	}{{hour, 2}, {hour.Add(time.Hour), 2}, {hour.Add(2 * time.Hour), 0}} {
		p := Period{From: want.from, To: want.from.Add(time.Hour), Tenant: "shop"}
		r, err := MakeReport(c.Dir, p, VerifyOptions{}, hour)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from the cache, where it can be
			p.Cache = cache
			s, err := Summarize(c.Dir, p)
			if err != nil {
				t.Fatal(err)
			}
			if r.Summary.Total.Records != want.n || s.Total.Records != want.n {
				t.Errorf("from %v: %d records in the report, %d in the summary, want %d", want.from, r.Summary.Total.Records, s.Total.Records, want.n)
			}
		}
	}
}

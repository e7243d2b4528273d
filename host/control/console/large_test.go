package console

import (
	"testing"
	"time"
)

// A page takes no longer the larger the ledger is: who asks waits for a bounded
// time, is told that it is being counted, and then is shown it.
func TestLargeLedger(t *testing.T) {
	const records = 300_000
	d := newDiary(t, showing.Add(-3*24*time.Hour))
	for i := range records {
		if i%5000 == 0 {
			d.at(showing.Add(-3*24*time.Hour + time.Duration(i/5000)*70*time.Minute))
			d.sealed()
		}
		d.exchange("stores", i%9)
	}
	d.sealed()
	h := recorded(t, d, nil)
	b := h.in(h.auditor)
	took := func(path string) time.Duration {
		t.Helper()
		began := time.Now()
		b.get(path).want(t, 200)
		return time.Since(began)
	}
	first := took("/console/privacy?period=7d")
	if first > patience+4*time.Second {
		t.Errorf("the first page took %v", first)
	}
	wait := time.Now()
	h.console.counting.await(t)
	again, newest := took("/console/privacy?period=7d"), took("/console/privacy/records")
	rare := took("/console/privacy/records?violation=on")
	t.Logf("%d records: first page %v, counted within %v, again %v; newest records %v; looking for what is not there %v", records, first, time.Since(wait), again, newest, rare)
	if again > 2*time.Second || newest > 4*time.Second || rare > 2*lookFor+4*time.Second {
		t.Errorf("too slow: again %v, newest %v, rare %v", again, newest, rare)
	}
	b.get("/console/privacy?period=7d").want(t, 200, "300,000</strong> exchanges")
}

// await returns when nothing is being counted.
func (c *counting) await(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.by {
		if e.busy != nil {
			busy := e.busy
			c.mu.Unlock()
			select {
			case <-busy:
			case <-time.After(time.Minute):
				t.Error("it is never counted")
			}
			c.mu.Lock()
		}
	}
}

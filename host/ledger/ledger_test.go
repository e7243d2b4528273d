package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newLedger opens a ledger in a folder of its own, which is sealed when the test says so.
func newLedger(t *testing.T, change func(*Config)) (*Ledger, Config) {
	t.Helper()
	dir := t.TempDir()
	c := Config{Dir: dir + "/ledger", Keys: dir + "/keys", Window: time.Hour}
	if change != nil {
		change(&c)
	}
	return mustOpen(t, c), c
}

func mustOpen(t *testing.T, c Config) *Ledger {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustFlush(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustVerify checks a closed ledger by the verifier and by the test's own means.
func mustVerify(t *testing.T, dir string) *content {
	t.Helper()
	v, err := Verify(dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !v.Intact() {
		t.Fatalf("verify: %+v", v)
	}
	return mustCheck(t, dir)
}

func TestSealed(t *testing.T) {
	l, c := newLedger(t, nil)
	for i := range 3 {
		for range 100 {
			if !l.Reserve() {
				t.Fatal("no room")
			}
			l.Exchange(&Exchange{Time: time.Now(), Tenant: fmt.Sprint("t", i), Status: 200}, true)
		}
		l.Event(Event{Kind: KindConfig, Data: map[string]string{"digest": "abc"}})
		mustFlush(t, l)
		mustFlush(t, l) // nothing to seal: nothing is written
	}
	l.Reserve()
	l.Unreserve()
	if s := l.Status(); s.Segments != 4 || s.Waiting != 0 || s.Err != nil || s.Blocked != "" {
		t.Errorf("status %+v", s)
	}
	mustClose(t, l)
	if err := l.Close(); !errors.Is(err, errClosed) {
		t.Errorf("second Close: %v", err)
	}
	if l.Reserve() {
		t.Error("room after Close")
	}
	l.Exchange(&Exchange{}, false) // must not panic
	ct := mustVerify(t, c.Dir)
	if n := len(ct.records); n != 3+303+1 { // opened, two keys made; and closed
		t.Errorf("%d records: %s", n, ct.records[0])
	}
	if s := ct.statements[1]; s.Records != 101 {
		t.Errorf("%+v", s)
	}
}

// TestWholeTiles fills more than a tile, through two openings.
func TestWholeTiles(t *testing.T) {
	l, c := newLedger(t, nil)
	for range 2 {
		for range 260 {
			l.Exchange(&Exchange{Status: 200}, false)
			mustFlush(t, l)
		}
		mustClose(t, l)
		mustVerify(t, c.Dir)
		l = mustOpen(t, c)
	}
	mustClose(t, l)
	ct := mustVerify(t, c.Dir)
	opens := events[openEvent](t, ct, KindOpen)
	if len(opens) != 3 || opens[0].Ended != "first" || opens[1].Ended != "close" || opens[2].Ended != "close" || opens[2].Segments < 500 {
		t.Errorf("openings %+v", opens)
	}
	// Nothing of the narrower trees is left.
	for _, dir := range []string{"tile/0/000.p", "tile/entries/000.p", "tile/0/001.p", "tile/entries/001.p"} {
		if _, err := os.Stat(filepath.Join(c.Dir, dir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", dir, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	const writers, each = 8, 2000
	l, c := newLedger(t, func(c *Config) { c.Window = 3 * time.Millisecond; c.Queue = 4000 })
	var all sync.WaitGroup
	var mu sync.Mutex
	recorded := 0
	for w := range writers {
		all.Go(func() {
			var p [8]byte
			x := newTypical()
			n := 0
			for i := range each {
				reserved := l.Reserve()
				if reserved && i%50 == 0 {
					l.Unreserve()
					reserved = false
				}
				x.Tenant, x.Status = fmt.Sprint("w", w), i
				l.Pseudonym(&p, x.Tenant, []byte{byte(i)})
				x.In = l.SealDigest([32]byte{byte(i)})
				l.Exchange(x, reserved)
				if n++; i%500 == 0 {
					l.Event(Event{Kind: KindChoice, Tenant: x.Tenant})
					l.Status()
					if err := l.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
			mu.Lock()
			recorded += n
			mu.Unlock()
		})
	}
	all.Wait()
	mustFlush(t, l)
	mustFlush(t, l) // what was missed is told now
	missed := l.Status().Unrecorded
	mustClose(t, l)
	ct := mustVerify(t, c.Dir)
	got := 0
	last := make(map[string]int)
	for _, line := range ct.records {
		if !bytes.HasPrefix(line, []byte(`{"kind":"exchange"`)) {
			continue
		}
		got++
		r, err := ParseRecord(line)
		if err != nil {
			t.Fatal(err)
		}
		if r.Exchange.Status < last[r.Exchange.Tenant] {
			t.Fatalf("%s: %d after %d", r.Exchange.Tenant, r.Exchange.Status, last[r.Exchange.Tenant])
		}
		last[r.Exchange.Tenant] = r.Exchange.Status
	}
	told := int64(0)
	for _, e := range events[unrecordedEvent](t, ct, KindUnrecorded) {
		told += e.Exchanges
	}
	if int64(got)+missed != writers*each || told != missed {
		t.Errorf("%d records, %d missed, %d told, want %d", got, missed, told, writers*each)
	}
	t.Logf("%d recorded, %d missed, in %d segments", got, missed, ct.tree.N)
}

func TestQueueIsBounded(t *testing.T) {
	l, c := newLedger(t, func(c *Config) { c.Queue = 10 })
	for i := range 10 {
		if !l.Reserve() {
			t.Fatalf("no room for record %d", i)
		}
	}
	if l.Reserve() {
		t.Error("room for more than the queue has")
	}
	l.Exchange(&Exchange{Tenant: "late"}, false)
	l.Event(Event{Kind: KindChoice}) // events are not bounded by it
	for range 10 {
		l.Exchange(&Exchange{Tenant: "early"}, true)
	}
	mustFlush(t, l)
	if !l.Reserve() {
		t.Error("no room after all is sealed")
	}
	l.Unreserve()
	mustFlush(t, l)
	mustClose(t, l)
	told := events[unrecordedEvent](t, mustVerify(t, c.Dir), KindUnrecorded)
	if len(told) != 1 || told[0].Exchanges != 1 || told[0].From.IsZero() || told[0].To.Before(told[0].From) {
		t.Errorf("told %+v", told)
	}
}

// TestCrowded fills half of the queue: it is sealed without waiting for the window, which is an hour.
func TestCrowded(t *testing.T) {
	l, _ := newLedger(t, func(c *Config) { c.Queue = 1000 })
	for i := range 20_000 {
		for begin := time.Now(); !l.Reserve(); time.Sleep(time.Millisecond) {
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("no room for record %d, and nobody seals: %+v", i, l.Status())
			}
		}
		l.Exchange(&Exchange{}, true)
	}
}

// TestLate stops personalization when the disk does not answer.
func TestLate(t *testing.T) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck)
	c.Window = time.Second
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.checkLate()
	if !l.Reserve() {
		t.Fatal("no room")
	}
	l.Exchange(&Exchange{}, true)
	// The sealer hangs: nobody seals. Its own ticks find nothing to do in this time.
	ck.t = ck.t.Add(lateWindows*time.Second + time.Millisecond)
	l.checkLate()
	if s := l.Status(); l.Reserve() && s.Segments == 1 {
		t.Errorf("personalized while a record waits for %d windows: %+v", lateWindows, s)
	}
	mustFlush(t, l)
	if !l.Reserve() {
		t.Error("not personalized when all is sealed")
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]Config{
		"no folder":       {Keys: dir},
		"no keys":         {Dir: dir},
		"keys inside":     {Dir: dir, Keys: dir + "/keys"},
		"keys in place":   {Dir: dir, Keys: dir},
		"negative window": {Dir: dir + "/a", Keys: dir + "/b", Window: -1},
		"negative queue":  {Dir: dir + "/a", Keys: dir + "/b", Queue: -1},
		"origin":          {Dir: dir + "/a", Keys: dir + "/b", Origin: "two words"},
	} {
		if l, err := Open(c); err == nil {
			t.Errorf("%s: opened", name)
			l.Close()
		}
	}
	l, c := newLedger(t, func(c *Config) { c.Origin = "shop.example/ledger" })
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	mustClose(t, l)
	c.Origin = "other"
	if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "for ever") {
		t.Errorf("another origin: %v", err)
	}
	c.Origin = ""
	l = mustOpen(t, c)
	mustClose(t, l)
	if i, err := os.Stat(filepath.Join(c.Keys, signerName)); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", i.Mode(), err)
	}
	f, err := readFolder(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range f {
		if bytes.Contains(data, []byte("PRIVATE")) {
			t.Errorf("%s holds a secret", name)
		}
	}
}

package ledger

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCloseTellsMissed misses exchanges since the last window and closes: the gap is in the ledger.
func TestCloseTellsMissed(t *testing.T) {
	l, c := newLedger(t, func(c *Config) { c.Queue = 10 })
	mustFlush(t, l)
	for range 10 {
		l.Reserve()
	}
	const missed = 6
	for range missed {
		l.Exchange(&Exchange{Tenant: "a"}, false)
	}
	for range 10 {
		l.Unreserve()
	}
	mustClose(t, l)
	mustVerify(t, c.Dir)
	v, err := Verify(c.Dir, VerifyOptions{})
	if err != nil || !v.Closed || len(v.Gaps) != 1 || v.Gaps[0].Kind != "unrecorded" {
		t.Fatalf("%v %+v", err, v)
	}
	told := events[unrecordedEvent](t, mustCheck(t, c.Dir), KindUnrecorded)
	if len(told) != 1 || told[0].Exchanges != missed || told[0].Why != "no room" {
		t.Errorf("%+v, and %d were missed", told, missed)
	}
	mustOpenClosed(t, c)
	if o := lastOpen(t, c.Dir); o.Ended != "close" {
		t.Errorf("%+v", o)
	}
}

// lastOpen is what the newest opening told.
func lastOpen(t *testing.T, dir string) openEvent {
	t.Helper()
	opens := events[openEvent](t, mustVerify(t, dir), KindOpen)
	return opens[len(opens)-1]
}

// TestExchangeWhileClosing ends an exchange while the last records are written: it has no record, which is told, and
// the run does not look as if it had ended in order.
func TestExchangeWhileClosing(t *testing.T) {
	for _, reserved := range []bool{false, true} {
		t.Run(fmt.Sprintf("reserved %v", reserved), func(t *testing.T) { exchangeWhileClosing(t, reserved) })
	}
}

// exchangeWhileClosing does so with a reservation or without. With one it was personalized, and must not be told as
// one that was not.
func exchangeWhileClosing(t *testing.T, reserved bool) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck)
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l)
	if reserved && !l.Reserve() {
		t.Fatal("no room")
	}
	l.Event(Event{Kind: KindChoice}) // something to seal
	var once atomic.Bool
	m.fault = func(_ int, what string) faultKind {
		if strings.HasPrefix(what, "write") && !once.Swap(true) {
			l.Exchange(&Exchange{Tenant: "late"}, reserved)
		}
		return faultNone
	}
	mustClose(t, l)
	if !once.Load() || l.Status().Unrecorded != 1 {
		t.Fatalf("%v %+v", once.Load(), l.Status())
	}
	ct, err := checkFolder(m.folder(c.Dir), true)
	if err != nil {
		t.Fatal(err)
	}
	told := events[unrecordedEvent](t, ct, KindUnrecorded)
	if reserved && len(told) > 0 || !reserved && (len(told) != 1 || told[0].Exchanges != 1 || told[0].Why != "closed") {
		t.Errorf("told %+v", told)
	}
	if l, err = open(c, m); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if ct, err = checkFolder(m.folder(c.Dir), true); err != nil {
		t.Fatal(err)
	}
	if opens := events[openEvent](t, ct, KindOpen); opens[len(opens)-1].Ended != "crash" {
		t.Errorf("%+v", opens)
	}
}

// TestReservationEndsWhileClosing has an exchange end in the very moment: it has a record and the run ended in order, or neither.
func TestReservationEndsWhileClosing(t *testing.T) {
	l, c := newLedger(t, func(c *Config) { c.Window = time.Millisecond })
	ended := make(chan bool)
	if !l.Reserve() {
		t.Fatal("no room")
	}
	go func() {
		for l.Reserve() { // until Close has begun
			l.Unreserve()
		}
		l.Exchange(&Exchange{Tenant: "a"}, true)
		close(ended)
	}()
	mustClose(t, l)
	<-ended
	ct := mustVerify(t, c.Dir)
	recorded := countExchanges(ct) == 1
	mustOpenClosed(t, c)
	if o := lastOpen(t, c.Dir); recorded != (o.Ended == "close") {
		t.Errorf("recorded %v, and the next opening says %+v", recorded, o)
	}
}

// TestWhyHasNoPath lets the disk fail while exchanges are missed: their record says that it was the disk, and
// names nothing of the machine, for it stays.
func TestWhyHasNoPath(t *testing.T) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck)
	c.Queue = 5
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l)
	m.limit, m.room = true, 0
	for range 9 {
		l.Exchange(&Exchange{Tenant: "a"}, false)
	}
	l.Flush()
	l.Exchange(&Exchange{Tenant: "a"}, false)
	if s := l.Status(); !strings.Contains(s.Blocked, errFull.Error()) {
		t.Errorf("the operator does not read what is wrong: %+v", s)
	}
	m.limit = false
	mustFlush(t, l)
	m.limit, m.room = true, 0
	l.Exchange(&Exchange{Tenant: "a"}, false)
	l.Flush()
	for range 9 {
		l.Exchange(&Exchange{Tenant: "a"}, false)
	}
	m.limit = false
	mustFlush(t, l)
	mustClose(t, l)
	wantWhys(t, m.folder(c.Dir), "no room", "disk")
}

// TestWhyLate misses an exchange while the disk does not answer.
func TestWhyLate(t *testing.T) {
	m := newMemWithState()
	ck := &clock{noon}
	c := memConfig(ck)
	c.Queue, c.Window = 5, time.Second
	l, err := open(c, m)
	if err != nil {
		t.Fatal(err)
	}
	mustFlush(t, l)
	var hang sync.Mutex
	hang.Lock()
	m.fault = func(int, string) faultKind {
		hang.Lock() // for as long as the test has it
		defer hang.Unlock()
		return faultNone
	}
	for range 6 { // one more than there is room for
		l.Exchange(&Exchange{Tenant: "a"}, false)
	}
	if n := l.Status().Unrecorded; n != 1 {
		t.Fatalf("%d missed", n)
	}
	hang.Unlock()
	mustFlush(t, l)
	mustFlush(t, l)
	hang.Lock()
	for range 5 {
		l.Exchange(&Exchange{Tenant: "a"}, false)
	}
	l.mu.Lock()
	l.queue.since = noon.Add(-time.Hour)
	l.mu.Unlock()
	l.checkLate()
	l.Exchange(&Exchange{Tenant: "a"}, false)
	if s := l.Status(); s.Blocked == "" || s.Unrecorded != 2 {
		t.Errorf("%+v", s)
	}
	hang.Unlock()
	mustFlush(t, l)
	mustClose(t, l)
	wantWhys(t, m.folder(c.Dir), "no room", "late")
}

// wantWhys checks what the records of a folder say of why exchanges have none.
func wantWhys(t *testing.T, f folder, want ...string) {
	t.Helper()
	ct, err := checkFolder(f, true)
	if err != nil {
		t.Fatal(err)
	}
	var whys []string
	for _, told := range events[unrecordedEvent](t, ct, KindUnrecorded) {
		whys = append(whys, told.Why)
	}
	if !slices.Equal(whys, want) {
		t.Errorf("told %q, want %q", whys, want)
	}
}

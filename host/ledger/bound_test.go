package ledger

import (
	"strings"
	"testing"
	"time"
)

// What waited while the disk was full may be more than a reader takes as one segment.
func TestMuchWaited(t *testing.T) {
	l, c := newLedger(t, nil)
	data := map[string]string{"x": strings.Repeat("x", 900<<10)}
	for range maxSegment/(900<<10) + 10 {
		l.Event(Event{Kind: KindChoice, Data: data})
	}
	mustClose(t, l)
	v, err := Verify(c.Dir, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !v.Intact() || !v.Closed || v.Size < 4 {
		t.Fatalf("%d segments, closed %v: %v", v.Size, v.Closed, v.Damage)
	}
}

// An exchange that has not ended when the ledger is closed was personalized and has no
// record. Then recording did not end in order, and nobody may say that it did.
func TestClosedTooEarly(t *testing.T) {
	for _, late := range []bool{false, true} {
		l, c := newLedger(t, nil)
		if !l.Reserve() {
			t.Fatal("no room")
		}
		if !late {
			l.Unreserve()
		}
		mustClose(t, l)
		if late {
			l.Exchange(&Exchange{Time: time.Now()}, true)
		}
		l = mustOpen(t, c)
		mustClose(t, l)
		opened := events[openEvent](t, mustVerify(t, c.Dir), KindOpen)
		if want := map[bool]string{false: "close", true: "crash"}[late]; opened[1].Ended != want {
			t.Errorf("late %v: the run ended by %q, want %q", late, opened[1].Ended, want)
		}
		v, err := Verify(c.Dir, VerifyOptions{})
		if err != nil || (len(v.Gaps) > 0) != late {
			t.Errorf("late %v: gaps %v, %v", late, v.Gaps, err)
		}
	}
}

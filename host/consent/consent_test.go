package consent

import (
	"bytes"
	"testing"
	"time"

	"bespoke/modules/abi"
)

var (
	now   = time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)
	optIn = Jurisdiction{ID: "DE", OptIn: true}
	free  = Jurisdiction{ID: "US-CA"}
)

func set(ps ...abi.Purpose) (s Set) {
	for _, p := range ps {
		s = s.With(p)
	}
	return s
}

func TestDecide(t *testing.T) {
	defaults := set(abi.Localize, abi.Personalize, abi.Advertise, abi.Measure)
	day := 24 * time.Hour
	tests := []struct {
		name string
		s    Signals
		want Set
		rule Rule // of localize
	}{
		{"opt-in, silent", Signals{Jurisdiction: optIn}, 0, ByJurisdiction},
		{"opt-out, silent", Signals{Jurisdiction: free}, defaults, ByJurisdiction},
		{"opt-out, GPC", Signals{Jurisdiction: free, GPC: true}, set(abi.Measure), ByGPC},
		{"opt-out, DNT honoured", Signals{Jurisdiction: free, DNT: true, HonorDNT: true}, 0, ByDNT},
		{"opt-in, allowed one", Signals{Jurisdiction: optIn, Choice: &Choice{Granted: set(abi.Localize), At: now}}, set(abi.Localize), ByChoice},
		{"opt-in, allowed all", Signals{Jurisdiction: optIn, Choice: &Choice{Granted: All, At: now}}, All, ByChoice},
		{"opt-out, refused all", Signals{Jurisdiction: free, Choice: &Choice{At: now}}, 0, ByWithdrawal},
		{"a refusal does not grow stale", Signals{Jurisdiction: free, Choice: &Choice{At: now.Add(-900 * day)}}, 0, ByWithdrawal},
		{"an old yes does", Signals{Jurisdiction: free, Choice: &Choice{Granted: All, At: now.Add(-366 * day)}}, 0, ByStaleChoice},
		{"a yes from the future is none", Signals{Jurisdiction: free, Choice: &Choice{Granted: All, At: now.Add(2 * day)}}, 0, ByStaleChoice},
		{"GPC after the yes", Signals{Jurisdiction: optIn, GPC: true, Choice: &Choice{Granted: All, At: now}}, set(abi.Measure), ByGPC},
		{"yes in the face of GPC", Signals{Jurisdiction: optIn, GPC: true, Choice: &Choice{Granted: All, At: now, UnderGPC: true}}, All &^ set(abi.Advertise), ByChoice},
		{"DNT yields to a choice", Signals{Jurisdiction: optIn, DNT: true, Choice: &Choice{Granted: All, At: now}}, All, ByChoice},
		{"unreadable choice", Signals{Jurisdiction: free, ChoiceUnreadable: true}, 0, ByUnreadable},
		{"unreadable beats a choice", Signals{Jurisdiction: free, ChoiceUnreadable: true, Choice: &Choice{Granted: All, At: now}}, 0, ByUnreadable},
		{"exact place needs the place", Signals{Jurisdiction: free, Choice: &Choice{Granted: set(abi.Locate), At: now}}, 0, ByWithdrawal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Now = now
			d := Decide(tt.s)
			if d.Granted() != tt.want {
				t.Errorf("granted %05b, want %05b", d.Granted(), tt.want)
			}
			if got := d.Rule(abi.Localize); got != tt.rule {
				t.Errorf("localize settled by %v, want %v", got, tt.rule)
			}
		})
	}
}

func TestZeroDecisionGrantsNothing(t *testing.T) {
	var d Decision
	if d.Granted() != 0 {
		t.Fatal("the zero Decision grants something")
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	s := Signals{Now: now, GPC: true, Jurisdiction: optIn, Choice: &Choice{Granted: All, At: now}}
	var sum Set
	if n := testing.AllocsPerRun(100, func() { d := Decide(s); sum |= d.Granted() }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}

func TestChoiceRoundTrip(t *testing.T) {
	for g := range All + 1 {
		for _, under := range []bool{false, true} {
			c := &Choice{Granted: g, At: now, UnderGPC: under, Epoch: 7 << 20, TextVersion: 513}
			got, err := ParseChoice(c.Encode())
			if err != nil || *got != *c {
				t.Fatalf("%+v came back as %+v, %v", c, got, err)
			}
		}
	}
}

func FuzzParseChoice(f *testing.F) {
	f.Add((&Choice{Granted: All, At: now}).Encode())
	f.Add([]byte{})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChoice(b)
		if err == nil && b[0] == choiceVersion1 {
			b = append(append([]byte{choiceVersion}, b[1:]...), 0, 0, 0, 0, 0, 0)
		}
		if err == nil && !bytes.Equal(c.Encode(), b) {
			t.Errorf("%x came back as %x", b, c.Encode())
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	s := Signals{Now: now, GPC: true, Jurisdiction: optIn, Choice: &Choice{Granted: All, At: now}}
	b.ReportAllocs()
	var sum Set
	for b.Loop() {
		d := Decide(s)
		sum |= d.Granted()
	}
}

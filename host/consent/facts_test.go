package consent

import (
	"math/rand/v2"
	"strings"
	"testing"

	"bespoke/modules/abi"
)

// The facts of a decision, written and read again, decide the same.
func TestFactsDecideAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 2026))
	words := rows()
	seen := map[string]bool{}
	for i := range 20000 {
		s := world(strings.Fields(words[i%len(words)]))
		if i >= len(words) { // mixtures that no row is
			other := world(strings.Fields(words[r.IntN(len(words))]))
			s.Subject, s.SubjectUnknown = other.Subject, other.SubjectUnknown && r.IntN(4) == 0
			if r.IntN(2) == 0 {
				s.TCF, s.TCFCount, s.GPP, s.GPPCount = other.TCF, other.TCFCount, other.GPP, other.GPPCount
			}
			if s.Choice != nil {
				c := *s.Choice
				c.Granted, c.UnderGPC = Set(r.UintN(uint(All)+1)), r.IntN(2) == 0
				s.Choice = &c
			}
			s.GPC, s.NoRecord = r.IntN(3) == 0, r.IntN(20) == 0
		}
		d := Decide(s)
		text := string(d.Facts().AppendText(nil))
		seen[text] = true
		f, err := ParseFacts(text)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if f != *d.Facts() {
			t.Fatalf("%q was read as %+v, want %+v", text, f, *d.Facts())
		}
		again := f.Decide()
		if again.granted != d.granted || again.rules != d.rules || again.signals != d.signals || again.GPC != d.GPC {
			t.Fatalf("%q decides\n%s, want\n%s", text, describe(&again), describe(&d))
		}
		if again.facts != f {
			t.Fatalf("%q became %+v", text, again.facts)
		}
	}
	if len(seen) < 500 {
		t.Errorf("only %d different facts", len(seen))
	}
}

// Where the visitor is shows in the facts only where their place settled something.
func TestFactsTellNoPlace(t *testing.T) {
	for _, row := range []string{"gpc allowed", "allowed", "refused", "unreadable", "subject-unknown", "tcf-all", "dnt"} {
		strict, free := world(strings.Fields("opt-in "+row)), world(strings.Fields("opt-out "+row))
		a, b := Decide(strict), Decide(free)
		if x, y := string(a.Facts().AppendText(nil)), string(b.Facts().AppendText(nil)); x != y {
			t.Errorf("%s: the facts are %q under opt-in, %q elsewhere", row, x, y)
		}
	}
	a, b := Decide(world([]string{"opt-in"})), Decide(world([]string{"opt-out"}))
	if *a.Facts() == *b.Facts() {
		t.Error("with nothing said, the facts are the same everywhere")
	}
}

func TestNoRecord(t *testing.T) {
	for _, row := range rows() {
		s := world(strings.Fields(row))
		s.NoRecord = true
		d := Decide(s)
		if d.Granted() != 0 || d.Ask {
			t.Fatalf("%s: %s", row, describe(&d))
		}
		for p := range abi.Purpose(abi.Purposes) {
			if d.Rule(p) != ByNoRecord {
				t.Fatalf("%s: %s", row, describe(&d))
			}
		}
	}
}

func TestFactsText(t *testing.T) {
	for _, c := range []struct{ row, want string }{
		{"opt-out", ""},
		{"opt-in", "opt-in"},
		{"opt-in gpc", "gpc opt-in"}, // for measure
		{"opt-in gpc allowed", "gpc said=ggggg"},
		{"opt-in gpc allowed-under-gpc dnt", "gpc dnt said=g+g+g+g+g+"},
		{"opt-out refused", "said=nnnnn"},
		{"opt-out subject-refused-later", "said=NNNNN"},
		{"opt-in allowed-long-ago", "said=sssss"},
		{"opt-in allowed-old-text", "said=ooooo"},
		{"opt-in unreadable", "unreadable-choice"},
		{"opt-in subject-unknown", "unknown-subject"},
		{"opt-out tcf-all", "strings=gtgtgtgtgt"},
	} {
		d := Decide(world(strings.Fields(c.row)))
		if got := string(d.Facts().AppendText(nil)); got != c.want {
			t.Errorf("%s: %q, want %q", c.row, got, c.want)
		}
	}
}

func TestFactsDoNotAllocate(t *testing.T) {
	d := Decide(everySignal())
	b := make([]byte, 0, maxFacts)
	if n := testing.AllocsPerRun(100, func() { b = d.Facts().AppendText(b[:0]) }); n != 0 {
		t.Errorf("AppendText allocates %v times", n)
	}
}

func FuzzParseFacts(f *testing.F) {
	for _, s := range []string{"", "no-record", "gpc opt-in", "gpc gpp-gpc dnt said=ggng+G+ strings=gtnpugst-", "said=-----", "opt-in gpc", "strings=gt", "said=n+nnnn"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		facts, err := ParseFacts(s)
		if err != nil {
			return
		}
		if got := string(facts.AppendText(nil)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
		d := facts.Decide()
		again := d.Facts().Decide()
		if d.granted != again.granted || d.rules != again.rules {
			t.Errorf("%q decides in two ways", s)
		}
	})
}

package consent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"bespoke/modules/abi"
)

var update = flag.Bool("update", false, "write testdata/decisions.txt anew")

// A world makes signals of words: the rows of testdata/decisions.txt are made of these.
func world(words []string) Signals {
	s := Signals{Now: now, TextVersion: 3, HonorDNT: true}
	day := 24 * time.Hour
	string2 := func(granted uint32, features uint16, age time.Duration) []byte {
		text := someTCF()
		text.created, text.updated = now.Add(-age).Unix(), now.Add(-age).Unix()
		text.consents, text.tcf.interests, text.features = granted, 0, features
		text.policyVersion, text.disclosed = 5, true
		if !strings.Contains(text.order, "1") {
			text.order = "1"
		}
		return []byte(text.String())
	}
	us := func(optOuts string) []byte { // sale, sharing, targeted: 1 opted out, 2 did not
		return []byte("DBABLA~" + usCore(1, "111111"+optOuts+"0000000000000000"+"0000"))
	}
	for _, w := range words {
		switch w {
		case "opt-in":
			s.Jurisdiction = optIn
		case "opt-out":
			s.Jurisdiction = free
		case "gpc":
			s.GPC = true
		case "dnt":
			s.DNT = true
		case "allowed":
			s.Choice = &Choice{Granted: All, At: now.Add(-day), Epoch: 5, TextVersion: 3}
		case "allowed-under-gpc":
			s.Choice = &Choice{Granted: All, At: now.Add(-day), Epoch: 5, TextVersion: 3, UnderGPC: true}
		case "allowed-place":
			s.Choice = &Choice{Granted: set(abi.Localize), At: now.Add(-day), Epoch: 5, TextVersion: 3}
		case "allowed-long-ago":
			s.Choice = &Choice{Granted: All, At: now.Add(-400 * day), Epoch: 5, TextVersion: 3}
		case "allowed-old-text":
			s.Choice = &Choice{Granted: All, At: now.Add(-day), Epoch: 5, TextVersion: 2}
		case "refused":
			s.Choice = &Choice{At: now.Add(-day), Epoch: 5, TextVersion: 3}
		case "refused-long-ago":
			s.Choice = &Choice{At: now.Add(-400 * day), Epoch: 5, TextVersion: 2}
		case "unreadable":
			s.ChoiceUnreadable = true
		case "subject-allowed-later":
			s.Subject = &Choice{Granted: All, At: now.Add(-time.Hour), Epoch: 6, TextVersion: 3}
		case "subject-allowed-before":
			s.Subject = &Choice{Granted: All, At: now.Add(-48 * time.Hour), Epoch: 4, TextVersion: 3}
		case "subject-refused-later":
			s.Subject = &Choice{At: now.Add(-time.Hour), Epoch: 6, TextVersion: 3}
		case "subject-refused-before":
			s.Subject = &Choice{At: now.Add(-48 * time.Hour), Epoch: 4, TextVersion: 3}
		case "subject-refused-apart": // on another device, knowing nothing of this one
			s.Subject = &Choice{At: now.Add(-48 * time.Hour), Epoch: 5, TextVersion: 3}
		case "subject-unknown":
			s.SubjectUnknown = true
		case "tcf-all":
			s.TCF, s.TCFCount = string2(1<<11-1, 1, day), 1
		case "tcf-none":
			s.TCF, s.TCFCount = string2(0, 0, day), 1
		case "tcf-personalize":
			s.TCF, s.TCFCount = string2(tcfPersonalize, 0, day), 1
		case "tcf-without-6":
			s.TCF, s.TCFCount = string2((1<<11-1)&^(1<<5), 0, day), 1
		case "tcf-without-1":
			s.TCF, s.TCFCount = string2((1<<11-1)&^1, 1, day), 1
		case "tcf-long-ago":
			s.TCF, s.TCFCount = string2(1<<11-1, 1, 400*day), 1
		case "tcf-broken":
			s.TCF, s.TCFCount = []byte("CPXxRfAPXxRfAAfKABEN"), 1
		case "tcf-two":
			s.TCF, s.TCFCount = string2(1<<11-1, 1, day), 2
		case "gpp-sale":
			s.GPP, s.GPPCount = us("122"), 1
		case "gpp-targeted":
			s.GPP, s.GPPCount = us("221"), 1
		case "gpp-nothing":
			s.GPP, s.GPPCount = us("222"), 1
		case "gpp-gpc":
			s.GPP, s.GPPCount = append(us("222"), ".YA"...), 1
		case "gpp-broken":
			s.GPP, s.GPPCount = []byte("DBAB"), 1
		case "gpp-two":
			s.GPP, s.GPPCount = us("222"), 2
		case "usp-out":
			s.USPrivacy, s.USPrivacyCount = []byte("1YYN"), 1
		case "usp-in":
			s.USPrivacy, s.USPrivacyCount = []byte("1YNN"), 1
		case "usp-broken":
			s.USPrivacy, s.USPrivacyCount = []byte("1yyn"), 1
		default:
			panic("no such word: " + w)
		}
	}
	return s
}

// rows are the worlds that the table holds.
func rows() (all []string) {
	regimes := []string{"opt-in", "opt-out"}
	choices := []string{"", "allowed", "allowed-under-gpc", "allowed-place", "allowed-long-ago", "allowed-old-text", "refused", "refused-long-ago", "unreadable"}
	subjects := []string{"subject-allowed-later", "subject-allowed-before", "subject-refused-later", "subject-refused-before", "subject-refused-apart", "subject-unknown"}
	strs := []string{"tcf-all", "tcf-none", "tcf-personalize", "tcf-without-6", "tcf-without-1", "tcf-long-ago", "tcf-broken", "tcf-two",
		"gpp-sale", "gpp-targeted", "gpp-nothing", "gpp-gpc", "gpp-broken", "gpp-two", "usp-out", "usp-in", "usp-broken"}
	add := func(words ...string) { all = append(all, strings.Join(strings.Fields(strings.Join(words, " ")), " ")) }
	for _, regime := range regimes {
		for _, choice := range choices {
			for _, signal := range []string{"", "gpc", "dnt"} {
				add(regime, choice, signal)
			}
			for _, subject := range subjects {
				add(regime, choice, subject)
			}
		}
		for _, one := range strs {
			add(regime, one)
			add(regime, one, "gpc")
			add(regime, one, "dnt")
			add(regime, "allowed", one)
			add(regime, "refused", one)
		}
		add(regime, "tcf-all", "gpp-sale")
		add(regime, "tcf-none", "gpp-nothing")
		add(regime, "tcf-all", "usp-out")
		add(regime, "tcf-all", "gpp-nothing", "usp-in")
		add(regime, "tcf-all", "gpp-broken")
	}
	return all
}

func describe(d *Decision) string {
	var b strings.Builder
	for p := range abi.Purpose(abi.Purposes) {
		mark := "-"
		if d.Grants(p) {
			mark = "+"
		}
		fmt.Fprintf(&b, " %s%v/%v/%v", mark, p, d.Rule(p), d.Signal(p))
	}
	if d.Ask {
		b.WriteString(" ask")
	}
	return b.String()
}

// The table of decisions: each row says what was sent and what comes of it. It
// was read by people; a change of it is a change of what visitors get.
func TestDecisionTable(t *testing.T) {
	var b strings.Builder
	for _, row := range rows() {
		d := Decide(world(strings.Fields(row)))
		fmt.Fprintf(&b, "%s:%s\n", row, describe(&d))
	}
	const file = "testdata/decisions.txt"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(b.String(), "\n")
	if len(got) < 200 {
		t.Errorf("%d rows, want 200", len(got))
	}
	for i, line := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != line {
			t.Fatalf("row %d:\ngot  %s\nwant %s", i+1, got[min(i, len(got)-1)], line)
		}
	}
	if b.String() != string(want) {
		t.Error("there are more rows than in the table")
	}
}

// What each row grants, told once more in another way: from what may be granted
// each thing that was said takes something away.
func TestDecisionTableOracle(t *testing.T) {
	for _, row := range rows() {
		w := map[string]bool{}
		for _, word := range strings.Fields(row) {
			w[word] = true
		}
		any := func(words ...string) bool {
			for _, x := range words {
				if w[x] {
					return true
				}
			}
			return false
		}
		if got, want := Decide(world(strings.Fields(row))), expected(any); got.Granted() != want {
			t.Errorf("%s: granted %05b, want %05b", row, got.Granted(), want)
		}
	}
}

func expected(any func(...string) bool) Set {
	gpc := any("gpc", "gpp-gpc", "gpp-broken", "gpp-two")
	if any("unreadable", "subject-unknown", "refused", "refused-long-ago", "subject-refused-later", "subject-refused-apart") {
		// Nothing stands, unless a later yes of the subject's does.
		if !any("refused", "refused-long-ago") || !any("subject-allowed-later") || any("unreadable") {
			return 0
		}
	}
	chosen := any("allowed", "allowed-under-gpc", "allowed-place", "allowed-long-ago", "allowed-old-text", "subject-allowed-later", "subject-allowed-before", "refused", "refused-long-ago")
	if !chosen && any("subject-refused-before") {
		return 0
	}
	out := All
	switch {
	case chosen:
		if any("allowed-place") && !any("subject-allowed-later") {
			out = set(abi.Localize)
		}
		if any("allowed-long-ago") && !any("subject-allowed-later", "subject-allowed-before") || any("allowed-old-text") && !any("subject-allowed-later") {
			out = 0
		}
		if any("allowed-long-ago") && any("subject-allowed-before", "subject-refused-before") {
			out = 0
		}
		if gpc && !any("allowed-under-gpc") {
			out &= set(abi.Measure)
		} else if gpc {
			out &^= set(abi.Advertise)
		}
		return out
	case any("tcf-broken", "tcf-two", "tcf-long-ago", "tcf-none", "gpp-broken", "gpp-two"):
		return 0
	case any("tcf-personalize"):
		out = set(abi.Personalize)
	case any("tcf-without-6"):
		out = set(abi.Localize, abi.Advertise, abi.Measure)
	case any("tcf-without-1"):
		out = set(abi.Localize, abi.Locate, abi.Measure)
	case any("tcf-all"):
	case any("opt-in") || any("dnt"):
		return 0
	default:
		out &^= set(abi.Locate)
	}
	if any("gpp-sale", "gpp-targeted", "usp-out", "usp-broken") {
		out &^= set(abi.Advertise)
	}
	if gpc {
		out &= set(abi.Measure)
	}
	return out
}

// refusals take something away from signals.
var refusals = map[string]func(*Signals, *rand.Rand){
	"GPC":            func(s *Signals, _ *rand.Rand) { s.GPC = true },
	"DNT":            func(s *Signals, _ *rand.Rand) { s.DNT = true },
	"unreadable":     func(s *Signals, _ *rand.Rand) { s.ChoiceUnreadable = true },
	"opt-in":         func(s *Signals, _ *rand.Rand) { s.Jurisdiction.OptIn = true },
	"text":           func(s *Signals, _ *rand.Rand) { s.TextVersion += 10 },
	"subject gone":   func(s *Signals, _ *rand.Rand) { s.SubjectUnknown = true },
	"refuse all":     func(s *Signals, _ *rand.Rand) { s.Choice = &Choice{At: now, Epoch: 1 << 20} },
	"subject refuse": func(s *Signals, _ *rand.Rand) { s.Subject = &Choice{At: now, Epoch: 1 << 20} },
	"refuse one": func(s *Signals, r *rand.Rand) {
		if s.Choice != nil {
			c := *s.Choice
			c.Granted &^= 1 << r.UintN(abi.Purposes)
			s.Choice = &c
		}
	},
	"subject refuse one": func(s *Signals, r *rand.Rand) {
		if s.Subject != nil {
			c := *s.Subject
			c.Granted &^= 1 << r.UintN(abi.Purposes)
			s.Subject = &c
		}
	},
	"second TCF":   func(s *Signals, _ *rand.Rand) { s.TCFCount = 2 },
	"second GPP":   func(s *Signals, _ *rand.Rand) { s.GPPCount = 2 },
	"sale":         func(s *Signals, _ *rand.Rand) { s.USPrivacy, s.USPrivacyCount = []byte("1YYN"), 1 },
	"broken usp":   func(s *Signals, _ *rand.Rand) { s.USPrivacy, s.USPrivacyCount = []byte("x"), 1 },
	"empty TCF":    func(s *Signals, _ *rand.Rand) { s.TCF, s.TCFCount = nil, 1 },
	"TCF of noone": func(s *Signals, _ *rand.Rand) { w := world([]string{"tcf-none"}); s.TCF, s.TCFCount = w.TCF, 1 },
}

// Adding a refusal anywhere never grants more.
func TestNoRefusalGrantsMore(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2026))
	words := rows()
	for range 4000 {
		s := world(strings.Fields(words[r.IntN(len(words))]))
		other := world(strings.Fields(words[r.IntN(len(words))]))
		if r.IntN(2) == 0 {
			s.Subject, s.SubjectUnknown = other.Subject, other.SubjectUnknown
		}
		if r.IntN(2) == 0 {
			s.TCF, s.TCFCount, s.GPP, s.GPPCount = other.TCF, other.TCFCount, other.GPP, other.GPPCount
		}
		s.GPC, s.DNT = r.IntN(3) == 0, r.IntN(3) == 0
		base := Decide(s)
		for name, refuse := range refusals {
			m := s
			refuse(&m, r)
			after := Decide(m)
			if more := after.Granted() &^ base.Granted(); more != 0 {
				t.Fatalf("%s granted %05b more\nbefore %+v\nafter  %+v", name, more, s, m)
			}
		}
	}
}

// A choice that is older than the newest refusal known never brings back what that refused.
func TestOldChoiceRevivesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 2026))
	for range 5000 {
		refused := &Choice{Granted: Set(r.UintN(uint(All) + 1)), At: now.Add(-time.Duration(r.IntN(1000)) * time.Hour), Epoch: uint32(1 + r.IntN(9))}
		old := &Choice{Granted: All, At: refused.At.Add(-time.Duration(r.IntN(1000)) * time.Hour), Epoch: uint32(r.IntN(10))}
		if r.IntN(2) == 0 {
			old.At, old.Epoch = refused.At.Add(time.Hour), uint32(r.IntN(int(refused.Epoch)+1))
		}
		for _, s := range []Signals{{Now: now, Choice: old, Subject: refused}, {Now: now, Choice: refused, Subject: old}} {
			d := Decide(s)
			if more := d.Granted() &^ refused.Granted; more != 0 {
				t.Fatalf("%05b came back: %+v after %+v", more, old, refused)
			}
			if m := Merge(s.Choice, s.Subject); m.Granted&^refused.Granted != 0 {
				t.Fatalf("merged to %05b: %+v and %+v", m.Granted, old, refused)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	names := DefaultCookieNames()
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{[]string{"Sec-GPC: 1"}, "gpc"},
		{[]string{"sec-gpc: 0", "SEC-GPC: 1"}, "gpc"},
		{[]string{"Sec-GPC: 0, 1"}, "gpc"},
		{[]string{"Sec-GPC: 10"}, ""}, {[]string{"Sec-GPC: true"}, ""}, {[]string{"Sec-GPC: 1.0"}, ""}, {[]string{"Sec-GPC: "}, ""},
		{[]string{"DNT: 1"}, "dnt"},
		{[]string{"Cookie: euconsent-v2=a; __gpp=b;usprivacy = c"}, "tcf=a/1 gpp=b/1 usp=c/1"},
		{[]string{"Cookie: euconsent-v2=a; euconsent-v2=a"}, "tcf=a/1"},
		{[]string{"Cookie: euconsent-v2=a", "Cookie: euconsent-v2=b"}, "tcf=b/2"},
		{[]string{"Cookie: euconsent-v2"}, ""}, {[]string{"Cookie: =a"}, ""}, {[]string{`Cookie: __gpp="b"`}, "gpp=b/1"},
		{[]string{"Cookie: Euconsent-v2=a"}, ""},
	} {
		var s Signals
		for _, line := range c.lines {
			name, value, _ := strings.Cut(line, ": ")
			s.Header([]byte(name), []byte(value), &names)
		}
		var got []string
		if s.GPC {
			got = append(got, "gpc")
		}
		if s.DNT {
			got = append(got, "dnt")
		}
		for _, one := range []struct {
			name  string
			value []byte
			n     int
		}{{"tcf", s.TCF, s.TCFCount}, {"gpp", s.GPP, s.GPPCount}, {"usp", s.USPrivacy, s.USPrivacyCount}} {
			if one.n > 0 {
				got = append(got, fmt.Sprintf("%s=%s/%d", one.name, one.value, one.n))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %v, want %s", c.lines, got, c.want)
		}
	}
}

func everySignal() Signals {
	s := world([]string{"opt-in", "gpc", "dnt", "allowed-under-gpc", "subject-allowed-before", "tcf-all", "usp-in"})
	s.GPP, s.GPPCount = []byte(benchGPP()), 1
	return s
}

func TestDecideAllSignalsDoesNotAllocate(t *testing.T) {
	s := everySignal()
	var sum Set
	if n := testing.AllocsPerRun(100, func() { d := Decide(s); sum |= d.Granted() }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}

// BenchmarkDecideAll has every signal present.
func BenchmarkDecideAll(b *testing.B) {
	s := everySignal()
	b.ReportAllocs()
	var sum Set
	for b.Loop() {
		d := Decide(s)
		sum |= d.Granted()
	}
}

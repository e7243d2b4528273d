package eval

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"header", "s\ti\tt\n1\ta\t5\n", "1 a 5000"},
		{"no header", "1\ta\t5\n", "1 a 5000"},
		{"milliseconds", "1\ta\t1700000000123", "1 a 1700000000123"},
		{"fraction", "1\ta\t1700000000.5", "1 a 1700000000500"},
		{"RFC 3339", "1\ta\t2026-01-01T00:00:00.25Z\r\n", "1 a 1767225600250"},
		{"zone", "1\ta\t2026-01-01T01:00:00+01:00", "1 a 1767225600000"},
		{"more columns", "1\ta\t5\tx\ty\n", "1 a 5000"},
		{"blank lines", "\n1\ta\t5\n\n", "1 a 5000"},
	} {
		l, err := Read(strings.NewReader(c.text), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := fmt.Sprint(l.events[0].session+1, " ", l.items[0], " ", l.events[0].ms); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no events"},
		{"header only", "s\ti\tt\n", "no events"},
		{"columns", "1\ta\t5\n1 b 6\n", "line 2: not three columns"},
		{"time", "1\ta\t5\n1\tb\tnoon\n", `line 2: time "noon": neither`},
		{"negative", "1\ta\t5\n1\tb\t-6\n", "line 2: time"},
		{"infinite", "1\ta\t5\n1\tb\tInf\n", "line 2: time"},
		{"not a number", "1\ta\t5\n1\tb\tNaN\n", "line 2: time"},
		{"no item", "1\ta\t5\n1\t\t6\n", "line 2: a session or an item without a name"},
		{"long", "1\ta\t5\n1\t" + strings.Repeat("x", 200) + "\t6\n", "line 2: a session or an item"},
		{"long line", "1\ta\t5\n" + strings.Repeat("x", 5000), "line 2: longer"},
	} {
		if _, err := Read(strings.NewReader(c.text), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// The protocol, by hand.
func TestSplit(t *testing.T) {
	const day = 86400
	var b bytes.Buffer
	line := func(session, item string, at int) { fmt.Fprintf(&b, "%s\t%s\t%d\n", session, item, at) }
	line("late", "a", 10*day)
	line("late", "a", 10*day+1) // a repeat
	line("late", "new", 10*day+2)
	line("late", "a", 10*day+3) // a repeat, once new is left out
	line("late", "b", 10*day+4)
	line("early", "b", 5*day+1) // out of order
	line("early", "a", 5*day)
	line("early", "c", 5*day+2)
	line("one", "a", 6*day)
	line("one", "a", 6*day+1)
	line("over", "a", 9*day-100) // ended before the last day began
	line("over", "b", 9*day+3)
	line("night", "a", 9*day) // began before, ended in it
	line("night", "b", 9*day+10)
	line("unknown", "x", 10*day)
	line("unknown", "b", 10*day+1)
	l, err := Read(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	say := func(list []session) string {
		var out []string
		for _, s := range list {
			var one []string
			for _, i := range s.items {
				one = append(one, l.items[i])
			}
			out = append(out, strings.Join(one, ">"))
		}
		return strings.Join(out, " ")
	}
	if got := say(s.train); got != "a>b>c a>b" {
		t.Errorf("learned %s", got)
	}
	if got := say(s.test); got != "a>b a>b" {
		t.Errorf("test %s", got)
	}
	if s.predictions != 2 || s.trainEvents != 5 || s.trainItems != 3 {
		t.Errorf("%d predictions, %d events, %d items", s.predictions, s.trainEvents, s.trainItems)
	}
	for _, days := range []float64{0, -1, 1e9} {
		if _, err := l.Split(days); err == nil {
			t.Errorf("%v days were taken", days)
		}
	}
	if _, err := l.Split(100); err == nil {
		t.Error("nothing was left to learn")
	}
}

// evaluate runs the whole protocol on a log, its last day as the test.
func evaluate(t *testing.T, log *bytes.Buffer) *Report {
	t.Helper()
	l, err := Read(log, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Run(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// The measure itself: a world in which the next item is certain is guessed at once,
// one in which it is not learned never; and the current item is never shown.
func TestMeasure(t *testing.T) {
	var b bytes.Buffer
	for n := range 120 {
		for i := range 3 {
			fmt.Fprintf(&b, "s%d\ti%d\t%d\n", n, n%10*3+i, n*3600+i)
		}
	}
	rep := evaluate(t, &b)
	for _, row := range rep.Rows {
		if row.Name == "popularity" {
			if row.MRR > 0.5 {
				t.Errorf("popularity guesses: %+v", row)
			}
			continue
		}
		if row.HR < 0.999 || row.MRR < 0.749 {
			t.Errorf("a certain world is not guessed: %+v", row)
		}
	}
}

// Of two items the one that is not current is next: whoever never shows the current
// one is always right.
func TestCurrentNotShown(t *testing.T) {
	var b bytes.Buffer
	for n := range 100 {
		fmt.Fprintf(&b, "s%d\ti%d\t%d\ns%d\ti%d\t%d\n", n, n%2, n*3600, n, 1-n%2, n*3600+1)
	}
	rep := evaluate(t, &b)
	for _, row := range rep.Rows {
		if row.MRR != 1 {
			t.Errorf("%+v", row)
		}
	}
}

// On shops with the statistics of real click logs, what ships is far ahead of
// popularity, ahead of each of its parts in hits, and near the best in rank. The
// bounds are a little below what was measured (docs/recommend.md).
func TestQuality(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of -short: it learns four shops of 70,000 events, which takes seconds")
	}
	for _, c := range []struct {
		name    string
		taste   taste
		hr, mrr float64
	}{
		{"usual", usual, 0.56, 0.25},
		{"followers", followers, 0.69, 0.34},
		{"browsers", browsers, 0.52, 0.195},
		{"fashion", fashion, 0.63, 0.28},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, err := Run(split(t, 11, 3200, 110, 40_000, 6, c.taste), Options{})
			if err != nil {
				t.Fatal(err)
			}
			row := map[string]Row{}
			for _, r := range rep.Rows {
				row[r.Name] = r
				t.Logf("%-26s %.3f %.3f coverage %.2f popularity %.3f, %.0f µs, %.0f µs", r.Name, r.HR, r.MRR, r.Coverage, r.Popularity, r.P50, r.P99)
			}
			ships := row["mixed+recents"]
			if ships.HR < c.hr || ships.MRR < c.mrr {
				t.Errorf("HR %.3f, MRR %.3f: below %.3f, %.3f", ships.HR, ships.MRR, c.hr, c.mrr)
			}
			for _, part := range []string{"popularity", "co-visitation", "vmis-knn", "mixed"} {
				if row[part].HR > ships.HR {
					t.Errorf("%s alone has more hits: %.3f > %.3f", part, row[part].HR, ships.HR)
				}
			}
			if rep.Predictions < 1000 || rep.TrainEvents < 20_000 {
				t.Errorf("%d guesses, %d events: too few to say anything", rep.Predictions, rep.TrainEvents)
			}
		})
	}
}

// BESPOKE_LOG=FILE writes the log of the usual shop, to look at by hand.
func TestWriteLog(t *testing.T) {
	name := os.Getenv("BESPOKE_LOG")
	if name == "" {
		t.Skip("checks nothing: it writes a log to look at by hand, where BESPOKE_LOG names a file")
	}
	if err := os.WriteFile(name, newShop(7, 3200, 110, usual).log(78_000, 10, usual), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte("s\ti\tt\n1\ta\t5\n1\tb\t6\n2\ta\t200000\n2\tb\t200001\n"))
	f.Add([]byte("1\ta\t2026-01-01T00:00:00Z\n1\tb\t1e13\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Read(bytes.NewReader(text), nil)
		if err != nil {
			return
		}
		s, err := l.Split(1)
		if err != nil || len(s.train) > 50 {
			return
		}
		rep, err := Run(s, Options{Support: 1})
		if err != nil {
			if strings.Contains(err.Error(), "id:") {
				return // a name that no catalogue takes
			}
			t.Fatal(err)
		}
		for _, r := range rep.Rows {
			if !(r.HR >= 0 && r.HR <= 1 && r.MRR <= r.HR && r.Coverage <= 1) {
				t.Fatalf("%+v", r)
			}
		}
	})
}

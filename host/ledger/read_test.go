package ledger

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorded makes a ledger by the real writer: an hour of an exchange a minute, in
// segments of five, with events between. It returns the folder.
func recorded(t testing.TB) string {
	t.Helper()
	now := plainStart
	dir := t.TempDir()
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys", Origin: "bespoke/test", Window: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		now = plainStart.Add(time.Duration(i) * time.Minute)
		x := busyExchange(now, i)
		switch i % 10 {
		case 3:
			x.Tenant, x.Policies[0].Outcome, x.Decision = "shop", "failed fuel", nil
			x.Policies[0].Given, x.Policies[1].Given, x.Pseudonym = nil, nil, [8]byte{}
		case 7:
			x.Fault, x.Status, x.Served = "origin/slow", 504, "edge"
		}
		if !l.Reserve() {
			t.Fatal("no room")
		}
		l.Exchange(x, true)
		if i%5 == 4 {
			l.Event(Event{Kind: KindChoice, Time: now, Tenant: "stores", Data: map[string]any{"granted": []string{"localize"}, "from": "notice"}})
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir + "/ledger"
}

func TestVerifyWhatTheWriterWrites(t *testing.T) {
	dir := recorded(t)
	v, err := Verify(dir, VerifyOptions{})
	if err != nil || !v.OK() || len(v.Notes) > 0 || !v.Closed || v.Checked != v.Records || v.Size < 12 || len(v.Gaps) > 0 {
		t.Fatalf("%+v %v\n%s\n%s", v, err, said(v.Damage), said(v.Notes))
	}
	// Again, with a crash in between: the writer is left without a close.
	now := plainStart.Add(2 * time.Hour)
	keys := filepath.Join(filepath.Dir(dir), "keys")
	l, err := Open(Config{Dir: dir, Keys: keys, Window: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	l.Exchange(busyExchange(now, 1), l.Reserve())
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "ledger")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(filepath.Dir(crashed), "keys"), os.DirFS(keys)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	now = now.Add(time.Hour)
	l, err = Open(Config{Dir: crashed, Keys: filepath.Join(filepath.Dir(crashed), "keys"), Window: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	v, err = Verify(crashed, VerifyOptions{})
	if err != nil || !v.OK() || len(v.Gaps) != 1 || v.Gaps[0].Kind != "crash" || v.Gaps[0].To.Before(v.Gaps[0].From) {
		t.Fatalf("%+v %v\n%s", v, err, said(v.Damage))
	}
}

func TestReadFilters(t *testing.T) {
	dir := recorded(t)
	minute := func(n int) time.Time { return plainStart.Add(time.Duration(n) * time.Minute) }
	for _, c := range []struct {
		name string
		f    Filter
		want int
	}{
		{"exchanges", Filter{Kind: KindExchange}, 60},
		{"choices", Filter{Kind: KindChoice}, 12},
		{"opens", Filter{Kind: KindOpen}, 1},
		{"choices of a tenant", Filter{Kind: KindChoice, Tenant: "shop"}, 0},
		{"a tenant", Filter{Tenant: "shop"}, 6},
		{"a period", Filter{Kind: KindExchange, From: minute(10), To: minute(20)}, 10},
		{"a period of a tenant", Filter{Tenant: "shop", From: minute(10), To: minute(20)}, 1},
		{"before all", Filter{Kind: KindExchange, To: minute(0)}, 0},
		{"after all", Filter{Kind: KindExchange, From: minute(60)}, 0},
		{"a route", Filter{Route: "/**"}, 60},
		{"another route", Filter{Route: "/"}, 0},
		{"personalize granted", Filter{Granted: "personalize"}, 30},
		{"personalize denied", Filter{Denied: "personalize"}, 24},
		{"localize denied", Filter{Denied: "localize"}, 0},
		{"locate denied, localize granted", Filter{Denied: "locate", Granted: "localize"}, 54},
		{"a rule", Filter{Rule: "withdrawal"}, 54},
		{"a rule that settled another purpose", Filter{Rule: "withdrawal", Denied: "personalize"}, 0},
		{"a policy", Filter{Policy: "nearby"}, 60},
		{"a digest", Filter{Policy: "04050600"}, 60},
		{"a digest too short", Filter{Policy: "0405060"}, 0},
		{"an outcome", Filter{Outcome: "failed"}, 6},
		{"an outcome in full", Filter{Outcome: "failed fuel", Policy: "nearby"}, 6},
		{"an outcome of another policy", Filter{Outcome: "failed", Policy: "welcome@3"}, 0},
		{"a key", Filter{Key: "geo.lat"}, 54},
		{"faults", Filter{Fault: true}, 6},
		{"violations", Filter{Violation: true}, 0},
		{"personal data given", Filter{Personal: true}, 54},
	} {
		n, last := 0, int64(-1)
		for r, err := range Read(dir, c.f) {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if r.Number <= last {
				t.Fatalf("%s: record %d after %d", c.name, r.Number, last)
			}
			last = r.Number
			again, err := At(dir, r.Number)
			if err != nil || !bytes.Equal(again.Line, r.Line) || again.Segment != r.Segment {
				t.Fatalf("record %d: %v\n%s\n%s", r.Number, err, r.Line, again.Line)
			}
			n++
		}
		if n != c.want {
			t.Errorf("%s: %d records, want %d", c.name, n, c.want)
		}
	}
	for _, n := range []int64{-1, 1000, 1 << 40} {
		if _, err := At(dir, n); err == nil {
			t.Errorf("there is a record %d", n)
		}
	}
	for _, f := range []Filter{{Granted: "personalise"}, {From: minute(1), To: minute(1)}} {
		for _, err := range Read(dir, f) {
			if err == nil {
				t.Errorf("%+v", f)
			}
		}
	}
	for r := range Read(dir, Filter{}) { // ends where its reader does
		if r.Number > 3 {
			break
		}
	}
}

func TestReadOfDamage(t *testing.T) {
	dir := recorded(t)
	files, err := filepath.Glob(filepath.Join(dir, segmentsName, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range Read(dir, Filter{}) {
		if last = err; err == nil {
			n++
		}
	}
	if last == nil || n == 0 || !strings.Contains(last.Error(), filepath.Base(files[1])) {
		t.Errorf("%d records, then %v", n, last)
	}
	// Removed from the oldest on, it is what retention does.
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	for _, err := range Read(dir, Filter{To: plainStart.Add(time.Minute)}) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestExport(t *testing.T) {
	dir := recorded(t)
	var out bytes.Buffer
	n, err := Export(&out, dir, Filter{Tenant: "stores", Kind: KindExchange})
	lines := bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))
	if err != nil || n != 54 || len(lines) != 54 {
		t.Fatal(n, len(lines), err)
	}
	for _, l := range lines {
		var x struct {
			Record *int64
			Kind   string
			Tenant string
		}
		if err := json.Unmarshal(l, &x); err != nil || x.Record == nil || x.Kind != KindExchange || x.Tenant != "stores" {
			t.Fatalf("%s: %v", l, err)
		}
		r, err := At(dir, *x.Record)
		if err != nil || string(l[bytes.IndexByte(l, ',')+1:]) != string(r.Line[1:]) {
			t.Fatalf("%s\n%s %v", l, r.Line, err)
		}
	}
}

// The figure is for one core: verifying takes one goroutine.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys", Queue: 1 << 20, Window: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	const segments, each = 40, 10_000
	for s := range segments {
		for i := range each {
			x := busyExchange(plainStart.Add(time.Duration(s)*time.Second+time.Duration(i/10)*time.Millisecond), i)
			l.Exchange(x, l.Reserve())
		}
		if err := l.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		v, err := Verify(dir+"/ledger", VerifyOptions{})
		if err != nil || !v.OK() || v.Checked < segments*each {
			b.Fatalf("%+v %v", v, err)
		}
	}
	b.ReportMetric(float64(segments*each)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// busyExchange has every field; i varies what differs from one to the next.
func busyExchange(at time.Time, i int) *Exchange {
	x := &Exchange{
		Time: at, Tenant: "stores", Route: "/**", Served: "origin", Status: 200,
		Decision: &Decision{Facts: "optin choice", Purposes: []PurposeDecision{
			{"localize", true, "choice", "site"}, {"locate", false, "withdrawal", "site"}, {"personalize", i%2 == 0, "choice", "site"},
			{"advertise", false, "choice", "site"}, {"measure", false, "choice", "site"},
		}},
		Policies: []Policy{
			{Name: "nearby", Digest: [16]byte{1, 2, 3}, Outcome: "ran", Edits: 2, Reads: Reads{Given: []string{"geo.lat", "geo.lon", "config.*"}, Absent: []string{"request.query.q"}}},
			{Name: "welcome@3", Digest: [16]byte{4, 5, 6}, Version: 3, Outcome: "ran", Edits: 1, Reads: Reads{Given: []string{"preference.name"}}},
		},
		Plan: [16]byte{byte(i), byte(i >> 8), 7, 9}, Edits: 3, Applied: 52, Sealed: true,
	}
	if i%2 == 0 {
		x.Pseudonym = [8]byte{0xab, byte(i)}
		x.Policies[1].Given = append(x.Policies[1].Given, "profile.affinity.*")
	} else {
		x.Policies[1].Withheld = []string{"profile.affinity.*"}
	}
	return x
}

func TestScanIsTheInverseOfAppend(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 10, 11, 7_000_000, time.UTC)
	full := busyExchange(at, 2)
	full.Fault, full.Stopped, full.Untouched, full.Exhibit = "origin/slow", "a \"quote\"\\", "new\nline\x01", "e\u2028\ufffd"
	full.NotApplied, full.In, full.Out, full.Decision.Jurisdiction = 4, [32]byte{31: 1}, [32]byte{1}, "eea"
	for _, x := range []*Exchange{full, busyExchange(at, 1), {Time: at}, {Time: at, Decision: &Decision{}}, {Time: at, Policies: []Policy{{}}}} {
		line := x.AppendJSON(nil)
		r, err := ParseRecord(line)
		if err != nil {
			t.Fatalf("%s\n%v", line, err)
		}
		if again := r.Exchange.AppendJSON(nil); !bytes.Equal(again, line) {
			t.Errorf("read   %s\nwrites %s", line, again)
		}
		if !json.Valid(line) {
			t.Errorf("no JSON: %s", line)
		}
	}
	r, err := ParseRecord(full.AppendJSON(nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Exchange.Policies { // absent lists come back empty, not nil
		p := &r.Exchange.Policies[i]
		for _, l := range []*[]string{&p.Given, &p.Withheld, &p.Absent, &p.Undeclared} {
			if len(*l) == 0 {
				*l = nil
			}
		}
	}
	if !reflect.DeepEqual(r.Exchange, full) {
		t.Errorf("got  %+v\nwant %+v", r.Exchange, full)
	}
	e := &Event{Kind: KindChoice, Time: at, Tenant: "stores", Data: map[string]any{"granted": []string{"localize"}, "from": "notice", "n": 3}}
	line, err := e.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = ParseRecord(line); err != nil || r.Event.Kind != KindChoice || r.Event.Tenant != "stores" || !r.Time().Equal(at) ||
		string(r.Event.Data.(json.RawMessage)) != `{"from":"notice","granted":["localize"],"n":3}` {
		t.Errorf("%s\n%+v %v", line, r.Event, err)
	}
}

func TestScanRefuses(t *testing.T) {
	const head = `{"kind":"exchange","time":"2026-11-22T05:10:11.007Z"`
	const digest = `,"digest":"01000000000000000000000000000000"`
	const event = `{"kind":"choice","time":"2026-11-22T05:10:11.007Z"`
	for _, c := range []struct{ line, want string }{
		{``, `expected {"kind":`},
		{head, `expected }`},
		{head + `} `, `the end of the line`},
		{head + `,"status":0}`, `above zero`},
		{head + `,"status":007}`, `a number`},
		{head + `,"status":-7}`, `a number`},
		{head + `,"tenant":""}`, `empty ones`},
		{head + `,"route":"/","tenant":"a"}`, `expected }`},
		{head + `,"tenant":"a","tenant":"b"}`, `expected }`},
		{head + `,"tenant":"a` + "\n" + `"}`, `control`},
		{head + `,"tenant":"\u0041"}`, `control character`},
		{head + `,"tenant":"\n"}`, `control character`},
		{head + `,"tenant":"\u000A"}`, `control character`},
		{head + `,"tenant":"` + "\xff" + `"}`, `UTF-8`},
		{head + `,"plan":"00000000000000000000000000000000"}`, `zero is left out`},
		{head + `,"plan":"AB000000000000000000000000000000"}`, `hexadecimal`},
		{head + `,"decision":{"granted":["localize"],"by":{"locate":"a/b"}}}`, `same order`},
		{head + `,"decision":{"granted":[],"by":{"locate":"a/b","locate":"a/b"}}}`, `once`},
		{head + `,"decision":{"granted":[],"by":{"locate":"ab"}}}`, `rule/signal`},
		{head + `,"policies":[]}`, `{"policy":`},
		{head + `,"policies":[{"policy":"a","given":[]}]}`, `a text`},
		{head + `,"policies":[{"policy":"a","outcome":"ran"}]}`, `left out`},
		{head + `,"policies":[{"policy":"a","digest":""}]}`, `none before`},
		{head + `,"policies":[{"policy":"a"` + digest + `},{"policy":"b"` + digest + `}]}`, `left out`},
		{`{"kind":"exchange","time":"2026-02-30T05:10:11.007Z"}`, `a date`},
		{`{"kind":"exchange","time":"2026-02-20T24:10:11.007Z"}`, `time of day`},
		{`{"kind":"exchange","time":"2026-02-20T05:10:11.0070"}`, `time of day`},
		{event + `,"data":[]}`, `an object`},
		{event + `,"data":{"a": 1}}`, `spaces`},
		{event + `,"data":{"a":1,"a":2}}`, `once`},
		{event + `,"data":{"b":[{"a":1,"a":2}]}}`, `once`},
		{event + `,"data":{"a":1}}}`, `an object`},
		{event + `,"data":{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}`, `levels`},
		{`{"kind":"","time":"2026-11-22T05:10:11.007Z"}`, `empty ones`},
		{head + `,"tenant":"` + strings.Repeat("a", maxRecord) + `"}`, `at most`},
	} {
		if _, err := ParseRecord([]byte(c.line)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s\n\tgot %v, want %s", c.line, err, c.want)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	var s scanner
	line := busyExchange(time.Date(2026, 11, 22, 5, 10, 11, 0, time.UTC), 2).AppendJSON(nil)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := s.record(line); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestScanSeenBefore reads lines with one scanner, which remembers pieces of them, and each with a new
// one, which has nothing to remember.
func TestScanSeenBefore(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	at := time.Date(2026, 11, 22, 5, 10, 11, 7_000_000, time.UTC)
	var s scanner
	x := new(Exchange)
	hits, refused := 0, 0
	for i := range 20_000 {
		typical(r, x, 3, at)
		for n := r.IntN(12); n > 0 && i%16 == 0; n-- { // more than are remembered, on one line
			p := Policy{Name: "more", Outcome: Ran, Reads: Reads{Given: []string{fmt.Sprint("key.", r.IntN(20))}}}
			x.Policies = append(x.Policies, p)
		}
		line := x.AppendJSON(nil)
		if i%3 == 0 { // damaged
			line[r.IntN(len(line))] ^= 1 << r.IntN(8)
		}
		for j := range s.seenReads.pieces {
			if text := s.seenReads.pieces[j].text; len(text) > 0 && bytes.Contains(line, text) {
				hits++
				break
			}
		}
		got, err := s.record(line)
		want, wantErr := ParseRecord(line)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s\n%v, alone %v", line, err, wantErr)
		}
		if err != nil {
			refused++
			continue
		}
		if got.Exchange == nil {
			continue
		}
		if a, b := got.Exchange.AppendJSON(nil), want.Exchange.AppendJSON(nil); !bytes.Equal(a, b) || !bytes.Equal(a, line) {
			t.Fatalf("%s\nread   %s\nalone  %s", line, a, b)
		}
	}
	if hits < 10_000 || refused < 1000 {
		t.Errorf("%d lines with what was seen, %d refused", hits, refused)
	}
}

// What the scanner takes is exactly what the writer writes.
func FuzzScan(f *testing.F) {
	at := time.Date(2026, 11, 22, 5, 10, 11, 7_000_000, time.UTC)
	f.Add(busyExchange(at, 1).AppendJSON(nil))
	f.Add(busyExchange(at, 2).AppendJSON(nil))
	f.Add([]byte(`{"kind":"choice","time":"2026-11-22T05:10:11.007Z","tenant":"a","data":{"granted":["localize"],"from":"notice"}}`))
	f.Add([]byte(`{"kind":"close","time":"2026-11-22T05:10:11.007Z"}`))
	var s scanner
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := s.record(line)
		if err != nil {
			return
		}
		var again []byte
		if r.Exchange != nil {
			again = r.Exchange.AppendJSON(nil)
		} else if _, plain := r.Event.Data.(json.RawMessage); plain {
			head := Event{Kind: r.Event.Kind, Time: r.Event.Time, Tenant: r.Event.Tenant}
			again, err = head.AppendJSON(nil)
			again = fmt.Appendf(again[:len(again)-1], `,"data":%s}`, r.Event.Data)
		} else {
			again, err = r.Event.AppendJSON(nil)
		}
		if err != nil || !bytes.Equal(again, line) {
			t.Errorf("read   %q\nwrites %q (%v)", line, again, err)
		}
		if !json.Valid(line) {
			t.Errorf("no JSON: %q", line)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	var s scanner
	line := busyExchange(time.Date(2026, 11, 22, 5, 10, 11, 0, time.UTC), 2).AppendJSON(nil)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.record(line); err != nil {
			b.Fatal(err)
		}
	}
}

package edge

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bespoke/host/audit/exhibit"
	"bespoke/host/ledger"
)

// replayable is a ledger with one exhibit of a page that three policies edited, one of
// them read the page's heading, the query and the clock.
func replayable(t *testing.T) (k *kept, name string, e *exhibit.Exhibit, recorded *ledger.Exchange) {
	t.Helper()
	keys := []string{"page.h1", "request.query.q", "time.now", "config.colour", "consent.personalize", "geo.city"}
	declare := map[string]string{}
	for _, key := range keys {
		declare[key] = "to test"
	}
	file := filepath.Join(t.TempDir(), "teller.wasm")
	if err := os.WriteFile(file, teller(keys, declare), 0o600); err != nil {
		t.Fatal(err)
	}
	k = keeping(t, html("<!DOCTYPE html><h1>Head</h1><ul id=results><li data-lat=1 data-lon=2>x</ul>"+slots(keys)), routes(`
      - path: /**
        policies:
          - {use: nearby, with: {list: "#results"}}
          - {use: "file:`+file+`", with: {colour: blue}}
          - {use: greet, with: {slot: "#k0"}}
`))
	k.visitor(berlin, "Sec-GPC", "1").get("/shop?q=tea")
	all := k.all()
	for name, e = range all {
	}
	if len(all) != 1 {
		t.Fatalf("%d exhibits", len(all))
	}
	for rec, err := range ledger.Read(filepath.Join(k.state, LedgerFolder), ledger.Filter{Kind: ledger.KindExchange}) {
		if err != nil {
			t.Fatal(err)
		}
		recorded = rec.Exchange
	}
	if recorded == nil || recorded.Exhibit != name {
		t.Fatalf("recorded %+v", recorded)
	}
	return k, name, e, recorded
}

// What an edge did otherwise than it says, a replay tells, even if the exhibit and the
// record agree with each other.
func TestReplayFindsWhatDiffers(t *testing.T) {
	k, _, e, recorded := replayable(t)
	r := replayer(t, k.dir)
	text, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	value := func(s string) *exhibit.Text { v := exhibit.Text(s); return &v }
	read := func(e *exhibit.Exhibit, key string) *exhibit.Read {
		for i := range e.Runs {
			for j := range e.Runs[i].Reads {
				if e.Runs[i].Reads[j].Key == key {
					return &e.Runs[i].Reads[j]
				}
			}
		}
		t.Fatalf("nobody read %s", key)
		return nil
	}
	last := func(e *exhibit.Exhibit) *exhibit.Run { // of the teller
		i := slices.IndexFunc(e.Runs, func(r exhibit.Run) bool { return r.Policy == 1 })
		return &e.Runs[i]
	}
	for _, tt := range []struct {
		name string
		do   func(*exhibit.Exhibit, *ledger.Exchange)
		want string // "": equal
	}{
		{"nothing", func(*exhibit.Exhibit, *ledger.Exchange) {}, ""},
		{"a byte that was sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Sent.Body[20] ^= 1 }, "the body differs from byte 20 on"},
		{"a byte more was sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Sent.Body = append(e.Sent.Body, 'x') }, "the body differs"},
		{"the visitor's city in what was sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			e.Sent.Body = bytes.Replace(e.Sent.Body, []byte(">absent<"), []byte(">Berlin<"), 1)
		}, `"`},
		{"a byte of the origin's", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Origin.Body[4] ^= 1 }, "the body differs"},
		{"the origin's status", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Origin.Status = 203 }, "the status is 203, 200 was sent"},
		{"the status sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Sent.Status = 404 }, "the status is 200, 404 was sent"},
		{"a header sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			e.Sent.Header = append(e.Sent.Header, exhibit.Field{Name: "X-Visitor", Value: "1"})
		}, "X-Visitor"},
		{"a header not sent", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Sent.Header = e.Sent.Header[1:] }, "header"},
		{"a read's value", func(e *exhibit.Exhibit, _ *ledger.Exchange) { read(e, "page.h1").Value = value("Other") }, `read 1: "page.h1" is "Head", in the exhibit "Other"`},
		{"a city given to who refused", func(e *exhibit.Exhibit, _ *ledger.Exchange) { read(e, "geo.city").Value = value("Berlin") }, `"geo.city" is absent, in the exhibit "Berlin"`},
		{"a read answered as absent", func(e *exhibit.Exhibit, _ *ledger.Exchange) { read(e, "request.query.q").Value = nil }, `"request.query.q" is "tea", in the exhibit absent`},
		{"reads in another order", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			rs := last(e).Reads
			rs[0], rs[1] = rs[1], rs[0]
		}, `read 1: it is of "page.h1", in the exhibit of "request.query.q"`},
		{"a read less", func(e *exhibit.Exhibit, _ *ledger.Exchange) { r := last(e); r.Reads = r.Reads[:len(r.Reads)-1] }, "the exhibit has no more"},
		{"a read more", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			r := last(e)
			r.Reads = append(r.Reads, exhibit.Read{Key: "geo.lat"})
		}, "6 reads, the exhibit has 7"},
		{"an edit", func(e *exhibit.Exhibit, _ *ledger.Exchange) { last(e).Edits[0].A = "Berlin" }, "edit 1"},
		{"an edit less", func(e *exhibit.Exhibit, _ *ledger.Exchange) { r := last(e); r.Edits = r.Edits[1:] }, "edit"},
		{"an edit that was refused", func(e *exhibit.Exhibit, _ *ledger.Exchange) { last(e).Edits[0].Refused = 1 }, "edit 1"},
		{"a run less", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Runs = e.Runs[:len(e.Runs)-1] }, "the exhibit has no more"},
		{"a run more", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Runs = append(e.Runs, exhibit.Run{Phase: "response"}) }, "runs, the exhibit has"},
		{"a run of another policy", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Runs[0].Policy = 2 }, "it is of nearby"},
		{"a setting", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Policies[1].With[0].Value = "red" }, `"config.colour" is "red", in the exhibit "blue"`},
		{"another of the module's policies", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Policies[0].Entry = "rank" }, "run 1"},
		{"another module", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			e.Policies[0].Module, e.Policies[0].Entry = e.Policies[1].Module, "teller"
		}, "run 1"},
		{"the clock", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Time = e.Time.Add(time.Hour) }, `"time.now" is`},
		{"the zone", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Zone = "Asia/Tokyo" }, `"time.now" is`},
		{"the query", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Request.Target = "/shop?q=coffee" }, `"request.query.q" is "coffee", in the exhibit "tea"`},
		{"the facts", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Facts = "" }, "the decision from the facts"},
		{"what is granted", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Granted = append(e.Granted, "personalize") }, "the decision from the facts"},
		{"who was asked", func(e *exhibit.Exhibit, _ *ledger.Exchange) {
			e.Asks = true
			e.Request.Header = append(e.Request.Header, exhibit.Field{Name: "sec-fetch-dest", Value: "document"})
		}, "the body"},
		{"the record's facts", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Decision.Facts = "gpc" }, "the record differs"},
		{"a purpose in the record", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Decision.Purposes[2].Granted = true }, "the record differs"},
		{"a key in the record", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Policies[1].Withheld = nil }, "the record differs"},
		{"a policy in the record", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Policies = x.Policies[1:] }, "the record differs"},
		{"a digest of a policy", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Policies[0].Digest[3] ^= 1 }, "the record differs"},
		{"the digest of edits", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Plan[0] ^= 1 }, "the record differs"},
		{"the digest of the origin's body", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.In[0] ^= 1 }, "the record differs"},
		{"the digest of the sent body", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Out[0] ^= 1 }, "the record differs"},
		{"a pseudonym", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Pseudonym[0] = 1 }, "the record differs"},
		{"a route", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Route = "/other" }, "the record differs"},
		{"the time of the record", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Time = x.Time.Add(time.Second) }, "the record differs"},
		{"edits that counted", func(_ *exhibit.Exhibit, x *ledger.Exchange) { x.Applied++ }, "the record differs"},
		{"another host", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Request.Host = "a b" }, "fault visitor/bad-request"},
		{"no origin", func(e *exhibit.Exhibit, _ *ledger.Exchange) { e.Origin = nil }, "fault origin/down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := exhibit.Parse(bytes.Clone(text))
			if err != nil {
				t.Fatal(err)
			}
			line, err := ledger.ParseRecord(recorded.AppendJSON(nil))
			if err != nil {
				t.Fatal(err)
			}
			tt.do(e, line.Exchange)
			got, err := r.Replay(e, line.Exchange)
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(got, "\n"); (tt.want == "") != (len(got) == 0) || !strings.Contains(all, tt.want) {
				t.Errorf("found\n%s\nwant %q", all, tt.want)
			}
		})
	}
}

// Files that were changed are told, with the record that they belong to.
func TestReplayOfChangedFiles(t *testing.T) {
	k, name, _, _ := replayable(t)
	file := filepath.Join(k.dir, name+".zst")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(k.dir, "modules", "*"))
	if err != nil || len(modules) != 2 {
		t.Fatalf("modules %v, %v", modules, err)
	}
	code, err := os.ReadFile(modules[0])
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(modules[1])
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := func() *ReplayReport {
		t.Helper()
		r, err := ReplayLedger(context.Background(), ReplayConfig{State: k.state, cache: compiled()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	expect := func(what, want string) {
		t.Helper()
		r := report()
		if r.OK() || len(r.Differences) == 0 || !strings.Contains(r.Differences[0].Text, want) || r.Differences[0].Record < 0 || r.Differences[0].Exhibit != name {
			t.Errorf("%s: %+v, want %q", what, r, want)
		}
	}
	if r := report(); !r.OK() || r.Exhibits != 1 {
		t.Fatalf("%+v", r)
	}
	for i := range 24 { // anywhere
		at := i * (len(whole) - 1) / 23
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		write(file, b)
		expect("a bit of byte "+strings.Repeat("i", i), "")
	}
	write(file, whole[:len(whole)/2])
	expect("half of it", "")
	write(file, nil)
	expect("nothing in it", exhibit.ErrName.Error())
	write(file, whole)

	// An exhibit in another's place.
	k2, name2, _, _ := replayable(t)
	b, err := os.ReadFile(filepath.Join(k2.dir, name2+".zst"))
	if err != nil {
		t.Fatal(err)
	}
	write(file, b)
	expect("another exhibit", exhibit.ErrName.Error())
	write(file, whole)
	write(filepath.Join(k.dir, name2+".zst"), b)
	if r := report(); !r.OK() || r.Unnamed != 1 {
		t.Errorf("an exhibit that no record names: %+v", r)
	}

	write(modules[0], other)
	expect("a module in another's place", exhibit.ErrName.Error())
	write(modules[0], code)
	os.Remove(modules[1])
	expect("a module less", "no such file")
	write(modules[1], other)
	os.Remove(file)
	if r := report(); !r.OK() || r.Gone != 1 || r.Exhibits != 0 {
		t.Errorf("gone: %+v", r)
	}
	if _, err := ReplayLedger(context.Background(), ReplayConfig{State: k.state, Exhibit: name}); err == nil {
		t.Error("an exhibit that is gone was asked for by name, and nothing is said")
	}
}

// A decision that does not follow from its facts is told, in any exchange.
func TestReplayOfDecisions(t *testing.T) {
	k, _, _, recorded := replayable(t)
	_ = k
	for _, tt := range []struct {
		name string
		do   func(*ledger.Decision)
		want string
	}{
		{"as it was", func(*ledger.Decision) {}, ""},
		{"granted", func(d *ledger.Decision) { d.Purposes[2].Granted = true }, "lead to personalize denied by"},
		{"rule", func(d *ledger.Decision) { d.Purposes[0].Rule = "choice" }, "recorded is localize denied by choice"},
		{"signal", func(d *ledger.Decision) { d.Purposes[0].Signal = "choice" }, "recorded is localize"},
		{"facts", func(d *ledger.Decision) { d.Facts = "said=yyyyy" }, "facts"},
		{"other facts", func(d *ledger.Decision) { d.Facts = "said=ggggg" }, "lead to localize granted"},
		{"a purpose less", func(d *ledger.Decision) { d.Purposes = d.Purposes[:4] }, "4 purposes"},
	} {
		line, err := ledger.ParseRecord(recorded.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		tt.do(line.Exchange.Decision)
		var r ReplayReport
		r.decideAgain(&line)
		if got := len(r.Differences) > 0; got != (tt.want != "") || got && !strings.Contains(r.Differences[0].Text, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.name, r.Differences, tt.want)
		}
	}
}

func replayer(t testing.TB, dir string) *Replayer {
	t.Helper()
	r, err := NewReplayer(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r.cache = compiled()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

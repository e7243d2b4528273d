package edge

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/ledger"
	"bespoke/host/profile"
)

// A counter is a ledger that only counts.
type counter struct{ records int }

func (*counter) Reserve() bool                             { return true }
func (c *counter) Exchange(x *ledger.Exchange, _ bool)     { c.records++ }
func (*counter) Event(ledger.Event)                        {}
func (*counter) Pseudonym(d *[8]byte, _ string, id []byte) { copy(d[:], id) }
func (*counter) SealDigest(sum [32]byte) [32]byte          { return sum }

// doneExchange is one that was taken through its phases, and is yet to be recorded:
// two policies, given a place and a name.
func (r *rig) doneExchange(tb testing.TB) *exchange {
	tb.Helper()
	in := DryInput{
		Host: "shop.localhost", Page: []byte(page), Preferences: profile.Preferences{Name: "Jane"},
		Place:  geo.Place{Country: "DE", City: "Berlin", Located: true, Lat: 52.52, Lon: 13.4, Precision: geo.Exact},
		Choice: &consent.Choice{Granted: consent.All, At: r.clock.now().Add(-time.Hour), Epoch: 1},
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(in.request(), nil, nil)
	x := exchanges.Get().(*exchange)
	x.edge, x.ctx, x.snap, x.began = r.edge, &ctx, r.edge.acquire(), r.clock.now()
	tb.Cleanup(x.end)
	x.tally.open(r.edge, time.Now())
	if _, err := x.dry(in); err != nil {
		tb.Fatal(err)
	}
	x.subject.key = "subjects/key" // known to the site
	return x
}

func TestRecordDoesNotAllocate(t *testing.T) {
	c := new(counter)
	r := newRig(t, html(page), recordedBy(c), logging(slog.LevelError))
	x := r.doneExchange(t)
	before := c.records
	if n := testing.AllocsPerRun(200, func() { x.record(noFault) }); n != 0 {
		t.Errorf("a record takes %v allocations", n)
	}
	if c.records-before < 200 || len(x.rec.record.Policies) != 2 || x.rec.record.Edits != 2 || !x.rec.record.Sealed || x.rec.record.Pseudonym == [8]byte{} {
		t.Errorf("%d records, such as %s", c.records-before, x.rec.record.AppendJSON(nil))
	}
}

// BenchmarkRecord is what the goroutine of an exchange spends on its record. The
// bytes are those of the record before it is compressed.
func BenchmarkRecord(b *testing.B) {
	dir := b.TempDir()
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Keys: filepath.Join(dir, "keys"), Queue: 1 << 22})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	r := newRig(b, html(page), recordedBy(l), logging(slog.LevelError))
	x := r.doneExchange(b)
	b.ReportAllocs()
	for b.Loop() {
		x.record(noFault)
	}
	b.ReportMetric(float64(len(x.rec.record.AppendJSON(nil))), "bytes/record")
}

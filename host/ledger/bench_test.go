package ledger

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// typical is an exchange of a shop that is busy: three policies that read twelve
// keys besides their settings, on some route of some tenant, for visitors of whom half have granted
// personalization. What is random in reality is random here.
func typical(r *rand.Rand, x *Exchange, now time.Time) {
	tenant := int(r.ExpFloat64()*3) % len(benchTenants)
	route := int(r.ExpFloat64()*2) % len(benchRoutes)
	*x = Exchange{
		Time: now, Tenant: benchTenants[tenant], Route: benchRoutes[route], Served: "origin", Status: 200,
		Policies: x.Policies[:3], Edits: 3 + r.IntN(9),
	}
	if r.IntN(40) == 0 {
		x.Status = 404
	}
	x.Applied = x.Edits - r.IntN(2)
	binary.LittleEndian.PutUint64(x.Plan[:], r.Uint64())
	binary.LittleEndian.PutUint64(x.Plan[8:], r.Uint64())
	v := &benchVisitors[min(int(r.ExpFloat64()*2), len(benchVisitors)-1)]
	d := &Decision{Facts: v.facts, Jurisdiction: v.jurisdiction}
	for i, p := range []string{"localize", "locate", "personalize", "advertise", "measure"} {
		d.Purposes = append(d.Purposes, PurposeDecision{p, v.granted[i] == '1', v.rules[i], v.signals[i]})
	}
	d.Encode() // as the edge does, for which there are few that differ
	x.Decision = d
	granted := v.granted[2] == '1'
	if x.Sealed = granted; granted {
		binary.LittleEndian.PutUint64(x.Pseudonym[:], r.Uint64())
	}
	for i := range x.Policies {
		p := &x.Policies[i]
		p.Name = benchPolicies[(tenant+i)%len(benchPolicies)]
		p.Digest = [16]byte{byte(i / 2), 0x5a, byte(tenant), 0xc3, 0x11, 0x9f, byte(tenant * 7), 0x42, 8, 0xd1, 0x0e, 0x77, 0x3a, 0xb4, 0xee, 1}
		p.Outcome, p.Edits = "ran", (route+i)%4
		p.Reads = Reads{Given: benchKeys[i]}
		if !granted {
			p.Reads = Reads{Given: benchKeys[i][:2], Withheld: benchKeys[i][2:]}
		}
		p.Reads.Encode()
	}
	x.Policies[2].Edits = x.Edits - x.Policies[0].Edits - x.Policies[1].Edits
	if r.IntN(64) == 0 {
		for i := range x.In {
			x.In[i], x.Out[i] = byte(r.Uint32()), byte(r.Uint32())
		}
	}
}

var (
	benchTenants  = []string{"stores", "decor", "news", "learning", "travel.example", "books", "office", "bank", "feeds", "cards", "maps", "mail"}
	benchRoutes   = []string{"/**", "/products/**", "/search", "/api/**", "/account/**", "/cart"}
	benchVisitors = []struct {
		facts, jurisdiction, granted string
		rules, signals               [5]string
	}{
		{"optin", "eea", "00000", [5]string{"default", "default", "default", "default", "default"}, [5]string{"jurisdiction", "jurisdiction", "jurisdiction", "jurisdiction", "jurisdiction"}},
		{"optin choice", "", "10101", [5]string{"choice", "choice", "choice", "choice", "choice"}, [5]string{"choice", "choice", "choice", "choice", "choice"}},
		{"optout gpc", "us-ca", "10001", [5]string{"default", "default", "gpc", "gpc", "default"}, [5]string{"jurisdiction", "jurisdiction", "sec-gpc", "sec-gpc", "jurisdiction"}},
		{"optin tcf=1,3,4,5,6", "", "00110", [5]string{"tcf", "tcf", "tcf", "tcf", "tcf"}, [5]string{"tcf", "tcf", "tcf", "tcf", "tcf"}},
		{"optin withdrawal", "", "00000", [5]string{"withdrawal", "withdrawal", "withdrawal", "withdrawal", "withdrawal"}, [5]string{"choice", "choice", "choice", "choice", "choice"}},
		{"optout gpc choice", "", "11101", [5]string{"choice", "choice", "choice", "gpc", "choice"}, [5]string{"choice", "choice", "choice", "sec-gpc", "choice"}},
		{"optout", "us-va", "10111", [5]string{"default", "default", "default", "default", "default"}, [5]string{"jurisdiction", "jurisdiction", "jurisdiction", "jurisdiction", "jurisdiction"}},
	}
	benchPolicies = []string{"nearby", "greet", "welcome@3", "ranked", "theme", "recommend", "offers"}
	benchKeys     = [][]string{
		{"page.#results li@data-lat", "request.path", "geo.lat", "geo.lon"},
		{"preference.name", "time.hour", "geo.city", "profile.persona"},
		{"consent.personalize", "recommend.best-sellers", "profile.recent", "profile.affinity.*"},
	}
)

func newTypical() *Exchange {
	return &Exchange{Policies: make([]Policy, 3)}
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecord is what recording a typical exchange costs all in: encoding, queue, hashes, compression,
// files. "cpu-ns/record" is processor time of the whole process without that of making the exchange up;
// "B/record" is what it takes on disk, statements and tiles apart.
func BenchmarkRecord(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := b.TempDir()
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	exchanges := make([]*Exchange, 4096)
	now := time.Now()
	size := 0
	for i := range exchanges {
		exchanges[i] = newTypical()
		typical(r, exchanges[i], now.Add(time.Duration(i)*20*time.Microsecond))
		size += len(exchanges[i].AppendJSON(nil))
	}
	before := l.Status()
	b.ResetTimer()
	begin := cpu()
	for i := range b.N {
		x := exchanges[i%len(exchanges)]
		// What no two exchanges share; the rest repeats only beyond what the compressor remembers.
		x.Time = x.Time.Add(80 * time.Millisecond)
		binary.LittleEndian.PutUint64(x.Plan[:], r.Uint64())
		binary.LittleEndian.PutUint64(x.Plan[8:], r.Uint64())
		if x.Sealed {
			binary.LittleEndian.PutUint64(x.Pseudonym[:], r.Uint64())
		}
		for !l.Reserve() {
			time.Sleep(time.Millisecond)
		}
		l.Exchange(x, true)
	}
	if err := l.Flush(); err != nil {
		b.Fatal(err)
	}
	spent := cpu() - begin
	b.StopTimer()
	after := l.Status()
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/record")
	b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(after.Records-before.Records), "B/record")
	b.ReportMetric(float64(size)/float64(len(exchanges)), "B/line")
}

// BenchmarkEncode is the part of it that happens in the exchange's own goroutine, before the queue.
func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x := newTypical()
	typical(r, x, time.Now())
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		buf = x.AppendJSON(buf[:0])
	}
	b.ReportMetric(float64((cpu()-begin).Nanoseconds())/float64(b.N), "cpu-ns/record")
}

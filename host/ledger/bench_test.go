package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// typical is an exchange of a shop that is busy, with up to three policies, on some route of some
// tenant, for some visitor; its words are those of the edge. What is random in reality is random here.
func typical(r *rand.Rand, x *Exchange, policies int, now time.Time) {
	tenant := int(r.ExpFloat64()*3) % len(benchTenants)
	route := int(r.ExpFloat64()*2) % len(benchRoutes)
	*x = Exchange{Time: now, Tenant: benchTenants[tenant], Route: benchRoutes[route], Served: "origin", Status: 200, Policies: x.Policies[:0]}
	if r.IntN(40) == 0 {
		x.Status = 404
	}
	if r.IntN(64) == 0 {
		for i := range x.In {
			x.In[i], x.Out[i] = byte(r.Uint32()), byte(r.Uint32())
		}
	}
	if policies == 0 {
		return
	}
	v := &benchVisitors[min(int(r.ExpFloat64()*2), len(benchVisitors)-1)]
	x.Decision = v.decision()
	personal := v.granted[2] == '1'
	for i := range policies {
		x.Policies = append(x.Policies, benchPolicy(i, personal, tenant))
	}
	x.Edits = 3 + r.IntN(9)
	x.Applied = x.Edits - r.IntN(2)
	left := x.Edits
	for i := range x.Policies[1:] {
		x.Policies[i].Edits = (route + i) % 4
		left -= x.Policies[i].Edits
	}
	x.Policies[policies-1].Edits = max(left, 0)
	binary.LittleEndian.PutUint64(x.Plan[:], r.Uint64())
	binary.LittleEndian.PutUint64(x.Plan[8:], r.Uint64())
	if x.Sealed = personal; personal {
		binary.LittleEndian.PutUint64(x.Pseudonym[:], r.Uint64())
	}
}

func newTypical() *Exchange {
	x := new(Exchange)
	typical(rand.New(rand.NewPCG(1, 2)), x, 3, time.Now())
	return x
}

type benchVisitor struct {
	facts, jurisdiction, granted string
	by                           [5]string
}

// decision is encoded, as in the edge, for which there are few that differ.
func (v *benchVisitor) decision() *Decision {
	d := &Decision{Facts: v.facts, Jurisdiction: v.jurisdiction}
	for i, p := range []string{"localize", "locate", "personalize", "advertise", "measure"} {
		rule, signal, _ := strings.Cut(v.by[i], "/")
		d.Purposes = append(d.Purposes, PurposeDecision{p, v.granted[i] == '1', rule, signal})
	}
	d.Encode()
	return d
}

// benchPolicy is one of three built-in policies, or one that a tenant uploaded.
func benchPolicy(i int, personal bool, tenant int) Policy {
	p := Policy{Name: []string{"nearby", "rank", "greet"}[i], Outcome: Ran, Digest: [16]byte{0xbd, 0x6c, 0x3c, 0xf6, 0x18, 0x16, 0x0a, 0x38, 0x42, 0x12, 0x3f, 0xce, 0x8c, 0x3f, 0x66, 0x3b}}
	if i == 0 && tenant%4 == 1 {
		p.Name, p.Version, p.Digest[0] = "opening@active", 3, byte(tenant)
	}
	if personal {
		p.Reads = []Reads{
			{Given: []string{"geo.lat", "geo.lon"}},
			{Given: []string{"profile.affinity.*", "request.query.*"}, Absent: []string{"preference.hidden", "preference.muted", "preference.sort"}},
			{Given: []string{"preference.name"}},
		}[i]
	} else {
		p.Reads = []Reads{
			{Withheld: []string{"geo.lat", "geo.lon"}},
			{Withheld: []string{"profile.affinity.*"}, Absent: []string{"preference.hidden", "preference.muted", "preference.sort", "request.query.*"}},
			{Absent: []string{"preference.name"}},
		}[i]
	}
	p.Reads.Encode()
	return p
}

// benchVisitors are by how often they come.
var (
	benchTenants  = []string{"stores", "decor", "news", "learning", "travel.example", "books", "office", "bank", "feeds", "cards", "maps", "mail"}
	benchRoutes   = []string{"/**", "/products/**", "/search", "/api/**", "/account/**", "/cart"}
	benchVisitors = []benchVisitor{
		{"opt-in", "DE", "00000", [5]string{"jurisdiction/jurisdiction", "explicit-only/none", "jurisdiction/jurisdiction", "jurisdiction/jurisdiction", "jurisdiction/jurisdiction"}},
		{"said=gngng", "", "10101", [5]string{"choice/choice", "withdrawal/choice", "choice/choice", "withdrawal/choice", "choice/choice"}},
		{"gpc", "US-CA", "00001", [5]string{"gpc/sec-gpc", "gpc/sec-gpc", "gpc/sec-gpc", "gpc/sec-gpc", "jurisdiction/jurisdiction"}},
		{"strings=gtgtgtptgt", "", "11101", [5]string{"string/tcf", "string/tcf", "string/tcf", "string-refusal/tcf", "string/tcf"}},
		{"said=nnnnn", "", "00000", [5]string{"withdrawal/choice", "withdrawal/choice", "withdrawal/choice", "withdrawal/choice", "withdrawal/choice"}},
		{"gpc said=ggg+gg", "", "00101", [5]string{"gpc/sec-gpc", "gpc/sec-gpc", "choice/choice", "gpc/sec-gpc", "choice/choice"}},
		{"", "US-VA", "10111", [5]string{"jurisdiction/jurisdiction", "explicit-only/none", "jurisdiction/jurisdiction", "jurisdiction/jurisdiction", "jurisdiction/jurisdiction"}},
	}
)

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecord is what recording an exchange costs all in: encoding, queue, hashes, compression,
// files. "cpu-ns/record" is processor time of the whole process without that of making the exchange up;
// "x-sha256" is that as a multiple of hashing its line once, measured before and after, which says more on
// a machine whose speed changes; "B/record" is what it takes on disk, statements and tiles apart.
func BenchmarkRecord(b *testing.B) {
	for policies, name := range []string{"passes", "1-policy", "2-policies", "3-policies"} {
		b.Run(name, func(b *testing.B) { benchRecord(b, policies) })
	}
}

func benchRecord(b *testing.B, policies int) {
	r := rand.New(rand.NewPCG(1, 2))
	dir := b.TempDir()
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	exchanges, lines := make([]*Exchange, 4096), make([][]byte, 4096)
	now := time.Now()
	size := 0
	for i := range exchanges {
		exchanges[i] = new(Exchange)
		typical(r, exchanges[i], policies, now.Add(time.Duration(i)*20*time.Microsecond))
		lines[i] = exchanges[i].AppendJSON(nil)
		size += len(lines[i])
	}
	hashing := func() time.Duration { // all lines once, the least of some turns
		least := time.Hour
		for range 8 {
			begin := cpu()
			for _, line := range lines {
				sha256.Sum256(line)
			}
			least = min(least, cpu()-begin)
		}
		return least
	}
	anchor := hashing()
	before := l.Status()
	b.ResetTimer()
	begin := cpu()
	for i := range b.N {
		x := exchanges[i%len(exchanges)]
		// What no two exchanges share; the rest repeats only beyond what the compressor remembers.
		x.Time = x.Time.Add(80 * time.Millisecond)
		if x.Edits > 0 {
			binary.LittleEndian.PutUint64(x.Plan[:], r.Uint64())
			binary.LittleEndian.PutUint64(x.Plan[8:], r.Uint64())
		}
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
	anchor = (anchor + hashing()) / 2
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)*float64(len(lines))/float64(anchor.Nanoseconds()), "x-sha256")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/record")
	b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(after.Records-before.Records), "B/record")
	b.ReportMetric(float64(size)/float64(len(exchanges)), "B/line")
}

// BenchmarkEncode is the part of it that happens in the exchange's own goroutine, before the queue.
func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	x := new(Exchange)
	typical(r, x, 3, time.Now())
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		buf = x.AppendJSON(buf[:0])
	}
	b.ReportMetric(float64((cpu()-begin).Nanoseconds())/float64(b.N), "cpu-ns/record")
}

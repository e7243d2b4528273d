package edge

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"testing"
)

// BenchmarkWholeRecorded measures what recording costs: the same exchanges through
// two edges, of which one has a ledger on disk, in turns, at full load. All that the
// ledger does counts, sealing included. The goals are 3 µs an exchange, and 5 % of
// the throughput, which here is the reciprocal of the CPU time: the edge has one
// processor, and nothing else to do.
func BenchmarkWholeRecorded(b *testing.B) {
	needWhole(b)
	rows := wholeRowsWanted()
	origin := start(b, pinned("0", os.Args[0]), "origin")
	dir := "BESPOKE_BENCH_DIR=" + benchSite(b, origin.addr, wholeRoutes(b, rows))
	follow := benchSite(b, origin.addr, followRoutes, "    catalogue: {file: items.jsonl, support: 1}\n")
	header := wholeHeader(b)
	followed := maps.Clone(header)
	rounds := wholeRounds(b)
	for b.Loop() {
		fmt.Printf("\nCPU microseconds of an exchange, without and with a record\n")
		for _, r := range rows {
			pair := [2]*player{}
			for i := range pair {
				env := []string{dir, "BESPOKE_BENCH_NAME=" + [...]string{"without", "with"}[i] + "-" + r.name}
				if r.name == "follow" { // each has its own, as both learn
					env[0] = "BESPOKE_BENCH_DIR=" + copySite(b, follow)
				}
				if i == 1 {
					env = append(env, "BESPOKE_BENCH_LEDGER="+b.TempDir())
				}
				pair[i] = start(b, pinned("1", os.Args[0]), "edge", env...)
			}
			send := func(p *player) float64 { return p.wrk(b, "/"+r.name, header) }
			if r.name == "follow" {
				cookies := [2]map[string]string{maps.Clone(followed), maps.Clone(followed)}
				for i, p := range pair {
					cookies[i]["Cookie"] = followCookies(b, p.addr)
				}
				send = func(p *player) float64 {
					if p == pair[0] {
						return p.wrk(b, "/follow", cookies[0])
					}
					return p.wrk(b, "/follow", cookies[1])
				}
			} else {
				for _, p := range pair {
					r.verify(b, p.addr, header)
				}
			}
			send(pair[0]) // warm up
			send(pair[1])
			took := [2][]float64{}
			for n := range rounds {
				for i := range pair {
					i ^= n & 1
					took[i] = append(took[i], send(pair[i]))
				}
			}
			least := [2]float64{slices.Min(took[0]), slices.Min(took[1])}
			cost := least[1] - least[0]
			fmt.Printf("  %-8s %6.1f %6.1f   %+5.1f µs  %+5.1f %%\n", r.name, least[0], least[1], cost, cost/least[1]*100)
			b.ReportMetric(math.Round(cost*10)/10, r.name+"-µs/record")
			for _, p := range pair {
				p.hold.Close()
				p.cmd.Wait()
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}

// copySite copies the files of a site.
func copySite(b *testing.B, dir string) string {
	b.Helper()
	to := b.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	return to
}

package prom

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"bespoke/host/watch"
)

func names() watch.Names {
	return watch.Names{
		Served: []string{"origin", "edge"}, Purposes: []string{"localize", "locate"}, Rules: []string{"gpc", "choice", "jurisdiction"},
		Classes: []string{"public", "inferred"}, Outcomes: []string{"given", "withheld"}, Failures: []string{"", "trap", "fuel"}, Reasons: []string{"unmatched", "place", "refused-right"},
		Faults: []watch.Fault{{}, {Source: "origin", Name: "down"}, {Source: "visitor", Name: "slow"}},
	}
}

func TestExposition(t *testing.T) {
	m := watch.NewMeters(names())
	stores := m.Tenant("stores")
	route, policy := stores.Route("/shop/**"), stores.Policy("/shop/**", `file:./a"b.wasm`)
	for shard := range uint32(20) {
		stores.Count(shard, &watch.Exchange{
			Route: route, Status: 200, Took: 3 * time.Millisecond, Own: 80 * time.Microsecond, Origin: 2 * time.Millisecond,
			Decided: true, Granted: 0b10, Rules: []uint8{0, 1}, Reads: []uint16{2, 0, 0, 1},
		})
	}
	stores.Count(1, &watch.Exchange{Served: 1, Fault: 1, Status: 502, Took: time.Minute, Origin: -1})
	stores.Ran(0, policy, &watch.Run{Fuel: 1000, Took: time.Second, Edits: 3})
	stores.Ran(5, policy, &watch.Run{Failure: 2, Fuel: 500})
	stores.Applied(3, policy, 7, 1)
	stores.Missed(3, policy, 0, []uint16{1, 0})
	stores.Missed(4, policy, 2, []uint16{65535})
	m.Tenant("").Fault(0, 1, 2, 408)
	gone := m.Tenant("gone")
	gone.Count(0, &watch.Exchange{Status: 200})
	m.Retain([]string{"stores"})
	gone.Count(0, &watch.Exchange{Status: 200}) // by an exchange that began before

	x, err := New(map[string]string{"version": "1"}, append(m.Families(), watch.One("bespoke_connections", "Open connections.", watch.Gauge, func() float64 { return 4 }))...)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	contentType, err := x.Write(&b, "")
	if err != nil || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Fatalf("%v, %s", err, contentType)
	}
	text := b.String()
	for _, want := range []string{
		`bespoke_build_info{version="1"} 1`,
		`bespoke_connections 4`,
		`bespoke_exchanges_total{route="/shop/**",served="origin",status="2xx",tenant="stores"} 20`,
		`bespoke_exchanges_total{route="",served="edge",status="5xx",tenant="stores"} 1`,
		`bespoke_exchanges_total{route="",served="edge",status="4xx",tenant=""} 1`,
		`bespoke_faults_total{fault="down",source="origin",tenant="stores"} 1`,
		`bespoke_faults_total{fault="slow",source="visitor",tenant=""} 1`,
		`bespoke_exchange_duration_seconds_bucket{tenant="stores",le="0.0025"} 0`,
		`bespoke_exchange_duration_seconds_bucket{tenant="stores",le="0.005"} 20`,
		`bespoke_exchange_duration_seconds_bucket{tenant="stores",le="30"} 20`,
		`bespoke_exchange_duration_seconds_bucket{tenant="stores",le="+Inf"} 21`,
		`bespoke_exchange_duration_seconds_sum{tenant="stores"} 60.06`,
		`bespoke_origin_duration_seconds_count{tenant="stores"} 20`,
		`bespoke_edge_duration_seconds_bucket{tenant="stores",le="0.0001"} 21`,
		`bespoke_decisions_total{granted="false",purpose="localize",rule="gpc",tenant="stores"} 20`,
		`bespoke_decisions_total{granted="true",purpose="locate",rule="choice",tenant="stores"} 20`,
		`bespoke_reads_total{class="public",outcome="given",tenant="stores"} 40`,
		`bespoke_reads_total{class="inferred",outcome="withheld",tenant="stores"} 20`,
		`bespoke_policy_runs_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 1`,
		`bespoke_policy_failures_total{kind="fuel",policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 1`,
		`bespoke_policy_fuel_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 1500`,
		`bespoke_policy_seconds_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 1`,
		`bespoke_policy_edits_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 3`,
		`bespoke_policy_edits_applied_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 7`,
		`bespoke_policy_edits_not_applied_total{policy="file:./a\"b.wasm",route="/shop/**",tenant="stores"} 1`,
		`bespoke_policy_edit_reasons_total{policy="file:./a\"b.wasm",reason="unmatched",route="/shop/**",tenant="stores"} 1`,
		`bespoke_policy_edit_reasons_total{policy="file:./a\"b.wasm",reason="refused-right",route="/shop/**",tenant="stores"} 65535`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if strings.Contains(text, "gone") {
		t.Error("a site that is not configured any more is told of")
	}
	if strings.Contains(text, `kind="trap"`) {
		t.Error("what never happened is told of")
	}
	if t.Failed() {
		t.Log(text)
	}
	problems, err := promlint.New(&b).Lint()
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestExpositionRefusesTwice(t *testing.T) {
	f := watch.One("bespoke_x", "X.", watch.Gauge, func() float64 { return 0 })
	if _, err := New(nil, f, f); err == nil {
		t.Error("a family stands twice, and nobody says so")
	}
}

package console

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"bespoke/host/watch"
)

// An operatorView is the page of who runs the edge.
type operatorView struct {
	Tenant  string   // that it is about; "": all
	Tenants []string // to choose from
	Hours   int      // that the charts show: 1 or 6
	None    bool     // there are no figures

	Requests, Failed, Faults uint64 // in the time of the charts; Faults since the start
	PerSecond                string
	Half, Most               string // of the whole exchange
	OwnHalf, OwnMost         string // of the edge itself
	Visitors                 uint64 // connections
	Draining                 bool
	Memory, Go               int64
	Goroutines               uint64
	Since                    string // how far back the charts go
	Traffic, Latency         *chart
	Routes                   []routeRow
	FaultRows                []faultRow
	Origins                  []originRow
	Policies                 []policyFigures
	Suspended                []string
	Ledger                   *ledgerState
	Now                      time.Time
}

// A routeRow is the traffic of one route, since the start.
type routeRow struct {
	Tenant, Route                string
	All, Origin, Policy          uint64
	Centre, Edge, Client, Failed uint64
}

type faultRow struct {
	Tenant, Source, Fault, About string
	N                            uint64
}

// faultWords say what a fault is, by source and name as host/edge has them.
var faultWords = map[string]string{
	"visitor/bad-request":      "a request that could not be understood",
	"visitor/header-too-large": "a request whose header is over the limit",
	"visitor/body-too-large":   "a request whose body is over the limit",
	"visitor/slow":             "a request that did not arrive in time",
	"visitor/unknown-site":     "a request for a host that no site has",
	"visitor/method":           "a method that is not served",
	"visitor/version":          "a version of HTTP that is not served",
	"origin/down":              "the site's own server refused the connection, or closed it without an answer",
	"origin/slow":              "the site's own server did not answer in time",
	"origin/malformed":         "the site's own server gave an answer that could not be understood",
	"origin/busy":              "all connections to the site's own server stayed taken",
	"origin/aborted":           "the site's own server broke off in the middle",
	"internal/stopping":        "the edge was stopping",
	"internal/internal":        "something broke in the edge; its log says where",
}

// An originRow is a site's own server.
type originRow struct {
	Tenant      string
	Requests    uint64
	Half, Most  string
	Faults      uint64
	Connections uint64
}

// policyFigures are what a policy did on a route, since the start.
type policyFigures struct {
	Tenant, Route, Policy                       string
	Runs, Failed, Fuel, Edits, Applied, Nothing uint64
	Kinds                                       []string // of failures, with counts
	Time                                        float64  // seconds
}

// Mean is the time of a run, in words.
func (p policyFigures) Mean() string {
	if ran := p.Runs + p.Failed; ran > 0 && p.Time > 0 {
		return span3(time.Duration(p.Time / float64(ran) * 1e9))
	}
	return "–"
}

// FuelPerRun is how many instructions a run took, in the mean.
func (p policyFigures) FuelPerRun() uint64 {
	if ran := p.Runs + p.Failed; ran > 0 {
		return p.Fuel / ran
	}
	return 0
}

func (v *visit) operatorPage() error {
	f := v.figures()
	page := operatorView{Tenant: v.tenant, Tenants: v.tenantNames(), Hours: 1, None: f == nil, Now: v.now}
	if v.r.URL.Query().Get("hours") == "6" {
		page.Hours = 6
	}
	page.charts(v, f)
	page.Visitors, page.Draining = uint64(f.one(figVisitors)), f.one(figDraining) > 0
	page.Memory, page.Go, page.Goroutines = memory()
	own := durations(f.of(figOwn, v.tenant))
	page.OwnHalf, page.OwnMost = span3(quantile(own, 0.5)), span3(quantile(own, 0.99))
	page.Routes = routeRows(f.of(figExchanges, v.tenant))
	for _, s := range f.of(figFaults, v.tenant) {
		row := faultRow{label(s, 0), label(s, 1), label(s, 2), faultWords[label(s, 1)+"/"+label(s, 2)], uint64(s.Value)}
		page.Faults += row.N
		page.FaultRows = append(page.FaultRows, row)
	}
	slices.SortStableFunc(page.FaultRows, func(a, b faultRow) int { return cmp.Compare(b.N, a.N) })
	page.Origins = originRows(f, v.tenant)
	page.Policies = policyFiguresOf(f, v.tenant)
	for _, s := range f[figSuspended] {
		if s.Value > 0 && (v.tenant == "" || label(s, 0) == v.tenant) {
			name := label(s, 1)
			if label(s, 0) != "" {
				name += " of " + label(s, 0)
			}
			page.Suspended = append(page.Suspended, name)
		}
	}
	page.Ledger = v.ledgerState()
	return v.show(http.StatusOK, "operator", "Operation", page)
}

func (v *visit) tenantNames() []string { return slices.Sorted(slices.Values(v.config.Tenants())) }

// charts draws the last hour by minutes, or six by ten.
func (page *operatorView) charts(v *visit, f figures) {
	minutes, n := 1, 60
	if page.Hours == 6 {
		minutes, n = 10, 36
	}
	steps := v.history.intervals(v.tenant, n, minutes, point{v.now, totals(f)})
	traffic := chart{ID: "traffic", Title: "Requests", Unit: "requests"}
	latency := chart{ID: "latency", Title: "Time of an exchange", Lines: true, write: func(ms float64) string { return span3(time.Duration(ms * 1e6)) }}
	fine, client, failed := series{Name: "answered", Class: "fine"}, series{Name: "visitor's mistake (4xx)", Class: "client"}, series{Name: "failed (5xx)", Class: "failed"}
	half, most := series{Name: "half are faster", Class: "fine"}, series{Name: "99 of 100 are faster", Class: "failed"}
	var all sums
	for _, s := range steps {
		name := s.from.UTC().Format("15:04") + " to " + s.to.UTC().Format("15:04")
		traffic.Columns, latency.Columns = append(traffic.Columns, name), append(latency.Columns, name)
		fine.Values = append(fine.Values, s.requests-s.client-s.failed)
		client.Values = append(client.Values, s.client)
		failed.Values = append(failed.Values, s.failed)
		half.Values = append(half.Values, float64(quantile(s.took, 0.5))/1e6)
		most.Values = append(most.Values, float64(quantile(s.took, 0.99))/1e6)
		all.requests += s.requests
		all.failed += s.failed
		all.took = add(all.took, s.took)
	}
	page.Requests, page.Failed = uint64(all.requests), uint64(all.failed)
	page.Half, page.Most = span3(quantile(all.took, 0.5)), span3(quantile(all.took, 0.99))
	if len(steps) == 0 {
		return
	}
	first, last := steps[0].from, steps[len(steps)-1].to
	page.Since = span(last.Sub(first))
	page.PerSecond = strconv.FormatFloat(all.requests/max(last.Sub(first).Seconds(), 1), 'f', 1, 64)
	traffic.Series, latency.Series = []series{fine, client, failed}, []series{half, most}
	ends := [3]string{first.UTC().Format("15:04"), "", last.UTC().Format("15:04") + " UTC"}
	traffic.Ends, latency.Ends = ends, ends
	traffic.Summary = fmt.Sprintf("%s in %s, %s of them failed. The table below has every step.", plural(page.Requests, "request"), page.Since, num(page.Failed))
	latency.Summary = fmt.Sprintf("In %s half of the exchanges took less than %s, and 99 of 100 less than %s. The table below has every step.", page.Since, page.Half, page.Most)
	page.Traffic, page.Latency = &traffic, &latency
}

func routeRows(samples []watch.Sample) []routeRow {
	by := map[[2]string]*routeRow{}
	var rows []*routeRow
	for _, s := range samples {
		key := [2]string{label(s, 0), label(s, 1)}
		r := by[key]
		if r == nil {
			r = &routeRow{Tenant: key[0], Route: key[1]}
			by[key], rows = r, append(rows, r)
		}
		n := uint64(s.Value)
		r.All += n
		switch label(s, 2) {
		case "origin":
			r.Origin += n
		case "policy":
			r.Policy += n
		case "centre":
			r.Centre += n
		case "edge":
			r.Edge += n
		}
		switch label(s, 3) {
		case "4xx":
			r.Client += n
		case "5xx":
			r.Failed += n
		}
	}
	out := make([]routeRow, len(rows))
	for i, r := range rows {
		out[i] = *r
	}
	slices.SortFunc(out, func(a, b routeRow) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(b.All, a.All), cmp.Compare(a.Route, b.Route))
	})
	return out
}

func originRows(f figures, tenant string) (rows []originRow) {
	for _, s := range f.of(figOrigin, tenant) {
		if s.Histogram == nil {
			continue
		}
		row := originRow{Tenant: label(s, 0), Requests: s.Histogram.Count, Half: span3(quantile(*s.Histogram, 0.5)), Most: span3(quantile(*s.Histogram, 0.99))}
		for _, fault := range f.of(figFaults, row.Tenant) {
			if label(fault, 1) == "origin" {
				row.Faults += uint64(fault.Value)
			}
		}
		for _, c := range f.of(figOriginCon, row.Tenant) {
			row.Connections += uint64(c.Value)
		}
		rows = append(rows, row)
	}
	return rows
}

// policyFiguresOf returns what each policy did, those of one site alike on all routes.
func policyFiguresOf(f figures, tenant string) []policyFigures {
	by := map[[3]string]*policyFigures{}
	row := func(s watch.Sample) *policyFigures {
		key := [3]string{label(s, 0), label(s, 1), label(s, 2)}
		if by[key] == nil {
			by[key] = &policyFigures{Tenant: key[0], Route: key[1], Policy: key[2]}
		}
		return by[key]
	}
	for family, field := range map[string]func(*policyFigures) *uint64{
		figRuns:       func(p *policyFigures) *uint64 { return &p.Runs },
		figFuel:       func(p *policyFigures) *uint64 { return &p.Fuel },
		figEdits:      func(p *policyFigures) *uint64 { return &p.Edits },
		figApplied:    func(p *policyFigures) *uint64 { return &p.Applied },
		figNotApplied: func(p *policyFigures) *uint64 { return &p.Nothing },
	} {
		for _, s := range f.of(family, tenant) {
			*field(row(s)) += uint64(s.Value)
		}
	}
	for _, s := range f.of(figTime, tenant) {
		row(s).Time += s.Value
	}
	for _, s := range f.of(figFailures, tenant) {
		if s.Value > 0 {
			p := row(s)
			p.Failed += uint64(s.Value)
			p.Kinds = append(p.Kinds, label(s, 3)+" "+num(uint64(s.Value)))
		}
	}
	var out []policyFigures
	for _, p := range by {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b policyFigures) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Policy, b.Policy))
	})
	return out
}

// memory returns what the process has of memory (that of policies is not Go's),
// what Go has of it, and how many goroutines there are.
func memory() (process, own int64, goroutines uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(s)
	own = int64(s[0].Value.Uint64() - s[1].Value.Uint64())
	process = own
	if status, err := os.ReadFile("/proc/self/status"); err == nil { // Linux
		if _, rest, ok := strings.Cut(string(status), "\nVmRSS:"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				if kib, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
					process = kib << 10
				}
			}
		}
	}
	return process, own, s[2].Value.Uint64()
}

// span3 writes a duration with three digits: 1.25 ms.
func span3(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	}
	f, unit := float64(d)/1e3, "µs"
	if d >= time.Millisecond {
		f, unit = float64(d)/1e6, "ms"
	}
	if d >= time.Second {
		f, unit = float64(d)/1e9, "s"
	}
	digits := 2
	if f >= 9.995 {
		digits = 1
	}
	if f >= 99.95 {
		digits = 0
	}
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + " " + unit
}

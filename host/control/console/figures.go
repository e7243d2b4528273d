package console

import (
	"context"
	"slices"
	"sync"
	"time"

	"bespoke/host/watch"
)

// Names of the figures that pages show, as host/watch and host/edge tell them.
const (
	figExchanges = "bespoke_exchanges_total"
	figTook      = "bespoke_exchange_duration_seconds"
	figOwn       = "bespoke_edge_duration_seconds"
	figOrigin    = "bespoke_origin_duration_seconds"
	figFaults    = "bespoke_faults_total"
	figSuspended = "bespoke_policy_suspended"
	figOriginCon = "bespoke_origin_connections"
	figVisitors  = "bespoke_connections"
	figDraining  = "bespoke_draining"

	figRuns       = "bespoke_policy_runs_total"
	figFailures   = "bespoke_policy_failures_total"
	figFuel       = "bespoke_policy_fuel_total"
	figTime       = "bespoke_policy_seconds_total"
	figEdits      = "bespoke_policy_edits_total"
	figApplied    = "bespoke_policy_edits_applied_total"
	figNotApplied = "bespoke_policy_edits_not_applied_total"
	figMissed     = "bespoke_policy_edit_reasons_total"
)

// figures are all values of one moment, by the name of their family.
type figures map[string][]watch.Sample

func (k *Console) figures() figures {
	if k.config.Figures == nil {
		return nil
	}
	f := figures{}
	for _, family := range k.config.Figures() {
		family.Samples(func(s watch.Sample) { f[family.Name] = append(f[family.Name], s) })
	}
	return f
}

// of returns the values of a family whose first label is the tenant; all of them for "".
func (f figures) of(family, tenant string) []watch.Sample {
	if tenant == "" {
		return f[family]
	}
	var out []watch.Sample
	for _, s := range f[family] {
		if len(s.Labels) > 0 && s.Labels[0] == tenant {
			out = append(out, s)
		}
	}
	return out
}

// one returns the value of a figure without labels, 0 if there is none.
func (f figures) one(family string) float64 {
	if s := f[family]; len(s) == 1 {
		return s[0].Value
	}
	return 0
}

// label returns a sample's label, "" where it has fewer.
func label(s watch.Sample, i int) string {
	if i < len(s.Labels) {
		return s.Labels[i]
	}
	return ""
}

// durations adds up histograms; all of ours have the same buckets.
func durations(samples []watch.Sample) watch.Histogram {
	var sum watch.Histogram
	for _, s := range samples {
		if s.Histogram != nil {
			sum = add(sum, *s.Histogram)
		}
	}
	return sum
}

func add(a, b watch.Histogram) watch.Histogram {
	if a.Buckets == nil {
		return watch.Histogram{Count: b.Count, Sum: b.Sum, Buckets: slices.Clone(b.Buckets)}
	}
	a.Count, a.Sum = a.Count+b.Count, a.Sum+b.Sum
	for i := range min(len(a.Buckets), len(b.Buckets)) {
		a.Buckets[i].Count += b.Buckets[i].Count
	}
	return a
}

// less returns what came to a histogram since an earlier one.
func less(now, then watch.Histogram) watch.Histogram {
	d := watch.Histogram{Count: now.Count - min(then.Count, now.Count), Sum: now.Sum - then.Sum, Buckets: slices.Clone(now.Buckets)}
	for i := range min(len(d.Buckets), len(then.Buckets)) {
		d.Buckets[i].Count -= min(then.Buckets[i].Count, d.Buckets[i].Count)
	}
	return d
}

// quantile returns the time that a share of the durations is below, evenly
// spread within its bucket; below zero if there are none.
func quantile(h watch.Histogram, q float64) time.Duration {
	if h.Count == 0 || len(h.Buckets) == 0 {
		return -1
	}
	want := q * float64(h.Count)
	var low time.Duration
	var before uint64
	for _, b := range h.Buckets {
		if float64(b.Count) >= want && b.Count > before {
			return low + time.Duration(float64(b.UpTo-low)*(want-float64(before))/float64(b.Count-before))
		}
		low, before = b.UpTo, b.Count
	}
	return low // longer than the last bound
}

// sums are the counts of one tenant at one moment.
type sums struct {
	requests, client, failed float64 // failed: with a status of 500 and above
	took                     watch.Histogram
}

// A point is a moment of the last hours.
type point struct {
	at time.Time
	by map[string]sums
}

const (
	pointEvery = time.Minute
	maxPoints  = 6*60 + 1
)

// history is what the figures were, minute by minute: a scraper would know more,
// and not everybody has one.
type history struct {
	mu     sync.Mutex
	points []point // the oldest first; guarded by mu
}

// Watch keeps the figures of the last six hours until ctx ends.
func (k *Console) Watch(ctx context.Context) {
	k.sample()
	tick := time.NewTicker(pointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.sample()
		}
	}
}

func (k *Console) sample() {
	p := point{k.config.Now(), totals(k.figures())}
	h := &k.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.points) >= maxPoints {
		h.points = slices.Delete(h.points, 0, len(h.points)-maxPoints+1)
	}
	h.points = append(h.points, p)
}

func totals(f figures) map[string]sums {
	by := map[string]sums{}
	for _, s := range f[figExchanges] {
		t := by[label(s, 0)]
		t.requests += s.Value
		switch label(s, 3) {
		case "4xx":
			t.client += s.Value
		case "5xx":
			t.failed += s.Value
		}
		by[label(s, 0)] = t
	}
	for _, s := range f[figTook] {
		if s.Histogram != nil {
			t := by[label(s, 0)]
			t.took = add(t.took, *s.Histogram)
			by[label(s, 0)] = t
		}
	}
	return by
}

// of adds up the tenants of a point, or takes one.
func (p point) of(tenant string) (all sums) {
	for name, s := range p.by {
		if tenant == "" || name == tenant {
			all.requests += s.requests
			all.client += s.client
			all.failed += s.failed
			all.took = add(all.took, s.took)
		}
	}
	return all
}

// An interval is what happened between two points.
type interval struct {
	from, to time.Time
	sums
}

// intervals returns what happened in each of the last n steps of so many
// minutes, the oldest first. A counter that fell began anew with a restart of what counts.
func (h *history) intervals(tenant string, n, minutes int, now point) []interval {
	h.mu.Lock()
	points := append(slices.Clone(h.points), now)
	h.mu.Unlock()
	var out []interval
	for end := len(points) - 1; end > 0 && len(out) < n; {
		begin := max(end-minutes, 0)
		if end == len(points)-1 { // the last step is not over yet
			begin = max(end-1-(len(points)-2)%minutes, 0)
		}
		if begin == end {
			break
		}
		a, b := points[begin].of(tenant), points[end].of(tenant)
		grown := func(x, y float64) float64 { return max(y-x, 0) }
		out = append(out, interval{points[begin].at, points[end].at, sums{
			grown(a.requests, b.requests), grown(a.client, b.client), grown(a.failed, b.failed), less(b.took, a.took)}})
		end = begin
	}
	slices.Reverse(out)
	return out
}

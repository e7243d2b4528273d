// Package prom shows figures to Prometheus, in its exposition formats. It is
// the only one here that knows Prometheus' library.
//
// Call [New] with everything that is to be seen, then [Exposition.Write] for
// each scrape.
package prom

import (
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"bespoke/host/watch"
)

// An Exposition is what a scrape shows. It is safe for concurrent use.
type Exposition struct{ registry *prometheus.Registry }

// New returns an Exposition of families, of Go's runtime (memory, goroutines)
// and of the process. build is told as bespoke_build_info.
func New(build map[string]string, families ...watch.Family) (*Exposition, error) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bespoke_build_info", Help: "Always 1; its labels name the build.", ConstLabels: build,
	})
	info.Set(1)
	r := prometheus.NewPedanticRegistry()
	all := []prometheus.Collector{info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, f := range families {
		all = append(all, &collector{prometheus.NewDesc(f.Name, f.Help, f.Labels, nil), f})
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("figures: %w", err)
		}
	}
	return &Exposition{r}, nil
}

// Write writes all figures of now in the format that the Accept header's value
// asks for, and returns its media type. What can be told is told: the error is of a
// figure that cannot, or of w.
func (x *Exposition) Write(w io.Writer, accept string) (contentType string, err error) {
	format := expfmt.NegotiateAccept(http.Header{"Accept": {accept}}, expfmt.DefaultAcceptedFormats()...)
	families, gathered := x.registry.Gather()
	enc := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return string(format), err
		}
	}
	return string(format), gathered
}

// A collector shows one family.
type collector struct {
	desc   *prometheus.Desc
	family watch.Family
}

func (c *collector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.family.Samples(func(s watch.Sample) {
		m, err := c.metric(s)
		if err != nil {
			m = prometheus.NewInvalidMetric(c.desc, err)
		}
		out <- m
	})
}

func (c *collector) metric(s watch.Sample) (prometheus.Metric, error) {
	switch c.family.Kind {
	case watch.Durations:
		buckets := make(map[float64]uint64, len(s.Histogram.Buckets))
		for _, b := range s.Histogram.Buckets {
			buckets[b.UpTo.Seconds()] = b.Count
		}
		return prometheus.NewConstHistogram(c.desc, s.Histogram.Count, s.Histogram.Sum.Seconds(), buckets, s.Labels...)
	case watch.Gauge:
		return prometheus.NewConstMetric(c.desc, prometheus.GaugeValue, s.Value, s.Labels...)
	}
	return prometheus.NewConstMetric(c.desc, prometheus.CounterValue, s.Value, s.Labels...)
}

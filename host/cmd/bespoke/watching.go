package main

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"bespoke/host/control"
	"bespoke/host/edge"
	"bespoke/host/ledger"
	"bespoke/host/watch"
	"bespoke/host/watch/otlp"
	"bespoke/host/watch/prom"
)

// figures returns what /metrics shows.
func (p *process) figures() (control.Figures, error) {
	build := map[string]string{"version": release, "commit": commit(), "go": runtime.Version()}
	families := append(p.edge.Families(), watch.One("bespoke_ready", "1 if /readyz says so.", watch.Gauge, func() float64 {
		if len(p.notReady()) > 0 {
			return 0
		}
		return 1
	}))
	if p.ledger != nil {
		families = append(families, ledgerFigures(p.ledger.Status)...)
	}
	families = append(families, p.canaries.families()...)
	if p.traces != nil {
		families = append(families, p.traces.Families()...)
	}
	x, err := prom.New(build, families...)
	if err != nil {
		return nil, err
	}
	return x.Write, nil
}

// notReady names what is in the way of sending requests here.
func (p *process) notReady() (list []control.NotReady) {
	no := func(what, why string) { list = append(list, control.NotReady{What: what, Why: why}) }
	switch {
	case p.edge.Draining():
		no("edge", "it is being stopped, and answers what has arrived")
	case !p.edge.Serving():
		no("listener", "no connections are taken yet")
	}
	if p.ledger != nil && p.ledger.Status().Blocked != "" {
		no("ledger", "nothing can be recorded, so nobody is served what they allowed; the log says why")
	}
	return list
}

// ledgerFigures tells how recording goes.
func ledgerFigures(status func() ledger.Status) []watch.Family {
	one := func(name, help string, kind watch.Kind, value func(*ledger.Status) float64) watch.Family {
		return watch.One(name, help, kind, func() float64 {
			s := status()
			return value(&s)
		})
	}
	return []watch.Family{
		one("bespoke_ledger_records", "Records in the ledger that are sealed.", watch.Gauge, func(s *ledger.Status) float64 { return float64(s.Records) }),
		one("bespoke_ledger_segments", "Segments in the ledger.", watch.Gauge, func(s *ledger.Status) float64 { return float64(s.Segments) }),
		one("bespoke_ledger_bytes_total", "Compressed bytes of records that were sealed.", watch.Counter, func(s *ledger.Status) float64 { return float64(s.Bytes) }),
		one("bespoke_ledger_waiting", "Records that are not sealed yet, and room that is reserved for some.", watch.Gauge, func(s *ledger.Status) float64 { return float64(s.Waiting) }),
		one("bespoke_ledger_unrecorded_total", "Exchanges that went out without a record, and so as for a refusal.", watch.Counter, func(s *ledger.Status) float64 { return float64(s.Unrecorded) }),
		one("bespoke_ledger_failures_total", "Attempts to seal records that failed.", watch.Counter, func(s *ledger.Status) float64 { return float64(s.Failures) }),
		one("bespoke_ledger_witness_failures_total", "Checkpoints that a witness did not take.", watch.Counter, func(s *ledger.Status) float64 { return float64(s.WitnessFailures) }),
		one("bespoke_ledger_blocked", "1 while nothing can be recorded, and so nothing is personalized.", watch.Gauge, func(s *ledger.Status) float64 {
			if s.Blocked != "" {
				return 1
			}
			return 0
		}),
		one("bespoke_ledger_sealed_timestamp_seconds", "When records were sealed last, in Unix time; 0: not since the start.", watch.Gauge, func(s *ledger.Status) float64 {
			if s.Sealed.IsZero() {
				return 0
			}
			return float64(s.Sealed.UnixMilli()) / 1000
		}),
	}
}

// openTraces has an edge trace exchanges, where the configuration says so.
func (p *process) openTraces(c *edge.Config) (err error) {
	t := &c.Site.Traces
	if t.Endpoint == nil {
		return nil
	}
	if p.traces, err = otlp.New(otlp.Config{Endpoint: t.Endpoint, Sample: t.Sample, Version: release, Log: p.log}); err != nil {
		return err
	}
	c.Traces = p.traces
	return nil
}

// tracesLimit is how long a stopping edge tries to send the last traces.
const tracesLimit = 5 * time.Second

func (p *process) closeTraces() {
	if p.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), tracesLimit)
	defer cancel()
	if err := p.traces.Close(ctx); err != nil {
		p.log.LogAttrs(ctx, slog.LevelWarn, "the last traces were not sent", slog.String("error", err.Error()))
	}
}

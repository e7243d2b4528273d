package edge

import (
	"log/slog"

	"bespoke/modules/abi"
)

// record writes one line about the exchange: what was decided and done, and
// nothing about whom it was for. The path is the route's, as a path can name a
// person.
func (x *exchange) record(f fault) {
	e := x.edge
	if f == noFault {
		f = x.late
	}
	level := slog.LevelDebug
	if f != noFault && faults[f].source == "internal" {
		level = slog.LevelError
	}
	if !e.log.Enabled(x.edge.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.Int("status", x.ctx.Response.StatusCode()), slog.Duration("took", e.now().Sub(x.began)))
	if x.tenant != nil {
		attrs = append(attrs, slog.String("tenant", x.tenant.name))
	}
	if x.tenant != nil && x.tailors() {
		attrs = append(attrs, slog.String("jurisdiction", x.decision.Jurisdiction.ID))
		for p := range abi.Purpose(abi.Purposes) {
			granted := "denied"
			if x.decision.Grants(p) {
				granted = "granted"
			}
			attrs = append(attrs, slog.String(p.String(), granted+" by "+x.decision.Rule(p).String()))
		}
	}
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.route.Path))
	}
	if x.body != nil {
		attrs = append(attrs, slog.Int("edits", len(x.edits)), slog.Int("applied", x.applied), slog.Int("failed", x.failed))
	}
	if f != noFault {
		attrs = append(attrs, slog.String("fault", faults[f].name), slog.String("source", faults[f].source))
	}
	e.log.LogAttrs(x.edge.ctx, level, "exchange", attrs...)
}

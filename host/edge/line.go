package edge

import (
	"log/slog"
	"strconv"
	"strings"

	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// logLine writes one line about the exchange: what was decided and done, and
// nothing about whom it was for. The path is the route's, as a path can name a
// person.
func (x *exchange) logLine(f fault) {
	e := x.edge
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
		if x.byPlace() { // else it would tell where the visitor is, and nothing else
			attrs = append(attrs, slog.String("jurisdiction", x.decision.Jurisdiction.ID))
		}
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
		attrs = append(attrs, slog.String("kind", x.kind.String()), slog.Int("edits", len(x.edits)), slog.Int("failed", x.failed))
		attrs = append(attrs, x.outcome()...)
	}
	if f != noFault {
		attrs = append(attrs, slog.String("fault", faults[f].name), slog.String("source", faults[f].source))
	}
	e.log.LogAttrs(x.edge.ctx, level, "exchange", attrs...)
}

// byPlace reports whether some purpose was settled by the default of the
// visitor's place.
func (x *exchange) byPlace() bool {
	for p := range abi.Purpose(abi.Purposes) {
		if x.decision.Rule(p) == consent.ByJurisdiction {
			return true
		}
	}
	return false
}

// outcome tells what became of the edits of the body.
func (x *exchange) outcome() (attrs []slog.Attr) {
	if x.untouched != isTried {
		attrs = append(attrs, slog.String("untouched", x.untouched.String()))
	}
	r := x.body.report()
	applied := 0
	for _, n := range r.Applied {
		applied += n
	}
	attrs = append(attrs, slog.Int("applied", applied))
	if len(r.NotApplied) > 0 {
		var why strings.Builder
		for i, n := range r.NotApplied {
			if i == maxReasons {
				why.WriteString("; ...")
				break
			}
			if i > 0 {
				why.WriteString("; ")
			}
			why.WriteString(strconv.Itoa(n.Edit) + ": " + n.Why.String())
		}
		attrs = append(attrs, slog.String("not applied", why.String()))
	}
	if r.Stopped != 0 {
		attrs = append(attrs, slog.String("stopped", r.Stopped.String()))
	}
	if r.Tail != 0 {
		attrs = append(attrs, slog.String("no privacy link", r.Tail.String()))
	}
	return attrs
}

// maxReasons is how many reasons a line has.
const maxReasons = 8

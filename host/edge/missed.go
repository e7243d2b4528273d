package edge

import (
	"io"

	"bespoke/host/rewrite"
	"bespoke/host/watch"
	"bespoke/modules/abi"
)

// A missed says why an edit was refused, or was not carried out at a place, as the
// figures name it. All are of the page or of the policy, none of the visitor.
type missed uint8

const (
	missedNowhere missed = iota // no element matched
	missedVoid
	missedRawText
	missedPlace
	missedOverridden
	missedBuffer
	missedUnfinished
	missedTag
	missedDepth
	missedUnsafe
	missedIntegrity
	missedPattern
	missedAmbiguous

	// Editing ended before the body did, and why.
	stoppedTag
	stoppedDepth
	stoppedBuffer
	stoppedAmbiguous
	stoppedOther // no reason that the rewriter has today

	// Nothing of the body was tried, and why: see untouched.
	untouchedCharset
	untouchedTooLarge
	untouchedPlan

	missedCutOff // the body did not go out whole

	refusedOp // from here on: abi.Refusal, less one
	refusedTarget
	refusedArgument
	refusedRight
	refusedLimit
	refusedPhase
	refusedUnsupported

	missedReasons
)

var missedNames = [missedReasons]string{
	missedNowhere: "unmatched", missedVoid: "void-element", missedRawText: "raw-text", missedPlace: "place",
	missedOverridden: "overridden", missedBuffer: "element-too-long", missedUnfinished: "unfinished", missedTag: "tag-too-long",
	missedDepth: "too-deep", missedUnsafe: "unsafe", missedIntegrity: "integrity", missedPattern: "nothing-to-repeat",
	missedAmbiguous: "ambiguous",
	stoppedTag:      "stopped-tag-too-long", stoppedDepth: "stopped-too-deep", stoppedBuffer: "stopped-too-large",
	stoppedAmbiguous: "stopped-ambiguous", stoppedOther: "stopped",
	untouchedCharset: "charset", untouchedTooLarge: "too-large", untouchedPlan: "plan-refused",
	missedCutOff: "cut-off",
	refusedOp:    "refused-operation", refusedTarget: "refused-target", refusedArgument: "refused-argument", refusedRight: "refused-right",
	refusedLimit: "refused-limit", refusedPhase: "refused-phase", refusedUnsupported: "refused-unsupported",
}

// missedBy is what the rewriter's reasons are here. One that it lacks is the first, and
// a test finds it.
var missedBy = [...]missed{
	rewrite.WhyVoid: missedVoid, rewrite.WhyRawText: missedRawText, rewrite.WhyPlace: missedPlace,
	rewrite.WhyOverridden: missedOverridden, rewrite.WhyBuffer: missedBuffer, rewrite.WhyUnfinished: missedUnfinished,
	rewrite.WhyStopped: stoppedOther, // if the report does not say why
	rewrite.WhyTag:     missedTag, rewrite.WhyDepth: missedDepth, rewrite.WhyUnsafe: missedUnsafe,
	rewrite.WhyIntegrity: missedIntegrity, rewrite.WhyPattern: missedPattern, rewrite.WhyAmbiguous: missedAmbiguous,
}

// stoppedBy is the same of the reason for which editing ended.
func stoppedBy(y rewrite.Reason) missed {
	switch y {
	case rewrite.WhyTag:
		return stoppedTag
	case rewrite.WhyDepth:
		return stoppedDepth
	case rewrite.WhyBuffer:
		return stoppedBuffer
	case rewrite.WhyAmbiguous:
		return stoppedAmbiguous
	}
	return stoppedOther
}

// An untouched says why no edit of a body was tried.
type untouched uint8

const (
	isTried     untouched = iota
	isCharset             // it is in a charset that cannot be edited
	isTooLarge            // JSON has to be in memory as a whole
	isNotToPlan           // the edits did not compile together
)

// String is what the log and the record say.
func (u untouched) String() string {
	switch u {
	case isCharset:
		return "charset"
	case isTooLarge:
		return "too large"
	case isNotToPlan:
		return "plan refused"
	}
	return ""
}

// refusals counts the edits that one run could not emit, by abi.Refusal, less one.
type refusals struct {
	times [abi.RefusedUnsupported]uint16
	any   bool
}

func (r *refusals) add(why abi.Refusal) {
	if why <= abi.Accepted || int(why) > len(r.times) {
		return
	}
	r.any = true
	if n := &r.times[why-1]; *n < 1<<16-1 {
		*n++
	}
}

// countEdits tells what became of each policy's edits of the body, and why. Those of a
// body that passed untouched were carried out nowhere.
func (x *exchange) countEdits(meter *watch.Tenant) {
	report := x.body.report()
	applied, not := report.Applied, report.NotApplied
	rest := x.missedRest(&report)
	var times [refusedOp]uint16 // refusals were counted by run
	plan := 0                   // how many edits of the body came before
	at := 0
	for _, r := range x.tally.ran {
		for ; at < r.from && at < len(x.edits); at++ {
			if x.edits[at].Op.Body() {
				plan++
			}
		}
		places, none, reasons := 0, 0, 0
		for ; at < r.to && at < len(x.edits); at++ {
			if !x.edits[at].Op.Body() {
				continue
			}
			for len(not) > 0 && not[0].Edit < plan {
				not = not[1:]
			}
			known := reasons
			for ; len(not) > 0 && not[0].Edit == plan; not = not[1:] {
				why := missedBy[not[0].Why]
				if not[0].Why == rewrite.WhyStopped && report.Stopped != 0 {
					why = rest
				}
				times[why]++
				reasons++
			}
			if plan < len(applied) && applied[plan] > 0 {
				places += applied[plan]
			} else if none++; reasons == known {
				times[rest]++
				reasons++
			}
			plan++
		}
		if places+none > 0 {
			meter.Applied(x.tally.shard, r.meter, places, none)
		}
		if reasons > 0 {
			meter.Missed(x.tally.shard, r.meter, 0, times[:])
			clear(times[:])
		}
	}
}

// missedRest is why edits were carried out nowhere of which the rewriter says nothing:
// they were not tried, the page was not gone through to its end, or has no such element.
func (x *exchange) missedRest(r *rewrite.Report) missed {
	switch x.untouched {
	case isCharset:
		return untouchedCharset
	case isTooLarge:
		return untouchedTooLarge
	case isNotToPlan:
		return untouchedPlan
	}
	switch {
	case r.Stopped != 0:
		return stoppedBy(r.Stopped)
	case x.stream != nil && x.stream.src == x.body && x.body.err != io.EOF:
		return missedCutOff
	}
	return missedNowhere
}

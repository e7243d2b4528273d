package edge

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"bespoke/host/config"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// choose settles which version of each of the route's policies runs in this
// exchange, in both phases.
func (x *exchange) choose() {
	if x.picks != nil {
		return
	}
	n := x.edge.exchanges.Add(1)
	x.picks = x.pickBuf[:0]
	for i := range x.route.policies {
		p := &x.route.policies[i]
		pk := p.fixed
		if p.ref.Kind == config.Uploaded && x.edge.store != nil {
			pk = x.edge.store.pick(x.tenant.name, p.ref.Name, p.ref.Version, n)
		}
		x.picks = append(x.picks, pk)
	}
	x.rec.begin(x.picks)
}

// runPolicies runs the route's policies of a phase, in the order that the
// configuration gives. One that fails leaves no edits, and does not stop the others.
func (x *exchange) runPolicies(ph abi.Phase) {
	x.choose()
	at := x.edge.tick()
	for i := range x.picks {
		p, pk := &x.route.policies[i], &x.picks[i]
		if !pk.runs(ph) {
			continue
		}
		if pk.page && x.body != nil {
			x.body.page() // before the run, whose time is not the origin's
			at = x.fromOrigin(at)
		}
		mark := len(x.edits)
		fuel, err := x.runPolicy(p, pk, ph, &x.rec.did[i])
		at = x.ran(p, ph, at, fuel, mark, err)
		if pk.shadow != nil {
			x.compareShadow(p, pk, ph, mark)
			at = x.edge.tick()
		}
	}
}

// runPolicy runs one policy and leaves its edits in the exchange, or none. It
// tells what fuel that took, and why there are none. What the policy did is noted in
// did, if that is not nil.
func (x *exchange) runPolicy(p *policy, pk *pick, ph abi.Phase, did *done) (fuel int64, err error) {
	mark, located := len(x.edits), x.located
	v := &x.view
	*v = view{x: x, policy: p, pick: pk, phase: ph, did: did}
	if x.witness != nil {
		x.witness.begins(p, pk, ph)
	}
	fuel, err = pk.module.RunFuel(x.edge.ctx, ph, v)
	if x.witness != nil {
		x.witness.ended(err)
	}
	if err == nil {
		for n := len(x.edits); n > mark && x.edits[n-1].Op == abi.OpWhy; n-- {
			x.edits[n-1] = abi.Edit{} // a reason for nothing, and not for the next policy's edits
			x.edits = x.edits[:n-1]
		}
		did.ended(nil, len(x.edits)-mark)
		return fuel, nil
	}
	did.ended(err, 0)
	clear(x.edits[mark:])
	x.edits, x.located = x.edits[:mark], located
	x.failed++
	kind, text := "unknown", ""
	var f *engine.Fault
	if errors.As(err, &f) {
		kind, text = f.Kind.String(), f.Plain()
		if f.Kind == engine.FaultSuspended {
			return fuel, err // was told when it was suspended
		}
	}
	x.edge.log.LogAttrs(x.edge.ctx, slog.LevelWarn, "policy failed", slog.String("tenant", x.tenant.name),
		slog.String("route", x.route.Path), slog.String("policy", p.name), slog.String("fault", kind), slog.String("error", text))
	return fuel, err
}

// compareShadow runs a staged version after the one that counts, compares what
// it emitted, and drops it.
func (x *exchange) compareShadow(p *policy, pk *pick, ph abi.Phase, mark int) {
	counted := len(x.edits)
	located, failed := x.located, x.failed
	defer func(w witness) { x.witness = w }(x.witness)
	x.witness = nil // it counts for nothing
	staged := pick{module: pk.shadow.module, manifest: pk.shadow.manifest, page: pk.shadow.page, reads: pk.shadow.reads, version: pk.shadowVersion}
	if staged.runs(ph) {
		if staged.page && x.body != nil {
			x.body.page()
		}
		x.runPolicy(p, &staged, ph, nil)
	}
	pk.shadow.shadowed.Add(1)
	if !slices.Equal(x.edits[mark:counted], x.edits[counted:]) {
		pk.shadow.different.Add(1)
	}
	clear(x.edits[counted:])
	x.edits, x.located, x.failed = x.edits[:counted], located, failed
}

// A witness is told all that the runs of an exchange's policies do: a dry exchange
// writes it down, an exhibit keeps it, a replay compares it. Keys, values and lines
// are valid during the call only.
type witness interface {
	begins(p *policy, pk *pick, ph abi.Phase)
	// read returns what the policy is answered, which a replay takes from the record.
	read(key, value []byte, ok bool) ([]byte, bool)
	emitted(e abi.Edit, r abi.Refusal)
	logged(level abi.Level, line []byte)
	ended(fault error)
}

// A view is what one run of a policy sees of the exchange, and where its edits
// go. It implements [engine.Host] and [engine.Refuser].
type view struct {
	x       *exchange
	policy  *policy
	pick    *pick
	phase   abi.Phase
	did     *done // what is noted of the run; nil: it counts for nothing
	refused refusals
	buf     [64]byte // of the value read last
}

// Log keeps a line of an uploaded policy for its tenant; that of any other goes
// to the operator's log, at a level of its own, as it may hold
// what the policy read.
func (v *view) Log(level abi.Level, line []byte) {
	x := v.x
	if x.witness != nil {
		x.witness.logged(level, line)
	}
	if v.policy.ref.Kind == config.Uploaded {
		x.edge.store.ring(x.tenant.name, v.policy.ref.Name).add(x.began, v.pick.version, level, string(line))
		return
	}
	if !x.edge.log.Enabled(x.edge.ctx, LevelLines) {
		return
	}
	x.edge.log.LogAttrs(x.edge.ctx, LevelLines, "policy", slog.String("tenant", x.tenant.name),
		slog.String("policy", v.policy.name), slog.Int("level", int(level)), slog.String("line", string(line)))
}

// Emit takes an edit, or says why not.
func (v *view) Emit(e abi.Edit) abi.Refusal {
	r := v.check(e)
	if w := v.x.witness; w != nil {
		w.emitted(e, r)
	}
	if r == abi.Accepted {
		v.x.edits = append(v.x.edits, e)
	} else {
		v.refused.add(r)
	}
	return r
}

// Refused counts an edit that the engine refused by itself.
func (v *view) Refused(why abi.Refusal) { v.refused.add(why) }

func (v *view) check(e abi.Edit) abi.Refusal {
	if e.Op.Body() {
		if v.phase != abi.OnResponse {
			return abi.RefusedPhase
		}
		if e.Op == abi.OpHTML || e.B == "html" && e.Op >= abi.OpBefore && e.Op <= abi.OpReplace {
			if !v.pick.manifest.Has(abi.RightHTML) {
				return abi.RefusedRight
			}
		}
		return v.x.kind.check(v.x.tenant.compiler, &v.x.drafts, e)
	}
	switch e.Op {
	case abi.OpSetHeader, abi.OpAddHeader:
		return first(checkName(e.Target, responseReserved), checkValue(e.A))
	case abi.OpRemoveHeader:
		return checkName(e.Target, responseReserved)
	case abi.OpUpstreamHeader:
		return first(v.on(abi.OnRequest), checkName(e.Target, requestReserved), checkValue(e.A))
	case abi.OpUpstreamPath:
		return first(v.on(abi.OnRequest), checkPath(e.A))
	case abi.OpRedirect:
		return first(v.on(abi.OnRequest), checkLocation(e.Target), checkRedirectStatus(e.A))
	case abi.OpWhy:
		return checkWhy(e.A)
	case abi.OpEvent:
		return v.x.checkEvent(e)
	}
	return abi.RefusedUnsupported
}

func (v *view) on(ph abi.Phase) abi.Refusal {
	if v.phase != ph {
		return abi.RefusedPhase
	}
	return abi.Accepted
}

func first(rs ...abi.Refusal) abi.Refusal {
	for _, r := range rs {
		if r != abi.Accepted {
			return r
		}
	}
	return abi.Accepted
}

// Headers that policies may not touch: those that frame messages, decide who
// may store a response, carry identity, or secure the page.
var (
	responseReserved = []string{
		"connection", "content-length", "transfer-encoding", "trailer", "upgrade", "keep-alive", "te",
		"content-encoding", "content-type", "set-cookie", "cache-control", "etag", "last-modified", "expires",
		"age", "date", "vary", "location", "content-security-policy", "strict-transport-security",
		"x-frame-options", "x-content-type-options", "clear-site-data", "surrogate-control", "cdn-cache-control",
		"pragma", "refresh", "permissions-policy", "referrer-policy", "alt-svc", "www-authenticate",
		"access-control-*", "cross-origin-*", "proxy-*", "bespoke-*",
	}
	requestReserved = []string{
		"connection", "content-length", "transfer-encoding", "trailer", "upgrade", "keep-alive", "te", "host",
		"cookie", "authorization", "accept-encoding", "range", "if-none-match", "if-modified-since", "expect",
		"x-forwarded-*", "forwarded", "x-real-ip", "via", "sec-*", "dnt", "origin", "referer", "proxy-*", "bespoke-*",
	}
)

func checkName(name string, reserved []string) abi.Refusal {
	if name == "" || len(name) > 64 {
		return abi.RefusedTarget
	}
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return abi.RefusedTarget
		}
	}
	for _, r := range reserved {
		prefix, family := strings.CutSuffix(r, "*")
		if strings.EqualFold(name, r) || family && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return abi.RefusedTarget
		}
	}
	return abi.Accepted
}

func checkValue(s string) abi.Refusal {
	if len(s) > 4096 {
		return abi.RefusedArgument
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return abi.RefusedArgument
		}
	}
	return abi.Accepted
}

func checkPath(s string) abi.Refusal {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "?# \\") {
		return abi.RefusedArgument
	}
	return checkValue(s)
}

func checkLocation(s string) abi.Refusal {
	if checkValue(s) != abi.Accepted || strings.ContainsAny(s, " \\") {
		return abi.RefusedTarget
	}
	path := strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//")
	if !path && !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
		return abi.RefusedTarget
	}
	return abi.Accepted
}

func checkRedirectStatus(s string) abi.Refusal {
	switch s {
	case "", "301", "302", "303", "307", "308":
		return abi.Accepted
	}
	return abi.RefusedArgument
}

// redirected answers with the first redirect that a policy asked for. It
// reports whether there was one.
func (x *exchange) redirected() bool {
	for i := range x.edits {
		e := &x.edits[i]
		if e.Op != abi.OpRedirect {
			continue
		}
		status := 302
		if e.A != "" {
			status, _ = strconv.Atoi(e.A)
		}
		out := &x.ctx.Response
		out.SetStatusCode(status)
		out.Header.Set("Location", e.Target)
		keepPrivate(&out.Header)
		return true
	}
	return false
}

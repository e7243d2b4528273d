package edge

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// runPolicies runs the route's policies of a phase, in the order that the
// configuration gives. One that fails leaves no edits, and does not stop the others.
func (x *exchange) runPolicies(ph abi.Phase) {
	for i := range x.route.policies {
		p := &x.route.policies[i]
		if !p.runs(ph) {
			continue
		}
		mark := len(x.edits)
		located := x.located
		v := &view{x: x, policy: p, phase: ph}
		if err := p.module.Run(x.edge.ctx, ph, v); err != nil {
			x.edits = x.edits[:mark]
			x.located = located
			x.failed++
			kind := "unknown"
			var f *engine.Fault
			if errors.As(err, &f) {
				kind = f.Kind.String()
			}
			x.edge.log.LogAttrs(x.edge.ctx, slog.LevelWarn, "policy failed", slog.String("tenant", x.tenant.name),
				slog.String("route", x.route.Path), slog.String("policy", p.name), slog.String("fault", kind), slog.String("error", err.Error()))
		}
	}
}

// A view is what one run of a policy sees of the exchange, and where its edits
// go. It implements [engine.Host].
type view struct {
	x      *exchange
	policy *policy
	phase  abi.Phase
	buf    [32]byte // of values made on the spot
}

// Log passes a policy's line to the operator's log. A policy can put what it
// read into it, so this is for development: debug level only.
func (v *view) Log(level abi.Level, line []byte) {
	x := v.x
	if !x.edge.log.Enabled(x.edge.ctx, slog.LevelDebug) {
		return
	}
	x.edge.log.LogAttrs(x.edge.ctx, slog.LevelDebug, "policy", slog.String("tenant", x.tenant.name),
		slog.String("policy", v.policy.name), slog.Int("level", int(level)), slog.String("line", string(line)))
}

// Emit takes an edit, or says why not.
func (v *view) Emit(e abi.Edit) abi.Refusal {
	if r := v.check(e); r != abi.Accepted {
		return r
	}
	v.x.edits = append(v.x.edits, e)
	return abi.Accepted
}

func (v *view) check(e abi.Edit) abi.Refusal {
	if e.Op.Body() {
		if v.phase != abi.OnResponse {
			return abi.RefusedPhase
		}
		if e.Op == abi.OpHTML || e.B == "html" && e.Op >= abi.OpBefore && e.Op <= abi.OpReplace {
			if !v.policy.manifest.Has(abi.RightHTML) {
				return abi.RefusedRight
			}
		}
		return rewrite.Check(e)
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
		"access-control-*", "cross-origin-*", "proxy-*",
	}
	requestReserved = []string{
		"connection", "content-length", "transfer-encoding", "trailer", "upgrade", "keep-alive", "te", "host",
		"cookie", "authorization", "accept-encoding", "range", "if-none-match", "if-modified-since", "expect",
		"x-forwarded-*", "forwarded", "x-real-ip", "via", "sec-*", "dnt", "origin", "referer", "proxy-*",
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

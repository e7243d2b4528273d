package tck_test

import (
	"slices"
	"strings"

	"bespoke/host/rewrite"
	"bespoke/modules/abi"
	"bespoke/modules/tck"
)

// rules is what a small honest host decides about one run of a policy, and,
// by its defects, what dishonest ones do.
type rules struct {
	phase    abi.Phase
	manifest *abi.Manifest // nil: none
	exchange tck.Exchange
	all      bool // event and why are carried out too, which Bespoke does not
	wrong    defects
}

func (r *rules) read(key string) (string, bool) {
	class := abi.Classify(key)
	if class == abi.Unknown && r.wrong.headersOpen && strings.HasPrefix(key, abi.KeyRequestHeader) {
		class = abi.Public
	}
	if class == abi.Unknown {
		return "", false
	}
	declared := r.manifest != nil && r.manifest.Declares(key) ||
		strings.HasPrefix(key, abi.KeyConfig) || strings.HasPrefix(key, abi.KeyConsent)
	if !declared && !r.wrong.undeclared {
		return "", false
	}
	if p, needs := class.Needs(); needs && !slices.Contains(r.exchange.Granted, p) && !r.wrong.withheld {
		return "", r.wrong.withheldEmpty
	}
	if key == abi.KeyConfigPolicy {
		return r.exchange.Policy, true
	}
	if name, ok := strings.CutPrefix(key, abi.KeyConsent); ok {
		p, _ := abi.ParsePurpose(name)
		if slices.Contains(r.exchange.Granted, p) {
			return "granted", true
		}
		return "denied", true
	}
	v, ok := r.exchange.Values[key]
	return strings.ToValidUTF8(v, "\uFFFD"), ok
}

// emit judges an edit whose operation is known and whose texts are UTF-8.
func (r *rules) emit(e abi.Edit) abi.Refusal {
	if e.Op.Body() {
		return r.body(e)
	}
	wrongPhase := r.phase != abi.OnRequest && !r.wrong.phaseOpen
	switch e.Op {
	case abi.OpSetHeader, abi.OpAddHeader, abi.OpRemoveHeader:
		return either(r.header(e.Target), value(e.A))
	case abi.OpUpstreamHeader:
		if wrongPhase {
			return abi.RefusedPhase
		}
		return either(r.header(e.Target), value(e.A))
	case abi.OpUpstreamPath:
		switch {
		case wrongPhase:
			return abi.RefusedPhase
		case !strings.HasPrefix(e.A, "/"):
			return abi.RefusedArgument
		}
		return value(e.A)
	case abi.OpRedirect:
		switch {
		case wrongPhase:
			return abi.RefusedPhase
		case value(e.Target) != abi.Accepted, !strings.HasPrefix(e.Target, "/"):
			return abi.RefusedTarget
		case !slices.Contains([]string{"", "301", "302", "303", "307", "308"}, e.A):
			return abi.RefusedArgument
		}
		return abi.Accepted
	}
	if !r.all {
		return abi.RefusedUnsupported
	}
	return abi.Accepted // event and why
}

func (r *rules) body(e abi.Edit) abi.Refusal {
	if r.phase != abi.OnResponse && !r.wrong.phaseOpen {
		return abi.RefusedPhase
	}
	placed := e.Op >= abi.OpBefore && e.Op <= abi.OpReplace
	if e.Op == abi.OpHTML || placed && e.B == "html" {
		if !r.wrong.rightOpen && (r.manifest == nil || !r.manifest.Has(abi.RightHTML)) {
			return abi.RefusedRight
		}
	}
	if r.wrong.attributesOpen && e.Op == abi.OpAttr && rewrite.CheckSelector(e.Target) == nil {
		return abi.Accepted
	}
	return rewrite.Check(e)
}

func (r *rules) header(name string) abi.Refusal {
	for i := range len(name) {
		if c := name[i] | 0x20; c != '-' && (c < 'a' || c > 'z') {
			return abi.RefusedTarget
		}
	}
	own := []string{"content-length", "transfer-encoding", "connection", "set-cookie", "cookie", "cache-control", ""}
	if slices.Contains(own, strings.ToLower(name)) && !r.wrong.ownHeaders {
		return abi.RefusedTarget
	}
	return abi.Accepted
}

func value(s string) abi.Refusal {
	if strings.ContainsAny(s, "\r\n\x00") {
		return abi.RefusedArgument
	}
	return abi.Accepted
}

func either(a, b abi.Refusal) abi.Refusal {
	if a != abi.Accepted {
		return a
	}
	return b
}

// carriedOut are the edits that the exchange sees.
func (r *rules) carriedOut(edits []abi.Edit) []abi.Edit {
	if slices.Contains(r.exchange.Granted, abi.Personalize) || r.wrong.eventsKept {
		return edits
	}
	return slices.DeleteFunc(edits, func(e abi.Edit) bool { return e.Op == abi.OpEvent })
}

// chosen is the manifest of the policy of that name; nil if the module has none.
func chosen(all []abi.Manifest, name string, wrong defects) *abi.Manifest {
	for i := range all {
		if all[i].Name == name || wrong.firstManifest {
			return &all[i]
		}
	}
	return nil
}

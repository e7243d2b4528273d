package edge

import (
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/ledger"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
	"bespoke/modules/registry"
)

// What is recorded besides exchanges. Nothing here names a visitor or subject.

func (e *Edge) tell(kind, tenant string, data any) {
	if e.ledger != nil {
		e.ledger.Event(ledger.Event{Kind: kind, Time: e.now(), Tenant: tenant, Data: data})
	}
}

// A choiceEvent is the data of [ledger.KindChoice].
type choiceEvent struct {
	From         string   `json:"from"` // notice, centre, api; subject: a refusal of this browser that holds for the subject now
	Granted      []string `json:"granted"`
	UnderGPC     bool     `json:"under_gpc,omitempty"` // in the face of the signal
	Text         uint16   `json:"text,omitempty"`      // version of what the visitor was told
	Jurisdiction string   `json:"jurisdiction,omitempty"`
}

func (x *exchange) tellChoice(c *consent.Choice, from string) {
	data := choiceEvent{From: from, Granted: []string{}, UnderGPC: c.UnderGPC, Text: c.TextVersion}
	if x.byPlace() { // else nothing depended on where they are
		data.Jurisdiction = x.decision.Jurisdiction.ID
	}
	for p := range abi.Purpose(abi.Purposes) {
		if c.Granted.Has(p) {
			data.Granted = append(data.Granted, p.String())
		}
	}
	x.edge.tell(ledger.KindChoice, x.tenant.name, data)
}

// tellAnswer tells what a visitor chose, or had erased, on a page of ours.
func (x *exchange) tellAnswer(a *control.Answer) {
	from := "centre"
	switch {
	case a.Noticed:
		from = "notice"
	case len(x.path) >= len(control.PathAPI) && x.path[:len(control.PathAPI)] == control.PathAPI:
		from = "api"
	}
	if a.EraseAll {
		x.edge.tell(ledger.KindErasure, x.tenant.name, erasureEvent{from})
	}
	if a.Choice != nil {
		x.tellChoice(a.Choice, from)
	}
}

// An erasureEvent is the data of [ledger.KindErasure].
type erasureEvent struct {
	From string `json:"from"` // centre, api
}

// A configEvent is the data of [ledger.KindConfig].
type configEvent struct {
	Why     string         `json:"why"`    // start, reload
	Digest  string         `json:"sha256"` // of the file
	Tenants []configTenant `json:"tenants"`
}

type configTenant struct {
	Name     string         `json:"name"`
	Policies []configPolicy `json:"policies,omitempty"` // each once
}

type configPolicy struct {
	Use     string `json:"use"`              // as the configuration writes it
	Digest  string `json:"digest,omitempty"` // as in records of exchanges
	Version int    `json:"version,omitempty"`
}

// tellConfig tells which configuration counts from now on.
func (e *Edge) tellConfig(s *snapshot, why string) {
	data := configEvent{Why: why, Digest: hex.EncodeToString(s.site.Digest[:])}
	for i := range s.site.Tenants {
		one := configTenant{Name: s.site.Tenants[i].Name}
		t := s.tenantNamed(one.Name)
		for j := range t.routes {
			for k := range t.routes[j].policies {
				if p := e.configPolicy(t, &t.routes[j].policies[k]); !slices.Contains(one.Policies, p) {
					one.Policies = append(one.Policies, p)
				}
			}
		}
		data.Tenants = append(data.Tenants, one)
	}
	e.tell(ledger.KindConfig, "", data)
}

func (e *Edge) configPolicy(t *tenant, p *policy) configPolicy {
	one := configPolicy{Use: p.name}
	if p.ref.Kind != config.Uploaded {
		one.Digest = hex.EncodeToString(p.fixed.digest[:])
		return one
	}
	if e.store == nil {
		return one
	}
	var v registry.Version
	var ok bool
	if p.ref.Version != 0 {
		v, ok = e.store.registry.Version(t.name, p.ref.Name, p.ref.Version)
	} else {
		v, ok = e.store.registry.Active(t.name, p.ref.Name)
	}
	if ok {
		one.Digest, one.Version = hexDigest(v.Digest), v.Number
	}
	return one
}

// hexDigest writes a module's digest as records of exchanges do.
func hexDigest(d [32]byte) string {
	short := shortDigest(d)
	return hex.EncodeToString(short[:])
}

// An activationEvent is the data of [ledger.KindActivation].
type activationEvent struct {
	Change   registry.Kind `json:"change"` // stage, unstage, activate, rollback, retire, delete
	Policy   string        `json:"policy"`
	Version  int           `json:"version"`
	Digest   string        `json:"digest"`
	Active   int           `json:"active,omitempty"` // version that counts now
	Mode     registry.Mode `json:"mode,omitempty"`   // of what is staged: canary, shadow
	Permille int           `json:"permille,omitempty"`
}

// tellActivation tells which version of an uploaded policy counts.
func (e *Edge) tellActivation(c registry.Change) {
	switch c.Kind {
	case registry.Stage, registry.Unstage, registry.Activate, registry.Rollback, registry.Retire, registry.Delete:
	default:
		return // what nobody runs yet
	}
	data := activationEvent{Change: c.Kind, Policy: c.Policy.Name, Version: c.Version.Number, Digest: hexDigest(c.Version.Digest), Active: c.Policy.Active}
	if c.Kind == registry.Stage {
		data.Mode, data.Permille = c.Policy.Staging.Mode, c.Policy.Staging.Permille
	}
	e.tell(ledger.KindActivation, c.Tenant, data)
}

// A suspensionEvent is the data of [ledger.KindSuspension].
type suspensionEvent struct {
	Module string     `json:"module"` // as in the figures
	Digest string     `json:"digest"`
	Action string     `json:"action"` // suspended, resumed
	Until  *time.Time `json:"until,omitempty"`
}

// watchModules has what engines suspend recorded.
func (e *Edge) watchModules(eng *engine.Engine) {
	if e.ledger == nil {
		return
	}
	eng.OnSuspension(func(m *engine.Module, until time.Time) {
		tenant, module, uploaded := strings.Cut(m.Name(), "/") // see Store.stored
		if !uploaded || e.store == nil || eng != e.store.engine {
			tenant, module = "", filepath.Base(m.Name())
		}
		data := suspensionEvent{Module: module, Digest: hexDigest(m.Digest()), Action: "resumed"}
		if !until.IsZero() {
			until = until.UTC().Truncate(time.Millisecond)
			data.Action, data.Until = "suspended", &until
		}
		e.tell(ledger.KindSuspension, tenant, data)
	})
}

// watchStore has what becomes of uploaded policies recorded, until unwatch.
func (e *Edge) watchStore() (unwatch func()) {
	if e.ledger == nil || e.store == nil {
		return func() {}
	}
	e.watchModules(e.store.engine)
	cancel := e.store.registry.Subscribe(e.tellActivation)
	return func() {
		cancel()
		e.store.engine.OnSuspension(nil)
	}
}

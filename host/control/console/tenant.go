package console

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"bespoke/host/control"
	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

// A SiteRoute is a route of the configuration.
type SiteRoute struct {
	Path     string
	Policies []string // as the configuration names them, in their order
}

// A siteRow is a tenant in the list of all.
type siteRow struct {
	Name                string
	Policies, Suspended int
	Catalogue           bool
	Items               int
	Trying              int // versions that are tried beside the active one
	Failures, Runs      uint64
}

// tenantList shows all sites.
func (v *visit) tenantList() error {
	var rows []siteRow
	names := slices.Sorted(slices.Values(v.config.Tenants()))
	for _, name := range names {
		row := siteRow{Name: name}
		policies, err := v.policies(name)
		if err != nil {
			return err
		}
		row.Policies = len(policies)
		for _, p := range policies {
			if p.Staging.Version != 0 {
				row.Trying++
			}
			for _, r := range p.Running {
				row.Runs += r.Runs
				row.Failures += failures(r)
				if r.SuspendedUntil.After(v.now) {
					row.Suspended++
				}
			}
		}
		if v.config.Catalogues != nil {
			if f, ok := v.config.Catalogues.Catalogue(name); ok {
				row.Catalogue, row.Items = true, f.Items
			}
		}
		rows = append(rows, row)
	}
	return v.show(http.StatusOK, "tenants", "Sites", rows)
}

func failures(r control.RunStatus) (n uint64) {
	for _, c := range r.Failures {
		n += c
	}
	return n
}

// A policyRow is an uploaded policy and how it fares.
type policyRow struct {
	registry.Policy
	Running []control.RunStatus
	Now     time.Time
}

// Run returns how a version fares; false if it has not run since the start.
func (p policyRow) Run(version int) *control.RunStatus {
	for i := range p.Running {
		if p.Running[i].Version == version {
			return &p.Running[i]
		}
	}
	return nil
}

// Total adds up what all its versions did since the start.
func (p policyRow) Total() (all control.RunStatus) {
	for _, r := range p.Running {
		all.Runs += r.Runs
		all.Edits += r.Edits
		all.Fuel += r.Fuel
		for kind, n := range r.Failures {
			if all.Failures == nil {
				all.Failures = map[string]uint64{}
			}
			all.Failures[kind] += n
		}
		if r.SuspendedUntil.After(all.SuspendedUntil) {
			all.SuspendedUntil = r.SuspendedUntil
		}
	}
	return all
}

// Failed counts the failures of all its versions.
func (p policyRow) Failed() uint64 { return failures(p.Total()) }

// Suspended reports whether a version of it is held back now.
func (p policyRow) Suspended() bool { return p.Total().SuspendedUntil.After(p.Now) }

// Newest returns its versions, the newest first.
func (p policyRow) Newest() []registry.Version {
	all := slices.Clone(p.Versions)
	slices.Reverse(all)
	return all
}

// Differences counts the exchanges on which the version that is tried would
// have edited otherwise.
func (p policyRow) Differences() uint64 {
	if r := p.Run(p.Staging.Version); r != nil {
		return r.Differences
	}
	return 0
}

// FuelPerRun is how many instructions a run took, in the mean.
func (p policyRow) FuelPerRun() uint64 { t := p.Total(); return perRun(t) }

func perRun(r control.RunStatus) uint64 {
	if r.Runs == 0 {
		return 0
	}
	return r.Fuel / r.Runs
}

// policies returns what a tenant uploaded.
func (v *visit) policies(tenant string) ([]policyRow, error) {
	if v.config.Policies == nil {
		return nil, nil
	}
	list, _, err := v.config.Policies.List(tenant)
	if err != nil {
		return nil, err
	}
	rows := make([]policyRow, len(list))
	for i, p := range list {
		rows[i] = policyRow{p, v.config.Runtime.Status(tenant, p.Name), v.now}
	}
	return rows, nil
}

// A tenantView is a tenant's own page.
type tenantView struct {
	Name      string
	Routes    []SiteRoute
	Uploads   bool // policies can be uploaded
	Policies  []policyRow
	Ran       []policyFigures
	Missed    []missedRow
	Catalogue *control.CatalogueFigures
	Bands     []bandRow
	Now       time.Time
}

// A bandRow says how full a band is.
type bandRow struct {
	Name, About string
	Items       int
}

// bands says in words what the figures of a catalogue name.
var bands = map[string]string{
	"best-sellers": "bought most, older purchases count less",
	"trending":     "looked at more in the last day than is usual for the item",
	"deals":        "reduced in price, and looked at or bought",
}

func (v *visit) tenantPage() error {
	if !v.configured(v.tenant) {
		return &fault{http.StatusNotFound, "The configuration has no site of that name now."}
	}
	page := tenantView{Name: v.tenant, Uploads: v.config.Policies != nil, Now: v.now}
	var err error
	if page.Policies, err = v.policies(v.tenant); err != nil {
		return err
	}
	if v.config.Routes != nil {
		page.Routes = v.config.Routes(v.tenant)
	}
	if v.config.Catalogues != nil {
		if f, ok := v.config.Catalogues.Catalogue(v.tenant); ok {
			page.Catalogue = &f
			for name, n := range f.Bands {
				page.Bands = append(page.Bands, bandRow{name, bands[name], n})
			}
			slices.SortFunc(page.Bands, func(a, b bandRow) int { return cmp.Compare(a.Name, b.Name) })
		}
	}
	f := v.figures()
	page.Ran, page.Missed = policyFiguresOf(f, v.tenant), missedRows(f, v.tenant, func(p string) string { return p })
	return v.show(http.StatusOK, "tenant", v.tenant, page)
}

// A policyView is the page of one uploaded policy.
type policyView struct {
	Tenant string
	Policy policyRow
	Did    policyFigures // what its edits did
	Missed []missedRow
	Lines  []control.LogLine // the newest first
	Limits abi.Limits
	Now    time.Time
}

func (v *visit) policyPage() error {
	if !v.configured(v.tenant) {
		return &fault{http.StatusNotFound, "The configuration has no site of that name now."}
	}
	rows, err := v.policies(v.tenant)
	if err != nil {
		return err
	}
	name := v.r.PathValue("policy")
	i := slices.IndexFunc(rows, func(p policyRow) bool { return p.Name == name })
	if i < 0 {
		return &fault{http.StatusNotFound, "The site has uploaded no policy of that name."}
	}
	page := policyView{Tenant: v.tenant, Policy: rows[i], Limits: v.config.Runtime.Limits().Or(abi.DefaultLimits), Now: v.now}
	page.Lines = v.config.Runtime.Logs(v.tenant, name, 0)
	slices.Reverse(page.Lines)
	page.Did, page.Missed = editsOf(v.figures(), v.tenant, name)
	return v.show(http.StatusOK, "policy", name+" of "+v.tenant, page)
}

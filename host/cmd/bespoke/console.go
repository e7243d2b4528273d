package main

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"

	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/control/console"
)

// openConsole prepares the pages of the admin listener.
func (p *process) openConsole(site *config.Config, tokens *control.Tokens, log *slog.Logger) (http.Handler, error) {
	c := console.Config{
		Tokens: tokens, Tenants: p.tenants, Policies: p.store.Registry(), Runtime: p.store, Catalogues: p.learned, Routes: p.routes,
		Figures: p.edge.Families, Canaries: p.canaries.Status, Log: log,
	}
	if p.ledger != nil {
		c.Ledger, c.Recording, c.Cache = p.ledger.Dir, p.ledger.Status, filepath.Join(site.State, "ledger-counts")
	}
	pages, err := console.New(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stopPages = stop
	go pages.Watch(ctx)
	return pages, nil
}

// routes returns the routes of a site as they are configured now.
func (p *process) routes(tenant string) (routes []console.SiteRoute) {
	for _, t := range p.site.Load().Tenants {
		if t.Name != tenant {
			continue
		}
		for _, r := range t.Routes {
			row := console.SiteRoute{Path: r.Path}
			for _, use := range r.Policies {
				row.Policies = append(row.Policies, use.Use)
			}
			routes = append(routes, row)
		}
	}
	return routes
}

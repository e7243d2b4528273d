package edge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bespoke/geo"
	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/recommend"
	"bespoke/host/rewrite"
	"bespoke/host/watch"
	"bespoke/modules/abi"
)

// A snapshot is one configuration, ready to serve: immutable but for its count
// of users. The current one is held by the Edge; each exchange holds its own
// from begin to end, so that nothing is closed under it.
type snapshot struct {
	site    *config.Config
	modules *Modules
	geo     *geo.DB
	trusted []netip.Prefix
	exact   map[string]*tenant // host -> tenant
	wild    []wildHost         // "*.example.com", longest first
	refs    atomic.Int64
}

type wildHost struct {
	suffix string // ".example.com"
	tenant *tenant
}

// A tenant is one site: where its origin is, and what happens on its routes.
type tenant struct {
	name   string
	meter  *watch.Tenant
	origin *origin
	zone   *time.Location
	keep   bool       // pass the visitor's Host header on
	strip  *stripping // what its origin is not sent; nil: nothing
	routes []route
	used   consent.Set // purposes that some policy of it reads data for

	// How visitors are asked, and what is honoured of what their browsers say.
	optIn         bool // everywhere, also where the rules of the place do not ask for it
	dnt           bool
	textVersion   uint16
	signalCookies consent.CookieNames
	brand         *control.Brand // nil: the plain page

	fences *geo.Fences // nil: none

	// recommender has the tenant's catalogue, and what is learned from those who
	// granted it; nil: the tenant has no catalogue.
	recommender *recommend.Recommender

	compiler *rewrite.Compiler // of its policies' edits; one tenant's do not push out another's
}

type route struct {
	config.Route
	policies []policy
	request  bool          // some policy runs before the origin is asked
	response bool          // some policy runs on the response
	headers  bool          // some policy may read headers of the request
	meter    int           // of watch.Tenant
	exhibits *exhibitClock // nil: none are kept
}

// A policy is a use of a module on a route.
type policy struct {
	name  string // as the configuration writes it
	ref   config.Ref
	fixed pick // what runs, unless it is an upload
	with  []config.Setting
	meter int // of watch.Tenant
}

func (p *pick) runs(ph abi.Phase) bool {
	return p.module != nil && p.manifest.Runs(ph) && p.module.Exports(ph)
}

// rememberedTargets is how many selectors of a tenant's policies are kept compiled.
const rememberedTargets = 256

func newSnapshot(site *config.Config, modules *Modules, db *geo.DB, learned *Recommenders) (*snapshot, error) {
	s := &snapshot{site: site, modules: modules, geo: db, trusted: site.TrustedProxies, exact: map[string]*tenant{}}
	for i := range site.Tenants {
		c := &site.Tenants[i]
		t := &tenant{
			name: c.Name, origin: newOrigin(c.Origin, site.Limits), zone: c.Zone, keep: c.PreserveHost, strip: newStripping(&c.Consent), compiler: rewrite.NewCompiler(rememberedTargets),
			optIn: c.Consent.OptIn, dnt: c.Consent.DNT, textVersion: c.Consent.TextVersion, signalCookies: c.Consent.Cookies,
			fences: c.Fences, recommender: learned.of(c),
		}
		var err error
		if t.brand, err = brandOf(&c.Consent.Brand); err != nil {
			return nil, fmt.Errorf("tenant %s, brand: %w", c.Name, err)
		}
		if t.recommender != nil {
			t.used = t.used.With(abi.Measure) // of what the tenant's server tells of subjects, if nothing else
		}
		for _, r := range c.Routes {
			compiled, err := newRoute(r, modules)
			if err != nil {
				return nil, fmt.Errorf("tenant %s, route %s: %w", c.Name, r.Path, err)
			}
			for _, p := range compiled.policies {
				if p.fixed.manifest != nil {
					t.used |= uses(p.fixed.manifest)
				}
			}
			if !r.Items.None() {
				t.used = t.used.With(abi.Personalize).With(abi.Measure)
			}
			t.routes = append(t.routes, compiled)
		}
		for _, h := range c.Hosts {
			if suffix, ok := strings.CutPrefix(h, "*"); ok {
				s.wild = append(s.wild, wildHost{suffix, t})
			} else {
				s.exact[h] = t
			}
		}
	}
	slices.SortStableFunc(s.wild, func(a, b wildHost) int { return len(b.suffix) - len(a.suffix) })
	s.refs.Store(1) // the Edge's own, until it is replaced
	return s, nil
}

// brandOf returns a site's brand, nil for none.
func brandOf(c *config.Brand) (*control.Brand, error) {
	if c.Line == 0 {
		return nil, nil
	}
	b := &control.Brand{Accent: c.Accent, AccentDark: c.AccentDark, Logo: c.Logo, Title: c.Title, Intro: c.Intro}
	return b, b.Check()
}

// checkBrands reports the brands of a configuration that cannot be used.
func checkBrands(site *config.Config) error {
	var wrong config.Errors
	for i := range site.Tenants {
		c := &site.Tenants[i].Consent.Brand
		if _, err := brandOf(c); err != nil && len(wrong) < config.MaxErrors {
			wrong = append(wrong, config.Error{File: site.File, Line: c.Line, Col: c.Col, Msg: "brand: " + err.Error()})
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

func newRoute(r config.Route, modules *Modules) (route, error) {
	out := route{Route: r}
	for _, u := range r.Policies {
		p := policy{name: u.Use, ref: u.Ref, with: u.With}
		if u.Ref.Kind == config.Uploaded { // may be in either phase, and may change
			out.request, out.response, out.headers = true, true, true
		} else {
			module, manifest, err := modules.module(u.Ref)
			if err != nil {
				return out, fmt.Errorf("policy %s: %w", u.Use, err)
			}
			p.fixed = pick{module: module, manifest: manifest, reads: newReadable(manifest), digest: shortDigest(module.Digest()), page: readsFamily(manifest, abi.KeyPage)}
			out.request = out.request || p.fixed.runs(abi.OnRequest)
			out.response = out.response || p.fixed.runs(abi.OnResponse)
			out.headers = out.headers || readsFamily(manifest, abi.KeyRequestHeader)
		}
		out.policies = append(out.policies, p)
	}
	return out, nil
}

// uses returns the purposes for which a policy declares that it reads data.
func uses(m *abi.Manifest) (s consent.Set) {
	for key := range m.Reads {
		if p, ok := abi.Classify(key).Needs(); ok {
			s = s.With(p)
		}
		switch {
		case strings.HasPrefix(key, "geo."):
			s = s.With(abi.Localize)
		case strings.HasPrefix(key, abi.KeyExperiment), strings.HasPrefix(key, "profile.affinity."), strings.HasPrefix(key, abi.KeyRecommend) && strings.HasSuffix(key, "*"):
			s = s.With(abi.Personalize)
		}
	}
	return s
}

// tenant returns the tenant of a host: lower case, without a port.
func (s *snapshot) tenant(host []byte) *tenant {
	if t := s.exact[string(host)]; t != nil {
		return t
	}
	for _, w := range s.wild {
		if len(host) > len(w.suffix) && string(host[len(host)-len(w.suffix):]) == w.suffix {
			return w.tenant
		}
	}
	return nil
}

// acquire returns the current snapshot; its user calls release in the end. It
// returns nil when the Edge has stopped.
func (e *Edge) acquire() *snapshot {
	for {
		s := e.current.Load()
		for {
			n := s.refs.Load()
			if n == 0 {
				if e.current.Load() == s {
					return nil
				}
				break // there is a newer one
			}
			if s.refs.CompareAndSwap(n, n+1) {
				return s
			}
		}
	}
}

func (s *snapshot) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	for _, t := range s.exact {
		t.origin.close()
	}
	for _, w := range s.wild {
		w.tenant.origin.close()
	}
	s.modules.Close()
}

// route returns the first route whose pattern matches the path, or nil.
func (t *tenant) route(path string) *route {
	for i := range t.routes {
		if t.routes[i].Match(path) {
			return &t.routes[i]
		}
	}
	return nil
}

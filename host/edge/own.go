package edge

import (
	"strings"

	"github.com/valyala/fasthttp"

	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/modules/abi"
)

// tailors reports whether anything about the visitor can matter to the answer.
func (x *exchange) tailors() bool {
	return x.route != nil && (len(x.route.policies) > 0 || !x.route.Items.None()) || x.tenant.strip != nil || strings.HasPrefix(x.path, control.Prefix)
}

// ownPage answers what the edge itself serves on every site: the privacy
// centre and the GPC statement. It reports whether it did.
func (x *exchange) ownPage() bool {
	path := x.path
	if path == control.PathStatement && (x.ctx.IsGet() || x.ctx.IsHead()) {
		x.answer(control.Answer{Status: 200, ContentType: "application/json", Body: []byte(control.Statement)}, "public, max-age=86400")
		return true
	}
	if len(path) < len(control.Prefix) || path[:len(control.Prefix)] != control.Prefix {
		return false
	}
	req := &x.ctx.Request
	visit := control.Visit{
		Site: x.tenant.name, Origin: x.siteURL(), Decision: x.decision, Choice: x.latest(), Preferences: *x.preferences(),
		Used: x.used(), TextVersion: x.tenant.textVersion, SiteAsks: x.stricter, Devices: x.devices(), Why: x.toldWhy(), Brand: x.tenant.brand, Now: x.began, Stands: x.stands,
		Hidden: x.hiddenItems().Hidden, HiddenNewer: x.hiddenItems().newer,
	}
	if in := x.inferredFor(abi.Personalize); in != nil {
		visit.Inferred = &in.Inferred
	}
	if rec := x.tenant.recommender; rec != nil {
		visit.Catalogue = catalogueNames{rec.Catalogue()}
	}
	if x.snap.geo != nil {
		info := x.snap.geo.Info()
		visit.Attribution, visit.AttributionURL = info.Attribution, info.AttributionURL
	}
	a := x.edge.privacy.Answer(control.Request{
		Method: string(req.Header.Method()), Path: path, Query: string(x.ctx.URI().QueryString()),
		ContentType: string(req.Header.ContentType()), AcceptLanguage: string(req.Header.Peek("Accept-Language")),
		Body: req.Body(), CrossOrigin: x.crossOrigin(),
	}, visit)
	h := &x.ctx.Response.Header
	x.tellAnswer(&a)
	if a.Choice != nil {
		x.keepChoice(&a)
		x.dropWhy(h) // it was told of what they allowed before
		x.choseInferred(h, &a)
	}
	if len(a.Events) > 0 {
		x.followTold(a.Events)
		x.keepInferred(h)
	}
	if a.Hidden != nil && !(a.Hidden.Empty() && x.cookies.hidden.n == 0) {
		x.keepHidden(h, a.Hidden)
	}
	if a.EraseAll && x.cookies.subject.n > 0 {
		x.setCookie(h, useSubject, nil)
	}
	if a.Preferences != nil {
		if a.Preferences.Empty() {
			x.setCookie(h, usePreferences, nil)
		} else {
			x.setCookie(h, usePreferences, a.Preferences.Encode())
		}
	}
	caching := "no-store"
	if a.Static {
		caching = "public, max-age=3600"
	}
	x.answer(a, caching)
	return true
}

// keepChoice has the visitor's browser keep their choice, and the store, if they
// are a known subject. Where the store cannot, the answer says so.
func (x *exchange) keepChoice(a *control.Answer) {
	s := &x.subject
	k := keptChoice{choice: a.Choice, issued: x.began}
	elsewhere := true
	switch {
	case s.key != "":
		k.as = s.tag()
		elsewhere = x.edge.subjects.keep(s.key, a.Choice)
		x.forgetSubject(a.Choice)
	case s.named: // nobody can tell whom
		elsewhere = false
	case x.cookies.subject.n > 0 && x.edge.subjects != nil:
		// Unreadable. The visitor has spoken: it no longer speaks for them.
		x.setCookie(&x.ctx.Response.Header, useSubject, nil)
	}
	x.setCookie(&x.ctx.Response.Header, useChoice, k.encode())
	if !elsewhere && a.HereOnly != nil {
		a.Status, a.Location, a.Body = a.HereOnly.Status, a.HereOnly.Location, a.HereOnly.Body
	}
}

// devices tells on which of their devices the visitor's choice holds.
func (x *exchange) devices() control.Devices {
	switch s := &x.subject; {
	case s.standing == noSubject, s.standing == subjectUnknown && !s.named:
		return control.ThisDevice
	case s.standing == subjectKept:
		return control.AllDevices
	}
	return control.NotYetAllDevices
}

// siteURL returns the site as the visitor's browser names it.
func (x *exchange) siteURL() string {
	if x.secure() {
		return "https://" + string(x.ctx.Host())
	}
	return "http://" + string(x.ctx.Host())
}

// used returns the purposes for which something on the site declares that it
// reads data, what was uploaded among it.
func (x *exchange) used() consent.Set {
	set := x.tenant.used
	for i := range x.tenant.routes {
		for _, p := range x.tenant.routes[i].policies {
			if p.ref.Kind != config.Uploaded || x.edge.store == nil {
				continue
			}
			if pk := x.edge.store.pick(x.tenant.name, p.ref.Name, p.ref.Version, 0); pk.manifest != nil {
				set |= uses(pk.manifest)
			}
		}
	}
	return set
}

func (x *exchange) answer(a control.Answer, caching string) {
	out := &x.ctx.Response
	out.SetStatusCode(a.Status)
	h := &out.Header
	if a.ContentType != "" {
		h.SetContentType(a.ContentType)
	}
	h.Set("Cache-Control", caching)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", control.CSP)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if a.Location != "" {
		h.Set("Location", a.Location)
	}
	if a.Language != "" {
		h.Set("Content-Language", a.Language)
	}
	if a.Filename != "" {
		h.Set("Content-Disposition", `attachment; filename="`+a.Filename+`"`)
	}
	if a.Allow != "" {
		h.Set("Allow", a.Allow)
	}
	out.SetBodyRaw(a.Body)
}

// crossOrigin reports whether a browser says that another site sent the
// request: by Sec-Fetch-Site (W3C Fetch Metadata), else by Origin, else by
// Referer. What is no browser sends none, and holds no visitor's cookies.
func (x *exchange) crossOrigin() bool {
	h := &x.ctx.Request.Header
	if site := h.Peek("Sec-Fetch-Site"); len(site) > 0 {
		return string(site) != "same-origin" && string(site) != "none"
	}
	origin := h.Peek("Origin")
	if len(origin) == 0 {
		origin = h.Peek("Referer")
	}
	if len(origin) == 0 {
		return false
	}
	var uri fasthttp.URI
	if err := uri.Parse(nil, origin); err != nil {
		return true
	}
	// On a site that is served over TLS, what was served without may have been
	// written by anybody on the way.
	return string(uri.Host()) != string(x.ctx.Host()) || x.secure() && string(uri.Scheme()) != "https"
}

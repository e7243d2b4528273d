package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // whether a zone is known must not depend on the machine

	"bespoke/host/consent"
	"bespoke/modules/abi"
)

// A decoder turns the tree into a Config and collects what is wrong.
type decoder struct {
	file      string
	folder    string // that paths are relative to
	policies  Policies
	manifests map[Ref]answer // of Policies
	hosts     map[string]pos // of all tenants
	names     map[string]pos // of tenants
	errs      Errors
}

type answer struct {
	manifest *abi.Manifest
	err      error
}

func newDecoder(file string, policies Policies) *decoder {
	return &decoder{
		file:      file,
		folder:    filepath.Dir(file),
		policies:  policies,
		manifests: map[Ref]answer{},
		hosts:     map[string]pos{},
		names:     map[string]pos{},
	}
}

// A field is one key of a mapping.
type field struct {
	name     string
	required bool
	set      func(*node)
}

// mapping hands the values of n to the fields, and reports keys that are
// unknown, written twice or missing. what names the mapping in errors.
func (d *decoder) mapping(n *node, what string, fields []field) {
	if n.kind != mapping {
		d.errorf(n.pos, "%s: found %s, expected a mapping with the keys %s", what, n.describe(), strings.Join(names(fields), ", "))
		return
	}
	seen := map[string]pos{}
	for _, p := range n.pairs {
		name := strings.ReplaceAll(p.key.text, "-", "_")
		f := find(fields, name)
		if f == nil {
			d.errorf(p.key.pos, "unknown key %s in %s%s", quote(p.key.text), what, expected(name, names(fields)))
			continue
		}
		if at, ok := seen[name]; ok {
			d.errorf(p.key.pos, "%s stands twice in %s, first at %s", name, what, at)
			continue
		}
		seen[name] = p.key.pos
		if p.value.kind == nothing {
			hint := ""
			if !f.required {
				hint = "; leave the key out for its default"
			}
			d.errorf(p.value.pos, "%s: found nothing, expected a value%s", name, hint)
			continue
		}
		f.set(p.value)
	}
	for _, f := range fields {
		if _, ok := seen[f.name]; f.required && !ok {
			d.errorf(n.pos, "%s lacks the key %q", what, f.name)
		}
	}
}

func find(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func names(fields []field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.name)
	}
	return out
}

// expected ends an error about an unknown word: the nearest known one, or all.
func expected(word string, known []string) string {
	if s := suggest(word, known); s != "" {
		return s
	}
	return ", expected " + list(known)
}

// each hands the items of a list to do.
func (d *decoder) each(n *node, what string, do func(*node)) {
	if n.kind != sequence {
		d.errorf(n.pos, "%s: found %s, expected a list", what, n.describe())
		return
	}
	for _, item := range n.items {
		do(item)
	}
}

// text returns a scalar's text; want says what is expected instead of n.
func (d *decoder) text(n *node, what, want string) (string, bool) {
	if n.kind != scalar || n.text == "" {
		d.errorf(n.pos, "%s: found %s, expected %s", what, n.describe(), want)
		return "", false
	}
	return n.text, true
}

func (d *decoder) boolean(n *node, what string) bool {
	if n.kind == scalar && !n.quoted && (n.text == "true" || n.text == "false") {
		return n.text == "true"
	}
	d.errorf(n.pos, "%s: found %s, expected true or false%s", what, n.describe(), likeBoolean(n))
	return false
}

func likeBoolean(n *node) string {
	if n.kind != scalar {
		return ""
	}
	switch strings.ToLower(n.text) {
	case "true", "yes", "on", "y":
		return "; did you mean true?"
	case "false", "no", "off", "n":
		return "; did you mean false?"
	}
	return ""
}

func (d *decoder) config(n *node) *Config {
	c := &Config{
		File:   d.file,
		Listen: "127.0.0.1:8080",
		State:  filepath.Join(d.folder, "state"),
		Limits: DefaultLimits(),
		Ledger: DefaultLedger(),
	}
	d.mapping(n, "the configuration", []field{
		{"listen", false, func(n *node) { c.Listen = d.address(n, "listen") }},
		{"admin", false, func(n *node) {
			c.Admin = d.address(n, "admin")
			if c.Admin != "" && c.Admin == c.Listen && !strings.HasSuffix(c.Admin, ":0") {
				d.errorf(n.pos, "admin: %s is the address of listen too", quote(c.Admin))
			}
		}},
		{"state", false, func(n *node) { c.State = d.state(n) }},
		{"geo", false, func(n *node) { c.Geo = d.geo(n) }},
		{"trusted_proxies", false, func(n *node) {
			d.each(n, "trusted_proxies", func(n *node) {
				if p, ok := d.prefix(n); ok {
					c.TrustedProxies = append(c.TrustedProxies, p)
				}
			})
		}},
		{"limits", false, func(n *node) { d.limits(n, &c.Limits) }},
		{"ledger", false, func(n *node) { d.ledger(n, &c.Ledger) }},
		{"traces", false, func(n *node) { c.Traces = d.traces(n) }},
		{"tenants", true, func(n *node) {
			d.each(n, "tenants", func(n *node) { c.Tenants = append(c.Tenants, d.tenant(n)) })
			if n.kind == sequence && len(n.items) == 0 {
				d.errorf(n.pos, "tenants: found an empty list, expected at least one tenant")
			}
		}},
	})
	return c
}

var tenantName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func (d *decoder) tenant(n *node) Tenant {
	t := Tenant{Zone: time.UTC, Consent: Consent{Cookies: consent.DefaultCookieNames()}}
	d.mapping(n, "a tenant", []field{
		{"name", true, func(n *node) { t.Name = d.tenantName(n) }},
		{"hosts", true, func(n *node) {
			d.each(n, "hosts", func(n *node) {
				if h, ok := d.host(n); ok {
					t.Hosts = append(t.Hosts, h)
				}
			})
			if n.kind == sequence && len(n.items) == 0 {
				d.errorf(n.pos, "hosts: found an empty list, expected at least one host")
			}
		}},
		{"origin", true, func(n *node) { t.Origin = d.origin(n) }},
		{"preserve_host", false, func(n *node) { t.PreserveHost = d.boolean(n, "preserve_host") }},
		{"zone", false, func(n *node) { t.Zone = d.zone(n) }},
		// Short for consent: {dnt: honour}; where either says so, it is honoured.
		{"dnt", false, func(n *node) { t.Consent.DNT = d.boolean(n, "dnt") || t.Consent.DNT }},
		{"consent", false, func(n *node) { d.consent(n, &t.Consent) }},
		{"catalogue", false, func(n *node) { t.Catalogue = d.catalogue(n) }},
		{"fences", false, func(n *node) { t.Fences = d.fences(n) }},
		{"audit", false, func(n *node) { t.Canaries = d.audit(n) }},
		{"routes", false, func(n *node) { t.Routes = d.routes(n) }},
	})
	return t
}

func (d *decoder) tenantName(n *node) string {
	const want = "a lower-case letter, then up to 62 letters, digits or hyphens"
	s, ok := d.text(n, "name", want)
	if !ok {
		return ""
	}
	if !tenantName.MatchString(s) {
		d.errorf(n.pos, "name: found %s, expected %s", n.describe(), want)
		return ""
	}
	if at, ok := d.names[s]; ok {
		d.errorf(n.pos, "name: the tenant %q stands at %s already", s, at)
	} else {
		d.names[s] = n.pos
	}
	return s
}

// host checks a name and that no tenant has it yet.
func (d *decoder) host(n *node) (string, bool) {
	const want = "a host such as shop.example.com or \"*.example.com\""
	s, ok := d.text(n, "hosts", want)
	if !ok {
		return "", false
	}
	h, why, ok := hostPattern(s)
	if !ok {
		d.errorf(n.pos, "hosts: found %s, expected %s%s", n.describe(), want, why)
		return "", false
	}
	if at, ok := d.hosts[h]; ok {
		d.errorf(n.pos, "hosts: %q stands at %s already", h, at)
		return "", false
	}
	d.hosts[h] = n.pos
	return h, true
}

func (d *decoder) zone(n *node) *time.Location {
	const want = "a name of the IANA time zone database such as Europe/Berlin"
	s, ok := d.text(n, "zone", want)
	if !ok {
		return time.UTC
	}
	// "Local" would be the machine's zone.
	z, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		d.errorf(n.pos, "zone: found %s, expected %s", n.describe(), want)
		return time.UTC
	}
	return z
}

func (d *decoder) state(n *node) string {
	s, ok := d.text(n, "state", "a folder")
	if !ok {
		return ""
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		d.errorf(n.pos, "state: a server (%s://) is not in this version, expected a folder", scheme)
		return ""
	}
	p := d.path(s)
	if i, err := os.Stat(p); err == nil && !i.IsDir() {
		d.errorf(n.pos, "state: %s is a file, expected a folder", quote(p))
	}
	return p
}

func (d *decoder) geo(n *node) string {
	s, ok := d.text(n, "geo", "a database file, or a folder of them")
	if !ok {
		return ""
	}
	p := d.path(s)
	if i, err := os.Stat(p); err != nil {
		d.errorf(n.pos, "geo: %s: %s", quote(p), reason(err))
	} else if !i.IsDir() && !i.Mode().IsRegular() {
		d.errorf(n.pos, "geo: %s is neither a file nor a folder", quote(p))
	}
	return p
}

// path resolves a path that the file names against the folder of the file.
func (d *decoder) path(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(d.folder, s)
}

func (d *decoder) prefix(n *node) (netip.Prefix, bool) {
	const want = "a network such as 10.0.0.0/8, or an address"
	s, ok := d.text(n, "trusted_proxies", want)
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			d.errorf(n.pos, "trusted_proxies: found %s, expected %s", n.describe(), want)
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		d.errorf(n.pos, "trusted_proxies: found %s, expected its IPv4 form, based on %s", n.describe(), p.Addr().Unmap())
		return netip.Prefix{}, false
	}
	if m := p.Masked(); m != p {
		d.errorf(n.pos, "trusted_proxies: %s has bits beyond its length; did you mean %s?", quote(s), m)
		return netip.Prefix{}, false
	}
	return p, true
}

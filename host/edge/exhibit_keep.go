package edge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/modules/abi"
	"bespoke/policies/builtin"
)

// finish returns the exhibit's text and the modules that it needs; nil if it is not
// to be kept.
func (c *capture) finish(f fault) ([]byte, []exhibit.Code) {
	x, e := c.x, &c.e
	switch {
	case c.why != "":
	case f != noFault, x.unrecorded:
		c.refuse(whyFault)
	case c.body.over || c.sent.over:
		c.refuse(whySize)
	case x.failed > 0:
		c.refuse(whyPolicy)
	case len(e.Runs) == 0:
		c.refuse(whyIdle)
	case x.located, x.rec.personal:
		c.refuse(whyPersonal)
	case x.subject.standing != noSubject, x.subject.named, x.inferred != nil:
		c.refuse(whyKnown)
	case e.Sent.Length >= 0 && e.Sent.Length != c.sent.Len(),
		e.Origin != nil && e.Origin.Length >= 0 && e.Origin.Length != c.body.Len():
		c.refuse(whySent) // or something passed by
	case !c.wholeQuery():
		c.refuse(whyQuery)
	case c.echoes():
		c.refuse(whyEchoes)
	}
	if c.why != "" {
		return nil, nil
	}
	c.keepHeaders()
	code := c.keepPolicies()
	if e.Origin != nil {
		e.Origin.Body = c.body.Bytes()
	}
	e.Sent.Body = c.sent.Bytes()
	text, err := e.Encode()
	if err != nil {
		x.edge.log.LogAttrs(x.edge.ctx, slog.LevelDebug, "no exhibit", slog.String("error", err.Error()))
		return nil, nil
	}
	return text, code
}

// wholeQuery reports whether some policy read every argument of the query. A query may
// name a person, and the origin saw all of it: its page may repeat what no policy read.
func (c *capture) wholeQuery() bool {
	seen := map[string]bool{}
	for name := range c.x.ctx.QueryArgs().All() {
		if seen[string(name)] || !c.wasGiven(abi.KeyRequestQuery+string(name)) {
			return false
		}
		seen[string(name)] = true
	}
	return true
}

// wasGiven reports whether some run read a key and got an answer.
func (c *capture) wasGiven(key string) bool {
	for i := range c.e.Runs {
		if slices.ContainsFunc(c.e.Runs[i].Reads, func(r exhibit.Read) bool { return r.Key == key && r.Value != nil }) {
			return true
		}
	}
	return false
}

// keepHeaders keeps those of the request that some policy was given, and what the
// edge itself made of others.
func (c *capture) keepHeaders() {
	for i, name := range abi.ReadableHeaders {
		if c.wasGiven(abi.KeyRequestHeader + name) {
			c.header(name, c.x.seen.values[i])
		} else if name == "accept-language" && c.language != "" {
			c.header(name, c.language)
		}
	}
	if c.encoding != "" {
		c.header("accept-encoding", c.encoding)
	}
}

// shortest is the length below which an answer holds a value by chance.
const shortest = 4

// echoes reports whether the answer repeats what the origin was sent of the visitor:
// an address, a browser's name, where they come from.
func (c *capture) echoes() bool {
	if c.e.Origin == nil {
		return false
	}
	text := c.body.Bytes()
	if coded := codingOf(c.x.in.Header.ContentEncoding()); coded != identity {
		var err error
		if text, err = decoded(text, coded); err != nil {
			return true // nobody can tell
		}
	}
	for name, value := range c.x.ctx.Request.Header.All() {
		if c.namesNobody(string(name), string(value)) {
			continue
		}
		for part := range bytes.SplitSeq(value, []byte(",")) {
			if part = bytes.TrimSpace(part); len(part) < shortest {
				continue
			}
			if bytes.Contains(text, part) {
				return true
			}
			for _, f := range c.e.Origin.Header {
				if strings.Contains(string(f.Value), string(part)) {
					return true
				}
			}
		}
	}
	return false
}

// namesNobody reports whether an answer may repeat a field of the request.
func (c *capture) namesNobody(name, value string) bool {
	if checkName(name, harmless[:]) != abi.Accepted {
		return true
	}
	if strings.EqualFold(name, "Referer") { // a page has links to where one comes from
		at, err := url.Parse(value)
		return err == nil && at.Host == string(c.x.ctx.Host()) && at.RawQuery == "" && at.User == nil
	}
	return slices.ContainsFunc(c.x.edits, func(e abi.Edit) bool {
		return e.Op == abi.OpUpstreamHeader && strings.EqualFold(e.Target, name) // what a policy made of public keys
	})
}

// keepPolicies keeps which policies the route has, and returns their modules.
func (c *capture) keepPolicies() (code []exhibit.Code) {
	x := c.x
	for i := range x.picks {
		p, pk := &x.route.policies[i], &x.picks[i]
		k := exhibit.Policy{Name: p.name, Version: pk.version, Limits: exhibit.Limits(x.snap.site.Limits.Policy.Or(abi.DefaultLimits))}
		if p.ref.Kind == config.Uploaded && x.edge.store != nil {
			k.Limits = exhibit.Limits(x.edge.store.limits)
		}
		for _, s := range p.with {
			k.With = append(k.With, exhibit.Field{Name: s.Name, Value: exhibit.Text(s.Value)})
		}
		if pk.module != nil {
			digest := pk.module.Digest()
			k.Module, k.Entry = hex.EncodeToString(digest[:]), pk.manifest.Name
			code = append(code, exhibit.Code{Digest: digest, Bytes: x.moduleBytes(p, digest)})
		}
		c.e.Policies = append(c.e.Policies, k)
	}
	return code
}

// moduleBytes returns how to get the bytes of a module, after the exchange.
func (x *exchange) moduleBytes(p *policy, digest [32]byte) func() ([]byte, error) {
	ref, store, limit := p.ref, x.edge.store, x.snap.modules.limit
	return func() (code []byte, err error) {
		switch ref.Kind {
		case config.Builtin:
			code = builtin.Module()
		case config.Uploaded:
			return store.registry.Binary(digest) // which checks it
		default:
			code, err = readModule(ref.File, limit)
		}
		if sum := sha256.Sum256(code); err == nil && sum != digest {
			err = fmt.Errorf("%s is another by now", ref.Name)
		}
		return code, err
	}
}

// build names the build of this process, "" if it cannot tell.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	rev := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value + rev
		case s.Key == "vcs.modified" && s.Value == "true":
			rev += "+changes"
		}
	}
	return rev
}

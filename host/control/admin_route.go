package control

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// An action is what one method does to a resource. It answers by itself, or
// returns why not.
type action struct {
	method string
	change string // what it changes, for the log; "": it only reads
	do     func(*call) *problem
}

// A resource is a path of the API. A segment in braces stands for a name.
type resource struct {
	path    []string // below /v1/tenants/{tenant}
	actions []action
}

// api is the whole API below /v1/tenants/{tenant}.
func api() []resource {
	get := func(do func(*call) *problem) action { return action{"GET", "", do} }
	post := func(change string, do func(*call) *problem) action { return action{"POST", change, do} }
	policies := func(actions []action, path ...string) resource {
		return resource{append([]string{"policies"}, path...), actions}
	}
	return []resource{
		policies([]action{get((*call).list)}),
		policies([]action{get((*call).show), post("upload", (*call).upload)}, "{policy}"),
		policies([]action{get((*call).logs)}, "{policy}", "logs"),
		policies([]action{get((*call).limits)}, "{policy}", "limits"),
		policies([]action{post("unstage", (*call).unstage)}, "{policy}", "unstage"),
		policies([]action{post("rollback", (*call).rollback)}, "{policy}", "rollback"),
		policies([]action{get((*call).showVersion), {"DELETE", "delete", (*call).remove}}, "{policy}", "versions", "{version}"),
		policies([]action{post("stage", (*call).stage)}, "{policy}", "versions", "{version}", "stage"),
		policies([]action{post("activate", (*call).activate)}, "{policy}", "versions", "{version}", "activate"),
		policies([]action{post("retire", (*call).retire)}, "{policy}", "versions", "{version}", "retire"),
		{[]string{"catalogue"}, []action{get((*call).catalogue), {"PUT", "load", (*call).loadCatalogue}}},
		{[]string{"subjects", "{subject}", "events"}, []action{post(events, (*call).subjectEvents)}},
	}
}

// A call is one authenticated request to the API.
type call struct {
	*Admin
	ctx            *fasthttp.RequestCtx
	kind           string // of resource: policies, catalogue or subjects
	token          Token
	tenant, policy string
	subject        string // percent-encoded
	version        int
}

// answer answers a request, or returns why not.
func (a *Admin) answer(ctx *fasthttp.RequestCtx) *problem {
	// The path is taken as it was sent. What is decoded or cleaned up before it
	// is looked at lets one resource pass for another.
	path, _, _ := bytes.Cut(ctx.Request.Header.RequestURI(), []byte("?"))
	switch string(path) {
	case "/healthz":
		return health(ctx)
	case "/readyz":
		return a.ready(ctx)
	case "/metrics":
		return a.metrics(ctx)
	}
	if a.config.Console != nil && (string(path) == "/" || bytes.HasPrefix(path, []byte(ConsolePrefix))) {
		return a.console(ctx)
	}
	segments := strings.Split(string(path), "/") // the first is empty
	if len(segments) < 2 || segments[0] != "" || segments[1] != "v1" {
		return notFound("there are /healthz, /readyz and /metrics here, and the API below /v1/")
	}
	now := a.config.Now()
	token, p := a.authenticate(ctx, now)
	if p != nil {
		return p
	}
	if len(segments) < 5 || segments[2] != "tenants" {
		return notFound("there is no such resource; policies are at /v1/tenants/{tenant}/policies")
	}
	c := &call{Admin: a, ctx: ctx, token: token, tenant: segments[3]}
	r := a.find(segments[4:], c)
	if r == nil {
		return notFound("there is no such resource below /v1/tenants/{tenant}; there are policies, catalogue and subjects")
	}
	do := r.action(string(ctx.Method()))
	if do == nil {
		p := &problem{Status: 405, Detail: "this resource takes " + r.allow()}
		p.header("Allow", r.allow())
		return p
	}
	c.kind = r.path[0]
	p = c.run(do)
	// What subjects did is no change of the edge, and as frequent as they are many.
	if do.change != "" && (do.change != events || p != nil && p.Status >= 500) {
		c.record(do.change, p, now)
	}
	return p
}

// run does what was asked if the token may.
func (c *call) run(do *action) *problem {
	// Whether a tenant exists is told only to those who may see it.
	if p := c.token.may(do.change != "", c.tenant); p != nil {
		return p
	}
	switch {
	case c.kind == "policies" && c.config.Policies == nil:
		return &problem{Status: 503, Detail: "this edge keeps no policies: it runs without a state folder"}
	case c.kind == "catalogue" && c.config.Catalogues == nil, c.kind == "subjects" && c.config.Subjects == nil:
		return &problem{Status: 503, Detail: "this edge keeps no catalogues and knows no subjects: it runs without a state folder"}
	case !slices.Contains(c.config.Tenants(), c.tenant):
		return notFound("the configuration has no tenant of that name")
	}
	return do.do(c)
}

// may returns why the token does not allow what is asked, nil if it does.
func (t *Token) may(change bool, tenant string) *problem {
	var why string
	switch {
	case t.Role == RoleOperator, t.Role == RoleAuditor && !change, t.Role == RoleTenant && t.Tenant == tenant:
		return nil
	case t.Role == RoleAuditor:
		why = "this token is an auditor's: it only reads"
	case t.Role == RoleTenant:
		why = "this token is for one tenant, and not for this one"
	case t.Role == RoleMonitor:
		why = "this token is for /metrics alone"
	default:
		why = "this token has no role"
	}
	return forbidden(why)
}

// authenticate returns the token that the request carries (RFC 6750, section 2.1).
func (a *Admin) authenticate(ctx *fasthttp.RequestCtx, now time.Time) (Token, *problem) {
	if a.config.Tokens == nil {
		return Token{}, &problem{Status: 503, Detail: "this edge has no tokens: it runs without a state folder"}
	}
	refuse := func(detail, params string) (Token, *problem) {
		p := &problem{Status: 401, Detail: detail}
		p.header("WWW-Authenticate", `Bearer realm="bespoke"`+params)
		return Token{}, p
	}
	fields := ctx.Request.Header.PeekAll("Authorization")
	if len(fields) == 0 {
		return refuse("send a token: Authorization: Bearer bsp_...", "")
	}
	const invalid = `, error="invalid_token"`
	scheme, secret, _ := strings.Cut(string(fields[0]), " ")
	if len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return refuse("send one token: Authorization: Bearer bsp_...", `, error="invalid_request"`)
	}
	token, err := a.config.Tokens.Check(strings.TrimLeft(secret, " "), now)
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, ErrUnknownToken):
		return refuse("the token is not known here; it may have been revoked", invalid)
	case errors.Is(err, ErrExpiredToken):
		return refuse("the token has expired", invalid)
	}
	// Anyone can cause this as long as it lasts, so it is not logged each time.
	if last := a.lastFault.Load(); now.Unix()-last >= 10 && a.lastFault.CompareAndSwap(last, now.Unix()) {
		a.config.Log.Error("tokens cannot be read, so nobody has access to the admin API", "error", err)
	}
	return Token{}, &problem{Status: 503, Detail: "the tokens cannot be read; the edge's log says why"}
}

// find returns the resource of a path below /v1/tenants/{tenant}, and
// puts the names in it into c.
func (a *Admin) find(path []string, c *call) *resource {
	for i := range a.resources {
		if r := &a.resources[i]; r.matches(path, c) {
			return r
		}
	}
	return nil
}

func (r *resource) matches(path []string, c *call) bool {
	if len(path) != len(r.path) {
		return false
	}
	for i, want := range r.path {
		switch got := path[i]; want {
		case "{policy}":
			if got == "" {
				return false
			}
			c.policy = got
		case "{subject}":
			if got == "" {
				return false
			}
			c.subject = got
		case "{version}":
			n, err := strconv.Atoi(got)
			if err != nil || n < 1 || strconv.Itoa(n) != got {
				return false
			}
			c.version = n
		default:
			if got != want {
				return false
			}
		}
	}
	return true
}

func (r *resource) action(method string) *action {
	if method == "HEAD" {
		method = "GET"
	}
	for i := range r.actions {
		if r.actions[i].method == method {
			return &r.actions[i]
		}
	}
	return nil
}

func (r *resource) allow() string {
	var methods []string
	for _, a := range r.actions {
		methods = append(methods, a.method)
		if a.method == "GET" {
			methods = append(methods, "HEAD")
		}
	}
	return strings.Join(methods, ", ")
}

// record logs a change, or an attempt at one: who, what, on what, and what
// came of it.
func (c *call) record(change string, p *problem, began time.Time) {
	attrs := []slog.Attr{
		slog.String("by", c.token.Name), slog.String("role", string(c.token.Role)), slog.String("change", change),
		slog.String("tenant", clip(c.tenant, 80)),
	}
	what := "catalogue change "
	switch c.kind {
	case "policies":
		what = "policy change "
		attrs = append(attrs, slog.String("policy", clip(c.policy, 80)))
	case "subjects":
		what = "events of a subject " // whose name is not told
	}
	if c.version != 0 {
		attrs = append(attrs, slog.Int("version", c.version))
	}
	level, outcome := slog.LevelInfo, "done"
	if p != nil {
		level, outcome = slog.LevelWarn, "refused"
		if p.Status >= 500 {
			level, outcome = slog.LevelError, "failed"
		}
		reason := p.Detail
		if p.cause != nil {
			reason = p.cause.Error()
		}
		attrs = append(attrs, slog.Int("status", p.Status), slog.String("reason", clip(reason, 2<<10)))
	}
	attrs = append(attrs, slog.Duration("took", c.config.Now().Sub(began)))
	c.config.Log.LogAttrs(c.ctx, level, what+outcome, attrs...)
}

// clip shortens what a client sent.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

package edge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/consent"
	"bespoke/host/profile"
	"bespoke/modules/abi"
	"bespoke/modules/engine"
)

// DryInput is an exchange to be tried without a server: what a visitor sends,
// who they are, and what the origin would answer.
type DryInput struct {
	Method string      // "GET" if empty
	Host   string      // one of a tenant's hosts
	Target string      // path and query, "/" if empty
	Header [][2]string // of the request; no cookies: see Choice and Preferences
	GPC    bool        // as if the header Sec-GPC were there

	Place       geo.Place       // where the visitor is, as exactly as is known
	Choice      *consent.Choice // nil: the visitor has not chosen
	Preferences profile.Preferences

	Page        []byte // the origin's answer, of status 200; at most MaxDryPage
	ContentType string // of Page; "text/html; charset=utf-8" if empty
}

// MaxDryPage is the largest page of a dry exchange, in bytes.
const MaxDryPage = wholeBody

// A DryRun is one run of a policy: what it read, in order, and what it wanted.
type DryRun struct {
	Policy string // as the configuration writes it
	Phase  abi.Phase
	Reads  []DryRead
	Edits  []DryEdit
	Log    []DryLine
	Fault  error // *engine.Fault, or nil; then none of the edits counts

	manifest *abi.Manifest
}

// A DryRead is one read and its answer.
type DryRead struct {
	Key, Value        string
	Present, Declared bool // Declared: the manifest names the key
}

// A DryEdit is one edit, and why it was refused if it was.
type DryEdit struct {
	abi.Edit
	Refused abi.Refusal
}

// A DryLine is one line of a policy's log.
type DryLine struct {
	Level abi.Level
	Text  string
}

// DryResult is what a dry exchange came to.
type DryResult struct {
	Status   int
	Header   [][2]string
	Body     []byte
	Decision consent.Decision
	Runs     []DryRun
}

// NewModules returns modules without a configuration file, which [config.Parse]
// takes for its policies. Unlike those of [Load], they are the caller's to close.
func NewModules(ctx context.Context, c engine.Config) (*Modules, error) {
	eng, err := engine.New(ctx, c)
	if err != nil {
		return nil, err
	}
	limits := c.Limits.Or(abi.DefaultLimits)
	return &Modules{engine: eng, limit: limits.BinaryBytes, loaded: map[string]*engine.Module{}}, nil
}

// Dry takes an exchange through the same phases as a served one, but that the
// place is given and that the origin is not asked. Nothing is recorded.
func (e *Edge) Dry(in DryInput) (DryResult, error) {
	if len(in.Page) > MaxDryPage {
		return DryResult{}, fmt.Errorf("dry exchange: the page has %d bytes, at most %d are allowed", len(in.Page), MaxDryPage)
	}
	snap := e.acquire()
	if snap == nil {
		return DryResult{}, errors.New("dry exchange: the edge has stopped")
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(in.request(), nil, nil)
	x := exchanges.Get().(*exchange)
	x.edge, x.ctx, x.snap, x.began = e, &ctx, snap, e.now()
	defer x.end()
	return x.dry(in)
}

func (in *DryInput) request() *fasthttp.Request {
	req := new(fasthttp.Request)
	h := &req.Header
	h.SetMethod(in.Method)
	h.SetRequestURI(cmp.Or(in.Target, "/"))
	h.SetHost(in.Host)
	for _, f := range in.Header {
		h.Add(f[0], f[1])
	}
	if in.GPC {
		h.SetCanonical(nameGPC, []byte("1"))
	}
	return req
}

// dry is run (exchange.go) without the network. The numbers are the same.
func (x *exchange) dry(in DryInput) (r DryResult, err error) {
	w := &dryWitness{}
	x.witness = w
	defer func() { r.Runs = w.runs }()
	// 1. The site.
	if f := x.findTenant(); f != noFault {
		return r, fmt.Errorf("dry exchange: %s %q on host %q: %s", cmp.Or(in.Method, "GET"), cmp.Or(in.Target, "/"), in.Host, faults[f].name)
	}
	// 2, 3 and 4. The place, the decision, the preferences: by way of the
	// cookies that the visitor would send.
	x.sendCookie(useChoice, in.Choice != nil, func() []byte {
		c := *in.Choice
		c.TextVersion = cmp.Or(c.TextVersion, x.tenant.textVersion) // as if made now
		return c.Encode()
	})
	x.sendCookie(usePreferences, !in.Preferences.Empty(), in.Preferences.Encode)
	x.keepCookies()
	x.decide(in.Place)
	r.Decision = x.decision

	// 5. The request's policies.
	if x.route != nil && x.route.request {
		x.runPolicies(abi.OnRequest)
		if x.redirected() {
			x.dryAnswer(&r)
			return r, nil
		}
	}

	// 6. The origin's answer.
	x.in = fasthttp.AcquireResponse()
	x.in.Header.SetContentType(cmp.Or(in.ContentType, "text/html; charset=utf-8"))
	x.in.SetBodyStream(bytes.NewReader(in.Page), len(in.Page))

	// 7 and 8. The response's policies, and the body.
	if x.rewritable() {
		x.openBody()
		if x.route.response {
			x.runPolicies(abi.OnResponse)
		}
		x.rewrite()
	} else {
		x.passOn()
	}
	r.Body = x.parcel.take(x)
	if x.streamed {
		return r, errors.New("dry exchange: the page cannot be rewritten as a whole, its edits make it too long")
	}

	// 9. The header.
	x.finishHeader()
	x.dryAnswer(&r)
	return r, nil
}

// sendCookie puts one of our cookies into the request, as a browser would.
func (x *exchange) sendCookie(u use, there bool, plain func() []byte) {
	if there {
		x.ctx.Request.Header.Add("Cookie", x.cookieName(u)+"="+x.edge.sealer.Seal(plain(), x.binding(u)))
	}
}

func (x *exchange) dryAnswer(r *DryResult) {
	out := &x.ctx.Response
	r.Status = out.StatusCode()
	for name, value := range out.Header.All() {
		r.Header = append(r.Header, [2]string{string(name), string(value)})
	}
	if r.Body == nil {
		r.Body = slices.Clone(out.Body())
	}
}

// A dryWitness writes the runs of a dry exchange down.
type dryWitness struct{ runs []DryRun }

func (d *dryWitness) run() *DryRun { return &d.runs[len(d.runs)-1] }

func (d *dryWitness) begins(p *policy, pk *pick, ph abi.Phase) {
	d.runs = append(d.runs, DryRun{Policy: p.name, Phase: ph, manifest: pk.manifest})
}

func (d *dryWitness) read(key, value []byte, ok bool) ([]byte, bool) {
	r := d.run()
	r.Reads = append(r.Reads, DryRead{Key: string(key), Value: string(value), Present: ok, Declared: r.manifest.Declares(string(key))})
	return value, ok
}

func (d *dryWitness) emitted(e abi.Edit, r abi.Refusal) {
	d.run().Edits = append(d.run().Edits, DryEdit{e, r})
}

func (d *dryWitness) logged(level abi.Level, line []byte) {
	d.run().Log = append(d.run().Log, DryLine{level, string(line)})
}

func (d *dryWitness) ended(fault error) { d.run().Fault = fault }

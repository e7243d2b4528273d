package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

const (
	// HeaderNote may carry an upload's note, as the query's note may.
	HeaderNote = "Bespoke-Note"

	mediaModule = "application/wasm"
	mediaJSON   = "application/json"

	maxJSON = 4 << 10 // bytes of a JSON body
)

// PolicyList is what a tenant has uploaded, at one moment.
type PolicyList struct {
	Tenant   string         `json:"tenant"`
	Epoch    uint64         `json:"epoch"` // grows with every change of the tenant
	Policies []PolicyStatus `json:"policies"`
}

// PolicyStatus is a policy with its versions, and how those in use fare.
type PolicyStatus struct {
	registry.Policy
	Running []RunStatus `json:"running"`
}

// VersionStatus is one version of a policy: what most changes answer with.
type VersionStatus struct {
	Tenant  string           `json:"tenant"`
	Policy  string           `json:"policy"`
	Version registry.Version `json:"version"`
}

// Staging is the body of a request to stage a version.
type Staging struct {
	Mode     registry.Mode `json:"mode"`     // shadow or canary
	Permille int           `json:"permille"` // the share of exchanges, 1 to 1000
}

// LogPage is the answer with a policy's log.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	Next  uint64    `json:"next"` // what to ask for as after next time
}

// LimitsInForce are the limits of policies. Fuel is counted in instructions.
type LimitsInForce struct {
	BinaryBytes int   `json:"binary_bytes"`
	MemoryPages int   `json:"memory_pages"` // of 64 KiB
	Edits       int   `json:"edits"`        // of a run
	EditBytes   int   `json:"edit_bytes"`   // of a run
	LogBytes    int   `json:"log_bytes"`    // of a run
	RunFuel     int64 `json:"run_fuel"`
	InitFuel    int64 `json:"init_fuel"`
	Concurrent  int   `json:"concurrent"`
}

func (a *Admin) binaryLimit() int {
	if a.config.Runtime == nil {
		return 0
	}
	return a.config.Runtime.Limits().Or(abi.DefaultLimits).BinaryBytes
}

func (c *call) list() *problem {
	policies, epoch, err := c.config.Policies.List(c.tenant)
	if err != nil {
		return c.faulty(err)
	}
	l := PolicyList{Tenant: c.tenant, Epoch: epoch, Policies: make([]PolicyStatus, len(policies))}
	for i, p := range policies {
		l.Policies[i] = c.status(p)
	}
	return c.json(200, l)
}

func (c *call) show() *problem {
	p, fault := c.find()
	if fault != nil {
		return fault
	}
	return c.json(200, c.status(p))
}

func (c *call) showVersion() *problem {
	v, ok := c.config.Policies.Version(c.tenant, c.policy, c.version)
	if !ok {
		return notFound("the policy has no such version")
	}
	return c.json(200, VersionStatus{c.tenant, c.policy, v})
}

func (c *call) status(p registry.Policy) PolicyStatus {
	running := c.config.Runtime.Status(c.tenant, p.Name)
	if running == nil {
		running = []RunStatus{} // an empty list, not null
	}
	return PolicyStatus{p, running}
}

// find returns the policy that the path names.
func (c *call) find() (registry.Policy, *problem) {
	policies, _, err := c.config.Policies.List(c.tenant)
	if err != nil {
		return registry.Policy{}, c.faulty(err)
	}
	for _, p := range policies {
		if p.Name == c.policy {
			return p, nil
		}
	}
	return registry.Policy{}, notFound("the tenant has no policy of that name")
}

func (c *call) logs() *problem {
	if _, fault := c.find(); fault != nil {
		return fault
	}
	var after uint64
	if arg := c.ctx.QueryArgs().Peek("after"); len(arg) > 0 {
		var err error
		if after, err = strconv.ParseUint(string(arg), 10, 64); err != nil {
			return &problem{Status: 400, Code: "invalid", Detail: "after: want the number of a line"}
		}
	}
	page := LogPage{Lines: c.config.Runtime.Logs(c.tenant, c.policy, after), Next: after}
	if page.Lines == nil {
		page.Lines = []LogLine{}
	}
	if n := len(page.Lines); n > 0 {
		page.Next = page.Lines[n-1].Seq
	}
	return c.json(200, page)
}

func (c *call) limits() *problem {
	l := c.config.Runtime.Limits().Or(abi.DefaultLimits)
	return c.json(200, LimitsInForce{
		BinaryBytes: l.BinaryBytes, MemoryPages: l.MemoryPages,
		Edits: l.Edits, EditBytes: l.EditBytes, LogBytes: l.LogBytes,
		RunFuel: l.RunFuel(), InitFuel: l.InitFuel(), Concurrent: l.Concurrent,
	})
}

// upload takes a binary as the next version of a policy: 201 for a new one, 200
// for one that the policy had.
func (c *call) upload() *problem {
	if !c.sent(mediaModule) {
		return &problem{Status: 415, Detail: "send the module's binary as " + mediaModule}
	}
	if !c.uploads.begin(c.tenant) {
		p := &problem{Status: 503, Code: "busy", Detail: fmt.Sprintf("too many uploads at once, at most %d of a tenant are taken; try again", maxTenantUploads)}
		p.header("Retry-After", "1")
		return p
	}
	defer c.uploads.end(c.tenant)
	binary, fault := c.body(c.binaryLimit())
	if fault != nil {
		return fault
	}
	note := string(c.ctx.QueryArgs().Peek("note"))
	if h := string(c.ctx.Request.Header.Peek(HeaderNote)); h != "" {
		note = h
	}
	status := 201
	digest := registry.Digest(sha256.Sum256(binary))
	if p, fault := c.find(); fault == nil {
		for _, v := range p.Versions {
			if v.Digest == digest {
				status = 200
			}
		}
	}
	v, err := c.config.Policies.Upload(c.tenant, c.policy, binary, note)
	if err != nil {
		return fromRegistry(err)
	}
	c.version = v.Number
	c.ctx.Response.Header.Set("Location", fmt.Sprintf("/v1/tenants/%s/policies/%s/versions/%d", c.tenant, c.policy, v.Number))
	return c.json(status, VersionStatus{c.tenant, c.policy, v})
}

func (c *call) stage() *problem {
	var s Staging
	if p := c.readJSON(&s, true); p != nil {
		return p
	}
	return c.changed(c.config.Policies.Stage(c.tenant, c.policy, c.version, s.Mode, s.Permille))
}

func (c *call) unstage() *problem {
	if p := c.readJSON(&struct{}{}, false); p != nil {
		return p
	}
	return c.changed(c.config.Policies.Unstage(c.tenant, c.policy))
}

func (c *call) activate() *problem {
	if p := c.readJSON(&struct{}{}, false); p != nil {
		return p
	}
	return c.changed(c.config.Policies.Activate(c.tenant, c.policy, c.version))
}

func (c *call) rollback() *problem {
	if p := c.readJSON(&struct{}{}, false); p != nil {
		return p
	}
	return c.changed(c.config.Policies.Rollback(c.tenant, c.policy))
}

func (c *call) retire() *problem {
	if p := c.readJSON(&struct{}{}, false); p != nil {
		return p
	}
	return c.changed(c.config.Policies.Retire(c.tenant, c.policy, c.version))
}

// remove forgets a version for good: one that was retired, or never run.
func (c *call) remove() *problem {
	if p := c.readJSON(&struct{}{}, false); p != nil {
		return p
	}
	v, ok := c.config.Policies.Version(c.tenant, c.policy, c.version)
	if ok && v.State == registry.Checked {
		// Nobody runs it, so there is nothing that a second step would save one
		// from. If the edge ends between the two, it is retired.
		if _, err := c.config.Policies.Retire(c.tenant, c.policy, c.version); err != nil {
			return fromRegistry(err)
		}
	}
	if err := c.config.Policies.Delete(c.tenant, c.policy, c.version); err != nil {
		return fromRegistry(err)
	}
	c.ctx.SetStatusCode(204)
	return nil
}

// changed answers with what a change left.
func (c *call) changed(v registry.Version, err error) *problem {
	if err != nil {
		return fromRegistry(err)
	}
	c.version = v.Number
	return c.json(200, VersionStatus{c.tenant, c.policy, v})
}

// faulty answers a question that the registry could not, and logs why: nothing
// else does, as nothing was to be changed.
func (c *call) faulty(err error) *problem {
	p := fromRegistry(err)
	if p.Status >= 500 {
		c.config.Log.Error("policies cannot be listed", "tenant", c.tenant, "error", err)
	}
	return p
}

func (c *call) json(status int, v any) *problem {
	body, err := json.Marshal(v)
	if err != nil {
		return &problem{Status: 500, Detail: "the answer could not be written", cause: err}
	}
	c.ctx.SetStatusCode(status)
	c.ctx.SetContentType(mediaJSON)
	c.ctx.SetBody(append(body, '\n'))
	return nil
}

// sent reports whether the body says that it is of that media type.
func (c *call) sent(media string) bool {
	got, _, err := mime.ParseMediaType(string(c.ctx.Request.Header.ContentType()))
	return err == nil && got == media
}

// readJSON reads a small JSON body into v, strictly.
func (c *call) readJSON(v any, required bool) *problem {
	body, fault := c.body(maxJSON)
	if fault != nil {
		return fault
	}
	if len(body) == 0 && !required {
		return nil
	}
	if !c.sent(mediaJSON) {
		return &problem{Status: 415, Detail: "send a JSON object as " + mediaJSON}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		err = fmt.Errorf("text after the object")
	}
	if err != nil {
		return &problem{Status: 400, Code: "invalid", Detail: "the body cannot be used: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	return nil
}

// body reads the request's body, of at most limit bytes. Memory follows what
// came, never what was announced.
func (c *call) body(limit int) ([]byte, *problem) {
	if !c.ctx.Request.IsBodyStream() {
		return c.ctx.Request.Body(), nil
	}
	announced := c.ctx.Request.Header.ContentLength()
	switch {
	case announced < 0:
		return nil, &problem{Status: 411, Detail: "send the body's length: Content-Length"}
	case announced > limit:
		return nil, &problem{Status: 413, Detail: fmt.Sprintf("the body has %d bytes, at most %d are allowed here", announced, limit)}
	}
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(c.ctx.Request.BodyStream(), int64(announced)))
	if err != nil || n != int64(announced) {
		return nil, &problem{Status: 400, Detail: fmt.Sprintf("the body broke off after %d bytes of %d", n, announced)}
	}
	return body.Bytes(), nil
}

// wholly reports whether a body was read to its end. A body that broke off
// ends like a whole one (fasthttp counts, and does not tell).
func wholly(ctx *fasthttp.RequestCtx, err error) bool {
	return err == io.EOF && ctx.Request.Header.ContentLength() >= 0
}

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/modules/abi"
	"bespoke/modules/registry"
)

// A Runtime is what the admin API asks of what runs policies: the edge. All
// methods may be called at the same time.
type Runtime interface {
	// Logs returns the lines that a policy wrote whose Seq is above after, the
	// oldest first; how many are kept is the Runtime's to say.
	Logs(tenant, policy string, after uint64) []LogLine
	// Status tells how each version in use fares.
	Status(tenant, policy string) []RunStatus
	// Limits are those that hold for policies, defaults filled in.
	Limits() abi.Limits
}

// A LogLine is one line that a policy wrote.
type LogLine struct {
	Seq     uint64    `json:"seq"` // grows with every line of a policy
	Time    time.Time `json:"time"`
	Version int       `json:"version"`
	Level   string    `json:"level"` // debug, info, warn or error
	Text    string    `json:"text"`  // as the policy wrote it: not to be trusted
}

// A RunStatus is how one version of a policy has fared since the edge loaded it.
type RunStatus struct {
	Version        int               `json:"version"`
	SuspendedUntil time.Time         `json:"suspended_until,omitzero"` // zero: it is not suspended
	Runs           uint64            `json:"runs"`
	Failures       map[string]uint64 `json:"failures,omitempty"` // by kind, as the engine names them
	Edits          uint64            `json:"edits"`
	Fuel           uint64            `json:"fuel,omitempty"`        // instructions that its runs took, in all
	Differences    uint64            `json:"differences,omitempty"` // of a shadow: exchanges on which it would have edited otherwise
}

// AdminConfig is what NewAdmin needs. Without Policies and Tokens only the
// health of the process is told.
type AdminConfig struct {
	Addr     string             // host:port to listen on
	Tenants  func() []string    // the names configured now; required with Policies
	Policies *registry.Registry // nil: nothing can be uploaded
	Runtime  Runtime            // required with Policies
	Tokens   *Tokens            // nil: nobody has access

	Catalogues Catalogues        // nil: there are none
	Subjects   Followers         // nil: nothing is taken of what subjects did
	Figures    Figures           // nil: there are none
	Ready      func() []NotReady // what is not ready; nil: nothing ever
	Console    http.Handler      // answers at /console/; nil: nothing is there
	Log        *slog.Logger      // nil: nothing is logged
	Now        func() time.Time  // nil: time.Now
}

// An Admin is the operators' and tenants' listener.
type Admin struct {
	config    AdminConfig
	resources []resource // the API; not changed after NewAdmin
	server    fasthttp.Server
	listener  net.Listener
	uploads   uploads
	lastFault atomic.Int64 // when unreadable tokens were last logged, in Unix seconds
}

// Bounds on what a client may send and how long it may take.
const (
	adminHeaderBytes = 16 << 10
	adminConns       = 256
	adminReadTime    = 10 * time.Second // of a request
	adminUploadTime  = 2 * time.Minute  // of one with a long body
	adminUploadRate  = 1 << 20          // bytes a second that a longer one may take its time for
	adminUploadMost  = 30 * time.Minute
	adminWriteTime   = 30 * time.Second
	adminIdleTime    = time.Minute
	maxDrained       = 64 << 20         // bytes of a body that nobody wants; see drain
	drainTime        = 10 * time.Second // for those
)

// NewAdmin listens on c.Addr. Call Serve next.
func NewAdmin(c AdminConfig) (*Admin, error) {
	if (c.Catalogues != nil || c.Subjects != nil) && c.Tenants == nil {
		return nil, errors.New("admin: with Catalogues or Subjects, Tenants is required")
	}
	if c.Policies != nil && (c.Runtime == nil || c.Tenants == nil) {
		return nil, errors.New("admin: with Policies, Runtime and Tenants are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	ln, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	a := &Admin{config: c, listener: ln, resources: api(), uploads: uploads{by: map[string]int{}}}
	a.server = fasthttp.Server{
		Handler:      a.handle,
		ErrorHandler: malformed,
		Logger:       silent{},

		StreamRequestBody:            true, // so that a body is read only from those who may send it
		DisablePreParseMultipartForm: true,
		HeaderReceived:               patience,
		ReadBufferSize:               adminHeaderBytes,
		Concurrency:                  adminConns,
		ReadTimeout:                  adminReadTime,
		WriteTimeout:                 adminWriteTime,
		IdleTimeout:                  adminIdleTime,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
	}
	return a, nil
}

// Addr returns the address that the listener got.
func (a *Admin) Addr() net.Addr { return a.listener.Addr() }

// Serve answers until Close.
func (a *Admin) Serve() error { return a.server.Serve(a.listener) }

// Close stops answering. It waits for requests under way until ctx ends.
func (a *Admin) Close(ctx context.Context) error {
	// Serve may not have been called, or not be that far: then the server knows
	// no listener.
	return errors.Join(a.server.ShutdownWithContext(ctx), ignoreClosed(a.listener.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// patience gives a long body more time than a request has otherwise.
func patience(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if n := h.ContentLength(); n == -1 || n > maxJSON {
		// A catalogue is as long as it is: what comes slower than this is stuck.
		longer := time.Duration(max(n, 0)/adminUploadRate) * time.Second
		return fasthttp.RequestConfig{ReadTimeout: adminUploadTime + min(longer, adminUploadMost), WriteTimeout: adminWriteTime}
	}
	return fasthttp.RequestConfig{WriteTimeout: adminWriteTime}
}

// silent drops the server's own complaints: they quote what clients send.
type silent struct{}

func (silent) Printf(string, ...any) {}

// malformed answers what is no request.
func malformed(ctx *fasthttp.RequestCtx, err error) {
	p := &problem{Status: 400, Detail: "the request cannot be understood"}
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		p = &problem{Status: 431, Detail: fmt.Sprintf("the request's line and headers have more than %d bytes", adminHeaderBytes)}
	case errors.As(err, &timeout) && timeout.Timeout():
		p = &problem{Status: 408, Detail: "the request did not come in time"}
	}
	p.write(ctx)
	plainHeaders(ctx)
	ctx.SetConnectionClose()
}

// handle answers one request. A panic, which would end the process for every
// site, ends only the request.
func (a *Admin) handle(ctx *fasthttp.RequestCtx) {
	defer func() {
		if r := recover(); r != nil {
			// What it says may quote what a client sent: only where it happened is logged.
			a.config.Log.Error("panic in the admin API", "at", string(debug.Stack()))
			ctx.Response.Reset()
			(&problem{Status: 500, Detail: "something went wrong inside; the edge's log says where"}).write(ctx)
			ctx.SetConnectionClose()
		}
		plainHeaders(ctx)
	}()
	if p := a.answer(ctx); p != nil {
		p.write(ctx)
	}
	drain(ctx)
}

func plainHeaders(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
}

// drain reads what is left of a body, so that the client gets to read the
// answer: a connection that is closed before takes the answer with it. One on
// which more is left is closed, since what follows would pass for a request.
func drain(ctx *fasthttp.RequestCtx) {
	if !ctx.Request.IsBodyStream() {
		return
	}
	if ctx.Request.Header.ContentLength() > maxDrained || ctx.Conn().SetReadDeadline(time.Now().Add(drainTime)) != nil {
		ctx.SetConnectionClose()
		return
	}
	var buf [8 << 10]byte
	body := ctx.Request.BodyStream()
	for left := maxDrained; left > 0; {
		n, err := body.Read(buf[:])
		left -= n
		if err != nil {
			if !wholly(ctx, err) {
				ctx.SetConnectionClose()
			}
			return
		}
	}
	ctx.SetConnectionClose()
}

// uploads counts bodies that are being read and checked, so that no tenant
// takes all memory, or all of the others' turns.
type uploads struct {
	mu  sync.Mutex
	all int
	by  map[string]int // tenant -> its own; none is zero
}

const (
	maxUploads       = 16
	maxTenantUploads = 2
)

func (u *uploads) begin(tenant string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= maxUploads || u.by[tenant] >= maxTenantUploads {
		return false
	}
	u.all++
	u.by[tenant]++
	return true
}

func (u *uploads) end(tenant string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all--
	if u.by[tenant]--; u.by[tenant] == 0 {
		delete(u.by, tenant)
	}
}

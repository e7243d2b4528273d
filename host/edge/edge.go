// Package edge is the life of a response. exchange.go shows it from top to
// bottom: one exchange per request, one method per phase, in one order that
// only this package knows. The other files hold a phase, or what it stands on.
//
// Make an [Edge] with [New], let it [Edge.Serve] a listener, change its
// configuration with [Edge.Reload] while it serves, and end it with
// [Edge.Shutdown], which loses no request.
//
// The package writes nothing about a visitor anywhere: logs carry no address,
// no cookie, no preference and no place.
package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"bespoke/geo"
	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/consent"
	"bespoke/host/control"
	"bespoke/host/ledger"
	"bespoke/host/profile"
	"bespoke/host/rewrite"
	"bespoke/host/watch"
)

// LevelLines is the level at which the lines of policies are logged, those of
// uploads aside: below debug, as they may hold what a policy read of visitors.
const LevelLines = slog.LevelDebug - 4

// Config is what an Edge needs. Site, Modules and Sealer are required.
type Config struct {
	Site    *config.Config
	Modules *Modules // those that Site was loaded with; the Edge closes them
	Geo     *geo.DB  // nil: every place is unknown; the caller closes it
	Store   *Store   // nil: what tenants upload does not run; the caller closes it
	Sealer  *profile.Sealer
	// Subjects keeps the choices of those whom origins name; the caller closes it.
	// With nil, nobody is remembered.
	Subjects *Subjects
	// Recommenders are those of Site; the caller closes them. With nil, no tenant has
	// a catalogue.
	Recommenders *Recommenders
	// Ledger records every exchange, and what changes; the caller closes it after the
	// Edge. With nil, nothing is recorded.
	Ledger Ledger
	// Sample is of how many exchanges one has the digests of its bodies recorded;
	// 0: SampleEvery; less: none.
	Sample   int
	Exhibits *exhibit.Store   // nil: none are kept; the caller closes it
	Traces   Traces           // nil: nothing is traced; the caller closes what it is
	Log      *slog.Logger     // nil: nothing is logged
	Now      func() time.Time // nil: the system's clock
}

// An Edge serves the sites of one configuration. It is safe for concurrent use.
type Edge struct {
	server   fasthttp.Server
	sealer   *profile.Sealer
	store    *Store
	subjects *Subjects
	learned  *Recommenders
	exhibits *exhibit.Store
	privacy  *control.Privacy
	ledger   Ledger // nil: nothing is recorded
	sample   int
	traces   Traces // nil: nothing is traced
	log      *slog.Logger
	now      func() time.Time
	zones    zones
	idle     *rewrite.Plan // changes nothing
	draining atomic.Bool
	stop     sync.Once
	unwatch  func()       // ends what New subscribed to
	uploads  atomic.Int64 // bytes of request bodies that are held

	decisions *memo[consent.Settled, ledger.Decision] // as they are recorded
	counted   atomic.Uint64                           // exchanges, for the sample
	exchanges atomic.Uint64                           // that chose versions of policies: picks those of a canary

	// What is counted: of sites, and of requests that are no site's.
	meters   *watch.Meters
	homeless *watch.Tenant
	shards   atomic.Uint32 // given out to exchanges
	born     time.Time     // what ticks are counted from
	setClock bool          // now is not the system's clock

	// ctx is what policies run under and logs are written under. It is not the
	// request's: fasthttp ends and reuses that while it may still be looked at.
	ctx context.Context

	listenersMu sync.Mutex
	listeners   []*drainable // guarded by listenersMu

	// current is the configuration that new exchanges use. Reload swaps it;
	// an exchange keeps the one that it began with.
	current atomic.Pointer[snapshot]
}

// New returns an Edge that is ready to serve.
func New(c Config) (*Edge, error) {
	if c.Site == nil || c.Modules == nil || c.Sealer == nil {
		return nil, errors.New("edge: Site, Modules and Sealer are required")
	}
	privacy, err := control.NewPrivacy()
	if err != nil {
		return nil, err
	}
	e := &Edge{ctx: context.Background(), sealer: c.Sealer, store: c.Store, subjects: c.Subjects, learned: c.Recommenders, exhibits: c.Exhibits, privacy: privacy, ledger: c.Ledger, sample: cmp.Or(c.Sample, SampleEvery), decisions: newMemo[consent.Settled, ledger.Decision](256), traces: c.Traces, log: c.Log, now: c.Now}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.setClock = e.now != nil; e.now == nil {
		e.now = time.Now
	}
	if e.idle, err = rewrite.Compile(nil, rewrite.Options{}); err != nil {
		return nil, err
	}
	s, err := newSnapshot(c.Site, c.Modules, c.Geo, c.Recommenders)
	if err != nil {
		return nil, err
	}
	e.born, e.meters = time.Now(), watch.NewMeters(figures())
	e.homeless = e.meters.Tenant("")
	s.count(e.meters)
	e.clockExhibits(s)
	e.current.Store(s)
	e.watchModules(s.modules.engine)
	e.unwatch = e.watchStore()
	e.tellConfig(s, "start")
	l := c.Site.Limits
	e.server = fasthttp.Server{
		Handler:      e.handle,
		ErrorHandler: e.malformed,
		Logger:       quiet{e.log},

		ReadBufferSize:     l.HeaderBytes,
		MaxRequestBodySize: l.RequestBodyBytes,
		StreamRequestBody:  true, // so that memory follows what came, not what was announced
		Concurrency:        l.Connections,
		ReadTimeout:        l.ReadTimeout,
		IdleTimeout:        l.IdleTimeout,

		// What the origin says is passed on (but Date, which fasthttp writes).
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true, // bodies pass as they are
		SecureErrorLogMessage:        true,
	}
	return e, nil
}

// Serve answers requests from ln until Shutdown. It returns nil after Shutdown.
func (e *Edge) Serve(ln net.Listener) error {
	d := newDrainable(ln, e.current.Load().site.Limits.WriteTimeout)
	e.listenersMu.Lock()
	e.listeners = append(e.listeners, d)
	e.listenersMu.Unlock()
	return e.server.Serve(d)
}

// Serving reports whether Serve takes connections.
func (e *Edge) Serving() bool {
	e.listenersMu.Lock()
	defer e.listenersMu.Unlock()
	return len(e.listeners) > 0 && !e.draining.Load()
}

// Draining reports whether Shutdown has begun.
func (e *Edge) Draining() bool { return e.draining.Load() }

// Reload makes every exchange that begins from now on use another
// configuration. What is bound to the listener or the server as a whole
// (listen, the limits on headers, bodies and connection times) stays as it was;
// fixed names what differs there.
func (e *Edge) Reload(site *config.Config, modules *Modules, db *geo.DB) (fixed []string, err error) {
	s, err := newSnapshot(site, modules, db, e.learned)
	if err != nil {
		return nil, err
	}
	s.count(e.meters)
	e.clockExhibits(s)
	e.watchModules(s.modules.engine)
	old := e.current.Swap(s)
	e.tellConfig(s, "reload")
	e.meters.Retain(s.tenantNames())
	fixed = differences(old.site, site)
	old.release() // closes when its last exchange ends
	return fixed, nil
}

func differences(a, b *config.Config) (names []string) {
	if a.Listen != b.Listen {
		names = append(names, "listen")
	}
	if a.Admin != b.Admin {
		names = append(names, "admin")
	}
	if a.State != b.State {
		names = append(names, "state")
	}
	if !reflect.DeepEqual(a.Ledger, b.Ledger) {
		names = append(names, "ledger")
	}
	if x, y := a.Traces, b.Traces; x.Sample != y.Sample || x.Endpoint != y.Endpoint && (x.Endpoint == nil || y.Endpoint == nil || *x.Endpoint != *y.Endpoint) {
		names = append(names, "traces")
	}
	x, y := a.Limits, b.Limits
	if x.HeaderBytes != y.HeaderBytes || x.RequestBodyBytes != y.RequestBodyBytes ||
		x.ReadTimeout != y.ReadTimeout || x.WriteTimeout != y.WriteTimeout || x.IdleTimeout != y.IdleTimeout || x.Connections != y.Connections {
		names = append(names, "limits of headers, request bodies and connections")
	}
	if x.Policy != y.Policy {
		names = append(names, "limits of policies, for those that were uploaded")
	}
	return names
}

// Shutdown lets every request that has arrived be answered, and closes. It
// gives up when ctx ends.
//
// Closing at once would lose requests in two places: a client on a kept-alive
// connection may be sending its next one at this very moment, and the kernel
// holds connections that clients believe to be established and that nobody has
// accepted yet. So for a grace period answers carry "Connection: close", by
// which clients leave on their own; then the backlog is accepted to the last;
// only what is idle after a second grace is closed.
func (e *Edge) Shutdown(ctx context.Context) error {
	e.draining.Store(true)
	e.wait(ctx, drainGrace, func() bool { return false })
	e.listenersMu.Lock()
	for _, l := range e.listeners {
		l.drain()
	}
	e.listenersMu.Unlock()
	e.wait(ctx, drainGrace, func() bool { return e.server.GetOpenConnectionsCount() == 0 })
	e.listenersMu.Lock()
	for _, l := range e.listeners {
		l.hangUp()
	}
	e.listenersMu.Unlock()
	err := e.server.ShutdownWithContext(ctx)
	e.stop.Do(func() {
		e.unwatch()
		e.current.Load().release()
	})
	if err != nil {
		return fmt.Errorf("shut down: %d connections still open: %w", e.server.GetOpenConnectionsCount(), err)
	}
	return nil
}

const drainGrace = 300 * time.Millisecond

// wait returns when done, after at most limit, or when ctx ends.
func (e *Edge) wait(ctx context.Context, limit time.Duration, done func() bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// quiet counts the server's own complaints without repeating them: they quote
// what clients send, and their addresses.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(string, ...any) { q.log.Debug("a connection was closed on an error") }

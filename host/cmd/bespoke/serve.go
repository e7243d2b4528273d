package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bespoke/geo"
	"bespoke/host/audit/exhibit"
	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/edge"
	"bespoke/host/ledger"
	"bespoke/host/profile"
	"bespoke/host/watch/otlp"
)

func serveCommand() *cobra.Command {
	var file string
	var l logFlags
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Serve the sites of a configuration",
		Long: `Serve the sites of a configuration until SIGTERM or SIGINT (Ctrl-C), which let
every request that has arrived be answered. SIGHUP reads the configuration
again; one that is not right changes nothing and is reported.`,
		Example: "  bespoke serve -c bespoke.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ready := func(p *process) {
				fmt.Fprintf(cmd.OutOrStdout(), "serving %s on %s\n", count(len(p.site.Load().Tenants), "site"), p.listener.Addr())
			}
			return serve(cmd.Context(), file, log, ready)
		},
	}
	configFlag(cmd, &file)
	l.add(cmd, "info", "json")
	return cmd
}

func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "", "the configuration `FILE` (YAML)")
	cmd.MarkFlagRequired("config")
}

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration, its policies and its files, without serving",
		Long: `Check a configuration as serve would read it: every key and value, every file
that it names, every policy (compiled, and started once), and how visitors are
asked (a regime laxer than their place's, a colour too pale to read). Prints what
is wrong, a line each: file, line, column, what was found and what was expected.`,
		Example: "  bespoke check -c bespoke.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, modules, err := edge.Load(cmd.Context(), file, nil)
			var wrong config.Errors
			if errors.As(err, &wrong) {
				fmt.Fprintln(cmd.ErrOrStderr(), wrong)
				return errAnswered
			}
			if err != nil {
				return err
			}
			defer modules.Close()
			if err := checkCatalogues(cmd.ErrOrStderr(), site); err != nil {
				return err
			}
			db, err := openGeo(site)
			if err != nil {
				return err
			}
			if db != nil {
				db.Close()
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: right; %s\n", file, count(len(site.Tenants), "site"))
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// A process is one running edge and what it stands on.
type process struct {
	file      string
	log       *slog.Logger
	site      atomic.Pointer[config.Config] // replaced by reload
	edge      *edge.Edge
	ledger    *ledger.Ledger // nil if nothing is recorded
	exhibits  *exhibit.Store // nil if none are kept
	traces    *otlp.Exporter // nil if nothing is traced
	store     *edge.Store
	subjects  *edge.Subjects
	learned   *edge.Recommenders
	geo       *geo.DB // nil without one
	stopGeo   context.CancelFunc
	admin     *control.Admin     // nil without one
	stopPages context.CancelFunc // of the consoles; nil without admin
	canaries  *canaries
	listener  net.Listener
}

// shutdownLimit is how long requests that have arrived may still take.
const shutdownLimit = 35 * time.Second

// serve runs until ctx ends. It calls ready when connections are taken.
func serve(ctx context.Context, file string, log *slog.Logger, ready func(*process)) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before the start, which it would otherwise end
	defer signal.Stop(hup)
	p, err := start(ctx, file, log)
	if err != nil {
		return err
	}

	failed := make(chan error, 1)
	go func() { failed <- p.edge.Serve(p.listener) }()
	p.canaries.begin(p.edge.Serve, p.site.Load(), p.geo)
	ready(p)
	for {
		select {
		case <-hup:
			p.reload(ctx)
		case err := <-failed:
			p.stop()
			if err == nil {
				err = errors.New("the listener was closed")
			}
			return fmt.Errorf("serve %s: %w", p.listener.Addr(), err)
		case <-ctx.Done():
			log.Info("stopping: answering what has arrived")
			return p.stop()
		}
	}
}

// start readies a process. After an error all that it opened is closed again.
func start(ctx context.Context, file string, log *slog.Logger) (_ *process, err error) {
	p := &process{file: file, log: log} // no named result: returning nil would take it from what closes
	// The engine's context must outlive the signal that ends ctx: requests that
	// have arrived still run policies.
	site, modules, err := edge.Load(context.WithoutCancel(ctx), file, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			modules.Close()
		}
	}()
	before := keysIn(site.State)
	keys, err := profile.LoadKeys(filepath.Join(site.State, "keys"))
	if err != nil {
		return nil, err
	}
	sealer, err := profile.NewRing(keys)
	if err != nil {
		return nil, err
	}
	db, err := openGeo(site)
	if err != nil {
		return nil, err
	}
	if p.ledger, err = openLedger(site, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && p.ledger != nil {
			p.ledger.Close()
		}
	}()
	if p.store, err = edge.OpenStore(context.WithoutCancel(ctx), site.State, site.Limits.Policy, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.store.Close()
		}
	}()
	if p.subjects, err = openSubjects(site.State, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.subjects.Close()
		}
	}()
	if p.learned, err = edge.OpenRecommenders(filepath.Join(site.State, "recommend"), site, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.learned.Close()
		}
	}()
	p.tellKeys(before, keysIn(site.State))
	p.site.Store(site)
	p.watch(ctx, db)
	c := edge.Config{
		Site: site, Modules: modules, Geo: db, Store: p.store, Subjects: p.subjects, Recommenders: p.learned, Sealer: sealer, Log: log,
	}
	record(&c, p.ledger)
	if p.exhibits = openExhibits(site, log); p.exhibits != nil {
		c.Exhibits = p.exhibits
		defer func() {
			if err != nil {
				p.exhibits.Close()
			}
		}()
	}
	if err = p.openTraces(&c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.closeTraces()
		}
	}()
	if p.edge, err = edge.New(c); err != nil {
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", site.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p.canaries = newCanaries(log, p.event)
	defer func() {
		if err != nil {
			p.canaries.close()
		}
	}()
	if site.Admin != "" {
		figures, err := p.figures()
		if err != nil {
			p.listener.Close()
			return nil, err
		}
		tokens := control.NewTokens(site.State)
		pages, err := p.openConsole(site, tokens, log)
		if err == nil {
			p.admin, err = control.NewAdmin(control.AdminConfig{
				Addr: site.Admin, Tenants: p.tenants, Policies: p.store.Registry(), Runtime: p.store,
				Catalogues: p.learned, Subjects: p.edge, Console: pages, Tokens: tokens, Log: log,
				Figures: figures, Ready: p.notReady,
			})
		}
		if err != nil {
			if p.stopPages != nil {
				p.stopPages()
			}
			p.listener.Close()
			return nil, fmt.Errorf("admin: %w", err)
		}
		go p.admin.Serve()
	}
	return p, nil
}

// openSubjects readies what keeps the choices of those whom origins name. They
// have a key of their own: who makes visitors' cookies void does not lose what
// subjects refused.
func openSubjects(state string, log *slog.Logger) (*edge.Subjects, error) {
	key, err := profile.LoadKeyFile(filepath.Join(state, "keys"), "subjects.key")
	if err != nil {
		return nil, err
	}
	return edge.NewSubjects(edge.SubjectsConfig{Dir: filepath.Join(state, "store"), Key: key, Log: log})
}

// tenants returns the names of the sites that are configured now.
func (p *process) tenants() []string {
	var names []string
	for _, t := range p.site.Load().Tenants {
		names = append(names, t.Name)
	}
	return names
}

func openGeo(site *config.Config) (*geo.DB, error) {
	if site.Geo == "" {
		return nil, nil
	}
	db, err := geo.Open(site.Geo)
	if err != nil {
		return nil, fmt.Errorf("geo: %w", err)
	}
	return db, nil
}

// geoCheck is how often the geo database's file is looked at for a change.
const geoCheck = 10 * time.Second

// watch makes db the process's database, reloaded when its file changes.
func (p *process) watch(ctx context.Context, db *geo.DB) {
	p.geo = db
	ctx, p.stopGeo = context.WithCancel(ctx)
	if db == nil {
		return
	}
	go db.Watch(ctx, geoCheck, func(err error) {
		p.log.Error("geo database changed, and cannot be read; the old one is kept", "error", err)
	})
}

// reload reads the configuration again. Whatever is wrong, what runs stays.
func (p *process) reload(ctx context.Context) {
	site, modules, err := edge.Load(context.WithoutCancel(ctx), p.file, p.log)
	if err != nil {
		p.log.Error("configuration not reloaded, nothing changed", "error", err)
		return
	}
	db, err := openGeo(site)
	if err != nil {
		modules.Close()
		p.log.Error("configuration not reloaded, nothing changed", "error", err)
		return
	}
	learned, err := p.learned.Prepare(site)
	if err != nil {
		modules.Close()
		p.learned.Retain(p.site.Load())
		p.log.Error("configuration not reloaded, nothing changed", "error", err)
		return
	}
	fixed, err := p.edge.Reload(site, modules, db)
	if err != nil {
		modules.Close()
		p.learned.Retain(p.site.Load())
		p.log.Error("configuration not reloaded, nothing changed", "error", err)
		return
	}
	p.learned.Retain(site)
	fixed = append(fixed, learned...)
	// Exchanges that began before may still look places up: a closed database
	// answers that every place is unknown, which is safe.
	stop, old := p.stopGeo, p.geo
	p.site.Store(site)
	p.watch(ctx, db)
	p.canaries.set(site, db)
	stop()
	if old != nil {
		old.Close()
	}
	for _, name := range fixed {
		p.log.Warn("changed in the configuration, but needs a restart", "what", name)
	}
	p.log.Info("configuration reloaded", "sites", len(site.Tenants))
}

// stop answers what has arrived, then closes everything.
func (p *process) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownLimit)
	defer cancel()
	p.canaries.close()
	err := p.edge.Shutdown(ctx)
	if p.admin != nil {
		err = errors.Join(err, p.admin.Close(ctx))
		p.stopPages()
	}
	if p.exhibits != nil { // before the store, which has their modules
		err = errors.Join(err, p.exhibits.Close())
	}
	err = errors.Join(err, p.store.Close(), p.subjects.Close(), p.learned.Close())
	if p.ledger != nil { // last: all of these may have something to record
		err = errors.Join(err, p.ledger.Close())
	}
	p.closeTraces()
	p.stopGeo()
	if p.geo != nil {
		err = errors.Join(err, p.geo.Close())
	}
	return err
}

package edge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bespoke/host/config"
	"bespoke/host/control"
	"bespoke/host/recommend"
)

// Recommenders have what is learned for each tenant that has a catalogue, and the
// catalogue. They outlive configurations: an Edge is given them and does not close
// them. All methods may be called at once.
//
// What a tenant's has is kept in a folder of its own. It is saved every few minutes,
// and by Close; who ends without loses what was learned since.
type Recommenders struct {
	dir string
	log *slog.Logger

	mu sync.Mutex // owns by
	by map[string]*learner
}

// A learner is one tenant's recommender.
type learner struct {
	*recommend.Recommender
	opened config.Catalogue // what it was opened with, but for the file

	mu      sync.Mutex // owns what follows
	loading bool
	path    string   // of the file that the catalogue is now; "": it is uploaded
	file    fileMark // of the file that was loaded last
	last    *control.CatalogueLoad
}

// A fileMark tells one state of a file from another.
type fileMark struct {
	name string
	size int64
	mod  time.Time
}

// OpenRecommenders opens those of a configuration's tenants in folders below dir.
func OpenRecommenders(dir string, site *config.Config, log *slog.Logger) (*Recommenders, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	rs := &Recommenders{dir: dir, log: log, by: map[string]*learner{}}
	if _, err := rs.Prepare(site); err != nil {
		return nil, errors.Join(err, rs.Close())
	}
	return rs, nil
}

// Prepare opens the recommenders that a configuration wants and that are not open,
// and loads files that changed. Call it before [Edge.Reload], and Retain after. fixed
// names what was changed and needs a restart. After an error what was there goes on.
func (rs *Recommenders) Prepare(site *config.Config) (fixed []string, err error) {
	for i := range site.Tenants {
		t := &site.Tenants[i]
		if t.Catalogue == nil {
			continue
		}
		l := rs.learner(t.Name)
		if l == nil {
			if l, err = rs.open(t.Name, *t.Catalogue); err != nil {
				return nil, fmt.Errorf("tenant %s, catalogue: %w", t.Name, err)
			}
		} else if now := *t.Catalogue; !sameOptions(l.opened, now) {
			fixed = append(fixed, "how the catalogue of the tenant "+t.Name+" is learned from")
		}
		if err := l.follow(t.Catalogue.File); err != nil {
			return nil, fmt.Errorf("tenant %s, catalogue: %w", t.Name, err)
		}
	}
	return fixed, nil
}

func sameOptions(a, b config.Catalogue) bool {
	a.File, b.File = "", ""
	return a == b
}

func (rs *Recommenders) open(tenant string, c config.Catalogue) (*learner, error) {
	r, err := recommend.Open(filepath.Join(rs.dir, tenant), recommend.Options{
		MaxItems: c.MaxItems, Support: c.Support, Idle: c.SessionIdle, OpenSessions: c.OpenSessions, KeptSessions: c.KeptSessions,
		SaveEvery: c.SaveEvery, BestHalfLife: c.BestSellers, TrendHalfLife: c.Trending, NeighbourHalfLife: c.Neighbours,
		Log: rs.log.With("tenant", tenant),
	})
	if err != nil {
		return nil, err
	}
	l := &learner{Recommender: r, opened: c}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.by[tenant] = l
	return l, nil
}

// follow loads the file that the configuration names, if it is not the one that was
// loaded last.
func (l *learner) follow(name string) error {
	l.mu.Lock()
	l.path = name
	if name == "" {
		l.file = fileMark{} // uploads may follow: the file would be another one than they are
	}
	before := l.file
	l.mu.Unlock()
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	mark := fileMark{name, st.Size(), st.ModTime()}
	if mark == before {
		return nil
	}
	_, err = l.load(f, "file")
	var wrong recommend.Problems
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s:\n%w", name, wrong)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.file = mark
	l.mu.Unlock()
	return nil
}

// Retain closes the recommenders that a configuration has no use for.
func (rs *Recommenders) Retain(site *config.Config) {
	keep := map[string]bool{}
	for i := range site.Tenants {
		keep[site.Tenants[i].Name] = site.Tenants[i].Catalogue != nil
	}
	rs.mu.Lock()
	var gone []*learner
	for tenant, l := range rs.by {
		if !keep[tenant] {
			gone = append(gone, l)
			delete(rs.by, tenant)
		}
	}
	rs.mu.Unlock()
	for _, l := range gone {
		if err := l.Close(); err != nil {
			rs.log.Error("what was learned could not be saved", "error", err)
		}
	}
}

// Close saves what was learned, and ends. No Edge that was given the Recommenders
// may run any more.
func (rs *Recommenders) Close() error {
	if rs == nil {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var errs []error
	for tenant, l := range rs.by {
		if err := l.Close(); err != nil {
			errs = append(errs, fmt.Errorf("tenant %s: %w", tenant, err))
		}
	}
	clear(rs.by)
	return errors.Join(errs...)
}

func (rs *Recommenders) learner(tenant string) *learner {
	if rs == nil {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.by[tenant]
}

// of returns the tenant's recommender, nil if it has none.
func (rs *Recommenders) of(t *config.Tenant) *recommend.Recommender {
	if t.Catalogue == nil {
		return nil
	}
	if l := rs.learner(t.Name); l != nil {
		return l.Recommender
	}
	return nil
}

// LoadCatalogue takes an upload in place of the tenant's catalogue. What is wrong in
// it is an error of type recommend.Problems; then, and if in fails, nothing changed.
func (rs *Recommenders) LoadCatalogue(tenant string, in io.Reader) (control.CatalogueLoad, error) {
	l := rs.learner(tenant)
	if l == nil {
		return control.CatalogueLoad{}, control.ErrNoCatalogue
	}
	l.mu.Lock()
	path := l.path
	l.mu.Unlock()
	if path != "" {
		return control.CatalogueLoad{}, control.ErrCatalogueIsFile
	}
	return l.load(in, "upload")
}

// load has the recommender take a catalogue, and says what that changed.
func (l *learner) load(in io.Reader, from string) (control.CatalogueLoad, error) {
	l.mu.Lock()
	busy := l.loading
	l.loading = true
	l.mu.Unlock()
	if busy {
		return control.CatalogueLoad{}, control.ErrCatalogueBusy
	}
	defer func() {
		l.mu.Lock()
		l.loading = false
		l.mu.Unlock()
	}()
	began := time.Now()
	old := l.Catalogue()
	if err := l.Load(in, nil); err != nil {
		return control.CatalogueLoad{}, plainPath(err)
	}
	done := control.CatalogueLoad{At: began.UTC().Truncate(time.Second), From: from, Millis: time.Since(began).Milliseconds()}
	compare(&done, old, l.Catalogue())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = &done
	return done, nil
}

// plainPath marks an error of the disk, so that it is told from what is wrong in an
// upload.
func plainPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		return fmt.Errorf("%w: %w", control.ErrCatalogueStorage, err)
	}
	return err
}

// compare counts what is different between two catalogues of one book of numbers.
func compare(l *control.CatalogueLoad, old, now *recommend.Catalogue) {
	l.Items = now.Len()
	kept := 0
	for a := range now.All() {
		b, ok := old.Item(a.Number)
		switch {
		case !ok:
			l.Added++
			continue
		case !same(&a, &b):
			l.Changed++
		}
		kept++
	}
	l.Removed = old.Len() - kept
}

func same(a, b *recommend.Item) bool {
	return a.ID == b.ID && a.Title == b.Title && a.URL == b.URL && a.Image == b.Image && a.Price == b.Price && a.Was == b.Was && a.Currency == b.Currency &&
		a.InStock == b.InStock && a.Placed == b.Placed && a.Lat == b.Lat && a.Lon == b.Lon && slices.Equal(a.Values, b.Values)
}

// publicBands are those whose answers need no item and no visitor.
var publicBands = [...]recommend.Band{recommend.BestSellers, recommend.Trending, recommend.Deals}

// Catalogue tells how a tenant's catalogue fares; false if it has none.
func (rs *Recommenders) Catalogue(tenant string) (control.CatalogueFigures, bool) {
	l := rs.learner(tenant)
	if l == nil {
		return control.CatalogueFigures{}, false
	}
	st := l.Stats()
	f := control.CatalogueFigures{
		Tenant: tenant, Items: l.Catalogue().Len(), MemoryBytes: l.Memory(), Support: 5,
		Events: st.Events, UnknownItems: st.Unknown, Sessions: st.Sessions, OpenSessions: st.Open, KeptSessions: st.Kept,
		Bands: map[string]int{},
	}
	if l.opened.Support != 0 {
		f.Support = l.opened.Support
	}
	for i := range l.Catalogue().All() {
		if i.InStock {
			f.InStock++
		}
	}
	for _, b := range publicBands {
		f.Bands[b.String()] = len(l.Band(b, recommend.Query{N: recommend.MaxN, Exact: true}))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" {
		f.File = filepath.Base(l.path)
	}
	f.Last = l.last
	if err := l.Restored(); err != nil {
		f.Damaged = strings.Count(err.Error(), "\n") + 1
	}
	return f, true
}

package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A condition is what the visitors of a pair say about their data.
type condition struct {
	name string // "agree", or the way they refuse
	side Side
	not  *Side // what they say before they refuse, where data is gathered first; nil: nothing
}

const agree = "agree"

// A slot is one pair of the run.
type slot struct {
	dim    *dimension // nil: none can be tried
	cond   int
	same   bool // both visitors are identical
	a, b   Side
	bFirst bool // b prepares and is measured first
	settle bool // wait between the measurements
	other  Side // of a visitor who agrees and asks between the two, of a steady site
}

// A sample is what came of one slot and page.
type sample struct {
	at       time.Time
	slot     *slot
	page     int
	equal    bool
	distance int
	first    [32]byte // what the first of both got, outside of the mask
	second   [32]byte
	silent   bool // no answer to either
	exhibit  *Exhibit
}

// A run is one experiment under way.
type run struct {
	c       Config
	fetch   *fetcher
	site    *site
	dims    []dimension
	conds   []condition
	pages   []string
	ignored map[string]bool
	masks   [][]mask // by condition and page; not changed after calibration

	mu      sync.Mutex // guards what is below
	samples []sample
	failed  map[failure]int
	why     string // the first failure
	done    int
	broken  int // failures in a row
	shown   map[failure]int
}

// A failure counts pairs that could not be measured, by dimension and condition.
type failure struct {
	dim  *dimension
	cond int
}

const (
	calibrating = 4  // pairs of identical visitors for each condition, at least, before the others
	hopeless    = 10 // failures in a row that end a run
	exhibits    = 2  // pairs that are kept to be shown, for each dimension and condition
)

// Run does the experiment. When ctx ends it returns the report of what was done so
// far. An error is returned where nothing could be measured: wrong use, or a site
// that does not answer.
func Run(ctx context.Context, c Config) (*Report, error) {
	c, base, err := c.filled()
	if err != nil {
		return nil, &UsageError{err}
	}
	began := time.Now()
	r := &run{c: c, failed: map[failure]int{}, shown: map[failure]int{}, ignored: ignoring(DefaultIgnored(), c.IgnoreHeaders)}
	r.fetch = newFetcher(&c, base)
	if r.site, err = look(ctx, r.fetch, &c); err != nil {
		return nil, fmt.Errorf("look at the site: %w", err)
	}
	r.pages = slices.Concat([]string{r.site.path}, c.Paths)
	r.dims = c.dimensions(r.site)
	if r.conds, err = c.conditions(r.site); err != nil {
		return nil, &UsageError{err}
	}
	random := rand.New(rand.NewPCG(c.Seed, 0x9e3779b97f4a7c15))
	before, plan := r.plan(random)
	r.masks = make([][]mask, len(r.conds))
	for i := range r.masks {
		r.masks[i] = make([]mask, len(r.pages))
	}
	total := len(before) + len(plan)
	for i := range before { // one after the other: masks are learned in order
		if err = r.calibrate(ctx, &before[i]); err != nil {
			break
		}
		r.progress(total)
	}
	if err == nil {
		err = r.pairs(ctx, plan, total)
	}
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	rep := r.judge(random)
	rep.Started, rep.Took, rep.Interrupted = began.UTC(), time.Since(began).Seconds(), ctx.Err() != nil
	rep.settle()
	return rep, nil
}

// A UsageError is a configuration that cannot be used.
type UsageError struct{ error }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.error }

// home is the place of visitors who do not differ in it, "" where a header tells it.
func (c *Config) home() string {
	if c.PlaceHeader == "" && c.Transport != nil && len(c.Places) > 0 {
		return c.Places[0]
	}
	return ""
}

func newFetcher(c *Config, base *url.URL) *fetcher {
	f := &fetcher{base: base, transport: c.Transport, timeout: c.Timeout, body: c.MaxBody}
	if c.Rate > 0 {
		f.every = time.Duration(float64(time.Second) / c.Rate)
	}
	if f.transport == nil {
		t := NewTransport(c.Concurrency)
		f.transport = func(string) http.RoundTripper { return t }
	}
	return f
}

// conditions returns how visitors agree and refuse, agree first.
func (c *Config) conditions(s *site) ([]condition, error) {
	yes, no := &Side{}, (*Side)(nil)
	if s.api != "" {
		yes, no = s.agrees(), s.refuses()
	}
	if c.File != nil && c.File.Agree != nil {
		yes = c.File.Agree
	}
	if c.File != nil && c.File.Refuse != nil {
		no = c.File.Refuse
	}
	list := []condition{{name: agree, side: *yes}}
	wants := func(way string) bool { return len(c.Ways) == 0 || slices.Contains(c.Ways, way) }
	if wants(ByChoice) && no != nil {
		list = append(list, condition{ByChoice, *no, yes})
	} else if slices.Contains(c.Ways, ByChoice) {
		return nil, errors.New("how this site is told of a refusal is not known: a file says it, under refuse")
	}
	if wants(ByGPC) {
		list = append(list, condition{ByGPC, Side{Headers: map[string]string{"Sec-GPC": "1"}}, yes})
	}
	return list, nil
}

// plan draws every pair of the run: first those that tell how the site varies by
// itself, then all others in a random order.
func (r *run) plan(random *rand.Rand) (before, plan []slot) {
	var tried []*dimension
	for i := range r.dims {
		d := &r.dims[i]
		if len(r.c.Dimensions) > 0 && !slices.Contains(r.c.Dimensions, d.name) {
			d.missing = "not asked for"
		}
		if d.missing == "" {
			tried = append(tried, d)
		}
	}
	for i := range r.conds {
		for n := range max(calibrating, len(tried)) { // each dimension once: what visitors did may vary in its own way
			s := slot{cond: i, same: true, bFirst: random.IntN(2) == 0, settle: n == 0}
			if len(tried) > 0 {
				s.dim = tried[n%len(tried)]
				s.a, s.other = s.dim.draw(random)
				s.b = s.a
			}
			before = append(before, s)
		}
		for _, d := range tried {
			for n := range r.c.Pairs + (r.c.Pairs+1)/2 {
				s := slot{dim: d, cond: i, same: n >= r.c.Pairs, bFirst: random.IntN(2) == 0}
				if s.a, s.b = d.draw(random); s.same {
					s.b = s.a
				}
				_, s.other = d.draw(random)
				plan = append(plan, s)
			}
		}
	}
	random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return before, plan
}

// pairs works through the plan.
func (r *run) pairs(ctx context.Context, plan []slot, total int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *slot)
	var wg sync.WaitGroup
	for range r.c.Concurrency {
		wg.Go(func() { // ends when next is closed
			for s := range next {
				if err := r.pair(ctx, s); err != nil {
					cancel(err)
				}
				r.progress(total)
			}
		})
	}
	for i := range plan {
		select {
		case next <- &plan[i]:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

func (r *run) progress(total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.c.Progress != nil {
		r.c.Progress(r.done, total)
	}
}

// prepare makes a visitor who has said and done all that a side and a condition ask for.
func (r *run) prepare(ctx context.Context, s *slot, cond int, side *Side) (*visitor, error) {
	v := newVisitor(r.fetch, &r.c)
	c := &r.conds[cond]
	says := []*Side{&c.side, side}
	v.carries(side)
	if s.dim != nil && s.dim.before && c.not != nil {
		says = []*Side{c.not, side, &c.side}
	}
	for _, one := range says {
		v.carries(one)
		before := slices.Clone(v.jar.cookies)
		if err := v.does(ctx, one); err != nil {
			return nil, err
		}
		if one == side {
			v.issued = changed(before, v.jar.cookies)
		}
	}
	return v, nil
}

// both prepares the visitors of a slot and measures a page after the other: the two
// ask for the same page right after each other.
func (r *run) both(ctx context.Context, s *slot, each func(page int, a, b *visitor, x, y *Response)) error {
	var a, b, between *visitor
	prepare := func(v **visitor, side *Side) (err error) {
		*v, err = r.prepare(ctx, s, s.cond, side)
		return err
	}
	if r.steady(s.cond) {
		var err error
		if between, err = r.prepare(ctx, s, 0, &s.other); err != nil { // agree is the first condition
			return err
		}
	}
	steps := [2]func() error{func() error { return prepare(&a, &s.a) }, func() error { return prepare(&b, &s.b) }}
	if s.bFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, do := range steps {
		if err := do(); err != nil {
			return err
		}
	}
	for page, path := range r.pages {
		var x, y *Response
		asks := [2]func() error{
			func() (err error) { x, err = a.measure(ctx, path); return err },
			func() (err error) { y, err = b.measure(ctx, path); return err },
		}
		if s.bFirst {
			asks[0], asks[1] = asks[1], asks[0]
		}
		for i, ask := range asks {
			if i == 1 && between != nil {
				if _, err := between.measure(ctx, path); err != nil {
					return err
				}
			}
			if i == 1 && s.settle {
				if err := pause(ctx, r.c.Settle); err != nil {
					return err
				}
			}
			if err := ask(); err != nil {
				return err
			}
		}
		each(page, a, b, x, y)
	}
	return nil
}

// calibrate has the masks learn from a pair of identical visitors.
func (r *run) calibrate(ctx context.Context, s *slot) error {
	err := r.both(ctx, s, func(page int, _, _ *visitor, x, y *Response) {
		if !r.steady(s.cond) {
			r.masks[s.cond][page].learn(x, y, r.ignored)
		}
	})
	return r.note(ctx, s, err)
}

// steady reports whether visitors of a condition are said to get all the same.
func (r *run) steady(cond int) bool { return r.c.Steady && r.conds[cond].name != agree }

// note counts a pair that failed, and ends a run in which all do.
func (r *run) note(ctx context.Context, s *slot, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.broken = 0
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.dim != nil && s.dim.secret {
		err = errors.New(r.secrets(s).text(err.Error()))
	}
	r.failed[failure{s.dim, s.cond}]++
	if r.why == "" {
		r.why = err.Error()
	}
	if r.broken++; r.broken >= hopeless {
		return fmt.Errorf("%d pairs in a row could not be measured; the last: %w", hopeless, err)
	}
	return nil
}

// pair measures and compares one pair.
func (r *run) pair(ctx context.Context, s *slot) error {
	at := time.Now()
	var list []sample
	err := r.both(ctx, s, func(page int, a, b *visitor, x, y *Response) {
		c := r.masks[s.cond][page].compare(x, y, r.ignored)
		one := sample{at: at, slot: s, page: page, equal: c.equal(), distance: c.distance, first: c.a, second: c.b, silent: x.Status == 0 && y.Status == 0}
		if s.bFirst {
			one.first, one.second = c.b, c.a
		}
		if !one.equal && (!s.same || r.c.Steady) && !s.dim.declared && r.conds[s.cond].name != agree && r.keep(s) {
			one.exhibit = r.exhibit(s, page, a, b, x, y, c.differs)
		}
		list = append(list, one)
	})
	if err := r.note(ctx, s, err); err != nil {
		return err
	}
	if err == nil {
		r.mu.Lock()
		r.samples = append(r.samples, list...)
		r.mu.Unlock()
	}
	return nil
}

// keep reports whether one more pair of a dimension and condition is to be shown.
func (r *run) keep(s *slot) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := failure{s.dim, s.cond}
	r.shown[f]++
	return r.shown[f] <= exhibits
}

// exhibit keeps all of a pair. What a file calls secret is not in it.
func (r *run) exhibit(s *slot, page int, a, b *visitor, x, y *Response, differs []Difference) *Exhibit {
	e := &Exhibit{Dimension: s.dim.name, Way: r.conds[s.cond].name, Page: r.pages[page], Same: s.same, BFirst: s.bFirst}
	e.Differences, e.More = atMost(differs, maxShown)
	e.A = Witness{Requests: slices.Clone(a.said), Response: x}
	e.B = Witness{Requests: slices.Clone(b.said), Response: y}
	if s.dim.secret { // only pairs of a dimension are shown
		r.secrets(s, a, b).conceal(e)
	}
	return e
}

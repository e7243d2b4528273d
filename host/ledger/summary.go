package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A Period says what is to be counted.
type Period struct {
	From, To time.Time     // From on, before To; made whole hours (UTC), outwards. Zero: all there is.
	Tenant   string        // only its records; "": all
	Bucket   time.Duration // width of the points of the series, whole hours; 0: no series
	// Cache is a folder for the counts of hours that are over, so that months can be
	// shown at once; "": everything is counted anew. What is in it is believed.
	Cache string
}

// A Summary is what happened in a period.
type Summary struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Tenant string    `json:"tenant,omitempty"`
	Total  Tally     `json:"total"`
	Series []Point   `json:"series,omitempty"` // in order; buckets without records are there too
	Gaps   []Gap     `json:"gaps"`
	// Removed counts segments of the period whose content is gone with the oldest: on schedule, if Verify finds so.
	Removed int64 `json:"removed_segments"`
}

// A Point is one bucket of a series.
type Point struct {
	From  time.Time `json:"from"`
	Tally *Tally    `json:"tally"`
}

// maxPoints bounds a series: seven years of days.
const maxPoints = 2600

func (p *Period) whole() error {
	p.From = p.From.UTC().Truncate(time.Hour)
	if to := p.To.UTC().Truncate(time.Hour); !to.Equal(p.To) {
		p.To = to.Add(time.Hour)
	}
	p.To = p.To.UTC()
	if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
		return fmt.Errorf("the period from %v to %v has no time in it", p.From.Format(time.RFC3339), p.To.Format(time.RFC3339))
	}
	if p.Bucket%time.Hour != 0 || p.Bucket < 0 {
		return fmt.Errorf("a bucket of %v: expected whole hours", p.Bucket)
	}
	return nil
}

// has reports whether the period has an hour.
func (p *Period) has(hour time.Time) bool {
	return (p.From.IsZero() || !hour.Before(p.From)) && (p.To.IsZero() || hour.Before(p.To))
}

// A cell is what is counted together: one tenant in one hour.
type cell struct {
	Hour   time.Time `json:"hour"`
	Tenant string    `json:"tenant"`
	Tally  *Tally    `json:"tally"`
}

// A counter counts records as they come.
type counter struct {
	needs needs
	cells map[time.Time]map[string]*Tally
	gaps  []hourGap
}

type hourGap struct {
	Hour time.Time `json:"hour"`
	Gap  Gap       `json:"gap"`
}

// counted is the time at which a record is counted: its own, but of one that was sealed so much
// later that nobody who counts that time looks there (a visitor took an answer for long, a clock was
// set back) that of its window. So each is in exactly one of all periods.
func (r *Record) counted() time.Time {
	if at := r.Time(); !at.Before(r.window.Add(-lag)) {
		return at
	}
	return r.window
}

func (c *counter) add(r *Record) {
	hour := r.counted().Truncate(time.Hour)
	tenants := c.cells[hour]
	if tenants == nil {
		tenants = map[string]*Tally{}
		if c.cells == nil {
			c.cells = map[time.Time]map[string]*Tally{}
		}
		c.cells[hour] = tenants
	}
	t := tenants[r.Tenant()]
	if t == nil {
		t = &Tally{}
		tenants[strings.Clone(r.Tenant())] = t
	}
	t.Records++
	if r.Exchange != nil {
		t.exchange(r, &c.needs)
		return
	}
	t.event(r)
	if k := r.Event.Kind; k == KindOpen || k == KindUnrecorded {
		if g, ok := gapOf(r, false, time.Time{}); ok && len(c.gaps) < maxFindings {
			c.gaps = append(c.gaps, hourGap{hour, g})
		}
	}
}

func (c *counter) list() (cells []cell) {
	for hour, tenants := range c.cells {
		for tenant, t := range tenants {
			cells = append(cells, cell{hour, tenant, t})
		}
	}
	slices.SortFunc(cells, func(a, b cell) int { return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(a.Tenant, b.Tenant)) })
	return cells
}

// Summarize counts what a period has. It trusts the folder; see [Verify].
func Summarize(dir string, p Period) (*Summary, error) {
	if err := p.whole(); err != nil {
		return nil, err
	}
	f, err := openArchive(dir, "")
	if err != nil {
		return nil, err
	}
	r, err := newSegmentReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.close()
	s := &Summary{From: p.From, To: p.To, Tenant: p.Tenant, Gaps: []Gap{}}
	at, err := f.from(p.From)
	for err == nil && at < f.tree.N {
		var st Statement
		if st, _, err = f.statement(at); err != nil {
			break
		}
		if !p.To.IsZero() && st.From.After(p.To.Add(lag)) {
			break
		}
		var h *hourFile
		if h, err = f.hour(r, &st, p); err == nil {
			s.addFile(h, p)
			at = h.Next
		}
	}
	if err != nil {
		return nil, err
	}
	s.finish(p)
	return s, nil
}

// addFile merges what the period has of a file's counts.
func (s *Summary) addFile(h *hourFile, p Period) {
	s.Removed += h.Removed
	for _, c := range h.Cells {
		if p.has(c.Hour) {
			s.addCell(c, p)
		}
	}
	for _, g := range h.Gaps {
		if p.has(g.Hour) && len(s.Gaps) < maxFindings {
			s.Gaps = append(s.Gaps, g.Gap)
		}
	}
}

func (s *Summary) addCell(c cell, p Period) {
	if p.Tenant != "" && c.Tenant != p.Tenant {
		return
	}
	s.Total.Merge(c.Tally)
	if s.From.IsZero() || c.Hour.Before(s.From) {
		s.From = c.Hour
	}
	if p.To.IsZero() && !c.Hour.Before(s.To) {
		s.To = c.Hour.Add(time.Hour)
	}
	if p.Bucket == 0 {
		return
	}
	from := c.Hour.Truncate(p.Bucket)
	i, found := slices.BinarySearchFunc(s.Series, from, func(p Point, t time.Time) int { return p.From.Compare(t) })
	if !found {
		s.Series = slices.Insert(s.Series, i, Point{from, &Tally{}})
	}
	s.Series[i].Tally.Merge(c.Tally)
}

// finish fills the series' empty buckets.
func (s *Summary) finish(p Period) {
	if p.Bucket == 0 || s.From.IsZero() || s.To.IsZero() {
		return
	}
	var full []Point
	i := 0
	for at := s.From.Truncate(p.Bucket); at.Before(s.To) && len(full) < maxPoints; at = at.Add(p.Bucket) {
		if i < len(s.Series) && s.Series[i].From.Equal(at) {
			full = append(full, s.Series[i])
			i++
			continue
		}
		full = append(full, Point{at, &Tally{}})
	}
	s.Series = full
}

// An hourFile is what one file of segments holds, counted. As long as First and
// Last are the same, so is what it holds.
type hourFile struct {
	Version int       `json:"version"`
	From    int64     `json:"from"` // its segments
	Next    int64     `json:"next"`
	First   tlog.Hash `json:"first"` // of the first and the last statement
	Last    tlog.Hash `json:"last"`
	Removed int64     `json:"removed"`
	Cells   []cell    `json:"cells"`
	Gaps    []hourGap `json:"gaps,omitempty"`
}

// hourVersion changes where what is counted does, so that old counts are not used.
const hourVersion = 2

// hour counts the file whose segments begin, or go on, at st.
func (f *archive) hour(r *segmentReader, st *Statement, p Period) (*hourFile, error) {
	cached := filepath.Join(p.Cache, st.File+".json")
	if p.Cache != "" && st.Offset == 0 {
		if h := f.cached(cached, st); h != nil {
			return h, nil
		}
	}
	h := &hourFile{Version: hourVersion, From: st.Segment, Next: st.Segment}
	var c counter
	over := false // a later file exists, so this one is complete
	var first, last Statement
	for n := st.Segment / tileWidth; !over && n*tileWidth < f.tree.N; n++ {
		list, err := f.bundle(n)
		if err != nil {
			return nil, err
		}
		for i := range list {
			s := &list[i]
			if s.Segment < st.Segment {
				continue
			}
			if s.File != st.File {
				over = true
				break
			}
			if s.Segment == st.Segment {
				first = *s
			}
			last = *s
			h.Next = s.Segment + 1
			_, err := r.each(s, func(r *Record) bool { c.add(r); return true })
			if errors.Is(err, fs.ErrNotExist) && f.removed(s) {
				h.Removed++
			} else if err != nil {
				return nil, err
			}
		}
	}
	h.Cells, h.Gaps = c.list(), c.gaps
	if over && st.Offset == 0 && h.Removed == 0 && p.Cache != "" {
		h.First, h.Last = tlog.RecordHash(first.append(nil)), tlog.RecordHash(last.append(nil))
		h.keep(cached)
	}
	return h, nil
}

// cached returns the counts that were kept of a file, nil if there are none.
func (f *archive) cached(name string, st *Statement) *hourFile {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	var h hourFile
	if json.Unmarshal(b, &h) != nil || h.Version != hourVersion || h.From != st.Segment || h.Next <= h.From || h.Next >= f.tree.N ||
		h.First != tlog.RecordHash(st.append(nil)) {
		return nil
	}
	if _, last, err := f.statement(h.Next - 1); err != nil || last != h.Last {
		return nil
	}
	return &h
}

// keep writes counts. It is no fault if it cannot: they can be made again.
func (h *hourFile) keep(name string) {
	b, err := json.Marshal(h)
	if err != nil || os.MkdirAll(filepath.Dir(name), 0o700) != nil {
		return
	}
	next := fmt.Sprintf("%s.%d", name, os.Getpid())
	if os.WriteFile(next, b, 0o600) != nil || os.Rename(next, name) != nil {
		os.Remove(next)
	}
}

package ledger

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report is what a privacy team hands on: what a period had, whether the
// ledger is what was sealed, and what that shows.
type Report struct {
	Made     time.Time `json:"made"`
	Verified *Verified `json:"verified"`
	Summary  *Summary  `json:"summary"`
	Answer   string    `json:"answer"`
	Proven   []string  `json:"proven"`
	Unproven []string  `json:"not_proven"`
}

// MakeReport verifies the ledger and counts the period, in one pass over its
// records. The tree is verified as a whole, the content in the period. The time
// made is the caller's.
func MakeReport(dir string, p Period, o VerifyOptions, made time.Time) (*Report, error) {
	if err := p.whole(); err != nil {
		return nil, err
	}
	if p.Bucket == 0 {
		p.Bucket = 24 * time.Hour
		if !p.From.IsZero() && !p.To.IsZero() && p.To.Sub(p.From) <= 4*24*time.Hour {
			p.Bucket = time.Hour
		}
	}
	var c counter
	o.From, o.To = p.From, p.To
	if !o.To.IsZero() {
		o.To = o.To.Add(lag)
	}
	each := o.Each
	o.Each = func(r *Record) {
		c.add(r)
		if each != nil {
			each(r)
		}
	}
	v, err := Verify(dir, o)
	if err != nil {
		return nil, err
	}
	s := &Summary{From: p.From, To: p.To, Tenant: p.Tenant, Gaps: []Gap{}}
	s.addFile(&hourFile{Cells: c.list()}, p)
	for _, g := range v.Gaps {
		if (p.From.IsZero() || !g.To.Before(p.From)) && (p.To.IsZero() || g.From.Before(p.To)) {
			s.Gaps = append(s.Gaps, g)
		}
	}
	s.finish(p)
	r := &Report{Made: made.UTC().Truncate(time.Second), Verified: v, Summary: s}
	r.conclude()
	return r, nil
}

// OK reports whether the ledger is intact, and every refusal of the period honoured.
func (r *Report) OK() bool { return r.Verified.Intact() && r.Summary.Total.Violations == 0 }

// conclude writes what the figures show, and what they do not.
func (r *Report) conclude() {
	v, t := r.Verified, &r.Summary.Total
	switch {
	case !v.Intact():
		r.Answer = fmt.Sprintf("No answer: the ledger is not what was sealed (%s).", plural(v.DamageCount, "finding"))
	case t.Exchanges == 0:
		r.Answer = "No answer: the ledger has no exchange in this period."
	case t.Violations > 0:
		r.Answer = fmt.Sprintf("No: %s of %d recorded used data that the visitor had not granted, or could be tied to them.", plural(t.Violations, "exchange"), t.Exchanges)
	case t.Refused == 0:
		r.Answer = fmt.Sprintf("Nobody refused: none of %s recorded had personalize denied.", plural(t.Exchanges, "exchange"))
	default:
		r.Answer = fmt.Sprintf("Yes: at all %d of %s recorded where personalize was denied, no policy was given data that needs a denied purpose.", t.Refused, plural(t.Exchanges, "exchange"))
	}
	if v.Intact() {
		r.Proven = append(r.Proven,
			fmt.Sprintf("The ledger's tree of %s with %s is the one that the key %s signed: no segment was changed, left out, put in or moved.", plural(v.Size, "segment"), plural(v.Records, "record"), v.Key),
			fmt.Sprintf("The %s read for this report are, byte for byte, those that were sealed.", plural(v.Checked, "record")),
			"For each exchange counted here as honoured: every key that a policy was given needs no purpose, or one that the recorded decision grants; and without personalize there is no pseudonym.")
		if v.Since >= 0 {
			r.Proven = append(r.Proven, fmt.Sprintf("The ledger begins with the %s of the earlier checkpoint, unchanged.", plural(v.Since, "segment")))
		}
	}
	r.Unproven = append(r.Unproven,
		"That the edge recorded what it did. The ledger is its own account; test it from outside with \"bespoke audit probe\", and again from what it kept with \"bespoke audit replay\".",
		"What the origin does by itself with its own cookies, accounts and logs.",
		"Anything of exchanges that bypassed the edge.")
	if v.FromDir {
		r.Unproven = append(r.Unproven, "Whose key it is: it was taken from the ledger's own folder. Who replaced the whole folder replaced the key too; compare "+v.Key+" with one that you got elsewhere, or give it with --key.")
	}
	if v.Since < 0 {
		r.Unproven = append(r.Unproven, "That nothing was cut off behind the newest checkpoint, or written anew from some point on: that takes an earlier checkpoint that was kept elsewhere (--since).")
	}
	if len(r.Summary.Gaps) > 0 || t.Unrecorded > 0 {
		r.Unproven = append(r.Unproven, fmt.Sprintf("What happened in the %s below. Exchanges without a record were not personalized, but only the edge says so.", plural(int64(len(r.Summary.Gaps)), "gap")))
	}
	if v.Removed > 0 {
		r.Unproven = append(r.Unproven, fmt.Sprintf("What %s said whose content was removed on schedule.", plural(v.Removed, "record")))
	}
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

//go:embed report.html
var reportHTML string

// HTML writes the report as one page that needs nothing else: no script, no other file.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"day":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
		"words": func(m map[string]int64) string {
			var list []string
			for _, k := range slices.Sorted(maps.Keys(m)) {
				list = append(list, fmt.Sprintf("%s %d", cmp.Or(k, "(none)"), m[k]))
			}
			return cmp.Or(strings.Join(list, ", "), "none")
		},
		"plural": plural,
	}).Parse(reportHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, struct {
		*Report
		Chart   chart
		Reasons []reason
	}{r, r.chart(), r.reasons()})
}

// A reason is one line of the table of decisions.
type reason struct {
	Purpose, Rule, Signal string
	Settled
	Span int // rows of this purpose, on its first
}

func (r *Report) reasons() (list []reason) {
	purposes := r.Summary.Total.Purposes
	for _, name := range slices.Sorted(maps.Keys(purposes)) {
		first := len(list)
		p := purposes[name]
		for _, rule := range slices.Sorted(maps.Keys(p.By)) {
			for _, signal := range slices.Sorted(maps.Keys(p.By[rule])) {
				list = append(list, reason{Purpose: name, Rule: rule, Signal: signal, Settled: *p.By[rule][signal]})
			}
		}
		if len(list) > first {
			list[first].Span = len(list) - first
		}
	}
	return list
}

// A chart is bars over time, in the units of its viewBox.
type chart struct {
	Width, Height, Base int
	Bars                []bar
	Top                 int64 // exchanges of the highest bar
	First, Last         time.Time
}

type bar struct {
	X, W      float64
	Parts     []part
	Title     string
	HasBroken bool
}

type part struct {
	Y, H  float64
	Class string
}

// chart draws exchanges by what was decided on personalize.
func (r *Report) chart() chart {
	c := chart{Width: 960, Height: 240, Base: 220}
	points := r.Summary.Series
	for _, p := range points {
		c.Top = max(c.Top, p.Tally.Exchanges)
	}
	if c.Top == 0 {
		return c
	}
	c.First, c.Last = points[0].From, points[len(points)-1].From
	step := float64(c.Width) / float64(len(points))
	for i, p := range points {
		t := p.Tally
		granted := int64(0)
		if of := t.Purposes["personalize"]; of != nil {
			granted = of.Granted
		}
		b := bar{X: float64(i) * step, W: max(0.5, step*0.86), HasBroken: t.Violations > 0}
		b.Title = fmt.Sprintf("%s: %s, personalize granted at %d, denied at %d, %s", p.From.Format("2006-01-02 15:04"), plural(t.Exchanges, "exchange"), granted, t.Refused, plural(t.Violations, "violation"))
		y := float64(c.Base)
		for _, s := range []struct {
			n     int64
			class string
		}{{t.Refused, "denied"}, {granted, "granted"}, {max(0, t.Exchanges-t.Refused-granted), "unasked"}} {
			h := float64(s.n) / float64(c.Top) * float64(c.Base-20)
			if h > 0 {
				y -= h
				b.Parts = append(b.Parts, part{y, h, s.class})
			}
		}
		c.Bars = append(c.Bars, b)
	}
	return c
}

package console

import (
	"net/http"
	"net/url"
	"time"
)

// A period is what a page is about: whole hours or days, UTC.
type period struct {
	Name     string // of those to choose from; "": From and To were given
	From, To time.Time
	Bucket   time.Duration
}

// periods are those to choose from.
var periods = []struct{ Name, Text string }{
	{"24h", "the last 24 hours"}, {"7d", "the last 7 days"}, {"30d", "the last 30 days"}, {"90d", "the last 90 days"}, {"365d", "the last year"},
}

const day = 24 * time.Hour

// periodOf returns the period that a query asks for: by name, or from one day to
// another, both included.
func periodOf(q url.Values, now time.Time) (period, error) {
	now = now.UTC()
	if from, to := q.Get("from"), q.Get("to"); from != "" || to != "" {
		a, err := time.Parse(time.DateOnly, from)
		if err != nil {
			return period{}, badDay("from", from)
		}
		b := now.Truncate(day)
		if to != "" {
			if b, err = time.Parse(time.DateOnly, to); err != nil {
				return period{}, badDay("to", to)
			}
		}
		b = b.Add(day)
		if !a.Before(b) || a.Year() < 2000 || b.Year() > 3000 {
			return period{}, &fault{http.StatusBadRequest, "The period has no day in it: its first day is after its last."}
		}
		return period{"", a, b, bucket(b.Sub(a))}, nil
	}
	name := q.Get("period")
	p := period{Name: name, To: now.Truncate(time.Hour).Add(time.Hour), Bucket: time.Hour}
	switch name {
	case "", "24h":
		p.Name, p.From = "24h", p.To.Add(-day)
	case "7d":
		p.From, p.Bucket = now.Truncate(day).Add(-6*day), 6*time.Hour
	case "30d":
		p.From, p.Bucket = now.Truncate(day).Add(-29*day), day
	case "90d":
		p.From, p.Bucket = now.Truncate(day).Add(-89*day), day
	case "365d":
		p.From, p.Bucket = now.Truncate(day).Add(-364*day), 7*day
	default:
		return period{}, &fault{http.StatusBadRequest, "There is no period of that name."}
	}
	return p, nil
}

func badDay(field, s string) error {
	return &fault{http.StatusBadRequest, "The field \"" + field + "\" is no day: write it as 2026-03-01, and give the first day at least."}
}

// bucket is how wide a step of a chart is, for some 20 to 90 steps.
func bucket(d time.Duration) time.Duration {
	for _, b := range [...]time.Duration{time.Hour, 6 * time.Hour, day, 7 * day} {
		if d/b <= 60 {
			return b
		}
	}
	return 28 * day
}

// Query is what asks for the period again.
func (p period) Query() string {
	if p.Name != "" {
		return url.Values{"period": {p.Name}}.Encode()
	}
	return url.Values{"from": {p.FirstDay()}, "to": {p.LastDay()}}.Encode()
}

// FirstDay and LastDay are the days of a form that asks for the same.
func (p period) FirstDay() string { return p.From.Format(time.DateOnly) }

func (p period) LastDay() string { return p.To.Add(-time.Nanosecond).Format(time.DateOnly) }

// Text is the period in words.
func (p period) Text() string {
	for _, one := range periods {
		if one.Name == p.Name {
			return one.Text
		}
	}
	if p.FirstDay() == p.LastDay() {
		return p.From.Format("2 January 2006")
	}
	return p.From.Format("2 January 2006") + " to " + p.To.Add(-time.Nanosecond).Format("2 January 2006")
}

// label names a step that begins at a time.
func (p period) label(at time.Time) string {
	switch {
	case p.Bucket < day:
		return at.Format("2 Jan, 15:04")
	case p.Bucket > day:
		return "from " + at.Format("2 Jan 2006")
	}
	return at.Format("Mon 2 Jan 2006")
}

package probe

import (
	"slices"
	"time"
)

// A Report is what an experiment found. It is the answer of --json.
type Report struct {
	Tool        string      `json:"tool"`
	URL         string      `json:"url"`
	Pages       []string    `json:"pages"`
	Status      int         `json:"status"` // of the first look
	Centre      bool        `json:"centre"` // the page leads to a privacy centre of ours
	Started     time.Time   `json:"started"`
	Took        float64     `json:"took_seconds"`
	Interrupted bool        `json:"interrupted,omitempty"`
	Seed        uint64      `json:"seed"`
	Pairs       int         `json:"pairs"`
	Alpha       float64     `json:"alpha"`
	Steady      bool        `json:"steady,omitempty"` // nothing was taken for the site's own variation
	Requests    int         `json:"requests"`
	Verdict     string      `json:"verdict"`
	Because     string      `json:"because"`
	Ignored     []string    `json:"ignored_headers"`
	Noise       []Noise     `json:"varies_by_itself,omitempty"`
	Dimensions  []Dimension `json:"dimensions"`
	Failure     string      `json:"first_failure,omitempty"`
	Exhibits    []*Exhibit  `json:"exhibits,omitempty"`

	require []string
}

// Noise is what identical visitors get that differs.
type Noise struct {
	Page      string   `json:"page"`
	Condition string   `json:"condition"`
	Pairs     int      `json:"pairs"`
	Unequal   int      `json:"unequal"` // outside of the mask
	Masked    bool     `json:"masked"`
	Drift     bool     `json:"drift,omitempty"` // the page changed for everybody
	Parts     []string `json:"parts,omitempty"`
	More      int      `json:"more_parts,omitempty"` // that are not listed
	Tokens    int      `json:"tokens,omitempty"`     // of the body, that are masked
	Of        int      `json:"of,omitempty"`
}

// A Dimension is what was found for one kind of data.
type Dimension struct {
	Name     string `json:"name"`
	About    string `json:"about"`
	Declared bool   `json:"declared,omitempty"`
	Missing  string `json:"not_tried,omitempty"`
	Power    bool   `json:"power"` // those who agree do differ
	Agree    Cell   `json:"agree,omitzero"`
	Refuse   []Cell `json:"refuse,omitempty"`
}

// A Cell is what was found for a dimension and one way to agree or refuse.
type Cell struct {
	Way         string `json:"way"`
	Verdict     string `json:"verdict"`
	Method      string `json:"method"`
	Page        string `json:"page,omitempty"` // that the figures are of
	Pairs       int    `json:"pairs"`
	Unequal     int    `json:"unequal"`
	Same        int    `json:"same"`
	SameUnequal int    `json:"same_unequal"`
	Failed      int    `json:"failed,omitempty"`
	Test        *Test  `json:"test,omitempty"`
}

// An Exhibit is one pair that differed, complete.
type Exhibit struct {
	Dimension   string       `json:"dimension"`
	Way         string       `json:"way"`
	Page        string       `json:"page"`
	Same        bool         `json:"identical,omitempty"` // both visitors are: one got something of another's
	BFirst      bool         `json:"b_asked_first"`
	Differences []Difference `json:"differences"`
	More        int          `json:"more_differences,omitempty"` // that are not listed
	A           Witness      `json:"a"`
	B           Witness      `json:"b"`
}

// A Witness is what one visitor sent, in order, and the answer to the last of it.
type Witness struct {
	Requests []Request `json:"requests"`
	Response *Response `json:"response"`
}

// maxShown is how many parts of an answer are listed where a site chooses their number.
const maxShown = 32

// atMost returns the first of a list, and how many more there are.
func atMost[T any](list []T, n int) ([]T, int) {
	if len(list) <= n {
		return list, 0
	}
	return list[:n], len(list) - n
}

// finding reports whether a dimension's cell is one: declared data may show.
func (d *Dimension) finding(c *Cell) bool { return c.Verdict == Differs && !d.Declared }

// settle draws the verdict of the run.
func (r *Report) settle() {
	var power, weak, open []string
	for i := range r.Dimensions {
		d := &r.Dimensions[i]
		if d.Missing != "" {
			if slices.Contains(r.require, d.Name) {
				weak = append(weak, d.Name)
			}
			continue
		}
		for j := range d.Refuse {
			if c := &d.Refuse[j]; d.finding(c) {
				r.Verdict, r.Because = Differs, "visitors who refused by "+c.Way+" got different answers when they differed in: "+d.Name
				return
			} else if c.Verdict == Undecided && !d.Declared {
				open = append(open, d.Name)
			}
		}
		switch {
		case !d.Power && slices.Contains(r.require, d.Name): // of what visitors set for themselves: it is not heeded
			weak = append(weak, d.Name)
		case d.Power && !d.Declared:
			power = append(power, d.Name)
		}
	}
	open = slices.DeleteFunc(slices.Compact(open), func(name string) bool { return !slices.Contains(power, name) && !slices.Contains(r.require, name) })
	switch {
	case r.Interrupted:
		r.Verdict, r.Because = Undecided, "interrupted: no difference up to there"
	case len(weak) > 0:
		r.Verdict, r.Because = NoPower, "no power in "+list(weak)+", which was required"
	case len(open) > 0:
		r.Verdict, r.Because = Undecided, "open: "+list(open)
	case len(power) == 0:
		r.Verdict, r.Because = NoPower, "those who agreed got the same answers, too: that those who refused did shows nothing here"
	default:
		r.Verdict, r.Because = Equal, "those who refused got the same, where those who agreed did not: "+list(power)
	}
}

// Found reports whether a difference was.
func (r *Report) Found() bool { return r.Verdict == Differs }

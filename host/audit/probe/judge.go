package probe

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Verdicts, on a dimension and on a whole run.
const (
	Equal     = "equal"     // no difference was found
	Differs   = "differs"   // one was
	Undecided = "undecided" // the site varies too much by itself for so few pairs, or nothing was measured
	NoPower   = "no power"  // of a run: no difference, and no dimension in which those who agree differ
)

// judge turns samples into a report.
func (r *run) judge(random *rand.Rand) *Report {
	slices.SortStableFunc(r.samples, func(a, b sample) int { return a.at.Compare(b.at) })
	rep := &Report{
		Tool: "bespoke audit probe", URL: r.fetch.base.String(), Pages: r.pages, Seed: r.c.Seed, Pairs: r.c.Pairs, Alpha: r.c.Alpha, Steady: r.c.Steady,
		Requests: r.fetch.requests(), Status: r.site.status, Centre: r.site.api != "", Failure: r.why, require: r.c.Require,
	}
	for name := range r.ignored {
		rep.Ignored = append(rep.Ignored, name)
	}
	slices.Sort(rep.Ignored)
	varies := r.varies(rep)
	tests := 0 // that will be made, to share the level
	for i := range varies {
		if varies[i] != steady {
			tests += len(r.tried())
		}
	}
	level := r.c.Alpha / float64(max(1, tests))
	for i := range r.dims {
		d := &r.dims[i]
		out := Dimension{Name: d.name, About: d.about, Declared: d.declared, Missing: d.missing}
		if d.missing == "" {
			for c := range r.conds {
				cell := r.cell(d, c, varies, level, random)
				if r.conds[c].name == agree {
					out.Agree, out.Power = cell, cell.Verdict == Differs
				} else {
					out.Refuse = append(out.Refuse, cell)
				}
			}
		}
		rep.Dimensions = append(rep.Dimensions, out)
	}
	for i := range r.samples {
		if e := r.samples[i].exhibit; e != nil {
			rep.Exhibits = append(rep.Exhibits, e)
		}
	}
	slices.SortStableFunc(rep.Exhibits, func(a, b *Exhibit) int { return cmp.Compare(a.Dimension, b.Dimension) })
	return rep
}

func (r *run) tried() (list []*dimension) {
	for i := range r.dims {
		if r.dims[i].missing == "" {
			list = append(list, &r.dims[i])
		}
	}
	return list
}

// How a page is by itself, to visitors of one condition.
const (
	steady  = iota // identical visitors get equal answers
	masked         // equal outside of what the mask hides
	restive        // nothing hides all of it
)

// varies tells how each page is, by condition and page, and reports it.
func (r *run) varies(rep *Report) []int {
	out := make([]int, len(r.conds)*len(r.pages))
	for c := range r.conds {
		for p := range r.pages {
			m := &r.masks[c][p]
			state := steady
			if m.shapeless {
				state = restive
			} else if m.varies() {
				state = masked
			}
			unequal, pairs := 0, 0
			for i := range r.samples {
				if s := &r.samples[i]; s.slot.cond == c && s.page == p && s.slot.same {
					if pairs++; !s.equal {
						unequal++
					}
				}
			}
			drift := drifts(r.series(c, p))
			if unequal > 0 && !drift && !r.steady(c) {
				state = restive
			}
			out[c*len(r.pages)+p] = state
			if state == steady && !drift {
				continue
			}
			n := Noise{Page: r.pages[p], Condition: r.conds[c].name, Pairs: pairs, Unequal: unequal, Masked: state == masked, Drift: drift}
			for name := range m.parts {
				n.Parts = append(n.Parts, name)
			}
			slices.Sort(n.Parts)
			n.Parts, n.More = atMost(n.Parts, maxShown)
			for i := range n.Parts {
				n.Parts[i] = printable(n.Parts[i])
			}
			n.Tokens, n.Of = m.hides()
			rep.Noise = append(rep.Noise, n)
		}
	}
	return out
}

// series are the answers of a page to visitors of one condition, by time.
func (r *run) series(c, p int) (list [][32]byte) {
	for i := range r.samples {
		if s := &r.samples[i]; s.slot.cond == c && s.page == p {
			list = append(list, s.first, s.second)
		}
	}
	return list
}

// cell judges a dimension under one condition, over all pages.
func (r *run) cell(d *dimension, c int, varies []int, level float64, random *rand.Rand) Cell {
	out := Cell{Way: r.conds[c].name, Verdict: Undecided, Failed: r.failed[failure{d, c}]}
	for p := range r.pages {
		one := r.page(d, c, p, varies[c*len(r.pages)+p], level, random)
		if one.Pairs == 0 {
			continue
		}
		// The page that says most speaks for all: a difference, then what is open.
		if out.Page == "" || weight(one.Verdict) > weight(out.Verdict) {
			one.Way, one.Failed = out.Way, out.Failed
			out = one
		}
	}
	if out.Page == "" {
		out.Method = "none: no pair could be measured"
	}
	return out
}

func weight(verdict string) int {
	return slices.Index([]string{Equal, Undecided, Differs}, verdict)
}

// page judges a dimension on one page.
func (r *run) page(d *dimension, c, p, state int, level float64, random *rand.Rand) Cell {
	out := Cell{Verdict: Equal, Page: r.pages[p]}
	var differ, same []int
	answered := false
	for i := range r.samples {
		s := &r.samples[i]
		if s.slot.dim != d || s.slot.cond != c || s.page != p {
			continue
		}
		answered = answered || !s.silent
		if s.slot.same {
			same = append(same, s.distance)
			if out.Same++; !s.equal {
				out.SameUnequal++
			}
			continue
		}
		differ = append(differ, s.distance)
		if out.Pairs++; !s.equal {
			out.Unequal++
		}
	}
	if !answered {
		out.Verdict, out.Method = Undecided, "none: the site did not answer"
		return out
	}
	if out.Unequal > 0 && state != restive && drifts(r.series(c, p)) {
		out.Method = "byte equality; the page changed for everybody during the run"
		return out
	}
	if out.Unequal > 0 || state != steady {
		t := permute(differ, same, random)
		out.Test = &t
	}
	switch {
	case state == steady:
		out.Method = "byte equality"
	case state == masked:
		out.Method = "byte equality outside of what varies by itself, and a test of what does"
	default:
		out.Method = "a test: the page varies by itself in what cannot be masked"
	}
	switch t := out.Test; {
	case r.steady(c) && out.SameUnequal > 0:
		out.Verdict = Differs
		out.Method += "; identical visitors differ, too: what one gets depends on others"
	case state != restive && out.Unequal > 0:
		out.Verdict = Differs
	case t != nil && t.P <= level:
		out.Verdict = Differs
	case t != nil && t.Least > level:
		out.Verdict = Undecided
		out.Method += fmt.Sprintf(" (too few pairs: %d and %d cannot reach p = %.2g)", t.Pairs, t.Same, level)
	}
	return out
}

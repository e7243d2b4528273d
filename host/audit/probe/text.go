package probe

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

func list(names []string) string { return strings.Join(names, ", ") }

// Text writes the report for people.
func (r *Report) Text(w io.Writer) {
	fmt.Fprintf(w, "%s\n  %s: %s\n\n", r.URL, strings.ToUpper(r.Verdict), r.Because)
	fmt.Fprintf(w, "pages     %s\n", list(r.Pages))
	fmt.Fprintf(w, "pairs     %d for each dimension and way, and half as many of identical visitors; %d requests in %.1f s; seed %d\n", r.Pairs, r.Requests, r.Took, r.Seed)
	fmt.Fprintf(w, "ignored   %s\n", list(r.Ignored))
	if r.Status >= 400 {
		fmt.Fprintf(w, "note      the site answered the first look with status %d: what follows is about that answer\n", r.Status)
	}
	if r.Failure != "" {
		fmt.Fprintf(w, "failed    some pairs could not be measured; the first: %s\n", r.Failure)
	}
	for _, n := range r.Noise {
		fmt.Fprintf(w, "varies    %s (%s): %s\n", n.Page, n.Condition, n.text())
	}
	fmt.Fprintf(w, "\n%-12s %-7s %-10s %-9s %s\n", "data", "way", "verdict", "unequal", "how, and how identical visitors did")
	for i := range r.Dimensions {
		r.Dimensions[i].text(w)
	}
	fmt.Fprintf(w, "\nEqual shows something only where those who agree differ (power).\n")
	for _, m := range r.tests() {
		fmt.Fprintf(w, "p: %s; all tests together have the level %g\n", m, r.Alpha)
	}
	for i, e := range r.Exhibits {
		e.text(w, i+1)
	}
}

func (n *Noise) text() string {
	var say []string
	if n.Drift {
		say = append(say, "changed for everybody during the run")
	}
	if len(n.Parts) > 0 {
		say = append(say, list(n.Parts)+more(n.More))
	}
	if n.Tokens > 0 {
		say = append(say, fmt.Sprintf("%d of %d words of the body", n.Tokens, n.Of))
	}
	if !n.Masked && !n.Drift {
		say = append(say, fmt.Sprintf("%d of %d identical pairs differ beyond what can be masked", n.Unequal, n.Pairs))
	}
	return strings.Join(say, "; ")
}

func (d *Dimension) text(w io.Writer) {
	if d.Missing != "" {
		fmt.Fprintf(w, "%-12s not tried: %s\n", d.Name, d.Missing)
		return
	}
	power := "no power"
	if d.Power {
		power = "power"
	}
	row := func(name, verdict string, c *Cell) {
		how := c.Method
		if c.Test != nil {
			how += fmt.Sprintf("; p = %.4g", c.Test.P)
		}
		if c.Failed > 0 {
			how += fmt.Sprintf("; %d pairs failed", c.Failed)
		}
		fmt.Fprintf(w, "%-12s %-7s %-10s %-9s %s; identical: %d of %d differ\n", name, c.Way, verdict, fmt.Sprintf("%d/%d", c.Unequal, c.Pairs), how, c.SameUnequal, c.Same)
	}
	row(d.Name, power, &d.Agree)
	for i := range d.Refuse {
		c := &d.Refuse[i]
		verdict := c.Verdict
		switch {
		case verdict == Differs && d.Declared:
			verdict = "as wished"
		case d.finding(c):
			verdict = "DIFFERS"
		}
		row("", verdict, c)
	}
}

func (e *Exhibit) text(w io.Writer, n int) {
	identical := ""
	if e.Same {
		identical = " (identical visitors)"
	}
	fmt.Fprintf(w, "\npair %d: %s, refused by %s, %s%s\n", n, e.Dimension, e.Way, e.Page, identical)
	for _, d := range e.Differences {
		where := printable(d.Part)
		if d.Offset >= 0 {
			where = fmt.Sprintf("body, byte %d (line %d)", d.Offset, d.Line)
		}
		fmt.Fprintf(w, "  %s\n    a: %s\n    b: %s\n", where, clip(d.A), clip(d.B))
	}
	if e.More > 0 {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(more(e.More)))
	}
	for _, one := range []struct {
		name string
		w    *Witness
	}{{"a", &e.A}, {"b", &e.B}} {
		fmt.Fprintf(w, "  %s again: %s\n", one.name, Curl(&one.w.Requests[len(one.w.Requests)-1]))
	}
}

// tests names the methods of the tests that were made.
func (r *Report) tests() (list []string) {
	for i := range r.Dimensions {
		d := &r.Dimensions[i]
		for _, c := range append([]Cell{d.Agree}, d.Refuse...) {
			if c.Test != nil && !slices.Contains(list, c.Test.Method) {
				list = append(list, c.Test.Method)
			}
		}
	}
	return list
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// printable returns a name that a site chose, short, and without what steers a terminal.
func printable(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// clip quotes a value for a line of a terminal: a site's bytes cannot steer it.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Curl returns the command that sends a request again, and shows the answer's header too.
func Curl(r *Request) string { return curl(r, "-gsi") }

// curl is that with other options. -g is one of them: brackets in an address are no pattern.
func curl(r *Request, options string) string {
	var b strings.Builder
	b.WriteString("curl " + options)
	if r.Method != "GET" {
		b.WriteString(" -X " + quote(r.Method))
	}
	for _, name := range names(r.Header) {
		for _, v := range r.Header[name] {
			b.WriteString(" -H " + quote(name+": "+v))
		}
	}
	if r.Body != "" {
		b.WriteString(" --data-binary " + quote(r.Body))
	}
	return b.String() + " " + quote(r.URL)
}

// quote quotes for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxErrors is how many errors of one file are reported.
const MaxErrors = 20

// maxCollected bounds what a hostile file makes us remember before sorting.
const maxCollected = 1000

// An Error is one fault of a file. Line and Col count from 1, Col in characters.
type Error struct {
	File      string
	Line, Col int
	Msg       string
}

// Error returns "file:line:col: msg".
func (e Error) Error() string {
	return e.File + ":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Col) + ": " + e.Msg
}

// Errors are the faults of a file, sorted by position: at least one, at most [MaxErrors].
type Errors []Error

// Error returns one line for each fault, and a last one where faults may have been left out.
func (e Errors) Error() string {
	var b strings.Builder
	for i, x := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	if len(e) == MaxErrors {
		fmt.Fprintf(&b, "\n%s: no more than %d errors are shown", e[0].File, MaxErrors)
	}
	return b.String()
}

// A pos is a place in the file; both count from 1.
type pos struct{ line, col int }

func (p pos) String() string { return fmt.Sprintf("line %d, column %d", p.line, p.col) }

func (d *decoder) errorf(at pos, format string, args ...any) {
	if len(d.errs) >= maxCollected {
		return
	}
	// One fault is one line, also when the text of another package has several.
	msg := strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), func(r rune) bool {
		return r == '\n' || r == '\r'
	}), " ")
	d.errs = append(d.errs, Error{File: d.file, Line: at.line, Col: at.col, Msg: msg})
}

// faults returns what was found wrong so far as an Errors, or nil.
func (d *decoder) faults() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return d.errs[:min(len(d.errs), MaxErrors)]
}

// quote shows text that was found, shortened if it is long.
func quote(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return strconv.Quote(s[:cut]) + "..."
}

// list shows words as "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// suggest returns `; did you mean "x"?` for the known word nearest to s, or "".
func suggest(s string, known []string) string {
	if len(s) > maxKey {
		return ""
	}
	best, at := "", 3
	for _, k := range known {
		if n := distance(strings.ToLower(s), k); n < at && n*2 < len(k) {
			best, at = k, n
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + strconv.Quote(best) + "?"
}

// distance is the optimal string alignment distance: insertions, deletions,
// substitutions and swaps of neighbours.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			n := last[j-1]
			if a[i-1] != b[j-1] {
				n++
			}
			n = min(n, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, before[j-2]+1)
			}
			row[j] = n
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

//go:build wasip1

package bespoke

import "strings"

// A Band is recommended items as the host gives them: one a line, pairs
// name=value with a tab between them.
type Band string

// Blocks are what [Page.Fill] takes: lines name=value, and an empty line
// between two items.
type Blocks string

// maxPairs is how many pairs fill takes of an item.
const maxPairs = 64

// Blocks returns the first items of the band, at most that many, without those whose id is in
// hidden, and without those of which some value is in muted; both are lines, as
// the preferences of these names are. It also says how many there are.
func (b Band) Blocks(most int, hidden, muted string) (blocks Blocks, n int) {
	room(2 * len(b)) // each tab and each line end may become one more, and values are not empty
	from := len(arena)
	for rest := string(b); rest != "" && n < most; {
		var item string
		item, rest, _ = strings.Cut(rest, "\n")
		if unwanted(item, hidden, muted) {
			continue
		}
		at := len(arena)
		if n > 0 {
			arena = append(arena, '\n')
		}
		start := len(arena)
		for left := maxPairs; item != "" && left > 0; {
			var pair string
			pair, item, _ = strings.Cut(item, "\t")
			if name, _, ok := strings.Cut(pair, "="); ok && plain(name) {
				arena = append(append(arena, pair...), '\n')
				left--
			}
		}
		if len(arena) == start { // nothing to show
			arena = arena[:at]
			continue
		}
		n++
	}
	return Blocks(since(from)), n
}

// unwanted reports whether the visitor does not want to see an item.
func unwanted(item, hidden, muted string) bool {
	for item != "" && hidden+muted != "" {
		var pair string
		pair, item, _ = strings.Cut(item, "\t")
		name, value, _ := strings.Cut(pair, "=")
		if name == "id" && HasLine(hidden, value) {
			return true
		}
		for muted != "" && value != "" { // values may be several, as in a page
			var one string
			one, value, _ = strings.Cut(value, ",")
			if HasLine(muted, strings.TrimSpace(one)) {
				return true
			}
		}
	}
	return false
}

// plain reports whether fill takes the name.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if c >= 'a' && c <= 'z' || name[i] == '_' || i > 0 && (c >= '0' && c <= '9' || name[i] == '.' || name[i] == '-') {
			continue
		}
		return false
	}
	return name != "" && len(name) <= 128
}

// HasLine reports whether s is one of the lines, whatever the case of ASCII letters.
func HasLine(lines, s string) bool {
	for lines != "" {
		var one string
		one, lines, _ = strings.Cut(lines, "\n")
		if sameFold(strings.TrimSpace(one), s) {
			return true
		}
	}
	return false
}

func sameFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x |= 0x20
		}
		if y >= 'A' && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}

// Join returns the parts as one text, without the cost of an allocation. It is
// good for the run.
func Join(parts ...string) string { return join(parts...) }

// Line returns name=value and a line end: a line of an argument. Line ends in
// the value become spaces.
func Line(name, value string) string { return line(name, value) }

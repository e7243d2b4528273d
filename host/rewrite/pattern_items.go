package rewrite

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what fill is given.
const (
	maxItems      = 1000
	maxItemFields = 64
	maxItemBytes  = 256 << 10 // of all together
)

// An item is what one copy of a pattern is filled with.
type item struct{ fields []field }

// A field is one value of an item. Names are plainNames, and differ.
type field struct{ name, value string }

// parseItems reads the first argument of fill: blocks of lines name=value,
// divided by empty lines. The value is all that follows the first '='. Nothing
// at all is no items, which empties a list. Its error names the line.
func parseItems(s string) ([]item, error) {
	switch {
	case len(s) > maxItemBytes:
		return nil, fmt.Errorf("items of %d bytes; at most %d are accepted", len(s), maxItemBytes)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return nil, fmt.Errorf("items have a NUL or are not UTF-8")
	}
	var items []item
	within := false
	for n := 1; s != ""; n++ {
		var line string
		line, s, _ = strings.Cut(s, "\n")
		if line == "" {
			within = false
			continue
		}
		if !within {
			if len(items) == maxItems {
				return nil, fmt.Errorf("line %d: more than %d items", n, maxItems)
			}
			items = append(items, item{})
			within = true
		}
		it := &items[len(items)-1]
		name, value, ok := strings.Cut(line, "=")
		switch {
		case !ok || !plainName(name):
			return nil, fmt.Errorf("line %d: %q is no name=value", n, shown(line))
		case len(it.fields) == maxItemFields:
			return nil, fmt.Errorf("line %d: more than %d names in an item", n, maxItemFields)
		}
		for _, f := range it.fields {
			if f.name == name {
				return nil, fmt.Errorf("line %d: the name %q twice in an item", n, name)
			}
		}
		it.fields = append(it.fields, field{name, value})
	}
	return items, nil
}

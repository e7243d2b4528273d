package rewrite

import "errors"

// An item is what one copy of a pattern is filled with.
type item struct{ fields []field }

type field struct{ name, value string }

// parseItems reads the first argument of fill: blocks of lines name=value,
// divided by empty lines.
func parseItems(s string) ([]item, error) { return nil, errors.New("not yet") }

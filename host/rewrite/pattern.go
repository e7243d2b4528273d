package rewrite

// A pattern is the markup that fill repeats: literal bytes and slots.
type pattern struct{}

// parse makes p the pattern that stands in markup. It returns 0, or why that
// cannot be used. It keeps no reference to markup.
func (p *pattern) parse(markup []byte, xml bool) Reason { return WhyAmbiguous }

// append appends one copy of the pattern to dst, with the values of it in the slots.
func (p *pattern) append(dst []byte, it *item, cs Charset) []byte { return dst }

package rewrite

// A Reason says why an edit, or the tail, was not applied at a place.
type Reason uint8

const (
	WhyVoid       Reason = 1 + iota // the element cannot have content
	WhyRawText                      // its content is not markup
	WhyPlace                        // the parser would move it elsewhere, or undo it
	WhyOverridden                   // another edit of the same element beats it
	WhyBuffer                       // the element is longer than MaxBuffer, or has too many children
	WhyUnfinished                   // the page ends inside markup, a comment or raw text
	WhyStopped                      // editing stopped before the element ended
	WhyTag                          // a tag is longer than MaxTag
	WhyDepth                        // more open elements than MaxDepth
	WhyUnsafe                       // it would load or run code there, or take away what guards
	WhyIntegrity                    // a hash or the integrity attribute covers what it would change
	WhyPattern                      // there is nothing that fill could repeat
	WhyAmbiguous                    // parsers do not agree on what the page means there
)

func (y Reason) String() string {
	switch y {
	case WhyVoid:
		return "the element cannot have content"
	case WhyRawText:
		return "the element's content is not markup"
	case WhyPlace:
		return "the parser would move it elsewhere, or undo it"
	case WhyOverridden:
		return "another edit of the same element beats it"
	case WhyBuffer:
		return "the element is too long to be kept back"
	case WhyUnfinished:
		return "the page ends inside markup, a comment or raw text"
	case WhyStopped:
		return "editing stopped before the element ended"
	case WhyTag:
		return "a tag is too long"
	case WhyDepth:
		return "elements are nested too deep"
	case WhyUnsafe:
		return "it would load or run code there, or take away what guards"
	case WhyIntegrity:
		return "a hash or the integrity attribute covers what it would change"
	case WhyPattern:
		return "there is nothing to repeat"
	case WhyAmbiguous:
		return "parsers do not agree on what the page means there"
	}
	return ""
}

// NotApplied is an edit, by its index in the plan, that matched an element and was not carried out on it.
type NotApplied struct {
	Edit int
	Why  Reason
}

// A Report tells what became of a plan on one page.
type Report struct {
	Applied    []int        // for each edit: on how many elements it was carried out
	NotApplied []NotApplied // each pair once, by edit
	Buffered   int          // the most bytes that were kept back at a time
	Stopped    Reason       // why editing stopped; 0 if it did not
	Tail       Reason       // why the tail was left out; 0 if it was not
}

// Report tells what has been done since Reset. Its slices are good until the next Reset.
func (r *Rewriter) Report() Report {
	out := Report{Applied: r.applied, Buffered: r.buffered, Stopped: r.stopped, Tail: r.tailWhy}
	r.list = r.list[:0]
	for i, set := range r.why {
		for y := Reason(1); y <= WhyAmbiguous; y++ {
			if set&(1<<y) != 0 {
				r.list = append(r.list, NotApplied{i, y})
			}
		}
	}
	out.NotApplied = r.list
	return out
}

type report struct {
	applied  []int
	why      []uint32 // for each edit, a set of reasons
	list     []NotApplied
	buffered int
	stopped  Reason
	tailWhy  Reason
}

func (r *report) reset(p *Plan) {
	r.applied = zeroed(r.applied, len(p.edits))
	r.why = zeroed(r.why, len(p.edits))
	r.buffered, r.stopped, r.tailWhy = 0, 0, 0
}

func (r *report) not(edit int32, y Reason) { r.why[edit] |= 1 << y }

// zeroed returns a slice of n zero values, in the room of s if that is enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

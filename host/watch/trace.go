package watch

import (
	"encoding/hex"
	"time"
)

// A Trace is where the time of one exchange went. It has no room for anything
// that a visitor sent: its words are of the configuration or of this program.
type Trace struct {
	ID     [16]byte
	Root   [8]byte // the span that is the exchange
	Parent [8]byte // the span that it is a part of; zero: none
	Origin [8]byte // the span that asked the origin, which may take it for its parent

	Began  time.Time
	Took   time.Duration
	Tenant string // "" for requests that are no site's
	Route  string
	Served string
	Status int
	Fault  string // source/name; "" for none
	Spans  []Span // those below the exchange
}

// A Span is a part of an exchange. From and To count from its beginning.
type Span struct {
	Kind     SpanKind
	Policy   string // of a run, as the configuration writes it
	Phase    string // of a run
	Fault    string // of a run that failed: the kind
	From, To time.Duration
}

// A SpanKind says what a part of an exchange was spent on.
type SpanKind uint8

const (
	SpanOrigin  SpanKind = iota // the origin was asked, until its answer's header
	SpanBody                    // the origin's body was read as a whole
	SpanPolicy                  // a run
	SpanRewrite                 // the body went through the edits, and was sent as far as it is streamed
)

func (k SpanKind) String() string {
	return [...]string{"origin", "origin body", "policy", "rewrite"}[k]
}

// A Parent is what a traceparent header says of who asks (W3C Trace Context,
// 3.2). The zero value is none.
type Parent struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// Known reports whether there is a parent.
func (p *Parent) Known() bool { return p.Span != [8]byte{} }

const traceparentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// ParseParent reads a traceparent header. What cannot be read is no parent
// (W3C Trace Context, 4.3).
func ParseParent(h []byte) (p Parent) {
	if len(h) < traceparentLen || h[2] != '-' || h[35] != '-' || h[52] != '-' {
		return Parent{}
	}
	var version, flags [1]byte
	for _, part := range [...]struct{ to, from []byte }{{version[:], h[:2]}, {p.Trace[:], h[3:35]}, {p.Span[:], h[36:52]}, {flags[:], h[53:55]}} {
		for _, c := range part.from {
			if 'A' <= c && c <= 'F' {
				return Parent{} // upper case is not allowed
			}
		}
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return Parent{}
		}
	}
	later := len(h) > traceparentLen // a later version may have more, after a hyphen
	if version[0] == 0xff || version[0] == 0 && later || later && h[traceparentLen] != '-' || p.Trace == [16]byte{} || p.Span == [8]byte{} {
		return Parent{}
	}
	p.Sampled = flags[0]&1 != 0
	return p
}

// AppendParent appends the traceparent header for what is asked of the origin.
func (t *Trace) AppendParent(b []byte) []byte {
	b = hex.AppendEncode(append(b, "00-"...), t.ID[:])
	b = hex.AppendEncode(append(b, '-'), t.Origin[:])
	return append(b, "-01"...)
}

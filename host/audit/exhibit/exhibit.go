// Package exhibit is what is kept for a while of a few exchanges without personal
// data, so that anybody can run them again: what policies could see, what they read
// and emitted, what the origin answered and what was sent, both to the byte.
//
// Who serves opens a [Store] and has it [Store.Put] what [Encode] made. Who checks
// finds the names in the ledger, and calls [Load] and [Module].
//
// An exhibit's name has the hash of its text in it. The ledger has the name, so
// that an exhibit cannot be changed, or exchanged with another, unnoticed. The
// package does not know which exchanges are without personal data; host/edge does.
package exhibit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"bespoke/modules/abi"
)

// An Exhibit is all that one exchange's answer depended on, and the answer.
type Exhibit struct {
	Build  string    `json:"build,omitempty"` // of the edge: another may rewrite otherwise
	Time   time.Time `json:"time"`            // when the request arrived: the clock of all time keys
	Tenant string    `json:"tenant"`
	Route  string    `json:"route"` // its pattern
	Zone   string    `json:"zone"`  // the tenant's, as the IANA database names it
	Site   string    `json:"site"`  // scheme and host of the tenant's origin

	Request  Request  `json:"request"`
	Facts    string   `json:"facts"`          // the signals, reduced to what the decision depends on
	Granted  []string `json:"granted"`        // purposes
	Asks     bool     `json:"asks,omitempty"` // the visitor is to be asked
	Policies []Policy `json:"policies"`
	Runs     []Run    `json:"runs"`             // in order; of one policy up to two
	Origin   *Answer  `json:"origin,omitempty"` // nil: a policy answered with a redirect
	Sent     Answer   `json:"sent"`
	// Streamed says that the body went out while it came. If it was coded, its coded
	// form depends on the moments at which pieces came; its text does not.
	Streamed bool `json:"streamed,omitempty"`
}

// A Request is what of the request the answer could depend on.
type Request struct {
	Method string  `json:"method"`
	Target Text    `json:"target"` // path and query as sent
	Host   string  `json:"host"`
	Secure bool    `json:"secure,omitempty"` // it came over TLS
	Header []Field `json:"header"`
}

// A Field is one line of a header.
type Field struct {
	Name  string `json:"name"`
	Value Text   `json:"value"`
}

// A Policy is one use of a module on the route.
type Policy struct {
	Name    string  `json:"name"`             // as the configuration writes it
	Entry   string  `json:"entry"`            // which of the module's policies
	Module  string  `json:"module,omitempty"` // SHA-256, hexadecimal; "": there was nothing to run
	Version int     `json:"version,omitempty"`
	With    []Field `json:"with,omitempty"` // settings, by name
	Limits  Limits  `json:"limits"`
}

// Limits are [abi.Limits].
type Limits struct {
	BinaryBytes int `json:"binary_bytes"`
	MemoryPages int `json:"memory_pages"`
	ReadBytes   int `json:"read_bytes"`
	Edits       int `json:"edits"`
	EditBytes   int `json:"edit_bytes"`
	LogBytes    int `json:"log_bytes"`
	RunMillis   int `json:"run_millis"`
	Concurrent  int `json:"concurrent"`
	InitMillis  int `json:"init_millis"`
}

var _ = abi.Limits(Limits{}) // the same fields

// A Run is one call of one policy.
type Run struct {
	Policy int    `json:"policy"` // index in Policies
	Phase  string `json:"phase"`  // request or response
	Reads  []Read `json:"reads,omitempty"`
	Edits  []Edit `json:"edits,omitempty"`
}

// A Read is one read and its answer.
type Read struct {
	Key   string `json:"key"`
	Value *Text  `json:"value"` // nil: absent
}

// An Edit is what was emitted, taken or not.
type Edit struct {
	Op      uint32 `json:"op"` // the number of ABI.md
	Target  string `json:"target,omitempty"`
	A       string `json:"a,omitempty"`
	B       string `json:"b,omitempty"`
	Refused int32  `json:"refused,omitempty"` // why, the number of ABI.md; 0: it was taken
}

// An Answer is a response. In an exhibit's text the body stands apart.
type Answer struct {
	Status int     `json:"status"`
	Length int     `json:"length"` // as announced; -1 chunked, -2 until the connection ends
	Header []Field `json:"header"`
	Body   []byte  `json:"-"`
}

// A Text is a string of any bytes. In JSON it is a string, or if it is not UTF-8,
// an object with the field base64.
type Text string

// MarshalJSON implements [json.Marshaler].
func (t Text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string][]byte{"base64": []byte(t)})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var o struct {
		Base64 []byte `json:"base64"`
	}
	err := json.Unmarshal(b, &o)
	*t = Text(o.Base64)
	return err
}

// Bounds of an exhibit, in bytes.
const (
	MaxBody = 1 << 20 // of each of both bodies
	MaxFile = 8 << 20 // of the whole text
)

const head = "bespoke exhibit 1 %d %d %d\n" // bytes of the JSON and of the bodies

// Encode returns the exhibit's text: a line with the lengths, the JSON, the origin's
// body and the one that was sent, each with a line's end. Encode and [Parse] are
// inverse.
func (e *Exhibit) Encode() ([]byte, error) {
	var origin []byte
	if e.Origin != nil {
		origin = e.Origin.Body
	}
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("exhibit: %w", err)
	}
	var b bytes.Buffer
	b.Grow(64 + doc.Len() + len(origin) + len(e.Sent.Body))
	fmt.Fprintf(&b, head, doc.Len(), len(origin), len(e.Sent.Body))
	b.Write(doc.Bytes())
	b.Write(origin)
	b.WriteByte('\n')
	b.Write(e.Sent.Body)
	b.WriteByte('\n')
	if len(origin) > MaxBody || len(e.Sent.Body) > MaxBody || b.Len() > MaxFile {
		return nil, fmt.Errorf("exhibit: bodies of %d and %d bytes in %d: at most %d and %d are allowed", len(origin), len(e.Sent.Body), b.Len(), MaxBody, MaxFile)
	}
	return b.Bytes(), nil
}

// Parse reads an exhibit's text. What it returns shares the text's memory.
func Parse(text []byte) (*Exhibit, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("exhibit: %d bytes, at most %d are allowed", len(text), MaxFile)
	}
	first, rest, ok := bytes.Cut(text, []byte("\n"))
	var doc, origin, sent int
	if _, err := fmt.Sscanf(string(first[:min(len(first), 80)]), head[:len(head)-1], &doc, &origin, &sent); !ok || err != nil {
		return nil, errors.New("exhibit: line 1: want \"bespoke exhibit 1\" and three lengths")
	}
	if doc < 0 || origin < 0 || sent < 0 || origin > MaxBody || sent > MaxBody || doc > len(rest) || len(rest) != doc+origin+sent+2 {
		return nil, fmt.Errorf("exhibit: line 1 says %d, %d and %d bytes, %d follow", doc, origin, sent, len(rest))
	}
	e := new(Exhibit)
	dec := json.NewDecoder(bytes.NewReader(rest[:doc]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(e); err != nil {
		return nil, fmt.Errorf("exhibit: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("exhibit: the JSON is followed by something")
	}
	rest = rest[doc:]
	if rest[origin] != '\n' || rest[len(rest)-1] != '\n' || e.Origin == nil && origin > 0 {
		return nil, errors.New("exhibit: the bodies are not where line 1 says")
	}
	if e.Origin != nil {
		e.Origin.Body = rest[:origin:origin]
	}
	e.Sent.Body = rest[origin+1 : len(rest)-1]
	for i, r := range e.Runs {
		if r.Policy < 0 || r.Policy >= len(e.Policies) {
			return nil, fmt.Errorf("exhibit: run %d is of policy %d, there are %d", i+1, r.Policy, len(e.Policies))
		}
	}
	return e, nil
}

// nameTime is how the time is written in names; sorted, they are in its order.
const nameTime = "20060102T150405.000Z"

// Name returns the name of the exhibit with that text and time.
func Name(text []byte, at time.Time) string {
	sum := sha256.Sum256(text)
	return at.UTC().Format(nameTime) + "-" + hex.EncodeToString(sum[:])
}

const nameLen = len(nameTime) + 1 + 2*sha256.Size

// parseName returns the time in a name, and whether it is one.
func parseName(name string) (at time.Time, ok bool) {
	if len(name) != nameLen || name[len(nameTime)] != '-' {
		return at, false
	}
	at, err := time.Parse(nameTime, name[:len(nameTime)])
	sum, herr := hex.DecodeString(name[len(nameTime)+1:])
	return at, err == nil && herr == nil && hex.EncodeToString(sum) == name[len(nameTime)+1:]
}

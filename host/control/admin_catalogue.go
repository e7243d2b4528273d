package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"
	"time"

	"bespoke/host/recommend"
)

// Catalogues are the tenants' catalogues of items. All methods may be called at the
// same time.
type Catalogues interface {
	// LoadCatalogue takes a catalogue in place of the tenant's one. What is wrong
	// in it is an error of type recommend.Problems; then, and if in fails, nothing
	// changed. The errors below say more.
	LoadCatalogue(tenant string, in io.Reader) (CatalogueLoad, error)
	// Catalogue tells how a tenant's catalogue fares; false if it has none.
	Catalogue(tenant string) (CatalogueFigures, bool)
}

// Why a catalogue is not taken, with errors.Is.
var (
	ErrNoCatalogue      = errors.New("the configuration gives the tenant no catalogue: it has no catalogue: {}")
	ErrCatalogueIsFile  = errors.New("the configuration names a file as the catalogue; change that, and reload")
	ErrCatalogueBusy    = errors.New("another catalogue of the tenant is being taken")
	ErrCatalogueStorage = errors.New("the catalogue cannot be stored")
)

// CatalogueLoad is what a new catalogue changed.
type CatalogueLoad struct {
	At      time.Time `json:"at"`
	From    string    `json:"from"`  // upload or file
	Items   int       `json:"items"` // that there are now
	Added   int       `json:"added"`
	Removed int       `json:"removed"`
	Changed int       `json:"changed"` // that were there, and are different now
	Millis  int64     `json:"milliseconds"`
}

// CatalogueFigures tell how a tenant's catalogue fares. Counts are since the start.
type CatalogueFigures struct {
	Tenant       string         `json:"tenant"`
	Items        int            `json:"items"`
	InStock      int            `json:"in_stock"`
	MemoryBytes  int64          `json:"memory_bytes"`   // about
	File         string         `json:"file,omitempty"` // that it is, by its name
	Support      int            `json:"support"`        // visitors who must stand behind what is shown
	Bands        map[string]int `json:"bands"`          // items with that support, at most 100
	Events       uint64         `json:"events"`
	UnknownItems uint64         `json:"unknown_items"` // events of items that are not in the catalogue
	Sessions     uint64         `json:"sessions"`      // that closed, and were learned from
	OpenSessions int            `json:"open_sessions"`
	KeptSessions int            `json:"kept_sessions"`
	Damaged      int            `json:"damaged_files,omitempty"` // that could not be read at the start
	Last         *CatalogueLoad `json:"last,omitempty"`          // since the start
}

// A LineProblem is something wrong in an uploaded catalogue.
type LineProblem struct {
	Line int    `json:"line,omitempty"` // from 1; 0 if it is of no one line
	What string `json:"what"`
}

// Media types of a catalogue.
const (
	MediaJSONLines = "application/jsonl"
	mediaNDJSON    = "application/x-ndjson" // the same
	MediaCSV       = "text/csv"
)

// MaxCatalogueBytes is the largest catalogue that is taken.
const MaxCatalogueBytes = 1 << 30

func (c *call) catalogue() *problem {
	f, ok := c.config.Catalogues.Catalogue(c.tenant)
	if !ok {
		return fromCatalogue(ErrNoCatalogue)
	}
	return c.json(200, f)
}

// loadCatalogue takes a catalogue as it comes in: all of it, or nothing.
func (c *call) loadCatalogue() *problem {
	media, params, err := mime.ParseMediaType(string(c.ctx.Request.Header.ContentType()))
	if charset := params["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") || media != MediaJSONLines && media != mediaNDJSON && media != MediaCSV {
		return &problem{Status: 415, Detail: "send JSON Lines as " + MediaJSONLines + " or CSV as " + MediaCSV + ", in UTF-8"}
	}
	if string(c.ctx.Request.Header.Peek("Content-Encoding")) != "" {
		return &problem{Status: 415, Detail: "send the catalogue without Content-Encoding"}
	}
	announced := c.ctx.Request.Header.ContentLength()
	switch {
	case announced < 0:
		return &problem{Status: 411, Detail: "send the body's length: Content-Length"}
	case announced > MaxCatalogueBytes:
		return &problem{Status: 413, Detail: fmt.Sprintf("the body has %d bytes, at most %d are allowed here", announced, MaxCatalogueBytes)}
	}
	if !c.uploads.begin(c.tenant) {
		return fromCatalogue(ErrCatalogueBusy)
	}
	defer c.uploads.end(c.tenant)
	in := &wholeBody{left: announced, csv: media == MediaCSV}
	if in.from = c.ctx.Request.BodyStream(); in.from == nil {
		in.from = bytes.NewReader(c.ctx.Request.Body()) // short, and here already
	}
	done, err := c.config.Catalogues.LoadCatalogue(c.tenant, in)
	if err != nil {
		return fromCatalogue(err)
	}
	return c.json(200, done)
}

// A wholeBody is a body that ends well only if all of it came. One that broke off
// ends like a whole one otherwise: half a catalogue would be taken for one.
type wholeBody struct {
	from  io.Reader
	left  int
	csv   bool
	begun bool
	err   error // told again to whoever asks again
}

var (
	errBrokeOff  = errors.New("the body broke off")
	errOtherKind = errors.New("the body is not of the kind that Content-Type says")
)

func (w *wholeBody) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.from.Read(p)
	w.left -= n
	if text := bytes.TrimLeft(bytes.TrimPrefix(p[:n], []byte("\ufeff")), " \t\r\n"); !w.begun && len(text) > 0 {
		w.begun = true
		if w.csv == (text[0] == '{' || text[0] == '[') {
			w.err = errOtherKind
			return 0, w.err
		}
	}
	switch {
	case err == io.EOF && w.left == 0:
		w.err = io.EOF
	case err != nil:
		w.err = errBrokeOff
	}
	return n, w.err
}

// fromCatalogue tells what became of a catalogue. What names files of the edge goes
// to the log alone.
func fromCatalogue(err error) *problem {
	var wrong recommend.Problems
	p := &problem{Detail: err.Error(), cause: err}
	switch {
	case errors.As(err, &wrong):
		p.Status, p.Code = 422, "refused"
		p.Detail = "the catalogue was not taken, and the one before stays; problems has the first things that are wrong in it"
		for _, w := range wrong {
			p.Problems = append(p.Problems, LineProblem{w.Line, clip(w.What, 512)})
		}
	case errors.Is(err, errBrokeOff):
		p.Status, p.Code, p.Detail = 400, "invalid", errBrokeOff.Error()+"; the catalogue before stays"
	case errors.Is(err, errOtherKind):
		p.Status, p.Detail = 415, errOtherKind.Error()+": JSON Lines begin with {, and CSV does not"
	case errors.Is(err, ErrNoCatalogue):
		p.Status = 404
	case errors.Is(err, ErrCatalogueIsFile):
		p.Status, p.Code = 409, "state"
	case errors.Is(err, ErrCatalogueBusy):
		p.Status, p.Code = 503, "busy"
		p.header("Retry-After", "5")
	case errors.Is(err, ErrCatalogueStorage):
		p.Status, p.Code, p.Detail = 503, "storage", "the edge could not store it, and the catalogue before stays; its log says why"
	default:
		p.Status, p.Detail = 500, "something went wrong inside; the edge's log says what"
	}
	return p
}

// Followers take note of what subjects did. It may be called by many at once.
type Followers interface {
	// SubjectEvents takes what a subject did, in the order in which they did it, as
	// far as they granted it. It returns how many events are of items that the
	// catalogue does not have.
	SubjectEvents(tenant, subject string, events []SubjectEvent) (unknown int, err error)
}

// ErrSubjectsAway is returned while it is not known what subjects chose.
var ErrSubjectsAway = errors.New("what subjects chose cannot be read now; try again")

// A SubjectEvent is one thing that a subject did.
type SubjectEvent struct {
	Kind string    `json:"kind"`          // see subjectKinds
	Item string    `json:"item"`          // the tenant's id; of a mail none
	Time time.Time `json:"time,omitzero"` // zero: now
}

// subjectKinds are the kinds of events of subjects, and whether they are of an item.
var subjectKinds = map[string]bool{
	"view": true, "click": true, "purchase": true,
	"mail-sent": false, "mail-open": false, "mail-click": false,
}

const (
	events           = "events" // the change that subjects' events are
	maxSubjectEvents = 100
	maxEventsJSON    = 64 << 10
	maxSubjectName   = 256
	maxItemID        = 128
)

// subjectEvents takes what a subject did: one event, or a list of them.
func (c *call) subjectEvents() *problem {
	subject, err := url.PathUnescape(c.subject)
	if err != nil || !subjectName(subject) {
		return &problem{Status: 400, Code: "invalid", Detail: fmt.Sprintf("the subject: want 1 to %d visible ASCII characters, percent-encoded as a segment of a path", maxSubjectName)}
	}
	list, p := c.readEvents()
	if p != nil {
		return p
	}
	unknown, err := c.config.Subjects.SubjectEvents(c.tenant, subject, list)
	switch {
	case errors.Is(err, ErrNoCatalogue):
		return fromCatalogue(err)
	case errors.Is(err, ErrSubjectsAway):
		p := &problem{Status: 503, Code: "state", Detail: err.Error()}
		p.header("Retry-After", "5")
		return p
	case err != nil:
		return &problem{Status: 500, Detail: "something went wrong inside; the edge's log says what", cause: err}
	}
	// Whether the subject granted it is not told.
	return c.json(202, map[string]int{"received": len(list), "unknown_items": unknown})
}

func (c *call) readEvents() ([]SubjectEvent, *problem) {
	body, p := c.body(maxEventsJSON)
	if p != nil {
		return nil, p
	}
	if !c.sent(mediaJSON) {
		return nil, &problem{Status: 415, Detail: "send an event, or a list of events, as " + mediaJSON}
	}
	invalid := func(format string, args ...any) ([]SubjectEvent, *problem) {
		return nil, &problem{Status: 400, Code: "invalid", Detail: fmt.Sprintf(format, args...) + "; nothing was taken"}
	}
	list := make([]SubjectEvent, 1)
	var into any = &list
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		into = &list[0]
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("the body cannot be used: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("text after the events")
	}
	if len(list) == 0 || len(list) > maxSubjectEvents {
		return invalid("%d events, want 1 to %d", len(list), maxSubjectEvents)
	}
	for i, e := range list {
		ofItem, ok := subjectKinds[e.Kind]
		switch {
		case !ok:
			return invalid("event %d: kind %.40q, want view, click, purchase, mail-sent, mail-open or mail-click", i+1, e.Kind)
		case ofItem && (e.Item == "" || len(e.Item) > maxItemID):
			return invalid("event %d: item: want an id of the catalogue, of 1 to %d bytes", i+1, maxItemID)
		case !ofItem && e.Item != "":
			return invalid("event %d: item: %s is of no item", i+1, e.Kind)
		}
	}
	return list, nil
}

// subjectName reports whether a subject may be called so; see docs/tenant.md.
func subjectName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= maxSubjectName && s != "-"
}
